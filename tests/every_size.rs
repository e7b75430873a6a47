//! The larger lab sizes through the real binary, by the same code as 2 KiB. Their parameters are made
//! on demand, about a quarter of an hour each on two cores, and kept with the others:
//! `cargo test --release --test every_size -- --ignored --nocapture`

#[path = "support/seal.rs"]
mod seal;
mod support;

use std::time::Instant;

use support::Lab;

/// One sector from the start of the box to the proven copy; prints when each
/// of its phases was.
fn seals(size: &str, replica_bytes: u64) {
    let _alone = seal::alone();
    let begun = Instant::now();
    let mut lab = Lab::with(&format!("sector_size = \"{size}\"\nauto_pledge = 1\n"));
    seal::start(&mut lab);
    let sector = seal::wait_until_finished(&lab, 0);
    assert!(seal::verifies(&sector));
    let mut forged = sector.clone();
    forged["comm_r"] = sector["comm_d"].clone();
    assert!(!seal::verifies(&forged), "the check can fail");

    let stored = std::fs::metadata(sector["stored"]["replica"].as_str().expect("a path"));
    assert_eq!(stored.expect("the stored replica").len(), replica_bytes);
    let verified = lab.cli(&["verify", "0", "--url", &lab.url("")]);
    assert!(verified.status.success(), "{}", support::text(&verified.stderr));
    let left = support::left_on(&lab.path("sealbox-data/scratch"));
    assert!(left.is_empty(), "left on scratch: {left:?}");
    println!("{size}: finished and verified after {} s", begun.elapsed().as_secs());
    for entry in sector["history"].as_array().into_iter().flatten() {
        let word = |field: &str| entry[field].as_str().unwrap_or_default().to_owned();
        println!("  {} {} {}", word("at"), word("phase"), word("event"));
    }
}

#[test]
#[ignore = "a quarter of an hour the first time, some minutes after that"]
fn a_sector_of_8_mib_is_sealed_and_its_copy_proven() {
    seals("8MiB", 8 << 20);
}

#[test]
#[ignore = "half an hour the first time, a quarter of an hour after that"]
fn a_sector_of_512_mib_is_sealed_and_its_copy_proven() {
    seals("512MiB", 512 << 20);
}
