//! What disk a path is on, how full it is, and with what.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::domain::failure::Failure;
use crate::domain::ids::{SectorId, SectorNumber};
use crate::domain::layout::{self, CacheFile, Scratch, StorageRoot};
use crate::domain::units::{ByteSize, SectorSize};

/// A file system, seen from a path on it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DiskUsage {
    pub total: ByteSize,
    pub free: ByteSize,
    /// Of the free space, what this user may fill.
    pub available: ByteSize,
    pub fs_type: String,
    /// As mounted: `/dev/md1`, `10.0.0.5:/export`, `tmpfs`.
    pub device: String,
    /// `/` means the system disk: no place for a scratch.
    pub mount_point: PathBuf,
    /// The kernel's number for it: two paths with the same one have the same room.
    pub number: u64,
}

/// The usage of the file system that holds this path. Blocks for as long as that file system does.
///
/// # Errors
/// The path is not there or cannot be asked.
pub fn usage(path: &Path) -> Result<DiskUsage, Failure> {
    let failed = |error: io::Error| Failure::io("looking at the disk", path, &error);
    let real = path.canonicalize().map_err(failed)?;
    let stat = rustix::fs::statvfs(&real).map_err(|errno| failed(errno.into()))?;
    let found = fs::metadata(&real).map_err(failed)?;
    let table = fs::read("/proc/self/mountinfo")
        .map_err(|error| Failure::io("listing the mounts", "/proc/self/mountinfo", &error))?;
    // A container may hide the mount that a path is on.
    let unknown = || Mount {
        point: PathBuf::from("/"),
        fs_type: "unknown".to_owned(),
        device: "unknown".to_owned(),
    };
    let mount = mount_of(&real, &table).unwrap_or_else(unknown);
    let bytes = |blocks: u64| ByteSize(blocks.saturating_mul(stat.f_frsize));
    Ok(DiskUsage {
        total: bytes(stat.f_blocks),
        free: bytes(stat.f_bfree),
        available: bytes(stat.f_bavail),
        fs_type: mount.fs_type,
        device: mount.device,
        mount_point: mount.point,
        number: found.dev(),
    })
}

/// What this user may still write to the file system that holds this path.
///
/// # Errors
/// As [`usage`].
pub fn available(path: &Path) -> Result<ByteSize, Failure> {
    let stat = rustix::fs::statvfs(path)
        .map_err(|errno| Failure::io("looking at the disk", path, &errno.into()))?;
    Ok(ByteSize(stat.f_bavail.saturating_mul(stat.f_frsize)))
}

/// What each sector's files take of this scratch, by blocks. What cannot be read counts nothing:
/// then more is reserved, not less. Blocks for as long as the file system does.
pub fn held_by_sectors(scratch: &Scratch) -> BTreeMap<SectorNumber, ByteSize> {
    let mut held: BTreeMap<SectorNumber, ByteSize> = BTreeMap::new();
    for parent in scratch.parents() {
        for (name, path) in entries(&parent) {
            // What waits to be deleted, or is deleted now, is nobody's reservation.
            if let Some(sector) = layout::sector_of(&name) {
                held.entry(sector.number).or_default().0 += blocks(&path);
            }
        }
    }
    held
}

/// What the copy of a sector takes of this storage, by blocks, as far as it is there.
pub fn held_by_copy(root: &StorageRoot, id: SectorId) -> ByteSize {
    let replica = root.replica(id);
    let parts = [layout::part_of(&replica), replica, root.cache_dir(id)];
    ByteSize(parts.iter().map(|part| blocks(part)).sum())
}

/// The sizes whose shared tree-d is on this scratch.
pub fn sizes_sharing(scratch: &Scratch) -> BTreeSet<SectorSize> {
    let there = |size: &SectorSize| {
        let tree = scratch.shared_dir().join(layout::shared_tree_d(*size));
        let bytes = fs::metadata(tree).map(|found| found.len()).ok();
        bytes.is_some() && bytes == CacheFile::TreeD.bytes(*size)
    };
    SectorSize::ALL.into_iter().filter(there).collect()
}

