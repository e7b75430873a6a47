//! P2: the trees and the replica.

use std::fs::File;

use filecoin_proofs_api::seal::{
    SealPreCommitPhase1Output, SealPreCommitPhase2Output, generate_synth_proofs,
    seal_commit_phase1, seal_pre_commit_phase2,
};
use rand_08::RngCore;
use rand_08::rngs::OsRng;

use super::label::{check_sizes, labelled_files, sync};
use super::outputs::{self, Binding};
use super::{layers, library};
use crate::domain::failure::{Class, Failure};
use crate::domain::layout::{CacheFile, cache_files_after_p2};
use crate::domain::porep::Porep;
use crate::domain::sector::{Commitments, Data, Ticket};
use crate::engine::{Job, files};
use crate::failpoint::die_at;

/// Random seeds that a fresh replica has to answer before it goes on chain.
const CHECKS: u32 = 3;

pub fn replicate(job: &Job, ticket: &Ticket) -> Result<Commitments, Failure> {
    let binding = Binding::of(job, ticket);
    if let Some(commitments) = answered_before(job, ticket, &binding)? {
        return Ok(commitments);
    }
    let p1: SealPreCommitPhase1Output = outputs::require(&job.cache, outputs::P1, &binding)?;
    check_sizes(job, &labelled_files(job))?;
    layers::check_before_use(job, &binding)?;
    die_at("p2.layers_checked");
    drop_earlier_attempt(job)?;
    rebuild_replica(job)?;

    let suspected = |failure: Failure| {
        outputs::suspect(&job.cache, &binding, &failure);
        failure
    };
    let p2 = seal_pre_commit_phase2(p1, &job.cache, &job.replica)
        .map_err(|error| library::failed("replicating", &job.cache, &error, Class::Sector))
        .map_err(suspected)?;
    die_at("p2.replicated");
    check_sizes(job, &replicated_files(job))?;
    sync(job, &replicated_files(job))?;
    die_at("p2.trees_synced");
    files::sync_file(&job.replica)?;
    die_at("p2.replica_synced");
    files::sync_directory(files::parent(&job.replica))?;
    die_at("p2.replica_named");
    match job.porep {
        Porep::Interactive | Porep::NonInteractive => {}
        Porep::Synthetic => answer_all_challenges(job, ticket, &p2).map_err(suspected)?,
    }
    check_by_random_seeds(job, ticket, &p2).map_err(suspected)?;
    die_at("p2.checked");

    let commitments = library::commitments(p2.comm_d, p2.comm_r);
    outputs::keep(&job.cache, outputs::P2, &binding, &p2)?;
    die_at("p2.recorded");
    outputs::clear_suspicion(&job.cache)?;
    die_at("p2.suspicion_cleared");
    Ok(commitments)
}

/// With synthetic PoRep an earlier attempt may have come to its end, and some of what it stands on
/// may be dropped by now: then what is left has to answer again, and nothing is built.
fn answered_before(
    job: &Job,
    ticket: &Ticket,
    binding: &Binding,
) -> Result<Option<Commitments>, Failure> {
    match job.porep {
        Porep::Interactive | Porep::NonInteractive => return Ok(None),
        Porep::Synthetic => {}
    }
    let kept = outputs::look_up::<SealPreCommitPhase2Output>(&job.cache, outputs::P2, binding);
    let Ok(p2) = kept else { return Ok(None) };
    if outputs::is_suspect(&job.cache) {
        return Ok(None);
    }
    let checked = check_sizes(job, &cache_files_after_p2(job.kind()))
        .and_then(|()| check_by_random_seeds(job, ticket, &p2));
    if let Err(failure) = checked {
        // From the layers, if they are still there; from P1, if not.
        outputs::suspect(&job.cache, binding, &failure);
        return Err(failure);
    }
    tracing::info!(sector = %job.id, "the synthetic proofs of an earlier attempt answer");
    Ok(Some(library::commitments(p2.comm_d, p2.comm_r)))
}

