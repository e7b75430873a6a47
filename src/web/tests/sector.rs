//! A sector's page: its story, what it offers, and what is wrong with it.

use scraper::Html;

use super::site::{Site, said};
use super::states::{all, busy, one, words};
use crate::domain::event::Event;
use crate::domain::failure::{Class, Failure};
use crate::domain::phase::Phase;
use crate::domain::porep::Porep;

#[test]
fn a_damaged_finished_sector_is_shown_with_its_file_and_a_button_and_holds_no_place() {
    let mut site = Site::empty();
    site.limit = Some(1);
    site.order(1).finished(0);
    assert!(words(&site.get("/sectors/0").html(), "button").contains("Prove again"));
    let file = "/mnt/store/cache/s-t01000-0/p_aux";
    let failure = Failure::new(Class::Sector, "a file is missing", "bring it back").at(file);
    site.later(3_600).happens(0, Event::StoredDamaged { by: "the schedule".into(), failure });
    for (page, place) in
        [("/", "#attention"), ("/failures", "#damaged"), ("/sectors/0", "#damaged")]
    {
        let html = site.get(page).html();
        let shown = words(&html, place);
        for piece in ["a file is missing", file, "bring it back"] {
            assert!(shown.contains(piece), "{page}: {piece} in {shown}");
        }
        let form = one(&html, "form[action='/sectors/0/verify'] button");
        assert_eq!(said(form), "Prove again");
        assert!(words(&html, ".top nav").contains("Failures 1 need you"), "{page}");
    }
    assert!(all(&site.get("/").html(), ".standstill").is_empty());
    assert_eq!(words(&site.get("/").html(), "#recent tbody .state"), "damaged");
    site.happens(0, Event::StoredProven { by: "the page".into() });
    assert!(words(&site.get("/failures").html(), ".empty").contains("Nothing has failed"));
}

#[test]
fn a_sector_s_page_tells_its_story() {
    let mut site = Site::empty();
    site.order(1).finished(0);
    let html = site.get("/sectors/0").html();
    assert!(words(&html, ".head").contains("Sector 0 finished s-t01000-0 · StackedDrg32GiBV1_1"));
    assert!(words(&html, ".now").contains("its stored copy proven"));
    let facts = words(&html, "dl.facts dd");
    for piece in [
        &"11".repeat(32),
        &"22".repeat(32),
        &"33".repeat(32),
        "baga6ea4seaq",
        "bagboea4b5abc",
        "1920 bytes",
        "/mnt/store-1/sealed/s-t01000-0",
        "/mnt/store-1/cache/s-t01000-0/manifest.json",
        "epoch 4812700",
    ] {
        assert!(facts.contains(piece), "{piece}: {facts}");
    }
    let history = words(&html, ".history .words");
    for piece in [
        "issued for order 0",
        "P1 (label) started on p1-0",
        "the seed is drawn at epoch 4812540",
        "deleted /sealer/cache/s-t01000-0 (388.4 GiB): its stored copy is proven",
        "P6 done",
    ] {
        assert!(history.contains(piece), "{piece}: {history}");
    }
    let orders = words(&html, "main form[method=post] button:not([disabled])");
    assert_eq!(orders, "Prove again", "and nothing else");
    assert!(words(&html, ".reasons").contains("Abort: not now, it is sealed"));
}

#[test]
fn a_sector_offers_what_its_state_allows_and_says_why_not() {
    let mut site = busy();
    site.running(9, Phase::P3);
    let running = site.get("/sectors/6").html();
    let why = |html: &Html, name: &str| {
        let buttons = all(html, "main button[disabled]");
        buttons
            .into_iter()
            .find(|b| said(*b) == name)
            .and_then(|b| b.attr("title"))
            .map(str::to_owned)
    };
    assert_eq!(why(&running, "Retry").as_deref(), Some("Not now: an attempt is running"));
    assert_eq!(why(&running, "Redo from P1").as_deref(), Some("Not now: an attempt is running"));
    assert!(words(&running, "#abort-6 p").contains("as soon as what runs has ended"));
    let committed = site.get("/sectors/9").html();
    let redo = why(&committed, "Redo from P1").unwrap();
    assert_eq!(redo, "Not now: its pre-commit is under way or on chain");
    let given_up = site.get("/sectors/2").html();
    assert_eq!(why(&given_up, "Abort").as_deref(), Some("Not now: it is given up"));
    assert!(words(&given_up, ".now").contains("aborted by the page"));
}

#[test]
fn a_sector_without_a_seed_shows_no_wait_for_one() {
    let mut site = Site::empty();
    site.porep = Porep::NonInteractive;
    site.order(1).running(0, Phase::P3);
    let html = site.get("/sectors/0").html();
    assert_eq!(all(&html, "ol.strip.unseeded li").len(), 6);
    let facts = words(&html, "dl.facts");
    assert!(facts.contains("none: its challenges follow from comm_r"), "{facts}");
    assert!(!facts.contains("pre-commit"), "{facts}");
    let history = words(&html, ".history");
    assert!(history.contains("non-interactive PoRep"), "{history}");
    let detail = site.get("/api/v1/sectors/0").json();
    assert_eq!(detail["porep"], "non-interactive");
    assert!(detail["seed"].is_null());
}
