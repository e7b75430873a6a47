//! The engine: what turns a sector's data into a replica and a proof.
//!
//! `filecoin` is the product; it is the only module that knows the proofs libraries. `simulated`
//! has the same trait, and marks whatever it makes. `isolated` has either of them do its work in
//! processes of their own.

pub mod claim;
pub mod filecoin;
mod files;
pub mod isolated;
pub mod simulated;

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::domain::failure::Failure;
use crate::domain::ids::{Bytes32, CommR, SealProof, SectorId};
use crate::domain::isolation::Isolation;
use crate::domain::phase::Phase;
use crate::domain::porep::{Porep, SealKind};
use crate::domain::progress::Tell;
use crate::domain::sector::{Commitments, Data, Seed, Ticket};
use crate::domain::units::{SectorSize, Timestamp};
use crate::stop::Stop;

/// What every phase has to know of the sector it works on.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Job {
    pub id: SectorId,
    pub size: SectorSize,
    pub porep: Porep,
    pub data: Data,
    /// The sector's cache directory on scratch; it exists.
    pub cache: PathBuf,
    /// Where files that sectors of a size share are kept, on the same file system as the cache; made
    /// when there is something to keep.
    pub shared: PathBuf,
    /// The replica's file on scratch; its directory exists, the file may not.
    pub replica: PathBuf,
    /// Ends the attempt early, where the engine can.
    #[serde(skip)]
    pub stop: Stop,
}

/// A copy of a finished sector, wherever it lies.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct StoredCopy {
    pub id: SectorId,
    pub size: SectorSize,
    pub cache: PathBuf,
    pub replica: PathBuf,
}

impl Job {
    pub fn kind(&self) -> SealKind {
        SealKind::new(self.size, self.porep)
    }
}

/// All that a seal proof is checked against.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SealStatement {
    pub id: SectorId,
    pub size: SectorSize,
    pub porep: Porep,
    pub ticket: Ticket,
    /// None with non-interactive PoRep.
    pub seed: Option<Seed>,
    pub commitments: Commitments,
}

impl SealStatement {
    pub fn kind(&self) -> SealKind {
        SealKind::new(self.size, self.porep)
    }

    /// The seed as the proofs library takes it. Where there is none it uses none, and C2 refuses
    /// zeros all the same (`filecoin_proofs::seal_commit_phase2_circuit_proofs`): any other value.
    pub fn seed_value(&self) -> Bytes32 {
        self.seed.map_or(Bytes32([1; 32]), |seed| seed.value)
    }
}

/// One attempt at a phase is one call. Every call may be made again after it was interrupted at
/// any point; none trusts what a call before it left half-done. Whatever a call leaves behind for
/// a later phase is synced when it returns. Calls block for as long as the phase takes (hours at
/// 32 GiB) and may panic: callers run them on threads of their own, inside `catch_unwind`.
pub trait Engine: Send + Sync + 'static {
    fn kind(&self) -> EngineKind;

    /// Where its calls run.
    fn isolation(&self) -> Isolation {
        Isolation::Thread
    }

    /// P1. Labels the layers. Every layer is there with its full size, and synced, afterwards.
    /// Layers of an interrupted call are kept as far as they can be trusted. `tell` is told of
    /// every layer.
    fn label(&self, job: &Job, ticket: &Ticket, tell: Tell<'_>) -> Result<(), Failure>;

    /// P2. Builds the trees and encodes the replica, always from one made anew from the sector's
    /// data. Checks the result with C1 under random seeds before it returns. With synthetic PoRep
    /// the files that [`layout::dropped_with_p2`](crate::domain::layout::dropped_with_p2) names are
    /// not needed any more then: the caller drops them. A call that finds that an earlier one came
    /// so far checks what is left, and builds nothing.
    fn replicate(&self, job: &Job, ticket: &Ticket) -> Result<Commitments, Failure>;

    /// P3. Writes the vanilla proofs for this seed; they have been verified.
    fn prove_vanilla(&self, job: &Job, statement: &SealStatement) -> Result<(), Failure>;

    /// P4. The SNARK, verified. Waits for the parameters if they are still being made. `tell` is
    /// told of every step that is known of; nothing if an earlier call made the proof.
    fn prove_snark(
        &self,
        job: &Job,
        statement: &SealStatement,
        tell: Tell<'_>,
    ) -> Result<SealProof, Failure>;

    /// Whether this proof proves this statement.
    fn verify_seal(&self, statement: &SealStatement, proof: &SealProof) -> Result<bool, Failure>;

    /// The parts of a stored copy's proof that need the proofs library: its `p_aux` gives comm_r,
    /// and it yields a vanilla PoSt proof. (Digests are the storage's part.)
    fn prove_stored(&self, copy: &StoredCopy, comm_r: &CommR) -> Result<(), Failure>;

    /// Called before P5 and P6, which are the storage's work: what the engine has to add to it.
    /// The real one adds nothing; the simulated one takes its time and fails here.
    fn attend(&self, _phase: Phase, _sector: SectorId, _stop: &Stop) -> Result<(), Failure> {
        Ok(())
    }

    /// The registered proof's name, as in `StackedDrg2KiBV1_1`.
    fn seal_proof_name(&self, kind: SealKind) -> &'static str;

    /// Where the Groth parameters for this size stand. Cheap.
    fn parameters(&self) -> ParametersState;
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EngineKind {
    Filecoin,
    Simulated,
}

/// Where the Groth parameters stand.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum ParametersState {
    /// The simulated engine needs none; nor does a process that is told that they are there.
    NotNeeded,
    /// Being looked for or checked.
    Checking,
    /// Made in this lab: they prove nothing to anyone else.
    LabMade { file: PathBuf, bytes: u64 },
    /// The trusted set-up's, with the digest that the proofs library carries.
    Production { file: PathBuf, bytes: u64 },
    /// Being made now. `step` says what is being done, in words.
    Making { step: String, since: Timestamp },
    /// Not there and not being made: C2 cannot run.
    Missing { failure: Failure },
    /// Not there, and to be brought by a person: C2 goes on by itself when they are.
    Awaited { failure: Failure },
}
