//! What has to hold after each step.

use std::collections::{BTreeMap, BTreeSet};

use crate::domain::admission::Queue;
use crate::domain::ids::SectorNumber;
use crate::domain::needs::Cores;
use crate::domain::phase::Phase;
use crate::domain::pipeline;
use crate::domain::porep::Porep;
use crate::domain::sector::{Sector, Stage, Work};
use crate::domain::units::SectorSize;
use crate::scheduler::core::Settings;
use crate::scheduler::view::WaitView;

use super::files::SECTOR;
use super::history::{History, Known};
use super::journal::Journal;
use super::process::{At, Process};
use super::violation::{Violation, ensure};
use super::world::{Input, World};

pub fn check(
    process: &Process,
    world: &World,
    journal: &Journal,
    history: &History,
    limit: impl Fn(SectorSize) -> Option<u64>,
) -> Result<(), Violation> {
    check_throttle(process, limit)?;
    check_indexes(process)?;
    match &process.at {
        At::Waiting => {
            check_against_history(process, journal, history)?;
            check_nothing_is_forgotten(process, world)?;
            check_nobody_idles(process)
        }
        // What is decided and not done yet is on its way.
        At::Decided(_) | At::Durable(_) => Ok(()),
    }
}

/// I7: what sectors in flight hold and may still write is never more than there is; and what runs
/// never needs more than the machine has.
pub fn check_bounds(
    process: &Process,
    world: &World,
    settings: &Settings,
) -> Result<(), Violation> {
    let (sectors, _, _) = process.core.insides();
    let held: BTreeMap<_, _> = world.disk.held().collect();
    let most = |sector: &&std::sync::Arc<Sector>| match &sector.stage {
        Stage::P6 { .. } => held.get(&sector.id.number).map_or(0, |held| held.0),
        Stage::Ticket
        | Stage::P1 { .. }
        | Stage::P2 { .. }
        | Stage::PreCommitting { .. }
        | Stage::WaitSeed { .. }
        | Stage::P3 { .. }
        | Stage::Proving { .. }
        | Stage::Finished { .. }
        | Stage::GivenUp { .. } => match sector.porep {
            Porep::Synthetic if sector.is_replicated() => SECTOR.0 / 2,
            Porep::Interactive | Porep::Synthetic | Porep::NonInteractive => SECTOR.0,
        },
    };
    for (root, holds) in &world.scratch {
        let here = sectors.values().filter(|sector| sector.scratch.as_ref() == Some(root));
        let taken: u64 = here.map(|sector| most(&sector)).sum();
        ensure(taken <= holds * SECTOR.0, "I7", || {
            format!("{taken} bytes are held and reserved, {root} has {}", holds * SECTOR.0)
        })?;
    }
    let Some(machine) = &settings.machine else { return Ok(()) };
    let running = sectors.values().flat_map(|sector| {
        let works = sector.stage.works().filter(|(_, work)| work.is_running());
        works.map(|(phase, _)| settings.limits.needs.of(sector.kind(), phase))
    });
    let running: Vec<_> = running.collect();
    let memory: u64 = running.iter().map(|need| need.memory.0).sum();
    let pools = running.iter().filter(|need| need.cores == Cores::Pool).count();
    let own = running.iter().map(|need| match need.cores {
        Cores::Own(cores) => cores,
        Cores::Pool => 0,
    });
    let fits = memory <= machine.memory.0 && pools <= 1 && own.sum::<u32>() <= machine.cores;
    ensure(fits, "I7", || format!("{running:?} run on {machine:?}"))
}

/// I3, in what is decided too. Counted by hand: the queue's own count is under test.
fn check_throttle(
    process: &Process,
    limit: impl Fn(SectorSize) -> Option<u64>,
) -> Result<(), Violation> {
    let (sectors, _, _) = process.core.insides();
    SectorSize::ALL.into_iter().try_for_each(|size| {
        let held = sectors.values().filter(|sector| sector.size == size).count() as u64;
        ensure(limit(size).is_none_or(|limit| held <= limit), "I3", || {
            format!("{held} of {size} in flight, the throttle is {:?}", limit(size))
        })
    })
}

