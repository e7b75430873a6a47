//! Real sectors through the real binary with the real proofs. Slow: a SNARK takes about a minute on
//! two cores, and the first run ever makes the lab parameters, about ten minutes.

#[path = "support/seal.rs"]
mod seal;
mod support;

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use seal::{PATIENCE, alone, start, verifies, wait_until_finished};
use serde_json::Value;
use support::Lab;

fn path<'a>(value: &'a Value, field: &str) -> &'a Path {
    Path::new(value[field].as_str().unwrap_or_else(|| panic!("no {field} in {value}")))
}

#[test]
fn one_command_in_an_empty_directory_seals_a_sector_that_anyone_can_check() {
    let _alone = alone();
    let mut lab = Lab::with("");
    // Nothing but the program: its built-in configuration is the repository's appliance.toml.
    fs::remove_file(lab.path("appliance.toml")).unwrap();
    let address = format!("127.0.0.1:{}", lab.port.number);
    let parameters = support::parameters();
    lab.launch(&[
        ("SEALBOX_WEB_LISTEN", &address),
        ("FIL_PROOFS_PARAMETER_CACHE", parameters.to_str().expect("UTF-8")),
    ]);
    lab.wait_until_it_answers();
    let mut shown = false;
    lab.wait_for(PATIENCE, "the sector is finished", |lab| {
        let sector = lab.sector(0);
        let standing = sector["standing"].as_str().unwrap_or_default();
        // Of all steps the one that takes longest.
        shown |= standing.contains("SNARKs of the one partition: transforms done, summing up");
        sector["state"] == "finished"
    });
    assert!(shown, "C2 did not say how far it was");
    wait_for_every_step_of_c2(&lab, 0);
    let output = lab
        .sealbox()
        .env("SEALBOX_WEB_LISTEN", &address)
        .args(["sector", "0", "--json"])
        .output()
        .unwrap();
    let sector: Value = serde_json::from_slice(&output.stdout).expect("JSON");

    assert!(verifies(&sector));
    let mut forged = sector.clone();
    forged["comm_r"] = sector["comm_d"].clone();
    assert!(!verifies(&forged), "the check can fail");

    assert_eq!(sector["miner"], "t01000");
    assert_eq!(sector["simulated"], false);
    assert!(sector["comm_r_cid"].as_str().unwrap().starts_with("bagboea4b5abc"));
    assert!(sector["comm_d_cid"].as_str().unwrap().starts_with("baga6ea4seaq"));

    let stored = &sector["stored"];
    assert_eq!(fs::metadata(path(stored, "replica")).unwrap().len(), 2048);
    let cache = path(stored, "cache");
    for name in ["p_aux", "t_aux", "sc-02-data-tree-r-last.dat"] {
        assert!(cache.join(name).is_file(), "{name} is stored");
    }
    assert!(path(stored, "manifest").is_file());
    let left = support::left_on(&lab.path("sealbox-data/scratch"));
    assert!(left.is_empty(), "left on scratch: {left:?}");

    let history = lab.history(0).join("\n");
    assert!(history.contains("deleted"), "the deletions are in the history: {history}");
}

/// The last of its attempts passed them all, by its log.
fn wait_for_every_step_of_c2(lab: &Lab, number: u64) {
    let all = ["Parameters", "Circuits", "Begun", "Transformed", "Checking", "Checked"];
    lab.wait("every step of C2 is in the log", |lab| {
        let log = lab.page(&format!("/sectors/{number}/log.txt?phase=P4"));
        let said = log.lines().filter(|line| line.contains(": C2 "));
        let steps = said.filter_map(|line| line.split_once("step="));
        let word = |rest: &str| rest.chars().take_while(char::is_ascii_alphabetic).collect();
        let steps: Vec<String> = steps.map(|(_, rest)| word(rest)).collect();
        steps.ends_with(&all.map(str::to_owned))
    });
}

const MANUAL: &str = "auto_pledge = 0\n[chain.lab]\nepoch_ms = 200\nchallenge_delay = 2\n";

fn was_interrupted(lab: &Lab, number: u64, phase: &str) -> bool {
    let line = format!("{phase} interrupted");
    lab.history(number).iter().any(|what| what.contains(&line))
}

/// Kills the box in the midst of a P2: as soon as one of its trees appears. P2 of 2 KiB takes
/// milliseconds, so it may take some sectors until one is hit; the others are aborted.
fn kill_in_p2(lab: &mut Lab, first: u64) -> u64 {
    for number in first..first + 50 {
        lab.pledge(1);
        let cache = lab.path(&format!("sealbox-data/scratch/cache/s-t01000-{number}"));
        let tree = cache.join("sc-02-data-tree-c.dat");
        let start_of_wait = Instant::now();
        while !tree.exists() {
            assert!(start_of_wait.elapsed() < support::PATIENCE, "no P2: {}", lab.messages());
            std::hint::spin_loop();
        }
        lab.kill();
        start(lab);
        // The page answers a moment before the interruption is on record.
        lab.wait("P2's end is on record", |lab| {
            was_interrupted(lab, number, "P2") || lab.row(number, 2) == Some((1, 1, 0))
        });
        if was_interrupted(lab, number, "P2") {
            return number;
        }
        abort(lab, number);
    }
    panic!("no P2 was hit");
}

fn abort(lab: &Lab, number: u64) {
    drop(lab.post(&format!("/api/v1/sectors/{number}/abort"), &Value::Null));
    lab.wait_for_state(number, "given up");
}

/// Waits until a SNARK is deep enough in to be broken off.
fn wait_for_c2(lab: &Lab, number: u64) {
    lab.wait_for(PATIENCE, "P4 runs", |lab| lab.row(number, 8) == Some((1, 0, 1)));
    let before = lab.cpu_ms();
    lab.wait("C2 has used some processor time", |lab| lab.cpu_ms() > before + 8_000);
    lab.wait("its progress is shown", |lab| {
        let sector = lab.sector(number);
        sector["standing"].as_str().is_some_and(|words| words.contains("the one partition"))
    });
    assert_eq!(lab.row(number, 8), Some((1, 0, 1)), "C2 was over before it could be broken off");
}

/// The first test of this file seals on threads, this one in processes.
#[test]
fn a_sector_killed_in_p2_and_again_in_c2_still_ends_with_a_valid_proof() {
    let _alone = alone();
    let mut lab = Lab::with(MANUAL);
    start(&mut lab);
    let on_a_thread = kill_in_p2(&mut lab, 0);
    lab.wait_for_row(on_a_thread, 2, (1, 1, 0));
    abort(&lab, on_a_thread);
    lab.kill();
    lab.isolation = Some("process");
    start(&mut lab);
    let number = kill_in_p2(&mut lab, on_a_thread + 1);

    lab.wait_for(PATIENCE, "the parameters are there and P4 runs", |lab| {
        let made = lab.get("/api/v1/params")["state"] != "making";
        made && lab.row(number, 8) == Some((1, 0, 1))
    });
    wait_for_c2(&lab, number);
    lab.kill();
    start(&mut lab);
    lab.wait("the interruption is on record", |lab| was_interrupted(lab, number, "P4"));

    let sector = wait_until_finished(&lab, number);
    assert!(verifies(&sector));
    wait_for_every_step_of_c2(&lab, number);
    assert!(support::left_on(&lab.path("sealbox-data/scratch")).is_empty());

    // In a process of its own a SNARK need not be waited for.
    lab.pledge(1);
    wait_for_c2(&lab, number + 1);
    let begun = Instant::now();
    abort(&lab, number + 1);
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    assert_eq!(lab.children(), Vec::<u32>::new());
}
