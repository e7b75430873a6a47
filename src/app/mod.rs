//! Start, stop, wire together.

mod parts;
mod roots;
mod service;
mod timeline;
pub(crate) mod times;
mod watching;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use crate::access::{Access, AccessError};
use crate::alerts::Alerts;
use crate::alerts::sender::{self, Patience};
use crate::config::{Config, Loaded, Origin};
use crate::doctor::Doctor;
use crate::domain::failure::Failure;
use crate::domain::layout::{Scratch, StorageRoot};
use crate::domain::phase::Phase;
use crate::domain::times::{Throughput, Usual};
use crate::domain::units::Timestamp;
use crate::engine::claim::Claims;
use crate::logs::Logging;
use crate::metrics::Counted;
use crate::notify::{self, Notify};
use crate::reload::{self, Reload};
use crate::samples::Samples;
use crate::scheduler::Handle;
use crate::scheduler::core::{Cause, Core, Past};
use crate::scheduler::messenger::Messenger;
use crate::scheduler::pulse::Pulse;
use crate::scheduler::run::{Clock, Scheduler, Then};
use crate::storage::rate::RateLimit;
use crate::storage::room::StorageRoom;
use crate::storage::writable::ensure_dir_writable;
use crate::store::{OpenOptions, Opening, Recovered, StageKind, StoreError};
use crate::telemetry;
use crate::tls::{Tls, TlsError};
use crate::web::guard::Names;
use crate::web::opening::{self, Pages};
use crate::web::orphans::Orphans;
use crate::web::{self, Door, WebState};
use crate::worker::checks::{Checks, Parts};
use crate::worker::phases::Tools;
use crate::worker::priority::Priority;
use crate::worker::progress::ProgressBoard;
use crate::worker::timeline::TimelineBoard;
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
    Access(#[from] AccessError),
    #[error(transparent)]
    Tls(#[from] TlsError),
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
            Self::Listen { .. }
            | Self::Access(_)
            | Self::Tls(_)
            | Self::Check(_)
            | Self::Threads(_) => false,
        }
    }
}

/// Runs the box until it is told to stop, or has to be replaced by a fresh process. `origin` is
/// where the configuration came from, for a reload.
///
/// # Errors
/// What keeps it from starting; nothing was changed then but new directories, and the files that
/// say whose they are.
pub fn run(config: Config, origin: Origin, logging: Logging) -> Result<Then, StartError> {
    panics::install_hook();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .thread_name("sealbox-io")
        .enable_all()
        .build()
        .map_err(StartError::Threads)?;
    runtime.block_on(run_box(Arc::new(config), origin, logging))
}

/// The port, answering since before the store was opened.
struct Front {
    pages: Pages,
    web: JoinHandle<()>,
    tls: Option<Tls>,
    stop: watch::Sender<bool>,
}

impl Front {
    /// Takes the port, and has it say how far `opening` is.
    async fn open(config: &Config, opening: &Arc<Opening>) -> Result<Self, StartError> {
        let tls = config.tls.as_ref().map(Tls::open).transpose()?;
        let listener = listen(config.listen).await?;
        let pages = Pages::default();
        let front = opening::front(pages.clone(), Names::of(config), Arc::clone(opening));
        let (stop, mut stopping) = watch::channel(false);
        let stopped = async move { drop(stopping.wait_for(|stop| *stop).await) };
        let web = tokio::spawn(web::serve(listener, tls.clone(), front, stopped));
        Ok(Self { pages, web, tls, stop })
    }

    async fn close(self) {
        self.stop.send_replace(true);
        drop(tokio::time::timeout(LAST_ANSWERS, self.web).await);
    }
}

