//! The Groth parameters: found, checked, or made in this lab, on a thread of their own.

use std::fs::{self, File};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::Hooks;
use super::lab_made::{Wanted, generate, measured};
use super::parameter_files::{Appearance, ParameterFiles, Verdict, hold};
use super::srs::{self, Ready};
use super::trusted::seal_files;
use crate::domain::failure::{Class, Failure};
use crate::domain::units::{ByteSize, SectorSize, Timestamp};
use crate::engine::{ParametersState, files};

/// How often a file that is awaited is looked for.
const LOOK_EVERY: Duration = Duration::from_secs(10);

/// Whether a thread is there that looks, or will.
#[derive(Debug, PartialEq, Eq)]
enum Looker {
    IsThere,
    IsGone,
}

/// How the parameters look from outside, and the aggregation key.
type Appearances = [Option<Appearance>; 2];

/// The parameters of one sector size. Made once and shared.
pub struct Parameters {
    size: SectorSize,
    /// Whether proofs are aggregated, which takes one more file.
    aggregated: bool,
    state: Mutex<ParametersState>,
    changed: Condvar,
    hooks: Hooks,
}

impl Parameters {
    /// Begins to look for them at once, and to make them if they are not there and may be made.
    pub fn new(size: SectorSize, aggregated: bool, hooks: Hooks) -> Arc<Self> {
        let this = Arc::new(Self {
            size,
            aggregated,
            state: Mutex::new(ParametersState::Checking),
            changed: Condvar::new(),
            hooks,
        });
        this.spawn();
        this
    }

    pub fn state(&self) -> ParametersState {
        self.lock_state().clone()
    }

    /// Blocks until the parameters can be used, or until it is clear that they cannot: then with
    /// the reason. If they were missing before, they are looked for once more: whoever asks again
    /// has had the chance to mend it.
    pub fn wait(self: &Arc<Self>) -> Result<(), Failure> {
        match self.look_again() {
            Looker::IsThere => {}
            Looker::IsGone => self.spawn(),
        }
        let mut state = self.lock_state();
        loop {
            match &*state {
                ParametersState::NotNeeded
                | ParametersState::LabMade { .. }
                | ParametersState::Production { .. } => return Ok(()),
                ParametersState::Missing { failure } | ParametersState::Awaited { failure } => {
                    return Err(failure.clone());
                }
                ParametersState::Checking | ParametersState::Making { .. } => {
                    state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
                }
            }
        }
    }

    /// From missing to checking. The looker is gone for exactly one of those who ask at once.
    fn look_again(&self) -> Looker {
        let mut state = self.lock_state();
        match *state {
            ParametersState::Missing { .. } => {
                *state = ParametersState::Checking;
                Looker::IsGone
            }
            ParametersState::Awaited { .. } => {
                *state = ParametersState::Checking;
                self.changed.notify_all();
                Looker::IsThere
            }
            ParametersState::NotNeeded
            | ParametersState::Checking
            | ParametersState::LabMade { .. }
            | ParametersState::Production { .. }
            | ParametersState::Making { .. } => Looker::IsThere,
        }
    }

    /// Nobody joins this thread: it may be killed with the process at any moment, and what it
    /// leaves then is not trusted by the next one.
    fn spawn(self: &Arc<Self>) {
        let this = Arc::clone(self);
        let work = move || {
            (this.hooks.thread_started)();
            match seal_files(this.size) {
                Ok(files) => this.look(&files, LOOK_EVERY),
                Err(failure) => this.set(ParametersState::Missing { failure }),
            }
        };
        if let Err(error) = std::thread::Builder::new().name("parameters".to_owned()).spawn(work) {
            let failure = Failure::new(
                Class::Operator,
                "no thread could be started to look for the Groth parameters",
                "see that the box has memory and processes left (`ulimit -u`), then retry",
            )
            .detail(error.to_string());
            self.set(ParametersState::Missing { failure });
        }
    }

