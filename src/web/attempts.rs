//! Every attempt at a sector, as its history tells it: which worker, how long, and how it ended.

use std::collections::BTreeMap;

use super::show::span;
use crate::domain::event::{Entry, Event, Happened};
use crate::domain::phase::Phase;
use crate::domain::timeline::{How, end};
use crate::domain::units::Timestamp;

/// One attempt; `ended` is none while it runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    pub phase: Phase,
    /// From 1 on, over retries and returns to P1.
    pub number: u32,
    pub worker: String,
    pub from: Timestamp,
    pub ended: Option<Ended>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ended {
    pub at: Timestamp,
    pub how: How,
    /// What failed.
    pub why: Option<String>,
}

impl Attempt {
    /// Of a history from its beginning: the newest first.
    pub fn all_of(history: &[Entry]) -> Vec<Self> {
        let mut begun: BTreeMap<Phase, u32> = BTreeMap::new();
        let mut attempts: Vec<Self> = Vec::new();
        for entry in history {
            let Happened::Sector { event, .. } = &entry.happened else { continue };
            if let Event::Started { phase, worker } = event {
                let number = begun.entry(*phase).or_default();
                *number += 1;
                let (phase, number, worker) = (*phase, *number, worker.clone());
                attempts.push(Self { phase, number, worker, from: entry.at, ended: None });
            }
            let Some((phase, how)) = end(event) else { continue };
            let running = |one: &&mut Self| one.phase == phase && one.ended.is_none();
            if let Some(attempt) = attempts.iter_mut().rev().find(running) {
                attempt.ended = Some(Ended { at: entry.at, how, why: why(event) });
            }
        }
        attempts.reverse();
        attempts
    }

    /// How long it took; none while it runs.
    pub fn took(&self) -> Option<String> {
        self.ended.as_ref().map(|ended| span(ended.at.since(self.from)))
    }

    pub fn class(&self) -> &'static str {
        match self.ended.as_ref().map(|ended| ended.how) {
            None => "run",
            Some(How::Succeeded) => "done",
            Some(How::Failed) => "fail",
            Some(How::Interrupted) => "later",
        }
    }

    pub fn words(&self) -> &'static str {
        match self.ended.as_ref().map(|ended| ended.how) {
            None => "running",
            Some(How::Succeeded) => "succeeded",
            Some(How::Failed) => "failed",
            Some(How::Interrupted) => "was stopped",
        }
    }

    pub fn why(&self) -> Option<&str> {
        self.ended.as_ref()?.why.as_deref()
    }
}

fn why(event: &Event) -> Option<String> {
    match event {
        Event::Failed { failure, .. } => Some(failure.to_string()),
        Event::Issued { .. }
        | Event::TicketDrawn { .. }
        | Event::Started { .. }
        | Event::Interrupted { .. }
        | Event::Succeeded { .. }
        | Event::PreCommitted { .. }
        | Event::PreCommitRefused { .. }
        | Event::SeedDrawn { .. }
        | Event::Committed { .. }
        | Event::CommitRefused { .. }
        | Event::Retried { .. }
        | Event::Redone { .. }
        | Event::Aborted { .. }
        | Event::Deleted { .. }
        | Event::StoredProven { .. }
        | Event::StoredDamaged { .. } => None,
    }
}
