//! Overview: is it sealing, is anything wrong, what to press.

use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::response::Response;

use crate::domain::failure::Failure;
use crate::domain::order::Order;
use crate::domain::phase::Phase;
use crate::domain::sector::Sector;
use crate::domain::task::ResultStatus;
use crate::domain::units::{SectorSize, Timestamp};
use crate::engine::ParametersState;
use crate::scheduler::view::{BoxView, ChainTrouble, ThrottleView, WorkerView};
use crate::store::{Counts, Direction, SectorFilter, StageKind, TaskFilter};
use crate::web::WebState;
use crate::web::error::PageError;
use crate::web::frame::{Frame, Seen, page};
use crate::web::lookup::{self, SectorQuery, SectorsOf};
use crate::web::nav::Nav;
use crate::web::parts::{Actions, Damaged, Disk, Failed, Strip, standstill};
use crate::web::show::{grouped, plural};
use crate::web::times::{self, Finishing};
use crate::web::waiting;
use crate::web::words::{self, Held};
use crate::worker::progress::Reported;

/// Sectors that ended, shown below those in flight.
const RECENT: usize = 5;

#[derive(Template)]
#[template(path = "overview.html", blocks = ["live"])]
struct Overview {
    frame: Frame,
    attention: Vec<Needy>,
    /// How many need a person beyond those listed.
    needy_more: u64,
    standstills: Vec<String>,
    chain_trouble: Vec<ChainTrouble>,
    missing_parameters: Option<Failure>,
    making: Option<Making>,
    lane: Vec<Column>,
    flights: Vec<Flight>,
    flights_more: u64,
    recent: Vec<Flight>,
    finished: Finishing,
    disks: Vec<Disk>,
    phases: [Phase; 6],
    throttles: Vec<Throttle>,
    orders: Vec<OrderLine>,
    workers: Vec<Worker>,
    /// Nothing was ever ordered.
    first_run: bool,
    size: SectorSize,
}

/// A sector that needs a person.
struct Needy {
    failed: Vec<Failed>,
    damaged: Option<Damaged>,
    actions: Actions,
}

/// Parameters that are not there yet.
struct Making {
    step: String,
    since: Option<Timestamp>,
}

/// One column of the pipeline.
struct Column {
    name: String,
    class: &'static str,
    main: Number,
    others: Vec<Number>,
    note: Option<String>,
}

/// A count, with the list that it counts.
struct Number {
    count: u64,
    word: &'static str,
    href: String,
}

impl Number {
    fn text(&self) -> String {
        grouped(self.count)
    }
}

struct Flight {
    sector: Arc<Sector>,
    strip: Strip,
    standing: String,
    class: &'static str,
    word: String,
    /// What it may still take; empty without a basis.
    done_in: String,
}

struct Throttle {
    view: ThrottleView,
    full: bool,
}

struct OrderLine {
    order: Order,
    /// Where it can be put from where it stands.
    moves: Vec<Move>,
}

struct Move {
    to: &'static str,
    sign: &'static str,
    title: &'static str,
}

struct Worker {
    view: WorkerView,
    phases: String,
}

pub async fn show(State(state): State<WebState>, seen: Seen) -> Result<Response, PageError> {
    let overview = Overview::of(&state, &seen)?;
    page(&seen, &overview, &overview.as_live())
}

impl Overview {
    fn of(state: &WebState, seen: &Seen) -> Result<Self, PageError> {
        let frame = Frame::new(state, seen, Nav::Overview, "Overview");
        let view = Arc::clone(&frame.view);
        let counts = state.reader.counts().map_err(PageError::from)?;
        let (making, missing_parameters) = parameters(state.engine.parameters());
        let listed = |all: u64, shown: usize| all.saturating_sub(shown as u64);
        Ok(Self {
            attention: view.attention.iter().map(|one| needy(state, seen, one)).collect(),
            needy_more: listed(view.counts.needs_you, view.attention.len()),
            standstills: view.throttles.iter().filter_map(standstill).collect(),
            chain_trouble: view.chain_trouble.clone(),
            missing_parameters,
            making,
            lane: lane(&counts, &view),
            flights: in_flight(state, &view, frame.now),
            flights_more: listed(view.counts.in_flight, view.in_flight.len()),
            recent: recent(state, frame.now)?,
            finished: Finishing::of(&view.throughput, frame.now),
            disks: Disk::all_of(state),
            phases: Phase::ALL,
            throttles: view.throttles.iter().map(throttle).collect(),
            orders: order_lines(&view.orders),
            workers: view.workers.iter().map(worker).collect(),
            first_run: counts.sectors == 0 && view.orders.is_empty() && view.until_full.is_none(),
            size: view.sector_size,
            frame,
        })
    }

