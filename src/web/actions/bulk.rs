//! Many sectors at once: those that were picked, those of the page, or all that match its filter.

use std::collections::BTreeSet;

use askama::Template;
use axum::extract::State;
use axum::response::{Html, IntoResponse};
use futures_util::future::join_all;

use super::{Answer, Fields, fields, own_address, said};
use crate::domain::ids::SectorNumber;
use crate::domain::phase::Phase;
use crate::domain::sector::Sector;
use crate::scheduler::command::{Command, Refusal};
use crate::store::{Direction, SectorFilter, TaskCursor};
use crate::web::entry::By;
use crate::web::error::{PageError, Unanswered};
use crate::web::lookup::{self, SectorParams, SectorsOf, shortened};
use crate::web::offer::Offers;
use crate::web::show::{grouped, plural};
use crate::web::{WebState, verify};

/// The most at once: each is a commit that others may wait for.
const MOST: usize = 1_000;
/// So many are asked for at a time: the scheduler's queue stays open to others.
const AT_A_TIME: usize = 64;
/// The most pages of a list that are searched for what an action applies to.
const PAGES: usize = 50;
/// Sectors whose directories are named before an abort; of the others there is the number.
const NAMED: usize = 20;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Act {
    Retry,
    Abort,
    Verify,
}

/// A sector, and of a failed task its phase.
type Target = (SectorNumber, Option<Phase>);

/// What the form asks for.
struct Wish {
    act: Act,
    targets: BTreeSet<Target>,
    /// There are more than were taken.
    more: bool,
    back: String,
    /// The question what an abort deletes was answered.
    sure: bool,
}

pub async fn act(
    State(state): State<WebState>,
    By(by): By,
    sent: Fields<Vec<(String, String)>>,
) -> Answer {
    let wish = wish(&state, &fields(sent)?)?;
    if wish.targets.is_empty() {
        return Ok(said(&wish.back, "No sector was selected, so nothing was done."));
    }
    let words = match wish.act {
        Act::Retry => {
            let retry = |(sector, phase)| Command::Retry { sector, phase };
            let (retried, refused) = carry_out(&state, &by, &wish, retry).await?;
            retried_words(retried, &refused)
        }
        Act::Abort if !wish.sure => return question(&state, &wish),
        Act::Abort => {
            let abort = |(sector, _)| Command::Abort { sector };
            let (aborted, refused) = carry_out(&state, &by, &wish, abort).await?;
            let done = plural(aborted, "sector is", "sectors are");
            let gone =
                "what they have on scratch and in storage is deleted, which cannot be undone";
            format!("{done} given up: {gone}{}.", refused_words(&refused, "aborted"))
        }
        Act::Verify => {
            let order = |(sector, _): &Target| verify::order(&state, &sector.to_string(), &by);
            let (done, refused): (Vec<_>, Vec<_>) =
                wish.targets.iter().map(order).partition(Result::is_ok);
            let refused: Vec<String> =
                refused.into_iter().filter_map(Result::err).map(|why| why.detail).collect();
            let done = plural(done.len() as u64, "sector is", "sectors are");
            format!("{done} being proven again{}.", refused_words(&refused, "proven"))
        }
    };
    let more = if wish.more { " There are more: do it again for the next." } else { "" };
    Ok(said(&wish.back, &format!("{words}{more}")))
}

/// How many were done, and why the others were not. A box that takes no commands is an error.
async fn carry_out(
    state: &WebState,
    by: &str,
    wish: &Wish,
    command: impl Fn(Target) -> Command,
) -> Result<(u64, Vec<String>), PageError> {
    let (mut done, mut refused) = (0, Vec::new());
    let targets: Vec<Target> = wish.targets.iter().copied().collect();
    for some in targets.chunks(AT_A_TIME) {
        let asked = some.iter().map(|target| state.handle.command(command(*target), by));
        for answer in join_all(asked).await {
            match answer {
                Ok(_) => done += 1,
                Err(Refusal::Unavailable { what, mend }) if done == 0 => {
                    return Err(Refusal::Unavailable { what, mend }.into());
                }
                Err(Refusal::NotFound(what)) => refused.push(format!("there is no {what}")),
                Err(
                    Refusal::Conflict { what, .. }
                    | Refusal::Invalid { what, .. }
                    | Refusal::Unavailable { what, .. },
                ) => refused.push(what),
            }
        }
    }
    Ok((done, refused))
}

fn retried_words(retried: u64, refused: &[String]) -> String {
    let not = match refused {
        [] => String::new(),
        [why] => format!("; 1 was not failed any more ({why})"),
        [why, ..] => format!("; {} were not failed any more ({why}, …)", refused.len()),
    };
    format!("Retried {}{not}.", grouped(retried))
}

fn refused_words(refused: &[String], done: &str) -> String {
    match refused {
        [] => String::new(),
        [why] => format!("; 1 could not be {done} ({why})"),
        [why, ..] => format!("; {} could not be {done} ({why}, …)", refused.len()),
    }
}

