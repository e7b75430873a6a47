//! A chain of one: a beacon on this box, for a lab. Nobody else believes it.
//!
//! It keeps one small file, `chain/lab.json` in the data directory: when its epochs began, how long
//! they are, and the secret that its randomness comes from. So a restart goes on with the same
//! epochs, and gives the same seed for the same epoch. Messages are not kept: a pre-commit that is
//! asked for again is made again, under the same name, and the one that was recorded is the one
//! that counts.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rand_08::RngCore;
use rand_08::rngs::OsRng;
use serde::{Deserialize, Serialize};

use super::{Answer, Chain, ChainError};
use crate::config::LabConfig;
use crate::domain::failure::{Class, Failure};
use crate::domain::ids::{Bytes32, SealProof, SectorId};
use crate::domain::sector::{Commit, Commitments, PreCommit, Replica, Seed, Ticket};
use crate::domain::units::{Epoch, Timestamp};
use crate::durable::{sync_dir, write_atomic};
use crate::failpoint::die_at;

const VERSION: u32 = 1;
/// The longest sleep: a clock that is set forward in the meantime is noticed after this.
const LONGEST_SLEEP: Duration = Duration::from_secs(10);

/// The wall clock, or a test's.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// What is kept. `check` is over the rest, so that a damaged file is not taken for another beacon.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Beacon {
    version: u32,
    /// At this moment…
    since: Timestamp,
    /// …this epoch began, and from then on epochs took…
    since_epoch: Epoch,
    /// …this long.
    epoch_ms: u64,
    secret: Bytes32,
    check: Bytes32,
}

impl Beacon {
    fn new(since: Timestamp, since_epoch: Epoch, epoch_ms: u64, secret: Bytes32) -> Self {
        let check = Bytes32([0; 32]);
        let mut beacon = Self { version: VERSION, since, since_epoch, epoch_ms, secret, check };
        beacon.check = beacon.computed_check();
        beacon
    }

    fn computed_check(&self) -> Bytes32 {
        let mut hasher = blake3::Hasher::new_derive_key("sealbox lab beacon file");
        for number in [self.since.0, self.since_epoch.0, self.epoch_ms] {
            hasher.update(&number.to_le_bytes());
        }
        Bytes32(hasher.update(&self.secret.0).finalize().into())
    }

    fn epoch_at(&self, now: Timestamp) -> Epoch {
        let passed_ms = now.0.saturating_sub(self.since.0);
        Epoch(self.since_epoch.0.saturating_add(passed_ms / self.epoch_ms))
    }

    fn start_of(&self, epoch: Epoch) -> Timestamp {
        let epochs = epoch.0.saturating_sub(self.since_epoch.0);
        Timestamp(self.since.0.saturating_add(epochs.saturating_mul(self.epoch_ms)))
    }

    /// A field element of BLS12-381's scalar field (little-endian; its two highest bits are 0).
    fn randomness(&self, purpose: &str, epoch: Epoch, sector: SectorId) -> Bytes32 {
        let mut hasher = blake3::Hasher::new_keyed(&self.secret.0);
        hasher.update(purpose.as_bytes());
        hasher.update(&[0]);
        hasher.update(&epoch.0.to_le_bytes());
        // As on the real chain, the miner is part of what is drawn, and the sector is not.
        hasher.update(&sector.miner.0.to_le_bytes());
        let mut value: [u8; 32] = hasher.finalize().into();
        value[31] &= 0x3f;
        Bytes32(value)
    }
}

/// The lab's chain.
pub struct Lab {
    beacon: Beacon,
    config: LabConfig,
    clock: Clock,
    /// The newest epoch given so far: a clock that is set back does not take it back.
    newest: AtomicU64,
}

