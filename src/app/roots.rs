//! The scratch and the storage that this box uses, at its start.

use std::collections::BTreeSet;
use std::path::PathBuf;

use super::StartError;
use crate::config::{Config, RootConfig};
use crate::doctor;
use crate::domain::admission::{Room, Rooms};
use crate::domain::failure::{Class, Failure};
use crate::domain::layout::Scratch;
use crate::domain::sector::Sector;
use crate::scheduler::run::Clock;
use crate::storage::disk::usage;
use crate::storage::roots::{Places, Roots};
use crate::store::{Direction, Reader, SectorFilter, StoreError};
use crate::within::{ANSWER_LIMIT, within};

/// Looks whose every root is, and that it can be written to. One that cannot be used now, though it
/// was before, goes to the report: its work waits.
pub fn open(
    config: &Config,
    reader: &Reader,
    clock: &Clock,
    report: &mut Vec<String>,
) -> Result<Roots, StartError> {
    let paths = |roots: &[RootConfig]| roots.iter().map(|root| root.path.clone()).collect();
    let (scratch, storage): (Vec<_>, Vec<_>) = (paths(&config.scratch), paths(&config.storage));
    let stored_in = match Roots::remembers(&config.data_dir, &storage) {
        true => BTreeSet::new(),
        false => stored_in(reader)?,
    };
    let places = Places {
        data_dir: &config.data_dir,
        scratch: &scratch,
        storage: &storage,
        miner: config.miner,
        stored_in: &stored_in,
    };
    let (roots, waiting) = Roots::open(&places, clock())?;
    for failure in waiting {
        tracing::error!(%failure, "a root cannot be used: its work waits");
        report.push(format!("a root cannot be used, and its work waits: {failure}"));
    }
    match never_fits(config, &roots) {
        Some(failure) => Err(failure.into()),
        None => Ok(roots),
    }
}

/// The roots before they were looked at: nothing is begun in them.
pub fn unseen(config: &Config, roots: &Roots) -> Rooms {
    let room = |root: &RootConfig| {
        (Scratch::new(&root.path), Room { weight: root.weight, ..Room::default() })
    };
    Rooms { first: roots.first_scratch(), roots: config.scratch.iter().map(room).collect() }
}

/// A box whose scratch could never hold a sector says so before the first hour is spent. What does
/// not answer now might hold one.
fn never_fits(config: &Config, roots: &Roots) -> Option<Failure> {
    let mut rooms = unseen(config, roots);
    for (scratch, room) in &mut rooms.roots {
        let path = scratch.root().to_path_buf();
        let is_ours = roots.check(&path).is_ok();
        let usage = is_ours.then(|| within(ANSWER_LIMIT, move || usage(&path).ok()));
        room.total = usage.flatten().flatten().map(|usage| usage.total);
    }
    let need = doctor::needs(config).scratch(config.kind());
    let what = rooms.never_fit(need, config.sector_size)?;
    let mend = "give `scratch` a path on a larger disk, or set another `sector_size`";
    Some(Failure::new(Class::Operator, what, mend))
}

/// Sectors in flight whose root is no longer configured, in a sentence: nothing of them can be done.
pub fn homeless(active: &[Sector], config: &Config, roots: &Roots) -> Option<String> {
    let first = roots.first_scratch();
    let is_configured = |root: &Scratch| config.scratch.iter().any(|one| one.path == root.root());
    let homes = active.iter().map(|sector| (sector, sector.scratch.as_ref().unwrap_or(&first)));
    let without: Vec<_> = homes.filter(|(_, root)| !is_configured(root)).collect();
    let (_, root) = without.first()?;
    let numbers: Vec<_> = without.iter().map(|(sector, _)| sector.id.number.to_string()).collect();
    Some(format!(
        "sectors are made in a scratch that is not configured ({root}), and cannot go on: {}; put \
         it back and restart sealbox (`weight = 0` keeps new ones off it), or abort them",
        numbers.join(", ")
    ))
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
