//! The box's side, with a shell in the place of the attempt's process.

use std::fs;
use std::path::Path;
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use super::*;
use crate::config::SimulatedConfig;
use crate::domain::failure::Class;
use crate::domain::ids::{ActorId, Bytes32, SectorNumber};
use crate::domain::porep::Porep;
use crate::domain::progress::Progress;
use crate::domain::sector::Data;
use crate::domain::units::{Epoch, SectorSize};

fn isolated(dir: &Path, script: &str) -> Isolated {
    let inner = Inner::Simulated(SimulatedEngine::new(SimulatedConfig::default()));
    let claims = Claims::open(dir).unwrap();
    let program = Program { path: "/bin/sh".into(), args: vec!["-c".into(), script.into()] };
    Isolated { program, ..Isolated::new(inner, claims, "info".to_owned()) }
}

fn job(dir: &Path) -> Job {
    Job {
        id: SectorId { miner: ActorId(1000), number: SectorNumber(7) },
        size: SectorSize::KiB2,
        porep: Porep::Interactive,
        data: Data::CommittedCapacity,
        cache: dir.join("cache"),
        shared: dir.join("shared"),
        replica: dir.join("sealed"),
        stop: Stop::default(),
    }
}

fn ticket() -> Ticket {
    Ticket { epoch: Epoch(1), value: Bytes32([1; 32]) }
}

/// P1, told to this script.
fn label(script: &str) -> Result<(), Failure> {
    let dir = tempfile::tempdir().unwrap();
    isolated(dir.path(), script).label(&job(dir.path()), &ticket(), &|_| {})
}

#[test]
fn a_process_that_is_killed_is_a_transient_failure_with_the_signal_and_its_last_lines() {
    let failure = label("echo 'ERROR x: the last words' >&2; kill -9 $$").unwrap_err();
    assert_eq!(failure.class, Class::Transient);
    assert_eq!(failure.what, "the attempt's process was killed by signal 9 (SIGKILL)");
    assert!(failure.mend.contains("OOM killer"), "{failure}");
    assert!(failure.detail.is_some_and(|detail| detail.contains("the last words")));
}

#[test]
fn a_process_that_ends_without_an_answer_is_a_transient_failure() {
    for script in ["exit 3", "cat > /dev/null", "echo '{\"ended\":'; exit 3"] {
        let failure = label(script).unwrap_err();
        assert_eq!(failure.class, Class::Transient, "{script}");
        assert!(failure.what.contains("without an answer"), "{failure}");
    }
}

#[test]
fn a_program_that_is_not_there_is_a_transient_failure() {
    let dir = tempfile::tempdir().unwrap();
    let mut engine = isolated(dir.path(), "");
    engine.program.path = dir.path().join("gone");
    let failure = engine.label(&job(dir.path()), &ticket(), &|_| {}).unwrap_err();
    assert_eq!(failure.class, Class::Transient);
    assert!(failure.what.contains("could not be started"));
}

#[test]
fn progress_and_the_answer_arrive_whatever_else_is_written() {
    let dir = tempfile::tempdir().unwrap();
    let script = r#"cat > request
        echo 'a library speaks'; printf 'without an end'
        printf '\n{"progress":{"layers":{"done":1,"of":2}}}\n'
        printf '\n{"ended":{"Ok":null}}\n'"#;
    let script = format!("cd {}; {script}", dir.path().display());
    let told = Mutex::new(Vec::new());
    let tell = |progress| told.lock().unwrap().push(progress);
    isolated(dir.path(), &script).label(&job(dir.path()), &ticket(), &tell).unwrap();
    assert_eq!(told.into_inner().unwrap(), [Progress::Layers { done: 1, of: 2 }]);
    let request = fs::read(dir.path().join("request")).unwrap();
    let request: Request = serde_json::from_slice(&request).unwrap();
    assert_eq!(request.parent, std::process::id());
    assert_eq!(request.call.phase(), Some(Phase::P1));
}

#[test]
fn a_failure_and_a_panic_of_the_attempt_come_over_whole() {
    let failure = Failure::new(Class::Operator, "no space", "make some").at("/scratch");
    let said = serde_json::to_string(&Said::Ended(Err(failure.clone()))).unwrap();
    assert_eq!(label(&format!("cat > /dev/null; echo '{said}'")), Err(failure));

    let panicked = r#"cat > /dev/null; echo '{"panicked":{"message":"boom","backtrace":"at x"}}'"#;
    let failure = label(panicked).unwrap_err();
    assert_eq!(failure.class, Class::Transient);
    assert!(failure.what.contains("panicked: boom"));
    assert_eq!(failure.detail.as_deref(), Some("at x"));
}

#[test]
fn an_order_to_stop_ends_the_process_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let job = job(dir.path());
    let script = "echo $$ > pid.new; mv pid.new pid; exec sleep 3600";
    let engine = isolated(dir.path(), &format!("cd {}; {script}", dir.path().display()));
    let stop = job.stop.clone();
    thread::scope(|scope| {
        let running = scope.spawn(|| engine.label(&job, &ticket(), &|_| {}));
        let begun = Instant::now();
        while !dir.path().join("pid").exists() {
            assert!(begun.elapsed() < Duration::from_secs(30), "it never ran");
            thread::yield_now();
        }
        stop.order();
        assert!(running.join().unwrap().is_err());
    });
    let pid = fs::read_to_string(dir.path().join("pid")).unwrap();
    assert!(!Path::new("/proc").join(pid.trim()).exists(), "it was not reaped");
}
