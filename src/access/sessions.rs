//! Who is signed in. In memory, and in `sessions.json`, so that a restart signs nobody out.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};

use super::kept::Kept;
use super::secret::{Digest, PasswordKept, Secret};
use super::{AccessError, Role};
use crate::domain::units::Timestamp;
use crate::durable;

/// More than any box has people and displays; the oldest goes for the newest.
const MOST: usize = 500;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Session {
    digest: Digest,
    role: Role,
    /// Of the password that it was begun with: another one ends it.
    password: Digest,
    expires: Timestamp,
}

#[derive(Debug)]
pub struct Sessions {
    path: PathBuf,
    /// Oldest first.
    kept: Mutex<Vec<Session>>,
}

impl Sessions {
    /// What cannot be read signs everybody out, and nobody in.
    pub fn open(data_dir: &Path) -> Self {
        let path = data_dir.join("sessions.json");
        let read = fs::read(&path).and_then(|bytes| Ok(serde_json::from_slice(&bytes)?));
        let kept = read.unwrap_or_else(|error| {
            if error.kind() != io::ErrorKind::NotFound {
                tracing::warn!("{}: {error}; everybody has to sign in again", path.display());
            }
            Vec::new()
        });
        Self { path, kept: Mutex::new(kept) }
    }

    /// Begins one for who knows this password.
    pub fn begin(
        &self,
        role: Role,
        password: &PasswordKept,
        now: Timestamp,
    ) -> Result<Secret, AccessError> {
        let secret = Secret::draw();
        let session = Session {
            digest: secret.digest(),
            role,
            password: password.digest(),
            expires: now.plus(role.session()),
        };
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.retain(|session| session.expires > now);
        let too_many = (kept.len() + 1).saturating_sub(MOST);
        kept.drain(..too_many);
        kept.push(session);
        self.write(&kept)?;
        Ok(secret)
    }

    pub fn find(&self, digest: &Digest, access: &Kept, now: Timestamp) -> Option<Role> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let session = kept.iter().find(|session| session.digest == *digest)?;
        let password = access.password(session.role)?.digest();
        (session.expires > now && session.password == password).then_some(session.role)
    }

    pub fn end(&self, digest: &Digest) -> Result<(), AccessError> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let before = kept.len();
        kept.retain(|session| session.digest != *digest);
        if kept.len() == before { Ok(()) } else { self.write(&kept) }
    }

    /// Under the lock: an older list must not come after a newer one.
    fn write(&self, kept: &[Session]) -> Result<(), AccessError> {
        let text = serde_json::to_vec_pretty(kept).map_err(io::Error::from);
        text.and_then(|text| durable::write_private(&self.path, &text))
            .map_err(|source| AccessError::Unwritable { path: self.path.clone(), source })
    }
}
