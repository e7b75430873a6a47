//! What goes wrong in answering: one cause, said as a page or as problem+json.

use askama::Template;
use axum::Json;
use axum::extract::{FromRequestParts, Path};
use axum::http::request::Parts;
use axum::http::{StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use serde::Serialize;
use serde_json::{Value, json};

use super::nav::Nav;
use super::schema::{Shaped, Shapes, named};
use crate::config::{self, ConfigErrors};
use crate::domain::failure::{Class, Failure};
use crate::reload::ReloadError;
use crate::scheduler::command::Refusal;
use crate::store::StoreError;

/// Why a request was not answered as asked, and what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unanswered {
    pub status: StatusCode,
    pub detail: String,
    pub mend: String,
    /// What is wrong with a configuration, if that is why.
    pub problems: Vec<config::Problem>,
}

impl Unanswered {
    pub fn new(status: StatusCode, detail: impl Into<String>, mend: impl Into<String>) -> Self {
        Self { status, detail: detail.into(), mend: mend.into(), problems: Vec::new() }
    }

    pub fn not_found(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, detail, "look at the address for a mistake")
    }

    pub fn no_sector(number: &str) -> Self {
        let mend = "the Sectors page lists all that there are";
        Self::new(StatusCode::NOT_FOUND, format!("there is no sector {number}"), mend)
    }

    pub fn invalid(detail: impl Into<String>, mend: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, detail, mend)
    }

    fn title(&self) -> &'static str {
        self.status.canonical_reason().unwrap_or("Error")
    }
}

impl From<Refusal> for Unanswered {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::NotFound(what) => Self::new(
                StatusCode::NOT_FOUND,
                format!("there is no {what}"),
                "look at the number for a mistake",
            ),
            Refusal::Conflict { what, mend } => Self::new(StatusCode::CONFLICT, what, mend),
            Refusal::Invalid { what, mend } => Self::invalid(what, mend),
            Refusal::Unavailable { what, mend } => {
                Self::new(StatusCode::SERVICE_UNAVAILABLE, what, mend)
            }
        }
    }
}

impl From<ReloadError> for Unanswered {
    fn from(error: ReloadError) -> Self {
        match error {
            ReloadError::Config(errors) => Self {
                problems: errors.problems().to_vec(),
                ..Self::invalid(errors.to_string(), ConfigErrors::MEND)
            },
            ReloadError::Tls(error) => {
                Self::invalid(error.to_string(), "mend it and read again; what was in effect stays")
            }
            ReloadError::Refused(refusal) => refusal.into(),
        }
    }
}

/// What the box was asked to do elsewhere, and could not.
impl From<Failure> for Unanswered {
    fn from(failure: Failure) -> Self {
        let status = match failure.class {
            Class::Operator => StatusCode::CONFLICT,
            Class::Transient | Class::Space | Class::Sector | Class::Fatal => {
                StatusCode::BAD_GATEWAY
            }
        };
        Self::new(status, failure.what, failure.mend)
    }
}

impl From<StoreError> for Unanswered {
    fn from(error: StoreError) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, error.what(), error.mend())
    }
}

/// Answered as a page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageError(pub Unanswered);

impl PageError {
    pub fn not_found(detail: impl Into<String>) -> Self {
        Self(Unanswered::not_found(detail))
    }
}

impl<E: Into<Unanswered>> From<E> for PageError {
    fn from(error: E) -> Self {
        Self(error.into())
    }
}

#[derive(Template)]
#[template(path = "error.html")]
struct ErrorPage<'a> {
    code: u16,
    title: &'a str,
    detail: &'a str,
    mend: &'a str,
    navs: [Nav; Nav::ALL.len()],
}

impl IntoResponse for PageError {
    fn into_response(self) -> Response {
        let Self(why) = self;
        let page = ErrorPage {
            code: why.status.as_u16(),
            title: why.title(),
            detail: &why.detail,
            mend: &why.mend,
            navs: Nav::ALL,
        };
        match page.render() {
            Ok(text) => (why.status, Html(text)).into_response(),
            // Writing to a string cannot fail, and if it does the text itself still can be sent.
            Err(_) => (why.status, format!("{}; {}", why.detail, why.mend)).into_response(),
        }
    }
}

/// Answered as `application/problem+json` (RFC 9457), with `mend` beside its members.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem(pub Unanswered);

impl<E: Into<Unanswered>> From<E> for Problem {
    fn from(error: E) -> Self {
        Self(error.into())
    }
}

#[derive(Serialize)]
pub struct ProblemBody<'a> {
    r#type: &'static str,
    title: &'a str,
    status: u16,
    detail: &'a str,
    mend: &'a str,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    problems: &'a [config::Problem],
}

impl Shaped for ProblemBody<'_> {
    fn shape(shapes: &mut Shapes) -> Value {
        let problems = Vec::<config::Problem>::shape(shapes);
        let text = json!({ "type": "string" });
        let refer = named("Problem", shapes, |_| {
            let status = json!({ "type": "integer", "minimum": 400, "maximum": 599 });
            let [title, detail, mend] =
                ["title", "detail", "mend"].map(|name| (name, text.clone()));
            vec![("type", text), title, ("status", status), detail, mend]
        });
        if let Some(problem) = shapes.get_mut("Problem") {
            problem["properties"]["problems"] = problems;
        }
        refer
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let Self(why) = self;
        let body = ProblemBody {
            r#type: "about:blank",
            title: why.title(),
            status: why.status.as_u16(),
            detail: &why.detail,
            mend: &why.mend,
            problems: &why.problems,
        };
        let head = [(header::CONTENT_TYPE, "application/problem+json")];
        (why.status, head, Json(body)).into_response()
    }
}

/// The name in an address, as in `/sectors/12`: text, until it is looked up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named(pub String);

impl<S: Send + Sync> FromRequestParts<S> for Named {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Response> {
        match Path::<String>::from_request_parts(parts, state).await {
            Ok(Path(name)) => Ok(Self(name)),
            Err(rejection) => {
                let mend = "look at the address for a mistake";
                let why = Unanswered::new(rejection.status(), rejection.body_text(), mend);
                Err(answer(parts.uri.path(), why))
            }
        }
    }
}

/// As a page or as JSON, by what was asked for.
pub fn answer(path: &str, why: Unanswered) -> Response {
    if path.starts_with("/api/") {
        Problem(why).into_response()
    } else {
        PageError(why).into_response()
    }
}
