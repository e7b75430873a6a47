use std::fs;

use super::*;
use crate::domain::failure::Class;
use crate::domain::ids::{Bytes32, CommD, CommR};
use crate::domain::layout::{cache_files, cache_files_after_p2};
use crate::domain::porep::Porep;
use crate::domain::units::SectorSize;
use crate::storage::testing::World;

/// A sector with every file of its cache.
fn world(porep: Porep) -> (World, SealKind) {
    let world = World::new(SectorSize::KiB2);
    let kind = SealKind::new(SectorSize::KiB2, porep);
    for file in cache_files(kind) {
        fs::write(world.scratch.cache_dir(world.id()).join(file.name(kind.size)), "x").unwrap();
    }
    (world, kind)
}

fn names(world: &World) -> Vec<String> {
    let entries = fs::read_dir(world.scratch.cache_dir(world.id())).unwrap();
    let mut names: Vec<_> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn expected_after(kind: SealKind) -> Vec<String> {
    let files = cache_files_after_p2(kind).into_iter();
    let mut names: Vec<_> = files.map(|file| file.name(kind.size)).collect();
    names.sort();
    names
}

fn drop_all(world: &World, kind: SealKind, record: Record<'_>) -> Result<(), Failure> {
    let checked = Commitments { comm_d: CommD(Bytes32([1; 32])), comm_r: CommR(Bytes32([2; 32])) };
    drop_what_is_answered(&world.scratch, world.id(), kind, &checked, record)
}

#[test]
fn layers_and_trees_go_one_by_one_and_each_is_on_record_while_it_is_still_there() {
    let (world, kind) = world(Porep::Synthetic);
    let mut told = Vec::new();
    drop_all(&world, kind, &mut |deleted| {
        assert!(deleted.path.exists(), "{deleted:?}");
        assert!(deleted.reason.contains("synthetic proofs of bagboea4b5abc"), "{deleted:?}");
        told.push(deleted.path.file_name().unwrap().to_str().unwrap().to_owned());
        Ok(())
    })
    .unwrap();
    let expected = [
        "sc-02-data-layer-1.dat",
        "sc-02-data-layer-2.dat",
        "sc-02-data-tree-d.dat",
        "sc-02-data-tree-c.dat",
    ];
    assert_eq!(told, expected);
    assert_eq!(names(&world), expected_after(kind));
}

#[test]
fn what_is_not_put_on_record_is_not_dropped_and_the_next_call_goes_on() {
    let (world, kind) = world(Porep::Synthetic);
    let mut calls = 0;
    let refused = drop_all(&world, kind, &mut |_| {
        calls += 1;
        let no = Failure::new(Class::Transient, "no", "again");
        if calls == 3 { Err(no) } else { Ok(()) }
    });
    assert_eq!(refused.unwrap_err().what, "no");
    assert_eq!(names(&world).len(), expected_after(kind).len() + 2);
    let mut again = 0;
    drop_all(&world, kind, &mut |_| {
        again += 1;
        Ok(())
    })
    .unwrap();
    assert_eq!((again, names(&world)), (2, expected_after(kind)));
}

#[test]
fn with_another_porep_nothing_is_dropped() {
    for porep in [Porep::Interactive, Porep::NonInteractive] {
        let (world, kind) = world(porep);
        let before = names(&world);
        drop_all(&world, kind, &mut |deleted| panic!("{deleted:?}")).unwrap();
        assert_eq!(names(&world), before);
    }
}
