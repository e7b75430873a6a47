//! What the pages and the API ask of the store, with the parameters of an address parsed.

use std::str::FromStr;

use serde::Deserialize;

use super::WebState;
use super::error::Unanswered;
use super::gantt::Range;
use crate::domain::event::Entry;
use crate::domain::ids::{OrderId, SectorNumber};
use crate::domain::phase::Phase;
use crate::domain::sector::Sector;
use crate::domain::task::ResultStatus;
use crate::domain::units::{SectorSize, Seq};
use crate::store::{Direction, Page, SectorFilter, StageKind, TaskCursor, TaskFilter, TaskLine};

/// Rows of a page of a list, unless the address says otherwise.
const ROWS: usize = 50;
/// The most rows at once.
const MOST_ROWS: usize = 1_000;
/// The most of a sector's history that its page shows.
pub const HISTORY: usize = 1_000;

/// Which sectors are listed, as an address says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SectorsOf(pub SectorFilter);

impl SectorsOf {
    pub fn name(self) -> &'static str {
        match self.0 {
            SectorFilter::All => "all",
            SectorFilter::Active => "in flight",
            SectorFilter::Attention => "needs you",
            SectorFilter::Stage(kind) => kind.name(),
        }
    }

    /// As an address writes it.
    pub fn value(self) -> String {
        self.name().to_ascii_lowercase().replace([' ', '/', '-'], "_")
    }

    pub fn every() -> Vec<Self> {
        let groups = [SectorFilter::All, SectorFilter::Active, SectorFilter::Attention];
        groups.into_iter().chain(StageKind::ALL.map(SectorFilter::Stage)).map(Self).collect()
    }

    fn parse(text: &str) -> Result<Self, Unanswered> {
        let wanted = text.to_ascii_lowercase().replace([' ', '/', '-', '+'], "_");
        Self::every().into_iter().find(|of| of.value() == wanted).ok_or_else(|| {
            let known: Vec<String> = Self::every().into_iter().map(Self::value).collect();
            Unanswered::invalid(
                format!("`{}` is no state of a sector", shortened(text)),
                format!("use one of {}", known.join(", ")),
            )
        })
    }
}

/// The parameters of a list of sectors, as they come. Everything is text, so that a strange value
/// gets an answer of ours.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct SectorParams {
    pub state: Option<String>,
    /// A phase that is not over: queued, running or failed.
    pub phase: Option<String>,
    pub size: Option<String>,
    /// The order that they were issued for.
    pub order: Option<String>,
    pub after: Option<String>,
    pub limit: Option<String>,
    /// A number to go to.
    pub number: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SectorQuery {
    pub of: SectorsOf,
    pub phase: Option<Phase>,
    pub size: Option<SectorSize>,
    pub order: Option<OrderId>,
    pub after: Option<SectorNumber>,
    pub limit: usize,
}

impl SectorQuery {
    /// The first of them, whatever else is true of them.
    pub fn first(of: SectorFilter, limit: usize) -> Self {
        Self { of: SectorsOf(of), phase: None, size: None, order: None, after: None, limit }
    }

    /// More than the lists of the store know: the sectors have to be looked at.
    pub fn is_narrow(&self) -> bool {
        self.phase.is_some() || self.size.is_some() || self.order.is_some()
    }

    /// As an address writes it, without the place in the list.
    pub fn filter(&self) -> String {
        let mut filter = format!("state={}", self.of.value());
        self.phase.iter().for_each(|phase| filter.push_str(&format!("&phase={phase}")));
        self.size.iter().for_each(|size| filter.push_str(&format!("&size={}", size.name())));
        self.order.iter().for_each(|order| filter.push_str(&format!("&order={order}")));
        filter
    }

    /// The shortest list that has them all: only sectors in flight have a phase that is not over.
    fn list(&self) -> SectorFilter {
        match (self.of.0, self.phase) {
            (SectorFilter::All | SectorFilter::Active, Some(phase)) => {
                SectorFilter::Stage(match phase {
                    Phase::P1 => StageKind::P1,
                    Phase::P2 => StageKind::P2,
                    Phase::P3 => StageKind::P3,
                    Phase::P4 | Phase::P5 => StageKind::Proving,
                    Phase::P6 => StageKind::P6,
                })
            }
            (of, Some(_) | None) => of,
        }
    }

    fn wants(&self, sector: &Sector) -> bool {
        let at_hand = |wanted| sector.stage.works().any(|(phase, _)| phase == wanted);
        self.phase.is_none_or(at_hand)
            && self.size.is_none_or(|size| size == sector.size)
            && self.order.is_none_or(|order| order == sector.order)
    }
}

