//! The one rate limit that all copies of the box share: every phase uses the network, and no copy
//! may take it all.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// A clock to go by and a way to wait, so that a test needs neither.
pub trait Pace: Send + Sync {
    /// Time since some fixed moment.
    fn now(&self) -> Duration;
    fn sleep(&self, duration: Duration);
}

struct RealPace {
    start: Instant,
}

impl Pace for RealPace {
    fn now(&self) -> Duration {
        self.start.elapsed()
    }

    fn sleep(&self, duration: Duration) {
        std::thread::sleep(duration);
    }
}

/// Bytes per second over all who take from it. A clone is the same limit.
///
/// Each [`take`](Self::take) books the next free stretch of time and waits for its beginning:
/// first come, first served, so copies that take equal pieces get equal shares.
#[derive(Clone)]
pub struct RateLimit {
    shared: Arc<Shared>,
}

struct Shared {
    /// 0: none.
    limit_bytes_per_sec: AtomicU64,
    booked_until: Mutex<Duration>,
    pace: Arc<dyn Pace>,
}

impl RateLimit {
    /// No limit, for `None`. A limit of 0 would stand still for ever and counts as 1.
    pub fn new(limit_bytes_per_sec: Option<u64>) -> Self {
        Self::with_pace(limit_bytes_per_sec, Arc::new(RealPace { start: Instant::now() }))
    }

    pub fn with_pace(limit_bytes_per_sec: Option<u64>, pace: Arc<dyn Pace>) -> Self {
        let shared =
            Shared { limit_bytes_per_sec: AtomicU64::new(0), booked_until: Mutex::default(), pace };
        let this = Self { shared: Arc::new(shared) };
        this.change(limit_bytes_per_sec);
        this
    }

    /// From the next piece on, of copies under way too.
    pub fn change(&self, limit_bytes_per_sec: Option<u64>) {
        let limit = limit_bytes_per_sec.map_or(0, |limit| limit.max(1));
        self.shared.limit_bytes_per_sec.store(limit, Ordering::Relaxed);
    }

    /// Waits until this many bytes may be moved.
    pub fn take(&self, bytes: u64) {
        let limit = self.shared.limit_bytes_per_sec.load(Ordering::Relaxed);
        if limit == 0 {
            return;
        }
        let needs = Duration::try_from_secs_f64(bytes as f64 / limit as f64);
        let needs = needs.unwrap_or(Duration::MAX);
        let now = self.shared.pace.now();
        let start = {
            // A thread that panicked here left a plain number behind: it is still right.
            let mut until = self.shared.booked_until.lock().unwrap_or_else(PoisonError::into_inner);
            // Time that passed unused is not saved up: no burst after a pause.
            let start = (*until).max(now);
            *until = start.saturating_add(needs);
            start
        };
        if let Some(wait) = start.checked_sub(now)
            && !wait.is_zero()
        {
            self.shared.pace.sleep(wait);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::testing::FakePace;

    #[test]
    fn the_rate_holds_from_the_first_piece_to_the_last() {
        let pace = Arc::new(FakePace::default());
        let limit = RateLimit::with_pace(Some(1_000), pace.clone());
        for taken in 1..=50u64 {
            limit.take(100);
            // All but the piece just begun has had its time.
            assert_eq!(pace.now(), Duration::from_millis((taken - 1) * 100));
        }
    }

    #[test]
    fn two_copies_share_one_limit() {
        let pace = Arc::new(FakePace::default());
        let limit = RateLimit::with_pace(Some(1_000), pace.clone());
        let other = limit.clone();
        for _ in 0..10 {
            limit.take(100);
            other.take(100);
        }
        assert_eq!(pace.now(), Duration::from_millis(1_900));
    }

    #[test]
    fn a_pause_is_not_made_up_for_by_a_burst() {
        let pace = Arc::new(FakePace::default());
        let limit = RateLimit::with_pace(Some(1_000), pace.clone());
        limit.take(100);
        pace.sleep(Duration::from_secs(60));
        let before = pace.now();
        limit.take(1_000);
        limit.take(1_000);
        assert_eq!(pace.now() - before, Duration::from_secs(1));
    }

    #[test]
    fn a_changed_limit_holds_for_copies_under_way() {
        let pace = Arc::new(FakePace::default());
        let limit = RateLimit::with_pace(Some(1_000), pace.clone());
        let copy = limit.clone();
        copy.take(1_000);
        limit.change(Some(100));
        copy.take(1_000);
        copy.take(1_000);
        assert_eq!(pace.now(), Duration::from_secs(1 + 10));
        limit.change(None);
        copy.take(u64::MAX);
        assert_eq!(pace.now(), Duration::from_secs(1 + 10));
    }

    #[test]
    fn no_limit_never_waits() {
        let pace = Arc::new(FakePace::default());
        RateLimit::with_pace(None, pace.clone()).take(u64::MAX);
        assert_eq!(pace.now(), Duration::ZERO);
    }
}
