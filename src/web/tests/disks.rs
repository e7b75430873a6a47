//! The disks, on the pages and in the API.

use std::sync::Arc;
use std::time::Duration;

use scraper::{Html, Selector};

use super::site::{Site, disk, said};
use crate::domain::failure::{Class, Failure};
use crate::domain::units::{SectorSize, Timestamp};
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
fn finishes_steadily(view: &mut BoxView) {
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
    assert!(!disks(&site).contains("full in about"));
    site.tweak = finishes_steadily;
    // 61 % of 7 TiB at 256 GiB a day.
    let shown = disks(&site);
    assert!(shown.contains("full in about 17 d"), "{shown}");
    assert_eq!(shown.matches("full in about").count(), 1, "of the storage alone: {shown}");
    let status: serde_json::Value = serde_json::from_str(&site.get("/api/v1/status").text).unwrap();
    assert!(status["disks"][1]["full_at"].is_string(), "{}", status["disks"][1]);
    assert!(status["disks"][0]["full_at"].is_null());
    site.tweak = |view| {
        finishes_steadily(view);
        view.simulated = true;
    };
    assert!(!disks(&site).contains("full in about"));
}
