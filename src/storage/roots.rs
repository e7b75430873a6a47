//! The roots that this box uses, and which it has ever used: `<data_dir>/box.json`. What was used
//! before and is not there now is a mount that is missing, and is never written to.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::identity::{
    Id, Owner, Role, RootIdentity, first_entry, not_mounted, swapped, unclaimed,
};
use super::writable::ensure_dir_writable;
use crate::domain::failure::{Class, Failure};
use crate::domain::ids::ActorId;
use crate::domain::layout::{Scratch, StorageRoot};
use crate::domain::units::Timestamp;
use crate::durable::write_atomic;
use crate::failpoint::die_at;
use crate::within::{ANSWER_LIMIT, hung, within};

const BOX_FILE: &str = "box.json";
const FORMAT: u32 = 1;

/// A root as this box remembers it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Used {
    root: Id,
    role: Role,
    since: Timestamp,
}

/// `box.json`: who this box is, and the roots it has used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct BoxFile {
    format: u32,
    #[serde(rename = "box")]
    id: Id,
    roots: BTreeMap<PathBuf, Used>,
}

impl BoxFile {
    /// What is remembered; a box that starts for the first time gets its id, durably, before any
    /// root can bear it.
    fn open(data_dir: &Path) -> Result<Self, Failure> {
        let path = data_dir.join(BOX_FILE);
        let text = match fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => {
                let new = Self { format: FORMAT, id: Id::random(), roots: BTreeMap::new() };
                new.save(data_dir)?;
                return Ok(new);
            }
            Err(error) => return Err(Failure::io("reading who this box is", &path, &error)),
        };
        let damaged = |why: String| {
            let what = "the file that says who this box is cannot be understood";
            let mend = "bring it back from a backup; without one, move it away, and hand each \
                        root over as the next start says";
            Failure::new(Class::Operator, what, mend).at(&path).detail(why)
        };
        let found: Self = serde_json::from_slice(&text).map_err(|e| damaged(e.to_string()))?;
        if found.format != FORMAT {
            return Err(damaged(format!("format {}; this sealbox reads {FORMAT}", found.format)));
        }
        Ok(found)
    }

    /// Of these roots the one that was used first, else the first: a scratch that is added is never
    /// taken for the one that was alone before.
    fn first_scratch(&self, scratch: &[PathBuf]) -> PathBuf {
        let used = scratch.iter().filter_map(|path| Some((self.roots.get(path)?.since, path)));
        let first = used.min_by_key(|(since, _)| *since).map(|(_, path)| path);
        first.or(scratch.first()).cloned().unwrap_or_default()
    }

    fn save(&self, data_dir: &Path) -> Result<(), Failure> {
        let path = data_dir.join(BOX_FILE);
        let mut text = serde_json::to_vec_pretty(self).expect("plain fields always become JSON");
        text.push(b'\n');
        write_atomic(&path, &text)
            .map_err(|error| Failure::io("writing who this box is", &path, &error))?;
        die_at("roots.box_written");
        Ok(())
    }
}

/// What is checked of a root before every use.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Guard {
    path: PathBuf,
    role: Role,
    root: Id,
    owner: Owner,
}

impl Guard {
    fn check(&self) -> Result<(), Failure> {
        let found = RootIdentity::read(&self.path)?;
        let found = found.ok_or_else(|| not_mounted(&self.path, self.role))?;
        found.is_ours(&self.path, &self.owner, self.role)?;
        if found.root == self.root { Ok(()) } else { Err(swapped(&self.path, self.role)) }
    }
}

/// Where the roots are, to be opened at start.
#[derive(Debug, Clone, Copy)]
pub struct Places<'a> {
    pub data_dir: &'a Path,
    /// At least one.
    pub scratch: &'a [PathBuf],
    pub storage: &'a [PathBuf],
    pub miner: ActorId,
    /// Storage that the history has copies in, whatever `box.json` says.
    pub stored_in: &'a BTreeSet<PathBuf>,
}

/// The roots of a running box. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Roots {
    guards: Arc<BTreeMap<PathBuf, Guard>>,
    configured: Arc<Vec<(PathBuf, Role)>>,
    /// Known the longest of the scratch roots: sectors that name no root are made in it.
    first_scratch: PathBuf,
}

