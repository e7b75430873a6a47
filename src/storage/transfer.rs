//! P5: copying a finished sector to storage, so that what is there afterwards can be relied on.
//!
//! Every file is written under a temporary name, synced, read back from the disk and compared by
//! BLAKE3, and only then given its name. The manifest comes last. An attempt that was interrupted
//! anywhere leaves a mark, and the next one starts the copy again.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::disk;
use super::manifest::{Manifest, ManifestFile, Progress};
use super::pump::{PumpError, Pumped, pump, pump_around_holes, read_back};
use super::rate::RateLimit;
use crate::domain::failure::{Class, Failure};
use crate::domain::ids::{CommR, SectorId};
use crate::domain::layout::{Scratch, StorageRoot, is_part, part_of, stored_files};
use crate::domain::sector::StoredAt;
use crate::domain::units::{ByteSize, SectorSize};
use crate::durable::{sync_dir, write_atomic};
use crate::failpoint::die_at;
use crate::stop::Stop;

/// The sector that is to be stored.
#[derive(Debug, Clone, Copy)]
pub struct ToStore {
    pub id: SectorId,
    pub size: SectorSize,
    pub comm_r: CommR,
    /// Made by the simulated engine. Then no size is expected, and holes are copied as holes.
    pub simulated: bool,
}

/// Copies a sector to storage. May be made again after an interruption at any moment.
///
/// `progress` counts every byte twice, once written and once read back. Both take their turn at
/// the rate limit, because both cross the network. `stop` ends it between two pieces.
///
/// # Errors
/// - space: it does not fit.
/// - operator: the storage (or its `sealed` or `cache`) is not there; it is the scratch itself
///   under another name; it has files of this sector that are not from a copy of ours, or a
///   finished copy with another comm_r; no permission; a source file is missing.
/// - sector: a source file has the wrong size.
/// - transient: what was read back is not what was written; it was stopped; other I/O errors.
///
/// What was copied under temporary names is removed again, unless the process dies; of a copy that
/// met a full disk, all that this attempt has copied.
pub fn copy_sector(
    scratch: &Scratch,
    root: &StorageRoot,
    sector: &ToStore,
    limit: &RateLimit,
    progress: Progress<'_>,
    stop: &Stop,
) -> Result<StoredAt, Failure> {
    let configured = root.path().to_str().ok_or_else(|| {
        let mend = "use a storage path in UTF-8";
        Failure::new(Class::Operator, "the storage path is not text", mend).at(root.path())
    })?;
    require_storage(root)?;
    refuse_same_place(scratch, root)?;
    let files = files_to_copy(scratch, sector)?;
    let total: u64 = files.iter().map(|file| file.bytes).sum();
    // Before the claim: a mark on a root that is full would draw the next attempt to it again.
    require_space(root, files.iter().map(|file| file.taken).sum())?;
    claim_destination(root, sector, &files)?;

    let holes = sector.simulated;
    let mut copy = Copy { scratch, root, limit, holes, progress, stop, done: 0, total: 2 * total };
    let mut copied = Vec::new();
    for file in &files {
        match copy.file(file) {
            Ok(file) => copied.push(file),
            Err(failure) => {
                if failure.class == Class::Space {
                    make_room_again(root, sector.id, &copied);
                }
                return Err(failure);
            }
        }
    }
    sync_parents(root, sector.id)?;
    die_at("p5.files_named");

    let manifest = Manifest::new(sector.id, sector.size, sector.comm_r, sector.simulated, copied);
    let (text, digest) = manifest.encode();
    let path = root.manifest(sector.id);
    write_atomic(&path, &text)
        .map_err(|error| Failure::io("writing the manifest of the stored copy", &path, &error))?;
    die_at("p5.manifest_written");
    // From here on the manifest says whose files these are.
    remove_if_there(&root.copying_mark(sector.id))?;
    die_at("p5.mark_removed");
    Ok(StoredAt { root: configured.to_owned(), bytes: manifest.bytes(), manifest: digest })
}

/// What a copy of this sector takes.
///
/// # Errors
/// As [`copy_sector`]'s, of the source files.
pub fn bytes_to_copy(scratch: &Scratch, sector: &ToStore) -> Result<u64, Failure> {
    Ok(files_to_copy(scratch, sector)?.iter().map(|file| file.bytes).sum())
}

/// A file as it is to be copied: the same relative path on both sides.
struct Source {
    relative: String,
    bytes: u64,
    /// What its copy takes of the disk: a simulated one may have holes.
    taken: u64,
    mode: u32,
}

/// `stat` counts in these.
const BLOCK: u64 = 512;

fn files_to_copy(scratch: &Scratch, sector: &ToStore) -> Result<Vec<Source>, Failure> {
    let mut files = Vec::new();
    for expected in stored_files(sector.id, sector.size) {
        let path = scratch.root().join(&expected.relative);
        let found = fs::metadata(&path)
            .map_err(|error| Failure::io("looking for the sealed sector", &path, &error))?;
        if let Some(bytes) = expected.bytes
            && !sector.simulated
            && found.len() != bytes
        {
            let what = "a file of the sealed sector has the wrong size";
            let mend = "redo the sector, or give it up";
            let detail = format!("{} bytes instead of {}", found.len(), bytes);
            return Err(Failure::new(Class::Sector, what, mend).at(&path).detail(detail));
        }
        let (bytes, mode) = (found.len(), found.mode());
        let taken = if sector.simulated { bytes.min(found.blocks() * BLOCK) } else { bytes };
        files.push(Source { relative: expected.relative, bytes, taken, mode });
    }
    Ok(files)
}

