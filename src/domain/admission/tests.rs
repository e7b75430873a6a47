mod roots;
mod stores;

use proptest::prelude::*;

use super::*;
use crate::domain::event::{BoxEvent, Entry, Event, Happened, Output};
use crate::domain::failure::{Class, Failure};
use crate::domain::ids::{ActorId, Bytes32, CommD, CommR};
use crate::domain::needs::{Machine, Needs};
use crate::domain::order::BoxState;
use crate::domain::pipeline::{Stamp, fold};
use crate::domain::porep::SealKind;
use crate::domain::sector::{Commitments, Data, PreCommit, Sector, Seed, Ticket};
use crate::domain::units::{ByteSize, Epoch, Seq};

const NOW: Timestamp = Timestamp(1_000_000);

/// A box of sectors, driven by events only.
#[derive(Default)]
struct Yard {
    sectors: BTreeMap<SectorNumber, Sector>,
    queue: Queue,
    state: BoxState,
    /// Of the sectors that are issued next.
    porep: Porep,
}

fn commitments() -> Commitments {
    let zeros = Bytes32([0; 32]);
    Commitments { comm_d: CommD(zeros), comm_r: CommR(zeros) }
}

fn kind(size: SectorSize) -> SealKind {
    SealKind::new(size, Porep::Interactive)
}

impl Yard {
    fn order(&mut self, size: SectorSize, count: u64) -> &mut Self {
        let order = OrderId(self.state.next_order);
        let by = "test".to_owned();
        self.enter(Happened::Box(BoxEvent::Ordered { order, size, count, by }));
        self
    }

    fn enter(&mut self, happened: Happened) {
        let entry = Entry { seq: Seq(self.state.seq.0 + 1), at: NOW, happened };
        self.state = self.state.apply(&entry).unwrap();
    }

    fn happen(&mut self, number: u64, event: Event) {
        let number = SectorNumber(number);
        let before = self.sectors.get(&number).cloned();
        let stamp = Stamp { seq: Seq(self.state.seq.0 + 1), at: NOW };
        let (after, _) = fold(before.as_ref(), number, stamp, &event).unwrap();
        self.queue.update(before.as_ref(), &after);
        self.sectors.insert(number, after);
        self.enter(Happened::Sector { number, event });
    }

    fn issue(&mut self, order: OrderId, size: SectorSize) -> u64 {
        self.issue_in(None, order, size)
    }

    fn issue_in(&mut self, scratch: Option<Scratch>, order: OrderId, size: SectorSize) -> u64 {
        let number = self.state.next_number;
        let miner = ActorId(1000);
        let data = Data::CommittedCapacity;
        let porep = self.porep;
        let simulated = true;
        let issued = Event::Issued { miner, size, data, order, simulated, porep, scratch };
        self.happen(number, issued);
        number
    }

    fn ready_for_p1(&mut self, order: OrderId, size: SectorSize) -> u64 {
        let number = self.issue(order, size);
        let value = crate::domain::ids::Bytes32([1; 32]);
        self.happen(number, Event::TicketDrawn { ticket: Ticket { epoch: Epoch(1), value } });
        number
    }

    /// A sector with its vanilla proofs made.
    fn proving(&mut self, order: OrderId, size: SectorSize) -> u64 {
        let number = self.ready_for_p1(order, size);
        let (zeros, commitments) = (Bytes32([0; 32]), commitments());
        let pre_commit =
            PreCommit { message: "m".to_owned(), epoch: Epoch(2), seed_epoch: Epoch(3) };
        let seed = Seed { epoch: Epoch(3), value: zeros };
        let succeeded = |output| Event::Succeeded { output };
        for event in [
            started(Phase::P1),
            succeeded(Output::P1),
            started(Phase::P2),
            succeeded(Output::P2 { commitments }),
            Event::PreCommitted { pre_commit },
            Event::SeedDrawn { seed },
            started(Phase::P3),
            succeeded(Output::P3),
        ] {
            self.happen(number, event);
        }
        number
    }

    fn admit(&self, capacity: &Capacity) -> Vec<Start> {
        admit(&self.queue, &self.state.orders, capacity, NOW).starts
    }
}

fn started(phase: Phase) -> Event {
    Event::Started { phase, worker: "w".to_owned() }
}

fn failed(phase: Phase, class: Class) -> Event {
    Event::Failed { phase, failure: Failure::new(class, "w", "m") }
}