impl SectorParams {
    pub fn parse(&self) -> Result<SectorQuery, Unanswered> {
        Ok(SectorQuery {
            of: given(&self.state).map_or(Ok(SectorsOf(SectorFilter::All)), SectorsOf::parse)?,
            phase: given(&self.phase).map(phase).transpose()?,
            size: given(&self.size).map(size).transpose()?,
            order: given(&self.order).map(order).transpose()?,
            after: after(&self.after, "12")?,
            limit: limit(given(&self.limit))?,
        })
    }
}

/// The parameters of a list of tasks: the fleet's columns.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct TaskParams {
    pub task_type: Option<String>,
    pub result_status: Option<String>,
    pub is_taken: Option<String>,
    pub is_finished: Option<String>,
    pub sector: Option<String>,
    /// `cursor` says the same.
    #[serde(alias = "cursor")]
    pub after: Option<String>,
    pub limit: Option<String>,
    /// `csv` or `json` instead of the page.
    pub format: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TaskQuery {
    pub filter: TaskFilter,
    pub after: Option<TaskCursor>,
    pub limit: usize,
}

impl TaskParams {
    pub fn parse(&self) -> Result<TaskQuery, Unanswered> {
        let filter = TaskFilter {
            phase: given(&self.task_type).map(phase).transpose()?,
            result_status: given(&self.result_status).map(result_status).transpose()?,
            is_taken: given(&self.is_taken).map(|text| flag(text, "is_taken")).transpose()?,
            is_finished: given(&self.is_finished)
                .map(|text| flag(text, "is_finished"))
                .transpose()?,
            sector: given(&self.sector).map(|text| number(text, "sector")).transpose()?,
        };
        Ok(TaskQuery {
            filter,
            after: after(&self.after, "12-P4")?,
            limit: limit(given(&self.limit))?,
        })
    }
}

/// A form sends an empty text for what was left empty.
pub fn given(text: &Option<String>) -> Option<&str> {
    text.as_deref().map(str::trim).filter(|text| !text.is_empty())
}

/// What was sent, for a message: never more than a line of it.
pub fn shortened(text: &str) -> String {
    let head: String = text.chars().take(40).collect();
    if head.len() < text.len() { format!("{head}…") } else { head }
}

pub fn number(text: &str, name: &str) -> Result<SectorNumber, Unanswered> {
    text.parse().map_err(|_| {
        Unanswered::invalid(
            format!("{name}: `{}` is no sector number", shortened(text)),
            "give a whole number, as in 12",
        )
    })
}

pub fn phase(text: &str) -> Result<Phase, Unanswered> {
    text.parse().map_err(|_| {
        Unanswered::invalid(
            format!("`{}` is no phase", shortened(text)),
            "use P1 to P6, a name as in PreCommitPhase1, or a task type (1, 2, 4, 8, 16, 32)",
        )
    })
}

/// How far back charts reach.
pub fn range(name: Option<&str>) -> Result<Range, Unanswered> {
    let Some(name) = name else { return Ok(Range::default()) };
    Range::of(name).ok_or_else(|| {
        let known = Range::ALL.map(Range::name).join(", ");
        let what = format!("range: `{}` is none that there is", shortened(name));
        Unanswered::invalid(what, format!("use one of {known}"))
    })
}

fn size(text: &str) -> Result<SectorSize, Unanswered> {
    text.parse().map_err(|_| {
        let known = SectorSize::ALL.map(SectorSize::name).join(", ");
        Unanswered::invalid(
            format!("`{}` is no sector size", shortened(text)),
            format!("use one of {known}"),
        )
    })
}

fn order(text: &str) -> Result<OrderId, Unanswered> {
    text.parse().map(OrderId).map_err(|_| {
        let what = format!("order: `{}` is no order's number", shortened(text));
        Unanswered::invalid(what, "give a whole number, as in 3")
    })
}

fn result_status(text: &str) -> Result<ResultStatus, Unanswered> {
    let code = text.parse::<u8>().ok();
    code.and_then(|code| ResultStatus::try_from(code).ok()).ok_or_else(|| {
        Unanswered::invalid(
            format!("`{}` is no result_status", shortened(text)),
            "use 0 (succeeded), 1 (not over yet) or 2 (failed)",
        )
    })
}

fn flag(text: &str, name: &str) -> Result<bool, Unanswered> {
    match text {
        "0" | "false" => Ok(false),
        "1" | "true" => Ok(true),
        _ => Err(Unanswered::invalid(
            format!("{name}: `{}` is neither 0 nor 1", shortened(text)),
            "use 0 or 1",
        )),
    }
}

