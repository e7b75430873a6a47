//! Finished sectors proven again: the order, what came of it, and when each was proven last.

use axum::http::StatusCode;
use serde::Serialize;

use super::error::Unanswered;
use super::schema::shape;
use super::show::rfc3339;
use super::{WebState, lookup};
use crate::domain::failure::Failure;
use crate::domain::order::Pass;
use crate::domain::sector::{Sector, Stage};
use crate::domain::units::{ByteSize, Timestamp};
use crate::scheduler::view::BoxView;
use crate::worker::checks::Seen;
use crate::worker::checks::prove::Found;
use crate::worker::phases::hung_in;

/// Has the sector's stored copy proven again; the sector.
pub fn order(state: &WebState, number: &str, by: &str) -> Result<Sector, Unanswered> {
    let sector = lookup::sector(state, number)?;
    state
        .checks
        .order(&sector, by)
        .map_err(|failure| Unanswered::new(StatusCode::CONFLICT, failure.what, failure.mend))?;
    Ok(sector)
}

/// What came of the last order for this sector, if one is known.
pub fn seen(state: &WebState, sector: &Sector) -> Option<Seen> {
    state.checks.seen(sector, |root| hung_in(&state.disks.borrow(), root))
}

/// The same, as the API sends it.
#[derive(Debug, Serialize)]
pub struct Verification {
    pub sector: u64,
    /// `waiting`, `running`, `proven`, `damaged`, or `unknown`: it could not be found out.
    pub state: &'static str,
    pub done_bytes: u64,
    pub total_bytes: u64,
    /// What is damaged, or what it waits for.
    pub failure: Option<Failure>,
    pub at: Option<String>,
}

impl Verification {
    pub fn of(sector: &Sector, seen: Seen) -> Self {
        let (done, total, at) = match &seen {
            Seen::Running { done_bytes, total_bytes } => (*done_bytes, *total_bytes, None),
            Seen::Ended { at, .. } => (0, 0, Some(rfc3339(*at))),
            Seen::Waiting(_) => (0, 0, None),
        };
        let (state, failure) = match seen {
            Seen::Waiting(failure) => ("waiting", failure),
            Seen::Running { .. } => ("running", None),
            Seen::Ended { found: Found::Whole, .. } => ("proven", None),
            Seen::Ended { found: Found::Damaged(failure), .. } => ("damaged", Some(failure)),
            Seen::Ended { found: Found::Unknown(failure), .. } => ("unknown", Some(failure)),
        };
        let sector = sector.id.number.0;
        Self { sector, state, done_bytes: done, total_bytes: total, failure, at }
    }
}

/// What is under way for a sector, in a sentence; and why the last order brought no answer.
pub fn words(seen: &Seen) -> Option<String> {
    match seen {
        Seen::Waiting(None) => Some("It waits for its turn to be proven again.".to_owned()),
        Seen::Waiting(Some(failure)) => Some(format!("It waits to be proven again: {failure}.")),
        Seen::Running { done_bytes, total_bytes } => Some(format!(
            "It is being proven again: {} of {} read.",
            ByteSize(*done_bytes),
            ByteSize(*total_bytes)
        )),
        Seen::Ended { found: Found::Unknown(failure), .. } => {
            Some(format!("It could not be proven again: {failure}."))
        }
        // These are in its history, and its state follows from them.
        Seen::Ended { found: Found::Whole | Found::Damaged(_), .. } => None,
    }
}

/// When a stored copy was proven last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Proven {
    pub at: Timestamp,
    /// Then or later: it was one of a pass, which is not written down sector by sector.
    pub or_later: bool,
}

impl Proven {
    /// None if it is not finished.
    pub fn of(view: &BoxView, sector: &Sector) -> Option<Self> {
        let (sealed, proven, fault) = match &sector.stage {
            Stage::Finished { sealed, proven, fault } => (sealed, *proven, fault),
            Stage::Ticket
            | Stage::P1 { .. }
            | Stage::P2 { .. }
            | Stage::PreCommitting { .. }
            | Stage::WaitSeed { .. }
            | Stage::P3 { .. }
            | Stage::Proving { .. }
            | Stage::P6 { .. }
            | Stage::GivenUp { .. } => return None,
        };
        let pass = view.passes.get(&sealed.stored.root).filter(|_| fault.is_none());
        let looked_at = pass.and_then(|pass: &Pass| pass.looked_at_since(sector.id.number));
        Some(match looked_at.filter(|at| *at > proven) {
            Some(at) => Self { at, or_later: true },
            None => Self { at: proven, or_later: false },
        })
    }
}

shape!(Verification { sector, state, done_bytes, total_bytes, failure, at });

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ids::SectorNumber;

    #[test]
    fn a_pass_says_of_a_sector_only_what_it_has_looked_at() {
        let pass = Pass {
            began: Timestamp(50),
            up_to: Some(SectorNumber(7)),
            before: Some(Timestamp(20)),
        };
        assert_eq!(pass.looked_at_since(SectorNumber(7)), Some(Timestamp(50)));
        assert_eq!(pass.looked_at_since(SectorNumber(8)), Some(Timestamp(20)));
        let first = Pass { before: None, ..pass.clone() };
        assert_eq!(first.looked_at_since(SectorNumber(8)), None);
        let over = Pass { up_to: None, ..pass };
        assert_eq!(over.looked_at_since(SectorNumber(8)), Some(Timestamp(50)));
    }
}
