//! The charts of the History page as they stand there without a script: a picture, and a table of the
//! same figures. `static/charts.js` gives the pictures their axes.

use std::fmt::Write as _;
use std::time::Duration;

use super::WebState;
use super::charts::{self, Ahead, Bar, Columns};
use super::disks::DiskRow;
use super::gantt::Range;
use super::show;
use crate::domain::phase::{PerPhase, Phase};
use crate::domain::units::{ByteSize, Timestamp};

/// Points of a line without a script.
const SPARKS: usize = 150;
/// Rows of a line's table.
const ROWS: usize = 24;
/// A picture's box, in units.
const WIDE: f64 = 600.0;
const HIGH: f64 = 120.0;

/// What a chart's values are in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    Count,
    Bytes,
    Percent,
    Gib,
    MibASecond,
    Seconds,
}

impl Unit {
    /// As `charts.js` knows it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Count => "",
            Self::Bytes => "B",
            Self::Percent => "%",
            Self::Gib => "GiB",
            Self::MibASecond => "MiB/s",
            Self::Seconds => "s",
        }
    }

    /// A value in words, as `charts.js` writes it.
    fn words(self, value: f64) -> String {
        let plain = |unit: &str| {
            let digits = usize::from(value < 100.0 && value.fract() != 0.0);
            format!("{value:.digits$}{unit}")
        };
        match self {
            Self::Count => plain(""),
            Self::Percent => plain(" %"),
            Self::Gib => plain(" GiB"),
            Self::MibASecond => plain(" MiB/s"),
            // Counted, so it is whole.
            Self::Bytes => ByteSize(value as u64).to_string(),
            Self::Seconds if value < 1.0 => format!("{:.0} ms", value * 1_000.0),
            Self::Seconds if value < 10.0 && value.fract() != 0.0 => format!("{value:.1} s"),
            Self::Seconds => show::span(Duration::from_secs_f64(value)),
        }
    }
}

/// Over which time bars are summed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    Hour,
    Day,
}

impl Step {
    /// In [`Columns`].
    pub fn name(self) -> &'static str {
        match self {
            Self::Hour => "hours",
            Self::Day => "days",
        }
    }

    /// The newest bar.
    pub fn newest(self) -> &'static str {
        match self {
            Self::Hour => "this hour so far",
            Self::Day => "today so far",
        }
    }
}

/// A chart of the page.
pub struct Chart {
    pub id: String,
    pub title: String,
    pub unit: Unit,
    /// None: lines.
    pub bars: Option<Step>,
    /// The first line is the middle of the other two, which bound a band.
    pub band: bool,
    pub lines: Vec<Line>,
    /// Lines ahead, dashed, by the number of the line that goes on.
    pub ahead: Vec<(usize, String)>,
    /// Said below it.
    pub notes: Vec<String>,
    pub head: Vec<String>,
    pub rows: Vec<Row>,
}

/// One of its lines.
pub struct Line {
    /// In [`Columns::series`], or of a [`Bar`].
    pub key: String,
    pub name: String,
    /// Drawn on top of this one.
    pub over: Option<String>,
    /// Its colour's number: what belongs together has one.
    pub color: usize,
    /// The newest value.
    pub latest: String,
    /// Its way through [`WIDE`] × [`HIGH`]; of bars, as a path.
    pub points: String,
}

/// One of its table.
pub struct Row {
    pub at: String,
    pub values: Vec<String>,
}

impl Chart {
    /// Round the band of a chart that has one: along its lower bound, and back along its upper.
    pub fn band_points(&self) -> Option<String> {
        let [_, low, high] = &self.lines[..] else { return None };
        let back: Vec<&str> = high.points.split_whitespace().rev().collect();
        self.band.then(|| format!("{}{}", low.points, back.join(" ")))
    }
}

/// All charts, by what they tell of.
pub struct Charts {
    pub finished: Vec<Chart>,
    pub phases: PerPhase<Chart>,
    pub machine: Vec<Chart>,
}

impl Charts {
    /// Those of a time.
    pub fn of(state: &WebState, range: Range, now: Timestamp) -> Self {
        let disks = DiskRow::all_of(state);
        let columns = charts::columns(state, &disks, range, now, SPARKS);
        let sectors = |bar: &Bar| bar.sectors;
        let bytes = |bar: &Bar| bar.bytes;
        let (hours, days) = ((Step::Hour, &columns.hours[..]), (Step::Day, &columns.days[..]));
        Self {
            finished: vec![
                bars("sectors-hour", "Sectors an hour", Unit::Count, hours, "sectors", sectors),
                bars("sectors-day", "Sectors a day", Unit::Count, days, "sectors", sectors),
                bars("bytes-hour", "Sealed an hour", Unit::Bytes, hours, "bytes", bytes),
                bars("bytes-day", "Sealed a day", Unit::Bytes, days, "bytes", bytes),
            ],
            phases: PerPhase::from_fn(|phase| took(&columns, phase)),
            machine: machine(&columns, &disks),
        }
    }
}

