//! How the box and its machine fared: a sample every 10 s for a day, one every 10 min for 60 days; and
//! what was finished in each hour of those.
//!
//! They are for charts and forecasts and nothing else, so nothing waits for them: a disk that is full
//! or hangs costs samples.

mod hours;
mod ring;
mod sources;

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use crate::domain::phase::{PerPhase, Phase};
use crate::domain::porep::SealKind;
#[cfg(test)]
use crate::domain::times::Throughput;
use crate::domain::times::{Amount, Step};
use crate::domain::units::Timestamp;
use crate::scheduler::Handle;
use crate::scheduler::view::{DiskRole, DiskView};
use hours::Hours;
use ring::{Dated, Reach, Ring};
use sources::Meter;

const MINUTE: u64 = 60_000;
const DAY: u64 = 24 * 60 * MINUTE;
/// The most disks that a sample tells of: it has to fit in its slot.
const DISKS: usize = 12;

/// How fine samples are, and so how far back they reach.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Grain {
    Fine,
    Coarse,
}

impl Grain {
    pub const ALL: [Self; 2] = [Self::Fine, Self::Coarse];

    /// The time between two.
    pub fn every_ms(self) -> u64 {
        match self {
            Self::Fine => 10_000,
            Self::Coarse => 10 * MINUTE,
        }
    }

    fn reach(self) -> Reach {
        let all = match self {
            Self::Fine => DAY,
            Self::Coarse => 60 * DAY,
        };
        Reach { every_ms: self.every_ms(), slots: all / self.every_ms() }
    }

    fn file(self) -> &'static str {
        match self {
            Self::Fine => "10s.ring",
            Self::Coarse => "10min.ring",
        }
    }
}

/// How full a disk is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct DiskFill {
    /// Of the path: see [`disk_key`].
    pub key: u32,
    pub used_mib: u32,
    /// What sectors in flight may still add to it.
    pub reserved_mib: u32,
}

/// What a phase usually takes, in milliseconds: lower quartile, median, upper quartile; zeros if unknown.
pub type Took = [u32; 3];

/// The box and its machine at a moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sample {
    pub at: Timestamp,
    /// Of all cores, in thousandths.
    pub cpu_machine: u16,
    pub cpu_box: u16,
    pub memory_mib: u32,
    pub memory_used_mib: u32,
    pub memory_box_mib: u32,
    /// Of the scratch's device, in KiB a second.
    pub scratch_read_kib: u32,
    pub scratch_written_kib: u32,
    /// Finished in the hour before.
    pub hour_sectors: u32,
    pub hour_mib: u32,
    /// Of the box's own sector size.
    pub took: PerPhase<Took>,
    pub disks: Vec<DiskFill>,
}

impl Dated for Sample {
    fn at(&self) -> Timestamp {
        self.at
    }
}

/// By this a sample names a disk, whatever the length of its path.
pub fn disk_key(path: &Path) -> u32 {
    let digest = blake3::hash(path.as_os_str().as_encoded_bytes());
    let [a, b, c, d, ..] = *digest.as_bytes();
    u32::from_le_bytes([a, b, c, d])
}

/// The samples that there are.
#[derive(Debug, Clone, Default)]
pub struct Samples(Arc<Mutex<Kept>>);

#[derive(Debug, Default)]
struct Kept {
    of: [VecDeque<Sample>; 2],
    hours: Hours,
}

impl Samples {
    /// Takes them from now on, on a thread of its own that ends with the process.
    ///
    /// # Errors
    /// When the system gives no more threads.
    pub fn start(
        dir: PathBuf,
        handle: Handle,
        disks: watch::Receiver<Vec<DiskView>>,
    ) -> std::io::Result<Self> {
        let samples = Self::default();
        let mine = samples.clone();
        let run = move || mine.run(&dir, &handle, &disks);
        thread::Builder::new().name("samples".to_owned()).spawn(run)?;
        Ok(samples)
    }

    fn run(&self, dir: &Path, handle: &Handle, disks: &watch::Receiver<Vec<DiskView>>) {
        let open = |grain: Grain| Ring::open(&dir.join(grain.file()), grain.reach());
        let mut rings = Grain::ALL.map(open);
        let mut hours = Ring::open(&dir.join("hours.ring"), hours::REACH);
        for (grain, ring) in Grain::ALL.into_iter().zip(&rings) {
            ring.read(now()).into_iter().for_each(|sample| self.keep(grain, sample));
        }
        hours.read(now()).into_iter().for_each(|hour| self.lock().hours.keep(hour));
        let mut meters = Grain::ALL.map(|_| Meter::default());
        // The first look tells of no time, so it is no sample.
        for meter in &mut meters {
            sample(now(), handle, &disks.borrow().clone(), meter);
        }
        loop {
            thread::sleep(until_next(now()));
            let at = now();
            let counted = self.lock().hours.count(&handle.view().throughput, at);
            counted.iter().for_each(|hour| hours.write(hour));
            for ((grain, ring), meter) in Grain::ALL.into_iter().zip(&mut rings).zip(&mut meters) {
                let newest = self.newest(grain);
                let every = grain.every_ms();
                if newest.is_some_and(|newest| newest.0 / every == at.0 / every) {
                    continue;
                }
                let sample = sample(at, handle, &disks.borrow().clone(), meter);
                ring.write(&sample);
                self.keep(grain, sample);
            }
        }
    }

