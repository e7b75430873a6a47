//! A box in a fixed state: a real store with a real history, a view of it, and a scheduler that
//! takes note of what it is asked.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Request, StatusCode};
use scraper::Html;
use tempfile::TempDir;
use tokio::sync::{mpsc, watch};
use tower::ServiceExt;

use crate::access::Access;
use crate::alerts::Alerts;
use crate::alerts::sender::{Parts, Patience};
use crate::config::{Config, Loaded, Origin};
use crate::doctor::Doctor;
use crate::domain::admission::Queue;
use crate::domain::event::{BoxEvent, Entry, Event, Happened, Output};
use crate::domain::failure::{Class, Failure};
use crate::domain::ids::{ActorId, Bytes32, CommD, CommR, OrderId, SealProof, SectorNumber};
use crate::domain::order::{BoxState, Order};
use crate::domain::phase::{PerPhase, Phase};
use crate::domain::pipeline::{Stamp, fold};
use crate::domain::porep::{Porep, SealKind};
use crate::domain::progress::Tell;
use crate::domain::sector::{Commit, Commitments, Data, PreCommit, Sector, Seed, StoredAt, Ticket};
use crate::domain::timeline::attempts_of;
use crate::domain::times::{Throughput, Usual};
use crate::domain::units::{Epoch, SectorSize, Seq, Timestamp};
use crate::engine::{Engine, EngineKind, Job, ParametersState, SealStatement, StoredCopy};
use crate::logs::{LogFilter, Logs};
use crate::notify::Notify;
use crate::reload::{self, Reload};
use crate::samples::Samples;
use crate::scheduler::Handle;
use crate::scheduler::command::{Ask, Command, Done, Refusal};
use crate::scheduler::view::{
    BoxView, DiskRole, DiskView, Doing, LISTED, ThrottleView, WorkerView,
};
use crate::storage::rate::RateLimit;
use crate::storage::roots::Roots;
use crate::store::{Batch, OpenOptions, Store};
use crate::web::guard::Names;
use crate::web::orphans::Orphans;
use crate::web::show::now;
use crate::web::{Door, SectorPaths, StoredPaths, WebState, router};
use crate::worker::checks::Checks;
use crate::worker::progress::ProgressBoard;
use crate::worker::timeline::TimelineBoard;

pub const MINER: ActorId = ActorId(1000);

/// What the scheduler answers.
pub type Reply = fn(&Command) -> Result<Done, Refusal>;

pub struct Site {
    pub sectors: BTreeMap<SectorNumber, Sector>,
    pub box_state: BoxState,
    pub size: SectorSize,
    pub porep: Porep,
    pub limit: Option<u64>,
    /// How long proofs are.
    pub proof_bytes: usize,
    pub parameters: ParametersState,
    pub disks: Vec<DiskView>,
    /// Where orphans are looked for.
    pub roots: Roots,
    pub tweak: fn(&mut BoxView),
    pub reply: Reply,
    pub progress: Arc<ProgressBoard>,
    pub timeline: Arc<TimelineBoard>,
    pub samples: Samples,
    /// A defect: asking for paths panics.
    pub broken: bool,
    pub asked: Arc<Mutex<Vec<(Command, String)>>>,
    pub access: Arc<Access>,
    clock: Timestamp,
    store: Store,
    pub logs: Logs,
    pub dir: TempDir,
}

/// An answer, read to its end.
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub text: String,
}

