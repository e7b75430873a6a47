//! History: what the workers did and waited for, and how the box and its machine fared.

use askama::Template;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::response::Response;
use serde::Deserialize;

use crate::domain::timeline::DAY;
use crate::web::WebState;
use crate::web::error::{PageError, Unanswered};
use crate::web::figures::Charts;
use crate::web::frame::{Frame, Seen, page};
use crate::web::gantt::{Gantt, Range};
use crate::web::lookup::{self, given};
use crate::web::nav::Nav;
use crate::web::show::Markup;

#[derive(Template)]
#[template(path = "history.html", blocks = ["live"])]
struct History {
    frame: Frame,
    range: Range,
    gantt: Gantt,
    /// Of the timeline, if the range begins before.
    since: Option<Markup>,
    charts: Charts,
}

impl History {
    fn ranges(&self) -> [Range; Range::ALL.len()] {
        Range::ALL
    }
}

#[derive(Debug, Default, Deserialize)]
pub struct Params {
    range: Option<String>,
}

pub async fn show(
    State(state): State<WebState>,
    seen: Seen,
    sent: Result<Query<Params>, QueryRejection>,
) -> Result<Response, PageError> {
    let Query(params) = sent.map_err(|rejection| {
        Unanswered::new(rejection.status(), rejection.body_text(), "give each parameter once")
    })?;
    let range = lookup::range(given(&params.range))?;
    let frame = Frame::new(&state, &seen, Nav::History, "History");
    // The workers wait for it: a copy is quicker than a page.
    let timeline = state.timeline.get().clone();
    let begins = frame
        .now
        .0
        .saturating_sub(u64::try_from(range.time().min(DAY).as_millis()).unwrap_or(u64::MAX));
    let history = History {
        gantt: Gantt::of(&timeline, &frame.view, range, frame.now),
        since: timeline.since().filter(|since| since.0 > begins).map(|since| frame.clock(&since)),
        charts: Charts::of(&state, range, frame.now),
        range,
        frame,
    };
    page(&seen, &history, &history.as_live())
}
