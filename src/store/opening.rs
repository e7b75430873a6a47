//! How far an opening of the store is, for whoever waits for it.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::domain::units::Seq;

/// Written while the store is opened, read from any thread.
#[derive(Debug, Default)]
pub struct Opening(Mutex<Option<Rebuild>>);

/// The state is being brought to the end of the journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rebuild {
    /// What the state had at the beginning.
    from: Seq,
    /// The entry it is at.
    pub done: Seq,
    /// The journal's last.
    pub total: Seq,
    since: Instant,
}

impl Opening {
    pub(crate) fn begin(&self, from: Seq, total: Seq) {
        self.set(Some(Rebuild { from, done: from, total, since: Instant::now() }));
    }

    pub(crate) fn at(&self, done: Seq) {
        if let Some(rebuild) = &mut *self.0.lock().unwrap_or_else(PoisonError::into_inner) {
            rebuild.done = done;
            rebuild.total = rebuild.total.max(done);
        }
    }

    fn set(&self, rebuild: Option<Rebuild>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = rebuild;
    }

    /// None before the journal is read, and while there is nothing in it that the state has not.
    pub fn rebuild(&self) -> Option<Rebuild> {
        let rebuild = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        rebuild.filter(|rebuild| rebuild.total > rebuild.from)
    }
}

impl Rebuild {
    /// How long the rest takes if it goes on as it went so far; none before it has begun.
    pub fn left(&self) -> Option<Duration> {
        self.left_after(self.since.elapsed())
    }

    fn left_after(&self, spent: Duration) -> Option<Duration> {
        let (done, rest) = (self.done.0 - self.from.0, self.total.0 - self.done.0);
        (done > 0).then(|| spent.mul_f64(rest as f64 / done as f64))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_left_follows_what_was_done_so_far_and_not_what_was_known_before() {
        let opening = Opening::default();
        assert_eq!(opening.rebuild(), None);
        opening.begin(Seq(100), Seq(400));
        assert_eq!(opening.rebuild().unwrap().left(), None);
        opening.at(Seq(200));
        let left = opening.rebuild().unwrap().left_after(Duration::from_secs(5));
        assert_eq!(left, Some(Duration::from_secs(10)));
    }

    #[test]
    fn a_state_that_is_where_the_journal_is_needs_no_rebuild() {
        let opening = Opening::default();
        opening.begin(Seq(7), Seq(7));
        assert_eq!(opening.rebuild(), None);
    }
}
