use proptest::prelude::*;

use super::*;
use crate::domain::event::{Entry, Happened};
use crate::domain::phase::Phase;
use crate::domain::sector::Sector;
use crate::domain::task::{ResultStatus, Row};
use crate::store::walk::picks;

pub fn assert_same_box_history(reader: &Reader, world: &World) {
    let mut of_box: Vec<Entry> = world.history.clone();
    of_box.retain(|entry| matches!(entry.happened, Happened::Box(_)));
    of_box.reverse();
    assert_eq!(reader.box_history(None, usize::MAX).unwrap(), of_box);
    for limit in [1, 2, 7] {
        let (mut pieces, mut before) = (Vec::new(), None);
        loop {
            let piece = reader.box_history(before, limit).unwrap();
            let Some(last) = piece.last() else { break };
            before = Some(last.seq);
            pieces.extend(piece);
        }
        assert_eq!(pieces, of_box, "{limit} at a time");
    }
}

/// All pages of a list, `limit` items each.
fn all<T, C: Copy>(limit: usize, page: impl Fn(Option<C>, usize) -> Page<T, C>) -> Vec<T> {
    let mut items = Vec::new();
    let mut after = None;
    loop {
        let Page { items: some, next } = page(after, limit);
        assert!(some.len() <= limit);
        items.extend(some);
        match next {
            Some(next) => after = Some(next),
            None => return items,
        }
    }
}

pub fn assert_same_lists(reader: &Reader, world: &World) {
    let counts = reader.counts().unwrap();
    let mut filters = vec![SectorFilter::All, SectorFilter::Active, SectorFilter::Attention];
    filters.extend(StageKind::ALL.map(SectorFilter::Stage));
    for filter in filters {
        let fits = |sector: &&Sector| match filter {
            SectorFilter::All => true,
            SectorFilter::Active => !sector.stage.is_over(),
            SectorFilter::Attention => sector.needs_you(),
            SectorFilter::Stage(kind) => kind.name() == sector.stage.name(),
        };
        let mut expected: Vec<Sector> = world.sectors.values().filter(fits).cloned().collect();
        let count = match filter {
            SectorFilter::All => counts.sectors,
            SectorFilter::Active => counts.active(),
            SectorFilter::Attention => counts.attention,
            SectorFilter::Stage(kind) => counts.stage(kind),
        };
        assert_eq!(count, expected.len() as u64, "{filter:?}");
        let list = |direction| {
            all(3, |after, limit| reader.sectors(filter, after, limit, direction).unwrap())
        };
        assert_eq!(list(Direction::OldestFirst), expected, "{filter:?}");
        expected.reverse();
        assert_eq!(list(Direction::NewestFirst), expected, "{filter:?}");
    }
}

fn filters(world: &World) -> Vec<TaskFilter> {
    let any = TaskFilter::default();
    let mut filters = vec![
        any,
        TaskFilter { is_taken: Some(true), ..any },
        TaskFilter { is_finished: Some(false), ..any },
        TaskFilter { phase: Some(Phase::P6), result_status: Some(ResultStatus::Failed), ..any },
    ];
    filters.extend(Phase::ALL.map(|phase| TaskFilter { phase: Some(phase), ..any }));
    filters
        .extend(ResultStatus::ALL.map(|status| TaskFilter { result_status: Some(status), ..any }));
    let sector = world.sectors.keys().next_back().copied();
    filters.push(TaskFilter { sector, is_finished: Some(true), ..any });
    filters.push(TaskFilter { sector: Some(SectorNumber(u64::MAX)), ..any });
    filters
}

pub fn assert_same_tasks(reader: &Reader, world: &World) {
    let counts = reader.counts().unwrap();
    for filter in filters(world) {
        let of_sector = |sector: &Sector| -> Vec<(SectorNumber, Phase, Row)> {
            let rows = Phase::ALL.into_iter().filter_map(|p| Some((p, sector.row(p)?)));
            let number = sector.id.number;
            let wanted = filter.sector.is_none_or(|wanted| wanted == number);
            let rows = rows.filter(|(p, row)| wanted && filter.matches(*p, *row));
            rows.map(|(p, row)| (number, p, row)).collect()
        };
        let oldest: Vec<_> = world.sectors.values().flat_map(of_sector).collect();
        let newest: Vec<_> = world.sectors.values().rev().flat_map(of_sector).collect();
        if filter.sector.is_none() {
            assert_eq!(filter.count(&counts), oldest.len() as u64, "{filter:?}");
        }
        for (direction, expected) in
            [(Direction::OldestFirst, oldest), (Direction::NewestFirst, newest)]
        {
            let lines =
                all(4, |after, limit| reader.tasks(&filter, after, limit, direction).unwrap());
            let got: Vec<_> =
                lines.iter().map(|line| (line.sector.id.number, line.phase, line.row)).collect();
            assert_eq!(got, expected, "{filter:?} {direction:?}");
        }
    }
}

