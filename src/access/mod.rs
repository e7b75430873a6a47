//! Who may ask this box, and how much: passwords, sessions, bearer tokens, and how often somebody
//! may try.
//!
//! Without an operator's password everyone who reaches the box may do everything, which is right
//! on loopback alone: [`Access::open`] refuses any other address. With one, everybody is asked,
//! on loopback too. No secret is kept: of a password its argon2id hash, of what the box itself has
//! drawn (256 random bits, which no hash has to slow down guessing at) the BLAKE3 digest.

pub mod buckets;
pub mod failed;
pub mod kept;
pub mod secret;
mod sessions;
#[cfg(test)]
mod tests;

use std::fs;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock, PoisonError, RwLock};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::domain::units::Timestamp;
use crate::durable;
use buckets::Buckets;
use failed::Failed;
use kept::{Kept, Token};
use secret::{Digest, Secret};
use sessions::Sessions;

/// Signing in may be tried ten times in a row from one address, then once in ten seconds.
const SIGN_INS: (u32, Duration) = (10, Duration::from_secs(10));
/// A script may press what it likes; a flood of it would keep the journal's disk busy.
const CHANGES: (u32, Duration) = (1_000, Duration::from_millis(10));

/// How much somebody may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Everything.
    Operator,
    /// Look at everything, press nothing: a display on the wall.
    Viewer,
    /// Read `/metrics`, and nothing else.
    Metrics,
}

impl Role {
    pub fn name(self) -> &'static str {
        match self {
            Self::Operator => "operator",
            Self::Viewer => "viewer",
            Self::Metrics => "metrics",
        }
    }

    pub fn may_act(self) -> bool {
        match self {
            Self::Operator => true,
            Self::Viewer | Self::Metrics => false,
        }
    }

    /// How long a session lasts; a wall display is not signed in every week.
    pub fn session(self) -> Duration {
        const DAY: Duration = Duration::from_secs(86_400);
        match self {
            Self::Operator => 7 * DAY,
            Self::Viewer | Self::Metrics => 90 * DAY,
        }
    }
}

/// What somebody showed to get in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Shown {
    /// Nothing, where nothing is asked for.
    Nothing,
    Session,
    /// The name of a bearer token.
    Token(String),
    /// The secret that lies in the data directory, for the command line beside the box.
    Local,
}

/// Somebody who was let in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    pub role: Role,
    pub shown: Shown,
}

/// Why somebody was not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Denied {
    /// Nothing was shown, or a session that is over.
    SignIn,
    WrongToken,
    /// It was right once.
    Expired {
        name: String,
    },
}

/// What a request shows, as text from outside.
#[derive(Debug, Clone, Copy, Default)]
pub struct Claim<'a> {
    pub bearer: Option<&'a str>,
    pub session: Option<&'a str>,
}

#[derive(Debug, thiserror::Error)]
pub enum AccessError {
    #[error(
        "{address} can be reached from other machines, and no operator's password is set: whoever \
         reaches it could order and give up sectors; set one with `sealbox passwd`, or set `[web] \
         listen` to a loopback address and use `ssh -L`"
    )]
    NoPassword { address: SocketAddr },
    #[error(
        "{} cannot be read: {source}; give it to the user that runs sealbox, with mode 0600",
        path.display()
    )]
    Unreadable { path: PathBuf, source: io::Error },
    #[error(
        "{} is damaged ({why}), so nobody can be told from anybody; put it back from a backup, or \
         remove it and set passwords and tokens anew",
        path.display()
    )]
    Damaged { path: PathBuf, why: String },
    #[error(
        "{} cannot be written: {source}; see that the disk has room and the directory belongs to \
         the user that runs sealbox",
        path.display()
    )]
    Unwritable { path: PathBuf, source: io::Error },
}

/// Where a start leaves a secret for the command line of who may read the data directory: such a
/// person could set a password as well, so this gives away nothing.
pub fn local_secret(data_dir: &Path) -> PathBuf {
    data_dir.join("cli.token")
}

/// By what a file is known to be another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    inode: u64,
    bytes: u64,
    changed: (i64, i64),
}

impl Stamp {
    fn of(path: &Path) -> Option<Self> {
        let seen = fs::metadata(path).ok()?;
        let changed = (seen.mtime(), seen.mtime_nsec());
        Some(Self { inode: seen.ino(), bytes: seen.len(), changed })
    }
}

/// The box's side: lets in, counts who failed.
#[derive(Debug)]
pub struct Access {
    data_dir: PathBuf,
    /// Nothing is asked for as long as no password is set.
    loopback: bool,
    read: RwLock<(Option<Stamp>, Arc<Kept>)>,
    sessions: Sessions,
    local: OnceLock<Digest>,
    pub failed: Failed,
    pub sign_ins: Buckets,
    pub changes: Buckets,
}

