//! Every attempt at a sector, as its history tells it: which worker, how long, and how it ended.

use std::collections::BTreeMap;

use super::show::span;
use crate::domain::event::{Entry, Event, Happened};
use crate::domain::failure::Failure;
use crate::domain::phase::Phase;
use crate::domain::timeline::{How, end};
use crate::domain::units::{Seq, Timestamp};

/// One attempt; `ended` is none while it runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// The entry that begins it.
    pub seq: Seq,
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
    pub failure: Option<Failure>,
}

/// What a history tells of them, taken from its beginning.
#[derive(Default)]
pub struct Attempts {
    begun: BTreeMap<Phase, u32>,
    told: Vec<Attempt>,
}

impl Attempts {
    pub fn take(&mut self, entry: &Entry) {
        let Happened::Sector { event, .. } = &entry.happened else { return };
        if let Event::Started { phase, worker } = event {
            let number = self.begun.entry(*phase).or_default();
            *number += 1;
            let (seq, phase, number, worker) = (entry.seq, *phase, *number, worker.clone());
            self.told.push(Attempt { seq, phase, number, worker, from: entry.at, ended: None });
        }
        let Some((phase, how)) = end(event) else { return };
        let running = |one: &&mut Attempt| one.phase == phase && one.ended.is_none();
        if let Some(attempt) = self.told.iter_mut().rev().find(running) {
            attempt.ended = Some(Ended { at: entry.at, how, failure: failure(event) });
        }
    }

    /// The earliest first.
    pub fn told(self) -> Vec<Attempt> {
        self.told
    }
}

impl Attempt {
    /// Of a history from its beginning: the newest first.
    pub fn all_of(history: &[Entry]) -> Vec<Self> {
        let mut attempts = Attempts::default();
        history.iter().for_each(|entry| attempts.take(entry));
        attempts.told.reverse();
        attempts.told
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

    pub fn why(&self) -> Option<String> {
        Some(self.ended.as_ref()?.failure.as_ref()?.to_string())
    }
}

fn failure(event: &Event) -> Option<Failure> {
    match event {
        Event::Failed { failure, .. } => Some(failure.clone()),
        Event::Issued { .. }
        | Event::TicketDrawn { .. }
        | Event::Started { .. }
        | Event::Interrupted { .. }
        | Event::Advanced { .. }
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
