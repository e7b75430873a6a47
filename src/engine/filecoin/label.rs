//! P1: the SDR layers and tree-d.
//!
//! The library resumes by layer: it keeps every layer file of the right size, and makes the
//! others. It does not ask whose layer that is, nor whether it was ever synced, nor whether the
//! layer before it had to be made again; so all of that is settled here before it looks.

use std::fs::File;
use std::path::Path;

use filecoin_proofs_api::seal::{SealPreCommitPhase1Output, seal_pre_commit_phase1};
use serde::{Deserialize, Serialize};

use super::outputs::{self, Binding};
use super::recorder::Recorder;
use super::{Hooks, layers, library, registered, tree_d};
use crate::domain::failure::{Class, Failure};
use crate::domain::layout::{CacheFile, is_of_sealing};
use crate::domain::progress::{Progress, Tell};
use crate::domain::sector::{Data, Ticket};
use crate::engine::{Job, files};
use crate::failpoint::die_at;

/// Layers that were not recorded are worth keeping after a crash of the process, and not after a
/// crash of the machine.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Labelling {
    boot: Option<String>,
}

pub fn label(job: &Job, ticket: &Ticket, hooks: &Hooks, tell: Tell<'_>) -> Result<(), Failure> {
    let binding = Binding::of(job, ticket);
    if is_done(job, &binding)? {
        tracing::info!(sector = %job.id, "the layers are there already");
        return Ok(());
    }
    // What is to be begun clears the mark away.
    let doubtful = outputs::is_suspect(&job.cache);
    let mut recorder = begin(job, &binding, tell)?;
    match job.data {
        // The library sets the replica's length itself; it only wants the file to be there.
        Data::CommittedCapacity => create_empty(&job.replica)?,
    }
    die_at("p1.replica_created");
    let linked = tree_d::link(job, doubtful)?;
    let output = recorder
        .beside(hooks, tell, || {
            if linked {
                return tree_d::label_beside(job, ticket);
            }
            seal_pre_commit_phase1(
                registered::seal_proof(job.kind()),
                &job.cache,
                Path::new("/dev/zero"),
                &job.replica,
                job.id.miner.prover_id(),
                library::sector_id(job.id),
                ticket.value.0,
                &library::pieces(job.data, job.size),
            )
        })
        .map_err(|error| library::failed("labelling", &job.cache, &error, Class::Transient))?;
    die_at("p1.labelled");
    tell(Progress::Layers { done: job.size.layers(), of: job.size.layers() });
    recorder.finish()?;
    die_at("p1.layers_recorded");
    check_sizes(job, &labelled_files(job))?;
    sync(job, &[CacheFile::TreeD])?;
    die_at("p1.tree_d_synced");
    if !linked {
        tree_d::keep(job)?;
    }
    outputs::keep(&job.cache, outputs::P1, &binding, &output)?;
    die_at("p1.recorded");
    Ok(())
}

/// The layers and tree-d.
pub fn labelled_files(job: &Job) -> Vec<CacheFile> {
    let mut made = CacheFile::layers(job.size);
    made.push(CacheFile::TreeD);
    made
}

/// A P1 that ended well, and that nothing has cast doubt on since.
fn is_done(job: &Job, binding: &Binding) -> Result<bool, Failure> {
    let output =
        outputs::look_up::<SealPreCommitPhase1Output>(&job.cache, outputs::P1, binding).is_ok();
    Ok(output && !outputs::is_suspect(&job.cache) && check_sizes(job, &labelled_files(job)).is_ok())
}

/// Leaves in the cache what this attempt may build on, and nothing else.
fn begin<'a>(job: &'a Job, binding: &'a Binding, tell: Tell<'_>) -> Result<Recorder<'a>, Failure> {
    let now = Labelling { boot: layers::boot_id() };
    let before = outputs::look_up::<Labelling>(&job.cache, outputs::LABELLING, binding).ok();
    let same_boot = now.boot.is_some() && before.as_ref() == Some(&now);
    let suspect = outputs::is_suspect(&job.cache);
    let mut records = layers::recorded(job, binding);
    let whole = layers::whole(job, &records, same_boot && !suspect, tell)?;
    // A damaged layer explains why a later phase failed, and those before it are good. Where every
    // layer is what was recorded, it was wrong when it was made, and nobody knows which.
    let kept = if suspect && !whole.damaged { 0 } else { whole.layers };
    die_at("p1.layers_compared");

    records.layers.retain(|&layer, _| layer <= kept);
    records.boot.clone_from(&now.boot);
    clear(&job.cache, &names_to_keep(job, kept))?;
    die_at("p1.rest_dropped");
    layers::keep(job, binding, &records)?;
    die_at("p1.kept_recorded");
    outputs::keep(&job.cache, outputs::LABELLING, binding, &now)?;
    die_at("p1.start_recorded");
    tracing::info!(kept, of = job.size.layers(), same_boot, suspect, "layers of earlier attempts");
    Ok(Recorder::new(job, binding, records))
}

/// The notes stay with the layers they vouch for: a crash before they are written anew must not
/// cost the layers.
fn names_to_keep(job: &Job, layers: u32) -> Vec<String> {
    if layers == 0 {
        return Vec::new();
    }
    let notes = [outputs::LABELLING, outputs::LAYERS].map(str::to_owned);
    (1..=layers).map(|layer| CacheFile::Layer(layer).name(job.size)).chain(notes).collect()
}

/// Removes whatever an earlier attempt left, but for `keep`.
fn clear(cache: &Path, keep: &[String]) -> Result<(), Failure> {
    for name in files::names_in(cache)? {
        let ours = is_of_sealing(&name) || files::is_torn_write(&name);
        if ours && !keep.contains(&name) {
            tracing::info!(file = %cache.join(&name).display(), "dropped: of an earlier attempt");
            files::remove_if_there(&cache.join(&name))?;
            die_at("p1.one_dropped");
        }
    }
    // So that no power cut brings back a layer beside the note that vouches for it.
    files::sync_directory(cache)
}

fn create_empty(replica: &Path) -> Result<(), Failure> {
    File::create(replica)
        .map(drop)
        .map_err(|error| Failure::io("creating the replica's file", replica, &error))
}

/// Whether each file is there with its full size.
pub fn check_sizes(job: &Job, expected: &[CacheFile]) -> Result<(), Failure> {
    for file in expected {
        let Some(bytes) = file.bytes(job.size) else { continue };
        let path = job.cache.join(file.name(job.size));
        let found = files::length(&path)?;
        if found != Some(bytes) {
            let found = found.map_or("missing".to_owned(), |bytes| format!("{bytes} bytes"));
            return Err(Failure::new(
                Class::Sector,
                "a file of the sector's cache is missing or has the wrong size",
                "see that the scratch disk is the one it was written to; if it is, redo the \
                 sector from P1",
            )
            .detail(format!("expected {bytes} bytes, found: {found}"))
            .at(path));
        }
    }
    Ok(())
}

pub fn sync(job: &Job, made: &[CacheFile]) -> Result<(), Failure> {
    for file in made {
        files::sync_file(&job.cache.join(file.name(job.size)))?;
    }
    files::sync_directory(&job.cache)
}
