//! The box's log, and the sectors' own.

use axum::extract::rejection::QueryRejection;
use axum::extract::{Json, Query, State};
use axum::response::IntoResponse;
use serde_json::json;

use super::{Answer, of, query};
use crate::logs::{Level, Whose};
use crate::web::error::Named;
use crate::web::log::{self, LogAnswer, LogParams};
use crate::web::openapi::{Api, Said, says};
use crate::web::schema::phase_as_given;
use crate::web::{WebState, lookup};

pub fn add(api: Api) -> Api {
    let of_box = says::<LogAnswer<'_>>("log", "The box's latest lines");
    let own = says::<LogAnswer<'_>>("sector_log", "A sector's own log");
    api.get("/log", box_log, filtered(of_box).query("sector", "of this sector", of::<u64>())).get(
        "/sectors/{number}/log",
        sector_log,
        filtered(own),
    )
}

fn filtered(said: Said) -> Said {
    said.query("level", "this level and worse ones", json!({ "enum": Level::ALL.map(Level::name) }))
        .query("q", "lines with this text", json!({ "type": "string", "maxLength": 200 }))
        .query("phase", "of this phase", phase_as_given())
        .query("attempt", "of this attempt", of::<u32>())
        .query("before", "what `previous` said: the lines ahead of it", of::<u64>())
        .paged(of::<u64>())
}

async fn sector_log(
    State(state): State<WebState>,
    Named(number): Named,
    sent: Result<Query<LogParams>, QueryRejection>,
) -> Answer {
    let number = lookup::sector(&state, &number)?.id.number;
    log_answer(&state, Whose::Sector(number), &query(sent)?).await
}

async fn box_log(
    State(state): State<WebState>,
    sent: Result<Query<LogParams>, QueryRejection>,
) -> Answer {
    log_answer(&state, Whose::Box, &query(sent)?).await
}

async fn log_answer(state: &WebState, whose: Whose, params: &LogParams) -> Answer {
    let wanted = params.parse()?;
    // First: what comes while it is looked for is told when it is asked what follows.
    let latest = state.logs.latest(whose);
    let found = log::find(state, whose, &wanted).await;
    Ok(Json(LogAnswer::of(whose, params, &wanted, latest, &found)).into_response())
}
