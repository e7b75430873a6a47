//! What follows what: one pure function from a sector and an event to the sector after it.
//!
//! Every stage × event is decided here, without a wildcard: a new stage or a new event does not
//! compile until its place in the table is.

#[cfg(test)]
mod deaths_tests;
mod moves;
mod names;
#[cfg(test)]
mod porep_tests;
mod record;
#[cfg(test)]
mod tests;

use super::event::Event;
use super::ids::{SectorId, SectorNumber};
use super::phase::PerPhase;
use super::sector::{Challenge, Drawn, GiveUp, Sector, Snark, Stage, TaskRecord, Work};
use super::units::{Seq, Timestamp};
use moves::{
    aborted, advanced, checked, clean_up_behind, clean_when_both_are_there, committing, deleted,
    failed, give_up_if_asked, interrupted, redone, retried, started, succeeded,
};
use record::record;

/// When an event happened, and its place in the box's history.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    pub seq: Seq,
    pub at: Timestamp,
}

/// What a sector's state asks of the world outside the box's workers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Effect {
    DrawTicket,
    SendPreCommit,
    AwaitSeed,
    SendCommit,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("sector {number} at {stage}: {event} cannot happen ({why})")]
pub struct IllegalEvent {
    pub number: SectorNumber,
    pub stage: &'static str,
    pub event: &'static str,
    pub why: &'static str,
}

/// Begins a sector.
pub fn issue(number: SectorNumber, stamp: Stamp, event: &Event) -> Result<Sector, IllegalEvent> {
    let Event::Issued { miner, size, data, order, simulated, porep, scratch } = event else {
        return Err(IllegalEvent {
            number,
            stage: "unborn",
            event: event.name(),
            why: "a sector begins by being issued",
        });
    };
    Ok(Sector {
        id: SectorId { miner: *miner, number },
        size: *size,
        data: *data,
        order: *order,
        simulated: *simulated,
        porep: *porep,
        scratch: scratch.clone(),
        created: stamp.at,
        updated: stamp.at,
        seq: stamp.seq,
        stage: Stage::Ticket,
        giving_up: None,
        redos: 0,
        cleaning_begun: false,
        tasks: PerPhase::from_fn(|_| TaskRecord::default()),
    })
}

/// The sector after the event, and what is newly asked of the world.
pub fn apply(
    sector: &Sector,
    stamp: Stamp,
    event: &Event,
) -> Result<(Sector, Vec<Effect>), IllegalEvent> {
    let mut next = sector.clone();
    next.seq = stamp.seq;
    next.updated = stamp.at;
    advance(&mut next, stamp.at, event).map_err(|why| IllegalEvent {
        number: sector.id.number,
        stage: sector.stage.name(),
        event: event.name(),
        why,
    })?;
    give_up_if_asked(&mut next);
    record(&mut next, stamp.at, event);
    let owed = owed(&next);
    let effects = if owed == self::owed(sector) { Vec::new() } else { owed };
    Ok((next, effects))
}

/// The sector after the first event of its history or a later one.
pub fn fold(
    sector: Option<&Sector>,
    number: SectorNumber,
    stamp: Stamp,
    event: &Event,
) -> Result<(Sector, Vec<Effect>), IllegalEvent> {
    match sector {
        Some(sector) => apply(sector, stamp, event),
        None => issue(number, stamp, event).map(|sector| {
            let owed = owed(&sector);
            (sector, owed)
        }),
    }
}

/// All that the sector's state asks of the world now: after a restart, ask for it again.
pub fn owed(sector: &Sector) -> Vec<Effect> {
    if sector.giving_up.is_some() {
        return Vec::new();
    }
    match &sector.stage {
        Stage::Ticket => vec![Effect::DrawTicket],
        Stage::PreCommitting { .. } => vec![Effect::SendPreCommit],
        Stage::WaitSeed { .. } => vec![Effect::AwaitSeed],
        Stage::Proving { snark: Snark::Committing { refused: None, .. }, .. } => {
            vec![Effect::SendCommit]
        }
        Stage::P1 { .. }
        | Stage::P2 { .. }
        | Stage::P3 { .. }
        | Stage::Proving {
            snark:
                Snark::P4 { .. } | Snark::Committing { refused: Some(_), .. } | Snark::Committed { .. },
            ..
        }
        | Stage::P6 { .. }
        | Stage::Finished { .. }
        | Stage::GivenUp { .. } => Vec::new(),
    }
}

