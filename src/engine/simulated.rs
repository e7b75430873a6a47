//! An engine that proves nothing: for tests, for load, and to show what a large box looks like.
//!
//! It leaves files with the real names, so that copying and cleaning have work to do. Each begins
//! with `SIMULATED` and has a size that no real one has; commitments and proofs are BLAKE3 of
//! what they stand for, so that they can be checked, and match nothing real.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::files;
use super::{Engine, EngineKind, Job, ParametersState, SealStatement, StoredCopy};
use crate::config::{SimulatedConfig, SimulatedFailure};
use crate::domain::failure::{Class, Failure};
use crate::domain::ids::{Bytes32, CommD, CommR, SealProof, SectorId, SectorNumber};
use crate::domain::layout::CacheFile;
use crate::domain::phase::{PerPhase, Phase};
use crate::domain::progress::{Progress, Tell};
use crate::domain::sector::{Commitments, Ticket};
use crate::domain::units::SectorSize;
use crate::durable;
use crate::stop::Stop;

/// What each simulated file and proof begins with.
pub const MARK: &[u8] = b"SIMULATED";
/// P3's output.
const VANILLA: &str = "sealbox-c1.json";

/// What one attempt does of the simulation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    phase: Phase,
    takes: Duration,
    fails: Option<SimulatedFailure>,
}

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

    /// What one attempt does of the simulation. A rule that strikes it is counted here: a process
    /// that lives for one attempt cannot count.
    pub fn part(&self, phase: Phase, sector: SectorId) -> Part {
        let takes = self.config.durations[phase];
        Part { phase, takes, fails: self.rule_that_strikes(phase, sector.number).cloned() }
    }

    /// For a call that is no phase: it takes no time, and no rule strikes it.
    pub fn no_part(&self) -> Part {
        Part { phase: Phase::P6, takes: Duration::ZERO, fails: None }
    }

    /// Plays one attempt.
    pub fn playing(part: Part) -> Self {
        let Part { phase: played, takes, fails } = part;
        let takes = |phase| if phase == played { takes } else { Duration::ZERO };
        let durations = PerPhase::from_fn(takes);
        Self::new(SimulatedConfig { durations, failures: fails.into_iter().collect() })
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

    fn attend(&self, phase: Phase, sector: SectorId, stop: &Stop) -> Result<(), Failure> {
        stop.sleep(self.config.durations[phase]);
        self.strike(phase, sector)
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
#[path = "simulated_tests.rs"]
mod tests;
