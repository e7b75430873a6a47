//! An engine that proves nothing: for tests, for load, and to show what a large box looks like.
//!
//! It leaves files with the real names, so that copying and cleaning have work to do. Each begins
//! with `SIMULATED`, and has a size that no real one has unless the real sizes are asked for;
//! commitments and proofs are BLAKE3 of what they stand for, so that they can be checked, and match
//! nothing real.

mod marked;

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::files;
use super::{Engine, EngineKind, Job, ParametersState, SealStatement, StoredCopy};
use crate::config::{SimulatedConfig, SimulatedFailure, SimulatedSizes};
use crate::domain::failure::Failure;
use crate::domain::ids::{Bytes32, CommD, CommR, SealProof, SectorId, SectorNumber};
use crate::domain::layout::{CacheFile, cache_files_after_p2};
use crate::domain::phase::{PerPhase, Phase};
use crate::domain::porep::{Porep, SealKind};
use crate::domain::progress::{Progress, Snarks, Tell};
use crate::domain::sector::{Commitments, Ticket};
use crate::domain::units::SectorSize;
use crate::stop::Stop;
use marked::Marked;

pub use marked::MARK;

/// P3's output.
const VANILLA: &str = "sealbox-c1.json";

/// What one attempt does of the simulation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    phase: Phase,
    takes: Duration,
    fails: Option<SimulatedFailure>,
    sizes: SimulatedSizes,
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
        let fails = self.rule_that_strikes(phase, sector.number).cloned();
        Part { phase, takes, fails, sizes: self.config.sizes }
    }

    /// For a call that is no phase: it takes no time, and no rule strikes it.
    pub fn no_part(&self) -> Part {
        let sizes = self.config.sizes;
        Part { phase: Phase::P6, takes: Duration::ZERO, fails: None, sizes }
    }

    /// Plays one attempt.
    pub fn playing(part: Part) -> Self {
        let Part { phase: played, takes, fails, sizes } = part;
        let takes = |phase| if phase == played { takes } else { Duration::ZERO };
        let durations = PerPhase::from_fn(takes);
        let failures = fails.into_iter().collect();
        Self::new(SimulatedConfig { durations, failures, sizes })
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

    /// P4's time, spread evenly over what is told of while SNARKs are made.
    fn act_by_snarks(&self, job: &Job, tell: Tell<'_>) -> Result<(), Failure> {
        let mut now = Snarks::of(job.kind());
        let events = now.events();
        let step = self.config.durations[Phase::P4].div_f64(events.len() as f64);
        tell(Progress::Snarks(now));
        for event in events {
            std::thread::sleep(step);
            now = now.after(event);
            tell(Progress::Snarks(now));
        }
        self.strike(Phase::P4, job.id)
    }

    fn write(&self, job: &Job, file: CacheFile, value: &Bytes32) -> Result<(), Failure> {
        self.cached(job.id, job.size, file, value).write(&job.cache.join(file.name(job.size)))
    }

    fn check(&self, job: &Job, file: CacheFile, value: &Bytes32) -> Result<(), Failure> {
        self.cached(job.id, job.size, file, value).check(&job.cache.join(file.name(job.size)))
    }

    fn cached(&self, id: SectorId, size: SectorSize, file: CacheFile, value: &Bytes32) -> Marked {
        Marked::new(id, &file.name(size), value, self.config.sizes.of(file.bytes(size)))
    }

    fn replica(&self, id: SectorId, size: SectorSize, value: &Bytes32) -> Marked {
        Marked::new(id, "replica", value, self.config.sizes.of(Some(size.bytes())))
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
        // What an earlier P2 ended with does not hold for other layers.
        files::remove_if_there(&job.cache.join(CacheFile::SyntheticProofs.name(job.size)))?;
        self.act_by_layers(job, tell)?;
        let mut made = CacheFile::layers(job.size);
        made.push(CacheFile::TreeD);
        made.into_iter().try_for_each(|file| self.write(job, file, &ticket.value))?;
        files::sync_directory(&job.cache)
    }

    fn replicate(&self, job: &Job, ticket: &Ticket) -> Result<Commitments, Failure> {
        let commitments = commitments_of(job, ticket);
        let comm_r = commitments.comm_r.0;
        // An earlier attempt may have come to its end, and some of the layers be dropped by now.
        if job.porep == Porep::Synthetic
            && self.check(job, CacheFile::SyntheticProofs, &comm_r).is_ok()
        {
            return Ok(commitments);
        }
        for layer in CacheFile::layers(job.size) {
            self.check(job, layer, &ticket.value)?;
        }
        self.act(Phase::P2, job.id)?;
        let mut made = CacheFile::trees_c(job.size);
        made.extend(CacheFile::trees_r_last(job.size));
        made.extend([CacheFile::TAux, CacheFile::PAux]);
        made.into_iter().try_for_each(|file| self.write(job, file, &comm_r))?;
        self.replica(job.id, job.size, &comm_r).write(&job.replica)?;
        // Last: it says that the rest is there.
        match job.porep {
            Porep::Interactive | Porep::NonInteractive => {}
            Porep::Synthetic => self.write(job, CacheFile::SyntheticProofs, &comm_r)?,
        }
        files::sync_directory(&job.cache)?;
        files::sync_directory(files::parent(&job.replica))?;
        Ok(commitments)
    }

    fn prove_vanilla(&self, job: &Job, statement: &SealStatement) -> Result<(), Failure> {
        let comm_r = &statement.commitments.comm_r.0;
        self.replica(job.id, job.size, comm_r).check(&job.replica)?;
        for file in cache_files_after_p2(job.kind()) {
            let value = match file {
                CacheFile::Layer(_) | CacheFile::TreeD => &statement.ticket.value,
                CacheFile::TreeC(_)
                | CacheFile::TreeRLast(_)
                | CacheFile::PAux
                | CacheFile::TAux
                | CacheFile::SyntheticProofs => comm_r,
            };
            self.check(job, file, value)?;
        }
        self.act(Phase::P3, job.id)?;
        vanilla(statement).write(&job.cache.join(VANILLA))?;
        files::sync_directory(&job.cache)
    }

    fn prove_snark(
        &self,
        job: &Job,
        statement: &SealStatement,
        tell: Tell<'_>,
    ) -> Result<SealProof, Failure> {
        vanilla(statement).check(&job.cache.join(VANILLA))?;
        self.act_by_snarks(job, tell)?;
        Ok(proof_of(statement))
    }

    fn verify_seal(&self, statement: &SealStatement, proof: &SealProof) -> Result<bool, Failure> {
        Ok(*proof == proof_of(statement))
    }

    fn prove_stored(&self, copy: &StoredCopy, comm_r: &CommR) -> Result<(), Failure> {
        self.replica(copy.id, copy.size, &comm_r.0).check(&copy.replica)?;
        let post = std::iter::once(CacheFile::PAux).chain(CacheFile::trees_r_last(copy.size));
        for file in post {
            self.cached(copy.id, copy.size, file, &comm_r.0)
                .check(&copy.cache.join(file.name(copy.size)))?;
        }
        Ok(())
    }

    fn attend(&self, phase: Phase, sector: SectorId, stop: &Stop) -> Result<(), Failure> {
        stop.sleep(self.config.durations[phase]);
        self.strike(phase, sector)
    }

    fn seal_proof_name(&self, kind: SealKind) -> &'static str {
        match kind.size {
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

/// P3's output has no one size.
fn vanilla(statement: &SealStatement) -> Marked {
    Marked::new(statement.id, VANILLA, &statement.seed_value(), None)
}

fn commitments_of(job: &Job, ticket: &Ticket) -> Commitments {
    let value = |of: &str| {
        let mut hasher = blake3::Hasher::new_derive_key("sealbox simulated commitment");
        hasher.update(format!("{of} {} {} {}", job.id, job.size.name(), ticket.value).as_bytes());
        match job.porep {
            // As it was before there was a choice.
            Porep::Interactive => {}
            Porep::Synthetic | Porep::NonInteractive => {
                hasher.update(job.porep.name().as_bytes());
            }
        }
        Bytes32(*hasher.finalize().as_bytes())
    };
    Commitments { comm_d: CommD(value("comm_d")), comm_r: CommR(value("comm_r")) }
}

/// 41 bytes, where a real proof has 192 a partition.
fn proof_of(statement: &SealStatement) -> SealProof {
    // The kind of PoRep is in comm_r.
    let SealStatement { id, size, porep: _, ticket, seed: _, commitments } = statement;
    let Commitments { comm_d, comm_r } = commitments;
    let mut hasher = blake3::Hasher::new_derive_key("sealbox simulated proof");
    let (ticket, seed) = (ticket.value, statement.seed_value());
    let size = size.name();
    hasher.update(format!("{id} {size} {ticket} {seed} {} {}", comm_d.0, comm_r.0).as_bytes());
    SealProof([MARK, hasher.finalize().as_bytes()].concat())
}

#[cfg(test)]
#[path = "simulated_tests.rs"]
mod tests;
