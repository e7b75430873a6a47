//! The configuration read again while the box runs. What can be changed is put into effect, the
//! rest is named; a file that is broken changes nothing.

use std::path::Path;
use std::sync::Arc;

use serde::Serialize;
use tokio::sync::{Mutex, watch};

use crate::config::{Changes, Config, ConfigErrors, Loaded, Origin, Source};
use crate::doctor;
use crate::logs::LogFilter;
use crate::notify::Notify;
use crate::scheduler::Handle;
use crate::scheduler::command::{Command, Refusal};
use crate::scheduler::core::Limits;
use crate::scheduler::run::Clock;
use crate::storage::rate::RateLimit;
use crate::storage::room::StorageRoom;
use crate::tls::{self, Tls, TlsError};

/// What of a configuration the scheduler goes by, and can be told anew.
pub fn limits(config: &Config) -> Limits {
    let limit = |(size, limit): (&_, &u32)| (*size, u64::from(*limit));
    Limits {
        max_outstanding: config.max_outstanding.iter().map(limit).collect(),
        max_outstanding_in_all: config.max_outstanding_in_all.map(u64::from),
        auto_pledge: config.auto_pledge,
        needs: Arc::new(doctor::needs(config)),
    }
}

/// All that a new configuration is told to.
pub struct Parts {
    pub origin: Origin,
    pub handle: Handle,
    pub copy_limit: RateLimit,
    pub room: StorageRoom,
    pub log: LogFilter,
    pub notify: Notify,
    pub clock: Clock,
    /// Its certificate is read again, too.
    pub tls: Option<Tls>,
}

/// The configuration in effect, and the way to another. A clone is the same.
#[derive(Clone)]
pub struct Reload {
    parts: Arc<Parts>,
    loaded: Arc<watch::Sender<Loaded>>,
    /// One at a time: else an older file could come into effect after a newer one.
    turn: Arc<Mutex<()>>,
}

/// What reading the file again has changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Reloaded {
    /// The file; none for the built-in configuration.
    pub file: Option<String>,
    #[serde(flatten)]
    pub changes: Changes,
}

/// Why nothing has changed.
#[derive(Debug, thiserror::Error)]
pub enum ReloadError {
    #[error(transparent)]
    Config(#[from] ConfigErrors),
    #[error(transparent)]
    Tls(#[from] TlsError),
    #[error(transparent)]
    Refused(#[from] Refusal),
}

impl Reload {
    pub fn new(parts: Parts, loaded: watch::Sender<Loaded>) -> Self {
        Self { parts: Arc::new(parts), loaded: Arc::new(loaded), turn: Arc::default() }
    }

    pub fn loaded(&self) -> Loaded {
        self.loaded.borrow().clone()
    }

    /// Reads the file again. `by` is who asked, for the log.
    ///
    /// # Errors
    /// What is wrong with the file, or that the scheduler refuses it. Nothing has changed then.
    pub async fn again(&self, by: &str) -> Result<Reloaded, ReloadError> {
        let _turn = self.turn.lock().await;
        self.parts.notify.reloading();
        let reloaded = self.read_and_adopt(by).await;
        // In any case: a broken file leaves the box as ready as it was.
        self.parts.notify.ready();
        match &reloaded {
            Ok(reloaded) => tracing::info!(by, "{}", reloaded.words()),
            Err(error) => tracing::error!(by, "the configuration stays as it was: {error}"),
        }
        reloaded
    }

    async fn read_and_adopt(&self, by: &str) -> Result<Reloaded, ReloadError> {
        let before = self.loaded().config;
        let read = self.parts.origin.load_again(&before.source)?;
        let (config, changes) = before.with(read);
        let renewed =
            self.parts.tls.as_ref().map(|tls| Ok::<_, TlsError>((tls, tls.read_again()?)));
        let renewed = renewed.transpose()?;
        // First, for it may refuse.
        let adopt = Command::Adopt { limits: limits(&config) };
        self.parts.handle.command(adopt, by).await?;
        if let Some((tls, renewed)) = renewed {
            tls.adopt(renewed);
            leave_certificate(tls, &config.data_dir);
        }
        self.parts.copy_limit.change(config.copy_limit_bytes_per_sec);
        self.parts.room.change(&config.storage);
        if let Err(error) = self.parts.log.change(&config.log) {
            tracing::error!("the log goes on as before: {error}");
        }
        let file = match &config.source {
            Source::File(file) => Some(file.display().to_string()),
            Source::BuiltIn => None,
        };
        let at = (self.parts.clock)();
        let needs_restart = changes.needs_restart.clone();
        self.loaded.send_replace(Loaded { config: Arc::new(config), at, needs_restart });
        Ok(Reloaded { file, changes })
    }
}

/// Leaves the certificate in use for the commands beside the box. Without it they still have the one
/// that the configuration names.
pub fn leave_certificate(tls: &Tls, data_dir: &Path) {
    if let Err(error) = tls.leave_certificate(data_dir) {
        let path = tls::in_use(data_dir);
        tracing::warn!(
            "{} cannot be written: {error}; until it can, commands on this machine may not \
             recognise the box after its certificate is renewed",
            path.display()
        );
    }
}

impl Reloaded {
    /// As a person is told.
    pub fn words(&self) -> String {
        let Changes { in_effect, needs_restart } = &self.changes;
        let read = match &self.file {
            Some(file) => format!("{file} was read again"),
            None => "no file was found; the built-in configuration was read again".to_owned(),
        };
        let changed = match in_effect.as_slice() {
            [] => "nothing has changed".to_owned(),
            keys => format!("in effect: {}", keys.join(", ")),
        };
        match needs_restart.as_slice() {
            [] => format!("{read}; {changed}."),
            keys => format!("{read}; {changed}; needs a restart: {}.", keys.join(", ")),
        }
    }
}
