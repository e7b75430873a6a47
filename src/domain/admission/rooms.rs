//! The scratch roots: what each has left, and in which of them the next sector is made.

use std::collections::{BTreeMap, BTreeSet};

use super::Making;
use super::fit::{Bounds, Wait};
use crate::domain::ids::SectorNumber;
use crate::domain::layout::Scratch;
#[cfg(test)]
use crate::domain::planted::{Bug, planted};
use crate::domain::porep::SealKind;
use crate::domain::units::{ByteSize, SectorSize};

/// The scratch roots, as last looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rooms {
    /// Where the sectors are that name no root: they are from when there was only one.
    pub first: Scratch,
    pub roots: BTreeMap<Scratch, Room>,
}

/// One of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Room {
    /// A sector is begun where weight times what is not reserved is the most; 0: none is.
    pub weight: u32,
    /// Which file system it is on, as far as that is known: two roots on one have one room.
    pub file_system: Option<u64>,
    /// What it could hold if it were empty; none: it was not seen yet.
    pub total: Option<ByteSize>,
    /// What may still be written: what the file system has, less what is to stay free.
    pub free: ByteSize,
    /// What sectors in flight held of it at that time, what they share left out.
    pub held: BTreeMap<SectorNumber, ByteSize>,
    /// Sizes whose shared files are there.
    pub shared: BTreeSet<SectorSize>,
    /// Why it cannot be worked in now, in words: what is made in it waits.
    pub away: Option<String>,
}

impl Default for Room {
    fn default() -> Self {
        Self {
            weight: 1,
            file_system: None,
            total: None,
            free: ByteSize(0),
            held: BTreeMap::new(),
            shared: BTreeSet::new(),
            away: None,
        }
    }
}

impl Rooms {
    pub fn one(root: Scratch, room: Room) -> Self {
        Self { first: root.clone(), roots: BTreeMap::from([(root, room)]) }
    }

    /// The root that a sector names; none if that is not one of them.
    pub fn of(&self, named: Option<&Scratch>) -> Option<(&Scratch, &Room)> {
        self.roots.get_key_value(named.unwrap_or(&self.first))
    }

    /// The roots on the file system of this one, itself among them.
    pub(super) fn sharing<'a>(&'a self, root: &Scratch) -> impl Iterator<Item = &'a Scratch> {
        let file_system = self.roots.get(root).and_then(|room| room.file_system);
        let shares = move |(other, room): &(&Scratch, &Room)| {
            *other == root || (file_system.is_some() && room.file_system == file_system)
        };
        self.roots.iter().filter(shares).map(|(root, _)| root)
    }

    /// Why no root could ever hold this much, even if it were empty. None too while one of them is
    /// not seen.
    pub fn never_fit(&self, need: ByteSize, size: SectorSize) -> Option<String> {
        let totals = self.roots.iter().map(|(root, room)| Some((room.total?, root)));
        let (most, root) = totals.collect::<Option<Vec<_>>>()?.into_iter().max()?;
        let short = format!("a {size} sector needs {need} of one scratch, and");
        (most < need).then(|| match self.roots.len() {
            1 => format!("{short} {root} has {most} in all"),
            _ => format!("{short} the largest, {root}, has {most} in all"),
        })
    }
}

impl Bounds {
    /// What is reserved for a sector that is being made: its most, net of what it holds.
    pub fn reserved(&self, number: SectorNumber, sector: &Making) -> u64 {
        let room = self.room_of(sector.scratch.as_ref());
        let held = room.and_then(|room| room.held.get(&number));
        let (most, after_p2) =
            (self.needs.scratch(sector.kind), self.needs.scratch_after_p2(sector.kind));
        // What is dropped with P2 may be gone by the last look at the disk, or not yet: what is
        // left is the bound of both. Where nothing is dropped, tree-d may still be a link.
        let most = match sector.replicated && after_p2 < most {
            true => after_p2.0,
            false => self.most(sector.kind, room),
        };
        most.saturating_sub(held.map_or(0, |held| held.0))
    }

    /// The most that a sector will hold by itself.
    pub fn most(&self, kind: SealKind, room: Option<&Room>) -> u64 {
        let shares = room.is_some_and(|room| room.shared.contains(&kind.size));
        let shared = if shares { self.needs.shared(kind.size).0 } else { 0 };
        self.needs.scratch(kind).0.saturating_sub(shared)
    }

    /// Whether nothing can be done for this sector, whatever else is free.
    pub(super) fn is_away(&self, sector: &Making) -> bool {
        self.room_of(sector.scratch.as_ref()).is_some_and(|room| room.away.is_some())
    }

    pub(super) fn some_root_is_away(&self) -> bool {
        let mut rooms = self.scratch.iter().flat_map(|rooms| rooms.roots.values());
        rooms.any(|room| room.away.is_some())
    }

    pub(super) fn room_of(&self, named: Option<&Scratch>) -> Option<&Room> {
        self.scratch.as_ref()?.of(named).map(|(_, room)| room)
    }
}

/// What no sector has reserved, root by root, while it is decided which sectors are begun.
pub(super) struct Sites<'a> {
    bounds: &'a Bounds,
    /// None: not limited.
    rooms: Option<&'a Rooms>,
    unreserved: BTreeMap<&'a Scratch, u64>,
}

impl<'a> Sites<'a> {
    /// With these sectors still being made.
    pub fn beside(
        bounds: &'a Bounds,
        making: impl Iterator<Item = (SectorNumber, &'a Making)>,
    ) -> Self {
        let rooms = bounds.scratch.as_deref();
        let roots = rooms.into_iter().flat_map(|rooms| &rooms.roots);
        let unreserved = roots.map(|(root, room)| (root, room.free.0)).collect();
        let mut sites = Self { bounds, rooms, unreserved };
        for (number, sector) in making {
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
        }
        sites
    }

    fn deduct(&mut self, root: &Scratch, bytes: u64) {
        for root in self.rooms.into_iter().flat_map(|rooms| rooms.sharing(root)) {
            self.unreserved.entry(root).and_modify(|left| *left = left.saturating_sub(bytes));
        }
    }

    /// Reserves what one more sector of this kind takes. None: the roots are not limited, and any
    /// will do.
    pub fn take(&mut self, kind: SealKind) -> Result<Option<Scratch>, Wait> {
        let Some(rooms) = self.rooms else { return Ok(None) };
        let open = |room: &Room| room.away.is_none() && room.weight > 0;
        let most = |room: &Room| self.bounds.most(kind, Some(room));
        let sites: Vec<_> = rooms.roots.iter().filter(|(_, room)| open(room)).collect();
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
