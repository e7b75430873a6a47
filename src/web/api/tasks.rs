//! The fleet's table of tasks, and how many there are of what.

use std::collections::BTreeMap;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Json, Query, State};
use serde::Serialize;
use serde_json::json;

use super::done::{Answer, TasksRetried, carry_out};
use super::{of, query, with_direction};
use crate::domain::phase::Phase;
use crate::domain::task::ResultStatus;
use crate::scheduler::command::Command;
use crate::store::{SectorFilter, StageKind, TaskFilter};
use crate::web::WebState;
use crate::web::entry::By;
use crate::web::error::Problem;
use crate::web::lookup::{self, SectorsOf, TaskParams, Way};
use crate::web::openapi::{Api, says};
use crate::web::schema::{phase_as_given, shape};
use crate::web::wire::TaskRow;

pub fn add(api: Api) -> Api {
    // As the fleet has it, or in words.
    let yes_or_no = || json!({ "enum": [0, 1, true, false] });
    let list = says::<Tasks>("tasks", "The fleet's table")
        .query("task_type", "1, 2, 4, 8, 16 or 32, or a phase", phase_as_given())
        .query(
            "result_status",
            "0: succeeded; 1: not over; 2: failed",
            json!({ "enum": ResultStatus::ALL.map(ResultStatus::code) }),
        )
        .query("is_taken", "whether a worker has it", yes_or_no())
        .query("is_finished", "whether it is over", yes_or_no())
        .query("sector", "of this sector", of::<u64>())
        .paged(task_place());
    let list = super::sectors::leading(list, "$response.body#/tasks/0/sector_id");
    api.get("/tasks", tasks, with_direction(list))
        .get("/counts", counts, says::<Counted>("counts", "How many there are of what"))
        .post("/retry", retry_all, says::<TasksRetried>("retry_all", "Put every failed task back"))
}

/// A place in a list of tasks.
pub fn task_place() -> serde_json::Value {
    json!({ "type": "string", "pattern": "^([0-9]{1,18}-P[1-6])?$" })
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
    way: Result<Query<Way>, QueryRejection>,
) -> Result<Json<Tasks>, Problem> {
    let (wanted, direction) = (query(sent)?.parse()?, query(way)?.direction()?);
    let listed = lookup::tasks(&state, &wanted, direction)?;
    let rows = listed.items.iter().filter_map(|line| TaskRow::of(&line.sector, line.phase));
    let next = listed.next.map(|cursor| cursor.to_string());
    Ok(Json(Tasks { tasks: rows.collect(), next }))
}

/// What the Overview's pipeline and the heads of the lists say.
#[derive(Serialize)]
struct Counted {
    /// Ever issued.
    sectors: u64,
    in_flight: u64,
    needs_you: u64,
    /// By the words that `GET sectors?state=` takes.
    states: BTreeMap<String, u64>,
    tasks: Vec<CountedTasks>,
}

#[derive(Serialize)]
struct CountedTasks {
    phase: Phase,
    task_type: u8,
    all: u64,
    queued: u64,
    running: u64,
    failed: u64,
    succeeded: u64,
}

shape!(Counted { sectors, in_flight, needs_you, states, tasks });
shape!(CountedTasks { phase, task_type, all, queued, running, failed, succeeded });

async fn counts(State(state): State<WebState>) -> Result<Json<Counted>, Problem> {
    let counts = state.reader.counts()?;
    let state_of =
        |kind: StageKind| (SectorsOf(SectorFilter::Stage(kind)).value(), counts.stage(kind));
    let tasks_of = |phase: Phase| {
        let all = TaskFilter { phase: Some(phase), ..TaskFilter::default() };
        let with = |status| TaskFilter { result_status: Some(status), ..all };
        let open = |taken| TaskFilter { is_taken: Some(taken), ..with(ResultStatus::NotOverYet) };
        CountedTasks {
            phase,
            task_type: phase.task_type(),
            all: all.count(&counts),
            queued: open(false).count(&counts),
            running: open(true).count(&counts),
            failed: with(ResultStatus::Failed).count(&counts),
            succeeded: with(ResultStatus::Succeeded).count(&counts),
        }
    };
    Ok(Json(Counted {
        sectors: counts.sectors,
        in_flight: counts.active(),
        needs_you: counts.attention,
        states: StageKind::ALL.into_iter().map(state_of).collect(),
        tasks: Phase::ALL.into_iter().map(tasks_of).collect(),
    }))
}

async fn retry_all(State(state): State<WebState>, By(by): By) -> Answer<TasksRetried> {
    carry_out(&state, &by, Command::RetryAll).await
}
