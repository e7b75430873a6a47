use std::os::unix::fs::symlink;

use super::*;
use crate::domain::ids::Bytes32;
use crate::domain::units::SectorSize;
use crate::storage::testing::{World, flip_a_byte};

fn because() -> GiveUp {
    GiveUp::Operator { who: "ann".to_owned() }
}

fn prove(world: &World, stored: &StoredAt) -> Result<ProvenCopy, Failure> {
    let limit = RateLimit::new(None);
    ProvenCopy::prove(world.id(), stored, &limit, &|_, _| (), |_, _| Ok(()), || Ok(true))
}

fn clean_all(world: &World, permit: &Permit) -> Result<Vec<Deleted>, Failure> {
    clean(&world.scratch, permit, &mut |_| Ok(()))
}

fn sector_is_on_scratch(world: &World) -> bool {
    world.scratch.cache_dir(world.id()).join("p_aux").exists()
        && world.scratch.replica(world.id()).exists()
}

#[test]
fn a_proven_sector_is_deleted_from_scratch_and_stays_in_storage() {
    let world = World::new(SectorSize::KiB2);
    let stored = world.copy().unwrap();
    let permit = Permit::proven(prove(&world, &stored).unwrap());
    let mut recorded = Vec::new();
    let deleted = clean(&world.scratch, &permit, &mut |deleted| {
        recorded.push(deleted.clone());
        Ok(())
    })
    .unwrap();
    assert_eq!(deleted, recorded);
    let told: Vec<_> = deleted.iter().map(|d| (d.path.clone(), d.bytes)).collect();
    let cache_bytes = 32 + 64 + 340 + "labels".len() as u64;
    let expected = [
        (world.scratch.cache_dir(world.id()), cache_bytes),
        (world.scratch.replica(world.id()), 2_048),
    ];
    assert_eq!(told, expected);
    assert!(deleted[0].reason.contains("proven"));
    for parent in world.scratch.parents() {
        assert_eq!(fs::read_dir(parent).unwrap().count(), 0);
    }
    prove(&world, &stored).unwrap();
}

#[test]
fn cleaning_twice_is_fine() {
    let world = World::new(SectorSize::KiB2);
    let permit = Permit::given_up(world.id(), &because());
    assert_eq!(clean_all(&world, &permit).unwrap().len(), 2);
    assert_eq!(clean_all(&world, &permit).unwrap(), []);
}

#[test]
fn a_damaged_copy_gives_no_permit() {
    let world = World::new(SectorSize::KiB2);
    let stored = world.copy().unwrap();
    let replica = world.storage.replica(world.id());
    flip_a_byte(&replica);
    let failure = prove(&world, &stored).unwrap_err();
    assert_eq!(failure.file, Some(replica));
    assert!(sector_is_on_scratch(&world));
}

#[test]
fn each_part_of_the_proof_can_refuse() {
    let world = World::new(SectorSize::KiB2);
    let stored = world.copy().unwrap();
    let limit = RateLimit::new(None);
    let refused = || Failure::new(Class::Sector, "no vanilla proof", "redo");
    let by_engine = ProvenCopy::prove(
        world.id(),
        &stored,
        &limit,
        &|_, _| (),
        |_, _| Err(refused()),
        || Ok(true),
    );
    assert_eq!(by_engine.unwrap_err(), refused());
    let by_seal =
        ProvenCopy::prove(world.id(), &stored, &limit, &|_, _| (), |_, _| Ok(()), || Ok(false));
    assert_eq!(by_seal.unwrap_err().class, Class::Sector);
}

#[test]
fn what_an_interrupted_clean_left_is_removed_and_told() {
    let world = World::new(SectorSize::KiB2);
    let permit = Permit::given_up(world.id(), &because());
    let stop = |_: &Deleted| Err(Failure::new(Class::Fatal, "no record", "mend the store"));
    clean(&world.scratch, &permit, &mut { stop }).unwrap_err();
    let replica = world.scratch.replica(world.id());
    assert!(!replica.exists() && trash_of(&replica).exists(), "set aside, not deleted");

    // And the sector was begun again meanwhile.
    let cache = world.scratch.cache_dir(world.id());
    fs::create_dir(&cache).unwrap();
    fs::write(cache.join("t_aux"), b"new").unwrap();

    let deleted = clean_all(&world, &permit).unwrap();
    let paths: Vec<_> = deleted.into_iter().map(|deleted| deleted.path).collect();
    assert_eq!(paths, [cache.clone(), replica, cache]);
    for parent in world.scratch.parents() {
        assert_eq!(fs::read_dir(parent).unwrap().count(), 0);
    }
}

