//! Whether a task fits: what is left of the machine, and of the scratch.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use serde::Serialize;

use crate::domain::ids::SectorNumber;
use crate::domain::needs::{Cores, Machine, Need, Needs};
use crate::domain::phase::Phase;
#[cfg(test)]
use crate::domain::planted::{Bug, planted};
use crate::domain::units::{ByteSize, SectorSize};

/// What tasks are measured against. The default is no limit.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Bounds {
    pub needs: Arc<Needs>,
    /// None: not limited.
    pub machine: Option<Machine>,
    /// None: not limited.
    pub scratch: Option<Arc<Room>>,
    /// What runs now.
    pub running: Vec<(SectorNumber, SectorSize, Phase)>,
}

/// The scratch, as last looked at.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Room {
    /// What may still be written: what the file system has, less what is to stay free.
    pub free: ByteSize,
    /// What sectors in flight held of it at that time, what they share left out.
    pub held: BTreeMap<SectorNumber, ByteSize>,
    /// Sizes whose shared files are there.
    pub shared: BTreeSet<SectorSize>,
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
        need: ByteSize,
        free: ByteSize,
    },
    /// For what is ordered by itself: room for its copy, beside those that are owed.
    Storage {
        need: ByteSize,
        free: ByteSize,
    },
    /// As that: no storage can be used now, or none was looked at yet.
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
            Self::Scratch { need, free } => {
                write!(f, "needs {need} on the scratch, {free} are free and not reserved")
            }
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
    /// Of the scratch, after all that running tasks will still write; none: not limited.
    room: Option<u64>,
}

impl<'a> Left<'a> {
    pub fn of(bounds: &'a Bounds) -> Self {
        let room = bounds.scratch.as_ref().map(|room| room.free.0);
        let mut left = Self { bounds, machine: bounds.machine, pool_taken: false, room };
        for (number, size, phase) in &bounds.running {
            left.deduct(bounds.needs.of(*size, *phase));
            left.write(bounds.still_to_write(*number, *size, *phase));
        }
        left
    }

    /// Takes what the task needs. If it does not fit, that is kept for it all the same: else what
    /// needs less and is less urgent would take it away again and again.
    pub fn take(
        &mut self,
        number: SectorNumber,
        size: SectorSize,
        phase: Phase,
    ) -> Result<(), Wait> {
        let need = self.bounds.needs.of(size, phase);
        let writes = self.bounds.still_to_write(number, size, phase);
        let wait = self.lacks(need).or_else(|| self.lacks_room(writes));
        self.deduct(need);
        self.write(writes);
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

    fn lacks_room(&self, writes: u64) -> Option<Wait> {
        let free = self.room.filter(|free| writes > *free)?;
        Some(Wait::Scratch { need: ByteSize(writes), free: ByteSize(free) })
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

    fn write(&mut self, bytes: u64) {
        self.room = self.room.map(|room| room.saturating_sub(bytes));
    }
}

impl Bounds {
    /// What this phase's attempt may still add to what the sector holds of the scratch. P1 leaves
    /// room for P2: a disk that is full in between would hold half-made sectors only.
    fn still_to_write(&self, number: SectorNumber, size: SectorSize, phase: Phase) -> u64 {
        match phase {
            Phase::P1 | Phase::P2 => self.reserved(number, size),
            Phase::P3 | Phase::P4 | Phase::P5 | Phase::P6 => 0,
        }
    }

    /// What is reserved for a sector that is being made: its most, net of what it holds.
    pub fn reserved(&self, number: SectorNumber, size: SectorSize) -> u64 {
        let held = self.scratch.as_ref().and_then(|room| room.held.get(&number));
        self.most(size).saturating_sub(held.map_or(0, |held| held.0))
    }

    /// The most that a sector will hold by itself.
    pub fn most(&self, size: SectorSize) -> u64 {
        let shares = self.scratch.as_ref().is_some_and(|room| room.shared.contains(&size));
        let shared = if shares { self.needs.shared(size).0 } else { 0 };
        self.needs.scratch(size).0.saturating_sub(shared)
    }

    /// What is neither used nor reserved, with these sectors still being made; none: not limited.
    pub(super) fn unreserved(
        &self,
        making: impl Iterator<Item = (SectorNumber, SectorSize)>,
    ) -> Option<u64> {
        let free = self.scratch.as_ref()?.free.0;
        let reserved = making.map(|(number, size)| self.reserved(number, size)).sum();
        #[cfg(test)]
        let reserved = if planted(Bug::ReservesNothing) { 0 } else { reserved };
        Some(free.saturating_sub(reserved))
    }
}
