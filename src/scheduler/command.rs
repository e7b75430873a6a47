//! What people ask of the box, and how it answers.

use std::path::PathBuf;

use serde::Serialize;
use tokio::sync::oneshot;

use super::core::Limits;
use crate::domain::ids::{OrderId, SectorNumber};
use crate::domain::order::{Order, Place};
use crate::domain::phase::Phase;
use crate::domain::units::SectorSize;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Seal this many sectors.
    Order {
        size: SectorSize,
        count: u64,
    },
    /// Issue no more of this order.
    CancelOrder {
        order: OrderId,
    },
    /// Issue an order earlier or later.
    MoveOrder {
        order: OrderId,
        to: Place,
    },
    /// Put the failed tasks of a sector (or the one of this phase) back.
    Retry {
        sector: SectorNumber,
        phase: Option<Phase>,
    },
    /// Put every failed task back.
    RetryAll,
    /// Send a sector back to P1.
    Redo {
        sector: SectorNumber,
    },
    /// Give a sector up and delete what it has on scratch.
    Abort {
        sector: SectorNumber,
    },
    PauseIntake,
    ResumeIntake,
    /// Start nothing more of this phase; what runs may end.
    PausePhase {
        phase: Phase,
    },
    ResumePhase {
        phase: Phase,
    },
    /// Pause the intake and every phase: the box comes to rest.
    Drain,
    /// Resume the intake and every phase.
    ResumeAll,
    /// Go by other limits from now on.
    Adopt {
        limits: Limits,
    },
    /// Put on record that an orphan is deleted. Refused while a sector of this number is in flight.
    RecordOrphan {
        path: PathBuf,
        bytes: u64,
        sector: Option<SectorNumber>,
    },
}

/// What a command did. It is durable when this is answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Done {
    Ordered(Order),
    Cancelled(OrderId),
    /// Where it stands now, from 1 on.
    Moved {
        order: OrderId,
        place: usize,
    },
    Retried(Vec<Retried>),
    Redone(SectorNumber),
    /// What ran of it: phases that are stopped now, and phases whose end is awaited. It takes effect
    /// when all of them have ended.
    Aborted {
        sector: SectorNumber,
        stopped: Vec<Phase>,
        awaited: Vec<Phase>,
    },
    IntakePaused,
    IntakeResumed,
    PhasePaused(Phase),
    PhaseResumed(Phase),
    /// So many attempts still run.
    Draining {
        running: usize,
    },
    AllResumed,
    Adopted,
    OrphanRecorded {
        path: PathBuf,
        bytes: u64,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Retried {
    pub sector: SectorNumber,
    pub phase: Phase,
}

/// Why a command was not carried out. Nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("there is no {0}")]
    NotFound(String),
    /// The state does not allow it.
    #[error("{what}; {mend}")]
    Conflict { what: String, mend: String },
    /// It makes no sense for any state.
    #[error("{what}; {mend}")]
    Invalid { what: String, mend: String },
    /// The box takes no commands now.
    #[error("{what}; {mend}")]
    Unavailable { what: String, mend: String },
}

/// A command with who gave it and where its answer goes.
#[derive(Debug)]
pub struct Ask {
    pub command: Command,
    pub by: String,
    pub reply: oneshot::Sender<Result<Done, Refusal>>,
}
