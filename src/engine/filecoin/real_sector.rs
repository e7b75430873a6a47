//! Real 2 KiB sectors through the engine's phases, and what must not be got past them.
//! Milliseconds each; the one with a SNARK needs the parameters and minutes.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use super::{FilecoinEngine, Hooks, label, outputs, prove, replicate, stored};
use crate::domain::failure::Class;
use crate::domain::ids::{ActorId, Bytes32, CommR, SealProof, SectorId, SectorNumber};
use crate::domain::layout::CacheFile;
use crate::domain::porep::Porep;
use crate::domain::progress::{Progress, Snarks};
use crate::domain::sector::{Commitments, Data, Seed, Ticket};
use crate::domain::units::{Epoch, SectorSize};
use crate::engine::{Engine, Job, SealStatement, StoredCopy};
use crate::stop::Stop;

pub struct Bench {
    pub _dir: tempfile::TempDir,
    pub job: Job,
    pub ticket: Ticket,
}

pub fn bench(number: u64) -> Bench {
    bench_of(Porep::Interactive, number)
}

pub fn bench_of(porep: Porep, number: u64) -> Bench {
    let dir = tempfile::tempdir().unwrap();
    let job = Job { porep, ..job_in(dir.path(), number, SectorSize::KiB2) };
    Bench { _dir: dir, job, ticket: ticket(1) }
}

/// A sector whose files lie in this directory.
pub fn job_in(dir: &Path, number: u64, size: SectorSize) -> Job {
    let cache = dir.join("cache");
    fs::create_dir_all(&cache).unwrap();
    Job {
        id: SectorId { miner: ActorId(1000), number: SectorNumber(number) },
        size,
        porep: Porep::Interactive,
        data: Data::CommittedCapacity,
        cache,
        shared: dir.join("shared"),
        replica: dir.join("sealed"),
        stop: Stop::default(),
    }
}

pub fn ticket(byte: u8) -> Ticket {
    Ticket { epoch: Epoch(7), value: Bytes32([byte; 32]) }
}

pub fn seed(byte: u8) -> Seed {
    Seed { epoch: Epoch(20), value: Bytes32([byte; 32]) }
}

impl Bench {
    pub fn label(&self) {
        label::label(&self.job, &self.ticket, &Hooks::default(), &|_| {}).unwrap();
    }

    pub fn replicate(&self) -> Commitments {
        replicate::replicate(&self.job, &self.ticket).unwrap()
    }

    pub fn statement(&self, commitments: Commitments) -> SealStatement {
        SealStatement {
            id: self.job.id,
            size: self.job.size,
            porep: self.job.porep,
            ticket: self.ticket,
            seed: match self.job.porep {
                Porep::Interactive | Porep::Synthetic => Some(seed(9)),
                Porep::NonInteractive => None,
            },
            commitments,
        }
    }

    /// P4, which must tell of each of its steps in turn.
    pub fn snark_by_all_steps(
        &self,
        engine: &FilecoinEngine,
        statement: &SealStatement,
    ) -> SealProof {
        crate::logs::overhear_libraries();
        let told = Mutex::new(Vec::new());
        let tell = |progress| told.lock().unwrap().push(progress);
        let proof = engine.prove_snark(&self.job, statement, &tell).unwrap();
        let mut now = Snarks::of(statement.kind());
        let mut expected = vec![Progress::Snarks(now)];
        for event in now.events() {
            now = now.after(event);
            expected.push(Progress::Snarks(now));
        }
        assert_eq!(told.into_inner().unwrap(), expected);
        proof
    }

    pub fn cached(&self, name: &str) -> PathBuf {
        self.job.cache.join(name)
    }

    pub fn layer(&self, layer: usize) -> PathBuf {
        self.cached(&CacheFile::layers(self.job.size)[layer].name(self.job.size))
    }

    /// What P5 takes: `p_aux`, tree-r-last and the replica, in another place.
    pub fn stored_copy(&self) -> (tempfile::TempDir, StoredCopy) {
        let dir = tempfile::tempdir().unwrap();
        let copy = StoredCopy {
            id: self.job.id,
            size: self.job.size,
            cache: dir.path().to_path_buf(),
            replica: dir.path().join("sealed"),
        };
        fs::copy(&self.job.replica, &copy.replica).unwrap();
        let mut stored = CacheFile::trees_r_last(copy.size);
        stored.push(CacheFile::PAux);
        let names: Vec<_> = stored.into_iter().map(|file| file.name(copy.size)).collect();
        for name in names {
            fs::copy(self.cached(&name), copy.cache.join(&name)).unwrap();
        }
        (dir, copy)
    }
}

