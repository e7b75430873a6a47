//! The Groth parameters of one sector size on disk, and how far they can be trusted.
//!
//! The proofs library writes its files under their final names, so a kill can leave a torn one
//! that looks finished. What was made here is therefore trusted only with a marker beside it,
//! written last and synced, that holds every file's size and BLAKE3. A file without a marker is
//! trusted only with the trusted set-up's digest. Anything else is set aside, never deleted.

use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use serde::{Deserialize, Serialize};
use storage_proofs_core::parameter_cache::{
    ParameterData, get_parameter_data_from_id, verify_production_entry,
};

use crate::domain::failure::{Class, Failure};
use crate::domain::ids::Bytes32;
use crate::domain::units::{SectorSize, Timestamp};
use crate::engine::files;

/// The three files that the proofs library keeps for a size, and the two that are ours.
#[derive(Debug, Clone)]
pub struct ParameterFiles {
    pub params: PathBuf,
    pub verifying_key: PathBuf,
    pub metadata: PathBuf,
    pub marker: PathBuf,
    pub lock: PathBuf,
}

/// What the files amount to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing is there.
    Absent,
    /// Made by sealbox, whole to the last byte.
    LabMade { bytes: u64 },
    /// The parameters are ours and whole; the small files that follow from them are not.
    LabMadeWithoutKeys { bytes: u64 },
    /// The trusted set-up's.
    Production { bytes: u64 },
    /// Something is there that nobody vouches for.
    Untrusted { file: PathBuf, why: &'static str },
}

/// See [`ParameterFiles::appearance`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Appearance {
    bytes: u64,
    modified: Option<SystemTime>,
}

/// Written last: what stands in it was whole and synced.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Marker {
    pub version: u32,
    /// For whoever finds the file: what these parameters are worth.
    pub note: String,
    pub sector_size: SectorSize,
    pub made_at: Timestamp,
    pub params: Digest,
    pub verifying_key: Digest,
    pub metadata: Digest,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Digest {
    pub bytes: u64,
    pub blake3: Bytes32,
}

const MARKER_VERSION: u32 = 1;
const NOTE: &str = "lab-made by sealbox: proofs made with these parameters prove nothing to \
                    anyone else";

impl ParameterFiles {
    /// The library names the files by the circuit; `params` is its name for the parameters.
    pub fn beside(params: PathBuf) -> Self {
        Self {
            verifying_key: params.with_extension("vk"),
            metadata: params.with_extension("meta"),
            marker: params.with_extension("sealbox.json"),
            lock: params.with_extension("sealbox.lock"),
            params,
        }
    }

    pub fn directory(&self) -> &Path {
        files::parent(&self.params)
    }

    /// How the parameters look from outside: two looks that differ have seen two files, or one
    /// that grows.
    pub fn appearance(&self) -> Option<Appearance> {
        let metadata = fs::metadata(&self.params).ok()?;
        Some(Appearance { bytes: metadata.len(), modified: metadata.modified().ok() })
    }

    /// Reads every byte of the parameters: about a second a gigabyte.
    pub fn inspect(&self) -> Result<Verdict, Failure> {
        match files::read_json::<Marker>(&self.marker) {
            Ok(marker) => self.inspect_marked(&marker),
            Err(files::Unreadable::Absent) => self.inspect_unmarked(),
            Err(files::Unreadable::Io(error)) => {
                Err(Failure::io("reading the parameters' marker", &self.marker, &error))
            }
            Err(files::Unreadable::Damaged(_)) => Ok(Verdict::Untrusted {
                file: self.marker.clone(),
                why: "its marker does not parse",
            }),
        }
    }

    fn inspect_marked(&self, marker: &Marker) -> Result<Verdict, Failure> {
        if marker.version != MARKER_VERSION || !marker.params.is_of(&self.params)? {
            let why = "it is not what its marker says";
            return Ok(Verdict::Untrusted { file: self.params.clone(), why });
        }
        let bytes = marker.params.bytes;
        let keys_whole = marker.verifying_key.is_of(&self.verifying_key)?
            && marker.metadata.is_of(&self.metadata)?;
        Ok(if keys_whole {
            Verdict::LabMade { bytes }
        } else {
            Verdict::LabMadeWithoutKeys { bytes }
        })
    }

