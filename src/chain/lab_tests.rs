use std::fs;

use futures_util::FutureExt as _;
use tempfile::TempDir;

use super::*;
use crate::domain::ids::{ActorId, CommD, CommR, SectorNumber};

struct World {
    dir: TempDir,
    now: Arc<AtomicU64>,
}

impl World {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        Self { dir, now: Arc::new(AtomicU64::new(1_000_000)) }
    }

    fn open(&self, config: LabConfig) -> Result<Lab, Failure> {
        let now = self.now.clone();
        let clock = Arc::new(move || Timestamp(now.load(Ordering::Relaxed)));
        Lab::open(self.dir.path(), config, clock)
    }

    fn lab(&self) -> Lab {
        self.open(LabConfig::default()).unwrap()
    }

    fn pass(&self, ms: u64) {
        self.now.fetch_add(ms, Ordering::Relaxed);
    }

    fn file(&self) -> PathBuf {
        self.dir.path().join("chain/lab.json")
    }
}

fn sector(number: u64) -> SectorId {
    SectorId { miner: ActorId(1000), number: SectorNumber(number) }
}

fn commitments() -> Commitments {
    Commitments { comm_d: CommD(Bytes32([1; 32])), comm_r: CommR(Bytes32([2; 32])) }
}

/// The answer of a call that has nothing to wait for.
fn now<T, E>(answer: Answer<'_, T, E>) -> Result<T, E> {
    answer.now_or_never().expect("answers at once")
}

fn pre_commit(lab: &Lab) -> PreCommit {
    let ticket = now(lab.ticket(sector(7))).unwrap();
    now(lab.pre_commit(sector(7), ticket, commitments())).unwrap()
}

#[test]
fn epochs_begin_at_0_and_pass_with_time() {
    let world = World::new();
    let lab = world.lab();
    assert_eq!(now(lab.head()), Ok(Epoch(0)));
    world.pass(999);
    assert_eq!(now(lab.head()), Ok(Epoch(0)));
    world.pass(1);
    assert_eq!(now(lab.head()), Ok(Epoch(1)));
}

#[test]
fn a_clock_that_is_set_back_takes_no_epoch_back() {
    let world = World::new();
    let lab = world.lab();
    world.pass(60_000);
    assert_eq!(now(lab.head()), Ok(Epoch(60)));
    world.now.fetch_sub(50_000, Ordering::Relaxed);
    assert_eq!(now(lab.head()), Ok(Epoch(60)));
    world.now.store(0, Ordering::Relaxed);
    assert_eq!(now(lab.head()), Ok(Epoch(60)));
}

#[test]
fn a_restart_goes_on_with_the_same_epochs_and_the_same_randomness() {
    let world = World::new();
    let (before, pre_commit) = {
        let lab = world.lab();
        let pre_commit = pre_commit(&lab);
        world.pass(10_000);
        (now(lab.seed(sector(7), pre_commit.clone())).unwrap(), pre_commit)
    };
    world.pass(5_000);
    let lab = world.lab();
    assert_eq!(now(lab.head()), Ok(Epoch(15)));
    assert_eq!(now(lab.seed(sector(7), pre_commit)), Ok(before));
}

#[test]
fn another_lab_has_other_randomness() {
    let tickets: Vec<_> = (0..2).map(|_| now(World::new().lab().ticket(sector(7)))).collect();
    assert_ne!(tickets[0], tickets[1]);
}

#[test]
fn ticket_and_seed_of_one_epoch_differ_and_are_field_elements() {
    let world = World::new();
    let lab = world.open(LabConfig { challenge_delay: 0, ..LabConfig::default() }).unwrap();
    let mut seen = std::collections::HashSet::new();
    for _ in 0..200 {
        let ticket = now(lab.ticket(sector(7))).unwrap();
        let pre_commit = now(lab.pre_commit(sector(7), ticket, commitments())).unwrap();
        let seed = now(lab.seed(sector(7), pre_commit)).unwrap();
        assert_eq!(seed.epoch, ticket.epoch, "a delay of 0 waits for nothing");
        for value in [ticket.value, seed.value] {
            assert_eq!(value.0[31] & 0xc0, 0);
            assert!(seen.insert(value));
        }
        world.pass(1_000);
    }
}

#[tokio::test]
async fn the_seed_is_not_given_before_its_epoch_and_comes_by_itself_then() {
    let world = World::new();
    let lab = world.lab();
    world.pass(3_000);
    let pre_commit = pre_commit(&lab);
    assert_eq!((pre_commit.epoch, pre_commit.seed_epoch), (Epoch(3), Epoch(13)));
    world.pass(9_999);
    let mut seed = lab.seed(sector(7), pre_commit);
    assert!((&mut seed).now_or_never().is_none());
    world.pass(1);
    let limit = Duration::from_secs(30);
    let seed = tokio::time::timeout(limit, seed).await.expect("wakes by itself").unwrap();
    assert_eq!(seed.epoch, Epoch(13));
}