impl Answer {
    pub fn html(&self) -> Html {
        Html::parse_document(&self.text)
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

/// What a piece of markup says to a reader.
pub fn said(element: scraper::ElementRef) -> String {
    element.text().collect::<Vec<_>>().join(" ").split_whitespace().collect::<Vec<_>>().join(" ")
}

fn unheard_of(_command: &Command) -> Result<Done, Refusal> {
    Err(Refusal::Unavailable { what: "no reply is set".into(), mend: "set one".into() })
}

impl Site {
    /// A box that was never used, begun a day ago: what happens to it is in the past.
    pub fn empty() -> Self {
        Self::on(TempDir::new().unwrap())
    }

    /// A box that has so many sectors, each as one of these. Those in flight are known to its view.
    pub fn filled(count: u64, templates: &[Sector], like: impl Fn(u64) -> usize) -> Self {
        let dir = TempDir::new().unwrap();
        let (store, _) = OpenOptions::new(dir.path()).open().unwrap();
        store.close().unwrap();
        crate::store::fill(dir.path(), count, templates, like).unwrap();
        Self::on(dir)
    }

    fn on(dir: TempDir) -> Self {
        let (store, recovered) = OpenOptions::new(dir.path()).open().unwrap();
        let in_flight = recovered.active.into_iter().map(|sector| (sector.id.number, sector));
        Self {
            sectors: in_flight.collect(),
            box_state: recovered.box_state,
            size: SectorSize::GiB32,
            porep: Porep::Interactive,
            limit: None,
            proof_bytes: 1_920,
            parameters: ParametersState::NotNeeded,
            disks: vec![
                disk("/sealer", DiskRole::Scratch, 71),
                disk("/mnt/store-1", DiskRole::Storage, 38),
            ],
            roots: Roots::default(),
            tweak: |_| {},
            reply: unheard_of,
            progress: Arc::default(),
            timeline: Arc::default(),
            samples: Samples::default(),
            broken: false,
            asked: Arc::default(),
            clock: Timestamp(now().0 - 23 * 3_600_000),
            store,
            logs: Logs::open(&dir.path().join("logs"), MINER).unwrap(),
            access: Arc::new(Access::open(dir.path(), "127.0.0.1:3456".parse().unwrap()).unwrap()),
            dir,
        }
    }

    /// The timeline as a start would find it.
    pub fn recall(&mut self) -> &mut Self {
        for number in self.sectors.keys() {
            let history = self.store.reader().history(*number, None, 1_000).unwrap();
            self.timeline.change(|timeline| timeline.recall(attempts_of(&history)));
        }
        self
    }

    /// Time passes.
    pub fn later(&mut self, seconds: u64) -> &mut Self {
        self.clock = Timestamp(self.clock.0 + seconds * 1_000);
        self
    }

    pub fn order(&mut self, count: u64) -> &mut Self {
        let order = OrderId(self.box_state.next_order);
        let by = "the page".to_owned();
        let ordered = BoxEvent::Ordered { order, size: self.size, count, by };
        self.commit(Happened::Box(ordered), None);
        self
    }

    pub fn happens(&mut self, number: u64, event: Event) -> &mut Self {
        let number = SectorNumber(number);
        let stamp = Stamp { seq: Seq(self.box_state.seq.0 + 1), at: self.clock };
        let before = self.sectors.get(&number);
        let (after, _) = fold(before, number, stamp, &event).unwrap();
        self.sectors.insert(number, after.clone());
        self.commit(Happened::Sector { number, event }, Some(after));
        self
    }

    fn commit(&mut self, happened: Happened, sector: Option<Sector>) {
        let entry = Entry { seq: Seq(self.box_state.seq.0 + 1), at: self.clock, happened };
        self.box_state = self.box_state.apply(&entry).unwrap();
        let batch = Batch {
            entries: vec![entry],
            sectors: sector.into_iter().collect(),
            box_state: self.box_state.clone(),
        };
        self.store.commit(batch).wait().unwrap();
    }

    pub fn issue(&mut self, number: u64) -> &mut Self {
        let order = self.box_state.orders.first().unwrap().id;
        let issued = Event::Issued {
            miner: MINER,
            size: self.size,
            data: Data::CommittedCapacity,
            order,
            simulated: false,
            porep: self.porep,
            scratch: None,
        };
        self.happens(number, issued)
    }

    /// Drives a sector through everything before this phase, then starts it.
    pub fn running(&mut self, number: u64, phase: Phase) -> &mut Self {
        self.before(number, phase);
        self.start(number, phase)
    }

    pub fn start(&mut self, number: u64, phase: Phase) -> &mut Self {
        let worker = format!("{}-0", phase.short_name().to_lowercase());
        self.later(3).happens(number, Event::Started { phase, worker })
    }

    /// Drives a sector to where this phase is queued.
    pub fn before(&mut self, number: u64, phase: Phase) -> &mut Self {
        self.issue(number);
        self.later(1).happens(number, Event::TicketDrawn { ticket: ticket() });
        for earlier in Phase::ALL.into_iter().filter(|earlier| *earlier < phase) {
            self.through(number, earlier);
        }
        self
    }

    /// A whole phase, with what the chain adds to it.
    pub fn through(&mut self, number: u64, phase: Phase) -> &mut Self {
        if !matches!(phase, Phase::P5) {
            self.start(number, phase);
        }
        match phase {
            Phase::P1 => self.later(2 * 3_600 + 51 * 60).succeeds(number, Output::P1),
            Phase::P2 => {
                let commitments = commitments();
                self.later(12 * 60).succeeds(number, Output::P2 { commitments });
                if self.sectors[&SectorNumber(number)].porep == Porep::NonInteractive {
                    return self;
                }
                self.later(30).happens(number, Event::PreCommitted { pre_commit: pre_commit() });
                self.later(4_500).happens(number, Event::SeedDrawn { seed: seed() })
            }
            Phase::P3 => self.later(1).succeeds(number, Output::P3),
            // P5 runs beside P4.
            Phase::P4 => {
                self.start(number, Phase::P5);
                self.later(540).succeeds(number, Output::P5 { stored: stored() });
                let proof = SealProof(vec![7; self.proof_bytes]);
                self.later(1_200).succeeds(number, Output::P4 { proof });
                let commit = Commit { message: "bafy-commit".into(), epoch: Epoch(4_812_700) };
                self.later(30).happens(number, Event::Committed { commit })
            }
            Phase::P5 => self,
            Phase::P6 => {
                let path = PathBuf::from(format!("/sealer/cache/s-t01000-{number}"));
                let reason = "its stored copy is proven".to_owned();
                self.later(2)
                    .happens(number, Event::Deleted { path, bytes: 417_000_000_000, reason });
                self.later(1).succeeds(number, Output::P6)
            }
        }
    }

    /// Drives a sector to where its copy is made, and its proof is not.
    pub fn copied(&mut self, number: u64) -> &mut Self {
        self.before(number, Phase::P4).start(number, Phase::P5);
        self.later(540).succeeds(number, Output::P5 { stored: stored() })
    }

    pub fn finished(&mut self, number: u64) -> &mut Self {
        self.before(number, Phase::P6).through(number, Phase::P6)
    }

    pub fn succeeds(&mut self, number: u64, output: Output) -> &mut Self {
        self.happens(number, Event::Succeeded { output })
    }

    pub fn fails(&mut self, number: u64, phase: Phase, failure: Failure) -> &mut Self {
        self.happens(number, Event::Failed { phase, failure })
    }

    /// The view that the scheduler would make of it.
    pub fn view(&self) -> BoxView {
        let mut queue = Queue::default();
        for sector in self.sectors.values() {
            queue.update(None, sector);
        }
        let open = || self.sectors.values().filter(|sector| !sector.stage.is_over());
        let needy = || open().filter(|sector| sector.failures().next().is_some());
        let waiting_for_a_person = self.sectors.values().filter(|sector| sector.needs_you());
        let stage_is =
            |name| self.sectors.values().filter(|s| s.stage.name() == name).count() as u64;
        let waiting = self.box_state.orders.iter().map(Order::left).sum();
        let (mut usual, mut throughput) = (Usual::default(), Throughput::default());
        for sector in self.sectors.values() {
            usual.learn_all(sector);
            if sector.stage.name() == "finished" {
                throughput.count(sector.size, sector.ended());
            }
        }
        let mut view = BoxView {
            passes: self.box_state.passes.clone(),
            at: self.clock,
            seq: self.box_state.seq,
            simulated: false,
            miner: MINER,
            sector_size: self.size,
            porep: self.porep,
            counts: *queue.counts(),
            oldest: PerPhase::from_fn(|phase| queue.oldest(phase)),
            finished: stage_is("finished"),
            given_up: stage_is("given up"),
            usual: Arc::new(usual),
            throughput: Arc::new(throughput),
            in_flight: open().take(LISTED).cloned().map(Arc::new).collect(),
            attention: waiting_for_a_person.take(LISTED).cloned().map(Arc::new).collect(),
            chain_trouble: Vec::new(),
            workers: self.workers(),
            throttles: vec![ThrottleView {
                size: self.size,
                limit: self.limit,
                outstanding: queue.outstanding(self.size),
                waiting,
                held: needy().count() as u64,
                held_by: needy().map(|sector| sector.id.number).collect(),
            }],
            orders: self.box_state.orders.iter().cloned().collect(),
            until_full: None,
            intake_paused: self.box_state.intake_paused,
            paused: self.box_state.paused.clone(),
            waits: Vec::new(),
            intake_waits: None,
            reserved: Default::default(),
            held: Default::default(),
            suspect: None,
            behind: None,
            stopping: false,
            trouble: None,
            report: Vec::new(),
        };
        (self.tweak)(&mut view);
        view
    }

    fn workers(&self) -> Vec<WorkerView> {
        let doing = |phase: Phase| {
            self.sectors.values().find_map(|sector| match sector.task(phase) {
                crate::domain::task::TaskState::Running { since, .. } => {
                    Some(Doing { sector: sector.id.number, phase, since })
                }
                _ => None,
            })
        };
        let worker = |phase: Phase| WorkerView {
            name: format!("{}-0", phase.short_name().to_lowercase()),
            phases: vec![phase],
            doing: doing(phase),
        };
        Phase::ALL.map(worker).into()
    }

    /// The web side of this box, and the scheduler's to be run beside it.
    pub fn state(&self) -> (WebState, impl Future<Output = ()> + use<>) {
        let (ask, mut asks) = mpsc::channel::<Ask>(16);
        let (_views, views) = watch::channel(Arc::new(self.view()));
        let (_disks, disks) = watch::channel(self.disks.clone());
        let (_changes, changes) = watch::channel(0);
        let (reply, asked) = (self.reply, Arc::clone(&self.asked));
        let scheduler = async move {
            while let Some(ask) = asks.recv().await {
                let answer = reply(&ask.command);
                asked.lock().unwrap().push((ask.command, ask.by));
                let _gone = ask.reply.send(answer);
            }
        };
        let started = Loaded { config: Arc::new(built_in()), at: now(), needs_restart: Vec::new() };
        let (loaded_sender, loaded) = watch::channel(started);
        let handle = Handle::new(ask, views);
        let parts = reload::Parts {
            origin: Origin::default(),
            handle: handle.clone(),
            copy_limit: RateLimit::new(None),
            room: Default::default(),
            log: LogFilter::of_nothing(),
            notify: Notify::default(),
            clock: Arc::new(now),
            tls: None,
        };
        let config = Config { hosts: vec!["box.lab".into()], ..built_in() };
        let access = Arc::clone(&self.access);
        let state = WebState {
            handle,
            reader: self.store.reader(),
            engine: Arc::new(Idle(self.parameters.clone())),
            disks,
            changes,
            progress: Arc::clone(&self.progress),
            timeline: Arc::clone(&self.timeline),
            samples: self.samples.clone(),
            checks: Checks::idle(),
            room: Default::default(),
            orphans: Orphans::new(self.roots.clone(), MINER, self.store.reader()),
            doctor: Doctor::new(loaded.clone()),
            paths: if self.broken { Arc::new(|_| panic!("on purpose")) } else { Arc::new(paths) },
            names: Names::of(&config),
            door: Door::new(access, config.listen.port(), false),
            reload: Reload::new(parts, loaded_sender),
            logs: self.logs.clone(),
            counted: Arc::default(),
            alerts: Alerts::new(Parts {
                loaded,
                samples: self.samples.clone(),
                patience: Patience::default(),
                clock: Arc::new(now),
            }),
        };
        (state, scheduler)
    }

    pub fn send(&self, request: Request<Body>) -> Answer {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let (state, scheduler) = self.state();
            tokio::spawn(scheduler);
            let response = router(state).oneshot(request).await.unwrap();
            let (parts, body) = response.into_parts();
            let bytes = to_bytes(body, usize::MAX).await.unwrap();
            let text = String::from_utf8(bytes.to_vec()).unwrap();
            Answer { status: parts.status, headers: parts.headers, text }
        })
    }

