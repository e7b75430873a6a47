//! When a disk will be full: storage at the pace at which this box finishes sectors, the data disk as
//! it grew, a scratch by the most that can be made in it at a time. Pure.

use std::time::Duration;

use serde::Serialize;

use super::times::Throughput;
use super::units::Timestamp;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// A pace is told from this much time at least: else two sectors would make a forecast.
const SHORTEST: Duration = Duration::from_secs(60 * 60);
/// And from so many sectors.
const FEWEST: u64 = 3;
/// A growth is told from samples of this much time at least, and from so many.
const GROWN_IN: Duration = Duration::from_secs(6 * 60 * 60);
const GROWN_SEEN: usize = 12;
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

/// By how many bytes a day a disk is fuller than it was, by what was used of it, the oldest first.
/// The least of the first quarter of the time is compared with the least of the last: what comes and
/// goes in between is no growth. None without a basis.
pub fn growth(used: &[(Timestamp, u64)]) -> Option<u64> {
    let ((first, _), (last, _)) = used.first().zip(used.last())?;
    let quarter = last.since(*first) / 4;
    if quarter < GROWN_IN / 4 || used.len() < GROWN_SEEN {
        return None;
    }
    let least = |all: &mut dyn Iterator<Item = &(Timestamp, u64)>| {
        all.min_by_key(|(_, used)| *used).copied()
    };
    let before = least(&mut used.iter().filter(|(at, _)| at.since(*first) <= quarter))?;
    let after = least(&mut used.iter().filter(|(at, _)| last.since(*at) <= quarter))?;
    let ms = after.0.since(before.0).as_millis().max(1);
    let grown = u128::from(after.1.saturating_sub(before.1)) * DAY.as_millis() / ms;
    Some(u64::try_from(grown).unwrap_or(u64::MAX))
}

/// What is put into a root.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Takes {
    /// Sectors, which leave again: so much those in flight may still add.
    Sectors { reserved: u64 },
    /// Finished sectors, which stay. Of weight 0: no new ones.
    Copies { weight: u32 },
    /// The box's own state: so many bytes a day, as far as that is known.
    Own { growth: Option<u64> },
}

/// A root, as last looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Root {
    /// Roots on the same one share its space, which counts once. None: not known, one of its own.
    pub file_system: Option<u64>,
    pub used: u64,
    /// What may still be written to it, less what is to stay free.
    pub room: u64,
    pub takes: Takes,
}

/// What becomes of a root's disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Forecast {
    /// There is no basis for one.
    Unknown,
    /// It does not grow.
    Steady,
    /// It will not be full: at most so many bytes will be used at a time.
    Bounded { most: u64 },
    /// What is in flight and may be begun takes more than there is: what does not fit waits.
    Crowded,
    /// It will be full in this time.
    Full { left: Duration },
}

/// The name of a [`Forecast`], for programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outlook {
    Unknown,
    Steady,
    Bounded,
    Crowded,
    Full,
}

impl Forecast {
    pub fn outlook(self) -> Outlook {
        match self {
            Self::Unknown => Outlook::Unknown,
            Self::Steady => Outlook::Steady,
            Self::Bounded { .. } => Outlook::Bounded,
            Self::Crowded => Outlook::Crowded,
            Self::Full { .. } => Outlook::Full,
        }
    }

    /// In how long it will be full, if it will be.
    pub fn left(self) -> Option<Duration> {
        match self {
            Self::Full { left } => Some(left),
            Self::Unknown | Self::Steady | Self::Bounded { .. } | Self::Crowded => None,
        }
    }

    /// The most that will be used of it at a time, if that is less than there is.
    pub fn most(self) -> Option<u64> {
        match self {
            Self::Bounded { most } => Some(most),
            Self::Unknown | Self::Steady | Self::Crowded | Self::Full { .. } => None,
        }
    }
}

