//! The box's timeline as a chart: a lane a worker, what it did, what it waited for. Made here, so
//! that it needs no script.

use std::time::Duration;

use askama::Template;
use askama::filters::HtmlSafe;

use super::show;
use crate::domain::ids::SectorNumber;
use crate::domain::phase::Phase;
use crate::domain::timeline::{Attempt, DAY, How, Timeline};
use crate::domain::units::Timestamp;
use crate::scheduler::view::{BoxView, WorkerView};

/// The time's width in the chart's units, of which a lane's name takes more.
const WIDE: u64 = 1_080;
/// Where the time begins.
const LEFT: u64 = 70;
/// A lane's height.
const LANE: u64 = 30;
/// Narrower bars of a lane are drawn as one.
const NARROW: u64 = 3;
/// From here on a bar has room for its words.
const LEGIBLE: u64 = 46;
/// Marks on the axis.
const MARKS: u64 = 6;

/// How far back a chart reaches.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Range {
    /// For a lab, whose phases take seconds.
    Minutes,
    Hour,
    #[default]
    SixHours,
    Day,
    /// The charts alone reach so far.
    Week,
    Weeks,
}

impl Range {
    pub const ALL: [Self; 6] =
        [Self::Minutes, Self::Hour, Self::SixHours, Self::Day, Self::Week, Self::Weeks];

    pub fn name(self) -> &'static str {
        match self {
            Self::Minutes => "10m",
            Self::Hour => "1h",
            Self::SixHours => "6h",
            Self::Day => "24h",
            Self::Week => "7d",
            Self::Weeks => "60d",
        }
    }

    pub fn of(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|range| range.name() == name)
    }

    pub fn time(self) -> Duration {
        let minutes = match self {
            Self::Minutes => 10,
            Self::Hour => 60,
            Self::SixHours => 6 * 60,
            Self::Day => 24 * 60,
            Self::Week => 7 * 24 * 60,
            Self::Weeks => 60 * 24 * 60,
        };
        Duration::from_secs(minutes * 60)
    }
}

/// The chart as a template.
#[derive(Template)]
#[template(path = "parts/gantt.html")]
pub struct Gantt {
    lanes: Vec<Lane>,
    marks: Vec<Mark>,
    /// The newest first, as a table says it.
    latest: Vec<Line>,
    height: u64,
}

impl HtmlSafe for Gantt {}

#[derive(Debug, Clone)]
struct Lane {
    worker: String,
    y: u64,
    /// What it does now, or waits for.
    now: String,
    bars: Vec<Bar>,
}

#[derive(Debug, Clone)]
struct Bar {
    x: u64,
    width: u64,
    class: String,
    /// In the bar, if there is room.
    label: String,
    title: String,
    /// None: several sectors, or a wait.
    sector: Option<SectorNumber>,
}

#[derive(Debug, Clone)]
struct Mark {
    x: u64,
    text: String,
}

struct Line {
    worker: String,
    phase: Phase,
    sector: SectorNumber,
    ended: show::Markup,
    took: String,
    how: &'static str,
    class: &'static str,
}

/// Where moments lie in the chart.
#[derive(Clone, Copy)]
struct Scale {
    from: Timestamp,
    to: Timestamp,
}

impl Scale {
    fn x(self, at: Timestamp) -> u64 {
        let all = self.to.0.saturating_sub(self.from.0).max(1);
        let into = at.0.clamp(self.from.0, self.to.0) - self.from.0;
        LEFT + into * WIDE / all
    }

    /// Its place and width: whatever happened can be seen.
    fn bar(self, from: Timestamp, to: Timestamp) -> (u64, u64) {
        let x = self.x(from).min(LEFT + WIDE - 2);
        (x, self.x(to).saturating_sub(x).max(2))
    }
}

/// How many rows the table below has.
const LINES: usize = 40;

impl Gantt {
    pub fn of(timeline: &Timeline, view: &BoxView, range: Range, now: Timestamp) -> Self {
        let time = range.time().min(DAY);
        let ms = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let scale = Scale { from: Timestamp(now.0.saturating_sub(ms)), to: now };
        let attempts: Vec<&Attempt> = timeline.attempts(scale.from).collect();
        let lane = |(place, worker): (u64, &WorkerView)| Lane {
            y: place * LANE,
            now: doing(timeline, worker),
            bars: bars(timeline, &attempts, worker, scale),
            worker: worker.name.clone(),
        };
        let lanes: Vec<Lane> = (0..).zip(&view.workers).map(lane).collect();
        Self {
            height: lanes.len() as u64 * LANE,
            marks: (0..=MARKS).map(|mark| mark_at(scale, mark)).collect(),
            latest: attempts.iter().rev().take(LINES).map(|one| line(one, now)).collect(),
            lanes,
        }
    }

    fn left(&self) -> u64 {
        LEFT
    }

    fn wide(&self) -> u64 {
        WIDE
    }
}