fn require_storage(root: &StorageRoot) -> Result<(), Failure> {
    let [cache, sealed] = root.parents();
    for dir in [root.path().to_path_buf(), cache, sealed] {
        let is_there = fs::metadata(&dir).is_ok_and(|found| found.is_dir());
        if !is_there {
            let what = "the storage is not there: a directory of it is missing";
            let mend = "mount it (`findmnt` says what is mounted), or, if it is a new storage, \
                        restart sealbox to have it prepared; then retry";
            return Err(Failure::new(Class::Operator, what, mend).at(dir));
        }
    }
    Ok(())
}

/// A sector "copied" onto itself would be deleted with its scratch. Directories are compared by
/// device and inode, which sees through links and bind mounts; each file looks once more, for what
/// only a file can show (one export mounted twice).
pub(super) fn refuse_same_place(scratch: &Scratch, root: &StorageRoot) -> Result<(), Failure> {
    let identity = |path: &Path| fs::metadata(path).map(|found| (found.dev(), found.ino())).ok();
    let pairs = scratch.parents().into_iter().zip(root.parents());
    let roots = (scratch.root().to_path_buf(), root.path().to_path_buf());
    for (ours, theirs) in pairs.chain([roots]) {
        let here = identity(&ours);
        if here.is_some() && here == identity(&theirs) {
            return Err(same_place(&theirs));
        }
    }
    Ok(())
}

pub(super) fn same_place(path: &Path) -> Failure {
    let what = "scratch and storage are the same directory under two names";
    let mend = "give `[[storage]]` a path of its own and restart sealbox; nothing was deleted";
    Failure::new(Class::Operator, what, mend).at(path)
}

/// Makes sure that what is about to be replaced is ours to replace, and says that it is.
fn claim_destination(
    root: &StorageRoot,
    sector: &ToStore,
    files: &[Source],
) -> Result<(), Failure> {
    let id = sector.id;
    let cache = root.cache_dir(id);
    match fs::create_dir(&cache) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(Failure::io("making the cache directory", &cache, &error)),
    }
    die_at("p5.directory_made");
    let move_away = "move that copy away (its files in `sealed` and `cache`), then retry";
    match Manifest::read(&root.manifest(id))? {
        Some(there) if there.comm_r != sector.comm_r || there.simulated != sector.simulated => {
            let what = "the storage already has another copy of this sector";
            let detail = format!("its comm_r is {}; ours is {}", there.comm_r.0, sector.comm_r.0);
            let failure = Failure::new(Class::Operator, what, move_away);
            return Err(failure.at(root.manifest(id)).detail(detail));
        }
        Some(_) => {}
        None if root.copying_mark(id).exists() => {}
        None => {
            let mut there = files.iter().map(|file| root.path().join(&file.relative));
            if let Some(foreign) = there.find(|path| path.symlink_metadata().is_ok()) {
                let what = "the storage has a file of this sector that sealbox did not put there";
                return Err(Failure::new(Class::Operator, what, move_away).at(foreign));
            }
        }
    }
    let mark = root.copying_mark(id);
    write_atomic(&mark, b"sealbox is copying this sector; until it is done, this is no copy\n")
        .map_err(|error| Failure::io("marking the copy as unfinished", &mark, &error))?;
    die_at("p5.marked");
    drop_parts(root, id)?;
    die_at("p5.rest_dropped");
    Ok(())
}

/// Removes what interrupted attempts left under temporary names.
pub(super) fn drop_parts(root: &StorageRoot, id: SectorId) -> Result<(), Failure> {
    for part in parts(root, id)? {
        remove_if_there(&part)?;
        die_at("p5.one_dropped");
    }
    Ok(())
}

/// The temporary files of a copy that are there.
pub(super) fn parts(root: &StorageRoot, id: SectorId) -> Result<Vec<PathBuf>, Failure> {
    let cache = root.cache_dir(id);
    let failed = |error: io::Error| Failure::io("listing the stored copy", &cache, &error);
    let replica = part_of(&root.replica(id));
    let mut parts = Vec::new();
    if replica.symlink_metadata().is_ok() {
        parts.push(replica);
    }
    for entry in fs::read_dir(&cache).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if is_part(&path) {
            parts.push(path);
        }
    }
    Ok(parts)
}

fn remove_if_there(path: &Path) -> Result<(), Failure> {
    match fs::remove_file(path) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(Failure::io("removing a temporary file", path, &error)),
    }
}

