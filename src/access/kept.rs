//! `access.json` in the data directory: the passwords and tokens, hashed. The command line writes
//! it, whether or not a box runs; the box only reads it.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::secret::{Digest, PasswordKept};
use super::{AccessError, Role};
use crate::domain::units::Timestamp;
use crate::durable;

const VERSION: u32 = 1;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Kept {
    v: u32,
    passwords: BTreeMap<Role, PasswordKept>,
    /// By name, each once.
    pub tokens: Vec<Token>,
}

/// A bearer token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Token {
    pub name: String,
    pub role: Role,
    pub digest: Digest,
    pub created: Timestamp,
    pub expires: Option<Timestamp>,
}

impl Token {
    pub fn is_over(&self, now: Timestamp) -> bool {
        self.expires.is_some_and(|expires| expires <= now)
    }
}

impl Default for Kept {
    fn default() -> Self {
        Self { v: VERSION, passwords: BTreeMap::new(), tokens: Vec::new() }
    }
}

pub fn path(data_dir: &Path) -> PathBuf {
    data_dir.join("access.json")
}

impl Kept {
    /// Nothing, if there is no file.
    ///
    /// # Errors
    /// It cannot be read, or is not what was written.
    pub fn read(data_dir: &Path) -> Result<Self, AccessError> {
        let path = path(data_dir);
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(source) => return Err(AccessError::Unreadable { path, source }),
        };
        let kept = serde_json::from_slice::<Self>(&bytes);
        let kept = kept.map_err(|error| error.to_string()).and_then(Self::checked);
        kept.map_err(|why| AccessError::Damaged { path, why })
    }

    fn checked(self) -> Result<Self, String> {
        if self.v != VERSION {
            return Err(format!("it is of version {}, not {VERSION}", self.v));
        }
        match self.passwords.iter().find(|(_, kept)| !kept.is_sound()) {
            Some((role, _)) => Err(format!("the {}'s password is no argon2 hash", role.name())),
            None => Ok(self),
        }
    }

    pub fn password(&self, role: Role) -> Option<&PasswordKept> {
        self.passwords.get(&role)
    }

    pub fn set_password(&mut self, role: Role, password: PasswordKept) {
        self.passwords.insert(role, password);
    }

    /// Whether there was one.
    pub fn remove_password(&mut self, role: Role) -> bool {
        self.passwords.remove(&role).is_some()
    }

    /// Whose password this is. Every one is compared, so that the time does not tell which it was.
    pub fn role_of(&self, password: &str) -> Option<(Role, &PasswordKept)> {
        let fits =
            |(role, kept): (&Role, _)| PasswordKept::is_of(kept, password).then_some((*role, kept));
        let found: Vec<_> = self.passwords.iter().filter_map(fits).collect();
        found.into_iter().next()
    }
}

/// Changes what is kept, one process at a time. `change` says no by an error, and then nothing is
/// written.
///
/// # Errors
/// What `change` says; or the file cannot be read or written.
pub fn change<T, E: From<AccessError>>(
    data_dir: &Path,
    change: impl FnOnce(&mut Kept) -> Result<T, E>,
) -> Result<T, E> {
    let path = path(data_dir);
    let unwritable = |path: &Path, source| AccessError::Unwritable { path: path.into(), source };
    fs::create_dir_all(data_dir).map_err(|source| unwritable(data_dir, source))?;
    // The directory, for the file itself is replaced by each write, and a file for the lock that
    // root has made could not be opened by the box's user.
    let lock = File::open(data_dir).and_then(|dir| dir.lock().map(|()| dir));
    let _held = lock.map_err(|source| unwritable(data_dir, source))?;
    let mut kept = Kept::read(data_dir)?;
    let changed = change(&mut kept)?;
    let text = serde_json::to_vec_pretty(&kept).map_err(|error| unwritable(&path, error.into()))?;
    durable::write_private(&path, &text).map_err(|source| unwritable(&path, source))?;
    Ok(changed)
}
