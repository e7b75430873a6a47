//! The moves themselves: what an event that is legal does to the stage.

use super::{Illegal, NOT_NOW};
use crate::domain::event::Output;
use crate::domain::failure::{Class, Failure, NextStep, next_step};
use crate::domain::ids::SealProof;
use crate::domain::phase::Phase;
#[cfg(test)]
use crate::domain::planted::{Bug, planted};
use crate::domain::porep::Porep;
use crate::domain::sector::{
    Challenge, Cleaning, Commit, Copying, GiveUp, Replica, Sealed, Sector, Snark, Stage, StoredAt,
    Work,
};
use crate::domain::units::Timestamp;

pub(super) fn started(
    sector: &mut Sector,
    phase: Phase,
    worker: &str,
    at: Timestamp,
) -> Result<(), Illegal> {
    if sector.giving_up.is_some() {
        return Err("it is being given up");
    }
    let work = sector.stage.work_mut(phase).ok_or(NOT_NOW)?;
    match work {
        Work::Ready { tries, deaths, .. } => {
            let (tries, deaths) = (*tries, *deaths);
            *work = Work::Running { tries, worker: worker.to_owned(), since: at, deaths };
            Ok(())
        }
        #[cfg(test)]
        Work::Running { .. } if planted(Bug::DoubleStart) => Ok(()),
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
            *work = Work::Ready { tries, not_before: None, deaths: 0 };
            Ok(tries)
        }
        Work::Ready { .. } | Work::Failed { .. } => Err(NOT_RUNNING),
    }
}

const NOT_RUNNING: Illegal = "no attempt is running";

/// An attempt that ended in any other way than by a death ends the row of them.
pub(super) fn interrupted(sector: &mut Sector, phase: Phase, died: bool) -> Result<(), Illegal> {
    let before = sector.stage.work(phase).map_or(0, Work::deaths);
    let tries = end_attempt(sector, phase)?;
    #[cfg(test)]
    let tries = tries + u32::from(planted(Bug::InterruptedCounts));
    let work = sector.stage.work_mut(phase).ok_or(NOT_NOW)?;
    let deaths = if died { before.saturating_add(1) } else { 0 };
    *work = Work::Ready { tries, not_before: None, deaths };
    Ok(())
}

pub(super) fn advanced(sector: &mut Sector, phase: Phase) -> Result<(), Illegal> {
    match sector.stage.work_mut(phase).ok_or(NOT_NOW)? {
        #[cfg(test)]
        Work::Running { .. } if planted(Bug::AdvanceForgotten) => Ok(()),
        Work::Running { deaths, .. } => {
            *deaths = 0;
            Ok(())
        }
        Work::Ready { .. } | Work::Failed { .. } => Err(NOT_RUNNING),
    }
}

/// What is deleted need not be deleted again: each deletion is a step onward.
pub(super) fn deleted(sector: &mut Sector) -> Result<(), Illegal> {
    let running = sector.stage.works().find(|(_, work)| work.is_running());
    let (phase, _) = running.ok_or("only a running phase deletes")?;
    sector.cleaning_begun |= matches!(sector.stage, Stage::P6 { .. });
    advanced(sector, phase)
}

