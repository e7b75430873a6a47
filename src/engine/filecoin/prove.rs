//! P3 and P4: the vanilla proofs and the SNARK; and the seal's verification.

use filecoin_proofs_api::RegisteredSealProof;
use filecoin_proofs_api::seal::{
    SealCommitPhase1Output, SealPreCommitPhase2Output, seal_commit_phase1, seal_commit_phase2,
    verify_seal,
};

use super::library;
use super::outputs::{self, Binding};
use super::{registered, snarks, srs};
use crate::domain::failure::{Class, Failure};
use crate::domain::ids::SealProof;
use crate::domain::porep::Porep;
use crate::domain::progress::Tell;
use crate::engine::{Job, SealStatement};
use crate::failpoint::die_at;

pub fn prove_vanilla(job: &Job, statement: &SealStatement) -> Result<(), Failure> {
    vanilla(job, statement).map(drop)
}

fn vanilla(job: &Job, statement: &SealStatement) -> Result<SealCommitPhase1Output, Failure> {
    let binding = Binding::of_statement(statement);
    let p2: SealPreCommitPhase2Output = outputs::require(&job.cache, outputs::P2, &binding)?;
    if library::commitments(p2.comm_d, p2.comm_r) != statement.commitments {
        return Err(Failure::new(
            Class::Sector,
            "the cache holds another replica than the one that was pre-committed",
            "see that the scratch disk is the one it was written to; if it is, abort the sector",
        )
        .at(outputs::path(&job.cache, outputs::P2)));
    }
    let output = seal_commit_phase1(
        &job.cache,
        &job.replica,
        statement.id.miner.prover_id(),
        library::sector_id(statement.id),
        statement.ticket.value.0,
        statement.seed_value().0,
        p2,
        &library::pieces(job.data, job.size),
    )
    .map_err(|error| {
        let failure =
            library::failed("proving the seed's challenges", &job.cache, &error, Class::Sector);
        outputs::suspect(&job.cache, &binding, &failure);
        failure
    })?;
    die_at("p3.proved");
    outputs::keep(&job.cache, outputs::C1, &binding, &output)?;
    die_at("p3.recorded");
    Ok(output)
}

/// The SNARK. The parameters are there.
pub fn prove_snark(
    job: &Job,
    statement: &SealStatement,
    tell: Tell<'_>,
) -> Result<SealProof, Failure> {
    let binding = Binding::of_statement(statement);
    if let Some(proof) = proof_of_earlier_attempt(job, statement, &binding)? {
        return Ok(proof);
    }
    let vanilla = vanilla_proofs(job, statement, &binding)?;
    die_at("p4.begun");
    let prover_id = statement.id.miner.prover_id();
    let sector = library::sector_id(statement.id);
    let made = snarks::watched(job.kind(), tell, || seal_commit_phase2(vanilla, prover_id, sector))
        .map_err(|error| library::failed("the SNARK", &job.cache, &error, Class::Transient))?;
    let proof = SealProof(made.proof);
    if !verify(statement, &proof)? {
        return Err(Failure::new(
            Class::Sector,
            "the new SNARK does not verify",
            "check memory and the Groth parameters (`sealbox params`), then retry",
        )
        .at(outputs::path(&job.cache, outputs::C1)));
    }
    die_at("p4.verified");
    outputs::keep(&job.cache, outputs::C2, &binding, &proof)?;
    die_at("p4.recorded");
    Ok(proof)
}

/// A proof that was finished but not recorded: good if it still proves this very statement.
fn proof_of_earlier_attempt(
    job: &Job,
    statement: &SealStatement,
    binding: &Binding,
) -> Result<Option<SealProof>, Failure> {
    match outputs::look_up::<SealProof>(&job.cache, outputs::C2, binding) {
        Ok(proof) if verify(statement, &proof)? => Ok(Some(proof)),
        Ok(_) | Err(_) => Ok(None),
    }
}

/// P3's output, or that of a second P3 if the file is lost or answers another seed: it costs
/// seconds, and what it is made from is still there.
fn vanilla_proofs(
    job: &Job,
    statement: &SealStatement,
    binding: &Binding,
) -> Result<SealCommitPhase1Output, Failure> {
    match outputs::look_up::<SealCommitPhase1Output>(&job.cache, outputs::C1, binding) {
        Ok(output) if answers(&output, statement) => Ok(output),
        Ok(_) => vanilla(job, statement),
        Err(unusable) => {
            tracing::warn!(sector = %job.id, reason = %unusable, "P3's output is made again");
            vanilla(job, statement)
        }
    }
}

fn answers(output: &SealCommitPhase1Output, statement: &SealStatement) -> bool {
    output.seed == statement.seed_value().0
        && output.ticket == statement.ticket.value.0
        && library::commitments(output.comm_d, output.comm_r) == statement.commitments
}

pub fn verify(statement: &SealStatement, proof: &SealProof) -> Result<bool, Failure> {
    let proof_type = registered::seal_proof(statement.kind());
    let snarks = proof_type.single_partition_proof_len() * usize::from(proof_type.partitions());
    // The library answers a proof of the wrong length with an error; the answer is no.
    let may_be = match statement.porep {
        Porep::Interactive | Porep::Synthetic => proof.0.len() == snarks,
        // All of them in one aggregate, whose length is the library's to know.
        Porep::NonInteractive => !proof.0.is_empty(),
    };
    if !may_be {
        return Ok(false);
    }
    let verified = verify_seal(
        proof_type,
        statement.commitments.comm_r.0.0,
        statement.commitments.comm_d.0.0,
        statement.id.miner.prover_id(),
        library::sector_id(statement.id),
        statement.ticket.value.0,
        statement.seed_value().0,
        &proof.0,
    );
    verified.or_else(|error| refused(statement, proof_type, &error))
}

/// Bytes that are no points of the curve are an error of the library's too: no proof, so the
/// answer is no. Only without the keys, whose digests were checked before, there is none.
fn refused(
    statement: &SealStatement,
    proof_type: RegisteredSealProof,
    error: &anyhow::Error,
) -> Result<bool, Failure> {
    let unchecked = |detail: String| {
        Failure::new(
            Class::Operator,
            "the seal proof could not be checked: a key cannot be read",
            "see that the parameters' directory is there, restart sealbox, then retry",
        )
        .detail(detail)
    };
    let key =
        proof_type.cache_verifying_key_path().map_err(|error| unchecked(format!("{error:#}")))?;
    let srs = match statement.porep {
        Porep::Interactive | Porep::Synthetic => None,
        Porep::NonInteractive => Some(srs::files().params),
    };
    for key in std::iter::once(key).chain(srs) {
        std::fs::File::open(&key).map_err(|io| unchecked(format!("{io}; {error:#}")).at(&key))?;
    }
    tracing::warn!(error = %format!("{error:#}"), "a seal proof is malformed");
    Ok(false)
}