/// Other bytes of the same size, each 32 of them an element of the field.
pub fn spoil(path: &Path) {
    let bytes = fs::read(path).unwrap();
    fs::write(path, vec![1; bytes.len()]).unwrap();
}

pub fn truncate(path: &Path) {
    let bytes = fs::read(path).unwrap();
    fs::write(path, &bytes[..bytes.len() / 2]).unwrap();
}

#[test]
fn labelling_again_does_nothing_once_it_is_done() {
    let bench = bench(1);
    bench.label();
    // An attempt that had begun would have made it again.
    fs::remove_file(&bench.job.replica).unwrap();
    bench.label();
    assert!(!bench.job.replica.exists());
    bench.replicate();
}

#[test]
fn an_interrupted_labelling_ends_with_the_same_layers() {
    let bench = bench(2);
    bench.label();
    let layers = [0, 1].map(|layer| fs::read(bench.layer(layer)).unwrap());
    fs::remove_file(bench.cached(outputs::P1)).unwrap();
    truncate(&bench.layer(1));
    truncate(&bench.cached(&CacheFile::TreeD.name(bench.job.size)));
    let unfinished = bench.cached("sc-02-data-layer-2..tmp");
    fs::write(&unfinished, "torn").unwrap();
    bench.label();
    assert_eq!([0, 1].map(|layer| fs::read(bench.layer(layer)).unwrap()), layers);
    assert!(!unfinished.exists());
    bench.replicate();
}

#[test]
fn layers_of_another_ticket_are_not_taken_over() {
    let mut bench = bench(3);
    bench.label();
    let before = fs::read(bench.layer(0)).unwrap();
    bench.ticket = ticket(2);
    bench.label();
    assert_ne!(fs::read(bench.layer(0)).unwrap(), before);
    bench.replicate();
}

#[test]
fn unsynced_layers_of_another_boot_are_not_taken_over() {
    let bench = bench(4);
    bench.label();
    let good = fs::read(bench.layer(0)).unwrap();
    fs::remove_file(bench.cached(outputs::P1)).unwrap();
    spoil(&bench.layer(0));
    let note = bench.cached(outputs::LABELLING);
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
    let text = fs::read_to_string(&note).unwrap();
    assert!(text.contains(boot.trim()));
    fs::write(&note, text.replace(boot.trim(), "another boot")).unwrap();
    bench.label();
    assert_eq!(fs::read(bench.layer(0)).unwrap(), good);
}

#[test]
fn an_interrupted_p2_changes_nothing_of_the_next() {
    let bench = bench(5);
    bench.label();
    let first = bench.replicate();
    // Encoded once already, half overwritten, trees torn, aux files of the attempt before.
    truncate(&bench.job.replica);
    truncate(&bench.cached("sc-02-data-tree-c.dat"));
    spoil(&bench.cached("sc-02-data-tree-r-last.dat"));
    assert_eq!(bench.replicate(), first);
    assert_eq!(bench.replicate(), first);
}

#[test]
fn a_spoilt_layer_is_found_in_p2_and_made_again_by_p1() {
    let bench = bench(6);
    bench.label();
    let good = bench.replicate();
    spoil(&bench.layer(1));
    let failure = replicate::replicate(&bench.job, &bench.ticket).unwrap_err();
    assert_eq!(failure.class, Class::Sector, "{failure:?}");
    assert!(!bench.cached(outputs::P2).exists());
    bench.label();
    assert_eq!(bench.replicate(), good);
    assert!(!outputs::is_suspect(&bench.job.cache));
}

#[test]
fn p2_without_its_layers_names_the_file() {
    let bench = bench(7);
    let failure = replicate::replicate(&bench.job, &bench.ticket).unwrap_err();
    assert_eq!(failure.file, Some(bench.cached(outputs::P1)));
    bench.label();
    truncate(&bench.layer(0));
    let failure = replicate::replicate(&bench.job, &bench.ticket).unwrap_err();
    assert_eq!((failure.class, failure.file), (Class::Sector, Some(bench.layer(0))));
}

