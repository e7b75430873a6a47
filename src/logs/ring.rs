//! The latest lines of the box's log, in memory.

use std::collections::VecDeque;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::files::{newest_first, tail};
use super::line::{Line, LineId};
use super::query::{Page, Picker, Query};

/// How many lines.
const LINES: usize = 2_000;
/// A start reads so much of the newest file.
const REMEMBERED_BYTES: u64 = 512 << 10;

#[derive(Debug, Default)]
pub struct Ring(Mutex<VecDeque<Arc<Line>>>);

impl Ring {
    /// With the end of the newest of these log files, if there is one that can be read.
    pub fn remembering(dir: &Path) -> Self {
        let bytes = newest(dir).and_then(|file| tail(&file, REMEMBERED_BYTES).ok());
        let mut lines: Vec<Arc<Line>> =
            newest_first(&bytes.unwrap_or_default()).take(LINES).map(Arc::new).collect();
        lines.reverse();
        Self(Mutex::new(lines.into()))
    }

    pub fn push(&self, line: Arc<Line>) {
        let mut lines = self.lines();
        if lines.len() >= LINES {
            lines.pop_front();
        }
        // Threads take their ids and come here in any order.
        let later = lines.iter().rev().take_while(|other| other.id > line.id).count();
        let at = lines.len() - later;
        lines.insert(at, line);
    }

    pub fn last(&self) -> Option<LineId> {
        self.lines().back().map(|line| line.id)
    }

    pub fn select(&self, query: &Query) -> Page {
        // Whoever logs does not wait for a search.
        let lines: Vec<Arc<Line>> = self.lines().iter().cloned().collect();
        let mut picker = Picker::new(query);
        let _ = picker.take(lines.iter().rev().map(|line| Line::clone(line)));
        picker.page()
    }

    fn lines(&self) -> MutexGuard<'_, VecDeque<Arc<Line>>> {
        // Each change is one call: a panic elsewhere cannot leave it half-done.
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

    fn line(id: u64) -> Arc<Line> {
        Arc::new(Line::own(LineId(id), format!("number {id}")))
    }

    #[test]
    fn only_the_latest_are_kept_in_order_whoever_came_first() {
        let ring = Ring::default();
        for id in (2..=LINES as u64 + 2).step_by(2) {
            ring.push(line(id));
            ring.push(line(id - 1));
        }
        let all = Query { limit: 10_000, ..Query::default() };
        let ids: Vec<u64> = ring.select(&all).lines.iter().map(|line| line.id.0).collect();
        assert_eq!(ids, (3..=LINES as u64 + 2).collect::<Vec<_>>());
        assert_eq!(ring.last(), Some(LineId(LINES as u64 + 2)));
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
