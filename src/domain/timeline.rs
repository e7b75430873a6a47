//! Which worker did what when, and what phases waited for: the last day of it. Pure and bounded.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use super::event::{Entry, Event, Happened};
use super::ids::SectorNumber;
use super::phase::Phase;
use super::units::Timestamp;

/// What ended longer ago is forgotten.
pub const DAY: Duration = Duration::from_secs(24 * 3_600);
/// The most attempts that are remembered: a box that does more in a day remembers less of it.
const ATTEMPTS: usize = 5_000;
/// The most waits of a phase that are remembered.
const WAITS: usize = 500;

/// How an attempt ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum How {
    Succeeded,
    Failed,
    /// By an order or a stop: nothing was wrong with it.
    Interrupted,
}

/// An attempt that is over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    pub worker: String,
    pub sector: SectorNumber,
    pub phase: Phase,
    pub from: Timestamp,
    pub to: Timestamp,
    pub how: How,
}

/// What a phase waited for, and for how long; it still does if `to` is none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waited {
    pub why: String,
    pub from: Timestamp,
    pub to: Option<Timestamp>,
}

/// The last day of the box.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Timeline {
    /// In the order in which they ended.
    attempts: VecDeque<Attempt>,
    waits: BTreeMap<Phase, VecDeque<Waited>>,
    /// What ended before is not, or not wholly, remembered.
    since: Option<Timestamp>,
}

impl Timeline {
    /// Takes note of an attempt that has ended.
    pub fn note(&mut self, attempt: Attempt) {
        let oldest = Timestamp(attempt.to.0.saturating_sub(day_ms()));
        self.attempts.push_back(attempt);
        while self.attempts.front().is_some_and(|first| first.to < oldest) {
            self.attempts.pop_front();
        }
        self.bound();
    }

    /// Takes note of attempts that ended before all that are known.
    pub fn recall(&mut self, earlier: Vec<Attempt>) {
        self.attempts.extend(earlier);
        self.attempts.make_contiguous().sort_by_key(|attempt| attempt.to);
        self.bound();
    }

    /// Says that what ended before is not all known.
    pub fn only_since(&mut self, since: Timestamp) {
        self.since = self.since.max(Some(since));
    }

    fn bound(&mut self) {
        while self.attempts.len() > ATTEMPTS
            && let Some(gone) = self.attempts.pop_front()
        {
            self.only_since(gone.to);
        }
    }

    /// What phases wait for from now on; of the others, that they no longer do.
    pub fn waiting(&mut self, now: Timestamp, reasons: &BTreeMap<Phase, String>) {
        for phase in Phase::ALL {
            let waits = self.waits.entry(phase).or_default();
            let reason = reasons.get(&phase);
            let open = waits.back_mut().filter(|wait| wait.to.is_none());
            match open {
                Some(wait) if Some(&wait.why) == reason => continue,
                Some(wait) => wait.to = Some(now),
                None => {}
            }
            if let Some(why) = reason {
                waits.push_back(Waited { why: why.clone(), from: now, to: None });
            }
            let oldest = Timestamp(now.0.saturating_sub(day_ms()));
            let is_old = |wait: &Waited| wait.to.is_some_and(|to| to < oldest);
            while waits.len() > WAITS || waits.front().is_some_and(is_old) {
                waits.pop_front();
            }
        }
    }

    /// Attempts that ended after this, the earliest first.
    pub fn attempts(&self, from: Timestamp) -> impl Iterator<Item = &Attempt> {
        self.attempts.iter().filter(move |attempt| attempt.to > from)
    }

    /// What the phase waited for after this.
    pub fn waits(&self, phase: Phase, from: Timestamp) -> impl Iterator<Item = &Waited> {
        let waits = self.waits.get(&phase).into_iter().flatten();
        waits.filter(move |wait| wait.to.is_none_or(|to| to > from))
    }

    /// The first moment that all attempts are known from; the whole day if none.
    pub fn since(&self) -> Option<Timestamp> {
        self.since
    }
}

fn day_ms() -> u64 {
    u64::try_from(DAY.as_millis()).unwrap_or(u64::MAX)
}

/// The attempt that this ends, if it ends one.
pub fn end(event: &Event) -> Option<(Phase, How)> {
    match event {
        Event::Succeeded { output } => Some((output.phase(), How::Succeeded)),
        Event::Failed { phase, .. } => Some((*phase, How::Failed)),
        Event::Interrupted { phase, .. } => Some((*phase, How::Interrupted)),
        Event::Issued { .. }
        | Event::TicketDrawn { .. }
        | Event::Started { .. }
        | Event::Advanced { .. }
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
        | Event::StoredDamaged { .. } => None,
    }
}

