//! What a command did, as the API tells it: each command has a shape of its own.

use axum::extract::Json;
use axum::http::StatusCode;
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::domain::ids::{OrderId, SectorNumber};
use crate::domain::phase::Phase;
use crate::domain::units::SectorSize;
use crate::scheduler::command::{Command, Done, Retried};
use crate::web::WebState;
use crate::web::error::{Problem, Unanswered};
use crate::web::openapi::BASE;
use crate::web::schema::{Shaped, shape};
use crate::web::undo::Undo;

/// What is told of a command.
pub trait Told: Serialize + Shaped + Sized {
    /// None: the scheduler did something else.
    fn of(done: Done, undo: Option<Call>) -> Option<Self>;
}

pub type Answer<T> = Result<Json<T>, Problem>;

/// Has the scheduler do it, and tells what it did and what takes it back.
pub async fn carry_out<T: Told>(state: &WebState, by: &str, command: Command) -> Answer<T> {
    let before = state.handle.view();
    let done = state.handle.command(command.clone(), by).await?;
    let undo = Undo::of(&command, &done, &before).map(Call::of);
    T::of(done, undo).map(Json).ok_or_else(|| {
        let what = "it was carried out, but what it did cannot be told";
        let mend = "look at the box before asking again, and report this with the log";
        Unanswered::new(StatusCode::INTERNAL_SERVER_ERROR, what, mend).into()
    })
}

/// The call that takes a command back: `method`, `path`, and the body if it needs one.
#[derive(Debug, Serialize)]
pub struct Call {
    pub method: &'static str,
    pub path: String,
    pub body: Option<Map<String, Value>>,
}

impl Call {
    fn of(undo: Undo) -> Self {
        let body = match &undo {
            Undo::OrderAgain { size, count } => json!({ "count": count, "size": size }),
            Undo::MoveOrder { before: Some(before), .. } => json!({ "before": before }),
            Undo::MoveOrder { before: None, .. } => json!({ "to": "last" }),
            Undo::PauseIntake
            | Undo::ResumeIntake
            | Undo::PausePhase(_)
            | Undo::ResumePhase(_)
            | Undo::Drain
            | Undo::ResumeAll
            | Undo::CancelOrder(_) => Value::Null,
        };
        let path = format!("{BASE}{}", undo.path());
        Self { method: "POST", path, body: body.as_object().cloned() }
    }
}

#[derive(Debug, Serialize)]
pub struct Ordered {
    order: OrderId,
    count: u64,
    size: SectorSize,
    undo: Option<Call>,
}

impl Told for Ordered {
    fn of(done: Done, undo: Option<Call>) -> Option<Self> {
        let Done::Ordered(order) = done else { return None };
        Some(Self { order: order.id, count: order.count, size: order.size, undo })
    }
}

#[derive(Debug, Serialize)]
pub struct OrderCancelled {
    cancelled: OrderId,
    /// What was left of it, as a new order.
    undo: Option<Call>,
}

impl Told for OrderCancelled {
    fn of(done: Done, undo: Option<Call>) -> Option<Self> {
        let Done::Cancelled(cancelled) = done else { return None };
        Some(Self { cancelled, undo })
    }
}

#[derive(Debug, Serialize)]
pub struct OrderMoved {
    moved: OrderId,
    /// From 1 on.
    place: usize,
    undo: Option<Call>,
}

impl Told for OrderMoved {
    fn of(done: Done, undo: Option<Call>) -> Option<Self> {
        let Done::Moved { order, place } = done else { return None };
        Some(Self { moved: order, place, undo })
    }
}

/// Of one sector.
#[derive(Debug, Serialize)]
pub struct PhasesRetried {
    retried: Vec<Phase>,
}

impl Told for PhasesRetried {
    fn of(done: Done, _undo: Option<Call>) -> Option<Self> {
        let Done::Retried(retried) = done else { return None };
        Some(Self { retried: retried.into_iter().map(|Retried { phase, .. }| phase).collect() })
    }
}

/// Of all sectors.
#[derive(Debug, Serialize)]
pub struct TasksRetried {
    retried: Vec<Retried>,
}

