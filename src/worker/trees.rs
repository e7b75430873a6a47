//! How far P2 is, seen from outside: the library says nothing until its end, but the trees are
//! files that it fills one after the other, and their sizes are known.

use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::Duration;

use super::progress::Row;
use crate::domain::layout::CacheFile;
use crate::domain::progress::Progress;
use crate::domain::units::SectorSize;

/// Between two looks. A look is one `stat` for each tree's file; a tree takes minutes at 32 GiB.
const INTERVAL: Duration = Duration::from_secs(1);

/// Runs P2 with a thread beside it that tells which trees are there. Without that thread, or when a
/// look hangs, P2 goes on all the same: it waits for the look only after its own end.
pub fn beside<T>(cache: &Path, size: SectorSize, row: &Row<'_>, work: impl FnOnce() -> T) -> T {
    thread::scope(|scope| {
        // Made in here, so that a panic of the work drops its end and the thread stops.
        let (working, over) = channel();
        let watch = move || {
            while let Err(RecvTimeoutError::Timeout) = over.recv_timeout(INTERVAL) {
                row.tell(look(cache, size));
            }
        };
        if let Err(error) =
            thread::Builder::new().name("p2-trees".to_owned()).spawn_scoped(scope, watch)
        {
            tracing::warn!(%error, "no thread to look at the trees beside P2");
        }
        let made = work();
        drop::<Sender<()>>(working);
        made
    })
}

fn look(cache: &Path, size: SectorSize) -> Progress {
    let complete = |files: Vec<CacheFile>| {
        let there = files.into_iter().filter(|file| is_filled(cache, *file, size)).count();
        u32::try_from(there).expect("as many as there are tree files at most")
    };
    Progress::Trees {
        tree_c: complete(CacheFile::trees_c(size)),
        tree_r_last: complete(CacheFile::trees_r_last(size)),
        of: size.tree_files(),
    }
}

/// Whether it has its size, and all of its blocks: the library makes a file as long as it will be
/// before it writes the first of it.
fn is_filled(cache: &Path, file: CacheFile, size: SectorSize) -> bool {
    const BLOCK: u64 = 512;
    let Some(bytes) = file.bytes(size) else { return false };
    let found = std::fs::metadata(cache.join(file.name(size)));
    found.is_ok_and(|found| found.len() == bytes && found.blocks() * BLOCK >= bytes)
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};

    use super::*;

    const SIZE: SectorSize = SectorSize::MiB8;

    #[test]
    fn a_tree_counts_once_all_of_it_is_written_and_not_when_it_has_its_length() {
        let dir = tempfile::tempdir().unwrap();
        let told = |tree_c, tree_r_last| Progress::Trees { tree_c, tree_r_last, of: 1 };
        assert_eq!(look(dir.path(), SIZE), told(0, 0));
        let path = |file: CacheFile| dir.path().join(file.name(SIZE));
        let bytes = |file: CacheFile| file.bytes(SIZE).unwrap();
        let tree_c = CacheFile::TreeC(0);
        File::create(path(tree_c)).unwrap().set_len(bytes(tree_c)).unwrap();
        assert_eq!(look(dir.path(), SIZE), told(0, 0), "it is a hole");
        let full = |file| fs::write(path(file), vec![7; usize::try_from(bytes(file)).unwrap()]);
        full(tree_c).unwrap();
        File::open(path(tree_c)).unwrap().sync_all().unwrap();
        assert_eq!(look(dir.path(), SIZE), told(1, 0));
        full(CacheFile::TreeRLast(0)).unwrap();
        assert_eq!(look(dir.path(), SIZE), told(1, 1));
    }

    #[test]
    fn the_work_ends_without_waiting_for_the_next_look() {
        let board = super::super::progress::ProgressBoard::default();
        let row = board.begin(crate::domain::ids::SectorNumber(1), crate::domain::phase::Phase::P2);
        let begun = std::time::Instant::now();
        assert_eq!(beside(Path::new("/nowhere"), SIZE, &row, || 7), 7);
        assert!(begun.elapsed() < INTERVAL);
    }
}
