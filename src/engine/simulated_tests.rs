use std::fs;
use std::io::Read;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use super::*;
use crate::domain::failure::Class;
use crate::domain::ids::ActorId;
use crate::domain::layout::cache_files;
use crate::domain::progress::SnarkStep;
use crate::domain::sector::{Data, Seed};
use crate::domain::units::Epoch;

fn job(dir: &Path, number: u64, size: SectorSize) -> Job {
    Job {
        id: SectorId { miner: ActorId(1000), number: SectorNumber(number) },
        size,
        porep: Porep::Interactive,
        data: Data::CommittedCapacity,
        cache: dir.to_path_buf(),
        shared: dir.join("shared"),
        replica: dir.join("sealed"),
        stop: Stop::default(),
    }
}

fn ticket() -> Ticket {
    Ticket { epoch: Epoch(1), value: Bytes32([1; 32]) }
}

fn statement(job: &Job, commitments: Commitments) -> SealStatement {
    let seed = Seed { epoch: Epoch(9), value: Bytes32([2; 32]) };
    let (id, size, porep) = (job.id, job.size, job.porep);
    SealStatement { id, size, porep, ticket: ticket(), seed: Some(seed), commitments }
}

fn failing(rule: SimulatedFailure) -> SimulatedEngine {
    SimulatedEngine::new(SimulatedConfig { failures: vec![rule], ..Default::default() })
}

fn in_p1(times: u32, panic: bool) -> SimulatedFailure {
    SimulatedFailure { sector: None, phase: Phase::P1, class: Class::Operator, times, panic }
}

#[test]
fn a_simulated_sector_goes_all_the_way_and_marks_every_file() {
    let engine = SimulatedEngine::new(SimulatedConfig::default());
    for size in SectorSize::ALL {
        let dir = tempfile::tempdir().unwrap();
        let job = job(dir.path(), 5, size);
        engine.label(&job, &ticket(), &|_| {}).unwrap();
        let commitments = engine.replicate(&job, &ticket()).unwrap();
        assert_eq!(engine.replicate(&job, &ticket()).unwrap(), commitments);
        let statement = statement(&job, commitments);
        engine.prove_vanilla(&job, &statement).unwrap();
        let proof = engine.prove_snark(&job, &statement, &|_| {}).unwrap();
        assert!(proof.0.starts_with(MARK) && !proof.0.len().is_multiple_of(192));
        assert!(engine.verify_seal(&statement, &proof).unwrap());
        let (cache, replica) = (job.cache.clone(), job.replica.clone());
        let copy = StoredCopy { id: job.id, size, cache, replica };
        engine.prove_stored(&copy, &commitments.comm_r).unwrap();
        for entry in fs::read_dir(dir.path()).unwrap() {
            let bytes = fs::read(entry.unwrap().path()).unwrap();
            assert!(bytes.starts_with(MARK));
            assert!((1_000..=1_200).contains(&bytes.len()), "{}", bytes.len());
        }
    }
}

#[test]
fn with_real_sizes_every_file_of_the_layout_is_there_as_long_as_a_real_one_and_takes_no_room() {
    use std::os::unix::fs::MetadataExt;
    let sizes = SimulatedSizes::Real;
    let engine = SimulatedEngine::new(SimulatedConfig { sizes, ..Default::default() });
    for size in SectorSize::ALL {
        let dir = tempfile::tempdir().unwrap();
        let job = job(dir.path(), 5, size);
        engine.label(&job, &ticket(), &|_| {}).unwrap();
        let commitments = engine.replicate(&job, &ticket()).unwrap();
        let mut made: Vec<String> = fs::read_dir(dir.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|name| name != "sealed")
            .collect();
        let mut expected: Vec<String> =
            cache_files(job.kind()).into_iter().map(|file| file.name(size)).collect();
        made.sort();
        expected.sort();
        assert_eq!(made, expected, "{size}");
        for file in cache_files(job.kind()) {
            let found = fs::metadata(job.cache.join(file.name(size))).unwrap();
            assert!(file.bytes(size).is_none_or(|bytes| bytes == found.len()), "{size} {file:?}");
            assert!(found.blocks() * 512 <= 64 << 10, "{size} {file:?}: {}", found.blocks());
            let mut mark = [0; MARK.len()];
            fs::File::open(job.cache.join(file.name(size))).unwrap().read_exact(&mut mark).unwrap();
            assert_eq!(mark, MARK, "{size} {file:?}");
        }
        assert_eq!(fs::metadata(&job.replica).unwrap().len(), size.bytes());
        let (cache, replica) = (job.cache.clone(), job.replica.clone());
        let copy = StoredCopy { id: job.id, size, cache, replica };
        engine.prove_stored(&copy, &commitments.comm_r).unwrap();
        let p_aux = job.cache.join("p_aux");
        fs::write(&p_aux, [MARK, &[0; 55]].concat()).unwrap();
        let failure = engine.prove_stored(&copy, &commitments.comm_r).unwrap_err();
        assert_eq!(failure.file, Some(p_aux), "{size}");
    }
}

