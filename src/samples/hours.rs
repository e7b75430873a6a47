//! What was finished in each hour of the last 60 days.
//!
//! The box counts the last day by itself, of which a start finds only the newest sectors again. So
//! of what was kept and what is counted, which both can be too little and never too much, the
//! larger counts.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::ring::{Dated, Reach};
use crate::domain::times::{Amount, Throughput};
use crate::domain::units::Timestamp;

const HOUR_MS: u64 = 3_600_000;
const HOURS_A_DAY: u64 = 24;
/// Days that are kept.
const DAYS: u64 = 60;

pub const REACH: Reach = Reach { every_ms: HOUR_MS, slots: DAYS * HOURS_A_DAY };

/// An hour, as it is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hour {
    /// By its number since 1970.
    hour: u64,
    sectors: u64,
    bytes: u64,
}

impl Dated for Hour {
    fn at(&self) -> Timestamp {
        Timestamp(self.hour * HOUR_MS)
    }
}

/// The hours by their numbers; those in which nothing was finished have no entry.
#[derive(Debug, Default)]
pub struct Hours(BTreeMap<u64, Amount>);

impl Hours {
    /// Takes over what was kept.
    pub fn keep(&mut self, kept: Hour) {
        let Hour { hour, sectors, bytes } = kept;
        self.0.insert(hour, Amount { sectors, bytes });
    }

    /// Takes note of the last day; answers with the hours that this changed.
    pub fn count(&mut self, throughput: &Throughput, now: Timestamp) -> Vec<Hour> {
        let newest = now.0 / HOUR_MS;
        self.0 = self.0.split_off(&(newest + 1).saturating_sub(REACH.slots));
        let mut changed = Vec::new();
        for hour in (newest + 1).saturating_sub(HOURS_A_DAY)..=newest {
            let counted = throughput.hour(hour);
            let kept = self.0.get(&hour).copied().unwrap_or_default();
            if counted.sectors > kept.sectors {
                let Amount { sectors, bytes } = counted;
                changed.push(Hour { hour, sectors, bytes });
                self.0.insert(hour, counted);
            }
        }
        changed
    }

    /// The last so many, the one that goes on last.
    pub fn last(&self, count: u64, now: Timestamp) -> Vec<(Timestamp, Amount)> {
        self.sums(count, 1, now)
    }

    /// As [`Hours::last`], by days of UTC.
    pub fn last_days(&self, count: u64, now: Timestamp) -> Vec<(Timestamp, Amount)> {
        self.sums(count, HOURS_A_DAY, now)
    }

    /// So many times so many hours.
    fn sums(&self, count: u64, hours: u64, now: Timestamp) -> Vec<(Timestamp, Amount)> {
        let newest = now.0 / HOUR_MS / hours;
        let sum = |nth: u64| {
            let mut sum = Amount::default();
            self.0.range(nth * hours..(nth + 1) * hours).for_each(|(_, one)| sum.add(*one));
            (Timestamp(nth * hours * HOUR_MS), sum)
        };
        ((newest + 1).saturating_sub(count)..=newest).map(sum).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::ring::Ring;
    use super::*;
    use crate::domain::units::SectorSize;

    /// Half past two in the afternoon.
    const NOW: Timestamp = Timestamp((20_000 * 24 + 14) * HOUR_MS + HOUR_MS / 2);

    fn finished(minutes_ago: impl Iterator<Item = u64>) -> Throughput {
        let mut throughput = Throughput::default();
        let mut at: Vec<u64> = minutes_ago.map(|minutes| NOW.0 - minutes * 60_000).collect();
        at.sort_unstable();
        at.into_iter().for_each(|at| throughput.count(SectorSize::GiB32, Timestamp(at)));
        throughput
    }

    fn sectors(all: &[(Timestamp, Amount)]) -> Vec<u64> {
        all.iter().map(|(_, amount)| amount.sectors).collect()
    }

    #[test]
    fn what_was_finished_stands_in_its_hour_and_its_day() {
        let mut hours = Hours::default();
        hours.count(&finished([5, 10, 31, 90, 15 * 60].into_iter()), NOW);
        assert_eq!(sectors(&hours.last(3, NOW)), [0, 2, 2]);
        let days = hours.last_days(2, NOW);
        assert_eq!(sectors(&days), [1, 4]);
        assert_eq!(days[1].0, Timestamp(20_000 * 24 * HOUR_MS));
        assert_eq!(days[1].1.bytes, 4 * SectorSize::GiB32.bytes());
    }

    #[test]
    fn a_restart_that_finds_less_again_takes_nothing_away() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("hours.ring");
        let mut ring = Ring::open(&path, REACH);
        let mut hours = Hours::default();
        let counted = hours.count(&finished(0..600), NOW);
        counted.iter().for_each(|hour| ring.write(hour));
        let mut again = Hours::default();
        Ring::open(&path, REACH).read(NOW).into_iter().for_each(|hour| again.keep(hour));
        assert!(again.count(&finished(0..45), NOW).is_empty());
        assert_eq!(again.last(60, NOW), hours.last(60, NOW));
        assert_eq!(sectors(&again.last(2, NOW)), [60, 31]);
    }

    #[test]
    fn only_so_many_days_are_kept_and_a_change_is_told_once() {
        let mut hours = Hours::default();
        let begun = finished(std::iter::once(5));
        assert_eq!(hours.count(&begun, NOW).len(), 1);
        assert_eq!(hours.count(&begun, NOW), []);
        let later = Timestamp(NOW.0 + 61 * 24 * HOUR_MS);
        hours.count(&begun, later);
        assert!(hours.0.is_empty());
    }
}