    fn inspect_unmarked(&self) -> Result<Verdict, Failure> {
        let why = "sealbox did not finish making it, and it is not the trusted set-up's";
        let Some(bytes) = files::length(&self.params)? else {
            // A key without its parameters is from an attempt that ended early.
            for leftover in [&self.verifying_key, &self.metadata] {
                if files::length(leftover)?.is_some() {
                    return Ok(Verdict::Untrusted { file: leftover.clone(), why });
                }
            }
            return Ok(Verdict::Absent);
        };
        for file in [&self.params, &self.verifying_key] {
            if files::length(file)?.is_some() && !has_production_digest(file)? {
                return Ok(Verdict::Untrusted { file: file.clone(), why });
            }
        }
        Ok(Verdict::Production { bytes })
    }

    /// Renames whatever is there, so that nothing made from now on is mixed with it.
    /// Returns the new names.
    pub fn set_aside(&self, which: &[&Path], now: Timestamp) -> Result<Vec<PathBuf>, Failure> {
        let mut renamed = Vec::new();
        for file in which {
            let aside = files::with_suffix(file, &format!(".set-aside-{}", now.0));
            match fs::rename(file, &aside) {
                Ok(()) => renamed.push(aside),
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                Err(error) => {
                    return Err(Failure::io("setting aside untrusted parameters", file, &error));
                }
            }
        }
        files::sync_directory(self.directory())?;
        Ok(renamed)
    }

    /// The marker first: from then on nothing that is left vouches for the rest.
    pub fn all(&self) -> [&Path; 4] {
        [&self.marker, &self.params, &self.verifying_key, &self.metadata]
    }

    /// Vouches for the files as they are now. To be called when they are known to be whole.
    pub fn mark(&self, sector_size: SectorSize, now: Timestamp) -> Result<Marker, Failure> {
        for file in [&self.params, &self.verifying_key, &self.metadata] {
            files::sync_file(file)?;
        }
        files::sync_directory(self.directory())?;
        let marker = Marker {
            version: MARKER_VERSION,
            note: NOTE.to_owned(),
            sector_size,
            made_at: now,
            params: Digest::of(&self.params)?,
            verifying_key: Digest::of(&self.verifying_key)?,
            metadata: Digest::of(&self.metadata)?,
        };
        files::write_json(&self.marker, &marker)?;
        Ok(marker)
    }
}

/// One process at a time checks, makes or fetches the files of a circuit. The lock is the kernel's:
/// it ends with the process that holds it, however that ends. `waiting` is called if it is taken.
pub fn hold(lock: &Path, waiting: impl FnOnce()) -> Result<File, Failure> {
    let failed = |error: std::io::Error| Failure::io("locking", lock, &error);
    let opened =
        File::options().create(true).truncate(false).write(true).open(lock).map_err(failed)?;
    match opened.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            waiting();
            opened.lock().map_err(failed)?;
        }
        Err(TryLockError::Error(error)) => return Err(failed(error)),
    }
    Ok(opened)
}

impl Digest {
    pub fn of(path: &Path) -> Result<Self, Failure> {
        let failed = |error: std::io::Error| Failure::io("digesting the parameters", path, &error);
        let mut file = File::open(path).map_err(failed)?;
        let bytes = file.metadata().map_err(failed)?.len();
        let mut hasher = blake3::Hasher::new();
        hasher.update_reader(&mut file).map_err(failed)?;
        Ok(Self { bytes, blake3: Bytes32(*hasher.finalize().as_bytes()) })
    }

    /// Whether the file is there and has this size and digest.
    pub fn is_of(&self, path: &Path) -> Result<bool, Failure> {
        Ok(files::length(path)? == Some(self.bytes) && Self::of(path)? == *self)
    }
}

/// Whether the file has the digest that the proofs library carries for its name
/// (`storage_proofs_core::parameter_cache::PARAMETERS`).
fn has_production_digest(path: &Path) -> Result<bool, Failure> {
    has_digest_of(path, get_parameter_data_from_id)
}

