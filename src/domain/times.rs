//! How long things take on this box: what is usual for each step, what a sector may still need by
//! that, and how much was finished. Pure, and bounded whatever the history.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use serde::Serialize;

use super::phase::Phase;
use super::porep::{Porep, SealKind};
use super::sector::{Cleaning, Copying, Sector, Snark, Stage, Work};
use super::units::{SectorSize, Timestamp};

/// The newest durations that are kept of each step and size. Odd, so that there is a middle one.
const SAMPLES: usize = 101;
/// Below this nothing is usual yet: two could be as far apart as they like.
const BASIS: usize = 3;

/// What a sector spends time in that the box has learnt to expect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// An attempt at a phase.
    Phase(Phase),
    /// From the end of P2 until the seed is drawn.
    Seed,
}

impl Step {
    /// All steps, in the order in which a sector takes them.
    pub const ALL: [Self; 7] = [
        Self::Phase(Phase::P1),
        Self::Phase(Phase::P2),
        Self::Seed,
        Self::Phase(Phase::P3),
        Self::Phase(Phase::P4),
        Self::Phase(Phase::P5),
        Self::Phase(Phase::P6),
    ];
}

/// A duration and its spread: half of all lie between `low` and `high`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Spread {
    /// The lower quartile.
    pub low: Duration,
    pub median: Duration,
    /// The upper quartile.
    pub high: Duration,
}

impl Spread {
    fn all(mut self, change: impl Fn(Duration) -> Duration) -> Self {
        for one in [&mut self.low, &mut self.median, &mut self.high] {
            *one = change(*one);
        }
        self
    }

    /// What is left of it after some time; nothing once that has passed.
    fn after(self, passed: Duration) -> Self {
        self.all(|one| one.saturating_sub(passed))
    }

    fn then(self, next: Self) -> Self {
        Self {
            low: self.low.saturating_add(next.low),
            median: self.median.saturating_add(next.median),
            high: self.high.saturating_add(next.high),
        }
    }

    /// Both at the same time.
    fn beside(self, other: Self) -> Self {
        Self {
            low: self.low.max(other.low),
            median: self.median.max(other.median),
            high: self.high.max(other.high),
        }
    }
}

/// What each step usually takes here, by size and kind of PoRep.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Usual {
    samples: BTreeMap<(SealKind, Step), VecDeque<Duration>>,
}

impl Usual {
    /// Takes note of a duration.
    pub fn learn(&mut self, kind: SealKind, step: Step, took: Duration) {
        let samples = self.samples.entry((kind, step)).or_default();
        if samples.len() == SAMPLES {
            samples.pop_front();
        }
        samples.push_back(took);
    }

    /// Takes note of all that a sector's record tells: for sectors that were finished before.
    pub fn learn_all(&mut self, sector: &Sector) {
        for step in Step::ALL {
            if let Some(took) = took(sector, step) {
                self.learn(sector.kind(), step, took);
            }
        }
    }

    /// None while too little of it was seen.
    pub fn of(&self, kind: SealKind, step: Step) -> Option<Spread> {
        let samples = self.samples.get(&(kind, step)).filter(|some| some.len() >= BASIS)?;
        let mut sorted: Vec<_> = samples.iter().copied().collect();
        sorted.sort_unstable();
        let at = |quarters: usize| sorted[(sorted.len() - 1) * quarters / 4];
        Some(Spread { low: at(1), median: at(2), high: at(3) })
    }

    /// What is usual, for all kinds and steps of which enough was seen.
    pub fn all(&self) -> impl Iterator<Item = (SealKind, Step, Spread)> + '_ {
        self.samples.keys().filter_map(|&(kind, step)| Some((kind, step, self.of(kind, step)?)))
    }

    /// What the sector may still take until it is finished, by what is usual, if nothing of it
    /// fails and no worker has to be waited for. None where there is no basis: a step that was too
    /// rarely seen here, or a sector that waits for a person or is being given up.
    pub fn left(&self, sector: &Sector, now: Timestamp) -> Option<Spread> {
        if sector.giving_up.is_some() || sector.failures().next().is_some() {
            return None;
        }
        let whole = |step| self.of(sector.kind(), step);
        let seed = match sector.porep {
            Porep::Interactive | Porep::Synthetic => Some(Step::Seed),
            Porep::NonInteractive => None,
        };
        let work = |phase, work: &Work| {
            let usual = whole(Step::Phase(phase))?;
            Some(match work {
                Work::Ready { .. } => usual,
                Work::Running { since, .. } => usual.after(now.since(*since)),
                Work::Failed { .. } => return None,
            })
        };
        let from = |first: Step| {
            let rest = Step::ALL.into_iter().skip_while(move |step| *step != first);
            let rest = rest.filter(|step| match step {
                Step::Phase(Phase::P4 | Phase::P5) => false,
                Step::Phase(Phase::P1 | Phase::P2 | Phase::P3 | Phase::P6) => true,
                Step::Seed => seed.is_some(),
            });
            let mut left = Spread::default();
            for step in rest {
                left = left.then(whole(step)?);
            }
            Some(left)
        };
        let both = || Some(whole(Step::Phase(Phase::P4))?.beside(whole(Step::Phase(Phase::P5))?));
        let cleaned = || whole(Step::Phase(Phase::P6));
        match &sector.stage {
            Stage::Ticket => Some(from(Step::Phase(Phase::P1))?.then(both()?)),
            Stage::P1 { work: own, .. } => {
                Some(work(Phase::P1, own)?.then(from(Step::Phase(Phase::P2))?).then(both()?))
            }
            Stage::P2 { work: own, .. } => {
                let next = seed.unwrap_or(Step::Phase(Phase::P3));
                Some(work(Phase::P2, own)?.then(from(next)?).then(both()?))
            }
            Stage::PreCommitting { .. } | Stage::WaitSeed { .. } => {
                let since = sector.tasks[Phase::P2].done.unwrap_or(now);
                let seed = whole(Step::Seed)?.after(now.since(since));
                Some(seed.then(from(Step::Phase(Phase::P3))?).then(both()?))
            }
            Stage::P3 { work: own, .. } => {
                Some(work(Phase::P3, own)?.then(both()?).then(cleaned()?))
            }
            Stage::Proving { snark, copying, .. } => {
                let snark = match snark {
                    Snark::P4 { work: own } => work(Phase::P4, own)?,
                    Snark::Committing { .. } | Snark::Committed { .. } => Spread::default(),
                };
                let copying = match copying {
                    Copying::P5 { work: own } => work(Phase::P5, own)?,
                    Copying::Copied { .. } => Spread::default(),
                };
                Some(snark.beside(copying).then(cleaned()?))
            }
            Stage::P6 { cleaning: Cleaning::Sealed { .. }, work: own } => work(Phase::P6, own),
            Stage::P6 { cleaning: Cleaning::GivenUp { .. }, .. }
            | Stage::Finished { .. }
            | Stage::GivenUp { .. } => None,
        }
    }
}