fn group(phases: &[Phase], total: usize) -> Group {
    Group { phases: phases.iter().copied().collect(), total, free: total }
}

fn capacity(groups: &[Group], limits: &[(SectorSize, u64)]) -> Capacity {
    Capacity {
        groups: groups.to_vec(),
        max_outstanding: limits.iter().copied().collect(),
        intake_open: true,
        ..Capacity::default()
    }
}

#[test]
fn the_throttle_issues_up_to_its_limit_and_a_failed_sector_holds_its_place() {
    let size = SectorSize::GiB32;
    let mut yard = Yard::default();
    yard.order(size, 3);
    let capacity = capacity(&[group(&Phase::ALL, 8)], &[(size, 1)]);
    let issue = Start::Issue { order: OrderId(0), size, scratch: None };
    assert_eq!(yard.admit(&capacity), std::slice::from_ref(&issue));
    let first = yard.ready_for_p1(OrderId(0), size);
    yard.happen(first, started(Phase::P1));
    assert_eq!(yard.admit(&capacity), [], "one is outstanding");
    yard.happen(first, failed(Phase::P1, Class::Operator));
    assert_eq!(yard.admit(&capacity), [], "it failed, and holds its place");
    yard.happen(first, Event::Aborted { by: "test".to_owned() });
    yard.happen(first, started(Phase::P6));
    assert_eq!(yard.admit(&capacity), [], "it is being cleaned up");
    yard.happen(first, Event::Succeeded { output: crate::domain::event::Output::P6 });
    assert_eq!(yard.admit(&capacity), [issue], "it is over: the next one");
}

#[test]
fn one_size_at_its_limit_does_not_hold_up_another() {
    let mut yard = Yard::default();
    yard.order(SectorSize::GiB32, 1).order(SectorSize::GiB32, 1).order(SectorSize::KiB2, 1);
    yard.issue(OrderId(0), SectorSize::GiB32);
    let capacity = capacity(&[group(&Phase::ALL, 8)], &[(SectorSize::GiB32, 1)]);
    let small = Start::Issue { order: OrderId(2), size: SectorSize::KiB2, scratch: None };
    assert_eq!(yard.admit(&capacity), [small]);
}

#[test]
fn no_more_is_issued_than_p1_can_take_up() {
    let mut yard = Yard::default();
    yard.order(SectorSize::KiB2, 100_000);
    let capacity = capacity(&[group(&[Phase::P1], 4), group(&[Phase::P2], 9)], &[]);
    assert_eq!(yard.admit(&capacity).len(), 4);
}

#[test]
fn a_broken_p1_fails_as_many_sectors_as_it_has_workers_and_not_the_whole_order() {
    let mut yard = Yard::default();
    yard.order(SectorSize::KiB2, 1_000);
    let capacity = capacity(&[group(&Phase::ALL, 2)], &[]);
    for _ in 0..2 {
        let number = yard.ready_for_p1(OrderId(0), SectorSize::KiB2);
        yard.happen(number, started(Phase::P1));
        yard.happen(number, failed(Phase::P1, Class::Operator));
    }
    assert_eq!(yard.admit(&capacity), []);
}

#[test]
fn a_paused_intake_issues_nothing_and_lets_what_is_there_go_on() {
    let mut yard = Yard::default();
    yard.order(SectorSize::KiB2, 2);
    let number = SectorNumber(yard.ready_for_p1(OrderId(0), SectorSize::KiB2));
    let mut capacity = capacity(&[group(&Phase::ALL, 8)], &[]);
    capacity.intake_open = false;
    let start = Start::Task { sector: number, phase: Phase::P1, group: 0 };
    assert_eq!(yard.admit(&capacity), [start]);
}

#[test]
fn a_held_phase_does_not_start_and_holds_up_no_other() {
    let mut yard = Yard::default();
    yard.order(SectorSize::KiB2, 2);
    let number = SectorNumber(yard.ready_for_p1(OrderId(0), SectorSize::KiB2));
    let mut capacity = capacity(&[group(&Phase::ALL, 8)], &[]);
    capacity.intake_open = false;
    capacity.held.insert(Phase::P1);
    assert_eq!(yard.admit(&capacity), []);
    capacity.held = [Phase::P4].into();
    let start = Start::Task { sector: number, phase: Phase::P1, group: 0 };
    assert_eq!(yard.admit(&capacity), [start]);
}

