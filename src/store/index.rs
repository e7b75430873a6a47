//! The words pages filter by (a sector's stage, a task's row), and the counts of each.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::domain::phase::{PerPhase, Phase};
use crate::domain::sector::{Sector, Stage};
use crate::domain::task::{ResultStatus, Row};

/// A stage without what it carries: what sectors are listed and counted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum StageKind {
    Ticket,
    P1,
    P2,
    PreCommitting,
    WaitSeed,
    P3,
    Proving,
    P6,
    Finished,
    GivenUp,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is no stage: expected ticket, P1, P2, pre-commit, wait seed, P3, P4/P5, P6, finished or given up"
)]
pub struct BadStage(String);

impl StageKind {
    pub const ALL: [Self; 10] = [
        Self::Ticket,
        Self::P1,
        Self::P2,
        Self::PreCommitting,
        Self::WaitSeed,
        Self::P3,
        Self::Proving,
        Self::P6,
        Self::Finished,
        Self::GivenUp,
    ];

    pub fn of(stage: &Stage) -> Self {
        match stage {
            Stage::Ticket => Self::Ticket,
            Stage::P1 { .. } => Self::P1,
            Stage::P2 { .. } => Self::P2,
            Stage::PreCommitting { .. } => Self::PreCommitting,
            Stage::WaitSeed { .. } => Self::WaitSeed,
            Stage::P3 { .. } => Self::P3,
            Stage::Proving { .. } => Self::Proving,
            Stage::P6 { .. } => Self::P6,
            Stage::Finished { .. } => Self::Finished,
            Stage::GivenUp { .. } => Self::GivenUp,
        }
    }

    /// The same word as [`Stage::name`].
    pub fn name(self) -> &'static str {
        match self {
            Self::Ticket => "ticket",
            Self::P1 => "P1",
            Self::P2 => "P2",
            Self::PreCommitting => "pre-commit",
            Self::WaitSeed => "wait seed",
            Self::P3 => "P3",
            Self::Proving => "P4/P5",
            Self::P6 => "P6",
            Self::Finished => "finished",
            Self::GivenUp => "given up",
        }
    }

    /// Its place in an index's keys and in the counts.
    pub(super) fn code(self) -> u8 {
        match self {
            Self::Ticket => 0,
            Self::P1 => 1,
            Self::P2 => 2,
            Self::PreCommitting => 3,
            Self::WaitSeed => 4,
            Self::P3 => 5,
            Self::Proving => 6,
            Self::P6 => 7,
            Self::Finished => 8,
            Self::GivenUp => 9,
        }
    }
}

impl fmt::Display for StageKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for StageKind {
    type Err = BadStage;
    fn from_str(s: &str) -> Result<Self, BadStage> {
        Self::ALL
            .into_iter()
            .find(|kind| kind.name().eq_ignore_ascii_case(s))
            .ok_or_else(|| BadStage(s.to_owned()))
    }
}

/// How many rows there could be: `is_taken` × `is_finished` × `result_status`.
pub(super) const ROWS: usize = 12;

/// A row's place in an index's keys and in the counts.
pub(super) fn row_code(row: Row) -> u8 {
    u8::from(row.is_taken) * 6 + u8::from(row.is_finished) * 3 + row.result_status.code()
}

pub(super) fn every_row() -> impl Iterator<Item = Row> {
    [false, true].into_iter().flat_map(|is_taken| {
        [false, true].into_iter().flat_map(move |is_finished| {
            ResultStatus::ALL.map(|result_status| Row { is_taken, is_finished, result_status })
        })
    })
}

/// How many there are of everything a page counts. Kept in step with each commit, so that reading
/// it costs the same however long the history is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Sectors ever issued.
    pub sectors: u64,
    /// Sectors that wait for a person: with a failed task, or a damaged stored copy.
    pub attention: u64,
    stages: [u64; 10],
    tasks: PerPhase<[u64; ROWS]>,
}

impl Counts {
    pub fn stage(&self, kind: StageKind) -> u64 {
        self.stages[usize::from(kind.code())]
    }

    /// Sectors that are not over.
    pub fn active(&self) -> u64 {
        self.sectors - self.stage(StageKind::Finished) - self.stage(StageKind::GivenUp)
    }

    /// Tasks of one phase that have this row.
    pub fn row(&self, phase: Phase, row: Row) -> u64 {
        self.tasks[phase][usize::from(row_code(row))]
    }

    pub(super) fn add(&mut self, sector: &Sector) {
        self.change(sector, |count| *count += 1);
    }

    pub(super) fn remove(&mut self, sector: &Sector) {
        self.change(sector, |count| *count -= 1);
    }

    fn change(&mut self, sector: &Sector, by_one: impl Fn(&mut u64)) {
        by_one(&mut self.sectors);
        by_one(&mut self.stages[usize::from(StageKind::of(&sector.stage).code())]);
        if sector.needs_you() {
            by_one(&mut self.attention);
        }
        for phase in Phase::ALL {
            if let Some(row) = sector.row(phase) {
                by_one(&mut self.tasks[phase][usize::from(row_code(row))]);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_row_and_every_stage_has_a_code_of_its_own() {
        let rows: BTreeSet<u8> = every_row().map(row_code).collect();
        assert_eq!(rows, (0..12).collect());
        let stages: BTreeSet<u8> = StageKind::ALL.into_iter().map(StageKind::code).collect();
        assert_eq!(stages, (0..10).collect());
    }

    #[test]
    fn a_stage_is_found_by_its_name() {
        for kind in StageKind::ALL {
            assert_eq!(kind.name().parse(), Ok(kind));
        }
        assert!("p9".parse::<StageKind>().is_err());
    }
}
