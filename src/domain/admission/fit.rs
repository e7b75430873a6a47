//! Whether a task fits: what is left of the machine, and of the scratch.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde::Serialize;

use super::rooms::{Room, Rooms};
use super::{Making, Queue};
use crate::domain::ids::SectorNumber;
use crate::domain::layout::Scratch;
use crate::domain::needs::{Cores, Machine, Need, Needs};
use crate::domain::phase::Phase;
#[cfg(test)]
use crate::domain::planted::{Bug, planted};
use crate::domain::porep::SealKind;
use crate::domain::units::ByteSize;

/// What tasks are measured against. The default is no limit.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Bounds {
    pub needs: Arc<Needs>,
    /// None: not limited.
    pub machine: Option<Machine>,
    /// None: not limited.
    pub scratch: Option<Arc<Rooms>>,
    /// What runs now.
    pub running: Vec<(SectorNumber, SealKind, Phase)>,
}

/// What a task waits for although a worker is free.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "for", rename_all = "snake_case")]
pub enum Wait {
    Memory {
        need: ByteSize,
        left: ByteSize,
    },
    Cores {
        need: u32,
        left: u32,
    },
    Gpus {
        need: u32,
        left: u32,
    },
    /// Another task has the proving pool.
    Pool,
    Scratch {
        root: Scratch,
        need: ByteSize,
        free: ByteSize,
    },
    /// The scratch cannot be worked in now.
    Away {
        why: String,
    },
    /// For a copy that met a full storage: room beside those that are being made. For what is
    /// ordered by itself: beside all that are owed.
    Storage {
        need: ByteSize,
        free: ByteSize,
    },
    /// For what is ordered by itself: no storage can be used now, or none was looked at yet.
    NoStorage,
    /// For the intake: this sector met a full disk and has not got past it.
    FullDisk {
        sector: SectorNumber,
    },
}

impl fmt::Display for Wait {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Memory { need, left } => {
                write!(f, "needs {need} of memory, {left} are left for it")
            }
            Self::Cores { need, left } => write!(f, "needs {need} cores, {left} are left for it"),
            Self::Gpus { need, left } => write!(f, "needs {need} GPUs, {left} are left for it"),
            Self::Pool => write!(f, "needs the proving pool, which another task has"),
            Self::Scratch { root, need, free } => {
                write!(f, "needs {need} on {root}, {free} unreserved")
            }
            Self::Away { why } => f.write_str(why),
            Self::Storage { need, free } => write!(
                f,
                "another copy needs {need} of storage, {free} are left beside the copies that are \
                 on their way"
            ),
            Self::NoStorage => write!(f, "no storage answers"),
            Self::FullDisk { sector } => write!(f, "sector {sector} met a full disk"),
        }
    }
}

/// What is left while starts are being decided.
pub(super) struct Left<'a> {
    bounds: &'a Bounds,
    machine: Option<Machine>,
    pool_taken: bool,
    /// Of each scratch, after all that running tasks will still write; not there: not limited.
    rooms: BTreeMap<&'a Scratch, u64>,
}

impl<'a> Left<'a> {
    pub fn of(bounds: &'a Bounds, queue: &Queue) -> Self {
        let roots = bounds.scratch.iter().flat_map(|rooms| &rooms.roots);
        let rooms = roots.map(|(root, room)| (root, room.free.0)).collect();
        let mut left = Self { bounds, machine: bounds.machine, pool_taken: false, rooms };
        for (number, kind, phase) in &bounds.running {
            left.deduct(bounds.needs.of(*kind, *phase));
            if let Some(sector) = queue.making.get(number) {
                left.write(sector, bounds.still_to_write(*number, sector, *phase));
            }
        }
        left
    }

    /// Why nothing of this sector can start now, whatever else is free.
    pub fn away(&self, sector: &Making) -> Option<Wait> {
        #[cfg(test)]
        if planted(Bug::AwayForgotten) {
            return None;
        }
        let room = self.bounds.room_of(sector.scratch.as_ref())?;
        room.away.clone().map(|why| Wait::Away { why })
    }

    /// Takes what the task needs. If it does not fit, that is kept for it all the same: else what
    /// needs less and is less urgent would take it away again and again.
    pub fn take(
        &mut self,
        number: SectorNumber,
        sector: &Making,
        phase: Phase,
    ) -> Result<(), Wait> {
        let need = self.bounds.needs.of(sector.kind, phase);
        let writes = self.bounds.still_to_write(number, sector, phase);
        let wait = self.lacks(need).or_else(|| self.lacks_room(sector, writes));
        self.deduct(need);
        self.write(sector, writes);
        wait.map_or(Ok(()), Err)
    }

    fn lacks(&self, need: Need) -> Option<Wait> {
        let left = self.machine?;
        if need.memory > left.memory {
            return Some(Wait::Memory { need: need.memory, left: left.memory });
        }
        if need.gpus > left.gpus {
            return Some(Wait::Gpus { need: need.gpus, left: left.gpus });
        }
        match need.cores {
            Cores::Own(need) if need > left.cores => Some(Wait::Cores { need, left: left.cores }),
            Cores::Pool if self.pool_taken => Some(Wait::Pool),
            Cores::Own(_) | Cores::Pool => None,
        }
    }

    fn lacks_room(&self, sector: &Making, writes: u64) -> Option<Wait> {
        let root = self.root_of(sector)?;
        let free = self.rooms.get(root).filter(|free| writes > **free)?;
        Some(Wait::Scratch { root: root.clone(), need: ByteSize(writes), free: ByteSize(*free) })
    }

    fn root_of(&self, sector: &Making) -> Option<&'a Scratch> {
        let rooms = self.bounds.scratch.as_deref()?;
        rooms.of(sector.scratch.as_ref()).map(|(root, _)| root)
    }

    fn deduct(&mut self, need: Need) {
        match need.cores {
            Cores::Pool => self.pool_taken = true,
            Cores::Own(cores) => {
                if let Some(left) = &mut self.machine {
                    left.cores = left.cores.saturating_sub(cores);
                }
            }
        }
        if let Some(left) = &mut self.machine {
            left.memory = ByteSize(left.memory.0.saturating_sub(need.memory.0));
            left.gpus = left.gpus.saturating_sub(need.gpus);
        }
    }

    fn write(&mut self, sector: &Making, bytes: u64) {
        let Some((rooms, root)) = self.bounds.scratch.as_ref().zip(self.root_of(sector)) else {
            return;
        };
        for root in rooms.sharing(root) {
            self.rooms.entry(root).and_modify(|left| *left = left.saturating_sub(bytes));
        }
    }
}

impl Bounds {
    /// What this phase's attempt may still add to what the sector holds of its scratch. P1 leaves
    /// room for P2: a disk that is full in between would hold half-made sectors only.
    fn still_to_write(&self, number: SectorNumber, sector: &Making, phase: Phase) -> u64 {
        match phase {
            Phase::P1 | Phase::P2 => self.reserved(number, &sector.before_p2()),
            Phase::P3 | Phase::P4 | Phase::P5 | Phase::P6 => 0,
        }
    }

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
