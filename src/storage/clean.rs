//! P6: deleting what a sector holds of the scratch, and nothing before it may be deleted.
//!
//! Deleting takes a [`Permit`]. There are two ways to one: a [`ProvenCopy`], which only a proof of
//! the stored copy makes, or the reason why the sector was given up. "Clean before proof" does not
//! compile:
//!
//! ```compile_fail,E0451
//! use sealbox::storage::clean::ProvenCopy;
//! # fn forge(root: sealbox::domain::layout::StorageRoot, id: sealbox::domain::ids::SectorId) {
//! let forged = ProvenCopy { root, id };
//! # }
//! ```

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::manifest::{Manifest, Progress, check_copy};
use super::rate::RateLimit;
use super::transfer;
use crate::domain::failure::{Class, Failure};
use crate::domain::ids::{CommR, SectorId};
use crate::domain::layout::{Scratch, StorageRoot, trash_of};
use crate::domain::sector::{GiveUp, StoredAt};
use crate::durable::sync_dir;
use crate::failpoint::die_at;

/// A stored copy that was proven good in this process, just now.
#[derive(Debug)]
pub struct ProvenCopy {
    root: StorageRoot,
    id: SectorId,
}

impl ProvenCopy {
    /// Proves a stored copy. All of it has to hold, because each part misses what another finds:
    /// every file's BLAKE3 is the manifest's, and the manifest's the history's; `prove_stored`
    /// (given the stored cache directory and replica): `p_aux` gives comm_r and a vanilla PoSt
    /// proof can be made; `verify_seal`: the seal proof is true.
    ///
    /// # Errors
    /// Those of [`check_copy`] and of the two closures; sector, if `verify_seal` says false.
    pub fn prove(
        id: SectorId,
        stored: &StoredAt,
        limit: &RateLimit,
        progress: Progress<'_>,
        prove_stored: impl FnOnce(&Path, &Path) -> Result<(), Failure>,
        verify_seal: impl FnOnce() -> Result<bool, Failure>,
    ) -> Result<Self, Failure> {
        let root = StorageRoot::new(&stored.root);
        check_copy(&root, id, stored.manifest, limit, progress)?;
        prove_stored(&root.cache_dir(id), &root.replica(id))?;
        if !verify_seal()? {
            let what = "the seal proof does not verify";
            let mend = "nothing was deleted: see that the parameters are those that the proof was made \
                        with (`sealbox params`), then retry";
            return Err(Failure::new(Class::Sector, what, mend).at(root.replica(id)));
        }
        Ok(Self { root, id })
    }

    /// Whether the copy is still where it was proven.
    fn is_there(&self) -> bool {
        self.root.manifest(self.id).is_file() && self.root.replica(self.id).is_file()
    }
}

/// Leave to delete one sector's files.
#[derive(Debug)]
pub struct Permit {
    id: SectorId,
    ground: Ground,
}

#[derive(Debug)]
enum Ground {
    StoredCopyProven(ProvenCopy),
    GivenUp(String),
}

impl Permit {
    pub fn proven(copy: ProvenCopy) -> Self {
        Self { id: copy.id, ground: Ground::StoredCopyProven(copy) }
    }

    /// The reason is the one in the sector's history.
    pub fn given_up(id: SectorId, because: &GiveUp) -> Self {
        let reason = match because {
            GiveUp::Chain { failure } => {
                format!("given up: the chain refused the pre-commit: {}", failure.what)
            }
            GiveUp::Operator { who } => format!("given up by {who}"),
        };
        Self { id, ground: Ground::GivenUp(reason) }
    }

    pub fn sector(&self) -> SectorId {
        self.id
    }

    fn reason(&self) -> String {
        match &self.ground {
            Ground::StoredCopyProven(copy) => {
                format!("stored copy proven in {}", copy.root.path().display())
            }
            Ground::GivenUp(reason) => reason.clone(),
        }
    }
}

/// A file or directory that is being deleted, as the sector's history tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deleted {
    pub path: PathBuf,
    pub bytes: u64,
    pub reason: String,
}

/// Told of each deletion while the files are still there under another name. Its error stops the
/// deletion: what is not on record is not deleted.
pub type Record<'a> = &'a mut dyn FnMut(&Deleted) -> Result<(), Failure>;

/// Deletes what a sector holds of the scratch: its cache directory and its replica.
///
/// Each is renamed out of the way, told to `record`, and removed. What is gone already is fine;
/// what an interrupted clean left under its other name is removed too (and told again: a deletion
/// may be on record twice, never not at all). Symbolic links are removed, not followed.
///
/// # Errors
/// - operator: the scratch is not there (a missing mount is not an empty one); it is the same
///   place as the storage that holds the proven copy, in which case everything is put back.
/// - `record`'s; I/O errors by their kind.
pub fn clean(
    scratch: &Scratch,
    permit: &Permit,
    record: Record<'_>,
) -> Result<Vec<Deleted>, Failure> {
    let id = permit.sector();
    require_scratch(scratch)?;
    if let Ground::StoredCopyProven(copy) = &permit.ground {
        transfer::refuse_same_place(scratch, &copy.root)?;
    }
    let reason = permit.reason();
    let mut deleted = Vec::new();
    let targets = [scratch.cache_dir(id), scratch.replica(id)];
    for target in &targets {
        // The proof just read the copy under its own name: this is not the copy.
        deleted.extend(remove_trash(target, &reason, record)?);
    }
    for target in &targets {
        set_aside(target)?;
    }
    if let Ground::StoredCopyProven(copy) = &permit.ground
        && !copy.is_there()
    {
        targets.iter().try_for_each(|target| put_back(target))?;
        return Err(transfer::same_place(copy.root.path()));
    }
    for target in &targets {
        deleted.extend(remove_trash(target, &reason, record)?);
    }
    die_at("p6.cleaned");
    Ok(deleted)
}

