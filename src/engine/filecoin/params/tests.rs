//! Parameters that are waited for, refused, or looked for again.

use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use super::*;

fn in_directory(dir: &Path) -> ParameterFiles {
    ParameterFiles::beside(dir.join("v28-x.params"))
}

fn not_started(hooks: Hooks) -> Parameters {
    let state = Mutex::new(ParametersState::Checking);
    let (size, changed) = (SectorSize::KiB2, Condvar::new());
    Parameters { size, aggregated: false, state, changed, hooks }
}

fn refused(files: &ParameterFiles, size: SectorSize) -> Failure {
    match find_production(files, size).unwrap() {
        ParametersState::Awaited { failure } => failure,
        other => panic!("{other:?}"),
    }
}

fn wait_until(condition: impl Fn() -> bool) {
    let limit = Instant::now() + Duration::from_secs(10);
    while !condition() {
        assert!(Instant::now() < limit, "waited in vain");
        std::thread::yield_now();
    }
}

#[test]
fn a_production_size_without_parameters_says_where_to_get_them() {
    let dir = tempfile::tempdir().unwrap();
    let files = in_directory(dir.path());
    let failure = refused(&files, SectorSize::GiB32);
    assert_eq!(failure.class, Class::Operator);
    assert_eq!(failure.file.as_ref(), Some(&files.params));
    assert!(failure.mend.contains("`sealbox params fetch --sector-size 32GiB`"));
}

#[test]
fn a_production_size_refuses_lab_made_and_unknown_parameters() {
    let dir = tempfile::tempdir().unwrap();
    let files = in_directory(dir.path());
    for file in [&files.params, &files.verifying_key, &files.metadata] {
        fs::write(file, "x").unwrap();
    }
    let failure = refused(&files, SectorSize::GiB64);
    assert!(failure.what.contains("digest"), "{failure}");
    files.mark(SectorSize::KiB2, now()).unwrap();
    let failure = refused(&files, SectorSize::GiB64);
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
    wait_until(|| changes.load(Ordering::SeqCst) > 0);
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
    assert_eq!(parameters.look_again(), Looker::IsGone);
    assert_eq!(parameters.look_again(), Looker::IsThere);
}

#[test]
fn awaited_parameters_are_looked_at_when_they_come_and_when_somebody_asks() {
    let dir = tempfile::tempdir().unwrap();
    let files = in_directory(dir.path());
    let parameters =
        Arc::new(Parameters { size: SectorSize::GiB32, ..not_started(Hooks::default()) });
    // Never joined: what it waits for does not come within the test.
    let looking = (Arc::clone(&parameters), files.clone());
    std::thread::spawn(move || looking.0.look(&looking.1, Duration::from_millis(1)));
    let awaited = |for_what: &str| match parameters.state() {
        ParametersState::Awaited { failure } => failure.what.contains(for_what),
        _ => false,
    };
    wait_until(|| awaited("are missing"));
    fs::write(&files.params, "not the trusted set-up's").unwrap();
    wait_until(|| awaited("digest"));
    fs::remove_file(&files.params).unwrap();
    let failure = parameters.wait().unwrap_err();
    assert!(failure.what.contains("are missing"), "{failure}");
}
