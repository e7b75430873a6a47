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
use crate::domain::porep::SealKind;
use crate::domain::sector::Sector;
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
    pub running: Vec<(SectorNumber, SealKind, Phase)>,
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

/// A sector in flight, as far as the scratch is concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Making {
    kind: SealKind,
    /// P2 is behind it: it will not hold more again than what is left then.
    replicated: bool,
}

impl Making {
    pub fn of(sector: &Sector) -> Self {
        Self { kind: sector.kind(), replicated: sector.is_replicated() }
    }

    /// One that is not issued yet.
    pub fn to_begin(kind: SealKind) -> Self {
        Self { kind, replicated: false }
    }
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
        for (number, kind, phase) in &bounds.running {
            left.deduct(bounds.needs.of(*kind, *phase));
            left.write(bounds.still_to_write(*number, *kind, *phase));
        }
        left
    }

    /// Takes what the task needs. If it does not fit, that is kept for it all the same: else what
    /// needs less and is less urgent would take it away again and again.
    pub fn take(&mut self, number: SectorNumber, kind: SealKind, phase: Phase) -> Result<(), Wait> {
        let need = self.bounds.needs.of(kind, phase);
        let writes = self.bounds.still_to_write(number, kind, phase);
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
    fn still_to_write(&self, number: SectorNumber, kind: SealKind, phase: Phase) -> u64 {
        match phase {
            Phase::P1 | Phase::P2 => self.reserved(number, Making::to_begin(kind)),
            Phase::P3 | Phase::P4 | Phase::P5 | Phase::P6 => 0,
        }
    }

    /// What is reserved for a sector that is being made: its most, net of what it holds.
    pub fn reserved(&self, number: SectorNumber, making: Making) -> u64 {
        let held = self.scratch.as_ref().and_then(|room| room.held.get(&number));
        self.most(making).saturating_sub(held.map_or(0, |held| held.0))
    }

    /// The most that a sector will hold by itself from now on.
    pub fn most(&self, Making { kind, replicated }: Making) -> u64 {
        let (most, after_p2) = (self.needs.scratch(kind), self.needs.scratch_after_p2(kind));
        // What is dropped with P2 may be gone by the last look at the disk, or not yet: what is
        // left is the bound of both. Where nothing is dropped, tree-d may still be a link.
        if replicated && after_p2 < most {
            return after_p2.0;
        }
        let shares = self.scratch.as_ref().is_some_and(|room| room.shared.contains(&kind.size));
        let shared = if shares { self.needs.shared(kind.size).0 } else { 0 };
        most.0.saturating_sub(shared)
    }

    /// What is neither used nor reserved, with these sectors still being made; none: not limited.
    pub(super) fn unreserved(
        &self,
        making: impl Iterator<Item = (SectorNumber, Making)>,
    ) -> Option<u64> {
        let free = self.scratch.as_ref()?.free.0;
        let reserved = making.map(|(number, making)| self.reserved(number, making)).sum();
        #[cfg(test)]
        let reserved = if planted(Bug::ReservesNothing) { 0 } else { reserved };
        Some(free.saturating_sub(reserved))
    }
}
