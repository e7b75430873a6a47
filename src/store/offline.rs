//! The journal without a box: verified, exported, backed up. It is only read, so all of this may
//! run beside a box that writes it; a line that is being written then is left out.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::error::{Place, StoreError};
use super::journal::sync_dir;
use super::scan::{self, End, Segment, Torn};
use crate::domain::event::{Entry, Happened};
use crate::domain::ids::SectorNumber;
use crate::domain::order::BoxState;
use crate::domain::pipeline::{self, Stamp};
use crate::domain::sector::Sector;
use crate::domain::units::{Seq, Timestamp};

/// What a backup takes along: directories of the data directory, by name. The journal comes first:
/// it is what the rest may be missing beside.
const JOURNAL: &str = "journal";
const CHAIN: &str = "chain";

/// A journal that was read from its first byte to its last and found whole.
#[derive(Debug)]
pub struct Verified {
    pub segments: Vec<SegmentFacts>,
    /// The first and the last entry, with their times; none if nothing happened yet.
    pub span: Option<[(Seq, Timestamp); 2]>,
    /// All sectors of the history, and those of them that are not over.
    pub sectors: usize,
    pub unfinished: usize,
    /// The end that is being written, or was when the machine stopped. The next start cuts it off.
    pub torn: Option<Torn>,
}

impl Verified {
    pub fn entries(&self) -> u64 {
        self.segments.iter().map(|segment| segment.entries).sum()
    }

    pub fn bytes(&self) -> u64 {
        self.segments.iter().map(|segment| segment.bytes).sum()
    }
}

/// One file of a verified journal.
#[derive(Debug)]
pub struct SegmentFacts {
    pub path: PathBuf,
    pub first: Seq,
    pub lines: u64,
    pub entries: u64,
    /// The length of what is whole.
    pub bytes: u64,
}

/// Reads the whole journal of a data directory: every checksum, that no entry is missing, and that
/// every event follows from those before. A journal without a file has no segments.
///
/// # Errors
/// The first thing that is wrong, with its exact place; the disk.
pub fn verify(data: &Path) -> Result<Verified, StoreError> {
    let segments = segments(data)?;
    let mut facts: Vec<SegmentFacts> = segments.iter().map(SegmentFacts::begun).collect();
    if segments.is_empty() {
        return Ok(Verified { segments: facts, span: None, sectors: 0, unfinished: 0, torn: None });
    }
    let mut past = Past::default();
    let end = scan::scan(&segments, Seq(0), Seq(0), &mut |at, entries| {
        if let Some(segment) = facts.iter_mut().find(|segment| segment.path == at.file) {
            segment.lines += 1;
            segment.entries += entries.len() as u64;
        }
        entries.into_iter().try_for_each(|entry| past.take(at, &entry))
    })?;
    if let Some(Torn { at, has_end: true, why, .. }) = end.torn {
        return Err(StoreError::DoubtfulEnd { at, why });
    }
    for segment in &mut facts {
        segment.bytes = whole_bytes(&segment.path, &end)?;
    }
    Ok(Verified {
        segments: facts,
        span: past.span,
        sectors: past.sectors.len(),
        unfinished: past.sectors.values().filter(|sector| !sector.stage.is_over()).count(),
        torn: end.torn,
    })
}

fn segments(data: &Path) -> Result<Vec<Segment>, StoreError> {
    let dir = data.join(JOURNAL);
    if dir.is_dir() { scan::segments(&dir) } else { Ok(Vec::new()) }
}

impl SegmentFacts {
    fn begun(segment: &Segment) -> Self {
        let path = segment.path.clone();
        Self { path, first: segment.first, lines: 0, entries: 0, bytes: 0 }
    }
}

fn whole_bytes(path: &Path, end: &End) -> Result<u64, StoreError> {
    if *path == end.segment.path {
        return Ok(end.len);
    }
    let found = fs::metadata(path);
    found.map(|found| found.len()).map_err(|e| StoreError::io("reading the journal", path, e))
}

/// Hands out every entry from `from` on. Checksums and sequence are checked on the way, whether
/// events follow is not. `take` says whether it wants more.
///
/// # Errors
/// As [`verify`], for what is read.
pub fn export(
    data: &Path,
    from: Seq,
    take: &mut dyn FnMut(&Entry) -> bool,
) -> Result<(), StoreError> {
    let segments = segments(data)?;
    if segments.is_empty() {
        return Ok(());
    }
    let mut wants_more = true;
    let known = Seq(from.0.saturating_sub(1));
    scan::scan(&segments, known, Seq(0), &mut |_, entries| {
        let mut wanted = entries.iter().filter(|entry| entry.seq >= from);
        wants_more = wants_more && wanted.all(&mut *take);
        Ok(())
    })
    .map(drop)
}

