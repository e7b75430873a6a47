//! A second reading of the history, written apart from the pipeline and far simpler: it only knows
//! what must never be seen. The code's own state is not asked.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use crate::domain::event::{BoxEvent, Entry, Event, Happened};
use crate::domain::failure::{Class, died_under};
use crate::domain::ids::{OrderId, SectorNumber};
use crate::domain::phase::Phase;
use crate::domain::porep::Porep;
use crate::domain::units::{SectorSize, Timestamp};

use super::files::LAYERS;
use super::violation::{Violation, broken, ensure};

/// What the history told of a sector so far.
#[derive(Debug)]
pub struct Known {
    pub size: SectorSize,
    porep: Porep,
    /// P6 ended well: finished, or its remains are gone.
    pub over: bool,
    pub given_up: bool,
    pub running: BTreeSet<Phase>,
    pub done: BTreeSet<Phase>,
    pub waits_for_person: BTreeSet<Phase>,
    /// Attempts that failed since the phase began or a person looked.
    pub tries: BTreeMap<Phase, u32>,
    pub deleted: BTreeSet<String>,
    /// Finished, and its stored copy was found damaged since.
    pub damaged: bool,
    /// In how many attempts in a row the box died, without one that got further.
    pub deaths: BTreeMap<Phase, u32>,
    redos: u32,
    not_before: BTreeMap<Phase, Timestamp>,
    ticket: bool,
    pre_committed: bool,
    seed: bool,
    pub committed: bool,
}

#[derive(Debug, Default)]
pub struct History {
    limits: BTreeMap<SectorSize, u64>,
    by_itself: ByItself,
    /// Sectors ever ordered, cancelled or not.
    ordered: u64,
    /// Open orders as they are to be issued, each with its size and what is left of it.
    queue: Vec<(OrderId, SectorSize, u64)>,
    paused: bool,
    paused_phases: BTreeSet<Phase>,
    /// It was told to stop, and nothing has started since.
    stopping: bool,
    /// What ran when a process ended that nobody had told to, until the next one has said so.
    cut_off: BTreeSet<(SectorNumber, Phase)>,
    pub sectors: BTreeMap<SectorNumber, Known>,
}

/// The most that is ordered by itself.
#[derive(Debug, Clone, Copy)]
pub enum ByItself {
    /// So many sectors in all, whoever ordered them.
    Ordered(u64),
    /// What the storage has room for.
    Stored(u64),
}

impl Default for ByItself {
    fn default() -> Self {
        Self::Ordered(0)
    }
}

/// The third death in a row is a person's to look at.
const HELD_AT: u32 = 3;

/// What the table of failures (`domain::failure`) says in words, said once more in numbers.
enum After {
    Again(Duration),
    FromP1,
    Person,
}

fn policy(phase: Phase, class: Class, tries: u32, redos: u32) -> After {
    let seconds = |s| After::Again(Duration::from_secs(s));
    match (class, phase, tries) {
        (Class::Transient, _, 1) => seconds(5),
        (Class::Transient, _, 2) => seconds(20),
        (Class::Transient, _, 3) => seconds(80),
        (Class::Space, _, 0 | 1) => seconds(30),
        (Class::Space, _, 2) => seconds(120),
        (Class::Space, _, _) => seconds(300),
        (Class::Sector, Phase::P2, 1) => seconds(0),
        (Class::Sector, Phase::P2, _) if redos == 0 => After::FromP1,
        (Class::Transient | Class::Operator | Class::Sector | Class::Fatal, _, _) => After::Person,
    }
}

impl History {
    pub fn new(limits: BTreeMap<SectorSize, u64>, by_itself: ByItself) -> Self {
        Self { limits, by_itself, ..Self::default() }
    }

    /// A person brings a disk.
    pub fn storage_grows(&mut self, sectors: u64) {
        match &mut self.by_itself {
            ByItself::Stored(most) => *most += sectors,
            ByItself::Ordered(_) => {}
        }
    }

    pub fn outstanding(&self, size: SectorSize) -> u64 {
        self.sectors.values().filter(|known| known.size == size && !known.over).count() as u64
    }

    /// The process is gone.
    pub fn process_ended(&mut self) {
        if !self.stopping {
            let running = |(number, known): (&SectorNumber, &Known)| {
                let number = *number;
                known.running.clone().into_iter().map(move |phase| (number, phase))
            };
            self.cut_off.extend(self.sectors.iter().flat_map(running));
        }
    }

