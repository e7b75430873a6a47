//! The store against a model, against damage, against faults.

mod damage;
mod faults;
mod long;
mod model;
mod offline;

use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::walk::World;
use super::*;
use crate::domain::ids::SectorNumber;

/// A data directory with the model of what was committed to it.
struct Box_ {
    dir: TempDir,
    world: World,
    boot: u32,
}

impl Box_ {
    fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap(), world: World::default(), boot: 1 }
    }

    fn data(&self) -> &Path {
        self.dir.path()
    }

    fn options(&self) -> OpenOptions {
        OpenOptions::new(self.data()).boot_id(format!("boot-{}", self.boot)).segment_bytes(6000)
    }

    fn try_open(&self) -> Result<(Store, Recovered), StoreError> {
        self.options().open()
    }

    /// Opens it and compares everything with the model.
    fn open(&self) -> (Store, Recovered) {
        let (store, recovered) = self.try_open().unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(recovered.last_seq, self.world.box_state.seq);
        assert_eq!(recovered.box_state, self.world.box_state);
        let active: Vec<_> =
            self.world.sectors.values().filter(|s| !s.stage.is_over()).cloned().collect();
        assert_eq!(recovered.active, active);
        let damaged: Vec<_> =
            self.world.sectors.values().filter(|s| s.fault().is_some()).cloned().collect();
        assert_eq!(recovered.damaged, damaged);
        assert_same(&store.reader(), &self.world);
        assert_eq!(store.reader().counts().unwrap(), recovered.counts);
        (store, recovered)
    }

    fn commit(&mut self, store: &Store, picks: &[u32]) -> Committed {
        store.commit(self.world.batch(picks)).wait().unwrap_or_else(|error| panic!("{error}"))
    }

    /// Commits some hundred steps, three a commit, and stops cleanly.
    fn live(&mut self, steps: u32) {
        let (store, _) = self.open();
        for n in 0..steps / 3 {
            let pick = |i: u32| (n * 3 + i).wrapping_mul(2_654_435_761).rotate_left(7);
            self.commit(&store, &[pick(0), pick(1), pick(2)]);
        }
        store.close().unwrap();
    }

    /// The journal's files, in order.
    fn segments(&self) -> Vec<PathBuf> {
        let segments = scan::segments(&self.data().join("journal")).unwrap();
        segments.into_iter().map(|segment| segment.path).collect()
    }

    fn set_aside(&self) -> usize {
        let names = std::fs::read_dir(self.data()).unwrap();
        names
            .filter(|item| {
                let name = item.as_ref().unwrap().file_name();
                name.to_str().unwrap().starts_with("state.set-aside-")
            })
            .count()
    }

    fn torn(&self) -> Vec<PathBuf> {
        let files = std::fs::read_dir(self.data().join("journal")).unwrap();
        let mut torn: Vec<_> = files.map(|item| item.unwrap().path()).collect();
        torn.retain(|path| path.extension().is_some_and(|extension| extension == "torn"));
        torn
    }

    /// Forgets, in the model too, the entries after `last`.
    fn forget_after(&mut self, last: Seq) {
        let history = std::mem::take(&mut self.world).history;
        for entry in history.into_iter().filter(|entry| entry.seq <= last) {
            self.world.replay(entry);
        }
    }
}

/// What a journal file holds, without what it is filled up with.
fn written(path: &Path) -> Vec<u8> {
    std::fs::read(path).unwrap().trim_ascii_end().iter().copied().chain([b'\n']).collect()
}

fn copy_tree(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for item in std::fs::read_dir(from).unwrap() {
        let item = item.unwrap();
        let target = to.join(item.file_name());
        if item.file_type().unwrap().is_dir() {
            copy_tree(&item.path(), &target);
        } else {
            std::fs::copy(item.path(), target).unwrap();
        }
    }
}

/// Every question that a reader answers, asked of the store and of the model.
fn assert_same(reader: &Reader, world: &World) {
    for (number, sector) in &world.sectors {
        assert_eq!(reader.sector(*number).unwrap().as_ref(), Some(sector));
        let history = world.history_of(*number);
        assert_eq!(reader.history(*number, None, usize::MAX).unwrap(), history);
        let (first, rest) = history.split_first().unwrap();
        assert_eq!(reader.history(*number, Some(first.seq), usize::MAX).unwrap(), rest);
    }
    let next = SectorNumber(world.box_state.next_number);
    assert_eq!(reader.sector(next).unwrap(), None);
    model::assert_same_box_history(reader, world);
    model::assert_same_lists(reader, world);
    model::assert_same_tasks(reader, world);
}
