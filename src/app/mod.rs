//! Start, stop, wire together.

mod roots;
mod service;
pub(crate) mod times;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, watch};

use crate::chain::Chain;
use crate::chain::lab::Lab;
use crate::config::{ChainConfig, Config, EngineConfig, Loaded, Origin};
use crate::doctor::Doctor;
use crate::domain::admission::Room;
use crate::domain::failure::{Class, Failure};
use crate::domain::isolation::Isolation;
use crate::domain::layout::{Scratch, StorageRoot};
use crate::domain::phase::Phase;
use crate::domain::units::Timestamp;
use crate::engine::claim::Claims;
use crate::engine::filecoin::settings;
use crate::engine::filecoin::{FilecoinEngine, Hooks};
use crate::engine::isolated::{Inner, Isolated};
use crate::engine::simulated::SimulatedEngine;
use crate::engine::{Engine, EngineKind, ParametersState};
use crate::logs::LogFilter;
use crate::notify::{self, Notify};
use crate::reload::{self, Reload};
use crate::scheduler::Handle;
use crate::scheduler::core::{Cause, Core, Past, Settings};
use crate::scheduler::input::Input;
use crate::scheduler::messenger::Messenger;
use crate::scheduler::pulse::Pulse;
use crate::scheduler::run::{Clock, Scheduler, Then};
use crate::scheduler::view::DiskView;
use crate::storage::disk::ensure_dir_writable;
use crate::storage::rate::RateLimit;
use crate::store::{OpenOptions, Opening, StageKind, StoreError};
use crate::telemetry;
use crate::web::opening::{self, Pages};
use crate::web::orphans::Orphans;
use crate::web::{self, PathsOf, SectorPaths, StoredPaths, WebState};
use crate::worker::checks::{Checks, Parts};
use crate::worker::phases::Tools;
use crate::worker::priority::Priority;
use crate::worker::progress::ProgressBoard;
use crate::worker::{Crew, panics};

/// How many commands may wait for the scheduler.
const ASKS: usize = 256;
/// Open connections may finish for this long after the scheduler has stopped.
const LAST_ANSWERS: Duration = Duration::from_secs(1);

#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error(
        "{address} is in use: another sealbox, or another program, listens there; stop it, or set \
         `[web] listen` (SEALBOX_WEB_LISTEN) to a free address"
    )]
    PortBusy { address: SocketAddr },
    #[error(
        "cannot listen on {address}: {source}; set `[web] listen` to an address of this machine"
    )]
    Listen { address: SocketAddr, source: std::io::Error },
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("{0}")]
    Check(#[from] Failure),
    #[error("cannot start threads: {0}; raise the limit (`ulimit -u`) or lower `[[worker]] num`")]
    Threads(std::io::Error),
}

impl StartError {
    /// Whether something else already holds what this box would hold.
    pub fn is_occupied(&self) -> bool {
        match self {
            Self::PortBusy { .. } => true,
            Self::Store(error) => matches!(error, StoreError::Locked { .. }),
            Self::Listen { .. } | Self::Check(_) | Self::Threads(_) => false,
        }
    }
}

/// Runs the box until it is told to stop, or has to be replaced by a fresh process. `origin` is
/// where the configuration came from, and `log` what of it the log goes by: both for a reload.
///
/// # Errors
/// What keeps it from starting; nothing was changed then but new directories, and the files that
/// say whose they are.
pub fn run(config: Config, origin: Origin, log: LogFilter) -> Result<Then, StartError> {
    panics::install_hook();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .thread_name("sealbox-io")
        .enable_all()
        .build()
        .map_err(StartError::Threads)?;
    runtime.block_on(run_box(Arc::new(config), origin, log))
}

