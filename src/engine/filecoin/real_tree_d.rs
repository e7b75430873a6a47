//! Real sectors that share one tree-d. No SNARK is made.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use filecoin_proofs_api::seal::{SealPreCommitPhase1Output, seal_pre_commit_phase1};
use serde_json::Value;

use super::real_sector::{Bench, job_in, ticket};
use super::{Hooks, label, library, outputs, prove, registered, replicate, tree_d};
use crate::domain::layout::{self, CacheFile};
use crate::domain::units::SectorSize;
use crate::engine::Job;

const SIZE: SectorSize = SectorSize::KiB2;

/// Sectors that have one scratch.
struct Yard {
    dir: tempfile::TempDir,
}

impl Yard {
    fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap() }
    }

    fn job(&self, number: u64, size: SectorSize) -> Job {
        let job = job_in(&self.dir.path().join(number.to_string()), number, size);
        Job { shared: self.dir.path().join("shared"), ..job }
    }

    fn labelled(&self, number: u64) -> Job {
        let job = self.job(number, SIZE);
        label::label(&job, &ticket(1), &Hooks::default(), &|_| {}).unwrap();
        job
    }

    fn kept(&self) -> PathBuf {
        self.dir.path().join("shared").join(layout::shared_tree_d(SIZE))
    }
}

fn own(job: &Job) -> PathBuf {
    job.cache.join(CacheFile::TreeD.name(job.size))
}

/// What is in a file, short enough to be shown.
fn content(file: &Path) -> blake3::Hash {
    blake3::hash(&fs::read(file).unwrap())
}

fn names(file: &Path) -> u64 {
    fs::metadata(file).unwrap().nlink()
}

fn spoil_all_but_the_root(file: &Path) {
    let mut bytes = fs::read(file).unwrap();
    let below = bytes.len() - 32;
    bytes[..below].fill(1);
    fs::write(file, bytes).unwrap();
}

fn flip(file: &Path) {
    let mut bytes = fs::read(file).unwrap();
    bytes[100] ^= 1;
    fs::write(file, bytes).unwrap();
}

#[test]
fn the_second_sector_links_the_firsts_tree_and_gets_the_replica_it_would_have_got() {
    let yard = Yard::new();
    let first = yard.labelled(1);
    assert_eq!(names(&own(&first)), 2, "the first sector's is kept");
    let second = yard.labelled(2);
    assert_eq!(names(&yard.kept()), 3);
    let elsewhere = Yard::new();
    let alone = elsewhere.labelled(2);
    assert_eq!(names(&own(&alone)), 2);
    let comm_r = |job: &Job| replicate::replicate(job, &ticket(1)).unwrap();
    let commitments = comm_r(&second);
    assert_eq!(commitments, comm_r(&alone));
    assert_ne!(commitments, comm_r(&first));
    let bench = Bench { _dir: yard.dir, job: second, ticket: ticket(1) };
    prove::prove_vanilla(&bench.job, &bench.statement(commitments)).unwrap();
}

#[test]
fn a_sector_that_goes_leaves_the_tree_to_the_others() {
    let yard = Yard::new();
    let first = yard.labelled(1);
    let second = yard.labelled(2);
    fs::remove_dir_all(&first.cache).unwrap();
    replicate::replicate(&second, &ticket(1)).unwrap();
    assert_eq!(names(&yard.kept()), 2);
}

#[test]
fn what_is_put_together_is_what_the_library_would_have_returned() {
    for size in [SectorSize::KiB2, SectorSize::MiB8] {
        let yard = Yard::new();
        let job = yard.job(5, size);
        fs::write(&job.replica, "").unwrap();
        let its_own = seal_pre_commit_phase1(
            registered::seal_proof(job.kind()),
            &job.cache,
            Path::new("/dev/zero"),
            &job.replica,
            job.id.miner.prover_id(),
            library::sector_id(job.id),
            ticket(1).value.0,
            &library::pieces(job.data, size),
        )
        .unwrap();
        let layers = |job: &Job| {
            let names = CacheFile::layers(size).into_iter().map(|layer| layer.name(size));
            names.map(|name| content(&job.cache.join(name))).collect()
        };
        let expected: Vec<_> = layers(&job);
        for layer in CacheFile::layers(size) {
            fs::remove_file(job.cache.join(layer.name(size))).unwrap();
        }
        let ours = tree_d::label_beside(&job, &ticket(1)).unwrap();
        let json = |output: &SealPreCommitPhase1Output| serde_json::to_value(output).unwrap();
        assert_eq!(json(&ours), json(&its_own), "{size}");
        let made: Vec<_> = layers(&job);
        assert_eq!(made, expected, "{size}");
    }
}

#[test]
fn a_kept_tree_of_the_wrong_length_or_root_is_dropped_and_made_again() {
    let yard = Yard::new();
    let first = yard.labelled(1);
    let bytes = fs::read(yard.kept()).unwrap();
    let whole = content(&yard.kept());
    let torn = bytes[..bytes.len() / 2].to_vec();
    let mut other_root = bytes;
    *other_root.last_mut().unwrap() ^= 1;
    fs::remove_dir_all(&first.cache).unwrap();
    for (number, bad) in [(2, torn), (3, other_root)] {
        fs::write(yard.kept(), bad).unwrap();
        let job = yard.labelled(number);
        assert_eq!(content(&own(&job)), whole);
        assert_eq!(content(&yard.kept()), whole);
        fs::remove_dir_all(&job.cache).unwrap();
    }
}

#[test]
fn after_a_start_of_the_machine_every_byte_of_the_kept_tree_is_compared() {
    let yard = Yard::new();
    yard.labelled(1);
    let whole = content(&yard.kept());
    let note = yard.kept().with_extension("json");
    let mut noted: Value = serde_json::from_slice(&fs::read(&note).unwrap()).unwrap();
    noted["boot"] = "another".into();
    fs::write(&note, noted.to_string()).unwrap();
    flip(&yard.kept());
    let second = yard.labelled(2);
    assert_eq!(content(&own(&second)), whole, "made anew");
    replicate::replicate(&second, &ticket(1)).unwrap();
}

#[test]
fn a_tree_that_a_later_phase_failed_with_is_compared_before_it_is_used_again() {
    let yard = Yard::new();
    yard.labelled(1);
    let whole = content(&yard.kept());
    // C1 takes samples: one flipped byte it may miss.
    spoil_all_but_the_root(&yard.kept());
    // The root is right and the machine the same: nobody looks closer.
    let second = yard.labelled(2);
    assert_ne!(content(&own(&second)), whole);
    let failure = replicate::replicate(&second, &ticket(1)).expect_err("C1 finds it");
    assert!(outputs::is_suspect(&second.cache), "{failure}");
    let second = yard.labelled(2);
    assert_eq!(content(&own(&second)), whole);
    replicate::replicate(&second, &ticket(1)).unwrap();
}

#[test]
fn where_links_cannot_be_made_every_sector_makes_its_own() {
    let yard = Yard::new();
    let Ok(elsewhere) = tempfile::tempdir_in("/dev/shm") else {
        return eprintln!("skipped: there is no other file system at /dev/shm");
    };
    for number in [1, 2] {
        let job = Job { shared: elsewhere.path().join("shared"), ..yard.job(number, SIZE) };
        label::label(&job, &ticket(1), &Hooks::default(), &|_| {}).unwrap();
        assert_eq!(names(&own(&job)), 1);
        replicate::replicate(&job, &ticket(1)).unwrap();
    }
}
