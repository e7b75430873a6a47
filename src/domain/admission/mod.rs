//! What may start now: the throttle, the worker groups, the machine, the scratch and the back-off
//! are decided here and nowhere else.

mod fit;
mod intake;
mod rooms;
mod shelves;
mod sites;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::Arc;

use serde::Serialize;

use super::failure::Class;
use super::ids::{OrderId, SectorNumber};
use super::layout::Scratch;
use super::order::Orders;
use super::phase::{PerPhase, Phase};
#[cfg(test)]
use super::planted::{Bug, planted};
use super::porep::{Porep, SealKind};
use super::sector::{Copying, Sector, Stage, Work};
use super::units::{SectorSize, Timestamp};
use fit::Left;
use shelves::Shelves;

pub use fit::{Bounds, Wait};
pub use rooms::{Room, Rooms};
pub use shelves::Stores;

/// The sectors in flight, indexed by what they wait for. Kept in step with every event, so that a
/// decision costs what it starts and not what there is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Queue {
    ready: PerPhase<BTreeSet<SectorNumber>>,
    /// Tasks of each phase that wait, by since when, whatever they wait for; none of a sector
    /// that is being given up.
    waiting: PerPhase<BTreeSet<(Timestamp, SectorNumber)>>,
    /// Failed attempts that are tried again, by when.
    later: BTreeSet<(Timestamp, Phase, SectorNumber)>,
    /// Sectors in flight: their scratch is reserved for them.
    making: BTreeMap<SectorNumber, Making>,
    /// Sectors that met a full scratch, and try again when it has room.
    cramped: BTreeSet<SectorNumber>,
    /// Those whose copy met a full storage, likewise.
    unstored: BTreeSet<SectorNumber>,
    outstanding: BTreeMap<SectorSize, u64>,
    /// Those whose copy is not in storage yet.
    uncopied: BTreeMap<SectorSize, u64>,
    counts: Counts,
}

/// A sector in flight, as far as room is concerned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Making {
    kind: SealKind,
    /// P2 is behind it: it will not hold more again than what is left then.
    replicated: bool,
    /// The root that it names.
    pub scratch: Option<Scratch>,
}

impl Making {
    pub fn of(sector: &Sector) -> Self {
        let scratch = sector.scratch.clone();
        Self { kind: sector.kind(), replicated: sector.is_replicated(), scratch }
    }