async fn run_box(config: Arc<Config>, origin: Origin, log: LogFilter) -> Result<Then, StartError> {
    let notify = Notify::from_environment();
    ensure_dir_writable(&config.data_dir)?;
    // Before the store: a start that fails here leaves the last stop as clean as it was.
    let listener = listen(config.listen).await?;
    // It answers from here on: opening the store may take a while, and says how far it is.
    let (opening, pages) = (Arc::<Opening>::default(), Pages::default());
    let front = opening::front(pages.clone(), config.listen, Arc::clone(&opening));
    let (web_stop_sender, mut web_stop) = watch::channel(false);
    let stopped = async move { drop(web_stop.wait_for(|stop| *stop).await) };
    let web = tokio::spawn(web::serve(listener, front, stopped));
    let telling = tokio::spawn(service::tell_opening(notify.clone(), Arc::clone(&opening)));
    // On this thread, which serves nothing.
    let (store, mut recovered) = OpenOptions::new(&config.data_dir).opening(opening).open()?;
    telling.abort();
    for line in &recovered.report {
        tracing::warn!("{line}");
    }
    let clock: Clock = Arc::new(wall_clock);
    let (parameters_changed, parameters) = watch::channel(0u64);
    let priority = Priority::reserving(telemetry::reserved_cores(&config.machine));
    let claims = Claims::open(&config.data_dir)?;
    let engine = engine(&config, &claims, parameters_changed, priority.clone())?;
    let chain = chain(&config, &clock)?;
    let reader = store.reader();
    let roots = roots::open(&config, &reader, &clock, &mut recovered.report)?;
    let disks = telemetry::watch_disks(&config, &roots).map_err(StartError::Threads)?;
    let passes = recovered.box_state.passes.clone();
    let (usual, throughput) = times::learn(&reader, clock())?;
    let past = Past {
        usual,
        throughput,
        finished: recovered.counts.stage(StageKind::Finished),
        given_up: recovered.counts.stage(StageKind::GivenUp),
        box_state: recovered.box_state,
        active: recovered.active,
        damaged: recovered.damaged,
        report: recovered.report,
    };
    let (input_sender, inputs) = mpsc::unbounded_channel();
    let settings = settings(&config, &*engine);
    if let Some(what) = never_fits(&settings) {
        return Err(what.into());
    }
    let mut core = Core::new(settings, &groups(&config), past);
    core.room(Room::default());
    core.hold(Phase::P4, Cause::Parameters, awaited_parameters(&*engine));
    tokio::spawn(watch_parameters(engine.clone(), parameters.clone(), input_sender.clone()));
    let (ask_sender, asks) = mpsc::channel(ASKS);
    let (views, view_receiver) = watch::channel(Arc::new(core.view(clock())));
    let started = Loaded { config: config.clone(), at: clock(), needs_restart: Vec::new() };
    let (loaded_sender, loaded) = watch::channel(started);
    tokio::spawn(watch_mounts(disks.clone(), loaded.clone(), input_sender.clone()));
    let progress = Arc::new(ProgressBoard::default());
    let tools = Arc::new(Tools {
        engine: engine.clone(),
        claims,
        scratch: Scratch::new(&config.scratch),
        storage: config.storage.iter().map(StorageRoot::new).collect(),
        copy_limit: RateLimit::new(config.copy_limit_bytes_per_sec),
        progress: progress.clone(),
        roots: roots.clone(),
        disks: disks.clone(),
    });
    let crew = Crew::start(core.workers(), &priority, &tools, &input_sender);
    let crew = Arc::new(crew.map_err(StartError::Threads)?);
    let handle = Handle::new(ask_sender, view_receiver);
    let reload_parts = reload::Parts {
        origin,
        handle: handle.clone(),
        copy_limit: tools.copy_limit.clone(),
        log,
        notify: notify.clone(),
        clock: clock.clone(),
    };
    let reload = Reload::new(reload_parts, loaded_sender);
    let checks = Checks::start(&Parts {
        tools,
        reader: reader.clone(),
        inputs: input_sender.clone(),
        clock: clock.clone(),
        every: config.check_every,
        passes,
    });
    let checks = checks.map_err(StartError::Threads)?;
    let (stop_sender, stop) = watch::channel(false);
    let scheduler = Scheduler {
        core,
        store,
        messenger: Messenger {
            chain,
            inputs: input_sender,
            runtime: tokio::runtime::Handle::current(),
        },
        assign: {
            let crew = crew.clone();
            Box::new(move |assignment| crew.assign(assignment))
        },
        end_attempt: Box::new(move |worker| crew.end_attempt(worker)),
        clock,
        inputs,
        asks,
        views,
        stop,
        sweep: config.workers.iter().map(|group| group.wait).min().unwrap_or(Duration::MAX),
        grace: config.shutdown_grace,
        pulse: Pulse::new(notify, notify::watchdog()),
    };
    let doctor = Doctor::new(loaded.clone());
    doctor.look();
    let orphans = Orphans::new(roots, config.miner, reader.clone());
    // Before anyone can see it run: who sees that may tell it to stop.
    tokio::spawn(stop_on_signal(stop_sender));
    tokio::spawn(service::reload_on_hangup(reload.clone()));
    pages.take_over(web::router(WebState {
        orphans,
        doctor,
        handle,
        reader,
        engine,
        disks,
        changes: unseen_changes([parameters, checks.changes()], loaded, progress.clone()),
        checks,
        progress,
        paths: paths(&config),
        listen: config.listen,
        reload,
    }));
    announce(&config);
    let (store, then) = scheduler.run().await;
    web_stop_sender.send_replace(true);
    drop(tokio::time::timeout(LAST_ANSWERS, web).await);
    if let Err(error) = store.close() {
        tracing::warn!("the stop was not marked as clean, the next start takes longer: {error}");
    }
    match then {
        Then::Stop => tracing::info!("stopped; what was running starts again at the next start"),
        Then::Restart => tracing::info!("a fresh process takes over"),
    }
    Ok(then)
}

