//! sled: the ordered map that pages and the start read. The only file that names it.
//!
//! Nothing is safe because it is in here: the journal is, and all of this is made again from it.
//! So the flush is sled's own, in the background; what sled cannot be trusted with is decided in
//! [`super::recover`].

use std::fs::{self, File};
use std::ops::Bound;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::error::{StoreError, is_full};
use super::journal::sync_dir;

/// sled's default of 1 GB is more than a box's whole working set.
const CACHE_BYTES: u64 = 32 << 20;
/// Garbage is collected by this thread only, so it stays on.
const FLUSH_EVERY_MS: u64 = 1000;
/// A handle that was just dropped is let go of by sled's background threads a moment later.
const LET_GO: Duration = Duration::from_secs(5);

/// The opened map.
#[derive(Debug)]
pub struct State {
    db: sled::Db,
    path: PathBuf,
}

/// Puts and deletes that take effect together or not at all.
#[derive(Debug, Default)]
pub struct Changes(sled::Batch);

impl Changes {
    pub fn put(&mut self, key: &[u8], value: Vec<u8>) {
        self.0.insert(key, value);
    }

    pub fn delete(&mut self, key: &[u8]) {
        self.0.remove(key);
    }
}

/// Which end of a range comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    OldestFirst,
    NewestFirst,
}

impl State {
    /// Opens or creates the map. A damaged one may make sled panic: that is an error here.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let give_up = Instant::now() + LET_GO;
        loop {
            match catch_unwind(|| open(path)) {
                Ok(Ok(db)) => return Ok(Self { db, path: path.to_path_buf() }),
                Ok(Err(error)) if is_still_held(&error) && Instant::now() < give_up => {
                    std::thread::sleep(Duration::from_millis(2));
                }
                Ok(Err(error)) => return Err(failed(path, error)),
                Err(panic) => {
                    let why = format!("sled panicked while opening it: {}", said(&*panic));
                    return Err(StoreError::State { path: path.to_path_buf(), why });
                }
            }
        }
    }

    pub fn get(&self, key: &[u8]) -> Result<Option<impl AsRef<[u8]> + use<>>, StoreError> {
        self.db.get(key).map_err(|error| failed(&self.path, error))
    }

    pub fn apply(&self, changes: Changes) -> Result<(), StoreError> {
        self.db.apply_batch(changes.0).map_err(|error| failed(&self.path, error))
    }

    /// Keys and values between two bounds, in order or against it.
    pub fn range(
        &self,
        bounds: (Bound<Vec<u8>>, Bound<Vec<u8>>),
        direction: Direction,
    ) -> impl Iterator<Item = Result<(Vec<u8>, Vec<u8>), StoreError>> + use<> {
        let mut range = self.db.range(bounds);
        let path = self.path.clone();
        std::iter::from_fn(move || match direction {
            Direction::OldestFirst => range.next(),
            Direction::NewestFirst => range.next_back(),
        })
        .map(move |item| {
            item.map(|(key, value)| (key.to_vec(), value.to_vec()))
                .map_err(|error| failed(&path, error))
        })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Closes it so that it survives a power cut: sled's own flush does not make a grown file's
    /// length durable, so every file is synced once more through a descriptor of our own.
    pub fn close(self) -> Result<(), StoreError> {
        let Self { db, path } = self;
        db.flush().map_err(|error| failed(&path, error))?;
        let dropped = catch_unwind(AssertUnwindSafe(|| drop(db)));
        if let Err(panic) = dropped {
            let why = format!("sled panicked while closing: {}", said(&*panic));
            return Err(StoreError::State { path, why });
        }
        sync_tree(&path).map_err(|error| StoreError::io("syncing the state", &path, error))
    }
}

fn open(path: &Path) -> sled::Result<sled::Db> {
    sled::Config::new()
        .path(path)
        .mode(sled::Mode::LowSpace)
        .cache_capacity(CACHE_BYTES)
        .flush_every_ms(Some(FLUSH_EVERY_MS))
        .open()
}

fn is_still_held(error: &sled::Error) -> bool {
    match error {
        sled::Error::Io(error) => {
            error.kind() == std::io::ErrorKind::WouldBlock
                || error.to_string().contains("WouldBlock")
        }
        sled::Error::CollectionNotFound(_)
        | sled::Error::Unsupported(_)
        | sled::Error::ReportableBug(_)
        | sled::Error::Corruption { .. } => false,
    }
}

/// What a person must mend is told apart from a map that must be made again.
fn failed(path: &Path, error: sled::Error) -> StoreError {
    match error {
        sled::Error::Io(error) if is_full(&error) => StoreError::Full { path: path.to_path_buf() },
        sled::Error::Io(error) if error.kind() == std::io::ErrorKind::PermissionDenied => {
            StoreError::io("opening the state", path, error)
        }
        held @ sled::Error::Io(_) if is_still_held(&held) => {
            StoreError::io("opening the state", path, std::io::Error::other(held))
        }
        other => StoreError::State { path: path.to_path_buf(), why: other.to_string() },
    }
}

fn said(panic: &(dyn std::any::Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no message")
}

fn sync_tree(dir: &Path) -> std::io::Result<()> {
    for item in fs::read_dir(dir)? {
        let item = item?;
        if item.file_type()?.is_dir() {
            sync_tree(&item.path())?;
        } else {
            File::open(item.path())?.sync_all()?;
        }
    }
    sync_dir(dir)
}
