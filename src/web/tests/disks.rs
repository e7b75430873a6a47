//! The disks, on the pages and in the API.

use std::sync::Arc;
use std::time::Duration;

use scraper::{Html, Selector};

use super::site::{Site, disk, said};
use crate::domain::failure::{Class, Failure};
use crate::domain::units::{SectorSize, Timestamp};
use crate::samples::Grain;
use crate::scheduler::view::{BoxView, DiskRole};
use crate::web::show::now;

fn words(html: &Html, css: &str) -> String {
    html.select(&Selector::parse(css).unwrap()).map(said).collect()
}

#[test]
fn a_disk_that_fills_or_fails_says_so_in_words() {
    let mut site = Site::empty();
    let mut hung = disk("/mnt/store-2", DiskRole::Storage, 10);
    hung.trouble = Some(Failure::new(Class::Operator, "no answer for 30 s", "look at the mount"));
    site.disks = vec![disk("/sealer", DiskRole::Scratch, 98), hung];
    let disks = words(&site.get("/").html(), "#disks");
    for piece in ["nearly full", "unusable", "no answer for 30 s", "look at the mount", "6.9 TiB"] {
        assert!(disks.contains(piece), "{piece}: {disks}");
    }
}

/// Four large sectors, one every three hours: three after the first, in nine hours.
pub fn finishes_steadily(view: &mut BoxView) {
    let throughput = Arc::make_mut(&mut view.throughput);
    for hours in [9, 6, 3, 0] {
        let ago = Duration::from_secs(hours * 3_600);
        let at = Timestamp(now().0 - u64::try_from(ago.as_millis()).unwrap());
        throughput.count(SectorSize::GiB32, at);
    }
}

#[test]
fn a_storage_says_when_it_will_be_full_at_this_boxs_pace_and_nothing_without_one() {
    let mut site = Site::empty();
    let disks = |site: &Site| words(&site.get("/storage").html(), "main");
    assert!(!disks(&site).contains("full in"));
    site.tweak = finishes_steadily;
    // 61 % of 7 TiB at 256 GiB a day.
    let shown = disks(&site);
    assert!(shown.contains("full in ~ 17 days"), "{shown}");
    assert_eq!(shown.matches("full in").count(), 1, "of the storage alone: {shown}");
    let status = site.get("/api/v1/status").json();
    assert!(status["disks"][1]["full_at"].is_string(), "{}", status["disks"][1]);
    assert_eq!(status["disks"][1]["forecast"], "full");
    assert!(status["disks"][0]["full_at"].is_null());
    let metrics = site.get("/metrics").text;
    let mut gauges =
        metrics.lines().filter(|line| line.starts_with("sealbox_disk_full_in_seconds"));
    let gauge = gauges.next().unwrap();
    let seconds: f64 = gauge.rsplit(' ').next().unwrap().parse().unwrap();
    assert!(
        gauge.contains("path=\"/mnt/store-1\"") && (16.0..18.0).contains(&(seconds / 86_400.0)),
        "{gauge}"
    );
    assert_eq!(gauges.next(), None, "a scratch comes and goes");
    site.tweak = |view| {
        finishes_steadily(view);
        view.simulated = true;
    };
    assert!(!disks(&site).contains("full in"));
}

#[test]
fn a_scratch_that_the_throttle_bounds_says_that_it_will_not_fill_and_one_that_is_not_may() {
    let mut site = Site::empty();
    site.limit = Some(2);
    site.order(9);
    let words = |site: &Site| words(&site.get("/").html(), "#disks .forecast");
    // 71 % of 7 TiB, and two sectors of 32 GiB.
    assert_eq!(words(&site), "will not fill: at most 5.9 TiB of 7 TiB");
    let disk = &site.get("/api/v1/status").json()["disks"][0];
    assert_eq!(disk["forecast"], "bounded");
    assert!(disk["at_most_bytes"].as_u64() > disk["used_bytes"].as_u64(), "{disk}");
    site.limit = Some(20);
    assert_eq!(words(&site), "may fill: what does not fit waits");
}

#[test]
fn the_data_disk_is_full_by_how_it_grew() {
    let mut site = Site::empty();
    site.disks = vec![disk("/var/lib/sealbox", DiskRole::Data, 50)];
    let words = |site: &Site| words(&site.get("/storage").html(), ".forecast");
    assert_eq!(words(&site), "", "nobody has seen it grow");
    let day = 24 * 3_600_000;
    // 500 GiB a day.
    for ago in (0..=21_u64).rev().map(|quarters| quarters * day / 4) {
        let grown = u32::try_from((6 * day - ago) / (day / 4)).unwrap() * 125 * 1_024;
        let sample = super::history::sample_of(now().0 - ago, "/var/lib/sealbox", grown);
        site.samples.keep(Grain::Coarse, sample);
    }
    // 49 % of 7 TiB are left.
    assert_eq!(words(&site), "full in ~ 7 days");
}