    pub fn get(&self, path: &str) -> Answer {
        self.send(ask("GET", path).body(Body::empty()).unwrap())
    }

    /// What a browser sends when a form's button is pressed.
    pub fn press(&self, path: &str, fields: &str) -> Answer {
        let request = ask("POST", path)
            .header("content-type", "application/x-www-form-urlencoded")
            .header("origin", "http://127.0.0.1:3456")
            .header("sec-fetch-site", "same-origin");
        self.send(request.body(Body::from(fields.to_owned())).unwrap())
    }

    pub fn post_json(&self, path: &str, body: &str) -> Answer {
        let request = ask("POST", path).header("content-type", "application/json");
        self.send(request.body(Body::from(body.to_owned())).unwrap())
    }

    pub fn commands(&self) -> Vec<Command> {
        self.asked.lock().unwrap().iter().map(|(command, _)| command.clone()).collect()
    }
}

pub fn ask(method: &str, path: &str) -> axum::http::request::Builder {
    Request::builder().method(method).uri(path).header("host", "127.0.0.1:3456")
}

pub fn disk_full() -> Failure {
    Failure::new(
        Class::Operator,
        "no space left on device while writing the trees",
        "free 24.8 GiB on this disk, then retry",
    )
    .at("/sealer/cache/s-t01000-12")
    .detail("No space left on device (os error 28)")
}

