//! The simulated scratch and storage: each sector's files as names, and what is true of them.

use std::collections::{BTreeMap, BTreeSet};

use crate::domain::ids::SectorNumber;
use crate::domain::layout::Scratch;
use crate::domain::phase::Phase;
use crate::domain::planted::{Bug, planted};
use crate::domain::sector::Sector;
use crate::domain::units::ByteSize;

use super::history::{History, Known};
use super::violation::{Violation, broken, ensure};

pub const LAYERS: &str = "layers";
pub const REPLICA: &str = "replica";
pub const VANILLA: &str = "vanilla";
/// The synthetic proofs: what stands for the layers, made and checked.
pub const ANSWERS: &str = "answers";
/// What lies in storage, whole or not, of a sector that was given up.
pub const COPY: &str = "copy";

/// The copy in storage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Copied {
    No,
    Partly,
    Whole,
    /// Whole, and then damaged by the disk.
    Damaged,
}

#[derive(Debug)]
pub struct Files {
    pub scratch: BTreeSet<&'static str>,
    pub copied: Copied,
    /// The stored copy was looked at and found good.
    pub proven: bool,
    /// The root that the files on scratch are in.
    pub home: Option<Scratch>,
}

impl Default for Files {
    fn default() -> Self {
        Self { scratch: BTreeSet::new(), copied: Copied::No, proven: false, home: None }
    }
}

/// What a sector takes of the scratch at most: what `Needs::simulated` says.
pub const SECTOR: ByteSize = ByteSize(256 << 10);

/// The vanilla proofs, and what lies in storage, take none of the scratch.
fn bytes(file: &str) -> u64 {
    let large = [(LAYERS, SECTOR.0 * 3 / 4), (REPLICA, SECTOR.0 / 4)];
    large.into_iter().find(|(name, _)| *name == file).map_or(0, |(_, bytes)| bytes)
}

fn on_record(number: SectorNumber, known: &Known, file: &str) -> Result<(), Violation> {
    ensure(known.deleted.contains(file), "I4", || {
        format!("sector {number}: {file} deleted before its deletion is on record")
    })
}

#[derive(Debug, Default)]
pub struct Disk(BTreeMap<SectorNumber, Files>);

impl Disk {
    pub fn of(&mut self, number: SectorNumber) -> &mut Files {
        self.0.entry(number).or_default()
    }

    /// A worker has come for this sector: its root is the one that it names.
    pub fn settle(&mut self, sector: &Sector) {
        self.of(sector.id.number).home = sector.scratch.clone();
    }

    pub fn home(&self, number: SectorNumber) -> Option<&Scratch> {
        self.0.get(&number)?.home.as_ref()
    }

    /// What sectors hold of the scratch.
    pub fn held(&self) -> impl Iterator<Item = (SectorNumber, ByteSize)> + '_ {
        self.0.iter().map(|(number, files)| {
            (*number, ByteSize(files.scratch.iter().map(|file| bytes(file)).sum()))
        })
    }

    /// Copies in storage, whole or not.
    pub fn copies(&self) -> usize {
        self.0.values().filter(|files| files.copied != Copied::No).count()
    }

    /// A copy that met a full disk takes back what it has written; one that is made anew replaces what
    /// was left of it.
    pub fn drop_what_is_unfinished(&mut self, number: SectorNumber) {
        let files = self.of(number);
        if files.copied == Copied::Partly {
            files.copied = Copied::No;
        }
    }

    /// What P6 has to delete, the next one first.
    pub fn to_delete(&self, number: SectorNumber, given_up: bool) -> Option<&'static str> {
        let files = self.0.get(&number)?;
        let copy = given_up && files.copied != Copied::No;
        let copy = copy && !planted(Bug::LeavesTheCopy);
        files.scratch.first().copied().or_else(|| copy.then_some(COPY))
    }

    /// Deletes. I4: only what is proven to lie in storage, or belongs to a sector that was given
    /// up; and the deletion is on record.
    pub fn delete(
        &mut self,
        number: SectorNumber,
        file: &'static str,
        history: &History,
    ) -> Result<(), Violation> {
        let known = history.sectors.get(&number);
        let known = known.ok_or_else(|| broken("I4", "a file of an unknown sector is deleted"))?;
        let files = self.0.entry(number).or_default();
        let replaceable = files.proven && files.copied == Copied::Whole;
        ensure(replaceable || known.given_up, "I4", || {
            format!("sector {number}: {file} deleted, and the stored copy is not proven: {files:?}")
        })?;
        on_record(number, known, file)?;
        ensure(known.running.iter().all(|phase| *phase == Phase::P6), "I4", || {
            format!("sector {number}: {file} deleted under {:?}", known.running)
        })?;
        if file == COPY {
            ensure(!known.committed, "I4", || {
                format!("sector {number} is on chain, and its stored copy is deleted")
            })?;
            files.copied = Copied::No;
        } else {
            files.scratch.remove(file);
        }
        Ok(())
    }

    /// P2 drops the layers. I4: only if what stands for them is there; and on record.
    pub fn drop_layers(
        &mut self,
        number: SectorNumber,
        history: &History,
    ) -> Result<(), Violation> {
        let known = history.sectors.get(&number);
        let known = known.ok_or_else(|| broken("I4", "layers of an unknown sector are dropped"))?;
        let files = self.0.entry(number).or_default();
        ensure(files.scratch.contains(ANSWERS), "I4", || {
            format!("sector {number}: its layers are dropped, and nothing stands for them")
        })?;
        on_record(number, known, LAYERS)?;
        files.scratch.remove(LAYERS);
        Ok(())
    }

    /// A person puts right what a disk did to a stored copy.
    pub fn mend_copies(&mut self) {
        for files in self.0.values_mut().filter(|files| files.copied == Copied::Damaged) {
            files.copied = Copied::Whole;
        }
    }

    /// A disk damages a whole copy that was not proven yet.
    pub fn damage(&mut self, number: SectorNumber) -> bool {
        match self.0.get_mut(&number) {
            Some(files) if files.copied == Copied::Whole && !files.proven => {
                files.copied = Copied::Damaged;
                true
            }
            Some(_) | None => false,
        }
    }

    /// A disk damages the copy of a finished sector, the only one there is.
    pub fn rot(&mut self, number: SectorNumber) -> bool {
        let files = self.of(number);
        let is_whole = files.copied == Copied::Whole;
        files.copied = if is_whole { Copied::Damaged } else { files.copied };
        is_whole
    }

    /// Whether a check of the stored copy would find it whole.
    pub fn is_whole(&self, number: SectorNumber) -> bool {
        self.0.get(&number).is_some_and(|files| files.copied == Copied::Whole)
    }

    /// What must be there of a sector that is over: I4 and I9 at the end of a run.
    pub fn check_over(&self, number: SectorNumber, given_up: bool) -> Result<(), Violation> {
        let none = Files::default();
        let files = self.0.get(&number).unwrap_or(&none);
        ensure(files.scratch.is_empty(), "I9", || {
            format!("sector {number} is over and leaves {:?} on scratch", files.scratch)
        })?;
        ensure(given_up || (files.proven && files.copied == Copied::Whole), "I4", || {
            format!("sector {number} is finished without a proven copy: {files:?}")
        })?;
        ensure(!given_up || files.copied == Copied::No, "I9", || {
            format!("sector {number} is given up and leaves its copy in storage: {files:?}")
        })
    }
}
