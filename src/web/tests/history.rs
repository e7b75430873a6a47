//! The box's timeline as a chart.

use scraper::{Html, Selector};

use super::pages::{busy, failing};
use super::site::Site;
use crate::domain::phase::Phase;

fn titles(html: &Html, css: &str) -> Vec<String> {
    let selector = Selector::parse(css).unwrap();
    html.select(&selector)
        .map(|one| one.attr("aria-label").unwrap_or_default().to_owned())
        .collect()
}

#[test]
fn the_timeline_has_a_lane_a_worker_and_a_bar_an_attempt_that_leads_to_its_sector() {
    let mut site = busy();
    site.recall();
    let html = site.get("/history?range=24h").html();
    let names = Selector::parse(".gantt .who").unwrap();
    let lanes: Vec<String> = html.select(&names).map(|lane| lane.text().collect()).collect();
    assert_eq!(lanes, ["p1-0", "p2-0", "p3-0", "p4-0", "p5-0", "p6-0"]);
    let bars = titles(&html, ".gantt a[href='/sectors/0']");
    assert!(bars.contains(&"P1 of sector 0: succeeded after 2 h 51 min".to_owned()), "{bars:?}");
    let running = titles(&html, ".gantt a[href='/sectors/6']");
    assert!(running.iter().any(|bar| bar.starts_with("P1 of sector 6: runs for")), "{running:?}");
}

#[test]
fn a_failed_attempt_is_marked_and_a_wait_says_for_what() {
    let mut site = failing();
    site.recall();
    let view = site.view();
    site.timeline.waiting(&view);
    let html = site.get("/history?range=24h").html();
    let failed = titles(&html, ".gantt a[href='/sectors/0']:has(rect.failed)");
    assert_eq!(failed, ["P2 of sector 0: failed after 6 min 12 s"]);
    let wait = Selector::parse(".gantt rect.waits title").unwrap();
    let waits: Vec<String> = html.select(&wait).map(|wait| wait.text().collect()).collect();
    assert!(waits.len() == 1 && waits[0].contains("standstill: failed sectors hold"), "{waits:?}");
}

#[test]
fn what_is_too_narrow_to_be_told_apart_is_one_bar() {
    let mut site = Site::empty();
    site.order(40);
    for number in 0..40 {
        site.before(number, Phase::P1).start(number, Phase::P1);
        site.later(1).succeeds(number, crate::domain::event::Output::P1);
    }
    site.recall();
    let html = site.get("/history?range=24h").html();
    let bars = Selector::parse(".gantt rect.p1").unwrap();
    let count = html.select(&bars).count();
    assert!((1..10).contains(&count), "{count} bars");
    assert_eq!(site.get("/history?range=2h").status, 422);
}
