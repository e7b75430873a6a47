//! Which sectors are begun: those of orders, in the orders' sequence, and then those that are ordered
//! by themselves while a storage has room for them.

use std::collections::BTreeMap;

use super::shelves::Shelves;
use super::sites::Sites;
use super::{Admitted, Capacity, Queue, Start, Wait};
use crate::domain::ids::SectorNumber;
use crate::domain::layout::Scratch;
use crate::domain::order::Orders;
use crate::domain::phase::Phase;
#[cfg(test)]
use crate::domain::planted::{Bug, planted};
use crate::domain::porep::SealKind;
use crate::domain::units::SectorSize;

/// Unfinished at or over the limit: nothing new is issued. Never more than P1's workers can take
/// up, so that a ticket is fresh when it is used; never one that no scratch has room for; none in a
/// scratch where another met a full disk, and none at all while a copy waits for storage, which
/// they would wait for too.
pub(super) fn intake(queue: &Queue, orders: &Orders, capacity: &Capacity, admitted: &mut Admitted) {
    let shelves = capacity.until_full.map(|_| Shelves::beside_owed(capacity, queue));
    admitted.full =
        capacity.until_full.zip(shelves.as_ref()).and_then(|(size, shelves)| shelves.lack(size));
    if let Some(sector) = queue.unstored.iter().find(|number| !is_away(**number, queue, capacity)) {
        admitted.intake = Some(Wait::FullDisk { sector: *sector });
        return;
    }
    let mut gate = Gate::of(queue, capacity);
    let in_sequence = orders.iter();
    #[cfg(test)]
    let in_sequence = {
        let mut orders: Vec<_> = in_sequence.collect();
        if planted(Bug::IssuesByNumber) {
            orders.sort_by_key(|order| order.id);
        }
        orders
    };
    for order in in_sequence {
        for _ in 0..order.left() {
            match gate.pass(order.size) {
                Ok(scratch) => {
                    let (order, size) = (order.id, order.size);
                    admitted.starts.push(Start::Issue { order, size, scratch });
                }
                Err(wait) => {
                    admitted.intake = admitted.intake.take().or(wait);
                    break;
                }
            }
        }
    }
    let Some((size, mut shelves)) = capacity.until_full.zip(shelves) else { return };
    // What was ordered comes first: it is owed a copy too, from now on.
    for start in &admitted.starts {
        match start {
            Start::Issue { size, .. } | Start::Pledge { size, .. } => shelves.put(*size),
            Start::Task { .. } => {}
        }
    }
    while shelves.lack(size).is_none() {
        let scratch = match gate.pass(size) {
            Ok(scratch) => scratch,
            Err(wait) => {
                admitted.intake = admitted.intake.take().or(wait);
                return;
            }
        };
        shelves.put(size);
        admitted.starts.push(Start::Pledge { size, scratch });
    }
}

fn is_away(number: SectorNumber, queue: &Queue, capacity: &Capacity) -> bool {
    let sector = queue.making.get(&number);
    sector.is_some_and(|sector| capacity.bounds.is_away(sector))
}

/// How many P1s are queued for a root that is away.
fn queued_away(queue: &Queue, capacity: &Capacity) -> u64 {
    if !capacity.bounds.some_root_is_away() {
        return 0;
    }
    let later = queue.later.iter().filter(|(_, phase, _)| *phase == Phase::P1);
    let queued = queue.ready[Phase::P1].iter().chain(later.map(|(_, _, number)| number));
    queued.filter(|number| is_away(**number, queue, capacity)).count() as u64
}

/// Lets in what the throttle, P1's workers and the scratch have a place for.
struct Gate<'a> {
    capacity: &'a Capacity,
    outstanding: BTreeMap<SectorSize, u64>,
    in_all: u64,
    /// For P1.
    waiting: u64,
    take_up: u64,
    sites: Sites<'a>,
}

impl<'a> Gate<'a> {
    fn of(queue: &'a Queue, capacity: &'a Capacity) -> Self {
        let p1 = queue.counts.phases[Phase::P1];
        // A failed P1 counts: a scratch that is gone would otherwise fail the whole order, one by
        // one. What waits for a root that is away does not: the other roots go on.
        let waiting = queue.counts.drawing_ticket + p1.queued + p1.failed;
        let waiting = waiting.saturating_sub(queued_away(queue, capacity));
        Self {
            capacity,
            outstanding: queue.outstanding.clone(),
            in_all: queue.outstanding.values().sum(),
            waiting,
            take_up: capacity.total_for(Phase::P1),
            sites: Sites::beside(&capacity.bounds, queue),
        }
    }

    /// Takes a place for a sector of this size. If there is none: what it waits for beside the
    /// throttle and P1's workers.
    fn pass(&mut self, size: SectorSize) -> Result<Option<Scratch>, Option<Wait>> {
        let held = self.outstanding.entry(size).or_default();
        let limit = self.capacity.max_outstanding.get(&size).copied().unwrap_or(u64::MAX);
        #[cfg(test)]
        let limit = limit.saturating_add(u64::from(planted(Bug::ThrottleOffByOne)));
        let limit_in_all = self.capacity.max_outstanding_in_all.unwrap_or(u64::MAX);
        if *held >= limit || self.in_all >= limit_in_all || self.waiting >= self.take_up {
            return Err(None);
        }
        let kind = SealKind::new(size, self.capacity.porep);
        let scratch = self.sites.take(kind).map_err(Some)?;
        *held += 1;
        self.in_all += 1;
        self.waiting += 1;
        Ok(scratch)
    }
}
