//! Points at which a test lets the process die. The product has none: there they come to nothing,
//! for the crate `fail` has them only where its feature `failpoints` is on, as it is in tests.
//!
//! A point stands before and after each step that has to last, and is named after what has just
//! happened: `p2.replica_synced`. `tests/fail_points` finds them in the sources and dies at each.

use rustix::process::{Signal, getpid, kill_process};

/// Takes the points to die at from the variable `FAILPOINTS`, as in `p2.recorded=return` (at the
/// first time) or `p2.recorded=2*off->return` (at the third).
pub fn set_up() {
    if fail::has_failpoints() {
        // They count until the process ends.
        std::mem::forget(fail::FailScenario::setup());
    }
}

/// Ends the process as `kill -9` would, if it was started to die at this point.
#[inline]
pub fn die_at(point: &'static str) {
    let is_meant = || {
        fail::fail_point!(point, |_| true);
        false
    };
    if is_meant() {
        die(point);
    }
}

#[cold]
fn die(point: &'static str) -> ! {
    eprintln!("died at {point}");
    // A process may always signal itself; no line of it runs after this one.
    let _ = kill_process(getpid(), Signal::KILL);
    std::process::abort()
}
