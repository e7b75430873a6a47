//! The loop with a real store and a chain that does not answer.

use std::collections::BTreeMap;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use super::Handle;
use super::command::Command;
use super::core::{Core, Limits, Past, Settings};
use super::messenger::Messenger;
use super::pulse::Pulse;
use super::run::{Clock, Scheduler, Then};
use super::view::BoxView;
use crate::chain::{Answer, Chain, ChainError};
use crate::domain::failure::{Class, Failure};
use crate::domain::ids::{ActorId, SealProof, SectorId, SectorNumber};
use crate::domain::isolation::Isolation;
use crate::domain::order::AutoPledge;
use crate::domain::phase::Phase;
use crate::domain::porep::Porep;
use crate::domain::sector::{Commit, Commitments, PreCommit, Replica, Seed, Ticket};
use crate::domain::units::{Epoch, SectorSize, Timestamp};
use crate::notify::Notify;
use crate::store::{OpenOptions, Store};

const LIMIT: Duration = Duration::from_secs(20);

struct Unreachable;

fn no_answer<T, E: From<Failure> + Send + 'static>() -> Answer<'static, T, E>
where
    T: Send + 'static,
{
    let failure = Failure::new(Class::Transient, "no route to the chain", "look at its node");
    Box::pin(std::future::ready(Err(E::from(failure))))
}

impl From<Failure> for ChainError {
    fn from(failure: Failure) -> Self {
        Self::Trouble(failure)
    }
}

impl Chain for Unreachable {
    fn head(&self) -> Answer<'_, Epoch> {
        no_answer()
    }

    fn ticket(&self, _: SectorId) -> Answer<'_, Ticket> {
        no_answer()
    }

    fn pre_commit(
        &self,
        _: SectorId,
        _: Ticket,
        _: Commitments,
    ) -> Answer<'_, PreCommit, ChainError> {
        no_answer()
    }

    fn seed(&self, _: SectorId, _: PreCommit) -> Answer<'_, Seed> {
        no_answer()
    }

    fn commit(&self, _: SectorId, _: PreCommit, _: SealProof) -> Answer<'_, Commit, ChainError> {
        no_answer()
    }

    fn commit_at_once(
        &self,
        _: SectorId,
        _: Replica,
        _: SealProof,
    ) -> Answer<'_, Commit, ChainError> {
        no_answer()
    }
}

async fn shows(views: &mut watch::Receiver<Arc<BoxView>>, what: impl Fn(&BoxView) -> bool) {
    let shown = tokio::time::timeout(LIMIT, views.wait_for(|view| what(view)));
    shown.await.expect("shown in time").expect("the loop runs");
}

/// A loop that runs, and the ends to drive it by.
struct Running {
    handle: Handle,
    views: watch::Receiver<Arc<BoxView>>,
    stop: watch::Sender<bool>,
    ended: JoinHandle<(Store, Then)>,
}

fn run(dir: &Path, chain: Arc<dyn Chain>, clock: Clock, pulse: Pulse) -> Running {
    let (store, _) = OpenOptions::new(dir).open().unwrap();
    let settings = Settings {
        miner: ActorId(1000),
        sector_size: SectorSize::KiB2,
        porep: Porep::Interactive,
        simulated: true,
        machine: None,
        isolation: Isolation::Thread,
        limits: Limits {
            max_outstanding: BTreeMap::new(),
            max_outstanding_in_all: None,
            needs: Arc::default(),
            auto_pledge: AutoPledge::Sectors(1),
        },
    };
    let core = Core::new(settings, &[(Phase::ALL.into(), 1)], Past::default());
    let (input_sender, inputs) = mpsc::unbounded_channel();
    let (ask_sender, asks) = mpsc::channel(8);
    let (view_sender, views) = watch::channel(Arc::new(core.view(Timestamp(1))));
    let (stop_sender, stop) = watch::channel(false);
    let scheduler = Scheduler {
        core,
        store,
        messenger: Messenger {
            chain,
            inputs: input_sender,
            runtime: tokio::runtime::Handle::current(),
        },
        assign: Box::new(drop),
        end_attempt: Box::new(|_| ()),
        clock,
        inputs,
        asks,
        views: view_sender,
        stop,
        sweep: Duration::from_secs(3600),
        grace: Duration::ZERO,
        pulse,
        counted: Arc::default(),
    };
    let ended = tokio::spawn(scheduler.run());
    Running { handle: Handle::new(ask_sender, views.clone()), views, stop: stop_sender, ended }
}

#[tokio::test]
async fn an_aborted_sector_asks_the_chain_for_nothing_more() {
    let dir = tempfile::tempdir().unwrap();
    let chain: Arc<dyn Chain> = Arc::new(Unreachable);
    let clock: Clock = Arc::new(|| Timestamp(1));
    let mut running = run(dir.path(), chain.clone(), clock, Pulse::default());

    shows(&mut running.views, |view| !view.chain_trouble.is_empty()).await;
    let sector = SectorNumber(0);
    running.handle.command(Command::Abort { sector }, "test").await.unwrap();

    // The errand holds the chain: once it is gone, only the test and the scheduler do.
    let since = Instant::now();
    while Arc::strong_count(&chain) > 2 {
        assert!(since.elapsed() < LIMIT, "the errand of an aborted sector goes on");
        tokio::task::yield_now().await;
    }
    shows(&mut running.views, |view| view.chain_trouble.is_empty()).await;
    running.stop.send_replace(true);
    running.ended.await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_loop_that_is_stuck_falls_silent_and_is_heard_again_when_it_goes_on() {
    const EVERY: Duration = Duration::from_millis(10);
    let dir = tempfile::tempdir().unwrap();
    let manager = UnixDatagram::bind(dir.path().join("manager")).unwrap();
    let notify = Notify::to(dir.path().join("manager").as_os_str()).unwrap();
    // Every turn of the loop looks at the clock: who holds it holds the loop.
    let hold = Arc::new(Mutex::new(()));
    let held = Arc::clone(&hold);
    let clock: Clock = Arc::new(move || {
        let _held = held.lock().unwrap();
        Timestamp(1)
    });
    let pulse = Pulse::new(notify, Some(EVERY));
    let running = run(&dir.path().join("data"), Arc::new(Unreachable), clock, pulse);
    let hears = |within: Duration| {
        manager.set_read_timeout(Some(within)).unwrap();
        manager.recv(&mut [0; 1024]).is_ok()
    };
    for _ in 0..5 {
        assert!(hears(LIMIT));
    }
    {
        let _stuck = hold.lock().unwrap();
        let since = Instant::now();
        // What it had said before comes first.
        while hears(EVERY * 20) {
            assert!(since.elapsed() < LIMIT, "it speaks without turning");
        }
    }
    assert!(hears(LIMIT), "it goes on, and says so");
    running.stop.send_replace(true);
    running.ended.await.unwrap();
}
