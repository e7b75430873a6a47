//! Whole pages from fixed states, compared with `snapshots/*.html`: what a change of a template
//! changes is seen in the diff. `SEALBOX_SNAPSHOTS=renew cargo test --lib snapshots` writes them anew.

use std::path::{Path, PathBuf};

use super::history::sample_of;
use super::site::{Site, disk, disk_full};
use super::states::{busy, failing};
use crate::domain::event::Event;
use crate::domain::failure::{Class, Failure};
use crate::domain::phase::Phase;
use crate::domain::times::Throughput;
use crate::domain::units::{SectorSize, Timestamp};
use crate::samples::Grain;
use crate::scheduler::view::DiskRole;
use crate::web::show::FIXED;

/// 2025-11-22, half past two in the afternoon, UTC.
const NOW: Timestamp = Timestamp(1_763_821_800_000);

/// The state is made and shown at a fixed time.
fn compare(name: &str, make: impl Fn() -> Site, paths: &[&str]) {
    FIXED.set(Some(NOW));
    let site = make();
    let mut other = Vec::new();
    for path in paths {
        let page = match path.trim_start_matches('/') {
            "" => "overview".to_owned(),
            other => other.replace(['/', '?', '&', '='], "-"),
        };
        let answer = site.get(path);
        assert_eq!(answer.status, 200, "{path}: {}", answer.text);
        let shown = without_versions(&answer.text);
        let file = directory().join(format!("{name}-{page}.html"));
        if std::env::var("SEALBOX_SNAPSHOTS").is_ok_and(|wish| wish == "renew") {
            std::fs::write(&file, &shown).unwrap();
        }
        let kept = std::fs::read_to_string(&file).unwrap_or_default();
        other.extend(difference(&kept, &shown).map(|line| format!("{}: {line}", file.display())));
    }
    FIXED.set(None);
    assert!(other.is_empty(), "{other:#?}\nif that is meant: SEALBOX_SNAPSHOTS=renew");
}

fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src/web/tests/snapshots")
}

/// The addresses of files and of the live connection, which change with every file and process.
fn without_versions(page: &str) -> String {
    let mut shown = String::with_capacity(page.len());
    let mut rest = page;
    while let Some(at) = ["?v=", "?seen="].iter().filter_map(|mark| rest.find(mark)).min() {
        shown.push_str(&rest[..at]);
        let end = rest[at..].find('"').map_or(rest.len(), |end| at + end);
        rest = &rest[end..];
    }
    shown.push_str(rest);
    shown
}

/// The first line that is not the same.
fn difference(kept: &str, shown: &str) -> Option<String> {
    let (mut kept, mut shown) = (kept.lines(), shown.lines());
    loop {
        match (kept.next(), shown.next()) {
            (None, None) => return None,
            (a, b) if a == b => {}
            (a, b) => {
                let [a, b] = [a, b].map(|line| line.unwrap_or("(its end)"));
                return Some(format!("kept: {a}\nshown: {b}"));
            }
        }
    }
}

#[test]
fn an_empty_box_looks_as_it_did() {
    compare("empty", Site::empty, &["/", "/sectors", "/failures", "/tasks"]);
}

#[test]
fn a_busy_box_looks_as_it_did() {
    compare("busy", busy, &["/", "/sectors", "/sectors/3", "/tasks", "/workers", "/storage"]);
}

#[test]
fn a_failing_box_that_stands_still_looks_as_it_did() {
    let make = || {
        let mut site = failing();
        site.recall();
        site.timeline.waiting(&site.view());
        site
    };
    compare("failing", make, &["/", "/failures", "/sectors/0"]);
}

#[test]
fn a_full_disk_looks_as_it_did() {
    let make = || {
        let mut site = busy();
        site.disks = vec![disk("/sealer", DiskRole::Scratch, 99)];
        site.tweak =
            |view| view.intake_waits = Some("needs 416 GiB of scratch, 60 GiB are left".into());
        site
    };
    compare("full", make, &["/", "/storage"]);
}

#[test]
fn a_hung_mount_looks_as_it_did() {
    let make = || {
        let mut site = busy();
        site.disks[1].hung = true;
        let what = "/mnt/store-1 has not answered for 10 s";
        let mend = "look at the mount and its server";
        site.disks[1].trouble = Some(Failure::new(Class::Operator, what, mend));
        site
    };
    compare("hung", make, &["/", "/storage"]);
}

/// Nearly all finished, every fiftieth given up, the last eight failed.
#[test]
fn a_box_with_a_hundred_thousand_sectors_looks_as_it_did() {
    const COUNT: u64 = 100_000;
    let make = || {
        let mut few = Site::empty();
        // Nobody sees them here, and there are many to write.
        few.proof_bytes = 1;
        few.order(3).finished(0).issue(1).happens(1, Event::Aborted { by: "the page".into() });
        few.through(1, Phase::P6);
        few.running(2, Phase::P2).later(372).fails(2, Phase::P2, disk_full());
        let templates: Vec<_> = few.sectors.values().cloned().collect();
        let mut site = Site::filled(COUNT, &templates, |number| match number {
            99_992.. => 2,
            number if number % 50 == 0 => 1,
            _ => 0,
        });
        site.limit = Some(8);
        site.tweak = |view| (view.finished, view.given_up) = (97_992, 2_000);
        site
    };
    let paths = [
        "/",
        "/sectors?state=finished&limit=10",
        "/sectors?state=given_up&after=50000&limit=10",
        "/tasks?task_type=2&result_status=2&limit=10",
        "/tasks?task_type=32&after=70000-P6&limit=10",
        "/failures",
    ];
    compare("many", make, &paths);
}

/// What stands there without a script: the timeline, bars, bands, and a disk that fills.
#[test]
fn the_history_looks_as_it_did() {
    let make = || {
        let mut site = busy();
        site.recall();
        site.timeline.waiting(&site.view());
        site.disks.push(disk("/var/lib/sealbox", DiskRole::Data, 50));
        sampled(&mut site);
        site
    };
    compare("busy", make, &["/history?range=24h", "/history?range=7d"]);
}

/// A week of samples: a disk that fills by 125 GiB every six hours, and P1 that becomes slower.
fn sampled(site: &mut Site) {
    const QUARTER_DAY_MS: u64 = 6 * 3_600_000;
    let mut throughput = Throughput::default();
    for (nth, ago) in (0..28_u32).zip((0..28_u64).rev()) {
        let at = Timestamp(NOW.0 - ago * QUARTER_DAY_MS);
        (0..=nth % 4).for_each(|_| throughput.count(SectorSize::GiB32, at));
        site.samples.count(&throughput, at);
        let p1 = 9_000_000 + nth * 60_000;
        let mut sample = sample_of(at.0, "/var/lib/sealbox", nth * 125 * 1_024);
        sample.took[Phase::P1] = [p1, p1 + 600_000, p1 + 1_500_000];
        site.samples.keep(Grain::Coarse, sample.clone());
        site.samples.keep(Grain::Fine, sample);
    }
}

#[test]
fn what_changes_with_every_process_is_no_part_of_a_snapshot() {
    let page = "<a href=\"/x.css?v=0af1\"><body sse-connect=\"/live?seen=3-1\">v=2";
    assert_eq!(without_versions(page), "<a href=\"/x.css\"><body sse-connect=\"/live\">v=2");
}