/// The attempts of a sector that have ended, as its history tells them.
pub fn attempts_of(history: &[Entry]) -> Vec<Attempt> {
    let mut running: BTreeMap<Phase, (String, Timestamp)> = BTreeMap::new();
    let mut ended = Vec::new();
    for entry in history {
        let Happened::Sector { number, event } = &entry.happened else { continue };
        if let Event::Started { phase, worker } = event {
            running.insert(*phase, (worker.clone(), entry.at));
        }
        let Some((phase, how)) = end(event) else { continue };
        if let Some((worker, from)) = running.remove(&phase) {
            ended.push(Attempt { worker, sector: *number, phase, from, to: entry.at, how });
        }
    }
    ended
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::event::Output;
    use crate::domain::units::Seq;

    const HOUR: u64 = 3_600_000;

    fn attempt(sector: u64, to: u64) -> Attempt {
        Attempt {
            worker: "p1-0".into(),
            sector: SectorNumber(sector),
            phase: Phase::P1,
            from: Timestamp(to.saturating_sub(1_000)),
            to: Timestamp(to),
            how: How::Succeeded,
        }
    }

    fn numbers(timeline: &Timeline, from: u64) -> Vec<u64> {
        timeline.attempts(Timestamp(from)).map(|attempt| attempt.sector.0).collect()
    }

    #[test]
    fn the_last_day_is_remembered_and_what_a_start_recalls_is_put_before_it() {
        let mut timeline = Timeline::default();
        timeline.note(attempt(1, 2 * HOUR));
        timeline.note(attempt(2, 20 * HOUR));
        timeline.recall(vec![attempt(0, HOUR)]);
        assert_eq!(numbers(&timeline, 0), [0, 1, 2]);
        assert_eq!(numbers(&timeline, 2 * HOUR), [2]);
        timeline.note(attempt(3, 25 * HOUR + 1));
        assert_eq!(numbers(&timeline, 0), [1, 2, 3]);
        assert_eq!(timeline.since(), None);
    }

    #[test]
    fn what_does_not_fit_is_forgotten_and_it_says_since_when_it_knows() {
        let mut timeline = Timeline::default();
        for number in 0..ATTEMPTS as u64 + 2 {
            timeline.note(attempt(number, HOUR + number));
        }
        assert_eq!(timeline.attempts.len(), ATTEMPTS);
        assert_eq!(timeline.since(), Some(Timestamp(HOUR + 1)));
    }

    #[test]
    fn a_wait_lasts_until_its_reason_changes() {
        let mut timeline = Timeline::default();
        let because = |why: &str| BTreeMap::from([(Phase::P1, why.to_owned())]);
        timeline.waiting(Timestamp(10), &because("paused"));
        timeline.waiting(Timestamp(20), &because("paused"));
        timeline.waiting(Timestamp(30), &because("no room"));
        timeline.waiting(Timestamp(40), &BTreeMap::new());
        let waits: Vec<_> = timeline.waits(Phase::P1, Timestamp(0)).cloned().collect();
        let waited = |why: &str, from, to| Waited {
            why: why.to_owned(),
            from: Timestamp(from),
            to: Some(Timestamp(to)),
        };
        assert_eq!(waits, [waited("paused", 10, 30), waited("no room", 30, 40)]);
        assert_eq!(timeline.waits(Phase::P1, Timestamp(35)).count(), 1);
        assert_eq!(timeline.waits(Phase::P2, Timestamp(0)).count(), 0);
    }

    #[test]
    fn a_history_tells_its_attempts_and_not_what_still_runs() {
        let worker = || "p1-0".to_owned();
        let events = [
            Event::Started { phase: Phase::P1, worker: worker() },
            Event::Interrupted { phase: Phase::P1, died: false },
            Event::Started { phase: Phase::P1, worker: worker() },
            Event::Succeeded { output: Output::P1 },
            Event::Started { phase: Phase::P2, worker: "p2-0".into() },
        ];
        let number = SectorNumber(7);
        let history: Vec<Entry> = (1..)
            .zip(events)
            .map(|(at, event)| Entry {
                seq: Seq(at),
                at: Timestamp(at),
                happened: Happened::Sector { number, event },
            })
            .collect();
        let ended: Vec<_> =
            attempts_of(&history).into_iter().map(|a| (a.from.0, a.to.0, a.how)).collect();
        assert_eq!(ended, [(1, 2, How::Interrupted), (3, 4, How::Succeeded)]);
    }
}
