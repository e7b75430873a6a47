//! Many sectors at once, and what takes an action back.

use axum::body::Body;
use scraper::{Html, Selector};

use super::site::{Answer, Site, ask, disk_full, said};
use crate::domain::event::Event;
use crate::domain::failure::{Class, Failure};
use crate::domain::ids::{OrderId, SectorNumber};
use crate::domain::phase::Phase;
use crate::scheduler::command::{Command, Done, Refusal, Retried};

fn carry_out(command: &Command) -> Result<Done, Refusal> {
    Ok(match command {
        Command::Retry { sector: SectorNumber(1), .. } => {
            return Err(Refusal::Conflict {
                what: "sector 1 has no failed task".into(),
                mend: "nothing needs to be done".into(),
            });
        }
        Command::Retry { sector, phase } => {
            Done::Retried(vec![Retried { sector: *sector, phase: phase.unwrap_or(Phase::P2) }])
        }
        Command::Abort { sector } => {
            Done::Aborted { sector: *sector, stopped: vec![], awaited: vec![] }
        }
        Command::PausePhase { phase } => Done::PhasePaused(*phase),
        Command::CancelOrder { order } => Done::Cancelled(*order),
        other => panic!("{other:?} was not asked for"),
    })
}

/// Sectors 0 to 2 have failed in P2, 3 is in P1, 4 waits in P2; one is not issued.
fn site() -> Site {
    let mut site = Site::empty();
    site.reply = carry_out;
    site.order(6);
    for number in 0..3 {
        site.running(number, Phase::P2).fails(number, Phase::P2, disk_full());
    }
    site.running(3, Phase::P1).before(4, Phase::P2);
    site
}

fn page_after(site: &Site, answer: &Answer) -> Html {
    let cookie = answer.header("set-cookie").split(';').next().unwrap().to_owned();
    let request = ask("GET", answer.header("location")).header("cookie", cookie);
    site.send(request.body(Body::empty()).unwrap()).html()
}

fn sentence(site: &Site, answer: &Answer) -> String {
    assert_eq!(answer.status, 303, "{}", answer.text);
    page_after(site, answer).select(&Selector::parse("#said").unwrap()).map(said).collect()
}

fn listed(site: &Site, path: &str) -> Vec<String> {
    let html = site.get(path).html();
    let rows = Selector::parse("tbody a.mono").unwrap();
    html.select(&rows).map(said).collect()
}

#[test]
fn the_picked_are_retried_and_what_was_refused_is_said_with_the_reason() {
    let site = site();
    let picked = "action=retry&which=picked&pick=0-P2&pick=1-P2&pick=2&back=/failures";
    let answer = site.press("/bulk", picked);
    assert_eq!(answer.header("location"), "/failures");
    assert_eq!(
        sentence(&site, &answer),
        "✓ Retried 2. 1 was not: sector 1 (sector 1 has no failed task)."
    );
    let retry = |sector, phase| Command::Retry { sector: SectorNumber(sector), phase };
    let mut sent = site.commands();
    sent.sort_by_key(|command| format!("{command:?}"));
    let p2 = Some(Phase::P2);
    assert_eq!(sent, [retry(0, p2), retry(1, p2), retry(2, None)]);
    assert!(site.asked.lock().unwrap().iter().all(|(_, by)| by == "the page"));
}

#[test]
fn of_all_that_match_it_is_done_where_it_applies_and_said_of_all_others_why_not() {
    let site = site();
    let answer = site.press("/bulk", "action=retry&which=all&state=all&back=/sectors");
    assert_eq!(
        sentence(&site, &answer),
        "✓ Retried 2. 3 were not: sector 3 (its P1 runs), sector 4 (its P2 is queued), \
         sector 1 (sector 1 has no failed task)."
    );
    assert_eq!(site.commands().len(), 3, "{:?}", site.commands());
    let answer = site.press("/bulk", "action=retry&which=all&state=all&phase=P1&back=/sectors");
    let none = "✓ Nothing was retried. 1 was not: sector 3 (its P1 runs).";
    assert_eq!(sentence(&site, &answer), none);
    let answer = site.press("/bulk", "action=retry&which=all&state=finished&back=/sectors");
    assert_eq!(sentence(&site, &answer), "✓ No sector was selected, so nothing was done.");
    let page = "action=retry&which=page&shown=0&shown=2&pick=1&back=/sectors";
    assert_eq!(sentence(&site, &site.press("/bulk", page)), "✓ Retried 2.");
}