#[test]
fn links_are_deleted_and_what_they_point_to_survives() {
    let world = World::new(SectorSize::KiB2);
    let outside = world.dir.path().join("outside");
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("precious"), b"kept").unwrap();
    let cache = world.scratch.cache_dir(world.id());
    symlink(&outside, cache.join("linked-dir")).unwrap();
    symlink(outside.join("precious"), cache.join("linked-file")).unwrap();
    let replica = world.scratch.replica(world.id());
    fs::remove_file(&replica).unwrap();
    symlink("/nowhere", &replica).unwrap();

    clean_all(&world, &Permit::given_up(world.id(), &because())).unwrap();
    assert_eq!(fs::read(outside.join("precious")).unwrap(), b"kept");
    assert!(!cache.exists());
    assert!(replica.symlink_metadata().is_err(), "a dangling link is deleted too");
}

#[test]
fn scratch_that_became_the_storage_is_put_back() {
    let world = World::new(SectorSize::KiB2);
    let stored = world.copy().unwrap();
    let permit = Permit::proven(prove(&world, &stored).unwrap());
    // The sector's own directories only: the roots and their parents are not the same.
    let id = world.id();
    fs::remove_dir_all(world.storage.cache_dir(id)).unwrap();
    fs::copy(world.storage.replica(id), world.scratch.cache_dir(id).join("r")).unwrap();
    fs::write(world.scratch.cache_dir(id).join("sealbox-manifest.json"), b"{}").unwrap();
    symlink(world.scratch.cache_dir(id), world.storage.cache_dir(id)).unwrap();

    let failure = clean_all(&world, &permit).unwrap_err();
    assert_eq!(failure.class, Class::Operator);
    assert!(failure.what.contains("same directory"), "{failure}");
    assert!(sector_is_on_scratch(&world));
}

#[test]
fn a_scratch_that_is_not_mounted_is_no_clean_scratch() {
    let world = World::new(SectorSize::KiB2);
    fs::remove_dir_all(world.scratch.root()).unwrap();
    let permit = Permit::given_up(world.id(), &because());
    let failure = clean_all(&world, &permit).unwrap_err();
    assert_eq!(failure.class, Class::Operator);
    assert!(failure.file.unwrap().starts_with(world.scratch.root()));
}

fn discard(world: &World, comm_r: Option<CommR>) -> Vec<Deleted> {
    discard_copy(&world.storage, world.id(), comm_r, &because(), &mut |_| Ok(())).unwrap()
}

#[test]
fn a_finished_copy_is_discarded_with_its_sector_and_another_ones_is_not() {
    let world = World::new(SectorSize::KiB2);
    world.copy().unwrap();
    assert_eq!(discard(&world, None), []);
    assert_eq!(discard(&world, Some(CommR(Bytes32([8; 32])))), []);
    assert!(world.storage.replica(world.id()).exists());
    let mut recorded = Vec::new();
    let comm_r = Some(world.sector.comm_r);
    // Refused when the replica is gone: the next call goes on where this one was stopped.
    discard_copy(&world.storage, world.id(), comm_r, &because(), &mut |deleted| {
        recorded.push(deleted.clone());
        match recorded.len() {
            2 => Err(Failure::new(Class::Fatal, "no record", "mend the store")),
            _ => Ok(()),
        }
    })
    .unwrap_err();
    let paths: Vec<_> = recorded.iter().map(|deleted| deleted.path.clone()).collect();
    assert_eq!(paths, [world.storage.replica(world.id()), world.storage.cache_dir(world.id())]);
    assert!(recorded.iter().all(|deleted| deleted.reason == "given up by ann"));
    assert_eq!(discard(&world, comm_r).len(), 1);
    for parent in world.storage.parents() {
        assert_eq!(fs::read_dir(parent).unwrap().count(), 0);
    }
    assert!(sector_is_on_scratch(&world));
}

#[test]
fn an_unfinished_copy_is_discarded_if_it_is_ours() {
    let world = World::new(SectorSize::KiB2);
    world.copy().unwrap();
    let discard = || discard(&world, Some(world.sector.comm_r));
    // As a copy leaves it that was killed before its manifest.
    fs::remove_file(world.storage.manifest(world.id())).unwrap();
    assert_eq!(discard(), [], "files without our mark are not ours");
    fs::write(world.storage.copying_mark(world.id()), b"").unwrap();
    let stop = |_: &Deleted| Err(Failure::new(Class::Fatal, "no record", "mend the store"));
    let mut stops = 0;
    let stopped = discard_copy(&world.storage, world.id(), None, &because(), &mut |d| {
        stops += 1;
        if stops == 2 { stop(d) } else { Ok(()) }
    });
    stopped.unwrap_err();
    assert_eq!(discard().len(), 1, "goes on where it was stopped");
    for parent in world.storage.parents() {
        assert_eq!(fs::read_dir(parent).unwrap().count(), 0);
    }
}