fn entries(dir: &Path) -> impl Iterator<Item = (String, PathBuf)> + use<> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    entries.filter_map(|entry| Some((entry.file_name().into_string().ok()?, entry.path())))
}

/// A sector's replica is a file, its cache a directory of files.
fn blocks(path: &Path) -> u64 {
    const BLOCK: u64 = 512;
    match fs::symlink_metadata(path) {
        Ok(found) if found.is_dir() => entries(path)
            .filter_map(|(_, file)| fs::symlink_metadata(file).ok())
            // What has another name besides is shared, and no sector's own.
            .filter(|found| found.nlink() == 1)
            .map(|found| found.blocks() * BLOCK)
            .sum(),
        Ok(found) => found.blocks() * BLOCK,
        Err(_) => 0,
    }
}

#[derive(Debug, PartialEq, Eq)]
struct Mount {
    point: PathBuf,
    fs_type: String,
    device: String,
}

/// The mount that holds a canonical path: the one with the longest matching mount point, and the
/// last of those with the same, which covers the others (proc(5), mountinfo).
fn mount_of(real: &Path, table: &[u8]) -> Option<Mount> {
    let mounts = table.split(|&byte| byte == b'\n').filter_map(mount);
    mounts
        .filter(|mount| real.starts_with(&mount.point))
        .max_by_key(|mount| mount.point.components().count())
}

/// One line: `36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw,errors=continue`.
fn mount(line: &[u8]) -> Option<Mount> {
    let mut fields = line.split(|&byte| byte == b' ');
    let point = unescaped(fields.nth(4)?);
    // Optional fields end with a dash.
    let mut fields = fields.skip_while(|field| field != b"-").skip(1);
    let fs_type = String::from_utf8_lossy(&unescaped(fields.next()?)).into_owned();
    let device = String::from_utf8_lossy(&unescaped(fields.next()?)).into_owned();
    Some(Mount { point: std::ffi::OsString::from_vec(point).into(), fs_type, device })
}

/// Space, tab, newline and backslash are written as `\` and three octal digits.
fn unescaped(field: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((&byte, after)) = rest.split_first() {
        let octal = (byte == b'\\').then(|| after.get(..3)).flatten();
        let code = octal.and_then(|d| u8::from_str_radix(std::str::from_utf8(d).ok()?, 8).ok());
        match code {
            Some(code) => {
                out.push(code);
                rest = &after[3..];
            }
            None => {
                out.push(byte);
                rest = after;
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::failure::Class;

    const TABLE: &[u8] = b"\
22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
30 22 9:1 / /sealer rw,noatime shared:2 master:1 - xfs /dev/md1 rw
31 22 0:40 / /mnt/with\\040space rw - nfs4 10.0.0.5:/export rw
32 22 0:41 / /sealer rw - xfs /dev/md2 rw
";

    #[test]
    fn a_path_is_on_the_mount_that_covers_it() {
        let device = |path: &str| mount_of(Path::new(path), TABLE).unwrap().device;
        assert_eq!(device("/home/x"), "/dev/sda1");
        assert_eq!(device("/sealer-old"), "/dev/sda1");
        assert_eq!(device("/sealer/cache"), "/dev/md2", "the later mount covers the earlier");
        let nfs = mount_of(Path::new("/mnt/with space/a"), TABLE).unwrap();
        assert_eq!((nfs.fs_type.as_str(), nfs.device.as_str()), ("nfs4", "10.0.0.5:/export"));
    }

    #[test]
    fn usage_is_that_of_a_real_disk() {
        let dir = tempfile::tempdir().unwrap();
        let usage = usage(dir.path()).unwrap();
        assert!(usage.total >= usage.free && usage.free >= usage.available);
        assert!(usage.total.0 > 0);
        assert!(dir.path().canonicalize().unwrap().starts_with(&usage.mount_point));
        let gone = dir.path().join("gone");
        let failure = super::usage(&gone).unwrap_err();
        assert_eq!((failure.class, failure.file), (Class::Operator, Some(gone)));
    }
}