/// The proofs that stand for layers and trees from here on. The library verifies each.
fn answer_all_challenges(
    job: &Job,
    ticket: &Ticket,
    p2: &SealPreCommitPhase2Output,
) -> Result<(), Failure> {
    generate_synth_proofs(
        &job.cache,
        &job.replica,
        job.id.miner.prover_id(),
        library::sector_id(job.id),
        ticket.value.0,
        p2.clone(),
        &library::pieces(job.data, job.size),
    )
    .map_err(|error| {
        library::failed("answering the synthetic challenges", &job.cache, &error, Class::Sector)
    })?;
    die_at("p2.challenges_answered");
    check_sizes(job, &[CacheFile::SyntheticProofs])?;
    sync(job, &[CacheFile::SyntheticProofs])?;
    die_at("p2.answers_synced");
    Ok(())
}

/// The trees, `p_aux` and `t_aux`.
fn replicated_files(job: &Job) -> Vec<CacheFile> {
    let mut made = CacheFile::trees_c(job.size);
    made.extend(CacheFile::trees_r_last(job.size));
    made.extend([CacheFile::PAux, CacheFile::TAux]);
    made
}

/// What followed from an earlier replica is worthless beside the next one.
fn drop_earlier_attempt(job: &Job) -> Result<(), Failure> {
    let trees = replicated_files(job).into_iter().map(|file| file.name(job.size));
    let rest = [outputs::P2, outputs::C1, outputs::C2].map(str::to_owned);
    let answers = CacheFile::SyntheticProofs.name(job.size);
    // P2's output first: it vouches for the rest.
    for name in rest.into_iter().chain(trees).chain([answers]) {
        files::remove_if_there(&job.cache.join(name))?;
        die_at("p2.one_dropped");
    }
    files::sync_directory(&job.cache)?;
    die_at("p2.rest_dropped");
    Ok(())
}

/// The library encodes the replica in place: on one that is half encoded it would encode twice,
/// and return a comm_r that no proof will ever match.
fn rebuild_replica(job: &Job) -> Result<(), Failure> {
    match job.data {
        Data::CommittedCapacity => {}
    }
    let failed = |error: std::io::Error| {
        Failure::io("rebuilding the replica from the sector's data", &job.replica, &error)
    };
    // Truncated to nothing and grown again: zeros, whatever was there.
    let file = File::create(&job.replica).map_err(failed)?;
    die_at("p2.replica_emptied");
    allocate(&file, job.size.bytes()).map_err(failed)?;
    die_at("p2.replica_grown");
    file.sync_all().map_err(failed)?;
    die_at("p2.blank_synced");
    files::sync_directory(files::parent(&job.replica))?;
    die_at("p2.blank_named");
    Ok(())
}

/// With its blocks, where the file system can: the library writes the replica through a memory
/// map, where a full disk is not an error but a signal that ends the process.
fn allocate(file: &File, bytes: u64) -> std::io::Result<()> {
    use rustix::fs::{FallocateFlags, fallocate};
    use rustix::io::Errno;
    match fallocate(file, FallocateFlags::empty(), 0, bytes) {
        Ok(()) => Ok(()),
        Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL) => file.set_len(bytes),
        Err(error) => Err(error.into()),
    }
}

/// C1 verifies its own vanilla proofs: a bad replica, tree or layer is found here, and not after
/// the pre-commit has been paid for. With synthetic PoRep it reads them from the file that stands
/// for layers and trees.
fn check_by_random_seeds(
    job: &Job,
    ticket: &Ticket,
    p2: &SealPreCommitPhase2Output,
) -> Result<(), Failure> {
    let checks = match job.porep {
        Porep::Interactive | Porep::Synthetic => CHECKS,
        // The challenges are what they are: all of them are answered at once.
        Porep::NonInteractive => 1,
    };
    for _ in 0..checks {
        let mut seed = [0; 32];
        OsRng.fill_bytes(&mut seed);
        seal_commit_phase1(
            &job.cache,
            &job.replica,
            job.id.miner.prover_id(),
            library::sector_id(job.id),
            ticket.value.0,
            seed,
            p2.clone(),
            &library::pieces(job.data, job.size),
        )
        .map_err(|error| {
            library::failed("checking the new replica", &job.cache, &error, Class::Sector)
        })?;
    }
    Ok(())
}
