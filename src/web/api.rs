//! The JSON API, `/api/v1`: what the page can do and show, for the CLI and for scripts.

use std::path::PathBuf;
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::rejection::{JsonRejection, QueryRejection};
use axum::extract::{Json, Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tower_http::csrf::CsrfLayer;

use super::actions::{order_count, order_id, order_size, place, sector_number};
use super::charts::{self, Columns};
use super::entry::By;
use super::error::{Named, Problem, Unanswered};
use super::gantt::Range;
use super::log::{self, LogAnswer, LogParams};
use super::lookup::{self, SectorParams, SectorsOf, TaskParams};
use super::openapi::{self, Api, says};
use super::pages::failures::Group;
use super::schema::{self, Shaped, Shapes, shape};
use super::show::now;
use super::status::{OrderRow, Status, order_row};
use super::verify::{self, Verification};
use super::wire::{OrphanList, SectorDetail, SectorRow, TaskRow};
use super::{WebState, etag, guard, pages};
use crate::alerts::Said;
use crate::doctor::Examination;
use crate::domain::failure::Class;
use crate::domain::ids::SectorNumber;
use crate::domain::phase::Phase;
use crate::domain::units::SectorSize;
use crate::engine::ParametersState;
use crate::logs::Whose;
use crate::reload::Reloaded;
use crate::scheduler::command::{Command, Done, Retried};
use crate::store::Direction;
use crate::worker::checks::Seen;

/// A root that takes longer is told as still being looked at.
const LOOK_PATIENCE: Duration = Duration::from_secs(3);

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
    let api = looks(Api::default());
    let api = of_orders(api);
    let api = of_sectors(api);
    of_the_box(api)
}

