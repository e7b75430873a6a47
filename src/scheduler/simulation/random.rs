//! The one source of chance in a run: everything that could go another way asks it, so the seed is
//! the whole run.

use crate::domain::failure::{Class, Failure};

/// What an attempt that panicked says.
pub const PANICKED: &str = "the library panicked";

/// SplitMix64: small, fixed for all time, and good enough to choose between ways.
#[derive(Debug)]
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// 0 to `bound` - 1; 0 if there is nothing to choose from.
    pub fn below(&mut self, bound: u64) -> u64 {
        if bound == 0 { 0 } else { self.next() % bound }
    }

    pub fn index(&mut self, len: usize) -> usize {
        usize::try_from(self.below(len as u64)).expect("an index below a length")
    }

    pub fn between(&mut self, least: u64, most: u64) -> u64 {
        least + self.below(most - least + 1)
    }

    pub fn percent(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    pub fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.index(of.len())]
    }

    /// A failure of any class, a panic among them; or one that may go away by itself.
    pub fn failure(&mut self, only_transient: bool) -> Failure {
        let all = [
            (Class::Transient, "a read failed"),
            (Class::Transient, PANICKED),
            (Class::Transient, "a connection broke"),
            (Class::Operator, "permission denied"),
            (Class::Space, "no space left on device"),
            (Class::Sector, "the result does not verify"),
            (Class::Sector, "the result does not verify"),
            (Class::Fatal, "the device is gone"),
        ];
        let (class, what) = self.pick(if only_transient { &all[..3] } else { &all });
        Failure::new(class, what, "simulated")
    }
}
