//! A line of the log, as every file, page and answer has it.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use tracing::field::{Field, Visit};

use crate::domain::ids::SectorNumber;
use crate::domain::phase::Phase;
use crate::domain::units::Timestamp;

/// What an attempt's process writes is logged under these; the line itself names its own target.
pub const OF_CHILD: &str = "attempt";
pub const OF_CHILD_OURS: &str = "sealbox::attempt";

/// A message or a field that is longer is cut, in characters.
const LONGEST: usize = 2_048;
/// Fields beyond these are left out.
const MOST_FIELDS: usize = 16;

/// A line's place in the one order of all lines: about microseconds since 1970, and growing.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct LineId(pub u64);

impl LineId {
    pub fn at(self) -> Timestamp {
        Timestamp(self.0 / 1_000)
    }
}

/// How much a line matters; the most comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    Error,
    Warn,
    Info,
    Debug,
    Trace,
}

impl Level {
    pub const ALL: [Self; 5] = [Self::Error, Self::Warn, Self::Info, Self::Debug, Self::Trace];

    pub fn name(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
            Self::Trace => "trace",
        }
    }
}

/// `expected error, warn, info, debug or trace`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no level: expected error, warn, info, debug or trace")]
pub struct BadLevel(String);

impl FromStr for Level {
    type Err = BadLevel;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let found = Self::ALL.into_iter().find(|level| level.name().eq_ignore_ascii_case(text));
        found.ok_or_else(|| BadLevel(text.to_owned()))
    }
}

impl From<&tracing::Level> for Level {
    fn from(level: &tracing::Level) -> Self {
        match *level {
            tracing::Level::ERROR => Self::Error,
            tracing::Level::WARN => Self::Warn,
            tracing::Level::INFO => Self::Info,
            tracing::Level::DEBUG => Self::Debug,
            tracing::Level::TRACE => Self::Trace,
        }
    }
}

/// Whom a line concerns, as far as that is known.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct About {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sector: Option<SectorNumber>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phase: Option<Phase>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attempt: Option<u32>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Read")]
pub struct Line {
    pub id: LineId,
    pub level: Level,
    #[serde(flatten)]
    pub about: About,
    /// The module that it comes from.
    pub target: String,
    pub message: String,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub fields: BTreeMap<String, String>,
}

/// A line as it is read: without `flatten`, which keeps a copy of all that it passes over.
#[derive(Deserialize)]
struct Read {
    id: LineId,
    level: Level,
    sector: Option<SectorNumber>,
    phase: Option<Phase>,
    attempt: Option<u32>,
    target: String,
    message: String,
    #[serde(default)]
    fields: BTreeMap<String, String>,
}

impl From<Read> for Line {
    fn from(read: Read) -> Self {
        let Read { id, level, sector, phase, attempt, target, message, fields } = read;
        Self { id, level, about: About { sector, phase, attempt }, target, message, fields }
    }
}

/// A line as it is written and sent: with its time as people read it.
#[derive(Debug, Serialize)]
pub struct Written<'a> {
    at: String,
    #[serde(flatten)]
    line: &'a Line,
}

impl Line {
    /// A line of the log about itself.
    pub fn own(id: LineId, message: String) -> Self {
        let about = About::default();
        let target = "sealbox::logs".to_owned();
        Self { id, level: Level::Warn, about, target, message, fields: BTreeMap::new() }
    }

    /// What an event says, without a place yet. `about` is what the spans around it know.
    pub fn of(event: &tracing::Event<'_>, about: About) -> Self {
        let mut said = Said::default();
        event.record(&mut said);
        let (metadata, own) = (event.metadata(), said.about);
        let mut line = Self {
            id: LineId::default(),
            level: metadata.level().into(),
            about: About {
                sector: own.sector.or(about.sector),
                phase: own.phase.or(about.phase),
                attempt: own.attempt.or(about.attempt),
            },
            // A record of the `log` crate: its own target is a field.
            target: said.target.unwrap_or_else(|| metadata.target().to_owned()),
            message: said.message,
            fields: said.fields,
        };
        if [OF_CHILD, OF_CHILD_OURS].contains(&line.target.as_str())
            && let Some((target, message)) = line.message.split_once(": ")
            && !target.contains(char::is_whitespace)
        {
            (line.target, line.message) = (target.to_owned(), message.to_owned());
        }
        line
    }

