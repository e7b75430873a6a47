//! A sector: where it stands, and what it has earned on the way.
//!
//! The stage carries exactly what is known at that point, so a proof without a seed, or a P3
//! before its pre-commit, cannot be written down.

mod stage;

use serde::{Deserialize, Serialize};

use super::failure::Failure;
use super::ids::{Bytes32, CommD, CommR, OrderId, SealProof, SectorId};
use super::layout::Scratch;
use super::phase::{PerPhase, Phase};
use super::porep::{Porep, SealKind};
use super::units::{Epoch, SectorSize, Seq, Timestamp};

/// What a sector holds. Data sectors come later; the shape allows them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Data {
    /// Zeros: capacity without data.
    CommittedCapacity,
}

/// Chain randomness that binds the replica to a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ticket {
    pub epoch: Epoch,
    pub value: Bytes32,
}

/// Interactive randomness, drawn after the pre-commit: decides what P3 is challenged on. There is
/// none with non-interactive PoRep.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seed {
    pub epoch: Epoch,
    pub value: Bytes32,
}

/// What P2 commits to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Commitments {
    pub comm_d: CommD,
    pub comm_r: CommR,
}

/// A pre-commit on chain: the seed is drawn at `seed_epoch`, and no restart changes that epoch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PreCommit {
    pub message: String,
    pub epoch: Epoch,
    pub seed_epoch: Epoch,
}

/// A commit on chain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Commit {
    pub message: String,
    pub epoch: Epoch,
}

/// Where the finished copy lies.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredAt {
    /// The `[[storage]]` root, as configured.
    pub root: String,
    pub bytes: u64,
    /// BLAKE3 of the manifest file, which holds the digest of every file beside it.
    pub manifest: Bytes32,
}

/// One task's work, while its phase is the sector's to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Work {
    /// To be started; after a failed attempt not before `not_before`. `deaths`: in how many
    /// attempts in a row the box died, without any of them getting further.
    Ready {
        tries: u32,
        not_before: Option<Timestamp>,
        deaths: u32,
    },
    Running {
        tries: u32,
        worker: String,
        since: Timestamp,
        deaths: u32,
    },
    /// Waits for a person.
    Failed {
        failure: Failure,
    },
}

impl Work {
    pub fn fresh() -> Self {
        Self::Ready { tries: 0, not_before: None, deaths: 0 }
    }

    /// In how many attempts in a row the box died.
    pub fn deaths(&self) -> u32 {
        match self {
            Self::Ready { deaths, .. } | Self::Running { deaths, .. } => *deaths,
            Self::Failed { .. } => 0,
        }
    }

    pub fn is_running(&self) -> bool {
        match self {
            Self::Running { .. } => true,
            Self::Ready { .. } | Self::Failed { .. } => false,
        }
    }
}

/// Known after P2.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Replica {
    pub ticket: Ticket,
    pub commitments: Commitments,
}

/// Known once it is clear what P3 is challenged on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Challenge {
    pub replica: Replica,
    /// None with non-interactive PoRep: the challenges follow from the replica.
    pub drawn: Option<Drawn>,
}

/// What was asked of the chain before P3, and what it drew.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Drawn {
    pub pre_commit: PreCommit,
    pub seed: Seed,
}

impl Challenge {
    pub fn seed(&self) -> Option<Seed> {
        self.drawn.as_ref().map(|drawn| drawn.seed)
    }

    pub fn pre_commit(&self) -> Option<&PreCommit> {
        self.drawn.as_ref().map(|drawn| &drawn.pre_commit)
    }
}

/// Known once the proof is on chain and the copy is in storage.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sealed {
    pub challenge: Challenge,
    pub proof: SealProof,
    pub commit: Commit,
    pub stored: StoredAt,
}

/// The way of the proof, beside the way of the copy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Snark {
    P4 {
        work: Work,
    },
    /// The commit is being sent. `refused` holds why the chain would not have it.
    Committing {
        proof: SealProof,
        refused: Option<Failure>,
    },
    Committed {
        proof: SealProof,
        commit: Commit,
    },
}

/// The way of the copy, beside the way of the proof.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Copying {
    P5 { work: Work },
    Copied { stored: StoredAt },
}

/// What P6 cleans up behind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cleaning {
    /// A stored copy that must be proven before anything is deleted.
    Sealed { sealed: Box<Sealed> },
    /// A sector that was given up: nothing of it is kept.
    GivenUp {
        because: GiveUp,
        /// What its copy in storage is known by, if there is one. None: it never got past P2.
        comm_r: Option<CommR>,
    },
}

/// Why a sector was given up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GiveUp {
    /// The chain refused the pre-commit.
    Chain { failure: Failure },
    /// A person aborted it.
    Operator { who: String },
}

/// Where a sector stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// Issued; its ticket is being drawn.
    Ticket,
    P1 {
        ticket: Ticket,
        work: Work,
    },
    P2 {
        ticket: Ticket,
        work: Work,
    },
    /// The pre-commit is being sent.
    PreCommitting {
        replica: Replica,
    },
    WaitSeed {
        replica: Replica,
        pre_commit: PreCommit,
    },
    P3 {
        challenge: Challenge,
        work: Work,
    },
    /// P4 (then the commit) beside P5.
    Proving {
        challenge: Challenge,
        snark: Snark,
        copying: Copying,
    },
    P6 {
        cleaning: Cleaning,
        work: Work,
    },
    Finished {
        sealed: Box<Sealed>,
        /// When the stored copy was last proven, as far as the history tells: by P6, then when a
        /// person asked for it or when that ended a fault. (What a pass over all sectors found
        /// whole is not written down sector by sector: see [`super::order::Pass`].)
        proven: Timestamp,
        /// What is wrong with the stored copy, from when it is found until it is proven again.
        fault: Option<Failure>,
    },
    GivenUp {
        because: GiveUp,
    },
}

/// What is remembered of a task beside its state: for its row, and for the page.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskRecord {
    /// When its phase became the sector's to do; none if it never was.
    pub created: Option<Timestamp>,
    pub updated: Option<Timestamp>,
    /// Attempts started, interrupted ones included.
    pub attempts: u32,
    pub worker: Option<String>,
    pub started: Option<Timestamp>,
    pub done: Option<Timestamp>,
    /// Why the last attempt failed, until one succeeds.
    pub last_failure: Option<Failure>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sector {
    pub id: SectorId,
    pub size: SectorSize,
    pub data: Data,
    pub order: OrderId,
    /// Made by the simulated engine: no sector at all.
    pub simulated: bool,
    pub porep: Porep,
    /// The root that it is made in, from its first event to its last. None: it is from when a box
    /// had only one.
    pub scratch: Option<Scratch>,
    pub created: Timestamp,
    pub updated: Timestamp,
    /// The last event of its history.
    pub seq: Seq,
    pub stage: Stage,
    /// Given up while an attempt was running: takes effect when the attempt ends.
    pub giving_up: Option<GiveUp>,
    /// How often it went back to P1 by itself.
    pub redos: u32,
    /// P6 has begun to delete: the stored copy may be the only whole one.
    pub cleaning_begun: bool,
    pub tasks: PerPhase<TaskRecord>,
}

impl Sector {
    pub fn kind(&self) -> SealKind {
        SealKind::new(self.size, self.porep)
    }

    /// Whether P2 is behind it, so that what is dropped with it takes no more room. It stays so
    /// when the sector is given up later.
    pub fn is_replicated(&self) -> bool {
        self.tasks[Phase::P2].done.is_some()
    }
}
