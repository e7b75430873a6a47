//! The journal: the commit point. What is in it, synced, happened; what is not, did not.
//!
//! Append-only files of lines ([`super::record`]), each file named after its first entry. One
//! line is written and synced at a time, however many commits share it. So a power cut can tear
//! the last line and no other, and whatever is damaged before it is damage, not a crash.
//!
//! The file that is written ends in spaces, which the next lines are written over: a sync of a
//! file that did not grow leaves the file system's own journal out of it.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::error::{StoreError, is_full};
#[cfg(test)]
use super::faults::Faults;
use super::scan::{End, Segment, Torn};
use crate::domain::units::Seq;
use crate::failpoint::die_at;

/// How far ahead of the last line the file is filled with spaces, at most.
static AHEAD: [u8; 64 << 10] = [b' '; 64 << 10];

/// The journal, open for appending.
#[derive(Debug)]
pub struct Journal {
    dir: PathBuf,
    segment_bytes: u64,
    path: PathBuf,
    file: File,
    /// The length of what is acknowledged in the current file.
    len: u64,
    /// The file's own length: beyond `len` it is filled with spaces.
    filled: u64,
    last: Seq,
    /// Set for good by an fsync that failed: the kernel may have dropped the pages, so a second
    /// fsync that succeeds would mean nothing.
    broken: Option<StoreError>,
    #[cfg(test)]
    pub faults: std::sync::Arc<Faults>,
}

impl Journal {
    /// Begins a journal: its first file, empty.
    pub fn begin(dir: &Path) -> Result<Segment, StoreError> {
        let segment = Segment::new(dir, Seq(1));
        create(&segment.path)?;
        Ok(segment)
    }

    /// Opens the journal at the end that was found. A torn end is set aside into a file of its
    /// own and cut off; the answer's second part says so.
    pub fn open(
        dir: &Path,
        end: &End,
        segment_bytes: u64,
    ) -> Result<(Self, Option<String>), StoreError> {
        let path = end.segment.path.clone();
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .open(&path)
            .map_err(|error| StoreError::io("opening the journal", &path, error))?;
        let said = match &end.torn {
            Some(torn) => Some(cut_off(&file, torn)?),
            None => None,
        };
        rewrite_last_line(&file, end)
            .map_err(|error| StoreError::io("syncing the journal", &path, error))?;
        let journal = Self {
            dir: dir.to_path_buf(),
            segment_bytes,
            path,
            file,
            len: end.len,
            filled: end.len,
            last: end.last,
            broken: None,
            #[cfg(test)]
            faults: std::sync::Arc::default(),
        };
        Ok((journal, said))
    }

    /// The last entry that is durable.
    pub fn last(&self) -> Seq {
        self.last
    }

    /// Appends one line, whose last entry is `last`, and makes it durable.
    ///
    /// Errors: [`StoreError::Full`] leaves the journal as it was, and a later append may succeed;
    /// after any other, every later append is refused.
    pub fn append(&mut self, line: &[u8], last: Seq) -> Result<(), StoreError> {
        if let Some(broken) = &self.broken {
            return Err(broken.clone());
        }
        if self.len > 0 && self.len + line.len() as u64 > self.segment_bytes {
            self.rotate()?;
        }
        match self.write(line) {
            Ok(()) => {}
            Err(error) if is_full(&error) => return Err(self.take_back()),
            Err(error) => return Err(self.break_at("writing", &error)),
        }
        die_at("store.line_written");
        if let Err(error) = self.sync() {
            return Err(self.break_at("fdatasync", &error));
        }
        die_at("store.line_synced");
        self.len += line.len() as u64;
        self.last = last;
        Ok(())
    }

    fn write(&mut self, line: &[u8]) -> std::io::Result<()> {
        #[cfg(test)]
        if self.faults.full.take() {
            self.file.write_all_at(&line[..line.len() / 2], self.len)?;
            return Err(std::io::ErrorKind::StorageFull.into());
        }
        self.file.write_all_at(line, self.len)?;
        let end = self.len + line.len() as u64;
        if end > self.filled {
            // Where there is no room to fill ahead there may still be room for lines.
            let ahead = self.file.write_all_at(&AHEAD, end).map_or(0, |()| AHEAD.len() as u64);
            self.filled = end + ahead;
        }
        Ok(())
    }

    fn sync(&self) -> std::io::Result<()> {
        #[cfg(test)]
        if self.faults.sync.take() {
            return Err(std::io::Error::other("injected"));
        }
        self.file.sync_data()
    }

    /// Undoes a write that found no room. Synced, so that no part of it can come back behind the
    /// line that will be written in its place.
    fn take_back(&mut self) -> StoreError {
        match self.cut() {
            Ok(()) => StoreError::Full { path: self.path.clone() },
            Err(error) => self.break_at("taking back a write that found no room", &error),
        }
    }

    /// Leaves nothing in the file behind the last line that is acknowledged.
    fn cut(&mut self) -> std::io::Result<()> {
        self.filled = self.len;
        self.file.set_len(self.len)?;
        self.sync()
    }

