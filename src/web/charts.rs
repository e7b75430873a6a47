//! What the charts show, as the API sends it: the samples line by line, what was finished by hours and
//! days, and how far ahead forecasts are drawn. `figures` makes pictures and tables of it.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Value, json};

use super::WebState;
use super::disks::DiskRow;
use super::gantt::Range;
use super::schema::{Shaped, Shapes, shape};
use crate::domain::phase::Phase;
use crate::domain::times::Amount;
use crate::domain::units::Timestamp;
use crate::samples::{Grain, Sample, disk_key};
use crate::scheduler::view::DiskRole;

/// The most points of a line: more than a screen is wide.
const POINTS: usize = 1_440;
/// What of the time that is shown a forecast is drawn ahead.
const AHEAD: u64 = 2;

/// Lines by their names, one value for each moment; as the API sends them.
#[derive(Debug, Default, Serialize)]
pub struct Columns {
    /// The time between two, in seconds.
    pub every_s: u64,
    /// Seconds since 1970.
    pub at: Vec<u64>,
    pub series: BTreeMap<String, Vec<Option<f64>>>,
    /// What was finished in each hour, the one that goes on last: a day of them, or a week.
    pub hours: Vec<Bar>,
    /// As that, by days of UTC: a week of them, or sixty.
    pub days: Vec<Bar>,
    /// How disks fill by their forecasts.
    pub ahead: Vec<Ahead>,
}

impl Shaped for Columns {
    fn shape(shapes: &mut Shapes) -> Value {
        let seconds = json!({ "type": "integer", "minimum": 0 });
        let lines = json!({ "type": "array", "items": { "type": ["number", "null"] } });
        let (bars, ahead) = (Vec::<Bar>::shape(shapes), Vec::<Ahead>::shape(shapes));
        let required = ["every_s", "at", "series", "hours", "days", "ahead"];
        json!({ "type": "object", "required": required, "properties": {
            "every_s": seconds,
            "at": { "type": "array", "items": seconds },
            "series": { "type": "object", "additionalProperties": lines },
            "hours": bars,
            "days": bars,
            "ahead": ahead,
        } })
    }
}

/// What was finished in a time.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Bar {
    /// When it began, in seconds since 1970.
    pub at: u64,
    pub sectors: u64,
    pub bytes: u64,
}

shape!(Bar { at, sectors, bytes });

impl Bar {
    fn of((at, amount): (Timestamp, Amount)) -> Self {
        Self { at: at.0 / 1_000, sectors: amount.sectors, bytes: amount.bytes }
    }
}

/// A line ahead, from now to when the disk is full, or as far as there is room for it.
#[derive(Debug, Clone, Serialize)]
pub struct Ahead {
    /// The series that goes on with it.
    pub of: String,
    /// Seconds since 1970.
    pub from_s: u64,
    pub to_s: u64,
    /// In GiB.
    pub from_gib: f64,
    pub to_gib: f64,
    /// As in `full in ~ 6 days`.
    pub words: String,
}

impl Shaped for Ahead {
    fn shape(shapes: &mut Shapes) -> Value {
        // Does not compile if there is another field.
        let _all =
            |Ahead { of: _, from_s: _, to_s: _, from_gib: _, to_gib: _, words: _ }: &Ahead| ();
        super::schema::named("Ahead", shapes, |_| {
            let (text, seconds) =
                (json!({ "type": "string" }), json!({ "type": "integer", "minimum": 0 }));
            let gib = json!({ "type": "number" });
            vec![
                ("of", text.clone()),
                ("from_s", seconds.clone()),
                ("to_s", seconds),
                ("from_gib", gib.clone()),
                ("to_gib", gib),
                ("words", text),
            ]
        })
    }
}

/// As many as a page needs.
pub fn all(state: &WebState, range: Range, now: Timestamp) -> Columns {
    columns(state, &DiskRow::all_of(state), range, now, POINTS)
}

/// The samples of a time, at most so many, and what goes with them.
pub fn columns(
    state: &WebState,
    disks: &[DiskRow],
    range: Range,
    now: Timestamp,
    most: usize,
) -> Columns {
    let ms = u64::try_from(range.time().as_millis()).unwrap_or(u64::MAX);
    let (grain, hours, days) = match range {
        Range::Minutes | Range::Hour | Range::SixHours | Range::Day => (Grain::Fine, 24, 7),
        Range::Week => (Grain::Coarse, 7 * 24, 7),
        Range::Weeks => (Grain::Coarse, 7 * 24, 60),
    };
    let samples = state.samples.since(Timestamp(now.0.saturating_sub(ms)), grain, most);
    let mut columns = Columns {
        every_s: grain.every_ms() / 1_000,
        hours: state.samples.hours(hours, now).into_iter().map(Bar::of).collect(),
        days: state.samples.days(days, now).into_iter().map(Bar::of).collect(),
        ahead: disks.iter().filter_map(|disk| ahead(disk, range, now)).collect(),
        ..Columns::default()
    };
    for sample in &samples {
        columns.at.push(sample.at.0 / 1_000);
        for (name, value) in values(sample, disks) {
            columns.series.entry(name).or_default().push(value);
        }
    }
    columns
}

/// The name of a disk's line.
pub fn used(disk: &DiskRow) -> String {
    format!("used {}", disk.view.path.display())
}

/// Of a scratch: what sectors in flight may still add to what is used.
pub fn reserved(disk: &DiskRow) -> Option<String> {
    let is_scratch = disk.view.role == DiskRole::Scratch;
    is_scratch.then(|| format!("reserved {}", disk.view.path.display()))
}

/// All lines have a value in every sample, or a gap.
fn values(sample: &Sample, disks: &[DiskRow]) -> Vec<(String, Option<f64>)> {
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
        ("sectors_an_hour".to_owned(), Some(f64::from(sample.hour_sectors))),
        ("gib_an_hour".to_owned(), gib(sample.hour_mib)),
    ];
    for phase in Phase::ALL {
        for (name, ms) in ["low", "median", "high"].into_iter().zip(sample.took[phase]) {
            let known = (sample.took[phase] != [0; 3]).then_some(f64::from(ms) / 1_000.0);
            values.push((format!("{}_{name}", phase.short_name().to_lowercase()), known));
        }
    }
    for disk in disks {
        let key = disk_key(&disk.view.path);
        let fill = sample.disks.iter().find(|fill| fill.key == key);
        values.push((used(disk), fill.and_then(|fill| gib(fill.used_mib))));
        let name = reserved(disk);
        values.extend(name.map(|name| (name, fill.and_then(|fill| gib(fill.reserved_mib)))));
    }
    values
}

fn ahead(disk: &DiskRow, range: Range, now: Timestamp) -> Option<Ahead> {
    let left = disk.full_at?.since(now).as_secs();
    let drawn = left.min(range.time().as_secs() / AHEAD);
    let gib = |bytes: u64| (bytes >> 20) as f64 / 1_024.0;
    let (from, full) = (gib(disk.view.used_bytes), gib(disk.full_bytes()));
    let part = if left == 0 { 1.0 } else { drawn as f64 / left as f64 };
    Some(Ahead {
        of: used(disk),
        from_s: now.0 / 1_000,
        to_s: now.0 / 1_000 + drawn,
        from_gib: from,
        to_gib: from + (full - from) * part,
        words: disk.forecast_words()?,
    })
}
