//! The box's last day: what the newest sectors tell of it at a start, and what is waited for since.

use std::sync::Arc;

use tokio::sync::watch;

use crate::domain::timeline::{DAY, attempts_of};
use crate::domain::units::Timestamp;
use crate::scheduler::view::BoxView;
use crate::store::{Direction, Reader, SectorFilter, StoreError};
use crate::worker::timeline::TimelineBoard;

/// Sectors that are read at once.
const PAGE: usize = 100;
/// The most sectors whose histories are read.
const MOST: usize = 500;
/// The most entries of one of them.
const ENTRIES: usize = 200;

/// Fills the board, beside a box that works already.
pub fn recall(board: Arc<TimelineBoard>, reader: Reader, started: Timestamp) {
    tokio::task::spawn_blocking(move || {
        if let Err(error) = recalled(&board, &reader, started) {
            tracing::warn!("the timeline begins with this start: {error}");
        }
    });
}

fn recalled(board: &TimelineBoard, reader: &Reader, started: Timestamp) -> Result<(), StoreError> {
    let mut attempts = Vec::new();
    let (mut after, mut read) = (None, 0);
    loop {
        let page = reader.sectors(SectorFilter::All, after, PAGE, Direction::NewestFirst)?;
        let mut of_today = false;
        for sector in &page.items {
            if started.since(sector.updated) >= DAY {
                continue;
            }
            of_today = true;
            attempts.extend(attempts_of(&reader.history(sector.id.number, None, ENTRIES)?));
        }
        read += page.items.len();
        after = page.next;
        // Numbers follow the times roughly: a page without a sector of today ends it.
        if after.is_none() || !of_today || read >= MOST {
            break;
        }
    }
    // What ended since is on the board already, put there by its worker.
    attempts.retain(|attempt| attempt.to <= started && started.since(attempt.to) < DAY);
    let oldest = attempts.iter().map(|attempt| attempt.to).min();
    board.change(|timeline| {
        if after.is_some() && read >= MOST {
            oldest.into_iter().for_each(|oldest| timeline.only_since(oldest));
        }
        timeline.recall(attempts);
    });
    Ok(())
}

/// Puts down what phases wait for whenever that changes. Ends with the scheduler.
pub async fn follow(board: Arc<TimelineBoard>, mut views: watch::Receiver<Arc<BoxView>>) {
    loop {
        let view = Arc::clone(&views.borrow_and_update());
        board.waiting(&view);
        if views.changed().await.is_err() {
            return;
        }
    }
}
