//! The state between its owner and its readers: who asks after an answer sees what came of it.

use std::sync::{Arc, Condvar, Mutex, PoisonError, RwLock};

use super::error::StoreError;
use super::state::State;

/// The state as its owner and its readers share it: taken out while it is opened anew, and when
/// it is closed.
#[derive(Debug, Clone, Default)]
pub(super) struct Shared {
    state: Arc<RwLock<Option<State>>>,
    turns: Arc<Turns>,
}

/// The groups of commits that were answered, and those of them that the state was brought after.
#[derive(Debug, Default)]
struct Turns {
    counts: Mutex<(u64, u64)>,
    followed: Condvar,
}

/// The state follows a group that is answered now; dropped when it has, or could not.
#[must_use]
pub(super) struct Following(Arc<Turns>);

impl Drop for Following {
    fn drop(&mut self) {
        self.0.counts.lock().unwrap_or_else(PoisonError::into_inner).1 += 1;
        self.0.followed.notify_all();
    }
}

impl Shared {
    pub fn put(&self, state: State) {
        *self.state.write().unwrap_or_else(PoisonError::into_inner) = Some(state);
    }

    pub fn take(&self) -> Option<State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// To be called before a group is answered: from then on readers wait for the state.
    pub fn follow(&self) -> Following {
        self.turns.counts.lock().unwrap_or_else(PoisonError::into_inner).0 += 1;
        Following(Arc::clone(&self.turns))
    }

    /// Waits until the state was brought after all that was answered before this call.
    pub fn wait(&self) {
        let counts = self.turns.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let (answered, _) = *counts;
        let behind = |counts: &mut (u64, u64)| counts.1 < answered;
        drop(self.turns.followed.wait_while(counts, behind));
    }

    /// Asks the state once it shows all that was answered.
    pub fn with<T>(
        &self,
        ask: impl FnOnce(&State) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        self.wait();
        self.now(ask)
    }

    /// Asks the state as it is.
    pub fn now<T>(
        &self,
        ask: impl FnOnce(&State) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
        state.as_ref().map_or(Err(StoreError::Closed), ask)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::sync::mpsc::channel;

    use super::*;

    #[test]
    fn who_asks_after_an_answer_waits_until_the_state_has_followed_or_could_not() {
        let shared = Shared::default();
        let followed = Arc::new(AtomicBool::new(false));
        let (ready, reader_is_ready) = channel();
        let following = shared.follow();
        let reader = std::thread::spawn({
            let (shared, followed) = (shared.clone(), Arc::clone(&followed));
            move || {
                ready.send(()).unwrap();
                shared.wait();
                followed.load(Ordering::SeqCst)
            }
        });
        reader_is_ready.recv().unwrap();
        std::thread::yield_now();
        followed.store(true, Ordering::SeqCst);
        drop(following);
        assert!(reader.join().unwrap());
        shared.wait();
    }
}
