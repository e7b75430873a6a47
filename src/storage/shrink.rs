//! Dropping layers and trees before the sector is finished: with synthetic PoRep, once P2 has answered
//! every challenge that the chain may choose, and has checked the answers.
//!
//! What P2 brings is the leave to do it: nothing else makes it, and without it there are no
//! commitments to call this with.

use std::fs;
use std::path::Path;

use super::clean::{Deleted, Record};
use crate::domain::failure::Failure;
use crate::domain::ids::SectorId;
use crate::domain::layout::{Scratch, dropped_with_p2};
use crate::domain::porep::SealKind;
use crate::domain::sector::Commitments;
use crate::durable::sync_dir;
use crate::failpoint::die_at;

/// Drops what the synthetic proofs of these commitments stand for; nothing, with another PoRep.
///
/// File by file: told to `record`, then removed. What is gone already is fine: an interrupted call
/// is made again from the start (a deletion may be on record twice, never not at all).
///
/// # Errors
/// `record`'s; I/O errors by their kind. The sector goes on without loss either way.
pub fn drop_what_is_answered(
    scratch: &Scratch,
    id: SectorId,
    kind: SealKind,
    checked: &Commitments,
    record: Record<'_>,
) -> Result<(), Failure> {
    let files = dropped_with_p2(kind);
    if files.is_empty() {
        return Ok(());
    }
    let cache = scratch.cache_dir(id);
    let reason = format!("the synthetic proofs of {} stand for it", checked.comm_r.cid());
    for file in files {
        drop_one(&cache.join(file.name(kind.size)), &reason, record)?;
    }
    sync_dir(&cache).map_err(|error| Failure::io("syncing a deletion", &cache, &error))?;
    die_at("p2.drops_synced");
    Ok(())
}

fn drop_one(file: &Path, reason: &str, record: Record<'_>) -> Result<(), Failure> {
    let failed = |error: std::io::Error| Failure::io("dropping what P2 has answered", file, &error);
    let bytes = match fs::symlink_metadata(file) {
        Ok(found) => found.len(),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(failed(error)),
    };
    record(&Deleted { path: file.to_path_buf(), bytes, reason: reason.to_owned() })?;
    die_at("p2.drop_recorded");
    fs::remove_file(file).map_err(failed)?;
    die_at("p2.file_dropped");
    Ok(())
}

#[cfg(test)]
#[path = "shrink_tests.rs"]
mod tests;
