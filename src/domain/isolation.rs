//! Where attempts run.

use serde::Serialize;

use super::phase::Phase;

/// Whether an attempt has a process of its own. Decides what an abort can do to one that runs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Isolation {
    /// On a thread of the box.
    #[default]
    Thread,
    /// In a child process, for as long as the proofs library works.
    Process,
}

impl Isolation {
    pub const ALL: [Self; 2] = [Self::Thread, Self::Process];

    pub fn name(self) -> &'static str {
        match self {
            Self::Thread => "thread",
            Self::Process => "process",
        }
    }

    /// Whether a running attempt at this phase can be ended at once.
    pub fn can_stop(self, phase: Phase) -> bool {
        match phase {
            // A call of the library ends by itself, or with its process.
            Phase::P1 | Phase::P2 | Phase::P3 | Phase::P4 => self == Self::Process,
            // Our own loop: it looks between two pieces.
            Phase::P5 => true,
            // It deletes, and is what an abort leads to.
            Phase::P6 => false,
        }
    }
}