    fn newest(&self, grain: Grain) -> Option<Timestamp> {
        self.lock().of[grain as usize].back().map(|sample| sample.at)
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        // Nothing is done under the lock that could leave it half-changed.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps a sample, and as many as the ring has slots.
    pub fn keep(&self, grain: Grain, sample: Sample) {
        let kept = &mut self.lock().of[grain as usize];
        if kept.len() as u64 >= grain.reach().slots {
            kept.pop_front();
        }
        kept.push_back(sample);
    }

    /// At most so many of the time since, evenly, the newest among them: of what is left out nothing is
    /// told.
    pub fn since(&self, from: Timestamp, grain: Grain, most: usize) -> Vec<Sample> {
        let kept = &self.lock().of[grain as usize];
        let first = kept.partition_point(|sample| sample.at < from);
        let step = (kept.len() - first).div_ceil(most.max(1)).max(1);
        let mut some: Vec<Sample> = kept.range(first..).rev().step_by(step).cloned().collect();
        some.reverse();
        some
    }

    /// What was used of a disk since then, in bytes, the oldest first.
    pub fn used_since(&self, path: &Path, from: Timestamp) -> Vec<(Timestamp, u64)> {
        let key = disk_key(path);
        let kept = &self.lock().of[Grain::Coarse as usize];
        let first = kept.partition_point(|sample| sample.at < from);
        let used = |sample: &Sample| {
            let fill = sample.disks.iter().find(|fill| fill.key == key)?;
            Some((sample.at, u64::from(fill.used_mib) << 20))
        };
        kept.range(first..).filter_map(used).collect()
    }

    /// What was finished in each of the last so many hours, the one that goes on last, each with
    /// its beginning.
    pub fn hours(&self, count: u64, now: Timestamp) -> Vec<(Timestamp, Amount)> {
        self.lock().hours.last(count, now)
    }

    /// As [`Samples::hours`], by days of UTC.
    pub fn days(&self, count: u64, now: Timestamp) -> Vec<(Timestamp, Amount)> {
        self.lock().hours.last_days(count, now)
    }

    /// Takes note of what was finished; for tests, as the thread does it.
    #[cfg(test)]
    pub fn count(&self, throughput: &Throughput, now: Timestamp) {
        self.lock().hours.count(throughput, now);
    }
}

fn until_next(now: Timestamp) -> Duration {
    let every = Grain::Fine.every_ms();
    Duration::from_millis(every - now.0 % every)
}

fn sample(at: Timestamp, handle: &Handle, disks: &[DiskView], meter: &mut Meter) -> Sample {
    let view = handle.view();
    let scratch = disks.iter().find(|disk| disk.role == DiskRole::Scratch);
    let read = meter.read(at, scratch.map_or("", |disk| &disk.device));
    let (hour, _) = view.throughput.last(Duration::from_secs(3_600), at);
    let ms = |time: Duration| u32::try_from(time.as_millis()).unwrap_or(u32::MAX);
    let took = |phase: Phase| {
        let usual = view.usual.of(SealKind::new(view.sector_size, view.porep), Step::Phase(phase));
        usual.map_or([0; 3], |usual| [usual.low, usual.median, usual.high].map(ms))
    };
    let fill = |disk: &DiskView| DiskFill {
        key: disk_key(&disk.path),
        used_mib: mib(disk.used_bytes),
        reserved_mib: mib(view.reserved.get(&disk.path).map_or(0, |bytes| bytes.0)),
    };
    Sample {
        at,
        hour_sectors: u32::try_from(hour.sectors).unwrap_or(u32::MAX),
        hour_mib: mib(hour.bytes),
        took: PerPhase::from_fn(took),
        disks: disks.iter().filter(|disk| disk.total_bytes > 0).take(DISKS).map(fill).collect(),
        cpu_machine: read.cpu_machine,
        cpu_box: read.cpu_box,
        memory_mib: mib(read.memory),
        memory_used_mib: mib(read.memory_used),
        memory_box_mib: mib(read.memory_box),
        scratch_read_kib: read.scratch_read_kib,
        scratch_written_kib: read.scratch_written_kib,
    }
}

fn mib(bytes: u64) -> u32 {
    u32::try_from(bytes >> 20).unwrap_or(u32::MAX)
}

fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}
