//! What was: how the box and its machine fared, what the workers did, what phases waited for.

use std::str::FromStr;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Json, Query, State};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{attempts, query};
use crate::domain::ids::SectorNumber;
use crate::domain::phase::Phase;
use crate::domain::timeline::{Attempt, DAY, Waited};
use crate::domain::units::Timestamp;
use crate::web::WebState;
use crate::web::charts::{self, Columns};
use crate::web::error::Problem;
use crate::web::gantt::Range;
use crate::web::lookup::{self, Paging, given};
use crate::web::openapi::{Api, Said, says};
use crate::web::schema::shape;
use crate::web::show::{now, rfc3339};

pub fn add(api: Api) -> Api {
    let columns = says::<Columns>("samples", "How the box and its machine fared, line by line");
    let ended = says::<Ended>("timeline", "Which worker did what: attempts by their end");
    let waits = says::<Waits>("timeline_waits", "What phases waited for, by the beginning");
    let place = |numbers: u8| json!({ "type": "string", "pattern": format!("^(([0-9]{{1,18}}-){{{numbers}}}P[1-6])?$") });
    api.get("/samples", samples, with_range(columns))
        .get("/timeline", timeline, with_range(ended).paged(place(2)))
        .get("/timeline/waits", timeline_waits, with_range(waits).paged(place(1)))
}

fn with_range(said: Said) -> Said {
    said.query("range", "over this time", json!({ "enum": Range::ALL.map(Range::name) }))
}

#[derive(Debug, Default, Deserialize)]
struct Over {
    range: Option<String>,
}

impl Over {
    fn range(&self) -> Result<Range, Problem> {
        Ok(lookup::range(given(&self.range))?)
    }

    /// The timeline knows one day.
    fn begins(&self) -> Result<Timestamp, Problem> {
        let time = self.range()?.time().min(DAY).as_millis();
        Ok(Timestamp(now().0.saturating_sub(u64::try_from(time).unwrap_or(u64::MAX))))
    }
}

async fn samples(
    State(state): State<WebState>,
    sent: Result<Query<Over>, QueryRejection>,
) -> Result<Json<Columns>, Problem> {
    Ok(Json(charts::all(&state, query(sent)?.range()?, now())))
}

/// A place in the timeline: `<ms>-<sector>-<phase>` of an attempt's end, `<ms>-<phase>` of the
/// beginning of a wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Moment {
    at: Timestamp,
    sector: Option<SectorNumber>,
    phase: Phase,
}

impl Moment {
    fn text(self) -> String {
        let Self { at: Timestamp(at), sector, phase } = self;
        match sector {
            Some(sector) => format!("{at}-{sector}-{phase}"),
            None => format!("{at}-{phase}"),
        }
    }

    fn of_attempt(text: &str) -> Option<Self> {
        text.parse().ok().filter(|moment: &Self| moment.sector.is_some())
    }

    fn of_wait(text: &str) -> Option<Self> {
        text.parse().ok().filter(|moment: &Self| moment.sector.is_none())
    }
}

impl FromStr for Moment {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (at, rest) = text.split_once('-').ok_or(())?;
        let (sector, phase) = match rest.split_once('-') {
            Some((sector, phase)) => (Some(sector.parse().map_err(|_| ())?), phase),
            None => (None, rest),
        };
        let at = Timestamp(at.parse().map_err(|_| ())?);
        Ok(Self { at, sector, phase: phase.parse().map_err(|_| ())? })
    }
}

/// The earliest end first.
#[derive(Serialize)]
struct Ended {
    /// From here on all attempts are known; from the beginning of the day if none.
    since: Option<String>,
    attempts: Vec<EndedRow>,
    next: Option<String>,
}

#[derive(Serialize)]
struct EndedRow {
    worker: String,
    sector: SectorNumber,
    phase: Phase,
    from: String,
    to: String,
    /// `succeeded`, `failed` or `interrupted`.
    how: &'static str,
}