type Illegal = &'static str;

const NOT_NOW: Illegal = "the sector is not at that point";

fn advance(sector: &mut Sector, at: Timestamp, event: &Event) -> Result<(), Illegal> {
    match event {
        Event::Issued { .. } => Err("it was issued before"),
        Event::TicketDrawn { ticket } => match &sector.stage {
            Stage::Ticket => {
                sector.stage = Stage::P1 { ticket: *ticket, work: Work::fresh() };
                Ok(())
            }
            Stage::P1 { .. }
            | Stage::P2 { .. }
            | Stage::PreCommitting { .. }
            | Stage::WaitSeed { .. }
            | Stage::P3 { .. }
            | Stage::Proving { .. }
            | Stage::P6 { .. }
            | Stage::Finished { .. }
            | Stage::GivenUp { .. } => Err(NOT_NOW),
        },
        Event::Started { phase, worker } => started(sector, *phase, worker, at),
        Event::Interrupted { phase, died } => interrupted(sector, *phase, *died),
        Event::Advanced { phase } => advanced(sector, *phase),
        Event::Succeeded { output } => succeeded(sector, output, at),
        Event::Failed { phase, failure } => failed(sector, *phase, failure, at),
        Event::PreCommitted { pre_commit } => match &sector.stage {
            Stage::PreCommitting { replica } => {
                sector.stage =
                    Stage::WaitSeed { replica: *replica, pre_commit: pre_commit.clone() };
                Ok(())
            }
            Stage::Ticket
            | Stage::P1 { .. }
            | Stage::P2 { .. }
            | Stage::WaitSeed { .. }
            | Stage::P3 { .. }
            | Stage::Proving { .. }
            | Stage::P6 { .. }
            | Stage::Finished { .. }
            | Stage::GivenUp { .. } => Err(NOT_NOW),
        },
        Event::PreCommitRefused { failure } => match &sector.stage {
            Stage::PreCommitting { .. } => {
                let because = GiveUp::Chain { failure: failure.clone() };
                sector.stage = clean_up_behind(&sector.stage, because);
                Ok(())
            }
            Stage::Ticket
            | Stage::P1 { .. }
            | Stage::P2 { .. }
            | Stage::WaitSeed { .. }
            | Stage::P3 { .. }
            | Stage::Proving { .. }
            | Stage::P6 { .. }
            | Stage::Finished { .. }
            | Stage::GivenUp { .. } => Err(NOT_NOW),
        },
        Event::SeedDrawn { seed } => match &sector.stage {
            Stage::WaitSeed { replica, pre_commit } => {
                let drawn = Drawn { pre_commit: pre_commit.clone(), seed: *seed };
                let challenge = Challenge { replica: *replica, drawn: Some(drawn) };
                sector.stage = Stage::P3 { challenge, work: Work::fresh() };
                Ok(())
            }
            Stage::Ticket
            | Stage::P1 { .. }
            | Stage::P2 { .. }
            | Stage::PreCommitting { .. }
            | Stage::P3 { .. }
            | Stage::Proving { .. }
            | Stage::P6 { .. }
            | Stage::Finished { .. }
            | Stage::GivenUp { .. } => Err(NOT_NOW),
        },
        Event::Committed { commit } => {
            let (proof, snark) = committing(&mut sector.stage)?;
            *snark = Snark::Committed { proof, commit: commit.clone() };
            clean_when_both_are_there(sector);
            Ok(())
        }
        Event::CommitRefused { failure } => {
            let (proof, snark) = committing(&mut sector.stage)?;
            *snark = Snark::Committing { proof, refused: Some(failure.clone()) };
            Ok(())
        }
        Event::Retried { phase, .. } => retried(sector, *phase),
        Event::Redone { .. } => redone(sector),
        Event::Aborted { by } => aborted(sector, by),
        Event::Deleted { .. } => deleted(sector),
        Event::StoredProven { .. } => checked(sector, Ok(at)),
        Event::StoredDamaged { failure, .. } => checked(sector, Err(failure)),
    }
}