    /// What the box says of attempts that it did not see the end of is how it was.
    fn check_cut_off(&mut self, number: SectorNumber, event: &Event) -> Result<(), Violation> {
        let (phase, says_died) = match event {
            Event::Interrupted { phase, died } => (*phase, *died),
            Event::Failed { phase, failure } => (*phase, is_held(*phase, &failure.what)),
            Event::Issued { .. }
            | Event::TicketDrawn { .. }
            | Event::Started { .. }
            | Event::Advanced { .. }
            | Event::Succeeded { .. }
            | Event::PreCommitted { .. }
            | Event::PreCommitRefused { .. }
            | Event::SeedDrawn { .. }
            | Event::Committed { .. }
            | Event::CommitRefused { .. }
            | Event::Retried { .. }
            | Event::Redone { .. }
            | Event::Aborted { .. }
            | Event::Deleted { .. }
            | Event::StoredProven { .. }
            | Event::StoredDamaged { .. } => return Ok(()),
        };
        let died = self.cut_off.remove(&(number, phase));
        ensure(died == says_died, "I8", || {
            format!("sector {number}: the box died under {phase}: {died}; on record: {event:?}")
        })
    }

    /// Takes the next entry in, or says which promise it breaks.
    pub fn take(&mut self, entry: &Entry) -> Result<(), Violation> {
        match &entry.happened {
            Happened::Box(BoxEvent::Ordered { order, size, count, by }) => {
                self.ordered += count;
                self.queue.push((*order, *size, *count));
                if by == "auto_pledge" { self.ordered_by_itself(*count) } else { Ok(()) }
            }
            Happened::Box(BoxEvent::Cancelled { order, .. }) => {
                self.queue.retain(|(open, _, _)| open != order);
                Ok(())
            }
            Happened::Box(BoxEvent::Moved { order, before, .. }) => {
                let at = self.queue.iter().position(|(open, _, _)| open == order);
                let at = at.ok_or_else(|| broken("intake", format!("{order} is not open")))?;
                let moved = self.queue.remove(at);
                let to = before.map(|before| self.queue.iter().position(|(o, _, _)| *o == before));
                let to = to.unwrap_or(Some(self.queue.len()));
                let to = to.ok_or_else(|| broken("intake", format!("{before:?} is not open")))?;
                self.queue.insert(to, moved);
                Ok(())
            }
            Happened::Box(BoxEvent::OrphanDeleted { .. } | BoxEvent::Checked { .. }) => Ok(()),
            Happened::Box(BoxEvent::Stopping { .. }) => {
                self.stopping = true;
                Ok(())
            }
            Happened::Box(BoxEvent::IntakePaused { .. }) => {
                self.paused = true;
                Ok(())
            }
            Happened::Box(BoxEvent::IntakeResumed { .. }) => {
                self.paused = false;
                Ok(())
            }
            Happened::Box(BoxEvent::PhasePaused { phase, .. }) => {
                self.paused_phases.insert(*phase);
                Ok(())
            }
            Happened::Box(BoxEvent::PhaseResumed { phase, .. }) => {
                self.paused_phases.remove(phase);
                Ok(())
            }
            Happened::Sector { event: Event::Started { phase, .. }, number }
                if self.paused_phases.contains(phase) =>
            {
                Err(broken("pause", format!("{phase} of sector {number} started while paused")))
            }
            Happened::Sector { number, event: Event::Issued { size, order, porep, .. } } => {
                // What holds one of a size back holds back all of that size behind it.
                let first = self.queue.iter_mut().find(|(_, of, _)| of == size);
                let first = first.filter(|(open, _, _)| open == order);
                let (_, _, left) =
                    first.ok_or_else(|| broken("intake", format!("{order} is not the next")))?;
                *left -= 1;
                self.queue.retain(|(_, _, left)| *left > 0);
                self.issue(*number, *size, *porep)
            }
            Happened::Sector { number, event } => {
                self.stopping &= !matches!(event, Event::Started { .. });
                self.check_cut_off(*number, event)?;
                let known = self.sectors.get_mut(number);
                let known =
                    known.ok_or_else(|| broken("I6", format!("{number} was never issued")))?;
                known.take(event, entry.at).map_err(|Violation { of, what }| {
                    broken(of, format!("sector {number}: {what}"))
                })
            }
        }
    }

