//! A sector's tasks, one a phase, as the fleet's table shows them: derived, never stored.

use serde::{Deserialize, Serialize};

use super::failure::Failure;
use super::phase::Phase;
use super::sector::{Cleaning, Sector, Snark, Stage, Work};
use super::units::Timestamp;

/// Where a task stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TaskState<'a> {
    /// A phase before it is not over.
    NotYet,
    Ready {
        not_before: Option<Timestamp>,
    },
    Running {
        worker: &'a str,
        since: Timestamp,
    },
    Done,
    /// Waits for a person.
    Failed {
        failure: &'a Failure,
    },
    /// The sector was given up before it.
    NeverRuns,
}

/// The fleet's row: what operators ask the table for every day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Row {
    pub is_taken: bool,
    pub is_finished: bool,
    pub result_status: ResultStatus,
}

/// The fleet's `result_status`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "u8", try_from = "u8")]
pub enum ResultStatus {
    Succeeded,
    NotOverYet,
    Failed,
}

impl ResultStatus {
    pub const ALL: [Self; 3] = [Self::Succeeded, Self::NotOverYet, Self::Failed];

    pub fn code(self) -> u8 {
        match self {
            Self::Succeeded => 0,
            Self::NotOverYet => 1,
            Self::Failed => 2,
        }
    }
}

impl From<ResultStatus> for u8 {
    fn from(status: ResultStatus) -> Self {
        status.code()
    }
}

impl TryFrom<u8> for ResultStatus {
    type Error = String;
    fn try_from(code: u8) -> Result<Self, String> {
        Self::ALL
            .into_iter()
            .find(|status| status.code() == code)
            .ok_or_else(|| format!("{code} is no result_status: expected 0, 1 or 2"))
    }
}

impl TaskState<'_> {
    /// No row: the fleet issues a task when its phase's turn comes, and a sector that was given
    /// up has none for what never ran.
    pub fn row(&self) -> Option<Row> {
        let row = |is_taken, is_finished, result_status| {
            Some(Row { is_taken, is_finished, result_status })
        };
        match self {
            Self::NotYet | Self::NeverRuns => None,
            Self::Ready { .. } => row(false, false, ResultStatus::NotOverYet),
            Self::Running { .. } => row(true, false, ResultStatus::NotOverYet),
            Self::Done => row(true, true, ResultStatus::Succeeded),
            Self::Failed { .. } => row(true, true, ResultStatus::Failed),
        }
    }

    /// The word for it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::NotYet => "not yet",
            Self::Ready { not_before: None } => "queued",
            Self::Ready { not_before: Some(_) } => "tries again later",
            Self::Running { .. } => "running",
            Self::Done => "done",
            Self::Failed { .. } => "failed",
            Self::NeverRuns => "never runs",
        }
    }
}

impl Sector {
    pub fn task(&self, phase: Phase) -> TaskState<'_> {
        if let (
            Phase::P4,
            Stage::Proving { snark: Snark::Committing { refused: Some(failure), .. }, .. },
        ) = (phase, &self.stage)
        {
            return TaskState::Failed { failure };
        }
        match self.stage.work(phase) {
            Some(Work::Ready { not_before, .. }) => TaskState::Ready { not_before: *not_before },
            Some(Work::Running { worker, since, .. }) => {
                TaskState::Running { worker, since: *since }
            }
            Some(Work::Failed { failure }) => TaskState::Failed { failure },
            None if self.tasks[phase].done.is_some() => TaskState::Done,
            None if self.given_up() => TaskState::NeverRuns,
            None => TaskState::NotYet,
        }
    }

    pub fn row(&self, phase: Phase) -> Option<Row> {
        self.task(phase).row()
    }

    fn given_up(&self) -> bool {
        match &self.stage {
            Stage::GivenUp { .. } | Stage::P6 { cleaning: Cleaning::GivenUp { .. }, .. } => true,
            Stage::Ticket
            | Stage::P1 { .. }
            | Stage::P2 { .. }
            | Stage::PreCommitting { .. }
            | Stage::WaitSeed { .. }
            | Stage::P3 { .. }
            | Stage::Proving { .. }
            | Stage::P6 { cleaning: Cleaning::Sealed { .. }, .. }
            | Stage::Finished { .. } => false,
        }
    }

    /// When its last phase ended, of a sector that is over. Its stored copy may be looked at long
    /// after.
    pub fn ended(&self) -> Timestamp {
        self.tasks[Phase::P6].done.unwrap_or(self.updated)
    }

    /// Whether it waits for a person: a task of it failed, or its stored copy is damaged.
    pub fn needs_you(&self) -> bool {
        self.failures().next().is_some() || self.fault().is_some()
    }

    /// What is wrong with the stored copy of a finished sector, if something is.
    pub fn fault(&self) -> Option<&Failure> {
        match &self.stage {
            Stage::Finished { fault, .. } => fault.as_ref(),
            Stage::Ticket
            | Stage::P1 { .. }
            | Stage::P2 { .. }
            | Stage::PreCommitting { .. }
            | Stage::WaitSeed { .. }
            | Stage::P3 { .. }
            | Stage::Proving { .. }
            | Stage::P6 { .. }
            | Stage::GivenUp { .. } => None,
        }
    }

    /// The tasks that wait for a person, each with its cause.
    pub fn failures(&self) -> impl Iterator<Item = (Phase, &Failure)> {
        Phase::ALL.into_iter().filter_map(|phase| match self.task(phase) {
            TaskState::Failed { failure } => Some((phase, failure)),
            TaskState::NotYet
            | TaskState::Ready { .. }
            | TaskState::Running { .. }
            | TaskState::Done
            | TaskState::NeverRuns => None,
        })
    }
}
