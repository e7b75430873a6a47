use std::os::unix::fs::{PermissionsExt, symlink};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::*;
use crate::domain::ids::Bytes32;
use crate::storage::manifest::check_copy;
use crate::storage::rate::Pace;
use crate::storage::testing::{FakePace, World, flip_a_byte};

fn check(world: &World, stored: &StoredAt) -> Result<Manifest, Failure> {
    let limit = RateLimit::new(None);
    check_copy(&world.storage, world.id(), stored.manifest, &limit, &|_, _| ())
}

/// Everything under the root, by relative path.
fn listing(root: &Path) -> Vec<String> {
    let content = fs_extra::dir::get_dir_content(root).unwrap();
    let mut files: Vec<_> = content
        .files
        .iter()
        .map(|file| Path::new(file).strip_prefix(root).unwrap().display().to_string())
        .collect();
    files.sort();
    files
}

#[test]
fn a_stored_copy_equals_its_source_and_passes_its_check() {
    let world = World::new(SectorSize::MiB8);
    let stored = world.copy().unwrap();
    let expected = [
        "cache/s-t01000-7/p_aux",
        "cache/s-t01000-7/sc-02-data-tree-r-last.dat",
        "cache/s-t01000-7/sealbox-manifest.json",
        "cache/s-t01000-7/t_aux",
        "sealed/s-t01000-7",
    ];
    assert_eq!(listing(world.storage.path()), expected);
    for file in stored_files(world.id(), SectorSize::MiB8) {
        let source = fs::read(world.scratch.root().join(&file.relative)).unwrap();
        let copy = fs::read(world.storage.path().join(&file.relative)).unwrap();
        assert!(source == copy, "{}", file.relative);
    }
    let manifest = check(&world, &stored).unwrap();
    assert_eq!(manifest.bytes(), stored.bytes);
    assert_eq!(stored.bytes, crate::domain::layout::stored_bytes(SectorSize::MiB8) + 340);
    assert_eq!(stored.root, world.storage.path().to_str().unwrap());
}

#[test]
fn a_copy_keeps_the_mode_of_its_source() {
    let world = World::new(SectorSize::KiB2);
    let source = world.scratch.replica(world.id());
    fs::set_permissions(&source, fs::Permissions::from_mode(0o400)).unwrap();
    let stored = world.copy().unwrap();
    let mode = fs::metadata(world.storage.replica(world.id())).unwrap().mode();
    assert_eq!(mode & 0o7777, 0o400);
    check(&world, &stored).unwrap();
}

#[test]
fn progress_ends_at_the_whole() {
    let world = World::new(SectorSize::MiB8);
    let seen = std::cell::RefCell::new(Vec::new());
    let progress = |done, total| seen.borrow_mut().push((done, total));
    let limit = RateLimit::new(None);
    let stored = copy_sector(
        &world.scratch,
        &world.storage,
        &world.sector,
        &limit,
        &progress,
        &Stop::default(),
    )
    .unwrap();
    let seen = seen.into_inner();
    assert!(seen.is_sorted() && seen.len() > 10);
    assert_eq!(seen.last(), Some(&(2 * stored.bytes, 2 * stored.bytes)));
}

#[test]
fn a_copy_that_the_disk_has_wrong_is_not_placed() {
    let world = World::new(SectorSize::KiB2);
    let replica = world.storage.replica(world.id());
    // The replica is the first file: all of it is written, nothing read back.
    let damage = |done, _| {
        if done == 2_048 {
            flip_a_byte(&part_of(&replica));
        }
    };
    let limit = RateLimit::new(None);
    let failure = copy_sector(
        &world.scratch,
        &world.storage,
        &world.sector,
        &limit,
        &damage,
        &Stop::default(),
    );
    let failure = failure.unwrap_err();
    assert_eq!((failure.class, failure.file), (Class::Transient, Some(part_of(&replica))));
    assert!(!replica.exists() && !part_of(&replica).exists());
    assert!(!world.storage.manifest(world.id()).exists());
}

