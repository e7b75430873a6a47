//! What may start now: the throttle, the worker groups, the machine, the scratch and the back-off
//! are decided here and nowhere else.

mod fit;
mod intake;
mod queue;
mod rooms;
mod shelves;
mod sites;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::ids::{OrderId, SectorNumber};
use super::layout::Scratch;
use super::order::Orders;
use super::phase::Phase;
use super::porep::Porep;
use super::units::{SectorSize, Timestamp};
use fit::Left;
use shelves::Shelves;

pub use fit::{Bounds, Wait};
pub use queue::{Counts, Making, PhaseCounts, Queue};
pub use rooms::{Room, Rooms};
pub use shelves::Stores;

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
