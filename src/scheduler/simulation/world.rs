//! The simulated world round the box: workers with their attempts, the chain, the disks, the clock.

mod last_step;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use crate::domain::admission::{Room, Rooms, Stores};
use crate::domain::event::{Event, Output};
use crate::domain::failure::{Class, Failure};
use crate::domain::ids::{Bytes32, CommD, CommR, SealProof, SectorNumber};
use crate::domain::layout::Scratch;
use crate::domain::phase::Phase;
use crate::domain::pipeline;
use crate::domain::planted::{Bug, planted};
use crate::domain::porep::Porep;
use crate::domain::sector::{Cleaning, Commitments, Sector, Stage, StoredAt, Ticket, Work};
use crate::domain::units::{ByteSize, Timestamp};
use crate::scheduler::core::{Assignment, WorkerId};

use super::chain::{Chain, Errand, Temper};
use super::files::{ANSWERS, Copied, Disk, LAYERS, REPLICA, SECTOR, VANILLA};
use super::history::History;
use super::random::{PANICKED, Random};
use super::violation::{Violation, broken, ensure};

/// What has been sent to the scheduler's loop and was not taken yet.
#[derive(Debug, Clone)]
pub enum Input {
    During { worker: WorkerId, sector: SectorNumber, event: Event },
    Ended { worker: WorkerId, sector: SectorNumber, event: Event },
    Chain { sector: SectorNumber, event: Event },
    Checked { sector: SectorNumber, event: Event },
    CheckedUpTo { up_to: Option<SectorNumber> },
    Suspect,
    Hold { waits_for: Option<String> },
    Rooms(Rooms),
    ScratchAway { root: Scratch, why: String },
    Advanced { sector: SectorNumber, phase: Phase },
    Stores(Stores),
}

