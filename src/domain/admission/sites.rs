//! In which of the scratch roots the next sector is made.

use std::collections::{BTreeMap, BTreeSet};

use super::Queue;
use super::fit::{Bounds, Wait};
use super::rooms::{Room, Rooms};
use crate::domain::ids::SectorNumber;
use crate::domain::layout::Scratch;
#[cfg(test)]
use crate::domain::planted::{Bug, planted};
use crate::domain::porep::SealKind;
use crate::domain::units::ByteSize;

/// What no sector has reserved, root by root, while it is decided which sectors are begun.
pub struct Sites<'a> {
    bounds: &'a Bounds,
    /// None: not limited.
    rooms: Option<&'a Rooms>,
    unreserved: BTreeMap<&'a Scratch, u64>,
    /// Sectors that met a full scratch.
    cramped: &'a BTreeSet<SectorNumber>,
    /// The roots on those file systems, each with the first of them.
    full: BTreeMap<&'a Scratch, SectorNumber>,
}

impl<'a> Sites<'a> {
    /// With these sectors still being made.
    pub fn beside(bounds: &'a Bounds, queue: &'a Queue) -> Self {
        let rooms = bounds.scratch.as_deref();
        let roots = rooms.into_iter().flat_map(|rooms| &rooms.roots);
        let unreserved = roots.map(|(root, room)| (root, room.free.0)).collect();
        let (cramped, full) = (&queue.cramped, BTreeMap::new());
        let mut sites = Self { bounds, rooms, unreserved, cramped, full };
        for (number, sector) in queue.making() {
            let named = sector.scratch.as_ref();
            #[cfg(test)]
            let named = if planted(Bug::ReservesElsewhere) { None } else { named };
            let Some((root, _)) = rooms.and_then(|rooms| rooms.of(named)) else {
                continue;
            };
            let reserved = bounds.reserved(number, sector);
            #[cfg(test)]
            let reserved = if planted(Bug::ReservesNothing) { 0 } else { reserved };
            sites.deduct(root, reserved);
            if cramped.contains(&number) {
                sites.close(root, number);
            }
        }
        sites
    }

    /// Keeps new sectors off the file system that one has met full, whatever the look at it says.
    fn close(&mut self, root: &Scratch, met_by: SectorNumber) {
        for root in self.rooms.into_iter().flat_map(|rooms| rooms.sharing(root)) {
            self.full.entry(root).or_insert(met_by);
        }
    }

    fn deduct(&mut self, root: &Scratch, bytes: u64) {
        for root in self.rooms.into_iter().flat_map(|rooms| rooms.sharing(root)) {
            self.unreserved.entry(root).and_modify(|left| *left = left.saturating_sub(bytes));
        }
    }

    /// Reserves what one more sector of this kind takes. None: the roots are not limited, and any
    /// will do.
    pub fn take(&mut self, kind: SealKind) -> Result<Option<Scratch>, Wait> {
        let Some(rooms) = self.rooms else {
            // Nothing is known of them: any may be the full one.
            let first = self.cramped.first().copied();
            return first.map_or(Ok(None), |sector| Err(Wait::FullDisk { sector }));
        };
        let open = |room: &Room| room.away.is_none() && room.weight > 0;
        let most = |room: &Room| self.bounds.most(kind, Some(room));
        let roots = rooms.roots.iter().filter(|(_, room)| open(room));
        let (full, sites): (Vec<_>, Vec<_>) =
            roots.partition(|(root, _)| self.full.contains_key(root));
        let fits = |site: &&(&Scratch, &Room)| most(site.1) <= self.unreserved[site.0];
        let weighted = |site: &&(&Scratch, &Room)| {
            u128::from(site.1.weight) * u128::from(self.unreserved[site.0])
        };
        if let Some((root, room)) = sites.iter().filter(fits).max_by_key(weighted) {
            let need = most(room);
            self.deduct(root, need);
            return Ok(Some((*root).clone()));
        }
        // Where it will fit in time it waits; where it never will, others go on.
        let will_fit =
            |site: &&(&Scratch, &Room)| site.1.total.is_none_or(|total| most(site.1) <= total.0);
        let nearest = sites.iter().max_by_key(|site| (will_fit(site), weighted(site)));
        if nearest.is_none_or(|site| !will_fit(&site))
            && let Some(sector) = full.iter().find_map(|(root, _)| self.full.get(root))
        {
            return Err(Wait::FullDisk { sector: *sector });
        }
        let Some((root, room)) = nearest else { return Err(none_open(rooms)) };
        let (need, free) = (ByteSize(most(room)), ByteSize(self.unreserved[root]));
        let kept: Vec<_> = sites.iter().filter(will_fit).map(|(root, _)| *root).collect();
        // Kept for it: a smaller size that fits would take it away for ever.
        self.unreserved.extend(kept.into_iter().map(|root| (root, 0)));
        Err(Wait::Scratch { root: (*root).clone(), need, free })
    }
}

fn none_open(rooms: &Rooms) -> Wait {
    let away: Vec<_> = rooms.roots.values().filter_map(|room| room.away.clone()).collect();
    let closed = "no scratch takes new sectors: every one that is there has the weight 0";
    Wait::Away { why: if away.is_empty() { closed.to_owned() } else { away.join("; ") } }
}
