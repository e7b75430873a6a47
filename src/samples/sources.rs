//! Where the figures come from: `/proc`, by differences between two looks.

use std::fs;
use std::path::Path;

use crate::domain::units::Timestamp;
use crate::telemetry;

/// The kernel's unit in `/proc/diskstats`, whatever the disk's own.
const SECTOR: u64 = 512;

/// Figures of the time since the last look, and of now.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Figures {
    pub cpu_machine: u16,
    pub cpu_box: u16,
    pub memory: u64,
    pub memory_used: u64,
    pub memory_box: u64,
    pub scratch_read_kib: u32,
    pub scratch_written_kib: u32,
}

/// What only grows, as it was at a look.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Counters {
    /// In milliseconds.
    at: u64,
    busy: u64,
    all: u64,
    of_box: u64,
    read: u64,
    written: u64,
}

#[derive(Debug, Default)]
pub struct Meter {
    before: Option<Counters>,
}

impl Meter {
    pub fn read(&mut self, at: Timestamp, device: &str) -> Figures {
        let now = counters(at, device);
        let before = self.before.replace(now).unwrap_or(now);
        let machine = telemetry::machine();
        let of = |figure: fn(&telemetry::Machine) -> u64| machine.as_ref().map_or(0, figure);
        let memory = of(|machine| machine.memory.0);
        let since = |counter: fn(&Counters) -> u64| counter(&now).saturating_sub(counter(&before));
        let all = since(|counters| counters.all);
        Figures {
            cpu_machine: permille(since(|counters| counters.busy), all),
            cpu_box: permille(since(|counters| counters.of_box), all),
            memory,
            memory_used: memory.saturating_sub(of(|machine| machine.memory_available.0)),
            memory_box: of(|machine| machine.memory_of_sealbox.0),
            scratch_read_kib: a_second(
                since(|counters| counters.read),
                since(|counters| counters.at),
            ),
            scratch_written_kib: a_second(
                since(|counters| counters.written),
                since(|counters| counters.at),
            ),
        }
    }
}

fn counters(at: Timestamp, device: &str) -> Counters {
    let text = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let (busy, all) = cpu(&text("/proc/stat"));
    let (read, written) = disk(&text("/proc/diskstats"), &block_device(device));
    Counters { at: at.0, busy, all, of_box: own_cpu(&text("/proc/self/stat")), read, written }
}

/// As the kernel calls it: behind `/dev/mapper/…` stands a `dm-0`.
fn block_device(device: &str) -> String {
    let real = fs::canonicalize(device).unwrap_or_else(|_| Path::new(device).to_owned());
    real.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

fn permille(part: u64, all: u64) -> u16 {
    u16::try_from(part.saturating_mul(1_000) / all.max(1)).unwrap_or(u16::MAX).min(1_000)
}

/// KiB a second.
fn a_second(bytes: u64, ms: u64) -> u32 {
    let kib = u128::from(bytes) * 1_000 / 1_024 / u128::from(ms.max(1));
    u32::try_from(kib).unwrap_or(u32::MAX)
}

/// Busy and all ticks of all cores: the first line of `/proc/stat`.
fn cpu(stat: &str) -> (u64, u64) {
    let line = stat.lines().next().unwrap_or_default();
    let ticks: Vec<u64> =
        line.split_whitespace().skip(1).take(8).map(|word| word.parse().unwrap_or(0)).collect();
    let all: u64 = ticks.iter().sum();
    // Idle, and idle for a disk.
    let idle: u64 = ticks.iter().skip(3).take(2).sum();
    (all - idle, all)
}

/// Ticks of this process and of the children that have ended. The program's name, which may hold
/// anything, ends with the last bracket.
fn own_cpu(stat: &str) -> u64 {
    let (_, rest) = stat.rsplit_once(')').unwrap_or_default();
    let ticks = rest.split_whitespace().skip(11).take(4);
    ticks.map(|word| word.parse::<u64>().unwrap_or(0)).sum()
}

/// Bytes read from a device and written to it; zeros for what is none.
fn disk(diskstats: &str, name: &str) -> (u64, u64) {
    let mut lines = diskstats.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let line = lines.find(|words| words.get(2) == Some(&name)).unwrap_or_default();
    let sectors = |at: usize| line.get(at).and_then(|word| word.parse::<u64>().ok()).unwrap_or(0);
    (sectors(5) * SECTOR, sectors(9) * SECTOR)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_s_tables_are_read_and_what_is_strange_is_nothing() {
        let stat = "cpu  100 5 50 800 40 0 3 2 0 0\ncpu0 1 1 1 1\n";
        assert_eq!(cpu(stat), (160, 1_000));
        let own = "42 (a) b) S 1 1 1 0 -1 0 0 0 0 0 70 30 5 6 20 0 9";
        assert_eq!(own_cpu(own), 111);
        let disks =
            "   8       0 sda 10 0 4 1 20 0 6 1 0 0 0\n   9 1 md1 1 0 2048 0 1 0 4096 0 0 0 0";
        assert_eq!(disk(disks, "md1"), (1 << 20, 2 << 20));
        assert_eq!((cpu(""), own_cpu("?"), disk("x", "md1")), ((0, 0), 0, (0, 0)));
    }

    #[test]
    fn the_first_look_tells_of_no_time() {
        let mut meter = Meter::default();
        let first = meter.read(Timestamp(1_000), "/dev/nowhere");
        assert_eq!((first.cpu_machine, first.scratch_read_kib), (0, 0));
        assert!(first.memory > 0);
    }
}
