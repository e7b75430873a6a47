//! The box at a moment, for pages and API: made by the scheduler, read by everyone.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use serde::Serialize;

use crate::domain::admission::Counts;
use crate::domain::failure::Failure;
use crate::domain::ids::{ActorId, SectorNumber};
use crate::domain::order::{Order, Pass};
use crate::domain::phase::{PerPhase, Phase};
use crate::domain::porep::Porep;
use crate::domain::sector::Sector;
use crate::domain::times::{Throughput, Usual};
use crate::domain::units::{ByteSize, SectorSize, Seq, Timestamp};

/// At most this many sectors are listed in a view; the lists behind them are paged.
pub const LISTED: usize = 50;

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BoxView {
    pub at: Timestamp,
    pub seq: Seq,
    pub simulated: bool,
    pub miner: ActorId,
    pub sector_size: SectorSize,
    /// What a sector that is issued now would be.
    pub porep: Porep,
    pub counts: Counts,
    /// Since when the task of each phase waits that waits longest.
    #[serde(skip)]
    pub oldest: PerPhase<Option<Timestamp>>,
    pub finished: u64,
    pub given_up: u64,
    /// What each step usually takes on this box.
    #[serde(skip)]
    pub usual: Arc<Usual>,
    /// What was finished in the last day.
    #[serde(skip)]
    pub throughput: Arc<Throughput>,
    /// In flight, what runs and then the oldest, by number, at most [`LISTED`] (`counts.in_flight` is their number).
    pub in_flight: Vec<Arc<Sector>>,
    /// Sectors that wait for a person, at most [`LISTED`] (`counts.needs_you` is their number).
    pub attention: Vec<Arc<Sector>>,
    /// Sectors whose chain step gets no answer; it is asked again by itself.
    pub chain_trouble: Vec<ChainTrouble>,
    pub workers: Vec<WorkerView>,
    pub throttles: Vec<ThrottleView>,
    /// In the order in which they are issued.
    pub orders: Vec<Order>,
    /// Sectors are ordered by themselves until the storage is full.
    pub until_full: Option<UntilFullView>,
    /// How far the finished sectors of each storage were proven again.
    pub passes: BTreeMap<String, Pass>,
    pub intake_paused: bool,
    /// Phases that may not start now, each with what it waits for.
    pub held: BTreeMap<Phase, String>,
    /// Of those, what a person paused.
    pub paused: BTreeSet<Phase>,
    /// Tasks that a free worker could take, and what they wait for; at most [`LISTED`].
    pub waits: Vec<WaitView>,
    /// What the next sector waits for beside the throttle.
    pub intake_waits: Option<String>,
    /// What sectors in flight may still add to each scratch; those that are not limited left out.
    pub reserved: BTreeMap<PathBuf, ByteSize>,
    /// Stop was asked for: nothing new starts.
    pub stopping: bool,
    /// Why sealbox restarts itself when what runs has ended; nothing new starts until then.
    pub suspect: Option<String>,
    /// The box cannot write its journal: no work starts until it can.
    pub trouble: Option<Failure>,
    /// Why pages show old data: the journal has everything, the state that they read not yet.
    pub behind: Option<Failure>,
    /// What the last start found and did (a rebuilt state, rescued attempts).
    pub report: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ChainTrouble {
    pub sector: SectorNumber,
    pub failure: Failure,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct WorkerView {
    pub name: String,
    pub phases: Vec<Phase>,
    pub doing: Option<Doing>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Doing {
    pub sector: SectorNumber,
    pub phase: Phase,
    pub since: Timestamp,
}

/// One size's throttle. Listed for every size that has a limit, an order or a sector in flight.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ThrottleView {
    pub size: SectorSize,
    pub limit: Option<u64>,
    pub outstanding: u64,
    /// Ordered and not issued yet.
    pub waiting: u64,
    /// Sectors that hold a place and wait for a person.
    pub held: u64,
    /// The first of them.
    pub held_by: Vec<SectorNumber>,
}

impl ThrottleView {
    /// Full of failed sectors alone: nothing of this size is issued until one is retried or aborted.
    /// While another one is on its way, its place comes free by itself.
    pub fn stands_still(&self) -> bool {
        let is_full = self.limit.is_some_and(|limit| self.outstanding >= limit);
        is_full && self.held > 0 && self.held >= self.outstanding
    }
}

/// A task that waits although a worker is free.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct WaitView {
    pub sector: SectorNumber,
    pub phase: Phase,
    /// As in "needs 64 GiB of memory, 12 GiB are left for it".
    pub why: String,
}

impl BoxView {
    /// Why this sector's phases may not start now, each with what it waits for.
    pub fn held_for(&self, sector: SectorNumber) -> BTreeMap<Phase, String> {
        let own = self.waits.iter().filter(|wait| wait.sector == sector);
        let own = own.map(|wait| (wait.phase, wait.why.clone()));
        own.chain(self.held.iter().map(|(phase, why)| (*phase, why.clone()))).collect()
    }

    /// A person paused the intake and every phase.
    pub fn drained(&self) -> bool {
        self.intake_paused && self.paused.len() == Phase::ALL.len()
    }
}

/// What is ordered by itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct UntilFullView {
    pub size: SectorSize,
    /// Why none is ordered now: there is no room for its copy. It goes on when there is.
    pub full: Option<String>,
}