/// The queue and the attention list are what the sectors make of them.
fn check_indexes(process: &Process) -> Result<(), Violation> {
    let (sectors, queue, attention) = process.core.insides();
    let mut anew = Queue::default();
    let damaged = process.core.damaged();
    for sector in sectors.values().chain(damaged.values()) {
        anew.update(None, sector);
    }
    ensure(*queue == anew, "queue", || format!("it holds {queue:?}, and should {anew:?}"))?;
    let failed = |sector: &&std::sync::Arc<Sector>| sector.failures().next().is_some();
    let mut needy: BTreeSet<_> = sectors.values().filter(failed).map(|s| s.id.number).collect();
    needy.extend(damaged.keys());
    ensure(*attention == needy, "I9", || {
        format!("on the attention list: {attention:?}; failed or damaged: {needy:?}")
    })?;
    let report = process.core.view(process.decided_at).report;
    let bug = report.iter().find(|line| line.starts_with("bug"));
    ensure(bug.is_none(), "bug", || bug.cloned().unwrap_or_default())
}

/// I6: what the core holds is what is durable. I8: and what the second reading counted.
fn check_against_history(
    process: &Process,
    journal: &Journal,
    history: &History,
) -> Result<(), Violation> {
    let (sectors, _, attention) = process.core.insides();
    for (number, known) in &history.sectors {
        ensure(!known.damaged || attention.contains(number), "I9", || {
            format!("sector {number} is damaged, and not on the attention list")
        })?;
        let kept = process.core.damaged().get(number);
        ensure(
            kept.is_some() == known.damaged
                && kept.is_none_or(|kept| journal.snapshots().get(number) == Some(kept)),
            "I6",
            || format!("sector {number}: the core and the history disagree on its damage"),
        )?;
    }
    for (number, durable) in journal.snapshots() {
        let held = sectors.get(number);
        let over = durable.stage.is_over();
        ensure(held.is_none() == over && held.is_none_or(|held| held == durable), "I6", || {
            format!("sector {number}: the core and the history disagree")
        })?;
        let known = history.sectors.get(number);
        ensure(known.is_some_and(|known| known.over == over), "I6", || {
            format!("sector {number} is over for one and not for the other")
        })?;
        if let Some((sector, known)) = held.zip(known) {
            check_policy(sector, known)?;
        }
    }
    Ok(())
}

fn check_policy(sector: &Sector, known: &Known) -> Result<(), Violation> {
    let number = sector.id.number;
    let waiting: BTreeSet<Phase> = sector.failures().map(|(phase, _)| phase).collect();
    ensure(waiting == known.waits_for_person, "I8", || {
        format!(
            "sector {number}: {waiting:?} wait for a person, {:?} should",
            known.waits_for_person
        )
    })?;
    for (phase, work) in sector.stage.works() {
        let (Work::Ready { tries, .. } | Work::Running { tries, .. }) = work else { continue };
        let counted = known.tries.get(&phase).copied().unwrap_or(0);
        ensure(*tries == counted, "I8", || {
            format!("sector {number}: {counted} attempts at {phase} failed, {tries} are counted")
        })?;
        let (died, deaths) = (known.deaths.get(&phase).copied().unwrap_or(0), work.deaths());
        ensure(died == deaths, "I8", || {
            format!("sector {number}: the box died {died} times under {phase}, not {deaths}")
        })?;
    }
    Ok(())
}

