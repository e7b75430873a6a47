use super::*;
use crate::domain::event::{Event, Output};
use crate::domain::failure::{Class, Failure};
use crate::domain::ids::{ActorId, Bytes32, CommD, CommR, OrderId, SealProof, SectorNumber};
use crate::domain::pipeline::{Stamp, fold};
use crate::domain::sector::{Commit, Commitments, Data, PreCommit, Seed, StoredAt, Ticket};
use crate::domain::units::{Epoch, Seq};

const SIZE: SectorSize = SectorSize::GiB32;
const BEGIN: Timestamp = Timestamp(1_700_000_000_000);
const B: Bytes32 = Bytes32([3; 32]);

fn of(size: SectorSize) -> SealKind {
    SealKind::new(size, Porep::Interactive)
}

fn minutes(minutes: u64) -> Duration {
    Duration::from_secs(minutes * 60)
}

/// A sector on its way, with a clock.
struct Way {
    sector: Sector,
    now: Timestamp,
}

impl Way {
    fn begin() -> Self {
        let issued = Event::Issued {
            miner: ActorId(1000),
            size: SIZE,
            data: Data::CommittedCapacity,
            order: OrderId(0),
            simulated: false,
            porep: Porep::Interactive,
            scratch: None,
        };
        let stamp = Stamp { seq: Seq(1), at: BEGIN };
        let (sector, _) = fold(None, SectorNumber(0), stamp, &issued).unwrap();
        let mut way = Self { sector, now: BEGIN };
        way.happens(0, Event::TicketDrawn { ticket: Ticket { epoch: Epoch(1), value: B } });
        way
    }

    /// Minutes pass, then this happens.
    fn happens(&mut self, after: u64, event: Event) -> &mut Self {
        self.now = self.now.plus(minutes(after));
        let stamp = Stamp { seq: Seq(self.sector.seq.0 + 1), at: self.now };
        let (sector, _) = fold(Some(&self.sector), self.sector.id.number, stamp, &event).unwrap();
        self.sector = sector;
        self
    }

    fn starts(&mut self, phase: Phase) -> &mut Self {
        self.happens(0, Event::Started { phase, worker: "w".to_owned() })
    }

    fn takes(&mut self, phase: Phase, minutes: u64) -> &mut Self {
        let output = match phase {
            Phase::P1 => Output::P1,
            Phase::P2 => {
                Output::P2 { commitments: Commitments { comm_d: CommD(B), comm_r: CommR(B) } }
            }
            Phase::P3 => Output::P3,
            Phase::P4 => Output::P4 { proof: SealProof(vec![1]) },
            Phase::P5 => {
                Output::P5 { stored: StoredAt { root: "/mnt".into(), bytes: 1, manifest: B } }
            }
            Phase::P6 => Output::P6,
        };
        self.starts(phase).happens(minutes, Event::Succeeded { output })
    }

    fn pre_commits(&mut self) -> &mut Self {
        let (message, epoch, seed_epoch) = ("m".to_owned(), Epoch(2), Epoch(9));
        self.happens(
            0,
            Event::PreCommitted { pre_commit: PreCommit { message, epoch, seed_epoch } },
        )
    }

    fn is_seeded(&mut self, after: u64) -> &mut Self {
        self.happens(after, Event::SeedDrawn { seed: Seed { epoch: Epoch(9), value: B } })
    }

    fn left(&self, usual: &Usual) -> Option<u64> {
        usual.left(&self.sector, self.now).map(|left| left.median.as_secs() / 60)
    }
}

/// P1 takes 200 minutes, P2 20, the seed 75, P3 1, P4 30, P5 10, P6 2.
fn usual() -> Usual {
    let mut usual = Usual::default();
    for (step, took) in Step::ALL.into_iter().zip([200, 20, 75, 1, 30, 10, 2]) {
        (0..BASIS).for_each(|_| usual.learn(of(SIZE), step, minutes(took)));
    }
    usual
}

#[test]
fn the_middle_and_the_quartiles_are_of_the_newest_durations_only() {
    let mut usual = Usual::default();
    let step = Step::Phase(Phase::P1);
    let now = |usual: &Usual| usual.of(of(SIZE), step);
    (0..SAMPLES).for_each(|_| usual.learn(of(SIZE), step, minutes(10_000)));
    (0..SAMPLES as u64).rev().for_each(|took| usual.learn(of(SIZE), step, minutes(took)));
    let expected = Spread { low: minutes(25), median: minutes(50), high: minutes(75) };
    assert_eq!(now(&usual), Some(expected));
    assert_eq!(usual.samples.values().map(VecDeque::len).sum::<usize>(), SAMPLES);
    assert_eq!(usual.of(of(SectorSize::KiB2), step), None);
}

#[test]
fn nothing_is_usual_before_it_was_seen_a_few_times() {
    let mut usual = Usual::default();
    let step = Step::Phase(Phase::P1);
    (1..BASIS).for_each(|_| usual.learn(of(SIZE), step, minutes(1)));
    assert_eq!(usual.of(of(SIZE), step), None);
    assert_eq!(Way::begin().left(&usual), None);
    usual.learn(of(SIZE), step, minutes(1));
    assert!(usual.of(of(SIZE), step).is_some());
    assert_eq!(Way::begin().left(&usual), None, "the other steps have no basis yet");
}

