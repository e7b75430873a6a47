//! What the box and an attempt's process tell each other: one request on standard input, then
//! lines on standard output.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::domain::failure::{Class, Failure};
use crate::domain::ids::{CommR, SealProof, SectorId};
use crate::domain::phase::Phase;
use crate::domain::progress::{Progress, Tell};
use crate::domain::sector::Ticket;
use crate::engine::filecoin::FilecoinEngine;
use crate::engine::simulated::{Part, SimulatedEngine};
use crate::engine::{Engine, Job, SealStatement, StoredCopy};

/// All that the process has to know. Both ends are the same program: there is no version.
#[derive(Debug, Serialize, Deserialize)]
pub struct Request {
    /// The box's process id: with another parent the process has come too late.
    pub parent: u32,
    /// The log filter.
    pub log: String,
    /// What to claim before any file is touched.
    pub claim: Option<PathBuf>,
    pub engine: Script,
    pub call: Call,
}

/// Which engine the process is to be.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Script {
    /// With parameters that the box has looked at.
    Filecoin,
    Simulated(Part),
}

impl Script {
    pub fn engine(self) -> Box<dyn Engine> {
        match self {
            Self::Filecoin => Box::new(FilecoinEngine::with_ready_parameters()),
            Self::Simulated(part) => Box::new(SimulatedEngine::playing(part)),
        }
    }
}

/// A call of the [`Engine`] with its arguments.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Call {
    Label { job: Job, ticket: Ticket },
    Replicate { job: Job, ticket: Ticket },
    ProveVanilla { job: Job, statement: SealStatement },
    ProveSnark { job: Job, statement: SealStatement },
    VerifySeal { statement: SealStatement, proof: SealProof },
    ProveStored { copy: StoredCopy, comm_r: CommR },
}

impl Call {
    /// The phase, for those calls that are one; the others are part of P6.
    pub fn phase(&self) -> Option<Phase> {
        match self {
            Self::Label { .. } => Some(Phase::P1),
            Self::Replicate { .. } => Some(Phase::P2),
            Self::ProveVanilla { .. } => Some(Phase::P3),
            Self::ProveSnark { .. } => Some(Phase::P4),
            Self::VerifySeal { .. } | Self::ProveStored { .. } => None,
        }
    }

    pub fn sector(&self) -> SectorId {
        match self {
            Self::Label { job, .. }
            | Self::Replicate { job, .. }
            | Self::ProveVanilla { job, .. }
            | Self::ProveSnark { job, .. } => job.id,
            Self::VerifySeal { statement, .. } => statement.id,
            Self::ProveStored { copy, .. } => copy.id,
        }
    }

    /// Makes the call. May panic where the engine does.
    pub fn of(&self, engine: &dyn Engine, tell: Tell<'_>) -> Result<Value, Failure> {
        match self {
            Self::Label { job, ticket } => value(engine.label(job, ticket, tell)?),
            Self::Replicate { job, ticket } => value(engine.replicate(job, ticket)?),
            Self::ProveVanilla { job, statement } => value(engine.prove_vanilla(job, statement)?),
            Self::ProveSnark { job, statement } => value(engine.prove_snark(job, statement, tell)?),
            Self::VerifySeal { statement, proof } => value(engine.verify_seal(statement, proof)?),
            Self::ProveStored { copy, comm_r } => value(engine.prove_stored(copy, comm_r)?),
        }
    }
}

fn value<T: Serialize>(output: T) -> Result<Value, Failure> {
    serde_json::to_value(output).map_err(|error| misunderstood(&error))
}

/// The two ends do not understand each other.
pub fn misunderstood(error: &serde_json::Error) -> Failure {
    let mend = "report this as a bug of sealbox; until then, `[engine] isolation = \"thread\"`";
    Failure::new(Class::Operator, "an attempt's process was not understood", mend)
        .detail(error.to_string())
}

/// One line of the process.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Said {
    Progress(Progress),
    /// The last line.
    Ended(Result<Value, Failure>),
    /// The last line.
    Panicked {
        message: String,
        backtrace: String,
    },
}