#[test]
fn a_copy_killed_half_way_is_made_again() {
    let world = World::new(SectorSize::MiB8);
    let progress = |done: u64, _| assert!(done < 3 << 20, "killed here");
    let limit = RateLimit::new(None);
    // A panic passes all clean-up by, as a kill does.
    catch_unwind(AssertUnwindSafe(|| {
        copy_sector(
            &world.scratch,
            &world.storage,
            &world.sector,
            &limit,
            &progress,
            &Stop::default(),
        )
    }))
    .unwrap_err();
    let replica = world.storage.replica(world.id());
    assert!(part_of(&replica).exists());
    assert!(!replica.exists());
    assert!(!world.storage.manifest(world.id()).exists());

    let stored = world.copy().unwrap();
    check(&world, &stored).unwrap();
    assert!(!listing(world.storage.path()).iter().any(|file| is_part(Path::new(file))));
}

#[test]
fn a_copy_that_was_complete_but_not_recorded_is_made_again() {
    let world = World::new(SectorSize::KiB2);
    let first = world.copy().unwrap();
    assert_eq!(world.copy().unwrap(), first);
    check(&world, &first).unwrap();
}

#[test]
fn the_file_with_a_flipped_byte_is_named() {
    let world = World::new(SectorSize::KiB2);
    let stored = world.copy().unwrap();
    for file in stored_files(world.id(), SectorSize::KiB2) {
        let path = world.storage.path().join(&file.relative);
        flip_a_byte(&path);
        let failure = check(&world, &stored).unwrap_err();
        assert_eq!((failure.class, &failure.file), (Class::Sector, &Some(path.clone())));
        flip_a_byte(&path);
    }
    check(&world, &stored).unwrap();
}

#[test]
fn a_short_or_missing_file_is_named() {
    let world = World::new(SectorSize::KiB2);
    let stored = world.copy().unwrap();
    let p_aux = world.storage.cache_dir(world.id()).join("p_aux");
    fs::write(&p_aux, b"short").unwrap();
    assert_eq!(check(&world, &stored).unwrap_err().file, Some(p_aux.clone()));
    fs::remove_file(&p_aux).unwrap();
    assert_eq!(check(&world, &stored).unwrap_err().file, Some(p_aux));
}

#[test]
fn a_manifest_that_is_not_the_one_in_the_history_is_refused() {
    let world = World::new(SectorSize::KiB2);
    let stored = world.copy().unwrap();
    let other = StoredAt { manifest: Bytes32([1; 32]), ..stored.clone() };
    let failure = check(&world, &other).unwrap_err();
    assert_eq!(failure.file, Some(world.storage.manifest(world.id())));
    check(&world, &stored).unwrap();
}

#[test]
fn a_manifest_cannot_lead_out_of_its_root() {
    let world = World::new(SectorSize::KiB2);
    let path = world.storage.cache_dir(world.id()).join("m");
    fs::create_dir(world.storage.cache_dir(world.id())).unwrap();
    for bad in ["../x", "/etc/passwd", "", "a/../../x"] {
        let file = ManifestFile { path: bad.to_owned(), bytes: 0, blake3: Bytes32([0; 32]) };
        let comm_r = world.sector.comm_r;
        let manifest = Manifest::new(world.id(), SectorSize::KiB2, comm_r, false, vec![file]);
        fs::write(&path, manifest.encode().0).unwrap();
        assert!(Manifest::read(&path).is_err(), "{bad}");
    }
}

