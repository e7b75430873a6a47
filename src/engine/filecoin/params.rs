//! The Groth parameters: found, checked, or made in this lab, on a thread of their own.

use std::fs::{self, File, TryLockError};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use filecoin_proofs::constants::{
    DefaultPieceHasher, SectorShape2KiB, SectorShape8MiB, SectorShape512MiB,
};
use filecoin_proofs::parameters::public_params;
use filecoin_proofs::types::MerkleTreeTrait;
use rand_08::rngs::OsRng;
use storage_proofs_core::compound_proof::CompoundProof;
use storage_proofs_core::parameter_cache::CacheableParameters;
use storage_proofs_porep::stacked::{StackedCircuit, StackedCompound, StackedDrg};

use super::parameter_files::{ParameterFiles, Verdict};
use super::{Hooks, registered};
use crate::domain::failure::{Class, Failure};
use crate::domain::units::{ByteSize, SectorSize, Timestamp};
use crate::engine::{ParametersState, files};

/// The parameters of one sector size. Made once a size and shared.
pub struct Parameters {
    size: SectorSize,
    state: Mutex<ParametersState>,
    changed: Condvar,
    hooks: Hooks,
}

impl Parameters {
    /// Begins to look for them at once, and to make them if they are not there and may be made.
    pub fn new(size: SectorSize, hooks: Hooks) -> Arc<Self> {
        let this = Arc::new(Self {
            size,
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
        if self.begin_again() {
            self.spawn();
        }
        let mut state = self.lock_state();
        loop {
            match &*state {
                ParametersState::NotNeeded
                | ParametersState::LabMade { .. }
                | ParametersState::Production { .. } => return Ok(()),
                ParametersState::Missing { failure } => return Err(failure.clone()),
                ParametersState::Checking | ParametersState::Making { .. } => {
                    state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
                }
            }
        }
    }

    /// From missing to checking: true for exactly one of those who ask at once.
    fn begin_again(&self) -> bool {
        let mut state = self.lock_state();
        match *state {
            ParametersState::Missing { .. } => {
                *state = ParametersState::Checking;
                true
            }
            ParametersState::NotNeeded
            | ParametersState::Checking
            | ParametersState::LabMade { .. }
            | ParametersState::Production { .. }
            | ParametersState::Making { .. } => false,
        }
    }

    /// Nobody joins this thread: it may be killed with the process at any moment, and what it
    /// leaves then is not trusted by the next one.
    fn spawn(self: &Arc<Self>) {
        let this = Arc::clone(self);
        let work = move || {
            (this.hooks.thread_started)();
            let outcome = catch_unwind(AssertUnwindSafe(|| this.find_or_make()));
            this.set(match outcome {
                Ok(Ok(ready)) => ready,
                Ok(Err(failure)) => ParametersState::Missing { failure },
                Err(panic) => ParametersState::Missing { failure: panicked(&*panic) },
            });
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

    fn find_or_make(&self) -> Result<ParametersState, Failure> {
        let files = files_of(self.size)?;
        let directory = files.directory();
        fs::create_dir_all(directory)
            .map_err(|error| Failure::io("making the parameters' directory", directory, &error))?;
        if !self.size.allows_lab_parameters() {
            return find_production(&files, self.size);
        }
        let _held = self.lock_against_other_processes(&files)?;
        match files.inspect()? {
            Verdict::LabMade { bytes } => {
                Ok(ParametersState::LabMade { file: files.params, bytes })
            }
            Verdict::Production { bytes } => {
                Ok(ParametersState::Production { file: files.params, bytes })
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

    /// One process at a time checks or makes the files of a size. The lock is the kernel's: it
    /// ends with the process that holds it, however that ends.
    fn lock_against_other_processes(&self, files: &ParameterFiles) -> Result<File, Failure> {
        let failed = |error: std::io::Error| Failure::io("locking", &files.lock, &error);
        let lock = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&files.lock)
            .map_err(failed)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                self.step("waiting for another sealbox that is checking or making them");
                lock.lock().map_err(failed)?;
            }
            Err(TryLockError::Error(error)) => return Err(failed(error)),
        }
        Ok(lock)
    }

    fn make(&self, files: ParameterFiles) -> Result<ParametersState, Failure> {
        self.step(&format!(
            "generating lab parameters for {} sectors, {}",
            self.size,
            measured(self.size)
        ));
        generate(self.size, Wanted::All, &files)?;
        self.finish(files)
    }

    fn make_keys(&self, files: ParameterFiles) -> Result<ParametersState, Failure> {
        self.step("deriving the verifying key from the parameters");
        files.set_aside(&[&files.verifying_key, &files.metadata], now())?;
        generate(self.size, Wanted::Keys, &files)?;
        self.finish(files)
    }

    fn finish(&self, files: ParameterFiles) -> Result<ParametersState, Failure> {
        self.step("syncing the files and taking their digests");
        let marker = files.mark(self.size, now())?;
        Ok(ParametersState::LabMade { file: files.params, bytes: marker.params.bytes })
    }

    fn step(&self, step: &str) {
        let since = match &*self.lock_state() {
            ParametersState::Making { since, .. } => *since,
            ParametersState::NotNeeded
            | ParametersState::Checking
            | ParametersState::LabMade { .. }
            | ParametersState::Production { .. }
            | ParametersState::Missing { .. } => now(),
        };
        self.set(ParametersState::Making { step: step.to_owned(), since });
    }
}

/// What to expect, as measured on two cores.
fn measured(size: SectorSize) -> &'static str {
    match size {
        SectorSize::KiB2 => "9 to 12 minutes on two cores, 5.2 GB of memory",
        SectorSize::MiB8 => "about 13 minutes on two cores, 7.2 GB of memory",
        SectorSize::MiB512 => "longer than the 13 minutes of 8 MiB, and more than 7.2 GB of memory",
        SectorSize::GiB32 | SectorSize::GiB64 => "never",
    }
}

fn files_of(size: SectorSize) -> Result<ParameterFiles, Failure> {
    let params = registered::seal_proof(size).cache_params_path().map_err(|error| {
        Failure::new(
            Class::Operator,
            "the proofs library has no name for this size's parameters",
            "report this as a bug of sealbox",
        )
        .detail(format!("{error:#}"))
    })?;
    Ok(ParameterFiles::beside(params))
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
    let files = files_of(size)?;
    let here = |file: &Path| file.file_name().map_or_else(|| dir.to_path_buf(), |n| dir.join(n));
    let Some(bytes) = files::length(&here(&files.params))?.map(ByteSize) else {
        return Ok(Found::Absent);
    };
    Ok(match files::length(&here(&files.marker))? {
        Some(_) => Found::LabMade { bytes },
        None => Found::Unmarked { bytes },
    })
}

/// The two production sizes take the trusted set-up's parameters or none.
fn find_production(files: &ParameterFiles, size: SectorSize) -> Result<ParametersState, Failure> {
    let fetch = format!(
        "fetch the trusted set-up's parameters for {size} into {} (`lotus fetch-params {}` with \
         FIL_PROOFS_PARAMETER_CACHE set to it), then retry",
        files.directory().display(),
        size.name()
    );
    match files.inspect()? {
        Verdict::Production { bytes } => {
            Ok(ParametersState::Production { file: files.params.clone(), bytes })
        }
        Verdict::Absent => Err(Failure::new(
            Class::Operator,
            format!("the Groth parameters for {size} sectors are missing"),
            fetch,
        )
        .at(&files.params)),
        Verdict::LabMade { .. } | Verdict::LabMadeWithoutKeys { .. } => Err(Failure::new(
            Class::Operator,
            format!("lab-made parameters are refused for {size} sectors"),
            format!("move them away and {fetch}"),
        )
        .at(&files.params)),
        Verdict::Untrusted { file, .. } => Err(Failure::new(
            Class::Operator,
            "this parameter file does not have the trusted set-up's digest",
            format!("move it away and {fetch}"),
        )
        .at(file)),
    }
}

enum Wanted {
    All,
    Keys,
}

fn generate(size: SectorSize, wanted: Wanted, files: &ParameterFiles) -> Result<(), Failure> {
    let made = match size {
        SectorSize::KiB2 => generate_with_shape::<SectorShape2KiB>(size, wanted),
        SectorSize::MiB8 => generate_with_shape::<SectorShape8MiB>(size, wanted),
        SectorSize::MiB512 => generate_with_shape::<SectorShape512MiB>(size, wanted),
        SectorSize::GiB32 | SectorSize::GiB64 => {
            Err(anyhow::anyhow!("lab parameters are refused for {size}"))
        }
    };
    made.map_err(|error| {
        Failure::new(
            Class::Operator,
            "the lab parameters could not be made",
            "see that the disk has 2 GB free and the box the memory it takes, then retry",
        )
        .at(files.directory())
        .detail(format!("{error:#}"))
    })
}

/// Makes what is missing through the library's own cache, so that the names and the format are
/// its own. Dropping the result unmaps it; C2 maps the file again.
fn generate_with_shape<Tree: 'static + MerkleTreeTrait>(
    size: SectorSize,
    wanted: Wanted,
) -> anyhow::Result<()> {
    type Compound<Tree> = StackedCompound<Tree, DefaultPieceHasher>;
    type Scheme<'a, Tree> = StackedDrg<'a, Tree, DefaultPieceHasher>;
    type Circuit<Tree> = StackedCircuit<Tree, DefaultPieceHasher>;

    let public = public_params::<Tree>(&registered::seal_proof(size).as_v1_config())?;
    let circuit = || {
        <Compound<Tree> as CompoundProof<'_, Scheme<'_, Tree>, Circuit<Tree>>>::blank_circuit(
            &public,
        )
    };
    Compound::<Tree>::get_param_metadata(circuit(), &public)?;
    match wanted {
        Wanted::All => {
            Compound::<Tree>::get_groth_params(Some(&mut OsRng), circuit(), &public)?;
        }
        Wanted::Keys => {}
    }
    Compound::<Tree>::get_verifying_key(None::<&mut OsRng>, circuit(), &public)?;
    Ok(())
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

fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::time::{Duration, Instant};

    use super::*;

    fn in_directory(dir: &Path) -> ParameterFiles {
        ParameterFiles::beside(dir.join("v28-x.params"))
    }

    fn not_started(hooks: Hooks) -> Parameters {
        let state = Mutex::new(ParametersState::Checking);
        Parameters { size: SectorSize::KiB2, state, changed: Condvar::new(), hooks }
    }

    #[test]
    fn a_production_size_without_parameters_says_where_to_get_them() {
        let dir = tempfile::tempdir().unwrap();
        let files = in_directory(dir.path());
        let failure = find_production(&files, SectorSize::GiB32).unwrap_err();
        assert_eq!(failure.class, Class::Operator);
        assert_eq!(failure.file.as_ref(), Some(&files.params));
        assert!(failure.mend.contains("lotus fetch-params 32GiB"));
    }

    #[test]
    fn a_production_size_refuses_lab_made_and_unknown_parameters() {
        let dir = tempfile::tempdir().unwrap();
        let files = in_directory(dir.path());
        for file in [&files.params, &files.verifying_key, &files.metadata] {
            fs::write(file, "x").unwrap();
        }
        let failure = find_production(&files, SectorSize::GiB64).unwrap_err();
        assert!(failure.what.contains("digest"), "{failure}");
        files.mark(SectorSize::KiB2, now()).unwrap();
        let failure = find_production(&files, SectorSize::GiB64).unwrap_err();
        assert!(failure.what.contains("lab-made"), "{failure}");
        assert!(generate(SectorSize::GiB64, Wanted::All, &files).is_err());
    }

    #[test]
    fn a_second_process_waits_for_the_first_and_says_so() {
        let dir = tempfile::tempdir().unwrap();
        let files = in_directory(dir.path());
        let first = not_started(Hooks::default()).lock_against_other_processes(&files).unwrap();

        let changes = Arc::new(AtomicU32::new(0));
        let counted = Arc::clone(&changes);
        let parameters_changed = Arc::new(move || {
            counted.fetch_add(1, Ordering::SeqCst);
        });
        let second = Arc::new(not_started(Hooks { parameters_changed, ..Hooks::default() }));
        let waiting = {
            let (second, files) = (Arc::clone(&second), files.clone());
            std::thread::spawn(move || second.lock_against_other_processes(&files).map(drop))
        };
        let limit = Instant::now() + Duration::from_secs(10);
        while changes.load(Ordering::SeqCst) == 0 {
            assert!(Instant::now() < limit, "the second never said that it waits");
            std::thread::yield_now();
        }
        match second.state() {
            ParametersState::Making { step, .. } => assert!(step.contains("another sealbox")),
            other => panic!("{other:?}"),
        }
        drop(first);
        waiting.join().unwrap().unwrap();
    }

    #[test]
    fn a_waiter_is_let_go_and_only_one_of_many_looks_again() {
        let parameters = Arc::new(not_started(Hooks::default()));
        let waiting = {
            let parameters = Arc::clone(&parameters);
            std::thread::spawn(move || parameters.wait())
        };
        parameters.set(ParametersState::LabMade { file: "f".into(), bytes: 1 });
        assert_eq!(waiting.join().unwrap(), Ok(()));
        let failure = Failure::new(Class::Operator, "what", "mend");
        parameters.set(ParametersState::Missing { failure });
        assert!(parameters.begin_again());
        assert!(!parameters.begin_again());
    }
}
