//! P1's layers at 8 MiB, where they take seconds: a process killed among them, and what recording
//! them costs. Run by name.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use filecoin_proofs_api::seal::seal_pre_commit_phase1;

use super::outputs::Binding;
use super::real_layers::{stamp, wait_until};
use super::real_sector::{job_in, ticket};
use super::{Hooks, label, layers, library, registered, replicate};
use crate::domain::sector::Ticket;
use crate::domain::units::SectorSize;
use crate::engine::{Job, files};

/// Where the other process labels.
const CHILD: &str = "SEALBOX_TEST_LABELS_IN";

fn at_8_mib(dir: &Path) -> (Job, Ticket) {
    (job_in(dir, 119, SectorSize::MiB8), ticket(1))
}

#[test]
#[ignore = "the other half of the next test: does nothing by itself"]
fn a_process_that_labels() {
    if let Some(dir) = std::env::var_os(CHILD) {
        let (job, ticket) = at_8_mib(Path::new(&dir));
        label::label(&job, &ticket, &Hooks::default(), &|_| {}).unwrap();
    }
}

#[test]
#[ignore = "8 MiB: half a minute, once a minute more for the parents cache"]
fn a_process_killed_in_layer_2_costs_one_layer() {
    let dir = tempfile::tempdir().unwrap();
    let (job, ticket) = at_8_mib(dir.path());
    let binding = Binding::of(&job, &ticket);
    let module = module_path!().split_once("::").map_or("", |(_, path)| path);
    let child = format!("{module}::a_process_that_labels");
    let mut labelling = Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", &child])
        .env(CHILD, dir.path())
        .spawn()
        .unwrap();
    let recorded = || layers::recorded(&job, &binding).layers.contains_key(&1);
    wait_until("layer 1 is on record", Duration::from_secs(600), recorded);
    labelling.kill().unwrap();
    labelling.wait().unwrap();
    assert!(!layers::path(&job, 2).exists(), "the kill came too late");

    let first = stamp(&layers::path(&job, 1));
    label::label(&job, &ticket, &Hooks::default(), &|_| {}).unwrap();
    assert_eq!(stamp(&layers::path(&job, 1)), first);
    let other = tempfile::tempdir().unwrap();
    let (undisturbed, _) = at_8_mib(other.path());
    label::label(&undisturbed, &ticket, &Hooks::default(), &|_| {}).unwrap();
    let [resumed, undisturbed] =
        [job, undisturbed].map(|job| replicate::replicate(&job, &ticket).unwrap());
    assert_eq!(resumed, undisturbed);
}

/// What P1 was before its layers were recorded: the library's call, then a sync of what it made.
fn label_without_records(job: &Job, ticket: &Ticket) {
    fs::File::create(&job.replica).unwrap();
    seal_pre_commit_phase1(
        registered::seal_proof(job.kind()),
        &job.cache,
        Path::new("/dev/zero"),
        &job.replica,
        job.id.miner.prover_id(),
        library::sector_id(job.id),
        ticket.value.0,
        &library::pieces(job.data, job.size),
    )
    .unwrap();
    label::sync(job, &label::labelled_files(job)).unwrap();
}

/// What this process has used, in hundredths of a second: `utime` and `stime` of proc_pid_stat(5).
fn cpu_ticks() -> f64 {
    let stat = fs::read_to_string("/proc/self/stat").unwrap();
    let (_, after_name) = stat.rsplit_once(')').unwrap();
    let fields: Vec<_> = after_name.split_whitespace().collect();
    [11, 12].map(|field: usize| fields[field].parse::<f64>().unwrap()).iter().sum()
}

#[test]
#[ignore = "a measurement: 8 MiB, about a minute"]
fn what_recording_the_layers_costs() {
    let labelled = |recorded: bool| {
        let dir = tempfile::tempdir().unwrap();
        let (job, ticket) = at_8_mib(dir.path());
        let (begun, cpu) = (Instant::now(), cpu_ticks());
        if recorded {
            label::label(&job, &ticket, &Hooks::default(), &|_| {}).unwrap();
        } else {
            label_without_records(&job, &ticket);
        }
        [begun.elapsed().as_secs_f64(), (cpu_ticks() - cpu) / 100.0]
    };
    // The parents cache is made, and read, before anything is measured.
    labelled(false);
    let mut ratios = [const { Vec::new() }; 2];
    for round in 1..=10 {
        let first = labelled(round % 2 == 0);
        let second = labelled(round % 2 == 1);
        let (without, with) = if round % 2 == 0 { (second, first) } else { (first, second) };
        println!("{round}: without {without:.2?}, with {with:.2?} (seconds, seconds of CPU)");
        for n in [0, 1] {
            ratios[n].push(with[n] / without[n]);
        }
    }
    for (what, ratios) in ["time", "CPU"].into_iter().zip(&mut ratios) {
        ratios.sort_by(f64::total_cmp);
        println!("{what}: median ratio {:.3}", f64::midpoint(ratios[4], ratios[5]));
    }
    let bytes = vec![7; 1 << 28];
    let begun = Instant::now();
    files::digest(&mut bytes.as_slice(), &mut |_| {}).unwrap();
    println!("digest: {:.2} GB/s", bytes.len() as f64 / begun.elapsed().as_secs_f64() / 1e9);
}
