//! The data directory: who owns it, and whether the state in it can be trusted.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use rustix::fs::FlockOperation;
use serde::{Deserialize, Serialize};

use super::error::StoreError;
use super::journal::{replace, sync_dir};
use crate::failpoint::die_at;

/// In the data directory; locked by the box that has it.
pub const LOCK_FILE: &str = "lock";

/// The paths of a data directory, and the lock that makes it ours until this is dropped.
#[derive(Debug)]
pub struct Ground {
    data: PathBuf,
    pub journal: PathBuf,
    pub state: PathBuf,
    mark: PathBuf,
    boot_id: String,
    _lock: File,
}

/// What is remembered beside the state, in a file of its own: it must be read before sled is
/// touched, and sled's own word is not good for more than sled is.
#[derive(Debug, Serialize, Deserialize)]
struct Mark {
    /// The machine's boot in which the state was written last.
    boot_id: String,
    /// Whether it was closed and synced after that.
    clean: bool,
}

impl Ground {
    /// Takes the directory, and makes it if it is not there.
    pub fn take(data: &Path, boot_id: Option<String>) -> Result<Self, StoreError> {
        let journal = data.join("journal");
        fs::create_dir_all(&journal)
            .and_then(|()| sync_dir(data))
            .map_err(|error| StoreError::io("making the data directory", &journal, error))?;
        let lock = lock(&data.join(LOCK_FILE))?;
        let boot_id = match boot_id {
            Some(boot_id) => boot_id,
            None => this_boot()?,
        };
        Ok(Self {
            data: data.to_path_buf(),
            journal,
            state: data.join("state"),
            mark: data.join("state.mark"),
            boot_id,
            _lock: lock,
        })
    }

    /// Why the state cannot be trusted even if it opens; none if it can.
    ///
    /// What a process wrote is there as long as the machine runs. What the machine held when it
    /// stopped is there only if it was synced, and sled's flush does not see to that.
    pub fn distrust(&self) -> Option<String> {
        let mark = fs::read(&self.mark).ok();
        match mark.and_then(|bytes| serde_json::from_slice::<Mark>(&bytes).ok()) {
            None => Some("nothing says how it was closed".to_owned()),
            Some(Mark { clean: true, .. }) => None,
            Some(Mark { boot_id, clean: false }) if boot_id == self.boot_id => None,
            Some(Mark { clean: false, .. }) => {
                Some("the machine stopped before it was closed".to_owned())
            }
        }
    }

    /// Says, durably, that the state is being written in this boot.
    pub fn mark_open(&self) -> Result<(), StoreError> {
        self.write_mark(false)
    }

    /// Says, durably, that the state is closed and synced.
    pub fn mark_clean(&self) -> Result<(), StoreError> {
        self.write_mark(true)
    }

    fn write_mark(&self, clean: bool) -> Result<(), StoreError> {
        let mark = Mark { boot_id: self.boot_id.clone(), clean };
        let json = serde_json::to_vec(&mark).expect("two plain fields");
        replace(&self.mark, &json)
            .map_err(|error| StoreError::io("marking the state", &self.mark, error))
    }

    /// Renames the state, if there is one, to a name that nothing uses. Never deletes it.
    pub fn set_aside(&self, why: &str) -> Result<String, StoreError> {
        let aside = (1..)
            .map(|n| self.data.join(format!("state.set-aside-{n}")))
            .find(|path| fs::symlink_metadata(path).is_err())
            .expect("the numbers do not end");
        let io = |error| StoreError::io("setting the state aside", &self.state, error);
        fs::rename(&self.state, &aside).map_err(io)?;
        die_at("store.state_set_aside");
        sync_dir(&self.data).map_err(io)?;
        Ok(format!(
            "the state was set aside and made again from the journal: {why}; the old one is {}, \
             and may be deleted",
            aside.display()
        ))
    }
}

fn lock(path: &Path) -> Result<File, StoreError> {
    let io = |error| StoreError::io("locking the data directory", path, error);
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(path)
        .map_err(io)?;
    match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => {}
        Err(rustix::io::Errno::WOULDBLOCK) => {
            let pid = fs::read_to_string(path).unwrap_or_default();
            let pid = if pid.trim().is_empty() { "unknown" } else { pid.trim() };
            return Err(StoreError::Locked { lock: path.to_path_buf(), pid: pid.to_owned() });
        }
        Err(error) => return Err(io(error.into())),
    }
    // The number is for people only: on a full disk the lock holds without it.
    let _ = file.set_len(0).and_then(|()| writeln!(file, "{}", std::process::id()));
    Ok(file)
}

fn this_boot() -> Result<String, StoreError> {
    let path = "/proc/sys/kernel/random/boot_id";
    let id = fs::read_to_string(path)
        .map_err(|error| StoreError::io("reading the machine's boot id", path, error))?;
    Ok(id.trim().to_owned())
}
