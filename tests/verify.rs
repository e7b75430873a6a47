//! Finished sectors proven again from storage, by the built program: on demand and on schedule.

mod support;

use std::fs;
use std::path::PathBuf;

use serde_json::{Value, json};
use support::{Lab, QUICK, text};

const FAILED: i32 = 1;

/// A box that proves its finished sectors again every so many seconds.
fn lab(check_every_sec: u64) -> Lab {
    Lab::with(&format!(
        "auto_pledge = 0\n[engine]\nkind = \"simulated\"\n{QUICK}\n\
         [check]\nevery_sec = {check_every_sec}\n[[storage]]\npath = \"store\"\n"
    ))
}

fn finish(lab: &Lab, count: u64) {
    lab.pledge(count);
    for number in 0..count {
        lab.wait_for_state(number, "finished");
    }
}

fn replica(lab: &Lab, number: u64) -> PathBuf {
    lab.path(&format!("store/sealed/s-t01000-{number}"))
}

fn tree(lab: &Lab, number: u64) -> PathBuf {
    lab.path(&format!("store/cache/s-t01000-{number}/sc-02-data-tree-r-last.dat"))
}

fn attention(lab: &Lab, number: u64) -> String {
    lab.sector(number)["attention"].as_str().unwrap_or_default().to_owned()
}

fn needs_you(lab: &Lab) -> Value {
    lab.get("/api/v1/status")["counts"]["needs_you"].clone()
}

/// Where a person looks: the Overview and the Failures page name the file.
fn is_shown(lab: &Lab, file: &str) -> bool {
    ["/", "/failures"].iter().all(|page| lab.page(page).contains(file))
}

#[test]
fn a_flipped_byte_in_a_stored_replica_is_found_by_verify_and_named_until_it_is_put_right() {
    let mut lab = lab(0);
    lab.start();
    finish(&lab, 3);
    let output = lab.cli(&["verify"]);
    let said = text(&output.stdout);
    assert!(output.status.success() && said.contains("all 3 stored copies"), "{said}");

    let file = replica(&lab, 1);
    let good = fs::read(&file).unwrap();
    let mut bad = good.clone();
    bad[500] ^= 1;
    fs::write(&file, &bad).unwrap();
    let output = lab.cli(&["verify", "--all"]);
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(FAILED), "{said}");
    let name = file.to_str().unwrap();
    for part in ["sector 0: proven", "sector 1: DAMAGED", name, "sector 2: proven", "1 damaged"] {
        assert!(said.contains(part), "{part} in {said}");
    }
    assert!(attention(&lab, 1).contains(name), "{}", attention(&lab, 1));
    assert_eq!((needs_you(&lab), attention(&lab, 0)), (json!(1), String::new()));
    lab.wait("it is shown", |lab| is_shown(lab, name));

    // What was said of it is durable, and holds nothing else up.
    lab.kill();
    lab.start();
    assert_eq!(needs_you(&lab), json!(1));
    lab.wait("it is shown again", |lab| is_shown(lab, name));
    lab.pledge(1);
    lab.wait_for_state(3, "finished");
    let refused = lab.cli(&["retry", "1"]);
    assert!(text(&refused.stderr).contains("sealbox verify 1"), "{}", text(&refused.stderr));
    let output = lab.sealbox().args(["verify", "1", "--json"]).output().unwrap();
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
    let row = &answer["error"]["verified"][0];
    assert_eq!(
        (row["state"].as_str(), row["failure"]["file"].as_str()),
        (Some("damaged"), Some(name))
    );

    fs::write(&file, good).unwrap();
    let row = &lab.json(&["verify", "1"])["verified"][0];
    assert_eq!((&row["sector"], &row["state"]), (&json!(1), &json!("proven")));
    assert_eq!((needs_you(&lab), attention(&lab, 1)), (json!(0), String::new()));
    let history = lab.history(1);
    assert!(
        history.ends_with(&["found damaged".to_owned(), "proven again".to_owned()]),
        "{history:?}"
    );
    assert!(lab.page("/failures").contains("Nothing has failed"));
    assert!(lab.cli(&["journal", "verify"]).status.success());
}

