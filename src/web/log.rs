//! The log as pages and the API show it: the box's, or a sector's own.

use askama::Template;
use askama::filters::{HtmlSafe, urlencode_strict};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};

use super::WebState;
use super::error::Unanswered;
use super::lookup::{given, limit, number, phase, shortened};
use super::schema::{Shaped, Shapes, named};
use super::show::{self, Markup};
use crate::domain::ids::SectorNumber;
use crate::domain::phase::Phase;
use crate::logs::{Found, Level, Line, LineId, Query, Whose, Written};
use serde_json::{Value, json};

/// Lines of a page, unless the address says otherwise.
pub const LINES: usize = 200;
/// What is searched for is no longer, in characters.
const LONGEST_SEARCH: usize = 200;
/// More than a log can have.
const ALL: usize = 1_000_000;

/// Which lines, as an address says it. Everything is text, so that a strange value gets an answer
/// of ours.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct LogParams {
    pub level: Option<String>,
    /// What is searched for.
    pub q: Option<String>,
    pub sector: Option<String>,
    pub phase: Option<String>,
    pub attempt: Option<String>,
    pub after: Option<String>,
    pub before: Option<String>,
    pub limit: Option<String>,
}

impl LogParams {
    pub fn parse(&self) -> Result<Query, Unanswered> {
        Ok(Query {
            level: given(&self.level).map(level).transpose()?,
            text: given(&self.q).map(search).transpose()?,
            sector: given(&self.sector).map(|text| number(text, "sector")).transpose()?,
            phase: given(&self.phase).map(phase).transpose()?,
            attempt: given(&self.attempt).map(attempt).transpose()?,
            after: given(&self.after).map(|text| line_id(text, "after")).transpose()?,
            before: given(&self.before).map(|text| line_id(text, "before")).transpose()?,
            limit: given(&self.limit).map_or(Ok(LINES), |text| limit(Some(text)))?,
        })
    }

    /// What is filtered by, as an address says it: `level=warn&q=space`, or nothing.
    fn filters(&self) -> String {
        let named = [
            ("level", &self.level),
            ("q", &self.q),
            ("sector", &self.sector),
            ("phase", &self.phase),
            ("attempt", &self.attempt),
        ];
        let named = named.into_iter().filter_map(|(name, value)| {
            // Writing to a string cannot fail.
            Some(format!("{name}={}", urlencode_strict(given(value)?).ok()?))
        });
        named.collect::<Vec<_>>().join("&")
    }
}

fn level(text: &str) -> Result<Level, Unanswered> {
    text.parse().map_err(|_| {
        let mend = "use error, warn, info, debug or trace";
        Unanswered::invalid(format!("`{}` is no level", shortened(text)), mend)
    })
}

fn search(text: &str) -> Result<String, Unanswered> {
    if text.chars().count() <= LONGEST_SEARCH {
        return Ok(text.to_lowercase());
    }
    let detail = format!("`{}` is too long to be searched for", shortened(text));
    Err(Unanswered::invalid(detail, format!("give at most {LONGEST_SEARCH} characters of it")))
}

fn attempt(text: &str) -> Result<u32, Unanswered> {
    text.parse().map_err(|_| {
        let detail = format!("attempt: `{}` is no number", shortened(text));
        Unanswered::invalid(detail, "give a whole number, as in 2")
    })
}

fn line_id(text: &str, name: &str) -> Result<LineId, Unanswered> {
    text.parse().map(LineId).map_err(|_| {
        let detail = format!("{name}: `{}` is no line of a log", shortened(text));
        Unanswered::invalid(detail, "use the `id` of a line, or what the last answer said")
    })
}

/// Looks it up: a sector's own log in its file, the box's in memory.
pub async fn find(state: &WebState, whose: Whose, query: &Query) -> Found {
    match whose {
        Whose::Box => Found { page: state.logs.of_box(query), trouble: None },
        Whose::Sector(sector) => state.logs.of_sector(sector, query).await,
    }
}