    /// How many things need a person.
    fn needs_you(&self) -> u64 {
        self.frame.view.counts.needs_you + u64::from(self.missing_parameters.is_some())
    }

    fn attention_title(&self) -> String {
        let sectors = self.frame.view.counts.needs_you;
        match (sectors, &self.missing_parameters) {
            (0, Some(_)) => "The parameters need you".to_owned(),
            (0, None) => "The chain gives no answer".to_owned(),
            (1, None) => "1 sector needs you".to_owned(),
            (1, Some(_)) => "1 sector and the parameters need you".to_owned(),
            (many, None) => format!("{} sectors need you", grouped(many)),
            (many, Some(_)) => format!("{} sectors and the parameters need you", grouped(many)),
        }
    }

    fn in_flight_words(&self) -> String {
        plural(self.frame.view.counts.in_flight, "sector", "sectors")
    }
}

fn parameters(state: ParametersState) -> (Option<Making>, Option<Failure>) {
    match state {
        ParametersState::Making { step, since } => {
            (Some(Making { step, since: Some(since) }), None)
        }
        ParametersState::Checking => {
            let step = "looking for parameters and checking them".to_owned();
            (Some(Making { step, since: None }), None)
        }
        ParametersState::Missing { failure } | ParametersState::Awaited { failure } => {
            (None, Some(failure))
        }
        ParametersState::NotNeeded
        | ParametersState::LabMade { .. }
        | ParametersState::Production { .. } => (None, None),
    }
}

fn needy(state: &WebState, seen: &Seen, sector: &Sector) -> Needy {
    Needy {
        failed: Failed::all_of(sector),
        damaged: Damaged::of(sector),
        actions: Actions::of(state, sector, &seen.here),
    }
}

fn in_flight(state: &WebState, view: &BoxView, now: Timestamp) -> Vec<Flight> {
    let reported = |sector: &Sector| state.progress.of(sector.id.number);
    let flown = |sector: &Arc<Sector>| {
        let done_in = times::done_in(sector, &view.usual, now).unwrap_or_default();
        let flight = flight(sector, now, &waiting::held(view, sector), &reported(sector));
        Flight { done_in, ..flight }
    };
    view.in_flight.iter().map(flown).collect()
}

fn flight(sector: &Arc<Sector>, now: Timestamp, held: &Held, reported: &Reported) -> Flight {
    let word = match sector.failures().next() {
        Some((phase, _)) => format!("{phase} failed"),
        None if sector.fault().is_some() => "damaged".to_owned(),
        None if sector.giving_up.is_some() => "giving up".to_owned(),
        None => sector.stage.name().to_owned(),
    };
    Flight {
        strip: Strip::of(sector, now, reported),
        standing: words::standing(sector, held, reported),
        class: words::look(sector).class(),
        word,
        done_in: String::new(),
        sector: Arc::clone(sector),
    }
}

fn recent(state: &WebState, now: Timestamp) -> Result<Vec<Flight>, PageError> {
    let mut ended = Vec::new();
    for kind in [StageKind::Finished, StageKind::GivenUp] {
        let query = SectorQuery::first(SectorFilter::Stage(kind), RECENT);
        ended.extend(lookup::sectors(state, &query, Direction::NewestFirst)?.items);
    }
    ended.sort_by_key(|sector| std::cmp::Reverse(sector.ended()));
    ended.truncate(RECENT);
    let still = |sector| flight(&Arc::new(sector), now, &Held::new(), &Reported::new());
    Ok(ended.into_iter().map(still).collect())
}

