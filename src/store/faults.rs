//! Faults that tests ask for, each once.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

#[derive(Debug, Default)]
pub struct Fault(AtomicBool);

impl Fault {
    /// The next time, it happens.
    pub fn arm(&self) {
        self.0.store(true, Ordering::SeqCst);
    }

    pub fn take(&self) -> bool {
        self.0.swap(false, Ordering::SeqCst)
    }
}

#[derive(Debug, Default)]
pub struct Faults {
    /// The journal's disk is full half-way through a line.
    pub full: Fault,
    /// The journal's fsync fails.
    pub sync: Fault,
    /// sled refuses a batch.
    pub apply: Fault,
    /// While a test holds it, sled takes nothing.
    pub slow: Mutex<()>,
}
