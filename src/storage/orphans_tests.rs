use super::*;
use crate::storage::roots::Places;
use std::collections::BTreeSet;
use tempfile::TempDir;

struct World {
    dir: TempDir,
    roots: Roots,
}

/// Sector 1 is in flight, 2 finished and stored in `store`, 3 given up; there are no others.
fn knows(store: &Path, number: SectorNumber) -> Known {
    match number.0 {
        1 => Known::InFlight,
        2 => Known::Finished { stored: store.to_path_buf() },
        3 => Known::GivenUp,
        _ => Known::Nothing,
    }
}

impl World {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        fs::create_dir(path("data")).unwrap();
        let places = Places {
            data_dir: &path("data"),
            scratch: &[path("scratch")],
            storage: &[path("store"), path("other")],
            miner: ActorId(1000),
            stored_in: &BTreeSet::new(),
        };
        let (roots, _) = Roots::open(&places, Timestamp(1)).unwrap();
        Self { dir, roots }
    }

    fn put(&self, path: &str) -> PathBuf {
        let path = self.dir.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, b"seven b").unwrap();
        path
    }

    fn on<T>(&self, root: &str, act: impl FnOnce(Ground<'_>) -> T) -> T {
        let store = self.dir.path().join("store");
        let root_path = self.dir.path().join(root);
        act(Ground {
            root: &root_path,
            role: if root == "scratch" { Role::Scratch } else { Role::Storage },
            miner: ActorId(1000),
            roots: &self.roots,
            knows: &|number| Ok(knows(&store, number)),
        })
    }

    fn orphans(&self, root: &str) -> Vec<String> {
        let found = self.on(root, |ground| ground.scan()).unwrap();
        let root = self.dir.path().join(root);
        let relative = |orphan: &Orphan| orphan.path.strip_prefix(&root).unwrap().to_path_buf();
        found.iter().map(|orphan| relative(orphan).display().to_string()).collect()
    }
}

#[test]
fn what_a_sector_owns_is_no_orphan_and_what_none_owns_is_one() {
    let world = World::new();
    for number in [1, 2, 3, 4] {
        world.put(&format!("scratch/cache/s-t01000-{number}/p_aux"));
        world.put(&format!("store/sealed/s-t01000-{number}"));
    }
    world.put("store/cache/s-t01000-2/sealbox-manifest.json");
    world.put("store/sealed/s-t01000-2.sealbox-part");
    world.put("store/sealed/s-t01000-1.sealbox-part");
    world.put("store/sealed/s-t02000-1");
    world.put("store/sealed/notes.txt");
    assert_eq!(
        world.orphans("scratch"),
        ["cache/s-t01000-2", "cache/s-t01000-3", "cache/s-t01000-4"]
    );
    let expected = [
        "sealed/notes.txt",
        "sealed/s-t01000-2.sealbox-part",
        "sealed/s-t01000-3",
        "sealed/s-t01000-4",
        "sealed/s-t02000-1",
    ];
    assert_eq!(world.orphans("store"), expected);
    let found = world.on("scratch", |ground| ground.scan()).unwrap();
    assert!(found.iter().all(|orphan| orphan.bytes == 7 && orphan.modified.0 > 0));
}

#[test]
fn a_second_copy_is_an_orphan_only_while_the_first_is_seen() {
    let world = World::new();
    world.put("other/sealed/s-t01000-2");
    assert_eq!(world.orphans("other"), [""; 0]);
    world.put("store/sealed/s-t01000-2");
    world.put("store/cache/s-t01000-2/sealbox-manifest.json");
    assert_eq!(world.orphans("other"), ["sealed/s-t01000-2"]);
}

#[test]
fn only_an_orphan_in_its_root_is_deleted() {
    let world = World::new();
    let owned = world.put("scratch/cache/s-t01000-1/p_aux");
    let outside = world.put("elsewhere/file");
    let link = world.dir.path().join("scratch/cache/link");
    std::os::unix::fs::symlink(&outside, &link).unwrap();
    let in_orphan = world.put("scratch/cache/s-t01000-4/p_aux");
    let root = world.dir.path().join("scratch");
    let around = root.join("cache/../../elsewhere/file");
    for refused in
        [owned.parent().unwrap(), &outside, &link, &in_orphan, &around, &root, Path::new("cache")]
    {
        let failure = world.on("scratch", |ground| ground.set_aside(refused)).unwrap_err();
        assert!(failure.mend.contains("nothing was deleted"), "{}: {failure}", refused.display());
    }
    assert!(owned.is_file() && outside.is_file() && in_orphan.is_file());
}

#[test]
fn an_orphan_is_renamed_before_it_is_removed_and_can_be_put_back_until_then() {
    let world = World::new();
    let file = world.put("scratch/cache/s-t01000-4/p_aux");
    let orphan = file.parent().unwrap();
    let aside = world.on("scratch", |ground| ground.set_aside(orphan)).unwrap();
    assert_eq!((aside.bytes, aside.sector), (7, Some(SectorNumber(4))));
    assert!(!orphan.exists());
    assert_eq!(world.orphans("scratch"), ["cache/s-t01000-4.sealbox-trash"]);
    aside.put_back().unwrap();
    assert!(file.is_file());
    world.on("scratch", |ground| ground.set_aside(orphan)).unwrap().remove().unwrap();
    assert_eq!(world.orphans("scratch"), [""; 0]);
}
