//! History: what the workers did and waited for, how the box and its machine fared, and who did what
//! to it.

use askama::Template;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::response::Response;
use serde::Deserialize;

use crate::domain::timeline::DAY;
use crate::domain::units::Seq;
use crate::web::WebState;
use crate::web::error::{PageError, Unanswered};
use crate::web::figures::Charts;
use crate::web::frame::{Frame, Seen, page};
use crate::web::gantt::{Gantt, Range};
use crate::web::lookup::{self, given};
use crate::web::nav::Nav;
use crate::web::show::Markup;
use crate::web::words::Happening;

#[derive(Template)]
#[template(path = "history.html", blocks = ["live"])]
struct History {
    frame: Frame,
    range: Range,
    gantt: Gantt,
    /// Of the timeline, if the range begins before.
    since: Option<Markup>,
    charts: Charts,
    /// What was done to the box as a whole, and by whom, the newest first.
    doings: Vec<Happening>,
    /// The address of what was done before.
    earlier: Option<String>,
    /// None: the newest are shown.
    after: Option<Seq>,
}

/// So much of what was done is shown at a time.
const DOINGS: usize = 25;

impl History {
    fn ranges(&self) -> [Range; Range::ALL.len()] {
        Range::ALL
    }
}

#[derive(Debug, Default, Deserialize)]
pub struct Params {
    range: Option<String>,
    after: Option<String>,
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
    let after = lookup::place(given(&params.after), "4711", |text| text.parse().ok().map(Seq))?;
    let doings = lookup::box_history(&state, after, DOINGS)?;
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
        doings: doings.items.iter().map(Happening::of).collect(),
        earlier: doings
            .next
            .map(|seq| format!("/history?range={}&after={}#doings", range.name(), seq.0)),
        after,
        range,
        frame,
    };
    page(&seen, &history, &history.as_live())
}
