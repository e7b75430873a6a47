//! The JSON API, `/api/v1`: what the page can do and show, for the CLI and for scripts.
//!
//! One file a subject: its routes, with what the document says of them, beside their handlers.

mod attempts;
mod bulk;
mod control;
mod done;
mod failures;
mod logs;
mod orders;
mod orphans;
mod past;
mod sectors;
mod status;
mod system;
mod tasks;

use axum::Router;
use axum::extract::rejection::{JsonRejection, QueryRejection};
use axum::extract::{Json, Query};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use tower_http::csrf::CsrfLayer;

use super::error::{Problem, Unanswered};
use super::openapi::{Api, Said, says};
use super::schema::{Shaped, Shapes};
use super::{WebState, etag, guard};

type Answer = Result<Response, Problem>;

/// The routes. Where a password is set, the door has let in who gets here.
pub fn router() -> Router<WebState> {
    let refusal = |_| Problem(guard::cross_site()).into_response();
    let (router, _) = described().done();
    router
        .layer(axum::middleware::from_fn(etag::tagged))
        .layer(CsrfLayer::new().with_rejection_response(refusal))
}

/// What the API's routes are, take and answer, as OpenAPI 3.1.
pub fn document() -> Value {
    described().done().1
}

fn described() -> Api {
    let api = Api::default().get("/openapi.json", openapi, says::<Any>("openapi", "This document"));
    let subjects = [
        status::add,
        system::add,
        past::add,
        logs::add,
        sectors::add,
        tasks::add,
        failures::add,
        bulk::add,
        orders::add,
        orphans::add,
        control::add,
    ];
    subjects.into_iter().fold(api, |api, add: fn(Api) -> Api| add(api))
}

/// An object whose members follow from what was asked for.
struct Any;

impl Shaped for Any {
    fn shape(_: &mut Shapes) -> Value {
        json!({ "type": "object" })
    }
}

async fn openapi() -> Response {
    Json(document()).into_response()
}

/// A shape that refers to no other.
fn of<T: Shaped>() -> Value {
    T::shape(&mut Shapes::new())
}

/// A member that may be left out, or be there and say nothing.
fn optional(shape: Value) -> Value {
    json!({ "anyOf": [shape, { "type": "null" }, { "type": "string", "maxLength": 0 }] })
}

/// Which way a list goes.
fn with_direction(said: Said) -> Said {
    said.query("direction", "`oldest` first, or `newest`", json!({ "enum": ["oldest", "newest"] }))
}

/// As it was sent; but 3.0 is a whole number in JSON, and written as one.
fn in_text(sent: &Value) -> String {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    match sent.as_f64() {
        Some(number)
            if sent.is_f64() && number.fract() == 0.0 && (0.0..EXACT).contains(&number) =>
        {
            format!("{number:.0}")
        }
        Some(_) | None => sent.to_string(),
    }
}

fn query<T>(sent: Result<Query<T>, QueryRejection>) -> Result<T, Problem> {
    let Query(params) = sent.map_err(|rejection| {
        Unanswered::new(rejection.status(), rejection.body_text(), "give each parameter once")
    })?;
    Ok(params)
}

fn body<T>(sent: Result<Json<T>, JsonRejection>, expected: &str) -> Result<T, Problem> {
    let Json(body) = sent.map_err(|rejection| {
        let mend = format!("send JSON as in {expected}, with content-type application/json");
        Unanswered::new(rejection.status(), rejection.body_text(), mend)
    })?;
    Ok(body)
}
