//! What the page's buttons do: plain forms, answered by going back with a sentence of what
//! happened, or by the error page.

pub mod many;
mod orders;

use std::path::PathBuf;

use axum::extract::rejection::FormRejection;
use axum::extract::{Form, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;

use super::bulk::{self, Act, Which};
use super::entry::By;
use super::error::{Named, PageError, Unanswered};
use super::lookup::{SectorQuery, shortened};
use super::pages::failures;
use super::show::{grouped, plural};
use super::undo::Undo;
use super::{WebState, flash, lookup, verify};
use crate::domain::ids::SectorNumber;
use crate::domain::phase::Phase;
use crate::domain::units::ByteSize;
use crate::scheduler::command::{Command, Done, Retried};
use crate::store::SectorFilter;

pub use orders::{cancel_order, move_order, order, order_count, order_id, order_size, place};

type Answer = Result<Response, PageError>;
type Fields<T> = Result<Form<T>, FormRejection>;

fn fields<T>(sent: Fields<T>) -> Result<T, PageError> {
    let Form(fields) = sent.map_err(|rejection| {
        Unanswered::new(
            rejection.status(),
            rejection.body_text(),
            "open the page again and use its form",
        )
    })?;
    Ok(fields)
}

/// Back to where the button was, with the sentence.
fn said(back: &str, sentence: &str) -> Response {
    said_with(back, sentence, None)
}

/// The same, with what takes it back.
fn said_with(back: &str, sentence: &str, undo: Option<Undo>) -> Response {
    let head = [
        (header::LOCATION, own_address(back).to_owned()),
        (header::CACHE_CONTROL, "no-store".to_owned()),
    ];
    let mut response = (StatusCode::SEE_OTHER, head).into_response();
    response.headers_mut().insert(header::SET_COOKIE, flash::leave(sentence, undo));
    response
}

/// Only an address of this page: anything else leads to the Overview.
pub fn own_address(back: &str) -> &str {
    let plain = back.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\');
    if plain && back.starts_with('/') && !back.starts_with("//") { back } else { "/" }
}

#[derive(Debug, Default, Deserialize)]
pub struct Plain {
    #[serde(default)]
    back: String,
}

/// The number in an address. Whether there is such a sector, the scheduler says.
pub fn sector_number(text: &str) -> Result<SectorNumber, Unanswered> {
    text.parse().map_err(|_| Unanswered::no_sector(&shortened(text)))
}

#[derive(Debug, Deserialize)]
pub struct RetryFields {
    phase: Option<String>,
    #[serde(default)]
    back: String,
}

pub async fn retry(
    State(state): State<WebState>,
    By(by): By,
    Named(sector): Named,
    sent: Fields<RetryFields>,
) -> Answer {
    let fields = fields(sent)?;
    let sector = sector_number(&sector)?;
    let phase = fields.phase.as_deref().map(lookup::phase).transpose()?;
    carry_out(&state, &by, Command::Retry { sector, phase }, &Plain { back: fields.back }).await
}

pub async fn verify(
    State(state): State<WebState>,
    By(by): By,
    Named(sector): Named,
    sent: Fields<Plain>,
) -> Answer {
    let fields = fields(sent)?;
    let number = verify::order(&state, &sector, &by)?.id.number;
    let words = format!("Sector {number} is being proven again; its page says what comes of it.");
    Ok(said(&fields.back, &words))
}

pub async fn redo(
    State(state): State<WebState>,
    By(by): By,
    Named(sector): Named,
    sent: Fields<Plain>,
) -> Answer {
    let sector = sector_number(&sector)?;
    carry_out(&state, &by, Command::Redo { sector }, &fields(sent)?).await
}

pub async fn abort(
    State(state): State<WebState>,
    By(by): By,
    Named(sector): Named,
    sent: Fields<Plain>,
) -> Answer {
    let sector = sector_number(&sector)?;
    carry_out(&state, &by, Command::Abort { sector }, &fields(sent)?).await
}

pub async fn pause(State(state): State<WebState>, By(by): By, sent: Fields<Plain>) -> Answer {
    carry_out(&state, &by, Command::PauseIntake, &fields(sent)?).await
}

pub async fn resume(State(state): State<WebState>, By(by): By, sent: Fields<Plain>) -> Answer {
    carry_out(&state, &by, Command::ResumeIntake, &fields(sent)?).await
}

pub async fn pause_phase(
    State(state): State<WebState>,
    By(by): By,
    Named(phase): Named,
    sent: Fields<Plain>,
) -> Answer {
    let phase = lookup::phase(&phase)?;
    carry_out(&state, &by, Command::PausePhase { phase }, &fields(sent)?).await
}

pub async fn resume_phase(
    State(state): State<WebState>,
    By(by): By,
    Named(phase): Named,
    sent: Fields<Plain>,
) -> Answer {
    let phase = lookup::phase(&phase)?;
    carry_out(&state, &by, Command::ResumePhase { phase }, &fields(sent)?).await
}

pub async fn drain(State(state): State<WebState>, By(by): By, sent: Fields<Plain>) -> Answer {
    carry_out(&state, &by, Command::Drain, &fields(sent)?).await
}

pub async fn doctor(State(state): State<WebState>, sent: Fields<Plain>) -> Answer {
    let back = fields(sent)?.back;
    state.doctor.look();
    Ok(said(&back, "The doctor looks again; a disk that hangs takes it 10 s."))
}

pub async fn test_alert(State(state): State<WebState>, sent: Fields<Plain>) -> Answer {
    let back = fields(sent)?.back;
    state.alerts.test().await.map_err(Unanswered::from)?;
    Ok(said(&back, "The test alert was taken by the webhook."))
}

/// Said in any case; what is wrong with the file has a page of its own.
pub async fn reload(State(state): State<WebState>, By(by): By, sent: Fields<Plain>) -> Answer {
    let back = fields(sent)?.back;
    let words = state.reload.again(&by).await?.words();
    Ok(said(&back, &words))
}

pub async fn resume_all(State(state): State<WebState>, By(by): By, sent: Fields<Plain>) -> Answer {
    carry_out(&state, &by, Command::ResumeAll, &fields(sent)?).await
}

async fn carry_out(state: &WebState, by: &str, command: Command, fields: &Plain) -> Answer {
    let before = state.handle.view();
    let done = state.handle.command(command.clone(), by).await?;
    let undo = Undo::of(&command, &done, &before);
    let mut words = done_words(&done);
    if matches!(done, Done::Aborted { .. }) {
        words.push_str(" An abort cannot be undone.");
    }
    Ok(said_with(&fields.back, &words, undo))
}

/// One cause of the Failures page; no cause at all means every failure.
#[derive(Debug, Deserialize)]
pub struct CauseFields {
    cause: Option<String>,
    #[serde(default)]
    back: String,
}

/// Puts back every task that failed of this cause, and says of the others why not.
pub async fn retry_cause(
    State(state): State<WebState>,
    By(by): By,
    sent: Fields<CauseFields>,
) -> Answer {
    let fields = fields(sent)?;
    let which = match &fields.cause {
        None => Which::Matching(SectorQuery::first(SectorFilter::Attention, bulk::MOST)),
        Some(cause) => {
            let group = failures::groups(&state)?.into_iter().find(|group| group.key() == *cause);
            let Some(group) = group else {
                return Ok(said(&fields.back, "Nothing to retry: this cause is gone."));
            };
            let targets = group.failed.iter().map(|failed| (failed.sector, Some(failed.phase)));
            Which::These(targets.collect())
        }
    };
    let chosen = bulk::choose(&state, Act::Retry, which).await?;
    let outcome = bulk::carry_out(&state, &by, Act::Retry, chosen).await?;
    Ok(said(&fields.back, &outcome.words(Act::Retry)))
}

#[derive(Debug, Deserialize)]
pub struct OrphanFields {
    path: PathBuf,
    #[serde(default)]
    back: String,
}

pub async fn delete_orphan(
    State(state): State<WebState>,
    By(by): By,
    sent: Fields<OrphanFields>,
) -> Answer {
    let OrphanFields { path, back } = fields(sent)?;
    let bytes = state.orphans.delete(&state.handle, path.clone(), by).await?;
    Ok(said(&back, &done_words(&Done::OrphanRecorded { path, bytes })))
}

/// What was done, as a person is told.
pub fn done_words(done: &Done) -> String {
    match done {
        Done::Ordered(order) => format!(
            "Ordered {} of {} (order {}).",
            plural(order.count, "sector", "sectors"),
            order.size,
            order.id
        ),
        Done::Cancelled(order) => format!("Order {order} issues no more sectors."),
        Done::Moved { order, place: 1 } => format!("Order {order} is first now."),
        Done::Moved { order, place } => format!("Order {order} stands at place {place} now."),
        Done::Retried(retried) => retried_words(retried),
        Done::Redone(sector) => format!("Sector {sector} goes back to P1."),
        Done::Aborted { sector, stopped, awaited } => aborted_words(*sector, stopped, awaited),
        Done::IntakePaused => "Intake is paused: no new sector is issued.".to_owned(),
        Done::IntakeResumed => "Intake is open again.".to_owned(),
        Done::PhasePaused(phase) => {
            format!("{phase} is paused: what runs may end, nothing more of it starts.")
        }
        Done::PhaseResumed(phase) => format!("{phase} goes on."),
        Done::Draining { running: 0 } => "The box is at rest: nothing runs.".to_owned(),
        Done::Draining { running } => format!(
            "Draining: {} may end, nothing more starts.",
            plural(*running as u64, "attempt", "attempts")
        ),
        Done::AllResumed => "Intake and all phases go on.".to_owned(),
        Done::Adopted => "The limits of the configuration are in effect.".to_owned(),
        Done::OrphanRecorded { path, bytes } => {
            format!("{} ({}) is deleted.", path.display(), ByteSize(*bytes))
        }
    }
}

fn aborted_words(sector: SectorNumber, stopped: &[Phase], awaited: &[Phase]) -> String {
    let names =
        |phases: &[Phase]| phases.iter().map(Phase::to_string).collect::<Vec<_>>().join(" and ");
    let stopped = match stopped {
        [] => String::new(),
        stopped => format!(" Its running {} is stopped now.", names(stopped)),
    };
    match awaited {
        [] if stopped.is_empty() => {
            format!(
                "Sector {sector} is given up; what it has on scratch and in storage is being \
                 deleted."
            )
        }
        [] => format!("Sector {sector} is given up.{stopped}"),
        awaited => {
            let awaited = names(awaited);
            format!("Sector {sector} is given up when its running {awaited} ends.{stopped}")
        }
    }
}

fn retried_words(retried: &[Retried]) -> String {
    match retried {
        [] => "Nothing to retry.".to_owned(),
        [one] => format!("{} of sector {} is put back and runs again.", one.phase, one.sector),
        many => format!("{} tasks are put back and run again.", grouped(many.len() as u64)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_action_never_leads_to_another_site() {
        for back in ["//evil.example", "https://evil.example", "/\\evil.example", "", "/a\nb", "/ä"]
        {
            assert_eq!(own_address(back), "/", "{back}");
        }
        assert_eq!(own_address("/tasks?task_type=32"), "/tasks?task_type=32");
    }
}
