//! The end of a journal file, without reading what lies before it.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::record;
use crate::domain::units::Seq;

/// How much is looked at first; four times as much whenever it was not enough.
const LOOK: u64 = 64 << 10;

/// A file's end as it was at one moment. A box may be writing the file: it writes from front to
/// back, so all that lies before a newline that was seen is there, and what was not there then is
/// not looked at.
#[derive(Debug)]
pub struct Tail {
    /// The length of all lines that have their newline.
    pub lines: u64,
    /// What lies behind them, without what it is filled up with (spaces; after a power cut zeros).
    pub rest: Vec<u8>,
}

impl Tail {
    /// Of a file that is written no more: all of it is lines.
    pub fn not_looked_for() -> Self {
        Self { lines: u64::MAX, rest: Vec::new() }
    }
}

/// Finds the last newline.
pub fn find(file: &File) -> io::Result<Tail> {
    let len = file.metadata()?.len();
    let mut tail = Tail { lines: 0, rest: Vec::new() };
    for look in looks(len) {
        tail.rest = before(file, len, look)?;
        if let Some(newline) = tail.rest.iter().rposition(|&byte| byte == b'\n') {
            tail.rest.drain(..=newline);
            tail.lines = len - tail.rest.len() as u64;
            break;
        }
    }
    while tail.rest.pop_if(|byte| matches!(byte, b' ' | 0)).is_some() {}
    Ok(tail)
}

/// A line before `end` up to which everything is known, and the first entry of that line: reading
/// may begin there. None if none is found this side of the first line.
pub fn skip(file: &File, end: u64, known: Seq) -> io::Result<Option<(u64, Seq)>> {
    for look in looks(end).take_while(|look| *look < end) {
        let bytes = before(file, end, look)?;
        let mut lines = bytes.split_inclusive(|&byte| byte == b'\n');
        let cut_line = lines.next().map_or(0, <[u8]>::len);
        let line = lines.next().and_then(|line| line.strip_suffix(b"\n"));
        if let Some(Ok(header)) = line.map(record::check)
            && header.last() <= known
        {
            return Ok(Some((end - look + cut_line as u64, header.first)));
        }
    }
    Ok(None)
}

/// The line whose newline is the last byte before `end`, without it; empty if there is none.
pub fn last_line(file: &File, end: u64) -> io::Result<Vec<u8>> {
    for look in looks(end) {
        let mut bytes = before(file, end, look)?;
        if bytes.pop() != Some(b'\n') {
            break;
        }
        if let Some(before) = bytes.iter().rposition(|&byte| byte == b'\n') {
            return Ok(bytes.split_off(before + 1));
        }
        if look == end {
            return Ok(bytes);
        }
    }
    Ok(Vec::new())
}

/// The last line of a file that is written no more.
pub fn last_line_of(path: &Path) -> io::Result<Vec<u8>> {
    let file = File::open(path)?;
    last_line(&file, file.metadata()?.len())
}

/// How many lines end before `byte`.
pub fn count_lines(path: &Path, byte: u64) -> io::Result<u64> {
    let mut file = BufReader::with_capacity(256 << 10, File::open(path)?.take(byte));
    let mut lines = 0;
    loop {
        let bytes = file.fill_buf()?;
        if bytes.is_empty() {
            return Ok(lines);
        }
        lines += bytes.iter().filter(|&&byte| byte == b'\n').count() as u64;
        let read = bytes.len();
        file.consume(read);
    }
}

/// Ever more, up to all there is.
fn looks(len: u64) -> impl Iterator<Item = u64> {
    let first = (len > 0).then(|| LOOK.min(len));
    std::iter::successors(first, move |look| (*look < len).then(|| (look * 4).min(len)))
}

/// As many bytes before `end`.
fn before(file: &File, end: u64, count: u64) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; usize::try_from(count).map_err(io::Error::other)?];
    file.read_exact_at(&mut bytes, end - count)?;
    Ok(bytes)
}