/// The history so far, folded.
#[derive(Default)]
struct Past {
    box_state: BoxState,
    sectors: BTreeMap<SectorNumber, Sector>,
    span: Option<[(Seq, Timestamp); 2]>,
}

impl Past {
    fn take(&mut self, at: &Place, entry: &Entry) -> Result<(), StoreError> {
        let does_not = |why: String| StoreError::DoesNotFollow { at: at.clone(), why };
        self.box_state = self.box_state.apply(entry).map_err(|e| does_not(e.to_string()))?;
        if let Happened::Sector { number, event } = &entry.happened {
            let stamp = Stamp { seq: entry.seq, at: entry.at };
            let (after, _effects) = pipeline::fold(self.sectors.get(number), *number, stamp, event)
                .map_err(|e| does_not(e.to_string()))?;
            self.sectors.insert(*number, after);
        }
        let this = (entry.seq, entry.at);
        self.span = Some([self.span.map_or(this, |[first, _]| first), this]);
        Ok(())
    }
}

/// Copies what a box cannot be without, the journal and the lab's chain, to a directory that is
/// not there yet. The copy is verified and synced; the directory has its name only after that. A
/// running box is not held up: what it acknowledges meanwhile is in the next backup. Of a journal
/// without a file there is no backup.
///
/// # Errors
/// The journal is damaged; the directory is there already; the disks.
pub fn backup(data: &Path, to: &Path) -> Result<Verified, StoreError> {
    let verified = verify(data)?;
    if verified.segments.is_empty() {
        return Ok(verified);
    }
    if let Some(taken) = in_the_way(to) {
        let there = io::Error::from(io::ErrorKind::AlreadyExists);
        return Err(StoreError::io("making the backup", taken, there));
    }
    let unfinished = unfinished_name(to);
    let failed = |error| StoreError::io("writing the backup", &unfinished, error);
    fs::create_dir_all(unfinished.join(JOURNAL)).map_err(failed)?;
    for segment in &verified.segments {
        copy(&segment.path, segment.bytes, &unfinished.join(JOURNAL))?;
    }
    sync_dir(&unfinished.join(JOURNAL)).map_err(failed)?;
    copy_chain(&data.join(CHAIN), &unfinished.join(CHAIN))?;
    sync_dir(&unfinished).map_err(failed)?;
    let copied = verify(&unfinished)?;
    if copied.span != verified.span {
        let why = io::Error::other("the copy does not hold what was copied");
        return Err(failed(why));
    }
    fs::rename(&unfinished, to)
        .and_then(|()| sync_dir(parent(to)))
        .map_err(|error| StoreError::io("naming the backup", to, error))?;
    Ok(copied)
}

/// What lies where a backup would be made: an earlier one, or what is left of one that was broken
/// off (its name ends in `.unfinished`).
pub fn in_the_way(to: &Path) -> Option<PathBuf> {
    let taken = [to.to_path_buf(), unfinished_name(to)];
    taken.into_iter().find(|path| fs::symlink_metadata(path).is_ok())
}

fn unfinished_name(to: &Path) -> PathBuf {
    let mut name = to.as_os_str().to_owned();
    name.push(".unfinished");
    PathBuf::from(name)
}

fn parent(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// The lab's chain writes its files as a whole, so each can be read at any moment.
fn copy_chain(from: &Path, to: &Path) -> Result<(), StoreError> {
    let listing = match fs::read_dir(from) {
        Ok(listing) => listing,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(StoreError::io("listing the chain's files", from, error)),
    };
    fs::create_dir(to).map_err(|error| StoreError::io("writing the backup", to, error))?;
    for item in listing {
        let path = item.map_err(|e| StoreError::io("listing the chain's files", from, e))?.path();
        // Files under way have names that begin with a dot, or end otherwise.
        let is_dotted = path.file_name().is_none_or(|n| n.as_encoded_bytes().starts_with(b"."));
        if !is_dotted && path.extension().is_some_and(|extension| extension == "json") {
            copy(&path, u64::MAX, to)?;
        }
    }
    sync_dir(to).map_err(|error| StoreError::io("writing the backup", to, error))
}

/// The first `bytes` of a file, synced.
fn copy(from: &Path, bytes: u64, to: &Path) -> Result<(), StoreError> {
    let name = from.file_name().expect("it was listed in a directory");
    let to = to.join(name);
    let mut source = File::open(from)
        .map_err(|error| StoreError::io("reading what is backed up", from, error))?
        .take(bytes);
    let mut copy =
        File::create_new(&to).map_err(|e| StoreError::io("writing the backup", &to, e))?;
    io::copy(&mut source, &mut copy)
        .and_then(|_| copy.sync_all())
        .map_err(|error| StoreError::io("writing the backup", &to, error))
}
