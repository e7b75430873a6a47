//! The sectors in flight, by what they wait for.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use serde::Serialize;

use crate::domain::failure::Class;
use crate::domain::ids::SectorNumber;
use crate::domain::layout::Scratch;
use crate::domain::phase::{PerPhase, Phase};
#[cfg(test)]
use crate::domain::planted::{Bug, planted};
use crate::domain::porep::SealKind;
use crate::domain::sector::{Copying, Sector, Snark, Stage, Work};
use crate::domain::units::{SectorSize, Timestamp};

/// The sectors in flight, indexed by what they wait for. Kept in step with every event, so that a
/// decision costs what it starts and not what there is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Queue {
    pub(super) ready: PerPhase<BTreeSet<SectorNumber>>,
    /// Tasks of each phase that wait, by since when, whatever they wait for; none of a sector
    /// that is being given up.
    waiting: PerPhase<BTreeSet<(Timestamp, SectorNumber)>>,
    /// Failed attempts that are tried again, by when.
    pub(super) later: BTreeSet<(Timestamp, Phase, SectorNumber)>,
    /// Sectors in flight: their scratch is reserved for them.
    pub(super) making: BTreeMap<SectorNumber, Making>,
    /// Sectors that met a full scratch, and try again when it has room.
    pub(super) cramped: BTreeSet<SectorNumber>,
    /// Those whose copy met a full storage, likewise.
    pub(super) unstored: BTreeSet<SectorNumber>,
    pub(super) outstanding: BTreeMap<SectorSize, u64>,
    /// Those whose copy is not in storage yet.
    pub(super) uncopied: BTreeMap<SectorSize, u64>,
    pub(super) counts: Counts,
}

/// A sector in flight, as far as room is concerned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Making {
    pub(super) kind: SealKind,
    /// P2 is behind it: it will not hold more again than what is left then.
    pub(super) replicated: bool,
    /// The root that it names.
    pub scratch: Option<Scratch>,
}

impl Making {
    pub fn of(sector: &Sector) -> Self {
        let scratch = sector.scratch.clone();
        Self { kind: sector.kind(), replicated: sector.is_replicated(), scratch }
    }

    /// The same sector before its P2, or with it to be done again.
    pub(super) fn before_p2(&self) -> Self {
        Self { replicated: false, ..self.clone() }
    }
}

/// How many tasks of a phase stand where.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct PhaseCounts {
    pub queued: u64,
    pub running: u64,
    pub failed: u64,
}

/// Sectors in flight by what they are at.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    pub phases: PerPhase<PhaseCounts>,
    pub drawing_ticket: u64,
    /// Pre-commit being sent, or the seed awaited.
    pub awaiting_seed: u64,
    /// Proof made, commit being sent.
    pub committing: u64,
    pub in_flight: u64,
    pub needs_you: u64,
}

impl Queue {
    /// Takes note that a sector changed. `before` is none when it was issued.
    pub fn update(&mut self, before: Option<&Sector>, after: &Sector) {
        if let Some(before) = before {
            self.shift(before, false);
        }
        self.shift(after, true);
    }

    pub fn counts(&self) -> &Counts {
        &self.counts
    }

    /// Sectors of this size that hold a place: issued, and neither finished nor given up. A failed
    /// one holds its place too.
    pub fn outstanding(&self, size: SectorSize) -> u64 {
        self.outstanding.get(&size).copied().unwrap_or(0)
    }

    /// Since when the task of this phase waits that waits longest.
    pub fn oldest(&self, phase: Phase) -> Option<Timestamp> {
        self.waiting[phase].first().map(|(since, _)| *since)
    }

    /// Whether its copy found no room. It is not tried in vain again: it waits until room is seen.
    /// (A first attempt is made in any case: an unfinished copy of before may be what takes the room.)
    pub(super) fn met_full_storage(&self, number: SectorNumber) -> bool {
        #[cfg(test)]
        if planted(Bug::CopiesInVain) {
            return false;
        }
        self.unstored.contains(&number)
    }

