//! Logs: the box's latest lines, and every log alone or as text.

use askama::Template;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::response::{IntoResponse, Redirect, Response};

use crate::domain::ids::SectorId;
use crate::logs::{self, Whose};
use crate::web::WebState;
use crate::web::error::{Named, PageError, Unanswered};
use crate::web::frame::{Frame, Seen, page};
use crate::web::log::{Log, LogParams, download};
use crate::web::lookup;
use crate::web::nav::Nav;

#[derive(Template)]
#[template(path = "logs.html", blocks = ["live"])]
struct Logs {
    frame: Frame,
    log: Log,
    /// Where its files are.
    dir: String,
}

type Sent = Result<Query<LogParams>, QueryRejection>;

pub fn params(sent: Sent) -> Result<LogParams, PageError> {
    let Query(params) = sent.map_err(|rejection| {
        Unanswered::new(rejection.status(), rejection.body_text(), "give each parameter once")
    })?;
    Ok(params)
}

pub async fn show(
    State(state): State<WebState>,
    seen: Seen,
    sent: Sent,
) -> Result<Response, PageError> {
    let log = Log::of(&state, Whose::Box, &params(sent)?).await?;
    let frame = Frame::new(&state, &seen, Nav::Logs, "Logs");
    let dir = logs::dir(&state.reload.loaded().config.data_dir).display().to_string();
    let logs = Logs { frame, log, dir };
    page(&seen, &logs, &logs.as_live())
}

/// The part that is renewed while it is followed.
pub async fn lines(
    State(state): State<WebState>,
    seen: Seen,
    sent: Sent,
) -> Result<Response, PageError> {
    part(&state, &seen, Whose::Box, "/logs", sent).await
}

/// The same of a sector's own log.
pub async fn sector_lines(
    State(state): State<WebState>,
    Named(number): Named,
    seen: Seen,
    sent: Sent,
) -> Result<Response, PageError> {
    let number = lookup::sector(&state, &number)?.id.number;
    part(&state, &seen, Whose::Sector(number), &format!("/sectors/{number}#log"), sent).await
}

/// For the page that it is a part of; a person who comes here is led to that page.
async fn part(
    state: &WebState,
    seen: &Seen,
    whose: Whose,
    at: &str,
    sent: Sent,
) -> Result<Response, PageError> {
    if !seen.is_renewal() {
        return Ok(Redirect::to(at).into_response());
    }
    let log = Log::of(state, whose, &params(sent)?).await?;
    page(seen, &log, &log)
}

pub async fn text(State(state): State<WebState>, sent: Sent) -> Result<Response, PageError> {
    Ok(download(&state, Whose::Box, &params(sent)?, "sealbox.log").await?)
}

pub async fn sector_text(
    State(state): State<WebState>,
    Named(number): Named,
    sent: Sent,
) -> Result<Response, PageError> {
    let id: SectorId = lookup::sector(&state, &number)?.id;
    let whose = Whose::Sector(id.number);
    Ok(download(&state, whose, &params(sent)?, &format!("{id}.log")).await?)
}
