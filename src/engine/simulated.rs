//! An engine that proves nothing: for tests, for load, and to show what a large box looks like.
//!
//! It leaves files with the real names, so that copying and cleaning have work to do. Each begins
//! with `SIMULATED` and has a size that no real one has; commitments and proofs are BLAKE3 of
//! what they stand for, so that they can be checked, and match nothing real.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use super::files;
use super::{Engine, EngineKind, Job, ParametersState, SealStatement, StoredCopy};
use crate::config::{SimulatedConfig, SimulatedFailure};
use crate::domain::failure::{Class, Failure};
use crate::domain::ids::{Bytes32, CommD, CommR, SealProof, SectorId, SectorNumber};
use crate::domain::layout::CacheFile;
use crate::domain::phase::Phase;
use crate::domain::progress::{Progress, Tell};
use crate::domain::sector::{Commitments, Ticket};
use crate::domain::units::SectorSize;
use crate::durable;

/// What each simulated file and proof begins with.
pub const MARK: &[u8] = b"SIMULATED";
/// P3's output.
const VANILLA: &str = "sealbox-c1.json";

/// The simulation.
pub struct SimulatedEngine {
    config: SimulatedConfig,
    /// How often each rule (by its place in the list) has struck each sector.
    struck: Mutex<BTreeMap<(usize, SectorNumber), u32>>,
}

impl SimulatedEngine {
    pub fn new(config: SimulatedConfig) -> Self {
        Self { config, struck: Mutex::default() }
    }

    /// Takes the phase's time and then fails, or panics, if a rule says so.
    fn act(&self, phase: Phase, sector: SectorId) -> Result<(), Failure> {
        std::thread::sleep(self.config.durations[phase]);
        self.strike(phase, sector)
    }

    /// P1's time, spread over as many layers as a sector of this size has.
    fn act_by_layers(&self, job: &Job, tell: Tell<'_>) -> Result<(), Failure> {
        let of = job.size.layers();
        for done in 0..of {
            tell(Progress::Layers { done, of });
            std::thread::sleep(self.config.durations[Phase::P1] / of);
        }
        tell(Progress::Layers { done: of, of });
        self.strike(Phase::P1, job.id)
    }

    /// Fails, or panics, if a rule says so.
    fn strike(&self, phase: Phase, sector: SectorId) -> Result<(), Failure> {
        let Some(rule) = self.rule_that_strikes(phase, sector.number) else { return Ok(()) };
        assert!(!rule.panic, "simulated panic in {phase} of {sector}");
        Err(Failure::new(
            rule.class,
            format!("simulated {} failure in {phase}", rule.class),
            "retry: it is part of the simulation",
        )
        .detail(format!("{rule:?}")))
    }

    fn rule_that_strikes(&self, phase: Phase, sector: SectorNumber) -> Option<&SimulatedFailure> {
        // A count is written as a whole: a panic elsewhere cannot leave it half-done.
        let mut struck = self.struck.lock().unwrap_or_else(PoisonError::into_inner);
        for (index, rule) in self.config.failures.iter().enumerate() {
            if rule.phase != phase || rule.sector.is_some_and(|number| number != sector) {
                continue;
            }
            let count = struck.entry((index, sector)).or_default();
            if *count < rule.times {
                *count += 1;
                return Some(rule);
            }
        }
        None
    }
}

impl Engine for SimulatedEngine {
    fn kind(&self) -> EngineKind {
        EngineKind::Simulated
    }

    fn label(&self, job: &Job, ticket: &Ticket, tell: Tell<'_>) -> Result<(), Failure> {
        self.act_by_layers(job, tell)?;
        let mut made = CacheFile::layers(job.size);
        made.push(CacheFile::TreeD);
        made.into_iter().try_for_each(|file| write_cached(job, file, &ticket.value))?;
        files::sync_directory(&job.cache)
    }

