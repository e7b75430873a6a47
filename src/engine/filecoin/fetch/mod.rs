//! Fetches files of the trusted set-up from mirrors.
//!
//! A file grows beside its final name, which it gets only when it is whole, has its digest and is
//! synced. So a kill at any moment loses nothing, and the next fetch goes on from there.

mod download;
mod mirror;
#[cfg(test)]
mod server;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Serialize;

pub use mirror::{BadMirror, DEFAULT_MIRRORS, GATEWAYS, Mirror, Patience, Source};

use super::parameter_files::{ParameterFiles, hold};
use super::params::now;
use super::trusted::TrustedFile;
use crate::domain::failure::{Class, Failure};
use crate::domain::units::ByteSize;
use crate::engine::files;
use download::Download;

/// What is told while it goes on.
#[derive(Debug, Clone, Copy)]
pub enum Step<'a> {
    /// Another process makes or fetches the same files; it is waited for.
    Waiting {
        lock: &'a Path,
    },
    /// A file is read, and its digest taken.
    Checking {
        file: Nth,
        done: ByteSize,
        of: ByteSize,
    },
    /// The mirrors are asked how much is to come.
    Measuring,
    /// A file was there and was not the trusted set-up's.
    SetAside {
        file: &'a Path,
        to: &'a Path,
    },
    Fetching {
        file: Nth,
        done: ByteSize,
        of: ByteSize,
    },
    MirrorFailed {
        mirror: &'a Mirror,
        why: &'a str,
    },
    /// No mirror gives anything just now.
    Pausing {
        pause: Duration,
    },
}

/// Which of the files that were asked for, as in 2 of 4.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Nth {
    pub nth: usize,
    pub of: usize,
}

/// Who is told.
pub type TellStep<'a> = &'a mut dyn FnMut(Step<'_>);

/// A file that is there now, whole and with its digest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Fetched {
    pub file: PathBuf,
    pub bytes: ByteSize,
    /// The mirror that gave the last of it; none if it was there already.
    pub from: Option<Mirror>,
    /// Where the wrong file of that name is now, if there was one.
    pub set_aside: Option<PathBuf>,
}

/// Has all of these files in the directory when it returns. What is there and right is kept.
/// Blocks for as long as that takes: hours at 32 GiB.
///
/// # Errors
/// Lab-made parameters have these names; there is no room; no mirror gives a file; the disk.
pub fn fetch(
    wanted: &[TrustedFile],
    directory: &Path,
    source: &Source,
    tell: TellStep<'_>,
) -> Result<Vec<Fetched>, Failure> {
    fs::create_dir_all(directory)
        .map_err(|error| Failure::io("making the parameters' directory", directory, &error))?;
    let circuits: Vec<_> =
        wanted.iter().map(|file| ParameterFiles::beside(directory.join(&file.name))).collect();
    let _held = hold_all(&circuits, tell)?;
    for circuit in &circuits {
        refuse_lab_made(circuit)?;
    }
    let of = wanted.len();
    let mut downloads: Vec<_> = wanted
        .iter()
        .enumerate()
        .map(|(at, file)| Download::new(file, directory, source, Nth { nth: at + 1, of }))
        .collect();
    let mut there = Vec::new();
    for download in &mut downloads {
        there.push(find(download, tell)?);
    }
    let missing = downloads.iter().zip(&there).filter(|(_, found)| found.bytes.is_none());
    if there.iter().any(|found| found.bytes.is_none()) {
        tell(Step::Measuring);
    }
    require_room_for_all(missing.map(|(download, _)| download), directory)?;
    let mut fetched = Vec::new();
    for (download, Found { bytes, set_aside }) in downloads.iter_mut().zip(there) {
        let (bytes, from) = match bytes {
            Some(bytes) => (bytes, None),
            None => download.run(tell).map(|(bytes, mirror)| (bytes, Some(mirror)))?,
        };
        fetched.push(Fetched { file: download.target.clone(), bytes, from, set_aside });
    }
    Ok(fetched)
}

/// One lock a circuit, all of them until the end: a box that makes lab parameters looks at the
/// files of a circuit together, and would take one without the other for a leftover. In order, so
/// that two who fetch do not wait for each other.
fn hold_all(circuits: &[ParameterFiles], tell: TellStep<'_>) -> Result<Vec<File>, Failure> {
    let locks: BTreeSet<_> = circuits.iter().map(|circuit| &circuit.lock).collect();
    locks.into_iter().map(|lock| hold(lock, || tell(Step::Waiting { lock }))).collect()
}

fn refuse_lab_made(circuit: &ParameterFiles) -> Result<(), Failure> {
    if files::length(&circuit.marker)?.is_none() {
        return Ok(());
    }
    let all = circuit.params.with_extension("*");
    let mend = format!(
        "to use the trusted set-up's instead, stop the box and move them away (`mv {} \
         ELSEWHERE`), or name another directory in FIL_PROOFS_PARAMETER_CACHE; then fetch again",
        all.display()
    );
    let what = "parameters made in this lab have the same names, and are not replaced";
    Err(Failure::new(Class::Operator, what, mend).at(&circuit.marker))
}

/// What was found by a file's final name.
struct Found {
    /// If it is right.
    bytes: Option<ByteSize>,
    /// If it was not.
    set_aside: Option<PathBuf>,
}

fn find(download: &mut Download<'_>, tell: TellStep<'_>) -> Result<Found, Failure> {
    let target = download.target.clone();
    if files::length(&target)?.is_none() {
        return Ok(Found { bytes: None, set_aside: None });
    }
    if let Some(bytes) = download.right(&target, tell)? {
        return Ok(Found { bytes: Some(bytes), set_aside: None });
    }
    let circuit = ParameterFiles::beside(target.clone());
    let set_aside = circuit.set_aside(&[&target], now())?.pop();
    if let Some(to) = &set_aside {
        tell(Step::SetAside { file: &target, to });
    }
    Ok(Found { bytes: None, set_aside })
}

/// Before the first byte, so that a disk too small is not found out hours later. A file whose
/// length no mirror tells counts nothing here; it is looked at again when it comes.
fn require_room_for_all<'a, 'd: 'a>(
    missing: impl Iterator<Item = &'a Download<'d>>,
    directory: &Path,
) -> Result<(), Failure> {
    let mut to_come = 0u64;
    for download in missing {
        to_come = to_come.saturating_add(download.bytes_to_come()?);
    }
    require_room(ByteSize(to_come), directory)
}

fn require_room(to_come: ByteSize, directory: &Path) -> Result<(), Failure> {
    let stat = rustix::fs::statvfs(directory)
        .map_err(|errno| Failure::io("looking at the disk", directory, &errno.into()))?;
    let free = ByteSize(stat.f_bavail.saturating_mul(stat.f_frsize));
    if to_come <= free {
        return Ok(());
    }
    let what = format!("no room for the parameters: {to_come} are to come, {free} are free");
    Err(no_room(what, directory))
}

fn no_room(what: impl Into<String>, at: &Path) -> Failure {
    let mend = "free space on this disk, or name a directory on another one in \
                FIL_PROOFS_PARAMETER_CACHE, then fetch again: it goes on from where it stopped";
    Failure::new(Class::Space, what, mend).at(at)
}
