//! What follows what: one pure function from a sector and an event to the sector after it.
//!
//! Every stage × event is decided here, without a wildcard: a new stage or a new event does not
//! compile until its place in the table is.

use super::event::{Event, Output};
use super::failure::{NextStep, next_step};
use super::ids::{SealProof, SectorId, SectorNumber};
use super::phase::{PerPhase, Phase};
use super::sector::{
    Challenge, Cleaning, Commit, Copying, GiveUp, Replica, Sealed, Sector, Snark, Stage, StoredAt,
    TaskRecord, Work,
};
use super::units::{Seq, Timestamp};

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
    let Event::Issued { miner, size, data, order, simulated } = event else {
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
        created: stamp.at,
        updated: stamp.at,
        seq: stamp.seq,
        stage: Stage::Ticket,
        giving_up: None,
        redos: 0,
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
        Event::Interrupted { phase } => interrupted(sector, *phase),
        Event::Succeeded { output } => succeeded(sector, output),
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
                sector.stage = clean_up_behind(GiveUp::Chain { failure: failure.clone() });
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
                let challenge =
                    Challenge { replica: *replica, pre_commit: pre_commit.clone(), seed: *seed };
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
        Event::Deleted { .. } => {
            if sector.stage.works().any(|(_, work)| work.is_running()) {
                Ok(())
            } else {
                Err("only a running phase deletes")
            }
        }
    }
}

fn started(sector: &mut Sector, phase: Phase, worker: &str, at: Timestamp) -> Result<(), Illegal> {
    if sector.giving_up.is_some() {
        return Err("it is being given up");
    }
    let work = sector.stage.work_mut(phase).ok_or(NOT_NOW)?;
    match work {
        Work::Ready { tries, .. } => {
            *work = Work::Running { tries: *tries, worker: worker.to_owned(), since: at };
            Ok(())
        }
        Work::Running { .. } => Err("an attempt is running"),
        Work::Failed { .. } => Err("it waits for a person"),
    }
}

/// Ends the running attempt of a phase; answers how many failed before it.
fn end_attempt(sector: &mut Sector, phase: Phase) -> Result<u32, Illegal> {
    let work = sector.stage.work_mut(phase).ok_or(NOT_NOW)?;
    match work {
        Work::Running { tries, .. } => {
            let tries = *tries;
            *work = Work::Ready { tries, not_before: None };
            Ok(tries)
        }
        Work::Ready { .. } | Work::Failed { .. } => Err("no attempt is running"),
    }
}

fn interrupted(sector: &mut Sector, phase: Phase) -> Result<(), Illegal> {
    end_attempt(sector, phase).map(|_tries| ())
}

fn succeeded(sector: &mut Sector, output: &Output) -> Result<(), Illegal> {
    end_attempt(sector, output.phase())?;
    // `end_attempt` found the phase's work, so the stage is the phase's; the other arms say so.
    match (output, &mut sector.stage) {
        (Output::P1, Stage::P1 { ticket, .. }) => {
            sector.stage = Stage::P2 { ticket: *ticket, work: Work::fresh() };
        }
        (Output::P2 { commitments }, Stage::P2 { ticket, .. }) => {
            let replica = Replica { ticket: *ticket, commitments: *commitments };
            sector.stage = Stage::PreCommitting { replica };
        }
        (Output::P3, Stage::P3 { challenge, .. }) => {
            sector.stage = Stage::Proving {
                challenge: challenge.clone(),
                snark: Snark::P4 { work: Work::fresh() },
                copying: Copying::P5 { work: Work::fresh() },
            };
        }
        (Output::P4 { proof }, Stage::Proving { snark, .. }) => {
            *snark = Snark::Committing { proof: proof.clone(), refused: None };
        }
        (Output::P5 { stored }, Stage::Proving { copying, .. }) => {
            *copying = Copying::Copied { stored: stored.clone() };
            clean_when_both_are_there(sector);
        }
        (Output::P6, Stage::P6 { cleaning, .. }) => {
            sector.stage = match cleaning {
                Cleaning::Sealed { sealed } => Stage::Finished { sealed: sealed.clone() },
                Cleaning::GivenUp { because } => Stage::GivenUp { because: because.clone() },
            };
        }
        (
            Output::P1
            | Output::P2 { .. }
            | Output::P3
            | Output::P4 { .. }
            | Output::P5 { .. }
            | Output::P6,
            Stage::Ticket
            | Stage::P1 { .. }
            | Stage::P2 { .. }
            | Stage::PreCommitting { .. }
            | Stage::WaitSeed { .. }
            | Stage::P3 { .. }
            | Stage::Proving { .. }
            | Stage::P6 { .. }
            | Stage::Finished { .. }
            | Stage::GivenUp { .. },
        ) => return Err(NOT_NOW),
    }
    Ok(())
}

