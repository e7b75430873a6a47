//! What can go wrong in the store. Each error says what failed, where, and what to do now.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::domain::failure::{Class, Failure};
use crate::domain::units::Seq;

/// A place in a journal file, as an editor and `dd` count: lines from 1, bytes from 0.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    pub file: PathBuf,
    pub line: u64,
    pub byte: u64,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, byte {}", self.line, self.byte)
    }
}

/// Why the store cannot do what it was asked. Cloned to every caller whose commit shared the fate.
#[derive(Debug, Clone)]
pub enum StoreError {
    /// Another process owns the data directory. `pid` is what that process wrote there.
    Locked { lock: PathBuf, pid: String },
    /// The operating system refused something; nothing was acknowledged that is not durable.
    Io { doing: &'static str, path: PathBuf, error: Arc<io::Error> },
    /// No space. The commit is not in the journal; a later one may succeed.
    Full { path: PathBuf },
    /// The journal could not be made durable: whether the last commit is there is unknown until
    /// the next start reads it, and an fsync that failed once must not be tried again.
    Broken { path: PathBuf, why: String },
    /// A journal line is not what was written.
    Damaged { at: Place, why: String },
    /// As [`StoreError::Damaged`], in the last line, which is known to have been acknowledged.
    DamagedEnd { at: Place, why: String },
    /// As [`StoreError::Damaged`], in the last line: what a power cut leaves of a line that was
    /// never acknowledged looks the same. Only the state can tell.
    DoubtfulEnd { at: Place, why: String },
    /// Entries between two journal files are missing.
    Gap { expected: Seq, found: Option<PathBuf>, dir: PathBuf },
    /// A journal line of a version, or with an event, that this sealbox does not know.
    Newer { at: Place, what: String },
    /// An event of the journal that cannot follow the ones before it.
    DoesNotFollow { at: Place, why: String },
    /// A batch that does not continue the history: a fault in the caller. Not written.
    Refused { why: String },
    /// sled failed.
    State { path: PathBuf, why: String },
    /// An earlier commit is in the journal but not in the state, and the state cannot be caught
    /// up yet. This commit is not written.
    StateBehind { path: PathBuf, by: u64, why: String },
    /// More commits are queued than any caller should have under way.
    Busy,
    /// The store was closed.
    Closed,
}

impl StoreError {
    /// An I/O error at a path; a full disk is told apart because a commit may succeed later.
    pub(super) fn io(doing: &'static str, path: impl AsRef<Path>, error: io::Error) -> Self {
        let path = path.as_ref().to_path_buf();
        if is_full(&error) {
            Self::Full { path }
        } else {
            Self::Io { doing, path, error: Arc::new(error) }
        }
    }

    /// What failed, in one sentence without the path.
    pub fn what(&self) -> String {
        match self {
            Self::Locked { pid, .. } => {
                format!("another sealbox (process {pid}) uses this data directory")
            }
            Self::Io { doing, error, .. } => format!("{doing} failed: {error}"),
            Self::Full { .. } => "no space left on device while writing the journal or the state; \
                 nothing acknowledged is lost"
                .to_owned(),
            Self::Broken { why, .. } => format!("the journal could not be made durable: {why}"),
            Self::Damaged { at, why } => format!("the journal is damaged at {at}: {why}"),
            Self::DamagedEnd { at, why } => {
                format!("the journal's last line, acknowledged before, is damaged at {at}: {why}")
            }
            Self::DoubtfulEnd { at, why } => {
                format!("the journal's last line has its end and is not whole, at {at}: {why}")
            }
            Self::Gap { expected, found: Some(_), .. } => {
                format!("the journal has a gap: entry {} should begin this file", expected.0)
            }
            Self::Gap { expected, found: None, .. } => {
                format!("the journal is missing from entry {} on, yet there is a state", expected.0)
            }
            Self::Newer { at, what } => {
                format!("the journal was written by a newer sealbox ({what} at {at})")
            }
            Self::DoesNotFollow { at, why } => {
                format!("the journal holds at {at} what cannot follow from the lines before: {why}")
            }
            Self::Refused { why } => format!("a batch was refused and not written: {why}"),
            Self::State { why, .. } => format!("the state failed: {why}"),
            Self::StateBehind { by, why, .. } => {
                format!("the state is {by} entries behind the journal: {why}")
            }
            Self::Busy => "too many commits are queued; this one was not written".to_owned(),
            Self::Closed => "the store is closed".to_owned(),
        }
    }

    /// The file or directory it is about.
    pub fn file(&self) -> Option<&Path> {
        match self {
            Self::Locked { lock: path, .. }
            | Self::Io { path, .. }
            | Self::Full { path }
            | Self::Broken { path, .. }
            | Self::Gap { found: Some(path), .. }
            | Self::Gap { found: None, dir: path, .. }
            | Self::State { path, .. }
            | Self::StateBehind { path, .. } => Some(path),
            Self::Damaged { at, .. }
            | Self::DamagedEnd { at, .. }
            | Self::DoubtfulEnd { at, .. }
            | Self::Newer { at, .. }
            | Self::DoesNotFollow { at, .. } => Some(&at.file),
            Self::Refused { .. } | Self::Busy | Self::Closed => None,
        }
    }

