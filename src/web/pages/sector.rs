//! Sector: its story, and what can be done to it.

use askama::Template;
use axum::extract::State;
use axum::response::Response;

use axum::extract::Query;
use axum::extract::rejection::QueryRejection;

use crate::domain::event::Entry;
use crate::domain::ids::SectorNumber;
use crate::domain::phase::Phase;
use crate::domain::sector::Sector;
use crate::domain::times::Usual;
use crate::domain::units::Timestamp;
use crate::logs::Whose;
use crate::scheduler::view::BoxView;
use crate::web::WebState;
use crate::web::attempts::Attempt;
use crate::web::error::{Named, PageError};
use crate::web::frame::{Frame, Seen, page};
use crate::web::log::{Log, LogParams};
use crate::web::look::Look;
use crate::web::lookup;
use crate::web::nav::Nav;
use crate::web::pages::logs::params;
use crate::web::parts::{Actions, Damaged, Strip};
use crate::web::show::{self, Markup, span};
use crate::web::story::Story;
use crate::web::times;
use crate::web::verify::{self, Proven};
use crate::web::wire::{self, SectorDetail, TaskRow};
use crate::web::words;
use crate::web::words::Happening;

#[derive(Template)]
#[template(path = "sector.html", blocks = ["live"])]
struct SectorPage {
    frame: Frame,
    sector: Sector,
    detail: SectorDetail,
    strip: Strip,
    actions: Actions,
    stories: Vec<Story>,
    damaged: Option<Damaged>,
    /// When the stored copy was proven last.
    proven: Option<Proven>,
    /// What is under way to prove it again.
    proving: Option<String>,
    tasks: Vec<Task>,
    /// All attempts, the newest first, if there were more than one at a task.
    attempts: Vec<Attempt>,
    /// Another sector that needs a person.
    next_needy: Option<SectorNumber>,
    /// What it may still take, by what is usual here.
    done_in: Option<String>,
    history: Vec<Happening>,
    /// The history is longer than what is shown.
    history_cut: bool,
    log: Log,
}

struct Task {
    row: TaskRow,
    phase: Phase,
    word: &'static str,
    class: &'static str,
    started: Option<Timestamp>,
    took: String,
    /// What it usually takes here; empty without a basis.
    usual: String,
    running_since: Option<Timestamp>,
}

pub async fn show(
    State(state): State<WebState>,
    Named(number): Named,
    seen: Seen,
    sent: Result<Query<LogParams>, QueryRejection>,
) -> Result<Response, PageError> {
    let sector = lookup::sector(&state, &number)?;
    let history = lookup::history(&state, sector.id.number, None, lookup::HISTORY)?;
    let frame = Frame::new(&state, &seen, Nav::Sectors, format!("Sector {}", sector.id.number));
    let sector_page = SectorPage {
        detail: SectorDetail::of(&state, &sector, &[]),
        strip: Strip::of(&sector, frame.now, &state.progress.of(sector.id.number)),
        actions: Actions::of(&state, &sector, &seen.here),
        stories: Story::all_of(&state, &sector).await,
        log: Log::of(&state, Whose::Sector(sector.id.number), &params(sent)?).await?,
        damaged: Damaged::of(&sector),
        proven: Proven::of(&frame.view, &sector),
        proving: verify::seen(&state, &sector).as_ref().and_then(verify::words),
        tasks: Phase::ALL
            .into_iter()
            .filter_map(|phase| task(&sector, &frame.view.usual, phase))
            .collect(),
        done_in: times::done_in(&sector, &frame.view.usual, frame.now),
        attempts: attempts(&history.items),
        next_needy: next_needy(&frame.view, sector.id.number),
        history_cut: history.next.is_some(),
        history: history.items.iter().rev().map(Happening::of).collect(),
        frame,
        sector,
    };
    page(&seen, &sector_page, &sector_page.as_live())
}

impl SectorPage {
    fn look(&self) -> Look {
        words::look(&self.sector)
    }

    fn last_change(&self) -> Markup {
        self.frame.ago(&self.sector.updated)
    }

    fn size_exact(&self) -> Markup {
        show::bytes(self.sector.size.bytes())
    }

    fn stored_bytes(&self) -> Markup {
        show::bytes(self.sector.stage.stored().map_or(0, |stored| stored.bytes))
    }

    fn commit_epoch(&self) -> Option<u64> {
        wire::commit(&self.sector).map(|commit| commit.epoch.0)
    }

    /// From its issue to its end, once it has ended.
    fn all_told(&self) -> Option<String> {
        let over = self.sector.stage.is_over();
        over.then(|| span(self.sector.ended().since(self.sector.created)))
    }
}

fn attempts(history: &[Entry]) -> Vec<Attempt> {
    let attempts = Attempt::all_of(history);
    let again = attempts.iter().any(|attempt| attempt.number > 1);
    if again { attempts } else { Vec::new() }
}

/// After the last comes the first.
fn next_needy(view: &BoxView, here: SectorNumber) -> Option<SectorNumber> {
    let others = || view.attention.iter().map(|one| one.id.number).filter(|one| *one != here);
    others().find(|one| *one > here).or_else(|| others().next())
}

fn task(sector: &Sector, usual: &Usual, phase: Phase) -> Option<Task> {
    let row = TaskRow::of(sector, phase)?;
    let record = &sector.tasks[phase];
    let state = sector.task(phase);
    let running_since = match state {
        crate::domain::task::TaskState::Running { since, .. } => Some(since),
        crate::domain::task::TaskState::NotYet
        | crate::domain::task::TaskState::Ready { .. }
        | crate::domain::task::TaskState::Done
        | crate::domain::task::TaskState::Failed { .. }
        | crate::domain::task::TaskState::NeverRuns => None,
    };
    let took = record.started.zip(record.done).map(|(from, to)| span(to.since(from)));
    Some(Task {
        row,
        phase,
        word: state.name(),
        class: super::tasks::class(&state),
        started: record.started,
        took: took.unwrap_or_default(),
        usual: times::usual(sector, usual, phase).unwrap_or_default(),
        running_since,
    })
}