fn machine(columns: &Columns, disks: &[DiskRow]) -> Vec<Chart> {
    let two = |id, title, unit, one: [&str; 2], other: [&str; 2]| {
        let of = |(color, [key, name]): (usize, [&str; 2])| Wanted::line(key, name, color);
        lines(columns, id, title, unit, [one, other].into_iter().enumerate().map(of).collect())
    };
    vec![
        disks_chart(columns, disks),
        two("cpu", "CPU", Unit::Percent, ["cpu_machine", "machine"], ["cpu_box", "sealbox"]),
        two("memory", "Memory", Unit::Gib, ["memory_used", "machine"], ["memory_box", "sealbox"]),
        two(
            "scratch",
            "Scratch",
            Unit::MibASecond,
            ["scratch_read", "read"],
            ["scratch_written", "written"],
        ),
    ]
}

/// What a phase usually takes: half of all attempts lie in the band.
fn took(columns: &Columns, phase: Phase) -> Chart {
    let short = phase.short_name().to_lowercase();
    // In the colours of the timeline.
    let color = match phase {
        Phase::P1 => 0,
        Phase::P2 => 3,
        Phase::P3 => 2,
        Phase::P4 => 1,
        Phase::P5 => 4,
        Phase::P6 => 5,
    };
    let line = |key: &str, name: &str| Wanted::line(&format!("{short}_{key}"), name, color);
    let wanted =
        vec![line("median", "median"), line("low", "half of all from"), line("high", "to")];
    let title = format!("{phase} {}", phase.what());
    let chart = lines(columns, &format!("took-{short}"), &title, Unit::Seconds, wanted);
    Chart { band: true, ..chart }
}

fn disks_chart(columns: &Columns, disks: &[DiskRow]) -> Chart {
    let shown = disks.iter().filter(|disk| disk.view.total_bytes > 0);
    let wanted = shown.enumerate().flat_map(|(color, disk)| {
        let path = disk.view.path.display();
        let over = charts::reserved(disk).map(|key| Wanted {
            over: Some(charts::used(disk)),
            ..Wanted::line(&key, "and reserved", color)
        });
        [Wanted::line(&charts::used(disk), &format!("{path}"), color)].into_iter().chain(over)
    });
    let words =
        |disk: &DiskRow| Some(format!("{} {}", disk.view.path.display(), disk.forecast_words()?));
    let chart = lines(columns, "disks", "Disks: used and reserved", Unit::Gib, wanted.collect());
    Chart { notes: disks.iter().filter_map(words).collect(), ..chart }
}

/// A line that a chart is to have.
struct Wanted {
    key: String,
    name: String,
    over: Option<String>,
    color: usize,
}

impl Wanted {
    fn line(key: &str, name: &str, color: usize) -> Self {
        Self { key: key.to_owned(), name: name.to_owned(), over: None, color }
    }
}

fn lines(columns: &Columns, id: &str, title: &str, unit: Unit, wanted: Vec<Wanted>) -> Chart {
    let of = |key: &str| columns.series.get(key).map_or(&[][..], Vec::as_slice);
    let shown: Vec<Vec<Option<f64>>> = wanted
        .iter()
        .map(|line| match &line.over {
            Some(under) => {
                of(&line.key).iter().zip(of(under)).map(|(a, b)| Some((*a)? + (*b)?)).collect()
            }
            None => of(&line.key).to_vec(),
        })
        .collect();
    let of_these = |ahead: &&Ahead| wanted.iter().any(|line| line.key == ahead.of);
    let ahead: Vec<&Ahead> = columns.ahead.iter().filter(of_these).collect();
    let highest = shown.iter().flatten().flatten().copied();
    let highest = highest.chain(ahead.iter().map(|ahead| ahead.to_gib));
    let first = columns.at.first().copied();
    let last = columns.at.last().copied().max(ahead.iter().map(|ahead| ahead.to_s).max());
    let plane = Plane {
        first: first.unwrap_or_default(),
        last: last.unwrap_or_default(),
        highest: highest.fold(f64::MIN_POSITIVE, f64::max),
    };
    let place = |of: &str| wanted.iter().position(|line| line.key == of);
    let dashed = ahead.iter().filter_map(|ahead| {
        let [from, to] = [(ahead.from_s, ahead.from_gib), (ahead.to_s, ahead.to_gib)];
        Some((wanted[place(&ahead.of)?].color, plane.points([from, to].into_iter())))
    });
    let dashed = if first.is_some() { dashed.collect() } else { Vec::new() };
    let step = columns.at.len().div_ceil(ROWS).max(1);
    let words = |key: &str, nth: usize| {
        let value = of(key).get(nth).copied().flatten();
        value.map_or("–".to_owned(), |value| unit.words(value))
    };
    let row = |nth: usize| Row {
        at: moment(columns.at[nth]),
        values: wanted.iter().map(|line| words(&line.key, nth)).collect(),
    };
    Chart {
        rows: (0..columns.at.len()).rev().step_by(step).map(row).collect(),
        head: wanted.iter().map(|line| line.name.clone()).collect(),
        ahead: dashed,
        lines: wanted
            .iter()
            .zip(&shown)
            .map(|(line, values)| Line {
                latest: words(&line.key, columns.at.len().wrapping_sub(1)),
                points: plane.line(&columns.at, values),
                key: line.key.clone(),
                name: line.name.clone(),
                over: line.over.clone(),
                color: line.color,
            })
            .collect(),
        id: id.to_owned(),
        title: title.to_owned(),
        unit,
        bars: None,
        band: false,
        notes: Vec::new(),
    }
}

