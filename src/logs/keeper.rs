//! The thread that writes the sectors' logs. A disk that is full or hangs holds up this thread and
//! nobody else: what does not fit its queue is dropped, counted and told.

use std::collections::HashMap;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use tokio::sync::watch;

use super::files::{SectorFiles, by_sector};
use super::line::{Line, LineId};
use crate::domain::ids::SectorNumber;

/// Lines that may wait to be written.
const QUEUE: usize = 4_096;
/// The most that are written at once.
const BATCH: usize = 512;
/// Of how many sectors it is known which line was written last.
const REMEMBERED: usize = 4_096;
/// How long a stop waits for the last lines.
const LAST_LINES: Duration = Duration::from_secs(1);

enum Note {
    Line(Arc<Line>),
    /// All before it is written: say so.
    Flush(SyncSender<()>),
}

/// Where lines are handed in. A clone is the same.
#[derive(Debug, Clone)]
pub struct Keeper {
    queue: SyncSender<Note>,
    dropped: Arc<AtomicU64>,
    latest: Arc<Latest>,
}

/// Which line of a sector was written last, since the start.
#[derive(Debug, Default)]
struct Latest(Mutex<HashMap<SectorNumber, LineId>>);

impl Latest {
    fn set(&self, sector: SectorNumber, id: LineId) {
        let mut latest = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if latest.len() >= REMEMBERED && !latest.contains_key(&sector) {
            // Whoever follows one of them hears of its next line.
            latest.clear();
        }
        latest.insert(sector, id);
    }

    fn of(&self, sector: SectorNumber) -> Option<LineId> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&sector).copied()
    }
}

impl Keeper {
    /// `moved` is counted up when something was written.
    ///
    /// # Errors
    /// The system gives no thread.
    pub fn start(files: SectorFiles, moved: watch::Sender<u64>) -> io::Result<Self> {
        let (keeper, desk) = Self::of(files, moved);
        thread::Builder::new().name("sector-logs".to_owned()).spawn(move || desk.work())?;
        Ok(keeper)
    }

    fn of(files: SectorFiles, moved: watch::Sender<u64>) -> (Self, Desk) {
        let (queue, notes) = sync_channel(QUEUE);
        let (dropped, latest) = (Arc::<AtomicU64>::default(), Arc::<Latest>::default());
        let desk = Desk {
            files,
            notes,
            moved,
            dropped: Arc::clone(&dropped),
            latest: Arc::clone(&latest),
            failing: false,
        };
        (Self { queue, dropped, latest }, desk)
    }

    /// Never waits.
    pub fn keep(&self, line: Arc<Line>) {
        if self.queue.try_send(Note::Line(line)).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// The line of this sector that was written last, since the start; none if that is not known.
    pub fn latest(&self, sector: SectorNumber) -> Option<LineId> {
        self.latest.of(sector)
    }

    /// Waits until all is written that was handed in, for a moment at the most.
    pub fn flush(&self) {
        let (written, done) = sync_channel(1);
        if self.queue.try_send(Note::Flush(written)).is_ok() {
            let _ = done.recv_timeout(LAST_LINES);
        }
    }
}

/// The thread's end.
struct Desk {
    files: SectorFiles,
    notes: Receiver<Note>,
    moved: watch::Sender<u64>,
    dropped: Arc<AtomicU64>,
    latest: Arc<Latest>,
    /// The last that was to be written was not.
    failing: bool,
}

impl Desk {
    /// Ends with the last sender.
    fn work(mut self) {
        while let Ok(first) = self.notes.recv() {
            let waiting = std::iter::once(first).chain(self.notes.try_iter().take(BATCH - 1));
            let (mut lines, mut asked) = (Vec::new(), Vec::new());
            for note in waiting {
                match note {
                    Note::Line(line) => lines.push(line),
                    Note::Flush(written) => asked.push(written),
                }
            }
            self.write(&lines);
            for written in asked {
                // Who asked may have stopped waiting.
                let _ = written.try_send(());
            }
        }
    }

    fn write(&mut self, lines: &[Arc<Line>]) {
        let dropped = self.dropped.swap(0, Ordering::Relaxed);
        if dropped > 0 {
            tracing::warn!(dropped, "lines of sectors' logs were dropped: their disk is too slow");
        }
        for (sector, mut lines) in by_sector(lines) {
            let last = lines.last().map(|line| line.id).unwrap_or_default();
            if dropped > 0 {
                // Ids leave room for one in between.
                let id = LineId(last.0 + 1);
                let told = format!("before this, {dropped} lines of all sectors were dropped");
                lines.push(Arc::new(Line::own(id, told)));
            }
            let written = self.files.append(sector, &lines);
            if written.is_ok() {
                self.latest.set(sector, last);
            }
            self.tell(sector, written);
        }
        self.moved.send_modify(|count| *count += 1);
    }

    /// Once when it begins, once when it is over: not for every line.
    fn tell(&mut self, sector: SectorNumber, written: io::Result<()>) {
        match written {
            Err(error) if !self.failing => {
                // Not as a field named `sector`: that would be one more line to write.
                tracing::warn!(%error, "the log of sector {sector} cannot be written; \
                    its lines are in the box's own");
                self.failing = true;
            }
            Ok(()) if self.failing => {
                tracing::info!("sectors' logs are written again");
                self.failing = false;
            }
            Ok(()) | Err(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ids::ActorId;
    use crate::logs::line::About;
    use crate::logs::query::Query;

    const SECTOR: SectorNumber = SectorNumber(7);

    fn line(id: u64) -> Arc<Line> {
        let about = About { sector: Some(SECTOR), ..About::default() };
        Arc::new(Line { about, ..Line::own(LineId(id), format!("number {id}")) })
    }

    #[test]
    fn a_disk_that_hangs_holds_nobody_up_and_what_was_dropped_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let files = SectorFiles::new(dir.path().to_path_buf(), ActorId(1000));
        // Nobody takes anything off the queue yet: as if the thread hung in a write.
        let (keeper, desk) = Keeper::of(files.clone(), watch::Sender::new(0));
        let more = 10;
        for id in 1..=QUEUE as u64 + more {
            keeper.keep(line(id * 10));
        }
        drop(keeper);
        desk.work();
        let query = Query { limit: 1_000_000, ..Query::default() };
        let page = files.select(SECTOR, &query).unwrap();
        let told: Vec<_> = page.lines.iter().filter(|l| l.message.contains("dropped")).collect();
        assert_eq!(told.len(), 1, "{told:?}");
        assert_eq!(told[0].message, "before this, 10 lines of all sectors were dropped");
        assert_eq!(page.lines.len(), QUEUE + 1);
    }

    #[test]
    fn a_directory_that_cannot_be_written_loses_lines_until_it_can() {
        let dir = tempfile::tempdir().unwrap();
        let at = dir.path().join("sectors");
        std::fs::write(&at, "no directory").unwrap();
        let files = SectorFiles::new(at.clone(), ActorId(1000));
        let keeper = Keeper::start(files.clone(), watch::Sender::new(0)).unwrap();
        keeper.keep(line(10));
        keeper.flush();
        assert_eq!(keeper.latest(SECTOR), None);
        std::fs::remove_file(at).unwrap();
        keeper.keep(line(20));
        keeper.flush();
        assert_eq!(keeper.latest(SECTOR), Some(LineId(20)));
    }
}