/// What a disk is used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum DiskRole {
    /// Where sectors are made.
    Scratch,
    /// Where finished sectors are kept.
    Storage,
    /// The box's own state: journal, database, logs.
    Data,
}

impl DiskRole {
    pub fn name(self) -> &'static str {
        match self {
            Self::Scratch => "scratch",
            Self::Storage => "storage",
            Self::Data => "data",
        }
    }
}

/// One configured path and the disk that it lies on, as last looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DiskView {
    /// As configured.
    pub path: PathBuf,
    pub role: DiskRole,
    /// As in `/dev/md1` or `10.0.0.7:/store`; empty if it is not known.
    pub device: String,
    pub mount: PathBuf,
    /// As in `xfs`; empty if it is not known.
    pub file_system: String,
    /// The kernel's number for the file system; none if it is not known.
    #[serde(skip)]
    pub number: Option<u64>,
    pub total_bytes: u64,
    pub used_bytes: u64,
    /// What an unprivileged process may still write; less than total − used where the file
    /// system keeps some back.
    pub free_bytes: u64,
    /// Why it cannot be used, if it cannot.
    pub trouble: Option<Failure>,
    /// It does not answer: nothing is begun on it until it does.
    pub hung: bool,
    /// Of a scratch: what each sector holds of it.
    #[serde(skip)]
    pub held: BTreeMap<SectorNumber, ByteSize>,
    /// When the look began that saw this.
    #[serde(skip)]
    pub looked: Timestamp,
    /// Of a scratch: sizes whose sectors have files in common that are there.
    #[serde(skip)]
    pub shared: BTreeSet<SectorSize>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_throttle_stands_still_only_when_failed_sectors_hold_every_place() {
        let throttle = |limit, outstanding, held| ThrottleView {
            size: SectorSize::GiB32,
            limit,
            outstanding,
            waiting: 3,
            held,
            held_by: (0..held).map(SectorNumber).collect(),
        };
        assert!(throttle(Some(1), 1, 1).stands_still());
        assert!(throttle(Some(2), 3, 3).stands_still(), "the limit was lowered meanwhile");
        assert!(!throttle(Some(8), 8, 1).stands_still(), "seven are on their way");
        assert!(!throttle(Some(2), 1, 1).stands_still(), "one has room");
        assert!(!throttle(Some(0), 0, 0).stands_still(), "nothing holds it");
        assert!(!throttle(None, 4, 4).stands_still(), "there is no limit");
    }
}
