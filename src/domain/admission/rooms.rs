//! The scratch roots, as they were last looked at.

use std::collections::{BTreeMap, BTreeSet};

use crate::domain::ids::SectorNumber;
use crate::domain::layout::Scratch;
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
