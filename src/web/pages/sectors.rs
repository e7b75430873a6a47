//! Sectors: all of them, newest first, by state, a page at a time.

use askama::Template;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::response::{IntoResponse, Redirect, Response};

use crate::domain::ids::SectorNumber;
use crate::domain::sector::Sector;
use crate::store::{Counts, Direction, Page, SectorFilter};
use crate::web::WebState;
use crate::web::error::{PageError, Unanswered};
use crate::web::frame::{Frame, Seen, page};
use crate::web::lookup::{self, SectorParams, SectorQuery, SectorsOf};
use crate::web::nav::Nav;
use crate::web::parts::{Bulk, Strip};
use crate::web::show::grouped;
use crate::web::words;

#[derive(Template)]
#[template(path = "sectors.html", blocks = ["live"])]
struct Sectors {
    frame: Frame,
    tabs: Vec<Tab>,
    rows: Vec<Row>,
    query: SectorQuery,
    bulk: Bulk,
    /// Where the next page is.
    next: Option<String>,
    /// Not the first page.
    further: bool,
}

struct Tab {
    name: &'static str,
    /// Its address: phase and size stay.
    filter: String,
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
    let filter = query.filter();
    let sectors = Sectors {
        tabs: tabs(&counts, &query),
        bulk: bulk(&counts, &query, &listed),
        rows: listed.items.into_iter().map(|sector| row(&state, sector, now)).collect(),
        next: listed
            .next
            .map(|after| format!("/sectors?{filter}&after={after}&limit={}", query.limit)),
        further: query.after.is_some(),
        query,
        frame,
    };
    page(&seen, &sectors, &sectors.as_live())
}

fn params(sent: Result<Query<SectorParams>, QueryRejection>) -> Result<SectorParams, PageError> {
    let Query(params) = sent.map_err(|rejection| {
        Unanswered::new(rejection.status(), rejection.body_text(), "give each parameter once")
    })?;
    Ok(params)
}

/// What there is any of, and what is looked at.
fn tabs(counts: &Counts, query: &SectorQuery) -> Vec<Tab> {
    let tab = |of: SectorsOf| Tab {
        name: of.name(),
        filter: SectorQuery { of, ..*query }.filter(),
        count: count(counts, of),
        current: of == query.of,
    };
    let tabs = SectorsOf::every().into_iter().map(tab);
    tabs.filter(|tab| tab.current || tab.count > 0 || tab.name == "all").collect()
}

fn count(counts: &Counts, of: SectorsOf) -> u64 {
    match of.0 {
        SectorFilter::All => counts.sectors,
        SectorFilter::Active => counts.active(),
        SectorFilter::Attention => counts.attention,
        SectorFilter::Stage(kind) => counts.stage(kind),
    }
}

/// What can be done to many of them.
fn bulk(counts: &Counts, query: &SectorQuery, listed: &Page<Sector, SectorNumber>) -> Bulk {
    let whole = listed.next.is_none() && query.after.is_none();
    let matching = match query.is_narrow() {
        false => Some(count(counts, query.of)),
        true => whole.then_some(listed.items.len() as u64),
    };
    let fields = [
        ("state", Some(query.of.value())),
        ("phase", query.phase.map(|phase| phase.to_string())),
        ("size", query.size.map(|size| size.name().to_owned())),
    ];
    Bulk {
        filter: fields.into_iter().filter_map(|(name, value)| Some((name, value?))).collect(),
        shown: listed.items.iter().map(|sector| sector.id.number).collect(),
        all: match matching {
            Some(count) => format!("all {} that match this filter", grouped(count)),
            None => "all that match this filter".to_owned(),
        },
        verify: true,
    }
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
