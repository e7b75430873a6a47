//! The loop's own signs of life for the service manager. They are sent from within the loop, so
//! that one that is stuck falls silent.

use std::time::Duration;

use tokio::time::Instant;

use super::view::BoxView;
use crate::notify::Notify;

/// What a stop may take beyond the grace: last answers, and closing the store.
const LAST_STEPS: Duration = Duration::from_secs(30);

#[derive(Debug, Default)]
pub struct Pulse {
    notify: Notify,
    /// None if nobody waits for it.
    every: Option<Duration>,
    /// None before the loop has turned for the first time.
    last: Option<Instant>,
    said: String,
}

impl Pulse {
    pub fn new(notify: Notify, every: Option<Duration>) -> Self {
        Self { notify, every, ..Self::default() }
    }

    /// The loop has turned. The first time says that the box is ready.
    pub fn turn(&mut self) {
        let Some(last) = self.last else {
            self.notify.ready();
            return self.last = Some(Instant::now());
        };
        if self.every.is_some_and(|every| last.elapsed() >= every) {
            self.notify.alive();
            self.last = Some(Instant::now());
        }
    }

    /// When the loop has to turn again, whether there is something to do or not.
    pub fn next(&self) -> Option<Instant> {
        Some(self.last? + self.every?)
    }

    /// What the pages show now.
    pub fn shows(&mut self, view: &BoxView) {
        let line = line(view);
        if line != self.said {
            self.notify.status(&line);
            self.said = line;
        }
    }

    pub fn stops(&self, grace: Duration) {
        self.notify.stopping(grace.saturating_add(LAST_STEPS));
    }
}

/// The box in a line.
fn line(view: &BoxView) -> String {
    let running = view.workers.iter().filter(|worker| worker.doing.is_some()).count();
    let sectors =
        |number| if number == 1 { "1 sector".to_owned() } else { format!("{number} sectors") };
    let mut line = format!("{} in flight, {running} running", sectors(view.counts.in_flight));
    if view.counts.needs_you > 0 {
        line += &format!("; {} waiting for a person", sectors(view.counts.needs_you));
    }
    if view.stopping {
        line += "; stopping";
    } else if let Some(trouble) = &view.trouble {
        line += &format!("; stands still: {trouble}");
    } else if view.suspect.is_some() {
        line += "; restarts itself when what runs has ended";
    } else if view.drained() {
        line += "; drained";
    } else if view.intake_paused {
        line += "; intake paused";
    }
    line
}
