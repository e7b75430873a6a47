//! The loop: inputs in, decide, make durable, act. Only one thing happens at a time.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::AbortHandle;
use tokio::time::Instant;

use crate::domain::event::Event;
use crate::domain::failure::Failure;
use crate::domain::ids::SectorNumber;
use crate::domain::pipeline;
use crate::domain::sector::Sector;
use crate::domain::units::Timestamp;
use crate::metrics::Counted;
use crate::store::{Batch, Store};

use super::command::{Ask, Done, Refusal};
use super::core::{Assignment, Core, Decided, WorkerId};
use super::input::Input;
use super::messenger::Messenger;
use super::pulse::Pulse;
use super::view::{BoxView, ChainTrouble};

/// The time of day, from one place, so that a test can give another.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// At most this many inputs are taken into one commit.
const BATCH: usize = 1024;
/// Views are made at most this often; an answered command makes one at once.
const VIEW_EVERY: Duration = Duration::from_millis(100);
/// How long between tries to write a journal that cannot be written.
const STORE_RETRY: Duration = Duration::from_secs(2);

/// Hands an assignment to its worker's thread.
pub type Assign = Box<dyn Fn(Assignment) + Send>;
/// Ends a worker's attempt.
pub type EndAttempt = Box<dyn Fn(WorkerId) + Send>;

pub struct Scheduler {
    pub core: Core,
    pub store: Store,
    pub messenger: Messenger,
    pub assign: Assign,
    pub end_attempt: EndAttempt,
    pub clock: Clock,
    pub inputs: mpsc::UnboundedReceiver<Input>,
    pub asks: mpsc::Receiver<Ask>,
    pub views: watch::Sender<Arc<BoxView>>,
    /// True once the box is to stop.
    pub stop: watch::Receiver<bool>,
    /// The slowest sweep: the configuration's smallest `wait_sec`.
    pub sweep: Duration,
    /// How long running attempts may go on after a stop.
    pub grace: Duration,
    pub pulse: Pulse,
    /// Takes note of what became durable.
    pub counted: Arc<Counted>,
}

/// What follows the end of the loop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Then {
    Stop,
    /// A fresh process takes over: this one's engine is suspect.
    Restart,
}

/// Answers that wait for the commit.
enum Answer {
    Command(oneshot::Sender<Result<Done, Refusal>>, Result<Done, Refusal>),
    Recorded(oneshot::Sender<()>),
}

impl Answer {
    fn send(self) {
        // Who asked may have gone away; the answer is then nobody's.
        match self {
            Self::Command(reply, answer) => drop(reply.send(answer)),
            Self::Recorded(reply) => drop(reply.send(())),
        }
    }
}

/// The loop's own state beside the core's.
struct Loop {
    s: Scheduler,
    chain_trouble: BTreeMap<SectorNumber, Failure>,
    trouble: Option<Failure>,
    /// Whom the chain is being asked for.
    asking: BTreeMap<SectorNumber, AbortHandle>,
    answers: Vec<Answer>,
    view_stale: bool,
    view_made: Instant,
    /// Told to stop while the journal could not be written.
    gave_up: bool,
}

impl Scheduler {
    /// Runs until a stop was asked for and what was running has ended, or the grace is over; or
    /// until the engine is suspect and nothing runs. Gives back the store, to be closed.
    pub async fn run(self) -> (Store, Then) {
        let mut this = Loop {
            s: self,
            chain_trouble: BTreeMap::new(),
            trouble: None,
            asking: BTreeMap::new(),
            answers: Vec::new(),
            view_stale: true,
            view_made: Instant::now(),
            gave_up: false,
        };
        let then = this.run().await;
        (this.s.store, then)
    }
}

