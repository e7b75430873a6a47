//! Whose a root is: a small file in the scratch and in each storage says it, so that a mount that
//! is missing, swapped, or another box's is found before anything is written to it or deleted.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use rand_08::RngCore;
use rand_08::rngs::OsRng;
use serde::{Deserialize, Serialize};

use crate::domain::failure::{Class, Failure};
use crate::domain::ids::ActorId;
use crate::domain::layout::StorageRoot;
use crate::domain::units::Timestamp;
use crate::durable::write_atomic;
use crate::failpoint::die_at;

/// The file's name, in the root itself.
pub const ROOT_FILE: &str = "sealbox-root.json";
const FORMAT: u32 = 1;

/// A random id, as 32 hex digits: of a box, or of a root.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Id(String);

impl Id {
    pub fn random() -> Self {
        let mut bytes = [0; 16];
        OsRng.fill_bytes(&mut bytes);
        Self(hex::encode(bytes))
    }
}

impl std::fmt::Display for Id {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a root is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    Scratch,
    Storage,
}

impl Role {
    pub fn name(self) -> &'static str {
        match self {
            Self::Scratch => "scratch",
            Self::Storage => "storage",
        }
    }

    /// The key in the configuration that gives its path.
    fn key(self) -> &'static str {
        match self {
            Self::Scratch => "`scratch`",
            Self::Storage => "`[[storage]]`",
        }
    }
}

/// What the file says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RootIdentity {
    format: u32,
    /// This root's own id: two storages of one box can be told apart.
    pub root: Id,
    #[serde(rename = "box")]
    pub of_box: Id,
    pub miner: ActorId,
    pub role: Role,
    pub created: Timestamp,
}

/// Who looks: a root has to be this box's, for this miner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owner {
    pub of_box: Id,
    pub miner: ActorId,
}

impl RootIdentity {
    pub fn new(owner: &Owner, role: Role, created: Timestamp) -> Self {
        let (of_box, miner) = (owner.of_box.clone(), owner.miner);
        Self { format: FORMAT, root: Id::random(), of_box, miner, role, created }
    }

    /// The root's file; none if it is not there, whether or not the root is.
    ///
    /// # Errors
    /// Operator, if it is damaged; I/O errors by their kind.
    pub fn read(root: &Path) -> Result<Option<Self>, Failure> {
        let path = root.join(ROOT_FILE);
        let text = match fs::read(&path) {
            Ok(text) => text,
            Err(error)
                if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) =>
            {
                return Ok(None);
            }
            Err(error) => return Err(Failure::io("reading whose this root is", &path, &error)),
        };
        let damaged = |why: String| {
            let what = "the file that says whose this root is cannot be understood";
            Failure::new(Class::Operator, what, hand_over(root)).at(&path).detail(why)
        };
        let found: Self = serde_json::from_slice(&text).map_err(|e| damaged(e.to_string()))?;
        if found.format != FORMAT {
            return Err(damaged(format!("format {}; this sealbox reads {FORMAT}", found.format)));
        }
        Ok(Some(found))
    }

    /// Puts the file into its root, durably.
    pub fn write(&self, root: &Path) -> Result<(), Failure> {
        let path = root.join(ROOT_FILE);
        let mut text = serde_json::to_vec_pretty(self).expect("plain fields always become JSON");
        text.push(b'\n');
        write_atomic(&path, &text)
            .map_err(|error| Failure::io("writing whose this root is", &path, &error))?;
        die_at("roots.identity_written");
        Ok(())
    }

    /// Whether this box may use the root for this.
    ///
    /// # Errors
    /// Operator: it is another box's, another miner's, or was made for something else.
    pub fn is_ours(&self, root: &Path, owner: &Owner, role: Role) -> Result<(), Failure> {
        let (key, over) = (role.key(), hand_over(root));
        let refused = |what: String, mend: String| {
            Err(Failure::new(Class::Operator, what, mend).at(root.join(ROOT_FILE)))
        };
        if self.of_box != owner.of_box {
            let what = format!("this {} belongs to another box (id {})", role.name(), self.of_box);
            return refused(
                what,
                format!("give {key} a path of its own; or, only if that box is gone: {over}"),
            );
        }
        if self.miner != owner.miner {
            let what = format!(
                "this {} belongs to another miner ({}; this box seals for {})",
                role.name(),
                self.miner,
                owner.miner
            );
            return refused(
                what,
                format!(
                    "set `miner` to {}, or give {key} another path; or, only if that miner's \
                     sectors are gone from it: {over}",
                    self.miner
                ),
            );
        }
        if self.role != role {
            let what = format!("this was made as {} and is configured as {key}", self.role.name());
            return refused(what, format!("give {key} another path"));
        }
        Ok(())
    }
}

/// How a root is handed to this box: said with every refusal.
fn hand_over(root: &Path) -> String {
    let (file, root) = (root.join(ROOT_FILE), root.display());
    format!("stop sealbox, `rm {}`, `sealbox adopt-root {root}`, start it again", file.display())
}

/// The root was used before, and says nothing now.
pub fn not_mounted(root: &Path, role: Role) -> Failure {
    let what =
        format!("the {} is not there (not mounted?): its identity file is gone", role.name());
    let mend = format!(
        "mount it (`findmnt {0}` says what is mounted), then retry; if the disk was replaced for \
         good: stop sealbox, `sealbox adopt-root {0}`, start it again",
        root.display()
    );
    Failure::new(Class::Operator, what, mend).at(root.join(ROOT_FILE))
}

/// Another root of ours lies where this one was.
pub fn swapped(root: &Path, role: Role) -> Failure {
    let what = format!("another {} of this box is mounted here than before", role.name());
    let mend = format!(
        "mount each where it was (`findmnt {0}`), then retry; if the disk was replaced for good: \
         stop sealbox, `sealbox adopt-root {0}`, start it again",
        root.display()
    );
    Failure::new(Class::Operator, what, mend).at(root.join(ROOT_FILE))
}

/// A root with sectors in it that no box has put its name to.
pub fn unclaimed(root: &Path, role: Role, sector: &Path) -> Failure {
    let what = format!("this {} has sectors in it, and nothing says whose they are", role.name());
    let mend = format!(
        "give {} an empty directory; or, if no other box uses this one: `sealbox adopt-root {}`, \
         then start again",
        role.key(),
        root.display()
    );
    Failure::new(Class::Operator, what, mend).at(sector)
}

/// Something in `cache` or `sealed`, if there is anything.
pub fn first_entry(root: &Path) -> Result<Option<PathBuf>, Failure> {
    for dir in StorageRoot::new(root).parents() {
        let failed = |error: std::io::Error| Failure::io("looking for sectors", &dir, &error);
        let mut entries = match fs::read_dir(&dir) {
            Ok(entries) => entries,
            Err(error) if error.kind() == ErrorKind::NotFound => continue,
            Err(error) => return Err(failed(error)),
        };
        if let Some(entry) = entries.next() {
            return Ok(Some(entry.map_err(failed)?.path()));
        }
    }
    Ok(None)
}