#[test]
fn a_task_goes_to_the_group_that_can_do_least_else() {
    let mut yard = Yard::default();
    yard.order(SectorSize::KiB2, 2);
    for _ in 0..2 {
        yard.ready_for_p1(OrderId(0), SectorSize::KiB2);
    }
    let capacity = capacity(&[group(&Phase::ALL, 1), group(&[Phase::P1], 1)], &[]);
    let groups: Vec<usize> = yard
        .admit(&capacity)
        .into_iter()
        .filter_map(|start| match start {
            Start::Task { group, .. } => Some(group),
            Start::Issue { .. } | Start::Pledge { .. } => None,
        })
        .collect();
    assert_eq!(groups, [1, 0]);
}

#[test]
fn a_transient_failure_waits_for_its_time() {
    let mut yard = Yard::default();
    yard.order(SectorSize::KiB2, 1);
    let number = yard.ready_for_p1(OrderId(0), SectorSize::KiB2);
    yard.happen(number, started(Phase::P1));
    yard.happen(number, failed(Phase::P1, Class::Transient));
    let capacity = capacity(&[group(&Phase::ALL, 1)], &[]);
    assert_eq!(yard.admit(&capacity), []);
    let due = yard.queue.next_wake(NOW).expect("a back-off was begun");
    assert!(due > NOW);
    assert_eq!(yard.queue.next_wake(due), None, "what is due waits for a worker, not for a clock");
    let later = admit(&yard.queue, &yard.state.orders, &capacity, due).starts;
    let start = Start::Task { sector: SectorNumber(number), phase: Phase::P1, group: 0 };
    assert_eq!(later, [start]);
}

proptest! {
    /// However the workers are cut up, nothing starts that no free worker supports, nothing
    /// twice, and no size goes over its limit.
    #[test]
    fn what_starts_fits(
        groups in prop::collection::vec((1u8..64, 0usize..4), 0..5),
        small in 0u64..6,
        limit in 1u64..5,
        ready in 0usize..5,
    ) {
        let groups: Vec<Group> = groups
            .into_iter()
            .map(|(mask, total)| Group {
                phases: Phase::ALL.into_iter().filter(|p| mask & p.task_type() != 0).collect(),
                total,
                free: total,
            })
            .collect();
        let mut yard = Yard::default();
        yard.order(SectorSize::GiB32, small + ready as u64 + 1);
        for _ in 0..ready {
            yard.ready_for_p1(OrderId(0), SectorSize::GiB32);
        }
        let capacity = capacity(&groups, &[(SectorSize::GiB32, limit)]);
        let starts = yard.admit(&capacity);
        let mut used = vec![0; groups.len()];
        let mut seen = BTreeSet::new();
        let mut issued = 0;
        for start in &starts {
            match start {
                Start::Issue { .. } | Start::Pledge { .. } => issued += 1,
                Start::Task { sector, phase, group } => {
                    prop_assert!(groups[*group].phases.contains(phase));
                    prop_assert!(seen.insert((*sector, *phase)), "started twice");
                    used[*group] += 1;
                }
            }
        }
        prop_assert!(used.iter().zip(&groups).all(|(used, group)| *used <= group.free));
        if issued > 0 {
            prop_assert!(ready as u64 + issued <= limit);
        }
    }
}

#[test]
fn a_held_task_waits_alone_and_leaves_its_place_to_the_next_sector() {
    let mut yard = Yard::default();
    yard.order(SectorSize::KiB2, 2);
    let first = yard.ready_for_p1(OrderId(0), SectorSize::KiB2);
    let second = yard.ready_for_p1(OrderId(0), SectorSize::KiB2);
    let mut capacity = capacity(&[group(&Phase::ALL, 1)], &[]);
    capacity.held_tasks.insert((Phase::P1, SectorNumber(first)));
    let sector = SectorNumber(second);
    assert_eq!(yard.admit(&capacity), [Start::Task { sector, phase: Phase::P1, group: 0 }]);
    capacity.held_tasks.clear();
    let sector = SectorNumber(first);
    assert_eq!(yard.admit(&capacity), [Start::Task { sector, phase: Phase::P1, group: 0 }]);
}

const GIB: u64 = 1 << 30;

/// One root.
fn only(room: Room) -> std::sync::Arc<Rooms> {
    std::sync::Arc::new(Rooms::one(Scratch::new("/sealer"), room))
}