impl Loop {
    async fn run(&mut self) -> Then {
        let now = self.now();
        self.s.core.wake(now);
        self.settle().await;
        self.s.pulse.turn();
        let mut stop_by: Option<Instant> = None;
        let mut stop = self.s.stop.clone();
        loop {
            let over = |by| self.s.core.running() == 0 || Instant::now() >= by;
            if self.gave_up || stop_by.is_some_and(over) {
                return Then::Stop;
            }
            if self.s.core.is_suspect() && self.s.core.running() == 0 {
                return Then::Restart;
            }
            let deadline = self.deadline(stop_by);
            tokio::select! {
                Some(input) = self.s.inputs.recv() => self.take(input),
                Some(ask) = self.s.asks.recv() => self.ask(ask),
                // An error means that nobody is left to say stop: the same as stop.
                _ = stop.wait_for(|stop| *stop), if stop_by.is_none() => {
                    let now = self.now();
                    self.s.core.stop(now);
                    self.view_stale = true;
                    self.s.pulse.stops(self.s.grace);
                    stop_by = Some(Instant::now() + self.s.grace);
                }
                () = tokio::time::sleep_until(deadline) => {}
            }
            for _ in 1..BATCH {
                if let Ok(input) = self.s.inputs.try_recv() {
                    self.take(input);
                } else if let Ok(ask) = self.s.asks.try_recv() {
                    self.ask(ask);
                } else {
                    break;
                }
            }
            self.settle().await;
            self.s.pulse.turn();
        }
    }

    /// Decides what starts, makes everything durable, then acts, answers and shows it.
    async fn settle(&mut self) {
        let now = self.now();
        self.s.core.admit(now);
        let decided = self.s.core.take();
        let answered = !self.answers.is_empty();
        if !decided.entries.is_empty() {
            if !self.commit(&decided).await {
                return;
            }
            self.s.counted.happened(&decided.entries);
            self.view_stale = true;
        }
        self.act(decided);
        if self.view_stale && (answered || self.view_made.elapsed() >= VIEW_EVERY) {
            self.show();
        }
        for answer in self.answers.drain(..) {
            answer.send();
        }
    }

    /// Until the journal has it, nothing is acted on and nothing is answered: the loop stands
    /// still here, says so, and goes on by itself when the disk does. False if it was told to stop
    /// before that: nothing of this was acted on, and the next start decides anew.
    async fn commit(&mut self, decided: &Decided) -> bool {
        loop {
            let batch = Batch {
                entries: decided.entries.clone(),
                sectors: decided.sectors.iter().map(|sector| (**sector).clone()).collect(),
                box_state: decided.box_state.clone(),
            };
            let began = Instant::now();
            match self.s.store.commit(batch).await {
                Ok(_) => {
                    self.s.counted.committed(began.elapsed());
                    if self.trouble.take().is_some() {
                        tracing::info!("the journal can be written again");
                    }
                    return true;
                }
                Err(error) => {
                    let failure = Failure::from(error);
                    if self.trouble.as_ref() != Some(&failure) {
                        tracing::error!(%failure, "the journal cannot be written: all work waits");
                    }
                    self.trouble = Some(failure);
                    self.show();
                    // It waits for the disk, and is not stuck.
                    self.s.pulse.turn();
                    if *self.s.stop.borrow() {
                        self.gave_up = true;
                        return false;
                    }
                    tokio::time::sleep(STORE_RETRY).await;
                }
            }
        }
    }

    fn act(&mut self, decided: Decided) {
        for sector in &decided.sectors {
            if pipeline::owed(sector).is_empty() {
                self.ask_no_more(sector.id.number);
            }
        }
        for (number, effect) in decided.effects {
            if let Some(sector) = self.s.core.sector(number) {
                let asking = self.s.messenger.send(sector.clone(), effect);
                if let Some(before) = self.asking.insert(number, asking) {
                    before.abort();
                }
            }
        }
        for worker in decided.stops {
            (self.s.end_attempt)(worker);
        }
        for assignment in decided.assignments {
            (self.s.assign)(assignment);
        }
    }

    /// What the sector has become no longer waits for an answer of the chain.
    fn ask_no_more(&mut self, sector: SectorNumber) {
        self.chain_trouble.remove(&sector);
        if let Some(asking) = self.asking.remove(&sector) {
            asking.abort();
        }
    }

