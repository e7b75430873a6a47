//! Storage that is full, and what is ordered until it is.

use super::*;

/// Two sectors whose copies met a full storage, and when they are tried again.
fn two_that_met_a_full_storage(size: SectorSize) -> (Yard, [u64; 2], Timestamp) {
    let mut yard = Yard::default();
    yard.order(size, 9);
    let numbers = [(); 2].map(|()| yard.proving(OrderId(0), size));
    for number in numbers {
        yard.happen(number, started(Phase::P5));
        yard.happen(number, failed(Phase::P5, Class::Space));
    }
    let due = yard.queue.next_wake(NOW).expect("they are tried again");
    (yard, numbers, due)
}

/// Storage with room for so many copies of 2 KiB sectors on each disk.
fn storage(copies: &[u64]) -> Capacity {
    let mut capacity = bounded(24, 2, None);
    let each = capacity.bounds.needs.stored(SectorSize::KiB2).0;
    let free = copies.iter().map(|copies| ByteSize(copies * each)).collect();
    capacity.stores = Some(std::sync::Arc::new(Stores { looked: NOW, free }));
    capacity
}

fn issues(admitted: &Admitted) -> usize {
    let issue = |start: &&Start| matches!(start, Start::Issue { .. });
    admitted.starts.iter().filter(issue).count()
}

#[test]
fn copies_that_met_a_full_storage_go_on_as_soon_as_its_room_is_seen_and_not_before() {
    let (yard, [first, second], due) = two_that_met_a_full_storage(SectorSize::KiB2);
    let decide = |capacity: &Capacity, now| admit(&yard.queue, &yard.state.orders, capacity, now);
    assert_eq!(of_phase(&decide(&storage(&[9]), NOW), Phase::P5), [0; 0], "not due");
    let full = decide(&storage(&[0, 0]), due);
    assert_eq!(of_phase(&full, Phase::P5), [0; 0], "it would be in vain");
    let why = full.waits[&(SectorNumber(first), Phase::P5)].to_string();
    assert!(why.contains("of storage, 0 B are left"), "{why}");
    assert_eq!(of_phase(&decide(&storage(&[0, 1]), due), Phase::P5), [first], "room for one");
    assert_eq!(of_phase(&decide(&storage(&[1, 1]), due), Phase::P5), [first, second]);
    // What nobody has looked at is tried by time; so is what cannot be used: that says why.
    assert_eq!(of_phase(&decide(&bounded(24, 2, None), due), Phase::P5), [first, second]);
    assert_eq!(of_phase(&decide(&storage(&[]), due), Phase::P5), [first, second]);
}

#[test]
fn room_that_a_running_or_an_unseen_copy_takes_is_nobody_elses() {
    let (yard, [first, _], due) = two_that_met_a_full_storage(SectorSize::KiB2);
    let copies = |capacity: &Capacity| {
        of_phase(&admit(&yard.queue, &yard.state.orders, capacity, due), Phase::P5)
    };
    let mut capacity = storage(&[2]);
    capacity.unseen = vec![SectorSize::KiB2];
    assert_eq!(copies(&capacity), [first]);
    capacity.bounds.running.push((SectorNumber(99), kind(SectorSize::KiB2), Phase::P5));
    assert_eq!(copies(&capacity), [0; 0]);
}

#[test]
fn the_first_attempt_at_a_copy_is_made_whatever_was_seen() {
    let mut yard = Yard::default();
    yard.order(SectorSize::KiB2, 1);
    let number = yard.proving(OrderId(0), SectorSize::KiB2);
    assert_eq!(of_phase(&yard.decide(&storage(&[0])), Phase::P5), [number]);
}

