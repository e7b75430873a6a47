//! Sectors: all of them, newest first, by state, a page at a time.

use askama::Template;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::response::{IntoResponse, Redirect, Response};

use crate::domain::sector::Sector;
use crate::store::{Counts, Direction, SectorFilter};
use crate::web::WebState;
use crate::web::error::{PageError, Unanswered};
use crate::web::frame::{Frame, Seen, page};
use crate::web::lookup::{self, SectorParams, SectorsOf};
use crate::web::nav::Nav;
use crate::web::parts::Strip;
use crate::web::show::grouped;
use crate::web::words;

#[derive(Template)]
#[template(path = "sectors.html")]
struct Sectors {
    frame: Frame,
    tabs: Vec<Tab>,
    rows: Vec<Row>,
    of: SectorsOf,
    /// Where the next page is.
    next: Option<String>,
    /// Not the first page.
    further: bool,
}

struct Tab {
    name: &'static str,
    value: String,
    count: u64,
    current: bool,
}

impl Tab {
    fn text(&self) -> String {
        grouped(self.count)
    }
}

struct Row {
    sector: Sector,
    strip: Strip,
    class: &'static str,
    attention: String,
}

pub async fn show(
    State(state): State<WebState>,
    seen: Seen,
    sent: Result<Query<SectorParams>, QueryRejection>,
) -> Result<Response, PageError> {
    let params = params(sent)?;
    if let Some(number) = params.number.as_deref().map(str::trim).filter(|text| !text.is_empty()) {
        let number = lookup::number(number, "number")?;
        return Ok(Redirect::to(&format!("/sectors/{number}")).into_response());
    }
    let query = params.parse()?;
    let frame = Frame::new(&state, &seen, Nav::Sectors, "Sectors");
    let counts = state.reader.counts().map_err(PageError::from)?;
    let listed = lookup::sectors(&state, &query, Direction::NewestFirst)?;
    let now = frame.now;
    let sectors = Sectors {
        tabs: tabs(&counts, query.of),
        rows: listed.items.into_iter().map(|sector| row(&state, sector, now)).collect(),
        next: listed.next.map(|after| {
            format!("/sectors?state={}&after={after}&limit={}", query.of.value(), query.limit)
        }),
        further: query.after.is_some(),
        of: query.of,
        frame,
    };
    page(&seen, &sectors)
}

fn params(sent: Result<Query<SectorParams>, QueryRejection>) -> Result<SectorParams, PageError> {
    let Query(params) = sent.map_err(|rejection| {
        Unanswered::new(rejection.status(), rejection.body_text(), "give each parameter once")
    })?;
    Ok(params)
}

/// What there is any of, and what is looked at.
fn tabs(counts: &Counts, current: SectorsOf) -> Vec<Tab> {
    let tab = |of: SectorsOf| {
        let count = match of.0 {
            SectorFilter::All => counts.sectors,
            SectorFilter::Active => counts.active(),
            SectorFilter::Attention => counts.attention,
            SectorFilter::Stage(kind) => counts.stage(kind),
        };
        Tab { name: of.name(), value: of.value(), count, current: of == current }
    };
    let tabs = SectorsOf::every().into_iter().map(tab);
    tabs.filter(|tab| tab.current || tab.count > 0 || tab.name == "all").collect()
}

fn row(state: &WebState, sector: Sector, now: crate::domain::units::Timestamp) -> Row {
    let failed = sector.failures().map(|(phase, failure)| format!("{phase}: {}", failure.what));
    let fault = sector.fault().map(|fault| format!("stored copy: {}", fault.what));
    let causes: Vec<String> = failed.chain(fault).collect();
    Row {
        strip: Strip::of(&sector, now, &state.progress.of(sector.id.number)),
        class: words::look(&sector).class(),
        attention: causes.join(" · "),
        sector,
    }
}
