//! History: what the workers did and waited for, and how the box and its machine fared.

use askama::Template;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::response::Response;
use serde::Deserialize;

use crate::web::WebState;
use crate::web::error::{PageError, Unanswered};
use crate::web::frame::{Frame, Seen, page};
use crate::web::gantt::{Gantt, Range};
use crate::web::lookup::{given, shortened};
use crate::web::nav::Nav;
use crate::web::show::Markup;

#[derive(Template)]
#[template(path = "history.html")]
struct History {
    frame: Frame,
    range: Range,
    gantt: Gantt,
    /// Of the timeline, if the range begins before.
    since: Option<Markup>,
}

impl History {
    fn ranges(&self) -> [Range; 3] {
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
    let range = given(&params.range).map_or(Ok(Range::default()), range)?;
    let frame = Frame::new(&state, &seen, Nav::History, "History");
    // The workers wait for it: a copy is quicker than a page.
    let timeline = state.timeline.get().clone();
    let begins = frame.now.0.saturating_sub(range.time().as_millis() as u64);
    let history = History {
        gantt: Gantt::of(&timeline, &frame.view, range, frame.now),
        since: timeline.since().filter(|since| since.0 > begins).map(|since| frame.clock(&since)),
        range,
        frame,
    };
    page(&seen, &history)
}

fn range(name: &str) -> Result<Range, Unanswered> {
    Range::of(name).ok_or_else(|| {
        let known = Range::ALL.map(Range::name).join(", ");
        let what = format!("range: `{}` is none that there is", shortened(name));
        Unanswered::invalid(what, format!("use one of {known}"))
    })
}
