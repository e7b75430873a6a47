//! Samples of the machine: the disks behind the configured paths and which of them hang; and its
//! cores and memory.

mod machine;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tokio::sync::watch;

use crate::config::{Config, RootConfig};
use crate::domain::admission::{Room, Rooms, Stores};
use crate::domain::failure::Failure;
use crate::domain::layout::Scratch;
use crate::domain::phase::Phase;
use crate::domain::units::{ByteSize, Timestamp};
use crate::scheduler::core::Cause;
use crate::scheduler::input::Input;
use crate::scheduler::view::{DiskRole, DiskView};
use crate::storage::disk::{held_by_sectors, sizes_sharing, usage};
use crate::storage::roots::Roots;
use crate::within::{ANSWER_LIMIT, hung};

pub use machine::{Machine, Process, machine, process, reserved_cores, usable};

/// How often a disk is looked at.
pub const EVERY: Duration = Duration::from_secs(5);
/// How often the looks themselves are looked at.
const SUPERVISED_EVERY: Duration = Duration::from_secs(1);

/// When the look at each disk that has not come back yet began.
type Looks = Arc<Mutex<Vec<Option<Instant>>>>;
/// The disks as last looked at, for who reads them and for who finds one otherwise in between.
pub type Disks = Arc<watch::Sender<Vec<DiskView>>>;

/// Watches every configured path, each on a thread of its own: one that hangs stops nobody else,
/// and is found out by one more thread, which touches none of them.
///
/// # Errors
/// When the system gives no more threads.
pub fn watch_disks(config: &Config, roots: &Roots) -> std::io::Result<Disks> {
    let of = |roots: &[RootConfig], role| -> Vec<_> {
        roots.iter().map(|root| (root.path.clone(), role)).collect()
    };
    let scratch = of(&config.scratch, DiskRole::Scratch).into_iter();
    let storage = of(&config.storage, DiskRole::Storage);
    let data = std::iter::once((config.data_dir.clone(), DiskRole::Data));
    let paths: Vec<_> = scratch.chain(storage).chain(data).collect();
    let looks: Looks = Arc::new(Mutex::new(vec![None; paths.len()]));
    let unseen = paths.iter().map(|(path, role)| unseen(path.clone(), *role)).collect();
    let disks = Disks::new(watch::Sender::new(unseen));
    for (index, (path, role)) in paths.into_iter().enumerate() {
        let (sender, looks, roots) = (disks.clone(), looks.clone(), roots.clone());
        thread::Builder::new().name(format!("disk-{index}")).spawn(move || {
            loop {
                begin(&looks, index);
                let seen = look(path.clone(), role, &roots);
                sender.send_if_modified(|disks| {
                    end(&looks, index);
                    // That it was looked at is nothing that pages have to be told.
                    disks[index].looked = seen.looked;
                    let changed = disks[index] != seen;
                    disks[index] = seen;
                    changed
                });
                thread::sleep(EVERY);
            }
        })?;
    }
    let sender = disks.clone();
    thread::Builder::new().name("disks".to_owned()).spawn(move || {
        loop {
            thread::sleep(SUPERVISED_EVERY);
            sender.send_if_modified(|disks| say_which_hang(disks, &looks, Instant::now()));
        }
    })?;
    Ok(disks)
}

/// An attempt found the scratch otherwise than the last look did: that is what counts until the next
/// one, whoever asks meanwhile.
pub fn report_away(disks: &Disks, scratch: &Path, trouble: &Failure) {
    disks.send_if_modified(|disks| {
        let is_it = |disk: &&mut DiskView| {
            disk.role == DiskRole::Scratch && disk.path == scratch && disk.trouble.is_none()
        };
        let found = disks.iter_mut().find(is_it);
        found.map(|disk| disk.trouble = Some(trouble.clone())).is_some()
    });
}

fn begin(looks: &Looks, index: usize) {
    looks.lock().unwrap_or_else(PoisonError::into_inner)[index] = Some(Instant::now());
}

fn end(looks: &Looks, index: usize) {
    looks.lock().unwrap_or_else(PoisonError::into_inner)[index] = None;
}

/// Whether that changed anything.
fn say_which_hang(disks: &mut [DiskView], looks: &Looks, now: Instant) -> bool {
    let mut changed = false;
    let looks = looks.lock().unwrap_or_else(PoisonError::into_inner);
    for (disk, began) in disks.iter_mut().zip(looks.iter()) {
        let silent = began.map(|began| now.saturating_duration_since(began));
        let Some(silent) = silent.filter(|silent| *silent >= ANSWER_LIMIT) else { continue };
        // In steps: every change makes every open page fetch itself again.
        let steps = silent.as_secs() / EVERY.as_secs() * EVERY.as_secs();
        let trouble = Some(hung(&disk.path, Duration::from_secs(steps)));
        changed |= disk.trouble != trouble || !disk.hung;
        disk.trouble = trouble;
        disk.hung = true;
    }
    changed
}

