use proptest::prelude::*;

use super::*;

fn entry(seq: u64, happened: BoxEvent) -> Entry {
    Entry { seq: Seq(seq), at: Timestamp(seq), happened: Happened::Box(happened) }
}

fn by() -> String {
    "test".to_owned()
}

fn ordered(count: u64) -> BoxState {
    let mut state = BoxState::default();
    for order in 0..count {
        let size = SectorSize::KiB2;
        let event = BoxEvent::Ordered { order: OrderId(order), size, count: 1, by: by() };
        state.advance(&entry(order + 1, event)).unwrap();
    }
    state
}

fn ids(state: &BoxState) -> Vec<u64> {
    state.orders.iter().map(|order| order.id.0).collect()
}

/// As the core does it.
fn put(state: &mut BoxState, order: OrderId, to: Place) {
    let before = state.orders.target(order, to);
    if !state.orders.stands_before(order, before) {
        let event = BoxEvent::Moved { order, before, by: by() };
        state.advance(&entry(state.seq.0 + 1, event)).unwrap();
    }
}

#[test]
fn each_place_is_where_its_name_says() {
    let all = [Place::First, Place::Up, Place::Down, Place::Last, Place::Before(OrderId(3))];
    let places = |order: u64| {
        all.map(|to| {
            let mut state = ordered(4);
            put(&mut state, OrderId(order), to);
            ids(&state)
        })
    };
    let as_it_was = [0, 1, 2, 3];
    assert_eq!(places(0), [as_it_was, as_it_was, [1, 0, 2, 3], [1, 2, 3, 0], [1, 2, 0, 3]]);
    assert_eq!(places(2), [[2, 0, 1, 3], [0, 2, 1, 3], [0, 1, 3, 2], [0, 1, 3, 2], as_it_was]);
    assert_eq!(places(3), [[3, 0, 1, 2], [0, 1, 3, 2], as_it_was, as_it_was, as_it_was]);
}

#[test]
fn a_move_of_what_is_not_there_or_before_itself_is_illegal_and_changes_nothing() {
    let state = ordered(2);
    for (order, before) in [(7, None), (0, Some(7)), (1, Some(1))] {
        let (order, before) = (OrderId(order), before.map(OrderId));
        let mut after = state.clone();
        after.advance(&entry(3, BoxEvent::Moved { order, before, by: by() })).unwrap_err();
        assert_eq!(after, state, "{order} before {before:?}");
    }
}

fn place(pick: u64) -> Place {
    match pick % 5 {
        4 => Place::Before(OrderId(pick / 5 % 6)),
        named => Place::NAMED[usize::try_from(named).unwrap()].1,
    }
}

proptest! {
    /// Nothing is lost, nothing is added, and only the one that is moved changes its place among
    /// the others.
    #[test]
    fn moving_is_a_permutation_in_which_the_others_keep_their_sequence(
        moves in proptest::collection::vec((0u64..6, any::<u64>()), 0..40)
    ) {
        let mut state = ordered(6);
        for (order, pick) in moves {
            let before = ids(&state);
            let to = place(pick);
            if to == Place::Before(OrderId(order)) {
                continue;
            }
            put(&mut state, OrderId(order), to);
            let after = ids(&state);
            let others = |ids: &[u64]| -> Vec<u64> {
                ids.iter().copied().filter(|id| *id != order).collect()
            };
            prop_assert_eq!(others(&before), others(&after));
            let mut sorted = after.clone();
            sorted.sort_unstable();
            prop_assert_eq!(sorted, vec![0, 1, 2, 3, 4, 5]);
            match to {
                Place::First => prop_assert_eq!(after[0], order),
                Place::Last => prop_assert_eq!(after[5], order),
                Place::Before(other) => {
                    let at = after.iter().position(|id| *id == other.0).unwrap();
                    prop_assert_eq!(after[at - 1], order);
                }
                Place::Up | Place::Down => {}
            }
        }
    }
}

#[test]
fn a_move_is_written_to_the_journal_as_it_is_read_for_ever() {
    let event = BoxEvent::Moved { order: OrderId(3), before: Some(OrderId(1)), by: by() };
    let line = r#"{"box":{"moved":{"order":3,"before":1,"by":"test"}}}"#;
    assert_eq!(serde_json::to_string(&Happened::Box(event.clone())).unwrap(), line);
    assert_eq!(serde_json::from_str::<Happened>(line).unwrap(), Happened::Box(event));
}

#[test]
fn a_stop_is_on_record_until_the_next_attempt_starts() {
    let of_sector = |seq, event| {
        let happened = Happened::Sector { number: SectorNumber(0), event };
        Entry { seq: Seq(seq), at: Timestamp(seq), happened }
    };
    let stopping = BoxState::default().apply(&entry(1, BoxEvent::Stopping { running: 2 })).unwrap();
    let interrupted = Event::Interrupted { phase: Phase::P2, died: false };
    let woken = stopping.apply(&of_sector(2, interrupted)).unwrap();
    assert!(stopping.stopping && woken.stopping, "a start may end before it starts anything");
    let started = Event::Started { phase: Phase::P2, worker: "p2-0".to_owned() };
    assert!(!woken.apply(&of_sector(3, started)).unwrap().stopping);
}