/// A machine for one 32 GiB C2 and a few labels beside it.
fn bounded(memory_gib: u64, cores: u32, free: Option<u64>) -> Capacity {
    let room = |free| only(Room { free: ByteSize(free), ..Room::default() });
    Capacity {
        bounds: Bounds {
            needs: std::sync::Arc::new(Needs::real()),
            machine: Some(Machine { memory: ByteSize(memory_gib * GIB), cores, gpus: 0 }),
            scratch: free.map(room),
            running: Vec::new(),
        },
        ..capacity(&[group(&Phase::ALL, 8)], &[])
    }
}

fn of_phase(admitted: &Admitted, wanted: Phase) -> Vec<u64> {
    let started = admitted.starts.iter().filter_map(|start| match start {
        Start::Task { sector, phase, .. } if *phase == wanted => Some(sector.0),
        Start::Task { .. } | Start::Issue { .. } | Start::Pledge { .. } => None,
    });
    started.collect()
}

impl Yard {
    fn decide(&self, capacity: &Capacity) -> Admitted {
        admit(&self.queue, &self.state.orders, capacity, NOW)
    }
}

#[test]
fn what_does_not_fit_in_memory_waits_and_says_how_much_is_left() {
    let mut yard = Yard::default();
    yard.order(SectorSize::GiB32, 2);
    yard.ready_for_p1(OrderId(0), SectorSize::GiB32);
    let second = yard.ready_for_p1(OrderId(0), SectorSize::GiB32);
    let admitted = yard.decide(&bounded(100, 16, None));
    assert_eq!(of_phase(&admitted, Phase::P1), [0]);
    let wait = &admitted.waits[&(SectorNumber(second), Phase::P1)];
    assert_eq!(wait.to_string(), "needs 64 GiB of memory, 36 GiB are left for it");
}

#[test]
fn what_runs_counts_against_the_machine() {
    let mut yard = Yard::default();
    yard.order(SectorSize::GiB32, 1);
    let number = SectorNumber(yard.ready_for_p1(OrderId(0), SectorSize::GiB32));
    let mut capacity = bounded(100, 16, None);
    capacity.bounds.running.push((SectorNumber(9), kind(SectorSize::GiB32), Phase::P4));
    let admitted = yard.decide(&capacity);
    assert_eq!(of_phase(&admitted, Phase::P1), [0; 0]);
    assert!(matches!(admitted.waits[&(number, Phase::P1)], Wait::Memory { .. }));
}

#[test]
fn memory_is_kept_for_a_snark_that_waits_so_that_labels_do_not_starve_it() {
    let mut yard = Yard::default();
    yard.order(SectorSize::GiB32, 2);
    let first = yard.proving(OrderId(0), SectorSize::GiB32);
    yard.ready_for_p1(OrderId(0), SectorSize::GiB32);
    let mut capacity = bounded(130, 16, None);
    // A label of a third sector runs: 66 GiB are left, enough for the C2's 62 and for nothing more.
    capacity.bounds.running.push((SectorNumber(9), kind(SectorSize::GiB32), Phase::P1));
    assert_eq!(of_phase(&yard.decide(&capacity), Phase::P4), [first]);
    capacity.bounds.machine = Some(Machine { memory: ByteSize(125 * GIB), cores: 16, gpus: 0 });
    let admitted = yard.decide(&capacity);
    assert_eq!(of_phase(&admitted, Phase::P4), [0; 0], "61 GiB are left");
    assert_eq!(of_phase(&admitted, Phase::P1), [0; 0], "they are kept for the C2");
}

#[test]
fn one_task_at_a_time_has_the_proving_pool_and_labels_go_on_beside_it() {
    let mut yard = Yard::default();
    yard.order(SectorSize::KiB2, 3);
    let first = yard.proving(OrderId(0), SectorSize::KiB2);
    let second = yard.proving(OrderId(0), SectorSize::KiB2);
    let third = yard.ready_for_p1(OrderId(0), SectorSize::KiB2);
    let admitted = yard.decide(&bounded(24, 2, None));
    assert_eq!(of_phase(&admitted, Phase::P4), [first]);
    assert_eq!(of_phase(&admitted, Phase::P1), [third]);
    assert_eq!(admitted.waits[&(SectorNumber(second), Phase::P4)], Wait::Pool);
}