#[test]
fn each_refusal_is_worded_by_where_its_sector_stands() {
    let mut site = Site::empty();
    site.reply = carry_out;
    site.order(9).finished(0).finished(1).finished(2);
    let by = || "the page".to_owned();
    let lost = Failure::new(Class::Sector, "a file is missing", "bring it back");
    site.happens(2, Event::StoredDamaged { by: by(), failure: lost });
    site.issue(3).happens(3, Event::Aborted { by: by() }).through(3, Phase::P6);
    site.running(4, Phase::P2).happens(4, Event::Aborted { by: by() });
    site.issue(5);
    site.running(6, Phase::P2).fails(6, Phase::P2, disk_full());
    let act = |fields: &str| {
        let answer = site.press("/bulk", &format!("{fields}&back=/failures"));
        sentence(&site, &answer)
    };
    assert_eq!(
        act("action=retry&which=all&state=all"),
        "✓ Retried 1. 6 were not: sectors 1 and 0 (it is finished), \
         sector 4 (it is being given up), sector 3 (it is given up), \
         sector 5 (it waits for the chain), 1 for other reasons."
    );
    assert_eq!(
        act("action=retry&pick=2&pick=6-P1&pick=6-P4&pick=77"),
        "✓ Nothing was retried. 4 were not: sector 6 (its P1 is done), \
         sector 6 (its P4 has not begun), \
         sector 2 (its stored copy is damaged: prove it again instead), \
         sector 77 (there is no such sector)."
    );
    assert_eq!(
        act("action=verify&pick=4&pick=5&pick=6"),
        "✓ Nothing is proven again. 3 were not: 3 sectors (it is not finished)."
    );
    assert_eq!(
        act("action=abort&sure=1&pick=0&pick=3&pick=4"),
        "✓ Nothing was aborted. 3 were not: sector 4 (it is being given up), \
         sector 3 (it is given up), sector 0 (it is sealed)."
    );
}

#[test]
fn what_cannot_be_aborted_is_said_before_and_not_only_after() {
    let mut site = site();
    site.issue(5).happens(5, Event::Aborted { by: "the page".into() }).through(5, Phase::P6);
    let answer = site.press("/bulk", "action=abort&which=all&state=all&back=/sectors");
    let text = said(answer.html().root_element());
    assert!(text.contains("Abort 5 sectors?"), "{text}");
    assert!(text.contains("1 cannot be: sector 5 (it is given up)."), "{text}");
}

#[test]
fn more_than_can_be_done_at_once_are_counted_and_left() {
    let mut site = Site::empty();
    site.reply = carry_out;
    site.order(1_003);
    for number in 0..1_003 {
        site.issue(number);
    }
    let answer = site.press("/bulk", "action=abort&which=all&state=all&back=/sectors");
    let text = said(answer.html().root_element());
    assert!(text.contains("Abort 1,000 sectors?"), "{text}");
    assert!(text.contains("3 more match: these are the first."), "{text}");
}

#[test]
fn an_abort_of_many_asks_first_and_names_what_it_deletes() {
    let site = site();
    let answer = site.press("/bulk", "action=abort&which=picked&pick=3&pick=4&back=/sectors");
    assert_eq!((answer.status.as_u16(), site.commands().len()), (200, 0));
    let text = said(answer.html().root_element());
    assert!(text.contains("Abort 2 sectors?"), "{text}");
    assert!(text.contains("/sealer/cache/s-t01000-3"), "{text}");
    assert!(text.contains("/sealer/sealed/s-t01000-4"), "{text}");
    let sure = site.press("/bulk", "action=abort&sure=1&pick=3&pick=4&back=/sectors");
    let text = sentence(&site, &sure);
    assert!(text.starts_with("✓ 2 sectors are given up") && text.contains("cannot be undone"));
    let abort = |number| Command::Abort { sector: SectorNumber(number) };
    assert_eq!(site.commands(), [abort(3), abort(4)]);
}

