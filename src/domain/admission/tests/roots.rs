//! Several scratch roots.

use super::*;

/// Roots by name, with what each has free, in sectors of 2 KiB.
fn roots(free: &[(&str, u64)]) -> Rooms {
    let most = Needs::real().scratch(SealKind::new(SectorSize::KiB2, Porep::Interactive)).0;
    let room = |free: u64| Room {
        free: ByteSize(free * most),
        total: Some(ByteSize(9 * most)),
        ..Room::default()
    };
    let roots = free.iter().map(|(name, free)| (Scratch::new(*name), room(*free)));
    Rooms { first: Scratch::new(free[0].0), roots: roots.collect() }
}

fn with(rooms: &Rooms) -> Capacity {
    let mut capacity = bounded(24, 2, None);
    capacity.bounds.scratch = Some(std::sync::Arc::new(rooms.clone()));
    capacity
}

fn issued_in(admitted: &Admitted) -> Vec<String> {
    let root = |start: &Start| match start {
        Start::Issue { scratch, .. } | Start::Pledge { scratch, .. } => {
            Some(scratch.as_ref()?.to_string())
        }
        Start::Task { .. } => None,
    };
    admitted.starts.iter().filter_map(root).collect()
}

#[test]
fn a_sector_is_begun_where_most_is_unreserved_and_what_is_begun_counts_at_once() {
    let mut yard = Yard::default();
    yard.order(SectorSize::KiB2, 9);
    let admitted = yard.decide(&with(&roots(&[("/a", 1), ("/b", 3)])));
    assert_eq!(issued_in(&admitted), ["/b", "/b", "/b", "/a"]);
    let why = admitted.intake.expect("the fifth waits").to_string();
    assert!(why.ends_with("on /b, 0 B unreserved"), "{why}");
}

#[test]
fn weight_counts_with_room_and_a_root_of_weight_0_takes_nothing_new() {
    let mut yard = Yard::default();
    yard.order(SectorSize::KiB2, 2);
    let mut rooms = roots(&[("/a", 1), ("/b", 3)]);
    let weigh = |rooms: &mut Rooms, name: &str, weight| {
        rooms.roots.get_mut(&Scratch::new(name)).unwrap().weight = weight;
    };
    weigh(&mut rooms, "/a", 4);
    assert_eq!(issued_in(&yard.decide(&with(&rooms))), ["/a", "/b"]);
    weigh(&mut rooms, "/b", 0);
    assert_eq!(issued_in(&yard.decide(&with(&rooms))), ["/a"]);
    weigh(&mut rooms, "/a", 0);
    let why = yard.decide(&with(&rooms)).intake.expect("it says why").to_string();
    assert!(why.contains("weight 0"), "{why}");
}

#[test]
fn what_a_sector_reserves_is_reserved_in_its_own_root() {
    let mut yard = Yard::default();
    yard.order(SectorSize::KiB2, 3);
    yard.issue_in(Some(Scratch::new("/b")), OrderId(0), SectorSize::KiB2);
    // It names no root, so it is in the first one.
    yard.issue(OrderId(0), SectorSize::KiB2);
    assert_eq!(issued_in(&yard.decide(&with(&roots(&[("/a", 1), ("/b", 1)])))), [""; 0]);
    assert_eq!(issued_in(&yard.decide(&with(&roots(&[("/a", 2), ("/b", 1)])))), ["/a"]);
    assert_eq!(issued_in(&yard.decide(&with(&roots(&[("/a", 1), ("/b", 2)])))), ["/b"]);
}

#[test]
fn two_roots_on_one_file_system_have_one_room() {
    let mut yard = Yard::default();
    yard.order(SectorSize::KiB2, 9);
    let mut rooms = roots(&[("/a", 3), ("/b", 3)]);
    assert_eq!(issued_in(&yard.decide(&with(&rooms))).len(), 6);
    rooms.roots.values_mut().for_each(|room| room.file_system = Some(7));
    assert_eq!(issued_in(&yard.decide(&with(&rooms))).len(), 3);
    yard.issue_in(Some(Scratch::new("/a")), OrderId(0), SectorSize::KiB2);
    assert_eq!(issued_in(&yard.decide(&with(&rooms))).len(), 2);
}