/// I9: what is in flight runs, is queued, waits for an answer or for a person. And what the core
/// takes for running does run, with its worker.
fn check_nothing_is_forgotten(process: &Process, world: &World) -> Result<(), Violation> {
    let (sectors, _, _) = process.core.insides();
    for (number, sector) in sectors {
        let mut stands_still = sector.failures().next().is_none();
        for (phase, work) in sector.stage.works() {
            match work {
                Work::Ready { .. } => stands_still &= sector.giving_up.is_some(),
                Work::Running { .. } => {
                    stands_still = false;
                    ensure(is_running(world, *number, phase), "I9", || {
                        format!("sector {number}: nobody is at work on its {phase}")
                    })?;
                }
                Work::Failed { .. } => {}
            }
        }
        for effect in pipeline::owed(sector) {
            stands_still = false;
            let asked = world.errands.iter().any(|e| e.number() == *number && e.effect == effect)
                || world.inputs.iter().any(|input| match input {
                    Input::Chain { sector, .. } => sector == number,
                    Input::During { .. }
                    | Input::Ended { .. }
                    | Input::Checked { .. }
                    | Input::CheckedUpTo { .. }
                    | Input::Suspect
                    | Input::Rooms(_)
                    | Input::ScratchAway { .. }
                    | Input::Advanced { .. }
                    | Input::Stores(_)
                    | Input::Hold { .. } => false,
                });
            ensure(asked, "I9", || format!("sector {number}: nobody carries {effect:?}"))?;
        }
        ensure(!stands_still, "I9", || format!("sector {number} stands still: {sector:?}"))?;
    }
    for errand in &world.errands {
        let sector = sectors.get(&errand.number());
        let needed = sector.is_some_and(|sector| pipeline::owed(sector).contains(&errand.effect));
        ensure(needed, "chain", || {
            format!("{:?} of sector {} is asked for and not needed", errand.effect, errand.number())
        })?;
    }
    let at_work = world.attempts.len() + world.inputs.iter().filter(|i| is_end(i)).count();
    ensure(process.core.running() == at_work, "I1", || {
        format!("{} workers are taken, {at_work} attempts run", process.core.running())
    })
}

fn is_running(world: &World, number: SectorNumber, of: Phase) -> bool {
    let attempt = world.attempts.iter().any(|a| a.sector.id.number == number && a.phase == of);
    attempt
        || world.inputs.iter().any(|input| match input {
            Input::Ended { sector, event, .. } => *sector == number && event.phase() == Some(of),
            Input::During { .. }
            | Input::Chain { .. }
            | Input::Checked { .. }
            | Input::CheckedUpTo { .. }
            | Input::Suspect
            | Input::Rooms(_)
            | Input::ScratchAway { .. }
            | Input::Advanced { .. }
            | Input::Stores(_)
            | Input::Hold { .. } => false,
        })
}

fn is_end(input: &Input) -> bool {
    match input {
        Input::Ended { .. } => true,
        Input::During { .. }
        | Input::Chain { .. }
        | Input::Checked { .. }
        | Input::CheckedUpTo { .. }
        | Input::Suspect
        | Input::Rooms(_)
        | Input::ScratchAway { .. }
        | Input::Advanced { .. }
        | Input::Stores(_)
        | Input::Hold { .. } => false,
    }
}

/// Nothing that may start waits beside a worker that could take it; and the loop wakes when the
/// next back-off ends: not later, and not for one that is over, which would make it spin.
fn check_nobody_idles(process: &Process) -> Result<(), Violation> {
    if process.stopping || process.core.is_suspect() || process.core.halted().is_some() {
        return Ok(());
    }
    let (sectors, _, _) = process.core.insides();
    let now = process.decided_at;
    let view = process.core.view(now);
    let mut next_end = None;
    for sector in sectors.values().filter(|sector| sector.giving_up.is_none()) {
        for (phase, work) in sector.stage.works() {
            let Work::Ready { not_before, .. } = work else { continue };
            if let Some(later) = not_before.filter(|at| *at > now) {
                next_end = Some(next_end.map_or(later, |end| later.min(end)));
                continue;
            }
            let idle = |w: &&_| {
                let worker: &crate::scheduler::view::WorkerView = w;
                worker.doing.is_none() && worker.phases.contains(&phase)
            };
            let idle = view.workers.iter().find(idle);
            let waits = |wait: &WaitView| (wait.sector, wait.phase) == (sector.id.number, phase);
            let said = view.held.contains_key(&phase) || view.waits.iter().any(waits);
            ensure(idle.is_none() || said, "idle", || {
                format!("{phase} of sector {} waits beside an idle worker", sector.id.number)
            })?;
        }
    }
    let wake = process.core.next_wake(now);
    ensure(wake == next_end, "wake", || {
        format!("the next back-off ends at {next_end:?}, the loop wakes at {wake:?}, it is {now:?}")
    })
}
