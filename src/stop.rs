//! The order to end an attempt before it is over.

use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

/// One attempt's. A clone is the same order.
#[derive(Debug, Clone, Default)]
pub struct Stop {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    ordered: Condvar,
}

#[derive(Debug, Default)]
struct State {
    ordered: bool,
    /// The process that the attempt runs in, if it has one of its own. Not reaped yet, so that its
    /// id is still its own.
    process: Option<Pid>,
}

impl Stop {
    /// Gives the order. The attempt's process is killed at once; what runs in this process sees it
    /// where it looks.
    pub fn order(&self) {
        let mut state = self.state();
        state.ordered = true;
        state.kill();
        self.shared.ordered.notify_all();
    }

    pub fn is_ordered(&self) -> bool {
        self.state().ordered
    }

    /// Between two steps of work that can be broken off.
    ///
    /// # Errors
    /// When the order was given.
    pub fn check(&self) -> io::Result<()> {
        if self.is_ordered() { Err(io::Error::other("stopped by order")) } else { Ok(()) }
    }

    /// Sleeps until the time is over or the order is given.
    pub fn sleep(&self, time: Duration) {
        let waiting = |state: &mut State| !state.ordered;
        drop(self.shared.ordered.wait_timeout_while(self.state(), time, waiting));
    }

    /// The attempt runs in this process from now on, until [`Self::leave`]. It is killed at once if
    /// the order came first.
    pub fn enter(&self, process: Pid) {
        let mut state = self.state();
        state.process = Some(process);
        if state.ordered {
            state.kill();
        }
    }

    /// To be called before the process is reaped: after that its id may be another's.
    pub fn leave(&self) {
        self.state().process = None;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Each field is written as a whole: a panic elsewhere cannot leave it half-done.
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn kill(&self) {
        if let Some(process) = self.process {
            // It can only have ended by itself meanwhile.
            let _ = kill_process(process, Signal::KILL);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt;
    use std::process::Command;

    use super::*;

    #[test]
    fn an_order_kills_the_process_whichever_comes_first() {
        for order_first in [true, false] {
            let stop = Stop::default();
            if order_first {
                stop.order();
            }
            let mut child = Command::new("sleep").arg("3600").spawn().unwrap();
            stop.enter(Pid::from_child(&child));
            if !order_first {
                stop.order();
            }
            assert_eq!(child.wait().unwrap().signal(), Some(9));
        }
    }

    #[test]
    fn an_order_ends_a_sleep_and_nothing_else_does_before_its_time() {
        let stop = Stop::default();
        stop.sleep(Duration::from_millis(1));
        assert!(!stop.is_ordered() && stop.check().is_ok());
        let sleeper = stop.clone();
        let sleeping = std::thread::spawn(move || sleeper.sleep(Duration::from_secs(3_600)));
        stop.order();
        sleeping.join().unwrap();
        assert!(stop.check().is_err());
    }
}