    fn replicate(&self, job: &Job, ticket: &Ticket) -> Result<Commitments, Failure> {
        require(&job.cache, &CacheFile::layers(job.size), job.size, job.id)?;
        self.act(Phase::P2, job.id)?;
        let commitments = commitments_of(job, ticket);
        let comm_r = commitments.comm_r.0;
        let mut made = CacheFile::trees_c(job.size);
        made.extend(CacheFile::trees_r_last(job.size));
        made.extend([CacheFile::TAux, CacheFile::PAux]);
        made.into_iter().try_for_each(|file| write_cached(job, file, &comm_r))?;
        write_at(&job.replica, &contents(job.id, "replica", &comm_r))?;
        files::sync_directory(&job.cache)?;
        files::sync_directory(files::parent(&job.replica))?;
        Ok(commitments)
    }

    fn prove_vanilla(&self, job: &Job, statement: &SealStatement) -> Result<(), Failure> {
        check(&job.replica, job.id, "replica", &statement.commitments.comm_r.0)?;
        self.act(Phase::P3, job.id)?;
        write(&job.cache, VANILLA, job.id, &statement.seed.value)?;
        files::sync_directory(&job.cache)
    }

    fn prove_snark(&self, job: &Job, statement: &SealStatement) -> Result<SealProof, Failure> {
        check(&job.cache.join(VANILLA), job.id, VANILLA, &statement.seed.value)?;
        self.act(Phase::P4, job.id)?;
        Ok(proof_of(statement))
    }

    fn verify_seal(&self, statement: &SealStatement, proof: &SealProof) -> Result<bool, Failure> {
        Ok(*proof == proof_of(statement))
    }

    fn prove_stored(&self, copy: &StoredCopy, comm_r: &CommR) -> Result<(), Failure> {
        check(&copy.replica, copy.id, "replica", &comm_r.0)?;
        let p_aux = CacheFile::PAux.name(copy.size);
        check(&copy.cache.join(&p_aux), copy.id, &p_aux, &comm_r.0)?;
        require(&copy.cache, &CacheFile::trees_r_last(copy.size), copy.size, copy.id)
    }

    fn attend(&self, phase: Phase, sector: SectorId) -> Result<(), Failure> {
        self.act(phase, sector)
    }

    fn seal_proof_name(&self, size: SectorSize) -> &'static str {
        match size {
            SectorSize::KiB2 => "SIMULATED-2KiB",
            SectorSize::MiB8 => "SIMULATED-8MiB",
            SectorSize::MiB512 => "SIMULATED-512MiB",
            SectorSize::GiB32 => "SIMULATED-32GiB",
            SectorSize::GiB64 => "SIMULATED-64GiB",
        }
    }

    fn parameters(&self) -> ParametersState {
        ParametersState::NotNeeded
    }
}

/// What a file holds: who it stands for, and the value that it is checked by. 1,000 to 1,200
/// bytes: the size of no real file.
fn contents(id: SectorId, name: &str, value: &Bytes32) -> Vec<u8> {
    let mark = String::from_utf8_lossy(MARK);
    let line = format!("{mark}: not a real sector. {id} {name} {value}\n");
    line.repeat(1_000usize.div_ceil(line.len())).into_bytes()
}

fn write(cache: &Path, name: &str, id: SectorId, value: &Bytes32) -> Result<(), Failure> {
    write_at(&cache.join(name), &contents(id, name, value))
}

fn write_cached(job: &Job, file: CacheFile, value: &Bytes32) -> Result<(), Failure> {
    write(&job.cache, &file.name(job.size), job.id, value)
}

/// A phase that ended is built upon after a power cut too: what it made is synced, as the real
/// engine's is.
fn write_at(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    fs::write(path, bytes)
        .and_then(|()| durable::sync_file(path))
        .map_err(|error| Failure::io("writing a simulated file", path, &error))
}

fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    fs::read(path).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => spoilt(path),
        _ => Failure::io("reading a simulated file", path, &error),
    })
}

fn check(path: &Path, id: SectorId, name: &str, value: &Bytes32) -> Result<(), Failure> {
    if read(path)? == contents(id, name, value) { Ok(()) } else { Err(spoilt(path)) }
}

