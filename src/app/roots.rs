//! The scratch and the storage that this box uses, at its start.

use std::collections::BTreeSet;
use std::path::PathBuf;

use super::StartError;
use crate::config::Config;
use crate::scheduler::run::Clock;
use crate::storage::roots::{Places, Roots};
use crate::store::{Direction, Reader, SectorFilter, StoreError};

/// Looks whose the scratch and every storage are, and that they can be written to. What storage
/// cannot be used now, though it was before, goes to the report: its work waits.
pub fn open(
    config: &Config,
    reader: &Reader,
    clock: &Clock,
    report: &mut Vec<String>,
) -> Result<Roots, StartError> {
    let stored_in = match Roots::remembers(&config.data_dir, &config.storage) {
        true => BTreeSet::new(),
        false => stored_in(reader)?,
    };
    let places = Places {
        data_dir: &config.data_dir,
        scratch: &config.scratch,
        storage: &config.storage,
        miner: config.miner,
        stored_in: &stored_in,
    };
    let (roots, waiting) = Roots::open(&places, clock())?;
    for failure in waiting {
        tracing::error!(%failure, "a storage cannot be used: its work waits");
        report.push(format!("a storage cannot be used, and its work waits: {failure}"));
    }
    Ok(roots)
}

/// Where the history has copies. All of it is read: only where nothing else remembers.
fn stored_in(reader: &Reader) -> Result<BTreeSet<PathBuf>, StoreError> {
    const ROWS: usize = 1_000;
    let mut found = BTreeSet::new();
    let mut after = None;
    loop {
        let page = reader.sectors(SectorFilter::All, after, ROWS, Direction::OldestFirst)?;
        let stored = page.items.iter().filter_map(|sector| sector.stage.stored());
        found.extend(stored.map(|stored| PathBuf::from(&stored.root)));
        after = page.next;
        if after.is_none() {
            return Ok(found);
        }
    }
}
