//! The queue of orders, and what is ordered without a person, on the built program.

mod support;

use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};
use support::mounts::{SmallDisk, lacking};
use support::{Lab, QUICK, text};

/// The back-off after a full disk is 30 s, and a look at it takes 5 s.
const WHEN_ROOM_IS_SEEN: Duration = Duration::from_secs(180);

/// Exit codes, as `sealbox --help` has them.
const FAILED: i32 = 1;
const NOT_FOUND: i32 = 4;

fn lab(top: &str, more: &str) -> Lab {
    Lab::with(&format!("{top}\n[engine]\nkind = \"simulated\"\n{QUICK}\n{more}"))
}

fn open(lab: &Lab) -> Vec<u64> {
    let orders = lab.json(&["orders"]);
    let orders = orders["orders"].as_array().expect("a list").clone();
    orders.iter().map(|order| order["order"].as_u64().unwrap()).collect()
}

fn refused(lab: &Lab, args: &[&str], code: i32, words: &str) {
    let output = lab.cli(args);
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{args:?}: {said}");
    assert!(said.contains(words), "{args:?}: {said}");
}

#[test]
fn orders_are_issued_as_they_were_moved_and_a_move_outlives_kill_9() {
    let mut lab = lab("auto_pledge = 0", "");
    lab.start();
    lab.post("/api/v1/intake/pause", &json!({})).unwrap();
    (0..4).for_each(|_| lab.pledge(1));
    assert!(lab.cli(&["orders", "move", "2", "first"]).status.success());
    lab.post("/api/v1/orders/3/move", &json!({ "before": 0 })).unwrap();
    lab.kill();
    lab.start();
    assert_eq!(open(&lab), [2, 3, 0, 1]);
    assert!(lab.cli(&["orders", "move", "0", "down"]).status.success());
    assert!(lab.cli(&["orders", "cancel", "3"]).status.success());
    assert_eq!(open(&lab), [2, 1, 0]);
    // The page's own buttons: plain forms.
    let pressed = ureq::post(lab.url("/orders/0/move")).send_form([("to", "up"), ("back", "/")]);
    assert!(pressed.is_ok(), "{pressed:?}");
    assert_eq!(open(&lab), [2, 0, 1]);
    lab.post("/api/v1/intake/resume", &json!({})).unwrap();
    (0..3).for_each(|number| lab.wait_for_state(number, "finished"));
    let of: Vec<Value> = (0..3).map(|number| lab.sector(number)["order"].clone()).collect();
    assert_eq!(of, [2, 0, 1]);
}

#[test]
fn a_move_that_makes_no_sense_is_refused_in_words() {
    let mut lab = lab("auto_pledge = 0", "");
    lab.start();
    lab.pledge(1);
    lab.wait_for_state(0, "finished");
    lab.post("/api/v1/intake/pause", &json!({})).unwrap();
    lab.pledge(2);
    refused(&lab, &["orders", "move", "7", "first"], NOT_FOUND, "there is no order 7");
    refused(&lab, &["orders", "cancel", "7"], NOT_FOUND, "there is no order 7");
    refused(&lab, &["orders", "move", "0", "last"], FAILED, "order 0 is not open");
    refused(&lab, &["orders", "cancel", "0"], FAILED, "order 0 is not open");
    refused(&lab, &["orders", "move", "1", "--before", "0"], FAILED, "order 0 is not open");
    refused(&lab, &["orders", "move", "1", "--before", "1"], FAILED, "before itself");
    assert_eq!(lab.post("/api/v1/orders/1/move", &json!({ "before": 9 })), Err(409));
    assert_eq!(lab.post("/api/v1/orders/9/move", &json!({ "before": 1 })), Err(404));
    assert_eq!(open(&lab), [1]);
}

#[test]
fn until_full_stops_when_no_storage_has_room_and_goes_on_when_one_has() {
    if let Some(why) = lacking(&["mount", "umount"]) {
        return eprintln!("not tested: {why}");
    }
    let top = "auto_pledge = \"until-full\"\ndata_dir = \"data\"\nscratch = \"scratch\"";
    let mut lab = lab(top, "[[storage]]\npath = \"store\"\n");
    let disk = match SmallDisk::make(&lab.path("store"), 1) {
        Ok(disk) => disk,
        Err(why) => return eprintln!("not tested: {why}"),
    };
    lab.start();
    let finished = |lab: &Lab| lab.get("/api/v1/status")["finished"].as_u64().unwrap();
    let at_rest = |lab: &Lab| {
        let status = lab.get("/api/v1/status");
        status["until_full"]["full"].is_string() && status["counts"]["in_flight"] == 0
    };
    // Several looks: a copy takes less than what is kept for it.
    let rests = "it rests on full storage";
    lab.wait(rests, |lab| at_rest(lab) && finished(lab) > 0);
    let status = lab.get("/api/v1/status");
    assert_eq!(status["counts"]["needs_you"], 0);
    let why = status["until_full"]["full"].as_str().unwrap();
    assert!(why.starts_with("another copy needs"), "{why}");
    assert!(lab.page("/").contains("storage is full"));
    let before = finished(&lab);
    assert!(
        (0..before)
            .all(|number| { lab.history(number).iter().all(|line| !line.contains("failed")) })
    );
    let larger = Command::new("mount").args(["-o", "remount,size=2m"]).arg(&disk.mount).status();
    assert!(larger.expect("mount runs").success());
    lab.wait("it goes on", |lab| finished(lab) > before);
}

#[test]
fn a_copy_that_met_a_full_storage_is_not_tried_in_vain_and_goes_on_when_its_room_is_seen() {
    if let Some(why) = lacking(&["mount", "umount"]) {
        return eprintln!("not tested: {why}");
    }
    let top = "auto_pledge = 0\ndata_dir = \"data\"\nscratch = \"scratch\"";
    let mut lab = lab(top, "[[storage]]\npath = \"store\"\n");
    let disk = match SmallDisk::make(&lab.path("store"), 1) {
        Ok(disk) => disk,
        Err(why) => return eprintln!("not tested: {why}"),
    };
    lab.start();
    disk.fill();
    lab.pledge(1);
    lab.wait("its copy met the full storage", |lab| {
        lab.history(0).iter().any(|line| line.contains("failed"))
    });
    lab.pledge(1);
    lab.wait_for(WHEN_ROOM_IS_SEEN, "it waits for room, and says so", |lab| {
        let standing = lab.sector(0)["standing"].as_str().unwrap_or_default().to_owned();
        standing.contains("failed once and waits: another copy needs")
    });
    let intake = lab.get("/api/v1/status")["intake_waits"].to_string();
    assert!(intake.contains("sector 0 met a full disk"), "{intake}");
    assert_eq!(lab.sector(1), Value::Null);
    disk.free();
    lab.wait_for(WHEN_ROOM_IS_SEEN, "both are finished", |lab| {
        lab.get("/api/v1/status")["finished"] == 2
    });
    assert_eq!(lab.sector(0)["tasks"][4]["attempts"], 2, "{:?}", lab.history(0));
}
