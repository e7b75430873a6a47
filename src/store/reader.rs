//! What pages ask. Each answer costs what it shows, not what there is.

use std::fmt;
use std::iter::Peekable;
use std::str::FromStr;
use std::sync::Arc;

use super::error::StoreError;
use super::index::{Counts, StageKind, every_row};
use super::lists::List;
use super::shared::Shared;
use super::state::{Direction, State};
use crate::domain::event::Entry;
use crate::domain::ids::SectorNumber;
use crate::domain::phase::Phase;
use crate::domain::sector::Sector;
use crate::domain::task::{ResultStatus, Row};
use crate::domain::units::Seq;

/// The most sectors that are read for one page: what is rare does not cost all that there are.
const LOOKED_AT: usize = 2_000;

/// Which sectors are listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SectorFilter {
    All,
    /// Neither finished nor given up.
    Active,
    /// Waiting for a person: with a failed task, or a damaged stored copy.
    Attention,
    Stage(StageKind),
}

/// Which tasks are listed: those for which everything that is given holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TaskFilter {
    pub phase: Option<Phase>,
    pub is_taken: Option<bool>,
    pub is_finished: Option<bool>,
    pub result_status: Option<ResultStatus>,
    pub sector: Option<SectorNumber>,
}

impl TaskFilter {
    pub fn matches(&self, phase: Phase, row: Row) -> bool {
        self.phase.is_none_or(|wanted| wanted == phase)
            && self.is_taken.is_none_or(|wanted| wanted == row.is_taken)
            && self.is_finished.is_none_or(|wanted| wanted == row.is_finished)
            && self.result_status.is_none_or(|wanted| wanted == row.result_status)
    }

    /// How many tasks it lists, of all sectors (`sector` is not looked at).
    pub fn count(&self, counts: &Counts) -> u64 {
        self.rows().map(|(phase, row)| counts.row(phase, row)).sum()
    }

    fn rows(&self) -> impl Iterator<Item = (Phase, Row)> {
        Phase::ALL
            .into_iter()
            .flat_map(|phase| every_row().map(move |row| (phase, row)))
            .filter(|(phase, row)| self.matches(*phase, *row))
    }
}

/// A task, as the fleet's table shows it, with the sector that has the rest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskLine {
    pub sector: Arc<Sector>,
    pub phase: Phase,
    pub row: Row,
}

/// A place in a list of tasks. Written `<sector>-<phase>`, as in `17-P4`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TaskCursor {
    pub number: SectorNumber,
    pub phase: Phase,
}

impl fmt::Display for TaskCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.number, self.phase)
    }
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no place in a list of tasks: expected a sector and a phase, as in `17-P4`")]
pub struct BadTaskCursor(String);

impl FromStr for TaskCursor {
    type Err = BadTaskCursor;
    fn from_str(s: &str) -> Result<Self, BadTaskCursor> {
        let bad = || BadTaskCursor(s.to_owned());
        let (number, phase) = s.split_once('-').ok_or_else(bad)?;
        let number = number.parse().map_err(|_| bad())?;
        Ok(Self { number, phase: phase.parse().map_err(|_| bad())? })
    }
}

/// Some of a list. `next`, given as `after`, asks for what follows; none at the end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T, C> {
    pub items: Vec<T>,
    pub next: Option<C>,
}

/// Answers what pages ask, from any thread. Cheap to clone.
///
/// Every method fails with [`StoreError::State`] if sled does, and with [`StoreError::Closed`]
/// once the store is closed (or, for moments, while its state is opened anew).
#[derive(Debug, Clone)]
pub struct Reader {
    shared: Shared,
}

impl Reader {
    pub(super) fn new(shared: Shared) -> Self {
        Self { shared }
    }

    pub(super) fn wait(&self) {
        self.shared.wait();
    }

    pub fn sector(&self, number: SectorNumber) -> Result<Option<Sector>, StoreError> {
        self.shared.with(|state| state.sector(number))
    }

    /// A sector's history, oldest first, after an entry.
    pub fn history(
        &self,
        number: SectorNumber,
        after: Option<Seq>,
        limit: usize,
    ) -> Result<Vec<Entry>, StoreError> {
        self.shared.with(|state| state.history(number, after)?.take(limit).collect())
    }

    /// What happened to the box as a whole, newest first, before an entry.
    pub fn box_history(&self, before: Option<Seq>, limit: usize) -> Result<Vec<Entry>, StoreError> {
        self.shared.with(|state| state.box_history(before).take(limit).collect())
    }

    pub fn counts(&self) -> Result<Counts, StoreError> {
        self.shared.with(|state| state.meta().map(|meta| meta.counts))
    }

    /// Sectors in the order of their numbers, beyond `after`.
    pub fn sectors(
        &self,
        filter: SectorFilter,
        after: Option<SectorNumber>,
        limit: usize,
        direction: Direction,
    ) -> Result<Page<Sector, SectorNumber>, StoreError> {
        self.sectors_like(filter, |_| true, after, limit, direction)
    }