#[test]
fn a_root_that_is_away_holds_back_its_own_sectors_only() {
    let mut yard = Yard::default();
    yard.order(SectorSize::KiB2, 3);
    let (a, b) = (Scratch::new("/a"), Scratch::new("/b"));
    let value = Bytes32([1; 32]);
    let drawn = || Event::TicketDrawn { ticket: Ticket { epoch: Epoch(1), value } };
    let there = yard.issue_in(Some(a), OrderId(0), SectorSize::KiB2);
    let gone = yard.issue_in(Some(b.clone()), OrderId(0), SectorSize::KiB2);
    yard.happen(there, drawn());
    yard.happen(gone, drawn());
    let mut rooms = roots(&[("/a", 3), ("/b", 3)]);
    rooms.roots.get_mut(&b).unwrap().away = Some("/b hangs".to_owned());
    // One P1 worker: the sector that waits for its root does not take it, nor the intake's place.
    let mut capacity = with(&rooms);
    capacity.groups = vec![group(&Phase::ALL, 2)];
    let admitted = yard.decide(&capacity);
    assert_eq!(of_phase(&admitted, Phase::P1), [there]);
    assert_eq!(issued_in(&admitted), ["/a"]);
    let wait = &admitted.waits[&(SectorNumber(gone), Phase::P1)];
    assert_eq!(wait.to_string(), "/b hangs");
}

#[test]
fn a_full_root_takes_no_new_sectors_until_the_one_that_met_it_got_past_and_the_others_do() {
    let mut yard = Yard::default();
    yard.order(SectorSize::KiB2, 9);
    let (a, b) = (Scratch::new("/a"), Scratch::new("/b"));
    let number = yard.issue_in(Some(b.clone()), OrderId(0), SectorSize::KiB2);
    let value = Bytes32([1; 32]);
    yard.happen(number, Event::TicketDrawn { ticket: Ticket { epoch: Epoch(1), value } });
    yard.happen(number, started(Phase::P1));
    yard.happen(number, failed(Phase::P1, Class::Space));
    // The look says that there is room: who was refused knows better.
    let mut rooms = roots(&[("/a", 2), ("/b", 8)]);
    assert_eq!(issued_in(&yard.decide(&with(&rooms))), ["/a", "/a"]);
    rooms.roots.values_mut().for_each(|room| room.file_system = Some(7));
    let one_disk = yard.decide(&with(&rooms));
    assert_eq!(issued_in(&one_disk), [""; 0]);
    assert_eq!(one_disk.intake, Some(Wait::FullDisk { sector: SectorNumber(number) }));
    let mut rooms = roots(&[("/a", 2), ("/b", 8)]);
    rooms.roots.get_mut(&a).unwrap().weight = 0;
    let none_else = yard.decide(&with(&rooms));
    assert_eq!(none_else.intake, Some(Wait::FullDisk { sector: SectorNumber(number) }));
    rooms.roots.get_mut(&b).unwrap().away = Some("/b hangs".to_owned());
    let gone = yard.decide(&with(&rooms)).intake.expect("it says why");
    assert_eq!(gone.to_string(), "/b hangs");

    let rooms = roots(&[("/a", 2), ("/b", 8)]);
    yard.happen(number, Event::Retried { phase: Phase::P1, by: "ann".to_owned() });
    yard.happen(number, started(Phase::P1));
    assert!(issued_in(&yard.decide(&with(&rooms))).contains(&"/b".to_owned()), "it is tried again");
}

#[test]
fn room_is_kept_for_a_large_sector_only_where_it_could_ever_fit() {
    let mut yard = Yard::default();
    yard.order(SectorSize::MiB8, 1).order(SectorSize::KiB2, 1);
    let mut rooms = roots(&[("/small", 9), ("/large", 9)]);
    let large = Needs::real().scratch(SealKind::new(SectorSize::MiB8, Porep::Interactive));
    rooms.roots.get_mut(&Scratch::new("/large")).unwrap().total = Some(large);
    let admitted = yard.decide(&with(&rooms));
    let why = admitted.intake.as_ref().expect("the large one waits").to_string();
    assert!(why.contains("on /large, "), "{why}");
    assert_eq!(issued_in(&admitted), ["/small"]);
}

#[test]
fn a_sector_that_no_root_could_ever_hold_is_told_with_the_largest() {
    let rooms = roots(&[("/a", 0), ("/b", 0)]);
    let never = |rooms: &Rooms| rooms.never_fit(ByteSize(GIB), SectorSize::MiB8);
    let why = never(&rooms).expect("neither can");
    assert!(why.starts_with("a 8 MiB sector needs 1 GiB of one scratch"), "{why}");
    let mut unseen = rooms;
    unseen.roots.get_mut(&Scratch::new("/a")).unwrap().total = None;
    assert_eq!(never(&unseen), None);
}
