//! Files that are either there in full or not there at all.

use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::domain::failure::{Class, Failure};
use crate::domain::ids::Bytes32;
use crate::durable;

/// Writes a file so that a kill or a power cut at any moment leaves the old one or the new one.
pub fn write_atomically(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    durable::write_atomic(path, bytes).map_err(|error| Failure::io("writing a file", path, &error))
}

pub fn write_json<T: Serialize>(path: &Path, value: &T) -> Result<(), Failure> {
    let json = serde_json::to_vec(value).map_err(|error| {
        Failure::new(
            Class::Fatal,
            "an output could not be written as JSON",
            "report this as a bug of sealbox",
        )
        .at(path)
        .detail(error.to_string())
    })?;
    write_atomically(path, &json)
}

/// Why a JSON file gave nothing. What that means, and what mends it, the caller knows.
#[derive(Debug, thiserror::Error)]
pub enum Unreadable {
    #[error("it is not there")]
    Absent,
    #[error("it cannot be read: {0}")]
    Io(#[source] std::io::Error),
    #[error("it does not parse: {0}")]
    Damaged(#[source] serde_json::Error),
}

pub fn read_json<T: DeserializeOwned>(path: &Path) -> Result<T, Unreadable> {
    let bytes = fs::read(path).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => Unreadable::Absent,
        _ => Unreadable::Io(error),
    })?;
    serde_json::from_slice(&bytes).map_err(Unreadable::Damaged)
}

/// Syncs a file's bytes and length.
pub fn sync_file(path: &Path) -> Result<(), Failure> {
    durable::sync_file(path).map_err(|error| Failure::io("syncing a file", path, &error))
}

/// Syncs a directory: the names in it.
pub fn sync_directory(path: &Path) -> Result<(), Failure> {
    durable::sync_dir(path).map_err(|error| Failure::io("syncing a directory", path, &error))
}

/// Bytes that are read at once.
const PIECE: usize = 1 << 20;

/// Length and BLAKE3 of what can be read from here on. `read` is told of every piece.
pub fn digest(from: &mut impl Read, read: &mut dyn FnMut(u64)) -> io::Result<(u64, Bytes32)> {
    let mut piece = vec![0; PIECE];
    let mut digest = blake3::Hasher::new();
    let mut bytes = 0;
    loop {
        let length = match from.read(&mut piece) {
            Ok(0) => return Ok((bytes, Bytes32(digest.finalize().into()))),
            Ok(length) => length,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        digest.update(&piece[..length]);
        bytes += length as u64;
        read(length as u64);
    }
}

/// Whether a file by this name is what [`write_atomically`] leaves when it dies.
pub fn is_torn_write(name: &str) -> bool {
    name.starts_with(".sealbox-") && name.ends_with(".tmp")
}

/// Deletes a file; one that is already gone is fine.
pub fn remove_if_there(path: &Path) -> Result<(), Failure> {
    match fs::remove_file(path) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(Failure::io("removing a file of an earlier attempt", path, &error)),
    }
}

/// A file's length; `None` if it is not there.
pub fn length(path: &Path) -> Result<Option<u64>, Failure> {
    match fs::metadata(path) {
        Ok(metadata) => Ok(Some(metadata.len())),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Failure::io("looking at a file", path, &error)),
    }
}

/// The names of the regular files in a directory, in order.
pub fn names_in(directory: &Path) -> Result<Vec<String>, Failure> {
    let failed = |error: std::io::Error| Failure::io("listing a directory", directory, &error);
    let mut names = Vec::new();
    for entry in fs::read_dir(directory).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        if entry.file_type().map_err(failed)?.is_file() {
            names.push(entry.file_name().to_string_lossy().into_owned());
        }
    }
    names.sort();
    Ok(names)
}

pub fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

pub fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        Some(_) | None => Path::new("."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_and_a_damaged_file_are_told_apart() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("out.json");
        assert!(matches!(read_json::<u8>(&path), Err(Unreadable::Absent)));
        fs::write(&path, "{").unwrap();
        assert!(matches!(read_json::<u8>(&path), Err(Unreadable::Damaged(_))));
    }
}