#[test]
fn the_same_message_has_the_same_readable_name() {
    let world = World::new();
    let lab = world.lab();
    let ticket = now(lab.ticket(sector(7))).unwrap();
    let send = |n| now(lab.pre_commit(sector(n), ticket, commitments())).unwrap().message;
    assert_eq!(send(7), send(7));
    assert_ne!(send(7), send(8));
    assert!(send(7).starts_with("lab-precommit-7-"), "{}", send(7));
    let commit =
        |proof: &[u8]| now(lab.commit(sector(7), pre_commit(&lab), SealProof(proof.to_vec())));
    assert!(commit(&[1; 192]).unwrap().message.starts_with("lab-commit-7-"));
    assert!(matches!(commit(&[]), Err(ChainError::Refused(_))));
}

#[test]
fn without_a_pre_commit_one_message_has_the_replica_and_the_proof() {
    let world = World::new();
    let lab = world.lab();
    let ticket = now(lab.ticket(sector(7))).unwrap();
    let replica = Replica { ticket, commitments: commitments() };
    let other = Commitments { comm_r: CommR(Bytes32([77; 32])), ..commitments() };
    let send = |replica, proof: &[u8]| {
        now(lab.commit_at_once(sector(7), replica, SealProof(proof.to_vec())))
    };
    let sent = send(replica, &[1; 192]).unwrap();
    assert!(sent.message.starts_with("lab-commit-ni-7-"), "{}", sent.message);
    assert_eq!(send(replica, &[1; 192]).unwrap(), sent);
    assert_ne!(send(replica, &[2; 192]).unwrap(), sent);
    assert_ne!(send(Replica { commitments: other, ..replica }, &[1; 192]).unwrap(), sent);
    assert!(matches!(send(replica, &[]), Err(ChainError::Refused(_))));
}

#[test]
fn a_listed_sector_is_refused_and_another_is_not() {
    let world = World::new();
    let refuse_pre_commit = vec![SectorNumber(8)];
    let lab = world.open(LabConfig { refuse_pre_commit, ..LabConfig::default() }).unwrap();
    let ticket = now(lab.ticket(sector(8))).unwrap();
    match now(lab.pre_commit(sector(8), ticket, commitments())) {
        Err(ChainError::Refused(failure)) => assert_eq!(failure.class, Class::Sector),
        other => panic!("{other:?}"),
    }
    assert!(now(lab.pre_commit(sector(7), ticket, commitments())).is_ok());
}

#[test]
fn a_changed_epoch_duration_counts_from_now_on() {
    let world = World::new();
    drop(world.lab());
    world.pass(100_000);
    let slow = LabConfig { epoch: Duration::from_secs(30), ..LabConfig::default() };
    let lab = world.open(slow.clone()).unwrap();
    assert_eq!(now(lab.head()), Ok(Epoch(100)));
    world.pass(60_000);
    assert_eq!(now(lab.head()), Ok(Epoch(102)));
    assert_eq!(now(world.open(slow).unwrap().head()), Ok(Epoch(102)));
    let none = LabConfig { epoch: Duration::ZERO, ..LabConfig::default() };
    assert_eq!(world.open(none).err().map(|failure| failure.class), Some(Class::Operator));
}

#[test]
fn a_damaged_file_or_another_version_is_refused_by_name() {
    let world = World::new();
    drop(world.lab());
    let good = fs::read_to_string(world.file()).unwrap();
    let other_time = good.replace("\"since\": 1000000", "\"since\": 1000001");
    let other_version = good.replace("\"version\": 1", "\"version\": 2");
    let cut = good[..good.len() / 2].to_owned();
    for (bad, why) in [
        (other_time, "damaged"),
        (cut, "damaged"),
        (String::new(), "damaged"),
        (other_version, "another version"),
    ] {
        assert_ne!(bad, good);
        fs::write(world.file(), &bad).unwrap();
        let failure = world.open(LabConfig::default()).err().expect("refused");
        assert_eq!((failure.class, failure.file.clone()), (Class::Operator, Some(world.file())));
        assert!(failure.what.contains(why), "{failure}");
        assert!(failure.mend.contains("move it away"), "{failure}");
        assert_eq!(fs::read_to_string(world.file()).unwrap(), bad, "left as it was");
    }
}
