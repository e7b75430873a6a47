//! The directories: the disk behind each, its room, and whether it can be worked in.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::{Check, Verdict, needs};
use crate::config::{Config, RootConfig};
use crate::domain::failure::Failure;
use crate::domain::units::ByteSize;
use crate::storage::disk::{DiskUsage, usage};
use crate::storage::writable::try_writing;
use crate::within::{ANSWER_LIMIT, hung, within};

/// Less than this free where journal and database lie is trouble soon.
const DATA_ROOM: ByteSize = ByteSize(1 << 30);

/// What a directory is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum For {
    Data,
    Scratch,
    Storage,
}

impl For {
    fn name(self) -> &'static str {
        match self {
            Self::Data => "data",
            Self::Scratch => "scratch",
            Self::Storage => "storage",
        }
    }
}

pub fn checks(config: &Config) -> Vec<Check> {
    let size = config.sector_size;
    let needs = needs(config);
    let scratch = needs.scratch(config.kind());
    let stored = needs.stored(size);
    let mut checks = directory(For::Data, &config.data_dir, DATA_ROOM);
    let of_scratch = |root: &RootConfig| {
        directory(For::Scratch, &root.path, with(scratch, config.scratch_keeps_free(root)))
    };
    checks.extend(all_of(&config.scratch, of_scratch));
    let of_storage = |root: &RootConfig| {
        directory(For::Storage, &root.path, with(stored, root.keep_free.unwrap_or_default()))
    };
    checks.extend(all_of(&config.storage, of_storage));
    checks
}

fn with(need: ByteSize, keep_free: ByteSize) -> ByteSize {
    ByteSize(need.0.saturating_add(keep_free.0))
}

/// One that cannot be used, of several of a kind, does not keep the others from their work.
fn all_of(roots: &[RootConfig], look: impl Fn(&RootConfig) -> Vec<Check>) -> Vec<Check> {
    let mut looked: Vec<_> = roots.iter().map(look).collect();
    let stops = |checks: &Vec<Check>| checks.iter().any(|check| check.verdict == Verdict::Stop);
    if !looked.iter().all(stops) {
        let stopped = looked.iter_mut().flatten().filter(|check| check.verdict == Verdict::Stop);
        stopped.for_each(|check| check.verdict = Verdict::Warning);
    }
    looked.into_iter().flatten().collect()
}

fn directory(what: For, path: &Path, need: ByteSize) -> Vec<Check> {
    let of = format!("{} {}", what.name(), path.display());
    let looked_at = path.to_path_buf();
    match within(ANSWER_LIMIT, move || look(&looked_at)) {
        Some(Look::Absent) => vec![Check::ok(of, "not there yet: the first start makes it")],
        Some(Look::Refused(failure)) => vec![Check::failed(of, &failure)],
        Some(Look::Found { usage, spins }) => {
            let mut checks = vec![room(&of, &usage, need)];
            checks.extend(disk(what, &of, &usage, spins));
            checks
        }
        None => vec![Check::failed(of, &hung(path, ANSWER_LIMIT))],
    }
}

enum Look {
    Absent,
    Refused(Failure),
    Found { usage: DiskUsage, spins: Option<bool> },
}

fn look(path: &Path) -> Look {
    if !path.exists() {
        return Look::Absent;
    }
    if let Err(failure) = try_writing(path) {
        return Look::Refused(failure);
    }
    match usage(path) {
        Ok(usage) => Look::Found { usage, spins: spins(path) },
        Err(failure) => Look::Refused(failure),
    }
}

fn room(of: &str, usage: &DiskUsage, need: ByteSize) -> Check {
    let DiskUsage { available, device, fs_type, mount_point, .. } = usage;
    let mount = mount_point.display();
    let disk = format!("{available} free on {device} ({fs_type}, mounted on {mount})");
    if *available < need {
        let found = format!("{disk}; {need} are needed at least");
        return Check::stop(of, found, "free space there, or configure another path");
    }
    Check::ok(of, format!("written, renamed and removed a file; {disk}"))
}

fn disk(what: For, of: &str, usage: &DiskUsage, spins: Option<bool>) -> Option<Check> {
    let system = usage.mount_point == Path::new("/");
    match (what, system, spins) {
        (For::Scratch, true, _) => Some(Check::warning(
            of,
            format!(
                "it lies on the system disk ({}): sealing fills it, and slows everything down",
                usage.device
            ),
            "mount a disk of its own and configure that, or see with `findmnt` whether the mount \
             that was meant is missing",
        )),
        (For::Scratch, false, Some(true)) => Some(Check::warning(
            of,
            format!("{} is a rotating disk: P1 of a large sector takes days on it", usage.device),
            "use solid-state disks for the scratch",
        )),
        (For::Storage, true, _) => Some(Check::warning(
            of,
            format!("it lies on the system disk ({})", usage.device),
            "mount a disk of its own for finished sectors, or see with `findmnt` whether the mount \
             that was meant is missing",
        )),
        (For::Scratch | For::Storage | For::Data, _, _) => None,
    }
}

/// Whether the disk behind this path rotates; none where the kernel does not say (network file
/// systems, tmpfs). A partition has its disk's answer.
fn spins(path: &Path) -> Option<bool> {
    let device = fs::metadata(path).ok()?.dev();
    let (major, minor) = (rustix::fs::major(device), rustix::fs::minor(device));
    let block = PathBuf::from(format!("/sys/dev/block/{major}:{minor}")).canonicalize().ok()?;
    let of = |dir: &Path| fs::read_to_string(dir.join("queue/rotational")).ok();
    let text = of(&block).or_else(|| of(block.parent()?))?;
    Some(text.trim() == "1")
}