fn mark_at(scale: Scale, mark: u64) -> Mark {
    let at = Timestamp(scale.from.0 + (scale.to.0 - scale.from.0) * mark / MARKS);
    Mark { x: scale.x(at), text: show::rfc3339(at)[11..16].to_owned() }
}

fn doing(timeline: &Timeline, worker: &WorkerView) -> String {
    if let Some(doing) = worker.doing {
        return format!("{} of sector {}", doing.phase, doing.sector);
    }
    let waits = |phase: &Phase| timeline.waits(*phase, Timestamp(u64::MAX - 1)).next();
    match worker.phases.iter().find_map(waits) {
        Some(wait) => format!("waits: {}", wait.why),
        None => "idle".to_owned(),
    }
}

fn bars(timeline: &Timeline, attempts: &[&Attempt], worker: &WorkerView, scale: Scale) -> Vec<Bar> {
    // First what it waited for: what it did all the same is drawn over it.
    let waits = worker.phases.iter().flat_map(|phase| {
        timeline.waits(*phase, scale.from).map(move |wait| {
            let to = wait.to.unwrap_or(scale.to);
            let (x, width) = scale.bar(wait.from, to);
            let lasted = show::span(to.since(wait.from));
            let title = format!("{phase} waited {lasted}: {}", wait.why);
            Bar { x, width, class: "waits".into(), label: String::new(), title, sector: None }
        })
    });
    let mut bars: Vec<Bar> = waits.collect();
    let mut run: Vec<&Attempt> = Vec::new();
    let mut mine: Vec<&Attempt> =
        attempts.iter().copied().filter(|attempt| attempt.worker == worker.name).collect();
    mine.sort_by_key(|attempt| attempt.from);
    for attempt in mine {
        // Beside one another and too narrow to be told apart. One that failed leads to its sector.
        let joins = run.last().is_some_and(|last| {
            let (x, width) = scale.bar(last.from, last.to);
            let (next, next_width) = scale.bar(attempt.from, attempt.to);
            let whole = last.how != How::Failed && attempt.how != How::Failed;
            whole && width < NARROW && next_width < NARROW && next <= x + width + 1
        });
        if !joins {
            bars.extend(drawn(&run, scale));
            run.clear();
        }
        run.push(attempt);
    }
    bars.extend(drawn(&run, scale));
    if let Some(doing) = worker.doing {
        let (x, width) = scale.bar(doing.since, scale.to);
        let lasted = show::span(scale.to.since(doing.since));
        bars.push(Bar {
            x,
            width,
            class: format!("{} runs", class(doing.phase)),
            label: label(width, doing.phase, doing.sector, ""),
            title: format!("{} of sector {}: runs for {lasted}", doing.phase, doing.sector),
            sector: Some(doing.sector),
        });
    }
    bars
}

/// Attempts beside one another, as one bar.
fn drawn(run: &[&Attempt], scale: Scale) -> Option<Bar> {
    let (first, last) = run.first().zip(run.last())?;
    let (x, width) = scale.bar(first.from, last.to);
    if run.len() > 1 {
        let title = format!("{} attempts, too short to be told apart", run.len());
        let class = class(first.phase).to_owned();
        return Some(Bar { x, width, class, label: String::new(), title, sector: None });
    }
    let took = show::span(first.to.since(first.from));
    let (word, _) = how(first.how);
    let (mark, sign) = match first.how {
        How::Succeeded => ("", ""),
        How::Failed => (" failed", "✕ "),
        How::Interrupted => (" stopped", ""),
    };
    Some(Bar {
        x,
        width,
        class: format!("{}{mark}", class(first.phase)),
        label: label(width, first.phase, first.sector, sign),
        title: format!("{} of sector {}: {word} after {took}", first.phase, first.sector),
        sector: Some(first.sector),
    })
}

fn label(width: u64, phase: Phase, sector: SectorNumber, sign: &str) -> String {
    if width < LEGIBLE { String::new() } else { format!("{sign}{phase} {sector}") }
}

fn class(phase: Phase) -> &'static str {
    match phase {
        Phase::P1 => "p1",
        Phase::P2 => "p2",
        Phase::P3 => "p3",
        Phase::P4 => "p4",
        Phase::P5 => "p5",
        Phase::P6 => "p6",
    }
}

fn how(how: How) -> (&'static str, &'static str) {
    match how {
        How::Succeeded => ("succeeded", "done"),
        How::Failed => ("failed", "fail"),
        How::Interrupted => ("was stopped", "later"),
    }
}

fn line(attempt: &Attempt, now: Timestamp) -> Line {
    let (word, class) = how(attempt.how);
    Line {
        worker: attempt.worker.clone(),
        phase: attempt.phase,
        sector: attempt.sector,
        ended: show::ago(attempt.to, now),
        took: show::span(attempt.to.since(attempt.from)),
        how: word,
        class,
    }
}