async fn listen(address: SocketAddr) -> Result<TcpListener, StartError> {
    TcpListener::bind(address).await.map_err(|source| match source.kind() {
        std::io::ErrorKind::AddrInUse => StartError::PortBusy { address },
        _ => StartError::Listen { address, source },
    })
}

fn engine(
    config: &Config,
    claims: &Claims,
    changed: watch::Sender<u64>,
    priority: Priority,
) -> Result<Arc<dyn Engine>, Failure> {
    let inner = match &config.engine {
        EngineConfig::Filecoin => {
            settings::read_back()?;
            let parameters_changed = Arc::new(move || changed.send_modify(|count| *count += 1));
            let thread_started = Arc::new(move || priority.enter());
            let hooks = Hooks { parameters_changed, thread_started };
            Inner::Filecoin(FilecoinEngine::new(config.sector_size, hooks))
        }
        EngineConfig::Simulated(simulated) => {
            Inner::Simulated(SimulatedEngine::new(simulated.clone()))
        }
    };
    Ok(match (config.isolation, inner) {
        (Isolation::Process, inner) => {
            Arc::new(Isolated::new(inner, claims.clone(), config.log.clone()))
        }
        (Isolation::Thread, Inner::Filecoin(engine)) => Arc::new(engine),
        (Isolation::Thread, Inner::Simulated(engine)) => Arc::new(engine),
    })
}

fn chain(config: &Config, clock: &Clock) -> Result<Arc<dyn Chain>, Failure> {
    match &config.chain {
        ChainConfig::Lab(lab) => {
            Ok(Arc::new(Lab::open(&config.data_dir, lab.clone(), clock.clone())?))
        }
    }
}

fn settings(config: &Config, engine: &dyn Engine) -> Settings {
    Settings {
        miner: config.miner,
        sector_size: config.sector_size,
        simulated: match engine.kind() {
            EngineKind::Filecoin => false,
            EngineKind::Simulated => true,
        },
        machine: Some(telemetry::usable(&config.machine)),
        isolation: engine.isolation(),
        limits: reload::limits(config),
    }
}

/// A box that could never finish a sector of its size says so before the first hour is spent.
fn never_fits(settings: &Settings) -> Option<Failure> {
    let what =
        settings.limits.needs.never_fits(settings.sector_size, settings.machine.as_ref()?)?;
    let mend = "set another `sector_size`, or say in `[machine]` and `[[need]]` what is right here";
    Some(Failure::new(Class::Operator, what, mend))
}

fn groups(config: &Config) -> Vec<(BTreeSet<Phase>, usize)> {
    let group = |group: &crate::config::WorkerGroup| {
        (group.phases.iter().copied().collect(), group.num as usize)
    };
    config.workers.iter().map(group).collect()
}

/// C2 is not started while the parameters are being made, or before they are brought: it would hold
/// a worker and only wait. It is started when nothing but a Retry can help, to say so with its
/// failure.
fn awaited_parameters(engine: &dyn Engine) -> Option<String> {
    match engine.parameters() {
        ParametersState::Checking => Some("the parameters are being checked".to_owned()),
        ParametersState::Making { .. } => Some("the lab parameters are being made".to_owned()),
        ParametersState::Awaited { failure } => Some(failure.what),
        ParametersState::NotNeeded
        | ParametersState::LabMade { .. }
        | ParametersState::Production { .. }
        | ParametersState::Missing { .. } => None,
    }
}