impl Access {
    /// # Errors
    /// The file cannot be read, or there is no password where there has to be one.
    pub fn open(data_dir: &Path, listen: SocketAddr) -> Result<Self, AccessError> {
        let stamp = Stamp::of(&kept::path(data_dir));
        let kept = Kept::read(data_dir)?;
        let loopback = listen.ip().is_loopback();
        if !loopback && kept.password(Role::Operator).is_none() {
            return Err(AccessError::NoPassword { address: listen });
        }
        Ok(Self {
            data_dir: data_dir.to_path_buf(),
            loopback,
            read: RwLock::new((stamp, Arc::new(kept))),
            sessions: Sessions::open(data_dir),
            local: OnceLock::new(),
            failed: Failed::default(),
            sign_ins: Buckets::new(SIGN_INS.0, SIGN_INS.1),
            changes: Buckets::new(CHANGES.0, CHANGES.1),
        })
    }

    /// Leaves the secret for the command line. Only once the data directory is this box's: else a
    /// second start would take it away from the box that runs.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn leave_local_secret(&self) -> Result<(), AccessError> {
        let (path, secret) = (local_secret(&self.data_dir), Secret::draw());
        durable::write_private(&path, secret.shown().as_bytes())
            .map_err(|source| AccessError::Unwritable { path, source })?;
        // There is one start in a process, so nothing can be there yet.
        let _ = self.local.set(secret.digest());
        Ok(())
    }

    /// What is kept now: what the command line has changed takes effect with the next request. A
    /// file that has become unreadable changes nothing, so that no damage opens the box.
    pub fn kept(&self) -> Arc<Kept> {
        let stamp = Stamp::of(&kept::path(&self.data_dir));
        {
            let read = self.read.read().unwrap_or_else(PoisonError::into_inner);
            if read.0 == stamp {
                return Arc::clone(&read.1);
            }
        }
        let mut read = self.read.write().unwrap_or_else(PoisonError::into_inner);
        if read.0 != stamp {
            read.0 = stamp;
            match (stamp, Kept::read(&self.data_dir)) {
                (Some(_), Ok(kept)) => {
                    tracing::info!("passwords and tokens were read again");
                    read.1 = Arc::new(kept);
                }
                (None, _) => tracing::error!(
                    "{} is gone; what it said holds until sealbox is started again",
                    kept::path(&self.data_dir).display()
                ),
                (Some(_), Err(error)) => {
                    tracing::error!("passwords and tokens stay as they were: {error}");
                }
            }
        }
        Arc::clone(&read.1)
    }

    /// Whether everybody is let in as the operator.
    pub fn is_open(&self) -> bool {
        self.loopback && self.kept().password(Role::Operator).is_none()
    }

    /// Who this is. What is shown and wrong is never passed over for something else.
    ///
    /// # Errors
    /// Why nobody is let in by it.
    pub fn caller(&self, claim: Claim<'_>, now: Timestamp) -> Result<Caller, Denied> {
        if let Some(bearer) = claim.bearer {
            return self.by_token(&Digest::of(bearer), now);
        }
        let kept = self.kept();
        let session = claim.session.map(Digest::of);
        if let Some(role) = session.and_then(|digest| self.sessions.find(&digest, &kept, now)) {
            return Ok(Caller { role, shown: Shown::Session });
        }
        if self.is_open() {
            return Ok(Caller { role: Role::Operator, shown: Shown::Nothing });
        }
        Err(Denied::SignIn)
    }

    fn by_token(&self, digest: &Digest, now: Timestamp) -> Result<Caller, Denied> {
        if self.local.get() == Some(digest) {
            return Ok(Caller { role: Role::Operator, shown: Shown::Local });
        }
        let kept = self.kept();
        let token = kept.tokens.iter().find(|token| token.digest == *digest);
        let Some(Token { name, role, .. }) = token else { return Err(Denied::WrongToken) };
        if token.is_some_and(|token| token.is_over(now)) {
            return Err(Denied::Expired { name: name.clone() });
        }
        Ok(Caller { role: *role, shown: Shown::Token(name.clone()) })
    }

    /// Begins a session for who knows a password. Takes a tenth of a second and 19 MiB on purpose,
    /// and then the time of a sync: not for a thread that serves others.
    ///
    /// # Errors
    /// The session cannot be kept. `Ok(None)`: the password is wrong.
    pub fn sign_in(
        &self,
        password: &str,
        now: Timestamp,
    ) -> Result<Option<(Role, Secret)>, AccessError> {
        let kept = self.kept();
        let Some((role, hash)) = kept.role_of(password) else { return Ok(None) };
        let secret = self.sessions.begin(role, hash, now)?;
        Ok(Some((role, secret)))
    }

    /// Ends the session, for this and every later start.
    ///
    /// # Errors
    /// That it is over cannot be kept; it is over nevertheless until the next start.
    pub fn sign_out(&self, session: &str) -> Result<(), AccessError> {
        self.sessions.end(&Digest::of(session))
    }

    /// Notes a password or token that was wrong.
    pub fn note_failed(&self, from: IpAddr, now: Timestamp) {
        let times = self.failed.note(from, now);
        // The first, second, fourth …: a guesser does not fill the log.
        if times.is_power_of_two() {
            tracing::warn!(%from, times, "a wrong password or token was shown");
        }
    }
}