/// What is counted is what the linked list shows: both ask the store with the same filter.
fn lane(counts: &Counts, view: &BoxView) -> Vec<Column> {
    let mut columns: Vec<Column> =
        Phase::ALL.into_iter().map(|phase| phase_column(counts, phase, view)).collect();
    columns.insert(2, seed_column(counts));
    let ended = |kind: StageKind, class| {
        let main = sectors_number(counts, kind, "");
        let class = if main.count == 0 { "zero" } else { class };
        Column { name: kind.name().to_owned(), class, main, others: Vec::new(), note: None }
    };
    columns.push(ended(StageKind::Finished, "ok end"));
    columns.push(ended(StageKind::GivenUp, "end"));
    columns
}

fn phase_column(counts: &Counts, phase: Phase, view: &BoxView) -> Column {
    let committing = view.counts.committing;
    let number = |filter: TaskFilter, query: &str, word| Number {
        count: filter.count(counts),
        word,
        href: format!("/tasks?task_type={}&{query}", phase.task_type()),
    };
    let open = TaskFilter {
        phase: Some(phase),
        result_status: Some(ResultStatus::NotOverYet),
        ..TaskFilter::default()
    };
    let running = TaskFilter { is_taken: Some(true), ..open };
    let queued = TaskFilter { is_taken: Some(false), ..open };
    let failed = TaskFilter { result_status: Some(ResultStatus::Failed), ..open };
    let main = number(running, "is_taken=1&result_status=1", "running");
    let mut others = vec![
        number(queued, "is_taken=0&result_status=1", "queued"),
        number(failed, "result_status=2", "failed"),
    ];
    if phase == Phase::P1 {
        others.push(sectors_number(counts, StageKind::Ticket, "ticket"));
    }
    others.retain(|number| number.count > 0);
    let sending = (phase == Phase::P4 && committing > 0)
        .then(|| format!("{} sending", plural(committing, "commit", "commits")));
    let held = view.held.get(&phase).filter(|_| queued.count(counts) > 0);
    let note = held.map(|why| format!("wait: {why}")).or(sending);
    let class = match () {
        () if failed.count(counts) > 0 => "bad",
        () if main.count > 0 => "run",
        () if others.is_empty() => "zero",
        () => "",
    };
    Column { name: format!("{phase} {}", phase.what()), class, main, others, note }
}

fn seed_column(counts: &Counts) -> Column {
    let main = sectors_number(counts, StageKind::WaitSeed, "");
    let mut others = vec![sectors_number(counts, StageKind::PreCommitting, "pre-commit")];
    others.retain(|number| number.count > 0);
    let class = if main.count > 0 { "slow" } else { "zero" };
    Column { name: "wait seed".to_owned(), class, main, others, note: None }
}

fn sectors_number(counts: &Counts, kind: StageKind, word: &'static str) -> Number {
    let of = SectorsOf(SectorFilter::Stage(kind));
    Number { count: counts.stage(kind), word, href: format!("/sectors?state={}", of.value()) }
}

fn throttle(view: &ThrottleView) -> Throttle {
    let full = view.limit.is_some_and(|limit| view.outstanding >= limit);
    Throttle { view: view.clone(), full }
}

fn order_lines(orders: &[Order]) -> Vec<OrderLine> {
    let lines = orders.iter().enumerate();
    lines.map(|(nth, order)| order_line(nth, orders.len(), order)).collect()
}

/// The `nth` of so many.
fn order_line(nth: usize, of: usize, order: &Order) -> OrderLine {
    let higher = [
        Move { to: "first", sign: "⤒", title: "Issue it before all others" },
        Move { to: "up", sign: "↑", title: "Issue it one earlier" },
    ];
    let lower = [
        Move { to: "down", sign: "↓", title: "Issue it one later" },
        Move { to: "last", sign: "⤓", title: "Issue it after all others" },
    ];
    let higher = higher.into_iter().filter(|_| nth > 0);
    let lower = lower.into_iter().filter(|_| nth + 1 < of);
    OrderLine { order: order.clone(), moves: higher.chain(lower).collect() }
}

fn worker(view: &WorkerView) -> Worker {
    let phases: Vec<&str> = view.phases.iter().map(|phase| phase.short_name()).collect();
    Worker { view: view.clone(), phases: phases.join(" ") }
}
