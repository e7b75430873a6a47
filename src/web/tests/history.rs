//! The box's timeline as a chart.

use scraper::{Html, Selector};

use super::states::{busy, failing};
use std::path::Path;

use super::site::{Site, said};
use crate::domain::phase::{PerPhase, Phase};
use crate::domain::units::Timestamp;
use crate::samples::{DiskFill, Grain, Sample, disk_key};

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
    assert_eq!(html.select(&figures).count(), 7);
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
        reserved_mib: 0,
        hour_sectors: 1,
        hour_mib: 32 * 1_024,
        took: PerPhase::from_fn(|_| [0; 3]),
        disks: vec![DiskFill { key: disk_key(Path::new("/sealer")), used_mib: 2_048 }],
    }
}