    /// The line of the journal that it is about.
    pub fn place(&self) -> Option<&Place> {
        match self {
            Self::Damaged { at, .. }
            | Self::DamagedEnd { at, .. }
            | Self::DoubtfulEnd { at, .. }
            | Self::Newer { at, .. }
            | Self::DoesNotFollow { at, .. } => Some(at),
            Self::Locked { .. }
            | Self::Io { .. }
            | Self::Full { .. }
            | Self::Broken { .. }
            | Self::Gap { .. }
            | Self::Refused { .. }
            | Self::State { .. }
            | Self::StateBehind { .. }
            | Self::Busy
            | Self::Closed => None,
        }
    }

    /// The same, so many lines further down: for a file that was not read from its first line.
    pub(super) fn lines_further(mut self, lines: u64) -> Self {
        match &mut self {
            Self::Damaged { at, .. }
            | Self::DamagedEnd { at, .. }
            | Self::DoubtfulEnd { at, .. }
            | Self::Newer { at, .. }
            | Self::DoesNotFollow { at, .. } => at.line += lines,
            Self::Locked { .. }
            | Self::Io { .. }
            | Self::Full { .. }
            | Self::Broken { .. }
            | Self::Gap { .. }
            | Self::Refused { .. }
            | Self::State { .. }
            | Self::StateBehind { .. }
            | Self::Busy
            | Self::Closed => {}
        }
        self
    }

    /// What the operator does now.
    pub fn mend(&self) -> String {
        match self {
            Self::Locked { .. } => {
                "stop that one first, or give this one a data directory of its own".to_owned()
            }
            Self::Io { .. } => "look at the disk and the rights to this path (`ls -ld`, `dmesg`), \
                                 then restart sealbox"
                .to_owned(),
            Self::Full { .. } => {
                "free space on this disk; sealbox goes on with the next commit".to_owned()
            }
            Self::Broken { .. } => {
                "look at the disk (`dmesg`), then restart sealbox: it reads back what is there"
                    .to_owned()
            }
            Self::Damaged { .. } => "nothing was changed. Look at the disk (`dmesg`), copy the \
                                     whole data directory away, then put this file back from a \
                                     copy and restart"
                .to_owned(),
            Self::DamagedEnd { at, .. } => format!(
                "nothing was changed. Look at the disk (`dmesg`), copy the whole data directory \
                 away, then put this file back from a copy; or, if what this one line recorded \
                 may be given up, cut it off with `truncate -s {} {}` and restart",
                at.byte,
                at.file.display()
            ),
            Self::DoubtfulEnd { .. } => "start sealbox if this is behind a power cut: it knows \
                                         whether this line was acknowledged, sets it aside if it \
                                         was not, and changes nothing if it was"
                .to_owned(),
            Self::Gap { found: Some(_), expected, dir } => format!(
                "nothing was changed. Put the missing files, from entry {} on, back into {}",
                expected.0,
                dir.display()
            ),
            Self::Gap { found: None, .. } => {
                "nothing was changed. See that the disk with the journal is mounted, or put the \
                 journal back; to begin a new box, use an empty data directory"
                    .to_owned()
            }
            Self::Newer { .. } => {
                "start the sealbox that wrote it, or a newer one; nothing was changed".to_owned()
            }
            Self::DoesNotFollow { .. } => {
                "nothing was changed. Start the version of sealbox that wrote this journal; if \
                 this is that version, put the journal back from a copy and report this"
                    .to_owned()
            }
            Self::Refused { .. } => "restart sealbox, and report this with its log".to_owned(),
            Self::State { .. } => {
                "restart sealbox: the state is made again from the journal".to_owned()
            }
            Self::StateBehind { .. } => {
                "free space on this disk; sealbox catches up with the next commit, or when it is \
                 restarted"
                    .to_owned()
            }
            Self::Busy => "report this with its log; restart sealbox if it stays".to_owned(),
            Self::Closed => "start sealbox again".to_owned(),
        }
    }
}

/// Whether the error is the disk's, for want of room.
pub(super) fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Failure::from(self).fmt(f)
    }
}

impl std::error::Error for StoreError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io { error, .. } => Some(error),
            Self::Locked { .. }
            | Self::Full { .. }
            | Self::Broken { .. }
            | Self::Damaged { .. }
            | Self::DamagedEnd { .. }
            | Self::DoubtfulEnd { .. }
            | Self::Gap { .. }
            | Self::Newer { .. }
            | Self::DoesNotFollow { .. }
            | Self::Refused { .. }
            | Self::State { .. }
            | Self::StateBehind { .. }
            | Self::Busy
            | Self::Closed => None,
        }
    }
}

impl From<&StoreError> for Failure {
    /// What the store cannot keep, the box must not do: fatal, every one of them.
    fn from(error: &StoreError) -> Self {
        let failure = Failure::new(Class::Fatal, error.what(), error.mend());
        match error.file() {
            Some(file) => failure.at(file),
            None => failure,
        }
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::from(&error)
    }
}