    fn ordered_by_itself(&self, count: u64) -> Result<(), Violation> {
        match self.by_itself {
            ByItself::Ordered(most) => ensure(self.ordered <= most, "I5", || {
                format!("{count} ordered by itself, that makes {}", self.ordered)
            }),
            ByItself::Stored(most) => {
                let copies = self.sectors.values().filter(|known| !known.given_up).count() as u64;
                ensure(copies + count <= most, "full", || {
                    format!("{count} ordered beside {copies} copies, the storage holds {most}")
                })
            }
        }
    }

    fn issue(
        &mut self,
        number: SectorNumber,
        size: SectorSize,
        porep: Porep,
    ) -> Result<(), Violation> {
        ensure(!self.paused, "intake", || format!("{number} was issued while intake is paused"))?;
        let known = Known {
            size,
            porep,
            over: false,
            given_up: false,
            running: BTreeSet::new(),
            done: BTreeSet::new(),
            waits_for_person: BTreeSet::new(),
            tries: BTreeMap::new(),
            deleted: BTreeSet::new(),
            deaths: BTreeMap::new(),
            redos: 0,
            not_before: BTreeMap::new(),
            ticket: false,
            pre_committed: false,
            seed: false,
            committed: false,
            damaged: false,
        };
        ensure(self.sectors.insert(number, known).is_none(), "I6", || {
            format!("{number} was issued twice")
        })?;
        let (held, limit) = (self.outstanding(size), self.limits.get(&size).copied());
        ensure(limit.is_none_or(|limit| held <= limit), "I3", || {
            format!("{held} of {size} outstanding, the throttle is {limit:?}")
        })
    }
}

impl Known {
    fn take(&mut self, event: &Event, at: Timestamp) -> Result<(), Violation> {
        let looks_at_copy =
            matches!(event, Event::StoredProven { .. } | Event::StoredDamaged { .. });
        let finished = self.over && !self.given_up;
        ensure(if looks_at_copy { finished } else { !self.over }, "I2", || {
            format!("{} out of its turn, over: {}", event.name(), self.over)
        })?;
        match event {
            Event::StoredProven { .. } => self.damaged = false,
            Event::StoredDamaged { .. } => self.damaged = true,
            Event::Issued { .. } => {}
            Event::TicketDrawn { .. } => self.ticket = true,
            Event::Started { phase, .. } => return self.start(*phase, at),
            Event::Interrupted { phase, died } => {
                self.not_before.remove(phase);
                self.count_deaths(*phase, *died, false)?;
                return self.end(*phase);
            }
            Event::Advanced { phase } => {
                ensure(self.running.contains(phase), "I1", || {
                    format!("{phase} got further and was not running")
                })?;
                self.deaths.remove(phase);
            }
            Event::Succeeded { output } => {
                let phase = output.phase();
                self.end(phase)?;
                self.done.insert(phase);
                self.tries.remove(&phase);
                self.deaths.remove(&phase);
                self.over = phase == Phase::P6;
            }
            Event::Failed { phase, failure } => {
                let held = is_held(*phase, &failure.what);
                self.count_deaths(*phase, held, held)?;
                self.end(*phase)?;
                self.fail(*phase, failure.class, at);
            }
            Event::PreCommitted { .. } => {
                ensure(self.porep != Porep::NonInteractive, "chain", || {
                    "a pre-commit that nothing asks for".to_owned()
                })?;
                self.pre_committed = true;
            }
            Event::PreCommitRefused { .. } => self.give_up(),
            Event::SeedDrawn { .. } => self.seed = true,
            Event::Committed { .. } => self.committed = true,
            Event::CommitRefused { .. } => {
                self.waits_for_person.insert(Phase::P4);
            }
            Event::Retried { phase: Phase::P5, .. }
                if self.waits_for_person.contains(&Phase::P6) =>
            {
                // The stored copy was bad: it is copied again, and P6 begins afresh after it.
                self.done.remove(&Phase::P5);
                self.wait_for_nobody();
            }
            Event::Retried { phase, .. } => {
                self.waits_for_person.remove(phase);
                self.tries.remove(phase);
                self.deaths.remove(phase);
                self.not_before.remove(phase);
            }
            Event::Redone { .. } => self.start_over(),
            Event::Aborted { .. } => self.give_up(),
            Event::Deleted { path, .. } => {
                let with_p2 = self.running.contains(&Phase::P2)
                    && self.porep == Porep::Synthetic
                    && path == Path::new(LAYERS);
                ensure(with_p2 || self.running.contains(&Phase::P6), "I4", || {
                    format!("{} deleted outside P6", path.display())
                })?;
                self.deleted.insert(path.display().to_string());
                self.deaths.retain(|phase, _| !self.running.contains(phase));
            }
        }
        Ok(())
    }

