//! The scheduler's mind: all of the box's state, and what each input makes of it. No I/O, no clock:
//! what it decides is collected, to be made durable first and acted on after.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::domain::admission::{Capacity, Group, Queue, Start, admit};
use crate::domain::event::{BoxEvent, Entry, Event, Happened};
use crate::domain::failure::{Class, Failure};
use crate::domain::ids::{ActorId, OrderId, SectorNumber};
use crate::domain::order::{BoxState, OPEN_ORDERS_LIMIT, ORDER_LIMIT, Order};
use crate::domain::phase::Phase;
use crate::domain::pipeline::{self, Effect, IllegalEvent, Stamp};
#[cfg(test)]
use crate::domain::planted::{Bug, planted};
use crate::domain::sector::{Cleaning, Data, Sector, Stage};
use crate::domain::units::{SectorSize, Seq, Timestamp};

use super::command::{Command, Done, Refusal, Retried};
use super::view::{BoxView, Doing, LISTED, ThrottleView, WorkerView};

/// What the box is told once, at start.
#[derive(Debug, Clone)]
pub struct Settings {
    pub miner: ActorId,
    pub sector_size: SectorSize,
    pub simulated: bool,
    pub max_outstanding: BTreeMap<SectorSize, u64>,
    pub auto_pledge: u64,
}

/// What a phase is held back by. It may be several at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cause {
    /// The Groth parameters are not there yet.
    Parameters,
    /// The scratch does not answer.
    Scratch,
    /// No storage answers.
    Storage,
}

/// A worker's place in the crew.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WorkerId(pub usize);

#[derive(Debug)]
pub struct Worker {
    pub name: String,
    /// Index of its group.
    pub group: usize,
    pub doing: Option<Doing>,
}

/// The workers of one `[[worker]]` entry.
#[derive(Debug)]
struct Crew {
    phases: BTreeSet<Phase>,
    total: usize,
    idle: Vec<WorkerId>,
}

/// What the store brought back.
#[derive(Debug, Default)]
pub struct Past {
    pub box_state: BoxState,
    pub active: Vec<Sector>,
    pub finished: u64,
    pub given_up: u64,
    pub report: Vec<String>,
}

/// A task to be handed to a worker.
#[derive(Debug, Clone)]
pub struct Assignment {
    pub worker: WorkerId,
    pub sector: Arc<Sector>,
    pub phase: Phase,
}

/// What was decided since the last time: commit first, then act.
#[derive(Debug, Default)]
pub struct Decided {
    pub entries: Vec<Entry>,
    /// The changed sectors as they are now.
    pub sectors: Vec<Arc<Sector>>,
    pub box_state: BoxState,
    pub effects: Vec<(SectorNumber, Effect)>,
    pub assignments: Vec<Assignment>,
}

#[derive(Debug)]
pub struct Core {
    settings: Settings,
    box_state: BoxState,
    /// In flight only; what is over lives in the store.
    sectors: BTreeMap<SectorNumber, Arc<Sector>>,
    /// Which of them wait for a person.
    attention: BTreeSet<SectorNumber>,
    queue: Queue,
    workers: Vec<Worker>,
    crews: Vec<Crew>,
    finished: u64,
    given_up: u64,
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
    entries: Vec<Entry>,
    changed: BTreeMap<SectorNumber, Arc<Sector>>,
    effects: Vec<(SectorNumber, Effect)>,
    assignments: Vec<Assignment>,
}

impl Core {
    /// `groups`: for each `[[worker]]` entry its phases and how many workers it has.
    pub fn new(settings: Settings, groups: &[(BTreeSet<Phase>, usize)], past: Past) -> Self {
        let mut core = Self {
            settings,
            box_state: past.box_state,
            sectors: BTreeMap::new(),
            attention: BTreeSet::new(),
            queue: Queue::default(),
            workers: Vec::new(),
            crews: Vec::new(),
            finished: past.finished,
            given_up: past.given_up,
            report: past.report,
            stopping: false,
            suspect: None,
            halted: None,
            held: BTreeMap::new(),
            hung: BTreeSet::new(),
            entries: Vec::new(),
            changed: BTreeMap::new(),
            effects: Vec::new(),
            assignments: Vec::new(),
        };
        let mut named: BTreeMap<String, usize> = BTreeMap::new();
        for (index, (phases, num)) in groups.iter().enumerate() {
            let first = core.workers.len();
            let name = group_name(phases);
            for _ in 0..*num {
                let n = named.entry(name.clone()).or_default();
                let name = format!("{name}-{n}");
                *n += 1;
                core.workers.push(Worker { name, group: index, doing: None });
            }
            let idle = (first..core.workers.len()).rev().map(WorkerId).collect();
            core.crews.push(Crew { phases: phases.clone(), total: *num, idle });
        }
        for sector in past.active {
            core.note(None, Arc::new(sector));
        }
        core
    }