/// As that, by another of the library's tables.
pub fn has_digest_of(
    path: &Path,
    table: fn(&str) -> Option<&ParameterData>,
) -> Result<bool, Failure> {
    use storage_proofs_core::error::Error;

    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    match verify_production_entry(path, name, table) {
        Ok(verified) => Ok(verified),
        Err(error) if matches!(error.downcast_ref(), Some(Error::InvalidParameters(_))) => {
            Ok(false)
        }
        Err(error) => Err(Failure::new(
            Class::Operator,
            "the parameters could not be read to check their digest",
            "see that the file can be read and its disk is sound, then retry",
        )
        .at(path)
        .detail(format!("{error:#}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(dir: &Path) -> ParameterFiles {
        let files = ParameterFiles::beside(dir.join("v28-some-circuit.params"));
        fs::write(&files.params, "parameters").unwrap();
        fs::write(&files.verifying_key, "key").unwrap();
        fs::write(&files.metadata, "{}").unwrap();
        files
    }

    fn marked(dir: &Path) -> ParameterFiles {
        let files = made(dir);
        files.mark(SectorSize::KiB2, Timestamp(1)).unwrap();
        files
    }

    #[test]
    fn an_empty_directory_holds_no_parameters() {
        let dir = tempfile::tempdir().unwrap();
        let files = ParameterFiles::beside(dir.path().join("v28-x.params"));
        assert_eq!(files.inspect().unwrap(), Verdict::Absent);
    }

    #[test]
    fn parameters_are_trusted_once_they_are_marked() {
        let dir = tempfile::tempdir().unwrap();
        assert!(matches!(made(dir.path()).inspect().unwrap(), Verdict::Untrusted { .. }));
        assert_eq!(marked(dir.path()).inspect().unwrap(), Verdict::LabMade { bytes: 10 });
    }

    #[test]
    fn a_torn_or_altered_file_loses_its_trust() {
        for contents in ["parameter", "paramexers", ""] {
            let dir = tempfile::tempdir().unwrap();
            let files = marked(dir.path());
            fs::write(&files.params, contents).unwrap();
            assert!(matches!(files.inspect().unwrap(), Verdict::Untrusted { .. }), "{contents}");
        }
    }

    #[test]
    fn a_lost_or_damaged_key_is_noticed_without_condemning_the_parameters() {
        let dir = tempfile::tempdir().unwrap();
        let files = marked(dir.path());
        fs::write(&files.verifying_key, "kex").unwrap();
        assert_eq!(files.inspect().unwrap(), Verdict::LabMadeWithoutKeys { bytes: 10 });
        fs::remove_file(&files.verifying_key).unwrap();
        assert_eq!(files.inspect().unwrap(), Verdict::LabMadeWithoutKeys { bytes: 10 });
    }

    #[test]
    fn leftovers_without_parameters_and_a_torn_marker_are_untrusted() {
        let dir = tempfile::tempdir().unwrap();
        let files = made(dir.path());
        fs::remove_file(&files.params).unwrap();
        assert!(matches!(files.inspect().unwrap(), Verdict::Untrusted { .. }));
        let dir = tempfile::tempdir().unwrap();
        let files = marked(dir.path());
        fs::write(&files.marker, "{\"vers").unwrap();
        assert!(matches!(files.inspect().unwrap(), Verdict::Untrusted { .. }));
    }

    #[test]
    fn setting_aside_keeps_every_byte_and_clears_every_name() {
        let dir = tempfile::tempdir().unwrap();
        let files = marked(dir.path());
        let aside = files.set_aside(&files.all(), Timestamp(7)).unwrap();
        assert_eq!(aside.len(), 4);
        assert_eq!(files.inspect().unwrap(), Verdict::Absent);
        let kept = files::with_suffix(&files.params, ".set-aside-7");
        assert_eq!(fs::read_to_string(kept).unwrap(), "parameters");
        assert!(files.set_aside(&files.all(), Timestamp(8)).unwrap().is_empty());
    }

    #[test]
    fn a_file_that_only_has_a_production_name_is_not_trusted() {
        let (name, _) = storage_proofs_core::parameter_cache::PARAMETERS
            .iter()
            .find(|(name, _)| name.ends_with(".params"))
            .unwrap();
        let dir = tempfile::tempdir().unwrap();
        let files = ParameterFiles::beside(dir.path().join(name));
        fs::write(&files.params, "not the trusted set-up's").unwrap();
        assert!(matches!(files.inspect().unwrap(), Verdict::Untrusted { .. }));
    }
}
