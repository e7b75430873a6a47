//! What an operator can get wrong: each a clear message with what to do, nothing lost, no panic,
//! and an exit code that a script can use.

mod support;

use std::fs;

use serde_json::json;
use support::mounts::SmallDisk;
use support::{Lab, QUICK, text};

const FAILED: i32 = 1;
const USAGE: i32 = 2;
const NOT_RUNNING: i32 = 3;
const NOT_FOUND: i32 = 4;
const OCCUPIED: i32 = 5;

/// Runs a start that must fail; its exit code and message.
fn fails_to_start(lab: &Lab) -> (i32, String) {
    let output = lab.cli(&["run"]);
    let message = text(&output.stderr);
    assert!(!message.contains("panicked"), "{message}");
    (output.status.code().expect("it was not killed"), message)
}

#[test]
fn a_second_instance_on_the_same_data_is_refused_and_the_first_goes_on() {
    let mut lab = Lab::simulated("");
    lab.start();
    let mut second = lab.sealbox();
    let port = support::Port::take().number;
    let output = second.env("SEALBOX_WEB_LISTEN", format!("127.0.0.1:{port}")).output().unwrap();
    assert_eq!(output.status.code(), Some(OCCUPIED), "{}", text(&output.stderr));
    assert!(text(&output.stderr).contains(&lab.pid().to_string()), "{}", text(&output.stderr));
    lab.get("/api/v1/status");
}

#[test]
fn a_busy_port_is_named_with_the_key_that_changes_it() {
    let lab = Lab::simulated("");
    let _other = std::net::TcpListener::bind(("127.0.0.1", lab.port.number)).unwrap();
    let (code, message) = fails_to_start(&lab);
    assert_eq!(code, OCCUPIED);
    assert!(
        message.contains(&lab.port.number.to_string()) && message.contains("listen"),
        "{message}"
    );
}

#[test]
fn a_scratch_that_cannot_be_written_is_refused_at_start() {
    let lab = Lab::simulated("scratch = \"file/below\"");
    fs::write(lab.path("file"), "not a directory").unwrap();
    let (code, message) = fails_to_start(&lab);
    assert_eq!(code, FAILED, "{message}");
    assert!(message.contains("file"), "{message}");
}

#[test]
fn a_damaged_configuration_is_refused_with_its_line() {
    let lab = Lab::simulated("");
    fs::write(lab.path("appliance.toml"), "miner = \"t01000\"\nsector_size = \"2 KB\"\n[[worker\n")
        .unwrap();
    let (code, message) = fails_to_start(&lab);
    assert_eq!(code, USAGE, "{message}");
    assert!(message.contains("appliance.toml:3"), "{message}");
    fs::write(lab.path("appliance.toml"), [0xff, 0xfe, 0x00]).unwrap();
    let (code, message) = fails_to_start(&lab);
    assert_eq!(code, USAGE, "{message}");
}

#[test]
fn a_number_of_sectors_that_makes_no_sense_is_refused_by_command_api_and_form() {
    let mut lab = Lab::simulated("");
    lab.start();
    for count in ["0", "1000000000000", "-1", "x"] {
        let output = lab.cli(&["pledge", count]);
        assert_eq!(output.status.code(), Some(USAGE), "{count}: {}", text(&output.stderr));
    }
    for count in [json!(0), json!(1_000_000_000_000u64), json!(-1), json!("x"), json!(1.5)] {
        let code = lab.post("/api/v1/orders", &json!({ "count": count })).unwrap_err();
        assert!((400..500).contains(&code), "{count}: {code}");
    }
    assert_eq!(lab.get("/api/v1/status")["orders"], json!([]));
}

#[test]
fn a_sector_that_does_not_exist_is_said_not_to() {
    let mut lab = Lab::simulated("");
    lab.start();
    let output = lab.cli(&["sector", "7"]);
    assert_eq!(output.status.code(), Some(NOT_FOUND), "{}", text(&output.stderr));
    let output = lab.cli(&["retry", "7"]);
    assert_eq!(output.status.code(), Some(NOT_FOUND), "{}", text(&output.stderr));
    assert_eq!(lab.post("/api/v1/sectors/7/abort", &json!({})), Err(404));
}

#[test]
fn a_command_without_a_running_box_says_so() {
    let lab = Lab::simulated("");
    for args in [&["sectors"][..], &["pledge", "1"], &["tasks"], &["retry", "--all"], &["params"]] {
        let output = lab.cli(args);
        let message = text(&output.stderr);
        assert_eq!(output.status.code(), Some(NOT_RUNNING), "{args:?}: {message}");
        assert!(message.contains("sealbox run"), "{message}");
    }
}

#[test]
fn a_storage_that_vanishes_fails_the_copy_alone_and_retry_finishes_it_when_it_is_back() {
    let mut lab = Lab::with(&format!(
        "auto_pledge = 0\n[engine]\nkind = \"simulated\"\n{QUICK}\n[[storage]]\npath = \"store\"\n"
    ));
    lab.start();
    fs::rename(lab.path("store"), lab.path("gone")).unwrap();
    lab.pledge(1);
    lab.wait_for_row(0, 16, (1, 1, 2));
    let sector = lab.sector(0);
    assert!(sector["attention"].as_str().unwrap_or_default().contains("store"), "{sector}");
    assert!(!lab.path("store").exists(), "it was made again on the wrong disk");
    fs::rename(lab.path("gone"), lab.path("store")).unwrap();
    assert!(lab.cli(&["retry", "0"]).status.success());
    lab.wait_for_state(0, "finished");
}

