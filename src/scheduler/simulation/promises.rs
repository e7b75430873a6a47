//! What a command was answered with, held against the history.

use crate::domain::event::{BoxEvent, Event, Happened};
use crate::domain::order::Place;
use crate::domain::phase::Phase;
use crate::scheduler::command::{Command, Done};

use super::process::Scene;
use super::violation::{Violation, broken, ensure};

/// For the list of what was seen.
pub fn name(done: &Done) -> &'static str {
    match done {
        Done::Ordered(_) => "answered: ordered",
        Done::Cancelled(_) => "answered: an order was cancelled",
        Done::Moved { .. } => "answered: an order was moved",
        Done::Retried(some) if some.is_empty() => "answered: nothing to retry",
        Done::Retried(_) => "answered: retried",
        Done::Redone(_) => "answered: redone from P1",
        Done::Aborted { stopped, awaited, .. } => match (stopped.is_empty(), awaited.is_empty()) {
            (true, true) => "answered: aborted",
            (false, true) => "answered: aborted, what ran is stopped",
            (_, false) => "answered: aborted, an attempt still runs",
        },
        Done::OrphanRecorded { .. } => "answered: an orphan is on record",
        Done::IntakePaused => "answered: intake paused",
        Done::IntakeResumed => "answered: intake resumed",
        Done::PhasePaused(_) => "answered: a phase paused",
        Done::PhaseResumed(_) => "answered: a phase resumed",
        Done::Draining { .. } => "answered: draining",
        Done::AllResumed => "answered: all resumed",
        Done::Adopted => "answered: other limits",
    }
}

