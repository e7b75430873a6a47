//! What is known at each stage: every question is decided for all of them, without a wildcard.

use super::{
    Challenge, Cleaning, Copying, PreCommit, Replica, Snark, Stage, StoredAt, Ticket, Work,
};
use crate::domain::ids::SealProof;
use crate::domain::phase::Phase;

impl Stage {
    /// Whether nothing more will happen to the sector by itself.
    pub fn is_over(&self) -> bool {
        match self {
            Self::Finished { .. } | Self::GivenUp { .. } => true,
            Self::Ticket
            | Self::P1 { .. }
            | Self::P2 { .. }
            | Self::PreCommitting { .. }
            | Self::WaitSeed { .. }
            | Self::P3 { .. }
            | Self::Proving { .. }
            | Self::P6 { .. } => false,
        }
    }

    /// The work of this phase, if it is the sector's to do now.
    pub fn work(&self, phase: Phase) -> Option<&Work> {
        match (self, phase) {
            (Self::P1 { work, .. }, Phase::P1)
            | (Self::P2 { work, .. }, Phase::P2)
            | (Self::P3 { work, .. }, Phase::P3)
            | (Self::Proving { snark: Snark::P4 { work }, .. }, Phase::P4)
            | (Self::Proving { copying: Copying::P5 { work }, .. }, Phase::P5)
            | (Self::P6 { work, .. }, Phase::P6) => Some(work),
            (
                Self::Ticket
                | Self::P1 { .. }
                | Self::P2 { .. }
                | Self::PreCommitting { .. }
                | Self::WaitSeed { .. }
                | Self::P3 { .. }
                | Self::Proving { .. }
                | Self::P6 { .. }
                | Self::Finished { .. }
                | Self::GivenUp { .. },
                Phase::P1 | Phase::P2 | Phase::P3 | Phase::P4 | Phase::P5 | Phase::P6,
            ) => None,
        }
    }

    /// The work of this phase, to be changed.
    pub fn work_mut(&mut self, phase: Phase) -> Option<&mut Work> {
        match (self, phase) {
            (Self::P1 { work, .. }, Phase::P1)
            | (Self::P2 { work, .. }, Phase::P2)
            | (Self::P3 { work, .. }, Phase::P3)
            | (Self::Proving { snark: Snark::P4 { work }, .. }, Phase::P4)
            | (Self::Proving { copying: Copying::P5 { work }, .. }, Phase::P5)
            | (Self::P6 { work, .. }, Phase::P6) => Some(work),
            (
                Self::Ticket
                | Self::P1 { .. }
                | Self::P2 { .. }
                | Self::PreCommitting { .. }
                | Self::WaitSeed { .. }
                | Self::P3 { .. }
                | Self::Proving { .. }
                | Self::P6 { .. }
                | Self::Finished { .. }
                | Self::GivenUp { .. },
                Phase::P1 | Phase::P2 | Phase::P3 | Phase::P4 | Phase::P5 | Phase::P6,
            ) => None,
        }
    }

    /// The phases whose work is the sector's to do now, with that work.
    pub fn works(&self) -> impl Iterator<Item = (Phase, &Work)> {
        Phase::ALL.into_iter().filter_map(|phase| Some((phase, self.work(phase)?)))
    }

    pub fn replica(&self) -> Option<&Replica> {
        match self {
            Self::PreCommitting { replica } | Self::WaitSeed { replica, .. } => Some(replica),
            Self::P3 { challenge, .. } | Self::Proving { challenge, .. } => {
                Some(&challenge.replica)
            }
            Self::P6 { cleaning: Cleaning::Sealed { sealed }, .. }
            | Self::Finished { sealed, .. } => Some(&sealed.challenge.replica),
            Self::Ticket
            | Self::P1 { .. }
            | Self::P2 { .. }
            | Self::P6 { cleaning: Cleaning::GivenUp { .. }, .. }
            | Self::GivenUp { .. } => None,
        }
    }

    pub fn ticket(&self) -> Option<&Ticket> {
        match self {
            Self::P1 { ticket, .. } | Self::P2 { ticket, .. } => Some(ticket),
            other => other.replica().map(|replica| &replica.ticket),
        }
    }

    pub fn pre_commit(&self) -> Option<&PreCommit> {
        match self {
            Self::WaitSeed { pre_commit, .. } => Some(pre_commit),
            other => other.challenge().and_then(Challenge::pre_commit),
        }
    }

    pub fn challenge(&self) -> Option<&Challenge> {
        match self {
            Self::P3 { challenge, .. } | Self::Proving { challenge, .. } => Some(challenge),
            Self::P6 { cleaning: Cleaning::Sealed { sealed }, .. }
            | Self::Finished { sealed, .. } => Some(&sealed.challenge),
            Self::Ticket
            | Self::P1 { .. }
            | Self::P2 { .. }
            | Self::PreCommitting { .. }
            | Self::WaitSeed { .. }
            | Self::P6 { cleaning: Cleaning::GivenUp { .. }, .. }
            | Self::GivenUp { .. } => None,
        }
    }

    pub fn proof(&self) -> Option<&SealProof> {
        match self {
            Self::Proving { snark: Snark::Committing { proof, .. }, .. }
            | Self::Proving { snark: Snark::Committed { proof, .. }, .. } => Some(proof),
            Self::P6 { cleaning: Cleaning::Sealed { sealed }, .. }
            | Self::Finished { sealed, .. } => Some(&sealed.proof),
            Self::Ticket
            | Self::P1 { .. }
            | Self::P2 { .. }
            | Self::PreCommitting { .. }
            | Self::WaitSeed { .. }
            | Self::P3 { .. }
            | Self::Proving { snark: Snark::P4 { .. }, .. }
            | Self::P6 { cleaning: Cleaning::GivenUp { .. }, .. }
            | Self::GivenUp { .. } => None,
        }
    }

    pub fn stored(&self) -> Option<&StoredAt> {
        match self {
            Self::Proving { copying: Copying::Copied { stored }, .. } => Some(stored),
            Self::P6 { cleaning: Cleaning::Sealed { sealed }, .. }
            | Self::Finished { sealed, .. } => Some(&sealed.stored),
            Self::Ticket
            | Self::P1 { .. }
            | Self::P2 { .. }
            | Self::PreCommitting { .. }
            | Self::WaitSeed { .. }
            | Self::P3 { .. }
            | Self::Proving { copying: Copying::P5 { .. }, .. }
            | Self::P6 { cleaning: Cleaning::GivenUp { .. }, .. }
            | Self::GivenUp { .. } => None,
        }
    }
}
