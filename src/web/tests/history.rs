//! The box's timeline as a chart, and the samples as others.

use std::path::Path;

use scraper::{Html, Selector};

use super::site::{Site, disk, said};
use super::states::{busy, failing};
use crate::domain::phase::{PerPhase, Phase};
use crate::domain::times::Throughput;
use crate::domain::units::{SectorSize, Timestamp};
use crate::samples::{DiskFill, Grain, Sample, disk_key};
use crate::scheduler::view::DiskRole;
use crate::web::show::now;

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
    let names = Selector::parse(".gantt .worker").unwrap();
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

#[test]
fn the_charts_stand_there_without_a_script_and_the_api_sends_their_lines() {
    let mut site = failing();
    site.disks[0].used_bytes = 3 << 40;
    let now = crate::web::show::now().0;
    for (ago, cpu) in [(7_200_000, 100), (20_000, 250), (10_000, 500)] {
        site.samples.keep(Grain::Fine, sample(now - ago, cpu));
    }
    let html = site.get("/history?range=1h").html();
    let figures = Selector::parse("figure.chart").unwrap();
    assert_eq!(html.select(&figures).count(), 14);
    let line = Selector::parse("#chart-cpu polyline").unwrap();
    let points = html.select(&line).next().unwrap().attr("points").unwrap();
    assert_eq!(points.split_whitespace().count(), 2, "{points}");
    let latest = Selector::parse("#chart-cpu [data-key=cpu_machine] b").unwrap();
    assert_eq!(html.select(&latest).map(said).collect::<String>(), "50 %");
    let told = site.get("/api/v1/samples?range=1h").json();
    assert_eq!(told["series"]["cpu_machine"], serde_json::json!([25.0, 50.0]));
    assert_eq!(told["series"]["p1_median"], serde_json::json!([null, null]));
    assert_eq!(told["series"]["used /sealer"], serde_json::json!([2.0, 2.0]));
    assert_eq!(site.get("/api/v1/samples?range=1y").status, 422);
}

#[test]
fn what_was_done_to_the_box_stands_with_who_did_it_the_newest_first_and_leads_to_what_was_before() {
    let mut site = Site::empty();
    assert_eq!(words(&site.get("/history").html(), "#doings .empty").len(), 1);
    for _ in 0..30 {
        site.order(2);
    }
    let first = site.get("/history?range=6h");
    let shown = words(&first.html(), "#doings tbody td.wrap");
    assert_eq!(shown.len(), 25);
    assert!(shown[0].starts_with("order 29 by "), "{}", shown[0]);
    let earlier = Selector::parse("#doings a.button").unwrap();
    let earlier = first.html().select(&earlier).next().unwrap().attr("href").unwrap().to_owned();
    let rest = site.get(earlier.trim_end_matches("#doings")).html();
    let shown = words(&rest, "#doings tbody td.wrap");
    assert_eq!(shown.len(), 5);
    assert!(shown[0].starts_with("order 4 by "), "{}", shown[0]);
    assert_eq!(words(&rest, "#doings a.button"), ["The newest"]);
    assert_eq!(site.get("/history?after=soon").status, 422);
    let told = site.get("/api/v1/history?limit=1").json();
    assert_eq!(told["history"][0]["event"], "ordered");
}

fn words(html: &Html, css: &str) -> Vec<String> {
    html.select(&Selector::parse(css).unwrap()).map(said).collect()
}

/// Noon of a day that has the hours before it in full.
const NOON: u64 = (20_000 * 24 + 12) * 3_600_000;

#[test]
fn what_was_finished_stands_by_hours_and_days_with_the_same_figures_as_a_table() {
    crate::web::show::FIXED.set(Some(Timestamp(NOON)));
    let site = Site::empty();
    let mut throughput = Throughput::default();
    for minutes_ago in [20 * 60, 90, 70, 0] {
        throughput.count(SectorSize::GiB32, Timestamp(NOON - minutes_ago * 60_000));
    }
    site.samples.count(&throughput, Timestamp(NOON));
    let html = site.get("/history").html();
    let bars = |id: &str| {
        let path = Selector::parse(&format!("#chart-{id} path.bar")).unwrap();
        let drawn: Vec<&str> = html.select(&path).filter_map(|path| path.attr("d")).collect();
        drawn.concat().matches('M').count()
    };
    assert_eq!(["sectors-hour", "bytes-hour", "sectors-day"].map(bars), [3, 3, 2]);
    let rows = |id: &str| words(&html, &format!("#table-{id} tbody tr"));
    assert_eq!(rows("sectors-hour").len(), 24);
    assert_eq!(
        rows("sectors-hour")[..3],
        ["2024-10-04 12:00 1", "2024-10-04 11:00 0", "2024-10-04 10:00 2"]
    );
    assert_eq!(rows("bytes-hour")[2], "2024-10-04 10:00 64 GiB");
    assert_eq!(rows("sectors-day")[..3], ["2024-10-04 3", "2024-10-03 1", "2024-10-02 0"]);
    assert_eq!(rows("sectors-day").len(), 7);
    let told = |range: &str| site.get(&format!("/api/v1/samples?range={range}")).json();
    let week = told("7d");
    assert_eq!(week["hours"].as_array().unwrap().len(), 168);
    assert_eq!(week["hours"][165]["sectors"], 2);
    assert_eq!(week["days"][6]["bytes"], 96_u64 << 30);
    assert_eq!(told("60d")["days"].as_array().unwrap().len(), 60);
    crate::web::show::FIXED.set(None);
}

