//! One run: a seed, a world, a box, and what happens to them.

mod seed;

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use crate::domain::event::{Entry, Event, Happened};
use crate::domain::ids::ActorId;
use crate::domain::isolation::Isolation;
use crate::domain::layout::Scratch;
use crate::domain::needs::{Machine, Needs};
use crate::domain::order::AutoPledge;
use crate::domain::phase::Phase;
use crate::domain::porep::{Porep, SealKind};
use crate::domain::units::{ByteSize, SectorSize};
use crate::scheduler::command::Command;
use crate::scheduler::core::{Cause, Core, Limits, Settings};

use super::chain::Temper;
use super::history::{ByItself, History, is_held};
use super::invariants;
use super::journal::Journal;
use super::process::{At, Process, Scene, Turn, make_durable};
use super::random::Random;
use super::violation::{Violation, broken, ensure};
use super::world::{Weather, World};

/// The most sectors that commands order in a run; it has to end.
const ORDERED: u64 = 8;

/// What [`run_large`] makes, and how many a run.
const LARGE: SectorSize = SectorSize::GiB32;
const LARGE_ORDERED: u64 = 20;

/// How often what is done to the box, in percent of the steps.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rates {
    commands: u64,
    kills: u64,
    stops: u64,
    weather: u64,
    pub(super) kills_while_acting: u64,
}

pub struct Run {
    pub(super) random: Random,
    pub(super) world: World,
    pub(super) journal: Journal,
    pub(super) history: History,
    pub(super) process: Option<Process>,
    pub(super) settings: Settings,
    pub(super) rates: Rates,
    pub(super) still_to_order: u64,
    acknowledged: Vec<(usize, Entry)>,
    /// What was done, for who has to understand a failure.
    pub trace: Vec<String>,
}

/// What came of a seed.
pub struct Outcome {
    pub verdict: Result<(), Violation>,
    pub run: Run,
}

pub fn run(seed: u64) -> Outcome {
    outcome(Run::new(seed), Run::through)
}

/// As [`run`], with more and only large sectors, and a throttle for one to five of them.
pub fn run_large(seed: u64) -> Outcome {
    let mut run = Run::new(seed);
    let limit = 1 + seed % 5;
    run.settings.sector_size = LARGE;
    run.settings.limits.max_outstanding.insert(LARGE, limit);
    run.settings.limits.auto_pledge = AutoPledge::Sectors(LARGE_ORDERED);
    run.still_to_order = 0;
    run.world.storage_sectors = Vec::new();
    run.history = run.new_history();
    outcome(run, Run::through_large)
}

fn outcome(mut run: Run, way: impl FnOnce(&mut Run) -> Result<(), Violation>) -> Outcome {
    let verdict = catch_unwind(AssertUnwindSafe(|| way(&mut run)));
    let verdict = verdict.unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(|s| (*s).to_owned()));
        Err(broken("panic", text.unwrap_or_default()))
    });
    Outcome { verdict, run }
}

impl Run {
    fn new_history(&self) -> History {
        let limits = &self.settings.limits;
        let most = match limits.auto_pledge {
            AutoPledge::Sectors(count) => ByItself::Ordered(count),
            AutoPledge::UntilFull => ByItself::Stored(self.world.storage_sectors.iter().sum()),
        };
        History::new(limits.max_outstanding.clone(), most)
    }

