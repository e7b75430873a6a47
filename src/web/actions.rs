//! What the page's buttons do: plain forms, answered by going back with a sentence of what
//! happened, or by the error page.

use std::path::PathBuf;

use axum::extract::rejection::FormRejection;
use axum::extract::{Form, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures_util::future::join_all;
use serde::Deserialize;

use super::entry::By;
use super::error::{Named, PageError, Unanswered};
use super::lookup::shortened;
use super::pages::failures;
use super::show::{grouped, plural};
use super::{WebState, flash, lookup, verify};
use crate::domain::ids::{OrderId, SectorNumber};
use crate::domain::order::{ORDER_LIMIT, Place};
use crate::domain::phase::Phase;
use crate::domain::units::{ByteSize, SectorSize};
use crate::scheduler::command::{Command, Done, Retried};

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
    let head = [
        (header::LOCATION, own_address(back).to_owned()),
        (header::CACHE_CONTROL, "no-store".to_owned()),
    ];
    let mut response = (StatusCode::SEE_OTHER, head).into_response();
    response.headers_mut().insert(header::SET_COOKIE, flash::leave(sentence));
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

#[derive(Debug, Deserialize)]
pub struct OrderFields {
    #[serde(default)]
    count: String,
    size: Option<String>,
    #[serde(default)]
    back: String,
}

/// How many sectors an order asks for. Whatever makes no sense goes no further than here.
pub fn order_count(text: &str) -> Result<u64, Unanswered> {
    let text = text.trim();
    let mend = format!("give a whole number from 1 to {}", grouped(ORDER_LIMIT));
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits {
        let found =
            if text.is_empty() { "nothing".to_owned() } else { format!("`{}`", shortened(text)) };
        return Err(Unanswered::invalid(
            format!("{found} is not a number of sectors; nothing was ordered"),
            mend,
        ));
    }
    // Digits that do not fit are more than the limit too.
    match text.parse::<u64>() {
        Ok(0) => Err(Unanswered::invalid("an order of 0 sectors orders nothing", mend)),
        Ok(count) if count <= ORDER_LIMIT => Ok(count),
        Ok(_) | Err(_) => Err(Unanswered::invalid(
            format!(
                "{} sectors are more than one order may ask for ({}); nothing was ordered",
                shortened(text),
                grouped(ORDER_LIMIT)
            ),
            mend,
        )),
    }
}

/// The size an order names, or the box's own.
pub fn order_size(state: &WebState, text: Option<&str>) -> Result<SectorSize, Unanswered> {
    match text.map(str::trim).filter(|text| !text.is_empty()) {
        None => Ok(state.handle.view().sector_size),
        Some(text) => text.parse().map_err(|_| {
            let known = SectorSize::ALL.map(SectorSize::name).join(", ");
            Unanswered::invalid(
                format!("`{}` is no sector size; nothing was ordered", shortened(text)),
                format!("use one of {known}"),
            )
        }),
    }
}

pub async fn order(State(state): State<WebState>, By(by): By, sent: Fields<OrderFields>) -> Answer {
    let fields = fields(sent)?;
    let count = order_count(&fields.count)?;
    let size = order_size(&state, fields.size.as_deref())?;
    let done = state.handle.command(Command::Order { size, count }, &by).await?;
    Ok(said(&fields.back, &done_words(&done)))
}

pub async fn cancel_order(
    State(state): State<WebState>,
    By(by): By,
    Named(order): Named,
    sent: Fields<Plain>,
) -> Answer {
    let order = order_id(&order)?;
    carry_out(&state, &by, Command::CancelOrder { order }, &fields(sent)?).await
}

#[derive(Debug, Deserialize)]
pub struct MoveFields {
    to: Option<String>,
    before: Option<String>,
    #[serde(default)]
    back: String,
}

pub async fn move_order(
    State(state): State<WebState>,
    By(by): By,
    Named(order): Named,
    sent: Fields<MoveFields>,
) -> Answer {
    let order = order_id(&order)?;
    let fields = fields(sent)?;
    let to = place(fields.to.as_deref(), fields.before.as_deref())?;
    carry_out(&state, &by, Command::MoveOrder { order, to }, &Plain { back: fields.back }).await
}

/// Where an order is to be put: a word, or the number of the order that it is to stand before.
pub fn place(to: Option<&str>, before: Option<&str>) -> Result<Place, Unanswered> {
    let mend = "say first, up, down or last, or the number of the open order that it is to stand \
                before";
    let refused = |what: String| Unanswered::invalid(format!("{what}; nothing was moved"), mend);
    let [to, before] = [to, before].map(|text| text.map(str::trim).filter(|text| !text.is_empty()));
    match (to, before) {
        (Some(word), None) => {
            let named = Place::NAMED.into_iter().find(|(name, _)| *name == word);
            let place = named.map(|(_, place)| place);
            place.ok_or_else(|| refused(format!("`{}` is no place for an order", shortened(word))))
        }
        (None, Some(number)) => number
            .parse()
            .map(|number| Place::Before(OrderId(number)))
            .map_err(|_| refused(format!("`{}` is no order's number", shortened(number)))),
        (None, None) => Err(refused("no place was named".to_owned())),
        (Some(_), Some(_)) => Err(refused("two places were named".to_owned())),
    }
}

pub fn order_id(text: &str) -> Result<OrderId, Unanswered> {
    text.parse().map(OrderId).map_err(|_| {
        let detail = format!("there is no order {}", shortened(text));
        Unanswered::new(StatusCode::NOT_FOUND, detail, "the Overview lists the open orders")
    })
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
    let done = state.handle.command(command, by).await?;
    Ok(said(&fields.back, &done_words(&done)))
}

/// One cause of the Failures page; no cause at all means every failure.
#[derive(Debug, Deserialize)]
pub struct CauseFields {
    cause: Option<String>,
    #[serde(default)]
    back: String,
}

/// Puts back every task that failed of this cause. One that was retried meanwhile is passed over.
pub async fn retry_cause(
    State(state): State<WebState>,
    By(by): By,
    sent: Fields<CauseFields>,
) -> Answer {
    let fields = fields(sent)?;
    let Some(cause) = &fields.cause else {
        return carry_out(&state, &by, Command::RetryAll, &Plain { back: fields.back }).await;
    };
    let group = failures::groups(&state)?.into_iter().find(|group| group.key() == *cause);
    let Some(group) = group else {
        return Ok(said(&fields.back, "Nothing to retry: this cause is gone."));
    };
    let retries = group.failed.iter().map(|failed| {
        let command = Command::Retry { sector: failed.sector, phase: Some(failed.phase) };
        state.handle.command(command, &by)
    });
    let mut retried = Vec::new();
    for result in join_all(retries).await {
        if let Ok(Done::Retried(more)) = result {
            retried.extend(more);
        }
    }
    Ok(said(&fields.back, &done_words(&Done::Retried(retried))))
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
            format!("Sector {sector} is given up; what it has on scratch is being deleted.")
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
    fn an_order_that_makes_no_sense_is_refused_with_the_reason() {
        for text in [
            "0",
            "",
            " ",
            "-1",
            "1.5",
            "1e3",
            "many",
            "100001",
            "1000000000000",
            "9".repeat(99).as_str(),
        ] {
            let why = order_count(text).unwrap_err();
            assert_eq!(why.status, StatusCode::UNPROCESSABLE_ENTITY, "{text}");
            assert!(why.mend.contains("from 1 to 100,000"), "{text}: {}", why.mend);
        }
        assert_eq!(order_count(" 100000 "), Ok(ORDER_LIMIT));
    }

    #[test]
    fn an_action_never_leads_to_another_site() {
        for back in ["//evil.example", "https://evil.example", "/\\evil.example", "", "/a\nb", "/ä"]
        {
            assert_eq!(own_address(back), "/", "{back}");
        }
        assert_eq!(own_address("/tasks?task_type=32"), "/tasks?task_type=32");
    }
}
