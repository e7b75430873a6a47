//! How long things take, in words and for the API.

use std::time::Duration;

use serde::Serialize;
use serde_json::Value;

use super::schema::{Shaped, Shapes, named, shape};
use super::show::{grouped, plural, rfc3339, span};
use crate::domain::phase::Phase;
use crate::domain::porep::{Porep, SealKind};
use crate::domain::sector::Sector;
use crate::domain::times::{Amount, Spread, Step, Throughput, Usual};
use crate::domain::units::{ByteSize, Timestamp};

const HOUR: Duration = Duration::from_secs(3_600);
const DAY: Duration = Duration::from_secs(24 * 3_600);

/// What a sector may still take, in seconds: half of all such lie between `low` and `high`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct DoneIn {
    pub median_sec: u64,
    pub low_sec: u64,
    pub high_sec: u64,
}

impl DoneIn {
    /// None where there is no basis.
    pub fn of(sector: &Sector, usual: &Usual, now: Timestamp) -> Option<Self> {
        let left = usual.left(sector, now)?;
        let [median_sec, low_sec, high_sec] =
            [left.median, left.low, left.high].map(|one| one.as_secs());
        Some(Self { median_sec, low_sec, high_sec })
    }
}

/// The same in words, as in `~ 4 h 40 min (3 h 50 min to 5 h 10 min)`.
pub fn done_in(sector: &Sector, usual: &Usual, now: Timestamp) -> Option<String> {
    usual.left(sector, now).map(|left| format!("~ {}", spread_words(left)))
}

/// What a phase of the sector usually takes here, with its spread.
pub fn usual(sector: &Sector, usual: &Usual, phase: Phase) -> Option<String> {
    usual.of(sector.kind(), Step::Phase(phase)).map(spread_words)
}

/// `4 h 40 min (3 h 50 min to 5 h 10 min)`.
pub fn spread_words(spread: Spread) -> String {
    let Spread { low, median, high } = spread;
    let [low, median, high] = [low, median, high].map(span);
    if low == high { median } else { format!("{median} ({low} to {high})") }
}

/// What a step usually takes on this box.
#[derive(Debug, Serialize)]
pub struct UsualRow {
    size: &'static str,
    porep: Porep,
    /// `P1` to `P6`, or `seed`: from the end of P2 until it is drawn.
    step: &'static str,
    median_ms: u64,
    low_ms: u64,
    high_ms: u64,
}

impl UsualRow {
    pub fn all_of(usual: &Usual) -> Vec<Self> {
        let ms = |one: Duration| u64::try_from(one.as_millis()).unwrap_or(u64::MAX);
        let row = |(kind, step, spread): (SealKind, Step, Spread)| Self {
            size: kind.size.name(),
            porep: kind.porep,
            step: match step {
                Step::Phase(phase) => phase.short_name(),
                Step::Seed => "seed",
            },
            median_ms: ms(spread.median),
            low_ms: ms(spread.low),
            high_ms: ms(spread.high),
        };
        usual.all().map(row).collect()
    }
}

/// What was finished in some time.
#[derive(Debug, Serialize)]
pub struct Finished {
    #[serde(flatten)]
    amount: Amount,
    /// It is counted from here on only; none if it is all.
    since: Option<String>,
}

/// What was finished, to the minute.
#[derive(Debug, Serialize)]
pub struct Finishing {
    pub last_hour: Finished,
    pub last_24_hours: Finished,
    /// Since midnight UTC.
    pub today: Finished,
}

impl Shaped for Finished {
    fn shape(shapes: &mut Shapes) -> Value {
        let [count, bytes] = [u64::shape(shapes), u64::shape(shapes)];
        let since = Option::<String>::shape(shapes);
        let all = vec![("sectors", count), ("bytes", bytes), ("since", since)];
        named("Finished", shapes, |_| all)
    }
}

impl Finishing {
    pub fn of(throughput: &Throughput, now: Timestamp) -> Self {
        let finished = |(amount, since): (Amount, Option<Timestamp>)| Finished {
            amount,
            since: since.map(rfc3339),
        };
        Self {
            last_hour: finished(throughput.last(HOUR, now)),
            last_24_hours: finished(throughput.last(DAY, now)),
            today: finished(throughput.today(now)),
        }
    }

    /// Each with its name, as the Overview shows it.
    pub fn rows(&self) -> [(&'static str, &Finished); 3] {
        [
            ("last hour", &self.last_hour),
            ("last 24 hours", &self.last_24_hours),
            ("today (UTC)", &self.today),
        ]
    }
}

impl Finished {
    pub fn sectors(&self) -> String {
        grouped(self.amount.sectors)
    }

    pub fn bytes(&self) -> String {
        ByteSize(self.amount.bytes).to_string()
    }

    /// For the hover.
    pub fn words(&self) -> String {
        let sectors = plural(self.amount.sectors, "sector", "sectors");
        match &self.since {
            Some(since) => format!("{sectors} finished, counted since {since} only"),
            None => format!("{sectors} finished"),
        }
    }

    /// Whether there are more than are counted.
    pub fn at_least(&self) -> bool {
        self.since.is_some()
    }
}

shape!(DoneIn { median_sec, low_sec, high_sec });
shape!(UsualRow { size, porep, step, median_ms, low_ms, high_ms });
shape!(Finishing { last_hour, last_24_hours, today });