fn bars(
    id: &str,
    title: &str,
    unit: Unit,
    (step, bars): (Step, &[Bar]),
    key: &str,
    value: fn(&Bar) -> u64,
) -> Chart {
    let words = |bar: &Bar| unit.words(value(bar) as f64);
    let moment = |bar: &Bar| match step {
        Step::Hour => moment(bar.at),
        Step::Day => moment(bar.at)[..10].to_owned(),
    };
    let row = |bar: &Bar| Row { at: moment(bar), values: vec![words(bar)] };
    let highest = bars.iter().map(value).max().unwrap_or_default().max(1);
    let wide = WIDE / (bars.len().max(1) as f64);
    let mut points = String::new();
    for (nth, bar) in bars.iter().enumerate().filter(|(_, bar)| value(bar) > 0) {
        let x = nth as f64 * wide + wide * 0.1;
        let high = value(bar) as f64 / highest as f64 * (HIGH - 4.0);
        // Writing to a string cannot fail.
        let _ = write!(points, "M{x:.1} {HIGH}v-{high:.1}h{:.1}v{high:.1}z", wide * 0.8);
    }
    let line = Line {
        key: key.to_owned(),
        name: String::new(),
        over: None,
        color: 0,
        latest: bars.last().map_or("–".to_owned(), words),
        points,
    };
    Chart {
        id: id.to_owned(),
        title: title.to_owned(),
        unit,
        bars: Some(step),
        band: false,
        ahead: Vec::new(),
        notes: Vec::new(),
        head: vec![key.to_owned()],
        rows: bars.iter().rev().map(row).collect(),
        lines: vec![line],
    }
}

/// `2025-11-22 14:30`, in UTC.
fn moment(seconds: u64) -> String {
    let text = show::rfc3339(Timestamp(seconds * 1_000));
    format!("{} {}", &text[..10], &text[11..16])
}

/// Where values lie in a picture.
#[derive(Clone, Copy)]
struct Plane {
    first: u64,
    last: u64,
    highest: f64,
}

impl Plane {
    fn line(self, at: &[u64], values: &[Option<f64>]) -> String {
        let known = at.iter().zip(values).filter_map(|(at, value)| Some((*at, (*value)?)));
        self.points(known)
    }

    fn points(self, all: impl Iterator<Item = (u64, f64)>) -> String {
        let wide = self.last.saturating_sub(self.first).max(1) as f64;
        let mut points = String::new();
        for (at, value) in all {
            let x = at.saturating_sub(self.first) as f64 / wide * WIDE;
            let y = HIGH - value / self.highest * (HIGH - 4.0) - 2.0;
            // Writing to a string cannot fail.
            let _ = write!(points, "{x:.1},{y:.1} ");
        }
        points
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_said_in_the_words_that_fit_them() {
        let said = |unit: Unit, values: [f64; 3]| values.map(|value| unit.words(value));
        assert_eq!(said(Unit::Seconds, [0.12, 1.5, 10_260.0]), ["120 ms", "1.5 s", "2 h 51 min"]);
        assert_eq!(
            said(Unit::Bytes, [0.0, 2_048.0, 1_649_267_441_664.0]),
            ["0 B", "2 KiB", "1.5 TiB"]
        );
        assert_eq!(said(Unit::Percent, [0.0, 12.5, 100.0]), ["0 %", "12.5 %", "100 %"]);
    }
}
