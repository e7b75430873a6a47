//! The scheduler's mind: all of the box's state, and what each input makes of it. No I/O, no clock:
//! what it decides is collected, to be made durable first and acted on after.

mod commands;
mod holds;
mod keep;
mod parts;
mod view;
mod wake;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use crate::domain::admission::{
    Admitted, Bounds, Capacity, Group, Queue, Rooms, Start, Stores, admit,
};
use crate::domain::event::{BoxEvent, Entry, Event, Happened, Output};
use crate::domain::failure::{Class, Failure};
use crate::domain::ids::{OrderId, SectorNumber};
use crate::domain::layout::Scratch;
use crate::domain::order::BoxState;
use crate::domain::phase::Phase;
use crate::domain::pipeline::{self, Effect, IllegalEvent, Stamp};
#[cfg(test)]
use crate::domain::planted::{Bug, planted};
use crate::domain::sector::{Data, Sector};
use crate::domain::times::{Throughput, Usual};
use crate::domain::units::{SectorSize, Seq, Timestamp};

use super::view::Doing;
use parts::Crew;

pub use parts::{Assignment, Cause, Decided, Limits, Past, Settings, Worker, WorkerId};

/// Who orders what no person does.
const BY_ITSELF: &str = "auto_pledge";

#[derive(Debug)]
pub struct Core {
    settings: Settings,
    box_state: BoxState,
    /// In flight only.
    sectors: BTreeMap<SectorNumber, Arc<Sector>>,
    /// Finished with a damaged stored copy; the other finished ones live in the store only.
    damaged: BTreeMap<SectorNumber, Arc<Sector>>,
    /// Which of both wait for a person.
    attention: BTreeSet<SectorNumber>,
    queue: Queue,
    workers: Vec<Worker>,
    crews: Vec<Crew>,
    finished: u64,
    given_up: u64,
    usual: Arc<Usual>,
    throughput: Arc<Throughput>,
    report: Vec<String>,
    stopping: bool,
    /// Why the process is to be replaced by a fresh one as soon as nothing runs.
    suspect: Option<String>,
    /// A failure that concerns the whole box: nothing starts until a person retries something.
    halted: Option<Failure>,
    /// Phases that may not start now, each with what it waits for.
    held: BTreeMap<(Phase, Cause), String>,
    /// Storage that does not answer: what is stored there is not touched.
    hung: BTreeSet<PathBuf>,
    /// The scratch roots, as last looked at; none: not limited.
    rooms: Option<Arc<Rooms>>,
    /// The storage, as last looked at; none: not yet.
    stores: Option<Arc<Stores>>,
    /// Copies that were made since, and when they were done.
    unseen: Vec<(Timestamp, SectorSize)>,
    /// What waits for which want, as decided last.
    waiting: Admitted,
    entries: Vec<Entry>,
    changed: BTreeMap<SectorNumber, Arc<Sector>>,
    effects: Vec<(SectorNumber, Effect)>,
    stops: Vec<WorkerId>,
    assignments: Vec<Assignment>,
}

impl Core {
    /// `groups`: for each `[[worker]]` entry its phases and how many workers it has.
    pub fn new(settings: Settings, groups: &[(BTreeSet<Phase>, usize)], past: Past) -> Self {
        let mut core = Self {
            settings,
            box_state: past.box_state,
            sectors: BTreeMap::new(),
            damaged: BTreeMap::new(),
            attention: BTreeSet::new(),
            queue: Queue::default(),
            workers: Vec::new(),
            crews: Vec::new(),
            finished: past.finished,
            given_up: past.given_up,
            usual: Arc::new(past.usual),
            throughput: Arc::new(past.throughput),
            report: past.report,
            stopping: false,
            suspect: None,
            halted: None,
            held: BTreeMap::new(),
            hung: BTreeSet::new(),
            rooms: None,
            stores: None,
            unseen: Vec::new(),
            waiting: Admitted::default(),
            entries: Vec::new(),
            changed: BTreeMap::new(),
            effects: Vec::new(),
            stops: Vec::new(),
            assignments: Vec::new(),
        };
        let mut named: BTreeMap<String, usize> = BTreeMap::new();
        for (index, (phases, num)) in groups.iter().enumerate() {
            let first = core.workers.len();
            let name = group_name(phases);
            let proves = phases.iter().any(|phase| phase.proves());
            for _ in 0..*num {
                let n = named.entry(name.clone()).or_default();
                let name = format!("{name}-{n}");
                *n += 1;
                core.workers.push(Worker { name, group: index, proves, doing: None });
            }
            let idle = (first..core.workers.len()).rev().map(WorkerId).collect();
            core.crews.push(Crew { phases: phases.clone(), total: *num, idle });
        }
        let damaged = past.damaged;
        #[cfg(test)]
        let damaged = if planted(Bug::DamageForgotten) { Vec::new() } else { damaged };
        for sector in past.active.into_iter().chain(damaged) {
            core.keep(None, Arc::new(sector));
        }
        core
    }

