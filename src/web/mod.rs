//! The page, its actions, and the JSON API: reads snapshots, sends commands, writes nothing.

mod actions;
pub mod api;
mod assets;
mod attempts;
mod bulk;
mod charts;
mod disks;
mod entry;
mod error;
mod etag;
mod figures;
mod flash;
mod frame;
mod gantt;
pub mod guard;
mod live;
mod log;
mod login;
mod look;
mod lookup;
mod metrics;
mod nav;
mod offer;
pub mod openapi;
pub mod opening;
pub mod orphans;
mod pages;
mod parts;
mod patient;
mod read_only;
mod renewals;
mod schema;
mod serve;
pub(crate) mod show;
mod since;
mod status;
mod story;
mod strip;
#[cfg(test)]
pub(crate) mod tests;
mod times;
mod undo;
mod verify;
mod waiting;
mod wire;
mod words;

use std::path::PathBuf;
use std::sync::Arc;

use axum::http::StatusCode;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Router, extract::Request};
use tokio::sync::watch;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::compression::CompressionLayer;
use tower_http::csrf::CsrfLayer;

use crate::alerts::Alerts;
use crate::doctor::Doctor;
use crate::domain::sector::Sector;
use crate::engine::Engine;
use crate::logs::Logs;
use crate::metrics::Counted;
use crate::reload::Reload;
use crate::samples::Samples;
use crate::scheduler::Handle;
use crate::scheduler::view::DiskView;
use crate::storage::room::StorageRoom;
use crate::store::Reader;
use crate::worker::checks::Checks;
use crate::worker::progress::ProgressBoard;
use crate::worker::timeline::TimelineBoard;
use error::{PageError, Problem, Unanswered};
use guard::Names;
use renewals::Renewals;

pub use entry::Door;
pub use serve::serve;

/// Where a sector's files lie, or would lie.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SectorPaths {
    /// What P6 deletes on scratch.
    pub scratch: Vec<PathBuf>,
    /// The finished copy; none before there is one.
    pub stored: Option<StoredPaths>,
}

impl SectorPaths {
    /// All that there is of it: what an abort deletes.
    pub fn all(&self) -> Vec<PathBuf> {
        let stored = self.stored.iter().flat_map(|stored| [&stored.cache, &stored.replica]);
        self.scratch.iter().chain(stored).cloned().collect()
    }
}

/// The parts of a finished copy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredPaths {
    pub root: PathBuf,
    pub replica: PathBuf,
    pub cache: PathBuf,
    pub manifest: PathBuf,
}

pub type PathsOf = Arc<dyn Fn(&Sector) -> SectorPaths + Send + Sync>;

/// What the page needs of the rest of the box.
#[derive(Clone)]
pub struct WebState {
    pub handle: Handle,
    pub reader: Reader,
    pub engine: Arc<dyn Engine>,
    pub disks: watch::Receiver<Vec<DiskView>>,
    /// Counts up when something that no view tells changes: the parameters, the progress.
    pub changes: watch::Receiver<u64>,
    /// How far running attempts have come.
    pub progress: Arc<ProgressBoard>,
    /// How the box and its machine fared.
    pub samples: Samples,
    /// What the workers did in the last day.
    pub timeline: Arc<TimelineBoard>,
    pub paths: PathsOf,
    pub orphans: orphans::Orphans,
    pub doctor: Doctor,
    /// Has stored copies proven again.
    pub checks: Checks,
    /// What copies under way have claimed of each storage.
    pub room: StorageRoom,
    /// Requests must name this box by one of them.
    pub names: Names,
    /// Who is let in.
    pub door: Door,
    /// The configuration in effect, and the way to another.
    pub reload: Reload,
    /// The box's log and the sectors' own.
    pub logs: Logs,
    /// What this process has counted.
    pub counted: Arc<Counted>,
    /// Who is told of what needs a person.
    pub alerts: Alerts,
}

