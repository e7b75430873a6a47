//! System: what the box runs on, and what its last start found.

use askama::Template;
use axum::extract::State;
use axum::response::Response;

use crate::access::Role;
use crate::access::failed::Tally;
use crate::access::kept::Token;
use crate::alerts::Said;
use crate::config::Loaded;
use crate::doctor::Examination;
use crate::domain::isolation::Isolation;
use crate::domain::porep::SealKind;
use crate::domain::units::SectorSize;
use crate::engine::{EngineKind, ParametersState};
use crate::telemetry::{self, Machine};
use crate::web::WebState;
use crate::web::error::PageError;
use crate::web::frame::{Frame, Seen, page};
use crate::web::nav::Nav;
use crate::web::parts::{Disk, parameters_words};
use crate::web::show::{self, Markup};

#[derive(Template)]
#[template(path = "system.html", blocks = ["live"])]
struct System {
    frame: Frame,
    version: &'static str,
    engine: &'static str,
    isolation: &'static str,
    size: SectorSize,
    seal_proof: &'static str,
    listen: String,
    /// Whether anybody is asked who they are.
    asked: bool,
    /// Whether there is a viewer's password.
    viewer: bool,
    tokens: Vec<TokenLine>,
    failed: Tally,
    parameters: String,
    parameters_bytes: Option<Markup>,
    parameters_class: &'static str,
    disks: Vec<Disk>,
    /// As JSON.
    settings: String,
    loaded: Loaded,
    machine: Option<Machine>,
    alerts: Said,
    doctor: Option<Examination>,
}

/// A bearer token, without what is secret of it.
struct TokenLine {
    name: String,
    role: &'static str,
    made: Markup,
    over: bool,
    ends: String,
}

impl TokenLine {
    fn of(token: &Token, frame: &Frame) -> Self {
        let over = token.is_over(frame.now);
        Self {
            name: token.name.clone(),
            role: token.role.name(),
            made: frame.ago(&token.created),
            over,
            ends: match token.expires {
                None => "does not expire".to_owned(),
                Some(_) if over => "expired".to_owned(),
                Some(expires) => format!("expires in {}", show::span(expires.since(frame.now))),
            },
        }
    }
}

pub async fn show(State(state): State<WebState>, seen: Seen) -> Result<Response, PageError> {
    let frame = Frame::new(&state, &seen, Nav::System, "System");
    let size = frame.view.sector_size;
    let parameters = state.engine.parameters();
    let loaded = state.reload.loaded();
    let kept = state.door.access.kept();
    let system = System {
        version: env!("CARGO_PKG_VERSION"),
        engine: match state.engine.kind() {
            EngineKind::Filecoin => "filecoin: the real proofs",
            EngineKind::Simulated => "simulated: no sector of it is real",
        },
        isolation: match state.engine.isolation() {
            Isolation::Thread => "thread: an abort takes effect when the running phase ends",
            Isolation::Process => "process: each has its own, and an abort kills it at once",
        },
        size,
        seal_proof: state.engine.seal_proof_name(SealKind::new(size, frame.view.porep)),
        listen: state.names.url(),
        asked: !state.door.access.is_open(),
        viewer: kept.password(Role::Viewer).is_some(),
        tokens: kept.tokens.iter().map(|token| TokenLine::of(token, &frame)).collect(),
        failed: state.door.access.failed.tally(),
        parameters: parameters_words(&parameters),
        parameters_bytes: parameters_bytes(&parameters).map(show::bytes),
        parameters_class: parameters_class(&parameters),
        disks: Disk::all_of(&state),
        settings: serde_json::to_string_pretty(&*loaded.config).unwrap_or_default(),
        loaded,
        machine: telemetry::machine(),
        alerts: state.alerts.said(),
        doctor: state.doctor.latest(),
        frame,
    };
    page(&seen, &system, &system.as_live())
}

fn parameters_bytes(parameters: &ParametersState) -> Option<u64> {
    match parameters {
        ParametersState::LabMade { bytes, .. } | ParametersState::Production { bytes, .. } => {
            Some(*bytes)
        }
        ParametersState::NotNeeded
        | ParametersState::Checking
        | ParametersState::Making { .. }
        | ParametersState::Missing { .. }
        | ParametersState::Awaited { .. } => None,
    }
}

fn parameters_class(parameters: &ParametersState) -> &'static str {
    match parameters {
        ParametersState::NotNeeded => "later",
        ParametersState::LabMade { .. } | ParametersState::Production { .. } => "done",
        ParametersState::Checking | ParametersState::Making { .. } => "run",
        ParametersState::Missing { .. } | ParametersState::Awaited { .. } => "fail",
    }
}
