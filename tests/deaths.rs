//! What the box dies under again and again is not tried for ever: it waits for a person, and all
//! else goes on. With the simulated engine, seen on the built program.

mod support;

use serde_json::json;
use support::Lab;
use support::ledger::Past;

/// P2 takes an hour, all else no time.
const SLOW_P2: &str = "
auto_pledge = 0
[engine]
kind = \"simulated\"
[simulated]
p1_ms = 5
p2_ms = 3600000
p3_ms = 5
p4_ms = 5
p5_ms = 5
p6_ms = 5
[chain.lab]
epoch_ms = 5
challenge_delay = 2
";

/// Waits for this attempt at P2. (What ran before a start is shown as running until that start has
/// said what became of it.)
fn wait_for_p2(lab: &Lab, attempt: usize) {
    lab.wait(&format!("attempt {attempt} at P2"), |lab| {
        lab.history(0).iter().filter(|line| *line == "P2 started").count() == attempt
    });
}

fn p2_fails(lab: &Lab) -> usize {
    lab.history(0).iter().filter(|line| *line == "P2 failed").count()
}

#[test]
fn what_the_box_dies_under_three_times_waits_for_a_person_and_other_sectors_go_on() {
    let mut lab = Lab::with(SLOW_P2);
    lab.start();
    lab.pledge(1);
    for attempt in 1..=3 {
        wait_for_p2(&lab, attempt);
        assert_eq!(p2_fails(&lab), 0);
        lab.kill();
        lab.start();
    }
    let said = |lab: &Lab| lab.sector(0)["attention"].as_str().unwrap_or_default().to_owned();
    lab.wait("the sector waits for a person", |lab| !said(lab).is_empty());
    let said = said(&lab);
    assert!(said.starts_with("P2: sealbox died 3 times in a row while P2 ran"), "{said}");
    assert!(said.contains("memory") && said.contains("[[need]]"), "{said}");
    let interrupted = |line: &&String| *line == "P2 interrupted";
    assert_eq!(lab.history(0).iter().filter(interrupted).count(), 2);

    // Of another sector the same phase is as good as ever.
    lab.kill();
    lab.configure(&SLOW_P2.replace("p2_ms = 3600000", "p2_ms = 5"));
    lab.start();
    lab.pledge(1);
    lab.wait_for_state(1, "finished");
    assert_eq!(p2_fails(&lab), 1, "a start without an attempt is no death");
    assert_eq!(lab.row(0, 2), Some((1, 1, 2)));
    lab.post("/api/v1/sectors/0/retry", &json!({})).expect("Retry");
    lab.wait_for_state(0, "finished");
}

#[test]
fn a_stop_that_was_asked_for_is_no_death_however_it_ends() {
    let mut lab = Lab::with(&with_grace(0));
    lab.start();
    lab.pledge(1);
    for attempt in 1..=2 {
        wait_for_p2(&lab, attempt);
        lab.signal("-TERM");
        assert_eq!(lab.wait_for_end(), Some(0));
        lab.start();
    }
    // The service manager's patience ends before the grace does.
    wait_for_p2(&lab, 3);
    lab.kill();
    lab.configure(&with_grace(600));
    lab.start();
    for attempt in 4..=5 {
        wait_for_p2(&lab, attempt);
        lab.signal("-TERM");
        lab.wait("the stop is on record", is_stopping);
        lab.kill();
        lab.start();
    }
    // And after it two more deaths are a row of two.
    for attempt in 6..=7 {
        wait_for_p2(&lab, attempt);
        lab.kill();
        lab.start();
    }
    wait_for_p2(&lab, 8);
    assert_eq!(p2_fails(&lab), 0);
}

fn with_grace(seconds: u32) -> String {
    format!("shutdown_grace_sec = {seconds}\n{SLOW_P2}")
}

fn is_stopping(lab: &Lab) -> bool {
    Past::read(&lab.path("sealbox-data")).box_state.stopping
}
