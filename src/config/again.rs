//! The configuration read again while the box runs: what of it can be changed then, and what needs
//! a restart.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Serialize;

use super::{Config, ConfigErrors, RootConfig, Source};
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

    /// Which roots there are is settled at the start; what is said of them is not.
    fn roots(&mut self, key: &'static str, mine: &mut Vec<RootConfig>, read: Vec<RootConfig>) {
        let paths = |roots: &[RootConfig]| roots.iter().map(|root| root.path.clone()).collect();
        let (before, now): (Vec<_>, Vec<_>) = (paths(mine), paths(&read));
        if before == now {
            self.take(key, mine, read);
        } else {
            self.leave(key, mine, &read);
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
            given,
            miner,
            sector_size,
            porep,
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
            isolation,
            chain,
            listen,
            hosts,
            tls,
            alerts,
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
        changes.take("alerts", &mut with.alerts, alerts);
        changes.take("log", &mut with.log, log);
        changes.leave("miner", &self.miner, &miner);
        changes.leave("sector_size", &self.sector_size, &sector_size);
        changes.leave("porep", &self.porep, &porep);
        changes.leave("data_dir", &self.data_dir, &data_dir);
        changes.roots("scratch", &mut with.scratch, scratch);
        changes.roots("storage", &mut with.storage, storage);
        changes.leave("worker", &self.workers, &workers);
        changes.leave("machine", &self.machine, &machine);
        changes.leave("engine", &self.engine, &engine);
        changes.leave("engine.isolation", &self.isolation, &isolation);
        changes.leave("chain", &self.chain, &chain);
        changes.leave("web.listen", &self.listen, &listen);
        changes.leave("web.hosts", &self.hosts, &hosts);
        // Which files; what is in them is read again.
        changes.leave("web.tls", &self.tls, &tls);
        changes.leave("shutdown_grace_sec", &self.shutdown_grace, &shutdown_grace);
        changes.leave("check.every_sec", &self.check_every, &check_every);
        with.source = source;
        with.notes = notes;
        // What stays as it was is still what was said then.
        let is_of = |key: &str, left: &str| {
            key.strip_prefix(left).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        };
        let stays = |key: &String| changes.needs_restart.iter().any(|left| is_of(key, left));
        with.given.retain(|key, _| stays(key));
        with.given.extend(given.into_iter().filter(|(key, _)| !stays(key)));
        (with, changes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::order::AutoPledge;

    const OTHERWISE: &str = r#"
        miner = "t02000"
        sector_size = "8MiB"
        porep = "synthetic"
        data_dir = "/d"
        copy_limit_mb_per_sec = 7
        scratch_keep_free_mib = 7
        auto_pledge = 7
        shutdown_grace_sec = 7
        log = "debug"
        max_outstanding = { "2KiB" = 7, all = 7 }
        machine = { cores = 7 }
        web = { listen = "127.0.0.1:7", hosts = ["a"], tls_cert = "c", tls_key = "k" }
        check = { every_sec = 7 }
        alerts = { webhook = "http://a" }
        engine = { kind = "simulated", isolation = "process" }
        chain = { lab = { epoch_ms = 7 } }
        [[need]]
        sector_size = "2KiB"
        phase = "P1"
        [[worker]]
        num = 7
        supported_phase = ["P1", "P2", "P3", "P4", "P5", "P6"]
    "#;

    fn load(dir: &Path, text: &str) -> Config {
        std::fs::write(dir.join("appliance.toml"), text).unwrap();
        let origin = Origin { current_dir: dir.to_path_buf(), ..Origin::default() };
        origin.load().unwrap()
    }

    #[test]
    fn every_key_is_either_taken_over_or_named_and_left_as_it_was() {
        let dir = tempfile::tempdir().unwrap();
        let runs = load(dir.path(), "auto_pledge = 0");
        let read = load(dir.path(), OTHERWISE);
        let (with, changes) = runs.with(read.clone());
        let in_effect = [
            "max_outstanding",
            "max_outstanding.all",
            "auto_pledge",
            "copy_limit_mb_per_sec",
            "scratch_keep_free_mib",
            "need",
            "alerts",
            "log",
        ];
        assert_eq!(changes.in_effect, in_effect);
        let needs_restart = [
            "miner",
            "sector_size",
            "porep",
            "data_dir",
            "scratch",
            "storage",
            "worker",
            "machine",
            "engine",
            "engine.isolation",
            "chain",
            "web.listen",
            "web.hosts",
            "web.tls",
            "shutdown_grace_sec",
            "check.every_sec",
        ];
        assert_eq!(changes.needs_restart, needs_restart);
        assert_eq!((with.auto_pledge, &with.needs), (AutoPledge::Sectors(7), &read.needs));
        assert_eq!((with.miner, &with.workers), (runs.miner, &runs.workers));
        assert!(!with.given.contains_key("miner"), "that of the file is not in effect");
        assert_eq!(with.given.get("auto_pledge"), read.given.get("auto_pledge"));
        assert_eq!(with.with(read).1.in_effect, Vec::<&str>::new());
    }

    #[test]
    fn a_file_that_is_gone_is_an_error_and_no_reason_to_go_by_another() {
        let dir = tempfile::tempdir().unwrap();
        let runs = load(dir.path(), "auto_pledge = 0");
        let origin = Origin { current_dir: dir.path().to_path_buf(), ..Origin::default() };
        std::fs::remove_file(dir.path().join("appliance.toml")).unwrap();
        assert!(origin.load_again(&runs.source).is_err());
    }
}
