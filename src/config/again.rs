//! The configuration read again while the box runs: what of it can be changed then, and what needs
//! a restart.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Serialize;

use super::{Config, ConfigErrors, Source};
use crate::domain::units::Timestamp;

/// All that decides what is loaded: asked again, only the file can have changed.
#[derive(Debug, Clone, Default)]
pub struct Origin {
    file: Option<PathBuf>,
    environment: Vec<(OsString, OsString)>,
    current_dir: PathBuf,
}

impl Origin {
    /// What this process was started with. `file` is that of `--config`.
    pub fn of_process(file: Option<&Path>) -> Self {
        Self {
            file: file.map(Path::to_path_buf),
            environment: std::env::vars_os().collect(),
            // Without a current directory, only absolute paths mean anything; they still do.
            current_dir: std::env::current_dir().unwrap_or_else(|_| PathBuf::from("/")),
        }
    }

    /// # Errors
    /// As [`Config::load`].
    pub fn load(&self) -> Result<Config, ConfigErrors> {
        Config::load(self.file.as_deref(), self.environment.iter().cloned(), &self.current_dir)
    }

    /// Reads the file again that a configuration came from: one that is gone meanwhile is an error,
    /// and not a reason to go by another.
    ///
    /// # Errors
    /// As [`Config::load`].
    pub fn load_again(&self, source: &Source) -> Result<Config, ConfigErrors> {
        let file = match source {
            Source::File(file) => Some(file.clone()),
            Source::BuiltIn => self.file.clone(),
        };
        Self { file, ..self.clone() }.load()
    }
}

/// The configuration in effect.
#[derive(Debug, Clone)]
pub struct Loaded {
    pub config: Arc<Config>,
    /// When the file was read last.
    pub at: Timestamp,
    /// Keys that the file has otherwise by now, which only a restart puts into effect.
    pub needs_restart: Vec<&'static str>,
}

/// The keys in which two configurations differ, by their names in the file.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Changes {
    /// They can be changed while the box runs.
    pub in_effect: Vec<&'static str>,
    pub needs_restart: Vec<&'static str>,
}

impl Changes {
    /// Takes over what can be changed while the box runs.
    fn take<T: PartialEq>(&mut self, key: &'static str, mine: &mut T, read: T) {
        if *mine != read {
            *mine = read;
            self.in_effect.push(key);
        }
    }

    fn leave<T: PartialEq>(&mut self, key: &'static str, mine: &T, read: &T) {
        if mine != read {
            self.needs_restart.push(key);
        }
    }
}

impl Config {
    /// This configuration with what of `read` can be changed while the box runs, and what changed.
    pub fn with(&self, read: Self) -> (Self, Changes) {
        let (mut with, mut changes) = (self.clone(), Changes::default());
        // Without `..`: a new key has to be put on one of the two sides.
        let Self {
            source,
            notes,
            miner,
            sector_size,
            data_dir,
            scratch,
            storage,
            copy_limit_bytes_per_sec,
            workers,
            max_outstanding,
            max_outstanding_in_all,
            machine,
            needs,
            scratch_keep_free_bytes,
            auto_pledge,
            engine,
            chain,
            listen,
            shutdown_grace,
            check_every,
            // It follows from `data_dir` and the environment.
            parameters: _,
            log,
        } = read;
        let keep_free = "scratch_keep_free_mib";
        changes.take("max_outstanding", &mut with.max_outstanding, max_outstanding);
        let in_all = &mut with.max_outstanding_in_all;
        changes.take("max_outstanding.all", in_all, max_outstanding_in_all);
        changes.take("auto_pledge", &mut with.auto_pledge, auto_pledge);
        let copy_limit = &mut with.copy_limit_bytes_per_sec;
        changes.take("copy_limit_mb_per_sec", copy_limit, copy_limit_bytes_per_sec);
        changes.take(keep_free, &mut with.scratch_keep_free_bytes, scratch_keep_free_bytes);
        changes.take("need", &mut with.needs, needs);
        changes.take("log", &mut with.log, log);
        changes.leave("miner", &self.miner, &miner);
        changes.leave("sector_size", &self.sector_size, &sector_size);
        changes.leave("data_dir", &self.data_dir, &data_dir);
        changes.leave("scratch", &self.scratch, &scratch);
        changes.leave("storage", &self.storage, &storage);
        changes.leave("worker", &self.workers, &workers);
        changes.leave("machine", &self.machine, &machine);
        changes.leave("engine", &self.engine, &engine);
        changes.leave("chain", &self.chain, &chain);
        changes.leave("web.listen", &self.listen, &listen);
        changes.leave("shutdown_grace_sec", &self.shutdown_grace, &shutdown_grace);
        changes.leave("check.every_sec", &self.check_every, &check_every);
        with.source = source;
        with.notes = notes;
        (with, changes)
    }
}
