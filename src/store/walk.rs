//! Random legal histories for tests: of one sector, and of a box with several.
//!
//! A history is made from a list of numbers, each of which picks one of the things that may
//! happen next. So every history is legal, and proptest shrinks it as it shrinks numbers.

use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::*;
use proptest::strategy::ValueTree;

use super::{Batch, StageKind};
use crate::domain::event::{BoxEvent, Entry, Event, Happened, Output};
use crate::domain::failure::{Class, Failure};
use crate::domain::ids::{ActorId, Bytes32, CommD, CommR, OrderId, SealProof, SectorNumber};
use crate::domain::layout::Scratch;
use crate::domain::order::BoxState;
use crate::domain::phase::Phase;
use crate::domain::pipeline::{self, Stamp};
use crate::domain::porep::Porep;
use crate::domain::sector::{Commit, Commitments, Data, PreCommit, Sector, Seed, StoredAt, Ticket};
use crate::domain::units::{Epoch, SectorSize, Seq, Timestamp};

/// The numbers that make a history.
pub fn picks(
    length: impl Into<proptest::collection::SizeRange>,
) -> impl Strategy<Value = Vec<u32>> {
    proptest::collection::vec(any::<u32>(), length)
}

/// What may happen to the sector next: what brings it on first, trouble after it.
pub fn legal_events(sector: &Sector, salt: u32) -> (Vec<Event>, Vec<Event>) {
    let stamp = Stamp { seq: Seq(sector.seq.0 + 1), at: sector.updated };
    let legal = |event: &Event| pipeline::apply(sector, stamp, event).is_ok();
    let mut onward = onward(salt);
    let mut trouble = trouble(salt);
    onward.retain(legal);
    trouble.retain(legal);
    (onward, trouble)
}

fn onward(salt: u32) -> Vec<Event> {
    let value = Bytes32([salt as u8; 32]);
    let epoch = Epoch(u64::from(salt));
    let message = format!("bafy{salt}");
    let root = "/storage/\u{e9}\"1\"\n".to_owned();
    let mut events = vec![
        Event::TicketDrawn { ticket: Ticket { epoch, value } },
        Event::PreCommitted {
            pre_commit: PreCommit { message: message.clone(), epoch, seed_epoch: Epoch(9) },
        },
        Event::SeedDrawn { seed: Seed { epoch, value } },
        Event::Committed { commit: Commit { message, epoch } },
    ];
    events.push(Event::StoredProven { by: "the schedule".to_owned() });
    events.extend(Phase::ALL.map(|phase| Event::Started { phase, worker: "w-1".to_owned() }));
    events.extend(
        [
            Output::P1,
            Output::P2 { commitments: Commitments { comm_d: CommD(value), comm_r: CommR(value) } },
            Output::P3,
            Output::P4 { proof: SealProof(vec![salt as u8; 192]) },
            Output::P5 { stored: StoredAt { root, bytes: u64::from(salt), manifest: value } },
            Output::P6,
        ]
        .map(|output| Event::Succeeded { output }),
    );
    events
}

fn trouble(salt: u32) -> Vec<Event> {
    let by = "an \"operator\"".to_owned();
    let failure = |class| {
        let failure = Failure::new(class, "no space left", "free some").detail("a\nb\tc");
        if salt.is_multiple_of(2) { failure.at("/scratch/x") } else { failure }
    };
    let refusal = failure(Class::Operator);
    let mut events = vec![
        Event::PreCommitRefused { failure: refusal.clone() },
        Event::CommitRefused { failure: refusal },
        Event::StoredDamaged { by: by.clone(), failure: failure(Class::Sector) },
        Event::Redone { by: by.clone() },
        Event::Aborted { by: by.clone() },
        Event::Deleted { path: "/scratch/c".into(), bytes: 7, reason: "stored".to_owned() },
    ];
    for phase in Phase::ALL {
        events.push(Event::Interrupted { phase, died: salt.is_multiple_of(3) });
        events.push(Event::Advanced { phase });
        events.push(Event::Retried { phase, by: by.clone() });
        events.extend(Class::ALL.map(|class| Event::Failed { phase, failure: failure(class) }));
    }
    events
}

fn is_finished(sector: &Sector) -> bool {
    StageKind::of(&sector.stage) == StageKind::Finished
}

/// A box and its sectors as the domain alone makes them: what a store is compared with.
#[derive(Debug, Clone, Default)]
pub struct World {
    pub box_state: BoxState,
    pub sectors: BTreeMap<SectorNumber, Sector>,
    pub history: Vec<Entry>,
}

impl World {
    /// Does one thing that is legal now, as the number picks it.
    pub fn step(&mut self, pick: u32) -> Entry {
        let happened = self.choose(pick);
        let seq = Seq(self.box_state.seq.0 + 1);
        let before = self.history.last().map_or(Timestamp(1_700_000_000_000), |entry| entry.at);
        let at = before.plus(Duration::from_millis(u64::from(pick % 5000)));
        let entry = Entry { seq, at, happened };
        self.replay(entry.clone());
        entry
    }

    /// Does what was done before.
    pub fn replay(&mut self, entry: Entry) {
        self.box_state = self.box_state.apply(&entry).expect("only what is legal is chosen");
        if let Happened::Sector { number, event } = &entry.happened {
            let before = self.sectors.get(number);
            let stamp = Stamp { seq: entry.seq, at: entry.at };
            let (after, _effects) = pipeline::fold(before, *number, stamp, event)
                .expect("only what is legal is chosen");
            self.sectors.insert(*number, after);
        }
        self.history.push(entry);
    }