fn failed(
    sector: &mut Sector,
    phase: Phase,
    failure: &super::failure::Failure,
    at: Timestamp,
) -> Result<(), Illegal> {
    let tries = end_attempt(sector, phase)?.saturating_add(1);
    let after = match next_step(phase, failure.class, tries, sector.redos) {
        NextStep::RetryAfter(wait) => {
            Work::Ready { tries, not_before: (!wait.is_zero()).then(|| at.plus(wait)) }
        }
        NextStep::Wait => Work::Failed { failure: failure.clone() },
        NextStep::RedoFromP1 => {
            sector.redos += 1;
            return redone(sector);
        }
    };
    let work = sector.stage.work_mut(phase).ok_or(NOT_NOW)?;
    *work = after;
    Ok(())
}

fn retried(sector: &mut Sector, phase: Phase) -> Result<(), Illegal> {
    if sector.giving_up.is_some() {
        return Err("it is being given up");
    }
    if let Stage::Proving { snark: Snark::Committing { refused, .. }, .. } = &mut sector.stage
        && phase == Phase::P4
    {
        return match refused.take() {
            Some(_) => Ok(()),
            None => Err("its commit is being sent"),
        };
    }
    let work = sector.stage.work_mut(phase).ok_or(NOT_NOW)?;
    match work {
        Work::Failed { .. } | Work::Ready { not_before: Some(_), .. } => {
            *work = Work::fresh();
            Ok(())
        }
        Work::Ready { not_before: None, .. } => Err("it is queued to start"),
        Work::Running { .. } => Err("an attempt is running"),
    }
}

fn redone(sector: &mut Sector) -> Result<(), Illegal> {
    match &sector.stage {
        Stage::P1 { ticket, work } | Stage::P2 { ticket, work } => {
            if work.is_running() {
                return Err("an attempt is running");
            }
            sector.stage = Stage::P1 { ticket: *ticket, work: Work::fresh() };
            Ok(())
        }
        Stage::Ticket => Err("it has not begun"),
        // From here on the chain knows its comm_r.
        Stage::PreCommitting { .. }
        | Stage::WaitSeed { .. }
        | Stage::P3 { .. }
        | Stage::Proving { .. } => Err("its pre-commit is under way or on chain"),
        Stage::P6 { .. } | Stage::Finished { .. } | Stage::GivenUp { .. } => Err(NOT_NOW),
    }
}

fn aborted(sector: &mut Sector, by: &str) -> Result<(), Illegal> {
    match &sector.stage {
        Stage::Ticket
        | Stage::P1 { .. }
        | Stage::P2 { .. }
        | Stage::PreCommitting { .. }
        | Stage::WaitSeed { .. }
        | Stage::P3 { .. }
        | Stage::Proving {
            snark: Snark::P4 { .. } | Snark::Committing { refused: Some(_), .. },
            ..
        } => {
            if sector.giving_up.is_some() {
                return Err("it is being given up");
            }
            sector.giving_up = Some(GiveUp::Operator { who: by.to_owned() });
            Ok(())
        }
        Stage::Proving {
            snark: Snark::Committing { refused: None, .. } | Snark::Committed { .. },
            ..
        } => Err("its proof is on chain or on its way there"),
        Stage::P6 { cleaning: Cleaning::Sealed { .. }, .. } | Stage::Finished { .. } => {
            Err("it is sealed")
        }
        Stage::P6 { cleaning: Cleaning::GivenUp { .. }, .. } | Stage::GivenUp { .. } => {
            Err("it is given up")
        }
    }
}

/// An abort waits for the attempts that run: files are never deleted under a running phase.
fn give_up_if_asked(sector: &mut Sector) {
    if sector.stage.works().any(|(_, work)| work.is_running()) {
        return;
    }
    if let Some(because) = sector.giving_up.take() {
        sector.stage = clean_up_behind(because);
    }
}

fn clean_up_behind(because: GiveUp) -> Stage {
    Stage::P6 { cleaning: Cleaning::GivenUp { because }, work: Work::fresh() }
}

/// P6 follows when the proof is on chain and the copy in storage, whichever comes last.
fn clean_when_both_are_there(sector: &mut Sector) {
    let Stage::Proving {
        challenge,
        snark: Snark::Committed { proof, commit },
        copying: Copying::Copied { stored },
    } = &sector.stage
    else {
        return;
    };
    let sealed = sealed(challenge, proof, commit, stored);
    let cleaning = Cleaning::Sealed { sealed: Box::new(sealed) };
    sector.stage = Stage::P6 { cleaning, work: Work::fresh() };
}