pub fn ticket() -> Ticket {
    Ticket { epoch: Epoch(4_812_390), value: Bytes32([0x11; 32]) }
}

fn seed() -> Seed {
    Seed { epoch: Epoch(4_812_540), value: Bytes32([0x22; 32]) }
}

pub fn commitments() -> Commitments {
    Commitments { comm_d: CommD(Bytes32([0x33; 32])), comm_r: CommR(Bytes32([0x04; 32])) }
}

pub fn pre_commit() -> PreCommit {
    PreCommit {
        message: "bafy-pre-commit".into(),
        epoch: Epoch(4_812_400),
        seed_epoch: Epoch(4_812_540),
    }
}

fn stored() -> StoredAt {
    StoredAt { root: "/mnt/store-1".into(), bytes: 34_453_065_728, manifest: Bytes32([0x55; 32]) }
}

fn paths(sector: &Sector) -> SectorPaths {
    let under = |root: &str, kind: &str| PathBuf::from(format!("{root}/{kind}/{}", sector.id));
    let stored = sector.stage.stored().map(|stored| StoredPaths {
        root: PathBuf::from(&stored.root),
        replica: under(&stored.root, "sealed"),
        cache: under(&stored.root, "cache"),
        manifest: under(&stored.root, "cache").join("manifest.json"),
    });
    SectorPaths { scratch: vec![under("/sealer", "cache"), under("/sealer", "sealed")], stored }
}

