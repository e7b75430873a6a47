//! The box while it runs: the real core, and the loop of `scheduler::run` cut into the steps between
//! which a process can die.

use std::collections::VecDeque;

use crate::domain::event::{Entry, Event};
use crate::domain::failure::Class;
use crate::domain::phase::Phase;
use crate::domain::pipeline;
use crate::domain::planted::{Bug, planted};
use crate::domain::sector::Work;
use crate::domain::units::Timestamp;
use crate::scheduler::command::{Command, Done, Refusal};
use crate::scheduler::core::{Assignment, Cause, Core, Decided, WorkerId};

use super::files::SECTOR;
use super::history::History;
use super::journal::Journal;
use super::promises;
use super::random::{PANICKED, Random};
use super::violation::{Violation, ensure};
use super::world::{Input, World};

/// Who gives the commands.
pub const OPERATOR: &str = "operator";

/// Where the loop stands.
#[derive(Debug)]
pub enum At {
    /// For an input, or for a time.
    Waiting,
    /// It has decided, and nothing of that is durable.
    Decided(Decided),
    /// It is durable, and nothing was done or answered.
    Durable(Decided),
}

/// An answer that waits for the commit.
#[derive(Debug)]
enum Answer {
    Command { command: Command, answer: Result<Done, Refusal>, entries_before: usize },
    Recorded(WorkerId),
    NotRecorded(WorkerId),
}

/// How a turn of the loop ended.
#[derive(Debug, PartialEq, Eq)]
pub enum Turn {
    GoesOn,
    /// Killed in the midst of acting.
    Killed,
    /// Stopped: as it was asked to, or to be replaced after a panic.
    Over,
}

#[derive(Debug)]
pub struct Process {
    pub core: Core,
    pub asks: VecDeque<Command>,
    pub at: At,
    /// When it last decided.
    pub decided_at: Timestamp,
    pub stopping: bool,
    answers: Vec<Answer>,
}

/// What a turn works on.
pub struct Scene<'a> {
    pub world: &'a mut World,
    pub journal: &'a mut Journal,
    pub history: &'a mut History,
    pub random: &'a mut Random,
    /// What commands did, as acknowledged: place in the history and entry.
    pub acknowledged: &'a mut Vec<(usize, Entry)>,
    /// The chance to be killed between two actions.
    pub kill_percent: u64,
}

impl Process {
    pub fn start(mut core: Core, now: Timestamp) -> Self {
        core.wake(now);
        let mut this = Self {
            core,
            asks: VecDeque::new(),
            at: At::Waiting,
            decided_at: now,
            stopping: false,
            answers: Vec::new(),
        };
        this.decide(now);
        this
    }

    pub fn stop(&mut self, now: Timestamp) {
        self.core.stop(now);
        self.stopping = true;
    }

    /// The next step of the loop. `most`: how many inputs it takes at once.
    pub fn turn(&mut self, most: usize, scene: &mut Scene<'_>) -> Result<Turn, Violation> {
        match std::mem::replace(&mut self.at, At::Waiting) {
            At::Waiting => {
                if (self.stopping || self.core.is_suspect()) && self.core.running() == 0 {
                    return Ok(Turn::Over);
                }
                for _ in 0..most {
                    self.take_one(scene);
                }
                self.decide(scene.world.now);
                self.act_if_nothing_is_new(scene)
            }
            At::Decided(decided) => self.commit(decided, scene),
            At::Durable(decided) => self.act(decided, scene),
        }
    }

    /// Without an entry there is nothing to commit, and the loop goes straight on.
    fn act_if_nothing_is_new(&mut self, scene: &mut Scene<'_>) -> Result<Turn, Violation> {
        match std::mem::replace(&mut self.at, At::Waiting) {
            At::Durable(decided) => self.act(decided, scene),
            at @ (At::Waiting | At::Decided(_)) => {
                self.at = at;
                Ok(Turn::GoesOn)
            }
        }
    }

    fn take_one(&mut self, scene: &mut Scene<'_>) {
        let world = &mut *scene.world;
        let from_inputs = self.asks.is_empty() || scene.random.percent(50);
        match if from_inputs { world.inputs.pop_front() } else { None } {
            Some(input) => self.take(input, world.now, scene.journal),
            None => {
                let Some(command) = self.asks.pop_front() else { return };
                let entries_before = scene.journal.entries().len();
                let answer = self.core.command(&command, OPERATOR, world.now);
                let seen =
                    if answer.is_ok() { "a command was taken" } else { "a command was refused" };
                world.see(seen);
                self.answers.push(Answer::Command { command, answer, entries_before });
            }
        }
    }

    fn take(&mut self, input: Input, now: Timestamp, journal: &Journal) {
        match input {
            Input::During { worker, sector, event } => {
                let recorded = self.core.happen(sector, event, now).is_ok();
                self.answers.push(if recorded {
                    Answer::Recorded(worker)
                } else {
                    Answer::NotRecorded(worker)
                });
            }
            Input::Advanced { sector, phase } => {
                drop(self.core.happen(sector, Event::Advanced { phase }, now));
            }
            Input::Ended { worker, sector, event } => {
                self.core.attempt_ended(worker, sector, event, now);
            }
            // An answer that comes too late is not needed.
            Input::Chain { sector, event } => drop(self.core.happen(sector, event, now)),
            Input::Rooms(rooms) => drop(self.core.rooms(rooms)),
            Input::ScratchAway { root, why } => self.core.scratch_is_away(&root, why),
            Input::Stores(stores) => self.core.stores(stores),
            Input::Checked { sector, event } => {
                let stored = journal.snapshots().get(&sector).map(|sector| (**sector).clone());
                drop(self.core.checked(sector, stored, event, now));
            }
            Input::CheckedUpTo { up_to } => {
                self.core.checked_up_to("storage".to_owned(), Timestamp(1), up_to, now);
            }
            Input::Suspect => self.core.suspect(PANICKED.to_owned()),
            Input::Hold { waits_for } => self.core.hold(Phase::P4, Cause::Parameters, waits_for),
        }
    }