    /// Ends the writing: the file is left as it is kept, without room ahead.
    pub fn finish(&mut self) -> Result<(), StoreError> {
        self.cut().map_err(|error| StoreError::io("ending the journal", &self.path, error))
    }

    fn break_at(&mut self, doing: &str, error: &std::io::Error) -> StoreError {
        let why = format!("{doing}: {error}");
        let broken = StoreError::Broken { path: self.path.clone(), why };
        self.broken = Some(broken.clone());
        broken
    }

    /// Goes on in a new file, which exists durably before anything is written to it.
    fn rotate(&mut self) -> Result<(), StoreError> {
        if let Err(error) = self.cut() {
            return Err(self.break_at("ending a journal file", &error));
        }
        let next = Segment::new(&self.dir, Seq(self.last.0 + 1));
        match create(&next.path) {
            Ok(file) => {
                self.file = file;
                self.path = next.path;
                self.len = 0;
                self.filled = 0;
                Ok(())
            }
            Err(error @ StoreError::Full { .. }) => Err(error),
            Err(error) => {
                let why = format!("beginning {}: {}", next.path.display(), error.what());
                let broken = StoreError::Broken { path: self.path.clone(), why };
                self.broken = Some(broken.clone());
                Err(broken)
            }
        }
    }
}

/// An empty file that is there after a power cut. One left empty by an attempt that found no room
/// is taken over; one with something in it never is.
fn create(path: &Path) -> Result<File, StoreError> {
    let io = |error| StoreError::io("beginning a journal file", path, error);
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(path)
        .map_err(io)?;
    if file.metadata().map_err(io)?.len() > 0 {
        return Err(io(std::io::ErrorKind::AlreadyExists.into()));
    }
    die_at("store.file_made");
    file.sync_all().map_err(io)?;
    sync_dir(path.parent().unwrap_or(Path::new("."))).map_err(io)?;
    die_at("store.file_named");
    Ok(file)
}

/// Makes the names in a directory durable.
pub fn sync_dir(dir: &Path) -> std::io::Result<()> {
    File::open(dir)?.sync_all()
}

/// Keeps the torn bytes in a file beside the journal's, then cuts them off.
fn cut_off(file: &File, torn: &Torn) -> Result<String, StoreError> {
    let io = |error| StoreError::io("setting a torn journal line aside", &torn.at.file, error);
    let kept = keep(file, torn).map_err(io)?;
    die_at("store.torn_kept");
    file.set_len(torn.at.byte).map_err(io)?;
    die_at("store.torn_cut");
    file.sync_all().map_err(io)?;
    Ok(format!(
        "the last journal line was torn ({} {}: {}); its {} bytes are kept in {}",
        torn.at.file.display(),
        torn.at,
        torn.why,
        torn.bytes,
        kept.display()
    ))
}

fn keep(file: &File, torn: &Torn) -> std::io::Result<PathBuf> {
    let mut bytes = Vec::new();
    let mut from = file;
    std::io::Seek::seek(&mut from, std::io::SeekFrom::Start(torn.at.byte))?;
    from.take(torn.bytes).read_to_end(&mut bytes)?;
    for n in 1.. {
        let path = torn.at.file.with_extension(format!("jsonl.{}-{n}.torn", torn.at.byte));
        match OpenOptions::new().write(true).create_new(true).open(&path) {
            Ok(mut kept) => {
                kept.write_all(&bytes)?;
                kept.sync_all()?;
                sync_dir(path.parent().unwrap_or(Path::new(".")))?;
                return Ok(path);
            }
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
    unreachable!("the numbers do not end")
}

/// A process that was killed, or whose fsync failed, may leave a last line that is in the page
/// cache and not on the disk, where a plain fsync no longer sees it as dirty. It is about to be
/// acted on, so it is written once more, byte for byte, and synced. What was filled ahead is cut
/// off: after a power cut it need not be spaces any more.
fn rewrite_last_line(file: &File, end: &End) -> std::io::Result<()> {
    if let Some(start) = end.last_line {
        let length = usize::try_from(end.len - start).map_err(std::io::Error::other)?;
        let mut line = vec![0; length];
        file.read_exact_at(&mut line, start)?;
        file.write_all_at(&line, start)?;
        die_at("store.last_line_rewritten");
    }
    file.set_len(end.len)?;
    file.sync_all()
}

/// Writes a small file so that after a power cut it is the old one or the new one.
pub fn replace(path: &Path, content: &[u8]) -> std::io::Result<()> {
    let temporary = path.with_extension("new");
    let mut file = File::create(&temporary)?;
    file.write_all(content)?;
    die_at("store.mark_written");
    file.sync_all()?;
    die_at("store.mark_synced");
    fs::rename(&temporary, path)?;
    die_at("store.mark_renamed");
    sync_dir(path.parent().unwrap_or(Path::new(".")))
}