#[test]
fn p3_refuses_a_spoilt_replica_and_other_commitments() {
    let bench = bench(8);
    bench.label();
    let commitments = bench.replicate();
    let mut other = bench.statement(commitments);
    other.commitments.comm_r = CommR(Bytes32([3; 32]));
    assert_eq!(prove::prove_vanilla(&bench.job, &other).unwrap_err().class, Class::Sector);
    prove::prove_vanilla(&bench.job, &bench.statement(commitments)).unwrap();
    spoil(&bench.job.replica);
    let statement = bench.statement(commitments);
    assert_eq!(prove::prove_vanilla(&bench.job, &statement).unwrap_err().class, Class::Sector);
    assert!(outputs::is_suspect(&bench.job.cache));
}

#[test]
fn a_stored_copy_proves_wherever_it_lies() {
    let bench = bench(9);
    bench.label();
    let commitments = bench.replicate();
    let (_dir, copy) = bench.stored_copy();
    stored::prove(&copy, &commitments.comm_r).unwrap();
}

#[test]
fn a_damaged_stored_copy_is_refused() {
    let bench = bench(10);
    bench.label();
    let comm_r = bench.replicate().comm_r;
    type Damage = (&'static str, fn(&StoredCopy));
    let damages: [Damage; 6] = [
        ("p_aux, one bit of comm_c", |copy| {
            let file = copy.cache.join("p_aux");
            let mut bytes = fs::read(&file).unwrap();
            bytes[3] ^= 1;
            fs::write(file, bytes).unwrap();
        }),
        ("no p_aux", |copy| fs::remove_file(copy.cache.join("p_aux")).unwrap()),
        ("truncated replica", |copy| truncate(&copy.replica)),
        ("another replica", |copy| spoil(&copy.replica)),
        ("no replica", |copy| fs::remove_file(&copy.replica).unwrap()),
        ("no tree", |copy| {
            fs::remove_file(copy.cache.join("sc-02-data-tree-r-last.dat")).unwrap();
        }),
    ];
    for (damage, inflict) in damages {
        let (_dir, copy) = bench.stored_copy();
        inflict(&copy);
        assert!(stored::prove(&copy, &comm_r).is_err(), "{damage}");
    }
    let (_dir, copy) = bench.stored_copy();
    assert!(stored::prove(&copy, &CommR(Bytes32([3; 32]))).is_err(), "another comm_r");
}

#[test]
#[ignore = "needs the 2 KiB parameters (made in 10 minutes if they are not there) and a minute"]
fn a_sector_ends_with_a_seal_proof_that_verifies() {
    let engine = FilecoinEngine::new(bench(11).job.kind(), Hooks::default());
    let bench = bench(11);
    engine.label(&bench.job, &bench.ticket, &|_| {}).unwrap();
    let commitments = engine.replicate(&bench.job, &bench.ticket).unwrap();
    let statement = bench.statement(commitments);
    engine.prove_vanilla(&bench.job, &statement).unwrap();
    // A lost output of P3 costs seconds, not the sector.
    fs::write(bench.cached(outputs::C1), "{").unwrap();
    let proof = bench.snark_by_all_steps(&engine, &statement);
    assert_eq!(proof.0.len(), 192);
    assert!(engine.verify_seal(&statement, &proof).unwrap());

    let mut other_seed = statement.clone();
    other_seed.seed = Some(seed(8));
    assert!(!engine.verify_seal(&other_seed, &proof).unwrap());
    assert!(!engine.verify_seal(&statement, &SealProof(vec![0; 192])).unwrap());
    assert!(!engine.verify_seal(&statement, &SealProof(vec![])).unwrap());

    // The proof was kept: asked again, P4 has it without proving.
    fs::remove_file(bench.cached(outputs::C1)).unwrap();
    fs::remove_file(bench.cached(outputs::P2)).unwrap();
    let untold = |progress| panic!("nothing is made: {progress:?}");
    assert_eq!(engine.prove_snark(&bench.job, &statement, &untold).unwrap(), proof);
    assert!(engine.prove_snark(&bench.job, &other_seed, &untold).is_err());

    let (_dir, copy) = bench.stored_copy();
    engine.prove_stored(&copy, &commitments.comm_r).unwrap();
}