    /// The same sector before its P2, or with it to be done again.
    fn before_p2(&self) -> Self {
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
    fn met_full_storage(&self, number: SectorNumber) -> bool {
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
            Stage::Proving { snark: super::sector::Snark::Committing { .. }, .. } => {
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

/// Workers that support the same phases.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    pub phases: BTreeSet<Phase>,
    pub total: usize,
    pub free: usize,
}

/// What the box has to give now.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Capacity {
    pub groups: Vec<Group>,
    /// The throttle: how many sectors of a size may be outstanding. No entry: no limit.
    pub max_outstanding: BTreeMap<SectorSize, u64>,
    /// As that, for all sizes together.
    pub max_outstanding_in_all: Option<u64>,
    pub intake_open: bool,
    /// The storage, as last looked at; none: not yet.
    pub stores: Option<Arc<Stores>>,
    /// Copies that were made since.
    pub unseen: Vec<SectorSize>,
    /// What is ordered by itself, until no storage could take another copy; none: nothing.
    pub until_full: Option<SectorSize>,
    /// What a sector that is issued now would be.
    pub porep: Porep,
    pub bounds: Bounds,
    /// Phases that may not start now: what they need is still being made.
    pub held: BTreeSet<Phase>,
    /// Single tasks that may not start now: the mount that they need does not answer.
    pub held_tasks: BTreeSet<(Phase, SectorNumber)>,
}

impl Capacity {
    /// Workers that could take this phase.
    fn total_for(&self, phase: Phase) -> u64 {
        let workers: usize =
            self.groups.iter().filter(|g| g.phases.contains(&phase)).map(|g| g.total).sum();
        workers as u64
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Start {
    /// Issue the next sector of this order, in this root; none: in the only one there is.
    Issue { order: OrderId, size: SectorSize, scratch: Option<Scratch> },
    /// Order a sector of this size, and issue it, likewise.
    Pledge { size: SectorSize, scratch: Option<Scratch> },
    /// Start this task on a worker of this group.
    Task { sector: SectorNumber, phase: Phase, group: usize },
}

/// What finishes a sector and frees disk comes first; labelling, which takes disk, last.
const BY_URGENCY: [Phase; 6] = [Phase::P6, Phase::P5, Phase::P4, Phase::P3, Phase::P2, Phase::P1];

/// What was decided: what starts, in this order, and why other things do not.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Admitted {
    pub starts: Vec<Start>,
    /// Tasks that a free worker could take and that do not fit, at most [`WAITS`].
    pub waits: BTreeMap<(SectorNumber, Phase), Wait>,
    /// What an order waits for that the throttle and P1's workers would let go on.
    pub intake: Option<Wait>,
    /// What keeps a sector from being ordered by itself: no storage has room for its copy.
    pub full: Option<Wait>,
}

impl Admitted {
    fn waits_for(&mut self, sector: SectorNumber, phase: Phase, wait: Wait) {
        if self.waits.len() < WAITS {
            self.waits.insert((sector, phase), wait);
        }
    }
}

/// At most this many waiting tasks are told about.
pub const WAITS: usize = 100;

/// What may start now.
pub fn admit(queue: &Queue, orders: &Orders, capacity: &Capacity, now: Timestamp) -> Admitted {
    let mut admitted = Admitted::default();
    tasks(queue, capacity, now, &mut admitted);
    if capacity.intake_open {
        intake::intake(queue, orders, capacity, &mut admitted);
    }
    admitted
}

fn tasks(queue: &Queue, capacity: &Capacity, now: Timestamp, admitted: &mut Admitted) {
    let mut free: Vec<usize> = capacity.groups.iter().map(|group| group.free).collect();
    let mut left = Left::of(&capacity.bounds, queue);
    let mut shelves = Shelves::beside_running(capacity);
    for phase in BY_URGENCY.into_iter().filter(|phase| !capacity.held.contains(phase)) {
        let due = queue
            .later
            .iter()
            .take_while(|(at, _, _)| *at <= now)
            .filter(|(_, of, _)| *of == phase)
            .map(|(_, _, number)| number);
        // A set keeps the oldest sector first.
        let startable = |sector: &SectorNumber| !capacity.held_tasks.contains(&(phase, *sector));
        let ready = queue.ready[phase].iter().chain(due).filter(|sector| startable(sector));
        for &sector in ready {
            // What is ready is in flight.
            let Some(making) = queue.making.get(&sector) else { continue };
            let copies = phase == Phase::P5;
            let met_full = copies && queue.met_full_storage(sector);
            let full = || shelves.full(making.kind.size).filter(|_| met_full);
            if let Some(wait) = left.away(making).or_else(full) {
                admitted.waits_for(sector, phase, wait);
                continue;
            }
            let Some(group) = group_for(phase, capacity, &free) else { break };
            match left.take(sector, making, phase) {
                Ok(()) => {
                    if copies {
                        shelves.put(making.kind.size);
                    }
                    free[group] -= 1;
                    admitted.starts.push(Start::Task { sector, phase, group });
                }
                Err(wait) => admitted.waits_for(sector, phase, wait),
            }
        }
    }
}

/// The free group with the fewest other phases: who can do everything is kept for everything.
fn group_for(phase: Phase, capacity: &Capacity, free: &[usize]) -> Option<usize> {
    let able = |(index, group): &(usize, &Group)| free[*index] > 0 && group.phases.contains(&phase);
    let groups = capacity.groups.iter().enumerate();
    groups.filter(able).min_by_key(|(_, group)| group.phases.len()).map(|(index, _)| index)
}