async fn run_box(
    config: Arc<Config>,
    origin: Origin,
    logging: Logging,
) -> Result<Then, StartError> {
    let notify = Notify::from_environment();
    // Before the store: a start that fails here leaves the last stop as clean as it was.
    if let Some(what) = parts::never_fits(&config) {
        return Err(what.into());
    }
    ensure_dir_writable(&config.data_dir)?;
    let access = Arc::new(Access::open(&config.data_dir, config.listen)?);
    let opening = Arc::<Opening>::default();
    let front = Front::open(&config, &opening).await?;
    let telling = tokio::spawn(service::tell_opening(notify.clone(), Arc::clone(&opening)));
    // On this thread, which serves nothing.
    let (store, mut recovered) = OpenOptions::new(&config.data_dir).opening(opening).open()?;
    telling.abort();
    // Not before the data directory is held.
    access.leave_local_secret()?;
    if let Some(tls) = &front.tls {
        reload::leave_certificate(tls, &config.data_dir);
    }
    for line in &recovered.report {
        tracing::warn!("{line}");
    }
    let clock: Clock = Arc::new(wall_clock);
    let (parameters_changed, parameters) = watch::channel(0u64);
    let priority = Priority::reserving(telemetry::reserved_cores(&config.machine));
    let claims = Claims::open(&config.data_dir)?;
    let engine = parts::engine(&config, &claims, parameters_changed, priority.clone())?;
    let chain = parts::chain(&config, &clock)?;
    let reader = store.reader();
    let roots = roots::open(&config, &reader, &clock, &mut recovered.report)?;
    recovered.report.extend(roots::homeless(&recovered.active, &config, &roots));
    let disks = telemetry::watch_disks(&config, &roots).map_err(StartError::Threads)?;
    let passes = recovered.box_state.passes.clone();
    let learned = times::learn(&reader, clock())?;
    let (input_sender, inputs) = mpsc::unbounded_channel();
    let settings = parts::settings(&config, &*engine);
    let past = past(recovered, learned);
    let mut core = Core::new(settings, &parts::groups(&config), past);
    core.rooms(roots::unseen(&config, &roots));
    core.hold(Phase::P4, Cause::Parameters, watching::awaited_parameters(&*engine));
    tokio::spawn(watching::watch_parameters(
        engine.clone(),
        parameters.clone(),
        input_sender.clone(),
    ));
    let (ask_sender, asks) = mpsc::channel(ASKS);
    let (views, view_receiver) = watch::channel(Arc::new(core.view(clock())));
    let started = Loaded { config: config.clone(), at: clock(), needs_restart: Vec::new() };
    let (loaded_sender, loaded) = watch::channel(started);
    tokio::spawn(watching::watch_mounts(
        roots.first_scratch(),
        disks.subscribe(),
        loaded.clone(),
        input_sender.clone(),
    ));
    tokio::spawn(watching::watch_stores(disks.subscribe(), loaded.clone(), input_sender.clone()));
    let progress = Arc::new(ProgressBoard::default());
    let timeline = Arc::<TimelineBoard>::default();
    timeline::recall(timeline.clone(), reader.clone(), clock());
    let tools = Arc::new(Tools {
        engine: engine.clone(),
        claims,
        scratch: config.scratch.iter().map(|root| Scratch::new(&root.path)).collect(),
        storage: config.storage.iter().map(|root| StorageRoot::new(&root.path)).collect(),
        copy_limit: RateLimit::new(config.copy_limit_bytes_per_sec),
        room: StorageRoom::new(&config.storage),
        progress: progress.clone(),
        timeline: timeline.clone(),
        roots: roots.clone(),
        disks: disks.clone(),
    });
    let crew = Crew::start(core.workers(), &priority, &tools, &input_sender);
    let crew = Arc::new(crew.map_err(StartError::Threads)?);
    let handle = Handle::new(ask_sender, view_receiver);
    tokio::spawn(timeline::follow(timeline.clone(), handle.views()));
    let samples =
        Samples::start(config.data_dir.join("samples"), handle.clone(), disks.subscribe());
    let samples = samples.map_err(StartError::Threads)?;
    let reload_parts = reload::Parts {
        origin,
        handle: handle.clone(),
        copy_limit: tools.copy_limit.clone(),
        room: tools.room.clone(),
        log: logging.filter,
        notify: notify.clone(),
        clock: clock.clone(),
        tls: front.tls.clone(),
    };
    let reload = Reload::new(reload_parts, loaded_sender);
    let room = tools.room.clone();
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
    let counted = Arc::<Counted>::default();
    let alert_clock = clock.clone();
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
        counted: counted.clone(),
    };
    let doctor = Doctor::new(loaded.clone());
    doctor.look();
    let first_scratch = roots.first_scratch();
    let over = parts::is_over(reader.clone());
    logging.logs.sweep(over).map_err(StartError::Threads)?;
    let orphans = Orphans::new(roots, config.miner, reader.clone());
    // Before anyone can see it run: who sees that may tell it to stop.
    tokio::spawn(watching::stop_on_signal(stop_sender));
    tokio::spawn(service::reload_on_hangup(reload.clone()));
    let alerts = Alerts::new(sender::Parts {
        loaded: loaded.clone(),
        samples: samples.clone(),
        patience: Patience::default(),
        clock: alert_clock,
    });
    let data_dir = config.data_dir.clone();
    tokio::spawn(alerts.clone().run(data_dir, handle.views(), disks.subscribe()));
    front.pages.take_over(web::router(WebState {
        orphans,
        doctor,
        handle,
        reader,
        engine,
        disks: disks.subscribe(),
        changes: watching::unseen_changes([parameters, checks.changes()], loaded, progress.clone()),
        checks,
        room,
        progress,
        timeline,
        samples,
        paths: parts::paths(first_scratch),
        names: Names::of(&config),
        door: Door::new(access, config.listen.port(), front.tls.is_some()),
        reload,
        logs: logging.logs,
        counted,
        alerts,
    }));
    announce(&config);
    let (store, then) = scheduler.run().await;
    front.close().await;
    if let Err(error) = store.close() {
        tracing::warn!("the stop was not marked as clean, the next start takes longer: {error}");
    }
    match then {
        Then::Stop => tracing::info!("stopped; what was running starts again at the next start"),
        Then::Restart => tracing::info!("a fresh process takes over"),
    }
    Ok(then)
}

/// What the core begins with.
fn past(recovered: Recovered, (usual, throughput): (Usual, Throughput)) -> Past {
    Past {
        usual,
        throughput,
        finished: recovered.counts.stage(StageKind::Finished),
        given_up: recovered.counts.stage(StageKind::GivenUp),
        box_state: recovered.box_state,
        active: recovered.active,
        damaged: recovered.damaged,
        report: recovered.report,
    }
}

async fn listen(address: SocketAddr) -> Result<TcpListener, StartError> {
    TcpListener::bind(address).await.map_err(|source| match source.kind() {
        std::io::ErrorKind::AddrInUse => StartError::PortBusy { address },
        _ => StartError::Listen { address, source },
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
        "sealbox runs; open {}",
        config.url()
    );
}

fn wall_clock() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}
