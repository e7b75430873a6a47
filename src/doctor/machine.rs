//! The machine: memory, cores, limits, clock, port.

use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use rustix::process::{Resource, getrlimit};

use super::{Check, graphics, needs, rivals};
use crate::config::Config;
use crate::domain::needs::Machine;
use crate::domain::phase::Phase;
use crate::domain::units::{ByteSize, SectorSize};
use crate::telemetry;

/// Layers, trees, copies, connections: far below this; the libraries' own files are not.
const OPEN_FILES: u64 = 4_096;
/// The clock is wrong if it is before the day this was written: 2026-01-01.
const EARLIEST_SEC: u64 = 1_767_225_600;
pub fn checks(config: &Config) -> Vec<Check> {
    let mut checks = vec![memory(config), cores(config), open_files(), processor(config)];
    checks.extend(swap());
    checks.extend([huge_pages(), graphics::check(config), clock(), port(config)]);
    checks.push(rivals::check(config));
    checks
}

fn memory(config: &Config) -> Check {
    // Whether there are GPUs enough is a check of its own.
    let usable = Machine { gpus: u32::MAX, ..telemetry::usable(&config.machine) };
    let needs = needs(config);
    if let Some(why) = needs.never_fits(config.kind(), &usable) {
        let mend = "set another `sector_size`, or say in `[machine]` and `[[need]]` what is right";
        return Check::stop("memory", why, mend);
    }
    let most = Phase::ALL.map(|phase| (needs.of(config.kind(), phase).memory, phase));
    let (most, phase) = most.into_iter().max().unwrap_or((ByteSize(0), Phase::P1));
    let has = format!("sealbox may use {}", usable.memory);
    let available = telemetry::machine().map(|machine| machine.memory_available);
    match available.filter(|available| *available < most) {
        Some(available) => Check::warning(
            "memory",
            format!("{has}; {phase} needs {most}, and only {available} are available now"),
            "end what else takes memory",
        ),
        None => Check::ok("memory", format!("{has}; {phase} needs most, {most}")),
    }
}

fn cores(config: &Config) -> Check {
    let usable = telemetry::usable(&config.machine).cores;
    let reserved = telemetry::reserved_cores(&config.machine);
    Check::ok("cores", format!("{usable} for proving, {reserved} kept free for everything else"))
}

fn open_files() -> Check {
    let limit = getrlimit(Resource::Nofile).current;
    match limit.filter(|limit| *limit < OPEN_FILES) {
        Some(limit) => Check::warning(
            "open files",
            format!("this process may have {limit} files open; many sectors need more"),
            format!("`ulimit -n {OPEN_FILES}` before the start, or LimitNOFILE= in the unit"),
        ),
        None => {
            let limit = limit.map_or("any number".to_owned(), |limit| limit.to_string());
            Check::ok("open files", format!("{limit} may be open"))
        }
    }
}

/// SHA extensions: what labelling lives by.
fn processor(config: &Config) -> Check {
    #[cfg(target_arch = "x86_64")]
    let features = [
        ("SHA", std::arch::is_x86_feature_detected!("sha")),
        ("AVX2", std::arch::is_x86_feature_detected!("avx2")),
        ("ADX", std::arch::is_x86_feature_detected!("adx")),
    ];
    #[cfg(target_arch = "aarch64")]
    let features = [("SHA", std::arch::is_aarch64_feature_detected!("sha2"))];
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    let features = [("SHA", false)];
    let named = |has: bool| {
        let those = features.iter().filter(|(_, there)| *there == has).map(|(name, _)| *name);
        those.collect::<Vec<_>>().join(", ")
    };
    let (there, missing) = (named(true), named(false));
    let slow = features.iter().any(|(name, there)| *name == "SHA" && !there);
    if slow && is_large(config.sector_size) {
        let found = "no SHA extensions: P1 takes ten times as long and more (32 to 60 h)";
        return Check::warning("processor", found, "use one with them: AMD Zen, Intel Ice Lake on");
    }
    if missing.is_empty() {
        Check::ok("processor", format!("has {there}"))
    } else {
        Check::ok("processor", format!("has {there}; lacks {missing}: slower, not wrong"))
    }
}

fn is_large(size: SectorSize) -> bool {
    match size {
        SectorSize::KiB2 | SectorSize::MiB8 | SectorSize::MiB512 => false,
        SectorSize::GiB32 | SectorSize::GiB64 => true,
    }
}

/// A value of `/proc/meminfo`, in its own unit.
fn meminfo(key: &str) -> Option<u64> {
    let text = fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find(|line| line.strip_prefix(key).is_some_and(|r| r.starts_with(':')));
    line?.split_whitespace().nth(1)?.parse().ok()
}

fn swap() -> Option<Check> {
    let (total, free) = (meminfo("SwapTotal")? << 10, meminfo("SwapFree")? << 10);
    let used = ByteSize(total.saturating_sub(free));
    Some(if used.0 > total / 2 {
        let found =
            format!("{used} of {} are in use: proving from swap takes days", ByteSize(total));
        Check::warning("swap", found, "end what takes the memory, then `swapoff -a && swapon -a`")
    } else {
        Check::ok("swap", format!("{used} of {} in use", ByteSize(total)))
    })
}

fn huge_pages() -> Check {
    let reserved = meminfo("HugePages_Total").unwrap_or(0);
    let size = ByteSize(meminfo("Hugepagesize").unwrap_or(0) << 10);
    match reserved {
        0 => Check::ok("huge pages", "none reserved; this build does not ask for any"),
        many => Check::warning(
            "huge pages",
            format!("{many} of {size} are reserved; this build does not use them"),
            "give that memory back: `sysctl vm.nr_hugepages=0`",
        ),
    }
}

fn clock() -> Check {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    if now < EARLIEST_SEC {
        let found = "the clock is years behind: tickets and seeds are bound to time";
        return Check::stop("clock", found, "set it: `timedatectl set-ntp true`");
    }
    let synchronised = ["/run/systemd/timesync/synchronized", "/run/chrony", "/run/ntpd.pid"];
    if synchronised.iter().any(|path| Path::new(path).exists()) {
        Check::ok("clock", "kept right by a time service")
    } else {
        Check::ok("clock", "plausible; no time service was found that keeps it right")
    }
}

fn port(config: &Config) -> Check {
    let of = format!("address {}", config.listen);
    match TcpListener::bind(config.listen) {
        Ok(_) => Check::ok(of, "free"),
        Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => {
            Check::ok(of, "in use: by this box, if it runs; `sealbox sectors` asks it")
        }
        Err(error) => Check::stop(of, error.to_string(), "set `[web] listen` to another address"),
    }
}
