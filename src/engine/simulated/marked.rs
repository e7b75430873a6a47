//! The simulation's files: each begins with its mark. They are small, or have the sizes that real
//! ones have; then what follows the mark is a hole, which takes no room on a disk that knows holes.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Read, Write};
use std::path::Path;

use crate::domain::failure::{Class, Failure};
use crate::domain::ids::{Bytes32, SectorId};

/// What each simulated file and proof begins with.
pub const MARK: &[u8] = b"SIMULATED";

/// A file as it is written, and as it has to be found.
#[derive(Debug, PartialEq, Eq)]
pub struct Marked {
    head: Vec<u8>,
    /// Of all of it.
    bytes: u64,
}

impl Marked {
    /// `bytes`: what the real file has, if this one is to have it; else it has 1,000 to 1,200, the
    /// size of no real file.
    pub fn new(id: SectorId, name: &str, value: &Bytes32, bytes: Option<u64>) -> Self {
        let mark = String::from_utf8_lossy(MARK);
        let line = format!("{mark}: not a real sector. {id} {name} {value}\n");
        let head = line.repeat(1_000usize.div_ceil(line.len())).into_bytes();
        match bytes.map(usize::try_from) {
            // Too short to say all that, and as good to be checked by.
            Some(Ok(bytes)) if bytes < head.len() => {
                let mut short = vec![0; bytes.max(MARK.len())];
                let (mark, rest) = short.split_at_mut(MARK.len());
                mark.copy_from_slice(MARK);
                blake3::Hasher::new().update(&head).finalize_xof().fill(rest);
                Self { bytes: short.len() as u64, head: short }
            }
            Some(_) | None => Self { bytes: bytes.unwrap_or(head.len() as u64), head },
        }
    }

    /// A phase that ended is built upon after a power cut too: what it made is synced, as the real
    /// engine's is.
    ///
    /// # Errors
    /// Operator, where the file system has no files of that size; I/O errors by their kind.
    pub fn write(&self, path: &Path) -> Result<(), Failure> {
        let failed = |error: io::Error| match error.kind() {
            ErrorKind::FileTooLarge | ErrorKind::InvalidInput => {
                too_large(path, self.bytes, &error)
            }
            _ => Failure::io("writing a simulated file", path, &error),
        };
        let mut file = File::create(path).map_err(failed)?;
        file.write_all(&self.head).map_err(failed)?;
        if self.bytes > self.head.len() as u64 {
            file.set_len(self.bytes).map_err(failed)?;
        }
        file.sync_all().map_err(failed)
    }

    /// # Errors
    /// Sector: it is not there, or is another. I/O errors by their kind.
    pub fn check(&self, path: &Path) -> Result<(), Failure> {
        match self.is_at(path) {
            Ok(true) => Ok(()),
            Ok(false) => Err(spoilt(path)),
            Err(error) if error.kind() == ErrorKind::NotFound => Err(spoilt(path)),
            Err(error) => Err(Failure::io("reading a simulated file", path, &error)),
        }
    }

    fn is_at(&self, path: &Path) -> io::Result<bool> {
        if fs::metadata(path)?.len() != self.bytes {
            return Ok(false);
        }
        let mut head = Vec::new();
        File::open(path)?.take(self.head.len() as u64).read_to_end(&mut head)?;
        Ok(head == self.head)
    }
}

fn too_large(path: &Path, bytes: u64, error: &io::Error) -> Failure {
    let what = format!("the file system takes no file of {bytes} bytes");
    let mend = "put the scratch on one that does (ext4, XFS), or leave `sizes = \"real\"` out of \
                [simulated]; then retry";
    Failure::new(Class::Operator, what, mend).at(path).detail(error.to_string())
}

fn spoilt(path: &Path) -> Failure {
    Failure::new(
        Class::Sector,
        "a simulated file is missing or is not what this phase needs",
        "redo the sector from P1",
    )
    .at(path)
}
