//! What one value no longer holds: lists of more sectors than a block has, histories of more
//! entries than a run has.

use super::*;
use crate::domain::event::{BoxEvent, Entry, Event, Happened};
use crate::domain::ids::{ActorId, Bytes32, OrderId};
use crate::domain::phase::Phase;
use crate::domain::porep::Porep;
use crate::domain::sector::{Data, Ticket};
use crate::domain::units::{Epoch, SectorSize, Timestamp};

const SECTORS: u64 = 600;
const BUSY: SectorNumber = SectorNumber(300);

fn happen(world: &mut World, happened: Happened) {
    let seq = Seq(world.box_state.seq.0 + 1);
    world.replay(Entry { seq, at: Timestamp(1_700_000_000_000 + seq.0), happened });
}

/// Some hundred sectors; one of them was interrupted again and again.
fn long_world() -> World {
    let mut world = World::default();
    let order = OrderId(0);
    let (size, by) = (SectorSize::KiB2, "page".to_owned());
    happen(&mut world, Happened::Box(BoxEvent::Ordered { order, size, count: SECTORS, by }));
    for number in 0..SECTORS {
        let (miner, data) = (ActorId(1000), Data::CommittedCapacity);
        let event = Event::Issued {
            miner,
            size,
            data,
            order,
            simulated: true,
            porep: Porep::Interactive,
            scratch: None,
        };
        happen(&mut world, Happened::Sector { number: SectorNumber(number), event });
    }
    let ticket = Ticket { epoch: Epoch(1), value: Bytes32([1; 32]) };
    let mut event = Event::TicketDrawn { ticket };
    for n in 0..800 {
        happen(&mut world, Happened::Sector { number: BUSY, event });
        let worker = format!("a worker with a long name, for the {n}th time");
        event = match n % 2 {
            0 => Event::Started { phase: Phase::P1, worker },
            _ => Event::Interrupted { phase: Phase::P1, died: true },
        };
        let happened = match n % 3 {
            0 => BoxEvent::IntakePaused { by: format!("person {n}") },
            _ => BoxEvent::IntakeResumed { by: format!("person {n}") },
        };
        happen(&mut world, Happened::Box(happened));
    }
    world
}

/// Commits it some entries at a time, so that runs and blocks are added to.
fn committed(at_once: usize) -> (Box_, Store) {
    let world = Box_::new();
    let (store, _) = world.open();
    let mut so_far = World::default();
    for entries in long_world().history.chunks(at_once) {
        let mut concerned = std::collections::BTreeSet::new();
        for entry in entries {
            so_far.replay(entry.clone());
            if let Happened::Sector { number, .. } = &entry.happened {
                concerned.insert(*number);
            }
        }
        let sectors = concerned.iter().map(|number| so_far.sectors[number].clone()).collect();
        let box_state = so_far.box_state.clone();
        let batch = Batch { entries: entries.to_vec(), sectors, box_state };
        store.commit(batch).wait().unwrap();
    }
    (Box_ { world: so_far, ..world }, store)
}

#[test]
fn a_list_longer_than_a_block_is_read_in_order_from_any_place() {
    let (world, store) = committed(7);
    assert_same(&store.reader(), &world.world);
    let all: Vec<u64> = (0..SECTORS).collect();
    for from in [0, 1, 254, 255, 256, 257, 511, 512, SECTORS - 1] {
        let list = |direction| {
            let from = Some(SectorNumber(from));
            let page = store.reader().sectors(SectorFilter::Active, from, 1000, direction);
            page.unwrap().items.iter().map(|sector| sector.id.number.0).collect::<Vec<_>>()
        };
        assert_eq!(list(Direction::OldestFirst), all[from as usize + 1..]);
        let mut newest: Vec<u64> = all[..from as usize].to_vec();
        newest.reverse();
        assert_eq!(list(Direction::NewestFirst), newest);
    }
}

#[test]
fn a_history_longer_than_a_run_is_read_from_any_entry_on() {
    for at_once in [1, 50, 10_000] {
        let (world, store) = committed(at_once);
        let history = world.world.history_of(BUSY);
        for (i, entry) in history.iter().enumerate().step_by(7) {
            let rest = store.reader().history(BUSY, Some(entry.seq), 3).unwrap();
            assert_eq!(rest, history[i + 1..history.len().min(i + 4)]);
        }
        let before = Seq(history[0].seq.0 - 1);
        assert_eq!(store.reader().history(BUSY, Some(before), usize::MAX).unwrap(), history);
        model::assert_same_box_history(&store.reader(), &world.world);
    }
}
