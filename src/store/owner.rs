//! The one thread that writes: it takes what has queued up, makes it durable with one sync,
//! answers each caller, and hands it to the follower, which brings the state after it. Readers wait
//! for that: who asks after an answer sees what it is about.

use std::collections::{BTreeMap, VecDeque};
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::error::StoreError;
use super::follower::{Follower, Group};
use super::ground::Ground;
use super::journal::Journal;
use super::opening::Opening;
use super::record;
use super::shared::Shared;
use super::{recover, scan};
use crate::domain::event::{Entry, Happened};
use crate::domain::ids::SectorNumber;
use crate::domain::order::BoxState;
use crate::domain::sector::Sector;
use crate::domain::units::Seq;
use crate::failpoint::die_at;

/// How many commits share one sync at most, and how much they write: bounds a line's length.
const GROUP_COMMITS: usize = 256;
const GROUP_BYTES: usize = 4 << 20;

/// How long the thread looks for the next commit before it sleeps: to be woken takes a good part of
/// what a sync does, and a caller that waits for its answer comes back sooner.
const LOOK: Duration = Duration::from_micros(50);

/// What is to be committed as one: the entries, and what they make of the sectors and the box.
#[derive(Debug, Clone)]
pub struct Batch {
    /// In order, continuing the history without a gap.
    pub entries: Vec<Entry>,
    /// Each sector that the entries concern, as it is after the last of them.
    pub sectors: Vec<Sector>,
    /// The box's own state after the last entry.
    pub box_state: BoxState,
}

/// A commit that is durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Committed {
    /// Its last entry.
    pub last: Seq,
}

pub type Answer = Result<Committed, StoreError>;

pub struct Queued {
    pub batch: Batch,
    /// The entries as the journal writes them: made by the caller, whose time it costs.
    pub json: Vec<u8>,
    pub answer: oneshot::Sender<Answer>,
}

pub enum Request {
    Commit(Queued),
    Close(SyncSender<Result<(), StoreError>>),
}

/// What is wrong with the store now, for `Store::health`.
#[derive(Debug, Clone, Default)]
pub struct Trouble(Arc<Mutex<Wrong>>);

#[derive(Debug, Default)]
struct Wrong {
    /// The journal, for good.
    broken: Option<StoreError>,
    /// The state, until it has caught up.
    behind: Option<StoreError>,
}

impl Trouble {
    pub fn now(&self) -> Option<StoreError> {
        let wrong = self.lock();
        wrong.broken.clone().or_else(|| wrong.behind.clone())
    }

    pub fn broken(&self, error: StoreError) {
        self.lock().broken = Some(error);
    }

    pub fn behind(&self, error: Option<StoreError>) {
        self.lock().behind = error;
    }

