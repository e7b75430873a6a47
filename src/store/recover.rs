//! Opening: from whatever the last run left to a journal that can be written and a state that is
//! where the journal is.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::error::{Place, StoreError};
use super::ground::Ground;
use super::journal::Journal;
use super::lists::List;
use super::opening::Opening;
use super::scan::{self, End, Segment};
use super::state::{Direction, State};
use super::tables::Meta;
use crate::domain::event::{Entry, Happened};
use crate::domain::ids::SectorNumber;
use crate::domain::order::BoxState;
use crate::domain::pipeline::{self, Stamp};
use crate::domain::sector::Sector;
use crate::domain::units::Seq;

/// How many entries are put into the state at once while it catches up.
const CHUNK: usize = 5000;

/// A state that is where the journal is.
pub struct Found {
    pub state: State,
    pub meta: Meta,
    pub end: End,
    pub active: Vec<Sector>,
    pub damaged: Vec<Sector>,
}

/// The journal's files; a new journal if neither it nor a state is there.
pub fn segments(ground: &Ground) -> Result<Vec<Segment>, StoreError> {
    let segments = scan::segments(&ground.journal)?;
    if !segments.is_empty() {
        return Ok(segments);
    }
    // The journal is begun before the state: a state without a journal has lost it.
    if ground.state.exists() {
        return Err(StoreError::Gap { expected: Seq(1), found: None, dir: ground.journal.clone() });
    }
    Ok(vec![Journal::begin(&ground.journal)?])
}

/// Opens the state and brings it to the end of the journal. One that is not fit for it is set
/// aside and made again; `report` then says so.
pub fn bring_up(
    ground: &Ground,
    segments: &[Segment],
    opening: &Opening,
    report: &mut Vec<String>,
) -> Result<Found, StoreError> {
    if ground.state.exists()
        && let Some(why) = ground.distrust()
    {
        report.push(ground.set_aside(&why)?);
    }
    ground.mark_open()?;
    match attempt(ground, segments, opening) {
        Err(StoreError::State { why, .. }) if ground.state.exists() => {
            report.push(ground.set_aside(&why)?);
            attempt(ground, segments, opening)
        }
        other => other,
    }
}

/// Damage may show as a panic of sled's at any read, not only at the open.
fn attempt(ground: &Ground, segments: &[Segment], opening: &Opening) -> Result<Found, StoreError> {
    let attempt = || open_and_catch_up(ground, segments, opening);
    catch_unwind(AssertUnwindSafe(attempt)).unwrap_or_else(|_| {
        let why = "sled panicked while it was read".to_owned();
        Err(StoreError::State { path: ground.state.clone(), why })
    })
}

fn open_and_catch_up(
    ground: &Ground,
    segments: &[Segment],
    opening: &Opening,
) -> Result<Found, StoreError> {
    let state = State::open(&ground.state)?;
    let mut meta = state.meta()?;
    let known = meta.last;
    opening.begin(known, scan::last_entry(segments).unwrap_or(known));
    let mut fold = Fold::new(&state, &mut meta);
    let end = scan::scan(segments, known, known, &mut |at, entries| {
        fold.line(at, entries)?;
        opening.at(fold.box_state.seq);
        Ok(())
    })?;
    fold.finish()?;
    if meta.last > end.last {
        let why = format!(
            "it is ahead of the journal: it had {} entries, the journal has {}, so the journal \
             has lost what was acknowledged",
            meta.last.0, end.last.0
        );
        return Err(StoreError::State { path: ground.state.clone(), why });
    }
    let active = listed(&state, List::Active)?;
    let mut damaged = listed(&state, List::Attention)?;
    damaged.retain(|sector| sector.fault().is_some());
    Ok(Found { state, meta, end, active, damaged })
}

fn listed(state: &State, list: List) -> Result<Vec<Sector>, StoreError> {
    let mut sectors = Vec::new();
    for number in state.numbers(list, None, Direction::OldestFirst) {
        let number = number?;
        let sector = state.sector(number)?.ok_or_else(|| StoreError::State {
            path: state.path().to_path_buf(),
            why: format!("sector {number} is listed and not there"),
        })?;
        sectors.push(sector);
    }
    Ok(sectors)
}

/// Folds journal lines into the state, a chunk of entries at a time.
struct Fold<'a> {
    state: &'a State,
    meta: &'a mut Meta,
    entries: Vec<Entry>,
    sectors: BTreeMap<SectorNumber, Sector>,
    box_state: BoxState,
}

impl<'a> Fold<'a> {
    fn new(state: &'a State, meta: &'a mut Meta) -> Self {
        let box_state = meta.box_state.clone();
        Self { state, meta, entries: Vec::new(), sectors: BTreeMap::new(), box_state }
    }

    fn line(&mut self, at: &Place, entries: Vec<Entry>) -> Result<(), StoreError> {
        for entry in entries {
            // A line may hold several commits, but the state took it as a whole or not at all.
            if entry.seq > self.box_state.seq {
                self.entry(at, entry)?;
            }
        }
        if self.entries.len() >= CHUNK { self.put() } else { Ok(()) }
    }

    fn entry(&mut self, at: &Place, entry: Entry) -> Result<(), StoreError> {
        let does_not = |why: String| StoreError::DoesNotFollow { at: at.clone(), why };
        self.box_state = self.box_state.apply(&entry).map_err(|e| does_not(e.to_string()))?;
        if let Happened::Sector { number, event } = &entry.happened {
            let before = match self.sectors.remove(number) {
                Some(sector) => Some(sector),
                None => self.state.sector(*number)?,
            };
            let stamp = Stamp { seq: entry.seq, at: entry.at };
            let (after, _effects) = pipeline::fold(before.as_ref(), *number, stamp, event)
                .map_err(|e| does_not(e.to_string()))?;
            self.sectors.insert(*number, after);
        }
        self.entries.push(entry);
        Ok(())
    }

    fn put(&mut self) -> Result<(), StoreError> {
        let sectors = self.sectors.iter().map(|(number, sector)| (*number, sector)).collect();
        self.state.advance(self.meta, self.entries.iter(), &sectors, &self.box_state)?;
        self.entries.clear();
        self.sectors.clear();
        Ok(())
    }

    fn finish(mut self) -> Result<(), StoreError> {
        if self.entries.is_empty() { Ok(()) } else { self.put() }
    }
}
