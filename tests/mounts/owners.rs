//! Whose a root is, and what nobody owns in it.

use super::*;

const USAGE: i32 = 2;
const OCCUPIED: i32 = 5;

#[test]
fn a_second_box_on_the_same_storage_is_refused_and_told_what_to_do() {
    let mut first = Lab::with(&configuration("", &["store"]));
    first.start();
    let shared = first.path("store");
    let second = Lab::with(&configuration("", &[shared.to_str().unwrap()]));
    let output = second.cli(&["run"]);
    let message = text(&output.stderr);
    assert_eq!(output.status.code(), Some(FAILED), "{message}");
    for part in ["belongs to another box", "sealbox-root.json", "sealbox adopt-root"] {
        assert!(message.contains(part), "{part} in {message}");
    }
    // Nor can it be taken over while its name is on it.
    let output = second.cli(&["adopt-root", shared.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(FAILED), "{}", text(&output.stderr));
    first.pledge(1);
    first.wait_for_state(0, "finished");
}

#[test]
fn sectors_of_unknown_origin_are_adopted_only_by_an_order_to_a_stopped_box() {
    let mut lab = Lab::with(&configuration("", &["store"]));
    fs::create_dir_all(lab.path("store/cache/s-t01000-99")).unwrap();
    let output = lab.cli(&["run"]);
    let message = text(&output.stderr);
    assert_eq!(output.status.code(), Some(FAILED), "{message}");
    assert!(message.contains("nothing says whose they are"), "{message}");
    assert!(lab.cli(&["adopt-root", "store"]).status.success());
    lab.start();
    assert!(lab.path("store/cache/s-t01000-99").is_dir());
    let output = lab.cli(&["adopt-root", "store"]);
    assert_eq!(output.status.code(), Some(OCCUPIED), "{}", text(&output.stderr));
}

#[test]
fn an_orphan_is_listed_and_deleted_only_by_an_order_that_is_recorded() {
    let slow = configuration("", &["store"]).replace("p1_ms = 5", "p1_ms = 3000");
    let mut lab = Lab::with(&slow);
    lab.start();
    let orphan = lab.path("store/cache/s-t01000-99");
    fs::create_dir_all(&orphan).unwrap();
    fs::write(orphan.join("p_aux"), "seven b").unwrap();
    let listed = lab.json(&["orphans"]);
    assert_eq!(listed["orphans"][0]["path"].as_str(), orphan.to_str(), "{listed}");
    assert_eq!(listed["orphans"][0]["bytes"], 7);
    assert_eq!(listed["orphans"].as_array().map(Vec::len), Some(1));
    assert!(lab.page("/storage").contains("s-t01000-99"));

    let path = orphan.to_str().unwrap();
    let output = lab.cli(&["orphans", "delete", path]);
    assert_eq!(output.status.code(), Some(USAGE), "{}", text(&output.stderr));
    let around = format!("{}/../../store/cache/s-t01000-99", lab.path("store/cache").display());
    for elsewhere in ["/etc/passwd", "store/cache/s-t01000-99", &around] {
        let refused = lab.post("/api/v1/orphans/delete", &json!({ "path": elsewhere }));
        assert_eq!(refused, Err(404), "{elsewhere}");
    }
    // A sector in flight owns what has its name, in any root.
    lab.pledge(1);
    lab.wait_for_row(0, 1, (1, 0, 1));
    let owned = lab.path("sealbox-data/scratch/cache/s-t01000-0");
    lab.wait("P1 has its directory", |_| owned.is_dir());
    assert_eq!(lab.post("/api/v1/orphans/delete", &json!({ "path": owned })), Err(409));
    assert!(owned.is_dir() && orphan.is_dir());

    assert!(lab.cli(&["orphans", "delete", path, "--yes"]).status.success());
    assert!(!orphan.exists());
    assert_eq!(lab.json(&["orphans"])["orphans"], json!([]));
    let journal = lab.path("sealbox-data/journal");
    let lines: String = support::files(&journal)
        .iter()
        .map(|file| fs::read_to_string(journal.join(file)).unwrap_or_default())
        .collect();
    assert!(lines.contains("orphan_deleted") && lines.contains("s-t01000-99"), "{lines}");
    // The history with it is read again.
    lab.kill();
    lab.start();
    lab.wait_for_state(0, "finished");
    assert_eq!(lab.json(&["orphans"])["orphans"], json!([]), "a finished sector's copy is listed");
}
