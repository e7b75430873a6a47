//! Constant names of stages and events, for filters, pages and messages.

use crate::domain::event::{BoxEvent, Event};
use crate::domain::phase::Phase;
use crate::domain::sector::Stage;

impl Event {
    /// The event's name, constant, for messages.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Issued { .. } => "issued",
            Self::TicketDrawn { .. } => "ticket drawn",
            Self::Started { .. } => "started",
            Self::Interrupted { .. } => "interrupted",
            Self::Advanced { .. } => "advanced",
            Self::Succeeded { .. } => "succeeded",
            Self::Failed { .. } => "failed",
            Self::PreCommitted { .. } => "pre-committed",
            Self::PreCommitRefused { .. } => "pre-commit refused",
            Self::SeedDrawn { .. } => "seed drawn",
            Self::Committed { .. } => "committed",
            Self::CommitRefused { .. } => "commit refused",
            Self::Retried { .. } => "retried",
            Self::Redone { .. } => "redone from P1",
            Self::Aborted { .. } => "aborted",
            Self::Deleted { .. } => "deleted",
            Self::StoredProven { .. } => "proven again",
            Self::StoredDamaged { .. } => "found damaged",
        }
    }

    /// The phase whose task it concerns, if one.
    pub fn phase(&self) -> Option<Phase> {
        match self {
            Self::Started { phase, .. }
            | Self::Interrupted { phase, .. }
            | Self::Advanced { phase }
            | Self::Failed { phase, .. }
            | Self::Retried { phase, .. } => Some(*phase),
            Self::Succeeded { output } => Some(output.phase()),
            // The commit is the second half of what P4 is for.
            Self::CommitRefused { .. } => Some(Phase::P4),
            Self::Issued { .. }
            | Self::TicketDrawn { .. }
            | Self::PreCommitted { .. }
            | Self::PreCommitRefused { .. }
            | Self::SeedDrawn { .. }
            | Self::Committed { .. }
            | Self::Redone { .. }
            | Self::Aborted { .. }
            | Self::Deleted { .. }
            | Self::StoredProven { .. }
            | Self::StoredDamaged { .. } => None,
        }
    }
}

impl BoxEvent {
    /// The event's name, constant, for messages.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Ordered { .. } => "ordered",
            Self::Cancelled { .. } => "cancelled",
            Self::Moved { .. } => "moved",
            Self::IntakePaused { .. } => "intake paused",
            Self::IntakeResumed { .. } => "intake resumed",
            Self::PhasePaused { .. } => "phase paused",
            Self::PhaseResumed { .. } => "phase resumed",
            Self::OrphanDeleted { .. } => "orphan deleted",
            Self::Stopping { .. } => "stopping",
            Self::Checked { .. } => "checked",
        }
    }
}

impl Stage {
    /// The stage's name, constant: the filter and the word for it on every page.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Ticket => "ticket",
            Self::P1 { .. } => "P1",
            Self::P2 { .. } => "P2",
            Self::PreCommitting { .. } => "pre-commit",
            Self::WaitSeed { .. } => "wait seed",
            Self::P3 { .. } => "P3",
            Self::Proving { .. } => "P4/P5",
            Self::P6 { .. } => "P6",
            Self::Finished { .. } => "finished",
            Self::GivenUp { .. } => "given up",
        }
    }
}
