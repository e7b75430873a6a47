//! The store: what happened, for good, and what it came to.
//!
//! A commit is a batch of history entries. It is in the journal ([`journal`], lines of
//! [`record`]), synced, before it is acknowledged; the state (`state`, `tables`: sled) follows
//! the journal and is what everything reads. Whatever happens to the state, it is made again from
//! the journal (`recover`). One thread writes the journal (`owner`), one the state (`follower`), any
//! number read ([`Reader`]).
//!
//! ```text
//! <data>/lock                          held while the store is open; names the process
//! <data>/journal/<first entry>.jsonl   the history: `less` and `jq` read it
//! <data>/journal/*.torn                what a power cut left of a line that was being written
//! <data>/state/                        sled
//! <data>/state.mark                    whether the state may be trusted
//! <data>/state.set-aside-<n>/          states that could not be; never deleted
//! ```
//!
//! What a crash does: of a commit that was not acknowledged, either all of it is there at the next
//! start or nothing; one that was acknowledged is there.

#[cfg(test)]
mod bulk;
mod error;
#[cfg(test)]
mod faults;
mod follower;
mod ground;
mod index;
mod journal;
mod lists;
mod offline;
mod opening;
mod owner;
mod reader;
mod record;
mod recover;
mod scan;
mod shared;
mod state;
mod tables;
mod tail;
#[cfg(test)]
mod tests;
#[cfg(test)]
pub(crate) mod walk;

use std::future::Future;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::atomic::AtomicBool;
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::thread::JoinHandle;

use tokio::sync::oneshot;

#[cfg(test)]
pub(crate) use bulk::fill;
pub use error::{Place, StoreError};
pub use ground::LOCK_FILE;
pub use index::{BadStage, Counts, StageKind};
pub use offline::{SegmentFacts, Verified, backup, export, in_the_way, verify};
pub use opening::{Opening, Rebuild};
pub use owner::{Batch, Committed};
pub use reader::{BadTaskCursor, Page, Reader, SectorFilter, TaskCursor, TaskFilter, TaskLine};
pub use state::Direction;

use crate::domain::order::BoxState;
use crate::domain::sector::Sector;
use crate::domain::units::Seq;
use follower::{Follower, Work};
use ground::Ground;
use journal::Journal;
use owner::{Answer, Owner, Queued, Request, Trouble};
use shared::Shared;

/// Commits that may be under way at once: far more than the one writer ever has.
const QUEUE: usize = 4096;

/// How a store is opened.
#[derive(Debug, Clone)]
pub struct OpenOptions {
    data: PathBuf,
    segment_bytes: u64,
    boot_id: Option<String>,
    opening: Arc<Opening>,
    #[cfg(test)]
    faults: Arc<faults::Faults>,
}

impl OpenOptions {
    /// A store in this directory, which is made if it is not there. It must be on a local disk.
    pub fn new(data: impl AsRef<Path>) -> Self {
        Self {
            data: data.as_ref().to_path_buf(),
            segment_bytes: 64 << 20,
            boot_id: None,
            opening: Arc::default(),
            #[cfg(test)]
            faults: Arc::default(),
        }
    }

    /// How long a journal file grows before the next is begun; 64 MiB if not said.
    #[must_use]
    pub fn segment_bytes(mut self, bytes: u64) -> Self {
        self.segment_bytes = bytes;
        self
    }

    /// The machine's boot, if not the kernel's: for the simulation of power cuts.
    #[must_use]
    pub fn boot_id(mut self, id: impl Into<String>) -> Self {
        self.boot_id = Some(id.into());
        self
    }

    /// Where to say how far the opening is.
    #[must_use]
    pub fn opening(mut self, opening: Arc<Opening>) -> Self {
        self.opening = opening;
        self
    }

    /// Opens the store, and answers with what the last run left.
    ///
    /// Errors: another process has it ([`StoreError::Locked`]); the journal is damaged anywhere
    /// but in a torn last line, or incomplete; the disk. Nothing was changed then that the next
    /// attempt would miss.
    pub fn open(self) -> Result<(Store, Recovered), StoreError> {
        let ground = Ground::take(&self.data, self.boot_id)?;
        let segments = recover::segments(&ground)?;
        let mut report = Vec::new();
        let found = recover::bring_up(&ground, &segments, &self.opening, &mut report)?;
        #[cfg_attr(not(test), expect(unused_mut, reason = "only tests put faults in"))]
        let (mut journal, torn) = Journal::open(&ground.journal, &found.end, self.segment_bytes)?;
        report.extend(torn);
        #[cfg(test)]
        {
            journal.faults = Arc::clone(&self.faults);
        }
        let recovered = Recovered {
            box_state: found.meta.box_state.clone(),
            active: found.active,
            damaged: found.damaged,
            counts: found.meta.counts.clone(),
            report,
            last_seq: found.meta.last,
        };
        let shared = Shared::default();
        shared.put(found.state);
        let trouble = Trouble::default();
        let follower = Follower::start(Work {
            shared: shared.clone(),
            trouble: trouble.clone(),
            path: ground.state.clone(),
            meta: Mutex::new(found.meta),
            is_behind: AtomicBool::new(false),
            #[cfg(test)]
            faults: self.faults,
        })
        .map_err(|error| StoreError::io("starting the state's thread", &self.data, error))?;
        let owner =
            Owner { follower, shared: shared.clone(), journal, trouble: trouble.clone(), ground };
        Ok((Store::start(owner, shared, trouble, &self.data)?, recovered))
    }
}