    /// The same is wrong with the state as before, with more entries.
    pub fn behind_by(&self, entries: u64) {
        if let Some(StoreError::StateBehind { by, .. }) = &mut self.lock().behind {
            *by = entries;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Wrong> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub struct Owner {
    // Fields drop in this order: the lock, in `ground`, is let go of last.
    pub follower: Follower,
    pub shared: Shared,
    pub journal: Journal,
    pub trouble: Trouble,
    pub ground: Ground,
}

impl Owner {
    /// Runs until it is asked to close, or no one is left to ask.
    pub fn run(mut self, requests: &Receiver<Request>) {
        while let Some(request) = next(requests) {
            let (group, close) = gather(request, requests);
            self.commit(group);
            if let Some(answer) = close {
                // Whoever asked may be gone; it is closed all the same.
                let _ = answer.send(self.close());
                return;
            }
        }
        self.follower.stop();
        drop(self.shared.take());
    }

    fn commit(&mut self, group: VecDeque<Queued>) {
        if group.is_empty() {
            return;
        }
        if let Err(error) = self.catch_up() {
            return refuse(group, &error);
        }
        let group = self.fitting(group);
        let Some(last) = group.back().map(|queued| queued.batch.box_state.seq) else {
            return;
        };
        let first = Seq(self.journal.last().0 + 1);
        let line = record::line(first, group.iter().map(|queued| queued.json.as_slice()));
        if let Err(error) = self.journal.append(&line, last) {
            if matches!(error, StoreError::Broken { .. }) {
                self.trouble.broken(error.clone());
            }
            return refuse(group, &error);
        }
        let following = self.shared.follow();
        self.follower.follow(Group { batches: answer(group), _following: following });
    }

    /// The commits that continue the history; the others are refused, each by itself.
    fn fitting(&self, group: VecDeque<Queued>) -> VecDeque<Queued> {
        let mut last = self.journal.last();
        let mut fitting = VecDeque::with_capacity(group.len());
        for queued in group {
            match check(&queued.batch, last) {
                Ok(()) => {
                    last = queued.batch.box_state.seq;
                    fitting.push_back(queued);
                }
                Err(why) => {
                    let _ = queued.answer.send(Err(StoreError::Refused { why }));
                }
            }
        }
        fitting
    }

    /// Brings a state that an earlier commit could not be put into after the journal again. sled
    /// stays in error until it is opened anew.
    fn catch_up(&mut self) -> Result<(), StoreError> {
        if !self.follower.is_behind() {
            return Ok(());
        }
        let mut report = Vec::new();
        let caught_up = self.follower.catch_up(self.journal.last(), || {
            let segments = scan::segments(&self.ground.journal)?;
            recover::bring_up(&self.ground, &segments, &Opening::default(), &mut report)
        });
        for line in report {
            tracing::warn!("{line}");
        }
        caught_up
    }

    /// Leaves a state that the next start can trust even after a power cut.
    fn close(&mut self) -> Result<(), StoreError> {
        self.follower.stop();
        self.catch_up()?;
        self.journal.finish()?;
        match self.shared.take() {
            Some(state) => state.close()?,
            None => return Err(StoreError::Closed),
        }
        die_at("store.state_closed");
        self.ground.mark_clean()
    }
}

/// The next request. None if no one is left to ask.
fn next(requests: &Receiver<Request>) -> Option<Request> {
    let start = Instant::now();
    while start.elapsed() < LOOK {
        match requests.try_recv() {
            Ok(request) => return Some(request),
            Err(TryRecvError::Empty) => std::thread::yield_now(),
            Err(TryRecvError::Disconnected) => return None,
        }
    }
    requests.recv().ok()
}

/// The request that came, and what has queued up behind it.
fn gather(
    first: Request,
    requests: &Receiver<Request>,
) -> (VecDeque<Queued>, Option<SyncSender<Result<(), StoreError>>>) {
    let mut group = VecDeque::new();
    let mut bytes = 0;
    let mut next = Some(first);
    while let Some(request) = next {
        match request {
            Request::Commit(queued) => {
                bytes += queued.json.len();
                group.push_back(queued);
            }
            Request::Close(answer) => return (group, Some(answer)),
        }
        let more = group.len() < GROUP_COMMITS && bytes < GROUP_BYTES;
        next = if more { requests.try_recv().ok() } else { None };
    }
    (group, None)
}

/// Tells every caller that its commit is durable, and leaves what the state takes.
fn answer(group: VecDeque<Queued>) -> Vec<Batch> {
    let told = |Queued { batch, json: _, answer }: Queued| {
        // A caller that stopped waiting does not undo its commit.
        let _ = answer.send(Ok(Committed { last: batch.box_state.seq }));
        batch
    };
    group.into_iter().map(told).collect()
}

fn refuse(group: VecDeque<Queued>, error: &StoreError) {
    for queued in group {
        let _ = queued.answer.send(Err(error.clone()));
    }
}

/// Whether a batch continues the history after `last` and is what it says it is.
fn check(batch: &Batch, last: Seq) -> Result<(), String> {
    let mut concerned: BTreeMap<SectorNumber, Seq> = BTreeMap::new();
    let mut seq = last;
    for entry in &batch.entries {
        seq = Seq(seq.0 + 1);
        if entry.seq != seq {
            return Err(format!("entry {} came where {} was due", entry.seq.0, seq.0));
        }
        if let Happened::Sector { number, .. } = &entry.happened {
            concerned.insert(*number, seq);
        }
    }
    if batch.entries.is_empty() {
        return Err("it has no entries".to_owned());
    }
    if batch.box_state.seq != seq {
        return Err(format!(
            "the box's state is of entry {}, the last one is {}",
            batch.box_state.seq.0, seq.0
        ));
    }
    for sector in &batch.sectors {
        let number = sector.id.number;
        match concerned.remove(&number) {
            Some(seq) if seq == sector.seq => {}
            Some(seq) => {
                return Err(format!(
                    "sector {number} is of entry {}, its last one is {}",
                    sector.seq.0, seq.0
                ));
            }
            None => return Err(format!("no entry concerns sector {number}, or it came twice")),
        }
    }
    match concerned.first_key_value() {
        Some((number, _)) => Err(format!("sector {number} is missing")),
        None => Ok(()),
    }
}
