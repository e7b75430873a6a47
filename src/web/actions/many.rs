//! Many sectors at once: those that were picked, those of the page, or all that match its filter.

use std::collections::BTreeSet;

use askama::Template;
use axum::extract::State;
use axum::response::{Html, IntoResponse};

use super::{Answer, Fields, fields, own_address, said};
use crate::domain::ids::SectorNumber;
use crate::store::TaskCursor;
use crate::web::WebState;
use crate::web::bulk::{Act, Chosen, Outcome, Target, Which, carry_out, choose, not_words};
use crate::web::entry::By;
use crate::web::error::Unanswered;
use crate::web::lookup::{self, SectorParams, shortened};
use crate::web::show::{grouped, plural};

/// Sectors whose directories are named before an abort; of the others there is the number.
const NAMED: usize = 20;

/// What the form asks for.
struct Wish {
    act: Act,
    which: Which,
    back: String,
    /// The question what an abort deletes was answered.
    sure: bool,
}

pub async fn act(
    State(state): State<WebState>,
    By(by): By,
    sent: Fields<Vec<(String, String)>>,
) -> Answer {
    let Wish { act, which, back, sure } = wish(&fields(sent)?)?;
    let chosen = choose(&state, act, which).await?;
    let nothing_meant = chosen.targets.is_empty() && chosen.not.is_empty();
    if nothing_meant {
        return Ok(said(&back, "No sector was selected, so nothing was done."));
    }
    match act {
        Act::Abort if !sure && !chosen.targets.is_empty() => question(&state, &chosen, back),
        Act::Retry | Act::Abort | Act::Verify => {
            let outcome: Outcome = carry_out(&state, &by, act, chosen).await?;
            Ok(said(&back, &outcome.words(act)))
        }
    }
}

fn wish(sent: &[(String, String)]) -> Result<Wish, Unanswered> {
    let one = |name: &str| sent.iter().find(|(sent, _)| sent == name).map(|(_, value)| &**value);
    let act = match one("action") {
        Some("retry") => Act::Retry,
        Some("abort") => Act::Abort,
        Some("verify") => Act::Verify,
        other => return Err(no_such("action", other, "retry, abort or verify")),
    };
    let named = |field: &'static str| {
        let of_it = sent.iter().filter(move |(name, _)| name == field);
        let targets = of_it.map(|(_, value)| target(value)).collect::<Result<BTreeSet<_>, _>>();
        targets.map(Which::These)
    };
    let which = match one("which").unwrap_or("picked") {
        "picked" => named("pick")?,
        "page" => named("shown")?,
        "all" => {
            let sent = |name: &str| one(name).map(str::to_owned);
            let params = SectorParams {
                state: sent("state"),
                phase: sent("phase"),
                size: sent("size"),
                ..SectorParams::default()
            };
            Which::Matching(params.parse()?)
        }
        other => return Err(no_such("which", Some(other), "picked, page or all")),
    };
    let back = own_address(one("back").unwrap_or("/sectors")).to_owned();
    Ok(Wish { act, which, back, sure: one("sure").is_some() })
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
    /// Those that cannot be aborted, and those beyond what is done at once.
    not: String,
    back: String,
}

impl Question {
    fn count(&self) -> String {
        plural(self.numbers.len() as u64, "sector", "sectors")
    }
}

fn question(state: &WebState, chosen: &Chosen, back: String) -> Answer {
    let numbers: BTreeSet<SectorNumber> =
        chosen.targets.iter().map(|(number, _)| *number).collect();
    let mut paths = Vec::new();
    for number in numbers.iter().take(NAMED) {
        if let Some(sector) = state.reader.sector(*number)? {
            let deletes = (state.paths)(&sector).all();
            paths.extend(deletes.iter().map(|path| path.display().to_string()));
        }
    }
    let mut not = not_words(&chosen.not, "cannot be");
    if chosen.left > 0 {
        not.push_str(&format!(" {} more match: these are the first.", grouped(chosen.left)));
    }
    let question = Question {
        unnamed: numbers.len().saturating_sub(NAMED),
        numbers: numbers.into_iter().collect(),
        paths,
        not,
        back,
    };
    // Writing to a string cannot fail; and if it did, nothing was done.
    let text = question.render().unwrap_or_default();
    Ok(Html(text).into_response())
}
