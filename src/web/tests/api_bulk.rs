//! Many sectors at once, by the API.

use serde_json::{Value, json};

use super::site::{Site, disk_full};
use crate::domain::failure::{Class, Failure};
use crate::domain::ids::SectorNumber;
use crate::domain::phase::Phase;
use crate::scheduler::command::{Command, Done, Refusal, Retried};

fn carry_out(command: &Command) -> Result<Done, Refusal> {
    Ok(match command {
        Command::Retry { sector, phase } => {
            Done::Retried(vec![Retried { sector: *sector, phase: phase.unwrap_or(Phase::P2) }])
        }
        Command::Abort { sector } => {
            Done::Aborted { sector: *sector, stopped: vec![], awaited: vec![] }
        }
        other => panic!("{other:?} was not asked for"),
    })
}

/// Sectors 0 to 2 have failed in P2, 3 is in P1 and failed of another cause, 4 waits in P2.
fn site() -> Site {
    let mut site = Site::empty();
    site.reply = carry_out;
    site.order(6);
    for number in 0..3 {
        site.running(number, Phase::P2).fails(number, Phase::P2, disk_full());
    }
    let other = Failure::new(Class::Operator, "no answer", "look");
    site.running(3, Phase::P1).fails(3, Phase::P1, other).before(4, Phase::P2);
    site
}

fn bulk(site: &Site, body: Value) -> Value {
    let answer = site.post_json("/api/v1/bulk", &body.to_string());
    assert_eq!(answer.status, 200, "{body}: {}", answer.text);
    answer.json()
}

fn sectors(rows: &Value) -> Vec<u64> {
    let rows = rows.as_array().unwrap().iter();
    let mut numbers: Vec<u64> = rows.map(|row| row["sector"].as_u64().unwrap()).collect();
    numbers.sort_unstable();
    numbers
}

#[test]
fn of_every_sector_that_is_named_it_is_said_that_it_was_done_or_why_not() {
    let site = site();
    let body = json!({ "action": "retry", "sectors": [0, "1-P2", 4, 77, 2.0, 0] });
    let answer = bulk(&site, body);
    assert_eq!(answer["counts"], json!({ "done": 3, "not_done": 2, "left": 0 }));
    assert_eq!(sectors(&answer["done"]), [0, 1, 2]);
    let phase = |sector| {
        let done = answer["done"].as_array().unwrap();
        done.iter().find(|row| row["sector"] == sector).unwrap()["phase"].clone()
    };
    assert_eq!((phase(0), phase(1)), (Value::Null, json!("P2")));
    let not: Vec<(u64, String)> = answer["not_done"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| (sectors(&one["sectors"])[0], one["why"].as_str().unwrap().to_owned()))
        .collect();
    assert!(not.contains(&(77, "there is no such sector".to_owned())), "{not:?}");
    assert!(not.contains(&(4, "its P2 is queued".to_owned())), "{not:?}");
    assert_eq!(site.commands().len(), 3);
    assert!(site.asked.lock().unwrap().iter().all(|(_, by)| by == "the API"));
}

#[test]
fn of_all_that_match_none_is_left_out_in_silence() {
    let site = site();
    let answer = bulk(&site, json!({ "action": "retry", "all": {} }));
    assert_eq!(answer["counts"], json!({ "done": 4, "not_done": 1, "left": 0 }));
    let filter = json!({ "phase": "P2", "state": "needs_you", "size": null, "order": 0 });
    let answer = bulk(&site, json!({ "action": "retry", "all": filter }));
    assert_eq!(sectors(&answer["done"]), [0, 1, 2]);
    assert_eq!(answer["counts"]["not_done"], 0);
    let nothing = bulk(&site, json!({ "action": "verify", "all": { "state": "finished" } }));
    assert_eq!(nothing["counts"], json!({ "done": 0, "not_done": 0, "left": 0 }));
}

#[test]
fn what_failed_of_one_cause_is_retried_and_nothing_else() {
    let site = site();
    let failures = site.get("/api/v1/failures").json();
    let cause = failures["causes"][0]["cause"].clone();
    let answer = bulk(&site, json!({ "action": "retry", "cause": cause }));
    assert_eq!(sectors(&answer["done"]), [0, 1, 2]);
    let retry = |number| Command::Retry { sector: SectorNumber(number), phase: Some(Phase::P2) };
    assert_eq!(site.commands(), [retry(0), retry(1), retry(2)]);
    let gone = bulk(&site, json!({ "action": "retry", "cause": "P2 operator something else" }));
    assert_eq!(gone["counts"]["done"], 0);
}

#[test]
fn an_abort_of_many_has_to_be_said_twice() {
    let site = site();
    let once = json!({ "action": "abort", "sectors": [3, 4] }).to_string();
    let refused = site.post_json("/api/v1/bulk", &once);
    assert_eq!((refused.status.as_u16(), site.commands().len()), (422, 0));
    assert!(refused.json()["detail"].as_str().unwrap().contains("nothing was done"));
    let answer = bulk(&site, json!({ "action": "abort", "sectors": [3, 4], "sure": true }));
    assert_eq!(answer["counts"], json!({ "done": 2, "not_done": 0, "left": 0 }));
}

#[test]
fn a_wish_that_makes_no_sense_is_a_problem_and_nothing_is_done() {
    let site = site();
    let many: Vec<u64> = (0..1_001).collect();
    for (body, words) in [
        (json!({ "action": "seal", "sectors": [1] }), "action: `seal` is unknown"),
        (json!({ "action": "retry" }), "is not said"),
        (json!({ "action": "retry", "sectors": [1], "all": {} }), "said twice"),
        (json!({ "action": "retry", "sectors": [] }), "no sector is named"),
        (json!({ "action": "retry", "sectors": ["1"] }), "`1` is no task"),
        (json!({ "action": "retry", "sectors": [-1] }), "`-1` is no sector number"),
        (json!({ "action": "retry", "sectors": [1.5] }), "`1.5` is no sector number"),
        (json!({ "action": "retry", "sectors": many }), "1,001 are more than can be done"),
        (json!({ "action": "retry", "cause": "" }), "no cause is named"),
        (json!({ "action": "verify", "cause": "x" }), "can only be retried"),
        (json!({ "action": "retry", "all": { "state": "asleep" } }), "`asleep` is no state"),
        (json!({ "action": "retry", "all": { "order": "x" } }), "is no order's number"),
        (json!({ "action": "retry", "all": { "stat": "all" } }), "unknown field `stat`"),
        (json!({ "action": "retry", "pick": [1] }), "unknown field `pick`"),
    ] {
        let answer = site.post_json("/api/v1/bulk", &body.to_string());
        assert_eq!(answer.status, 422, "{body}: {}", answer.text);
        let problem = answer.json();
        assert!(problem["detail"].as_str().unwrap().contains(words), "{body}: {problem}");
        assert!(!problem["mend"].as_str().unwrap().is_empty(), "{body}");
    }
    assert_eq!(site.commands(), []);
}

#[test]
fn a_box_that_takes_no_commands_says_so() {
    let mut site = site();
    site.reply = |_| Err(Refusal::Unavailable { what: "it stops".into(), mend: "wait".into() });
    let body = json!({ "action": "retry", "sectors": [0] }).to_string();
    assert_eq!(site.post_json("/api/v1/bulk", &body).status, 503);
}