    pub fn workers(&self) -> &[Worker] {
        &self.workers
    }

    pub fn running(&self) -> usize {
        self.workers.iter().filter(|worker| worker.doing.is_some()).count()
    }

    /// When a back-off ends.
    pub fn next_wake(&self, now: Timestamp) -> Option<Timestamp> {
        let idle = self.stopping || self.is_suspect();
        if idle { None } else { self.queue.next_wake(now) }
    }

    pub fn sector(&self, number: SectorNumber) -> Option<&Arc<Sector>> {
        self.sectors.get(&number)
    }

    /// Something happened to a sector.
    pub fn happen(
        &mut self,
        number: SectorNumber,
        event: Event,
        now: Timestamp,
    ) -> Result<(), IllegalEvent> {
        self.happen_to(self.known(number), number, event, now)
    }

    fn happen_to(
        &mut self,
        before: Option<Arc<Sector>>,
        number: SectorNumber,
        event: Event,
        now: Timestamp,
    ) -> Result<(), IllegalEvent> {
        let stamp = self.stamp(now);
        let (after, effects) = pipeline::fold(before.as_deref(), number, stamp, &event)?;
        self.effects.extend(effects.into_iter().map(|effect| (number, effect)));
        let after = Arc::new(after);
        self.learn(&after, &event);
        self.enter(stamp, Happened::Sector { number, event });
        self.changed.insert(number, after.clone());
        self.note(before.as_deref(), after);
        Ok(())
    }

    /// A worker's attempt ended.
    pub fn attempt_ended(
        &mut self,
        worker: WorkerId,
        number: SectorNumber,
        event: Event,
        now: Timestamp,
    ) {
        let group = self.workers[worker.0].group;
        self.workers[worker.0].doing = None;
        #[cfg(test)]
        if planted(Bug::SlotLost) && matches!(event, Event::Failed { .. }) {
            return self.must_happen(number, event, now);
        }
        self.crews[group].idle.push(worker);
        if let Event::Failed { failure, .. } = &event
            && failure.class == Class::Fatal
        {
            self.halted = Some(failure.clone());
        }
        if let Event::Succeeded { output: Output::P5 { .. } } = &event
            && let Some(sector) = self.sectors.get(&number)
        {
            self.stored(sector.size, now);
        }
        self.must_happen(number, event, now);
    }

    /// Starts what may start.
    pub fn admit(&mut self, now: Timestamp) {
        if self.stopping || self.is_suspect() || self.halted.is_some() {
            return;
        }
        let mut admitted = admit(&self.queue, &self.box_state.orders, &self.capacity(), now);
        for start in std::mem::take(&mut admitted.starts) {
            match start {
                Start::Issue { order, size, scratch } => self.issue(order, size, scratch, now),
                Start::Pledge { size, scratch } => {
                    let order = self.order(size, 1, BY_ITSELF, now).id;
                    self.issue(order, size, scratch, now);
                }
                Start::Task { sector, phase, group } => self.start(sector, phase, group, now),
            }
        }
        self.waiting = admitted;
    }

    /// Takes what was decided. The caller makes it durable, then acts.
    pub fn take(&mut self) -> Decided {
        let changed = std::mem::take(&mut self.changed);
        Decided {
            entries: std::mem::take(&mut self.entries),
            sectors: changed.into_values().collect(),
            box_state: self.box_state.clone(),
            effects: std::mem::take(&mut self.effects),
            stops: std::mem::take(&mut self.stops),
            assignments: std::mem::take(&mut self.assignments),
        }
    }

    #[cfg(test)]
    pub(super) fn halted(&self) -> Option<&Failure> {
        self.halted.as_ref()
    }