#[test]
fn an_abort_names_the_finished_copy_that_it_deletes() {
    let mut site = site();
    site.copied(5);
    let page = site.get("/sectors/5").html();
    let asked: String = page.select(&Selector::parse("#abort-5").unwrap()).map(said).collect();
    for part in [
        "/sealer/sealed/s-t01000-5",
        "/mnt/store-1/sealed/s-t01000-5",
        "/mnt/store-1/cache/s-t01000-5",
        "its finished copy in /mnt/store-1 too",
        "does not have its proof",
    ] {
        assert!(asked.contains(part), "{part} in {asked}");
    }
    let of_many = site.press("/bulk", "action=abort&which=picked&pick=5&back=/sectors");
    let text = said(of_many.html().root_element());
    assert!(text.contains("/mnt/store-1/sealed/s-t01000-5"), "{text}");
    let uncopied = site.get("/sectors/3").html();
    let asked: String = uncopied.select(&Selector::parse("#abort-3").unwrap()).map(said).collect();
    assert!(!asked.is_empty() && !asked.contains("copy"), "{asked}");
}

#[test]
fn what_makes_no_sense_is_answered_and_not_sent() {
    let site = site();
    let many: String = (0..1_001).map(|number| format!("&pick={number}")).collect();
    for (fields, words) in [
        ("which=picked&pick=1", "action: `nothing` is unknown"),
        ("action=seal&pick=1", "action: `seal` is unknown"),
        ("action=retry&pick=x", "`x` is no sector number"),
        ("action=retry&which=some&pick=1", "which: `some` is unknown"),
        ("action=retry&which=all&state=asleep", "`asleep` is no state of a sector"),
        (&format!("action=retry{many}"), "1,001 are more than can be done at once"),
    ] {
        let answer = site.press("/bulk", fields);
        assert_eq!(answer.status, 422, "{fields}");
        let text = said(answer.html().root_element());
        assert!(text.contains(words), "{text}");
    }
    let nothing = site.press("/bulk", "action=retry&which=picked&back=//evil.example");
    assert_eq!(nothing.header("location"), "/");
    assert_eq!(site.commands(), []);
}

#[test]
fn sectors_are_listed_by_phase_and_size() {
    let site = site();
    assert_eq!(listed(&site, "/sectors?phase=P2"), ["4", "2", "1", "0"]);
    assert_eq!(listed(&site, "/sectors?phase=P2&state=needs_you"), ["2", "1", "0"]);
    assert_eq!(listed(&site, "/sectors?phase=P1&size=32GiB"), ["3"]);
    assert_eq!(listed(&site, "/sectors?size=2KiB"), Vec::<String>::new());
    assert_eq!(listed(&site, "/sectors?size=32GiB&limit=2"), ["4", "3"]);
    assert_eq!(site.get("/sectors?size=3GiB").status, 422);
    assert_eq!(site.get("/sectors?phase=P9").status, 422);
}

#[test]
fn what_can_be_undone_is_offered_in_the_sentence() {
    let site = site();
    let button = Selector::parse("#said form").unwrap();
    let undo = |html: &Html| {
        html.select(&button).next().map(|form| form.attr("action").unwrap().to_owned())
    };
    let paused = page_after(&site, &site.press("/phases/P1/pause", "back=/"));
    assert_eq!(undo(&paused).as_deref(), Some("/phases/P1/resume"));
    let cancelled = page_after(&site, &site.press("/orders/0/cancel", "back=/"));
    assert_eq!(undo(&cancelled).as_deref(), Some("/orders"));
    let count = Selector::parse("#said input[name=count]").unwrap();
    assert_eq!(cancelled.select(&count).next().unwrap().attr("value"), Some("1"));
    let aborted = page_after(&site, &site.press("/sectors/3/abort", "back=/"));
    assert_eq!(undo(&aborted), None);
    let text: String = aborted.select(&Selector::parse("#said").unwrap()).map(said).collect();
    assert!(text.ends_with("An abort cannot be undone."), "{text}");
    assert_eq!(site.commands()[1], Command::CancelOrder { order: OrderId(0) });
}
