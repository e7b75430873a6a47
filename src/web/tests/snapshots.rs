//! Whole pages from fixed states, compared with `snapshots/*.html`: what a change of a template
//! changes is seen in the diff. `SEALBOX_SNAPSHOTS=renew cargo test --lib snapshots` writes them anew.

use std::path::{Path, PathBuf};

use super::site::{Site, disk};
use super::states::{busy, failing};
use crate::domain::failure::{Class, Failure};
use crate::domain::units::Timestamp;
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
            other => other.replace('/', "-"),
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

#[test]
fn what_changes_with_every_process_is_no_part_of_a_snapshot() {
    let page = "<a href=\"/x.css?v=0af1\"><body sse-connect=\"/live?seen=3-1\">v=2";
    assert_eq!(without_versions(page), "<a href=\"/x.css\"><body sse-connect=\"/live\">v=2");
}