/// How long a step of the sector took, if that tells what is usual: it is over, and its first
/// attempt went through (a later one may have found half of the work done). What is done behind a
/// sector that was given up is not what P6 usually does.
pub fn took(sector: &Sector, step: Step) -> Option<Duration> {
    match step {
        Step::Phase(Phase::P6) if matches!(sector.stage, Stage::GivenUp { .. }) => None,
        Step::Phase(phase) => {
            let record = &sector.tasks[phase];
            let (from, to) = record.started.zip(record.done)?;
            (record.attempts == 1).then(|| to.since(from))
        }
        Step::Seed => {
            sector.stage.challenge()?.drawn.as_ref()?;
            let from = sector.tasks[Phase::P2].done?;
            sector.tasks[Phase::P3].created.map(|to| to.since(from))
        }
    }
}

const MINUTE_MS: u64 = 60_000;
/// Minutes that are remembered: a day, and the one that is going on.
const MINUTES: u64 = 24 * 60 + 1;

/// So many sectors, and their bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Amount {
    pub sectors: u64,
    pub bytes: u64,
}

impl Amount {
    pub fn add(&mut self, other: Self) {
        self.sectors += other.sectors;
        self.bytes = self.bytes.saturating_add(other.bytes);
    }
}

/// What was finished in the last day, minute by minute.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Throughput {
    /// By the number of the minute since 1970. Minutes without any have no entry.
    minutes: BTreeMap<u64, Amount>,
    /// The first moment that everything is counted from; all that is remembered if none.
    since: Option<Timestamp>,
}

impl Throughput {
    /// Counts a sector that was finished then.
    pub fn count(&mut self, size: SectorSize, at: Timestamp) {
        let minute = at.0 / MINUTE_MS;
        let one = Amount { sectors: 1, bytes: size.bytes() };
        self.minutes.entry(minute).or_default().add(one);
        // By the newest, not by the clock: one that was set back does not make it forget.
        let newest = self.minutes.last_key_value().map_or(minute, |(newest, _)| *newest);
        self.minutes = self.minutes.split_off(&newest.saturating_sub(MINUTES - 1));
    }

    /// Says that what was finished before is not counted.
    pub fn only_since(&mut self, since: Timestamp) {
        self.since = Some(since);
    }

    /// What was finished in the time up to now, to the minute; and from when on it is counted, if
    /// that is not all of it.
    pub fn last(&self, time: Duration, now: Timestamp) -> (Amount, Option<Timestamp>) {
        let ms = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        self.from(Timestamp(now.0.saturating_sub(ms)), now)
    }

    /// In the time up to now: the minute of the first that was finished, and what was after it.
    pub fn since_first_of(&self, time: Duration, now: Timestamp) -> Option<(Timestamp, Amount)> {
        let ms = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let from = now.0.saturating_sub(ms).div_ceil(MINUTE_MS);
        let mut minutes = self.minutes.range(from..=now.0 / MINUTE_MS);
        let (first, _) = minutes.next()?;
        let mut rest = Amount::default();
        minutes.for_each(|(_, one)| rest.add(*one));
        Some((Timestamp(first * MINUTE_MS), rest))
    }

    /// In an hour, by its number since 1970, as far as it is remembered.
    pub fn hour(&self, hour: u64) -> Amount {
        let mut sum = Amount::default();
        let minutes = self.minutes.range(hour * 60..(hour + 1) * 60);
        minutes.for_each(|(_, one)| sum.add(*one));
        sum
    }

    /// As [`Throughput::last`], since midnight UTC.
    pub fn today(&self, now: Timestamp) -> (Amount, Option<Timestamp>) {
        const DAY_MS: u64 = 24 * 60 * MINUTE_MS;
        self.from(Timestamp(now.0 / DAY_MS * DAY_MS), now)
    }

    fn from(&self, from: Timestamp, now: Timestamp) -> (Amount, Option<Timestamp>) {
        let mut sum = Amount::default();
        let first = from.0.div_ceil(MINUTE_MS).min(now.0 / MINUTE_MS);
        self.minutes.range(first..=now.0 / MINUTE_MS).for_each(|(_, one)| sum.add(*one));
        (sum, self.since.filter(|since| *since > from))
    }
}

#[cfg(test)]
#[path = "times_tests.rs"]
mod tests;