    /// Several steps as the batch that commits them.
    pub fn batch(&mut self, picks: &[u32]) -> Batch {
        let entries: Vec<Entry> = picks.iter().map(|pick| self.step(*pick)).collect();
        let mut sectors = BTreeMap::new();
        for entry in &entries {
            if let Happened::Sector { number, .. } = &entry.happened {
                sectors.insert(*number, self.sectors[number].clone());
            }
        }
        let box_state = self.box_state.clone();
        Batch { entries, sectors: sectors.into_values().collect(), box_state }
    }

    /// The entries of one sector.
    pub fn history_of(&self, number: SectorNumber) -> Vec<Entry> {
        let of_it = |entry: &&Entry| match &entry.happened {
            Happened::Sector { number: of, .. } => *of == number,
            Happened::Box(_) => false,
        };
        self.history.iter().filter(of_it).cloned().collect()
    }

    fn choose(&self, pick: u32) -> Happened {
        // Little happens to a finished sector, and rarely.
        let is_looked_at = |s: &&Sector| !s.stage.is_over() || (pick % 8 == 5 && is_finished(s));
        let active: Vec<_> = self.sectors.values().filter(is_looked_at).collect();
        let salt = pick >> 16;
        // One in sixteen concerns the box, as does everything while there is no sector.
        if pick.is_multiple_of(16) || active.is_empty() {
            return self.choose_for_box(salt, active.is_empty());
        }
        let sector = active[(pick >> 4) as usize % active.len()];
        let (onward, trouble) = legal_events(sector, salt);
        let choice = if (pick % 16 < 12 && !onward.is_empty()) || trouble.is_empty() {
            onward
        } else {
            trouble
        };
        let event = choice[(pick >> 8) as usize % choice.len()].clone();
        Happened::Sector { number: sector.id.number, event }
    }

    fn choose_for_box(&self, salt: u32, idle: bool) -> Happened {
        let by = "page".to_owned();
        let first = self.box_state.orders.first().map(|order| order.id);
        match (first, salt % 8) {
            (Some(order), 4) if !idle && self.box_state.orders.len() > 1 => {
                Happened::Box(BoxEvent::Moved { order, before: None, by })
            }
            (Some(_), 4) if !idle => self.order_another(salt),
            (Some(order), 0) if !idle => Happened::Box(BoxEvent::Cancelled { order, by }),
            (Some(_), 1) if !idle => Happened::Box(BoxEvent::IntakePaused { by }),
            (Some(_), 2) if !idle => Happened::Box(BoxEvent::IntakeResumed { by }),
            (Some(_), 5) if !idle => Happened::Box(BoxEvent::Stopping { running: 1 }),
            (Some(_), 3) if !idle => Happened::Box(BoxEvent::Checked {
                root: "/storage".to_owned(),
                began: Timestamp(u64::from(salt % 3)),
                up_to: (!salt.is_multiple_of(5)).then_some(SectorNumber(u64::from(salt))),
            }),
            (Some(order), _) => Happened::Sector {
                number: self.box_state.next_sector(),
                event: Event::Issued {
                    miner: ActorId(1000),
                    size: SectorSize::KiB2,
                    data: Data::CommittedCapacity,
                    order,
                    simulated: salt.is_multiple_of(2),
                    porep: Porep::ALL[(salt / 8) as usize % Porep::ALL.len()],
                    scratch: salt.is_multiple_of(3).then(|| Scratch::new("/scratch")),
                },
            },
            (None, _) => self.order_another(salt),
        }
    }

    fn order_another(&self, salt: u32) -> Happened {
        Happened::Box(BoxEvent::Ordered {
            order: OrderId(self.box_state.next_order),
            size: SectorSize::KiB2,
            count: u64::from(1 + salt % 4),
            by: "page".to_owned(),
        })
    }
}

proptest! {
    /// I6: the history of a sector, written down and read back, gives its snapshot.
    #[test]
    fn replaying_a_history_gives_the_snapshot(picks in picks(0..400)) {
        let mut world = World::default();
        for pick in picks {
            world.step(pick);
        }
        let json = serde_json::to_vec(&world.history).unwrap();
        let history: Vec<Entry> = serde_json::from_slice(&json).unwrap();
        let mut replayed: BTreeMap<SectorNumber, Sector> = BTreeMap::new();
        let mut box_state = BoxState::default();
        for entry in &history {
            box_state = box_state.apply(entry).unwrap();
            if let Happened::Sector { number, event } = &entry.happened {
                let stamp = Stamp { seq: entry.seq, at: entry.at };
                let after = pipeline::fold(replayed.get(number), *number, stamp, event).unwrap().0;
                replayed.insert(*number, after);
            }
        }
        prop_assert_eq!(replayed, world.sectors);
        prop_assert_eq!(box_state, world.box_state);
    }
}

#[test]
fn the_walks_reach_every_stage() {
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let mut seen = std::collections::BTreeSet::new();
    let mut damaged = false;
    for _ in 0..50 {
        let picks = picks(400).new_tree(&mut runner).unwrap().current();
        let mut world = World::default();
        for pick in picks {
            world.step(pick);
            seen.extend(world.sectors.values().map(|s| StageKind::of(&s.stage)));
            damaged |= world.sectors.values().any(|s| s.fault().is_some());
        }
    }
    assert!(damaged, "no finished sector was damaged");
    assert_eq!(seen.len(), StageKind::ALL.len(), "{seen:?}");
}
