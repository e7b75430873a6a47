//! What failed, by its cause; and stored copies that are damaged.

use axum::extract::rejection::QueryRejection;
use axum::extract::{Json, Query, State};
use serde::Serialize;

use super::tasks::task_place;
use super::{of, query};
use crate::domain::failure::{Class, Failure};
use crate::domain::ids::SectorNumber;
use crate::domain::phase::Phase;
use crate::domain::task::ResultStatus;
use crate::store::{Direction, SectorFilter, TaskFilter};
use crate::web::WebState;
use crate::web::error::Problem;
use crate::web::lookup::{self, Paging, TaskQuery};
use crate::web::openapi::{Api, says};
use crate::web::pages::failures::{Group, grouped, since};
use crate::web::parts::{Damaged, Failed};
use crate::web::schema::shape;
use crate::web::show::{now, rfc3339};
use crate::web::since::Now;

pub fn add(api: Api) -> Api {
    let failures = says::<Failures>("failures", "Failed tasks by their cause").paged(task_place());
    let damaged = says::<DamagedCopies>("damaged", "Finished sectors whose stored copy is damaged")
        .paged(of::<u64>())
        .leads("verify", "verify", &[("number", "$response.body#/damaged/0/sector")]);
    let sector = "$response.body#/causes/0/tasks/0/sector";
    api.get("/failures", failures_by_cause, super::sectors::leading(failures, sector)).get(
        "/damaged",
        damaged_copies,
        damaged,
    )
}

/// Failed tasks by their cause, the most frequent first: of so many failed tasks as are sent at a
/// time, so that a cause can come again with the next.
#[derive(Serialize)]
struct Failures {
    causes: Vec<Cause>,
    next: Option<String>,
}

#[derive(Serialize)]
struct Cause {
    /// Names it in `POST bulk`.
    cause: String,
    what: String,
    class: Class,
    phase: Phase,
    mend: String,
    /// What has changed since the latest of them failed.
    since: Vec<String>,
    sectors: Vec<SectorNumber>,
    tasks: Vec<FailedRow>,
}

#[derive(Serialize)]
struct FailedRow {
    sector: SectorNumber,
    phase: Phase,
    attempt: u32,
    worker: String,
    at: String,
    failure: Failure,
}

shape!(Failures { causes, next });
shape!(Cause { cause, what, class, phase, mend, since, sectors, tasks });
shape!(FailedRow { sector, phase, attempt, worker, at, failure });

impl Cause {
    fn of(group: Group, now: &Now<'_>) -> Self {
        let row = |failed: &Failed| FailedRow {
            sector: failed.sector,
            phase: failed.phase,
            attempt: failed.attempts,
            worker: failed.worker.clone(),
            at: rfc3339(failed.at),
            failure: failed.failure.clone(),
        };
        Self {
            cause: group.key(),
            mend: group.failed.first().map_or_else(String::new, |one| one.failure.mend.clone()),
            since: since(now, &group),
            sectors: group.failed.iter().map(|failed| failed.sector).collect(),
            tasks: group.failed.iter().map(row).collect(),
            what: group.what,
            class: group.class,
            phase: group.phase,
        }
    }
}

async fn failures_by_cause(
    State(state): State<WebState>,
    sent: Result<Query<Paging>, QueryRejection>,
) -> Result<Json<Failures>, Problem> {
    let paging = query(sent)?;
    let after = paging.after("12-P4", |text| text.parse().ok())?;
    let filter = TaskFilter { result_status: Some(ResultStatus::Failed), ..TaskFilter::default() };
    let wanted = TaskQuery { filter, after, limit: paging.limit()? };
    let listed = lookup::tasks(&state, &wanted, Direction::OldestFirst)?;
    let now = Now::of(&state, now());
    let causes = grouped(&listed.items).into_iter().map(|group| Cause::of(group, &now)).collect();
    Ok(Json(Failures { causes, next: listed.next.map(|cursor| cursor.to_string()) }))
}

#[derive(Serialize)]
struct DamagedCopies {
    damaged: Vec<DamagedCopy>,
    next: Option<SectorNumber>,
}

#[derive(Serialize)]
struct DamagedCopy {
    sector: SectorNumber,
    /// When it was found.
    at: String,
    failure: Failure,
}

shape!(DamagedCopies { damaged, next });
shape!(DamagedCopy { sector, at, failure });

async fn damaged_copies(
    State(state): State<WebState>,
    sent: Result<Query<Paging>, QueryRejection>,
) -> Result<Json<DamagedCopies>, Problem> {
    let paging = query(sent)?;
    let after = paging.after("12", |text| text.parse().ok())?;
    let is_damaged = |sector: &_| Damaged::of(sector).is_some();
    let listed = state.reader.sectors_like(
        SectorFilter::Attention,
        is_damaged,
        after,
        paging.limit()?,
        Direction::OldestFirst,
    )?;
    let copy = |Damaged { sector, failure, at }| DamagedCopy { sector, at: rfc3339(at), failure };
    let damaged = listed.items.iter().filter_map(Damaged::of).map(copy).collect();
    Ok(Json(DamagedCopies { damaged, next: listed.next }))
}