    #[cfg(test)]
    pub(super) fn rooms_seen(&self) -> Option<&Rooms> {
        self.rooms.as_deref()
    }

    #[cfg(test)]
    pub(super) fn stores_seen(&self) -> Option<&Stores> {
        self.stores.as_deref()
    }

    #[cfg(test)]
    pub(super) fn damaged(&self) -> &BTreeMap<SectorNumber, Arc<Sector>> {
        &self.damaged
    }

    /// The state in flight and both indexes of it, for the simulation to compare.
    #[cfg(test)]
    pub(super) fn insides(
        &self,
    ) -> (&BTreeMap<SectorNumber, Arc<Sector>>, &Queue, &BTreeSet<SectorNumber>) {
        (&self.sectors, &self.queue, &self.attention)
    }

    fn capacity(&self) -> Capacity {
        let group = |crew: &Crew| Group {
            phases: crew.phases.clone(),
            total: crew.total,
            free: crew.idle.len(),
        };
        Capacity {
            groups: self.crews.iter().map(group).collect(),
            max_outstanding: self.settings.limits.max_outstanding.clone(),
            max_outstanding_in_all: self.settings.limits.max_outstanding_in_all,
            intake_open: !self.box_state.intake_paused,
            stores: self.stores.clone(),
            unseen: self.unseen.iter().map(|(_, size)| *size).collect(),
            until_full: self.until_full(),
            porep: self.settings.porep,
            bounds: self.bounds(),
            held: self.held_phases(),
            held_tasks: self.held_tasks(),
        }
    }

    fn bounds(&self) -> Bounds {
        let running = |worker: &Worker| {
            let Doing { sector, phase, .. } = worker.doing?;
            Some((sector, self.sectors.get(&sector)?.kind(), phase))
        };
        Bounds {
            needs: self.settings.limits.needs.clone(),
            machine: self.settings.machine,
            scratch: self.rooms.clone(),
            running: self.workers.iter().filter_map(running).collect(),
        }
    }

    fn issue(
        &mut self,
        order: OrderId,
        size: SectorSize,
        scratch: Option<Scratch>,
        now: Timestamp,
    ) {
        let issued = Event::Issued {
            miner: self.settings.miner,
            size,
            data: Data::CommittedCapacity,
            order,
            simulated: self.settings.simulated,
            porep: self.settings.porep,
            scratch,
        };
        self.must_happen(self.box_state.next_sector(), issued, now);
    }

    fn start(&mut self, number: SectorNumber, phase: Phase, group: usize, now: Timestamp) {
        let Some(worker) = self.crews[group].idle.pop() else { return };
        let name = self.workers[worker.0].name.clone();
        self.workers[worker.0].doing = Some(Doing { sector: number, phase, since: now });
        self.must_happen(number, Event::Started { phase, worker: name }, now);
        if let Some(sector) = self.sectors.get(&number) {
            self.assignments.push(Assignment { worker, sector: sector.clone(), phase });
        }
    }

    /// An event that the core itself derived from the state; that it is illegal would be a bug. It
    /// is dropped then, and said: the sector stays as it was, durable and whole.
    fn must_happen(&mut self, number: SectorNumber, event: Event, now: Timestamp) {
        if let Err(illegal) = self.happen(number, event, now) {
            self.report.push(format!("bug: {illegal}; report this with the journal"));
        }
    }

    fn box_event(&mut self, event: BoxEvent, now: Timestamp) {
        let stamp = self.stamp(now);
        self.enter(stamp, Happened::Box(event));
    }

    fn stamp(&self, now: Timestamp) -> Stamp {
        Stamp { seq: Seq(self.box_state.seq.0 + 1), at: now }
    }

    fn enter(&mut self, stamp: Stamp, happened: Happened) {
        let entry = Entry { seq: stamp.seq, at: stamp.at, happened };
        self.box_state
            .advance(&entry)
            .expect("the core numbers orders and sectors from this very state");
        self.entries.push(entry);
    }
}

/// `p1`, `p2`, …; several phases by their first and last: `p1-p3`.
fn group_name(phases: &BTreeSet<Phase>) -> String {
    let name = |phase: &Phase| phase.short_name().to_lowercase();
    match (phases.first(), phases.last()) {
        (Some(first), Some(last)) if first != last => format!("{}-{}", name(first), name(last)),
        (Some(only), _) => name(only),
        (None, _) => "idle".to_owned(),
    }
}