    pub fn workers(&self) -> &[Worker] {
        &self.workers
    }

    /// After a start: attempts that were running were interrupted, what the chain was asked for is
    /// asked again, and the configured number of sectors is ordered.
    pub fn wake(&mut self, now: Timestamp) {
        let mut rescued = 0u32;
        for sector in self.sectors.values().cloned().collect::<Vec<_>>() {
            self.effects.extend(
                pipeline::owed(&sector).into_iter().map(|effect| (sector.id.number, effect)),
            );
            let running = sector.stage.works().filter(|(_, work)| work.is_running());
            for phase in running.map(|(phase, _)| phase).collect::<Vec<_>>() {
                rescued += 1;
                self.must_happen(sector.id.number, Event::Interrupted { phase }, now);
            }
        }
        if rescued > 0 {
            self.report.push(format!(
                "{rescued} attempt(s) were running when sealbox stopped; they start again"
            ));
        }
        #[cfg(test)]
        if planted(Bug::EffectsForgotten) {
            self.effects.clear();
        }
        let ordered = self.box_state.ordered;
        #[cfg(test)]
        let ordered = if planted(Bug::PledgesAgain) { 0 } else { ordered };
        let missing = self.settings.auto_pledge.saturating_sub(ordered);
        if missing > 0 {
            let size = self.settings.sector_size;
            self.order(size, missing.min(ORDER_LIMIT), "auto_pledge", now);
        }
    }

    /// Nothing new starts from now on.
    pub fn stop(&mut self) {
        self.stopping = true;
    }

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