    /// Sectors that scratch is reserved for.
    pub fn making(&self) -> impl Iterator<Item = (SectorNumber, &Making)> + '_ {
        self.making.iter().map(|(number, sector)| (*number, sector))
    }

    /// When the next back-off ends. One that is over by now waits for a worker, whose end wakes.
    pub fn next_wake(&self, now: Timestamp) -> Option<Timestamp> {
        #[cfg(test)]
        let now = if planted(Bug::WakesForThePast) { Timestamp(0) } else { now };
        let after_now =
            (Bound::Excluded((now, Phase::P6, SectorNumber(u64::MAX))), Bound::Unbounded);
        self.later.range(after_now).next().map(|(at, _, _)| *at)
    }

    fn shift(&mut self, sector: &Sector, add: bool) {
        let number = sector.id.number;
        if sector.stage.is_over() {
            // A finished one with a fault needs a person too, but it holds no place.
            if sector.fault().is_some() {
                step(&mut self.counts.needs_you, add);
            }
            return;
        }
        step(self.outstanding.entry(sector.size).or_default(), add);
        #[cfg(test)]
        if planted(Bug::FailedHoldsNoPlace) && sector.failures().next().is_some() {
            step(self.outstanding.entry(sector.size).or_default(), !add);
        }
        // None outstanding is no entry, so that equal queues compare as equal.
        self.outstanding.retain(|_, held| *held > 0);
        if owes_a_copy(&sector.stage) {
            step(self.uncopied.entry(sector.size).or_default(), add);
            self.uncopied.retain(|_, owed| *owed > 0);
        }
        step(&mut self.counts.in_flight, add);
        if sector.failures().next().is_some() {
            step(&mut self.counts.needs_you, add);
        }
        // P2 is the last phase that adds to the scratch, and P6 only takes away. But the disk was
        // looked at before that, perhaps: the reservation ends when nothing of the sector is left.
        if add {
            self.making.insert(number, Making::of(sector));
        } else {
            self.making.remove(&number);
        }
        for phase in waits_for_space(sector) {
            match phase {
                Phase::P5 => put(&mut self.unstored, number, add),
                Phase::P1 | Phase::P2 | Phase::P3 | Phase::P4 | Phase::P6 => {
                    put(&mut self.cramped, number, add);
                }
            }
        }
        match &sector.stage {
            Stage::Ticket => step(&mut self.counts.drawing_ticket, add),
            Stage::PreCommitting { .. } | Stage::WaitSeed { .. } => {
                step(&mut self.counts.awaiting_seed, add);
            }
            Stage::Proving { snark: Snark::Committing { .. }, .. } => {
                step(&mut self.counts.committing, add);
            }
            Stage::P1 { .. }
            | Stage::P2 { .. }
            | Stage::P3 { .. }
            | Stage::Proving { .. }
            | Stage::P6 { .. }
            | Stage::Finished { .. }
            | Stage::GivenUp { .. } => {}
        }
        // While it is being given up nothing of it starts.
        let startable = sector.giving_up.is_none();
        for (phase, work) in sector.stage.works() {
            let counts = &mut self.counts.phases[phase];
            match work {
                Work::Ready { not_before, .. } => {
                    step(&mut counts.queued, add);
                    if startable {
                        let record = &sector.tasks[phase];
                        let since = record.updated.or(record.created).unwrap_or(sector.created);
                        put(&mut self.waiting[phase], (since, number), add);
                    }
                    match not_before {
                        _ if !startable => {}
                        None => put(&mut self.ready[phase], number, add),
                        Some(at) => put(&mut self.later, (*at, phase, number), add),
                    }
                }
                #[cfg(test)]
                Work::Running { .. } if planted(Bug::DoubleStart) => {
                    put(&mut self.ready[phase], number, add);
                }
                Work::Running { .. } => step(&mut counts.running, add),
                Work::Failed { .. } => step(&mut counts.failed, add),
            }
        }
    }
}

fn step(count: &mut u64, add: bool) {
    *count = if add { *count + 1 } else { count.saturating_sub(1) };
}

fn put<T: Ord>(set: &mut BTreeSet<T>, item: T, add: bool) {
    if add {
        set.insert(item);
    } else {
        set.remove(&item);
    }
}

/// Whether a copy is still to be made of it, as far as anybody knows.
fn owes_a_copy(stage: &Stage) -> bool {
    match stage {
        Stage::Ticket
        | Stage::P1 { .. }
        | Stage::P2 { .. }
        | Stage::PreCommitting { .. }
        | Stage::WaitSeed { .. }
        | Stage::P3 { .. }
        | Stage::Proving { copying: Copying::P5 { .. }, .. } => true,
        Stage::Proving { copying: Copying::Copied { .. }, .. }
        | Stage::P6 { .. }
        | Stage::Finished { .. }
        | Stage::GivenUp { .. } => false,
    }
}

/// The phases whose last attempt met a full disk, and that are to try again.
fn waits_for_space(sector: &Sector) -> impl Iterator<Item = Phase> + '_ {
    let waits = |(phase, work): (Phase, &Work)| match work {
        Work::Ready { tries, .. } => {
            let last = sector.tasks[phase].last_failure.as_ref();
            let full = *tries > 0 && last.is_some_and(|failure| failure.class == Class::Space);
            full.then_some(phase)
        }
        Work::Running { .. } | Work::Failed { .. } => None,
    };
    sector.stage.works().filter(|_| sector.giving_up.is_none()).filter_map(waits)
}
