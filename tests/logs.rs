//! The sectors' own logs, seen on the built program, wherever attempts run.

mod support;

use serde_json::{Value, json};
use support::{Lab, QUICK, text};

/// The first sector's P2 fails and waits for a person.
const FAILING: &str = "
[[simulated.failure]]
phase = \"P2\"
sector = 0
class = \"operator\"
";
/// The second sector's P1 panics, once.
const PANICKING: &str = "
[[simulated.failure]]
phase = \"P1\"
sector = 1
panic = true
";

fn lab(isolation: &'static str, failures: &str) -> Lab {
    let engine = "auto_pledge = 0\n[engine]\nkind = \"simulated\"\n";
    Lab::with(&format!("{engine}{QUICK}{failures}")).isolated(isolation)
}

/// None of a sector that is not there yet.
fn lines(lab: &Lab, query: &str) -> Vec<Value> {
    let answer = lab.try_get(query).unwrap_or_default();
    answer["lines"].as_array().cloned().unwrap_or_default()
}

fn has(lines: &[Value], message: &str) -> bool {
    lines.iter().any(|line| line["message"].as_str().is_some_and(|said| said.contains(message)))
}

#[test]
fn a_failing_sector_has_a_log_of_its_own_wherever_attempts_run() {
    for isolation in ["thread", "process"] {
        let mut lab = lab(isolation, FAILING);
        lab.start();
        lab.pledge(2);
        lab.wait_for_row(0, 2, (1, 1, 2));
        let of_failure = "/api/v1/sectors/0/log?phase=P2&attempt=1";
        lab.wait("its failure is in its log", |lab| has(&lines(lab, of_failure), "attempt failed"));
        let attempt = lines(&lab, of_failure);
        assert!(has(&attempt, "attempt started"), "{isolation}: {attempt:?}");
        let failed = &attempt[attempt.len() - 1];
        assert_eq!((&failed["level"], &failed["sector"]), (&json!("error"), &json!(0)));
        lab.wait_for_state(1, "finished");
        let other = lines(&lab, "/api/v1/sectors/1/log");
        assert!(!other.is_empty() && other.iter().all(|line| line["sector"] == 1), "{other:?}");
        told(&lab, isolation);
    }
}

#[test]
fn what_an_attempt_s_own_process_writes_is_in_its_sector_s_log() {
    let mut lab = lab("process", PANICKING);
    lab.start();
    lab.pledge(2);
    let panicked = "/api/v1/sectors/1/log?q=PANIC:&level=error&phase=P1&attempt=1";
    lab.wait("the panic is in its log", |lab| {
        has(&lines(lab, panicked), "panic: simulated panic in P1 of s-t01000-1")
    });
    assert_eq!(lines(&lab, panicked)[0]["target"], "sealbox::worker::panics");
    assert!(!has(&lines(&lab, "/api/v1/sectors/0/log"), "panic"));
}

/// The pages and the command tell the same.
fn told(lab: &Lab, isolation: &str) {
    let page = lab.page("/sectors/0");
    let where_it_ran = match isolation {
        "process" => "a process of its own",
        _ => "a thread of the box",
    };
    for part in ["id=\"failed-P2\"", "attempt failed", where_it_ran] {
        assert!(page.contains(part), "{isolation}: {part}");
    }
    assert!(lab.page("/failures").contains("/sectors/0#failed-P2"));
    assert!(lab.page("/logs?level=error").contains("/sectors/0?phase=P2&amp;attempt=1#log"));
    let said = lab.cli(&["log", "0", "--level", "error"]);
    let said = text(&said.stdout);
    assert!(said.contains("ERROR sector 0 P2 attempt 1 sealbox::worker: attempt failed"), "{said}");
    let downloaded = lab.page("/sectors/0/log.txt?level=error");
    assert_eq!(downloaded.trim(), said.trim());
}

#[test]
fn a_log_is_still_there_after_a_kill_and_goes_on() {
    let mut lab = lab("thread", FAILING);
    lab.start();
    lab.pledge(1);
    lab.wait_for_row(0, 2, (1, 1, 2));
    let failed = |lab: &Lab| lines(lab, "/api/v1/sectors/0/log?q=attempt+failed").len();
    lab.wait("its failure is in its log", |lab| failed(lab) == 1);
    lab.kill();
    lab.start();
    assert_eq!(failed(&lab), 1);
    let remembered = lines(&lab, "/api/v1/log?q=attempt+failed&sector=0");
    assert_eq!(remembered.len(), 1, "a start remembers the end of the box's log");
    let follow = lab.get("/api/v1/sectors/0/log")["follow"].as_str().expect("it says").to_owned();
    lab.post("/api/v1/sectors/0/retry", &json!({})).expect("it is put back");
    lab.wait("what came since is in its log", |lab| has(&lines(lab, &follow), "attempt failed"));
    let since = lines(&lab, &follow);
    assert!(since.iter().all(|line| line["attempt"] == 2), "nothing is told twice: {since:?}");
    assert_eq!(failed(&lab), 2);
}
