//! Touching a path that may hang: on a thread of its own, waited for only so long.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use crate::domain::failure::{Class, Failure};

/// How long a look that a person waits for may take.
pub const SHORT_LIMIT: Duration = Duration::from_secs(3);
/// How long a mount may take to answer one small question before it counts as hung.
pub const ANSWER_LIMIT: Duration = Duration::from_secs(10);

/// Runs it on a thread of its own. None: it has not come back within the limit, or the system
/// gives no thread. The thread ends when the mount answers, or with the process.
pub fn within<T: Send + 'static>(
    limit: Duration,
    touch: impl FnOnce() -> T + Send + 'static,
) -> Option<T> {
    let (sender, answer) = channel();
    let run = move || {
        // Who asked may have stopped waiting; a panic reaches them as no answer.
        if let Ok(touched) = catch_unwind(AssertUnwindSafe(touch)) {
            drop(sender.send(touched));
        }
    };
    thread::Builder::new().name("touch".to_owned()).spawn(run).ok()?;
    answer.recv_timeout(limit).ok()
}

/// A mount that has not answered for this long. It may come back, so it is tried again.
pub fn hung(path: &Path, silent: Duration) -> Failure {
    let what = format!("hung: no answer for {} s", silent.as_secs());
    let mend = "see why this mount does not answer (its server, its network, `dmesg`); its work \
                waits and goes on by itself when it does";
    Failure::new(Class::Transient, what, mend).at(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_hangs_is_waited_for_only_so_long_and_what_answers_is_heard() {
        let (let_go, held) = channel::<()>();
        let limit = Duration::from_millis(20);
        assert_eq!(within(limit, move || held.recv().is_ok()), None);
        drop(let_go);
        assert_eq!(within(ANSWER_LIMIT, || 7), Some(7));
    }
}
