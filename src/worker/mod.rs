//! The workers: named threads, each running one attempt at a time, woken by the scheduler.
//!
//! Proving runs for hours: it never gets near the async runtime's threads.

pub mod apart;
pub mod checks;
pub mod panics;
pub mod phases;
pub mod priority;
pub mod progress;
pub mod timeline;
mod trees;

use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use tokio::sync::{mpsc::UnboundedSender, oneshot};

use crate::domain::event::Event;
use crate::domain::failure::{Class, Failure};
use crate::domain::phase::Phase;
use crate::domain::sector::Sector;
use crate::scheduler::core::{Assignment, Worker, WorkerId};
use crate::scheduler::input::Input;
use crate::stop::Stop;
use crate::storage::clean::Deleted;
use crate::telemetry;
use phases::{Told, Tools, run_phase};
use priority::Priority;

/// The threads' ends of the channels that assignments go through.
pub struct Crew {
    seats: Vec<Seat>,
}

struct Seat {
    assign: Sender<Task>,
    /// The last assignment's.
    stop: Mutex<Stop>,
}

/// What a worker's thread is handed.
struct Task {
    sector: Arc<Sector>,
    phase: Phase,
    stop: Stop,
}

impl Crew {
    /// Starts one thread for each worker.
    ///
    /// # Errors
    /// When the system gives no more threads.
    pub fn start(
        workers: &[Worker],
        priority: &Priority,
        tools: &Arc<Tools>,
        inputs: &UnboundedSender<Input>,
    ) -> std::io::Result<Self> {
        let mut seats = Vec::with_capacity(workers.len());
        for (index, worker) in workers.iter().enumerate() {
            let (sender, receiver) = channel();
            let me = Me { id: WorkerId(index), tools: tools.clone(), inputs: inputs.clone() };
            let priority = worker.proves.then(|| priority.clone());
            thread::Builder::new().name(worker.name.clone()).spawn(move || {
                priority.iter().for_each(Priority::enter);
                me.work(&receiver);
            })?;
            seats.push(Seat { assign: sender, stop: Mutex::default() });
        }
        Ok(Self { seats })
    }

    /// Wakes the assignment's worker with it.
    pub fn assign(&self, assignment: Assignment) {
        let Assignment { worker, sector, phase } = assignment;
        let stop = Stop::default();
        *self.seats[worker.0].stop() = stop.clone();
        // A worker's thread ends with the process only: attempts are run inside catch_unwind.
        drop(self.seats[worker.0].assign.send(Task { sector, phase, stop }));
    }

    /// Ends the worker's attempt, if it has not ended yet.
    pub fn end_attempt(&self, worker: WorkerId) {
        self.seats[worker.0].stop().order();
    }
}

impl Seat {
    fn stop(&self) -> MutexGuard<'_, Stop> {
        // It is replaced as a whole: a panic elsewhere cannot leave it half-done.
        self.stop.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Me {
    id: WorkerId,
    tools: Arc<Tools>,
    inputs: UnboundedSender<Input>,
}

impl Me {
    fn work(&self, assignments: &Receiver<Task>) {
        while let Ok(task) = assignments.recv() {
            let event = self.attempt(&task);
            self.tools.timeline.ended(&task.sector, &event);
            let ended = Input::Ended { worker: self.id, sector: task.sector.id.number, event };
            // The scheduler is gone only when the process stops; the attempt is rescued then.
            drop(self.inputs.send(ended));
        }
    }

    /// One attempt, and the one place where its end is logged.
    fn attempt(&self, task: &Task) -> Event {
        let Task { sector, phase, stop } = task;
        let phase = *phase;
        let number = sector.id.number.0;
        let attempt = sector.tasks[phase].attempts;
        // Of the highest level, so that lines are known to be the attempt's under every filter.
        let span = tracing::error_span!("attempt", sector = number, phase = %phase, attempt);
        let _entered = span.enter();
        tracing::info!("attempt started");
        let mut record = |deleted: &Deleted| self.record(sector, deleted);
        let advanced = || {
            // The scheduler is gone only when the process stops.
            drop(self.inputs.send(Input::Advanced { sector: sector.id.number, phase }));
        };
        let told = Told { record: &mut record, advanced: &advanced };
        let ended = panics::caught(|| run_phase(&self.tools, sector, phase, stop, told))
            .unwrap_or_else(|panic| Err(self.panicked(sector, phase, panic)));
        match ended {
            Ok(output) => {
                tracing::info!("attempt succeeded");
                Event::Succeeded { output }
            }
            Err(failure) if stop.is_ordered() => {
                tracing::info!(%failure, "attempt stopped by order");
                Event::Interrupted { phase, died: false }
            }
            Err(failure) if self.is_away(sector) => {
                tracing::warn!(%failure, "attempt broken off: its scratch is away");
                Event::Interrupted { phase, died: false }
            }
            Err(failure) => {
                tracing::error!(class = failure.class.name(), %failure, "attempt failed");
                Event::Failed { phase, failure }
            }
        }
    }

    /// Whether the attempt failed for want of its root: that is nobody's failure, and it begins
    /// again by itself when the root is back. The scheduler hears of it before it hears of the end.
    fn is_away(&self, sector: &Sector) -> bool {
        let root = self.tools.home(sector);
        let Some(trouble) = self.tools.home_is_away(&root) else { return false };
        telemetry::report_away(&self.tools.disks, root.root(), &trouble);
        let why = telemetry::away(root.root(), &trouble);
        drop(self.inputs.send(Input::ScratchAway { root, why }));
        true
    }

    fn panicked(&self, sector: &Sector, phase: Phase, panic: panics::Caught) -> Failure {
        let what = format!("{phase} panicked: {}", panic.message);
        let why = format!("{phase} of sector {} panicked", sector.id.number);
        drop(self.inputs.send(Input::EngineSuspect { why }));
        let mend =
            "sealbox restarts itself and tries again; if it stays, report it with the detail";
        Failure::new(Class::Transient, what, mend).detail(panic.backtrace)
    }

    /// Puts a deletion on record and waits until that is durable.
    fn record(&self, sector: &Sector, deleted: &Deleted) -> Result<(), Failure> {
        let Deleted { path, bytes, reason } = deleted.clone();
        let event = Event::Deleted { path, bytes, reason };
        let (durable, recorded) = oneshot::channel();
        let during = Input::During { sector: sector.id.number, event, durable };
        let unrecorded = || {
            let what = "a deletion could not be put on record, so nothing was deleted";
            Failure::new(Class::Transient, what, "it is tried again by itself").at(&deleted.path)
        };
        self.inputs.send(during).map_err(|_| unrecorded())?;
        recorded.blocking_recv().map_err(|_| unrecorded())
    }
}