    pub fn written(&self) -> Written<'_> {
        Written { at: self.id.at().rfc3339(), line: self }
    }

    /// One line of JSON, with its end.
    pub fn json(&self) -> String {
        serde_json::to_string(&self.written()).expect("it is made of text and numbers") + "\n"
    }

    /// Message and fields: `attempt failed class=space`.
    pub fn text(&self) -> String {
        let mut text = self.message.clone();
        for (name, value) in &self.fields {
            let space = if text.is_empty() { "" } else { " " };
            // Writing to a string cannot fail.
            let _ = write!(text, "{space}{name}={value}");
        }
        text
    }

    /// Whether any of it holds this text, which is in lower case.
    pub fn holds(&self, text: &str) -> bool {
        let holds = |part: &str| part.to_lowercase().contains(text);
        holds(&self.text()) || holds(&self.target)
    }
}

/// As people read it: time, level, whom it concerns, where it comes from, what it says. On one line.
impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let level = self.level.name().to_uppercase();
        write!(f, "{} {level:5} ", self.id.at().rfc3339())?;
        if let Some(sector) = self.about.sector {
            write!(f, "sector {sector} ")?;
        }
        if let (Some(phase), Some(attempt)) = (self.about.phase, self.about.attempt) {
            write!(f, "{phase} attempt {attempt} ")?;
        }
        let text = self.text().replace(char::is_control, " ");
        write!(f, "{}: {text}", self.target)
    }
}

/// Every text of a line comes through here. Escape sequences that a terminal would obey are taken
/// out, and a library in trouble is cut short; what nobody may read would be taken out here, too.
fn fit_to_tell(text: &str) -> String {
    let cut = text.char_indices().nth(LONGEST).map(|(at, _)| at);
    let (head, more) = cut.map_or((text, ""), |at| (&text[..at], "…"));
    let kept = head.trim_end().chars();
    let kept = kept.map(|c| if c.is_control() && c != '\n' && c != '\t' { ' ' } else { c });
    kept.chain(more.chars()).collect()
}

/// What an event or a span holds, taken apart.
#[derive(Debug, Default)]
pub struct Said {
    pub about: About,
    target: Option<String>,
    message: String,
    fields: BTreeMap<String, String>,
}

impl Said {
    fn field(&mut self, name: &str, text: &str) {
        match name {
            "message" => self.message = fit_to_tell(text),
            "log.target" => self.target = Some(fit_to_tell(text)),
            "phase" => match text.parse() {
                Ok(phase) => self.about.phase = Some(phase),
                Err(_) => self.other(name, text),
            },
            // Where in its sources a library logs is of no use here.
            name if name.starts_with("log.") => {}
            name => self.other(name, text),
        }
    }

    fn other(&mut self, name: &str, text: &str) {
        if self.fields.len() < MOST_FIELDS {
            self.fields.insert(name.to_owned(), fit_to_tell(text));
        }
    }
}

impl Visit for Said {
    fn record_u64(&mut self, field: &Field, value: u64) {
        match field.name() {
            "sector" => self.about.sector = Some(SectorNumber(value)),
            "attempt" => self.about.attempt = u32::try_from(value).ok(),
            name => self.field(name, &value.to_string()),
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.field(field.name(), value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.field(field.name(), &format!("{value:?}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told_is_bounded_and_orders_no_terminal_about() {
        let told = fit_to_tell(&format!("\u{1b}[31mred\u{7}\n{}", "ü".repeat(3_000)));
        assert!(told.starts_with(" [31mred \nü"), "{told}");
        assert_eq!(told.chars().count(), LONGEST + 1);
        assert!(told.ends_with("ü…"));
    }

    #[test]
    fn a_line_is_the_same_after_it_was_written_and_read() {
        let line = Line {
            id: LineId(1_763_844_035_123_456),
            level: Level::Error,
            about: About {
                sector: Some(SectorNumber(7)),
                phase: Some(Phase::P2),
                attempt: Some(3),
            },
            target: "storage_proofs".to_owned(),
            message: "two\nlines".to_owned(),
            fields: BTreeMap::from([("class".to_owned(), "space".to_owned())]),
        };
        let json = line.json();
        assert!(json.starts_with(r#"{"at":"2025-11-22T20:40:35.123Z","id":1763844035123456,"#));
        assert_eq!(json.matches('\n').count(), 1);
        assert_eq!(serde_json::from_str::<Line>(&json).unwrap(), line);
        let shown = "2025-11-22T20:40:35.123Z ERROR sector 7 P2 attempt 3 storage_proofs: \
                     two lines class=space";
        assert_eq!(line.to_string(), shown);
        assert!(line.holds("class=sp") && line.holds("storage_pr") && !line.holds("three"));
    }
}