/// Removes the copy of a sector that was given up from a storage, finished or not. A finished one
/// (with a manifest) has to be of this `comm_r`; another, and files that are not from a copy of
/// ours, are not touched.
///
/// # Errors
/// Operator: the manifest there cannot be read. `record`'s; I/O errors by their kind.
pub fn discard_copy(
    root: &StorageRoot,
    id: SectorId,
    comm_r: Option<CommR>,
    because: &GiveUp,
    record: Record<'_>,
) -> Result<Vec<Deleted>, Failure> {
    let is_ours = match Manifest::read(&root.manifest(id))? {
        Some(manifest) => Some(manifest.comm_r) == comm_r,
        // The mark goes with its directory, which an interrupted call may have moved already.
        None => root.copying_mark(id).is_file() || trash_of(&root.cache_dir(id)).exists(),
    };
    if !is_ours {
        return Ok(Vec::new());
    }
    let reason = Permit::given_up(id, because).reason();
    let mut targets = if root.cache_dir(id).is_dir() { transfer::parts(root, id)? } else { vec![] };
    // The directory last: mark or manifest in it says until then whose these files are.
    targets.extend([root.replica(id), root.cache_dir(id)]);
    let mut deleted = Vec::new();
    for target in &targets {
        deleted.extend(remove_trash(target, &reason, record)?);
        set_aside(target)?;
        deleted.extend(remove_trash(target, &reason, record)?);
    }
    Ok(deleted)
}

fn require_scratch(scratch: &Scratch) -> Result<(), Failure> {
    for dir in scratch.parents() {
        if !dir.is_dir() {
            let what = "the scratch is not there: a directory of it is missing";
            let mend = "mount it (`findmnt` says what is mounted), then retry";
            return Err(Failure::new(Class::Operator, what, mend).at(dir));
        }
    }
    Ok(())
}

fn set_aside(target: &Path) -> Result<(), Failure> {
    rename_if_there(target, &trash_of(target))
}

fn put_back(target: &Path) -> Result<(), Failure> {
    rename_if_there(&trash_of(target), target)
}

fn rename_if_there(from: &Path, to: &Path) -> Result<(), Failure> {
    match fs::rename(from, to) {
        Ok(()) => {
            die_at("p6.renamed");
            sync_parent(from)?;
            die_at("p6.rename_synced");
            Ok(())
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(Failure::io("moving out of the way what is to be deleted", from, &error)),
    }
}

fn remove_trash(
    target: &Path,
    reason: &str,
    record: Record<'_>,
) -> Result<Option<Deleted>, Failure> {
    let trash = trash_of(target);
    let failed = |error: io::Error| Failure::io("deleting", &trash, &error);
    let found = match trash.symlink_metadata() {
        Ok(found) => found,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    let bytes = fs_extra::dir::get_size(&trash).map_err(|error| failed(plain(error)))?;
    let deleted = Deleted { path: target.to_path_buf(), bytes, reason: reason.to_owned() };
    record(&deleted)?;
    die_at("p6.deletion_recorded");
    if found.is_dir() {
        fs_extra::dir::remove(&trash).map_err(|error| failed(plain(error)))?;
    } else {
        // Not fs_extra's: it asks whether the target of a link exists, and leaves a dangling one.
        fs::remove_file(&trash).map_err(failed)?;
    }
    die_at("p6.removed");
    sync_parent(&trash)?;
    die_at("p6.removal_synced");
    Ok(Some(deleted))
}

fn sync_parent(path: &Path) -> Result<(), Failure> {
    let Some(parent) = path.parent() else { return Ok(()) };
    sync_dir(parent).map_err(|error| Failure::io("syncing a deletion", parent, &error))
}

/// The I/O error in `fs_extra`'s own.
fn plain(error: fs_extra::error::Error) -> io::Error {
    use fs_extra::error::ErrorKind;
    let kind = match error.kind {
        ErrorKind::Io(error) => return error,
        ErrorKind::NotFound => io::ErrorKind::NotFound,
        ErrorKind::PermissionDenied => io::ErrorKind::PermissionDenied,
        ErrorKind::AlreadyExists => io::ErrorKind::AlreadyExists,
        ErrorKind::Interrupted
        | ErrorKind::InvalidFolder
        | ErrorKind::InvalidFile
        | ErrorKind::InvalidFileName
        | ErrorKind::InvalidPath
        | ErrorKind::StripPrefix(_)
        | ErrorKind::OsString(_)
        | ErrorKind::Other => io::ErrorKind::Other,
    };
    io::Error::new(kind, error.to_string())
}

#[cfg(test)]
#[path = "clean_tests.rs"]
mod tests;