pub fn limit(text: Option<&str>) -> Result<usize, Unanswered> {
    let Some(text) = text else { return Ok(ROWS) };
    text.parse().ok().filter(|limit| (1..=MOST_ROWS).contains(limit)).ok_or_else(|| {
        Unanswered::invalid(
            format!("limit: `{}` is not from 1 to {MOST_ROWS}", shortened(text)),
            "ask for fewer and follow `next`",
        )
    })
}

/// Where a list goes on; `example` is such a place.
fn after<C: FromStr>(sent: &Option<String>, example: &str) -> Result<Option<C>, Unanswered> {
    place(given(sent), example, |text| text.parse().ok())
}

/// The same, with what reads it.
pub fn place<C>(
    sent: Option<&str>,
    example: &str,
    read: impl Fn(&str) -> Option<C>,
) -> Result<Option<C>, Unanswered> {
    let Some(text) = sent else { return Ok(None) };
    read(text).map(Some).ok_or_else(|| {
        Unanswered::invalid(
            format!("after: `{}` is no place in the list", shortened(text)),
            format!("use what `next` said, as in {example}"),
        )
    })
}

/// Which piece of a list, as an address says it.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct Paging {
    after: Option<String>,
    limit: Option<String>,
}

impl Paging {
    /// Where it goes on; `example` is such a place.
    pub fn after<C>(
        &self,
        example: &str,
        read: impl Fn(&str) -> Option<C>,
    ) -> Result<Option<C>, Unanswered> {
        place(given(&self.after), example, read)
    }

    pub fn limit(&self) -> Result<usize, Unanswered> {
        limit(given(&self.limit))
    }
}

/// A piece of what lies in memory; `place` is where an item stands in the list.
pub fn piece<T, C>(
    mut items: impl Iterator<Item = T>,
    limit: usize,
    place: impl Fn(&T) -> C,
) -> Page<T, C> {
    let piece: Vec<T> = items.by_ref().take(limit).collect();
    let more = items.next().is_some();
    let next = piece.last().filter(|_| more).map(place);
    Page { items: piece, next }
}

/// Which way a list goes, as an address says it.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct Way {
    direction: Option<String>,
}

impl Way {
    /// The oldest first, unless it says otherwise.
    pub fn direction(&self) -> Result<Direction, Unanswered> {
        match given(&self.direction) {
            None | Some("oldest") => Ok(Direction::OldestFirst),
            Some("newest") => Ok(Direction::NewestFirst),
            Some(other) => Err(Unanswered::invalid(
                format!("direction: `{}` is none", shortened(other)),
                "use oldest or newest",
            )),
        }
    }
}

/// The sector of an address. Text that is no number names no sector.
pub fn sector(state: &WebState, text: &str) -> Result<Sector, Unanswered> {
    let number: SectorNumber = text.parse().map_err(|_| Unanswered::no_sector(&shortened(text)))?;
    state.reader.sector(number)?.ok_or_else(|| Unanswered::no_sector(text))
}

/// A sector's history, oldest first, behind an entry.
pub fn history(
    state: &WebState,
    number: SectorNumber,
    after: Option<Seq>,
    limit: usize,
) -> Result<Page<Entry, Seq>, Unanswered> {
    // One more, to see whether there are more.
    let entries = state.reader.history(number, after, limit + 1)?;
    Ok(piece(entries.into_iter(), limit, |entry| entry.seq))
}

/// What happened to the box as a whole, newest first, behind an entry.
pub fn box_history(
    state: &WebState,
    after: Option<Seq>,
    limit: usize,
) -> Result<Page<Entry, Seq>, Unanswered> {
    let entries = state.reader.box_history(after, limit + 1)?;
    Ok(piece(entries.into_iter(), limit, |entry| entry.seq))
}

pub fn sectors(
    state: &WebState,
    query: &SectorQuery,
    direction: Direction,
) -> Result<Page<Sector, SectorNumber>, Unanswered> {
    let wanted = |sector: &Sector| query.wants(sector);
    Ok(state.reader.sectors_like(query.list(), wanted, query.after, query.limit, direction)?)
}

pub fn tasks(
    state: &WebState,
    query: &TaskQuery,
    direction: Direction,
) -> Result<Page<TaskLine, TaskCursor>, Unanswered> {
    Ok(state.reader.tasks(&query.filter, query.after, query.limit, direction)?)
}