pub(super) fn succeeded(
    sector: &mut Sector,
    output: &Output,
    at: Timestamp,
) -> Result<(), Illegal> {
    end_attempt(sector, output.phase())?;
    // `end_attempt` found the phase's work, so the stage is the phase's; the other arms say so.
    match (output, &mut sector.stage) {
        (Output::P1, Stage::P1 { ticket, .. }) => {
            sector.stage = Stage::P2 { ticket: *ticket, work: Work::fresh() };
        }
        (Output::P2 { commitments }, Stage::P2 { ticket, .. }) => {
            let replica = Replica { ticket: *ticket, commitments: *commitments };
            sector.stage = after_p2(sector.porep, replica);
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
                Cleaning::Sealed { sealed } => {
                    Stage::Finished { sealed: sealed.clone(), proven: at, fault: None }
                }
                Cleaning::GivenUp { because, comm_r: _ } => {
                    Stage::GivenUp { because: because.clone() }
                }
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

/// Without interaction there is nothing to wait for: the chain first hears of the sector when it is
/// proven.
fn after_p2(porep: Porep, replica: Replica) -> Stage {
    match porep {
        Porep::Interactive | Porep::Synthetic => Stage::PreCommitting { replica },
        Porep::NonInteractive => {
            let challenge = Challenge { replica, drawn: None };
            Stage::P3 { challenge, work: Work::fresh() }
        }
    }
}

pub(super) fn failed(
    sector: &mut Sector,
    phase: Phase,
    failure: &Failure,
    at: Timestamp,
) -> Result<(), Illegal> {
    let tries = end_attempt(sector, phase)?.saturating_add(1);
    let after = match next_step(phase, failure.class, tries, sector.redos) {
        NextStep::RetryAfter(wait) => {
            let not_before = (!wait.is_zero()).then(|| at.plus(wait));
            Work::Ready { tries, not_before, deaths: 0 }
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

pub(super) fn retried(sector: &mut Sector, phase: Phase) -> Result<(), Illegal> {
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
    if let Some(copying_again) = copy_again(&sector.stage, phase) {
        if sector.cleaning_begun {
            return Err("part of it is deleted from scratch: bring the stored copy back");
        }
        sector.stage = copying_again;
        return Ok(());
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

/// A stored copy that could not be proven is copied again from scratch, where all of it still is:
/// P6 deletes nothing before that proof. With any other failure the proof may have been there and
/// the deleting begun; so it may in an earlier attempt.
fn copy_again(stage: &Stage, phase: Phase) -> Option<Stage> {
    match stage {
        Stage::P6 { cleaning: Cleaning::Sealed { sealed }, work: Work::Failed { failure } }
            if phase == Phase::P5 && failure.class == Class::Sector =>
        {
            let Sealed { challenge, proof, commit, stored: _ } = &**sealed;
            Some(Stage::Proving {
                challenge: challenge.clone(),
                snark: Snark::Committed { proof: proof.clone(), commit: commit.clone() },
                copying: Copying::P5 { work: Work::fresh() },
            })
        }
        Stage::Ticket
        | Stage::P1 { .. }
        | Stage::P2 { .. }
        | Stage::PreCommitting { .. }
        | Stage::WaitSeed { .. }
        | Stage::P3 { .. }
        | Stage::Proving { .. }
        | Stage::P6 { .. }
        | Stage::Finished { .. }
        | Stage::GivenUp { .. } => None,
    }
}

pub(super) fn redone(sector: &mut Sector) -> Result<(), Illegal> {
    match &sector.stage {
        Stage::P1 { ticket, work } | Stage::P2 { ticket, work } => {
            if work.is_running() {
                return Err("an attempt is running");
            }
            sector.stage = Stage::P1 { ticket: *ticket, work: Work::fresh() };
            Ok(())
        }
        // The chain knows nothing of it yet.
        Stage::P3 { challenge: Challenge { replica, drawn: None }, work } => {
            if work.is_running() {
                return Err("an attempt is running");
            }
            sector.stage = Stage::P1 { ticket: replica.ticket, work: Work::fresh() };
            Ok(())
        }
        Stage::Ticket => Err("it has not begun"),
        Stage::Proving { challenge: Challenge { drawn: None, .. }, .. } => {
            Err("it is proven and copied by now")
        }
        // From here on the chain knows its comm_r.
        Stage::PreCommitting { .. }
        | Stage::WaitSeed { .. }
        | Stage::P3 { .. }
        | Stage::Proving { .. } => Err("its pre-commit is under way or on chain"),
        Stage::P6 { .. } | Stage::Finished { .. } | Stage::GivenUp { .. } => Err(NOT_NOW),
    }
}

pub(super) fn aborted(sector: &mut Sector, by: &str) -> Result<(), Illegal> {
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
pub(super) fn give_up_if_asked(sector: &mut Sector) {
    let under_way = sector.stage.works().any(|(_, work)| work.is_running());
    #[cfg(test)]
    let under_way = under_way && !planted(Bug::AbortUnderRunning);
    if under_way {
        return;
    }
    if let Some(because) = sector.giving_up.take() {
        sector.stage = clean_up_behind(&sector.stage, because);
    }
}

/// Whatever there is of a sector at this stage.
pub(super) fn clean_up_behind(stage: &Stage, because: GiveUp) -> Stage {
    let comm_r = stage.replica().map(|replica| replica.commitments.comm_r);
    Stage::P6 { cleaning: Cleaning::GivenUp { because, comm_r }, work: Work::fresh() }
}

/// P6 follows when the proof is on chain and the copy in storage, whichever comes last.
pub(super) fn clean_when_both_are_there(sector: &mut Sector) {
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

/// What a look at the stored copy of a finished sector found: proven now, or a fault.
pub(super) fn checked(
    sector: &mut Sector,
    found: Result<Timestamp, &Failure>,
) -> Result<(), Illegal> {
    match &mut sector.stage {
        Stage::Finished { proven, fault, .. } => {
            match found {
                #[cfg(test)]
                Ok(_) if planted(Bug::DamageStays) => {}
                Ok(at) => (*proven, *fault) = (at, None),
                Err(failure) => *fault = Some(failure.clone()),
            }
            Ok(())
        }
        Stage::Ticket
        | Stage::P1 { .. }
        | Stage::P2 { .. }
        | Stage::PreCommitting { .. }
        | Stage::WaitSeed { .. }
        | Stage::P3 { .. }
        | Stage::Proving { .. }
        | Stage::P6 { .. }
        | Stage::GivenUp { .. } => Err("it is not finished"),
    }
}

/// The commit that is being sent: its proof, and the place to put what becomes of it.
pub(super) fn committing(stage: &mut Stage) -> Result<(SealProof, &mut Snark), Illegal> {
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