#[test]
fn a_file_system_without_files_of_that_size_is_said_to_be_so() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("layer");
    let id = job(dir.path(), 5, SectorSize::KiB2).id;
    // More than any has.
    let too_long = Marked::new(id, "layer", &Bytes32([1; 32]), Some(u64::MAX));
    let failure = too_long.write(&path).unwrap_err();
    assert_eq!((failure.class, &failure.file), (Class::Operator, &Some(path)));
    assert!(failure.what.contains("takes no file of 18446744073709551615 bytes"), "{failure:?}");
    assert!(failure.mend.contains("ext4"), "{}", failure.mend);
}

#[test]
fn every_kind_of_porep_is_played_and_none_gives_what_another_gives() {
    let engine = SimulatedEngine::new(SimulatedConfig::default());
    let mut replicas = BTreeMap::new();
    for porep in Porep::ALL {
        let dir = tempfile::tempdir().unwrap();
        let job = Job { porep, ..job(dir.path(), 5, SectorSize::KiB2) };
        engine.label(&job, &ticket(), &|_| {}).unwrap();
        let commitments = engine.replicate(&job, &ticket()).unwrap();
        for file in crate::domain::layout::dropped_with_p2(job.kind()) {
            fs::remove_file(job.cache.join(file.name(job.size))).unwrap();
            assert_eq!(engine.replicate(&job, &ticket()).unwrap(), commitments, "{porep}");
        }
        let seed = statement(&job, commitments).seed;
        let seed = seed.filter(|_| porep != Porep::NonInteractive);
        let statement = SealStatement { seed, ..statement(&job, commitments) };
        engine.prove_vanilla(&job, &statement).unwrap();
        let proof = engine.prove_snark(&job, &statement, &|_| {}).unwrap();
        assert!(engine.verify_seal(&statement, &proof).unwrap());
        replicas.insert(commitments.comm_r.0.to_string(), porep);
    }
    assert_eq!(replicas.len(), 3);
}

#[test]
fn p3_finds_a_layer_that_is_missing_unless_answers_stand_for_it() {
    let engine = SimulatedEngine::new(SimulatedConfig::default());
    let dir = tempfile::tempdir().unwrap();
    let job = job(dir.path(), 5, SectorSize::KiB2);
    engine.label(&job, &ticket(), &|_| {}).unwrap();
    let commitments = engine.replicate(&job, &ticket()).unwrap();
    let layer = job.cache.join("sc-02-data-layer-2.dat");
    fs::remove_file(&layer).unwrap();
    let failure = engine.prove_vanilla(&job, &statement(&job, commitments)).unwrap_err();
    assert_eq!(failure.file, Some(layer));
}

#[test]
fn p1_tells_of_as_many_layers_as_the_size_has() {
    let engine = SimulatedEngine::new(SimulatedConfig::default());
    let dir = tempfile::tempdir().unwrap();
    let told = Mutex::new(Vec::new());
    let tell = |progress| told.lock().unwrap().push(progress);
    engine.label(&job(dir.path(), 5, SectorSize::GiB32), &ticket(), &tell).unwrap();
    let layers: Vec<_> = (0..=11).map(|done| Progress::Layers { done, of: 11 }).collect();
    assert_eq!(told.into_inner().unwrap(), layers);
}

#[test]
fn p4_tells_of_every_step_of_its_snarks() {
    let engine = SimulatedEngine::new(SimulatedConfig::default());
    let dir = tempfile::tempdir().unwrap();
    let porep = Porep::NonInteractive;
    let job = Job { porep, ..job(dir.path(), 5, SectorSize::GiB32) };
    engine.label(&job, &ticket(), &|_| {}).unwrap();
    let statement = statement(&job, engine.replicate(&job, &ticket()).unwrap());
    engine.prove_vanilla(&job, &statement).unwrap();
    let told = Mutex::new(Vec::new());
    let tell = |progress| match progress {
        Progress::Snarks(now) => told.lock().unwrap().push((now.step, now.made)),
        other => panic!("{other:?}"),
    };
    engine.prove_snark(&job, &statement, &tell).unwrap();
    let told = told.into_inner().unwrap();
    assert_eq!(told.len(), 1 + 13 * 4 + 2);
    assert_eq!(told[0], (SnarkStep::Parameters, 0));
    assert_eq!(told.last(), Some(&(SnarkStep::Checked, 126)));
}