/// Whether files that some phase before left are there and this sector's.
fn require(
    cache: &Path,
    made: &[CacheFile],
    size: SectorSize,
    id: SectorId,
) -> Result<(), Failure> {
    for file in made {
        let name = file.name(size);
        let path = cache.join(&name);
        let bytes = read(&path)?;
        let text = String::from_utf8_lossy(&bytes);
        if !bytes.starts_with(MARK) || !text.contains(&format!(" {id} {name} ")) {
            return Err(spoilt(&path));
        }
    }
    Ok(())
}

fn spoilt(path: &Path) -> Failure {
    Failure::new(
        Class::Sector,
        "a simulated file is missing or is not what this phase needs",
        "redo the sector from P1",
    )
    .at(path)
}

fn commitments_of(job: &Job, ticket: &Ticket) -> Commitments {
    let value = |of: &str| {
        let mut hasher = blake3::Hasher::new_derive_key("sealbox simulated commitment");
        hasher.update(format!("{of} {} {} {}", job.id, job.size.name(), ticket.value).as_bytes());
        Bytes32(*hasher.finalize().as_bytes())
    };
    Commitments { comm_d: CommD(value("comm_d")), comm_r: CommR(value("comm_r")) }
}

/// 41 bytes, where a real proof has 192 a partition.
fn proof_of(statement: &SealStatement) -> SealProof {
    let SealStatement { id, size, ticket, seed, commitments } = statement;
    let Commitments { comm_d, comm_r } = commitments;
    let mut hasher = blake3::Hasher::new_derive_key("sealbox simulated proof");
    let (ticket, seed) = (ticket.value, seed.value);
    let size = size.name();
    hasher.update(format!("{id} {size} {ticket} {seed} {} {}", comm_d.0, comm_r.0).as_bytes());
    SealProof([MARK, hasher.finalize().as_bytes()].concat())
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use super::*;
    use crate::domain::ids::ActorId;
    use crate::domain::sector::{Data, Seed};
    use crate::domain::units::Epoch;

    fn job(dir: &Path, number: u64, size: SectorSize) -> Job {
        Job {
            id: SectorId { miner: ActorId(1000), number: SectorNumber(number) },
            size,
            data: Data::CommittedCapacity,
            cache: dir.to_path_buf(),
            replica: dir.join("sealed"),
        }
    }

    fn ticket() -> Ticket {
        Ticket { epoch: Epoch(1), value: Bytes32([1; 32]) }
    }

    fn statement(job: &Job, commitments: Commitments) -> SealStatement {
        let seed = Seed { epoch: Epoch(9), value: Bytes32([2; 32]) };
        SealStatement { id: job.id, size: job.size, ticket: ticket(), seed, commitments }
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
            let proof = engine.prove_snark(&job, &statement).unwrap();
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
    fn a_proof_of_another_statement_and_a_damaged_copy_are_refused() {
        let engine = SimulatedEngine::new(SimulatedConfig::default());
        let dir = tempfile::tempdir().unwrap();
        let job = job(dir.path(), 5, SectorSize::KiB2);
        engine.label(&job, &ticket(), &|_| {}).unwrap();
        let commitments = engine.replicate(&job, &ticket()).unwrap();
        let good = statement(&job, commitments);
        let mut other = good.clone();
        other.seed.value = Bytes32([3; 32]);
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
        let rules =
            vec![in_p1(2, false), SimulatedFailure { class: Class::Sector, ..in_p1(1, false) }];
        let engine =
            SimulatedEngine::new(SimulatedConfig { failures: rules, ..Default::default() });
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
    fn a_panic_happens_as_often_as_asked_and_spoils_nothing_after_it() {
        let engine = failing(in_p1(1, true));
        let dir = tempfile::tempdir().unwrap();
        let job = job(dir.path(), 1, SectorSize::KiB2);
        let panicked = catch_unwind(AssertUnwindSafe(|| engine.label(&job, &ticket(), &|_| {})));
        assert!(panicked.is_err());
        engine.label(&job, &ticket(), &|_| {}).unwrap();
    }
}
