//! Takes every event over from tracing, knowing whose attempt's span it happened in.

use std::io::Write as _;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tracing::span::{Attributes, Id};
use tracing::{Event, Subscriber};
use tracing_appender::non_blocking::NonBlocking;
use tracing_subscriber::layer::{Context, Layer};
use tracing_subscriber::registry::LookupSpan;

use super::Logs;
use super::line::{About, Line, Said};

/// How the targets of what works on an attempt begin. Its pools' threads know of no span.
const OF_LIBRARY: [&str; 9] = [
    "bellpepper",
    "bellperson",
    "ec_gpu",
    "filecoin_",
    "merkletree",
    "neptune",
    "sealbox::worker::panics",
    "storage_proofs",
    "supraseal",
];

pub struct Keeping {
    pub logs: Logs,
    /// Of the box's own log.
    pub file: NonBlocking,
    /// The attempts that run.
    attempts: Mutex<Vec<(Id, About)>>,
}

impl Keeping {
    pub fn new(logs: Logs, file: NonBlocking) -> Self {
        Self { logs, file, attempts: Mutex::default() }
    }

    fn attempts(&self) -> MutexGuard<'_, Vec<(Id, About)>> {
        // Each change is one call: a panic elsewhere cannot leave it half-done.
        self.attempts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whose a line of a pool's thread is: the running attempt's, if there is only one.
    fn only_attempt(&self, target: &str) -> Option<About> {
        let is_library = OF_LIBRARY.iter().any(|start| target.starts_with(start));
        let attempts = self.attempts();
        match attempts.as_slice() {
            [(_, about)] if is_library => Some(*about),
            _ => None,
        }
    }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Keeping {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let mut said = Said::default();
        attributes.record(&mut said);
        if said.about.sector.is_some()
            && let Some(span) = context.span(id)
        {
            span.extensions_mut().insert(said.about);
            self.attempts().push((id.clone(), said.about));
        }
    }

    fn on_close(&self, id: Id, _context: Context<'_, S>) {
        self.attempts().retain(|(running, _)| *running != id);
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let spans = context.event_scope(event).into_iter().flatten();
        let about = spans.filter_map(|span| span.extensions().get::<About>().copied()).next();
        let mut line = Line::of(event, about.unwrap_or_default());
        if line.about.sector.is_none()
            && let Some(about) = self.only_attempt(&line.target)
        {
            line.about = about;
        }
        let line = self.logs.take(line);
        // It only hands the line to a thread of its own, or drops it.
        let _ = self.file.clone().write_all(line.json().as_bytes());
    }
}
