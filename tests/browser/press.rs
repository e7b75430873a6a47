//! What is pressed, and what comes of it.

use serde_json::json;

use crate::browser::Browser;
use crate::{MARK, MARKED, failing, seen};

#[test]
fn a_failure_appears_without_a_reload_and_its_button_leads_to_the_finished_sector() {
    let lab = seen("", &failing("P2"));
    let browser = Browser::open(&lab.url("/"));
    browser.js::<()>(MARK);
    lab.pledge(1);
    browser.wait_for_text("1 sector needs you");
    assert!(browser.js::<bool>(&format!("return {MARKED}")), "the page was loaded again");
    let title: String =
        browser.js("return document.querySelector('nav [href=\"/failures\"]').innerText");
    assert!(title.contains('1'), "the count stands in the navigation: {title}");
    browser.press("Retry P2");
    browser.wait("it is finished", "document.querySelector('#recent-0')");
    assert!(!browser.text().contains("needs you"));
}

#[test]
fn a_standstill_says_what_holds_the_throttle_and_a_press_releases_it() {
    let top = "[max_outstanding]\n\"2KiB\" = 1";
    let lab = seen(top, &failing("P1"));
    let browser = Browser::open(&lab.url("/"));
    lab.pledge(2);
    browser.wait_for_text("Standstill.");
    assert_eq!(lab.sector(1), json!(null), "the second sector was issued");
    browser.press("Retry P1");
    browser.wait("the first is finished", "document.querySelector('#recent-0')");
}

#[test]
fn an_abort_asks_once_and_names_what_it_deletes() {
    let lab = seen("", &failing("P2"));
    lab.pledge(1);
    lab.wait_for_row(0, 2, (1, 1, 2));
    let browser = Browser::open(&lab.url("/sectors/0"));
    browser.press("Abort…");
    browser.wait_for_text("and this is deleted:");
    assert!(browser.text().contains("sealbox-data/scratch/"), "{}", browser.text());
    browser.press("Abort sector 0");
    browser.wait_for_text("given up");
    lab.wait_for_state(0, "given up");
}

#[test]
fn all_failures_of_one_cause_are_retried_by_one_press() {
    let lab = seen("", &failing("P3"));
    lab.pledge(3);
    lab.wait("three have failed", |lab| lab.get("/api/v1/status")["counts"]["needs_you"] == 3);
    let browser = Browser::open(&lab.url("/failures"));
    browser.press("Retry all 3");
    for number in 0..3 {
        lab.wait_for_state(number, "finished");
    }
    browser.wait_for_text("Nothing has failed.");
}

#[test]
fn the_picked_are_retried_and_all_that_match_are_aborted_after_one_question() {
    let lab = seen("", &failing("P2"));
    lab.pledge(4);
    lab.wait("four have failed", |lab| lab.get("/api/v1/status")["counts"]["needs_you"] == 4);
    let browser = Browser::open(&lab.url("/sectors?phase=P2"));
    let tick = |css: &str| {
        browser.js::<()>(&format!("document.querySelector('{css}').click(); return null"))
    };
    tick("#pick-1");
    tick("#pick-3");
    browser.press("Retry");
    browser.wait_for_text("Retried 2.");
    lab.wait_for_state(1, "finished");
    lab.wait_for_state(3, "finished");
    browser.wait("the others are left", "document.querySelectorAll('[name=pick]').length === 2");
    tick(".pick-all");
    let picked = "document.querySelectorAll('[name=pick]:checked').length === 2";
    browser.wait("all of the page are picked", picked);
    browser.js::<()>("document.querySelector('#bulk-which').value = 'all'; return null");
    browser.press("Abort…");
    browser.wait_for_text("Abort 2 sectors?");
    assert_eq!(browser.barriers(), Vec::<String>::new());
    browser.press("Abort 2 sectors");
    browser.wait_for_text("2 sectors are given up");
    lab.wait_for_state(0, "given up");
    lab.wait_for_state(2, "given up");
}

#[test]
fn what_was_pressed_is_undone_by_the_sentence_after_it() {
    let lab = seen("", "");
    let browser = Browser::open(&lab.url("/"));
    browser.press("Pause intake");
    browser.wait_for_text("Intake is paused: no new sector is issued.");
    browser.press("Undo");
    browser.wait_for_text("Intake is open again.");
    assert_eq!(lab.get("/api/v1/status")["intake_paused"], json!(false));
}

#[test]
fn the_intake_and_a_phase_are_paused_and_resumed_by_press() {
    let lab = seen("", "");
    let browser = Browser::open(&lab.url("/"));
    browser.press("Pause intake");
    browser.wait_for_text("Intake is paused:");
    lab.pledge(1);
    browser.wait_for_text("Orders wait: intake is paused.");
    browser.press("Pause phases");
    browser.press("Pause P2");
    browser.wait_for_text("Paused: P2.");
    browser.press("Resume intake");
    lab.wait("P2 waits", |lab| lab.row(0, 2) == Some((0, 0, 1)));
    browser.press("Resume P2");
    browser.wait("it is finished", "document.querySelector('#recent-0')");
}
