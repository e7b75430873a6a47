//! The chain: where randomness comes from, and where pre-commits and commits go.
//!
//! `lab` is a beacon on this box; a real chain comes in its place.

pub mod lab;

use std::pin::Pin;

use crate::domain::failure::Failure;
use crate::domain::ids::{SealProof, SectorId};
use crate::domain::sector::{Commit, Commitments, PreCommit, Replica, Seed, Ticket};
use crate::domain::units::Epoch;

/// An answer that takes its time. Dropping it stops the waiting, not what was sent.
pub type Answer<'a, T, E = Failure> = Pin<Box<dyn Future<Output = Result<T, E>> + Send + 'a>>;

/// Why a message did not get onto the chain.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ChainError {
    /// The chain will not have it. Asking again does not help.
    #[error("the chain refused it: {0}")]
    Refused(Failure),
    /// No answer. The message may or may not have been sent: ask again.
    #[error("no answer from the chain: {0}")]
    Trouble(Failure),
}

/// What sealing needs of a chain.
///
/// For implementers: **every call is idempotent.** After a restart a call is made again if its
/// answer was not recorded, and its first time may have got through. So a `pre_commit` or `commit`
/// looks first whether the sector's message is there already, and answers with that one; it never
/// sends two. An answer that was recorded is never asked for again.
///
/// None of the calls blocks its thread. Trouble (a [`Failure`], or [`ChainError::Trouble`]) means
/// no answer: the caller asks again, later and later.
pub trait Chain: Send + Sync + 'static {
    /// The newest epoch. Never smaller than one that was given before in this process.
    fn head(&self) -> Answer<'_, Epoch>;

    /// Randomness for a sector that is about to be labelled, from an epoch that cannot change
    /// any more. A field element: its two highest bits are 0.
    fn ticket(&self, sector: SectorId) -> Answer<'_, Ticket>;

    /// Commits to what P2 made. Answers once it is on chain; the seed's epoch is fixed by then.
    fn pre_commit(
        &self,
        sector: SectorId,
        ticket: Ticket,
        commitments: Commitments,
    ) -> Answer<'_, PreCommit, ChainError>;

    /// Waits until the pre-commit's `seed_epoch` is reached, then gives that epoch's randomness:
    /// the same one, whenever and however often it is asked for. A field element, as the ticket.
    fn seed(&self, sector: SectorId, pre_commit: PreCommit) -> Answer<'_, Seed>;

    /// Delivers the proof. Answers once it is on chain.
    fn commit(
        &self,
        sector: SectorId,
        pre_commit: PreCommit,
        proof: SealProof,
    ) -> Answer<'_, Commit, ChainError>;

    /// All in one message, for non-interactive PoRep: what was committed to, and the proof
    /// (FIP-0092's `ProveCommitSectorsNI`). Answers once it is on chain. That takes the ticket as
    /// given, for as long as it is not older than 180 days.
    fn commit_at_once(
        &self,
        sector: SectorId,
        replica: Replica,
        proof: SealProof,
    ) -> Answer<'_, Commit, ChainError>;
}