/// I5: when a command is answered, what the answer says is in the durable history.
pub fn kept(
    command: &Command,
    done: &Done,
    entries_before: usize,
    scene: &mut Scene<'_>,
) -> Result<(), Violation> {
    let journal = &*scene.journal;
    let mut promised = |is_it: &dyn Fn(&Happened) -> bool| {
        let entries = journal.entries().iter().enumerate().skip(entries_before);
        let found = entries.clone().find(|(_, entry)| is_it(&entry.happened));
        let (place, entry) = found.ok_or_else(|| {
            broken("I5", format!("{command:?} was answered {done:?} and is not in the history"))
        })?;
        scene.acknowledged.push((place, entry.clone()));
        Ok(())
    };
    let of = |happened: &Happened, sector, is_it: &dyn Fn(&Event) -> bool| match happened {
        Happened::Sector { number, event } => *number == sector && is_it(event),
        Happened::Box(_) => false,
    };
    match done {
        Done::Ordered(placed) => promised(&|happened| {
            matches!(happened, Happened::Box(BoxEvent::Ordered { order, count, .. })
                if *order == placed.id && *count == placed.count)
        }),
        Done::Cancelled(gone) => promised(
            &|happened| matches!(happened, Happened::Box(BoxEvent::Cancelled { order, .. }) if order == gone),
        ),
        // Where it stood already it stays, and leaves no entry.
        Done::Moved { order: moved, place } => {
            let is_it = |happened: &Happened| matches!(happened, Happened::Box(BoxEvent::Moved { order, .. }) if order == moved);
            let since = journal.entries().iter().skip(entries_before);
            if since.clone().any(|entry| is_it(&entry.happened)) {
                return promised(&is_it);
            }
            let nth = journal.box_state().orders.position(*moved);
            let changed = since.filter(|entry| changes_the_queue(&entry.happened)).count();
            ensure(changed > 0 || nth.map(|nth| nth + 1) == Some(*place), "I5", || {
                format!("{command:?} was answered {done:?}, it stands at {nth:?}")
            })?;
            let asked = match command {
                Command::MoveOrder { to, .. } => *to,
                other => return Err(broken("I5", format!("{other:?} was answered {done:?}"))),
            };
            let orders = &journal.box_state().orders;
            let there = || orders.stands_before(*moved, orders.target(*moved, asked));
            // Up and down are seen from where it stood, and it stands there no longer.
            let relative = matches!(asked, Place::Up | Place::Down);
            ensure(changed > 0 || relative || there(), "I5", || {
                format!("{command:?} was answered {done:?} and did nothing")
            })
        }
        Done::Retried(retried) => retried.iter().try_for_each(|one| {
            promised(&|happened| {
                of(
                    happened,
                    one.sector,
                    &|event| matches!(event, Event::Retried { phase, .. } if *phase == one.phase),
                )
            })
        }),
        Done::Redone(sector) => promised(&|happened| {
            of(happened, *sector, &|event| matches!(event, Event::Redone { .. }))
        }),
        Done::Aborted { sector, .. } => promised(&|happened| {
            of(happened, *sector, &|event| matches!(event, Event::Aborted { .. }))
        }),
        Done::OrphanRecorded { path: gone, .. } => promised(
            &|happened| matches!(happened, Happened::Box(BoxEvent::OrphanDeleted { path, .. }) if path == gone),
        ),
        // The file has them, and the next start reads it.
        Done::Adopted => Ok(()),
        // What is asked twice changes nothing the second time, and leaves no entry. Nothing else
        // was decided since, or it is in this same batch: then the state says nothing for sure.
        Done::IntakePaused
        | Done::IntakeResumed
        | Done::PhasePaused(_)
        | Done::PhaseResumed(_)
        | Done::Draining { .. }
        | Done::AllResumed => {
            let since = journal.entries().iter().skip(entries_before);
            let changed = since.filter(|entry| is_pause(&entry.happened)).count();
            let state = journal.box_state();
            let none = state.paused.is_empty() && !state.intake_paused;
            let all = state.paused.len() == Phase::ALL.len() && state.intake_paused;
            let holds = match done {
                Done::IntakePaused => state.intake_paused,
                Done::IntakeResumed => !state.intake_paused,
                Done::PhasePaused(phase) => state.paused.contains(phase),
                Done::PhaseResumed(phase) => !state.paused.contains(phase),
                Done::Draining { .. } => all,
                Done::AllResumed
                | Done::Ordered(_)
                | Done::Cancelled(_)
                | Done::Moved { .. }
                | Done::Retried(_)
                | Done::Redone(_)
                | Done::Aborted { .. }
                | Done::Adopted
                | Done::OrphanRecorded { .. } => none,
            };
            ensure(holds || changed > 0, "I5", || {
                format!("{command:?} was answered and did nothing")
            })
        }
    }
}

/// Whether an order comes, goes or is moved.
fn changes_the_queue(happened: &Happened) -> bool {
    match happened {
        Happened::Box(
            BoxEvent::Ordered { .. } | BoxEvent::Cancelled { .. } | BoxEvent::Moved { .. },
        )
        | Happened::Sector { event: Event::Issued { .. }, .. } => true,
        Happened::Box(
            BoxEvent::IntakePaused { .. }
            | BoxEvent::IntakeResumed { .. }
            | BoxEvent::PhasePaused { .. }
            | BoxEvent::PhaseResumed { .. }
            | BoxEvent::OrphanDeleted { .. }
            | BoxEvent::Stopping { .. }
            | BoxEvent::Checked { .. },
        )
        | Happened::Sector { .. } => false,
    }
}

fn is_pause(happened: &Happened) -> bool {
    match happened {
        Happened::Box(
            BoxEvent::IntakePaused { .. }
            | BoxEvent::IntakeResumed { .. }
            | BoxEvent::PhasePaused { .. }
            | BoxEvent::PhaseResumed { .. },
        ) => true,
        Happened::Box(
            BoxEvent::Ordered { .. }
            | BoxEvent::Cancelled { .. }
            | BoxEvent::Moved { .. }
            | BoxEvent::OrphanDeleted { .. }
            | BoxEvent::Stopping { .. }
            | BoxEvent::Checked { .. },
        )
        | Happened::Sector { .. } => false,
    }
}
