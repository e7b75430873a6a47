//! The latest lines of the box's log, in memory.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::files::{newest_first, tail};
use super::line::{Line, LineId};
use super::query::{Page, Picker, Query, Sieve};

/// How many lines.
const LINES: usize = 2_000;
/// Between the ids of two lines: the logs put their own remarks there.
const STEP: u64 = 4;
/// A start reads so much of the newest file.
const REMEMBERED_BYTES: u64 = 512 << 10;

#[derive(Debug, Default)]
pub struct Ring(Mutex<Lines>);

#[derive(Debug, Default)]
struct Lines {
    lines: VecDeque<Arc<Line>>,
    last: LineId,
}

impl Ring {
    /// With the end of the newest of these log files, if there is one that can be read.
    pub fn remembering(dir: &Path) -> Self {
        let bytes = newest(dir).and_then(|file| tail(&file, REMEMBERED_BYTES).ok());
        let bytes = bytes.unwrap_or_default();
        let all = Sieve::default();
        let latest = newest_first(&bytes, &all).take(LINES);
        let mut lines: Vec<Arc<Line>> = latest.map(Arc::new).collect();
        // Lines of several threads may have been written in another order than they came.
        lines.sort_by_key(|line| line.id);
        let last = lines.last().map(|line| line.id).unwrap_or_default();
        Self(Mutex::new(Lines { lines: lines.into(), last }))
    }

    /// Gives a line its place after all others. `also` has it before any later line has its own.
    pub fn push(&self, mut line: Line, now: LineId, also: impl FnOnce(&Arc<Line>)) -> Arc<Line> {
        let mut ring = self.ring();
        // Whatever the clock does.
        line.id = now.max(LineId(ring.last.0 + STEP));
        ring.last = line.id;
        if ring.lines.len() >= LINES {
            ring.lines.pop_front();
        }
        let line = Arc::new(line);
        ring.lines.push_back(Arc::clone(&line));
        also(&line);
        line
    }

    /// Of the last line, kept or not; none before the first.
    pub fn last(&self) -> Option<LineId> {
        Some(self.ring().last).filter(|last| *last > LineId::default())
    }

    pub fn select(&self, query: &Query) -> Page {
        // Whoever logs does not wait for a search.
        let lines: Vec<Arc<Line>> = self.ring().lines.iter().cloned().collect();
        let mut picker = Picker::new(query);
        let _ = picker.take(lines.iter().rev().map(|line| Cow::Borrowed(&**line)));
        picker.page()
    }

    fn ring(&self) -> MutexGuard<'_, Lines> {
        // A panic cannot leave it worse than without its latest line.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The log file of the latest day.
fn newest(dir: &Path) -> Option<PathBuf> {
    let files = fs::read_dir(dir).ok()?.flatten().map(|entry| entry.path());
    files.filter(|path| path.extension().is_some_and(|end| end == "jsonl")).max()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(id: u64) -> Line {
        Line::own(LineId(id), format!("number {id}"))
    }

    #[test]
    fn only_the_latest_are_kept_in_order_whatever_the_clock_does() {
        let ring = Ring::default();
        let mut also = Vec::new();
        for id in 0..LINES as u64 + 2 {
            let clock = LineId(if id % 10 == 9 { 0 } else { id * 100 });
            ring.push(line(id), clock, |line| also.push(line.id));
        }
        assert!(also.is_sorted_by(|one, next| one.0 + STEP <= next.0));
        let all = Query { limit: 10_000, ..Query::default() };
        let page = ring.select(&all);
        assert_eq!(page.lines.len(), LINES);
        assert_eq!(page.lines[0].message, "number 2");
        assert_eq!(ring.last(), also.last().copied());
    }

    #[test]
    fn a_start_remembers_the_end_of_the_newest_file_whatever_else_is_in_it() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("sealbox.2026-01-01.jsonl"), line(1).json()).unwrap();
        let text = format!("{{\"timestamp\":\"of another version\"}}\n{}{{\"at", line(2).json());
        fs::write(dir.path().join("sealbox.2026-01-02.jsonl"), text).unwrap();
        assert_eq!(Ring::remembering(dir.path()).last(), Some(LineId(2)));
        assert_eq!(Ring::remembering(&dir.path().join("none")).last(), None);
    }
}
