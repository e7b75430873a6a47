//! A sector's attempts, as its history tells them.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::domain::event::{Entry, Event, Happened};
use crate::domain::failure::Failure;
use crate::domain::ids::SectorNumber;
use crate::domain::phase::Phase;
use crate::domain::timeline::{How, end};
use crate::web::error::Unanswered;
use crate::web::schema::shape;
use crate::web::show::rfc3339;
use crate::web::{WebState, lookup};

/// One attempt at a phase of a sector.
#[derive(Debug, Clone, Serialize)]
pub struct AttemptRow {
    /// The entry of the history that begins it: its place in the list.
    pub seq: u64,
    pub phase: Phase,
    /// The phase's first, second, …
    pub attempt: u32,
    pub worker: String,
    pub from: String,
    /// None: it runs.
    pub to: Option<String>,
    /// `running`, `succeeded`, `failed` or `interrupted`.
    pub how: &'static str,
    pub failure: Option<Failure>,
    /// The address of its log.
    pub log: String,
}

shape!(AttemptRow { seq, phase, attempt, worker, from, to, how, failure, log });

/// Entries that are read at a time.
const CHUNK: usize = 1_000;

/// All of them, the earliest first. Reads the sector's whole history: each attempt's number follows
/// from those before it.
pub fn attempts_of(state: &WebState, number: SectorNumber) -> Result<Vec<AttemptRow>, Unanswered> {
    let mut told = Told::default();
    let mut after = None;
    loop {
        let page = lookup::history(state, number, after, CHUNK)?;
        page.items.iter().for_each(|entry| told.take(entry));
        after = page.next;
        if after.is_none() {
            return Ok(told.attempts);
        }
    }
}

/// How it ended, for programs.
pub fn how(how: How) -> &'static str {
    match how {
        How::Succeeded => "succeeded",
        How::Failed => "failed",
        How::Interrupted => "interrupted",
    }
}

#[derive(Default)]
struct Told {
    attempts: Vec<AttemptRow>,
    counts: BTreeMap<Phase, u32>,
    /// Where those stand that have not ended.
    running: BTreeMap<Phase, usize>,
}

impl Told {
    fn take(&mut self, entry: &Entry) {
        let Happened::Sector { number, event } = &entry.happened else { return };
        if let Event::Started { phase, worker } = event {
            let count = self.counts.entry(*phase).or_default();
            *count += 1;
            self.running.insert(*phase, self.attempts.len());
            self.attempts.push(AttemptRow {
                seq: entry.seq.0,
                phase: *phase,
                attempt: *count,
                worker: worker.clone(),
                from: rfc3339(entry.at),
                to: None,
                how: "running",
                failure: None,
                log: format!("/api/v1/sectors/{number}/log?phase={phase}&attempt={count}"),
            });
        }
        let Some((phase, ended)) = end(event) else { return };
        let Some(attempt) = self.running.remove(&phase).and_then(|at| self.attempts.get_mut(at))
        else {
            return;
        };
        attempt.to = Some(rfc3339(entry.at));
        attempt.how = how(ended);
        if let Event::Failed { failure, .. } = event {
            attempt.failure = Some(failure.clone());
        }
    }
}