/// A data directory that is held without its store being opened: no box runs in it meanwhile.
#[derive(Debug)]
pub struct Held {
    _ground: Ground,
}

/// Holds a data directory until this is dropped.
///
/// # Errors
/// [`StoreError::Locked`] while a box runs in it; the disk.
pub fn hold(data: &Path) -> Result<Held, StoreError> {
    Ok(Held { _ground: Ground::take(data, None)? })
}

/// What the last run left.
#[derive(Debug, Clone)]
pub struct Recovered {
    pub box_state: BoxState,
    /// The sectors that are not over, by number.
    pub active: Vec<Sector>,
    /// The finished sectors whose stored copy is damaged, by number.
    pub damaged: Vec<Sector>,
    pub counts: Counts,
    /// What had to be mended on the way, a sentence each: for the log and the page. Empty after a
    /// clean stop.
    pub report: Vec<String>,
    /// The last entry; the next one is one more.
    pub last_seq: Seq,
}

/// The open store. Dropping it without [`Store::close`] is what a crash of the process is.
#[derive(Debug)]
pub struct Store {
    requests: Option<SyncSender<Request>>,
    thread: Option<JoinHandle<()>>,
    reader: Reader,
    trouble: Trouble,
}

impl Store {
    fn start(
        owner: Owner,
        shared: Shared,
        trouble: Trouble,
        data: &Path,
    ) -> Result<Self, StoreError> {
        let (requests, queue) = sync_channel(QUEUE);
        let thread = std::thread::Builder::new()
            .name("store".to_owned())
            .spawn(move || owner.run(&queue))
            .map_err(|error| StoreError::io("starting the store's thread", data, error))?;
        Ok(Self {
            requests: Some(requests),
            thread: Some(thread),
            reader: Reader::new(shared),
            trouble,
        })
    }

    /// Queues a batch; the answer comes when it is durable. Whoever reads after that sees it, or
    /// [`Store::health`] says why not. Batches are committed in the order of these calls, whether or
    /// not their answers are waited for.
    ///
    /// Errors: [`StoreError::Full`], [`StoreError::StateBehind`] and [`StoreError::Busy`]: not
    /// written, and may be tried again; [`StoreError::Refused`]: not written, a fault in the
    /// caller; [`StoreError::Broken`]: unknown until the next start.
    pub fn commit(&self, batch: Batch) -> Commit {
        let (answer, commit) = oneshot::channel();
        match record::fragment(&batch.entries) {
            Ok(json) => self.send(Queued { batch, json, answer }),
            Err(error) => {
                let why = format!("an entry cannot be written as JSON: {error}");
                let _ = answer.send(Err(StoreError::Refused { why }));
            }
        }
        Commit(commit)
    }

    fn send(&self, queued: Queued) {
        let requests = self.requests.as_ref().expect("taken only when the store is dropped");
        let (request, error) = match requests.try_send(Request::Commit(queued)) {
            Ok(()) => return,
            Err(TrySendError::Full(request)) => (request, StoreError::Busy),
            Err(TrySendError::Disconnected(request)) => (request, StoreError::Closed),
        };
        if let Request::Commit(queued) = request {
            let _ = queued.answer.send(Err(error));
        }
    }

    pub fn reader(&self) -> Reader {
        self.reader.clone()
    }

    /// What is wrong with the store now, all that was answered taken into account; none if nothing
    /// is.
    pub fn health(&self) -> Option<StoreError> {
        self.reader.wait();
        self.trouble.now()
    }

    /// Why readers see less than was answered: the journal has it all, the state does not yet.
    pub fn behind(&self) -> Option<StoreError> {
        self.health().filter(|error| matches!(error, StoreError::StateBehind { .. }))
    }

    /// Commits what is queued, syncs the state, and marks the stop as clean. Blocks for as long
    /// as that takes. An error costs the next start a rebuild of the state, and nothing else.
    pub fn close(self) -> Result<(), StoreError> {
        let (answer, closed) = sync_channel(1);
        let requests = self.requests.as_ref().expect("taken only when the store is dropped");
        requests.send(Request::Close(answer)).map_err(|_| StoreError::Closed)?;
        closed.recv().unwrap_or(Err(StoreError::Closed))
    }
}

impl Drop for Store {
    /// Waits for the thread: whoever opens the directory next finds it unlocked.
    fn drop(&mut self) {
        drop(self.requests.take());
        if let Some(thread) = self.thread.take() {
            // A panic of that thread has been answered to every caller as a lost answer.
            let _ = thread.join();
        }
    }
}

/// A commit under way: await it, or [`Commit::wait`] for it.
#[derive(Debug)]
#[must_use = "a commit is durable only once its answer says so"]
pub struct Commit(oneshot::Receiver<Answer>);

impl Commit {
    /// Blocks until the answer. Not for async code: it panics there.
    pub fn wait(self) -> Result<Committed, StoreError> {
        self.0.blocking_recv().unwrap_or_else(|_| Err(thread_ended()))
    }
}

impl Future for Commit {
    type Output = Result<Committed, StoreError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0)
            .poll(context)
            .map(|answer| answer.unwrap_or_else(|_| Err(thread_ended())))
    }
}

fn thread_ended() -> StoreError {
    StoreError::Broken {
        path: PathBuf::from("journal"),
        why: "the store's thread ended before it answered".to_owned(),
    }
}