fn wish(state: &WebState, sent: &[(String, String)]) -> Result<Wish, Unanswered> {
    let one = |name: &str| sent.iter().find(|(sent, _)| sent == name).map(|(_, value)| &**value);
    let act = match one("action") {
        Some("retry") => Act::Retry,
        Some("abort") => Act::Abort,
        Some("verify") => Act::Verify,
        other => return Err(no_such("action", other, "retry, abort or verify")),
    };
    let named = |field: &'static str| {
        let of_it = sent.iter().filter(move |(name, _)| name == field);
        of_it.map(|(_, value)| target(value)).collect::<Result<BTreeSet<Target>, _>>()
    };
    let (targets, more) = match one("which").unwrap_or("picked") {
        "picked" => (named("pick")?, false),
        "page" => (named("shown")?, false),
        "all" => matching(state, act, one)?,
        other => return Err(no_such("which", Some(other), "picked, page or all")),
    };
    if targets.len() > MOST {
        let what = format!("{} are more than can be done at once", grouped(targets.len() as u64));
        return Err(Unanswered::invalid(what, format!("select at most {}", grouped(MOST as u64))));
    }
    let back = own_address(one("back").unwrap_or("/sectors")).to_owned();
    Ok(Wish { act, targets, more, back, sure: one("sure").is_some() })
}

fn no_such(field: &str, found: Option<&str>, known: &str) -> Unanswered {
    let found = shortened(found.unwrap_or("nothing"));
    Unanswered::invalid(format!("{field}: `{found}` is unknown"), format!("use {known}"))
}

/// `12`, or a task as `12-P2`.
fn target(text: &str) -> Result<Target, Unanswered> {
    match text.parse::<TaskCursor>() {
        Ok(task) => Ok((task.number, Some(task.phase))),
        Err(_) => Ok((lookup::number(text, "sector")?, None)),
    }
}

/// All that match the page's filter and that the action applies to, the newest first.
fn matching<'a>(
    state: &WebState,
    act: Act,
    one: impl Fn(&str) -> Option<&'a str>,
) -> Result<(BTreeSet<Target>, bool), Unanswered> {
    let sent = |name: &str| one(name).map(str::to_owned);
    let params = SectorParams {
        state: sent("state"),
        phase: sent("phase"),
        size: sent("size"),
        ..SectorParams::default()
    };
    let mut query = params.parse()?;
    query.limit = MOST;
    // What failed is a short list of its own.
    if act == Act::Retry && matches!(query.of.0, SectorFilter::All | SectorFilter::Active) {
        query.of = SectorsOf(SectorFilter::Attention);
    }
    let mut found = BTreeSet::new();
    for _ in 0..PAGES {
        let page = lookup::sectors(state, &query, Direction::NewestFirst)?;
        let mut fitting = page.items.iter().filter(|sector| applies(act, sector));
        let room = MOST - found.len();
        found.extend(fitting.by_ref().take(room).map(|sector| (sector.id.number, None)));
        let left_out = fitting.next().is_some();
        query.after = page.next;
        if left_out || query.after.is_none() {
            return Ok((found, left_out));
        }
    }
    Ok((found, true))
}

fn applies(act: Act, sector: &Sector) -> bool {
    match act {
        Act::Retry => sector.failures().next().is_some(),
        Act::Abort => Offers::of(sector).no_abort.is_none(),
        Act::Verify => Offers::of(sector).prove_again,
    }
}

/// Asks once, naming what is deleted. Not live: what was asked about is what is answered.
#[derive(Template)]
#[template(path = "abort.html")]
struct Question {
    /// All of them, for the answer.
    numbers: Vec<SectorNumber>,
    /// What of the first of them is deleted.
    paths: Vec<String>,
    /// How many have their directories not named.
    unnamed: usize,
    more: bool,
    back: String,
}

impl Question {
    fn count(&self) -> String {
        plural(self.numbers.len() as u64, "sector", "sectors")
    }
}

fn question(state: &WebState, wish: &Wish) -> Answer {
    let numbers: BTreeSet<SectorNumber> = wish.targets.iter().map(|(number, _)| *number).collect();
    let mut paths = Vec::new();
    for number in numbers.iter().take(NAMED) {
        if let Some(sector) = state.reader.sector(*number)? {
            let deletes = (state.paths)(&sector).all();
            paths.extend(deletes.iter().map(|path| path.display().to_string()));
        }
    }
    let question = Question {
        unnamed: numbers.len().saturating_sub(NAMED),
        numbers: numbers.into_iter().collect(),
        paths,
        more: wish.more,
        back: wish.back.clone(),
    };
    // Writing to a string cannot fail; and if it did, nothing was done.
    let text = question.render().unwrap_or_default();
    Ok(Html(text).into_response())
}
