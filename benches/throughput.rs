//! Real sectors through the built program, against the same calls of the engine in a bare loop:
//! `cargo bench --bench throughput -- [size] [sectors] [rounds]`, `2KiB`, 4 and 2 if not said. Every
//! round has both, in the other order than the round before. Wanted: at most 1.03 × the bare loop;
//! at 8 MiB, where phases are long enough to overlap, less than it.
//!
//! A SNARK takes about a minute on two cores, and a run makes 16 of them: let nothing else run. The
//! parameters are where the tests have them, and are made there in about ten minutes if they are
//! not.

#[path = "../tests/support/mod.rs"]
mod lab;
mod support;

use std::fs;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use lab::Lab;
use sealbox::domain::ids::{ActorId, Bytes32, SectorId, SectorNumber};
use sealbox::domain::layout::Scratch;
use sealbox::domain::porep::{Porep, SealKind};
use sealbox::domain::sector::{Data, Seed, Ticket};
use sealbox::domain::units::{Epoch, SectorSize};
use sealbox::engine::filecoin::{FilecoinEngine, Hooks, settings};
use sealbox::engine::{Engine, Job, SealStatement, StoredCopy};
use sealbox::stop::Stop;
use support::median;

const PATIENCE: Duration = Duration::from_secs(3_600);
/// Asked as often as a test asks, fifty times a second, the box would be measured answering.
const ASKED_EVERY: Duration = Duration::from_millis(300);
/// The argument that makes this program the bare loop: a process of its own, as the box is.
const BARE: &str = "bare";

fn main() {
    let given: Vec<String> = std::env::args().skip(1).collect();
    // `cargo test --benches` only asks whether this still builds and starts.
    if given.iter().any(|argument| argument == "--test") {
        return;
    }
    let mut given = given.into_iter().filter(|argument| !argument.starts_with("--")).peekable();
    let is_bare = given.next_if(|argument| argument == BARE).is_some();
    let size = given.next_if(|argument| argument.ends_with('B'));
    let size = size.map_or(SectorSize::KiB2, |size| size.parse().expect("a sector size"));
    let mut number = |default| given.next().map_or(default, |n| n.parse().expect("a number"));
    let sectors = number(4);
    if is_bare {
        return bare(size, sectors);
    }
    let rounds = number(2);
    let (mut box_took, mut bare_took) = (Vec::new(), Vec::new());
    for round in 0..rounds {
        let box_first = round % 2 == 0;
        for is_box in [box_first, !box_first] {
            let (name, seconds) = if is_box {
                ("the box", through_the_box(size, sectors))
            } else {
                ("bare loop", in_a_bare_loop(size, sectors))
            };
            println!("round {}: {name}: {sectors} sectors in {seconds:.1} s", round + 1);
            if is_box { box_took.push(seconds) } else { bare_took.push(seconds) }
        }
    }
    let (box_took, bare_took) = (median(box_took), median(bare_took));
    println!(
        "medians: the box {box_took:.1} s, bare loop {bare_took:.1} s; the box × bare: {:.3}",
        box_took / bare_took
    );
}

/// From the order until the last is finished. The start, and the look at the parameters, are not in
/// it; nor are they below.
fn through_the_box(size: SectorSize, sectors: u64) -> f64 {
    let mut lab = Lab::with(&format!(
        "auto_pledge = 0\nsector_size = \"{}\"\n[chain.lab]\nepoch_ms = 1\nchallenge_delay = 1\n",
        size.name()
    ));
    let parameters = lab::parameters();
    let place = parameters.display().to_string();
    lab.launch(&[("FIL_PROOFS_PARAMETER_CACHE", &place)]);
    lab.wait_until_it_answers();
    lab.wait_for(PATIENCE, "the parameters", |lab| {
        lab.get("/api/v1/params")["state"] == "lab_made"
    });
    let begun = Instant::now();
    lab.pledge(sectors);
    lab.wait_for(PATIENCE, "all finished", |lab| {
        sleep(ASKED_EVERY);
        let status = lab.get("/api/v1/status");
        assert_eq!(status["counts"]["needs_you"], 0, "{status}");
        status["finished"] == sectors
    });
    begun.elapsed().as_secs_f64()
}

fn in_a_bare_loop(size: SectorSize, sectors: u64) -> f64 {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let mut command = Command::new(std::env::current_exe().expect("this program"));
    command
        .args([BARE, size.name(), &sectors.to_string()])
        .current_dir(dir.path())
        .stderr(Stdio::inherit());
    // As the box sets them.
    let variables = settings::prepare(&lab::parameters(), &dir.path().join("parents"), |_| false);
    command.envs(variables.iter().map(|variable| (variable.key, &variable.value)));
    let output = command.output().expect("the bare loop runs");
    assert!(output.status.success(), "the bare loop failed");
    lab::text(&output.stdout).trim().parse().expect("seconds")
}

/// One sector after the other, in the working directory; the seconds on standard output.
fn bare(size: SectorSize, sectors: u64) {
    let kind = SealKind::new(size, Porep::Interactive);
    let engine = FilecoinEngine::new(kind, Hooks::default());
    engine.await_parameters(kind).expect("parameters");
    let scratch = Scratch::new(std::env::current_dir().expect("a directory"));
    for parent in scratch.parents() {
        fs::create_dir(parent).expect("a directory");
    }
    let begun = Instant::now();
    (0..sectors).for_each(|number| seal(&engine, &scratch, size, number));
    println!("{:.3}", begun.elapsed().as_secs_f64());
}

/// Every call of the engine that the box makes for a sector.
fn seal(engine: &FilecoinEngine, scratch: &Scratch, size: SectorSize, number: u64) {
    let id = SectorId { miner: ActorId(1000), number: SectorNumber(number) };
    let (cache, replica) = (scratch.cache_dir(id), scratch.replica(id));
    fs::create_dir(&cache).expect("a directory");
    let stored = StoredCopy { id, size, cache: cache.clone(), replica: replica.clone() };
    let data = Data::CommittedCapacity;
    let (shared, stop) = (scratch.shared_dir(), Stop::default());
    let porep = Porep::Interactive;
    let job = Job { id, size, porep, data, cache, replica, shared, stop };
    let ticket = Ticket { epoch: Epoch(1), value: Bytes32([5; 32]) };
    engine.label(&job, &ticket, &|_| {}).expect("P1");
    let commitments = engine.replicate(&job, &ticket).expect("P2");
    let seed = Seed { epoch: Epoch(2), value: Bytes32([9; 32]) };
    let statement = SealStatement { id, size, porep, ticket, seed: Some(seed), commitments };
    engine.prove_vanilla(&job, &statement).expect("P3");
    let proof = engine.prove_snark(&job, &statement, &|_| {}).expect("P4");
    engine.prove_stored(&stored, &commitments.comm_r).expect("a PoSt proof");
    assert!(engine.verify_seal(&statement, &proof).expect("a verdict"), "the proof verifies");
}