    /// An attempt ended, by a death or otherwise, and what follows is that it is held or not.
    fn count_deaths(&mut self, phase: Phase, died: bool, held: bool) -> Result<(), Violation> {
        let before = self.deaths.remove(&phase).unwrap_or(0);
        let row = if died { before + 1 } else { 0 };
        ensure((row >= HELD_AT) == held, "I8", || {
            format!("{phase}: {row} deaths in a row, held: {held}")
        })?;
        if row > 0 && !held {
            self.deaths.insert(phase, row);
        }
        Ok(())
    }

    fn start(&mut self, phase: Phase, at: Timestamp) -> Result<(), Violation> {
        let done = |phase| self.done.contains(&phase);
        let sealed = self.committed && done(Phase::P5);
        let in_order = match phase {
            Phase::P1 => self.ticket && !done(Phase::P1),
            Phase::P2 => done(Phase::P1) && !done(Phase::P2),
            Phase::P3 => {
                let drawn = match self.porep {
                    Porep::Interactive | Porep::Synthetic => self.pre_committed && self.seed,
                    Porep::NonInteractive => !self.pre_committed && !self.seed,
                };
                done(Phase::P2) && drawn && !done(Phase::P3)
            }
            Phase::P4 | Phase::P5 => done(Phase::P3) && !done(phase),
            Phase::P6 => sealed || self.given_up,
        };
        let given_up = self.given_up && phase != Phase::P6;
        ensure(in_order && !given_up, "I2", || format!("{phase} out of its turn: {self:?}"))?;
        ensure(!self.running.contains(&phase), "I1", || format!("{phase} started twice"))?;
        let beside = |other: &Phase| {
            matches!((phase, other), (Phase::P4, Phase::P5) | (Phase::P5, Phase::P4))
        };
        ensure(self.running.iter().all(beside), "I2", || {
            format!("{phase} started beside {:?}", self.running)
        })?;
        ensure(!self.waits_for_person.contains(&phase), "I8", || {
            format!("{phase} started again without a person")
        })?;
        let due = self.not_before.get(&phase).is_none_or(|not_before| at >= *not_before);
        ensure(due, "I8", || format!("{phase} started before its back-off was over"))?;
        self.running.insert(phase);
        Ok(())
    }

    fn end(&mut self, phase: Phase) -> Result<(), Violation> {
        let ran = self.running.remove(&phase);
        ensure(ran, "I1", || format!("an attempt at {phase} ended that was not running"))?;
        if self.given_up && phase != Phase::P6 && self.running.is_empty() {
            self.wait_for_nobody();
        }
        Ok(())
    }

    fn fail(&mut self, phase: Phase, class: Class, at: Timestamp) {
        if self.given_up && phase != Phase::P6 {
            if !self.running.is_empty() {
                // P4 beside P5: the other one still runs, and only then P6 begins afresh.
                self.apply_policy(phase, class, at);
            }
            return;
        }
        self.apply_policy(phase, class, at);
    }

    fn apply_policy(&mut self, phase: Phase, class: Class, at: Timestamp) {
        let tries = self.tries.entry(phase).or_default();
        *tries += 1;
        match policy(phase, class, *tries, self.redos) {
            // At once is at once, even if the clock is set back.
            After::Again(wait) if wait.is_zero() => {}
            After::Again(wait) => {
                self.not_before.insert(phase, at.plus(wait));
            }
            After::FromP1 => {
                self.redos += 1;
                self.start_over();
            }
            After::Person => {
                self.waits_for_person.insert(phase);
                self.not_before.remove(&phase);
            }
        }
    }

    fn start_over(&mut self) {
        self.done.clear();
        // What is made anew is not deleted.
        self.deleted.clear();
        self.wait_for_nobody();
    }

    fn give_up(&mut self) {
        self.given_up = true;
        if self.running.is_empty() {
            self.wait_for_nobody();
        }
    }

    fn wait_for_nobody(&mut self) {
        self.waits_for_person.clear();
        self.tries.clear();
        self.deaths.clear();
        self.not_before.clear();
    }
}

/// Whether that is what is said of a task that the box died under too often.
pub fn is_held(phase: Phase, what: &str) -> bool {
    what == died_under(phase).what
}
