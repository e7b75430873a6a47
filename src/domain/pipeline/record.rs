//! What is remembered of the tasks beside the stage.

use crate::domain::event::Event;
use crate::domain::phase::Phase;
use crate::domain::sector::{Sector, Stage};
use crate::domain::units::Timestamp;

/// Keeps the tasks' records in step with the stage.
pub(super) fn record(sector: &mut Sector, at: Timestamp, event: &Event) {
    if let Some(phase) = event.phase() {
        let task = &mut sector.tasks[phase];
        task.updated = Some(at);
        match event {
            Event::Started { worker, .. } => {
                task.attempts += 1;
                task.worker = Some(worker.clone());
                task.started = Some(at);
            }
            Event::Succeeded { .. } => {
                task.done = Some(at);
                task.last_failure = None;
            }
            Event::Failed { failure, .. } | Event::CommitRefused { failure } => {
                task.last_failure = Some(failure.clone());
            }
            Event::Issued { .. }
            | Event::TicketDrawn { .. }
            | Event::Interrupted { .. }
            | Event::Advanced { .. }
            | Event::PreCommitted { .. }
            | Event::PreCommitRefused { .. }
            | Event::SeedDrawn { .. }
            | Event::Committed { .. }
            | Event::Retried { .. }
            | Event::Redone { .. }
            | Event::Aborted { .. }
            | Event::Deleted { .. }
            | Event::StoredProven { .. }
            | Event::StoredDamaged { .. } => {}
        }
    }
    let Sector { stage, tasks, .. } = sector;
    for (phase, _work) in stage.works() {
        let task = &mut tasks[phase];
        task.created.get_or_insert(at);
        // Whose work is to do is not done, even if it once was (redone from P1).
        task.done = None;
    }
    if let Stage::Proving { .. } = stage {
        let later = &mut tasks[Phase::P6];
        later.created = None;
        later.done = None;
    }
    if let Stage::P1 { .. } = stage {
        for phase in [Phase::P2, Phase::P3] {
            tasks[phase].created = None;
            tasks[phase].done = None;
        }
    }
}
