//! Orphans: what lies in the scratch or in a storage that no sector owns. Listed, and deleted only
//! by an explicit order, one at a time. What may still be needed is never listed.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};
use std::time::UNIX_EPOCH;

use super::identity::Role;
use super::roots::Roots;
use crate::domain::failure::{Class, Failure};
use crate::domain::ids::{ActorId, SectorNumber};
use crate::domain::layout::{StorageRoot, sector_of, trash_of, without_suffix};
use crate::domain::units::Timestamp;
use crate::durable::sync_dir;
use crate::within::{ANSWER_LIMIT, within};

/// What the box knows of a sector.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Known {
    Nothing,
    InFlight,
    GivenUp,
    Finished { stored: PathBuf },
}

/// Asked of the history, as it is at that moment.
pub type Knows<'a> = &'a dyn Fn(SectorNumber) -> Result<Known, Failure>;

/// A file or directory that no sector owns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Orphan {
    pub path: PathBuf,
    /// The sector that its name names, if it names one of ours.
    pub sector: Option<SectorNumber>,
    pub bytes: u64,
    pub modified: Timestamp,
    pub why: String,
}

/// One root, and all that decides what is an orphan in it.
#[derive(Clone, Copy)]
pub struct Ground<'a> {
    pub root: &'a Path,
    pub role: Role,
    pub miner: ActorId,
    pub roots: &'a Roots,
    pub knows: Knows<'a>,
}

impl Ground<'_> {
    /// Everything in `cache` and `sealed` that no sector owns. Blocks as long as the root does.
    ///
    /// # Errors
    /// Operator: the root is not the one it was. I/O errors by their kind.
    pub fn scan(&self) -> Result<Vec<Orphan>, Failure> {
        self.roots.check_here(self.root)?;
        let mut orphans = Vec::new();
        for dir in StorageRoot::new(self.root).parents() {
            let failed = |error: std::io::Error| Failure::io("looking for orphans", &dir, &error);
            for entry in fs::read_dir(&dir).map_err(failed)? {
                let path = entry.map_err(failed)?.path();
                if let Some((sector, why)) = self.judge(&path)? {
                    // What goes away meanwhile was not one.
                    if let Some((bytes, modified)) = size_of(&path)? {
                        orphans.push(Orphan { path, sector, bytes, modified, why });
                    }
                }
            }
        }
        orphans.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(orphans)
    }

    /// Why nobody owns it; none if somebody does, or may.
    fn judge(&self, path: &Path) -> Result<Option<(Option<SectorNumber>, String)>, Failure> {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let (name, is_leftover) = without_suffix(&name);
        let Some(id) = sector_of(name) else {
            return Ok(Some((None, "no name that sealbox gives".to_owned())));
        };
        if id.miner != self.miner {
            return Ok(Some((None, format!("of another miner, {}", id.miner))));
        }
        let n = id.number;
        let why = match ((self.knows)(n)?, self.role) {
            (Known::InFlight, Role::Scratch | Role::Storage) => None,
            (Known::Nothing, Role::Scratch | Role::Storage) => {
                Some("the box knows no such sector".to_owned())
            }
            (Known::GivenUp, Role::Scratch | Role::Storage) => {
                Some(format!("left of sector {n}, which was given up"))
            }
            (Known::Finished { .. }, Role::Scratch) => {
                Some(format!("left of sector {n}, which is finished"))
            }
            (Known::Finished { stored }, Role::Storage) if self.roots.same(&stored, self.root) => {
                is_leftover.then(|| format!("left of an interrupted copy of sector {n}"))
            }
            (Known::Finished { stored }, Role::Storage) => {
                let copy = StorageRoot::new(&stored);
                let (manifest, replica) = (copy.manifest(id), copy.replica(id));
                let is_there = self.roots.check(&stored).is_ok()
                    && within(ANSWER_LIMIT, move || manifest.is_file() && replica.is_file())
                        == Some(true);
                // Unless its own copy is seen, this may be all that there is.
                is_there.then(|| format!("sector {n} is stored in {}", stored.display()))
            }
        };
        Ok(why.map(|why| (Some(n), why)))
    }

    /// Moves an orphan out of the way, to be recorded and then removed.
    ///
    /// # Errors
    /// Operator: it is no entry of `cache` or `sealed` in this root, a link, another file system,
    /// or owned by a sector; nothing was changed then. I/O errors by their kind.
    pub fn set_aside(&self, path: &Path) -> Result<Aside, Failure> {
        let refused = |what: &str| {
            let mend = "nothing was deleted; `sealbox orphans` lists what can be";
            Err(Failure::new(Class::Operator, what, mend).at(path))
        };
        if !is_entry_of(self.root, path) {
            return refused("this is no entry of `cache` or `sealed` in a root of this box");
        }
        self.roots.check_here(self.root)?;
        let dir = path.parent().unwrap_or(self.root);
        let is_link = |path: &Path| {
            path.symlink_metadata().map(|found| found.is_symlink()).unwrap_or_default()
        };
        if is_link(dir) || is_link(path) {
            return refused("this is a symbolic link, or lies behind one");
        }
        let Some((sector, _)) = self.judge(path)? else {
            return refused("a sector owns this, or may");
        };
        let Some((bytes, _)) = size_of(path)? else {
            return refused("there is no such file or directory");
        };
        let (_, is_leftover) = without_suffix(&path.to_string_lossy());
        let trash = if is_leftover { path.to_path_buf() } else { trash_of(path) };
        if trash != path {
            if trash.symlink_metadata().is_ok() {
                return refused("what an earlier deletion left is in the way: delete that first");
            }
            fs::rename(path, &trash)
                .and_then(|()| sync_dir(dir))
                .map_err(|error| Failure::io("moving an orphan out of the way", path, &error))?;
        }
        Ok(Aside { path: path.to_path_buf(), trash, bytes, sector })
    }
}