/// Lines as a page shows them.
#[derive(Debug, Clone, Default, Template)]
#[template(path = "parts/lines.html")]
pub struct Lines {
    lines: Vec<Line>,
    /// Each leads to its sector and attempt.
    leads: bool,
    /// Each can be found by its id: there is only one such list on a page.
    named: bool,
}

impl HtmlSafe for Lines {}

impl Lines {
    pub fn of_attempt(lines: Vec<Line>) -> Self {
        Self { lines, leads: false, named: false }
    }

    pub fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    fn clock(&self, line: &Line) -> Markup {
        show::clock(line.id.at())
    }
}

/// A log with its filters; a template that is shown in a page, and alone to renew it there.
#[derive(Debug, Clone, Template)]
#[template(path = "parts/log.html")]
pub struct Log {
    whose: Whose,
    lines: Lines,
    trouble: Option<String>,
    /// There are earlier lines, before this one.
    earlier: Option<LineId>,
    /// It was paged back: nothing new is shown.
    past: bool,
    params: LogParams,
    query: Query,
    filters: String,
}

impl HtmlSafe for Log {}

impl Log {
    pub async fn of(
        state: &WebState,
        whose: Whose,
        params: &LogParams,
    ) -> Result<Self, Unanswered> {
        let query = params.parse()?;
        let Found { page, trouble } = find(state, whose, &query).await;
        let first = page.lines.first().map(|line| line.id);
        Ok(Self {
            whose,
            earlier: first.filter(|_| page.more && query.after.is_none()),
            lines: Lines { lines: page.lines, leads: whose == Whose::Box, named: true },
            trouble,
            past: query.before.is_some() || query.after.is_some(),
            filters: params.filters(),
            params: params.clone(),
            query,
        })
    }

    /// What the live connection is asked to tell of.
    pub fn follows(&self) -> String {
        match self.whose {
            Whose::Box => "box".to_owned(),
            Whose::Sector(sector) => sector.to_string(),
        }
    }

    /// The page that it is on.
    fn page(&self) -> String {
        match self.whose {
            Whose::Box => "/logs".to_owned(),
            Whose::Sector(sector) => format!("/sectors/{sector}"),
        }
    }

    /// Where it is had alone.
    fn part(&self) -> String {
        match self.whose {
            Whose::Box => "/logs/lines".to_owned(),
            Whose::Sector(sector) => format!("/sectors/{sector}/log"),
        }
    }

    /// Where it is had as text.
    fn text(&self) -> String {
        match self.whose {
            Whose::Box => "/logs.txt".to_owned(),
            Whose::Sector(sector) => format!("/sectors/{sector}/log.txt"),
        }
    }

    fn api(&self) -> String {
        api_address(self.whose)
    }

    /// These filters behind an address: `?level=warn`, or nothing.
    fn asking(&self) -> String {
        if self.filters.is_empty() { String::new() } else { format!("?{}", self.filters) }
    }

    fn earlier_href(&self, before: &LineId) -> String {
        let and = if self.filters.is_empty() { "" } else { "&" };
        format!("{}?{}{and}before={}#log", self.page(), self.filters, before.0)
    }

    fn levels(&self) -> [(&'static str, bool); 5] {
        Level::ALL.map(|level| (level.name(), self.query.level == Some(level)))
    }

    fn typed<'a>(&self, text: &'a Option<String>) -> &'a str {
        given(text).unwrap_or_default()
    }

    fn is_box(&self) -> bool {
        self.whose == Whose::Box
    }

    fn count_words(&self) -> String {
        let count = self.lines.lines.len() as u64;
        let lines = show::plural(count, "line", "lines");
        match (self.past, self.earlier) {
            (false, Some(_)) => format!("the latest {lines}"),
            (_, Some(_) | None) => lines,
        }
    }
}

