//! The samples as charts: what each shows, and the lines that stand there without a script.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::Serialize;
use serde_json::{Value, json};

use super::WebState;
use super::disks::DiskRow;
use super::gantt::Range;
use super::schema::{Shaped, Shapes};
use super::show::{self, rfc3339};
use crate::domain::phase::Phase;
use crate::domain::units::Timestamp;
use crate::samples::{Grain, Sample, disk_key};
use crate::scheduler::view::DiskView;

/// The most points of a line: more than a screen is wide.
const POINTS: usize = 1_440;
/// Of a line without a script.
const SPARKS: usize = 150;
/// Its box, in units.
const WIDE: f64 = 600.0;
const HIGH: f64 = 120.0;

/// Lines by their names, one value for each moment; as the API sends them.
#[derive(Debug, Default, Serialize)]
pub struct Columns {
    /// The time between two, in seconds.
    pub every_s: u64,
    /// Seconds since 1970.
    pub at: Vec<u64>,
    pub series: BTreeMap<String, Vec<Option<f64>>>,
}

impl Shaped for Columns {
    fn shape(_: &mut Shapes) -> Value {
        let seconds = json!({ "type": "integer", "minimum": 0 });
        let lines = json!({ "type": "array", "items": { "type": ["number", "null"] } });
        json!({ "type": "object", "required": ["every_s", "at", "series"], "properties": {
            "every_s": seconds,
            "at": { "type": "array", "items": seconds },
            "series": { "type": "object", "additionalProperties": lines },
        } })
    }
}

/// The samples of a time, at most so many.
pub fn columns(state: &WebState, range: Range, now: Timestamp, most: usize) -> Columns {
    let ms = u64::try_from(range.time().as_millis()).unwrap_or(u64::MAX);
    let grain = match range {
        Range::Minutes | Range::Hour | Range::SixHours | Range::Day => Grain::Fine,
        Range::Weeks => Grain::Coarse,
    };
    let samples = state.samples.since(Timestamp(now.0.saturating_sub(ms)), grain, most);
    let mut columns = Columns { every_s: grain.every_ms() / 1_000, ..Columns::default() };
    let disks = state.disks.borrow().clone();
    for sample in &samples {
        columns.at.push(sample.at.0 / 1_000);
        for (name, value) in values(sample, &disks) {
            columns.series.entry(name).or_default().push(value);
        }
    }
    columns
}

/// As many as a page needs.
pub fn all(state: &WebState, range: Range, now: Timestamp) -> Columns {
    columns(state, range, now, POINTS)
}

/// All lines have a value in every sample, or a gap.
fn values(sample: &Sample, disks: &[DiskView]) -> Vec<(String, Option<f64>)> {
    let percent = |permille: u16| Some(f64::from(permille) / 10.0);
    let gib = |mib: u32| Some((f64::from(mib) / 1_024.0 * 100.0).round() / 100.0);
    let mib_of_kib = |kib: u32| Some((f64::from(kib) / 1_024.0 * 100.0).round() / 100.0);
    let mut values = vec![
        ("cpu_machine".to_owned(), percent(sample.cpu_machine)),
        ("cpu_box".to_owned(), percent(sample.cpu_box)),
        ("memory_used".to_owned(), gib(sample.memory_used_mib)),
        ("memory_box".to_owned(), gib(sample.memory_box_mib)),
        ("scratch_read".to_owned(), mib_of_kib(sample.scratch_read_kib)),
        ("scratch_written".to_owned(), mib_of_kib(sample.scratch_written_kib)),
        ("scratch_reserved".to_owned(), gib(sample.reserved_mib)),
        ("sectors_an_hour".to_owned(), Some(f64::from(sample.hour_sectors))),
        ("gib_an_hour".to_owned(), gib(sample.hour_mib)),
    ];
    for phase in Phase::ALL {
        for (name, seconds) in ["low", "median", "high"].into_iter().zip(sample.took[phase]) {
            let known = (sample.took[phase] != [0; 3]).then_some(f64::from(seconds));
            values.push((format!("{}_{name}", phase.short_name().to_lowercase()), known));
        }
    }
    for disk in disks {
        let key = disk_key(&disk.path);
        let used = sample.disks.iter().find(|fill| fill.key == key);
        let used = used.and_then(|fill| gib(fill.used_mib));
        values.push((format!("used {}", disk.path.display()), used));
    }
    values
}