    pub fn seen(&self) -> &std::collections::BTreeMap<&'static str, u64> {
        &self.world.seen
    }

    fn through(&mut self) -> Result<(), Violation> {
        let steps = self.random.between(100, 400);
        for _ in 0..steps {
            self.step()?;
            self.check()?;
        }
        self.kind_ending()
    }

    /// Until as many were issued as are wanted, while all goes wrong that can and somebody looks in
    /// now and then: orders again what was cancelled, resumes and retries.
    fn through_large(&mut self) -> Result<(), Violation> {
        let limit = self.settings.limits.max_outstanding[&LARGE];
        for step in 0..LARGE_ORDERED * 500 {
            if self.large_sectors() >= LARGE_ORDERED {
                break;
            }
            self.step()?;
            self.check()?;
            if self.history.outstanding(LARGE) == limit {
                self.world.see("the throttle was full");
            }
            if step % 25 == 0 {
                self.look_in();
            }
        }
        self.kind_ending()
    }

    fn look_in(&mut self) {
        let missing = LARGE_ORDERED.saturating_sub(self.large_sectors());
        let order = Command::Order { size: LARGE, count: missing.max(1) };
        let Some(process) = &mut self.process else { return };
        process.asks.extend([Command::ResumeAll, Command::RetryAll]);
        if self.journal.box_state().orders.is_empty() && process.asks.len() < 4 {
            process.asks.push_back(order);
        }
    }

    /// Sectors of the large size that were issued.
    pub fn large_sectors(&self) -> u64 {
        self.history.sectors.values().filter(|known| known.size == LARGE).count() as u64
    }

    pub(super) fn check(&self) -> Result<(), Violation> {
        for (place, entry) in &self.acknowledged {
            ensure(self.journal.entries().get(*place) == Some(entry), "I5", || {
                format!("{entry:?} was acknowledged and is gone")
            })?;
        }
        let Some(process) = &self.process else { return Ok(()) };
        let limit = |size| self.settings.limits.max_outstanding.get(&size).copied();
        invariants::check(process, &self.world, &self.journal, &self.history, limit)?;
        invariants::check_bounds(process, &self.world, &self.settings)
    }

    /// One thing happens; chance says which.
    fn step(&mut self) -> Result<(), Violation> {
        if self.process.is_none() {
            return self.start();
        }
        let dice = self.random.below(100);
        let Rates { commands, kills, stops, weather, .. } = self.rates;
        if dice < kills {
            return self.kill();
        }
        if dice < kills + stops {
            self.say("stop");
            self.world.see("a stop was asked for");
            let now = self.world.now;
            self.process.iter_mut().for_each(|process| process.stop(now));
            return Ok(());
        }
        if dice < kills + stops + weather {
            self.change_weather();
            return Ok(());
        }
        if dice < kills + stops + weather + commands {
            self.give_command();
            return Ok(());
        }
        match self.random.below(11) {
            0 => self.pass_time(),
            10 => {
                self.world.look_at_the_scratch();
                self.world.look_at_the_storage();
                Ok(())
            }
            1 if self.random.percent(30) => {
                self.check_a_copy();
                Ok(())
            }
            1..=4 if !self.world.attempts.is_empty() => self.work(),
            5..=6 if !self.world.errands.is_empty() => self.ask_chain(),
            _ => self.turn(),
        }
    }

    fn pass_time(&mut self) -> Result<(), Violation> {
        let wake = self.process.as_ref().and_then(|process| process.core.next_wake(self.world.now));
        let ms = match wake {
            Some(wake) if self.random.percent(50) => wake.0 - self.world.now.0,
            Some(_) | None => self.random.below(30_000),
        };
        self.world.now.0 += ms;
        self.say(format!("{ms} ms pass"));
        Ok(())
    }

    pub(super) fn say(&mut self, what: impl Into<String>) {
        self.trace.push(what.into());
    }

    pub(super) fn start(&mut self) -> Result<(), Violation> {
        let groups = groups(&mut self.random);
        // Sectors of an earlier start stay what they were issued as.
        self.settings.porep = self.random.pick(&Porep::ALL);
        let past = self.journal.replay()?;
        self.world.see("a start");
        self.say(format!("start with {groups:?}, issuing {}", self.settings.porep));
        let mut core = Core::new(self.settings.clone(), &groups, past);
        core.hold(Phase::P4, Cause::Parameters, self.parameters_awaited());
        if let Some(rooms) = self.world.rooms() {
            core.rooms(rooms);
        }
        self.process = Some(Process::start(core, self.world.now));
        Ok(())
    }

    /// The process dies where it stands. What it was about to make durable may have got there: all
    /// of it, or nothing.
    pub(super) fn kill(&mut self) -> Result<(), Violation> {
        let Some(process) = self.process.take() else { return Ok(()) };
        let got_there = self.random.percent(50) && !self.world.weather.journal_full;
        self.world.see(match (&process.at, got_there) {
            (At::Waiting, _) => "killed while it waited",
            (At::Decided(_), false) => "killed before the commit",
            (At::Decided(_), true) => "killed in the commit, after the write",
            (At::Durable(_), _) => "killed between commit and act",
        });
        if process.core.running() > 0 {
            self.world.see("killed under running attempts");
        }
        match &process.at {
            At::Decided(decided) if got_there => {
                self.say("killed; the last batch is in the journal");
                make_durable(decided, &mut self.journal, &mut self.history)?;
            }
            At::Waiting | At::Decided(_) | At::Durable(_) => self.say("killed"),
        }
        self.lose_the_process();
        Ok(())
    }

    fn lose_the_process(&mut self) {
        self.process = None;
        self.world.lose_the_process();
        self.history.process_ended();
    }

    fn turn(&mut self) -> Result<(), Violation> {
        let most = self.random.index(5);
        self.turn_taking(most)?;
        // Mostly nothing comes between the steps of a turn.
        while !self.is_waiting() && !self.world.weather.journal_full && self.random.percent(60) {
            self.check()?;
            self.turn_taking(most)?;
        }
        Ok(())
    }

    pub(super) fn is_waiting(&self) -> bool {
        self.process.as_ref().is_none_or(|process| match process.at {
            At::Waiting => true,
            At::Decided(_) | At::Durable(_) => false,
        })
    }

    pub(super) fn turn_taking(&mut self, most: usize) -> Result<(), Violation> {
        let Some(process) = &mut self.process else { return Ok(()) };
        let before = self.journal.entries().len();
        let was = match &process.at {
            At::Waiting => "decides",
            At::Decided(_) => "commits",
            At::Durable(_) => "acts",
        };
        let mut scene = Scene {
            world: &mut self.world,
            journal: &mut self.journal,
            history: &mut self.history,
            random: &mut self.random,
            acknowledged: &mut self.acknowledged,
            kill_percent: self.rates.kills_while_acting,
        };
        let turn = process.turn(most, &mut scene);
        let new = &self.journal.entries()[before..];
        if new.iter().any(is_held_after_deaths) {
            self.world.see("a task was held after three deaths");
        }
        let new: Vec<_> = new.iter().map(|entry| format!("{:?}", entry.happened)).collect();
        self.say(format!("the loop {was} {}", new.join("\n            ")));
        match turn? {
            Turn::GoesOn => {}
            Turn::Killed => {
                self.world.see("killed while acting");
                self.say("killed while acting");
                self.lose_the_process();
            }
            Turn::Over => {
                self.world.see("stopped as asked");
                self.say("stopped");
                self.lose_the_process();
            }
        }
        Ok(())
    }

    fn work(&mut self) -> Result<(), Violation> {
        let index = self.random.index(self.world.attempts.len());
        self.work_on(index)
    }

    pub(super) fn work_on(&mut self, index: usize) -> Result<(), Violation> {
        let attempt = &self.world.attempts[index];
        let (phase, number) = (attempt.phase, attempt.sector.id.number);
        let before = self.world.inputs.len();
        let result = self.world.work(index, &self.history, &mut self.random);
        let sent = self.world.inputs.iter().skip(before).map(|input| format!("{input:?}"));
        let sent: Vec<_> = sent.collect();
        self.say(format!("{phase} of sector {number} works {}", sent.join(", ")));
        result
    }

    fn ask_chain(&mut self) -> Result<(), Violation> {
        let index = self.random.index(self.world.errands.len());
        self.ask_chain_for(index)
    }

    pub(super) fn ask_chain_for(&mut self, index: usize) -> Result<(), Violation> {
        let errand = &self.world.errands[index];
        let (number, effect) = (errand.number(), errand.effect);
        let before = self.world.inputs.len();
        let result = self.world.ask_chain(index, &mut self.random);
        let sent = self.world.inputs.iter().skip(before).map(|input| format!("{input:?}"));
        let sent: Vec<_> = sent.collect();
        self.say(format!("the chain is asked: {effect:?} of {number}: {}", sent.join(", ")));
        result
    }
}

