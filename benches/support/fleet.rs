//! A box in this process: the real scheduler, store and lab chain, and workers that are threads of
//! their own but only play their phases. So what is measured is all that lies between attempts.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use sealbox::chain::lab::Lab;
use sealbox::config::LabConfig;
use sealbox::domain::admission::{Room, Rooms};
use sealbox::domain::event::{Event, Output};
use sealbox::domain::ids::{ActorId, Bytes32, CommD, CommR, SealProof, SectorNumber};
use sealbox::domain::isolation::Isolation;
use sealbox::domain::layout::Scratch;
use sealbox::domain::needs::Needs;
use sealbox::domain::order::AutoPledge;
use sealbox::domain::phase::Phase;
use sealbox::domain::porep::Porep;
use sealbox::domain::sector::{Commitments, StoredAt};
use sealbox::domain::units::{ByteSize, SectorSize, Timestamp};
use sealbox::notify::Notify;
use sealbox::scheduler::Handle;
use sealbox::scheduler::command::Command;
use sealbox::scheduler::core::{Assignment, Core, Limits, Past, Settings};
use sealbox::scheduler::input::Input;
use sealbox::scheduler::messenger::Messenger;
use sealbox::scheduler::pulse::Pulse;
use sealbox::scheduler::run::Scheduler;
use sealbox::store::OpenOptions;
use tokio::runtime::Runtime;
use tokio::sync::{mpsc, oneshot, watch};

/// What a worker does in the time of an attempt.
pub type Play = Arc<dyn Fn(Phase, SectorNumber) + Send + Sync>;

/// When attempts began and ended, as their workers saw it.
#[derive(Default)]
pub struct Log {
    lines: Mutex<Lines>,
    one_more: Condvar,
}

#[derive(Default)]
pub struct Lines {
    /// Of attempts whose next phase has not begun.
    pub ended: BTreeMap<(SectorNumber, Phase), Instant>,
    /// From the end of a phase to the start of one that follows it, where no chain is between.
    pub hand_overs: Vec<Duration>,
    /// P1 that run.
    pub labelling: usize,
    /// When each sector was over, in that order.
    pub over: Vec<Instant>,
    /// Whether hand-overs are taken down.
    pub listening: bool,
}

impl Log {
    fn begins(&self, sector: SectorNumber, phase: Phase) {
        let now = Instant::now();
        let mut lines = self.lines();
        let before = match phase {
            Phase::P1 => {
                lines.labelling += 1;
                None
            }
            Phase::P2 => Some(Phase::P1),
            Phase::P4 | Phase::P5 => Some(Phase::P3),
            // The chain is between.
            Phase::P3 | Phase::P6 => None,
        };
        if let Some(ended) = before.and_then(|before| lines.ended.get(&(sector, before)).copied())
            && lines.listening
        {
            lines.hand_overs.push(now - ended);
        }
    }

    fn ends(&self, sector: SectorNumber, phase: Phase) {
        let mut lines = self.lines();
        match phase {
            Phase::P1 => lines.labelling -= 1,
            Phase::P6 => {
                for phase in Phase::ALL {
                    lines.ended.remove(&(sector, phase));
                }
                lines.over.push(Instant::now());
                self.one_more.notify_all();
                return;
            }
            Phase::P2 | Phase::P3 | Phase::P4 | Phase::P5 => {}
        }
        lines.ended.insert((sector, phase), Instant::now());
    }

    pub fn lines(&self) -> std::sync::MutexGuard<'_, Lines> {
        self.lines.lock().expect("no worker panics")
    }

    /// Waits until this is so; looked at whenever a sector is over.
    pub fn wait_until(&self, so: impl Fn(&Lines) -> bool) {
        let lines = self.lines();
        drop(self.one_more.wait_while(lines, |lines| !so(lines)).expect("no worker panics"));
    }
}

pub struct Fleet {
    pub log: Arc<Log>,
    handle: Handle,
    runtime: Runtime,
    stop: watch::Sender<bool>,
    over: oneshot::Receiver<()>,
}