#[test]
fn storage_that_vanished_is_named_and_not_made_again() {
    let world = World::new(SectorSize::KiB2);
    fs::remove_dir_all(world.storage.path()).unwrap();
    let failure = world.copy().unwrap_err();
    assert_eq!(failure.class, Class::Operator);
    assert_eq!(failure.file.as_deref(), Some(world.storage.path()));
    assert!(!world.storage.path().exists());

    // What an unmounted disk leaves: its mount point, empty.
    fs::create_dir(world.storage.path()).unwrap();
    assert_eq!(world.copy().unwrap_err().class, Class::Operator);
    assert_eq!(listing(world.storage.path()), [""; 0]);
}

#[test]
fn scratch_under_another_name_is_no_storage() {
    let world = World::new(SectorSize::KiB2);
    let link = world.dir.path().join("link");
    symlink(world.scratch.root(), &link).unwrap();
    let through_a_link = StorageRoot::new(&link);
    let one_level_down = StorageRoot::new(world.dir.path().join("other"));
    fs::create_dir_all(one_level_down.path().join("cache")).unwrap();
    symlink(world.scratch.root().join("sealed"), one_level_down.path().join("sealed")).unwrap();
    for storage in [through_a_link, one_level_down] {
        let limit = RateLimit::new(None);
        let failure = copy_sector(
            &world.scratch,
            &storage,
            &world.sector,
            &limit,
            &|_, _| (),
            &Stop::default(),
        );
        assert!(failure.unwrap_err().what.contains("same directory"));
    }
}

#[test]
fn a_cache_directory_that_is_the_sectors_own_is_noticed_by_its_files() {
    let world = World::new(SectorSize::KiB2);
    let id = world.id();
    fs::write(world.scratch.cache_dir(id).join("sealbox-copying"), b"").unwrap();
    symlink(world.scratch.cache_dir(id), world.storage.cache_dir(id)).unwrap();
    let failure = world.copy().unwrap_err();
    assert!(failure.what.contains("same directory"), "{failure}");
    assert!(world.scratch.cache_dir(id).join("p_aux").exists());
}

#[test]
fn files_that_are_not_ours_are_not_replaced() {
    let world = World::new(SectorSize::KiB2);
    let theirs = world.storage.replica(world.id());
    fs::write(&theirs, b"sealed elsewhere").unwrap();
    let failure = world.copy().unwrap_err();
    assert_eq!((failure.class, failure.file.as_ref()), (Class::Operator, Some(&theirs)));
    assert_eq!(fs::read(&theirs).unwrap(), b"sealed elsewhere");
}

#[test]
fn a_finished_copy_with_another_comm_r_is_not_replaced() {
    let mut world = World::new(SectorSize::KiB2);
    let stored = world.copy().unwrap();
    world.sector.comm_r = CommR(Bytes32([8; 32]));
    let failure = world.copy().unwrap_err();
    assert_eq!(failure.file, Some(world.storage.manifest(world.id())));
    check(&world, &stored).unwrap();
}

#[test]
fn a_source_of_the_wrong_size_is_the_sectors_failure() {
    let world = World::new(SectorSize::KiB2);
    let replica = world.scratch.replica(world.id());
    fs::write(&replica, b"short").unwrap();
    let failure = world.copy().unwrap_err();
    assert_eq!((failure.class, failure.file), (Class::Sector, Some(replica)));
}

#[test]
fn a_simulated_sector_is_copied_by_the_real_names_whatever_the_sizes() {
    let mut world = World::new(SectorSize::KiB2);
    world.sector.simulated = true;
    fs::write(world.scratch.replica(world.id()), b"short").unwrap();
    let stored = world.copy().unwrap();
    let manifest = check(&world, &stored).unwrap();
    assert!(manifest.simulated);
    assert_eq!(manifest.files.len(), stored_files(world.id(), SectorSize::KiB2).len());
}