fn look(path: PathBuf, role: DiskRole, roots: &Roots) -> DiskView {
    let looked = now();
    let identity = match role {
        DiskRole::Scratch | DiskRole::Storage => roots.check_here(&path),
        DiskRole::Data => Ok(()),
    };
    // Before the disk: what is written meanwhile is then counted twice, and not never.
    let (held, shared) = match role {
        DiskRole::Scratch => {
            let scratch = Scratch::new(&path);
            (held_by_sectors(&scratch), sizes_sharing(&scratch))
        }
        DiskRole::Storage | DiskRole::Data => (BTreeMap::new(), BTreeSet::new()),
    };
    match usage(&path) {
        Ok(usage) => DiskView {
            device: usage.device,
            mount: usage.mount_point,
            file_system: usage.fs_type,
            number: Some(usage.number),
            total_bytes: usage.total.0,
            used_bytes: usage.total.0.saturating_sub(usage.free.0),
            free_bytes: usage.available.0,
            trouble: identity.err(),
            hung: false,
            held,
            shared,
            looked,
            path,
            role,
        },
        Err(failure) => {
            let trouble = Some(identity.err().unwrap_or(failure));
            DiskView { trouble, looked, ..unseen(path, role) }
        }
    }
}

fn unseen(path: PathBuf, role: DiskRole) -> DiskView {
    DiskView {
        path,
        role,
        device: String::new(),
        mount: PathBuf::new(),
        file_system: String::new(),
        number: None,
        total_bytes: 0,
        used_bytes: 0,
        free_bytes: 0,
        trouble: None,
        hung: false,
        held: BTreeMap::new(),
        shared: BTreeSet::new(),
        looked: Timestamp(0),
    }
}

fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

/// What has to wait because a mount does not answer.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Holds {
    /// No storage answers.
    storage: Option<String>,
    hung_storage: BTreeSet<PathBuf>,
}

/// What follows from the samples for storage: P5 needs one of them; P6 needs the one that its copy
/// lies in.
pub fn holds(disks: &[DiskView]) -> Holds {
    let of = |role| disks.iter().filter(move |disk| disk.role == role);
    let hangs = |disk: &&DiskView| disk.hung;
    let hung_storage: BTreeSet<PathBuf> =
        of(DiskRole::Storage).filter(hangs).map(|disk| disk.path.clone()).collect();
    let all = !hung_storage.is_empty() && of(DiskRole::Storage).all(|disk| disk.hung);
    Holds { storage: all.then(|| "every storage hangs".to_owned()), hung_storage }
}

/// What follows from the samples for the scratch roots: every phase works in the one of its sector.
pub fn rooms(disks: &[DiskView], config: &Config, first: &Scratch) -> Rooms {
    let room = |root: &RootConfig| {
        let is_it = |disk: &&DiskView| disk.role == DiskRole::Scratch && disk.path == root.path;
        let disk = disks.iter().find(is_it);
        let room = disk.map(|disk| room_on(disk, config.scratch_keeps_free(root)));
        (Scratch::new(&root.path), Room { weight: root.weight, ..room.unwrap_or_default() })
    };
    Rooms { first: first.clone(), roots: config.scratch.iter().map(room).collect() }
}

fn room_on(disk: &DiskView, keep_free: ByteSize) -> Room {
    let path = disk.path.display();
    let away = match (&disk.trouble, disk.hung) {
        (_, true) => Some(format!("the scratch {path} hangs")),
        (Some(trouble), false) => Some(away(&disk.path, trouble)),
        (None, false) => None,
    };
    let seen = away.is_none() && disk.total_bytes > 0;
    Room {
        file_system: disk.number,
        total: seen.then_some(ByteSize(disk.total_bytes)),
        free: ByteSize(if seen { disk.free_bytes.saturating_sub(keep_free.0) } else { 0 }),
        held: disk.held.clone(),
        shared: disk.shared.clone(),
        away,
        ..Room::default()
    }
}

/// Why nothing is done in a root, in words.
pub fn away(root: &Path, trouble: &Failure) -> String {
    format!("{}: {}", root.display(), trouble.what)
}