/// An orphan under the name that it is deleted under.
#[derive(Debug)]
pub struct Aside {
    pub path: PathBuf,
    trash: PathBuf,
    pub bytes: u64,
    pub sector: Option<SectorNumber>,
}

impl Aside {
    /// The deletion was not recorded: it goes back to its name.
    pub fn put_back(self) -> Result<(), Failure> {
        fs::rename(&self.trash, &self.path)
            .map_err(|error| Failure::io("putting an orphan back", &self.trash, &error))
    }

    /// The deletion is on record: it goes.
    pub fn remove(self) -> Result<(), Failure> {
        let failed = |error: std::io::Error| Failure::io("deleting an orphan", &self.trash, &error);
        let found = self.trash.symlink_metadata().map_err(failed)?;
        // Neither follows a symbolic link.
        if found.is_dir() {
            fs::remove_dir_all(&self.trash).map_err(failed)?;
        } else {
            fs::remove_file(&self.trash).map_err(failed)?;
        }
        sync_dir(self.trash.parent().unwrap_or(&self.trash)).map_err(failed)
    }
}

/// `<root>/cache/<name>` or `<root>/sealed/<name>`, written plainly.
pub fn is_entry_of(root: &Path, path: &Path) -> bool {
    let plain = path.components().all(|c| matches!(c, Component::RootDir | Component::Normal(_)));
    let in_parent = StorageRoot::new(root).parents().iter().any(|dir| path.parent() == Some(dir));
    plain && in_parent
}

/// Bytes and time of last change; none if it is not there. Links are counted, not followed.
fn size_of(path: &Path) -> Result<Option<(u64, Timestamp)>, Failure> {
    let failed = |error: std::io::Error| Failure::io("measuring an orphan", path, &error);
    let found = match path.symlink_metadata() {
        Ok(found) => found,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    let (mut bytes, mut newest) = (0, 0);
    let mut todo = vec![(path.to_path_buf(), found.clone())];
    while let Some((at, seen)) = todo.pop() {
        if seen.dev() != found.dev() {
            let what = "another file system is mounted inside this orphan";
            let mend = "unmount it, then look again";
            return Err(Failure::new(Class::Operator, what, mend).at(at));
        }
        let changed = seen.modified().ok().and_then(|at| at.duration_since(UNIX_EPOCH).ok());
        newest = newest.max(changed.map_or(0, |at| at.as_millis()));
        if !seen.is_dir() {
            bytes += seen.len();
            continue;
        }
        for entry in fs::read_dir(&at).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            todo.push((entry.path(), entry.metadata().map_err(failed)?));
        }
    }
    Ok(Some((bytes, Timestamp(u64::try_from(newest).unwrap_or(u64::MAX)))))
}

#[cfg(test)]
#[path = "orphans_tests.rs"]
mod tests;