impl Lab {
    /// Goes on with the beacon of this data directory, or begins one at epoch 0.
    ///
    /// A changed epoch duration counts from now on: the epochs before keep their numbers.
    ///
    /// # Errors
    /// Operator: the file is damaged or of another version; the epoch is shorter than 1 ms; I/O.
    pub fn open(data_dir: &Path, config: LabConfig, clock: Clock) -> Result<Self, Failure> {
        let epoch_ms = u64::try_from(config.epoch.as_millis()).unwrap_or(u64::MAX);
        if epoch_ms == 0 {
            let what = "a lab epoch has to take at least 1 ms";
            let mend = "set the lab chain's epoch duration in appliance.toml, for instance 1 s";
            return Err(Failure::new(Class::Operator, what, mend));
        }
        let path = data_dir.join("chain").join("lab.json");
        let now = clock();
        let beacon = match read(&path)? {
            Some(kept) if kept.epoch_ms == epoch_ms => kept,
            Some(kept) => {
                write(&path, Beacon::new(now, kept.epoch_at(now), epoch_ms, kept.secret))?
            }
            None => write(&path, Beacon::new(now, Epoch(0), epoch_ms, fresh_secret(&path)?))?,
        };
        let newest = AtomicU64::new(beacon.epoch_at(now).0);
        Ok(Self { beacon, config, clock, newest })
    }

    fn epoch_now(&self) -> Epoch {
        let epoch = self.beacon.epoch_at((self.clock)()).0;
        Epoch(self.newest.fetch_max(epoch, Ordering::Relaxed).max(epoch))
    }

    async fn wait_for(&self, epoch: Epoch) {
        while self.epoch_now() < epoch {
            let left = self.beacon.start_of(epoch).since((self.clock)());
            tokio::time::sleep(left.clamp(Duration::from_millis(1), LONGEST_SLEEP)).await;
        }
    }

    fn take_proof(
        &self,
        kind: &str,
        sector: SectorId,
        content: &[&[u8]],
        proof: &SealProof,
    ) -> Result<Commit, ChainError> {
        if proof.0.is_empty() {
            let what = "the lab chain refused the commit: the proof is empty";
            let mend = "retry the proof (P4), or give the sector up";
            return Err(ChainError::Refused(Failure::new(Class::Sector, what, mend)));
        }
        let message = Self::message(kind, sector, content);
        Ok(Commit { message, epoch: self.epoch_now() })
    }

    fn message(kind: &str, sector: SectorId, content: &[&[u8]]) -> String {
        let mut hasher = blake3::Hasher::new_derive_key("sealbox lab message");
        for part in [kind.as_bytes(), sector.to_string().as_bytes()].iter().chain(content) {
            hasher.update(&(part.len() as u64).to_le_bytes()).update(part);
        }
        let digest = hex::encode(&hasher.finalize().as_bytes()[..8]);
        format!("lab-{kind}-{}-{digest}", sector.number)
    }
}

