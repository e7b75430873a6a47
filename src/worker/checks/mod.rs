//! Finished sectors, proven again from storage: all of them in turn on a schedule, and any one of
//! them when a person asks.
//!
//! Each storage has a thread of its own, which looks at one sector at a time. So a storage that
//! hangs holds up its own sectors only, and no disk has to serve two of these reads at once.

pub mod prove;
mod round;

use std::collections::{BTreeMap, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use tokio::sync::{mpsc::UnboundedSender, watch};

use crate::domain::failure::{Class, Failure};
use crate::domain::ids::SectorNumber;
use crate::domain::order::Pass;
use crate::domain::sector::{Sector, Stage};
use crate::domain::units::Timestamp;
use crate::scheduler::input::Input;
use crate::scheduler::run::Clock;
use crate::store::Reader;
use crate::worker::phases::Tools;
use prove::{Far, Found};
use round::Round;

/// What is asked for and not over: more is a mistake, and has to wait.
const MOST_WAITING: usize = 1_000;
/// Answers that are kept for whoever asked.
const KEPT: usize = 1_000;

/// A sector that a person wants proven again.
#[derive(Debug)]
struct Order {
    sector: SectorNumber,
    by: String,
}

/// What became of an order.
#[derive(Debug, Clone)]
enum State {
    Waiting,
    Running(Arc<Far>),
    Ended { found: Found, at: Timestamp },
}

/// The same, for who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Seen {
    /// For its turn, or for a storage that does not answer now, which the failure says.
    Waiting(Option<Failure>),
    Running {
        done_bytes: u64,
        total_bytes: u64,
    },
    Ended {
        found: Found,
        at: Timestamp,
    },
}

#[derive(Debug, Default)]
struct Asked {
    states: BTreeMap<SectorNumber, State>,
    /// The sectors that have an answer, the oldest first.
    ended: VecDeque<SectorNumber>,
}

/// Takes orders, and tells what came of them. Cheap to clone.
#[derive(Clone)]
pub struct Checks {
    asked: Arc<Mutex<Asked>>,
    orders: Arc<BTreeMap<PathBuf, Sender<Order>>>,
    changes: Arc<watch::Sender<u64>>,
}

/// What the threads work with.
pub struct Parts {
    pub tools: Arc<Tools>,
    pub reader: Reader,
    pub inputs: UnboundedSender<Input>,
    pub clock: Clock,
    /// How long one pass over all finished sectors takes; none: only on demand.
    pub every: Option<Duration>,
    /// Where the last run left off, for each storage.
    pub passes: BTreeMap<String, Pass>,
}

impl Checks {
    /// Starts one thread for each storage.
    ///
    /// # Errors
    /// When the system gives no more threads.
    pub fn start(parts: &Parts) -> std::io::Result<Self> {
        let mut receivers = Vec::new();
        let mut orders = BTreeMap::new();
        for root in &parts.tools.storage {
            let (sender, receiver) = channel();
            orders.insert(root.path().to_path_buf(), sender);
            receivers.push((root.path().to_path_buf(), receiver));
        }
        let changes = Arc::new(watch::Sender::new(0));
        let this = Self { asked: Arc::default(), orders: Arc::new(orders), changes };
        for (index, (root, receiver)) in receivers.into_iter().enumerate() {
            let round = Round::new(parts, this.clone(), root, receiver);
            thread::Builder::new().name(format!("check-{index}")).spawn(move || round.run())?;
        }
        Ok(this)
    }

    /// Takes no order: there is no storage.
    #[cfg(test)]
    pub fn idle() -> Self {
        let changes = Arc::new(watch::Sender::new(0));
        Self { asked: Arc::default(), orders: Arc::default(), changes }
    }

    /// Has the stored copy of a finished sector proven again, every byte of it.
    ///
    /// # Errors
    /// Operator: it is not finished; its storage is not configured; too many are asked for already.
    pub fn order(&self, sector: &Sector, by: &str) -> Result<(), Failure> {
        let number = sector.id.number;
        let refused =
            |what: String, mend: &str| Err(Failure::new(Class::Operator, what, mend.to_owned()));
        let Some(root) = root_of(sector) else {
            let what =
                format!("sector {number} is not finished, so it has no stored copy to prove");
            return refused(what, "look at the sector's page for where it stands");
        };
        let Some(thread) = self.orders.get(root) else {
            let what = format!("sector {number} lies in {}, which is no storage", root.display());
            return refused(what, "configure it as a [[storage]] and start sealbox again");
        };
        let mut asked = self.asked();
        match asked.states.get(&number) {
            Some(State::Waiting | State::Running(_)) => return Ok(()),
            Some(State::Ended { .. }) | None => {}
        }
        if asked.states.len() - asked.ended.len() >= MOST_WAITING {
            let what = format!("{MOST_WAITING} sectors wait to be proven again already");
            return refused(what, "ask again when some of them are done");
        }
        asked.ended.retain(|ended| *ended != number);
        asked.states.insert(number, State::Waiting);
        drop(asked);
        // The thread ends with the process only.
        drop(thread.send(Order { sector: number, by: by.to_owned() }));
        self.changed();
        Ok(())
    }

    /// What became of the last order for this sector; none if there was none in this run, or long
    /// ago. `hung` says whether a storage hangs.
    pub fn seen(
        &self,
        sector: &Sector,
        hung: impl FnOnce(&Path) -> Option<Failure>,
    ) -> Option<Seen> {
        let waits = || root_of(sector).and_then(hung);
        let state = self.asked().states.get(&sector.id.number).cloned()?;
        Some(match state {
            State::Waiting => Seen::Waiting(waits()),
            State::Running(far) => match waits() {
                Some(failure) => Seen::Waiting(Some(failure)),
                None => Seen::Running {
                    done_bytes: far.done.load(Ordering::Relaxed),
                    total_bytes: far.total.load(Ordering::Relaxed),
                },
            },
            State::Ended { found, at } => Seen::Ended { found, at },
        })
    }

    /// Counts up when an order is taken, begun or over.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    fn begun(&self, sector: SectorNumber) -> Arc<Far> {
        let far = Arc::new(Far::default());
        self.asked().states.insert(sector, State::Running(far.clone()));
        self.changed();
        far
    }

    fn ended(&self, sector: SectorNumber, found: Found, at: Timestamp) {
        let mut asked = self.asked();
        asked.states.insert(sector, State::Ended { found, at });
        asked.ended.push_back(sector);
        if asked.ended.len() > KEPT
            && let Some(oldest) = asked.ended.pop_front()
        {
            asked.states.remove(&oldest);
        }
        drop(asked);
        self.changed();
    }

    fn asked(&self) -> MutexGuard<'_, Asked> {
        // Each change is one insert: a panic elsewhere cannot leave it half-done.
        self.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn changed(&self) {
        self.changes.send_modify(|count| *count += 1);
    }
}

/// The storage that holds the copy of a finished sector.
fn root_of(sector: &Sector) -> Option<&Path> {
    match &sector.stage {
        Stage::Finished { sealed, .. } => Some(Path::new(&sealed.stored.root)),
        Stage::Ticket
        | Stage::P1 { .. }
        | Stage::P2 { .. }
        | Stage::PreCommitting { .. }
        | Stage::WaitSeed { .. }
        | Stage::P3 { .. }
        | Stage::Proving { .. }
        | Stage::P6 { .. }
        | Stage::GivenUp { .. } => None,
    }
}
