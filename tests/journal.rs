//! The journal's own commands, on the built program.

mod support;

use std::fs;
use std::path::Path;

use support::{Lab, QUICK, text};

/// A box that has finished three sectors and still runs.
fn with_three_sectors() -> Lab {
    let mut lab = Lab::with(&format!("auto_pledge = 0\n[engine]\nkind = \"simulated\"\n{QUICK}"));
    lab.start();
    lab.pledge(3);
    (0..3).for_each(|number| lab.wait_for_state(number, "finished"));
    lab
}

fn copy_tree(from: &Path, to: &Path) {
    for file in support::files(from) {
        let target = to.join(&file);
        fs::create_dir_all(target.parent().expect("below it")).expect("a directory");
        fs::copy(from.join(&file), target).expect("a copy");
    }
}

#[test]
fn a_backup_of_a_running_box_is_restored_by_starting_with_it() {
    let lab = with_three_sectors();
    let backup = lab.json(&["backup", "copy"]);
    assert_eq!(backup["sectors"], 3);
    let again = lab.cli(&["backup", "copy"]);
    assert_eq!(again.status.code(), Some(2));
    assert!(text(&again.stderr).contains("is there already"), "{}", text(&again.stderr));

    let mut other = Lab::with("auto_pledge = 0\n[engine]\nkind = \"simulated\"\n");
    copy_tree(&lab.path("copy"), &other.path("sealbox-data"));
    other.start();
    let sectors = lab.json(&["sectors"]);
    assert_eq!(sectors["sectors"].as_array().map(Vec::len), Some(3));
    assert_eq!(other.json(&["sectors"]), sectors);
    assert_eq!(other.history(2), lab.history(2));
}

#[test]
fn a_running_boxes_journal_is_verified_and_exported() {
    let lab = with_three_sectors();
    let verified = lab.json(&["journal", "verify"]);
    assert_eq!((&verified["sectors"], &verified["unfinished"]), (&3.into(), &0.into()));
    let exported = lab.cli(&["journal", "export"]);
    let lines = text(&exported.stdout).lines().count();
    assert_eq!(verified["entries"], lines);
    let of_one = text(&lab.cli(&["journal", "export", "--sector", "1"]).stdout);
    assert_eq!(of_one.lines().count(), lab.history(1).len());
    let last = lab.cli(&["journal", "export", "--from", &lines.to_string()]);
    assert_eq!(text(&last.stdout).lines().count(), 1);
}

#[test]
fn a_damaged_journal_is_told_with_its_place_and_exit_code_1() {
    let mut lab = with_three_sectors();
    lab.kill();
    let file = lab.path("sealbox-data/journal/00000000000000000001.jsonl");
    let mut bytes = fs::read(&file).expect("the journal");
    let second = 1 + bytes.iter().position(|&byte| byte == b'\n').expect("a line");
    bytes[second + 50] ^= 1;
    fs::write(&file, &bytes).expect("the damage");
    let found = lab.cli(&["journal", "verify", "--json"]);
    assert_eq!(found.status.code(), Some(1));
    let json: serde_json::Value = serde_json::from_slice(&found.stdout).expect("JSON");
    let at = &json["error"]["at"];
    assert_eq!((&at["line"], &at["byte"]), (&2.into(), &second.into()), "{json}");
    assert!(json["error"]["mend"].as_str().is_some_and(|mend| !mend.is_empty()));
    assert_eq!(fs::read(&file).expect("the journal"), bytes, "nothing was changed");
    let nowhere = lab.cli(&["journal", "verify", "--data-dir", "nowhere"]);
    assert!(text(&nowhere.stderr).contains("there is no journal"), "{}", text(&nowhere.stderr));
}