#[test]
fn a_removed_tree_file_is_found_by_the_schedule_and_cleared_by_prove_again() {
    let mut lab = lab(1);
    lab.start();
    finish(&lab, 2);
    let file = tree(&lab, 1);
    let name = file.to_str().unwrap().to_owned();
    let good = fs::read(&file).unwrap();
    fs::remove_file(&file).unwrap();
    lab.wait("it is found without a restart", |lab| is_shown(lab, &name));
    assert_eq!(needs_you(&lab), json!(1));
    lab.kill();
    lab.start();
    assert!(is_shown(&lab, &name), "after the kill");

    // The button: there, and what it does.
    let page = lab.page("/sectors/1");
    assert!(page.contains("Prove again") && page.contains("/sectors/1/verify"), "{page}");
    fs::write(&file, good).unwrap();
    ureq::post(lab.url("/sectors/1/verify")).send_form([("back", "/sectors/1")]).expect("pressed");
    lab.wait("it is cleared", |lab| attention(lab, 1).is_empty() && needs_you(lab) == 0);
    assert!(!is_shown(&lab, &name));
    let found = lab.history(1).iter().filter(|event| *event == "found damaged").count();
    assert_eq!(found, 1, "one entry, however often the schedule came by");
}

#[test]
fn a_schedule_without_findings_writes_nothing_of_single_sectors_and_goes_on_after_a_kill() {
    let mut lab = lab(3_600);
    lab.start();
    finish(&lab, 4);
    let pass = |lab: &Lab| {
        let status = lab.get("/api/v1/status");
        status["passes"].as_object().and_then(|passes| passes.values().next().cloned())
    };
    // The rest of the pass is as far away as its share of the hour.
    lab.kill();
    lab.start();
    lab.wait("the first is looked at", |lab| pass(lab).is_some());
    let before = pass(&lab).unwrap();
    assert_eq!(before["up_to"], 0);
    assert!(lab.sector(0)["proven"].is_string());
    lab.kill();
    lab.start();
    assert_eq!(pass(&lab), Some(before));
    for number in 0..4 {
        assert!(!lab.history(number).contains(&"proven again".to_owned()));
    }
}

#[test]
fn a_storage_that_is_not_mounted_is_not_damage() {
    let mut lab = lab(1);
    lab.start();
    finish(&lab, 2);
    fs::rename(lab.path("store"), lab.path("away")).unwrap();
    // What an unmounted mount point looks like.
    fs::create_dir_all(lab.path("store/cache")).unwrap();
    fs::create_dir_all(lab.path("store/sealed")).unwrap();
    let output = lab.cli(&["verify"]);
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(FAILED), "{said}");
    assert!(said.contains("not mounted") && said.contains("0 damaged, 2 not looked at"), "{said}");
    for number in 0..2 {
        assert_eq!(attention(&lab, number), "", "sector {number}");
    }
    fs::remove_dir_all(lab.path("store")).unwrap();
    fs::rename(lab.path("away"), lab.path("store")).unwrap();
    assert!(lab.cli(&["verify"]).status.success());
    assert_eq!(needs_you(&lab), json!(0));
    for number in 0..2 {
        assert!(!lab.history(number).contains(&"found damaged".to_owned()));
    }
}

#[test]
fn what_is_not_finished_or_not_there_is_refused_in_words() {
    let mut lab = lab(0);
    lab.start();
    let output = lab.cli(&["verify", "9"]);
    assert_eq!(output.status.code(), Some(4), "{}", text(&output.stderr));
    assert!(text(&lab.cli(&["verify"]).stdout).contains("nothing to prove"));
    assert_eq!(lab.post("/api/v1/sectors/9/verify", &json!({})), Err(404));
}
