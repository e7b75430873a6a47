//! The manifest: what a stored copy consists of, with the digest of every file. It lies beside the
//! files, and its own digest is in the sector's history, so that neither can drift from the other.

use std::fs::{self, File};
use std::io;
use std::path::{Component, Path};

use rustix::fs::{Advice, fadvise};
use serde::{Deserialize, Serialize};

use super::pump::read_back;
use super::rate::RateLimit;
use crate::domain::failure::{Class, Failure};
use crate::domain::ids::{Bytes32, CommR, SectorId};
use crate::domain::layout::{StorageRoot, StoredFile, stored_files};
use crate::domain::units::SectorSize;

const FORMAT: u32 = 1;

/// Told how far it is: bytes done, of bytes in all.
pub type Progress<'a> = &'a dyn Fn(u64, u64);

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    format: u32,
    pub sector: SectorId,
    pub size: SectorSize,
    pub comm_r: CommR,
    /// Made by the simulated engine: no sector at all.
    pub simulated: bool,
    pub files: Vec<ManifestFile>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ManifestFile {
    /// From the storage root: `sealed/s-t01000-7`.
    pub path: String,
    pub bytes: u64,
    pub blake3: Bytes32,
}

impl Manifest {
    pub fn new(
        sector: SectorId,
        size: SectorSize,
        comm_r: CommR,
        simulated: bool,
        files: Vec<ManifestFile>,
    ) -> Self {
        Self { format: FORMAT, sector, size, comm_r, simulated, files }
    }

    /// All files together; the manifest itself is not counted.
    pub fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.bytes).sum()
    }

    /// The file's content, and the digest that names it.
    pub fn encode(&self) -> (Vec<u8>, Bytes32) {
        let mut text = serde_json::to_vec_pretty(self).expect("plain fields always become JSON");
        text.push(b'\n');
        let digest = digest(&text);
        (text, digest)
    }

    /// Reads a manifest as it lies there, whatever its digest. `Ok(None)`: there is none.
    pub fn read(path: &Path) -> Result<Option<Self>, Failure> {
        match fs::read(path) {
            Ok(text) => Self::decode(&text, path).map(Some),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Failure::io("reading the manifest of a stored copy", path, &error)),
        }
    }

    fn decode(text: &[u8], path: &Path) -> Result<Self, Failure> {
        let unreadable = |why: String| {
            let mend = "move this stored copy away (its files in `sealed` and `cache`), then retry";
            Failure::new(Class::Operator, "the manifest of a stored copy is damaged", mend)
                .at(path)
                .detail(why)
        };
        let manifest: Self =
            serde_json::from_slice(text).map_err(|error| unreadable(error.to_string()))?;
        if manifest.format != FORMAT {
            let found = manifest.format;
            return Err(unreadable(format!("format {found}; this sealbox reads {FORMAT}")));
        }
        match manifest.files.iter().find(|file| !stays_inside(&file.path)) {
            None => Ok(manifest),
            Some(file) => Err(unreadable(format!("`{}` leads out of the storage root", file.path))),
        }
    }

    /// Whether it lists what a copy of this sector consists of. What a simulated one consists of
    /// is the simulation's affair.
    fn is_complete(&self) -> bool {
        let listed = |wanted: &StoredFile| {
            self.files.iter().any(|f| {
                f.path == wanted.relative && wanted.bytes.is_none_or(|bytes| f.bytes == bytes)
            })
        };
        self.simulated || stored_files(self.sector, self.size).iter().all(listed)
    }
}

fn stays_inside(path: &str) -> bool {
    !path.is_empty() && Path::new(path).components().all(|c| matches!(c, Component::Normal(_)))
}

fn digest(text: &[u8]) -> Bytes32 {
    Bytes32(blake3::hash(text).into())
}

