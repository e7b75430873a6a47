use proptest::prelude::*;

use super::*;
use crate::domain::event::{BoxEvent, Entry, Event, Happened};
use crate::domain::failure::{Class, Failure};
use crate::domain::ids::ActorId;
use crate::domain::order::BoxState;
use crate::domain::pipeline::{Stamp, fold};
use crate::domain::sector::{Data, Ticket};
use crate::domain::units::{Epoch, Seq};

const NOW: Timestamp = Timestamp(1_000_000);

/// A box of sectors, driven by events only.
#[derive(Default)]
struct Yard {
    sectors: BTreeMap<SectorNumber, Sector>,
    queue: Queue,
    state: BoxState,
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
        let number = self.state.next_number;
        let miner = ActorId(1000);
        let data = Data::CommittedCapacity;
        self.happen(number, Event::Issued { miner, size, data, order, simulated: true });
        number
    }

    fn ready_for_p1(&mut self, order: OrderId, size: SectorSize) -> u64 {
        let number = self.issue(order, size);
        let value = crate::domain::ids::Bytes32([1; 32]);
        self.happen(number, Event::TicketDrawn { ticket: Ticket { epoch: Epoch(1), value } });
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
    let issue = Start::Issue { order: OrderId(0), size };
    assert_eq!(yard.admit(&capacity), [issue]);
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
    let small = Start::Issue { order: OrderId(2), size: SectorSize::KiB2 };
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
            Start::Issue { .. } => None,
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
                Start::Issue { .. } => issued += 1,
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
