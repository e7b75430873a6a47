//! The JSON API, `/api/v1`: what the page can do and show, for the CLI and for scripts.

use std::path::PathBuf;
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::rejection::{JsonRejection, QueryRejection};
use axum::extract::{Json, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tower_http::csrf::CsrfLayer;

use super::actions::{order_count, order_id, order_size, place, sector_number};
use super::charts;
use super::entry::By;
use super::error::{Named, Problem, Unanswered};
use super::log::{self, LogAnswer, LogParams};
use super::lookup::{self, SectorParams, TaskParams};
use super::show::now;
use super::status::{OrderRow, Status, order_row};
use super::verify::{self, Verification};
use super::wire::{OrphanList, SectorDetail, SectorRow, TaskRow};
use super::{WebState, guard};
use crate::logs::Whose;
use crate::scheduler::command::{Command, Done, Retried};
use crate::store::Direction;
use crate::worker::checks::Seen;

/// A root that takes longer is told as still being looked at.
const LOOK_PATIENCE: Duration = Duration::from_secs(3);

type Answer = Result<Response, Problem>;

pub fn router() -> Router<WebState> {
    let refusal = |_| Problem(guard::cross_site()).into_response();
    Router::new()
        .route("/api/v1/orders", get(orders).post(order))
        .route("/api/v1/orders/{order}/move", post(move_order))
        .route("/api/v1/orders/{order}/cancel", post(cancel_order))
        .route("/api/v1/sectors", get(sectors))
        .route("/api/v1/sectors/{number}", get(sector))
        .route("/api/v1/sectors/{number}/log", get(sector_log))
        .route("/api/v1/log", get(box_log))
        .route("/api/v1/sectors/{number}/retry", post(retry))
        .route("/api/v1/sectors/{number}/verify", post(verify_again).get(verified))
        .route("/api/v1/sectors/{number}/redo", post(redo))
        .route("/api/v1/sectors/{number}/abort", post(abort))
        .route("/api/v1/retry", post(retry_all))
        .route("/api/v1/tasks", get(tasks))
        .route("/api/v1/intake/pause", post(pause))
        .route("/api/v1/intake/resume", post(resume))
        .route("/api/v1/phases/{phase}/pause", post(pause_phase))
        .route("/api/v1/phases/{phase}/resume", post(resume_phase))
        .route("/api/v1/drain", post(drain))
        .route("/api/v1/resume", post(resume_all))
        .route("/api/v1/reload", post(reload))
        .route("/api/v1/orphans", get(orphans))
        .route("/api/v1/orphans/delete", post(delete_orphan))
        .route("/api/v1/params", get(parameters))
        .route("/api/v1/doctor", get(doctor))
        .route("/api/v1/samples", get(samples))
        .route("/api/v1/status", get(status))
        .layer(CsrfLayer::new().with_rejection_response(refusal))
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

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct OrderBody {
    /// Looked at by hand, so that a strange number gets an answer in words.
    count: Value,
    size: Option<String>,
}

async fn order(
    State(state): State<WebState>,
    By(by): By,
    sent: Result<Json<OrderBody>, JsonRejection>,
) -> Answer {
    let asked = body(sent, r#"{"count":3}"#)?;
    let count = order_count(&asked.count.to_string())?;
    let size = order_size(&state, asked.size.as_deref())?;
    let done = state.handle.command(Command::Order { size, count }, &by).await?;
    Ok((StatusCode::CREATED, Json(done_json(&done))).into_response())
}

async fn cancel_order(State(state): State<WebState>, By(by): By, Named(order): Named) -> Answer {
    let order = order_id(&order)?;
    carry_out(&state, &by, Command::CancelOrder { order }).await
}

#[derive(Serialize)]
struct Open {
    orders: Vec<OrderRow>,
}

/// The open ones, in the order in which they are issued. They are at most a thousand.
async fn orders(State(state): State<WebState>) -> Response {
    let orders = state.handle.view().orders.iter().map(order_row).collect();
    Json(Open { orders }).into_response()
}

/// `{"to":"first"}`, or `{"before":3}`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct MoveBody {
    to: Option<String>,
    before: Option<Value>,
}

async fn move_order(
    State(state): State<WebState>,
    By(by): By,
    Named(order): Named,
    sent: Result<Json<MoveBody>, JsonRejection>,
) -> Answer {
    let order = order_id(&order)?;
    let asked = body(sent, r#"{"to":"first"} or {"before":3}"#)?;
    let before = asked.before.map(|before| before.to_string());
    let to = place(asked.to.as_deref(), before.as_deref())?;
    carry_out(&state, &by, Command::MoveOrder { order, to }).await
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
) -> Answer {
    let sector = sector_number(&number)?;
    let asked = if sent.is_empty() { RetryBody::default() } else { retry_body(&sent)? };
    let phase = asked.phase.as_deref().map(lookup::phase).transpose()?;
    let done = state.handle.command(Command::Retry { sector, phase }, &by).await?;
    match done {
        Done::Retried(retried) => {
            let phases: Vec<_> = retried.iter().map(|Retried { phase, .. }| phase).collect();
            Ok(Json(json!({ "retried": phases })).into_response())
        }
        other => Ok(Json(done_json(&other)).into_response()),
    }
}

fn retry_body(sent: &[u8]) -> Result<RetryBody, Problem> {
    Ok(serde_json::from_slice(sent).map_err(|error| {
        let mend = r#"send {"phase":"P5"}, or nothing at all for every failed phase"#;
        Unanswered::invalid(error.to_string(), mend)
    })?)
}

async fn verify_again(State(state): State<WebState>, By(by): By, Named(number): Named) -> Answer {
    let sector = verify::order(&state, &number, &by)?;
    let seen = verify::seen(&state, &sector).unwrap_or(Seen::Waiting(None));
    Ok((StatusCode::ACCEPTED, Json(Verification::of(&sector, seen))).into_response())
}

async fn verified(State(state): State<WebState>, Named(number): Named) -> Answer {
    let sector = lookup::sector(&state, &number)?;
    let seen = verify::seen(&state, &sector).ok_or_else(|| {
        let detail = format!("nobody asked for sector {} to be proven again", sector.id.number);
        Unanswered::new(StatusCode::NOT_FOUND, detail, "ask for it with POST at this address")
    })?;
    Ok(Json(Verification::of(&sector, seen)).into_response())
}

async fn redo(State(state): State<WebState>, By(by): By, Named(number): Named) -> Answer {
    let sector = sector_number(&number)?;
    carry_out(&state, &by, Command::Redo { sector }).await
}

async fn abort(State(state): State<WebState>, By(by): By, Named(number): Named) -> Answer {
    let sector = sector_number(&number)?;
    carry_out(&state, &by, Command::Abort { sector }).await
}

async fn retry_all(State(state): State<WebState>, By(by): By) -> Answer {
    carry_out(&state, &by, Command::RetryAll).await
}

async fn pause(State(state): State<WebState>, By(by): By) -> Answer {
    carry_out(&state, &by, Command::PauseIntake).await
}

async fn resume(State(state): State<WebState>, By(by): By) -> Answer {
    carry_out(&state, &by, Command::ResumeIntake).await
}

async fn pause_phase(State(state): State<WebState>, By(by): By, Named(name): Named) -> Answer {
    let phase = lookup::phase(&name)?;
    carry_out(&state, &by, Command::PausePhase { phase }).await
}

async fn resume_phase(State(state): State<WebState>, By(by): By, Named(name): Named) -> Answer {
    let phase = lookup::phase(&name)?;
    carry_out(&state, &by, Command::ResumePhase { phase }).await
}

/// The latest look; `null` until the first has come back.
async fn doctor(State(state): State<WebState>) -> Response {
    Json(state.doctor.latest()).into_response()
}

async fn drain(State(state): State<WebState>, By(by): By) -> Answer {
    carry_out(&state, &by, Command::Drain).await
}

async fn resume_all(State(state): State<WebState>, By(by): By) -> Answer {
    carry_out(&state, &by, Command::ResumeAll).await
}

async fn carry_out(state: &WebState, by: &str, command: Command) -> Answer {
    let done = state.handle.command(command, by).await?;
    Ok(Json(done_json(&done)).into_response())
}

fn done_json(done: &Done) -> Value {
    match done {
        Done::Ordered(order) => {
            json!({ "order": order.id, "count": order.count, "size": order.size })
        }
        Done::Cancelled(order) => json!({ "cancelled": order }),
        Done::Moved { order, place } => json!({ "moved": order, "place": place }),
        Done::Retried(retried) => json!({ "retried": retried }),
        Done::Redone(sector) => json!({ "redone": sector }),
        Done::Aborted { sector, stopped, awaited } => json!({
            "aborted": sector,
            "now": awaited.is_empty(),
            "stopped": stopped,
            "awaited": awaited,
        }),
        Done::IntakePaused => json!({ "intake": "paused" }),
        Done::IntakeResumed => json!({ "intake": "open" }),
        Done::PhasePaused(phase) => json!({ "paused": phase }),
        Done::PhaseResumed(phase) => json!({ "resumed": phase }),
        Done::Draining { running } => json!({ "draining": { "running": running } }),
        Done::AllResumed => json!({ "resumed": "all" }),
        Done::Adopted => json!({ "limits": "in effect" }),
        Done::OrphanRecorded { path, bytes } => json!({ "deleted": path, "bytes": bytes }),
    }
}

#[derive(Debug, Default, Deserialize)]
struct SamplesParams {
    range: Option<String>,
}

/// How the box and its machine fared, line by line.
async fn samples(
    State(state): State<WebState>,
    sent: Result<Query<SamplesParams>, QueryRejection>,
) -> Answer {
    let params = query(sent)?;
    let range = lookup::range(lookup::given(&params.range))?;
    Ok(Json(charts::all(&state, range, now())).into_response())
}

#[derive(Serialize)]
struct Sectors {
    sectors: Vec<SectorRow>,
    next: Option<u64>,
}

/// Oldest first, so that `next` never skips what is issued meanwhile.
async fn sectors(
    State(state): State<WebState>,
    sent: Result<Query<SectorParams>, QueryRejection>,
) -> Answer {
    let wanted = query(sent)?.parse()?;
    let listed = lookup::sectors(&state, &wanted, Direction::OldestFirst)?;
    let view = state.handle.view();
    let row = |sector| SectorRow::of(sector, &view.usual);
    let sectors = listed.items.iter().map(row).collect();
    Ok(Json(Sectors { sectors, next: listed.next.map(|number| number.0) }).into_response())
}

async fn sector(State(state): State<WebState>, Named(number): Named) -> Answer {
    let sector = lookup::sector(&state, &number)?;
    let history = lookup::history(&state, sector.id.number)?;
    Ok(Json(SectorDetail::of(&state, &sector, &history)).into_response())
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

#[derive(Serialize)]
struct Tasks {
    tasks: Vec<TaskRow>,
    next: Option<String>,
}

async fn tasks(
    State(state): State<WebState>,
    sent: Result<Query<TaskParams>, QueryRejection>,
) -> Answer {
    let wanted = query(sent)?.parse()?;
    let listed = lookup::tasks(&state, &wanted, Direction::OldestFirst)?;
    let rows = listed.items.iter().filter_map(|line| TaskRow::of(&line.sector, line.phase));
    let next = listed.next.map(|cursor| cursor.to_string());
    Ok(Json(Tasks { tasks: rows.collect(), next }).into_response())
}

async fn reload(State(state): State<WebState>, By(by): By) -> Answer {
    Ok(Json(state.reload.again(&by).await?).into_response())
}

async fn orphans(State(state): State<WebState>) -> Answer {
    Ok(Json(OrphanList::of(&state.orphans.look(Duration::ZERO, LOOK_PATIENCE).await))
        .into_response())
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct OrphanBody {
    path: PathBuf,
}

async fn delete_orphan(
    State(state): State<WebState>,
    By(by): By,
    sent: Result<Json<OrphanBody>, JsonRejection>,
) -> Answer {
    let OrphanBody { path } = body(sent, r#"{"path":"/scratch/cache/s-t01000-7"}"#)?;
    let bytes = state.orphans.delete(&state.handle, path.clone(), by).await?;
    Ok(Json(done_json(&Done::OrphanRecorded { path, bytes })).into_response())
}

async fn parameters(State(state): State<WebState>) -> Answer {
    Ok(Json(state.engine.parameters()).into_response())
}

async fn status(State(state): State<WebState>) -> Answer {
    Ok(Json(Status::of(&state)).into_response())
}