    /// Looks until they are there, or nothing but a Retry can help.
    fn look(&self, files: &ParameterFiles, every: Duration) {
        loop {
            let before = self.appearance(files);
            let outcome = catch_unwind(AssertUnwindSafe(|| {
                let found = self.find_or_make(files)?;
                self.with_srs(found)
            }));
            let found = match outcome {
                Ok(Ok(found)) => found,
                Ok(Err(failure)) => ParametersState::Missing { failure },
                Err(panic) => ParametersState::Missing { failure: panicked(&*panic) },
            };
            let awaited = is_awaited(&found);
            self.set(found);
            if !awaited {
                return;
            }
            self.await_change(files, before, every);
        }
    }

    /// Until something else lies there and does not grow any more, or somebody asks.
    fn await_change(&self, files: &ParameterFiles, before: Appearances, every: Duration) {
        let mut last = before;
        loop {
            let waiting = self.lock_state();
            let waited = self.changed.wait_timeout_while(waiting, every, |now| is_awaited(now));
            let (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
            if !is_awaited(&state) {
                return;
            }
            drop(state);
            let now = self.appearance(files);
            if now != before && now == last {
                self.set(ParametersState::Checking);
                return;
            }
            last = now;
        }
    }

    fn appearance(&self, files: &ParameterFiles) -> Appearances {
        let srs = self.aggregated.then(srs::files);
        [files.appearance(), srs.and_then(|srs| srs.appearance())]
    }

    /// What aggregation takes beside parameters that are there.
    fn with_srs(&self, found: ParametersState) -> Result<ParametersState, Failure> {
        match found {
            ParametersState::LabMade { .. } | ParametersState::Production { .. }
                if self.aggregated =>
            {
                let waiting =
                    || self.step("waiting for another sealbox that makes or fetches a key");
                Ok(match srs::make_ready(self.size, waiting)? {
                    Ready::There => found,
                    Ready::Awaited(failure) => ParametersState::Awaited { failure },
                })
            }
            ParametersState::NotNeeded
            | ParametersState::Checking
            | ParametersState::LabMade { .. }
            | ParametersState::Production { .. }
            | ParametersState::Making { .. }
            | ParametersState::Missing { .. }
            | ParametersState::Awaited { .. } => Ok(found),
        }
    }

    fn set(&self, state: ParametersState) {
        tracing::info!(sector_size = %self.size, state = ?state, "parameters");
        *self.lock_state() = state;
        self.changed.notify_all();
        (self.hooks.parameters_changed)();
    }

    fn lock_state(&self) -> MutexGuard<'_, ParametersState> {
        // The state is replaced as a whole, so a panic elsewhere cannot leave it half-written.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn find_or_make(&self, files: &ParameterFiles) -> Result<ParametersState, Failure> {
        let directory = files.directory();
        fs::create_dir_all(directory)
            .map_err(|error| Failure::io("making the parameters' directory", directory, &error))?;
        if !self.size.allows_lab_parameters() {
            return find_production(files, self.size);
        }
        let _held = self.lock_against_other_processes(files)?;
        match files.inspect()? {
            Verdict::LabMade { bytes } => {
                Ok(ParametersState::LabMade { file: files.params.clone(), bytes })
            }
            Verdict::Production { bytes } => {
                Ok(ParametersState::Production { file: files.params.clone(), bytes })
            }
            Verdict::LabMadeWithoutKeys { .. } => self.make_keys(files),
            Verdict::Absent => self.make(files),
            Verdict::Untrusted { file, why } => {
                let aside = files.set_aside(&files.all(), now())?;
                tracing::warn!(file = %file.display(), why, ?aside, "parameters set aside");
                self.make(files)
            }
        }
    }

    fn lock_against_other_processes(&self, files: &ParameterFiles) -> Result<File, Failure> {
        hold(&files.lock, || {
            self.step("waiting for another sealbox that is checking, making or fetching them");
        })
    }

    fn make(&self, files: &ParameterFiles) -> Result<ParametersState, Failure> {
        self.step(&format!(
            "generating lab parameters for {} sectors, {}",
            self.size,
            measured(self.size)
        ));
        generate(self.size, Wanted::All, files)?;
        self.finish(files)
    }

