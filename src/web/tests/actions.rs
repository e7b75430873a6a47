//! Buttons: what they send, where they lead, what is said.

use super::site::{Answer, Site, ask, disk_full, said};
use crate::domain::ids::{OrderId, SectorNumber};
use crate::domain::order::{Order, Place};
use crate::domain::phase::Phase;
use crate::domain::units::{SectorSize, Timestamp};
use crate::scheduler::command::{Command, Done, Refusal, Retried};
use axum::body::Body;
use scraper::Selector;

fn carry_out(command: &Command) -> Result<Done, Refusal> {
    let order = OrderId(0);
    Ok(match command {
        Command::Order { size, count } => Done::Ordered(Order {
            id: order,
            size: *size,
            count: *count,
            issued: 0,
            by: "the page".into(),
            at: Timestamp(0),
        }),
        Command::CancelOrder { order } => Done::Cancelled(*order),
        Command::MoveOrder { order, .. } => Done::Moved { order: *order, place: 2 },
        Command::Retry { sector, phase } => {
            let phase = phase.unwrap_or(Phase::P1);
            Done::Retried(vec![Retried { sector: *sector, phase }])
        }
        Command::RetryAll => Done::Retried(Vec::new()),
        Command::Redo { sector } => Done::Redone(*sector),
        Command::Abort { sector } => {
            Done::Aborted { sector: *sector, stopped: vec![], awaited: vec![] }
        }
        Command::PauseIntake => Done::IntakePaused,
        Command::ResumeIntake => Done::IntakeResumed,
        Command::PausePhase { phase } => Done::PhasePaused(*phase),
        Command::ResumePhase { phase } => Done::PhaseResumed(*phase),
        Command::Drain => Done::Draining { running: 2 },
        Command::ResumeAll => Done::AllResumed,
        Command::Adopt { .. } => Done::Adopted,
        Command::RecordOrphan { path, bytes, .. } => {
            Done::OrphanRecorded { path: path.clone(), bytes: *bytes }
        }
    })
}

fn willing() -> Site {
    let mut site = Site::empty();
    site.reply = carry_out;
    site
}

/// What the page shows after the redirect is followed.
fn shown(site: &Site, answer: &Answer) -> String {
    let cookie = answer.header("set-cookie").split(';').next().unwrap().to_owned();
    let request = ask("GET", answer.header("location")).header("cookie", cookie);
    let html = site.send(request.body(Body::empty()).unwrap()).html();
    html.select(&Selector::parse("#said").unwrap()).map(said).collect()
}

#[test]
fn an_order_is_sent_and_what_happened_is_said_once() {
    let site = willing();
    let answer = site.press("/orders", "count=3&size=2KiB&back=%2Fsectors");
    assert_eq!(answer.status, 303);
    assert_eq!(answer.header("location"), "/sectors");
    assert_eq!(site.commands(), [Command::Order { size: SectorSize::KiB2, count: 3 }]);
    assert_eq!(shown(&site, &answer), "✓ Ordered 3 sectors of 2 KiB (order 0). Undo");
    assert_eq!(site.asked.lock().unwrap()[0].1, "the page");
    let request = ask("GET", "/").header("cookie", "sealbox_said=6869");
    let page = site.send(request.body(Body::empty()).unwrap());
    assert!(page.header("set-cookie").starts_with("sealbox_said=; Max-Age=0"));
}

#[test]
fn an_order_without_a_size_is_for_the_box_s_own() {
    let site = willing();
    site.press("/orders", "count=1");
    assert_eq!(site.commands(), [Command::Order { size: SectorSize::GiB32, count: 1 }]);
}

#[test]
fn an_order_that_makes_no_sense_is_answered_and_not_sent() {
    let site = willing();
    for count in ["0", "-1", "1.5", "", "x", "100001", "1000000000000", "99999999999999999999999"] {
        let answer = site.press("/orders", &format!("count={count}&back=/"));
        assert_eq!(answer.status, 422, "{count}");
        let text = said(answer.html().root_element());
        assert!(text.contains("from 1 to 100,000"), "{count}: {text}");
    }
    assert_eq!(site.press("/orders", "count=1&size=3GiB").status, 422);
    assert_eq!(site.press("/orders", "").status, 422);
    assert_eq!(site.commands(), []);
}

