//! Reading the journal back: which files it has, whether they are whole, what they hold.
//!
//! Nothing here changes a file. What cannot be read as written is an error with its exact place;
//! the one exception is the torn end, which is answered as such and left for [`super::journal`].

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use super::error::{Place, StoreError};
use super::record::{self, LineError};
use super::tail::{self, Tail};
use crate::domain::event::Entry;
use crate::domain::units::Seq;

const NO_END: &str = "it has no end";

/// A journal file: `<first entry, 20 digits>.jsonl`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Segment {
    pub first: Seq,
    pub path: PathBuf,
}

impl Segment {
    pub fn new(dir: &Path, first: Seq) -> Self {
        Self { first, path: dir.join(format!("{:020}.jsonl", first.0)) }
    }
}

/// The journal's files in their order.
pub fn segments(dir: &Path) -> Result<Vec<Segment>, StoreError> {
    let listing = |error| StoreError::io("listing the journal", dir, error);
    let mut found = Vec::new();
    for item in fs::read_dir(dir).map_err(listing)? {
        let path = item.map_err(listing)?.path();
        if path.extension().is_none_or(|extension| extension != "jsonl") {
            continue;
        }
        let first =
            path.file_stem().and_then(|stem| stem.to_str()).and_then(number).ok_or_else(|| {
                StoreError::Damaged {
                    at: Place { file: path.clone(), line: 1, byte: 0 },
                    why: "its name is not 20 digits and `.jsonl`".to_owned(),
                }
            })?;
        found.push(Segment { first: Seq(first), path });
    }
    found.sort_by_key(|segment| segment.first);
    Ok(found)
}

fn number(stem: &str) -> Option<u64> {
    let digits = stem.len() == 20 && stem.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| stem.parse().ok()).flatten()
}

/// The end of the journal that was being written when the machine stopped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Torn {
    pub at: Place,
    pub bytes: u64,
    /// Whether it has its newline all the same: then it was cut by a power cut, or damaged later.
    pub has_end: bool,
    pub why: String,
}

/// Where the journal ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct End {
    pub segment: Segment,
    /// The last entry; 0 if there is none.
    pub last: Seq,
    /// The length of what is whole in the last file.
    pub len: u64,
    /// Where the last line of the last file begins, if it has a line.
    pub last_line: Option<u64>,
    pub torn: Option<Torn>,
}

/// Takes a line's entries, with its place for an error.
pub type Visit<'a> = dyn FnMut(&Place, Vec<Entry>) -> Result<(), StoreError> + 'a;

/// Reads the journal from the file that holds the entry after `known` (of the last file, only from
/// about that entry on), and the end of its last file in any case; of the files before, that each
/// ends where the next begins.
///
/// `visit` gets the entries of every line that has one after `known`. `acknowledged` is an entry
/// that is known to have been durable (0 if none is): a line up to there is never a torn one.
pub fn scan(
    segments: &[Segment],
    known: Seq,
    acknowledged: Seq,
    visit: &mut Visit<'_>,
) -> Result<End, StoreError> {
    let first = segments.first().expect("the journal has a file from its first open on");
    if first.first != Seq(1) {
        return Err(gap(Seq(1), first));
    }
    let begin = segments.iter().rposition(|segment| segment.first.0 <= known.0 + 1).unwrap_or(0);
    for pair in segments[..=begin].windows(2) {
        check_end(&pair[0], &pair[1])?;
    }
    let mut end = None;
    for (i, segment) in segments.iter().enumerate().skip(begin) {
        let next = segments.get(i + 1);
        let read = read(segment, next.is_none(), known, acknowledged, visit)?;
        if let Some(next) = next
            && next.first.0 != read.last.0 + 1
        {
            return Err(gap(Seq(read.last.0 + 1), next));
        }
        end = Some(read);
    }
    Ok(end.expect("the loop ran at least once: `begin` is the place of a file"))
}

fn gap(expected: Seq, found: &Segment) -> StoreError {
    let dir = found.path.parent().unwrap_or(Path::new(".")).to_path_buf();
    StoreError::Gap { expected, found: Some(found.path.clone()), dir }
}

/// A file before the first that is read: its last line alone says whether the next one continues
/// it. Only if that line does not fit is the whole file read, for the exact place.
fn check_end(segment: &Segment, next: &Segment) -> Result<(), StoreError> {
    let line = tail::last_line_of(&segment.path)
        .map_err(|error| StoreError::io("reading the journal", &segment.path, error))?;
    if record::check(&line).is_ok_and(|header| header.last().0 + 1 == next.first.0) {
        return Ok(());
    }
    let end = read(segment, false, Seq(u64::MAX), Seq(0), &mut |_, _| Ok(()))?;
    Err(gap(Seq(end.last.0 + 1), next))
}

/// The last entry of the journal, as far as its last line can be read: to say how much there is.
pub fn last_entry(segments: &[Segment]) -> Option<Seq> {
    let last = segments.last()?;
    let file = File::open(&last.path).ok()?;
    let end = tail::find(&file).ok()?.lines;
    let line = tail::last_line(&file, end).ok()?;
    Some(record::check(&line).map_or(Seq(last.first.0 - 1), record::Header::last))
}