    fn make_keys(&self, files: &ParameterFiles) -> Result<ParametersState, Failure> {
        self.step("deriving the verifying key from the parameters");
        files.set_aside(&[&files.verifying_key, &files.metadata], now())?;
        generate(self.size, Wanted::Keys, files)?;
        self.finish(files)
    }

    fn finish(&self, files: &ParameterFiles) -> Result<ParametersState, Failure> {
        self.step("syncing the files and taking their digests");
        let marker = files.mark(self.size, now())?;
        Ok(ParametersState::LabMade { file: files.params.clone(), bytes: marker.params.bytes })
    }

    fn step(&self, step: &str) {
        let since = match &*self.lock_state() {
            ParametersState::Making { since, .. } => *since,
            ParametersState::NotNeeded
            | ParametersState::Checking
            | ParametersState::LabMade { .. }
            | ParametersState::Production { .. }
            | ParametersState::Missing { .. }
            | ParametersState::Awaited { .. } => now(),
        };
        self.set(ParametersState::Making { step: step.to_owned(), since });
    }
}

/// Parameters that lie in a directory, looked at without reading them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    Absent,
    /// With sealbox's marker beside them.
    LabMade {
        bytes: ByteSize,
    },
    /// Of the trusted set-up, if their digest says so too.
    Unmarked {
        bytes: ByteSize,
    },
}

/// What lies in this directory for sectors of this size. Makes nothing and trusts nothing.
///
/// # Errors
/// The directory cannot be read.
pub fn find_parameters(dir: &Path, size: SectorSize) -> Result<Found, Failure> {
    let files = seal_files(size)?;
    let here = |file: &Path| file.file_name().map_or_else(|| dir.to_path_buf(), |n| dir.join(n));
    let Some(bytes) = files::length(&here(&files.params))?.map(ByteSize) else {
        return Ok(Found::Absent);
    };
    Ok(match files::length(&here(&files.marker))? {
        Some(_) => Found::LabMade { bytes },
        None => Found::Unmarked { bytes },
    })
}

/// The two production sizes take the trusted set-up's parameters or none. Bringing them takes
/// hours, mostly by another process: they are awaited, and nobody need say that they have come.
fn find_production(files: &ParameterFiles, size: SectorSize) -> Result<ParametersState, Failure> {
    let fetch = format!("`sealbox params fetch --sector-size {}`", size.name());
    let (what, mend, file) = match files.inspect()? {
        Verdict::Production { bytes } => {
            return Ok(ParametersState::Production { file: files.params.clone(), bytes });
        }
        Verdict::Absent => (
            format!("the Groth parameters for {size} sectors are missing"),
            format!("fetch the trusted set-up's: {fetch}"),
            files.params.clone(),
        ),
        Verdict::LabMade { .. } | Verdict::LabMadeWithoutKeys { .. } => (
            format!("lab-made parameters are refused for {size} sectors"),
            format!("move them away and fetch the trusted set-up's: {fetch}"),
            files.params.clone(),
        ),
        Verdict::Untrusted { file, .. } => (
            "this parameter file does not have the trusted set-up's digest".to_owned(),
            format!("fetch the right one: {fetch} sets this one aside"),
            file,
        ),
    };
    let mend = format!("{mend}; sealbox goes on by itself when they are there");
    Ok(ParametersState::Awaited { failure: Failure::new(Class::Operator, what, mend).at(file) })
}

fn is_awaited(state: &ParametersState) -> bool {
    match state {
        ParametersState::Awaited { .. } => true,
        ParametersState::NotNeeded
        | ParametersState::Checking
        | ParametersState::LabMade { .. }
        | ParametersState::Production { .. }
        | ParametersState::Making { .. }
        | ParametersState::Missing { .. } => false,
    }
}

fn panicked(panic: &(dyn std::any::Any + Send)) -> Failure {
    let message = panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("a panic without a message");
    Failure::new(
        Class::Operator,
        "the proofs library panicked over the parameters",
        "read the detail; if it is a full disk, free space; then retry",
    )
    .detail(message)
}

pub(super) fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests;