impl Roots {
    /// Looks at every root, and prepares those that are new. The data directory must be ours
    /// (locked). The second part: roots that were used before and cannot be used now; the box
    /// starts all the same, and their work waits.
    ///
    /// # Errors
    /// Operator: a root that was never used, or all of the scratch, is refused or does not answer.
    pub fn open(places: &Places<'_>, now: Timestamp) -> Result<(Self, Vec<Failure>), Failure> {
        let mut known = BoxFile::open(places.data_dir)?;
        let owner = Owner { of_box: known.id.clone(), miner: places.miner };
        let first_scratch = known.first_scratch(places.scratch);
        let scratch = places.scratch.iter().map(|path| (path.clone(), Role::Scratch));
        let storage = places.storage.iter().map(|path| (path.clone(), Role::Storage));
        let configured: Vec<_> = scratch.chain(storage).collect();
        let (mut waiting, mut scratch_failure, mut scratch_opened) = (Vec::new(), None, false);
        let mut seen: BTreeMap<Id, PathBuf> = BTreeMap::new();
        for (path, role) in &configured {
            if path.to_str().is_none() {
                return Err(not_text(path));
            }
            let before = known.roots.get(path).cloned();
            let has_copies = *role == Role::Storage && places.stored_in.contains(path);
            let used = before.is_some() || has_copies;
            match open_one(path, *role, &owner, before.as_ref(), has_copies, now) {
                Ok(found) => {
                    if let Some(first) = seen.insert(found.root.clone(), path.clone()) {
                        return Err(twice(path, &first));
                    }
                    scratch_opened |= *role == Role::Scratch;
                    let used = Used { root: found.root, role: *role, since: found.created };
                    if known.roots.insert(path.clone(), used.clone()) != Some(used) {
                        known.save(places.data_dir)?;
                    }
                }
                Err(failure) if used => {
                    if *role == Role::Scratch {
                        scratch_failure.get_or_insert_with(|| failure.clone());
                    }
                    waiting.push(failure);
                }
                Err(failure) => return Err(for_a_person(failure)),
            }
        }
        if let Some(failure) = scratch_failure.filter(|_| !scratch_opened) {
            return Err(for_a_person(failure));
        }
        let guard = |(path, used): (PathBuf, Used)| {
            let Used { root, role, .. } = used;
            (path.clone(), Guard { path, role, root, owner: owner.clone() })
        };
        let guards = Arc::new(known.roots.into_iter().map(guard).collect());
        Ok((Self { guards, configured: Arc::new(configured), first_scratch }, waiting))
    }

    /// Whether all of this storage is remembered from earlier starts. What is not is new, or was
    /// forgotten with `box.json`: then the history has to tell.
    pub fn remembers(data_dir: &Path, storage: &[PathBuf]) -> bool {
        let known = fs::read(data_dir.join(BOX_FILE)).ok();
        let known = known.and_then(|text| serde_json::from_slice::<BoxFile>(&text).ok());
        known.is_some_and(|known| storage.iter().all(|path| known.roots.contains_key(path)))
    }

    /// The roots that are configured, with what they are for.
    pub fn configured(&self) -> &[(PathBuf, Role)] {
        &self.configured
    }

    /// The scratch root of the sectors that name none: they are from when there was only one.
    pub fn first_scratch(&self) -> Scratch {
        Scratch::new(&self.first_scratch)
    }

    /// Whether two paths are, or were, one root under two names.
    pub fn same(&self, one: &Path, other: &Path) -> bool {
        let id = |path| self.guards.get(path).map(|guard: &Guard| &guard.root);
        one == other || (id(one).is_some() && id(one) == id(other))
    }

    /// Whether what is there now is the root that belongs there. Blocks for as long as it hangs.
    ///
    /// # Errors
    /// Operator: it is not there, or another is. I/O errors by their kind.
    pub fn check_here(&self, path: &Path) -> Result<(), Failure> {
        match self.guards.get(path) {
            Some(guard) => guard.check(),
            None => Err(unknown(path)),
        }
    }

