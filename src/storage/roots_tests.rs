use super::*;
use crate::storage::identity::ROOT_FILE;
use tempfile::TempDir;

const NOW: Timestamp = Timestamp(1_000);

struct World {
    dir: TempDir,
    miner: ActorId,
    scratch: Vec<&'static str>,
    now: Timestamp,
    stored_in: BTreeSet<PathBuf>,
}

impl World {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        for data in ["data", "other"] {
            fs::create_dir(dir.path().join(data)).unwrap();
        }
        let scratch = vec!["scratch"];
        Self { dir, miner: ActorId(1000), scratch, now: NOW, stored_in: BTreeSet::new() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn open_as(&self, data: &str) -> Result<(Roots, Vec<Failure>), Failure> {
        let places = Places {
            data_dir: &self.path(data),
            scratch: &self.scratch.iter().map(|name| self.path(name)).collect::<Vec<_>>(),
            storage: &[self.path("store")],
            miner: self.miner,
            stored_in: &self.stored_in,
        };
        Roots::open(&places, self.now)
    }

    fn open(&self) -> Result<(Roots, Vec<Failure>), Failure> {
        self.open_as("data")
    }

    fn unmount(&self, name: &str) {
        fs::rename(self.path(name), self.path("away")).unwrap();
        fs::create_dir(self.path(name)).unwrap();
    }

    fn mount_again(&self, name: &str) {
        fs::remove_dir(self.path(name)).expect("an unmounted mount point was written to");
        fs::rename(self.path("away"), self.path(name)).unwrap();
    }
}

#[test]
fn a_new_root_is_prepared_and_known_again_at_the_next_start() {
    let world = World::new();
    let (roots, waiting) = world.open().unwrap();
    assert!(waiting.is_empty());
    for name in ["scratch", "store"] {
        assert!(world.path(name).join("sealed").is_dir());
        roots.check(&world.path(name)).unwrap();
    }
    let before = fs::read(world.path("store").join(ROOT_FILE)).unwrap();
    world.open().unwrap();
    assert_eq!(fs::read(world.path("store").join(ROOT_FILE)).unwrap(), before);
}

#[test]
fn one_scratch_of_several_that_is_away_waits_and_all_of_them_away_is_refused() {
    let mut world = World::new();
    world.open().unwrap();
    world.scratch = vec!["new", "scratch"];
    world.now = Timestamp(2_000);
    let (roots, _) = world.open().unwrap();
    // The one that was alone before, wherever it is in the list.
    assert_eq!(roots.first_scratch().root(), world.path("scratch"));
    world.unmount("scratch");
    let (roots, waiting) = world.open().unwrap();
    assert!(waiting[0].what.contains("the scratch is not there"), "{waiting:?}");
    assert!(roots.check(&world.path("scratch")).is_err());
    roots.check(&world.path("new")).unwrap();
    assert_eq!(roots.first_scratch().root(), world.path("scratch"));
    fs::remove_file(world.path("new").join(ROOT_FILE)).unwrap();
    let failure = world.open().unwrap_err();
    assert_eq!(failure.class, Class::Operator, "{failure}");
    world.mount_again("scratch");
    roots.check(&world.path("scratch")).unwrap();
}

#[test]
fn another_box_or_another_miner_is_refused_with_what_where_and_what_to_do() {
    let mut world = World::new();
    world.open().unwrap();
    let failure = world.open_as("other").unwrap_err();
    assert!(failure.what.contains("belongs to another box"), "{failure}");
    assert_eq!(failure.file, Some(world.path("scratch").join(ROOT_FILE)));
    assert!(failure.mend.contains("sealbox adopt-root"), "{failure}");
    world.miner = ActorId(7);
    let failure = world.open().unwrap_err();
    assert!(failure.what.contains("another miner (t01000"), "{failure}");
}

#[test]
fn a_storage_of_another_box_is_refused_when_it_is_new_here() {
    let world = World::new();
    world.open().unwrap();
    fs::remove_dir_all(world.path("scratch")).unwrap();
    let failure = world.open_as("other").unwrap_err();
    assert_eq!(failure.file, Some(world.path("store").join(ROOT_FILE)), "{failure}");
}

#[test]
fn an_unmounted_mount_point_is_never_written_to() {
    let world = World::new();
    let (roots, _) = world.open().unwrap();
    world.unmount("store");
    assert!(roots.check(&world.path("store")).unwrap_err().what.contains("not mounted"));
    let (_, waiting) = world.open().unwrap();
    assert!(waiting[0].what.contains("not mounted"), "{waiting:?}");
    world.mount_again("store");
    roots.check(&world.path("store")).unwrap();
    world.unmount("scratch");
    let failure = world.open().unwrap_err();
    assert!(failure.what.contains("the scratch is not there"), "{failure}");
    world.mount_again("scratch");
    assert!(world.open().unwrap().1.is_empty());
}

#[test]
fn storage_that_the_history_has_copies_in_is_not_made_anew_though_the_box_forgot_it() {
    let mut world = World::new();
    world.stored_in.insert(world.path("store"));
    let (roots, waiting) = world.open().unwrap();
    assert!(waiting[0].what.contains("not mounted"), "{waiting:?}");
    assert!(!world.path("store").exists());
    assert!(roots.check(&world.path("store")).is_err());
    let storage = [world.path("store")];
    assert!(!Roots::remembers(&world.path("data"), &storage), "the next start would make it anew");
    fs::create_dir(world.path("store")).unwrap();
    adopt(&world.path("data"), &world.path("store"), Role::Storage, world.miner, NOW).unwrap();
    assert!(Roots::remembers(&world.path("data"), &storage));
}

#[test]
fn sectors_that_nobody_put_a_name_to_are_adopted_only_on_order() {
    let world = World::new();
    fs::create_dir_all(world.path("store/cache/s-t01000-3")).unwrap();
    let failure = world.open().unwrap_err();
    assert!(failure.what.contains("has sectors in it"), "{failure}");
    assert!(!world.path("store").join(ROOT_FILE).exists());
    adopt(&world.path("data"), &world.path("store"), Role::Storage, world.miner, NOW).unwrap();
    world.open().unwrap().0.check(&world.path("store")).unwrap();
    let other = adopt(&world.path("other"), &world.path("store"), Role::Storage, world.miner, NOW);
    assert!(other.unwrap_err().what.contains("another box"));
}

#[test]
fn two_storages_of_one_box_that_changed_places_are_told_apart() {
    let world = World::new();
    let (roots, _) = world.open().unwrap();
    let mut identity = RootIdentity::read(&world.path("store")).unwrap().unwrap();
    identity.root = Id::random();
    identity.write(&world.path("store")).unwrap();
    assert!(roots.check(&world.path("store")).unwrap_err().what.contains("another storage"));
}

#[test]
fn one_directory_under_two_names_is_refused() {
    let world = World::new();
    world.open().unwrap();
    std::os::unix::fs::symlink(world.path("store"), world.path("link")).unwrap();
    let places = Places {
        data_dir: &world.path("data"),
        scratch: &[world.path("scratch")],
        storage: &[world.path("store"), world.path("link")],
        miner: world.miner,
        stored_in: &world.stored_in,
    };
    let failure = Roots::open(&places, NOW).unwrap_err();
    assert!(failure.what.contains("under another name"), "{failure}");
}

#[test]
fn a_damaged_identity_is_refused_and_named() {
    let world = World::new();
    world.open().unwrap();
    fs::write(world.path("scratch").join(ROOT_FILE), "{").unwrap();
    let failure = world.open().unwrap_err();
    assert_eq!(failure.file, Some(world.path("scratch").join(ROOT_FILE)), "{failure}");
}