impl Told for TasksRetried {
    fn of(done: Done, _undo: Option<Call>) -> Option<Self> {
        let Done::Retried(retried) = done else { return None };
        Some(Self { retried })
    }
}

#[derive(Debug, Serialize)]
pub struct Redone {
    redone: SectorNumber,
}

impl Told for Redone {
    fn of(done: Done, _undo: Option<Call>) -> Option<Self> {
        let Done::Redone(redone) = done else { return None };
        Some(Self { redone })
    }
}

#[derive(Debug, Serialize)]
pub struct Aborted {
    aborted: SectorNumber,
    /// Else when all that is awaited has ended.
    now: bool,
    /// What ran of it and is stopped.
    stopped: Vec<Phase>,
    awaited: Vec<Phase>,
}

impl Told for Aborted {
    fn of(done: Done, _undo: Option<Call>) -> Option<Self> {
        let Done::Aborted { sector, stopped, awaited } = done else { return None };
        Some(Self { aborted: sector, now: awaited.is_empty(), stopped, awaited })
    }
}

#[derive(Debug, Serialize)]
pub struct IntakeChanged {
    /// `paused` or `open`.
    intake: &'static str,
    undo: Option<Call>,
}

impl Told for IntakeChanged {
    fn of(done: Done, undo: Option<Call>) -> Option<Self> {
        match done {
            Done::IntakePaused => Some(Self { intake: "paused", undo }),
            Done::IntakeResumed => Some(Self { intake: "open", undo }),
            Done::Ordered(_)
            | Done::Cancelled(_)
            | Done::Moved { .. }
            | Done::Retried(_)
            | Done::Redone(_)
            | Done::Aborted { .. }
            | Done::PhasePaused(_)
            | Done::PhaseResumed(_)
            | Done::Draining { .. }
            | Done::AllResumed
            | Done::Adopted
            | Done::OrphanRecorded { .. } => None,
        }
    }
}

#[derive(Debug, Serialize)]
pub struct PhasePaused {
    paused: Phase,
    undo: Option<Call>,
}

impl Told for PhasePaused {
    fn of(done: Done, undo: Option<Call>) -> Option<Self> {
        let Done::PhasePaused(paused) = done else { return None };
        Some(Self { paused, undo })
    }
}

#[derive(Debug, Serialize)]
pub struct PhaseResumed {
    resumed: Phase,
    undo: Option<Call>,
}

impl Told for PhaseResumed {
    fn of(done: Done, undo: Option<Call>) -> Option<Self> {
        let Done::PhaseResumed(resumed) = done else { return None };
        Some(Self { resumed, undo })
    }
}

#[derive(Debug, Serialize)]
pub struct Drained {
    draining: Draining,
    undo: Option<Call>,
}

#[derive(Debug, Serialize)]
pub struct Draining {
    /// So many attempts may still end.
    running: usize,
}

impl Told for Drained {
    fn of(done: Done, undo: Option<Call>) -> Option<Self> {
        let Done::Draining { running } = done else { return None };
        Some(Self { draining: Draining { running }, undo })
    }
}

#[derive(Debug, Serialize)]
pub struct AllResumed {
    /// `all`.
    resumed: &'static str,
    undo: Option<Call>,
}

impl Told for AllResumed {
    fn of(done: Done, undo: Option<Call>) -> Option<Self> {
        let Done::AllResumed = done else { return None };
        Some(Self { resumed: "all", undo })
    }
}

shape!(Call { method, path, body });
shape!(Ordered { order, count, size, undo });
shape!(OrderCancelled { cancelled, undo });
shape!(OrderMoved { moved, place, undo });
shape!(Retried { sector, phase });
shape!(PhasesRetried { retried });
shape!(TasksRetried { retried });
shape!(Redone { redone });
shape!(Aborted { aborted, now, stopped, awaited });
shape!(IntakeChanged { intake, undo });
shape!(PhasePaused { paused, undo });
shape!(PhaseResumed { resumed, undo });
shape!(Drained { draining, undo });
shape!(Draining { running });
shape!(AllResumed { resumed, undo });
