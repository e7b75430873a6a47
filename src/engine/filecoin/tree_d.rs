//! tree-d of committed capacity is the same file for every sector of a size. It is made once, by
//! the first sector's P1, and every later sector has a hard link to it: at 32 GiB that is 64 GiB
//! less to write, to hash and to hold for each sector in flight.
//!
//! The kept file is only a name of its own: a sector that links it keeps it alive by itself, and P6
//! takes its link away like any other file. What cannot be linked (another file system, too many
//! links) is made the ordinary way.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use filecoin_hashers::poseidon::PoseidonHasher;
use filecoin_proofs_api::Commitment;
use filecoin_proofs_api::seal::{SealPreCommitPhase1Output, sdr};
use serde::{Deserialize, Serialize};
use serde_json::json;
use storage_proofs_porep::stacked::generate_replica_id;

use super::{layers, library, registered};
use crate::domain::failure::Failure;
use crate::domain::ids::Bytes32;
use crate::domain::layout::{self, CacheFile};
use crate::domain::sector::Ticket;
use crate::engine::{Job, files};
use crate::failpoint::die_at;

/// Vouches for the kept file: written before that has its name.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Note {
    version: u32,
    bytes: u64,
    blake3: Bytes32,
    /// Since when it is trusted without being read again.
    boot: Option<String>,
}

const VERSION: u32 = 1;

/// Where the tree of a job's size is kept, and where the job has it.
struct Places {
    kept: PathBuf,
    note: PathBuf,
    own: PathBuf,
    /// A name for a link that is about to take another's place.
    passing: PathBuf,
}

impl Places {
    fn of(job: &Job) -> Self {
        let kept = job.shared.join(layout::shared_tree_d(job.size));
        let own = job.cache.join(CacheFile::TreeD.name(job.size));
        let passing = files::with_suffix(&kept, &format!(".{}.tmp", job.id));
        Self { note: kept.with_extension("json"), kept, own, passing }
    }
}

/// Gives the sector a link to the kept tree, if there is one that can be trusted. `doubtful`: a
/// later phase failed with it, so it is read again, whatever is noted.
pub fn link(job: &Job, doubtful: bool) -> Result<bool, Failure> {
    let places = Places::of(job);
    if !is_good(job, &places, doubtful)? {
        return Ok(false);
    }
    files::remove_if_there(&places.own)?;
    if let Err(error) = fs::hard_link(&places.kept, &places.own) {
        tracing::info!(%error, kept = %places.kept.display(), "tree-d cannot be linked: it is made");
        return Ok(false);
    }
    files::sync_directory(&job.cache)?;
    die_at("p1.tree_d_linked");
    Ok(true)
}

/// The tree that the library made for this sector serves the next ones; or, if another sector was
/// first, this one takes a link to that one's and gives its own space back.
pub fn keep(job: &Job) -> Result<(), Failure> {
    let places = Places::of(job);
    if is_good(job, &places, false)? {
        return share(&places.kept, &places.own, &places.passing).map(drop);
    }
    make_directory(&job.shared)?;
    let failed = |error: io::Error| Failure::io("reading tree-d", &places.own, &error);
    let mut own = File::open(&places.own).map_err(failed)?;
    let (bytes, blake3) = files::digest(&mut own, &mut |_| {}).map_err(failed)?;
    let note = Note { version: VERSION, bytes, blake3, boot: layers::boot_id() };
    files::write_json(&places.note, &note)?;
    die_at("p1.tree_d_noted");
    if share(&places.own, &places.kept, &places.passing)? {
        tracing::info!(kept = %places.kept.display(), "later sectors link this tree-d");
    }
    die_at("p1.tree_d_shared");
    Ok(())
}

/// `to` becomes another name of `from`. False where this file system does not do that.
fn share(from: &Path, to: &Path, passing: &Path) -> Result<bool, Failure> {
    if same_file(from, to) {
        return Ok(true);
    }
    files::remove_if_there(passing)?;
    if let Err(error) = fs::hard_link(from, passing) {
        tracing::info!(%error, from = %from.display(), "tree-d cannot be linked: each has its own");
        return Ok(false);
    }
    fs::rename(passing, to).map_err(|error| Failure::io("naming a link to tree-d", to, &error))?;
    files::sync_directory(files::parent(to))?;
    Ok(true)
}

