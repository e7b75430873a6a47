//! One thing done to many sectors: which it applies to, what was done, and of every other sector
//! why not. The page's form and the API say the same of it.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::future::join_all;

use super::error::Unanswered;
use super::lookup::{self, SectorQuery};
use super::offer::why_not;
use super::show::{grouped, plural};
use super::{WebState, verify};
use crate::domain::event::Event;
use crate::domain::ids::SectorNumber;
use crate::domain::phase::Phase;
use crate::domain::sector::{Sector, Stage, Work};
use crate::scheduler::command::{Command, Refusal};
use crate::store::Direction;
use crate::worker::checks::Seen;

/// The most at once: each is a commit that others may wait for.
pub const MOST: usize = 1_000;
/// So many are asked for at a time: the scheduler's queue stays open to others.
const AT_A_TIME: usize = 64;
/// The most reasons that a sentence gives; more than these are unlikely.
const REASONS: usize = 4;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Act {
    /// Put what failed back.
    Retry,
    /// Give up, and delete what is on scratch and in storage.
    Abort,
    /// Prove the stored copies again.
    Verify,
}

/// A sector, and of a failed task its phase.
pub type Target = (SectorNumber, Option<Phase>);

#[derive(Debug, Clone)]
pub enum Which {
    /// At most [`MOST`].
    These(BTreeSet<Target>),
    /// All that match; where in the list, and how many, is not looked at.
    Matching(SectorQuery),
}

/// Why some were not done.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reason {
    pub count: u64,
    /// The first [`MOST`] of them.
    pub first: Vec<Target>,
}

/// Those that were not done, by the reason: words that go on after "not done: ".
pub type Reasons = BTreeMap<String, Reason>;

/// What is done, if it is carried out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Chosen {
    /// The first [`MOST`], that it applies to.
    pub targets: Vec<Target>,
    pub not: Reasons,
    /// How many it applies to beyond these.
    pub left: u64,
}

/// What was done.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Outcome {
    pub done: Vec<Target>,
    pub not: Reasons,
    /// How many could be done that were more than [`MOST`].
    pub left: u64,
}

/// Looks at every sector that is meant. Nothing is done yet.
///
/// # Errors
/// Too many are named, or the store does not answer.
pub async fn choose(state: &WebState, act: Act, which: Which) -> Result<Chosen, Unanswered> {
    let mut chosen = Chosen::default();
    match which {
        Which::These(targets) if targets.len() > MOST => {
            let what =
                format!("{} are more than can be done at once", grouped(targets.len() as u64));
            let mend = format!("select at most {}", grouped(MOST as u64));
            return Err(Unanswered::invalid(what, mend));
        }
        Which::These(targets) => {
            for (number, phase) in targets {
                let sector = state.reader.sector(number)?;
                chosen.take((number, phase), reason(state, act, sector.as_ref(), phase));
            }
        }
        Which::Matching(query) => {
            let mut query = SectorQuery { after: None, limit: MOST, ..query };
            loop {
                let page = lookup::sectors(state, &query, Direction::NewestFirst)?;
                for sector in &page.items {
                    let why_not = reason(state, act, Some(sector), None);
                    chosen.take((sector.id.number, None), why_not);
                }
                query.after = page.next;
                if query.after.is_none() {
                    break;
                }
                // A long list is read between what others ask.
                tokio::task::yield_now().await;
            }
        }
    }
    Ok(chosen)
}

/// Does it to all that were chosen. What has changed since then is among those not done.
///
/// # Errors
/// The box takes no commands, and nothing was done.
pub async fn carry_out(
    state: &WebState,
    by: &str,
    act: Act,
    chosen: Chosen,
) -> Result<Outcome, Unanswered> {
    let mut outcome = Outcome { done: Vec::new(), not: chosen.not, left: chosen.left };
    for some in chosen.targets.chunks(AT_A_TIME) {
        let asked = some.iter().map(|target| ask(state, by, act, *target));
        for (target, answer) in some.iter().zip(join_all(asked).await) {
            match answer {
                Ok(()) => outcome.done.push(*target),
                Err(why) if outcome.done.is_empty() && why.box_is_away => return Err(why.said),
                Err(why) => {
                    let (number, phase) = *target;
                    let sector = state.reader.sector(number)?;
                    let now = reason(state, act, sector.as_ref(), phase);
                    note(&mut outcome.not, now.unwrap_or(why.said.detail), *target);
                }
            }
        }
    }
    Ok(outcome)
}

/// Why one was refused.
struct Refused {
    said: Unanswered,
    /// So would all others be.
    box_is_away: bool,
}

async fn ask(state: &WebState, by: &str, act: Act, target: Target) -> Result<(), Refused> {
    let (sector, phase) = target;
    let command = match act {
        Act::Retry => Command::Retry { sector, phase },
        Act::Abort => Command::Abort { sector },
        Act::Verify => {
            let ordered = verify::order(state, &sector.to_string(), by);
            return ordered.map(drop).map_err(|said| Refused { said, box_is_away: false });
        }
    };
    let done = state.handle.command(command, by).await;
    done.map(drop).map_err(|refusal| {
        let box_is_away = match &refusal {
            Refusal::Unavailable { .. } => true,
            Refusal::NotFound(_) | Refusal::Conflict { .. } | Refusal::Invalid { .. } => false,
        };
        Refused { said: refusal.into(), box_is_away }
    })
}

impl Chosen {
    fn take(&mut self, target: Target, why_not: Option<String>) {
        match why_not {
            Some(why) => note(&mut self.not, why, target),
            None if self.targets.len() < MOST => self.targets.push(target),
            None => self.left += 1,
        }
    }
}