    fn decide(&mut self, now: Timestamp) {
        self.core.admit(now);
        self.decided_at = now;
        let decided = self.core.take();
        self.at =
            if decided.entries.is_empty() { At::Durable(decided) } else { At::Decided(decided) };
    }

    fn commit(&mut self, mut decided: Decided, scene: &mut Scene<'_>) -> Result<Turn, Violation> {
        if planted(Bug::ActsBeforeCommit) {
            self.carry_out(&mut decided, scene)?;
        }
        if planted(Bug::AnswersBeforeCommit) {
            self.answer(scene)?;
        }
        if scene.world.weather.journal_full {
            scene.world.see("the journal could not be written");
            self.at = At::Decided(decided);
            // What was decided and is not durable is decided anew at the next start.
            return Ok(if self.stopping { Turn::Over } else { Turn::GoesOn });
        }
        make_durable(&decided, scene.journal, scene.history)?;
        self.at = At::Durable(decided);
        Ok(Turn::GoesOn)
    }

    fn act(&mut self, mut decided: Decided, scene: &mut Scene<'_>) -> Result<Turn, Violation> {
        if self.carry_out(&mut decided, scene)? == Turn::Killed {
            return Ok(Turn::Killed);
        }
        self.answer(scene)?;
        Ok(Turn::GoesOn)
    }

    /// Effects to the chain, assignments to workers; and errands that nobody needs any more end.
    fn carry_out(
        &mut self,
        decided: &mut Decided,
        scene: &mut Scene<'_>,
    ) -> Result<Turn, Violation> {
        if !planted(Bug::ErrandOutlivesItsNeed) {
            for sector in &decided.sectors {
                let owed = pipeline::owed(sector);
                scene.world.errands.retain(|errand| {
                    errand.number() != sector.id.number || owed.contains(&errand.effect)
                });
            }
        }
        for (number, effect) in std::mem::take(&mut decided.effects) {
            let Some(sector) = self.core.sector(number) else { continue };
            // By then the sector may have moved on; the messenger finds nothing to ask.
            if pipeline::owed(sector).contains(&effect) {
                let durable = scene.journal.snapshots().get(&number);
                ensure(durable == Some(sector), "I5", || {
                    format!("{effect:?} of sector {number} was sent before it was durable")
                })?;
                scene.world.send(sector.clone(), effect);
            }
            if scene.random.percent(scene.kill_percent) {
                return Ok(Turn::Killed);
            }
        }
        for worker in std::mem::take(&mut decided.stops) {
            scene.world.end_attempt(worker);
            if scene.random.percent(scene.kill_percent) {
                return Ok(Turn::Killed);
            }
        }
        for assignment in std::mem::take(&mut decided.assignments) {
            let rooms = self.core.rooms_seen();
            let room = rooms.and_then(|rooms| rooms.of(assignment.sector.scratch.as_ref()));
            ensure(room.is_none_or(|(_, room)| room.away.is_none()), "away", || {
                format!("{assignment:?} in a root that is known to be away")
            })?;
            self.check_room(&assignment)?;
            scene.world.assign(assignment, scene.history, scene.random)?;
            if scene.random.percent(scene.kill_percent) {
                return Ok(Turn::Killed);
            }
        }
        Ok(Turn::GoesOn)
    }

    /// A copy that met a full storage is not tried again while every storage is seen to be full.
    fn check_room(&self, Assignment { sector, phase, .. }: &Assignment) -> Result<(), Violation> {
        let last = sector.tasks[Phase::P5].last_failure.as_ref();
        let tries = match sector.stage.work(Phase::P5) {
            Some(Work::Running { tries, .. }) => *tries,
            Some(Work::Ready { .. } | Work::Failed { .. }) | None => 0,
        };
        let again = tries > 0 && last.is_some_and(|failure| failure.class == Class::Space);
        let full = self.core.stores_seen().is_some_and(|stores| {
            !stores.free.is_empty() && stores.free.iter().all(|free| *free < SECTOR)
        });
        ensure(!(*phase == Phase::P5 && again && full), "full", || {
            format!("the copy of sector {} is tried in vain", sector.id.number)
        })
    }

    fn answer(&mut self, scene: &mut Scene<'_>) -> Result<(), Violation> {
        for answer in std::mem::take(&mut self.answers) {
            match answer {
                Answer::Recorded(worker) => scene.world.deletion_answered(worker, true),
                Answer::NotRecorded(worker) => scene.world.deletion_answered(worker, false),
                Answer::Command { command, answer: Ok(done), entries_before } => {
                    scene.world.see(promises::name(&done));
                    promises::kept(&command, &done, entries_before, scene)?;
                }
                Answer::Command { answer: Err(_), .. } => {}
            }
        }
        Ok(())
    }
}

/// The batch reaches the disk; the second reading of the history follows.
pub fn make_durable(
    decided: &Decided,
    journal: &mut Journal,
    history: &mut History,
) -> Result<(), Violation> {
    journal.commit(decided)?;
    decided.entries.iter().try_for_each(|entry| history.take(entry))
}