#[test]
fn a_proof_of_another_statement_and_a_damaged_copy_are_refused() {
    let engine = SimulatedEngine::new(SimulatedConfig::default());
    let dir = tempfile::tempdir().unwrap();
    let job = job(dir.path(), 5, SectorSize::KiB2);
    engine.label(&job, &ticket(), &|_| {}).unwrap();
    let commitments = engine.replicate(&job, &ticket()).unwrap();
    let good = statement(&job, commitments);
    let mut other = good.clone();
    other.seed = Some(Seed { epoch: Epoch(20), value: Bytes32([3; 32]) });
    assert!(!engine.verify_seal(&other, &proof_of(&good)).unwrap());

    let copy = StoredCopy {
        id: job.id,
        size: job.size,
        cache: job.cache.clone(),
        replica: job.replica.clone(),
    };
    assert!(engine.prove_stored(&copy, &CommR(Bytes32([0; 32]))).is_err());
    fs::write(job.cache.join("p_aux"), "x").unwrap();
    let failure = engine.prove_stored(&copy, &commitments.comm_r).unwrap_err();
    assert_eq!(failure.file, Some(job.cache.join("p_aux")));
}

#[test]
fn a_phase_without_what_the_one_before_left_fails_and_names_it() {
    let engine = SimulatedEngine::new(SimulatedConfig::default());
    let dir = tempfile::tempdir().unwrap();
    let job = job(dir.path(), 5, SectorSize::KiB2);
    let failure = engine.replicate(&job, &ticket()).unwrap_err();
    assert_eq!(failure.class, Class::Sector);
    assert_eq!(failure.file, Some(job.cache.join("sc-02-data-layer-1.dat")));
}

#[test]
fn failures_are_counted_for_each_rule_and_sector_by_itself() {
    let rules = vec![in_p1(2, false), SimulatedFailure { class: Class::Sector, ..in_p1(1, false) }];
    let engine = SimulatedEngine::new(SimulatedConfig { failures: rules, ..Default::default() });
    let dir = tempfile::tempdir().unwrap();
    for number in [1, 2] {
        let job = job(dir.path(), number, SectorSize::KiB2);
        let classes: Vec<_> = (0..4)
            .map(|_| engine.label(&job, &ticket(), &|_| {}).err().map(|failure| failure.class))
            .collect();
        let operator = Some(Class::Operator);
        assert_eq!(classes, [operator, operator, Some(Class::Sector), None]);
    }
}

#[test]
fn a_rule_for_one_sector_leaves_the_others_alone() {
    let rule = SimulatedFailure { sector: Some(SectorNumber(7)), ..in_p1(1, false) };
    let engine = failing(rule);
    let dir = tempfile::tempdir().unwrap();
    engine.label(&job(dir.path(), 6, SectorSize::KiB2), &ticket(), &|_| {}).unwrap();
    assert!(engine.label(&job(dir.path(), 7, SectorSize::KiB2), &ticket(), &|_| {}).is_err());
}

#[test]
fn a_rule_strikes_as_often_where_each_attempt_is_played_by_itself() {
    let engine = failing(in_p1(2, false));
    let dir = tempfile::tempdir().unwrap();
    let job = job(dir.path(), 1, SectorSize::KiB2);
    let failed: Vec<_> = (0..3)
        .map(|_| {
            let player = SimulatedEngine::playing(engine.part(Phase::P1, job.id));
            player.label(&job, &ticket(), &|_| {}).is_err()
        })
        .collect();
    assert_eq!(failed, [true, true, false]);
}

#[test]
fn a_panic_happens_as_often_as_asked_and_spoils_nothing_after_it() {
    let engine = failing(in_p1(1, true));
    let dir = tempfile::tempdir().unwrap();
    let job = job(dir.path(), 1, SectorSize::KiB2);
    let panicked = catch_unwind(AssertUnwindSafe(|| engine.label(&job, &ticket(), &|_| {})));
    assert!(panicked.is_err());
    engine.label(&job, &ticket(), &|_| {}).unwrap();
}