/// Reads every file of a stored copy and compares it with the manifest, and the manifest with the
/// digest in the sector's history. Takes its turn at the rate limit: storage is over the network.
///
/// A failure (class sector: it can be copied again) names the file at fault. This is one of the three parts of the proof
/// that a stored copy is good; see [`super::clean::ProvenCopy`] for all of it.
pub fn check_copy(
    root: &StorageRoot,
    id: SectorId,
    expected: Bytes32,
    limit: &RateLimit,
    progress: Progress<'_>,
) -> Result<Manifest, Failure> {
    let manifest = expected_manifest(root, id, expected)?;
    let total = manifest.bytes();
    let mut done = 0;
    for file in &manifest.files {
        let path = root.path().join(&file.path);
        // The manifest was just read beside it: the disk is there, the file is not.
        if matches!(path.try_exists(), Ok(false)) {
            return Err(damaged("a file of the stored copy is missing", &path));
        }
        let found = read_back(&path, limit, &mut |bytes| {
            done += bytes;
            progress(done, total);
            Ok(())
        })?;
        if found.bytes != file.bytes {
            return Err(wrong_size(found.bytes, file.bytes, &path));
        }
        if found.blake3 != file.blake3 {
            let what = "a file of the stored copy is not what was stored";
            let detail = format!("BLAKE3 {}; the manifest says {}", found.blake3, file.blake3);
            return Err(damaged(what, &path).detail(detail));
        }
    }
    Ok(manifest)
}

/// Looks whether every file of a stored copy is there with its size, and the manifest with its
/// digest. Reads none of the others, but has the system forget what it holds of them in memory, so
/// that whoever reads them next reads the disk.
///
/// A failure (class sector, or an I/O error's own) names the file at fault.
pub fn check_sizes(root: &StorageRoot, id: SectorId, expected: Bytes32) -> Result<(), Failure> {
    let manifest = expected_manifest(root, id, expected)?;
    for file in &manifest.files {
        let path = root.path().join(&file.path);
        let looking = |error: io::Error| match error.kind() {
            io::ErrorKind::NotFound => damaged("a file of the stored copy is missing", &path),
            _ => Failure::io("looking at the stored copy", &path, &error),
        };
        let opened = File::open(&path).map_err(looking)?;
        let found = opened.metadata().map_err(looking)?.len();
        if found != file.bytes {
            return Err(wrong_size(found, file.bytes, &path));
        }
        // Advice is all it is: a file system that does not take it is read as it comes.
        let _ = fadvise(&opened, 0, None, Advice::DontNeed);
    }
    Ok(())
}

fn wrong_size(found: u64, expected: u64, path: &Path) -> Failure {
    let what = "a file of the stored copy has the wrong size";
    damaged(what, path).detail(format!("{found} bytes; the manifest says {expected}"))
}

fn expected_manifest(
    root: &StorageRoot,
    id: SectorId,
    expected: Bytes32,
) -> Result<Manifest, Failure> {
    let path = root.manifest(id);
    let is_there = root.parents().iter().all(|parent| parent.is_dir());
    let text = fs::read(&path).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound if is_there => {
            damaged("the manifest of a stored copy is missing", &path)
        }
        _ => Failure::io("reading the manifest of a stored copy", &path, &error),
    })?;
    let found = digest(&text);
    if found != expected {
        let what = "the manifest of a stored copy is not the one that was written";
        let detail = format!("BLAKE3 {found}; the sector's history says {expected}");
        return Err(damaged(what, &path).detail(detail));
    }
    let manifest = Manifest::decode(&text, &path)?;
    if manifest.sector != id || !manifest.is_complete() {
        return Err(damaged("the manifest of a stored copy is not this sector's", &path));
    }
    Ok(manifest)
}

fn damaged(what: &str, path: &Path) -> Failure {
    let mend =
        "nothing was deleted: look at that disk (`dmesg`), then copy the sector again (retry P5)";
    Failure::new(Class::Sector, what, mend).at(path)
}
