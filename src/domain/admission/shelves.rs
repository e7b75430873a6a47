//! The storage, as it was last looked at, and what is left of it for copies.

use super::fit::{Bounds, Wait};
use super::{Capacity, Queue};
use crate::domain::phase::Phase;
#[cfg(test)]
use crate::domain::planted::{Bug, planted};
use crate::domain::units::{ByteSize, SectorSize, Timestamp};

/// The storage, as last looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stores {
    /// When the oldest of the looks began.
    pub looked: Timestamp,
    /// What may be written to each disk that can be used.
    pub free: Vec<ByteSize>,
}

/// What each storage has left while it is decided what is copied, and what is begun.
pub(super) struct Shelves<'a> {
    bounds: &'a Bounds,
    /// None: not looked at yet.
    left: Option<Vec<u64>>,
}

impl<'a> Shelves<'a> {
    /// As they were seen, less the copies that were made since.
    fn seen(capacity: &'a Capacity) -> Self {
        let free = capacity.stores.as_ref().map(|stores| stores.free.iter().map(|free| free.0));
        let mut shelves = Self { bounds: &capacity.bounds, left: free.map(Iterator::collect) };
        capacity.unseen.iter().for_each(|size| shelves.put(*size));
        shelves
    }

    /// Beside the copies that are being made. What of those is on the disk by now is counted
    /// twice: too little room is seen, and never too much.
    pub fn beside_running(capacity: &'a Capacity) -> Self {
        let mut shelves = Self::seen(capacity);
        let running = capacity.bounds.running.iter();
        for (_, kind, _) in running.filter(|(_, _, phase)| *phase == Phase::P5) {
            shelves.put(kind.size);
        }
        shelves
    }

    /// Once every copy that is owed lies there.
    pub fn beside_owed(capacity: &'a Capacity, queue: &Queue) -> Self {
        let mut shelves = Self::seen(capacity);
        let uncopied = queue.uncopied.iter().rev();
        #[cfg(test)]
        let uncopied = uncopied.filter(|_| !planted(Bug::OwesNoCopies));
        for (size, copies) in uncopied {
            (0..*copies).for_each(|_| shelves.put(*size));
        }
        shelves
    }

    /// Puts a copy where P5 would: where there is most room.
    pub fn put(&mut self, size: SectorSize) {
        let most = self.left.iter_mut().flatten().max();
        if let Some(most) = most {
            *most = most.saturating_sub(self.bounds.needs.stored(size).0);
        }
    }

    /// Why none of the disks that were seen has room for one more copy. None, too, if there are
    /// none: then only trying tells what is wrong with them.
    pub fn full(&self, size: SectorSize) -> Option<Wait> {
        let most = self.left.as_ref()?.iter().max()?;
        let need = self.bounds.needs.stored(size);
        (need.0 > *most).then_some(Wait::Storage { need, free: ByteSize(*most) })
    }

    /// Why one more copy has no room anywhere, as far as is known.
    pub fn lack(&self, size: SectorSize) -> Option<Wait> {
        let is_seen = self.left.as_ref().is_some_and(|left| !left.is_empty());
        if is_seen { self.full(size) } else { Some(Wait::NoStorage) }
    }
}