/// The room that the samples show for copies, as P5 takes it; none before every storage was looked
/// at. Roots on one file system are one, and what cannot be used has none.
pub fn stores(disks: &[DiskView], config: &Config) -> Option<Stores> {
    let of_storage = || disks.iter().filter(|disk| disk.role == DiskRole::Storage);
    if of_storage().any(|disk| !disk.hung && disk.looked == Timestamp(0)) {
        return None;
    }
    let usable = || of_storage().filter(|disk| !disk.hung && disk.trouble.is_none());
    let mut free: BTreeMap<&PathBuf, u64> = BTreeMap::new();
    for disk in usable() {
        let root = config.storage.iter().find(|root| root.path == disk.path);
        let keep_free = root.and_then(|root| root.keep_free).unwrap_or_default();
        if root.is_none_or(|root| root.weight > 0) {
            let room = free.entry(&disk.mount).or_default();
            *room = (*room).max(disk.free_bytes.saturating_sub(keep_free.0));
        }
    }
    Some(Stores {
        looked: usable().map(|disk| disk.looked).min().unwrap_or(Timestamp(0)),
        free: free.into_values().map(ByteSize).collect(),
    })
}

impl Holds {
    /// For the scheduler: all of it, whatever it was told before.
    pub fn inputs(&self) -> Vec<Input> {
        let storage = Input::Hold {
            phase: Phase::P5,
            cause: Cause::Storage,
            waits_for: self.storage.clone(),
        };
        let roots = self.hung_storage.clone();
        vec![storage, Input::StorageHangs { roots }]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn disk(path: &str, role: DiskRole, hung: bool) -> DiskView {
        DiskView { hung, ..unseen(path.into(), role) }
    }

    #[test]
    fn a_look_that_does_not_come_back_is_said_to_hang_and_one_that_does_is_not() {
        let now = Instant::now();
        let began = now.checked_sub(Duration::from_secs(17)).unwrap();
        let looks: Looks = Arc::new(Mutex::new(vec![Some(began), Some(now), None]));
        let mut disks: Vec<_> =
            ["/a", "/b", "/c"].map(|path| disk(path, DiskRole::Storage, false)).into();
        assert!(say_which_hang(&mut disks, &looks, now));
        assert_eq!(disks.iter().map(|disk| disk.hung).collect::<Vec<_>>(), [true, false, false]);
        let trouble = disks[0].trouble.clone().unwrap();
        assert_eq!(trouble.what, "hung: no answer for 15 s");
        assert!(!say_which_hang(&mut disks, &looks, now), "nothing new, and everyone was woken");
    }

    #[test]
    fn copies_wait_only_when_every_storage_hangs() {
        let store = |path, hung| disk(path, DiskRole::Storage, hung);
        let one = holds(&[store("/a", true), store("/b", false)]);
        assert_eq!(one.storage, None);
        assert_eq!(one.hung_storage, BTreeSet::from([PathBuf::from("/a")]));
        assert!(holds(&[store("/a", true), store("/b", true)]).storage.is_some());
        assert_eq!(holds(&[store("/a", false)]), Holds::default());
    }

    #[test]
    fn storage_has_the_room_of_its_file_systems_that_can_be_used_and_none_before_all_were_seen() {
        let dir = tempfile::tempdir().unwrap();
        let config = Config::load(None, [], dir.path()).unwrap();
        let store = |path: &str, mount: &str, looked| DiskView {
            mount: mount.into(),
            free_bytes: 7,
            looked: Timestamp(looked),
            ..disk(path, DiskRole::Storage, false)
        };
        let mut disks = vec![store("/a/1", "/a", 5), store("/a/2", "/a", 3), store("/b", "/b", 0)];
        assert_eq!(stores(&disks, &config), None);
        disks[2].looked = Timestamp(9);
        let both = vec![ByteSize(7); 2];
        assert_eq!(stores(&disks, &config), Some(Stores { looked: Timestamp(3), free: both }));
        disks[2].hung = true;
        let one = vec![ByteSize(7)];
        assert_eq!(stores(&disks, &config), Some(Stores { looked: Timestamp(3), free: one }));
    }

    #[test]
    fn a_scratch_that_hangs_is_away_and_the_other_has_its_room_less_what_stays_free() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("appliance.toml");
        let roots = "[[scratch]]\npath = '/a'\n[[scratch]]\npath = '/b'\nkeep_free_mib = 1\n";
        std::fs::write(&file, roots).unwrap();
        let config = Config::load(Some(&file), [], dir.path()).unwrap();
        let seen = DiskView {
            total_bytes: 10 << 20,
            free_bytes: 3 << 20,
            ..disk("/b", DiskRole::Scratch, false)
        };
        let (a, b) = (Scratch::new("/a"), Scratch::new("/b"));
        let rooms = rooms(&[disk("/a", DiskRole::Scratch, true), seen], &config, &a);
        assert_eq!(rooms.roots[&a].away.as_deref(), Some("the scratch /a hangs"));
        assert_eq!((rooms.roots[&b].free, &rooms.roots[&b].away), (ByteSize(2 << 20), &None));
    }
}
