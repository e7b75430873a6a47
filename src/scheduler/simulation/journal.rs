//! The simulated journal: what is in it stays through every crash, and nothing else does.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::domain::event::{Entry, Happened};
use crate::domain::ids::SectorNumber;
use crate::domain::order::BoxState;
use crate::domain::pipeline::{self, Stamp};
use crate::domain::sector::{Sector, Stage};
use crate::scheduler::core::{Decided, Past};

use super::violation::{Violation, broken, ensure};

#[derive(Debug, Default)]
pub struct Journal {
    entries: Vec<Entry>,
    /// The snapshots as they were handed over with the entries: what sled would hold.
    snapshots: BTreeMap<SectorNumber, Arc<Sector>>,
    box_state: BoxState,
}

impl Journal {
    /// Makes a batch durable: all of it or, in a crash before this, nothing of it.
    ///
    /// I6: the snapshots that came with the entries are what the entries make of the snapshots
    /// before them.
    pub fn commit(&mut self, decided: &Decided) -> Result<(), Violation> {
        let mut replayed = Replayed {
            sectors: self.snapshots.clone(),
            box_state: std::mem::take(&mut self.box_state),
        };
        for entry in &decided.entries {
            replayed.take(entry)?;
        }
        for sector in &decided.sectors {
            self.snapshots.insert(sector.id.number, sector.clone());
        }
        ensure(replayed.sectors == self.snapshots, "I6", || {
            "the history and the snapshots handed over with it disagree".to_owned()
        })?;
        ensure(replayed.box_state == decided.box_state, "I6", || {
            "the history and the box's state disagree".to_owned()
        })?;
        self.box_state = replayed.box_state;
        self.entries.extend(decided.entries.iter().cloned());
        Ok(())
    }

    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    pub fn snapshots(&self) -> &BTreeMap<SectorNumber, Arc<Sector>> {
        &self.snapshots
    }

    pub fn box_state(&self) -> &BoxState {
        &self.box_state
    }

    /// What a start finds: the history from its first line, replayed.
    pub fn replay(&self) -> Result<Past, Violation> {
        let mut replayed = Replayed::default();
        for entry in &self.entries {
            replayed.take(entry)?;
        }
        ensure(replayed.sectors == self.snapshots, "I6", || {
            "the whole history does not give the snapshots".to_owned()
        })?;
        ensure(replayed.box_state == self.box_state, "I6", || {
            "the whole history does not give the box's state".to_owned()
        })?;
        let mut past = Past { box_state: replayed.box_state, ..Past::default() };
        for sector in replayed.sectors.into_values() {
            match &sector.stage {
                Stage::Finished { fault, .. } => {
                    past.finished += 1;
                    if fault.is_some() {
                        past.damaged.push((*sector).clone());
                    }
                }
                Stage::GivenUp { .. } => past.given_up += 1,
                Stage::Ticket
                | Stage::P1 { .. }
                | Stage::P2 { .. }
                | Stage::PreCommitting { .. }
                | Stage::WaitSeed { .. }
                | Stage::P3 { .. }
                | Stage::Proving { .. }
                | Stage::P6 { .. } => past.active.push((*sector).clone()),
            }
        }
        Ok(past)
    }
}

/// The history as far as it was read.
#[derive(Debug, Default)]
struct Replayed {
    sectors: BTreeMap<SectorNumber, Arc<Sector>>,
    box_state: BoxState,
}

impl Replayed {
    fn take(&mut self, entry: &Entry) -> Result<(), Violation> {
        ensure(entry.seq.0 == self.box_state.seq.0 + 1, "I6", || {
            format!("entry {} follows {}", entry.seq.0, self.box_state.seq.0)
        })?;
        self.box_state =
            self.box_state.apply(entry).map_err(|illegal| broken("I6", illegal.to_string()))?;
        if let Happened::Sector { number, event } = &entry.happened {
            let before = self.sectors.get(number).map(|sector| &**sector);
            let stamp = Stamp { seq: entry.seq, at: entry.at };
            let (after, _effects) = pipeline::fold(before, *number, stamp, event)
                .map_err(|illegal| broken("I6", illegal.to_string()))?;
            self.sectors.insert(*number, Arc::new(after));
        }
        Ok(())
    }
}
