//! Sectors: listed, one of them with its history and attempts, and what is done to one.

use axum::body::Bytes;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Json, Query, State};
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::attempts::{AttemptRow, attempts_of};
use super::done::{Aborted, Answer, PhasesRetried, Redone, carry_out};
use super::{of, query, with_direction};
use crate::domain::event::Entry;
use crate::domain::units::{SectorSize, Seq};
use crate::scheduler::command::Command;
use crate::store::Page;
use crate::web::WebState;
use crate::web::actions::sector_number;
use crate::web::entry::By;
use crate::web::error::{Named, Problem, Unanswered};
use crate::web::lookup::{self, HISTORY, Paging, SectorParams, SectorsOf, Way};
use crate::web::openapi::{Api, Said, says};
use crate::web::schema::{phase_as_given, shape};
use crate::web::verify::{self, Verification};
use crate::web::wire::{HistoryLine, SectorDetail, SectorRow};
use crate::worker::checks::Seen;

pub fn add(api: Api) -> Api {
    commands(looks(api))
}

fn looks(api: Api) -> Api {
    let states: Vec<String> = SectorsOf::every().into_iter().map(SectorsOf::value).collect();
    let list = says::<Sectors>("sectors", "Sectors, oldest first")
        .query("state", "in this state", json!({ "enum": states }))
        .query("phase", "in flight, and at this phase", phase_as_given())
        .query("size", "of this size", of::<SectorSize>())
        .query("order", "issued for this order", of::<u64>())
        .paged(of::<u64>());
    let one = says::<SectorDetail>("sector", "All of a sector");
    let history = says::<History>("history", "What happened to a sector, oldest first");
    let of_box = says::<History>(
        "box_history",
        "What was done to the box as a whole, and by whom, newest first",
    );
    let attempts = says::<Attempts>("attempts", "A sector's attempts, oldest first");
    api.get("/sectors", sectors, leading(with_direction(list), "$response.body#/sectors/0/number"))
        .get("/sectors/{number}", sector, leading(one, "$response.body#/number"))
        .get("/sectors/{number}/history", history_of, history.paged(of::<u64>()))
        .get("/history", history_of_box, of_box.paged(of::<u64>()))
        .get("/sectors/{number}/attempts", attempts_at, attempts.paged(of::<u64>()))
        .get(
            "/sectors/{number}/verify",
            verified,
            says::<Verification>("verified", "What came of proving the stored copy again"),
        )
}

fn commands(api: Api) -> Api {
    let phase = json!({ "type": "object", "additionalProperties": false, "properties": {
        "phase": { "anyOf": [phase_as_given(), { "type": "null" }] },
    } });
    let same = [("number", "$request.path.number")];
    api.post(
        "/sectors/{number}/retry",
        retry,
        says::<PhasesRetried>("retry", "Put failed tasks back")
            .may_take(phase)
            .leads("sector", "sector", &same)
            .leads("attempts", "attempts", &same),
    )
    .post(
        "/sectors/{number}/verify",
        verify_again,
        says::<Verification>("verify", "Prove the stored copy again").status(202).leads(
            "verified",
            "verified",
            &[("number", "$response.body#/sector")],
        ),
    )
    .post(
        "/sectors/{number}/redo",
        redo,
        says::<Redone>("redo", "Send it back to P1").leads("sector", "sector", &same),
    )
    .post(
        "/sectors/{number}/abort",
        abort,
        says::<Aborted>("abort", "Give it up").leads("sector", "sector", &same),
    )
}

/// What can be seen of a sector whose number is there, and done to it.
pub fn leading(said: Said, number: &'static str) -> Said {
    let all = ["sector", "history", "attempts", "sector_log", "retry", "redo", "abort", "verify"];
    all.into_iter().fold(said, |said, to| said.leads(to, to, &[("number", number)]))
}

#[derive(Serialize)]
struct Sectors {
    sectors: Vec<SectorRow>,
    next: Option<u64>,
}

shape!(Sectors { sectors, next });

/// Oldest first, unless asked otherwise: so `next` never skips what is issued meanwhile.
async fn sectors(
    State(state): State<WebState>,
    sent: Result<Query<SectorParams>, QueryRejection>,
    way: Result<Query<Way>, QueryRejection>,
) -> Result<Json<Sectors>, Problem> {
    let (wanted, direction) = (query(sent)?.parse()?, query(way)?.direction()?);
    let listed = lookup::sectors(&state, &wanted, direction)?;
    let view = state.handle.view();
    let row = |sector| SectorRow::of(sector, &view.usual);
    let sectors = listed.items.iter().map(row).collect();
    Ok(Json(Sectors { sectors, next: listed.next.map(|number| number.0) }))
}