#[test]
fn each_button_sends_its_command() {
    let site = willing();
    let number = SectorNumber(7);
    let presses = [
        ("/sectors/7/retry", "phase=P5", Command::Retry { sector: number, phase: Some(Phase::P5) }),
        ("/sectors/7/retry", "", Command::Retry { sector: number, phase: None }),
        ("/sectors/7/redo", "", Command::Redo { sector: number }),
        ("/sectors/7/abort", "", Command::Abort { sector: number }),
        ("/orders/4/cancel", "", Command::CancelOrder { order: OrderId(4) }),
        ("/orders/4/move", "to=up", Command::MoveOrder { order: OrderId(4), to: Place::Up }),
        (
            "/orders/4/move",
            "before=7&to=",
            Command::MoveOrder { order: OrderId(4), to: Place::Before(OrderId(7)) },
        ),
        ("/intake/pause", "", Command::PauseIntake),
        ("/intake/resume", "", Command::ResumeIntake),
    ];
    for (path, fields, _) in &presses {
        let answer = site.press(path, fields);
        assert_eq!((answer.status.as_u16(), answer.header("location")), (303, "/"), "{path}");
        assert!(shown(&site, &answer).starts_with("✓ "), "{path}");
    }
    assert_eq!(site.commands(), presses.map(|(_, _, command)| command));
}

#[test]
fn a_cause_is_retried_as_a_whole_and_no_other() {
    let mut site = willing();
    site.order(3);
    for number in 0..2 {
        site.running(number, Phase::P2).fails(number, Phase::P2, disk_full());
    }
    let mut other = disk_full();
    other.what = "another cause".to_owned();
    site.running(2, Phase::P2).fails(2, Phase::P2, other);
    let html = site.get("/failures").html();
    let cause = Selector::parse("input[name=cause]").unwrap();
    let key = html.select(&cause).next().unwrap().attr("value").unwrap().replace(' ', "+");
    let answer = site.press("/failures/retry", &format!("cause={key}&back=/failures"));
    assert_eq!(shown(&site, &answer), "✓ Retried 2.");
    let retry = |number| Command::Retry { sector: SectorNumber(number), phase: Some(Phase::P2) };
    let mut sent = site.commands();
    sent.sort_by_key(|command| format!("{command:?}"));
    assert_eq!(sent, [retry(0), retry(1)]);
    let all = site.press("/failures/retry", "back=/failures");
    assert_eq!(shown(&site, &all), "✓ Retried 3.");
    let gone = site.press("/failures/retry", "cause=nothing+like+it&back=/failures");
    assert_eq!(shown(&site, &gone), "✓ Nothing to retry: this cause is gone.");
}

#[test]
fn a_refusal_is_a_page_with_its_status_and_what_to_do() {
    let mut site = Site::empty();
    let pairs: [(super::site::Reply, u16, &str); 4] = [
        (|_| Err(Refusal::NotFound("sector 7".into())), 404, "there is no sector 7"),
        (|_| Err(conflict()), 409, "an attempt is running"),
        (
            |_| Err(Refusal::Invalid { what: "bad".into(), mend: "do better".into() }),
            422,
            "do better",
        ),
        (
            |_| Err(Refusal::Unavailable { what: "stopping".into(), mend: "wait".into() }),
            503,
            "stopping",
        ),
    ];
    for (reply, status, words) in pairs {
        site.reply = reply;
        let answer = site.press("/sectors/7/redo", "");
        assert_eq!(answer.status.as_u16(), status);
        assert!(said(answer.html().root_element()).contains(words), "{words}");
        let answer = site.post_json("/api/v1/sectors/7/redo", "");
        assert_eq!(answer.status.as_u16(), status);
        assert_eq!(answer.header("content-type"), "application/problem+json");
        assert_eq!(answer.json()["status"], status);
    }
}

fn conflict() -> Refusal {
    Refusal::Conflict { what: "an attempt is running".into(), mend: "wait for it to end".into() }
}

#[test]
fn a_place_that_makes_no_sense_is_answered_and_not_sent() {
    let site = willing();
    let pairs = [
        ("to=sideways", "`sideways` is no place for an order"),
        ("before=-1", "`-1` is no order's number"),
        ("before=99999999999999999999", "is no order's number"),
        ("", "no place was named"),
        ("to=up&before=3", "two places were named"),
    ];
    for (fields, words) in pairs {
        let answer = site.press("/orders/4/move", fields);
        assert_eq!(answer.status, 422, "{fields}");
        let text = said(answer.html().root_element());
        assert!(text.contains(words) && text.contains("first, up, down or last"), "{text}");
    }
    assert_eq!(site.press("/orders/x/move", "to=up").status, 404);
    assert_eq!(site.commands(), []);
}
