//! A sector at a glance: one cell a phase, and one for the wait between pre-commit and seed, if
//! there is one.

use std::time::Duration;

use super::look::Look;
use super::show::{Markup, compact, lasting_compact, span};
use super::words::{progress_short, progress_words};
use crate::domain::failure::Failure;
use crate::domain::phase::Phase;
use crate::domain::porep::Porep;
use crate::domain::progress::Progress;
use crate::domain::sector::{Sector, Snark, Stage};
use crate::domain::task::TaskState;
use crate::domain::units::Timestamp;
use crate::worker::progress::Reported;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cell {
    pub name: &'static str,
    pub look: Look,
    /// The state in words, for the hover and for who cannot see the look.
    pub words: String,
    /// How long it took.
    pub took: Option<Duration>,
    /// Since when it runs.
    pub since: Option<Timestamp>,
    /// How far it has come, if it tells: `7/11`.
    pub far: Option<String>,
}

impl Cell {
    fn new(name: &'static str, look: Look, words: impl Into<String>) -> Self {
        Self { name, look, words: words.into(), took: None, since: None, far: None }
    }

    pub fn took_text(&self) -> String {
        self.took.map(compact).unwrap_or_default()
    }

    pub fn since_text(&self, now: &Timestamp) -> Option<Markup> {
        self.since.map(|since| lasting_compact(since, *now))
    }
}

/// Its cells, in their order.
pub fn strip(sector: &Sector, reported: &Reported) -> Vec<Cell> {
    let cell = |phase| phase_cell(sector, phase, reported.get(&phase));
    let mut cells: Vec<Cell> = Phase::ALL.into_iter().map(cell).collect();
    if waits_for_seed(sector) {
        cells.insert(2, seed_cell(sector));
    }
    cells
}

/// Whether a seed is drawn for it at all.
pub fn waits_for_seed(sector: &Sector) -> bool {
    match sector.porep {
        Porep::Interactive | Porep::Synthetic => true,
        Porep::NonInteractive => false,
    }
}

fn phase_cell(sector: &Sector, phase: Phase, progress: Option<&Progress>) -> Cell {
    let name = phase.short_name();
    if let (Phase::P1, Stage::Ticket) = (phase, &sector.stage) {
        return Cell::new(name, Look::Waiting, "its ticket is being drawn");
    }
    if let (Phase::P4, Stage::Proving { snark: Snark::Committing { refused: None, .. }, .. }) =
        (phase, &sector.stage)
    {
        return Cell::new(name, Look::Waiting, "proof made, its commit is being sent");
    }
    let record = &sector.tasks[phase];
    match sector.task(phase) {
        TaskState::NotYet => Cell::new(name, Look::Later, "not yet"),
        TaskState::NeverRuns => Cell::new(name, Look::Never, "never runs: the sector is given up"),
        TaskState::Ready { not_before: None } => Cell::new(name, Look::Waiting, "queued"),
        TaskState::Ready { not_before: Some(_) } => {
            Cell::new(name, Look::Waiting, failed_once(record.last_failure.as_ref()))
        }
        TaskState::Running { worker, since } => {
            let far = progress.map(|far| format!(": {}", progress_words(far))).unwrap_or_default();
            let words = format!("running on {worker}{far}");
            let far = progress.map(progress_short);
            Cell { since: Some(since), far, ..Cell::new(name, Look::Running, words) }
        }
        TaskState::Done => {
            let took = record.started.zip(record.done).map(|(from, to)| to.since(from));
            let words = took.map_or("done".to_owned(), |took| format!("done in {}", span(took)));
            Cell { took, ..Cell::new(name, Look::Done, words) }
        }
        TaskState::Failed { failure } => {
            Cell::new(name, Look::Failed, format!("failed: {}", failure.what))
        }
    }
}

fn failed_once(failure: Option<&Failure>) -> String {
    match failure {
        Some(failure) => format!("tries again by itself after: {}", failure.what),
        None => "tries again by itself".to_owned(),
    }
}

fn seed_cell(sector: &Sector) -> Cell {
    let name = "seed";
    match &sector.stage {
        Stage::PreCommitting { .. } => {
            Cell::new(name, Look::Waiting, "the pre-commit is being sent")
        }
        Stage::WaitSeed { pre_commit, .. } => Cell {
            since: sector.tasks[Phase::P2].done,
            ..Cell::new(name, Look::Waiting, format!("waits for epoch {}", pre_commit.seed_epoch))
        },
        Stage::Ticket | Stage::P1 { .. } | Stage::P2 { .. } => {
            Cell::new(name, Look::Later, "not yet")
        }
        Stage::P3 { .. } | Stage::Proving { .. } | Stage::P6 { .. } | Stage::Finished { .. }
            if sector.stage.challenge().is_some() =>
        {
            let (from, to) = (sector.tasks[Phase::P2].done, sector.tasks[Phase::P3].created);
            let took = from.zip(to).map(|(from, to)| to.since(from));
            let words =
                took.map_or("drawn".to_owned(), |took| format!("drawn after {}", span(took)));
            Cell { took, ..Cell::new(name, Look::Done, words) }
        }
        Stage::P3 { .. }
        | Stage::Proving { .. }
        | Stage::P6 { .. }
        | Stage::Finished { .. }
        | Stage::GivenUp { .. } => Cell::new(name, Look::Never, "the sector is given up"),
    }
}
