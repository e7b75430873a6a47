//! What this process has counted since it started, for Prometheus. What the state tells is not
//! counted here: it is read from the view when somebody asks (`web/metrics`).

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use crate::domain::event::{Entry, Event, Happened};
use crate::domain::failure::{Class, Failure};
use crate::domain::ids::SectorNumber;
use crate::domain::phase::Phase;
use crate::domain::units::Timestamp;

/// In seconds: from a simulated phase or a 2 KiB sector to a week.
const PHASE_BUCKETS: [f64; 18] = [
    0.001, 0.01, 0.1, 1.0, 10.0, 60.0, 300.0, 900.0, 1_800.0, 3_600.0, 7_200.0, 10_800.0, 14_400.0,
    21_600.0, 43_200.0, 86_400.0, 172_800.0, 604_800.0,
];
/// In seconds: from a disk with a protected cache to one that is about to fail.
const COMMIT_BUCKETS: [f64; 14] = [
    0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 10.0,
];

const ENDINGS: [&str; 3] = ["succeeded", "failed", "interrupted"];
const REFUSED: [&str; 2] = ["pre_commit", "commit"];

type One = [(&'static str, &'static str); 1];
type Two = [(&'static str, &'static str); 2];

/// Counters and histograms. They begin at 0 with each process.
#[derive(Debug)]
pub struct Counted {
    registry: Registry,
    started: Family<One, Counter>,
    ended: Family<Two, Counter>,
    failures: Family<Two, Counter>,
    refusals: Family<One, Counter>,
    took: Family<One, Histogram, fn() -> Histogram>,
    commits: Histogram,
    damaged: Counter,
    followers: Gauge,
    /// When attempts that run now began: at most one for each worker.
    running: Mutex<BTreeMap<(SectorNumber, Phase), Timestamp>>,
}

impl Default for Counted {
    fn default() -> Self {
        let took: fn() -> Histogram = || Histogram::new(PHASE_BUCKETS);
        let mut counted = Self {
            registry: Registry::with_prefix("sealbox"),
            started: Family::default(),
            ended: Family::default(),
            failures: Family::default(),
            refusals: Family::default(),
            took: Family::new_with_constructor(took),
            commits: Histogram::new(COMMIT_BUCKETS),
            damaged: Counter::default(),
            followers: Gauge::default(),
            running: Mutex::default(),
        };
        counted.begin_at_zero();
        counted.register();
        counted
    }
}

impl Counted {
    /// A series that appears with its first event is not seen to rise by it.
    fn begin_at_zero(&self) {
        for phase in Phase::ALL {
            drop(self.started.get_or_create(&of(phase)));
            drop(self.took.get_or_create(&of(phase)));
            for ending in ENDINGS {
                drop(self.ended.get_or_create(&with_ending(phase, ending)));
            }
            for class in Class::ALL {
                drop(self.failures.get_or_create(&with_class(phase, class)));
            }
        }
        for step in REFUSED {
            drop(self.refusals.get_or_create(&[("step", step)]));
        }
    }

    fn register(&mut self) {
        let all = &mut self.registry;
        all.register(
            "attempts_started",
            "Attempts that began, since this process started",
            self.started.clone(),
        );
        all.register(
            "attempts",
            "Attempts that ended, and how, since this process started",
            self.ended.clone(),
        );
        all.register(
            "failures",
            "Attempts that failed, by class of failure, since this process started",
            self.failures.clone(),
        );
        all.register(
            "chain_refusals",
            "What the chain refused, since this process started",
            self.refusals.clone(),
        );
        all.register(
            "stored_copies_damaged",
            "Stored copies found damaged, since this process started",
            self.damaged.clone(),
        );
        all.register_with_unit(
            "phase_duration",
            "How long attempts that succeeded took, since this process started",
            Unit::Seconds,
            self.took.clone(),
        );
        all.register_with_unit(
            "journal_commit_duration",
            "From a decision to its being durable, since this process started",
            Unit::Seconds,
            self.commits.clone(),
        );
        all.register("live_pages", "Open pages that follow the box", self.followers.clone());
    }

    /// All of it, to be written.
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    /// A commit is durable, and took so long.
    pub fn committed(&self, took: Duration) {
        self.commits.observe(took.as_secs_f64());
    }

    /// These became durable.
    pub fn happened(&self, entries: &[Entry]) {
        for entry in entries {
            match &entry.happened {
                Happened::Sector { number, event } => self.event(*number, event, entry.at),
                Happened::Box(_) => {}
            }
        }
    }