#[test]
fn nothing_is_begun_while_a_copy_waits_for_storage_and_a_retry_asks_for_no_room() {
    let (mut yard, [first, second], due) = two_that_met_a_full_storage(SectorSize::KiB2);
    let full = admit(&yard.queue, &yard.state.orders, &storage(&[0]), due);
    assert_eq!(full.intake, Some(Wait::FullDisk { sector: SectorNumber(first) }));
    assert_eq!(issues(&full), 0);
    for number in [first, second] {
        yard.happen(number, Event::Retried { phase: Phase::P5, by: "ann".to_owned() });
    }
    let admitted = yard.decide(&storage(&[0]));
    assert_eq!(of_phase(&admitted, Phase::P5), [first, second], "a person knows better");
    assert!(issues(&admitted) > 0 && admitted.intake.is_none(), "{admitted:?}");
}

#[test]
fn a_full_disk_of_roots_that_nobody_looks_at_pauses_the_intake_of_all() {
    let mut yard = Yard::default();
    yard.order(SectorSize::KiB2, 5);
    let number = yard.ready_for_p1(OrderId(0), SectorSize::KiB2);
    yard.happen(number, started(Phase::P1));
    yard.happen(number, failed(Phase::P1, Class::Space));
    let admitted = yard.decide(&bounded(24, 2, None));
    assert_eq!(admitted.intake, Some(Wait::FullDisk { sector: SectorNumber(number) }));
    assert_eq!(issues(&admitted), 0);
}

/// Storage for so many 32 GiB copies on each disk.
fn until_full(copies: &[u64], unseen: usize) -> Capacity {
    let size = SectorSize::GiB32;
    let mut capacity = capacity(&[group(&Phase::ALL, 9)], &[]);
    capacity.bounds.needs = std::sync::Arc::new(Needs::real());
    let each = capacity.bounds.needs.stored(size).0;
    let free = copies.iter().map(|copies| ByteSize(copies * each + each / 2)).collect();
    capacity.stores = Some(std::sync::Arc::new(Stores { looked: NOW, free }));
    capacity.unseen = vec![size; unseen];
    capacity.until_full = Some(size);
    capacity
}

fn pledges(admitted: &Admitted) -> usize {
    let pledge = Start::Pledge { size: SectorSize::GiB32, scratch: None };
    admitted.starts.iter().filter(|start| **start == pledge).count()
}

#[test]
fn until_full_orders_what_the_storage_has_room_for_beside_the_copies_that_are_owed() {
    let mut yard = Yard::default();
    assert_eq!(pledges(&yard.decide(&until_full(&[2, 1], 0))), 3);
    assert_eq!(pledges(&yard.decide(&until_full(&[2, 1], 1))), 2, "one copy is not seen yet");
    yard.order(SectorSize::GiB32, 2);
    let admitted = yard.decide(&until_full(&[2, 1], 0));
    assert_eq!((admitted.starts.len(), pledges(&admitted)), (3, 1), "orders come first");
    yard.proving(OrderId(0), SectorSize::GiB32);
    yard.ready_for_p1(OrderId(0), SectorSize::GiB32);
    assert_eq!(pledges(&yard.decide(&until_full(&[2, 1], 0))), 1, "two copies are owed");
    let admitted = yard.decide(&until_full(&[1, 1], 0));
    assert_eq!((pledges(&admitted), admitted.intake), (0, None));
    let full = admitted.full.expect("it says why").to_string();
    assert!(
        full.starts_with("another copy needs 32.1 GiB of storage, 16.0 GiB are left"),
        "{full}"
    );
}

#[test]
fn until_full_a_copy_has_to_fit_on_one_disk_and_none_is_ordered_before_the_first_look() {
    let yard = Yard::default();
    // Three halves are no room for one.
    let admitted = yard.decide(&until_full(&[0, 0, 0], 0));
    assert!(admitted.starts.is_empty() && admitted.full.is_some());
    let mut unseen = until_full(&[5], 0);
    unseen.stores = None;
    let admitted = yard.decide(&unseen);
    assert!(admitted.starts.is_empty());
    assert_eq!(admitted.full, Some(Wait::NoStorage));
}
