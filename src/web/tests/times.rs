use serde_json::{Value, json};

use super::site::Site;
use super::states::{busy, words};
use crate::app::times::learn;
use crate::domain::ids::SectorNumber;
use crate::domain::phase::Phase;
use crate::domain::porep::{Porep, SealKind};
use crate::domain::progress::{Progress, SnarkEvent, Snarks};
use crate::domain::units::SectorSize;
use crate::web::show::now;

/// Three sectors were finished, which all took the same; P1 of the fourth has run for longer.
fn seasoned() -> Site {
    let mut site = Site::empty();
    site.order(20).finished(0).finished(1).finished(2).running(3, Phase::P1);
    site
}

#[test]
fn a_sector_in_flight_says_when_it_is_done_by_what_is_usual_here() {
    let site = seasoned();
    // All but P1: 12 min, 75 min and 30 s for the seed, 1 s, 29 min 3 s, 3 s.
    let overview = site.get("/").text;
    assert!(overview.contains(r#"<td class="num">~ 1 h 56 min</td>"#), "{overview}");
    let sector = site.get("/sectors/3").text;
    assert!(sector.contains("Finished in ~ 1 h 56 min, by what is usual here"), "{sector}");
    let expected = json!({ "median_sec": 6_997, "low_sec": 6_997, "high_sec": 6_997 });
    assert_eq!(site.get("/api/v1/sectors/3").json()["done_in"], expected);
    assert_eq!(site.get("/api/v1/sectors/0").json()["done_in"], Value::Null, "it is finished");
    assert_eq!(site.get("/api/v1/status").json()["in_flight"][0]["done_in"], expected);
}

#[test]
fn a_box_without_a_basis_says_no_time() {
    let site = busy();
    assert!(!site.get("/sectors/3").text.contains("by what is usual here"));
    let status = site.get("/api/v1/status").json();
    assert_eq!(status["in_flight"][0]["done_in"], Value::Null);
    let usual = status["usual"].as_array().unwrap();
    assert!(usual.iter().all(|row| row["step"] != "P6"), "two are too few: {usual:?}");
}

#[test]
fn each_phase_stands_beside_its_usual_time() {
    let site = seasoned();
    let sector = site.get("/sectors/0").text;
    assert_eq!(sector.matches(r#"<td class="num soft">2 h 51 min</td>"#).count(), 1, "{sector}");
    let usual = &site.get("/api/v1/status").json()["usual"];
    assert_eq!(usual.as_array().map(Vec::len), Some(7));
    let p1 = 10_260_000;
    let p1 = json!({ "porep": "interactive", "size": "32GiB", "step": "P1", "median_ms": p1, "low_ms": p1, "high_ms": p1 });
    assert_eq!(usual[0], p1);
}

#[test]
fn a_restart_knows_what_was_usual_and_what_was_finished_before() {
    let site = seasoned();
    let (state, _) = site.state();
    let (usual, throughput) = learn(&state.reader, now()).unwrap();
    let before = site.view();
    assert!(usual.all().count() > 0);
    assert_eq!((usual, throughput), ((*before.usual).clone(), (*before.throughput).clone()));
}

#[test]
fn what_was_finished_is_shown_by_hour_and_day() {
    let site = seasoned();
    let finished = json!({ "sectors": 3, "bytes": 3u64 << 35, "since": null });
    let status = site.get("/api/v1/status").json();
    assert_eq!(status["throughput"]["last_24_hours"], finished);
    assert_eq!(status["throughput"]["last_hour"]["sectors"], 0);
    let overview = site.get("/").text;
    let row = r#"<td>last 24 hours</td><td class="num">3</td><td class="num">96 GiB</td>"#;
    assert!(overview.contains(row), "{overview}");
}

#[test]
fn p2_says_which_trees_it_has() {
    let mut site = Site::empty();
    site.order(1).running(0, Phase::P2);
    let row = site.progress.begin(SectorNumber(0), Phase::P2);
    for (tree_c, tree_r_last, short, words) in [
        (3, 0, "c 4/8", "tree-c 4 of 8"),
        (8, 1, "r 2/8", "tree-c made, the replica and tree-r-last 2 of 8"),
        (8, 8, "r 8/8", "all trees made, being synced and checked"),
    ] {
        row.tell(Progress::Trees { tree_c, tree_r_last, of: 8 });
        let page = site.get("/sectors/0").text;
        assert!(page.contains(short) && page.contains(words), "{page}");
    }
}

#[test]
fn p4_says_which_snarks_it_makes() {
    use SnarkEvent::{Aggregated, Checked, CircuitsFilled, Made, Starts, Transformed};
    let mut site = Site::empty();
    site.order(1).running(0, Phase::P4);
    let row = site.progress.begin(SectorNumber(0), Phase::P4);
    let shows = |now: Snarks, short: &str, said: &str| {
        row.tell(Progress::Snarks(now));
        let html = site.get("/sectors/0").html();
        assert_eq!(words(&html, ".strip .run .far"), short);
        let now = words(&html, ".now");
        assert!(now.contains(&format!(": {said}.")), "{now}");
        let standing = site.get("/api/v1/sectors/0").json()["standing"].to_string();
        assert!(standing.contains(said), "{standing}");
    };
    let kind = |porep| SealKind::new(SectorSize::GiB32, porep);
    let mut now = Snarks::of(kind(Porep::Interactive));
    shows(now, "params", "reading the parameters");
    for (event, short, words) in [
        (Starts, "c 10/10", "filling in the circuits of partitions 1 to 10 of 10"),
        (CircuitsFilled, "f 10/10", "SNARKs of partitions 1 to 10 of 10 begun"),
        (Transformed, "s 10/10", "SNARKs of partitions 1 to 10 of 10: transforms done, summing up"),
        (Made, "check", "the proof is made, being checked"),
        (Checked, "check", "the proof is made and checked"),
    ] {
        now = now.after(event);
        shows(now, short, words);
    }
    let mut now = Snarks::of(kind(Porep::NonInteractive));
    for (event, short, words) in [
        (Starts, "c 10/126", "filling in the circuits of partitions 1 to 10 of 126"),
        (CircuitsFilled, "f 10/126", "SNARKs of partitions 1 to 10 of 126 begun"),
        (Made, "c 20/126", "filling in the circuits of partitions 11 to 20 of 126"),
    ] {
        now = now.after(event);
        shows(now, short, words);
    }
    let begun = Snarks::of(kind(Porep::NonInteractive));
    let made = begun.events().into_iter().take_while(|event| *event != Aggregated);
    let made = made.fold(begun, Snarks::after);
    shows(made, "join", "all 126 SNARKs made, being aggregated");
    let one = Snarks::of(SealKind::new(SectorSize::KiB2, Porep::Interactive));
    shows(one.after(Starts), "c 1/1", "filling in the circuits of the one partition");
}
