//! A long history without a box: every entry goes through the pipeline, as a box's own do.
#![allow(dead_code, reason = "each benchmark uses its part of it")]

pub mod fleet;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use sealbox::domain::event::{BoxEvent, Entry, Event, Happened, Output};
use sealbox::domain::ids::{ActorId, Bytes32, CommD, CommR, OrderId, SealProof, SectorNumber};
use sealbox::domain::order::BoxState;
use sealbox::domain::phase::Phase;
use sealbox::domain::pipeline::{self, Stamp};
use sealbox::domain::porep::Porep;
use sealbox::domain::sector::{
    Commit, Commitments, Data, PreCommit, Sector, Seed, StoredAt, Ticket,
};
use sealbox::domain::units::{Epoch, SectorSize, Seq, Timestamp};
use sealbox::store::{Batch, OpenOptions};

/// Entries that [`fill`] commits at once.
const AT_ONCE: usize = 1000;
/// Where the history began, in milliseconds since 1970; it goes on by a second an entry.
const BEGIN: Timestamp = Timestamp(1_700_000_000_000);
const STEP: Duration = Duration::from_secs(1);

/// What happened so far, as far as the next entry needs to know it.
#[derive(Default)]
pub struct History {
    box_state: BoxState,
    entries: Vec<Entry>,
    sectors: BTreeMap<SectorNumber, Sector>,
}

impl History {
    pub fn happen(&mut self, happened: Happened) {
        let seq = Seq(self.box_state.seq.0 + 1);
        let at = BEGIN.plus(STEP.saturating_mul(u32::try_from(seq.0).expect("a short history")));
        let entry = Entry { seq, at, happened };
        self.box_state = self.box_state.apply(&entry).expect("lives are legal");
        if let Happened::Sector { number, event } = &entry.happened {
            let before = self.sectors.get(number);
            let (after, _effects) =
                pipeline::fold(before, *number, Stamp { seq, at }, event).expect("lives are legal");
            self.sectors.insert(*number, after);
        }
        self.entries.push(entry);
    }

    /// All since the last call as one batch.
    pub fn take(&mut self) -> Batch {
        let mut concerned = BTreeMap::new();
        for entry in &self.entries {
            if let Happened::Sector { number, .. } = &entry.happened {
                concerned.insert(*number, self.sectors[number].clone());
            }
        }
        // A finished sector does not come again.
        self.sectors.retain(|_, sector| !sector.stage.is_over());
        Batch {
            entries: std::mem::take(&mut self.entries),
            sectors: concerned.into_values().collect(),
            box_state: self.box_state.clone(),
        }
    }

    pub fn len(&self) -> u64 {
        self.box_state.seq.0
    }
}

/// A simulated sector from its order to its last phase. `root` is the storage that it ends in.
pub fn life(number: u64, size: SectorSize, root: &Path) -> Vec<Happened> {
    let value = Bytes32(*blake3::hash(&number.to_le_bytes()).as_bytes());
    let (epoch, message) = (Epoch(number), format!("bafysimulated{value}"));
    let root = root.display().to_string();
    let order = BoxEvent::Ordered { order: OrderId(number), size, count: 1, by: "bench".into() };
    let started =
        |phase: Phase| Event::Started { phase, worker: format!("{}-1", phase.short_name()) };
    let succeeded = |output| Event::Succeeded { output };
    let deleted = |path: String| Event::Deleted {
        path: path.into(),
        bytes: size.bytes(),
        reason: "the stored copy is proven".into(),
    };
    let commitments = Commitments { comm_d: CommD(value), comm_r: CommR(value) };
    let pre_commit = PreCommit { message: message.clone(), epoch, seed_epoch: epoch };
    let stored = StoredAt { root, bytes: size.bytes(), manifest: value };
    let events = vec![
        Event::Issued {
            miner: ActorId(1000),
            size,
            data: Data::CommittedCapacity,
            order: OrderId(number),
            simulated: true,
            porep: Porep::Interactive,
            scratch: None,
        },
        Event::TicketDrawn { ticket: Ticket { epoch, value } },
        started(Phase::P1),
        succeeded(Output::P1),
        started(Phase::P2),
        succeeded(Output::P2 { commitments }),
        Event::PreCommitted { pre_commit },
        Event::SeedDrawn { seed: Seed { epoch, value } },
        started(Phase::P3),
        succeeded(Output::P3),
        started(Phase::P4),
        started(Phase::P5),
        succeeded(Output::P5 { stored }),
        succeeded(Output::P4 { proof: SealProof(value.0.repeat(proof_bytes(size) / 32)) }),
        Event::Committed { commit: Commit { message, epoch } },
        started(Phase::P6),
        deleted(format!("/scratch/cache/s-t01000-{number}")),
        deleted(format!("/scratch/sealed/s-t01000-{number}")),
        succeeded(Output::P6),
    ];
    let sector = |event| Happened::Sector { number: SectorNumber(number), event };
    std::iter::once(Happened::Box(order)).chain(events.into_iter().map(sector)).collect()
}

/// 192 bytes a partition.
fn proof_bytes(size: SectorSize) -> usize {
    match size {
        SectorSize::KiB2 | SectorSize::MiB8 | SectorSize::MiB512 => 192,
        SectorSize::GiB32 => 1920,
        SectorSize::GiB64 => 3072,
    }
}

/// Fills an empty data directory: so many finished sectors, then so many at every step of their
/// way. The number of entries.
pub fn fill(data: &Path, finished: u64, active: u64, size: SectorSize, root: &Path) -> u64 {
    let (store, recovered) = OpenOptions::new(data).open().expect("the store opens");
    assert_eq!(recovered.last_seq, Seq(0), "the directory is not empty");
    let mut history = History::default();
    for number in 0..finished + active {
        let mut life = life(number, size, root);
        if number >= finished {
            let steps = life.len() as u64;
            life.truncate(2 + usize::try_from(number % (steps - 2)).expect("a few steps"));
        }
        life.into_iter().for_each(|happened| history.happen(happened));
        if history.entries.len() >= AT_ONCE || number + 1 == finished + active {
            store.commit(history.take()).wait().expect("a commit");
        }
    }
    store.close().expect("the store closes");
    history.len()
}

/// A line of a process's `/proc/<pid>/status`, in MiB.
pub fn memory_mib(process: &str, name: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).expect("its status");
    let line = status.lines().find_map(|line| line.strip_prefix(name)).expect("such a line");
    let kib: u64 = line.split_whitespace().nth(1).and_then(|n| n.parse().ok()).expect("a number");
    kib >> 10
}

/// The middle of some figures.
pub fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}