fn is_held_after_deaths(entry: &Entry) -> bool {
    matches!(&entry.happened, Happened::Sector { event: Event::Failed { phase, failure }, .. }
        if is_held(*phase, &failure.what))
}

/// What the real engine needs of the machine, on a scratch of simulated sectors.
fn needs() -> Needs {
    let (mut needs, real) = (Needs::simulated(), Needs::real());
    for (size, phase) in
        SectorSize::ALL.into_iter().flat_map(|size| Phase::ALL.map(|phase| (size, phase)))
    {
        needs.set(size, phase, real.of(SealKind::new(size, Porep::Interactive), phase));
    }
    needs
}

/// One of several crews; a restart may bring another.
fn groups(random: &mut Random) -> Vec<(BTreeSet<Phase>, usize)> {
    use Phase::{P1, P2, P3, P4, P5, P6};
    let crews: [&[(&[Phase], usize)]; 4] = [
        &[(&Phase::ALL, 1)],
        &[(&Phase::ALL, 3)],
        &[(&[P1], 2), (&[P2, P3], 1), (&[P4], 1), (&[P5, P6], 1)],
        &[(&[P1, P2], 2), (&[P3, P4, P5, P6], 2), (&[P6], 1)],
    ];
    let crew = random.pick(&crews);
    crew.iter().map(|(phases, num)| (phases.iter().copied().collect(), *num)).collect()
}
