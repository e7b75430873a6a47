//! What the scheduler promises, seen on the built program with the simulated engine.

mod support;

use serde_json::{Value, json};
use support::{Lab, QUICK};

fn quick(top: &str, more: &str) -> Lab {
    Lab::with(&format!("auto_pledge = 0\n{top}\n[engine]\nkind = \"simulated\"\n{QUICK}\n{more}"))
}

/// Tests of claims that hold wherever attempts run.
macro_rules! in_both_isolations {
    ($($claim:ident),* $(,)?) => {
        mod on_threads { $(#[test] fn $claim() { super::$claim("thread") })* }
        mod in_processes { $(#[test] fn $claim() { super::$claim("process") })* }
    };
}

in_both_isolations!(
    a_sector_goes_through_its_phases_in_order_and_p5_runs_beside_p4,
    a_killed_box_goes_on_by_itself_whatever_phase_it_was_in,
    a_panic_in_a_phase_fails_the_attempt_and_it_is_tried_again,
    a_stored_copy_that_spoils_before_clean_is_copied_again_from_scratch,
    retry_from_the_command_line_puts_a_failed_task_back,
    an_abort_says_what_becomes_of_the_running_attempt_and_cleans_up_behind_it,
    sigterm_lets_what_runs_finish_and_starts_nothing_new,
);

fn position(history: &[String], word: &str) -> usize {
    history
        .iter()
        .position(|line| line.contains(word))
        .unwrap_or_else(|| panic!("no `{word}` in {history:?}"))
}

fn a_sector_goes_through_its_phases_in_order_and_p5_runs_beside_p4(isolation: &'static str) {
    let slow = QUICK.replace("p4_ms = 5", "p4_ms = 1500").replace("p5_ms = 5", "p5_ms = 200");
    let mut lab = Lab::with(&format!("auto_pledge = 0\n[engine]\nkind = \"simulated\"\n{slow}"))
        .isolated(isolation);
    lab.start();
    lab.pledge(1);
    // Both are taken at the same time.
    lab.wait("P4 and P5 run side by side", |lab| {
        lab.row(0, 8) == Some((1, 0, 1)) && lab.row(0, 16) == Some((1, 0, 1))
    });
    lab.wait_for_state(0, "finished");
    let history = lab.history(0);
    let order = ["P1 started", "P1 succeeded", "P2 started", "P2 succeeded", "P3 started"];
    let places: Vec<usize> = order.iter().map(|word| position(&history, word)).collect();
    assert!(places.is_sorted(), "{history:?}");
    assert!(position(&history, "P5 succeeded") < position(&history, "P4 succeeded"));
    assert!(position(&history, "P4 succeeded") < position(&history, "P6 started"));
    let sector = lab.sector(0);
    assert_eq!(sector["simulated"], true);
    for task_type in [1, 2, 4, 8, 16, 32] {
        assert_eq!(lab.row(0, task_type), Some((1, 1, 0)));
    }
}

#[test]
fn the_32_gib_throttle_lets_one_sector_in_and_a_failed_one_holds_its_place_until_retried() {
    let failure = "[[simulated.failure]]\nsector = 0\nphase = \"P2\"\nclass = \"operator\"\n";
    let mut lab = quick("sector_size = \"32GiB\"", failure);
    lab.start();
    lab.pledge(2);
    lab.wait_for_row(0, 2, (1, 1, 2));
    assert_eq!(lab.sector(1), Value::Null, "the second sector was issued");
    let status = lab.get("/api/v1/status");
    assert_eq!(status["throttles"][0]["limit"], 1);
    assert_eq!(status["throttles"][0]["outstanding"], 1);
    assert_eq!(status["throttles"][0]["waiting"], 1);
    lab.wait("the way out is on the first page", |lab| lab.page("/").contains("Retry P2"));
    let retried = lab.post("/api/v1/sectors/0/retry", &json!({})).expect("retried");
    assert_eq!(retried, json!({ "retried": ["P2"] }));
    lab.wait_for_state(0, "finished");
    lab.wait_for_state(1, "finished");
}

#[test]
fn a_refused_pre_commit_goes_straight_to_clean_and_4_8_and_16_never_run() {
    let refuse =
        QUICK.replace("challenge_delay = 2", "challenge_delay = 2\nrefuse_pre_commit = [0]");
    let mut lab = Lab::with(&format!("auto_pledge = 0\n[engine]\nkind = \"simulated\"\n{refuse}"));
    lab.start();
    lab.pledge(1);
    lab.wait_for_state(0, "given up");
    for never in [4, 8, 16] {
        assert_eq!(lab.row(0, never), None, "task {never}");
    }
    assert_eq!(lab.row(0, 32), Some((1, 1, 0)));
    let scratch = support::left_on(&lab.path("sealbox-data/scratch"));
    assert!(scratch.is_empty(), "left on scratch: {scratch:?}");
    let history = lab.history(0);
    position(&history, "deleted");
}

fn a_killed_box_goes_on_by_itself_whatever_phase_it_was_in(isolation: &'static str) {
    for (phase, task_type) in [("p1", 1), ("p2", 2), ("p3", 4), ("p4", 8), ("p5", 16), ("p6", 32)] {
        let slow = QUICK.replace(&format!("{phase}_ms = 5"), &format!("{phase}_ms = 700"));
        let text = format!("auto_pledge = 0\n[engine]\nkind = \"simulated\"\n{slow}");
        let mut lab = Lab::with(&text).isolated(isolation);
        lab.start();
        lab.pledge(1);
        lab.wait_for_row(0, task_type, (1, 0, 1));
        lab.kill();
        lab.start();
        lab.wait_for_state(0, "finished");
        let history = lab.history(0);
        position(&history, "interrupted");
        assert_eq!(lab.row(0, task_type), Some((1, 1, 0)));
        assert!(support::left_on(&lab.path("sealbox-data/scratch")).is_empty(), "{phase}");
    }
}

#[test]
fn a_box_killed_while_it_waits_for_the_seed_waits_for_the_same_epoch() {
    let slow = QUICK
        .replace("epoch_ms = 5", "epoch_ms = 100")
        .replace("challenge_delay = 2", "challenge_delay = 20");
    let mut lab = Lab::with(&format!("auto_pledge = 0\n[engine]\nkind = \"simulated\"\n{slow}"));
    lab.start();
    lab.pledge(1);
    lab.wait_for_state(0, "wait seed");
    let promised = lab.sector(0)["pre_commit"]["seed_epoch"].clone();
    assert!(promised.is_u64());
    lab.kill();
    lab.start();
    assert_eq!(lab.sector(0)["pre_commit"]["seed_epoch"], promised);
    lab.wait_for_state(0, "finished");
    assert_eq!(lab.sector(0)["seed_epoch"], promised);
}

#[test]
fn every_acknowledged_order_is_there_after_a_kill() {
    let mut lab = quick("", "");
    for round in 1..=5u64 {
        lab.start();
        lab.pledge(2);
        lab.kill();
        lab.start();
        lab.wait("all sectors of all orders", |lab| {
            lab.sector(round * 2 - 1)["state"] == "finished"
        });
        lab.kill();
    }
}

fn a_panic_in_a_phase_fails_the_attempt_and_it_is_tried_again(isolation: &'static str) {
    let panic = "[[simulated.failure]]\nphase = \"P3\"\npanic = true\n";
    let mut lab = quick("", panic).isolated(isolation);
    lab.start();
    lab.pledge(1);
    lab.wait("the panic's message with the task", |lab| {
        let sector = lab.sector(0);
        let tasks = sector["tasks"].as_array().cloned().unwrap_or_default();
        tasks.iter().any(|task| task["error"].as_str().is_some_and(|e| e.contains("panicked")))
    });
    if isolation == "thread" {
        lab.wait("a fresh process took over", |lab| {
            lab.messages().contains("a fresh process takes over")
        });
        // The simulation counts its panics anew in every box: let it off now.
        lab.kill();
        lab.configure(&format!("auto_pledge = 0\n[engine]\nkind = \"simulated\"\n{QUICK}"));
        lab.start();
    }
    lab.wait("finished", |lab| lab.sector(0)["state"] == "finished");
    // Where the panic had a process of its own, it was nothing to the box.
    assert!(!lab.messages().contains("a fresh process takes over"), "{}", lab.messages());
}

fn a_stored_copy_that_spoils_before_clean_is_copied_again_from_scratch(isolation: &'static str) {
    let slow = QUICK.replace("p6_ms = 5", "p6_ms = 600");
    let mut lab = Lab::with(&format!("auto_pledge = 0\n[engine]\nkind = \"simulated\"\n{slow}"))
        .isolated(isolation);
    lab.start();
    lab.pledge(1);
    lab.wait_for_row(0, 32, (1, 0, 1));
    let stored = lab.path("sealbox-data/storage/sealed/s-t01000-0");
    std::fs::write(&stored, "spoilt").expect("the stored replica");
    lab.wait_for_row(0, 32, (1, 1, 2));
    assert!(lab.path("sealbox-data/scratch/sealed/s-t01000-0").exists(), "deleted before proof");
    lab.wait("the page offers it", |lab| lab.page("/sectors/0").contains("Copy again"));
    let copied = lab.post("/api/v1/sectors/0/retry", &json!({ "phase": "P5" })).expect("put back");
    assert_eq!(copied, json!({ "retried": ["P5"] }));
    lab.wait_for_state(0, "finished");
    assert!(std::fs::read(&stored).expect("the replica").starts_with(b"SIMULATED"));
}

#[test]
fn a_box_with_nothing_to_do_uses_next_to_no_processor_time() {
    // One worker that is busy, and a failed attempt that is due meanwhile: nothing to do but wait.
    let text = "auto_pledge = 0
        [engine]
        kind = \"simulated\"
        [simulated]
        p1_ms = 60000
        [[simulated.failure]]
        sector = 0
        phase = \"P1\"
        class = \"transient\"
        [chain.lab]
        epoch_ms = 5
        challenge_delay = 2";
    let mut lab = Lab::with(&text.replace("p1_ms = 60000", "p1_ms = 7000"));
    lab.start();
    lab.pledge(2);
    lab.wait("the first has failed and the second runs", |lab| {
        lab.row(1, 1) == Some((1, 0, 1)) && lab.row(0, 1) == Some((0, 0, 1))
    });
    let due = lab.cpu_ms();
    lab.wait("the first runs again", |lab| lab.row(0, 1) == Some((1, 0, 1)));
    // The back-off is 5 s, the second attempt 7 s: for 2 s the first was due and had no worker.
    let used = lab.cpu_ms() - due;
    assert!(used < 1_000, "{used} ms of processor time, the questions of this test included");
}

#[test]
fn a_failure_of_the_whole_box_stops_all_starts_until_a_person_retries() {
    let failure = "[[simulated.failure]]\nsector = 0\nphase = \"P1\"\nclass = \"fatal\"\n";
    let mut lab = quick("", failure);
    lab.start();
    lab.pledge(3);
    lab.wait("the box says that it has stopped", |lab| {
        !lab.get("/api/v1/status")["trouble"].is_null()
    });
    assert_eq!(lab.sector(1), Value::Null, "another sector was begun");
    assert!(lab.cli(&["retry", "0"]).status.success());
    lab.wait_for_state(2, "finished");
}

fn retry_from_the_command_line_puts_a_failed_task_back(isolation: &'static str) {
    let failure = "[[simulated.failure]]\nphase = \"P6\"\nclass = \"operator\"\n";
    let mut lab = quick("", failure).isolated(isolation);
    lab.start();
    lab.json(&["pledge", "2"]);
    lab.wait_for_row(0, 32, (1, 1, 2));
    lab.wait_for_row(1, 32, (1, 1, 2));
    let failed = lab.json(&["tasks", "--type", "32", "--status", "2"]);
    assert_eq!(failed["tasks"].as_array().map(Vec::len), Some(2), "{failed}");
    let retried = lab.cli(&["retry", "0"]);
    assert!(retried.status.success(), "{}", support::text(&retried.stderr));
    lab.wait_for_state(0, "finished");
    assert_eq!(lab.row(1, 32), Some((1, 1, 2)), "the other one still waits");
    assert!(lab.cli(&["retry", "--all"]).status.success());
    lab.wait_for_state(1, "finished");
}

fn an_abort_says_what_becomes_of_the_running_attempt_and_cleans_up_behind_it(
    isolation: &'static str,
) {
    let slow = QUICK.replace("p2_ms = 5", "p2_ms = 500");
    let text = format!("auto_pledge = 0\n[engine]\nkind = \"simulated\"\n{slow}");
    let mut lab = Lab::with(&text).isolated(isolation);
    lab.start();
    lab.pledge(1);
    lab.wait_for_row(0, 2, (1, 0, 1));
    let aborted = lab.post("/api/v1/sectors/0/abort", &json!({})).expect("aborted");
    let expected = match isolation {
        "thread" => json!({ "aborted": 0, "now": false, "stopped": [], "awaited": ["P2"] }),
        _ => json!({ "aborted": 0, "now": true, "stopped": ["P2"], "awaited": [] }),
    };
    assert_eq!(aborted, expected);
    lab.wait_for_state(0, "given up");
    let ended = if isolation == "thread" { "P2 succeeded" } else { "P2 interrupted" };
    position(&lab.history(0), ended);
    assert!(support::left_on(&lab.path("sealbox-data/scratch")).is_empty());
    assert!(support::files(&lab.path("sealbox-data/attempts")).is_empty());
}

fn sigterm_lets_what_runs_finish_and_starts_nothing_new(isolation: &'static str) {
    let slow = QUICK.replace("p1_ms = 5", "p1_ms = 800");
    let mut lab = Lab::with(&format!("auto_pledge = 0\n[engine]\nkind = \"simulated\"\n{slow}"))
        .isolated(isolation);
    lab.start();
    lab.pledge(1);
    lab.wait_for_row(0, 1, (1, 0, 1));
    lab.signal("-TERM");
    assert_eq!(lab.wait_for_end(), Some(0));
    lab.start();
    let history = lab.history(0);
    position(&history, "P1 succeeded");
    assert!(!history.iter().any(|line| line.contains("interrupted")), "{history:?}");
    lab.wait_for_state(0, "finished");
}
