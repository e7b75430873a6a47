//! The story of a failed attempt: its cause, its last lines, and what it was given.

use serde::Serialize;

use super::WebState;
use super::log::{Lines, around};
use super::parts::Failed;
use super::schema::shape;
use crate::domain::isolation::Isolation;
use crate::domain::phase::Phase;
use crate::domain::sector::{Challenge, Sector};
use crate::domain::units::ByteSize;
use crate::engine::ParametersState;

/// So many of an attempt's last lines are shown with its failure.
const LAST_LINES: usize = 12;

/// A failed task with all that is known of its last attempt.
#[derive(Debug, Clone)]
pub struct Story {
    pub failed: Failed,
    pub lines: Lines,
    pub inputs: Vec<Input>,
}

/// One thing that an attempt was given.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Input {
    pub name: &'static str,
    pub value: String,
}

impl Story {
    pub async fn all_of(state: &WebState, sector: &Sector) -> Vec<Self> {
        let mut stories = Vec::new();
        for failed in Failed::all_of(sector) {
            let query = around(failed.phase, failed.attempts, LAST_LINES);
            let found = state.logs.of_sector(failed.sector, &query).await;
            let inputs = inputs(state, sector, failed.phase);
            stories.push(Self { failed, lines: Lines::of_attempt(found.page.lines), inputs });
        }
        stories
    }

    /// What the detail is called: it is as often a backtrace as an error's own words.
    fn detail_name(&self) -> &'static str {
        if self.failed.detail().contains("\n   0: ") { "Backtrace" } else { "Detail" }
    }

    /// What is folded away, by its name.
    pub fn folded(&self) -> Option<(&'static str, &str)> {
        let detail = self.failed.failure.detail.as_deref()?;
        Some((self.detail_name(), detail))
    }
}

/// What the last attempt at this phase was given, as far as the sector and the box know.
pub fn inputs(state: &WebState, sector: &Sector, phase: Phase) -> Vec<Input> {
    let (stage, record) = (&sector.stage, &sector.tasks[phase]);
    let mut inputs = Vec::new();
    let mut add = |name, value: Option<String>| {
        inputs.extend(value.map(|value| Input { name, value }));
    };
    add("attempt", Some(record.attempts.to_string()));
    add("worker", record.worker.clone());
    add("started", record.started.map(|at| at.rfc3339()));
    add("isolation", Some(isolation(state.engine.isolation()).to_owned()));
    add("sector size", Some(sector_size(sector)));
    add("seal proof", Some(state.engine.seal_proof_name(sector.kind()).to_owned()));
    let ticket = stage.ticket();
    add("ticket", ticket.map(|ticket| format!("{} (epoch {})", ticket.value, ticket.epoch)));
    if phase >= Phase::P3 {
        let replica = stage.replica();
        add("comm_d", replica.map(|replica| replica.commitments.comm_d.cid()));
        add("comm_r", replica.map(|replica| replica.commitments.comm_r.cid()));
        let seed = stage.challenge().and_then(Challenge::seed);
        add("seed", seed.map(|seed| format!("{} (epoch {})", seed.value, seed.epoch)));
    }
    if phase == Phase::P4 {
        add("parameters", parameters(&state.engine.parameters()));
    }
    let paths = (state.paths)(sector);
    for path in paths.scratch {
        add("scratch", Some(path.display().to_string()));
    }
    if phase >= Phase::P5 {
        add("storage", stage.stored().map(|stored| stored.root.clone()));
    }
    inputs
}

fn sector_size(sector: &Sector) -> String {
    format!("{} ({} bytes)", ByteSize(sector.size.bytes()), sector.size.bytes())
}

fn isolation(isolation: Isolation) -> &'static str {
    match isolation {
        Isolation::Thread => "a thread of the box",
        Isolation::Process => "a process of its own",
    }
}

fn parameters(state: &ParametersState) -> Option<String> {
    match state {
        ParametersState::LabMade { file, .. } => Some(format!("{} (lab-made)", file.display())),
        ParametersState::Production { file, .. } => {
            Some(format!("{} (of the trusted set-up)", file.display()))
        }
        ParametersState::NotNeeded => None,
        ParametersState::Checking | ParametersState::Making { .. } => {
            Some("not there yet".to_owned())
        }
        ParametersState::Missing { failure } | ParametersState::Awaited { failure } => {
            Some(failure.what.clone())
        }
    }
}

shape!(Input { name, value });