    fn event(&self, number: SectorNumber, event: &Event, at: Timestamp) {
        match event {
            Event::Started { phase, .. } => {
                self.running().insert((number, *phase), at);
                self.started.get_or_create(&of(*phase)).inc();
            }
            Event::Interrupted { phase, .. } => drop(self.ended(number, *phase, "interrupted")),
            Event::Succeeded { output } => {
                let phase = output.phase();
                if let Some(began) = self.ended(number, phase, "succeeded") {
                    self.took.get_or_create(&of(phase)).observe(at.since(began).as_secs_f64());
                }
            }
            Event::Failed { phase, failure } => {
                self.ended(number, *phase, "failed");
                self.failures.get_or_create(&with_class(*phase, failure.class)).inc();
            }
            Event::PreCommitRefused { .. } => self.refused("pre_commit"),
            Event::CommitRefused { .. } => self.refused("commit"),
            Event::StoredDamaged { failure: Failure { .. }, .. } => drop(self.damaged.inc()),
            Event::Issued { .. }
            | Event::TicketDrawn { .. }
            | Event::Advanced { .. }
            | Event::PreCommitted { .. }
            | Event::SeedDrawn { .. }
            | Event::Committed { .. }
            | Event::Retried { .. }
            | Event::Redone { .. }
            | Event::Aborted { .. }
            | Event::Deleted { .. }
            | Event::StoredProven { .. } => {}
        }
    }

    /// When the attempt that ended began; none if that was before this process.
    fn ended(&self, number: SectorNumber, phase: Phase, how: &'static str) -> Option<Timestamp> {
        self.ended.get_or_create(&with_ending(phase, how)).inc();
        self.running().remove(&(number, phase))
    }

    fn refused(&self, step: &'static str) {
        self.refusals.get_or_create(&[("step", step)]).inc();
    }

    fn running(&self) -> std::sync::MutexGuard<'_, BTreeMap<(SectorNumber, Phase), Timestamp>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A page follows from now on, until what is given back goes.
    pub fn follower(&self) -> Follower {
        self.followers.inc();
        Follower(self.followers.clone())
    }
}

/// A page that follows the box.
#[derive(Debug)]
#[must_use = "it counts for as long as it is kept"]
pub struct Follower(Gauge);

impl Drop for Follower {
    fn drop(&mut self) {
        self.0.dec();
    }
}

fn of(phase: Phase) -> One {
    [("phase", phase.short_name())]
}

fn with_ending(phase: Phase, ending: &'static str) -> Two {
    [("phase", phase.short_name()), ("outcome", ending)]
}

fn with_class(phase: Phase, class: Class) -> Two {
    [("phase", phase.short_name()), ("class", class.name())]
}

#[cfg(test)]
mod tests {
    use prometheus_client::encoding::text::encode;

    use super::*;
    use crate::domain::event::Output;
    use crate::domain::units::Seq;

    fn written(counted: &Counted) -> String {
        let mut text = String::new();
        encode(&mut text, counted.registry()).unwrap();
        text
    }

    fn after(events: &[(u64, Event)]) -> String {
        let counted = Counted::default();
        let entry = |(at, event): &(u64, Event)| Entry {
            seq: Seq(1),
            at: Timestamp(*at),
            happened: Happened::Sector { number: SectorNumber(7), event: event.clone() },
        };
        counted.happened(&events.iter().map(entry).collect::<Vec<_>>());
        written(&counted)
    }

    fn started(phase: Phase) -> Event {
        Event::Started { phase, worker: "w".into() }
    }

    #[test]
    fn an_attempt_is_counted_once_by_how_it_ended_and_its_duration_if_it_went_through() {
        let failure = Failure::new(Class::Space, "full", "free some");
        let phase = Phase::P5;
        let text = after(&[
            (1_000, started(Phase::P1)),
            (4_500, Event::Succeeded { output: Output::P1 }),
            (5_000, started(phase)),
            (6_000, Event::Failed { phase, failure }),
            (7_000, started(phase)),
            (8_000, Event::Interrupted { phase, died: false }),
        ]);
        for line in [
            r#"sealbox_attempts_started_total{phase="P5"} 2"#,
            r#"sealbox_attempts_total{phase="P1",outcome="succeeded"} 1"#,
            r#"sealbox_attempts_total{phase="P5",outcome="failed"} 1"#,
            r#"sealbox_attempts_total{phase="P5",outcome="interrupted"} 1"#,
            r#"sealbox_failures_total{phase="P5",class="space"} 1"#,
            r#"sealbox_phase_duration_seconds_sum{phase="P1"} 3.5"#,
            r#"sealbox_phase_duration_seconds_bucket{le="1.0",phase="P1"} 0"#,
            r#"sealbox_phase_duration_seconds_bucket{le="10.0",phase="P1"} 1"#,
            r#"sealbox_phase_duration_seconds_count{phase="P5"} 0"#,
        ] {
            assert!(text.lines().any(|found| found == line), "{line} in {text}");
        }
    }

    #[test]
    fn what_began_before_this_process_has_no_duration() {
        let text = after(&[(4_500, Event::Succeeded { output: Output::P1 })]);
        assert!(text.contains("sealbox_phase_duration_seconds_count{phase=\"P1\"} 0\n"), "{text}");
    }

    #[test]
    fn a_page_counts_for_as_long_as_it_follows() {
        let counted = Counted::default();
        let follower = counted.follower();
        assert!(written(&counted).contains("sealbox_live_pages 1\n"));
        drop(follower);
        assert!(written(&counted).contains("sealbox_live_pages 0\n"));
    }
}
