//! The doctor: what can be known of a box before the first hour is spent on it.
//!
//! Each check looks at one thing, changes nothing that lasts, and says what it found, what that
//! means, and what to do. Looks at paths are made where a hang hurts nobody else.

mod graphics;
mod machine;
mod parameters;
mod rivals;
mod roots;
#[cfg(test)]
mod tests;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::Serialize;
use tokio::sync::watch;

use crate::config::{Config, EngineConfig, Loaded, NeedConfig};
use crate::domain::failure::Failure;
use crate::domain::needs::Needs;
use crate::domain::units::Timestamp;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    Ok,
    /// Sealing works; this will cost time, or end badly later.
    Warning,
    /// Sealing cannot work like this.
    Stop,
}

impl Verdict {
    /// The page's look of it.
    pub fn class(self) -> &'static str {
        match self {
            Self::Ok => "done",
            Self::Warning => "wait",
            Self::Stop => "fail",
        }
    }

    pub fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Stop => "stop",
        }
    }
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    /// As in `scratch /mnt/md1`.
    pub of: String,
    pub verdict: Verdict,
    /// What was found, and why it matters.
    pub found: String,
    /// What to do about it; empty where nothing is to be done.
    pub mend: String,
}

impl Check {
    fn ok(of: impl Into<String>, found: impl Into<String>) -> Self {
        Self { of: of.into(), verdict: Verdict::Ok, found: found.into(), mend: String::new() }
    }

    fn warning(of: impl Into<String>, found: impl Into<String>, mend: impl Into<String>) -> Self {
        Self { of: of.into(), verdict: Verdict::Warning, found: found.into(), mend: mend.into() }
    }

    fn stop(of: impl Into<String>, found: impl Into<String>, mend: impl Into<String>) -> Self {
        Self { of: of.into(), verdict: Verdict::Stop, found: found.into(), mend: mend.into() }
    }

    fn failed(of: impl Into<String>, failure: &Failure) -> Self {
        let file = failure.file.as_ref().map(|file| format!(" ({})", file.display()));
        let found = failure.what.clone() + &file.unwrap_or_default();
        Self::stop(of, found, failure.mend.clone())
    }
}

/// The box's own doctor: what was found last, for the pages.
#[derive(Clone)]
pub struct Doctor {
    loaded: watch::Receiver<Loaded>,
    latest: Arc<Mutex<Option<Examination>>>,
}

/// What was found, and when.
#[derive(Debug, Clone, Serialize)]
pub struct Examination {
    pub at: Timestamp,
    pub checks: Vec<Check>,
}

impl Doctor {
    /// Goes by the configuration that is in effect when it looks.
    pub fn new(loaded: watch::Receiver<Loaded>) -> Self {
        Self { loaded, latest: Arc::default() }
    }

    /// Looks at everything, on a thread of its own: nobody waits for a path that hangs. What is not
    /// well goes to the log.
    pub fn look(&self) {
        let this = self.clone();
        let looked = thread::Builder::new().name("doctor".to_owned()).spawn(move || this.examine());
        if let Err(error) = looked {
            tracing::warn!(%error, "the doctor got no thread");
        }
    }

    fn examine(&self) {
        let config = Arc::clone(&self.loaded.borrow().config);
        let checks = examine(&config);
        for Check { of, verdict, found, mend } in &checks {
            match verdict {
                Verdict::Ok => {}
                Verdict::Warning => tracing::warn!(of, "doctor: {found}; {mend}"),
                Verdict::Stop => tracing::error!(of, "doctor: {found}; {mend}"),
            }
        }
        let at = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let at = Timestamp(u64::try_from(at.as_millis()).unwrap_or(u64::MAX));
        *self.lock() = Some(Examination { at, checks });
    }

    /// None until the first look has come back.
    pub fn latest(&self) -> Option<Examination> {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, Option<Examination>> {
        self.latest.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Looks at everything. Takes as long as the slowest path takes to answer, 10 s at most.
pub fn examine(config: &Config) -> Vec<Check> {
    let mut checks = roots::checks(config);
    checks.extend(machine::checks(config));
    checks.extend(parameters::checks(config));
    checks
}

/// What the phases of this box need.
pub fn needs(config: &Config) -> Needs {
    let mut needs = match &config.engine {
        EngineConfig::Filecoin => Needs::real(),
        EngineConfig::Simulated(_) => Needs::simulated(),
    };
    for NeedConfig { size, phase, need } in &config.needs {
        needs.set(*size, *phase, *need);
    }
    needs
}