/// All that is wanted, as text to be kept.
pub async fn download(
    state: &WebState,
    whose: Whose,
    params: &LogParams,
    name: &str,
) -> Result<Response, Unanswered> {
    let query = Query { limit: ALL, ..params.parse()? };
    let Found { page, trouble } = find(state, whose, &query).await;
    if let Some(trouble) = trouble {
        let mend = "its page shows the lines that are still in memory";
        return Err(Unanswered::new(StatusCode::SERVICE_UNAVAILABLE, trouble, mend));
    }
    let text: String = page.lines.iter().map(|line| format!("{line}\n")).collect();
    let head = [
        (header::CONTENT_TYPE, "text/plain; charset=utf-8".to_owned()),
        (header::CONTENT_DISPOSITION, format!("attachment; filename=\"{name}\"")),
    ];
    Ok((head, text).into_response())
}

fn api_address(whose: Whose) -> String {
    match whose {
        Whose::Box => "/api/v1/log".to_owned(),
        Whose::Sector(sector) => format!("/api/v1/sectors/{sector}/log"),
    }
}

/// A log as the API tells it, the earliest line first.
#[derive(Debug, Serialize)]
pub struct LogAnswer<'a> {
    sector: Option<SectorNumber>,
    lines: Vec<Written<'a>>,
    /// For `before`: there are earlier lines.
    previous: Option<LineId>,
    /// For `after`: there are later lines already.
    next: Option<LineId>,
    /// The address of what comes after these lines.
    follow: String,
    /// Why these may not be all.
    trouble: Option<&'a str>,
}

impl<'a> LogAnswer<'a> {
    /// `latest` was the last line there was before they were looked for.
    pub fn of(
        whose: Whose,
        params: &LogParams,
        query: &Query,
        latest: Option<LineId>,
        found: &'a Found,
    ) -> Self {
        let lines = &found.page.lines;
        let ids = (lines.first().map(|line| line.id), lines.last().map(|line| line.id));
        let is_forwards = query.after.is_some();
        let more = found.page.more;
        let next = ids.1.filter(|_| more && is_forwards);
        // What the filters left out need not be looked at again.
        let seen = latest.filter(|_| next.is_none() && query.before.is_none());
        let after = seen.max(ids.1).max(query.after).unwrap_or_default();
        let filters = params.filters();
        let and = if filters.is_empty() { "" } else { "&" };
        Self {
            sector: match whose {
                Whose::Box => None,
                Whose::Sector(sector) => Some(sector),
            },
            lines: lines.iter().map(Line::written).collect(),
            previous: ids.0.filter(|_| more && !is_forwards),
            next,
            follow: format!("{}?{filters}{and}after={}", api_address(whose), after.0),
            trouble: found.trouble.as_deref(),
        }
    }
}

impl Shaped for LogAnswer<'_> {
    fn shape(shapes: &mut Shapes) -> Value {
        let line = json!({
            "type": "object",
            "required": ["at", "id", "level", "target", "message"],
            "properties": {
                "at": { "type": "string", "format": "date-time" },
                "id": LineId::shape(shapes),
                "level": { "enum": ["error", "warn", "info", "debug", "trace"] },
                "sector": SectorNumber::shape(shapes),
                "phase": Phase::shape(shapes),
                "attempt": u32::shape(shapes),
                "target": { "type": "string" },
                "message": { "type": "string" },
                "fields": { "type": "object", "additionalProperties": { "type": "string" } },
            },
        });
        named("LogLines", shapes, |shapes| {
            vec![
                ("sector", Option::<SectorNumber>::shape(shapes)),
                ("lines", json!({ "type": "array", "items": line })),
                ("previous", Option::<LineId>::shape(shapes)),
                ("next", Option::<LineId>::shape(shapes)),
                ("follow", String::shape(shapes)),
                ("trouble", Option::<String>::shape(shapes)),
            ]
        })
    }
}

/// The lines of an attempt that end with its failure.
pub fn around(phase: Phase, attempt: u32, count: usize) -> Query {
    let (phase, attempt) = (Some(phase), Some(attempt));
    Query { phase, attempt, limit: count, ..Query::default() }
}
