//! How the box is, and what the doctor and the alerts say of it.

use axum::extract::{Json, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use crate::alerts::Said;
use crate::doctor::Examination;
use crate::engine::ParametersState;
use crate::web::error::{Problem, Unanswered};
use crate::web::openapi::{Api, says};
use crate::web::schema::shape;
use crate::web::status::Status;
use crate::web::{WebState, etag};

pub fn add(api: Api) -> Api {
    let look = says::<Looking>("look", "Have the doctor look").status(202);
    let now = says::<Status>("status", "The box at a moment")
        .leads("attention", "sector", &[("number", "$response.body#/attention/0/number")])
        .leads("in_flight", "sector", &[("number", "$response.body#/in_flight/0/number")])
        .leads("order", "sectors", &[("order", "$response.body#/orders/0/order")]);
    api.get("/status", status, now)
        .get("/params", parameters, says::<ParametersState>("params", "The Groth parameters"))
        .get("/doctor", doctor, says::<Option<Examination>>("doctor", "The doctor's latest look"))
        .post("/doctor", look_again, look.leads("doctor", "doctor", &[]))
        .get("/alerts", alerts, says::<Said>("alerts", "What became of the alerts"))
        .post("/alerts/test", test_alert, says::<Sent>("test_alert", "Send one for a test"))
}

async fn status(State(state): State<WebState>) -> Response {
    let mut status = Status::of(&state);
    let sent = Json(&status).into_response();
    // The same but for the clock is the same.
    status.now.clear();
    let of = serde_json::to_vec(&status).unwrap_or_default();
    ([(header::ETAG, etag::tag(&of.into()))], sent).into_response()
}

async fn parameters(State(state): State<WebState>) -> Json<ParametersState> {
    Json(state.engine.parameters())
}

/// The latest look; `null` until the first has come back.
async fn doctor(State(state): State<WebState>) -> Json<Option<Examination>> {
    Json(state.doctor.latest())
}

/// The doctor looks; what it finds is told by GET.
#[derive(Serialize)]
struct Looking {
    looking: bool,
}

shape!(Looking { looking });

async fn look_again(State(state): State<WebState>) -> (StatusCode, Json<Looking>) {
    state.doctor.look();
    (StatusCode::ACCEPTED, Json(Looking { looking: true }))
}

async fn alerts(State(state): State<WebState>) -> Json<Said> {
    Json(state.alerts.said())
}

#[derive(Serialize)]
struct Sent {
    sent: bool,
}

shape!(Sent { sent });

async fn test_alert(State(state): State<WebState>) -> Result<Json<Sent>, Problem> {
    state.alerts.test().await.map_err(Unanswered::from)?;
    Ok(Json(Sent { sent: true }))
}
