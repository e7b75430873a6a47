//! Workers: what each does, did, and waits for; and what is queued for each phase.

use askama::Template;
use axum::extract::State;
use axum::response::Response;

use crate::domain::ids::SectorNumber;
use crate::domain::phase::Phase;
use crate::domain::porep::SealKind;
use crate::domain::timeline::{Attempt, DAY, How, Timeline};
use crate::domain::times::Step;
use crate::domain::units::Timestamp;
use crate::scheduler::view::{BoxView, Doing, WorkerView};
use crate::web::WebState;
use crate::web::error::PageError;
use crate::web::frame::{Frame, Seen, page};
use crate::web::nav::Nav;
use crate::web::show::{grouped, span};
use crate::web::times::spread_words;
use crate::web::waiting::nothing_starts;
use crate::web::words::progress_words;
use crate::worker::timeline::reasons;

/// Of a worker's attempts, so many are shown.
const LAST: usize = 4;

#[derive(Template)]
#[template(path = "workers.html", blocks = ["live"])]
struct Workers {
    frame: Frame,
    workers: Vec<Row>,
    phases: Vec<Queue>,
    /// The last day, or as much of it as is known.
    reach: String,
}

struct Row {
    view: WorkerView,
    phases: String,
    now: Option<Now>,
    idle: Option<Idle>,
    /// Of the time that is looked at.
    busy_percent: u64,
    done: Ends,
    last: Vec<Last>,
}

/// What it does.
struct Now {
    doing: Doing,
    far: String,
    usual: String,
    /// Twice as long as three of four such attempts take.
    late: bool,
}

/// What it does not.
struct Idle {
    since: Option<Timestamp>,
    why: String,
}

/// How many attempts ended how.
#[derive(Default)]
struct Ends {
    succeeded: u64,
    failed: u64,
    stopped: u64,
}

struct Last {
    sector: SectorNumber,
    phase: Phase,
    class: &'static str,
    words: String,
}

struct Queue {
    phase: Phase,
    queued: u64,
    running: u64,
    failed: u64,
    oldest: Option<Timestamp>,
    why: Option<String>,
    paused: bool,
    usual: String,
    done: Ends,
}

pub async fn show(State(state): State<WebState>, seen: Seen) -> Result<Response, PageError> {
    let frame = Frame::new(&state, &seen, Nav::Workers, "Workers");
    // The workers wait for it: a copy is quicker than a page.
    let timeline = state.timeline.get().clone();
    let day = Day::of(&timeline, frame.now);
    let row = |worker: &WorkerView| row(&state, &frame, &day, worker);
    let workers = Workers {
        workers: frame.view.workers.iter().map(row).collect(),
        phases: Phase::ALL.map(|phase| queue(&frame.view, &day, phase)).into(),
        reach: span(frame.now.since(day.from)),
        frame,
    };
    page(&seen, &workers, &workers.as_live())
}

/// What is known of the last day.
struct Day<'a> {
    from: Timestamp,
    now: Timestamp,
    attempts: Vec<&'a Attempt>,
}

impl<'a> Day<'a> {
    fn of(timeline: &'a Timeline, now: Timestamp) -> Self {
        let ms = u64::try_from(DAY.as_millis()).unwrap_or(u64::MAX);
        let day_ago = Timestamp(now.0.saturating_sub(ms));
        let attempts: Vec<&Attempt> = timeline.attempts(day_ago).collect();
        // Before its first attempt the box may not have been there at all.
        let first = attempts.iter().map(|attempt| attempt.from).min().unwrap_or(now);
        let from = first.max(day_ago).max(timeline.since().unwrap_or(day_ago)).min(now);
        Self { from, now, attempts }
    }

    fn ends(&self, of: impl Fn(&Attempt) -> bool) -> Ends {
        let mut ends = Ends::default();
        for attempt in self.attempts.iter().filter(|attempt| of(attempt)) {
            match attempt.how {
                How::Succeeded => ends.succeeded += 1,
                How::Failed => ends.failed += 1,
                How::Interrupted => ends.stopped += 1,
            }
        }
        ends
    }

