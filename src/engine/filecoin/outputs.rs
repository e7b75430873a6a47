//! What one phase leaves in the cache for the next, and how far that is trusted.

use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::domain::failure::{Class, Failure};
use crate::domain::ids::SectorId;
use crate::domain::porep::Porep;
use crate::domain::sector::Ticket;
use crate::domain::units::SectorSize;
use crate::engine::files::{self, Unreadable};
use crate::engine::{Job, SealStatement};

/// Written before the first layer: whose layers these are, and since which boot.
pub const LABELLING: &str = "sealbox-p1-start.json";
/// Each finished layer's size and digest. Written after it was synced.
pub const LAYERS: &str = "sealbox-p1-layers.json";
/// The output of `seal_pre_commit_phase1`. Written after every layer was synced.
pub const P1: &str = "sealbox-p1.json";
/// The output of `seal_pre_commit_phase2`. Written after the trees were synced and checked.
pub const P2: &str = "sealbox-p2.json";
/// The output of `seal_commit_phase1`: the vanilla proofs.
pub const C1: &str = "sealbox-c1.json";
/// The finished SNARK, so that a stop between proving and recording it costs nothing.
pub const C2: &str = "sealbox-c2.json";
/// There while a check of these layers failed and none has passed since: their digests are compared
/// before they are used again, and if all of them match, P1 starts over.
pub const SUSPECT: &str = "sealbox-suspect.json";

/// What the layers and the replica are bound to. Files of another binding are of no use, and the
/// proofs library does not look: it keeps any layer of the right size.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Binding {
    pub sector: SectorId,
    pub size: SectorSize,
    /// Outputs from before there was a choice do not say it.
    #[serde(default)]
    pub porep: Porep,
    pub ticket: Ticket,
}

impl Binding {
    pub fn of(job: &Job, ticket: &Ticket) -> Self {
        Self { sector: job.id, size: job.size, porep: job.porep, ticket: *ticket }
    }

    pub fn of_statement(statement: &SealStatement) -> Self {
        let SealStatement { id, size, porep, ticket, seed: _, commitments: _ } = *statement;
        Self { sector: id, size, porep, ticket }
    }
}

/// An output as it is kept: with what it is bound to.
#[derive(Debug, Serialize, Deserialize)]
pub struct Kept<T> {
    pub version: u32,
    pub binding: Binding,
    pub output: T,
}

const VERSION: u32 = 1;

/// Why there is no output to go on with.
#[derive(Debug, thiserror::Error)]
pub enum Unusable {
    #[error(transparent)]
    Unreadable(#[from] Unreadable),
    #[error("it belongs to another sector, size, kind or ticket, or to another version of sealbox")]
    Foreign,
}

pub fn keep<T: Serialize>(
    cache: &Path,
    name: &str,
    binding: &Binding,
    output: &T,
) -> Result<(), Failure> {
    let kept = Kept { version: VERSION, binding: binding.clone(), output };
    files::write_json(&cache.join(name), &kept)
}

pub fn look_up<T: DeserializeOwned>(
    cache: &Path,
    name: &str,
    binding: &Binding,
) -> Result<T, Unusable> {
    let kept: Kept<T> = files::read_json(&cache.join(name))?;
    if kept.version == VERSION && kept.binding == *binding {
        Ok(kept.output)
    } else {
        Err(Unusable::Foreign)
    }
}

/// The output of an earlier phase, without which this one cannot begin.
pub fn require<T: DeserializeOwned>(
    cache: &Path,
    name: &str,
    binding: &Binding,
) -> Result<T, Failure> {
    let file = cache.join(name);
    look_up(cache, name, binding).map_err(|unusable| match unusable {
        // An unreadable file is the disk's trouble, not yet the sector's.
        Unusable::Unreadable(Unreadable::Io(error)) => {
            Failure::io("reading an earlier phase's output", &file, &error)
        }
        Unusable::Unreadable(Unreadable::Absent | Unreadable::Damaged(_)) | Unusable::Foreign => {
            Failure::new(
                Class::Sector,
                "an earlier phase's output is missing or damaged",
                "see that the scratch disk is the one it was written to; if it is, redo the \
                 sector from P1",
            )
            .detail(unusable.to_string())
            .at(file)
        }
    })
}

/// From now on these layers are not trusted, if it is the sector that failed and not the box.
/// Best effort: the failure that led here counts.
pub fn suspect(cache: &Path, binding: &Binding, failure: &Failure) {
    if failure.class != Class::Sector {
        return;
    }
    if let Err(error) = keep(cache, SUSPECT, binding, failure) {
        tracing::warn!(%error, "the layers could not be marked as suspect");
    }
}

pub fn is_suspect(cache: &Path) -> bool {
    path(cache, SUSPECT).exists()
}

pub fn clear_suspicion(cache: &Path) -> Result<(), Failure> {
    files::remove_if_there(&path(cache, SUSPECT))
}

pub fn path(cache: &Path, name: &str) -> PathBuf {
    cache.join(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ids::{ActorId, Bytes32, SectorNumber};
    use crate::domain::units::Epoch;

    fn binding(number: u64) -> Binding {
        Binding {
            sector: SectorId { miner: ActorId(1000), number: SectorNumber(number) },
            size: SectorSize::KiB2,
            porep: Porep::Interactive,
            ticket: Ticket { epoch: Epoch(1), value: Bytes32([1; 32]) },
        }
    }

    #[test]
    fn an_output_is_found_again_by_its_own_sector_only() {
        let dir = tempfile::tempdir().unwrap();
        keep(dir.path(), P1, &binding(1), &7u32).unwrap();
        assert_eq!(require::<u32>(dir.path(), P1, &binding(1)).unwrap(), 7);
        let failure = require::<u32>(dir.path(), P1, &binding(2)).unwrap_err();
        assert_eq!(failure.class, Class::Sector);
        assert_eq!(failure.file, Some(dir.path().join(P1)));
    }

    #[test]
    fn a_missing_or_torn_output_names_its_file_and_what_to_do() {
        let dir = tempfile::tempdir().unwrap();
        for torn in [None, Some(""), Some("{\"version\":1,")] {
            if let Some(text) = torn {
                std::fs::write(dir.path().join(P2), text).unwrap();
            }
            let failure = require::<u32>(dir.path(), P2, &binding(1)).unwrap_err();
            assert_eq!(failure.class, Class::Sector);
            assert_eq!(failure.file, Some(dir.path().join(P2)));
            assert!(failure.mend.contains("redo the sector from P1"));
        }
    }

    #[test]
    fn suspicion_lasts_until_it_is_cleared() {
        let dir = tempfile::tempdir().unwrap();
        assert!(!is_suspect(dir.path()));
        suspect(dir.path(), &binding(1), &Failure::new(Class::Sector, "a", "b"));
        assert!(is_suspect(dir.path()));
        clear_suspicion(dir.path()).unwrap();
        assert!(!is_suspect(dir.path()));
    }
}
