//! What the box runs on, by which configuration, and who may ask it.

use std::net::IpAddr;

use axum::extract::{Json, State};
use serde::Serialize;
use serde_json::{Map, Value};

use crate::access::Role;
use crate::access::failed::Tally;
use crate::access::kept::Token;
use crate::config::{Place, Source};
use crate::domain::isolation::Isolation;
use crate::domain::porep::{Porep, SealKind};
use crate::domain::units::{ByteSize, SectorSize, Timestamp};
use crate::engine::EngineKind;
use crate::reload::Reloaded;
use crate::telemetry::{self, Machine};
use crate::web::WebState;
use crate::web::entry::By;
use crate::web::error::Problem;
use crate::web::openapi::{Api, says};
use crate::web::schema::shape;
use crate::web::show::{now, rfc3339};

pub fn add(api: Api) -> Api {
    let reload = says::<Reloaded>("reload", "Read the configuration again");
    api.get("/system", system, says::<System>("system", "What the box runs on"))
        .get("/config", config, says::<ConfigNow>("config", "The configuration in effect"))
        .post("/reload", read_again, reload.leads("config", "config", &[]))
        .get("/access", access, says::<AccessNow>("access", "Who may ask, without any secret"))
}

#[derive(Serialize)]
struct System {
    version: &'static str,
    engine: EngineKind,
    isolation: Isolation,
    miner: String,
    sector_size: SectorSize,
    porep: Porep,
    /// The registered proof's name, of a sector that is issued now.
    seal_proof: &'static str,
    /// Where people open the page.
    address: String,
    /// How many entries the history has.
    events: u64,
    /// What the last start found or repaired.
    report: Vec<String>,
    /// None where the system does not say.
    machine: Option<MachineNow>,
}

#[derive(Serialize)]
struct MachineNow {
    cores: usize,
    /// Those that proving leaves alone.
    reserved_cores: u32,
    memory_bytes: ByteSize,
    /// What could be had without swapping.
    memory_available_bytes: ByteSize,
    memory_of_sealbox_bytes: ByteSize,
    kernel: String,
}

shape!(System {
    version,
    engine,
    isolation,
    miner,
    sector_size,
    porep,
    seal_proof,
    address,
    events,
    report,
    machine,
});
shape!(MachineNow {
    cores,
    reserved_cores,
    memory_bytes,
    memory_available_bytes,
    memory_of_sealbox_bytes,
    kernel,
});

async fn system(State(state): State<WebState>) -> Json<System> {
    let view = state.handle.view();
    let reserved_cores = telemetry::reserved_cores(&state.reload.loaded().config.machine);
    let machine = |machine: Machine| MachineNow {
        cores: machine.cores,
        reserved_cores,
        memory_bytes: machine.memory,
        memory_available_bytes: machine.memory_available,
        memory_of_sealbox_bytes: machine.memory_of_sealbox,
        kernel: machine.kernel,
    };
    Json(System {
        version: env!("CARGO_PKG_VERSION"),
        engine: state.engine.kind(),
        isolation: state.engine.isolation(),
        miner: view.miner.to_string(),
        sector_size: view.sector_size,
        porep: view.porep,
        seal_proof: state.engine.seal_proof_name(SealKind::new(view.sector_size, view.porep)),
        address: state.names.url(),
        events: view.seq.0,
        report: view.report.clone(),
        machine: telemetry::machine().map(machine),
    })
}

#[derive(Serialize)]
struct ConfigNow {
    /// None: the built-in configuration.
    file: Option<String>,
    /// When it was read last.
    at: String,
    /// Keys that the file has otherwise by now, which only a restart puts into effect.
    needs_restart: Vec<&'static str>,
    /// Every value, as `sealbox check-config --json` has it.
    settings: Map<String, Value>,
    /// Keys that the file or a variable gives, with where; the others are as they are by default.
    given: Vec<Given>,
}

/// A key, and the file's line or the environment's variable that says it.
#[derive(Serialize)]
struct Given {
    key: String,
    place: String,
}

shape!(ConfigNow { file, at, needs_restart, settings, given });
shape!(Given { key, place });

async fn config(State(state): State<WebState>) -> Json<ConfigNow> {
    let loaded = state.reload.loaded();
    let file = match &loaded.config.source {
        Source::File(file) => Some(file.display().to_string()),
        Source::BuiltIn => None,
    };
    let given =
        |(key, place): (&String, &Place)| Given { key: key.clone(), place: place.to_string() };
    let settings = serde_json::to_value(&*loaded.config).unwrap_or_default();
    Json(ConfigNow {
        file,
        at: rfc3339(loaded.at),
        settings: settings.as_object().cloned().unwrap_or_default(),
        given: loaded.config.given.iter().map(given).collect(),
        needs_restart: loaded.needs_restart,
    })
}

async fn read_again(State(state): State<WebState>, By(by): By) -> Result<Json<Reloaded>, Problem> {
    Ok(Json(state.reload.again(&by).await?))
}

#[derive(Serialize)]
struct AccessNow {
    /// Whether anybody is asked who they are.
    asked: bool,
    /// Whether there is a viewer's password.
    viewer: bool,
    tokens: Vec<TokenNow>,
    /// Wrong passwords and tokens since the start.
    failed: FailedTries,
}

#[derive(Serialize)]
struct TokenNow {
    name: String,
    role: &'static str,
    created: String,
    expires: Option<String>,
    expired: bool,
}

#[derive(Serialize)]
struct FailedTries {
    in_all: u64,
    last: Option<LastTry>,
    /// Those with the most, most first.
    most: Vec<TriesFrom>,
}

#[derive(Serialize)]
struct LastTry {
    at: String,
    from: String,
}

#[derive(Serialize)]
struct TriesFrom {
    from: String,
    count: u64,
}

shape!(AccessNow { asked, viewer, tokens, failed });
shape!(TokenNow { name, role, created, expires, expired });
shape!(FailedTries { in_all, last, most });
shape!(LastTry { at, from });
shape!(TriesFrom { from, count });

async fn access(State(state): State<WebState>) -> Json<AccessNow> {
    let (access, now) = (&state.door.access, now());
    let kept = access.kept();
    let token = |token: &Token| TokenNow {
        name: token.name.clone(),
        role: token.role.name(),
        created: rfc3339(token.created),
        expires: token.expires.map(rfc3339),
        expired: token.is_over(now),
    };
    let Tally { in_all, last, most } = access.failed.tally();
    let latest =
        |(at, from): (Timestamp, IpAddr)| LastTry { at: rfc3339(at), from: from.to_string() };
    let from = |(from, count): (IpAddr, u64)| TriesFrom { from: from.to_string(), count };
    Json(AccessNow {
        asked: !access.is_open(),
        viewer: kept.password(Role::Viewer).is_some(),
        tokens: kept.tokens.iter().map(token).collect(),
        failed: FailedTries {
            in_all,
            last: last.map(latest),
            most: most.into_iter().map(from).collect(),
        },
    })
}
