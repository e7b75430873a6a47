//! The thread that brings the state after the journal, so that sled's work is done while the disk
//! syncs the next line. What it cannot put into the state it leaves for [`Follower::catch_up`].

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use super::error::StoreError;
#[cfg(test)]
use super::faults::Faults;
use super::owner::{Batch, Trouble};
use super::recover::Found;
use super::shared::{Following, Shared};
use super::tables::Meta;
use crate::domain::units::Seq;
use crate::failpoint::die_at;

/// How many groups of commits the state may be behind before the next one waits for it.
const QUEUE: usize = 64;
/// How many of them are put into the state at once.
const AT_ONCE: usize = 16;

/// Commits that are durable and answered.
pub struct Group {
    pub batches: Vec<Batch>,
    /// Readers wait for it.
    pub _following: Following,
}

impl Group {
    fn last(&self) -> Option<Seq> {
        self.batches.last().map(|batch| batch.box_state.seq)
    }
}

/// Dropping it waits until the state has all that it was given.
pub struct Follower {
    work: Arc<Work>,
    groups: Option<SyncSender<Group>>,
    thread: Option<JoinHandle<()>>,
}

/// What the thread works on.
pub struct Work {
    pub shared: Shared,
    pub trouble: Trouble,
    /// The state's place, for messages.
    pub path: PathBuf,
    /// How far the state is. Held while it is brought further.
    pub meta: Mutex<Meta>,
    /// It could not be brought further: set and cleared while `meta` is held.
    pub is_behind: AtomicBool,
    #[cfg(test)]
    pub faults: Arc<Faults>,
}

impl Follower {
    pub fn start(work: Work) -> std::io::Result<Self> {
        let work = Arc::new(work);
        let (groups, queue) = sync_channel(QUEUE);
        let thread = {
            let work = Arc::clone(&work);
            std::thread::Builder::new().name("state".to_owned()).spawn(move || work.run(&queue))?
        };
        Ok(Self { work, groups: Some(groups), thread: Some(thread) })
    }

    /// Gives it what was answered, in the order of the journal.
    pub fn follow(&self, group: Group) {
        let groups = self.groups.as_ref().expect("taken only when it is stopped");
        if let Err(error) = groups.send(group) {
            self.work.fall_behind(&self.work.meta(), error.0.last(), "its thread ended");
        }
    }

    /// Whether something that was answered is not in the state and will not come by itself.
    pub fn is_behind(&self) -> bool {
        self.work.is_behind.load(Ordering::Acquire)
    }

    /// Puts a state that is at the end of the journal, whose last entry is given, in the place of
    /// one that is behind. What still waits to be put into the old one is in the new one.
    pub fn catch_up(
        &self,
        journal: Seq,
        bring_up: impl FnOnce() -> Result<Found, StoreError>,
    ) -> Result<(), StoreError> {
        let mut meta = self.work.meta();
        drop(self.work.shared.take());
        match bring_up() {
            Ok(found) => {
                *meta = found.meta;
                self.work.shared.put(found.state);
                self.work.is_behind.store(false, Ordering::Release);
                self.work.trouble.behind(None);
                Ok(())
            }
            Err(error) => Err(self.work.fall_behind(&meta, Some(journal), &error.what())),
        }
    }

    /// Waits until all that it was given is in the state, or could not be put there; it can be given
    /// no more.
    pub fn stop(&mut self) {
        drop(self.groups.take());
        if let Some(thread) = self.thread.take() {
            // Should it have panicked, what it was given last is in the journal only.
            if thread.join().is_err() {
                self.work.is_behind.store(true, Ordering::Release);
            }
        }
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Work {
    fn meta(&self) -> MutexGuard<'_, Meta> {
        self.meta.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn run(&self, queue: &Receiver<Group>) {
        while let Ok(group) = queue.recv() {
            let mut groups = vec![group];
            groups.extend(queue.try_iter().take(AT_ONCE - 1));
            self.apply(&groups);
            // Readers go on when the groups are dropped, here.
        }
    }

    fn apply(&self, groups: &[Group]) {
        let mut meta = self.meta();
        // A state that was made anew meanwhile has some of them.
        let known = groups.iter().take_while(|group| group.last() <= Some(meta.last)).count();
        let batches: Vec<&Batch> = groups[known..].iter().flat_map(|g| &g.batches).collect();
        let Some(newest) = batches.last() else { return };
        let last = newest.box_state.seq;
        if self.is_behind.load(Ordering::Acquire) {
            return self.trouble.behind_by(last.0 - meta.last.0);
        }
        let applied = self.advance(&mut meta, &batches);
        die_at("store.state_applied");
        if let Err(error) = applied {
            self.fall_behind(&meta, Some(last), &error.what());
        }
    }

    fn advance(&self, meta: &mut Meta, batches: &[&Batch]) -> Result<(), StoreError> {
        #[cfg(test)]
        drop(self.faults.slow.lock());
        #[cfg(test)]
        if self.faults.apply.take() {
            return Err(StoreError::State { path: self.path.clone(), why: "injected".to_owned() });
        }
        let Some(newest) = batches.last() else { return Ok(()) };
        let entries = batches.iter().flat_map(|batch| &batch.entries);
        let mut sectors = BTreeMap::new();
        for sector in batches.iter().flat_map(|batch| &batch.sectors) {
            sectors.insert(sector.id.number, sector);
        }
        let advance =
            || self.shared.now(|state| state.advance(meta, entries, &sectors, &newest.box_state));
        catch_unwind(AssertUnwindSafe(advance)).unwrap_or_else(|_| {
            let why = "sled panicked while it was written".to_owned();
            Err(StoreError::State { path: self.path.clone(), why })
        })
    }

    /// From now on nothing is put into the state until it was made to catch up. `last` is in the
    /// journal.
    fn fall_behind(&self, meta: &Meta, last: Option<Seq>, why: &str) -> StoreError {
        self.is_behind.store(true, Ordering::Release);
        let by = last.map_or(0, |last| last.0.saturating_sub(meta.last.0));
        let behind = StoreError::StateBehind { path: self.path.clone(), by, why: why.to_owned() };
        self.trouble.behind(Some(behind.clone()));
        behind
    }
}