/// The configuration that is used where there is no file.
pub fn built_in() -> crate::config::Config {
    let none: [(std::ffi::OsString, std::ffi::OsString); 0] = [];
    crate::config::Config::load(None, none, std::path::Path::new("/nowhere")).expect("it is tested")
}

pub fn disk(path: &str, role: DiskRole, used_percent: u64) -> DiskView {
    let total = 7 * (1 << 40);
    DiskView {
        path: path.into(),
        role,
        device: "/dev/md1".into(),
        mount: path.into(),
        file_system: "xfs".into(),
        number: None,
        total_bytes: total,
        used_bytes: total / 100 * used_percent,
        free_bytes: total / 100 * (99 - used_percent),
        trouble: None,
        hung: false,
        held: BTreeMap::new(),
        shared: Default::default(),
        looked: Timestamp(0),
    }
}

/// An engine whose parameters stand somewhere, and that is never asked for more.
struct Idle(ParametersState);

fn never<T>() -> Result<T, Failure> {
    Err(Failure::new(Class::Fatal, "this engine does nothing", "do not ask it"))
}

impl Engine for Idle {
    fn kind(&self) -> EngineKind {
        EngineKind::Filecoin
    }
    fn label(&self, _: &Job, _: &Ticket, _: Tell<'_>) -> Result<(), Failure> {
        never()
    }
    fn replicate(&self, _: &Job, _: &Ticket) -> Result<Commitments, Failure> {
        never()
    }
    fn prove_vanilla(&self, _: &Job, _: &SealStatement) -> Result<(), Failure> {
        never()
    }
    fn prove_snark(&self, _: &Job, _: &SealStatement, _: Tell<'_>) -> Result<SealProof, Failure> {
        never()
    }
    fn verify_seal(&self, _: &SealStatement, _: &SealProof) -> Result<bool, Failure> {
        never()
    }
    fn prove_stored(&self, _: &StoredCopy, _: &CommR) -> Result<(), Failure> {
        never()
    }
    fn seal_proof_name(&self, _: SealKind) -> &'static str {
        "StackedDrg32GiBV1_1"
    }
    fn parameters(&self) -> ParametersState {
        self.0.clone()
    }
}