    /// [`Roots::check_here`], waited for only so long.
    ///
    /// # Errors
    /// Also transient, if the root does not answer.
    pub fn check(&self, path: &Path) -> Result<(), Failure> {
        let guard = self.guards.get(path).cloned().ok_or_else(|| unknown(path))?;
        within(ANSWER_LIMIT, move || guard.check()).unwrap_or_else(|| Err(hung(path, ANSWER_LIMIT)))
    }
}

/// At the start nobody tries again by itself.
fn for_a_person(failure: Failure) -> Failure {
    Failure { class: Class::Operator, ..failure }
}

fn not_text(path: &Path) -> Failure {
    let what = "this path is not text: what is on record could not name it";
    Failure::new(Class::Operator, what, "use a path in UTF-8").at(path)
}

fn unknown(path: &Path) -> Failure {
    let what = "this box has put no identity file here, so it cannot tell whether this is mounted";
    let mend = format!(
        "see that it is mounted and configured; then stop sealbox, `sealbox adopt-root {}`, start \
         it again, and retry",
        path.display()
    );
    Failure::new(Class::Operator, what, mend).at(path)
}

fn twice(path: &Path, first: &Path) -> Failure {
    let what = format!("this is the same directory as {} under another name", first.display());
    Failure::new(Class::Operator, what, "configure it once").at(path)
}

/// Looks at one root on a thread of its own: it may hang.
fn open_one(
    path: &Path,
    role: Role,
    owner: &Owner,
    before: Option<&Used>,
    has_copies: bool,
    now: Timestamp,
) -> Result<RootIdentity, Failure> {
    let (root, owner, before) = (path.to_path_buf(), owner.clone(), before.cloned());
    within(ANSWER_LIMIT, move || prepare(&root, role, &owner, before.as_ref(), has_copies, now))
        .unwrap_or_else(|| Err(hung(path, ANSWER_LIMIT)))
}

fn prepare(
    path: &Path,
    role: Role,
    owner: &Owner,
    before: Option<&Used>,
    has_copies: bool,
    now: Timestamp,
) -> Result<RootIdentity, Failure> {
    let found = match RootIdentity::read(path)? {
        Some(found) => {
            found.is_ours(path, owner, role)?;
            if before.is_some_and(|before| before.root != found.root) {
                return Err(swapped(path, role));
            }
            found
        }
        // What was used before is never made anew: it would be made on the disk below the mount.
        None if before.is_some() || has_copies => return Err(not_mounted(path, role)),
        None => {
            ensure_dir_writable(path)?;
            if let Some(sector) = first_entry(path)? {
                return Err(unclaimed(path, role, &sector));
            }
            let new = RootIdentity::new(owner, role, now);
            new.write(path)?;
            new
        }
    };
    // Everything that will have to be written is tried before the first hour is spent.
    for dir in StorageRoot::new(path).parents() {
        ensure_dir_writable(&dir)?;
    }
    Ok(found)
}

/// Makes a root this box's own by an explicit order. The data directory must be ours (locked).
///
/// # Errors
/// Operator: it is not a directory, or its file says that it is another box's or miner's.
pub fn adopt(
    data_dir: &Path,
    path: &Path,
    role: Role,
    miner: ActorId,
    now: Timestamp,
) -> Result<RootIdentity, Failure> {
    let mut known = BoxFile::open(data_dir)?;
    let owner = Owner { of_box: known.id.clone(), miner };
    if !fs::metadata(path).is_ok_and(|found| found.is_dir()) {
        let what = "there is no such directory, so it cannot be adopted";
        return Err(Failure::new(Class::Operator, what, "mount it, then say it again").at(path));
    }
    let identity = match RootIdentity::read(path)? {
        Some(found) => {
            found.is_ours(path, &owner, role)?;
            found
        }
        None => {
            let new = RootIdentity::new(&owner, role, now);
            new.write(path)?;
            new
        }
    };
    let used = Used { root: identity.root.clone(), role, since: identity.created };
    known.roots.insert(path.to_path_buf(), used);
    known.save(data_dir)?;
    Ok(identity)
}

#[cfg(test)]
#[path = "roots_tests.rs"]
mod tests;
