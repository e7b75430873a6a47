//! What is done to the box: the weather round it, and commands at any moment.

use super::process::OPERATOR;
use super::run::Run;
use super::world::{Input, Weather};
use crate::domain::event::Event;
use crate::domain::failure::{Class, Failure};
use crate::domain::ids::{OrderId, SectorNumber};
use crate::domain::order::Place;
use crate::domain::phase::Phase;
use crate::domain::units::SectorSize;
use crate::scheduler::command::Command;

impl Run {
    pub(super) fn parameters_awaited(&self) -> Option<String> {
        (!self.world.weather.parameters_made).then(|| "the parameters are being made".to_owned())
    }

    pub(super) fn change_weather(&mut self) {
        let weather = &mut self.world.weather;
        let away = !self.world.away.is_empty();
        let bad = away || weather.scratch_full || weather.storage_hangs || weather.journal_full;
        // It is bad now and then, not half of the time: then nothing would get far.
        if bad && self.random.percent(70) {
            *weather = Weather {
                scratch_full: false,
                storage_hangs: false,
                journal_full: false,
                ..*weather
            };
            self.world.away.clear();
            return self.say("the disks are fine again");
        }
        let what = match self.random.below(11) {
            0 => {
                weather.scratch_full ^= true;
                "the scratch fills up, or is free again"
            }
            1 => {
                weather.storage_hangs ^= true;
                "the storage hangs, or answers again"
            }
            2 => {
                weather.journal_full ^= true;
                "the journal's disk fills up, or is free again"
            }
            3 => {
                weather.parameters_made ^= true;
                let waits_for = self.parameters_awaited();
                self.world.inputs.push_back(Input::Hold { waits_for });
                "the parameters come, or go"
            }
            4 => {
                self.world.look_at_the_scratch();
                self.world.look_at_the_storage();
                "the disks are looked at"
            }
            5 => {
                let number = self.random.below(self.journal.box_state().next_number);
                if self.world.disk.damage(SectorNumber(number)) {
                    self.world.see("a stored copy was damaged");
                }
                "a disk damages a copy"
            }
            6 => {
                let finished = self.finished();
                let hit = !finished.is_empty() && {
                    let number = self.random.pick(&finished);
                    self.world.disk.rot(number)
                };
                if hit {
                    self.world.see("a finished sector's copy was damaged");
                }
                "a disk damages a finished sector"
            }
            8 | 9 if !self.world.scratch.is_empty() => return self.take_or_bring_a_scratch(),
            7 => {
                self.world.disk.mend_copies();
                "damaged copies are brought back"
            }
            _ => {
                let back = self.random.below(600_000);
                self.world.now.0 -= back;
                "the clock is set back"
            }
        };
        self.world.see(what);
        self.say(what);
    }

    /// The box does not hear of it before the next look, or before an attempt runs into it.
    fn take_or_bring_a_scratch(&mut self) {
        let roots: Vec<_> = self.world.scratch.keys().cloned().collect();
        let root = roots[self.random.index(roots.len())].clone();
        let what = if self.world.away.remove(&root) {
            "a scratch is back"
        } else {
            self.world.away.insert(root);
            "a scratch is taken away"
        };
        self.world.see(what);
        self.say(what);
    }

    fn finished(&self) -> Vec<SectorNumber> {
        let sectors = self.history.sectors.iter();
        let finished = sectors.filter(|(_, known)| known.over && !known.given_up);
        finished.map(|(number, _)| *number).collect()
    }

    /// A look at a stored copy ends, now and then of a sector that has none yet. What it found may
    /// be old by the time it is taken.
    pub(super) fn check_a_copy(&mut self) {
        let finished = self.finished();
        let number = match finished.is_empty() || self.random.percent(10) {
            true => SectorNumber(self.random.below(self.journal.box_state().next_number + 1)),
            false => self.random.pick(&finished),
        };
        let by = OPERATOR.to_owned();
        let (event, seen) = if self.world.disk.is_whole(number) {
            (Event::StoredProven { by }, "a copy was proven again")
        } else {
            let failure = Failure::new(Class::Sector, "a file is damaged", "bring it back");
            let failure = failure.at("storage/sealed");
            (Event::StoredDamaged { by, failure }, "a copy was found damaged")
        };
        self.world.see(seen);
        self.say(format!("a look at the copy of {number}: {}", event.name()));
        self.world.inputs.push_back(Input::Checked { sector: number, event });
        if self.random.percent(30) {
            let up_to = self.random.percent(80).then_some(number);
            self.world.inputs.push_back(Input::CheckedUpTo { up_to });
        }
    }

    /// Mostly one that is open.
    fn some_order(&mut self) -> OrderId {
        let state = self.journal.box_state();
        let open: Vec<_> = state.orders.iter().map(|order| order.id).collect();
        match open.is_empty() || self.random.percent(20) {
            true => OrderId(self.random.below(self.journal.box_state().next_order + 1)),
            false => self.random.pick(&open),
        }
    }

    fn some_place(&mut self) -> Place {
        let before = self.some_order();
        let named = self.random.pick(&Place::NAMED.map(|(_, place)| place));
        if self.random.percent(40) { Place::Before(before) } else { named }
    }

    pub(super) fn give_command(&mut self) {
        let sectors = self.journal.box_state().next_number + 1;
        let sector = SectorNumber(self.random.below(sectors));
        let command = match self.random.below(17) {
            0..=1 => {
                let count = self.random.between(1, 3).min(self.still_to_order);
                self.still_to_order -= count;
                let size =
                    self.random.pick(&[SectorSize::GiB32, SectorSize::KiB2, SectorSize::MiB512]);
                Command::Order { size, count }
            }
            2..=3 => {
                let phase = self.random.percent(50).then(|| self.random.pick(&Phase::ALL));
                Command::Retry { sector, phase }
            }
            4 => Command::RetryAll,
            5 => Command::Redo { sector },
            6 => Command::Abort { sector },
            7 => Command::PauseIntake,
            8 | 9 => Command::ResumeIntake,
            10 => Command::PausePhase { phase: self.random.pick(&Phase::ALL) },
            11 => Command::ResumePhase { phase: self.random.pick(&Phase::ALL) },
            12 if self.random.percent(30) => Command::Drain,
            12 => Command::ResumeAll,
            13..=15 => Command::MoveOrder { order: self.some_order(), to: self.some_place() },
            _ => Command::CancelOrder { order: self.some_order() },
        };
        self.say(format!("the operator: {command:?}"));
        self.process.iter_mut().for_each(|process| process.asks.push_back(command.clone()));
    }
}
