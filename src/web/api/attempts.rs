//! A sector's attempts, as its history tells them.

use serde::Serialize;

use crate::domain::failure::Failure;
use crate::domain::ids::SectorNumber;
use crate::domain::phase::Phase;
use crate::domain::timeline::How;
use crate::web::attempts::{Attempt, Attempts};
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
    let mut told = Attempts::default();
    let mut after = None;
    loop {
        let page = lookup::history(state, number, after, CHUNK)?;
        page.items.iter().for_each(|entry| told.take(entry));
        after = page.next;
        if after.is_none() {
            let rows = told.told().into_iter();
            return Ok(rows.map(|attempt| AttemptRow::of(number, attempt)).collect());
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

impl AttemptRow {
    fn of(number: SectorNumber, attempt: Attempt) -> Self {
        let Attempt { seq, phase, number: count, worker, from, ended } = attempt;
        Self {
            seq: seq.0,
            phase,
            attempt: count,
            worker,
            from: rfc3339(from),
            to: ended.as_ref().map(|ended| rfc3339(ended.at)),
            how: ended.as_ref().map_or("running", |ended| how(ended.how)),
            failure: ended.and_then(|ended| ended.failure),
            log: format!("/api/v1/sectors/{number}/log?phase={phase}&attempt={count}"),
        }
    }
}
