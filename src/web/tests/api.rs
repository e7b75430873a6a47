//! The API, as a script sees it.

use serde_json::{Value, json};

use super::site::{Site, disk_full};
use super::states::busy;
use crate::domain::ids::{OrderId, SectorNumber};
use crate::domain::order::Order;
use crate::domain::phase::Phase;
use crate::domain::units::{SectorSize, Timestamp};
use crate::scheduler::command::{Command, Done, Refusal, Retried};

#[test]
fn an_order_is_created() {
    let mut site = Site::empty();
    site.reply = carried_out;
    let answer = site.post_json("/api/v1/orders", r#"{"count":3,"size":"2KiB"}"#);
    assert_eq!(answer.status, 201);
    let undo = json!({ "method": "POST", "path": "/api/v1/orders/4/cancel", "body": null });
    let ordered = json!({ "order": 4, "count": 3, "size": "2KiB", "undo": undo });
    assert_eq!(answer.json(), ordered);
    let asked = site.asked.lock().unwrap().clone();
    assert_eq!(asked, [(Command::Order { size: SectorSize::KiB2, count: 3 }, "the API".into())]);
}

#[test]
fn what_makes_no_sense_is_a_problem_and_goes_no_further() {
    let site = Site::empty();
    let bodies = [
        (r#"{"count":0}"#, 422),
        (r#"{"count":-1}"#, 422),
        (r#"{"count":1.5}"#, 422),
        (r#"{"count":1e12}"#, 422),
        (r#"{"count":1000000000000}"#, 422),
        (r#"{"count":100001}"#, 422),
        (r#"{"count":"3"}"#, 422),
        (r#"{"count":null}"#, 422),
        (r#"{"count":[[[]]]}"#, 422),
        (r#"{"cuont":3}"#, 422),
        (r#"{"count":3,"size":"3GiB"}"#, 422),
        (r#"{"count":3,"size":7}"#, 422),
        (r#"{"count":"#, 400),
        ("", 400),
        ("[]", 422),
    ];
    for (body, status) in bodies {
        let answer = site.post_json("/api/v1/orders", body);
        assert_eq!(answer.status.as_u16(), status, "{body}: {}", answer.text);
        assert_eq!(answer.header("content-type"), "application/problem+json", "{body}");
        let problem = answer.json();
        assert_eq!(problem["type"], "about:blank");
        assert_eq!(problem["status"], status);
        for member in ["title", "detail", "mend"] {
            assert!(
                problem[member].as_str().is_some_and(|text| !text.is_empty()),
                "{body}: {member}"
            );
        }
    }
    assert_eq!(site.commands(), []);
}

#[test]
fn a_sector_carries_all_that_its_seal_is_checked_with() {
    let mut site = Site::empty();
    site.order(1).finished(0);
    let sector = site.get("/api/v1/sectors/0").json();
    let expected = [
        ("seal_proof", json!("StackedDrg32GiBV1_1")),
        ("miner", json!("t01000")),
        ("number", json!(0)),
        ("prover_id", json!(format!("e807{}", "00".repeat(30)))),
        ("size", json!("32GiB")),
        ("sector_size_bytes", json!(34_359_738_368_u64)),
        ("simulated", json!(false)),
        ("state", json!("finished")),
        ("ticket", json!("11".repeat(32))),
        ("ticket_epoch", json!(4_812_390)),
        ("seed", json!("22".repeat(32))),
        ("seed_epoch", json!(4_812_540)),
        ("comm_d", json!("33".repeat(32))),
        ("comm_r", json!("04".repeat(32))),
        ("proof", json!("07".repeat(1_920))),
        ("attention", Value::Null),
    ];
    for (member, value) in expected {
        assert_eq!(sector[member], value, "{member}");
    }
    assert!(sector["comm_r_cid"].as_str().unwrap().starts_with("bagboea4b5abc"));
    assert_eq!(sector["stored"]["replica"], "/mnt/store-1/sealed/s-t01000-0");
    assert_eq!(sector["stored"]["manifest"], "/mnt/store-1/cache/s-t01000-0/manifest.json");
    assert_eq!(sector["tasks"].as_array().unwrap().len(), 6);
    let history = sector["history"].as_array().unwrap();
    assert!(history.iter().any(|line| line["what"].as_str().unwrap().starts_with("deleted ")));
    assert!(history[0]["at"].as_str().unwrap().ends_with('Z'));
}

#[test]
fn what_is_not_known_yet_is_null() {
    let mut site = Site::empty();
    site.order(1).running(0, Phase::P1);
    let sector = site.get("/api/v1/sectors/0").json();
    for member in ["seed", "comm_d", "comm_r", "proof", "stored", "pre_commit", "commit"] {
        assert_eq!(sector[member], Value::Null, "{member}");
    }
}

#[test]
fn lists_are_filtered_and_followed_by_their_cursor() {
    let site = busy();
    let mut seen = Vec::new();
    let mut path = "/api/v1/sectors?limit=4".to_owned();
    loop {
        let page = site.get(&path).json();
        seen.extend(page["sectors"].as_array().unwrap().iter().map(|one| one["number"].clone()));
        match page["next"].as_u64() {
            Some(next) => path = format!("/api/v1/sectors?limit=4&after={next}"),
            None => break,
        }
    }
    assert_eq!(seen, (0..9).map(|number| json!(number)).collect::<Vec<_>>());
    let finished = site.get("/api/v1/sectors?state=finished").json();
    assert_eq!(finished["sectors"].as_array().unwrap().len(), 2);
    let waiting = site.get("/api/v1/sectors?state=wait%20seed").json();
    assert_eq!(waiting["sectors"][0]["number"], 4);
}

#[test]
fn the_fleet_s_question_has_the_fleet_s_answer() {
    let mut site = Site::empty();
    site.order(1).running(0, Phase::P6).fails(0, Phase::P6, disk_full());
    let answer = site.get("/api/v1/tasks?task_type=32&result_status=2").json();
    let task = &answer["tasks"][0];
    let expected = [
        ("sector_id", json!(0)),
        ("task_type", json!(32)),
        ("phase", json!("P6")),
        ("is_taken", json!(1)),
        ("is_finished", json!(1)),
        ("result_status", json!(2)),
        ("attempts", json!(1)),
        ("worker", json!("p6-0")),
        ("miner", json!("t01000")),
        ("params", json!("32GiB")),
    ];
    for (member, value) in expected {
        assert_eq!(task[member], value, "{member}");
    }
    assert!(task["error"].as_str().unwrap().contains("no space left"));
    assert_eq!(answer["next"], Value::Null);
    let first = site.get("/api/v1/tasks?limit=2").json();
    let next = first["next"].as_str().unwrap();
    let second = site.get(&format!("/api/v1/tasks?limit=2&after={next}")).json();
    assert_eq!(second["tasks"][0]["phase"], "P3");
    assert_eq!(site.get(&format!("/api/v1/tasks?limit=2&cursor={next}")).json(), second);
}

/// What a scheduler answers that does everything.
pub fn carried_out(command: &Command) -> Result<Done, Refusal> {
    let retried = |phase| Retried { sector: SectorNumber(3), phase };
    Ok(match command {
        Command::Retry { phase, .. } => Done::Retried(vec![retried(phase.unwrap_or(Phase::P2))]),
        Command::RetryAll => Done::Retried(vec![retried(Phase::P2)]),
        Command::Abort { sector } => {
            let (stopped, awaited) = (vec![Phase::P5], vec![Phase::P4]);
            Done::Aborted { sector: *sector, stopped, awaited }
        }
        Command::Redo { sector } => Done::Redone(*sector),
        Command::Order { size, count } => {
            let (id, by) = (OrderId(4), "the API".to_owned());
            Done::Ordered(Order { id, size: *size, count: *count, issued: 0, by, at: Timestamp(0) })
        }
        Command::CancelOrder { order } => Done::Cancelled(*order),
        Command::MoveOrder { order, .. } => Done::Moved { order: *order, place: 2 },
        Command::PauseIntake => Done::IntakePaused,
        Command::ResumeIntake => Done::IntakeResumed,
        Command::PausePhase { phase } => Done::PhasePaused(*phase),
        Command::ResumePhase { phase } => Done::PhaseResumed(*phase),
        Command::Drain => Done::Draining { running: 1 },
        Command::ResumeAll => Done::AllResumed,
        Command::Adopt { .. } => Done::Adopted,
        Command::RecordOrphan { path, bytes, .. } => {
            Done::OrphanRecorded { path: path.clone(), bytes: *bytes }
        }
    })
}

#[test]
fn commands_answer_with_what_they_did_and_what_takes_it_back() {
    let mut site = Site::empty();
    site.reply = carried_out;
    let undo = |path: &str| {
        let path = format!("/api/v1/{path}");
        json!({ "method": "POST", "path": path, "body": null })
    };
    let aborted = json!({ "aborted": 3, "now": false, "stopped": ["P5"], "awaited": ["P4"] });
    let cases = [
        ("sectors/3/retry", r#"{"phase":"P5"}"#, json!({ "retried": ["P5"] })),
        ("sectors/3/retry", "{}", json!({ "retried": ["P2"] })),
        ("sectors/3/retry", "", json!({ "retried": ["P2"] })),
        ("retry", "", json!({ "retried": [{ "sector": 3, "phase": "P2" }] })),
        ("sectors/3/abort", "", aborted),
        ("sectors/3/redo", "", json!({ "redone": 3 })),
        ("orders/5/cancel", "", json!({ "cancelled": 5, "undo": null })),
        ("orders/5/move", r#"{"to":"first"}"#, json!({ "moved": 5, "place": 2, "undo": null })),
        ("orders/5/move", r#"{"before":4}"#, json!({ "moved": 5, "place": 2, "undo": null })),
        ("intake/pause", "", json!({ "intake": "paused", "undo": undo("intake/resume") })),
        ("intake/resume", "", json!({ "intake": "open", "undo": null })),
        ("phases/P2/pause", "", json!({ "paused": "P2", "undo": undo("phases/P2/resume") })),
        ("phases/CleanTask/resume", "", json!({ "resumed": "P6", "undo": null })),
        ("drain", "", json!({ "draining": { "running": 1 }, "undo": undo("resume") })),
        ("resume", "", json!({ "resumed": "all", "undo": null })),
    ];
    for (path, body, expected) in cases {
        let answer = site.post_json(&format!("/api/v1/{path}"), body);
        assert_eq!((answer.status.as_u16(), answer.json()), (200, expected), "{path}");
    }
}

#[test]
fn what_takes_a_command_back_is_a_call_that_can_be_sent_as_it_is() {
    let mut site = Site::empty();
    site.reply = carried_out;
    site.order(3).issue(0).order(1);
    let undo = |path: &str, body: &str| {
        site.post_json(&format!("/api/v1/{path}"), body).json()["undo"].clone()
    };
    let call = |path: &str, body| json!({ "method": "POST", "path": path, "body": body });
    let again = json!({ "count": 2, "size": "32GiB" });
    assert_eq!(undo("orders/0/cancel", ""), call("/api/v1/orders", again));
    let moved = call("/api/v1/orders/0/move", json!({ "before": 1 }));
    assert_eq!(undo("orders/0/move", r#"{"to":"last"}"#), moved);
    let last = call("/api/v1/orders/1/move", json!({ "to": "last" }));
    assert_eq!(undo("orders/1/move", r#"{"to":"first"}"#), last);
    for call in [call("/api/v1/orders", json!({ "count": 2, "size": "32GiB" })), moved, last] {
        let body = call["body"].to_string();
        let sent = site.post_json(call["path"].as_str().unwrap(), &body);
        assert!(sent.status.is_success(), "{call}: {}", sent.text);
    }
}

#[test]
fn what_was_done_but_is_not_what_was_asked_for_is_a_defect_of_ours_and_said() {
    let mut site = Site::empty();
    site.reply = |_| Ok(Done::Adopted);
    let answer = site.post_json("/api/v1/drain", "");
    assert_eq!(answer.status, 500);
    assert!(answer.json()["detail"].as_str().unwrap().contains("it was carried out"));
}

#[test]
fn the_status_has_what_the_overview_shows() {
    let site = busy();
    let status = site.get("/api/v1/status").json();
    assert_eq!(status["counts"]["in_flight"], 6);
    assert_eq!(status["finished"], 2);
    assert_eq!(status["throttles"][0]["limit"], 8);
    assert_eq!(status["in_flight"].as_array().unwrap().len(), 6);
    assert_eq!(status["disks"][0]["role"], "scratch");
    assert_eq!(site.get("/api/v1/params").json(), json!({ "state": "not_needed" }));
}

#[test]
fn open_orders_are_listed_with_what_is_left_of_them() {
    let mut site = Site::empty();
    site.order(3).issue(0).order(1);
    let orders = site.get("/api/v1/orders").json();
    let first = &orders["orders"][0];
    for (member, value) in
        [("order", json!(0)), ("count", json!(3)), ("issued", json!(1)), ("left", json!(2))]
    {
        assert_eq!(first[member], value, "{member}");
    }
    assert!(first["by"].is_string() && first["at"].is_string());
    assert_eq!(orders["orders"][1]["order"], 1);
}

#[test]
fn a_place_that_makes_no_sense_is_a_problem() {
    let site = Site::empty();
    for body in [
        "{}",
        r#"{"to":"sideways"}"#,
        r#"{"to":"up","before":1}"#,
        r#"{"before":"1"}"#,
        r#"{"before":-1}"#,
        r#"{"before":1.5}"#,
        r#"{"to":1}"#,
        r#"{"ot":"up"}"#,
    ] {
        let answer = site.post_json("/api/v1/orders/0/move", body);
        assert_eq!(answer.status, 422, "{body}");
        assert!(answer.json()["mend"].as_str().is_some_and(|mend| !mend.is_empty()), "{body}");
    }
    assert_eq!(site.post_json("/api/v1/orders/zero/move", r#"{"to":"up"}"#).status, 404);
    assert_eq!(site.commands(), []);
}
