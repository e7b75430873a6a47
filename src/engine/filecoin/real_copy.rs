//! Real stored copies of 2 KiB sectors, damaged in every file, and looked at as a finished sector's
//! is on schedule. No SNARK: the quick look takes none.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::watch;

use super::FilecoinEngine;
use super::real_sector::{spoil, ticket, truncate};
use crate::domain::failure::Class;
use crate::domain::ids::{ActorId, Bytes32, CommR, OrderId, SealProof, SectorId, SectorNumber};
use crate::domain::layout::{Scratch, StorageRoot};
use crate::domain::phase::PerPhase;
use crate::domain::porep::Porep;
use crate::domain::sector::{
    Challenge, Commit, Data, Drawn, PreCommit, Replica, Sealed, Sector, Seed, Stage, StoredAt,
    TaskRecord,
};
use crate::domain::units::{Epoch, SectorSize, Seq, Timestamp};
use crate::engine::Job;
use crate::engine::claim::Claims;
use crate::stop::Stop;
use crate::storage::rate::RateLimit;
use crate::storage::roots::{Places, Roots};
use crate::storage::transfer::{ToStore, copy_sector};
use crate::worker::checks::prove::{Depth, Far, Found, look};
use crate::worker::phases::Tools;
use crate::worker::progress::ProgressBoard;

const ID: SectorId = SectorId { miner: ActorId(1000), number: SectorNumber(7) };
const SIZE: SectorSize = SectorSize::KiB2;

/// A finished sector in a storage that is this box's own.
struct Lab {
    dir: tempfile::TempDir,
    tools: Tools,
    sector: Sector,
}

impl Lab {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let [data_dir, scratch, storage] = ["data", "scratch", "store"].map(|d| dir.path().join(d));
        fs::create_dir(&data_dir).unwrap();
        let stored_in = BTreeSet::new();
        let places = Places {
            data_dir: &data_dir,
            scratch: std::slice::from_ref(&scratch),
            storage: std::slice::from_ref(&storage),
            miner: ID.miner,
            stored_in: &stored_in,
        };
        let (roots, _) = Roots::open(&places, Timestamp(1)).unwrap();
        let engine = FilecoinEngine::with_ready_parameters();
        let tools = Tools {
            engine: Arc::new(engine),
            claims: Claims::open(&data_dir).unwrap(),
            scratch: vec![Scratch::new(&scratch)],
            storage: vec![StorageRoot::new(&storage)],
            copy_limit: RateLimit::new(None),
            room: Default::default(),
            progress: Arc::new(ProgressBoard::default()),
            timeline: Arc::default(),
            roots,
            disks: Arc::new(watch::Sender::new(Vec::new())),
        };
        let sector = seal(&tools);
        Self { dir, tools, sector }
    }

    fn file(&self, relative: &str) -> PathBuf {
        self.dir.path().join("store").join(relative)
    }

    fn sealed(&self) -> &Sealed {
        match &self.sector.stage {
            Stage::Finished { sealed, .. } => sealed,
            other => panic!("{other:?}"),
        }
    }

    fn looked_at(&self) -> Found {
        look(&self.tools, &self.sector, self.sealed(), Depth::Quick, &Far::default()).found
    }
}

/// P1, P2 and P5 of it.
fn seal(tools: &Tools) -> Sector {
    let scratch = &tools.scratch[0];
    let (cache, replica) = (scratch.cache_dir(ID), scratch.replica(ID));
    fs::create_dir_all(&cache).unwrap();
    let job = Job {
        id: ID,
        size: SIZE,
        porep: Porep::Interactive,
        data: Data::CommittedCapacity,
        cache,
        shared: scratch.shared_dir(),
        replica,
        stop: Stop::default(),
    };
    let ticket = ticket(1);
    tools.engine.label(&job, &ticket, &|_| {}).unwrap();
    let commitments = tools.engine.replicate(&job, &ticket).unwrap();
    let to_store = ToStore { id: ID, size: SIZE, comm_r: commitments.comm_r, simulated: false };
    let limit = RateLimit::new(None);
    let stored =
        copy_sector(scratch, &tools.storage[0], &to_store, &limit, &|_, _| {}, &Stop::default())
            .unwrap();
    let pre_commit = PreCommit { message: "m".into(), epoch: Epoch(8), seed_epoch: Epoch(20) };
    let seed = Seed { epoch: Epoch(20), value: Bytes32([9; 32]) };
    let drawn = Some(Drawn { pre_commit, seed });
    let challenge = Challenge { replica: Replica { ticket, commitments }, drawn };
    finished(Sealed {
        challenge,
        proof: SealProof(vec![0; 192]),
        commit: Commit { message: "c".into(), epoch: Epoch(30) },
        stored,
    })
}