/// Every page, action, asset and the API, behind the guards.
pub fn router(state: WebState) -> Router {
    let (names, door) = (state.names.clone(), state.door.clone());
    let renewals = Renewals::new(state.clone());
    let answered_soon = pages_and_actions().merge(api::router()).layer(from_fn(guard::patience));
    Router::new()
        .merge(answered_soon)
        .route("/live", get(live::live))
        .fallback(nothing_here)
        .method_not_allowed_fallback(not_that_way)
        .layer(CatchPanicLayer::custom(|_panic| broken()))
        .layer(from_fn(entry::whole_body))
        .layer(CompressionLayer::new())
        // Behind the door: what was made for one is handed to no one who may not see it.
        .layer(from_fn_with_state(renewals, renewals::once))
        .layer(from_fn_with_state(door.clone(), entry::slow_down))
        .layer(from_fn_with_state(door, entry::admit))
        .layer(from_fn_with_state(names, guard::host))
        .layer(from_fn(guard::headers))
        .with_state(state)
}

fn pages_and_actions() -> Router<WebState> {
    let refusal = |_| PageError(guard::cross_site()).into_response();
    Router::new()
        .route("/", get(pages::overview::show))
        .route("/sectors", get(pages::sectors::show))
        .route("/sectors/{number}", get(pages::sector::show))
        .route("/sectors/{number}/log", get(pages::logs::sector_lines))
        .route("/sectors/{number}/log.txt", get(pages::logs::sector_text))
        .route("/metrics", get(metrics::show))
        .route("/logs", get(pages::logs::show))
        .route("/logs/lines", get(pages::logs::lines))
        .route("/logs.txt", get(pages::logs::text))
        .route("/tasks", get(pages::tasks::show))
        .route("/failures", get(pages::failures::show))
        .route("/workers", get(pages::workers::show))
        .route("/history", get(pages::history::show))
        .route("/storage", get(pages::storage::show))
        .route("/orphans/delete", post(actions::delete_orphan))
        .route("/system", get(pages::system::show))
        .route("/static/{*name}", get(assets::serve))
        .route(login::PATH, get(login::form).post(login::sign_in))
        .route(login::OUT, post(login::sign_out))
        .route("/orders", post(actions::order))
        .route("/orders/{order}/cancel", post(actions::cancel_order))
        .route("/orders/{order}/move", post(actions::move_order))
        .route("/sectors/{number}/retry", post(actions::retry))
        .route("/sectors/{number}/verify", post(actions::verify))
        .route("/sectors/{number}/redo", post(actions::redo))
        .route("/sectors/{number}/abort", post(actions::abort))
        .route("/failures/retry", post(actions::retry_cause))
        .route("/bulk", post(actions::many::act))
        .route("/intake/pause", post(actions::pause))
        .route("/intake/resume", post(actions::resume))
        .route("/phases/{phase}/pause", post(actions::pause_phase))
        .route("/phases/{phase}/resume", post(actions::resume_phase))
        .route("/drain", post(actions::drain))
        .route("/doctor", post(actions::doctor))
        .route("/reload", post(actions::reload))
        .route("/alerts/test", post(actions::test_alert))
        .route("/resume", post(actions::resume_all))
        .layer(CsrfLayer::new().with_rejection_response(refusal))
}

async fn nothing_here(request: Request) -> Response {
    let path = request.uri().path();
    error::answer(path, Unanswered::not_found("there is nothing at this address"))
}

async fn not_that_way(request: Request) -> Response {
    let why = Unanswered::new(
        StatusCode::METHOD_NOT_ALLOWED,
        format!("this address does not answer to {}", request.method()),
        "open the page and press the button there; the API's addresses are in README.md, under API",
    );
    error::answer(request.uri().path(), why)
}

/// The last net: a defect of ours, said as one.
fn broken() -> Response {
    tracing::error!("answering a request panicked");
    let why = Unanswered::new(
        StatusCode::INTERNAL_SERVER_ERROR,
        "sealbox failed to answer this request; sealing is not affected",
        "please report it with the log of this moment",
    );
    Problem(why).into_response()
}