/// Asked before the first byte: an hour of copying into a disk that is too small helps nobody.
fn require_space(root: &StorageRoot, bytes: u64) -> Result<(), Failure> {
    let available = disk::available(root.path())?;
    if available.0 >= bytes {
        return Ok(());
    }
    let what = "no space left on the storage";
    let mend = "free space on it, or add a `[[storage]]`: sealbox goes on by itself";
    let detail = format!("{} available; the copy needs {}", available, ByteSize(bytes));
    Err(Failure::new(Class::Space, what, mend).at(root.path()).detail(detail))
}

/// It is made anew, perhaps elsewhere: what is there would stand in its own way. The mark stays, for
/// what a still earlier attempt may have left. The failure that is returned says more than one from
/// here would.
fn make_room_again(root: &StorageRoot, id: SectorId, copied: &[ManifestFile]) {
    if root.manifest(id).exists() {
        return;
    }
    for file in copied {
        let path = root.path().join(&file.path);
        match fs::remove_file(&path) {
            Ok(()) => tracing::info!(path = %path.display(), "of a copy without room, taken back"),
            Err(error) => tracing::warn!(path = %path.display(), %error, "left of that copy"),
        }
    }
}

fn sync_parents(root: &StorageRoot, id: SectorId) -> Result<(), Failure> {
    let [cache, sealed] = root.parents();
    for dir in [root.cache_dir(id), cache, sealed] {
        sync_dir(&dir).map_err(|error| Failure::io("syncing the storage", &dir, &error))?;
    }
    Ok(())
}

struct Copy<'a> {
    scratch: &'a Scratch,
    root: &'a StorageRoot,
    limit: &'a RateLimit,
    /// Whether holes are kept. Of a real sector every byte is read: some file systems have told of
    /// holes where data was, and the digest would be that of the hole.
    holes: bool,
    progress: Progress<'a>,
    stop: &'a Stop,
    done: u64,
    total: u64,
}

impl Copy<'_> {
    fn file(&mut self, file: &Source) -> Result<ManifestFile, Failure> {
        let from = self.scratch.root().join(&file.relative);
        let to = self.root.path().join(&file.relative);
        let part = part_of(&to);
        let placed = self.write(&from, &part, file).and_then(|written| {
            die_at("p5.file_synced");
            self.compare(&part, written)?;
            die_at("p5.file_compared");
            fs::rename(&part, &to)
                .map_err(|error| Failure::io("naming the stored file", &to, &error))?;
            die_at("p5.file_renamed");
            Ok(written)
        });
        if placed.is_err() {
            // The failure that is returned says more than one from here would; and the next
            // attempt drops what stays.
            let _ = fs::remove_file(&part);
        }
        let Pumped { bytes, blake3 } = placed?;
        Ok(ManifestFile { path: file.relative.clone(), bytes, blake3 })
    }

    /// Writes, sets the source's mode, and syncs before closing: on NFS an error may come as late
    /// as that, and a close cannot report it.
    fn write(&mut self, from: &Path, part: &Path, file: &Source) -> Result<Pumped, Failure> {
        let unreadable = |error: io::Error| Failure::io("reading the sealed sector", from, &error);
        let unwritable = |error: io::Error| Failure::io("copying to storage", part, &error);
        let mut source = File::open(from).map_err(unreadable)?;
        let mut target = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(part)
            .map_err(unwritable)?;
        die_at("p5.file_begun");
        if part_of(from).symlink_metadata().is_ok() {
            return Err(same_place(part));
        }
        let (limit, holes) = (self.limit, self.holes);
        let moved = &mut |bytes| self.moved(bytes);
        let pumped = match holes {
            true => pump_around_holes(&mut source, &mut target, limit, moved),
            false => pump(&mut source, &mut target, limit, moved),
        };
        let written = match pumped {
            Ok(written) => written,
            Err(PumpError::Read(error)) => return Err(unreadable(error)),
            Err(PumpError::Write(error)) => return Err(unwritable(error)),
        };
        if written.bytes != file.bytes {
            let what = "a file of the sealed sector changed its size while it was copied";
            let mend = "sealbox tries again by itself; see what else writes to the scratch";
            return Err(Failure::new(Class::Transient, what, mend).at(from));
        }
        die_at("p5.file_written");
        let mode = std::os::unix::fs::PermissionsExt::from_mode(file.mode & 0o7777);
        target.set_permissions(mode).map_err(unwritable)?;
        target.sync_all().map_err(unwritable)?;
        Ok(written)
    }

    fn moved(&mut self, bytes: u64) -> io::Result<()> {
        self.done += bytes;
        (self.progress)(self.done, self.total);
        self.stop.check()
    }

    fn compare(&mut self, part: &Path, written: Pumped) -> Result<(), Failure> {
        let found = read_back(part, self.limit, &mut |n| self.moved(n))?;
        if found == written {
            return Ok(());
        }
        let what = "what was read back from storage is not what was written";
        let mend = "sealbox copies again by itself; if it stays, look at that disk (`dmesg`)";
        let detail = format!(
            "written: {} bytes, BLAKE3 {}; read: {} bytes, BLAKE3 {}",
            written.bytes, written.blake3, found.bytes, found.blake3
        );
        Err(Failure::new(Class::Transient, what, mend).at(part).detail(detail))
    }
}

#[cfg(test)]
#[path = "transfer_tests.rs"]
mod tests;
