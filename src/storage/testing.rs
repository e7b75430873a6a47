//! A small world for the tests of this module: a scratch with a sector in it, a storage, a clock.

use std::fs;
use std::path::Path;
use std::sync::Mutex;
use std::time::Duration;

use tempfile::TempDir;

use super::rate::{Pace, RateLimit};
use super::transfer::{ToStore, copy_sector};
use crate::domain::failure::Failure;
use crate::domain::ids::{ActorId, Bytes32, CommR, SectorId, SectorNumber};
use crate::domain::layout::{Scratch, StorageRoot, stored_files};
use crate::domain::sector::StoredAt;
use crate::domain::units::SectorSize;
use crate::stop::Stop;

/// Time passes only by sleeping.
#[derive(Default)]
pub struct FakePace {
    now: Mutex<Duration>,
}

impl Pace for FakePace {
    fn now(&self) -> Duration {
        *self.now.lock().unwrap()
    }

    fn sleep(&self, duration: Duration) {
        *self.now.lock().unwrap() += duration;
    }
}

pub struct World {
    pub dir: TempDir,
    pub scratch: Scratch,
    pub storage: StorageRoot,
    pub sector: ToStore,
}

impl World {
    /// A scratch with a sector of this size after P2 (noise of the right sizes), and an empty
    /// storage.
    pub fn new(size: SectorSize) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let scratch = Scratch::new(dir.path().join("scratch"));
        let storage = StorageRoot::new(dir.path().join("storage"));
        for parent in scratch.parents().iter().chain(&storage.parents()) {
            fs::create_dir_all(parent).unwrap();
        }
        let id = SectorId { miner: ActorId(1000), number: SectorNumber(7) };
        let comm_r = CommR(Bytes32([9; 32]));
        let world =
            Self { dir, scratch, storage, sector: ToStore { id, size, comm_r, simulated: false } };
        fs::create_dir(world.scratch.cache_dir(id)).unwrap();
        for (n, file) in stored_files(id, size).iter().enumerate() {
            fs::write(
                world.scratch.root().join(&file.relative),
                noise(n, file.bytes.unwrap_or(340)),
            )
            .unwrap();
        }
        fs::write(world.scratch.cache_dir(id).join("sc-02-data-layer-1.dat"), b"labels").unwrap();
        world
    }

    pub fn id(&self) -> SectorId {
        self.sector.id
    }

    pub fn copy(&self) -> Result<StoredAt, Failure> {
        let limit = RateLimit::new(None);
        let stop = Stop::default();
        copy_sector(&self.scratch, &self.storage, &self.sector, &limit, &|_, _| (), &stop)
    }
}

/// Bytes that repeat too late for two pieces to be taken for each other.
fn noise(salt: usize, bytes: u64) -> Vec<u8> {
    let mut out = vec![0; usize::try_from(bytes).unwrap()];
    blake3::Hasher::new().update(&salt.to_le_bytes()).finalize_xof().fill(&mut out);
    out
}

pub fn flip_a_byte(path: &Path) {
    let mut content = fs::read(path).unwrap();
    let middle = content.len() / 2;
    content[middle] ^= 1;
    fs::write(path, content).unwrap();
}
