//! A file of fixed size, a slot for each moment of the time that it reaches back.
//!
//! A sample's time says its slot, so there is no place to be kept in step: what a start finds is
//! what was written last. A torn slot, or one of a time long past, is passed over.

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::domain::units::Timestamp;

/// Of a slot: 8 bytes of its digest, 2 of its length, the sample.
const SLOT: usize = 384;
const HEAD: usize = 10;

/// What is kept in one.
pub trait Dated: Serialize + DeserializeOwned {
    /// The moment that its slot is for.
    fn at(&self) -> Timestamp;
}

/// How far apart the slots are, and how many.
#[derive(Debug, Clone, Copy)]
pub struct Reach {
    pub every_ms: u64,
    pub slots: u64,
}

pub struct Ring {
    reach: Reach,
    /// None: it could not be opened, and nothing is kept beyond the process.
    file: Option<File>,
    path: PathBuf,
    /// The last write failed; said once.
    failing: bool,
}

impl Ring {
    pub fn open(path: &Path, reach: Reach) -> Self {
        let open = || {
            path.parent().map_or(Ok(()), fs::create_dir_all)?;
            let options = OpenOptions::new().read(true).write(true).create(true).clone();
            let file = options.open(path)?;
            file.set_len(reach.slots * SLOT as u64)?;
            Ok(file)
        };
        let opened: std::io::Result<File> = open();
        if let Err(error) = &opened {
            tracing::warn!("samples are not kept in {}: {error}", path.display());
        }
        Self { reach, file: opened.ok(), path: path.to_owned(), failing: false }
    }

    /// What is of the time that the ring reaches back, the oldest first.
    pub fn read<T: Dated>(&self, now: Timestamp) -> Vec<T> {
        let oldest = now.0.saturating_sub(self.reach.slots * self.reach.every_ms);
        let bytes = fs::read(&self.path).unwrap_or_default();
        let mut found: Vec<T> = bytes
            .chunks_exact(SLOT)
            .filter_map(unpacked)
            .filter(|one: &T| (oldest..=now.0).contains(&one.at().0))
            .collect();
        found.sort_by_key(T::at);
        found
    }

    pub fn write(&mut self, one: &impl Dated) {
        let Some((file, slot)) = self.file.as_ref().zip(packed(one)) else { return };
        let place = one.at().0 / self.reach.every_ms % self.reach.slots;
        match file.write_all_at(&slot, place * SLOT as u64) {
            Ok(()) => self.failing = false,
            Err(error) if !self.failing => {
                tracing::warn!("samples cannot be kept in {}: {error}", self.path.display());
                self.failing = true;
            }
            Err(_) => {}
        }
    }
}

/// None if it does not fit, which the bound on its disks rules out.
fn packed(one: &impl Dated) -> Option<[u8; SLOT]> {
    let payload = postcard::to_stdvec(one).ok().filter(|bytes| bytes.len() <= SLOT - HEAD)?;
    let mut slot = [0; SLOT];
    slot[8..HEAD].copy_from_slice(&u16::try_from(payload.len()).ok()?.to_le_bytes());
    slot[HEAD..HEAD + payload.len()].copy_from_slice(&payload);
    let sum = sum(&slot);
    slot[..8].copy_from_slice(&sum);
    Some(slot)
}

fn unpacked<T: Dated>(slot: &[u8]) -> Option<T> {
    if slot.get(..8)? != sum(slot) {
        return None;
    }
    let length = usize::from(u16::from_le_bytes([slot[8], slot[9]]));
    postcard::from_bytes(slot.get(HEAD..HEAD + length)?).ok()
}

fn sum(slot: &[u8]) -> [u8; 8] {
    let digest = blake3::hash(&slot[8..]);
    let [a, b, c, d, e, f, g, h, ..] = *digest.as_bytes();
    [a, b, c, d, e, f, g, h]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::phase::PerPhase;
    use crate::samples::{DISKS, DiskFill, Grain, Sample};

    const DAY: u64 = 86_400_000;

    fn sample(at: u64) -> Sample {
        let most = u32::MAX;
        Sample {
            at: Timestamp(at),
            cpu_machine: u16::MAX,
            cpu_box: u16::MAX,
            memory_mib: most,
            memory_used_mib: most,
            memory_box_mib: most,
            scratch_read_kib: most,
            scratch_written_kib: most,
            hour_sectors: most,
            hour_mib: most,
            took: PerPhase::from_fn(|_| [most; 3]),
            disks: vec![DiskFill { key: most, used_mib: most, reserved_mib: most }; DISKS],
        }
    }

    fn times(ring: &Ring, now: u64) -> Vec<u64> {
        ring.read(Timestamp(now)).iter().map(|sample: &Sample| sample.at.0).collect()
    }

    #[test]
    fn the_largest_sample_fits_and_is_read_again_after_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("samples/10s.ring");
        let mut ring = Ring::open(&path, Grain::Fine.reach());
        for at in [20_000, 40 * DAY, 40 * DAY + 10_000] {
            ring.write(&sample(at));
        }
        let size = fs::metadata(&path).unwrap().len();
        let again = Ring::open(&path, Grain::Fine.reach());
        assert_eq!(
            again.read::<Sample>(Timestamp(40 * DAY + 10_001))[1],
            sample(40 * DAY + 10_000)
        );
        assert_eq!(times(&again, 40 * DAY + 10_001), [40 * DAY, 40 * DAY + 10_000]);
        assert_eq!(times(&again, 41 * DAY + 5_000), [40 * DAY + 10_000], "a day is a day");
        assert_eq!(fs::metadata(&path).unwrap().len(), size, "it does not grow");
    }

    #[test]
    fn a_torn_sample_is_passed_over_and_the_others_stay() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("10s.ring");
        let mut ring = Ring::open(&path, Grain::Fine.reach());
        for at in [10_000, 20_000, 30_000] {
            ring.write(&sample(at));
        }
        let file = OpenOptions::new().write(true).open(&path).unwrap();
        file.write_all_at(&[0; 40], 2 * SLOT as u64 + 100).unwrap();
        assert_eq!(times(&ring, 30_000), [10_000, 30_000]);
    }

    #[test]
    fn a_disk_that_takes_nothing_costs_samples_and_nothing_else() {
        let mut ring = Ring::open(Path::new("/proc/nowhere/10s.ring"), Grain::Fine.reach());
        ring.write(&sample(10_000));
        assert_eq!(times(&ring, 20_000), [0; 0]);
    }
}
