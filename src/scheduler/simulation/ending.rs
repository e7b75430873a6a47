//! The kind ending: nothing fails any more, and everything that was ordered has to come out.

use std::collections::BTreeSet;

use super::process::OPERATOR;
use super::run::Run;
use super::violation::{Violation, broken, ensure};
use super::world::{Input, Weather};
use crate::domain::event::Event;
use crate::domain::order::{AutoPledge, Order};
use crate::domain::phase::Phase;
use crate::scheduler::command::Command;

/// Steps for each sector that is not over: what it takes with one worker for everything, and half
/// as much again.
const STEPS_PER_SECTOR: usize = 90;

impl Run {
    /// Everything works from now on, and somebody presses "retry all" whenever that is offered:
    /// within a bounded number of steps every order is fulfilled and every sector is over.
    pub(super) fn kind_ending(&mut self) -> Result<(), Violation> {
        self.say("from here on the world is kind");
        let parameters_made = true;
        self.world.weather = Weather { parameters_made, ..Weather::default() };
        self.rates.kills_while_acting = 0;
        self.world.inputs.push_back(Input::Hold { waits_for: None });
        self.world.away.clear();
        self.world.disk.mend_copies();
        if self.process.as_ref().is_none_or(|process| process.stopping) {
            self.kill()?;
            self.start()?;
        }
        let orders = self.journal.box_state().orders.iter();
        let to_come: u64 = orders.map(Order::left).sum();
        let by_itself = match self.settings.limits.auto_pledge {
            AutoPledge::Sectors(count) => count,
            AutoPledge::UntilFull => self.world.storage_sectors.iter().sum(),
        };
        let to_come = to_come + by_itself + self.still_to_order_in_asks();
        let in_flight = self.history.sectors.values().filter(|known| !known.over).count();
        let sectors = in_flight + usize::try_from(to_come).expect("a few");
        for _ in 0..(sectors + 2) * STEPS_PER_SECTOR {
            if self.is_all_over() {
                if self.settings.limits.auto_pledge == AutoPledge::UntilFull {
                    self.world.see("the storage was filled up");
                }
                return self.check_the_end();
            }
            self.kind_step()?;
            self.check()?;
        }
        let left: BTreeSet<_> =
            self.history.sectors.iter().filter(|(_, known)| !known.over).map(|(n, _)| n).collect();
        Err(broken(
            "liveness",
            format!("not over: sectors {left:?}, orders {:?}", self.journal.box_state().orders),
        ))
    }

    fn still_to_order_in_asks(&self) -> u64 {
        let counts = self.process.iter().flat_map(|process| &process.asks).map(|ask| match ask {
            Command::Order { count, .. } => *count,
            Command::CancelOrder { .. }
            | Command::MoveOrder { .. }
            | Command::Retry { .. }
            | Command::RetryAll
            | Command::Redo { .. }
            | Command::Abort { .. }
            | Command::RecordOrphan { .. }
            | Command::PauseIntake
            | Command::ResumeIntake
            | Command::PausePhase { .. }
            | Command::ResumePhase { .. }
            | Command::Drain
            | Command::ResumeAll
            | Command::Adopt { .. } => 0,
        });
        counts.sum()
    }

    fn is_all_over(&self) -> bool {
        let quiet = self.is_waiting() && self.process.as_ref().is_some_and(|p| p.asks.is_empty());
        let over = self.history.sectors.values().all(|known| known.over && !known.damaged);
        quiet && over && self.journal.box_state().orders.is_empty() && self.is_full()
    }

    /// Where sectors are ordered until the storage is full: it is.
    fn is_full(&self) -> bool {
        match self.settings.limits.auto_pledge {
            AutoPledge::Sectors(_) => true,
            AutoPledge::UntilFull => self.world.stores().free.iter().all(|free| free.0 == 0),
        }
    }

    fn kind_step(&mut self) -> Result<(), Violation> {
        for index in (0..self.world.attempts.len()).rev() {
            self.work_on(index)?;
        }
        for index in (0..self.world.errands.len()).rev() {
            self.ask_chain_for(index)?;
        }
        let waits = self.is_waiting();
        let is_full = self.is_full();
        let there = self.world.stores().free;
        let there = Some(there).filter(|there| !there.is_empty());
        let Some(process) = &mut self.process else { return self.start() };
        let nothing_comes = self.world.inputs.is_empty() && process.asks.is_empty();
        if waits && nothing_comes && self.world.attempts.is_empty() {
            let view = process.core.view(self.world.now);
            if let Some(number) = process.core.damaged().keys().next() {
                let event = Event::StoredProven { by: OPERATOR.to_owned() };
                self.world.inputs.push_back(Input::Checked { sector: *number, event });
            } else if !view.attention.is_empty() {
                process.asks.push_back(Command::RetryAll);
            } else if view.intake_paused || !view.paused.is_empty() {
                process.asks.push_back(Command::ResumeAll);
            } else if process.core.rooms_seen() != self.world.rooms().as_ref() {
                self.world.look_at_the_scratch();
            } else if process.core.stores_seen().map(|seen| &seen.free) != there.as_ref() {
                self.world.look_at_the_storage();
            } else if view.waits.iter().any(|wait| wait.phase == Phase::P5) {
                self.make_room_for_copies();
            } else if let Some(wake) = process.core.next_wake(self.world.now) {
                self.world.now = wake;
            } else if !is_full {
                // Long enough for a clock that was set back to get there again.
                self.world.now.0 += 3_600_000;
                self.world.look_at_the_storage();
            }
        }
        self.turn_taking(64)
    }

    /// A copy waits for storage: a person brings a disk. Or there is room, and the box takes it for
    /// that of a copy that it made before the clock was set back.
    fn make_room_for_copies(&mut self) {
        if self.is_full() {
            self.world.storage_sectors.push(1);
            self.history.storage_grows(1);
        }
        // Long enough for a clock that was set back to get there again.
        self.world.now.0 += 3_600_000;
        self.world.look_at_the_storage();
    }

    /// I9 and I4 at the end; and the two ways of counting agree.
    fn check_the_end(&self) -> Result<(), Violation> {
        let (mut finished, mut given_up) = (0, 0);
        for (number, known) in &self.history.sectors {
            self.world.disk.check_over(*number, known.given_up)?;
            ensure(known.given_up || self.world.chain.has_commit(*number), "I9", || {
                format!("sector {number} is finished and not on chain")
            })?;
            if known.given_up { given_up += 1 } else { finished += 1 }
        }
        let Some(process) = &self.process else { return Ok(()) };
        let view = process.core.view(self.world.now);
        ensure((view.finished, view.given_up) == (finished, given_up), "I9", || {
            format!(
                "counted: {} and {}; are: {finished} and {given_up}",
                view.finished, view.given_up
            )
        })?;
        self.journal.replay().map(drop)
    }
}