#[test]
fn no_sector_is_begun_that_the_scratch_has_no_room_for() {
    let size = SectorSize::KiB2;
    let most = Needs::real().scratch(kind(size)).0;
    let mut yard = Yard::default();
    yard.order(size, 9);
    let issued = |free| {
        let admitted = yard.decide(&bounded(24, 2, Some(free)));
        (admitted.starts.len(), admitted.intake)
    };
    assert_eq!(issued(3 * most).0, 3);
    let (none, why) = issued(most - 1);
    let why = why.expect("it says what it waits for").to_string();
    assert_eq!(none, 0);
    assert!(why.contains("on /sealer, "), "{why}");
}

#[test]
fn a_reservation_shrinks_by_what_the_sector_already_holds() {
    let size = SectorSize::KiB2;
    let most = Needs::real().scratch(kind(size)).0;
    let mut yard = Yard::default();
    yard.order(size, 2);
    let number = SectorNumber(yard.ready_for_p1(OrderId(0), size));
    yard.happen(number.0, started(Phase::P1));
    // Half is written, the disk has what the other half and one more sector take.
    let held = [(number, ByteSize(most / 2))].into();
    let mut capacity = bounded(24, 2, None);
    let room = Room { free: ByteSize(most - most / 2 + most), held, ..Room::default() };
    capacity.bounds.scratch = Some(only(room.clone()));
    assert_eq!(yard.decide(&capacity).starts.len(), 1);
    let room = Room { free: ByteSize(room.free.0 - 1), ..room };
    capacity.bounds.scratch = Some(only(room));
    assert_eq!(yard.decide(&capacity).starts, []);
}

/// What its layers held is free for the next sector while it waits for its seed; another PoRep
/// keeps them until the seed is answered.
#[test]
fn a_synthetic_sector_behind_p2_leaves_room_for_the_next() {
    let size = SectorSize::GiB32;
    let issued_beside_one_behind_p2 = |porep| {
        let kind = SealKind::new(size, porep);
        let (most, after) = (Needs::real().scratch(kind), Needs::real().scratch_after_p2(kind));
        let mut yard = Yard { porep, ..Yard::default() };
        yard.order(size, 2);
        let number = SectorNumber(yard.ready_for_p1(OrderId(0), size));
        for output in [Output::P1, Output::P2 { commitments: commitments() }] {
            yard.happen(number.0, started(output.phase()));
            yard.happen(number.0, Event::Succeeded { output });
        }
        // A disk for one sector and what is left of another, looked at behind P2.
        let held = [(number, after)].into();
        let mut capacity = bounded(256, 16, None);
        capacity.porep = porep;
        let room = Room { free: most, held, ..Room::default() };
        capacity.bounds.scratch = Some(only(room.clone()));
        let issued = yard.admit(&capacity).len();
        // Looked at before it dropped anything: too much is held back, never too little.
        let held = [(number, most)].into();
        let room = Room { free: ByteSize(most.0 - 1), held, ..room };
        capacity.bounds.scratch = Some(only(room));
        (issued, yard.admit(&capacity).len())
    };
    assert_eq!(issued_beside_one_behind_p2(Porep::Synthetic), (1, 0));
    let mut yard = Yard { porep: Porep::Synthetic, ..Yard::default() };
    yard.order(size, 2);
    let number = SectorNumber(yard.ready_for_p1(OrderId(0), size));
    let kind = SealKind::new(size, Porep::Synthetic);
    let after = Needs::real().scratch_after_p2(kind);
    let mut capacity = bounded(256, 16, None);
    capacity.porep = Porep::Synthetic;
    // The same disk and the same files, but P2 is still to do: it may have to be made again.
    let held = [(number, after)].into();
    let room = Room { free: Needs::real().scratch(kind), held, ..Room::default() };
    capacity.bounds.scratch = Some(only(room));
    let begun = yard.admit(&capacity);
    assert!(!begun.iter().any(|start| matches!(start, Start::Issue { .. })), "{begun:?}");
}

#[test]
fn the_limit_for_all_sizes_together_holds_back_each_of_them() {
    let mut yard = Yard::default();
    yard.order(SectorSize::KiB2, 2).order(SectorSize::MiB8, 2);
    yard.issue(OrderId(0), SectorSize::KiB2);
    let mut capacity = capacity(&[group(&Phase::ALL, 8)], &[]);
    capacity.max_outstanding_in_all = Some(2);
    let issue = Start::Issue { order: OrderId(0), size: SectorSize::KiB2, scratch: None };
    assert_eq!(yard.admit(&capacity), [issue]);
}