fn same_file(one: &Path, other: &Path) -> bool {
    let inode = |path: &Path| fs::metadata(path).ok().map(|found| (found.dev(), found.ino()));
    inode(one).is_some_and(|one| inode(other) == Some(one))
}

fn make_directory(shared: &Path) -> Result<(), Failure> {
    match fs::create_dir(shared) {
        Ok(()) => files::sync_directory(files::parent(shared)),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(Failure::io("making the directory of shared files", shared, &error)),
    }
}

/// Whether the kept tree can be built upon: there with its full length and the right root; and, if
/// the machine was started since or somebody doubts it, with every byte that it was noted with.
/// What cannot is dropped: it is made again, and sectors that link it keep theirs.
fn is_good(job: &Job, places: &Places, doubtful: bool) -> Result<bool, Failure> {
    let Ok(mut note) = files::read_json::<Note>(&places.note) else { return Ok(false) };
    let expected = CacheFile::TreeD.bytes(job.size);
    let length = files::length(&places.kept)?;
    let Some(length) = length else { return Ok(false) };
    let failed = |error: io::Error| Failure::io("reading the kept tree-d", &places.kept, &error);
    let mut file = File::open(&places.kept).map_err(failed)?;
    let whole = note.version == VERSION && Some(length) == expected && note.bytes == length;
    let mut good = whole && root(&mut file).map_err(failed)? == library::comm_d_of_zeros(job.size);
    let boot = layers::boot_id();
    if good && (doubtful || boot.is_none() || note.boot != boot) {
        file.rewind().map_err(failed)?;
        let (_, blake3) = files::digest(&mut file, &mut |_| {}).map_err(failed)?;
        good = blake3 == note.blake3;
        if good {
            note.boot = boot;
            files::write_json(&places.note, &note)?;
        }
    }
    if !good {
        tracing::warn!(kept = %places.kept.display(), "dropped: not the tree-d that was noted");
        files::remove_if_there(&places.kept)?;
        files::sync_directory(&job.shared)?;
    }
    Ok(good)
}

/// The last node of the file.
fn root(file: &mut File) -> io::Result<Commitment> {
    let mut root = Commitment::default();
    file.seek(SeekFrom::End(-(root.len() as i64)))?;
    file.read_exact(&mut root)?;
    Ok(root)
}

/// P1 beside a tree-d that is there: labels, and puts the output together that
/// `seal_pre_commit_phase1` would have returned, in the form that it is serialised in (a test
/// compares the two).
///
/// # Errors
/// As the library; and if the cache's path is not text.
pub fn label_beside(job: &Job, ticket: &Ticket) -> anyhow::Result<SealPreCommitPhase1Output> {
    let proof = registered::seal_proof(job.kind());
    let comm_d = library::comm_d_of_zeros(job.size);
    let replica_id = generate_replica_id::<PoseidonHasher, _>(
        &job.id.miner.prover_id(),
        job.id.number.0,
        &ticket.value.0,
        comm_d,
        &proof.as_v1_config().porep_id,
    );
    sdr(proof, &job.cache, replica_id)?;
    let nodes = job.size.bytes() / 32;
    let store = |id: String, size: u64| json!({ "path": job.cache, "id": id, "size": size, "rows_to_discard": 0 });
    let layers: Vec<_> =
        (1..=job.size.layers()).map(|layer| store(format!("layer-{layer}"), nodes)).collect();
    let shape = format!("StackedDrg{}V1", job.size.name());
    Ok(serde_json::from_value(json!({
        "registered_proof": proof,
        "labels": { shape: { "labels": layers, "_h": null } },
        "config": store("tree-d".to_owned(), 2 * nodes - 1),
        "comm_d": comm_d,
    }))?)
}