fn note(reasons: &mut Reasons, why: String, target: Target) {
    let reason = reasons.entry(why).or_default();
    reason.count += 1;
    if reason.first.len() < MOST {
        reason.first.push(target);
    }
}

/// Why it cannot be done to this sector now; none: it can.
fn reason(
    state: &WebState,
    act: Act,
    sector: Option<&Sector>,
    phase: Option<Phase>,
) -> Option<String> {
    let Some(sector) = sector else { return Some("there is no such sector".to_owned()) };
    let by = || String::from("?");
    match act {
        Act::Retry => why_no_retry(sector, phase),
        Act::Abort => why_not(sector, &Event::Aborted { by: by() }).map(str::to_owned),
        Act::Verify => match verify::seen(state, sector) {
            Some(Seen::Waiting(_) | Seen::Running { .. }) => {
                Some("it is being proven again already".to_owned())
            }
            Some(Seen::Ended { .. }) | None => {
                why_not(sector, &Event::StoredProven { by: by() }).map(str::to_owned)
            }
        },
    }
}

fn why_no_retry(sector: &Sector, phase: Option<Phase>) -> Option<String> {
    let phases: Vec<Phase> = match phase {
        Some(phase) => vec![phase],
        None => sector.failures().map(|(phase, _)| phase).collect(),
    };
    let refused =
        |phase: &Phase| why_not(sector, &Event::Retried { phase: *phase, by: String::from("?") });
    if phases.is_empty() {
        return Some(where_it_stands(sector, None));
    }
    phases.iter().find_map(refused).map(|_| where_it_stands(sector, phase))
}

/// What there is instead of a failed task: of this phase, if one was meant.
fn where_it_stands(sector: &Sector, phase: Option<Phase>) -> String {
    let over = match &sector.stage {
        Stage::Finished { fault: Some(_), .. } => {
            Some("its stored copy is damaged: prove it again instead")
        }
        Stage::Finished { fault: None, .. } => Some("it is finished"),
        Stage::GivenUp { .. } => Some("it is given up"),
        Stage::Ticket
        | Stage::P1 { .. }
        | Stage::P2 { .. }
        | Stage::PreCommitting { .. }
        | Stage::WaitSeed { .. }
        | Stage::P3 { .. }
        | Stage::Proving { .. }
        | Stage::P6 { .. } => sector.giving_up.as_ref().map(|_| "it is being given up"),
    };
    if let Some(over) = over {
        return over.to_owned();
    }
    let meant = |of: &Phase| phase.is_none_or(|phase| phase == *of);
    let work = sector.stage.works().find(|(of, _)| meant(of));
    match (work, phase) {
        (Some((phase, Work::Running { .. })), _) => format!("its {phase} runs"),
        (Some((phase, Work::Ready { .. })), _) => format!("its {phase} is queued"),
        (Some((phase, Work::Failed { .. })), _) => format!("its {phase} cannot be put back now"),
        (None, Some(phase)) if sector.tasks[phase].done.is_some() => {
            format!("its {phase} is done")
        }
        (None, Some(phase)) => format!("its {phase} has not begun"),
        (None, None) => "it waits for the chain".to_owned(),
    }
}

impl Outcome {
    /// As a person is told.
    pub fn words(&self, act: Act) -> String {
        let count = self.done.len() as u64;
        let done = match (act, count) {
            (Act::Retry, 0) => "Nothing was retried.".to_owned(),
            (Act::Retry, _) => format!("Retried {}.", grouped(count)),
            (Act::Abort, 0) => "Nothing was aborted.".to_owned(),
            (Act::Abort, _) => format!(
                "{} given up: what they have on scratch and in storage is deleted, which cannot be \
                 undone.",
                plural(count, "sector is", "sectors are")
            ),
            (Act::Verify, 0) => "Nothing is proven again.".to_owned(),
            (Act::Verify, _) => {
                format!("{} being proven again.", plural(count, "sector is", "sectors are"))
            }
        };
        let left = match self.left {
            0 => String::new(),
            left => format!(" {} more can be: do it again for the next.", grouped(left)),
        };
        let count: u64 = self.not.values().map(|reason| reason.count).sum();
        let verb = if count == 1 { "was not" } else { "were not" };
        done + &not_words(&self.not, verb) + &left
    }
}

/// `" 6 were not: 5 sectors (its P2 runs), sector 1 (it is finished)."`, with the verb that is
/// given; nothing if there are none.
pub fn not_words(reasons: &Reasons, verb: &str) -> String {
    let count: u64 = reasons.values().map(|reason| reason.count).sum();
    if count == 0 {
        return String::new();
    }
    let mut by_count: Vec<(&String, &Reason)> = reasons.iter().collect();
    by_count.sort_by_key(|(_, reason)| std::cmp::Reverse(reason.count));
    let told = |(why, reason): &(&String, &Reason)| match reason.first[..] {
        [(number, _)] => format!("sector {number} ({why})"),
        [(one, _), (other, _)] => format!("sectors {one} and {other} ({why})"),
        _ => format!("{} ({why})", plural(reason.count, "sector", "sectors")),
    };
    let mut words: Vec<String> = by_count.iter().take(REASONS).map(told).collect();
    let rest: u64 = by_count.iter().skip(REASONS).map(|(_, reason)| reason.count).sum();
    if rest > 0 {
        words.push(format!("{} for other reasons", grouped(rest)));
    }
    format!(" {} {verb}: {}.", grouped(count), words.join(", "))
}
