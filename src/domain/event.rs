//! What can happen: to a sector, and to the box. The history is a list of these.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::failure::Failure;
use super::ids::{OrderId, SealProof, SectorNumber};
use super::layout::Scratch;
use super::phase::Phase;
use super::porep::Porep;
use super::sector::{Commit, Commitments, Data, PreCommit, Seed, StoredAt, Ticket};
use super::units::{SectorSize, Seq, Timestamp};

/// What a successful attempt brings. The phase is the variant: an output cannot belong to another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Output {
    P1,
    P2 { commitments: Commitments },
    P3,
    P4 { proof: SealProof },
    P5 { stored: StoredAt },
    P6,
}

impl Output {
    pub fn phase(&self) -> Phase {
        match self {
            Self::P1 => Phase::P1,
            Self::P2 { .. } => Phase::P2,
            Self::P3 => Phase::P3,
            Self::P4 { .. } => Phase::P4,
            Self::P5 { .. } => Phase::P5,
            Self::P6 => Phase::P6,
        }
    }
}

/// What can happen to a sector.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Event {
    /// Begins a sector: it holds a place of its size's throttle from here on.
    Issued {
        miner: super::ids::ActorId,
        size: SectorSize,
        data: Data,
        order: OrderId,
        simulated: bool,
        /// Lines from before there was a choice do not say it.
        #[serde(default)]
        porep: Porep,
        /// The root that it is made in. None: it is from when a box had only one.
        #[serde(default)]
        scratch: Option<Scratch>,
    },
    TicketDrawn {
        ticket: Ticket,
    },
    Started {
        phase: Phase,
        worker: String,
    },
    /// The attempt ended without a verdict. Not a failure.
    Interrupted {
        phase: Phase,
        /// The box ended under it and nobody had asked for that: counted, for it may do so each
        /// time ([`super::failure::DEATHS`]). Lines from before this was told apart do not say it.
        #[serde(default)]
        died: bool,
    },
    /// An attempt at what the box had died under made something that the next one need not make.
    Advanced {
        phase: Phase,
    },
    Succeeded {
        output: Output,
    },
    Failed {
        phase: Phase,
        failure: Failure,
    },
    PreCommitted {
        pre_commit: PreCommit,
    },
    PreCommitRefused {
        failure: Failure,
    },
    SeedDrawn {
        seed: Seed,
    },
    Committed {
        commit: Commit,
    },
    CommitRefused {
        failure: Failure,
    },
    /// A person puts a failed task back (`result_status` 2 → 1), or a refused commit.
    Retried {
        phase: Phase,
        by: String,
    },
    /// A person sends the sector back to P1.
    Redone {
        by: String,
    },
    Aborted {
        by: String,
    },
    /// A file or directory of this sector was deleted.
    Deleted {
        path: PathBuf,
        bytes: u64,
        reason: String,
    },
    /// The stored copy of a finished sector was proven again: a person asked, or it had a fault.
    StoredProven {
        by: String,
    },
    /// The stored copy of a finished sector could not be proven again.
    StoredDamaged {
        by: String,
        failure: Failure,
    },
}

/// What can happen to the box as a whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BoxEvent {
    Ordered {
        order: OrderId,
        size: SectorSize,
        count: u64,
        by: String,
    },
    /// What of the order was not issued yet will not be.
    Cancelled {
        order: OrderId,
        by: String,
    },
    /// It is issued right before that one from now on; none: after all others.
    Moved {
        order: OrderId,
        before: Option<OrderId>,
        by: String,
    },
    IntakePaused {
        by: String,
    },
    IntakeResumed {
        by: String,
    },
    /// Nothing more of this phase starts; what runs may end.
    PhasePaused {
        phase: Phase,
        by: String,
    },
    PhaseResumed {
        phase: Phase,
        by: String,
    },
    /// What no sector owned was deleted from scratch or storage.
    OrphanDeleted {
        path: PathBuf,
        bytes: u64,
        by: String,
    },
    /// The box was told to stop while attempts ran: what becomes of them is no death. It holds
    /// until the next attempt starts.
    Stopping {
        running: u64,
    },
    /// How far a pass over the finished sectors of a storage has come: written now and then, so
    /// that a restart goes on there. `up_to` is none at its end.
    Checked {
        root: String,
        began: Timestamp,
        up_to: Option<SectorNumber>,
    },
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Happened {
    Sector { number: SectorNumber, event: Event },
    Box(BoxEvent),
}

/// One line of history: what happened, when, and its place in the one order of things.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    pub seq: Seq,
    pub at: Timestamp,
    pub happened: Happened,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interruption_from_before_deaths_were_told_apart_is_none() {
        for (line, expected) in [
            (r#"{"interrupted":{"phase":"P2"}}"#, false),
            (r#"{"interrupted":{"phase":"P2","died":true}}"#, true),
        ] {
            match serde_json::from_str::<Event>(line).unwrap() {
                Event::Interrupted { phase: Phase::P2, died } => assert_eq!(died, expected),
                other => panic!("{other:?}"),
            }
        }
    }

    #[test]
    fn a_sector_issued_before_there_was_a_choice_is_interactive() {
        let line = r#"{"issued":{"miner":1000,"size":"2KiB","data":"committed_capacity","order":0,"simulated":false}}"#;
        let with = |porep: &str| line.replace("false}", &format!("false,\"porep\":\"{porep}\"}}"));
        for (line, expected) in [
            (line.to_owned(), Porep::Interactive),
            (with("interactive"), Porep::Interactive),
            (with("synthetic"), Porep::Synthetic),
            (with("non-interactive"), Porep::NonInteractive),
        ] {
            match serde_json::from_str::<Event>(&line).unwrap() {
                Event::Issued { porep, .. } => assert_eq!(porep, expected, "{line}"),
                other => panic!("{other:?}"),
            }
        }
    }
}
