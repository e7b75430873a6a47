//! Paths, names and sizes.

use super::*;
use crate::domain::ids::SectorNumber;

const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

fn id() -> SectorId {
    SectorId { miner: ActorId(1000), number: SectorNumber(7) }
}

#[test]
fn paths_are_those_that_lotus_and_curio_attach() {
    let scratch = Scratch::new("/scratch");
    assert_eq!(scratch.cache_dir(id()), Path::new("/scratch/cache/s-t01000-7"));
    assert_eq!(scratch.replica(id()), Path::new("/scratch/sealed/s-t01000-7"));
    let storage = StorageRoot::new("/mnt/a");
    assert_eq!(storage.cache_dir(id()), Path::new("/mnt/a/cache/s-t01000-7"));
    assert_eq!(storage.replica(id()), Path::new("/mnt/a/sealed/s-t01000-7"));
    let manifest = Path::new("/mnt/a/cache/s-t01000-7/sealbox-manifest.json");
    assert_eq!(storage.manifest(id()), manifest);
}

#[test]
fn a_part_and_a_trash_name_lie_beside_their_file() {
    let file = Scratch::new("/s").replica(id());
    for other in [part_of(&file), trash_of(&file)] {
        assert_eq!(other.parent(), file.parent());
        assert_ne!(other, file);
    }
    assert!(is_part(&part_of(&file)));
    assert!(!is_part(&file));
}

#[test]
fn a_name_says_its_sector_only_as_we_write_it() {
    assert_eq!(sector_of("s-t01000-7"), Some(id()));
    for other in ["s-t01000-07", "s-t01000", "s-f01000-7", "s-t01000-7x", "s-t0+1000-7", ""] {
        assert_eq!(sector_of(other), None, "{other}");
    }
    assert_eq!(without_suffix("s-t01000-7.sealbox-trash"), ("s-t01000-7", true));
}

#[test]
fn a_single_tree_has_no_number_in_its_name() {
    assert_eq!(CacheFile::TreeC(0).name(SectorSize::KiB2), "sc-02-data-tree-c.dat");
    assert_eq!(CacheFile::TreeRLast(0).name(SectorSize::MiB512), "sc-02-data-tree-r-last.dat");
    assert_eq!(CacheFile::TreeC(7).name(SectorSize::GiB32), "sc-02-data-tree-c-7.dat");
    assert_eq!(CacheFile::TreeRLast(15).name(SectorSize::GiB64), "sc-02-data-tree-r-last-15.dat");
}

#[test]
fn sizes_are_those_measured() {
    for (size, tree_d, tree_c, tree_r_last) in [
        (SectorSize::KiB2, 4_064, 2_336, 32),
        (SectorSize::MiB8, 16 * MIB - 32, 9_586_976, 18_720),
        (SectorSize::MiB512, GIB - 32, 613_566_752, 1_198_368),
        (SectorSize::GiB32, 64 * GIB - 32, 4_908_534_048, 9_586_976),
        (SectorSize::GiB64, 128 * GIB - 32, 4_908_534_048, 9_586_976),
    ] {
        assert_eq!(CacheFile::Layer(1).bytes(size), Some(size.bytes()), "{size}");
        assert_eq!(CacheFile::TreeD.bytes(size), Some(tree_d), "{size}");
        assert_eq!(CacheFile::TreeC(0).bytes(size), Some(tree_c), "{size}");
        assert_eq!(CacheFile::TreeRLast(0).bytes(size), Some(tree_r_last), "{size}");
        assert_eq!(CacheFile::PAux.bytes(size), Some(64), "{size}");
    }
}

#[test]
fn a_32_gib_cache_is_11_layers_and_8_trees_of_14_sector_sizes() {
    let size = SectorSize::GiB32;
    let kind = SealKind::new(size, Porep::Interactive);
    let names: Vec<_> = cache_files(kind).iter().map(|file| file.name(size)).collect();
    assert_eq!(names.len(), 11 + 1 + 8 + 8 + 2);
    assert_eq!(names[0], "sc-02-data-layer-1.dat");
    assert_eq!(names[10], "sc-02-data-layer-11.dat");
    let cache = scratch_bytes(kind) - size.bytes();
    let multiple = cache as f64 / size.bytes() as f64;
    assert!((14.1..14.2).contains(&multiple), "{multiple}");
}

#[test]
fn storage_keeps_the_replica_what_post_needs_and_nothing_else() {
    let files = stored_files(id(), SectorSize::KiB2);
    let files: Vec<_> = files.iter().map(|f| (f.relative.as_str(), f.bytes)).collect();
    let expected = [
        ("sealed/s-t01000-7", Some(2_048)),
        ("cache/s-t01000-7/sc-02-data-tree-r-last.dat", Some(32)),
        ("cache/s-t01000-7/p_aux", Some(64)),
        ("cache/s-t01000-7/t_aux", None),
    ];
    assert_eq!(files, expected);
    for size in SectorSize::ALL {
        let files = stored_files(id(), size);
        assert_eq!(files.len(), 3 + size.tree_files() as usize, "{size}");
        assert_eq!(files.iter().filter_map(|f| f.bytes).sum::<u64>(), stored_bytes(size));
    }
}

/// 2 KiB as the library wrote it; the others by its `SynthProofs::proof_size`, worked out by hand.
#[test]
fn synthetic_proofs_have_the_size_that_the_library_writes() {
    for (size, bytes) in [
        (SectorSize::KiB2, 96 + 64 * 8_984),
        (SectorSize::MiB8, 96 + (1 << 18) * 23_704),
        (SectorSize::MiB512, 96 + (1 << 18) * 31_064),
        (SectorSize::GiB32, 96 + (1 << 18) * 42_744),
        (SectorSize::GiB64, 96 + (1 << 18) * 43_288),
    ] {
        assert_eq!(CacheFile::SyntheticProofs.bytes(size), Some(bytes), "{size}");
    }
}

#[test]
fn a_synthetic_32_gib_sector_shrinks_to_a_tenth_with_p2() {
    let of = |porep| {
        let kind = SealKind::new(SectorSize::GiB32, porep);
        (scratch_bytes(kind), scratch_bytes_after_p2(kind))
    };
    let (most, after) = of(Porep::Interactive);
    assert_eq!((most, after), of(Porep::NonInteractive));
    assert_eq!(most, after);
    let proofs = 96 + (1 << 18) * 42_744;
    let (synthetic, after) = of(Porep::Synthetic);
    assert_eq!(synthetic, most + proofs);
    assert_eq!(after, 32 * GIB + 8 * 9_586_976 + 64 + proofs);
    assert!(after * 11 < most, "{after} of {most}");
}

#[test]
fn what_p2_drops_is_no_file_that_storage_keeps() {
    for kind in SealKind::all() {
        let dropped = dropped_with_p2(kind);
        assert!(dropped.iter().all(|file| !file.is_stored()), "{kind:?}");
        let left = cache_files_after_p2(kind);
        assert_eq!(left.len() + dropped.len(), cache_files(kind).len(), "{kind:?}");
        let names = cache_files(kind).into_iter().map(|file| file.name(kind.size));
        assert!(names.into_iter().all(|name| is_of_sealing(&name)), "{kind:?}");
    }
}