/// Where a deletion of P6 stands, or of P2.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Deleting {
    Nothing,
    Announced(&'static str),
    OnRecord(&'static str),
    Refused,
}

/// A worker at work.
#[derive(Debug)]
pub struct Attempt {
    pub worker: WorkerId,
    pub sector: Arc<Sector>,
    pub phase: Phase,
    steps_left: u64,
    deleting: Deleting,
}

impl Attempt {
    /// And at what an interrupted attempt leaves something of.
    fn begun_after_a_death(&self) -> bool {
        let deaths = self.sector.stage.work(self.phase).map_or(0, Work::deaths);
        self.phase == Phase::P1 && deaths > 0
    }
}

/// What goes wrong at the moment, and how often.
#[derive(Debug, Clone, Copy, Default)]
pub struct Weather {
    pub attempts_fail_percent: u64,
    pub only_transient: bool,
    pub longest_attempt_steps: u64,
    pub repeats_percent: u64,
    pub chain: Temper,
    pub scratch_full: bool,
    pub storage_hangs: bool,
    pub journal_full: bool,
    pub parameters_made: bool,
}

#[derive(Debug)]
pub struct World {
    pub now: Timestamp,
    pub disk: Disk,
    pub chain: Chain,
    pub attempts: Vec<Attempt>,
    pub errands: Vec<Errand>,
    pub inputs: VecDeque<Input>,
    pub weather: Weather,
    /// How many sectors each scratch root holds; without one they are never looked at.
    pub scratch: BTreeMap<Scratch, u64>,
    /// Those that cannot be worked in now.
    pub away: BTreeSet<Scratch>,
    /// How many copies each storage holds.
    pub storage_sectors: Vec<u64>,
    /// How often what happened: a fault that never comes proves nothing.
    pub seen: BTreeMap<&'static str, u64>,
}

impl World {
    pub fn new(
        weather: Weather,
        scratch: BTreeMap<Scratch, u64>,
        storage_sectors: Vec<u64>,
    ) -> Self {
        Self {
            now: Timestamp(1_700_000_000_000),
            disk: Disk::default(),
            chain: Chain::default(),
            attempts: Vec::new(),
            errands: Vec::new(),
            inputs: VecDeque::new(),
            weather,
            scratch,
            away: BTreeSet::new(),
            storage_sectors,
            seen: BTreeMap::new(),
        }
    }

    pub fn see(&mut self, what: &'static str) {
        *self.seen.entry(what).or_default() += 1;
    }

    /// The scratch roots as they are now.
    pub fn rooms(&self) -> Option<Rooms> {
        let first = self.scratch.keys().next()?.clone();
        let rooms =
            self.scratch.iter().map(|(root, holds)| (root.clone(), self.room(root, *holds)));
        Some(Rooms { first, roots: rooms.collect() })
    }

    fn room(&self, root: &Scratch, holds: u64) -> Room {
        if self.away.contains(root) {
            return Room { away: Some(format!("{root} is away")), ..Room::default() };
        }
        let total = holds * SECTOR.0;
        let is_here = |number: &SectorNumber| self.disk.home(*number) == Some(root);
        let held: BTreeMap<_, _> = self.disk.held().filter(|(number, _)| is_here(number)).collect();
        let used: u64 = held.values().map(|bytes| bytes.0).sum();
        let free = if self.weather.scratch_full { 0 } else { total.saturating_sub(used) };
        let total = Some(ByteSize(total));
        Room { free: ByteSize(free), held, total, ..Room::default() }
    }

    pub fn look_at_the_scratch(&mut self) {
        if let Some(rooms) = self.rooms() {
            self.inputs.push_back(Input::Rooms(rooms));
        }
    }

    /// The storage as it is now. P5 copies to where there is most room, so the copies lie as if they
    /// had come one after the other.
    pub fn stores(&self) -> Stores {
        let mut free = self.storage_sectors.clone();
        for _ in 0..self.disk.copies() {
            if let Some(most) = free.iter_mut().max() {
                *most = most.saturating_sub(1);
            }
        }
        let free = free.into_iter().map(|sectors| ByteSize(sectors * SECTOR.0)).collect();
        Stores { looked: self.now, free }
    }

    /// Whether a storage has room for the copy of this sector.
    fn takes_a_copy(&mut self, number: SectorNumber) -> bool {
        self.disk.drop_what_is_unfinished(number);
        let is_there = self.disk.of(number).copied != Copied::No;
        let free = self.stores().free;
        is_there || self.storage_sectors.is_empty() || free.iter().any(|free| free.0 > 0)
    }

    pub fn look_at_the_storage(&mut self) {
        if !self.storage_sectors.is_empty() {
            self.inputs.push_back(Input::Stores(self.stores()));
        }
    }

    /// The process is gone, and all that lived in it.
    pub fn lose_the_process(&mut self) {
        self.attempts.clear();
        self.errands.clear();
        self.inputs.clear();
    }

    /// A worker takes an assignment. I1, and I5: what starts is on record as started.
    pub fn assign(
        &mut self,
        assignment: Assignment,
        history: &History,
        random: &mut Random,
    ) -> Result<(), Violation> {
        let Assignment { worker, sector, phase } = assignment;
        let number = sector.id.number;
        let twice = |a: &Attempt| a.sector.id.number == number && a.phase == phase;
        ensure(!self.attempts.iter().any(twice), "I1", || {
            format!("a second attempt at {phase} of sector {number}")
        })?;
        ensure(!self.attempts.iter().any(|a| a.worker == worker), "I1", || {
            format!("worker {worker:?} got a second attempt")
        })?;
        let on_record = history.sectors.get(&number).is_some_and(|k| k.running.contains(&phase));
        ensure(on_record, "I5", || {
            format!("{phase} of sector {number} began before its start was durable")
        })?;
        self.disk.settle(&sector);
        let steps_left = random.below(self.weather.longest_attempt_steps + 1);
        let deleting = Deleting::Nothing;
        self.attempts.push(Attempt { worker, sector, phase, steps_left, deleting });
        Ok(())
    }

    /// An attempt is ended by order: without a verdict. It may have ended by itself meanwhile.
    pub fn end_attempt(&mut self, worker: WorkerId) {
        let Some(index) = self.attempts.iter().position(|a| a.worker == worker) else { return };
        self.see("an attempt was stopped");
        let Attempt { worker, sector, phase, .. } = self.attempts.remove(index);
        let number = sector.id.number;
        self.leave_partly_copied(number, phase);
        let event = Event::Interrupted { phase, died: false };
        self.inputs.push_back(Input::Ended { worker, sector: number, event });
    }

    fn leave_partly_copied(&mut self, sector: SectorNumber, phase: Phase) {
        let files = self.disk.of(sector);
        if phase == Phase::P5 && files.copied == Copied::No {
            files.copied = Copied::Partly;
        }
    }

    /// Sends an errand to the chain once it is durable that it is owed.
    pub fn send(&mut self, sector: Arc<Sector>, effect: pipeline::Effect) {
        self.errands.push(Errand { sector, effect });
    }

    /// One ask of one errand.
    pub fn ask_chain(&mut self, index: usize, random: &mut Random) -> Result<(), Violation> {
        let answer = self.chain.ask(&self.errands[index], self.weather.chain, random)?;
        let Some(event) = answer else {
            self.see("the chain gave no answer");
            return Ok(());
        };
        match &event {
            Event::PreCommitRefused { .. } => self.see("a pre-commit was refused"),
            Event::CommitRefused { .. } => self.see("a commit was refused"),
            Event::Issued { .. }
            | Event::TicketDrawn { .. }
            | Event::Started { .. }
            | Event::Interrupted { .. }
            | Event::Advanced { .. }
            | Event::Succeeded { .. }
            | Event::Failed { .. }
            | Event::PreCommitted { .. }
            | Event::SeedDrawn { .. }
            | Event::Committed { .. }
            | Event::Retried { .. }
            | Event::Redone { .. }
            | Event::Aborted { .. }
            | Event::Deleted { .. }
            | Event::StoredProven { .. }
            | Event::StoredDamaged { .. } => {}
        }
        let sector = self.errands.remove(index).number();
        if random.percent(self.weather.repeats_percent) {
            self.see("the chain answered twice");
            self.inputs.push_back(Input::Chain { sector, event: event.clone() });
        }
        self.inputs.push_back(Input::Chain { sector, event });
        Ok(())
    }

    /// A deletion is durable (or was not taken): its attempt goes on.
    pub fn deletion_answered(&mut self, worker: WorkerId, recorded: bool) {
        let Some(attempt) = self.attempts.iter_mut().find(|a| a.worker == worker) else { return };
        attempt.deleting = match attempt.deleting {
            Deleting::Announced(file) if recorded => Deleting::OnRecord(file),
            Deleting::Nothing
            | Deleting::Announced(_)
            | Deleting::OnRecord(_)
            | Deleting::Refused => Deleting::Refused,
        };
    }

    /// One step of one attempt.
    pub fn work(
        &mut self,
        index: usize,
        history: &History,
        random: &mut Random,
    ) -> Result<(), Violation> {
        let attempt = &mut self.attempts[index];
        let touches_storage = matches!(attempt.phase, Phase::P5 | Phase::P6);
        if self.weather.storage_hangs && touches_storage {
            self.see("an attempt hung at its storage");
            return Ok(());
        }
        if let Deleting::Announced(_) = attempt.deleting {
            return Ok(());
        }
        if let Some(root) = attempt.sector.scratch.clone().filter(|root| self.away.contains(root)) {
            self.break_off(index, root);
            return Ok(());
        }
        if attempt.steps_left > 0 {
            attempt.steps_left -= 1;
            if attempt.begun_after_a_death() && random.percent(30) {
                let (sector, phase) = (attempt.sector.id.number, attempt.phase);
                self.see("an attempt got further than one that the box died under");
                self.inputs.push_back(Input::Advanced { sector, phase });
            }
            return Ok(());
        }
        if random.percent(self.weather.attempts_fail_percent) {
            self.see("an attempt failed");
            return self.end(index, Err(random.failure(self.weather.only_transient)));
        }
        if self.weather.scratch_full && matches!(attempt.phase, Phase::P1 | Phase::P2 | Phase::P3) {
            self.see("an attempt met a full disk");
            let full = Failure::new(Class::Space, "no space left on device", "simulated");
            return self.end(index, Err(full));
        }
        self.finish(index, history)
    }

    /// The attempt's root is gone: that is told, and no failure.
    fn break_off(&mut self, index: usize, root: Scratch) {
        self.see("an attempt lost its scratch");
        let Attempt { worker, sector, phase, .. } = self.attempts.remove(index);
        let number = sector.id.number;
        self.leave_partly_copied(number, phase);
        let why = format!("{root} is away");
        self.inputs.push_back(Input::ScratchAway { root, why });
        let event = Event::Interrupted { phase, died: false };
        self.inputs.push_back(Input::Ended { worker, sector: number, event });
    }
}
