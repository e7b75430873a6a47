//! When storage will be full, at the pace at which this box finishes sectors. Pure.

use std::time::Duration;

use super::times::Throughput;
use super::units::Timestamp;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// A pace is told from this much time at least: else two sectors would make a forecast.
const SHORTEST: Duration = Duration::from_secs(60 * 60);
/// And from so many sectors.
const FEWEST: u64 = 3;
/// Beyond this a forecast says nothing.
const FARTHEST: Duration = Duration::from_secs(100 * 365 * 24 * 60 * 60);

/// Bytes that are stored in a day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    pub bytes_per_day: u64,
}

impl Pace {
    /// That of the last day, from the first sector that was finished in it on. None without a
    /// basis: less than an hour, or than three sectors after that one.
    pub fn of(throughput: &Throughput, now: Timestamp) -> Option<Self> {
        let (first, rest) = throughput.since_first_of(DAY, now)?;
        let span = now.since(first);
        if span < SHORTEST || rest.sectors < FEWEST {
            return None;
        }
        let bytes = u128::from(rest.bytes) * DAY.as_millis() / span.as_millis();
        let bytes_per_day = u64::try_from(bytes).unwrap_or(u64::MAX);
        (bytes_per_day > 0).then_some(Self { bytes_per_day })
    }
}

/// A storage, as far as copies go there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shelf {
    pub weight: u32,
    /// What copies may still take of it.
    pub room: u64,
}

/// In how long this one will be full beside all of them, itself among them. A copy goes where weight
/// times room is the most, so each gets its part of the pace by that. None: never, or too far away.
pub fn full_in(pace: Pace, shelf: Shelf, all: &[Shelf]) -> Option<Duration> {
    let weighted = |shelf: &Shelf| u128::from(shelf.weight) * u128::from(shelf.room);
    if shelf.room == 0 {
        return Some(Duration::ZERO);
    }
    if shelf.weight == 0 {
        return None;
    }
    let sum: u128 = all.iter().map(weighted).sum();
    let per_day = u128::from(pace.bytes_per_day) * u128::from(shelf.weight);
    let secs = sum.saturating_mul(u128::from(DAY.as_secs())) / per_day.max(1);
    let left = Duration::from_secs(u64::try_from(secs).unwrap_or(u64::MAX));
    (left < FARTHEST).then_some(left)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::units::SectorSize;

    const GIB: u64 = 1 << 30;
    const HOUR_MS: u64 = 3_600_000;
    const NOW: Timestamp = Timestamp(1_000 * 24 * HOUR_MS);

    /// A 32 GiB sector finished each of so many hours ago.
    fn finished(hours_ago: &[u64]) -> Throughput {
        let mut throughput = Throughput::default();
        for hours in hours_ago {
            throughput.count(SectorSize::GiB32, Timestamp(NOW.0 - hours * HOUR_MS));
        }
        throughput
    }

    #[test]
    fn the_pace_is_that_since_the_first_sector_of_the_last_day() {
        let pace = |hours_ago| Pace::of(&finished(hours_ago), NOW).map(|pace| pace.bytes_per_day);
        assert_eq!(pace(&[40, 12, 9, 6, 3]), Some(6 * 32 * GIB));
    }

    #[test]
    fn without_a_basis_there_is_no_pace() {
        for hours_ago in [&[][..], &[3], &[9, 6, 3], &[40, 39, 38, 37], &[0, 0, 0, 0, 0]] {
            assert_eq!(Pace::of(&finished(hours_ago), NOW), None, "{hours_ago:?}");
        }
    }

    #[test]
    fn storages_share_the_pace_by_weight_times_room() {
        let pace = Pace { bytes_per_day: 10 * GIB };
        let shelf = |weight, gib: u64| Shelf { weight, room: gib * GIB };
        let days =
            |one: Shelf, all: &[Shelf]| full_in(pace, one, all).map(|d| d.as_secs() / 86_400);
        let alone = shelf(1, 50);
        assert_eq!(days(alone, &[alone]), Some(5));
        // Equal weights fill up together; twice the weight in half of the time.
        let both = [alone, shelf(1, 150)];
        assert_eq!([days(both[0], &both), days(both[1], &both)], [Some(20), Some(20)]);
        let heavy = [shelf(2, 50), shelf(1, 100)];
        assert_eq!([days(heavy[0], &heavy), days(heavy[1], &heavy)], [Some(10), Some(20)]);
        let closed = [shelf(0, 50), shelf(1, 50), shelf(1, 0)];
        let all = closed.map(|one| days(one, &closed));
        assert_eq!(all, [None, Some(5), Some(0)]);
        assert_eq!(full_in(Pace { bytes_per_day: 1 }, alone, &[alone]), None);
    }
}