/// Tells the scheduler whenever that changes.
async fn watch_parameters(
    engine: Arc<dyn Engine>,
    mut changes: watch::Receiver<u64>,
    inputs: mpsc::UnboundedSender<Input>,
) {
    loop {
        let waits_for = awaited_parameters(&*engine);
        let hold = Input::Hold { phase: Phase::P4, cause: Cause::Parameters, waits_for };
        // Both ends go only when the process stops.
        if inputs.send(hold).is_err() || changes.changed().await.is_err() {
            return;
        }
    }
}

/// Counts up when something changes that no view tells, the progress at most once a second.
fn unseen_changes(
    of: [watch::Receiver<u64>; 2],
    mut loaded: watch::Receiver<Loaded>,
    progress: Arc<ProgressBoard>,
) -> watch::Receiver<u64> {
    let (changes, changed) = watch::channel(0u64);
    for mut one in of {
        let changes = changes.clone();
        tokio::spawn(async move {
            while one.changed().await.is_ok() {
                changes.send_modify(|count| *count += 1);
            }
        });
    }
    let by_reload = changes.clone();
    tokio::spawn(async move {
        while loaded.changed().await.is_ok() {
            by_reload.send_modify(|count| *count += 1);
        }
    });
    tokio::spawn(async move { progress.wake(&changes).await });
    changed
}

/// Tells the scheduler whenever a mount stops answering, or answers again.
async fn watch_mounts(
    mut disks: watch::Receiver<Vec<DiskView>>,
    mut loaded: watch::Receiver<Loaded>,
    inputs: mpsc::UnboundedSender<Input>,
) {
    let mut before = telemetry::Holds::default();
    loop {
        let keep_free = loaded.borrow_and_update().config.scratch_keep_free_bytes;
        let now = telemetry::holds(&disks.borrow_and_update(), keep_free);
        if now != before {
            if now.inputs().into_iter().any(|input| inputs.send(input).is_err()) {
                return;
            }
            before = now;
        }
        let changed = tokio::select! {
            changed = disks.changed() => changed,
            changed = loaded.changed() => changed,
        };
        if changed.is_err() {
            return;
        }
    }
}

/// Where the pages say that a sector's files are.
fn paths(config: &Config) -> PathsOf {
    let scratch = Scratch::new(&config.scratch);
    Arc::new(move |sector| SectorPaths {
        scratch: vec![scratch.cache_dir(sector.id), scratch.replica(sector.id)],
        stored: sector.stage.stored().map(|stored| {
            let root = StorageRoot::new(&stored.root);
            StoredPaths {
                replica: root.replica(sector.id),
                cache: root.cache_dir(sector.id),
                manifest: root.manifest(sector.id),
                root: root.path().to_path_buf(),
            }
        }),
    })
}

fn announce(config: &Config) {
    for note in &config.notes {
        tracing::warn!("{note}");
    }
    tracing::info!(
        miner = %config.miner,
        sector_size = %config.sector_size,
        data = %config.data_dir.display(),
        "sealbox runs; open http://{}",
        config.listen
    );
}

/// The first SIGTERM or SIGINT stops new work and waits; the second exits now. Both are safe.
fn stop_on_signal(stop: watch::Sender<bool>) -> impl Future<Output = ()> {
    // From now on, and not from when this is first polled.
    let signals = (signal(SignalKind::terminate()), signal(SignalKind::interrupt()));
    async move {
        let (Ok(mut term), Ok(mut int)) = signals else {
            tracing::error!(
                "signals cannot be caught; `kill` stops sealbox at once, which is safe"
            );
            return std::future::pending().await;
        };
        for first in [true, false] {
            tokio::select! {
                _ = term.recv() => {}
                _ = int.recv() => {}
            }
            if first {
                tracing::info!("stopping: running attempts may finish; once more stops at once");
                stop.send_replace(true);
            }
        }
        // What a shell expects of a process that an interrupt ended.
        std::process::exit(130);
    }
}

fn wall_clock() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

/// Where the log files are.
pub fn log_dir(data_dir: &Path) -> PathBuf {
    data_dir.join("logs")
}