impl Chain for Lab {
    fn head(&self) -> Answer<'_, Epoch> {
        Box::pin(async { Ok(self.epoch_now()) })
    }

    fn ticket(&self, sector: SectorId) -> Answer<'_, Ticket> {
        Box::pin(async move {
            let epoch = self.epoch_now();
            Ok(Ticket { epoch, value: self.beacon.randomness("ticket", epoch, sector) })
        })
    }

    fn pre_commit(
        &self,
        sector: SectorId,
        ticket: Ticket,
        commitments: Commitments,
    ) -> Answer<'_, PreCommit, ChainError> {
        Box::pin(async move {
            if self.config.refuse_pre_commit.contains(&sector.number) {
                let what = "the lab chain refused the pre-commit, as it is configured to";
                let mend = "nothing: the sector is given up and cleaned; take its number out of \
                            `refuse_pre_commit` to have it accepted another time";
                return Err(ChainError::Refused(Failure::new(Class::Sector, what, mend)));
            }
            let epoch = self.epoch_now();
            let seed_epoch = Epoch(epoch.0.saturating_add(self.config.challenge_delay));
            let content = [&ticket.value.0[..], &commitments.comm_r.0.0[..]];
            let message = Self::message("precommit", sector, &content);
            Ok(PreCommit { message, epoch, seed_epoch })
        })
    }

    fn seed(&self, sector: SectorId, pre_commit: PreCommit) -> Answer<'_, Seed> {
        Box::pin(async move {
            let epoch = pre_commit.seed_epoch;
            self.wait_for(epoch).await;
            Ok(Seed { epoch, value: self.beacon.randomness("seed", epoch, sector) })
        })
    }

    fn commit(
        &self,
        sector: SectorId,
        pre_commit: PreCommit,
        proof: SealProof,
    ) -> Answer<'_, Commit, ChainError> {
        Box::pin(async move {
            let content = [pre_commit.message.as_bytes(), &proof.0];
            self.take_proof("commit", sector, &content, &proof)
        })
    }

    fn commit_at_once(
        &self,
        sector: SectorId,
        replica: Replica,
        proof: SealProof,
    ) -> Answer<'_, Commit, ChainError> {
        Box::pin(async move {
            let Replica { ticket, commitments } = replica;
            let content = [&ticket.value.0[..], &commitments.comm_r.0.0[..], &proof.0];
            self.take_proof("commit-ni", sector, &content, &proof)
        })
    }
}

fn read(path: &Path) -> Result<Option<Beacon>, Failure> {
    let text = match std::fs::read(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Failure::io("reading the lab chain's file", path, &error)),
    };
    // Another version may have other fields: it is looked at before the rest.
    #[derive(Deserialize)]
    struct Version {
        version: u32,
    }
    let version = serde_json::from_slice::<Version>(&text)
        .map_err(|error| unreadable(path, "is damaged", error.to_string()))?;
    if version.version != VERSION {
        let detail = format!("version {}; this sealbox reads {VERSION}", version.version);
        return Err(unreadable(path, "was written by another version of sealbox", detail));
    }
    let beacon: Beacon = serde_json::from_slice(&text)
        .map_err(|error| unreadable(path, "is damaged", error.to_string()))?;
    if beacon.check != beacon.computed_check() || beacon.epoch_ms == 0 {
        return Err(unreadable(path, "is damaged", "its check value does not fit".to_owned()));
    }
    Ok(Some(beacon))
}

fn unreadable(path: &Path, why: &str, detail: String) -> Failure {
    let what = format!("the lab chain's file {why}");
    let mend = "put back the file as it was (or run the sealbox that wrote it); without it, and \
                with no sector between pre-commit and seed, move it away: the lab then begins again \
                at epoch 0 with other randomness";
    Failure::new(Class::Operator, what, mend).at(path).detail(detail)
}

fn write(path: &PathBuf, beacon: Beacon) -> Result<Beacon, Failure> {
    let failed = |error: std::io::Error| Failure::io("writing the lab chain's file", path, &error);
    let dir = path.parent().expect("joined from two names");
    std::fs::create_dir_all(dir).map_err(failed)?;
    die_at("lab.directory_made");
    dir.parent().map_or(Ok(()), sync_dir).map_err(failed)?;
    die_at("lab.directory_synced");
    let mut text = serde_json::to_vec_pretty(&beacon).expect("plain fields always become JSON");
    text.push(b'\n');
    write_atomic(path, &text).map_err(failed)?;
    die_at("lab.written");
    Ok(beacon)
}

fn fresh_secret(path: &Path) -> Result<Bytes32, Failure> {
    let mut secret = [0; 32];
    OsRng.try_fill_bytes(&mut secret).map_err(|error| {
        let mend = "see that /dev/urandom can be read, then start again";
        Failure::new(Class::Operator, "the system gives no randomness", mend)
            .at(path)
            .detail(error.to_string())
    })?;
    Ok(Bytes32(secret))
}

#[cfg(test)]
#[path = "lab_tests.rs"]
mod tests;