    /// As [`Reader::sectors`], of those only that are wanted. At most [`LOOKED_AT`] of the list are
    /// looked at, so a page may have fewer than `limit` and still be followed by another.
    pub fn sectors_like(
        &self,
        filter: SectorFilter,
        wanted: impl Fn(&Sector) -> bool,
        after: Option<SectorNumber>,
        limit: usize,
        direction: Direction,
    ) -> Result<Page<Sector, SectorNumber>, StoreError> {
        let list = match filter {
            SectorFilter::All => List::All,
            SectorFilter::Active => List::Active,
            SectorFilter::Attention => List::Attention,
            SectorFilter::Stage(kind) => List::Stage(kind),
        };
        self.shared.with(|state| {
            let mut numbers = state.numbers(list, after, direction).peekable();
            let mut items = Vec::new();
            let mut last = None;
            let mut looked_at = 0;
            while items.len() < limit
                && looked_at < LOOKED_AT.max(limit)
                && let Some(number) = numbers.next()
            {
                let number = number?;
                last = Some(number);
                looked_at += 1;
                // It may have moved on since the list was read.
                let sector = state.sector(number)?.filter(|sector| list.has(sector));
                items.extend(sector.filter(&wanted));
            }
            Ok(Page { items, next: last.filter(|_| numbers.peek().is_some()) })
        })
    }

    /// Tasks in the order of their sectors' numbers (of one sector, in the order of the phases),
    /// beyond `after`.
    pub fn tasks(
        &self,
        filter: &TaskFilter,
        after: Option<TaskCursor>,
        limit: usize,
        direction: Direction,
    ) -> Result<Page<TaskLine, TaskCursor>, StoreError> {
        self.shared.with(|state| match filter.sector {
            Some(number) => tasks_of(state, number, filter, after, limit),
            None => {
                let counts = state.meta()?.counts;
                Merge::new(state, filter, &counts, after, direction).page(state, filter, limit)
            }
        })
    }
}

fn tasks_of(
    state: &State,
    number: SectorNumber,
    filter: &TaskFilter,
    after: Option<TaskCursor>,
    limit: usize,
) -> Result<Page<TaskLine, TaskCursor>, StoreError> {
    let Some(sector) = state.sector(number)?.map(Arc::new) else {
        return Ok(Page { items: Vec::new(), next: None });
    };
    let mut lines = Phase::ALL
        .into_iter()
        .filter(|phase| after.is_none_or(|after| *phase > after.phase))
        .filter_map(|phase| Some((phase, sector.row(phase)?)))
        .filter(|(phase, row)| filter.matches(*phase, *row))
        .map(|(phase, row)| TaskLine { sector: Arc::clone(&sector), phase, row });
    let items: Vec<_> = lines.by_ref().take(limit).collect();
    let more = lines.next().is_some();
    let next = items.last().map(|line| TaskCursor { number, phase: line.phase });
    Ok(Page { items, next: next.filter(|_| more) })
}

type Numbers = Peekable<Box<dyn Iterator<Item = Result<SectorNumber, StoreError>>>>;

/// The lists of the rows that match, each in order, read as one list in order.
struct Merge {
    lists: Vec<(Phase, Numbers)>,
    direction: Direction,
}

impl Merge {
    fn new(
        state: &State,
        filter: &TaskFilter,
        counts: &Counts,
        after: Option<TaskCursor>,
        direction: Direction,
    ) -> Self {
        let lists = filter
            .rows()
            .filter(|(phase, row)| counts.row(*phase, *row) > 0)
            .map(|(phase, row)| {
                let beyond = after.and_then(|after| beyond(after, phase, direction));
                let numbers = state.numbers(List::Task(phase, row), beyond, direction);
                (phase, (Box::new(numbers) as Box<dyn Iterator<Item = _>>).peekable())
            })
            .collect();
        Self { lists, direction }
    }

    fn page(
        mut self,
        state: &State,
        filter: &TaskFilter,
        limit: usize,
    ) -> Result<Page<TaskLine, TaskCursor>, StoreError> {
        let mut items: Vec<TaskLine> = Vec::new();
        let mut last = None;
        while items.len() < limit
            && let Some(at) = self.next()?
        {
            last = Some(at);
            let sector = match items.last() {
                Some(line) if line.sector.id.number == at.number => Arc::clone(&line.sector),
                Some(_) | None => match state.sector(at.number)? {
                    Some(sector) => Arc::new(sector),
                    None => continue,
                },
            };
            // The task may have moved on since its list was read: its row now decides.
            if let Some(row) = sector.row(at.phase)
                && filter.matches(at.phase, row)
            {
                items.push(TaskLine { sector, phase: at.phase, row });
            }
        }
        let more = self.next()?.is_some();
        Ok(Page { items, next: last.filter(|_| more) })
    }

    /// The nearest head of all lists.
    fn next(&mut self) -> Result<Option<TaskCursor>, StoreError> {
        let mut best: Option<(usize, TaskCursor)> = None;
        for (i, (phase, numbers)) in self.lists.iter_mut().enumerate() {
            let number = match numbers.peek() {
                Some(Ok(number)) => *number,
                Some(Err(error)) => return Err(error.clone()),
                None => continue,
            };
            let nearer = best.is_none_or(|(_, best)| {
                let by_number = number.cmp(&best.number);
                let by_number = match self.direction {
                    Direction::OldestFirst => by_number,
                    Direction::NewestFirst => by_number.reverse(),
                };
                by_number.then((*phase).cmp(&best.phase)).is_lt()
            });
            if nearer {
                best = Some((i, TaskCursor { number, phase: *phase }));
            }
        }
        let Some((i, at)) = best else { return Ok(None) };
        self.lists[i].1.next();
        Ok(Some(at))
    }
}

/// Where a phase's list goes on after a cursor: of the cursor's own sector only the phases behind
/// the cursor's are still to come.
fn beyond(after: TaskCursor, phase: Phase, direction: Direction) -> Option<SectorNumber> {
    let SectorNumber(number) = after.number;
    if phase <= after.phase {
        return Some(after.number);
    }
    let before = match direction {
        Direction::OldestFirst => number.checked_sub(1),
        Direction::NewestFirst => number.checked_add(1),
    };
    before.map(SectorNumber)
}
