//! What every page shows round its content, and what it needs to know of the request.

use std::convert::Infallible;
use std::sync::Arc;

use askama::Template;
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use axum::response::{Html, IntoResponse, Response};

use super::error::{PageError, Unanswered};
use super::flash::Said;
use super::nav::Nav;
use super::read_only::without_buttons;
use super::show::{self, Markup};
use super::{WebState, flash, live};
use crate::access::{Caller, Shown};
use crate::domain::units::{SectorSize, Timestamp};
use crate::scheduler::view::BoxView;

/// The request, as far as pages care.
#[derive(Debug, Clone)]
pub struct Seen {
    /// Its path and query: where the live part is fetched from, and where an action leads back.
    pub here: String,
    flash: Option<Said>,
    /// None only where a page is made without the guards at the door.
    caller: Option<Caller>,
    /// Asked for by the page itself, to renew its live part.
    renewal: bool,
}

impl Seen {
    pub fn is_renewal(&self) -> bool {
        self.renewal
    }
}

impl<S: Sync> FromRequestParts<S> for Seen {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Infallible> {
        let here = parts.uri.path_and_query().map_or("/", |here| here.as_str()).to_owned();
        let renewal = parts.headers.contains_key("hx-request");
        // A renewal leaves the sentence to the page it was meant for.
        let flash = if renewal { None } else { flash::left(&parts.headers) };
        let caller = parts.extensions.get().cloned();
        Ok(Self { here, flash, caller, renewal })
    }
}

impl Seen {
    fn may_act(&self) -> bool {
        self.caller.as_ref().is_some_and(|caller| caller.role.may_act())
    }

    fn is_signed_in(&self) -> bool {
        self.caller.as_ref().is_some_and(|caller| caller.shown == Shown::Session)
    }
}

/// What `base.html` needs.
#[derive(Debug, Clone)]
pub struct Frame {
    pub title: String,
    pub nav: Nav,
    pub here: String,
    pub flash: Option<Said>,
    /// Else whoever looks at it may only look.
    pub may_act: bool,
    /// By a session, which can be ended.
    pub signed_in: bool,
    /// What the page was made from; the live connection compares it with what there is.
    pub version: String,
    pub now: Timestamp,
    pub view: Arc<BoxView>,
}

impl Frame {
    pub fn new(state: &WebState, seen: &Seen, nav: Nav, title: impl Into<String>) -> Self {
        Self {
            title: title.into(),
            nav,
            here: seen.here.clone(),
            flash: seen.flash.clone(),
            may_act: seen.may_act(),
            signed_in: seen.is_signed_in(),
            version: live::version(state),
            now: show::now(),
            view: state.handle.view(),
        }
    }

    pub fn navs(&self) -> [Nav; Nav::ALL.len()] {
        Nav::ALL
    }

    pub fn sizes(&self) -> [SectorSize; 5] {
        SectorSize::ALL
    }

    pub fn ago(&self, at: &Timestamp) -> Markup {
        show::ago(*at, self.now)
    }

    pub fn lasting(&self, since: &Timestamp) -> Markup {
        show::lasting(*since, self.now)
    }

    pub fn clock(&self, at: &Timestamp) -> Markup {
        show::clock(*at)
    }

    /// How many entries the box's history has.
    pub fn events(&self) -> String {
        show::grouped(self.view.seq.0)
    }

    pub fn asset(&self, name: &str) -> String {
        super::assets::url(name)
    }
}

/// A page as an answer: the whole of it to who comes to it, its live part alone to one that is
/// open. What was left to be said is said once.
pub fn page(
    seen: &Seen,
    whole: &impl Template,
    live: &impl Template,
) -> Result<Response, PageError> {
    let rendered = if seen.renewal { live.render() } else { whole.render() };
    let text = rendered.map_err(|error| {
        tracing::error!(%error, "a page could not be rendered");
        let status = axum::http::StatusCode::INTERNAL_SERVER_ERROR;
        Unanswered::new(status, "this page could not be made", "please report it with the log")
    })?;
    let text = if seen.may_act() { text } else { without_buttons(&text) };
    let mut headers = HeaderMap::new();
    if seen.flash.is_some() && !seen.renewal {
        headers.insert(header::SET_COOKIE, flash::clear());
    }
    Ok((headers, Html(text)).into_response())
}