#[test]
fn what_is_left_shrinks_along_the_whole_way_and_p4_and_p5_count_side_by_side() {
    let usual = usual();
    let mut way = Way::begin();
    assert_eq!(way.left(&usual), Some(200 + 20 + 75 + 1 + 30 + 2));
    way.starts(Phase::P1);
    way.now = way.now.plus(minutes(50));
    assert_eq!(way.left(&usual), Some(150 + 20 + 75 + 1 + 30 + 2));
    let mut way = Way::begin();
    way.takes(Phase::P1, 200);
    assert_eq!(way.left(&usual), Some(20 + 75 + 1 + 30 + 2));
    way.takes(Phase::P2, 20);
    assert_eq!(way.left(&usual), Some(75 + 1 + 30 + 2));
    way.pre_commits();
    way.now = way.now.plus(minutes(70));
    assert_eq!(way.left(&usual), Some(5 + 1 + 30 + 2));
    way.is_seeded(5);
    assert_eq!(way.left(&usual), Some(1 + 30 + 2));
    way.takes(Phase::P3, 1);
    assert_eq!(way.left(&usual), Some(30 + 2));
    way.starts(Phase::P4).takes(Phase::P5, 10);
    assert_eq!(way.left(&usual), Some(20 + 2));
    way.happens(20, Event::Succeeded { output: Output::P4 { proof: SealProof(vec![1]) } });
    assert_eq!(way.left(&usual), Some(2));
    let commit = Commit { message: "c".to_owned(), epoch: Epoch(20) };
    way.happens(0, Event::Committed { commit });
    assert_eq!(way.left(&usual), Some(2));
    way.takes(Phase::P6, 2);
    assert_eq!(way.left(&usual), None, "it is finished");
}

#[test]
fn a_step_that_takes_longer_than_usual_leaves_nothing_and_never_less() {
    let usual = usual();
    let mut way = Way::begin();
    way.starts(Phase::P1);
    way.now = way.now.plus(minutes(100_000));
    assert_eq!(way.left(&usual), Some(20 + 75 + 1 + 30 + 2));
    way.now = Timestamp(0);
    assert_eq!(way.left(&usual), Some(200 + 20 + 75 + 1 + 30 + 2), "a clock that was set back");
}

#[test]
fn the_spread_of_what_is_left_is_that_of_its_steps() {
    let mut usual = usual();
    for took in [100, 200, 300, 400, 500] {
        usual.learn(of(SIZE), Step::Phase(Phase::P1), minutes(took));
    }
    let left = usual.left(&Way::begin().sector, BEGIN).unwrap();
    let rest = minutes(20 + 75 + 1 + 30 + 2);
    assert_eq!((left.low, left.median), (minutes(200) + rest, minutes(200) + rest));
    assert!(left.high > left.median, "{left:?}");
}

#[test]
fn a_sector_that_waits_for_a_person_has_no_end_in_sight() {
    let usual = usual();
    let mut way = Way::begin();
    let failure = Failure::new(Class::Operator, "disk full", "free space");
    way.starts(Phase::P1).happens(1, Event::Failed { phase: Phase::P1, failure });
    assert_eq!(way.left(&usual), None);
    let mut way = Way::begin();
    way.starts(Phase::P1).happens(1, Event::Aborted { by: "test".to_owned() });
    assert_eq!(way.left(&usual), None);
}

#[test]
fn an_attempt_after_another_teaches_nothing() {
    let mut way = Way::begin();
    way.starts(Phase::P1).happens(5, Event::Interrupted { phase: Phase::P1, died: true });
    way.takes(Phase::P1, 1).takes(Phase::P2, 20);
    assert_eq!(took(&way.sector, Step::Phase(Phase::P1)), None);
    assert_eq!(took(&way.sector, Step::Phase(Phase::P2)), Some(minutes(20)));
    assert_eq!(took(&way.sector, Step::Seed), None);
    way.pre_commits().is_seeded(75);
    assert_eq!(took(&way.sector, Step::Seed), Some(minutes(75)));
}

#[test]
fn what_was_finished_is_counted_by_the_hour_and_by_the_day_and_then_forgotten() {
    const HOUR: Duration = Duration::from_secs(3_600);
    // 22:13:20 UTC.
    let now = BEGIN;
    let mut throughput = Throughput::default();
    let ago = |minutes: u64| Timestamp(now.0 - minutes * MINUTE_MS);
    for at in [30 * 60, 23 * 60, 23 * 60, 59, 1].map(ago) {
        throughput.count(SIZE, at);
    }
    let sectors = |(amount, since): (Amount, Option<Timestamp>)| {
        assert_eq!(amount.bytes, amount.sectors * SIZE.bytes());
        (amount.sectors, since)
    };
    assert_eq!(sectors(throughput.last(HOUR, now)), (2, None));
    assert_eq!(sectors(throughput.today(now)), (2, None));
    assert_eq!(sectors(throughput.last(24 * HOUR, now)), (4, None));
    assert_eq!(throughput.minutes.len(), 3, "what is older than a day is forgotten");
    throughput.only_since(ago(120));
    assert_eq!(sectors(throughput.last(HOUR, now)), (2, None));
    assert_eq!(sectors(throughput.last(24 * HOUR, now)), (4, Some(ago(120))));
    for minute in 0..10 * MINUTES {
        throughput.count(SIZE, now.plus(minutes(minute)));
    }
    assert_eq!(throughput.minutes.len() as u64, MINUTES);
}
