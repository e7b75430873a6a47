//! Why a task does not run yet: what holds its phase, what it lacks, or who has its workers.

use super::show::rfc3339;
use super::words::Held;
use crate::domain::phase::Phase;
use crate::domain::sector::{Sector, Work};
use crate::domain::task::TaskState;
use crate::domain::units::Timestamp;
use crate::scheduler::view::{BoxView, WorkerView};

/// The phases of the sector that may not start now, each with what it waits for.
pub fn held(view: &BoxView, sector: &Sector) -> Held {
    let mut held = view.held_for(sector.id.number);
    for (phase, work) in sector.stage.works() {
        let queued = match work {
            Work::Ready { not_before: None, .. } => true,
            Work::Ready { not_before: Some(_), .. }
            | Work::Running { .. }
            | Work::Failed { .. } => false,
        };
        if let Some(why) = nothing_starts(view).filter(|_| queued) {
            held.insert(phase, why);
        } else if queued && !held.contains_key(&phase) {
            held.extend(taken(view, phase).map(|why| (phase, why)));
        }
    }
    held
}

/// Why this task does not run; none if it does, or is over.
pub fn why(view: &BoxView, sector: &Sector, phase: Phase) -> Option<String> {
    match sector.task(phase) {
        TaskState::Ready { .. } if sector.giving_up.is_some() => {
            Some("the sector is being given up".to_owned())
        }
        TaskState::Ready { not_before: None } => {
            let held = held(view, sector).remove(&phase);
            Some(held.unwrap_or_else(|| "a worker takes it next".to_owned()))
        }
        TaskState::Ready { not_before: Some(at) } => {
            let held = view.held_for(sector.id.number).remove(&phase);
            Some(held.unwrap_or_else(|| again(at)))
        }
        TaskState::Failed { failure } => Some(failure.what.clone()),
        TaskState::NotYet | TaskState::Running { .. } | TaskState::Done | TaskState::NeverRuns => {
            None
        }
    }
}

/// When a task that failed is tried again.
pub fn again(at: Timestamp) -> String {
    format!("tried again by itself at {} UTC", &rfc3339(at)[11..19])
}

/// What concerns every task alike.
pub fn nothing_starts(view: &BoxView) -> Option<String> {
    if let Some(trouble) = &view.trouble {
        return Some(format!("no work starts: {}", trouble.what));
    }
    if view.suspect.is_some() {
        return Some("nothing new starts until sealbox has restarted itself".to_owned());
    }
    view.stopping.then(|| "sealbox is stopping".to_owned())
}

/// Who has the workers of this phase; none if one of them is free for it.
fn taken(view: &BoxView, phase: Phase) -> Option<String> {
    let able: Vec<&WorkerView> =
        view.workers.iter().filter(|worker| worker.phases.contains(&phase)).collect();
    let busy: Vec<_> = able.iter().filter_map(|worker| worker.doing).collect();
    if able.is_empty() {
        return Some(format!("no worker does {phase}: add it to a [[worker]] in appliance.toml"));
    }
    if busy.len() < able.len() {
        // A free one that does not take it looks at older sectors first.
        let older = view.waits.iter().find(|wait| wait.phase == phase)?;
        return Some(format!("it comes after sector {}, which {}", older.sector, older.why));
    }
    match busy[..] {
        [one] => Some(format!("its worker is busy with {} of sector {}", one.phase, one.sector)),
        _ => Some(format!("all {} workers that do {phase} are busy", busy.len())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::failure::{Class, Failure};
    use crate::domain::ids::SectorNumber;
    use crate::scheduler::view::WaitView;
    use crate::web::tests::states::busy;

    fn why_p1(view: &BoxView) -> Option<String> {
        let sector = view.in_flight.iter().find(|sector| sector.id.number.0 == 7).unwrap();
        why(view, sector, Phase::P1)
    }

    #[test]
    fn a_queued_task_names_what_keeps_it_and_what_concerns_all_comes_first() {
        let mut view = busy().view();
        let is = |view: &BoxView, expected: &str| assert_eq!(why_p1(view).unwrap(), expected);
        is(&view, "its worker is busy with P1 of sector 6");
        let p1 = view.workers.iter().position(|worker| worker.phases == [Phase::P1]).unwrap();
        let twin = view.workers[p1].clone();
        view.workers.push(twin);
        is(&view, "all 2 workers that do P1 are busy");
        view.workers[p1].doing = None;
        is(&view, "a worker takes it next");
        let room = "needs 400 GiB on /sealer, 60 GiB unreserved";
        let wait = |sector| WaitView {
            sector: SectorNumber(sector),
            phase: Phase::P1,
            why: room.to_owned(),
        };
        view.waits = vec![wait(5)];
        is(&view, &format!("it comes after sector 5, which {room}"));
        view.waits = vec![wait(7)];
        is(&view, room);
        view.workers.retain(|worker| !worker.phases.contains(&Phase::P1));
        view.waits.clear();
        is(&view, "no worker does P1: add it to a [[worker]] in appliance.toml");
        view.held.insert(Phase::P1, "paused by a person".to_owned());
        is(&view, "paused by a person");
        view.stopping = true;
        is(&view, "sealbox is stopping");
        view.trouble = Some(Failure::new(Class::Fatal, "the journal is full", "make room"));
        is(&view, "no work starts: the journal is full");
    }

    #[test]
    fn what_runs_or_is_over_waits_for_nothing() {
        let view = busy().view();
        let of = |number| view.in_flight.iter().find(|one| one.id.number.0 == number).unwrap();
        assert_eq!(why(&view, of(6), Phase::P1), None);
        assert_eq!(why(&view, of(6), Phase::P2), None);
        assert_eq!(why(&view, of(5), Phase::P1), None);
    }
}
