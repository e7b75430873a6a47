//! How far each running attempt has come. Written by the threads that do the work, read by the
//! page. It is in no journal: after a restart there is nothing to remember, because nothing runs.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

use crate::domain::ids::SectorNumber;
use crate::domain::phase::Phase;
use crate::domain::progress::Progress;

/// A page that shows progress is made anew at most this often because of it.
const PACE: Duration = Duration::from_secs(1);

/// How far one sector's running phases have come.
pub type Reported = BTreeMap<Phase, Progress>;

/// One row for each running attempt that has told anything.
type Rows = BTreeMap<(SectorNumber, Phase), Progress>;

/// Where running attempts say how far they are.
#[derive(Debug)]
pub struct ProgressBoard {
    rows: Mutex<Rows>,
    changes: watch::Sender<u64>,
}

impl Default for ProgressBoard {
    fn default() -> Self {
        Self { rows: Mutex::default(), changes: watch::Sender::new(0) }
    }
}

impl ProgressBoard {
    /// An attempt begins. Its row is gone with what is returned, however the attempt ends.
    pub fn begin(&self, sector: SectorNumber, phase: Phase) -> Row<'_> {
        Row { board: self, key: (sector, phase) }
    }

    pub fn of(&self, sector: SectorNumber) -> Reported {
        let rows = self.rows();
        Phase::ALL
            .into_iter()
            .filter_map(|phase| Some((phase, *rows.get(&(sector, phase))?)))
            .collect()
    }

    /// `change` says whether it changed anything: a page is not made anew for less.
    fn change(&self, change: impl FnOnce(&mut Rows) -> bool) {
        let changed = change(&mut self.rows());
        if changed {
            self.changes.send_modify(|count| *count += 1);
        }
    }

    fn rows(&self) -> MutexGuard<'_, Rows> {
        // A row is written as a whole: a panic elsewhere cannot leave it half-done.
        self.rows.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts `to` up after changes: at once after the first of them, then at most once a second,
    /// and once more after the last. Ends only with its task.
    pub async fn wake(&self, to: &watch::Sender<u64>) {
        let mut changes = self.changes.subscribe();
        while changes.changed().await.is_ok() {
            to.send_modify(|count| *count += 1);
            tokio::time::sleep(PACE).await;
        }
    }
}

/// An attempt's row of the board.
#[derive(Debug)]
pub struct Row<'a> {
    board: &'a ProgressBoard,
    key: (SectorNumber, Phase),
}

impl Row<'_> {
    pub fn tell(&self, progress: Progress) {
        self.board.change(|rows| rows.insert(self.key, progress) != Some(progress));
    }
}

impl Drop for Row<'_> {
    fn drop(&mut self) {
        self.board.change(|rows| rows.remove(&self.key).is_some());
    }
}

/// Notices when an attempt at P1 makes a layer that was not there when it began: the next one need
/// not make it again.
#[derive(Debug, Default)]
pub struct Further {
    begun: OnceLock<u32>,
    said: AtomicBool,
}

impl Further {
    /// True once.
    pub fn than_before(&self, progress: Progress) -> bool {
        let layers = match progress {
            Progress::Layers { done, .. } => done,
            // Of nothing else is there a rest that is built upon.
            Progress::Checking { .. }
            | Progress::Trees { .. }
            | Progress::Snarks(_)
            | Progress::Copying { .. } => return false,
        };
        let begun = *self.begun.get_or_init(|| layers);
        layers > begun && !self.said.swap(true, Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::sync::Arc;

    use super::*;

    const SECTOR: SectorNumber = SectorNumber(7);
    const THIRD: Progress = Progress::Layers { done: 2, of: 11 };

    #[test]
    fn a_row_lasts_as_long_as_its_attempt_a_panic_included() {
        let board = ProgressBoard::default();
        let row = board.begin(SECTOR, Phase::P1);
        assert!(board.of(SECTOR).is_empty());
        row.tell(THIRD);
        assert_eq!(board.of(SECTOR), Reported::from([(Phase::P1, THIRD)]));
        assert!(board.of(SectorNumber(8)).is_empty());
        drop(row);
        assert!(board.of(SECTOR).is_empty());
        let attempt = || {
            board.begin(SECTOR, Phase::P1).tell(THIRD);
            let row = board.begin(SECTOR, Phase::P5);
            row.tell(THIRD);
            panic!("on purpose");
        };
        assert!(catch_unwind(AssertUnwindSafe(attempt)).is_err());
        assert!(board.of(SECTOR).is_empty());
    }

    #[test]
    fn only_a_layer_that_was_not_there_is_further_and_is_said_once() {
        let further = Further::default();
        let checking = Progress::Checking { done_bytes: 7, total_bytes: 9 };
        let layers = |done| Progress::Layers { done, of: 11 };
        let told = [checking, layers(4), layers(4), layers(5), layers(5), layers(6)];
        let said = told.map(|progress| further.than_before(progress));
        assert_eq!(said, [false, false, false, true, false, false]);
    }

    #[tokio::test(start_paused = true)]
    async fn many_changes_wake_once_a_second_and_the_last_is_not_lost() {
        let board = Arc::new(ProgressBoard::default());
        let (to, mut woken) = watch::channel(0);
        let waking = tokio::spawn({
            let board = Arc::clone(&board);
            async move { board.wake(&to).await }
        });
        // So that it listens before the first change.
        tokio::task::yield_now().await;
        let begun = tokio::time::Instant::now();
        let row = board.begin(SECTOR, Phase::P5);
        for done_bytes in 0..1_000 {
            row.tell(Progress::Copying { done_bytes, total_bytes: 1_000 });
            tokio::task::yield_now().await;
        }
        woken.changed().await.unwrap();
        assert_eq!((*woken.borrow_and_update(), begun.elapsed().as_secs()), (1, 0));
        woken.changed().await.unwrap();
        assert_eq!((*woken.borrow_and_update(), begun.elapsed().as_secs()), (2, 1));
        row.tell(Progress::Copying { done_bytes: 999, total_bytes: 1_000 });
        let more = tokio::time::timeout(Duration::from_secs(60), woken.changed()).await;
        assert!(more.is_err(), "nothing changed any more");
        waking.abort();
    }
}
