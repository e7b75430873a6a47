//! What the core is made of, and what it hands out.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use crate::domain::event::Entry;
use crate::domain::ids::{ActorId, SectorNumber};
use crate::domain::isolation::Isolation;
use crate::domain::needs::{Machine, Needs};
use crate::domain::order::{AutoPledge, BoxState};
use crate::domain::phase::Phase;
use crate::domain::pipeline::Effect;
use crate::domain::porep::Porep;
use crate::domain::sector::Sector;
use crate::domain::times::{Throughput, Usual};
use crate::domain::units::SectorSize;
use crate::scheduler::view::Doing;

/// What the box is told at start.
#[derive(Debug, Clone)]
pub struct Settings {
    pub miner: ActorId,
    pub sector_size: SectorSize,
    /// What sectors that are issued from now on are; those in flight stay what they are.
    pub porep: Porep,
    pub simulated: bool,
    /// What may be used of the machine; none: not limited.
    pub machine: Option<Machine>,
    /// Decides what an abort does to an attempt that runs.
    pub isolation: Isolation,
    pub limits: Limits,
}

/// Of the settings, what a person may change while the box runs.
#[derive(Clone, PartialEq, Eq)]
pub struct Limits {
    pub max_outstanding: BTreeMap<SectorSize, u64>,
    /// As that, for all sizes together.
    pub max_outstanding_in_all: Option<u64>,
    pub auto_pledge: AutoPledge,
    pub needs: Arc<Needs>,
}

/// Without the needs: they would be most of a log line, and `appliance.toml` says them better.
impl fmt::Debug for Limits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Limits")
            .field("max_outstanding", &self.max_outstanding)
            .field("max_outstanding_in_all", &self.max_outstanding_in_all)
            .field("auto_pledge", &self.auto_pledge)
            .finish_non_exhaustive()
    }
}

/// What a phase is held back by. It may be several at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cause {
    /// The Groth parameters are not there yet.
    Parameters,
    /// No storage answers.
    Storage,
}

/// A worker's place in the crew.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WorkerId(pub usize);

#[derive(Debug)]
pub struct Worker {
    pub name: String,
    /// Index of its group.
    pub group: usize,
    /// Whether the proofs library runs on it.
    pub proves: bool,
    pub doing: Option<Doing>,
}

/// The workers of one `[[worker]]` entry.
#[derive(Debug)]
pub(super) struct Crew {
    pub phases: BTreeSet<Phase>,
    pub total: usize,
    pub idle: Vec<WorkerId>,
}

/// What the store brought back.
#[derive(Debug, Default)]
pub struct Past {
    pub box_state: BoxState,
    pub active: Vec<Sector>,
    /// Finished, with a damaged stored copy.
    pub damaged: Vec<Sector>,
    pub finished: u64,
    pub given_up: u64,
    /// What the newest finished sectors tell.
    pub usual: Usual,
    pub throughput: Throughput,
    pub report: Vec<String>,
}

/// A task to be handed to a worker.
#[derive(Debug, Clone)]
pub struct Assignment {
    pub worker: WorkerId,
    pub sector: Arc<Sector>,
    pub phase: Phase,
}

/// What was decided since the last time: commit first, then act.
#[derive(Debug, Default)]
pub struct Decided {
    pub entries: Vec<Entry>,
    /// The changed sectors as they are now.
    pub sectors: Vec<Arc<Sector>>,
    pub box_state: BoxState,
    pub effects: Vec<(SectorNumber, Effect)>,
    /// Whose attempt is to be ended now. Before the assignments: one may be for the same worker.
    pub stops: Vec<WorkerId>,
    pub assignments: Vec<Assignment>,
}