/// A chart by its id, title and unit, and its lines by key and name.
type Wanted = (&'static str, &'static str, &'static str, Vec<(String, String)>);

/// A chart of the page.
pub struct Chart {
    pub id: &'static str,
    pub title: &'static str,
    pub unit: &'static str,
    pub lines: Vec<Line>,
}

/// One of its lines.
pub struct Line {
    /// In [`Columns::series`].
    pub key: String,
    pub name: String,
    /// The newest value.
    pub latest: String,
    /// Its way through [`WIDE`] × [`HIGH`].
    pub points: String,
}

impl Chart {
    /// Those of the History page.
    pub fn all_of(state: &WebState, range: Range, now: Timestamp) -> Vec<Self> {
        let columns = columns(state, range, now, SPARKS);
        let own = |key: &str, name: &str| (key.to_owned(), name.to_owned());
        let medians = Phase::ALL.map(|phase| {
            (format!("{}_median", phase.short_name().to_lowercase()), phase.to_string())
        });
        let disks = state.disks.borrow().clone();
        let used = disks.iter().filter(|disk| disk.total_bytes > 0).map(|disk| {
            let path = disk.path.display();
            (format!("used {path}"), format!("{path}"))
        });
        let used = used.chain([own("scratch_reserved", "reserved on scratch")]).collect();
        let wanted: [Wanted; 7] = [
            ("sectors", "Finished in the hour before", "", vec![own("sectors_an_hour", "sectors")]),
            ("rate", "Sealed in the hour before", "GiB", vec![own("gib_an_hour", "GiB")]),
            ("durations", "What a phase usually takes (median)", "s", medians.into()),
            ("cpu", "CPU", "%", vec![own("cpu_machine", "machine"), own("cpu_box", "sealbox")]),
            (
                "memory",
                "Memory",
                "GiB",
                vec![own("memory_used", "machine"), own("memory_box", "sealbox")],
            ),
            (
                "scratch",
                "Scratch",
                "MiB/s",
                vec![own("scratch_read", "read"), own("scratch_written", "written")],
            ),
            ("disks", "Disks: used and reserved", "GiB", used),
        ];
        wanted
            .into_iter()
            .map(|(id, title, unit, lines)| chart(&columns, id, title, unit, lines))
            .collect()
    }
}

fn chart(
    columns: &Columns,
    id: &'static str,
    title: &'static str,
    unit: &'static str,
    wanted: Vec<(String, String)>,
) -> Chart {
    let of = |key: &str| columns.series.get(key).map_or(&[][..], Vec::as_slice);
    let highest = wanted.iter().flat_map(|(key, _)| of(key).iter().flatten().copied());
    let highest = highest.fold(f64::MIN_POSITIVE, f64::max);
    let line = |(key, name): (String, String)| Line {
        latest: of(&key)
            .last()
            .copied()
            .flatten()
            .map_or("–".to_owned(), |value| figure(value, unit)),
        points: points(&columns.at, of(&key), highest),
        key,
        name,
    };
    Chart { id, title, unit, lines: wanted.into_iter().map(line).collect() }
}

/// As `charts.js` writes it.
fn figure(value: f64, unit: &str) -> String {
    if unit == "s" {
        return show::span(std::time::Duration::from_secs_f64(value.max(0.0)));
    }
    let digits = usize::from(value < 100.0 && value.fract() != 0.0);
    if unit.is_empty() { format!("{value:.digits$}") } else { format!("{value:.digits$} {unit}") }
}

fn points(at: &[u64], values: &[Option<f64>], highest: f64) -> String {
    let (Some(first), Some(last)) = (at.first(), at.last()) else { return String::new() };
    let all = (last - first).max(1) as f64;
    let mut points = String::new();
    for (at, value) in at.iter().zip(values) {
        let Some(value) = value else { continue };
        let x = (at - first) as f64 / all * WIDE;
        let y = HIGH - value / highest * (HIGH - 4.0) - 2.0;
        // Writing to a string cannot fail.
        let _ = write!(points, "{x:.1},{y:.1} ");
    }
    points
}

/// When each storage will be full, as the Storage page has it.
pub fn forecasts(state: &WebState) -> Vec<String> {
    let words = |row: DiskRow| {
        let day = rfc3339(row.full_at?)[..10].to_owned();
        Some(format!("{} is full on {day} at this box's own pace", row.view.path.display()))
    };
    DiskRow::all_of(state).into_iter().filter_map(words).collect()
}