/// What happens to a box.
#[derive(Debug, Clone)]
enum Act {
    Commit(Vec<u32>),
    /// Several commits at once: they share a sync, or not.
    Burst(Vec<Vec<u32>>),
    StopCleanly,
    /// The process is gone; the machine stays.
    Crash,
    /// The machine is gone: what was not synced of sled may be anything.
    PowerCut,
    StopCleanlyAndReboot,
    DeleteState,
    /// The state of some time ago.
    OldState,
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        8 => picks(1..12).prop_map(Act::Commit),
        4 => proptest::collection::vec(picks(1..6), 1..8).prop_map(Act::Burst),
        1 => Just(Act::StopCleanly),
        1 => Just(Act::Crash),
        1 => Just(Act::PowerCut),
        1 => Just(Act::StopCleanlyAndReboot),
        1 => Just(Act::DeleteState),
        1 => Just(Act::OldState),
    ]
}

fn live_through(acts: Vec<Act>) {
    let mut world = Box_::new();
    let mut store = Some(world.open().0);
    let mut copied = false;
    for act in acts {
        let open = store.take().expect("opened again at the end of each act");
        let state = world.data().join("state");
        let copy = world.data().join("copy");
        match act {
            Act::Commit(picks) => {
                let done = world.commit(&open, &picks);
                assert_eq!(done, Committed { last: world.world.box_state.seq });
                assert!(open.health().is_none());
                store = Some(open);
                continue;
            }
            Act::Burst(bursts) => {
                let answers: Vec<_> =
                    bursts.iter().map(|picks| open.commit(world.world.batch(picks))).collect();
                assert!(answers.into_iter().all(|answer| answer.wait().is_ok()));
                assert!(open.health().is_none());
                store = Some(open);
                continue;
            }
            Act::StopCleanly => {
                open.close().unwrap();
                let (opened, recovered) = world.open();
                assert_eq!(recovered.report, [""; 0]);
                store = Some(opened);
                continue;
            }
            Act::Crash => drop(open),
            Act::PowerCut => {
                drop(open);
                world.boot += 1;
                // Not even readable: it must not be looked at.
                std::fs::write(state.join("db"), "gone").unwrap();
            }
            Act::StopCleanlyAndReboot => {
                open.close().unwrap();
                world.boot += 1;
            }
            Act::DeleteState => {
                drop(open);
                std::fs::remove_dir_all(&state).unwrap();
            }
            Act::OldState => {
                open.close().unwrap();
                if copied {
                    std::fs::remove_dir_all(&state).unwrap();
                    std::fs::rename(&copy, &state).unwrap();
                } else {
                    copy_tree(&state, &copy);
                }
                copied = !copied;
            }
        }
        store = Some(world.open().0);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn the_store_is_the_model_whatever_happens_to_it(
        acts in proptest::collection::vec(act(), 1..24)
    ) {
        live_through(acts);
    }
}

#[test]
fn a_full_journal_file_is_followed_by_the_next() {
    let mut world = Box_::new();
    world.live(300);
    assert!(world.segments().len() > 3, "{:?}", world.segments());
    world.open();
}

#[test]
fn a_journal_line_is_json_on_one_line_with_every_entry_once() {
    let mut world = Box_::new();
    world.live(60);
    let mut seqs = Vec::new();
    for path in world.segments() {
        for line in std::fs::read_to_string(path).unwrap().lines() {
            let line: serde_json::Value = serde_json::from_str(line).unwrap();
            let entries = line["entries"].as_array().unwrap();
            assert_eq!(line["seq"], entries[0]["seq"]);
            seqs.extend(entries.iter().map(|entry| entry["seq"].as_u64().unwrap()));
        }
    }
    assert_eq!(seqs, (1..=60).collect::<Vec<_>>());
}

/// A value's shape, and the fold that made it, belong to the state's format: whoever changes them
/// raises it, so that states of before are made again.
#[test]
fn what_the_state_holds_is_that_of_its_format() {
    let mut world = World::default();
    for n in 0..2000_u32 {
        world.step(n.wrapping_mul(2_654_435_761).rotate_left(7));
    }
    let mut hash = blake3::Hasher::new();
    for sector in world.sectors.values() {
        hash.update(&postcard::to_stdvec(sector).unwrap());
    }
    for entry in &world.history {
        hash.update(&postcard::to_stdvec(entry).unwrap());
    }
    hash.update(&postcard::to_stdvec(&world.box_state).unwrap());
    let shape = hex::encode(&hash.finalize().as_bytes()[..8]);
    assert_eq!(
        (tables::FORMAT, shape.as_str()),
        (10, "1562380812a96829"),
        "raise tables::FORMAT, then put the new pair here"
    );
}
