//! The Overview: whether it seals, what is wrong, what to press.

use super::site::{Site, said};
use super::states::{all, busy, failing, words};
use crate::domain::failure::{Class, Failure};
use crate::domain::ids::SectorNumber;
use crate::domain::phase::Phase;
use crate::domain::progress::Progress;
use crate::domain::units::SectorSize;
use crate::engine::ParametersState;
use crate::scheduler::view::UntilFullView;
use crate::web::show::now;

#[test]
fn the_overview_counts_what_its_links_list() {
    let site = busy();
    let html = site.get("/").html();
    let counts = all(&html, ".lane a");
    assert!(counts.len() >= 11);
    for count in counts {
        let href = count.attr("href").unwrap();
        let shown: usize = said(count).split(' ').next().unwrap().parse().unwrap();
        let list = site.get(href);
        assert_eq!(list.status, 200, "{href}");
        let rows = all(&list.html(), "main tbody tr[id]").len();
        assert_eq!(rows, shown, "{href}");
    }
}

#[test]
fn the_overview_shows_each_sector_in_flight_with_seven_cells() {
    let html = busy().get("/").html();
    assert_eq!(all(&html, "#in-flight tbody tr").len(), 6);
    for strip in all(&html, "#in-flight .strip") {
        assert_eq!(strip.child_elements().count(), 7);
    }
    let proving = words(&html, "#flight-3 .strip li");
    assert!(proving.contains("✓ P1 done in 2 h 51 min 2h51"), "{proving}");
    assert!(proving.contains("▶ P4 running on p4-0"), "{proving}");
    assert!(proving.contains("▶ P5 running on p5-0"), "{proving}");
    assert!(words(&html, "#flight-4").contains("waits for epoch 4812540"));
    assert_eq!(words(&html, "#recent tbody .state"), "given up | finished | finished");
    assert!(words(&html, "#workers").contains("P1 of 6"));
    assert!(words(&html, "#orders").contains("9 of 20"));
    assert!(words(&html, "#throttle").contains("6 of 8"));
}

#[test]
fn an_order_offers_the_places_that_it_can_be_put_to_and_says_what_is_left() {
    let mut site = Site::empty();
    site.order(3).issue(0).order(1).order(5);
    let html = site.get("/").html();
    let places = |order: u64| -> Vec<String> {
        let buttons = all(&html, &format!("#order-{order} form[action$='/move'] button[name=to]"));
        buttons.iter().map(|button| button.attr("value").unwrap().to_owned()).collect()
    };
    assert_eq!(places(0), ["down", "last"]);
    assert_eq!(places(1), ["first", "up", "down", "last"]);
    assert_eq!(places(2), ["first", "up"]);
    assert!(words(&html, "#order-0").contains("1 of 3 2 "), "{}", words(&html, "#order-0"));
}

#[test]
fn storage_that_is_full_is_a_state_and_no_failure() {
    let mut site = Site::empty();
    site.tweak = |view| {
        let full = Some("another copy needs 32.1 GiB of storage, 9.0 GiB are left".to_owned());
        view.until_full = Some(UntilFullView { size: view.sector_size, full });
    };
    let html = site.get("/").html();
    let said = words(&html, "#until-full");
    assert!(said.starts_with("storage is full 32 GiB sectors are ordered by themselves"), "{said}");
    assert!(said.contains("needs 32.1 GiB") && said.contains("goes on by itself"), "{said}");
    assert!(all(&html, "#attention, .state.fail").is_empty());
}

#[test]
fn a_failure_says_what_failed_where_and_what_to_press() {
    let html = failing().get("/").html();
    let attention = words(&html, "#attention");
    for piece in [
        "1 sector needs you",
        "Sector 0 failed in P2",
        "no space left on device while writing the trees",
        "/sealer/cache/s-t01000-12",
        "free 24.8 GiB on this disk, then retry",
        "Sector 0 holds the 32 GiB throttle (1 of 1): nothing new starts until it is retried or aborted",
    ] {
        assert!(attention.contains(piece), "{piece}: {attention}");
    }
    let buttons = words(&html, "#attention button");
    assert!(buttons.contains("Retry P2 | Redo sector 0 from P1 | Abort sector 0"), "{buttons}");
    assert!(words(&html, "#abort-0 li").contains("/sealer/cache/s-t01000-0"));
    assert!(words(&html, ".top nav").contains("Failures 1 need you"));
    assert!(words(&html, "#throttle").contains("stands still"));
}

#[test]
fn parameters_being_made_are_seen_and_missing_ones_ask_for_a_person() {
    let mut site = Site::empty();
    site.size = SectorSize::KiB2;
    site.parameters =
        ParametersState::Making { step: "making the verifying key".into(), since: now() };
    let html = site.get("/").html();
    assert!(words(&html, "#parameters").contains("making the verifying key"));
    assert!(words(&html, "#parameters").contains("C2 (phase P4) waits for them"));
    assert!(words(&html, "#first-run").contains("labelling starts without them"));
    let failure = Failure::new(Class::Operator, "no parameters", "fetch them");
    let awaited = ParametersState::Awaited { failure: failure.clone() };
    for not_there in [ParametersState::Missing { failure }, awaited] {
        site.parameters = not_there;
        let html = site.get("/").html();
        assert!(words(&html, "#attention").contains("The parameters need you"));
        assert!(words(&html, "#attention").contains("fetch them"));
    }
}

#[test]
fn a_running_phase_says_how_far_it_is() {
    let site = busy();
    let layer = site.progress.begin(SectorNumber(6), Phase::P1);
    let copy = site.progress.begin(SectorNumber(3), Phase::P5);
    layer.tell(Progress::Layers { done: 6, of: 11 });
    copy.tell(Progress::Copying { done_bytes: 34 << 30, total_bytes: 64 << 30 });

    let overview = site.get("/").html();
    assert_eq!(words(&overview, ".strip .run .far"), "53% | 7/11");
    let said = words(&overview, "main");
    assert!(said.contains("P1 running on p1-0: layer 7 of 11"), "{said}");
    assert!(said.contains("P5 running on p5-0: 17 GiB of 32 GiB written and read back"), "{said}");
    let sector = site.get("/sectors/6").html();
    assert!(words(&sector, ".now").contains("runs on p1-0: layer 7 of 11."));
    assert_eq!(words(&sector, ".strip .run .far"), "7/11");

    layer.tell(Progress::Checking { done_bytes: 8 << 30, total_bytes: 32 << 30 });
    let sector = site.get("/sectors/6").html();
    assert!(words(&sector, ".now").contains("earlier attempt, 8 GiB of 32 GiB."));
    drop((layer, copy));
    let sector = site.get("/sectors/6").html();
    assert!(words(&sector, ".now").contains("runs on p1-0."), "{}", words(&sector, ".now"));
    assert_eq!(words(&sector, ".strip .far"), "");
}