    /// Why phases wait, all causes of each in one.
    fn held_words(&self) -> BTreeMap<Phase, String> {
        let mut words: BTreeMap<Phase, String> = BTreeMap::new();
        let add = |words: &mut BTreeMap<Phase, String>, phase, why: &str| {
            let all = words.entry(phase).or_default();
            if !all.contains(why) {
                all.push_str(if all.is_empty() { "" } else { "; " });
                all.push_str(why);
            }
        };
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
    fn held_tasks(&self) -> BTreeSet<(Phase, SectorNumber)> {
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
        let before = self.sectors.get(&number).cloned();
        let stamp = self.stamp(now);
        let (after, effects) = pipeline::fold(before.as_deref(), number, stamp, &event)?;
        self.effects.extend(effects.into_iter().map(|effect| (number, effect)));
        let after = Arc::new(after);
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
        self.must_happen(number, event, now);
    }

    /// Starts what may start.
    pub fn admit(&mut self, now: Timestamp) {
        if self.stopping || self.is_suspect() || self.halted.is_some() {
            return;
        }
        for start in admit(&self.queue, &self.box_state.orders, &self.capacity(), now) {
            match start {
                Start::Issue { order, size } => self.issue(order, size, now),
                Start::Task { sector, phase, group } => self.start(sector, phase, group, now),
            }
        }
    }

    pub fn command(
        &mut self,
        command: &Command,
        by: &str,
        now: Timestamp,
    ) -> Result<Done, Refusal> {
        let by = by.to_owned();
        match *command {
            Command::Order { size, count } => {
                if !(1..=ORDER_LIMIT).contains(&count) {
                    return Err(Refusal::Invalid {
                        what: format!("{count} is not a number of sectors that can be ordered"),
                        mend: format!("order 1 to {ORDER_LIMIT} at a time"),
                    });
                }
                if self.box_state.orders.len() >= OPEN_ORDERS_LIMIT {
                    return Err(Refusal::Conflict {
                        what: format!("{OPEN_ORDERS_LIMIT} orders are open already"),
                        mend: "order more sectors at a time, or wait".to_owned(),
                    });
                }
                Ok(Done::Ordered(self.order(size, count, &by, now)))
            }
            Command::CancelOrder { order } => {
                if !self.box_state.orders.contains_key(&order) {
                    return Err(Refusal::NotFound(format!("open order {order}")));
                }
                self.box_event(BoxEvent::Cancelled { order, by }, now);
                Ok(Done::Cancelled(order))
            }
            Command::Retry { sector, phase } => self.retry(sector, phase, &by, now),
            Command::RetryAll => {
                let mut retried = Vec::new();
                for sector in self.attention.iter().copied().collect::<Vec<_>>() {
                    if let Ok(Done::Retried(some)) = self.retry(sector, None, &by, now) {
                        retried.extend(some);
                    }
                }
                Ok(Done::Retried(retried))
            }
            Command::Redo { sector } => {
                self.ask(sector, Event::Redone { by }, now)?;
                Ok(Done::Redone(sector))
            }
            Command::Abort { sector } => {
                self.ask(sector, Event::Aborted { by }, now)?;
                let now = self.sectors.get(&sector).is_none_or(|s| s.giving_up.is_none());
                Ok(Done::Aborted { sector, now })
            }
            Command::PauseIntake => {
                if !self.box_state.intake_paused {
                    self.box_event(BoxEvent::IntakePaused { by }, now);
                }
                Ok(Done::IntakePaused)
            }
            Command::ResumeIntake => {
                if self.box_state.intake_paused {
                    self.box_event(BoxEvent::IntakeResumed { by }, now);
                }
                Ok(Done::IntakeResumed)
            }
            Command::RecordOrphan { ref path, bytes, sector } => {
                if let Some(number) = sector.filter(|number| self.sectors.contains_key(number)) {
                    return Err(Refusal::Conflict {
                        what: format!("sector {number} was begun meanwhile, and owns this"),
                        mend: "nothing was deleted".to_owned(),
                    });
                }
                let path = path.clone();
                self.box_event(BoxEvent::OrphanDeleted { path: path.clone(), bytes, by }, now);
                Ok(Done::OrphanRecorded { path, bytes })
            }
        }
    }

    /// Takes what was decided. The caller makes it durable, then acts.
    pub fn take(&mut self) -> Decided {
        let changed = std::mem::take(&mut self.changed);
        Decided {
            entries: std::mem::take(&mut self.entries),
            sectors: changed.into_values().collect(),
            box_state: self.box_state.clone(),
            effects: std::mem::take(&mut self.effects),
            assignments: std::mem::take(&mut self.assignments),
        }
    }

    /// The box as it is. What only the edge knows (chain trouble, a store that cannot be written)
    /// is added there.
    pub fn view(&self, now: Timestamp) -> BoxView {
        BoxView {
            at: now,
            seq: self.box_state.seq,
            simulated: self.settings.simulated,
            miner: self.settings.miner,
            sector_size: self.settings.sector_size,
            counts: *self.queue.counts(),
            finished: self.finished,
            given_up: self.given_up,
            in_flight: self.in_flight_list(),
            attention: self.attention_list(),
            chain_trouble: Vec::new(),
            workers: self.workers.iter().map(|worker| self.worker_view(worker)).collect(),
            throttles: self.throttles(),
            orders: self.box_state.orders.values().cloned().collect(),
            intake_paused: self.box_state.intake_paused,
            held: self.held_words(),
            stopping: self.stopping,
            suspect: self.suspect.clone(),
            behind: None,
            trouble: self.halted.clone(),
            report: self.report.clone(),
        }
    }

    #[cfg(test)]
    pub(super) fn halted(&self) -> Option<&Failure> {
        self.halted.as_ref()
    }

    /// The state in flight and both indexes of it, for the simulation to compare.
    #[cfg(test)]
    pub(super) fn insides(
        &self,
    ) -> (&BTreeMap<SectorNumber, Arc<Sector>>, &Queue, &BTreeSet<SectorNumber>) {
        (&self.sectors, &self.queue, &self.attention)
    }

    /// What runs comes first: where many wait, it would not be seen otherwise.
    fn in_flight_list(&self) -> Vec<Arc<Sector>> {
        let doing = self.workers.iter().filter_map(|worker| Some(worker.doing?.sector));
        let running: BTreeSet<SectorNumber> = doing.collect();
        let others = self.sectors.keys().filter(|number| !running.contains(number)).take(LISTED);
        let listed = running.iter().chain(others).take(LISTED);
        let mut listed: Vec<_> =
            listed.filter_map(|number| self.sectors.get(number).cloned()).collect();
        listed.sort_by_key(|sector| sector.id.number);
        listed
    }

    fn attention_list(&self) -> Vec<Arc<Sector>> {
        let of = |number| self.sectors.get(number).cloned();
        self.attention.iter().take(LISTED).filter_map(of).collect()
    }

    fn worker_view(&self, worker: &Worker) -> WorkerView {
        WorkerView {
            name: worker.name.clone(),
            phases: self.crews[worker.group].phases.iter().copied().collect(),
            doing: worker.doing,
        }
    }

    fn throttles(&self) -> Vec<ThrottleView> {
        SectorSize::ALL
            .into_iter()
            .map(|size| self.throttle(size))
            .filter(|t| t.limit.is_some() || t.outstanding > 0 || t.waiting > 0)
            .filter(|t| t.size == self.settings.sector_size || t.outstanding > 0 || t.waiting > 0)
            .collect()
    }

    fn throttle(&self, size: SectorSize) -> ThrottleView {
        let orders = self.box_state.orders.values().filter(|order| order.size == size);
        let held = |number: &&SectorNumber| {
            self.sectors.get(*number).is_some_and(|sector| sector.size == size)
        };
        ThrottleView {
            size,
            limit: self.settings.max_outstanding.get(&size).copied(),
            outstanding: self.queue.outstanding(size),
            waiting: orders.map(|order| order.count - order.issued).sum(),
            held_by: self.attention.iter().filter(held).take(LISTED).copied().collect(),
        }
    }

    fn capacity(&self) -> Capacity {
        let group = |crew: &Crew| Group {
            phases: crew.phases.clone(),
            total: crew.total,
            free: crew.idle.len(),
        };
        Capacity {
            groups: self.crews.iter().map(group).collect(),
            max_outstanding: self.settings.max_outstanding.clone(),
            intake_open: !self.box_state.intake_paused,
            held: self.held.keys().map(|(phase, _)| *phase).collect(),
            held_tasks: self.held_tasks(),
        }
    }

    fn order(&mut self, size: SectorSize, count: u64, by: &str, now: Timestamp) -> Order {
        let order = OrderId(self.box_state.next_order);
        self.box_event(BoxEvent::Ordered { order, size, count, by: by.to_owned() }, now);
        Order { id: order, size, count, issued: 0, by: by.to_owned(), at: now }
    }

    fn issue(&mut self, order: OrderId, size: SectorSize, now: Timestamp) {
        let issued = Event::Issued {
            miner: self.settings.miner,
            size,
            data: Data::CommittedCapacity,
            order,
            simulated: self.settings.simulated,
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

    fn retry(
        &mut self,
        number: SectorNumber,
        phase: Option<Phase>,
        by: &str,
        now: Timestamp,
    ) -> Result<Done, Refusal> {
        let sector = self.in_flight(number)?;
        let phases: Vec<Phase> = match phase {
            Some(phase) => vec![phase],
            None => sector.failures().map(|(phase, _)| phase).collect(),
        };
        if phases.is_empty() {
            return Err(Refusal::Conflict {
                what: format!("sector {number} has no failed task"),
                mend: "nothing needs to be done".to_owned(),
            });
        }
        let mut retried = Vec::new();
        self.halted = None;
        for phase in phases {
            #[cfg(test)]
            if planted(Bug::LostRetry) {
                retried.push(Retried { sector: number, phase });
                continue;
            }
            self.ask(number, Event::Retried { phase, by: by.to_owned() }, now)?;
            retried.push(Retried { sector: number, phase });
        }
        Ok(Done::Retried(retried))
    }

    /// A person's wish, which the sector's state may refuse.
    fn ask(&mut self, number: SectorNumber, event: Event, now: Timestamp) -> Result<(), Refusal> {
        self.in_flight(number)?;
        self.happen(number, event, now).map_err(|illegal| Refusal::Conflict {
            what: format!(
                "sector {number} (at {}) cannot be {}: {}",
                illegal.stage, illegal.event, illegal.why
            ),
            mend: "look at the sector's page for what it allows".to_owned(),
        })
    }

    fn in_flight(&self, number: SectorNumber) -> Result<&Arc<Sector>, Refusal> {
        match self.sectors.get(&number) {
            Some(sector) => Ok(sector),
            None if number.0 < self.box_state.next_number => Err(Refusal::Conflict {
                what: format!("sector {number} is finished or given up"),
                mend: "nothing needs to be done".to_owned(),
            }),
            None => Err(Refusal::NotFound(format!("sector {number}"))),
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
        self.box_state = self
            .box_state
            .apply(&entry)
            .expect("the core numbers orders and sectors from this very state");
        self.entries.push(entry);
    }

    /// Takes note of a sector as it is now.
    fn note(&mut self, before: Option<&Sector>, after: Arc<Sector>) {
        let number = after.id.number;
        self.queue.update(before, &after);
        if after.failures().next().is_some() {
            self.attention.insert(number);
        } else {
            self.attention.remove(&number);
        }
        match &after.stage {
            Stage::Finished { .. } => {
                self.finished += 1;
                self.sectors.remove(&number);
            }
            Stage::GivenUp { .. } => {
                self.given_up += 1;
                self.sectors.remove(&number);
            }
            Stage::Ticket
            | Stage::P1 { .. }
            | Stage::P2 { .. }
            | Stage::PreCommitting { .. }
            | Stage::WaitSeed { .. }
            | Stage::P3 { .. }
            | Stage::Proving { .. }
            | Stage::P6 { .. } => {
                self.sectors.insert(number, after);
            }
        }
        // A halt stands with the failed task that caused it: when that was aborted, there would be
        // nothing left to retry, and the box would stand still for good.
        if self.halted.is_some() && !self.attention.iter().any(|number| self.is_fatal(*number)) {
            self.halted = None;
        }
    }

    fn is_fatal(&self, number: SectorNumber) -> bool {
        let sector = self.sectors.get(&number);
        sector.is_some_and(|s| s.failures().any(|(_, failure)| failure.class == Class::Fatal))
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
