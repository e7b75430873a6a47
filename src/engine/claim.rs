//! Who may work on a sector's scratch: one process at a time, the kernel sees to it.
//!
//! An attempt in a process of its own may outlive the box that started it (killed, it still ends
//! only when a disk that hangs lets it). Until it has, nobody else touches the sector.

use std::fs::{self, File, TryLockError};
use std::io::{self, Read, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use crate::domain::failure::{Class, Failure};
use crate::domain::ids::SectorId;

/// The memory of a killed P2 takes the kernel seconds to free; it holds its claim as long.
const PATIENCE: Duration = Duration::from_secs(15);
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Where claims are laid. In the box's own directory rather than on scratch: that one may be a
/// file system without locks, and P1 and P6 clear the sector's directory there.
#[derive(Debug, Clone)]
pub struct Claims {
    directory: PathBuf,
}

impl Claims {
    /// # Errors
    /// When the directory cannot be made.
    pub fn open(data_dir: &Path) -> Result<Self, Failure> {
        let directory = data_dir.join("attempts");
        fs::create_dir_all(&directory).map_err(|error| {
            Failure::io("making the directory of running attempts", &directory, &error)
        })?;
        Ok(Self { directory })
    }

    pub fn path(&self, id: SectorId) -> PathBuf {
        self.directory.join(format!("{id}.lock"))
    }
}

/// Held as long as it lives, and given back when its process ends, however that ends.
#[derive(Debug)]
pub struct Claim {
    _file: File,
    path: PathBuf,
}

impl Claim {
    /// Waits some seconds for whoever holds it.
    ///
    /// # Errors
    /// Transient if it is still held then; as [`Failure::io`] if the file cannot be locked.
    pub fn take(path: &Path) -> Result<Self, Failure> {
        Self::take_within(path, PATIENCE)
    }

    fn take_within(path: &Path, patience: Duration) -> Result<Self, Failure> {
        let failed = |error: io::Error| Failure::io("claiming the sector", path, &error);
        let begun = Instant::now();
        loop {
            let mut file = File::options()
                .create(true)
                .truncate(false)
                .read(true)
                .write(true)
                .open(path)
                .map_err(failed)?;
            match file.try_lock() {
                Ok(()) if is_still_there(&file, path) => {
                    sign(&file).map_err(failed)?;
                    return Ok(Self { _file: file, path: path.to_path_buf() });
                }
                Ok(()) => continue,
                Err(TryLockError::Error(error)) => return Err(failed(error)),
                Err(TryLockError::WouldBlock) if begun.elapsed() >= patience => {
                    return Err(held(path, &mut file));
                }
                Err(TryLockError::WouldBlock) => thread::sleep(LOOK_EVERY),
            }
        }
    }

    /// The sector is over: nobody will claim it again. A file that stays does no harm.
    pub fn remove(self) {
        if let Err(error) = fs::remove_file(&self.path) {
            tracing::debug!(%error, "the claim's file stays");
        }
    }
}

/// Whoever had it may have removed it between our opening and our locking.
fn is_still_there(file: &File, path: &Path) -> bool {
    let ours = file.metadata().map(|found| found.ino());
    matches!((ours, fs::metadata(path)), (Ok(ours), Ok(found)) if found.ino() == ours)
}

/// So that who waits can say for whom.
fn sign(mut file: &File) -> io::Result<()> {
    file.set_len(0)?;
    writeln!(file, "{}", std::process::id())
}

fn held(path: &Path, file: &mut File) -> Failure {
    let mut by = String::new();
    // Without it the sentence is true as well.
    let _ = file.take(20).read_to_string(&mut by);
    Failure::new(
        Class::Transient,
        "an attempt of an earlier start of sealbox still works on this sector",
        "it was killed and cannot end: see what it hangs at (`ps`, `findmnt`, `dmesg`); sealbox \
         tries again by itself",
    )
    .at(path)
    .detail(format!("process {}", by.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ids::{ActorId, SectorNumber};

    fn path(dir: &Path) -> PathBuf {
        let id = SectorId { miner: ActorId(1000), number: SectorNumber(7) };
        Claims::open(dir).unwrap().path(id)
    }

    #[test]
    fn a_claim_that_is_held_refuses_the_next_and_names_its_holder() {
        let dir = tempfile::tempdir().unwrap();
        let path = path(dir.path());
        let first = Claim::take(&path).unwrap();
        let failure = Claim::take_within(&path, Duration::ZERO).unwrap_err();
        assert_eq!(failure.class, Class::Transient);
        assert_eq!(failure.detail, Some(format!("process {}", std::process::id())));
        drop(first);
        Claim::take_within(&path, Duration::ZERO).unwrap();
    }

    #[test]
    fn a_claim_that_was_removed_is_no_longer_one() {
        let dir = tempfile::tempdir().unwrap();
        let path = path(dir.path());
        let waiting = File::create(&path).unwrap();
        Claim::take(&path).unwrap().remove();
        assert!(!path.exists());
        assert!(!is_still_there(&waiting, &path));
        let again = Claim::take(&path).unwrap();
        assert!(!is_still_there(&waiting, &path));
        drop(again);
    }
}