/// The forecast of each of these roots. `pace`: of copies, if it is known. `begin`: what sectors that
/// are not begun yet may take of all scratch beside those in flight, at the most; none: no bound.
pub fn forecasts(roots: &[Root], pace: Option<Pace>, begin: Option<u64>) -> Vec<Forecast> {
    let disks: Vec<Disk> = roots.iter().map(|root| Disk::under(root, roots)).collect();
    // One a file system, by the first of its roots.
    let is_first = |index: &usize| {
        let mut before = roots[..*index].iter();
        !before.any(|other| shares(other, &roots[*index]))
    };
    let firsts = (0..roots.len()).filter(is_first);
    let shelves: Vec<Shelf> = firsts.filter_map(|index| disks[index].shelf).collect();
    let of = |(root, disk): (&Root, &Disk)| {
        let left = disk.full_in(pace, &shelves).filter(|left| *left < FARTHEST);
        match (left, root.takes) {
            (Some(left), _) => Forecast::Full { left },
            (None, Takes::Copies { .. }) => Forecast::Unknown,
            (None, Takes::Own { growth: None }) => Forecast::Unknown,
            (None, Takes::Own { growth: Some(_) }) => Forecast::Steady,
            (None, Takes::Sectors { .. }) => disk.crowd(root, begin),
        }
    };
    roots.iter().zip(&disks).map(of).collect()
}

fn shares(one: &Root, other: &Root) -> bool {
    one.file_system.is_some() && one.file_system == other.file_system
}

/// A file system, with all that is put into its roots.
struct Disk {
    /// What sectors in flight may still add.
    reserved: u64,
    shelf: Option<Shelf>,
    /// By the box's own state, and what room that has.
    growth: Option<(u64, u64)>,
}

impl Disk {
    fn under(root: &Root, roots: &[Root]) -> Self {
        let mut disk = Self { reserved: 0, shelf: None, growth: None };
        let is_on = |other: &&Root| std::ptr::eq(*other, root) || shares(other, root);
        for one in roots.iter().filter(is_on) {
            match one.takes {
                Takes::Sectors { reserved } => disk.reserved += reserved,
                Takes::Copies { weight } => disk.put(Shelf { weight, room: one.room }),
                Takes::Own { growth } => disk.growth = growth.map(|growth| (growth, one.room)),
            }
        }
        let reserved = disk.reserved;
        let less = |room: &mut u64| *room = room.saturating_sub(reserved);
        disk.shelf.iter_mut().for_each(|shelf| less(&mut shelf.room));
        disk.growth.iter_mut().for_each(|(_, room)| less(room));
        disk
    }

    /// Two storages on one file system are one: it takes copies while either does.
    fn put(&mut self, shelf: Shelf) {
        let is_better = self.shelf.is_none_or(|other| {
            (shelf.weight > 0, shelf.room, shelf.weight)
                > (other.weight > 0, other.room, other.weight)
        });
        if is_better {
            self.shelf = Some(shelf);
        }
    }

    fn full_in(&self, pace: Option<Pace>, shelves: &[Shelf]) -> Option<Duration> {
        // Where copies go, they are nearly all that it grows by.
        let by_copies =
            pace.zip(self.shelf).and_then(|(pace, shelf)| full_in(pace, shelf, shelves));
        by_copies.or_else(|| {
            let (growth, room) = self.growth.filter(|(growth, _)| *growth > 0)?;
            let secs = u128::from(room) * u128::from(DAY.as_secs()) / u128::from(growth);
            Some(Duration::from_secs(u64::try_from(secs).unwrap_or(u64::MAX)))
        })
    }

    fn crowd(&self, root: &Root, begin: Option<u64>) -> Forecast {
        let more = begin.map(|begin| self.reserved.saturating_add(begin));
        match more.filter(|more| *more <= root.room) {
            Some(more) => Forecast::Bounded { most: root.used.saturating_add(more) },
            None => Forecast::Crowded,
        }
    }
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

    const TIB: u64 = 1 << 40;