#[test]
fn each_phase_has_its_median_in_a_band_that_half_of_all_attempts_lie_in() {
    let site = Site::empty();
    for ago in [600_000, 0] {
        let took = PerPhase::from_fn(|phase| match phase {
            Phase::P1 => [9_000_000, 10_260_000, 10_800_000],
            Phase::P3 => [80, 120, 900],
            Phase::P2 | Phase::P4 | Phase::P5 | Phase::P6 => [0; 3],
        });
        site.samples.keep(Grain::Fine, Sample { took, ..sample(now().0 - ago, 7) });
    }
    let html = site.get("/history").html();
    let legend = |phase: &str| words(&html, &format!("#chart-took-{phase} .legend")).concat();
    assert_eq!(legend("p1"), "median 2 h 51 min half of all from 2 h 30 min to 3 h 00 min");
    assert_eq!(legend("p3"), "median 120 ms half of all from 80 ms to 900 ms");
    assert_eq!(legend("p2"), "median – half of all from – to –", "too little of it was seen");
    let band = Selector::parse("#chart-took-p1 polygon.band").unwrap();
    let points = html.select(&band).next().unwrap().attr("points").unwrap();
    assert_eq!(points.split_whitespace().count(), 4, "{points}");
    assert_eq!(words(&html, "#table-took-p1 tbody td").len(), 6);
}

#[test]
fn a_disk_that_fills_is_drawn_ahead_and_says_when_and_what_is_reserved_lies_on_what_is_used() {
    let mut site = Site::empty();
    site.disks = vec![disk("/sealer", DiskRole::Scratch, 20), disk("/data", DiskRole::Data, 50)];
    let day = 24 * 3_600_000;
    for (nth, quarters_ago) in (0..28_u32).zip((0..28_u64).rev()) {
        let at = now().0 - quarters_ago * day / 4;
        // 500 GiB a day.
        site.samples.keep(Grain::Coarse, sample_of(at, "/data", nth * 125 * 1_024));
    }
    let reserved =
        DiskFill { reserved_mib: 485 << 10, ..sample_of(0, "/sealer", 1 << 20).disks[0] };
    site.samples.keep(Grain::Coarse, Sample { disks: vec![reserved], ..sample(now().0, 7) });
    let html = site.get("/history?range=7d").html();
    let ahead = Selector::parse("#chart-disks polyline.ahead").unwrap();
    let lines: Vec<&str> = html.select(&ahead).filter_map(|line| line.attr("points")).collect();
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(lines[0].trim_end().split(' ').next_back().unwrap().starts_with("600.0,"), "{lines:?}");
    let notes = words(&html, "#panel-disks .note");
    assert!(notes[0].starts_with("/sealer will not fill: at most 1.4 TiB of 7 TiB"), "{notes:?}");
    assert_eq!(notes[1], "/data full in ~ 7 days");
    let legend = words(&html, "#chart-disks .legend").concat();
    assert!(legend.starts_with("/sealer 1024 GiB and reserved 485 GiB"), "{legend}");
    let told = site.get("/api/v1/samples?range=7d").json();
    let line = &told["ahead"][0];
    assert_eq!((&line["of"], &line["words"]), (&"used /data".into(), &"full in ~ 7 days".into()));
    // As far as half of the time that is shown: half of the way.
    assert_eq!(line["to_s"].as_u64().unwrap() - line["from_s"].as_u64().unwrap(), 302_400);
    let [from, to] = ["from_gib", "to_gib"].map(|end| line[end].as_f64().unwrap());
    assert!((1_700.0..1_800.0).contains(&(to - from)), "{line}");
}

fn sample(at: u64, cpu: u16) -> Sample {
    Sample {
        at: Timestamp(at),
        cpu_machine: cpu,
        cpu_box: cpu / 2,
        memory_mib: 4_096,
        memory_used_mib: 2_048,
        memory_box_mib: 1_024,
        scratch_read_kib: 0,
        scratch_written_kib: 2_048,
        hour_sectors: 1,
        hour_mib: 32 * 1_024,
        took: PerPhase::from_fn(|_| [0; 3]),
        disks: vec![fill("/sealer", 2_048)],
    }
}

fn fill(path: &str, used_mib: u32) -> DiskFill {
    DiskFill { key: disk_key(Path::new(path)), used_mib, reserved_mib: 0 }
}

/// With this used of this disk.
pub fn sample_of(at: u64, path: &str, used_mib: u32) -> Sample {
    Sample { disks: vec![fill(path, used_mib)], ..sample(at, 250) }
}