fn looks(api: Api) -> Api {
    let number = || of::<u64>();
    let states: Vec<String> = SectorsOf::every().into_iter().map(SectorsOf::value).collect();
    let log = |said: openapi::Said| {
        let levels = json!({ "enum": ["error", "warn", "info", "debug", "trace"] });
        said.query("level", "this level and worse ones", levels)
            .query("q", "lines with this text", json!({ "type": "string", "maxLength": 200 }))
            .query("phase", "of this phase", phase_shape())
            .query("attempt", "of this attempt", of::<u32>())
            .query("before", "what `previous` said: the lines ahead of it", number())
            .paged(number())
    };
    api.get("/openapi.json", openapi, says::<Any>("openapi", "This document"))
        .get("/status", status, says::<Status>("status", "The box at a moment"))
        .get("/params", parameters, says::<ParametersState>("params", "The Groth parameters"))
        .get("/doctor", doctor, says::<Option<Examination>>("doctor", "The doctor's latest look"))
        .post("/doctor", look_again, says::<Looking>("look", "Have the doctor look").status(202))
        .get("/alerts", alerts, says::<Said>("alerts", "What became of the alerts"))
        .post("/alerts/test", test_alert, says::<Sent>("test_alert", "Send one for a test"))
        .get("/failures", failures, says::<Failures>("failures", "Failed tasks by their cause"))
        .get(
            "/sectors",
            sectors,
            says::<Sectors>("sectors", "Sectors, oldest first")
                .query("state", "in this state", json!({ "enum": states }))
                .query("phase", "in flight, and at this phase", phase_shape())
                .query("size", "of this size", of::<SectorSize>())
                .paged(number()),
        )
        .get(
            "/samples",
            samples,
            says::<Columns>("samples", "How the box and its machine fared, line by line").query(
                "range",
                "over this time",
                json!({ "enum": Range::ALL.map(Range::name) }),
            ),
        )
        .get("/sectors/{number}", sector, says::<SectorDetail>("sector", "All of a sector"))
        .get(
            "/tasks",
            tasks,
            says::<Tasks>("tasks", "The fleet's table")
                .query("task_type", "1, 2, 4, 8, 16 or 32, or a phase", phase_shape())
                .query("result_status", "0: succeeded; 1: not over; 2: failed", one_of(&[0, 1, 2]))
                .query("is_taken", "whether a worker has it", yes_or_no())
                .query("is_finished", "whether it is over", yes_or_no())
                .query("sector", "of this sector", number())
                .paged(json!({ "type": "string", "pattern": "^([0-9]{1,18}-P[1-6])?$" })),
        )
        .get(
            "/log",
            box_log,
            log(says::<LogAnswer<'_>>("log", "The box's latest lines")).query(
                "sector",
                "of this sector",
                number(),
            ),
        )
        .get(
            "/sectors/{number}/log",
            sector_log,
            log(says::<LogAnswer<'_>>("sector_log", "A sector's own log")),
        )
        .get("/orphans", orphans, says::<OrphanList>("orphans", "What no sector owns"))
}

fn of_orders(api: Api) -> Api {
    let count = json!({ "type": "integer", "minimum": 1, "maximum": 100_000 });
    let size = json!({ "anyOf": [of::<SectorSize>(), { "enum": [null, ""] }] });
    let to = json!({ "type": "object", "additionalProperties": false, "oneOf": [
        { "required": ["to"], "properties": { "before": false } },
        { "required": ["before"], "properties": { "to": false } },
    ], "properties": {
        "to": { "enum": ["first", "up", "down", "last"] },
        "before": of::<u64>(),
    } });
    api.get("/orders", orders, says::<Open>("orders", "The open orders, in order of their issue"))
        .post(
            "/orders",
            order,
            says::<Any>("order", "Order sectors").status(201).takes(json!({
                "type": "object", "additionalProperties": false, "required": ["count"],
                "properties": { "count": count, "size": size },
            })),
        )
        .post("/orders/{order}/move", move_order, says::<Any>("move_order", "Move it").takes(to))
        .post(
            "/orders/{order}/cancel",
            cancel_order,
            says::<Any>("cancel_order", "Cancel its rest"),
        )
}

fn of_sectors(api: Api) -> Api {
    let phase = json!({ "type": "object", "additionalProperties": false, "properties": {
        "phase": { "anyOf": [phase_shape(), { "type": "null" }] },
    } });
    api.post(
        "/sectors/{number}/retry",
        retry,
        says::<Any>("retry", "Put failed tasks back").may_take(phase),
    )
    .get(
        "/sectors/{number}/verify",
        verified,
        says::<Verification>("verified", "What came of proving the stored copy again"),
    )
    .post(
        "/sectors/{number}/verify",
        verify_again,
        says::<Verification>("verify", "Prove the stored copy again").status(202),
    )
    .post("/sectors/{number}/redo", redo, says::<Any>("redo", "Send it back to P1"))
    .post("/sectors/{number}/abort", abort, says::<Any>("abort", "Give it up"))
    .post("/retry", retry_all, says::<Any>("retry_all", "Put every failed task back"))
}

fn of_the_box(api: Api) -> Api {
    let path = json!({ "type": "object", "additionalProperties": false, "required": ["path"],
        "properties": { "path": { "type": "string" } } });
    api.post("/intake/pause", pause, says::<Any>("pause", "Begin no further sector"))
        .post("/intake/resume", resume, says::<Any>("resume", "Begin sectors again"))
        .post(
            "/phases/{phase}/pause",
            pause_phase,
            says::<Any>("pause_phase", "Start no more of it"),
        )
        .post("/phases/{phase}/resume", resume_phase, says::<Any>("resume_phase", "Start it again"))
        .post("/drain", drain, says::<Any>("drain", "Pause the intake and every phase"))
        .post("/resume", resume_all, says::<Any>("resume_all", "Resume all of it"))
        .post("/reload", reload, says::<Reloaded>("reload", "Read the configuration again"))
        .post(
            "/orphans/delete",
            delete_orphan,
            says::<Any>("delete_orphan", "Delete what no sector owns").takes(path),
        )
}

/// An object whose members follow from what was asked for.
struct Any;

impl Shaped for Any {
    fn shape(_: &mut Shapes) -> Value {
        json!({ "type": "object" })
    }
}

fn of<T: Shaped>() -> Value {
    T::shape(&mut Shapes::new())
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

fn phase_shape() -> Value {
    schema::phase_as_given()
}

/// 0 and 1, as the fleet has it, or in words.
fn yes_or_no() -> Value {
    json!({ "enum": [0, 1, true, false] })
}

fn one_of(values: &[u8]) -> Value {
    json!({ "enum": values })
}

async fn openapi() -> Response {
    Json(document()).into_response()
}

/// The doctor looks; what it finds is told by GET.
#[derive(Serialize)]
struct Looking {
    looking: bool,
}

shape!(Looking { looking });

async fn alerts(State(state): State<WebState>) -> Response {
    Json(state.alerts.said()).into_response()
}

#[derive(Serialize)]
struct Sent {
    sent: bool,
}

shape!(Sent { sent });

async fn test_alert(State(state): State<WebState>) -> Answer {
    state.alerts.test().await.map_err(Unanswered::from)?;
    Ok(Json(Sent { sent: true }).into_response())
}

async fn look_again(State(state): State<WebState>) -> Response {
    state.doctor.look();
    (StatusCode::ACCEPTED, Json(Looking { looking: true })).into_response()
}

/// Failed tasks by their cause, the most frequent first.
#[derive(Serialize)]
struct Failures {
    causes: Vec<Cause>,
}

#[derive(Serialize)]
struct Cause {
    what: String,
    class: Class,
    phase: Phase,
    mend: String,
    sectors: Vec<SectorNumber>,
}

shape!(Failures { causes });
shape!(Cause { what, class, phase, mend, sectors });

async fn failures(State(state): State<WebState>) -> Answer {
    let cause = |group: Group| Cause {
        mend: group.failed.first().map_or_else(String::new, |one| one.failure.mend.clone()),
        sectors: group.failed.iter().map(|failed| failed.sector).collect(),
        what: group.what,
        class: group.class,
        phase: group.phase,
    };
    let causes = pages::failures::groups(&state)?.into_iter().map(cause).collect();
    Ok(Json(Failures { causes }).into_response())
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
    let count = order_count(&in_text(&asked.count))?;
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

shape!(Open { orders });

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
    let before = asked.before.as_ref().map(in_text);
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

shape!(Sectors { sectors, next });

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

shape!(Tasks { tasks, next });

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
    let mut status = Status::of(&state);
    let sent = Json(&status).into_response();
    // The same but for the clock is the same.
    status.now.clear();
    let of = serde_json::to_vec(&status).unwrap_or_default();
    Ok(([(header::ETAG, etag::tag(&of.into()))], sent).into_response())
}
