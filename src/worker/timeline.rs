//! The box's last day, written by the workers as their attempts end, read by the page. A start
//! fills it from the histories of the newest sectors.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::domain::event::Event;
use crate::domain::phase::Phase;
use crate::domain::sector::Sector;
use crate::domain::timeline::{Attempt, Timeline, end};
use crate::domain::units::Timestamp;
use crate::scheduler::view::BoxView;

/// Where attempts are put down when they end.
#[derive(Debug, Default)]
pub struct TimelineBoard(Mutex<Timeline>);

impl TimelineBoard {
    /// An attempt at the sector ended with this. (The sector is as it was when it began.)
    pub fn ended(&self, sector: &Sector, event: &Event) {
        let Some((phase, how)) = end(event) else { return };
        let record = &sector.tasks[phase];
        let Some((worker, from)) = record.worker.clone().zip(record.started) else { return };
        let sector = sector.id.number;
        self.change(|timeline| {
            timeline.note(Attempt { worker, sector, phase, from, to: now(), how });
        });
    }

    /// What phases wait for, as the view has it.
    pub fn waiting(&self, view: &BoxView) {
        let reasons = reasons(view);
        self.change(|timeline| timeline.waiting(now(), &reasons));
    }

    pub fn change(&self, change: impl FnOnce(&mut Timeline)) {
        change(&mut self.get());
    }

    /// To be read at once: workers wait for it.
    pub fn get(&self) -> MutexGuard<'_, Timeline> {
        // What a panic elsewhere leaves half-done is a list with one attempt more or less.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What holds each phase back now. P1 is fed by the intake: what that waits for, it does.
pub fn reasons(view: &BoxView) -> BTreeMap<Phase, String> {
    let mut reasons = view.held.clone();
    for wait in &view.waits {
        reasons.entry(wait.phase).or_insert_with(|| wait.why.clone());
    }
    if let Some(trouble) = &view.trouble {
        return Phase::ALL.into_iter().map(|phase| (phase, trouble.what.clone())).collect();
    }
    let ordered = view.throttles.iter().any(|throttle| throttle.waiting > 0);
    let stands_still = view.throttles.iter().find(|throttle| throttle.stands_still());
    let intake = match (stands_still, &view.intake_waits) {
        (Some(throttle), _) => Some(format!(
            "standstill: failed sectors hold the throttle ({} of {})",
            throttle.outstanding, throttle.size
        )),
        (None, _) if ordered && view.intake_paused => Some("the intake is paused".to_owned()),
        (None, Some(why)) if ordered => Some(why.clone()),
        (None, _) => None,
    };
    if let Some(why) = intake {
        reasons.entry(Phase::P1).or_insert(why);
    }
    reasons
}

fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}