#[test]
fn a_full_storage_disk_pauses_the_intake_and_all_goes_on_by_itself_when_there_is_room() {
    let mut lab = Lab::with(&format!(
        "auto_pledge = 0\n[engine]\nkind = \"simulated\"\n{QUICK}\n[[storage]]\npath = \"store\"\n"
    ));
    let store = lab.path("store");
    let Ok(disk) = SmallDisk::make(&store, 1) else {
        eprintln!("skipped: mounting a tmpfs needs root");
        return;
    };
    lab.start();
    disk.fill();
    lab.pledge(1);
    lab.wait("the intake waits for room", |lab| {
        lab.get("/api/v1/status")["intake_waits"] == "sector 0 met a full disk"
    });
    lab.pledge(2);
    let sector = lab.sector(0);
    let copying = &sector["tasks"][4];
    assert!(
        copying["error"].as_str().is_some_and(|e| e.contains("no storage has room")),
        "{copying}"
    );
    assert_eq!(lab.get("/api/v1/status")["counts"]["needs_you"], 0, "nobody has to press anything");
    assert_eq!(lab.get("/api/v1/status")["counts"]["in_flight"], 1, "no sector is begun meanwhile");
    disk.free();
    for number in 0..3 {
        lab.wait_for_state(number, "finished");
    }
    assert!(lab.get("/api/v1/status")["intake_waits"].is_null());
    lab.kill();
}

#[test]
fn a_full_scratch_lets_no_sector_begin_and_says_how_much_is_missing() {
    let mut lab = Lab::with(&format!(
        "auto_pledge = 0\nscratch = \"scratch\"\n[engine]\nkind = \"simulated\"\n{QUICK}"
    ));
    let scratch = lab.path("scratch");
    let Ok(disk) = SmallDisk::make(&scratch, 1) else {
        eprintln!("skipped: mounting a tmpfs needs root");
        return;
    };
    lab.start();
    disk.fill();
    lab.wait("the disk is seen to be full", |lab| {
        let disks = lab.get("/api/v1/status")["disks"].clone();
        disks.as_array().is_some_and(|disks| {
            disks.iter().any(|disk| disk["role"] == "scratch" && disk["free_bytes"] == 0)
        })
    });
    lab.pledge(2);
    lab.wait("the intake waits for room", |lab| {
        let waits = &lab.get("/api/v1/status")["intake_waits"];
        waits.as_str().is_some_and(|why| {
            why.starts_with(&format!("needs 256 KiB on {}, 0 B", scratch.display()))
        })
    });
    disk.free();
    for number in 0..2 {
        lab.wait_for_state(number, "finished");
        let attempts = lab.sector(number)["tasks"][0]["attempts"].clone();
        assert_eq!(attempts, 1, "nothing was tried in vain");
    }
    lab.kill();
}

#[test]
fn a_full_data_disk_stops_the_work_says_so_and_goes_on_when_there_is_room() {
    let mut lab = Lab::with(&format!(
        "auto_pledge = 0\ndata_dir = \"data\"\nscratch = \"scratch\"\n[engine]\nkind = \
         \"simulated\"\n{QUICK}\n[[storage]]\npath = \"store\"\n"
    ));
    let data = lab.path("data");
    let Ok(disk) = SmallDisk::make(&data, 16) else {
        eprintln!("skipped: mounting a tmpfs needs root");
        return;
    };
    lab.start();
    lab.pledge(1);
    lab.wait_for_state(0, "finished");
    disk.fill();
    let url = lab.url("/api/v1/orders");
    let asked = std::thread::spawn(move || {
        ureq::post(&url).send_json(json!({ "count": 3 })).map(|r| r.status().as_u16())
    });
    lab.wait("the box says that it cannot write", |lab| {
        !lab.get("/api/v1/status")["trouble"].is_null()
    });
    disk.free();
    lab.wait("it goes on", |lab| lab.get("/api/v1/status")["trouble"].is_null());
    let acknowledged = matches!(asked.join(), Ok(Ok(201)));
    lab.kill();
    lab.start();
    lab.pledge(1);
    let expected = if acknowledged { 5 } else { 2 };
    lab.wait("what was acknowledged is sealed, and what came after", |lab| {
        lab.get("/api/v1/status")["finished"].as_u64() >= Some(expected)
    });
    lab.kill();
}

#[test]
fn the_doctor_names_another_box_on_this_machine_by_its_data_and_not_this_one() {
    let (mut mine, mut other) = (Lab::simulated(""), Lab::simulated(""));
    mine.start();
    other.start();
    let output = mine.cli(&["doctor"]);
    let said = text(&output.stdout) + &text(&output.stderr);
    let data_of = |lab: &Lab| {
        let data = lab.path("sealbox-data").canonicalize().unwrap();
        format!("with its data in {}", data.display())
    };
    assert!(said.contains(&data_of(&other)), "{said}");
    assert!(said.contains(&format!("another sealbox ({})", other.pid())), "{said}");
    assert!(!said.contains(&data_of(&mine)), "{said}");
}
