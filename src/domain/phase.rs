//! The six phases, by every name the fleet knows them.

use std::fmt;
use std::ops::{Index, IndexMut};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// One of the six phases of sealing, in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Phase {
    /// Labels the SDR layers.
    P1,
    /// Builds the trees and the replica; its result is CommR.
    P2,
    /// Vanilla proofs for the seed's challenges.
    P3,
    /// The SNARK.
    P4,
    /// Copies the sealed replica, and what PoSt needs of the cache, to storage.
    P5,
    /// Deletes the local cache and replica, behind the proof of the stored copy.
    P6,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is no phase: expected P1 to P6, a name as in `PreCommitPhase1`, or a task type (1, 2, 4, 8, 16, 32)"
)]
pub struct BadPhase(String);

impl Phase {
    pub const ALL: [Self; 6] = [Self::P1, Self::P2, Self::P3, Self::P4, Self::P5, Self::P6];

    /// The fleet's name in a worker's `supported_phase`.
    pub fn fleet_name(self) -> &'static str {
        match self {
            Self::P1 => "PreCommitPhase1",
            Self::P2 => "PreCommitPhase2",
            Self::P3 => "CommitPhase1",
            Self::P4 => "CommitPhase2",
            Self::P5 => "CopyTask",
            Self::P6 => "CleanTask",
        }
    }

    /// The fleet's `task_type`.
    pub fn task_type(self) -> u8 {
        match self {
            Self::P1 => 1,
            Self::P2 => 2,
            Self::P3 => 4,
            Self::P4 => 8,
            Self::P5 => 16,
            Self::P6 => 32,
        }
    }

    pub fn short_name(self) -> &'static str {
        match self {
            Self::P1 => "P1",
            Self::P2 => "P2",
            Self::P3 => "P3",
            Self::P4 => "P4",
            Self::P5 => "P5",
            Self::P6 => "P6",
        }
    }

    /// Whether the proofs library does it (P6's look at the stored copy is a matter of milliseconds).
    pub fn proves(self) -> bool {
        match self {
            Self::P1 | Self::P2 | Self::P3 | Self::P4 => true,
            Self::P5 | Self::P6 => false,
        }
    }

    /// What it does, in a word or two for the page.
    pub fn what(self) -> &'static str {
        match self {
            Self::P1 => "label",
            Self::P2 => "trees",
            Self::P3 => "vanilla",
            Self::P4 => "SNARK",
            Self::P5 => "copy",
            Self::P6 => "clean",
        }
    }

    fn index(self) -> usize {
        match self {
            Self::P1 => 0,
            Self::P2 => 1,
            Self::P3 => 2,
            Self::P4 => 3,
            Self::P5 => 4,
            Self::P6 => 5,
        }
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.short_name())
    }
}

impl FromStr for Phase {
    type Err = BadPhase;
    fn from_str(s: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|phase| {
                phase.fleet_name().eq_ignore_ascii_case(s)
                    || phase.short_name().eq_ignore_ascii_case(s)
                    || phase.task_type().to_string() == s
            })
            .ok_or_else(|| BadPhase(s.to_owned()))
    }
}

/// One value for each phase.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PerPhase<T>([T; 6]);

impl<T> PerPhase<T> {
    pub fn from_fn(mut make: impl FnMut(Phase) -> T) -> Self {
        Self(Phase::ALL.map(&mut make))
    }

    pub fn iter(&self) -> impl Iterator<Item = (Phase, &T)> {
        Phase::ALL.into_iter().zip(&self.0)
    }
}

impl<T> Index<Phase> for PerPhase<T> {
    type Output = T;
    fn index(&self, phase: Phase) -> &T {
        &self.0[phase.index()]
    }
}

impl<T> IndexMut<Phase> for PerPhase<T> {
    fn index_mut(&mut self, phase: Phase) -> &mut T {
        &mut self.0[phase.index()]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_of_a_phase_leads_back_to_it() {
        for phase in Phase::ALL {
            assert_eq!(phase.fleet_name().parse(), Ok(phase));
            assert_eq!(phase.short_name().parse(), Ok(phase));
            assert_eq!(phase.task_type().to_string().parse(), Ok(phase));
        }
        assert!("P7".parse::<Phase>().is_err());
        assert!("3".parse::<Phase>().is_err());
    }

    #[test]
    fn task_types_are_the_fleets_powers_of_two() {
        assert_eq!(Phase::ALL.map(Phase::task_type), [1, 2, 4, 8, 16, 32]);
    }
}