impl Fleet {
    /// A fresh box in this directory, with groups of workers as in `[[worker]]`.
    pub fn start(data: &Path, crews: &[(&[Phase], usize)], play: Play) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .expect("a runtime");
        let (store, _) = OpenOptions::new(data).open().expect("the store opens");
        let clock: sealbox::scheduler::run::Clock = Arc::new(wall_clock);
        // As short as they get: what is measured is the box.
        let lab = LabConfig {
            epoch: Duration::from_millis(1),
            challenge_delay: 1,
            ..LabConfig::default()
        };
        let chain = Arc::new(Lab::open(data, lab, clock.clone()).expect("a chain"));
        let groups: Vec<_> =
            crews.iter().map(|(phases, num)| (phases.iter().copied().collect(), *num)).collect();
        let mut core = Core::new(settings(), &groups, Past::default());
        // A limited one, so that the reservations are counted.
        let room = Room { free: ByteSize(1 << 50), ..Room::default() };
        core.rooms(Rooms::one(Scratch::new("/scratch"), room));
        let (inputs_in, inputs) = mpsc::unbounded_channel();
        let log = Arc::<Log>::default();
        let seats: Vec<_> =
            core.workers().iter().map(|_| seat(&log, &play, inputs_in.clone())).collect();
        let (ask, asks) = mpsc::channel(8);
        let (views, view) = watch::channel(Arc::new(core.view(clock())));
        let (stop, stopped) = watch::channel(false);
        let runtime_handle = runtime.handle().clone();
        let scheduler = Scheduler {
            core,
            store,
            messenger: Messenger { chain, inputs: inputs_in, runtime: runtime_handle },
            assign: Box::new(move |assignment| {
                seats[assignment.worker.0].send(assignment).expect("its thread lives");
            }),
            end_attempt: Box::new(|_| ()),
            clock,
            inputs,
            asks,
            views,
            stop: stopped,
            sweep: Duration::from_secs(60),
            grace: Duration::from_secs(60),
            pulse: Pulse::new(Notify::default(), None),
            counted: Arc::default(),
        };
        let (ended, over) = oneshot::channel();
        runtime.spawn(async move {
            let (store, _) = scheduler.run().await;
            store.close().expect("the store closes");
            let _ = ended.send(());
        });
        Self { log, handle: Handle::new(ask, view), runtime, stop, over }
    }

    pub fn order(&self, count: u64) {
        let order = Command::Order { size: SectorSize::KiB2, count };
        self.runtime.block_on(self.handle.command(order, "bench")).expect("an order");
    }

    pub fn stop(self) {
        self.stop.send_replace(true);
        self.runtime.block_on(self.over).expect("a clean stop");
    }
}

fn settings() -> Settings {
    Settings {
        miner: ActorId(1000),
        sector_size: SectorSize::KiB2,
        porep: Porep::Interactive,
        simulated: true,
        limits: Limits {
            max_outstanding: [(SectorSize::KiB2, 10_000)].into(),
            max_outstanding_in_all: None,
            auto_pledge: AutoPledge::Sectors(0),
            needs: Arc::new(Needs::simulated()),
        },
        machine: None,
        isolation: Isolation::Thread,
    }
}

fn seat(log: &Arc<Log>, play: &Play, inputs: mpsc::UnboundedSender<Input>) -> Sender<Assignment> {
    let (sender, receiver) = channel();
    let (log, play) = (Arc::clone(log), Arc::clone(play));
    // There may be hundreds, and they do little.
    let thread = thread::Builder::new().stack_size(256 << 10);
    thread.spawn(move || work(&receiver, &log, &play, &inputs)).expect("a thread");
    sender
}

fn work(
    assignments: &Receiver<Assignment>,
    log: &Log,
    play: &Play,
    inputs: &mpsc::UnboundedSender<Input>,
) {
    while let Ok(Assignment { worker, sector, phase }) = assignments.recv() {
        let number = sector.id.number;
        log.begins(number, phase);
        play(phase, number);
        if phase == Phase::P6 {
            ["cache", "sealed"].iter().for_each(|what| deleted(inputs, number, what));
        }
        log.ends(number, phase);
        let ended = Input::Ended { worker, sector: number, event: succeeded(phase, number) };
        // The scheduler is gone only at the end.
        drop(inputs.send(ended));
    }
}

/// As P6 does it: on record before it is gone.
fn deleted(inputs: &mpsc::UnboundedSender<Input>, sector: SectorNumber, what: &str) {
    let (durable, recorded) = oneshot::channel();
    let path = format!("/scratch/{what}/s-t01000-{sector}").into();
    let event = Event::Deleted { path, bytes: 2048, reason: "its stored copy is proven".into() };
    drop(inputs.send(Input::During { sector, event, durable }));
    drop(recorded.blocking_recv());
}

fn succeeded(phase: Phase, sector: SectorNumber) -> Event {
    let value = Bytes32(*blake3::hash(&sector.0.to_le_bytes()).as_bytes());
    let output = match phase {
        Phase::P1 => Output::P1,
        Phase::P2 => {
            Output::P2 { commitments: Commitments { comm_d: CommD(value), comm_r: CommR(value) } }
        }
        Phase::P3 => Output::P3,
        Phase::P4 => Output::P4 { proof: SealProof(value.0.repeat(6)) },
        Phase::P5 => {
            let root = "/mnt/storage".to_owned();
            Output::P5 { stored: StoredAt { root, bytes: 2200, manifest: value } }
        }
        Phase::P6 => Output::P6,
    };
    Event::Succeeded { output }
}

fn wall_clock() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
    Timestamp(u64::try_from(since.as_millis()).expect("before the year 9999"))
}
