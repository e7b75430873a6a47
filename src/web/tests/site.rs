//! A box in a fixed state: a real store with a real history, a view of it, and a scheduler that
//! takes note of what it is asked.

mod fixed;
mod view;
mod web;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use tempfile::TempDir;

use crate::access::Access;
use crate::domain::event::{BoxEvent, Entry, Event, Happened, Output};
use crate::domain::failure::Failure;
use crate::domain::ids::{ActorId, OrderId, SealProof, SectorNumber};
use crate::domain::order::BoxState;
use crate::domain::phase::Phase;
use crate::domain::pipeline::{Stamp, fold};
use crate::domain::porep::Porep;
use crate::domain::sector::{Commit, Data, Sector};
use crate::domain::timeline::attempts_of;
use crate::domain::units::{Epoch, SectorSize, Seq, Timestamp};
use crate::engine::ParametersState;
use crate::logs::Logs;
use crate::samples::Samples;
use crate::scheduler::command::{Command, Done, Refusal};
use crate::scheduler::view::{BoxView, DiskRole, DiskView};
use crate::storage::roots::Roots;
use crate::store::{Batch, OpenOptions, Store};
use crate::web::show::now;
use crate::worker::progress::ProgressBoard;
use crate::worker::timeline::TimelineBoard;

pub use fixed::{built_in, commitments, disk, disk_full, pre_commit, ticket};
use fixed::{seed, stored};
pub use web::{Answer, ask, said};

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
}