fn sealed(challenge: &Challenge, proof: &SealProof, commit: &Commit, stored: &StoredAt) -> Sealed {
    Sealed {
        challenge: challenge.clone(),
        proof: proof.clone(),
        commit: commit.clone(),
        stored: stored.clone(),
    }
}

/// The commit that is being sent: its proof, and the place to put what becomes of it.
fn committing(stage: &mut Stage) -> Result<(SealProof, &mut Snark), Illegal> {
    match stage {
        Stage::Proving { snark, .. } => match snark {
            Snark::Committing { proof, refused: None } => Ok((proof.clone(), snark)),
            Snark::P4 { .. }
            | Snark::Committing { refused: Some(_), .. }
            | Snark::Committed { .. } => Err(NOT_NOW),
        },
        Stage::Ticket
        | Stage::P1 { .. }
        | Stage::P2 { .. }
        | Stage::PreCommitting { .. }
        | Stage::WaitSeed { .. }
        | Stage::P3 { .. }
        | Stage::P6 { .. }
        | Stage::Finished { .. }
        | Stage::GivenUp { .. } => Err(NOT_NOW),
    }
}

/// Keeps the tasks' records in step with the stage.
fn record(sector: &mut Sector, at: Timestamp, event: &Event) {
    if let Some(phase) = event.phase() {
        let task = &mut sector.tasks[phase];
        task.updated = Some(at);
        match event {
            Event::Started { worker, .. } => {
                task.attempts += 1;
                task.worker = Some(worker.clone());
                task.started = Some(at);
            }
            Event::Succeeded { .. } => {
                task.done = Some(at);
                task.last_failure = None;
            }
            Event::Failed { failure, .. } | Event::CommitRefused { failure } => {
                task.last_failure = Some(failure.clone());
            }
            Event::Issued { .. }
            | Event::TicketDrawn { .. }
            | Event::Interrupted { .. }
            | Event::PreCommitted { .. }
            | Event::PreCommitRefused { .. }
            | Event::SeedDrawn { .. }
            | Event::Committed { .. }
            | Event::Retried { .. }
            | Event::Redone { .. }
            | Event::Aborted { .. }
            | Event::Deleted { .. } => {}
        }
    }
    let Sector { stage, tasks, .. } = sector;
    for (phase, _work) in stage.works() {
        let task = &mut tasks[phase];
        task.created.get_or_insert(at);
        // Whose work is to do is not done, even if it once was (redone from P1).
        task.done = None;
    }
    if let Stage::P1 { .. } = stage {
        let later = &mut tasks[Phase::P2];
        later.created = None;
        later.done = None;
    }
}

impl Event {
    /// The event's name, constant, for messages.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Issued { .. } => "issued",
            Self::TicketDrawn { .. } => "ticket drawn",
            Self::Started { .. } => "started",
            Self::Interrupted { .. } => "interrupted",
            Self::Succeeded { .. } => "succeeded",
            Self::Failed { .. } => "failed",
            Self::PreCommitted { .. } => "pre-committed",
            Self::PreCommitRefused { .. } => "pre-commit refused",
            Self::SeedDrawn { .. } => "seed drawn",
            Self::Committed { .. } => "committed",
            Self::CommitRefused { .. } => "commit refused",
            Self::Retried { .. } => "retried",
            Self::Redone { .. } => "redone from P1",
            Self::Aborted { .. } => "aborted",
            Self::Deleted { .. } => "deleted",
        }
    }

    /// The phase whose task it concerns, if one.
    pub fn phase(&self) -> Option<Phase> {
        match self {
            Self::Started { phase, .. }
            | Self::Interrupted { phase }
            | Self::Failed { phase, .. }
            | Self::Retried { phase, .. } => Some(*phase),
            Self::Succeeded { output } => Some(output.phase()),
            // The commit is the second half of what P4 is for.
            Self::CommitRefused { .. } => Some(Phase::P4),
            Self::Issued { .. }
            | Self::TicketDrawn { .. }
            | Self::PreCommitted { .. }
            | Self::PreCommitRefused { .. }
            | Self::SeedDrawn { .. }
            | Self::Committed { .. }
            | Self::Redone { .. }
            | Self::Aborted { .. }
            | Self::Deleted { .. } => None,
        }
    }
}

impl Stage {
    /// The stage's name, constant: the filter and the word for it on every page.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Ticket => "ticket",
            Self::P1 { .. } => "P1",
            Self::P2 { .. } => "P2",
            Self::PreCommitting { .. } => "pre-commit",
            Self::WaitSeed { .. } => "wait seed",
            Self::P3 { .. } => "P3",
            Self::Proving { .. } => "P4/P5",
            Self::P6 { .. } => "P6",
            Self::Finished { .. } => "finished",
            Self::GivenUp { .. } => "given up",
        }
    }
}