async fn sector(
    State(state): State<WebState>,
    Named(number): Named,
) -> Result<Json<SectorDetail>, Problem> {
    let sector = lookup::sector(&state, &number)?;
    let history = lookup::history(&state, sector.id.number, None, HISTORY)?;
    let mut detail = SectorDetail::of(&state, &sector, &history.items);
    detail.history_next = history.next.map(|seq| seq.0);
    Ok(Json(detail))
}

#[derive(Serialize)]
struct History {
    history: Vec<HistoryLine>,
    next: Option<u64>,
}

shape!(History { history, next });

impl History {
    fn of(page: &Page<Entry, Seq>) -> Json<Self> {
        let history = page.items.iter().map(HistoryLine::of).collect();
        Json(Self { history, next: page.next.map(|seq| seq.0) })
    }
}

fn entry_number(text: &str) -> Option<Seq> {
    text.parse().ok().map(Seq)
}

async fn history_of_box(
    State(state): State<WebState>,
    sent: Result<Query<Paging>, QueryRejection>,
) -> Result<Json<History>, Problem> {
    let paging = query(sent)?;
    let (after, limit) = (paging.after("4711", entry_number)?, paging.limit()?);
    Ok(History::of(&lookup::box_history(&state, after, limit)?))
}

async fn history_of(
    State(state): State<WebState>,
    Named(number): Named,
    sent: Result<Query<Paging>, QueryRejection>,
) -> Result<Json<History>, Problem> {
    let paging = query(sent)?;
    let (after, limit) = (paging.after("4711", entry_number)?, paging.limit()?);
    let number = lookup::sector(&state, &number)?.id.number;
    let page = lookup::history(&state, number, after, limit)?;
    Ok(History::of(&page))
}

#[derive(Serialize)]
struct Attempts {
    attempts: Vec<AttemptRow>,
    next: Option<u64>,
}

shape!(Attempts { attempts, next });

async fn attempts_at(
    State(state): State<WebState>,
    Named(number): Named,
    sent: Result<Query<Paging>, QueryRejection>,
) -> Result<Json<Attempts>, Problem> {
    let paging = query(sent)?;
    let (after, limit) = (paging.after("4711", entry_number)?, paging.limit()?);
    let number = lookup::sector(&state, &number)?.id.number;
    let attempts = attempts_of(&state, number)?;
    let behind = attempts.into_iter().filter(|one| after.is_none_or(|after| one.seq > after.0));
    let page = lookup::piece(behind, limit, |one| one.seq);
    Ok(Json(Attempts { attempts: page.items, next: page.next }))
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct RetryBody {
    phase: Option<String>,
}

/// Which phase: of the sector's failed ones, every one unless the body names one.
async fn retry(
    State(state): State<WebState>,
    By(by): By,
    Named(number): Named,
    sent: Bytes,
) -> Answer<PhasesRetried> {
    let sector = sector_number(&number)?;
    let asked = if sent.is_empty() { RetryBody::default() } else { retry_body(&sent)? };
    let phase = asked.phase.as_deref().map(lookup::phase).transpose()?;
    carry_out(&state, &by, Command::Retry { sector, phase }).await
}

fn retry_body(sent: &[u8]) -> Result<RetryBody, Problem> {
    Ok(serde_json::from_slice(sent).map_err(|error| {
        let mend = r#"send {"phase":"P5"}, or nothing at all for every failed phase"#;
        Unanswered::invalid(error.to_string(), mend)
    })?)
}

async fn redo(State(state): State<WebState>, By(by): By, Named(number): Named) -> Answer<Redone> {
    let sector = sector_number(&number)?;
    carry_out(&state, &by, Command::Redo { sector }).await
}

async fn abort(State(state): State<WebState>, By(by): By, Named(number): Named) -> Answer<Aborted> {
    let sector = sector_number(&number)?;
    carry_out(&state, &by, Command::Abort { sector }).await
}

async fn verify_again(
    State(state): State<WebState>,
    By(by): By,
    Named(number): Named,
) -> Result<(StatusCode, Json<Verification>), Problem> {
    let sector = verify::order(&state, &number, &by)?;
    let seen = verify::seen(&state, &sector).unwrap_or(Seen::Waiting(None));
    Ok((StatusCode::ACCEPTED, Json(Verification::of(&sector, seen))))
}

async fn verified(
    State(state): State<WebState>,
    Named(number): Named,
) -> Result<Json<Verification>, Problem> {
    let sector = lookup::sector(&state, &number)?;
    let seen = verify::seen(&state, &sector).ok_or_else(|| {
        let detail = format!("nobody asked for sector {} to be proven again", sector.id.number);
        Unanswered::new(StatusCode::NOT_FOUND, detail, "ask for it with POST at this address")
    })?;
    Ok(Json(Verification::of(&sector, seen)))
}