    fn root(file_system: Option<u64>, takes: Takes) -> Root {
        Root { file_system, used: TIB, room: 6 * TIB, takes }
    }

    fn copies(file_system: Option<u64>) -> Root {
        root(file_system, Takes::Copies { weight: 1 })
    }

    fn full(days: u64) -> Forecast {
        Forecast::Full { left: DAY * u32::try_from(days).unwrap() }
    }

    #[test]
    fn two_roots_on_one_file_system_count_its_space_once() {
        let pace = Some(Pace { bytes_per_day: TIB });
        let of = |roots: &[Root]| forecasts(roots, pace, Some(0));
        assert_eq!(of(&[copies(None), copies(None)]), [full(12); 2]);
        assert_eq!(of(&[copies(Some(1)), copies(Some(1))]), [full(6); 2]);
        // What is made there leaves no room for copies; and it is as full as they make it.
        let scratch = root(Some(1), Takes::Sectors { reserved: 2 * TIB });
        let own = root(Some(1), Takes::Own { growth: Some(1) });
        assert_eq!(of(&[copies(Some(1)), scratch, own]), [full(4); 3]);
        let closed = root(Some(1), Takes::Copies { weight: 0 });
        assert_eq!(of(&[closed, copies(Some(1))]), [full(6); 2]);
    }

    #[test]
    fn a_scratch_is_bounded_by_what_can_be_made_in_it_at_a_time() {
        let scratch = root(None, Takes::Sectors { reserved: TIB });
        let of = |roots: &[Root], begin| forecasts(roots, None, begin);
        assert_eq!(of(&[scratch], Some(2 * TIB)), [Forecast::Bounded { most: 4 * TIB }]);
        assert_eq!(of(&[scratch], Some(6 * TIB)), [Forecast::Crowded]);
        assert_eq!(of(&[scratch], None), [Forecast::Crowded], "no throttle bounds it");
        let other = |file_system| root(file_system, Takes::Sectors { reserved: 4 * TIB });
        let shared = [Root { file_system: Some(1), ..scratch }, other(Some(1))];
        assert_eq!(of(&shared, Some(TIB)), [Forecast::Bounded { most: 7 * TIB }; 2]);
        assert_eq!(of(&shared, Some(2 * TIB)), [Forecast::Crowded; 2]);
    }

    #[test]
    fn the_data_disk_is_full_by_its_own_growth() {
        let own = |growth| forecasts(&[root(None, Takes::Own { growth })], None, None)[0];
        assert_eq!(own(Some(TIB)), full(6));
        assert_eq!(own(Some(0)), Forecast::Steady);
        assert_eq!(own(Some(1)), Forecast::Steady, "in more than a hundred years");
        assert_eq!(own(None), Forecast::Unknown);
        assert_eq!(forecasts(&[copies(None)], None, None), [Forecast::Unknown]);
    }

    #[test]
    fn what_comes_and_goes_is_no_growth_and_a_short_time_is_no_basis() {
        let used = |hours: u64, of: &dyn Fn(u64) -> u64| {
            let samples = (0..=hours).map(|hour| (Timestamp(hour * HOUR_MS), of(hour)));
            growth(&samples.collect::<Vec<_>>())
        };
        assert_eq!(used(48, &|hour| 7 * GIB + hour * GIB), Some(24 * GIB));
        // A sector is made on the same disk at the end of that time.
        let made = |hour: u64| 7 * GIB + hour * GIB + if hour > 44 { 480 * GIB } else { 0 };
        assert_eq!(used(48, &made), Some(24 * GIB));
        assert_eq!(used(48, &|hour| 90 * GIB - hour * GIB), Some(0));
        assert_eq!(used(5, &|hour| hour), None);
        assert_eq!(used(0, &|hour| hour), None);
        assert_eq!(growth(&[(Timestamp(0), 0), (Timestamp(48 * HOUR_MS), GIB)]), None);
    }
}
