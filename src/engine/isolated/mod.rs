//! An engine whose calls each run in a child process of the same program. An abort can kill it;
//! when it crashes, or the kernel runs out of memory, it takes nothing else along.
//!
//! Here is the box's side; the child's is `worker::apart`.

mod child;
mod lines;
mod wire;

use serde::de::DeserializeOwned;

pub use wire::{Request, Said};

use self::child::Program;
use self::wire::{Call, Script, misunderstood};
use super::claim::Claims;
use super::filecoin::FilecoinEngine;
use super::simulated::SimulatedEngine;
use super::{Engine, EngineKind, Job, ParametersState, SealStatement, StoredCopy};
use crate::domain::failure::Failure;
use crate::domain::ids::{CommR, SealProof, SectorId};
use crate::domain::isolation::Isolation;
use crate::domain::phase::Phase;
use crate::domain::porep::SealKind;
use crate::domain::progress::Tell;
use crate::domain::sector::{Commitments, Ticket};
use crate::stop::Stop;

/// The engine that is isolated. It stays in the box for what is not an attempt: the parameters,
/// and the simulation's counting.
pub enum Inner {
    Filecoin(FilecoinEngine),
    Simulated(SimulatedEngine),
}

impl Inner {
    fn engine(&self) -> &dyn Engine {
        match self {
            Self::Filecoin(engine) => engine,
            Self::Simulated(engine) => engine,
        }
    }

    /// What the child has to be told to be this engine for one call.
    fn script(&self, call: &Call) -> Script {
        match self {
            Self::Filecoin(_) => Script::Filecoin,
            Self::Simulated(engine) => Script::Simulated(match call.phase() {
                Some(phase) => engine.part(phase, call.sector()),
                None => engine.no_part(),
            }),
        }
    }

    /// The child does not look at the parameters again: it trusts that the box has.
    fn await_parameters(&self, kind: SealKind) -> Result<(), Failure> {
        match self {
            Self::Filecoin(engine) => engine.await_parameters(kind),
            Self::Simulated(_) => Ok(()),
        }
    }
}

/// Isolates an engine.
pub struct Isolated {
    inner: Inner,
    claims: Claims,
    log: String,
    program: Program,
}

impl Isolated {
    /// `log`: the filter of the children's logs.
    pub fn new(inner: Inner, claims: Claims, log: String) -> Self {
        Self { inner, claims, log, program: Program::this() }
    }

    fn ask<T: DeserializeOwned>(
        &self,
        call: Call,
        stop: &Stop,
        tell: Tell<'_>,
    ) -> Result<T, Failure> {
        let request = Request {
            parent: std::process::id(),
            log: self.log.clone(),
            // The checks of P6 only read; P6 itself holds the claim.
            claim: call.phase().map(|_| self.claims.path(call.sector())),
            engine: self.inner.script(&call),
            call,
        };
        let answer = child::ask(&self.program, &request, stop, tell)?;
        serde_json::from_value(answer).map_err(|error| misunderstood(&error))
    }
}

impl Engine for Isolated {
    fn kind(&self) -> EngineKind {
        self.inner.engine().kind()
    }

    fn isolation(&self) -> Isolation {
        Isolation::Process
    }

    fn label(&self, job: &Job, ticket: &Ticket, tell: Tell<'_>) -> Result<(), Failure> {
        self.ask(Call::Label { job: job.clone(), ticket: *ticket }, &job.stop, tell)
    }

    fn replicate(&self, job: &Job, ticket: &Ticket) -> Result<Commitments, Failure> {
        self.ask(Call::Replicate { job: job.clone(), ticket: *ticket }, &job.stop, &|_| {})
    }

    fn prove_vanilla(&self, job: &Job, statement: &SealStatement) -> Result<(), Failure> {
        let call = Call::ProveVanilla { job: job.clone(), statement: statement.clone() };
        self.ask(call, &job.stop, &|_| {})
    }

    fn prove_snark(
        &self,
        job: &Job,
        statement: &SealStatement,
        tell: Tell<'_>,
    ) -> Result<SealProof, Failure> {
        self.inner.await_parameters(statement.kind())?;
        let call = Call::ProveSnark { job: job.clone(), statement: statement.clone() };
        self.ask(call, &job.stop, tell)
    }

    fn verify_seal(&self, statement: &SealStatement, proof: &SealProof) -> Result<bool, Failure> {
        self.inner.await_parameters(statement.kind())?;
        let call = Call::VerifySeal { statement: statement.clone(), proof: proof.clone() };
        self.ask(call, &Stop::default(), &|_| {})
    }

    fn prove_stored(&self, copy: &StoredCopy, comm_r: &CommR) -> Result<(), Failure> {
        let call = Call::ProveStored { copy: copy.clone(), comm_r: *comm_r };
        self.ask(call, &Stop::default(), &|_| {})
    }

    /// The storage's phases stay in the box: no call of the library, and their loops look for the
    /// order to stop by themselves.
    fn attend(&self, phase: Phase, sector: SectorId, stop: &Stop) -> Result<(), Failure> {
        self.inner.engine().attend(phase, sector, stop)
    }

    fn seal_proof_name(&self, kind: SealKind) -> &'static str {
        self.inner.engine().seal_proof_name(kind)
    }

    fn parameters(&self) -> ParametersState {
        self.inner.engine().parameters()
    }
}

#[cfg(test)]
mod tests;