/// Reads one file to its last line; from its first, or from a line at or before the one behind
/// `known` if that is near the end: what is known costs nothing.
fn read(
    segment: &Segment,
    is_last: bool,
    known: Seq,
    acknowledged: Seq,
    visit: &mut Visit<'_>,
) -> Result<End, StoreError> {
    let io = |error| StoreError::io("reading the journal", &segment.path, error);
    let file = File::open(&segment.path).map_err(io)?;
    let tail = if is_last { tail::find(&file).map_err(io)? } else { Tail::not_looked_for() };
    let skips = is_last && known >= segment.first;
    let begin = if skips { tail::skip(&file, tail.lines, known).map_err(io)? } else { None };
    let (byte, first) = begin.unwrap_or((0, segment.first));
    let at = Place { file: segment.path.clone(), line: 1, byte };
    let end = End {
        segment: segment.clone(),
        last: Seq(first.0 - 1),
        len: byte,
        last_line: None,
        torn: None,
    };
    let mut lines = Lines { at, end, tail: &tail, is_last, known, acknowledged };
    // Lines are counted only for a place that is told.
    let lines_before = || match byte {
        0 => Ok(0),
        _ => tail::count_lines(&segment.path, byte).map_err(io),
    };
    match lines.read(&file, visit) {
        Ok(()) => {
            if let Some(torn) = &mut lines.end.torn {
                torn.at.line += lines_before()?;
            }
            Ok(lines.end)
        }
        Err(error) => Err(error.lines_further(lines_before()?)),
    }
}

/// One file, as far as it was read.
struct Lines<'a> {
    at: Place,
    end: End,
    tail: &'a Tail,
    is_last: bool,
    known: Seq,
    acknowledged: Seq,
}

impl Lines<'_> {
    fn read(&mut self, mut file: &File, visit: &mut Visit<'_>) -> Result<(), StoreError> {
        let path = self.at.file.clone();
        let io = |error| StoreError::io("reading the journal", &path, error);
        if self.at.byte > 0 {
            file.seek(SeekFrom::Start(self.at.byte)).map_err(io)?;
        }
        let whole_lines = file.take(self.tail.lines - self.at.byte);
        let mut whole_lines = BufReader::with_capacity(256 << 10, whole_lines);
        let mut line = Vec::new();
        loop {
            line.clear();
            let bytes = whole_lines.read_until(b'\n', &mut line).map_err(io)? as u64;
            if bytes == 0 {
                self.take_rest();
                return Ok(());
            }
            let no_more = whole_lines.fill_buf().map_err(io)?.is_empty();
            if !self.take_line(&mut line, bytes, no_more, visit)? {
                return Ok(());
            }
        }
    }

    /// Whether reading goes on.
    fn take_line(
        &mut self,
        line: &mut Vec<u8>,
        bytes: u64,
        no_more: bool,
        visit: &mut Visit<'_>,
    ) -> Result<bool, StoreError> {
        let whole = line.pop_if(|byte| *byte == b'\n').is_some();
        let expected = Seq(self.end.last.0 + 1);
        match check(line, whole, expected) {
            Ok(header) => {
                if header.last() > self.known {
                    let entries = record::entries(line).map_err(|error| placed(&self.at, error))?;
                    visit(&self.at, entries)?;
                }
                self.end.last = header.last();
                self.end.last_line = Some(self.at.byte);
            }
            Err(LineError::Damaged(why)) => {
                let at = self.at.clone();
                if !(self.is_last && no_more && self.tail.rest.is_empty()) {
                    return Err(StoreError::Damaged { at, why });
                }
                // A write that was cut short has no newline, or (after a power cut) holes. One
                // that has its newline and was acknowledged was whole once.
                if expected <= self.acknowledged {
                    return Err(StoreError::DamagedEnd { at, why });
                }
                self.end.torn = Some(Torn { at, bytes, has_end: true, why });
                return Ok(false);
            }
            Err(error @ LineError::Newer(_)) => return Err(placed(&self.at, error)),
        }
        self.at.line += 1;
        self.at.byte += bytes;
        self.end.len = self.at.byte;
        Ok(true)
    }

    /// What lies behind the last newline is a line that was being written.
    fn take_rest(&mut self) {
        if !self.tail.rest.is_empty() {
            self.end.torn = Some(Torn {
                at: self.at.clone(),
                bytes: self.tail.rest.len() as u64,
                has_end: false,
                why: NO_END.to_owned(),
            });
        }
    }
}

fn check(line: &[u8], whole: bool, expected: Seq) -> Result<record::Header, LineError> {
    if !whole {
        return Err(LineError::Damaged(NO_END.to_owned()));
    }
    let header = record::check(line)?;
    if header.first == expected {
        return Ok(header);
    }
    Err(LineError::Damaged(format!(
        "it begins with entry {} where {} belongs",
        header.first.0, expected.0
    )))
}

fn placed(at: &Place, error: LineError) -> StoreError {
    match error {
        LineError::Damaged(why) => StoreError::Damaged { at: at.clone(), why },
        LineError::Newer(what) => StoreError::Newer { at: at.clone(), what },
    }
}
