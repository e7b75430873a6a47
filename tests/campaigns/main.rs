//! Campaigns: a box at work is killed, loses its power, runs out of disk, at random moments and
//! many times over, and nothing that it acknowledged may be lost. Each takes minutes, and one
//! command:
//!
//! ```text
//! cargo test --release --test campaigns -- --ignored --nocapture kill
//! cargo test --release --test campaigns -- --ignored --nocapture power_cuts_on_ext4
//! cargo test --release --test campaigns -- --ignored --nocapture power_cuts_on_xfs
//! cargo test --release --test campaigns -- --ignored --nocapture full_disk
//! ```
//!
//! `CAMPAIGN_CYCLES` says how often, `CAMPAIGN_SEED` which moments: a run prints its seed. The
//! moments are the machine's as well, so a seed makes a failure likely again, not certain. Sleeps
//! here are the random moments themselves; nothing that is checked depends on their length.

mod campaign;
#[path = "../support/mod.rs"]
mod support;

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::sleep;

use campaign::{Campaign, Places};
use serde_json::Value;
use support::mounts::{Disk, SmallDisk, lacking};

#[test]
#[ignore = "a campaign: minutes"]
fn kill_at_random_moments_loses_nothing_acknowledged() {
    let mut campaign = Campaign::new("kill -9", 300, Places::in_lab);
    for _ in 0..campaign.cycles {
        campaign.configure();
        let wait = campaign.random.up_to(700);
        campaign.live_until(|| sleep(wait));
        campaign.check_what_is_on_disk();
        campaign.restart();
        campaign.check_history();
        campaign.lab.kill();
    }
    campaign.finish(&[SIMULATED]);
}

#[test]
#[ignore = "a campaign: minutes; root"]
fn power_cuts_on_ext4_lose_nothing_acknowledged() {
    power_cuts("ext4");
}

#[test]
#[ignore = "a campaign: minutes; root"]
fn power_cuts_on_xfs_lose_nothing_acknowledged() {
    power_cuts("xfs");
}

fn power_cuts(kind: &str) {
    let mkfs = format!("mkfs.{kind}");
    if let Some(why) = lacking(&["losetup", "mount", "perl", &mkfs]) {
        println!("power cuts on {kind}: skipped: {why}");
        return;
    }
    let dir = tempfile::tempdir().expect("a temporary directory");
    let disk = match Disk::make(kind, dir.path()) {
        Ok(disk) => disk,
        Err(why) => return println!("power cuts on {kind}: skipped: {why}"),
    };
    let name = format!("power cuts on {kind}");
    let mut campaign = Campaign::new(&name, 50, |_| Places::below(&disk.mount));
    let (mut really_lost, mut rebuilt) = (0, 0);
    for cycle in 0..campaign.cycles {
        campaign.configure();
        let witness = disk.mount.join(format!("witness-{cycle}"));
        let wait = campaign.random.up_to(1_500);
        let mount = disk.mount.clone();
        let no_more_answers = Arc::clone(&campaign.no_more_answers);
        campaign.live_until(|| {
            sleep(wait);
            // Not synced: a cut that does not lose this one proves nothing.
            fs::write(&witness, [7; 10_000]).expect("the witness");
            // Where the power is gone nobody answers. Here the process lives on for a moment, and an
            // fsync that the shutdown meets half-way may succeed for nothing.
            no_more_answers.store(true, Ordering::SeqCst);
            Disk::cut(&mount);
        });
        disk.come_back();
        really_lost += u64::from(fs::read(&witness).unwrap_or_default() != [7; 10_000]);
        forget_the_boot(&campaign.places.data);
        campaign.check_what_is_on_disk();
        campaign.restart();
        rebuilt += u64::from(campaign.lab.messages().contains("the machine stopped"));
        campaign.check_history();
        campaign.lab.kill();
    }
    let late = campaign.late_answers.get();
    println!("{name}: {late} answers came after the cut, and do not count");
    println!("{name}: {really_lost} cuts lost the unsynced witness, {rebuilt} states made again");
    assert_eq!(really_lost, campaign.cycles, "a cut that loses nothing proves nothing");
    campaign.finish(&[SIMULATED]);
}

#[test]
#[ignore = "a campaign: minutes; root"]
fn full_disk_again_and_again_loses_nothing_acknowledged() {
    if let Some(why) = lacking(&["mount", "umount"]) {
        println!("full disk: skipped: {why}");
        return;
    }
    let dir = tempfile::tempdir().expect("a temporary directory");
    let disk = |name: &str, mib| SmallDisk::make(&dir.path().join(name), mib);
    let disks = match (disk("data", 64), disk("scratch", 8), disk("storage", 16)) {
        (Ok(data), Ok(scratch), Ok(storage)) => [data, scratch, storage],
        (data, scratch, storage) => {
            let why = [data.err(), scratch.err(), storage.err()];
            return println!("full disk: skipped: {why:?}");
        }
    };
    let [data, scratch, storage] = [0, 1, 2].map(|nth: usize| disks[nth].mount.clone());
    let mut campaign = Campaign::new("full disk", 20, |_| Places { data, scratch, storage });
    let mut stood_still = 0;
    for round in 0..campaign.cycles {
        campaign.configure();
        let disk = &disks[(round % 3) as usize];
        let (before, full) = (campaign.random.up_to(500), campaign.random.up_to(1_500));
        campaign.live_until(|| {
            sleep(before);
            disk.fill();
            sleep(full);
        });
        stood_still += u64::from(campaign.lab.messages().contains("all work waits"));
        campaign.check_what_is_on_disk();
        disk.free();
        campaign.restart();
        campaign.check_history();
        campaign.work_for_a_moment();
        campaign.lab.kill();
    }
    println!("full disk: {stood_still} times the box stood still because its journal was full");
    assert!(stood_still > 0, "a disk that is never full proves nothing");
    campaign.finish(&[SIMULATED, "no space left on ", "no storage has room for the copy"]);
}

/// What a failure that the configuration asked for says.
const SIMULATED: &str = "simulated ";

/// What a reboot looks like to a box: the state was open in another boot.
fn forget_the_boot(data: &Path) {
    let mark = data.join("state.mark");
    let Ok(bytes) = fs::read(&mark) else { return };
    let mut written: Value = serde_json::from_slice(&bytes).expect("the mark is whole");
    written["boot_id"] = "the boot before".into();
    fs::write(&mark, written.to_string()).expect("the mark");
}
