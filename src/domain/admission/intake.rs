//! Which sectors are begun: those of orders, in the orders' sequence, and then those that are ordered
//! by themselves while a storage has room for them.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::sites::Sites;
use super::{Admitted, Capacity, Queue, Start, Wait};
use crate::domain::ids::SectorNumber;
use crate::domain::layout::Scratch;
use crate::domain::order::Orders;
use crate::domain::phase::Phase;
#[cfg(test)]
use crate::domain::planted::{Bug, planted};
use crate::domain::porep::SealKind;
use crate::domain::units::{ByteSize, SectorSize, Timestamp};

/// The storage, as last looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stores {
    /// When the oldest of the looks began.
    pub looked: Timestamp,
    /// What may be written to each disk that can be used.
    pub free: Vec<ByteSize>,
}

/// Sectors are ordered by themselves until no storage could take another copy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UntilFull {
    pub size: SectorSize,
    /// None: not looked at yet.
    pub stores: Option<Arc<Stores>>,
    /// Copies that were made since.
    pub unseen: Vec<SectorSize>,
}

/// Unfinished at or over the limit: nothing new is issued. Never more than P1's workers can take
/// up, so that a ticket is fresh when it is used; never one that no scratch has room for; and
/// none while another met a full disk, whichever disk that is.
pub(super) fn intake(queue: &Queue, orders: &Orders, capacity: &Capacity, admitted: &mut Admitted) {
    let shelves = capacity.until_full.as_ref().map(|until| Shelves::of(until, queue, capacity));
    admitted.full = capacity
        .until_full
        .as_ref()
        .zip(shelves.as_ref())
        .and_then(|(until, shelves)| shelves.lack(until.size, capacity));
    if let Some(sector) = queue.cramped.iter().find(|number| !is_away(**number, queue, capacity)) {
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
    let Some((until, mut shelves)) = capacity.until_full.as_ref().zip(shelves) else { return };
    // What was ordered comes first: it is owed a copy too, from now on.
    for start in &admitted.starts {
        match start {
            Start::Issue { size, .. } | Start::Pledge { size, .. } => shelves.put(*size, capacity),
            Start::Task { .. } => {}
        }
    }
    while shelves.lack(until.size, capacity).is_none() {
        let scratch = match gate.pass(until.size) {
            Ok(scratch) => scratch,
            Err(wait) => {
                admitted.intake = admitted.intake.take().or(wait);
                return;
            }
        };
        shelves.put(until.size, capacity);
        admitted.starts.push(Start::Pledge { size: until.size, scratch });
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
            sites: Sites::beside(&capacity.bounds, queue.making()),
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

/// What each storage has left once every copy that is owed lies there. None: not looked at yet.
struct Shelves(Option<Vec<u64>>);

impl Shelves {
    fn of(until: &UntilFull, queue: &Queue, capacity: &Capacity) -> Self {
        let free = until.stores.as_ref().map(|stores| stores.free.iter().map(|free| free.0));
        let mut shelves = Self(free.map(Iterator::collect));
        let uncopied = queue.uncopied.iter().rev();
        #[cfg(test)]
        let uncopied = uncopied.filter(|_| !planted(Bug::OwesNoCopies));
        for (size, copies) in uncopied {
            (0..*copies).for_each(|_| shelves.put(*size, capacity));
        }
        until.unseen.iter().for_each(|size| shelves.put(*size, capacity));
        shelves
    }

    /// Puts a copy where P5 would: where there is most room.
    fn put(&mut self, size: SectorSize, capacity: &Capacity) {
        let most = self.0.iter_mut().flatten().max();
        if let Some(most) = most {
            *most = most.saturating_sub(capacity.bounds.needs.stored(size).0);
        }
    }

    /// Why one more copy has no room anywhere.
    fn lack(&self, size: SectorSize, capacity: &Capacity) -> Option<Wait> {
        let Some(left) = &self.0 else { return Some(Wait::NoStorage) };
        let Some(most) = left.iter().max() else { return Some(Wait::NoStorage) };
        let need = capacity.bounds.needs.stored(size);
        (need.0 > *most).then_some(Wait::Storage { need, free: ByteSize(*most) })
    }
}