fn finished(sealed: Sealed) -> Sector {
    let at = Timestamp(1);
    Sector {
        id: ID,
        size: SIZE,
        data: Data::CommittedCapacity,
        order: OrderId(0),
        simulated: false,
        porep: Porep::Interactive,
        scratch: None,
        created: at,
        updated: at,
        seq: Seq(1),
        stage: Stage::Finished { sealed: Box::new(sealed), proven: at, fault: None },
        giving_up: None,
        redos: 0,
        cleaning_begun: false,
        tasks: PerPhase::from_fn(|_| TaskRecord::default()),
    }
}

#[test]
fn a_damaged_copy_of_a_finished_sector_is_found_by_a_quick_look_with_the_file_at_fault() {
    let lab = Lab::new();
    assert_eq!(lab.looked_at(), Found::Whole);
    let cache = "cache/s-t01000-7";
    let (p_aux, tree) = (format!("{cache}/p_aux"), format!("{cache}/sc-02-data-tree-r-last.dat"));
    let replica = "sealed/s-t01000-7".to_owned();
    let flip = |path: &std::path::Path| {
        let mut bytes = fs::read(path).unwrap();
        bytes[3] ^= 1;
        fs::write(path, bytes).unwrap();
    };
    let remove = |path: &std::path::Path| fs::remove_file(path).unwrap();
    type Inflict<'a> = &'a dyn Fn(&std::path::Path);
    let damages: [(&str, &str, Inflict<'_>); 7] = [
        ("one bit of comm_c in p_aux", &p_aux, &flip),
        ("no tree", &tree, &remove),
        ("half of the tree", &tree, &truncate),
        ("another tree", &tree, &spoil),
        ("no replica", &replica, &remove),
        ("half of the replica", &replica, &truncate),
        ("another replica", &replica, &spoil),
    ];
    for (damage, file, inflict) in damages {
        let path = lab.file(file);
        let good = fs::read(&path).unwrap();
        inflict(&path);
        match lab.looked_at() {
            Found::Damaged(failure) => {
                assert_eq!(failure.file.as_ref(), Some(&path), "{damage}: {failure}");
                assert_eq!(failure.class, Class::Sector);
                assert!(failure.mend.contains("sealbox verify 7"), "{failure}");
            }
            found @ (Found::Whole | Found::Unknown(_)) => panic!("{damage}: {found:?}"),
        }
        fs::write(&path, good).unwrap();
        assert_eq!(lab.looked_at(), Found::Whole, "after {damage}");
    }
}

#[test]
fn a_copy_whose_root_is_gone_or_another_is_not_damaged() {
    let lab = Lab::new();
    let (store, away) = (lab.file(""), lab.dir.path().join("away"));
    fs::rename(&store, &away).unwrap();
    for mounted_over in [false, true] {
        if mounted_over {
            fs::create_dir_all(store.join("cache")).unwrap();
            fs::create_dir_all(store.join("sealed")).unwrap();
        }
        match lab.looked_at() {
            Found::Unknown(failure) => assert!(failure.what.contains("mounted"), "{failure}"),
            found @ (Found::Whole | Found::Damaged(_)) => panic!("{found:?}"),
        }
    }
    fs::remove_dir_all(&store).unwrap();
    fs::rename(&away, &store).unwrap();
    assert_eq!(lab.looked_at(), Found::Whole);
}

#[test]
fn a_manifest_that_is_not_the_recorded_one_is_damage_too() {
    let mut lab = Lab::new();
    let mut other = lab.sealed().clone();
    other.stored = StoredAt { manifest: Bytes32([7; 32]), ..other.stored };
    lab.sector = finished(other);
    let manifest = lab.tools.storage[0].manifest(ID);
    match lab.looked_at() {
        Found::Damaged(failure) => assert_eq!(failure.file, Some(manifest)),
        found @ (Found::Whole | Found::Unknown(_)) => panic!("{found:?}"),
    }
    let mut other = lab.sealed().clone();
    other.stored = StoredAt { manifest: Lab::new().sealed().stored.manifest, ..other.stored };
    other.challenge.replica.commitments.comm_r = CommR(Bytes32([3; 32]));
    lab.sector = finished(other);
    assert!(matches!(lab.looked_at(), Found::Damaged(_)), "another comm_r");
}