    fn busy_percent(&self, worker: &WorkerView) -> u64 {
        let mine = self.attempts.iter().filter(|attempt| attempt.worker == worker.name);
        let ended = mine.map(|attempt| (attempt.from, attempt.to));
        let running = worker.doing.map(|doing| (doing.since, self.now));
        let within = |(from, to): (Timestamp, Timestamp)| {
            to.0.min(self.now.0).saturating_sub(from.0.max(self.from.0))
        };
        let busy: u64 = ended.chain(running).map(within).sum();
        let all = self.now.0.saturating_sub(self.from.0).max(1);
        (busy.saturating_mul(100) / all).min(100)
    }
}

fn row(state: &WebState, frame: &Frame, day: &Day<'_>, worker: &WorkerView) -> Row {
    let mine = |attempt: &Attempt| attempt.worker == worker.name;
    let newest = day.attempts.iter().rev().filter(|attempt| mine(attempt));
    let names: Vec<&str> = worker.phases.iter().map(|phase| phase.short_name()).collect();
    let last_end = newest.clone().next().map(|attempt| attempt.to);
    Row {
        now: worker.doing.map(|doing| now(state, frame, doing)),
        idle: worker
            .doing
            .is_none()
            .then(|| Idle { since: last_end, why: idle_words(&frame.view, worker, &names) }),
        busy_percent: day.busy_percent(worker),
        done: day.ends(mine),
        last: newest.take(LAST).map(|attempt| last(attempt)).collect(),
        phases: names.join(" "),
        view: worker.clone(),
    }
}

fn now(state: &WebState, frame: &Frame, doing: Doing) -> Now {
    // What runs comes first in the list of what is in flight.
    let sector = frame.view.in_flight.iter().find(|sector| sector.id.number == doing.sector);
    let usual =
        sector.and_then(|sector| frame.view.usual.of(sector.kind(), Step::Phase(doing.phase)));
    let far = state.progress.of(doing.sector);
    Now {
        far: far.get(&doing.phase).map(progress_words).unwrap_or_default(),
        late: usual.is_some_and(|usual| frame.now.since(doing.since) > usual.high * 2),
        usual: usual.map(spread_words).unwrap_or_default(),
        doing,
    }
}

fn idle_words(view: &BoxView, worker: &WorkerView, names: &[&str]) -> String {
    if let Some(why) = nothing_starts(view) {
        return why;
    }
    let reasons = reasons(view);
    let waits = worker.phases.iter().filter_map(|phase| {
        let why = reasons.get(phase)?;
        Some(format!("{phase} waits: {why}"))
    });
    let waits: Vec<String> = waits.collect();
    if waits.is_empty() {
        return format!("nothing is queued for {}", names.join(", "));
    }
    waits.join("; ")
}

fn last(attempt: &Attempt) -> Last {
    let took = span(attempt.to.since(attempt.from));
    let (class, word) = match attempt.how {
        How::Succeeded => ("done", "in"),
        How::Failed => ("fail", "failed after"),
        How::Interrupted => ("later", "was stopped after"),
    };
    let words = format!("{} of {} {word} {took}", attempt.phase, attempt.sector);
    Last { sector: attempt.sector, phase: attempt.phase, class, words }
}

fn queue(view: &BoxView, day: &Day<'_>, phase: Phase) -> Queue {
    let counts = view.counts.phases[phase];
    let kind = SealKind::new(view.sector_size, view.porep);
    let held = reasons(view).remove(&phase);
    Queue {
        phase,
        queued: counts.queued,
        running: counts.running,
        failed: counts.failed,
        oldest: view.oldest[phase].filter(|_| counts.queued > 0),
        why: held,
        paused: view.paused.contains(&phase),
        usual: view.usual.of(kind, Step::Phase(phase)).map(spread_words).unwrap_or_default(),
        done: day.ends(|attempt| attempt.phase == phase),
    }
}

impl Ends {
    fn succeeded(&self) -> String {
        grouped(self.succeeded)
    }

    /// `3 failed, 1 stopped`; nothing if all went well.
    fn otherwise(&self) -> String {
        let some =
            |count: u64, word: &str| (count > 0).then(|| format!("{} {word}", grouped(count)));
        let words = [some(self.failed, "failed"), some(self.stopped, "stopped")];
        words.into_iter().flatten().collect::<Vec<_>>().join(", ")
    }
}
