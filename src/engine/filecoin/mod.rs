//! The real engine: the only module that knows the proofs libraries.

pub mod fetch;
mod lab_made;
mod label;
mod layers;
mod library;
mod outputs;
mod parameter_files;
mod params;
mod prove;
mod recorder;
mod registered;
mod replicate;
pub mod settings;
mod snarks;
mod srs;
mod stored;
mod tree_d;
mod trusted;

#[cfg(test)]
mod real_copy;
#[cfg(test)]
mod real_layers;
#[cfg(test)]
mod real_layers_8_mib;
#[cfg(test)]
mod real_porep;
#[cfg(test)]
mod real_sector;
#[cfg(test)]
mod real_tree_d;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use params::Parameters;
pub use params::{Found, find_parameters};
pub use srs::find as find_srs;
pub use trusted::{TrustedFile, trusted_set_up};

use super::{Engine, EngineKind, Job, ParametersState, SealStatement, StoredCopy};
use crate::domain::failure::Failure;
use crate::domain::ids::{CommR, SealProof};
use crate::domain::porep::{Porep, SealKind};
use crate::domain::progress::Tell;
use crate::domain::sector::{Commitments, Ticket};
use crate::domain::units::SectorSize;

/// What the engine calls back.
#[derive(Clone)]
pub struct Hooks {
    /// Called after each change of the parameters' state, on whatever thread changed it. It only
    /// wakes somebody: the engine may not be asked anything from within it.
    pub parameters_changed: Arc<dyn Fn() + Send + Sync>,
    /// Called first on each thread that the engine starts: where the caller lowers its priority
    /// and keeps it off the reserved cores. The libraries' thread pools inherit both from
    /// whichever thread uses them first, and that may be one of these.
    pub thread_started: Arc<dyn Fn() + Send + Sync>,
}

impl Default for Hooks {
    fn default() -> Self {
        Self { parameters_changed: Arc::new(|| {}), thread_started: Arc::new(|| {}) }
    }
}

/// Seals with `filecoin-proofs-api`.
pub struct FilecoinEngine {
    hooks: Hooks,
    /// None: another process has seen to the parameters.
    own: Option<Own>,
}

/// The parameters that this process sees to.
struct Own {
    /// What the box is configured for. Sectors of another kind still want to be finished.
    configured: SealKind,
    /// By size, and whether proofs are aggregated.
    all: Mutex<BTreeMap<(SectorSize, bool), Arc<Parameters>>>,
}

impl FilecoinEngine {
    /// For a box that seals sectors of this kind: its parameters are looked for, and if need be
    /// made, from now on. [`settings`] must have been made before.
    pub fn new(kind: SealKind, hooks: Hooks) -> Self {
        let engine = Self { hooks, own: Some(Own { configured: kind, all: Mutex::default() }) };
        engine.parameters_of(kind);
        engine
    }

    /// For one attempt in a process of its own: the box has waited for the parameters, and neither
    /// looks at them nor makes any here.
    pub fn with_ready_parameters() -> Self {
        Self { hooks: Hooks::default(), own: None }
    }

    /// Blocks until the parameters for this kind can be used.
    ///
    /// # Errors
    /// Why they cannot.
    pub fn await_parameters(&self, kind: SealKind) -> Result<(), Failure> {
        self.parameters_of(kind).map_or(Ok(()), |parameters| parameters.wait())
    }

    fn parameters_of(&self, kind: SealKind) -> Option<Arc<Parameters>> {
        let aggregated = match kind.porep {
            Porep::Interactive | Porep::Synthetic => false,
            Porep::NonInteractive => true,
        };
        let mut all = self.own.as_ref()?.all.lock().unwrap_or_else(PoisonError::into_inner);
        let new = || Parameters::new(kind.size, aggregated, self.hooks.clone());
        Some(Arc::clone(all.entry((kind.size, aggregated)).or_insert_with(new)))
    }
}

impl Engine for FilecoinEngine {
    fn kind(&self) -> EngineKind {
        EngineKind::Filecoin
    }

    fn label(&self, job: &Job, ticket: &Ticket, tell: Tell<'_>) -> Result<(), Failure> {
        label::label(job, ticket, &self.hooks, tell)
    }

    fn replicate(&self, job: &Job, ticket: &Ticket) -> Result<Commitments, Failure> {
        replicate::replicate(job, ticket)
    }

    fn prove_vanilla(&self, job: &Job, statement: &SealStatement) -> Result<(), Failure> {
        prove::prove_vanilla(job, statement)
    }

    fn prove_snark(
        &self,
        job: &Job,
        statement: &SealStatement,
        tell: Tell<'_>,
    ) -> Result<SealProof, Failure> {
        self.await_parameters(statement.kind())?;
        prove::prove_snark(job, statement, tell)
    }

    fn verify_seal(&self, statement: &SealStatement, proof: &SealProof) -> Result<bool, Failure> {
        // The verifying key is one of the parameters' files.
        self.await_parameters(statement.kind())?;
        prove::verify(statement, proof)
    }

    fn prove_stored(&self, copy: &StoredCopy, comm_r: &CommR) -> Result<(), Failure> {
        stored::prove(copy, comm_r)
    }

    fn seal_proof_name(&self, kind: SealKind) -> &'static str {
        registered::named_seal_proof(kind).1
    }

    fn parameters(&self) -> ParametersState {
        let parameters = self.own.as_ref().and_then(|own| self.parameters_of(own.configured));
        parameters.map_or(ParametersState::NotNeeded, |parameters| parameters.state())
    }
}
