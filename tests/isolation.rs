//! Attempts in processes of their own: what can be done to one of them, and what that does to the
//! rest. With the simulated engine, seen on the built program.

mod support;

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::json;
use support::{Lab, text};

/// Everything takes no time but P1, which takes an hour.
const SLOW_P1: &str = "
auto_pledge = 0
[engine]
kind = \"simulated\"
isolation = \"process\"
[simulated]
p1_ms = 3600000
p2_ms = 5
p3_ms = 5
p4_ms = 5
p5_ms = 5
p6_ms = 5
[chain.lab]
epoch_ms = 5
challenge_delay = 2
[[worker]]
num = 2
supported_phase = [\"P1\", \"P2\", \"P3\", \"P4\", \"P5\", \"P6\"]
";
/// What takes an hour has ended by order when it is over within this.
const AT_ONCE: Duration = Duration::from_secs(3);

/// A box whose first sector is in a P1 of an hour.
fn in_a_long_p1() -> Lab {
    let mut lab = Lab::with(SLOW_P1);
    lab.start();
    lab.pledge(1);
    wait_for_child(&lab, 0);
    lab
}

/// The process of this sector's attempt, once it is at work: it has told of its progress.
fn wait_for_child(lab: &Lab, number: u64) -> u32 {
    let name = format!("s-t01000-{number}");
    let mut found = None;
    lab.wait("the attempt's process is at work", |lab| {
        let is_its = |pid: &u32| command_line(*pid).is_some_and(|line| line.contains(&name));
        found = lab.children().into_iter().find(is_its);
        found.is_some() && lab.page(&format!("/sectors/{number}")).contains("layer")
    });
    found.expect("it was found")
}

/// None for a process that is gone or dead.
fn command_line(pid: u32) -> Option<String> {
    let line = fs::read(format!("/proc/{pid}/cmdline")).ok().filter(|line| !line.is_empty())?;
    Some(text(&line).replace('\0', " "))
}

fn kill_9(pid: u32) {
    let status = Command::new("kill").args(["-9", &pid.to_string()]).status();
    assert!(status.expect("kill runs").success());
}

fn wait_until_gone(pid: u32) {
    let begun = Instant::now();
    while command_line(pid).is_some() {
        assert!(begun.elapsed() < AT_ONCE, "process {pid} is left behind");
        std::thread::yield_now();
    }
}

#[test]
fn an_abort_ends_a_running_attempt_at_once_and_other_sectors_go_on() {
    let mut lab = in_a_long_p1();
    lab.pledge(1);
    let other = wait_for_child(&lab, 1);
    let child = wait_for_child(&lab, 0);
    let begun = Instant::now();
    let said = lab.cli(&["abort", "0", "--yes"]);
    let words = text(&said.stdout);
    assert_eq!(words.trim(), "sector 0 is given up; its running P1 is stopped now");
    lab.wait_for_state(0, "given up");
    assert!(begun.elapsed() < AT_ONCE, "{:?}", begun.elapsed());
    assert_eq!(command_line(child), None);
    let history = lab.history(0);
    assert!(history.iter().any(|line| line == "P1 interrupted"), "{history:?}");
    assert!(!history.iter().any(|line| line.contains("failed")), "{history:?}");
    assert!(command_line(other).is_some(), "the other sector's attempt goes on");
    lab.kill();
    wait_until_gone(other);
}

#[test]
fn a_killed_attempt_is_one_failure_that_names_the_signal_and_the_sector_finishes() {
    let mut lab = Lab::with(&SLOW_P1.replace("p1_ms = 3600000", "p1_ms = 2000"));
    lab.start();
    lab.pledge(2);
    let box_before = lab.pid();
    kill_9(wait_for_child(&lab, 0));
    lab.wait_for_state(1, "finished");
    lab.wait_for_state(0, "finished");
    assert_eq!(lab.pid(), box_before);
    assert!(!lab.messages().contains("a fresh process takes over"));
    let failed = |number| {
        let history = lab.history(number);
        history.iter().filter(|line| line.contains("failed")).count()
    };
    assert_eq!((failed(0), failed(1)), (1, 0));
    let sector = lab.sector(0).to_string();
    assert!(sector.contains("was killed by signal 9 (SIGKILL)"), "{sector}");
}

#[test]
fn no_end_of_the_box_leaves_an_attempt_behind() {
    type End = fn(&mut Lab);
    let ends: [(&str, End); 3] = [
        ("kill -9", |lab| lab.kill()),
        ("a second signal", |lab| {
            lab.signal("-TERM");
            lab.wait("it stops", |lab| lab.messages().contains("stopping"));
            lab.signal("-TERM");
            assert_eq!(lab.wait_for_end(), Some(130));
        }),
        ("the end of its grace", |lab| {
            lab.signal("-INT");
            assert_eq!(lab.wait_for_end(), Some(0));
        }),
    ];
    for (how, end) in ends {
        let mut lab = Lab::with(&format!("shutdown_grace_sec = 1\n{SLOW_P1}"));
        lab.start();
        lab.pledge(1);
        let child = wait_for_child(&lab, 0);
        end(&mut lab);
        let begun = Instant::now();
        while command_line(child).is_some() {
            assert!(begun.elapsed() < AT_ONCE, "{how} leaves {child} behind");
            std::thread::yield_now();
        }
    }
}

#[test]
fn signals_to_all_of_the_service_leave_attempts_to_the_box() {
    let lab = in_a_long_p1();
    let child = wait_for_child(&lab, 0);
    let status = fs::read_to_string(format!("/proc/{child}/status")).expect("its status");
    let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:")).expect("a mask");
    let caught = u64::from_str_radix(caught.trim(), 16).expect("in hex");
    // SIGHUP, SIGINT, SIGTERM.
    for signal in [1, 2, 15] {
        assert!(caught & (1 << (signal - 1)) != 0, "signal {signal} ends an attempt: {caught:x}");
    }
    // The terminal's Ctrl-C goes to the box's process group.
    let group = |pid| {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).expect("its stat");
        let after_name = stat.rsplit(')').next().expect("fields after the name").to_owned();
        after_name.split_whitespace().nth(2).expect("its process group").to_owned()
    };
    assert_ne!(group(child), group(lab.pid()));
}