shape!(Ended { since, attempts, next });
shape!(EndedRow { worker, sector, phase, from, to, how });

async fn timeline(
    State(state): State<WebState>,
    sent: Result<Query<Over>, QueryRejection>,
    paging: Result<Query<Paging>, QueryRejection>,
) -> Result<Json<Ended>, Problem> {
    let (begins, paging) = (query(sent)?.begins()?, query(paging)?);
    let after = paging.after("1769903999000-12-P4", Moment::of_attempt)?;
    let limit = paging.limit()?;
    // The workers wait for it: a copy is quicker than an answer.
    let known = state.timeline.get().clone();
    let place = |one: &&Attempt| Moment { at: one.to, sector: Some(one.sector), phase: one.phase };
    let mut attempts: Vec<&Attempt> = known.attempts(begins).collect();
    attempts.sort_by_key(place);
    let behind = attempts.into_iter().filter(|one| after.is_none_or(|after| place(one) > after));
    let page = lookup::piece(behind, limit, place);
    let row = |one: &Attempt| EndedRow {
        worker: one.worker.clone(),
        sector: one.sector,
        phase: one.phase,
        from: rfc3339(one.from),
        to: rfc3339(one.to),
        how: attempts::how(one.how),
    };
    Ok(Json(Ended {
        since: known.since().map(rfc3339),
        attempts: page.items.into_iter().map(row).collect(),
        next: page.next.map(Moment::text),
    }))
}

/// The earliest beginning first.
#[derive(Serialize)]
struct Waits {
    waits: Vec<WaitedRow>,
    next: Option<String>,
}

#[derive(Serialize)]
struct WaitedRow {
    phase: Phase,
    why: String,
    from: String,
    /// None: it still does.
    to: Option<String>,
}

shape!(Waits { waits, next });
shape!(WaitedRow { phase, why, from, to });

async fn timeline_waits(
    State(state): State<WebState>,
    sent: Result<Query<Over>, QueryRejection>,
    paging: Result<Query<Paging>, QueryRejection>,
) -> Result<Json<Waits>, Problem> {
    let (begins, paging) = (query(sent)?.begins()?, query(paging)?);
    let (after, limit) = (paging.after("1769903999000-P4", Moment::of_wait)?, paging.limit()?);
    let known = state.timeline.get().clone();
    let of = |phase: Phase| known.waits(phase, begins).map(move |wait| (phase, wait));
    let place =
        |(phase, wait): &(Phase, &Waited)| Moment { at: wait.from, sector: None, phase: *phase };
    let mut waits: Vec<(Phase, &Waited)> = Phase::ALL.into_iter().flat_map(of).collect();
    waits.sort_by_key(place);
    let behind = waits.into_iter().filter(|one| after.is_none_or(|after| place(one) > after));
    let page = lookup::piece(behind, limit, place);
    let row = |(phase, wait): (Phase, &Waited)| WaitedRow {
        phase,
        why: wait.why.clone(),
        from: rfc3339(wait.from),
        to: wait.to.map(rfc3339),
    };
    Ok(Json(Waits {
        waits: page.items.into_iter().map(row).collect(),
        next: page.next.map(Moment::text),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_in_the_timeline_is_read_as_it_is_written() {
        let wait = Moment { at: Timestamp(17), sector: None, phase: Phase::P4 };
        let attempt = Moment { sector: Some(SectorNumber(3)), ..wait };
        assert_eq!(Moment::of_wait(&wait.text()), Some(wait));
        assert_eq!(Moment::of_attempt(&attempt.text()), Some(attempt));
        assert_eq!(Moment::of_wait(&attempt.text()), None);
        for text in ["", "-", "17", "17-3", "x-3-P4", "17-3-P9", "17-3-P4-", "17--P4"] {
            assert_eq!(Moment::of_attempt(text), None, "{text}");
        }
    }
}