    fn take(&mut self, input: Input) {
        let now = self.now();
        match input {
            Input::During { sector, event, durable } => {
                match self.s.core.happen(sector, event, now) {
                    Ok(()) => self.answers.push(Answer::Recorded(durable)),
                    Err(illegal) => tracing::error!(sector = sector.0, %illegal, "not recorded"),
                }
            }
            Input::Checked { sector, event, durable } => {
                match self.s.core.checked(sector, self.stored(sector), event, now) {
                    Ok(()) => self.answers.push(Answer::Recorded(durable)),
                    Err(illegal) => tracing::warn!(sector = sector.0, %illegal, "not recorded"),
                }
            }
            Input::CheckedUpTo { root, began, up_to } => {
                self.s.core.checked_up_to(root, began, up_to, now);
            }
            Input::Advanced { sector, phase } => {
                // Nobody waits for it; at worst a death is counted that need not have been.
                if let Err(illegal) = self.s.core.happen(sector, Event::Advanced { phase }, now) {
                    tracing::debug!(sector = sector.0, %illegal, "not recorded");
                }
            }
            Input::Ended { worker, sector, event } => {
                self.s.core.attempt_ended(worker, sector, event, now);
            }
            Input::Chain { sector, event } => {
                self.chain_trouble.remove(&sector);
                // An answer to what was asked before the sector was given up comes too late.
                if let Err(illegal) = self.s.core.happen(sector, event, now) {
                    tracing::debug!(sector = sector.0, %illegal, "the chain's answer is not needed");
                }
            }
            Input::EngineSuspect { why } => {
                tracing::warn!("{why}: sealbox restarts itself when what runs has ended");
                self.view_stale = true;
                self.s.core.suspect(why);
            }
            Input::Hold { phase, cause, waits_for } => {
                self.view_stale = true;
                self.s.core.hold(phase, cause, waits_for);
            }
            Input::StorageHangs { roots } => {
                self.view_stale = true;
                self.s.core.storage_hangs(roots);
            }
            Input::Rooms(rooms) => self.view_stale |= self.s.core.rooms(rooms),
            Input::ScratchAway { root, why } => {
                self.view_stale = true;
                self.s.core.scratch_is_away(&root, why);
            }
            // It comes with every look, whether or not anything has changed.
            Input::Stores(stores) => self.s.core.stores(stores),
            Input::ChainTrouble { sector, failure } => {
                self.view_stale = true;
                match failure {
                    Some(failure) => drop(self.chain_trouble.insert(sector, failure)),
                    None => drop(self.chain_trouble.remove(&sector)),
                }
            }
        }
    }

    /// A sector as the store has it; none while that may be older than the journal.
    fn stored(&self, number: SectorNumber) -> Option<Sector> {
        // The reader waits until the state has followed, or could not: asked only then.
        let stored = self.s.store.reader().sector(number).ok().flatten();
        stored.filter(|_| self.s.store.behind().is_none())
    }

    fn ask(&mut self, ask: Ask) {
        let now = self.now();
        let answer = self.s.core.command(&ask.command, &ask.by, now);
        // Limits are changed without an entry, and shown all the same.
        self.view_stale = true;
        tracing::info!(command = ?ask.command, by = ask.by, ok = answer.is_ok(), "command");
        self.answers.push(Answer::Command(ask.reply, answer));
    }

    fn show(&mut self) {
        let mut view = self.s.core.view(self.now());
        if self.trouble.is_some() {
            view.trouble = self.trouble.clone();
        }
        let trouble = |(sector, failure): (&SectorNumber, &Failure)| ChainTrouble {
            sector: *sector,
            failure: failure.clone(),
        };
        view.behind = self.s.store.behind().map(Failure::from);
        view.chain_trouble = self.chain_trouble.iter().map(trouble).collect();
        self.s.pulse.shows(&view);
        self.s.views.send_replace(Arc::new(view));
        self.view_stale = false;
        self.view_made = Instant::now();
    }

    /// When to look again without being woken.
    fn deadline(&self, stop_by: Option<Instant>) -> Instant {
        let mut deadline = Instant::now() + self.s.sweep;
        let now = self.now();
        if let Some(wake) = self.s.core.next_wake(now) {
            deadline = deadline.min(Instant::now() + wake.since(now));
        }
        if self.view_stale {
            deadline = deadline.min(self.view_made + VIEW_EVERY);
        }
        let others = [stop_by, self.s.pulse.next()];
        others.into_iter().flatten().fold(deadline, Instant::min)
    }

    fn now(&self) -> Timestamp {
        (self.s.clock)()
    }
}