#[test]
fn an_attempt_waits_for_one_that_a_box_before_left_on_the_sector() {
    let mut lab = in_a_long_p1();
    let child = wait_for_child(&lab, 0);
    let lock: PathBuf = lab.path("sealbox-data/attempts/s-t01000-0.lock");
    lab.kill();
    wait_until_gone(child);
    // In the place of a process that hangs in the kernel.
    let left = fs::File::open(&lock).expect("its claim");
    left.lock().expect("nobody has it");
    lab.start();
    lab.wait("it says so", |lab| lab.sector(0).to_string().contains("an earlier start of sealbox"));
    left.unlock().expect("given back");
    wait_for_child(&lab, 0);
}

#[test]
fn an_attempt_that_no_box_asks_for_does_nothing_and_says_why() {
    let lab = Lab::with(SLOW_P1);
    let by_hand = lab.sealbox().args(["attempt", "P1"]).stdin(Stdio::null()).output();
    let by_hand = by_hand.expect("sealbox runs");
    assert_eq!(by_hand.status.code(), Some(1));
    assert!(text(&by_hand.stderr).contains("started by the box, and by nobody else"));
    assert_eq!(support::files(lab.dir.path()), [PathBuf::from("appliance.toml")]);
}

#[test]
fn an_abort_ends_a_copy_at_once_in_either_isolation() {
    for isolation in ["thread", "process"] {
        let slow = SLOW_P1.replace("p1_ms = 3600000", "p1_ms = 5");
        let slow = slow.replace("p5_ms = 5", "p5_ms = 3600000");
        let mut lab = Lab::with(&slow.replace("p4_ms = 5", "p4_ms = 3000")).isolated(isolation);
        lab.start();
        lab.pledge(1);
        lab.wait_for_row(0, 16, (1, 0, 1));
        let aborted = lab.post("/api/v1/sectors/0/abort", &json!({})).expect("aborted");
        let awaited = if isolation == "thread" { json!(["P4"]) } else { json!([]) };
        assert_eq!(aborted["awaited"], awaited);
        lab.wait_for_state(0, "given up");
        let history = lab.history(0);
        assert!(history.iter().any(|line| line == "P5 interrupted"), "{history:?}");
    }
}

#[test]
fn the_isolation_is_shown_and_a_wrong_one_refused_with_its_line_and_what_may_stand_there() {
    let lab = in_a_long_p1();
    assert!(lab.page("/system").contains("process: each has its own"));
    let checked = text(&lab.cli(&["check-config"]).stdout);
    assert!(checked.lines().any(|line| line.starts_with("isolation") && line.ends_with("process")));
    lab.configure("[engine]\nisolation = \"container\"\n");
    let refused = lab.cli(&["check-config"]);
    assert_eq!(refused.status.code(), Some(2));
    let words = text(&refused.stderr);
    for word in ["appliance.toml:2", "engine.isolation", "\"thread\"", "\"process\""] {
        assert!(words.contains(word), "{word}: {words}");
    }
}