#[test]
fn the_rate_limit_holds_over_a_whole_copy() {
    let world = World::new(SectorSize::MiB8);
    let pace = Arc::new(FakePace::default());
    let limit = RateLimit::with_pace(Some(1 << 20), pace.clone());
    copy_sector(
        &world.scratch,
        &world.storage,
        &world.sector,
        &limit,
        &|_, _| (),
        &Stop::default(),
    )
    .unwrap();
    // 8 MiB written and read back at 1 MiB/s; the last piece's time need not have passed.
    let took = pace.now();
    assert!((15..=17).contains(&took.as_secs()), "{took:?}");
    assert!(took > Duration::from_secs(15));
}

/// A small file system over the storage, where the test may mount one.
struct SmallDisk<'a>(&'a Path);

impl<'a> SmallDisk<'a> {
    fn of(path: &'a Path, size: &str) -> Option<Self> {
        let mut mount = std::process::Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", size, "sealbox-test"]).arg(path);
        mount.output().is_ok_and(|done| done.status.success()).then_some(Self(path))
    }
}

impl Drop for SmallDisk<'_> {
    fn drop(&mut self) {
        let _ = std::process::Command::new("umount").arg(self.0).status();
    }
}

#[test]
fn a_storage_that_is_too_small_is_left_as_it_was() {
    let world = World::new(SectorSize::MiB8);
    let Some(_disk) = SmallDisk::of(world.storage.path(), "size=4m") else {
        eprintln!("skipped: mounting a small file system needs root");
        return;
    };
    for parent in world.storage.parents() {
        fs::create_dir(parent).unwrap();
    }
    let failure = world.copy().unwrap_err();
    assert_eq!(failure.class, Class::Space);
    assert!(failure.what.contains("no space left"), "{failure}");
    assert!(failure.detail.unwrap().contains("the copy needs 8.0 MiB"));
    let is_copy = |file: &String| !file.ends_with("sealbox-copying");
    assert_eq!(listing(world.storage.path()).into_iter().filter(is_copy).count(), 0);
}

#[test]
fn a_copy_that_fills_the_disk_leaves_it_as_full_as_it_was() {
    let world = World::new(SectorSize::MiB8);
    let Some(disk) = SmallDisk::of(world.storage.path(), "size=9m") else {
        eprintln!("skipped: mounting a small file system needs root");
        return;
    };
    for parent in world.storage.parents() {
        fs::create_dir(parent).unwrap();
    }
    // Somebody else takes the rest once the replica, the largest, is there.
    let replica = world.storage.replica(world.id());
    let filler = disk.0.join("filler");
    let fill = |_, _| {
        if replica.exists() && !filler.exists() {
            let left = disk::available(world.storage.path()).unwrap().0;
            fs::write(&filler, vec![1; usize::try_from(left).unwrap()]).unwrap();
        }
    };
    let limit = RateLimit::new(None);
    let stop = Stop::default();
    let (scratch, storage) = (&world.scratch, &world.storage);
    let failure = copy_sector(scratch, storage, &world.sector, &limit, &fill, &stop).unwrap_err();
    assert_eq!(failure.class, Class::Space, "{failure}");
    assert!(filler.exists() && !replica.exists(), "{:?}", listing(world.storage.path()));
    fs::remove_file(&filler).unwrap();
    let stored = world.copy().unwrap();
    check(&world, &stored).unwrap();
}

#[test]
fn an_order_to_stop_ends_a_copy_between_two_pieces_and_the_next_attempt_copies_all_of_it() {
    let world = World::new(SectorSize::MiB8);
    let stop = Stop::default();
    let limit = RateLimit::new(None);
    let told = Mutex::new(Vec::new());
    let progress = |done, total| {
        told.lock().unwrap().push((done, total));
        stop.order();
    };
    let stopped =
        copy_sector(&world.scratch, &world.storage, &world.sector, &limit, &progress, &stop);
    assert!(stopped.unwrap_err().what.contains("stopped by order"));
    let [(done, total)] = told.into_inner().unwrap()[..] else { panic!("it went on") };
    assert!(done < total / 2, "{done} of {total}");
    assert!(!world.storage.manifest(world.id()).exists());
    world.copy().unwrap();
}
