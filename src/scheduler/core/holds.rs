//! What keeps work from starting: phases that wait, storage that hangs, an engine that is suspect.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{Cause, Core};
use crate::domain::admission::{Rooms, Stores};
use crate::domain::ids::SectorNumber;
use crate::domain::layout::Scratch;
use crate::domain::order::AutoPledge;
use crate::domain::phase::Phase;
#[cfg(test)]
use crate::domain::planted::{Bug, planted};
use crate::domain::sector::{Cleaning, Sector, Stage};
use crate::domain::units::{SectorSize, Timestamp};

impl Core {
    /// Keeps a phase from starting for as long as there is something it waits for.
    pub fn hold(&mut self, phase: Phase, cause: Cause, waits_for: Option<String>) {
        match waits_for {
            Some(why) => self.held.insert((phase, cause), why),
            None => self.held.remove(&(phase, cause)),
        };
    }

    /// Starts nothing more, so that the process can be replaced.
    pub fn suspect(&mut self, why: String) {
        self.suspect.get_or_insert(why);
    }

    pub fn is_suspect(&self) -> bool {
        self.suspect.is_some()
    }

    /// Says which storage does not answer now: a P6 that would read there waits, others go on.
    pub fn storage_hangs(&mut self, hung: BTreeSet<PathBuf>) {
        self.hung = hung;
    }

    /// Takes note of how the scratch roots were found; whether that is new.
    pub fn rooms(&mut self, rooms: Rooms) -> bool {
        let new = self.rooms.as_deref() != Some(&rooms);
        self.rooms = Some(Arc::new(rooms));
        new
    }

    /// An attempt found its root gone: until the next look at it, nothing starts there.
    pub fn scratch_is_away(&mut self, root: &Scratch, why: String) {
        let Some(rooms) = self.rooms.as_mut().map(Arc::make_mut) else { return };
        if let Some(room) = rooms.roots.get_mut(root) {
            room.away = Some(why);
        }
    }

    /// Takes note of how the storage was found: copies that were done before are in it.
    pub fn stores(&mut self, stores: Stores) {
        self.unseen.retain(|(done, _)| *done >= stores.looked);
        self.stores = Some(Arc::new(stores));
    }

    /// Takes note of a copy that no look can have seen.
    pub(super) fn stored(&mut self, size: SectorSize, now: Timestamp) {
        #[cfg(test)]
        if planted(Bug::StoredUnseen) {
            return;
        }
        // Before the first look it matters only to what is ordered by it.
        if self.stores.is_some() || self.until_full().is_some() {
            self.unseen.push((now, size));
        }
    }

    /// What is ordered by itself until the storage is full.
    pub(super) fn until_full(&self) -> Option<SectorSize> {
        match self.settings.limits.auto_pledge {
            AutoPledge::Sectors(_) => None,
            AutoPledge::UntilFull => Some(self.settings.sector_size),
        }
    }

    pub(super) fn held_phases(&self) -> BTreeSet<Phase> {
        let held = self.held.keys().map(|(phase, _)| *phase);
        held.chain(self.box_state.paused.iter().copied()).collect()
    }

    /// Why phases wait, all causes of each in one.
    pub(super) fn held_words(&self) -> BTreeMap<Phase, String> {
        let mut words: BTreeMap<Phase, String> = BTreeMap::new();
        let add = |words: &mut BTreeMap<Phase, String>, phase, why: &str| {
            let all = words.entry(phase).or_default();
            if !all.contains(why) {
                all.push_str(if all.is_empty() { "" } else { "; " });
                all.push_str(why);
            }
        };
        for phase in &self.box_state.paused {
            add(&mut words, *phase, "paused by a person");
        }
        for ((phase, _), why) in &self.held {
            add(&mut words, *phase, why);
        }
        for root in &self.hung {
            let why = format!("{} hangs, and what is stored there waits", root.display());
            add(&mut words, Phase::P6, &why);
        }
        words
    }

    /// The cleanings that would touch a storage that hangs.
    pub(super) fn held_tasks(&self) -> BTreeSet<(Phase, SectorNumber)> {
        if self.hung.is_empty() {
            return BTreeSet::new();
        }
        let touches = |sector: &Sector| match &sector.stage {
            Stage::P6 { cleaning: Cleaning::Sealed { sealed }, .. } => {
                self.hung.contains(Path::new(&sealed.stored.root))
            }
            // An unfinished copy may lie in any of them.
            Stage::P6 { cleaning: Cleaning::GivenUp { .. }, .. } => {
                sector.tasks[Phase::P5].attempts > 0
            }
            Stage::Ticket
            | Stage::P1 { .. }
            | Stage::P2 { .. }
            | Stage::PreCommitting { .. }
            | Stage::WaitSeed { .. }
            | Stage::P3 { .. }
            | Stage::Proving { .. }
            | Stage::Finished { .. }
            | Stage::GivenUp { .. } => false,
        };
        let waiting = self.sectors.values().filter(|sector| touches(sector));
        waiting.map(|sector| (Phase::P6, sector.id.number)).collect()
    }
}
