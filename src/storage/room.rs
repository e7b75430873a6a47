//! Where the next copy goes: weight, what stays free, and what copies under way have claimed.
//!
//! A root is looked at without a lock, for it may hang. So a claim counts with what was not on the
//! disk at that look, and with all of it if it came after: room is counted twice at worst, and never
//! given away twice.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::disk;
use crate::config::RootConfig;
use crate::domain::failure::{Class, Failure};
use crate::domain::ids::SectorId;
use crate::domain::layout::StorageRoot;
use crate::domain::units::ByteSize;

/// The room of all storage. A clone is the same.
#[derive(Debug, Clone, Default)]
pub struct StorageRoom(Arc<Mutex<Books>>);

#[derive(Debug, Default)]
struct Books {
    terms: BTreeMap<PathBuf, Terms>,
    /// By the order in which they were made.
    claims: BTreeMap<u64, Claimed>,
    made: u64,
}

/// What the configuration says of a root.
#[derive(Debug, Clone, Copy)]
struct Terms {
    weight: u32,
    keep_free: u64,
}

#[derive(Debug, Clone)]
struct Claimed {
    id: SectorId,
    root: StorageRoot,
    /// Two roots on one file system have one room.
    file_system: u64,
    bytes: u64,
}

/// A root as it was found.
#[derive(Debug)]
pub struct Seen {
    root: StorageRoot,
    file_system: u64,
    available: u64,
    /// An earlier attempt left something of the sector there.
    begun: bool,
    /// What was claimed of this file system and was not on it yet, claim by claim.
    outstanding: BTreeMap<u64, u64>,
}

/// Room that is one copy's, until this is dropped.
#[derive(Debug)]
pub struct Claim {
    of: StorageRoom,
    nth: u64,
    root: StorageRoot,
}

impl Claim {
    pub fn root(&self) -> &StorageRoot {
        &self.root
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.of.books().claims.remove(&self.nth);
    }
}

impl StorageRoom {
    pub fn new(roots: &[RootConfig]) -> Self {
        let this = Self::default();
        this.change(roots);
        this
    }

    /// Goes by other weights from now on. Claims stay.
    pub fn change(&self, roots: &[RootConfig]) {
        let terms = |root: &RootConfig| {
            let keep_free = root.keep_free.unwrap_or_default().0;
            (root.path.clone(), Terms { weight: root.weight, keep_free })
        };
        self.books().terms = roots.iter().map(terms).collect();
    }

    /// What copies under way have claimed of each root.
    pub fn claimed(&self) -> BTreeMap<PathBuf, ByteSize> {
        let mut claimed: BTreeMap<PathBuf, ByteSize> = BTreeMap::new();
        for claim in self.books().claims.values() {
            claimed.entry(claim.root.path().to_path_buf()).or_default().0 += claim.bytes;
        }
        claimed
    }

    /// Looks at a root, for a copy of this sector. Blocks for as long as the root does.
    ///
    /// # Errors
    /// The root cannot be asked.
    pub fn look(&self, root: &StorageRoot, id: SectorId) -> Result<Seen, Failure> {
        let failed =
            |error: std::io::Error| Failure::io("looking at the storage", root.path(), &error);
        let file_system = fs::metadata(root.path()).map_err(failed)?.dev();
        let claims = self.books().claims.clone();
        let claims = claims.into_iter().filter(|(_, claim)| claim.file_system == file_system);
        // Before the disk: what is written meanwhile is then counted twice, and not never.
        let outstanding = claims.map(|(nth, claim)| {
            (nth, claim.bytes.saturating_sub(disk::held_by_copy(&claim.root, claim.id).0))
        });
        let outstanding = outstanding.collect();
        let begun = root.cache_dir(id).exists();
        let available = disk::available(root.path())?.0;
        Ok(Seen { root: root.clone(), file_system, available, begun, outstanding })
    }

    /// Claims room for a copy: of those that have it, where an earlier attempt left something of the
    /// copy, otherwise where weight times room is the most.
    ///
    /// # Errors
    /// Space: none of them has the room. Operator: none takes new copies.
    pub fn claim(&self, id: SectorId, bytes: u64, seen: Vec<Seen>) -> Result<Claim, Failure> {
        let mut books = self.books();
        let mut best: Option<((bool, bool, u128), u64, Seen)> = None;
        for seen in seen {
            let terms = books.terms.get(seen.root.path());
            let Terms { weight, keep_free } =
                terms.copied().unwrap_or(Terms { weight: 1, keep_free: 0 });
            if weight == 0 && !seen.begun {
                continue;
            }
            let room = seen.available.saturating_sub(keep_free);
            let room = room.saturating_sub(books.claimed_of(&seen));
            let rank = (room >= bytes, seen.begun, u128::from(weight) * u128::from(room));
            if best.as_ref().is_none_or(|(before, _, _)| rank > *before) {
                best = Some((rank, room, seen));
            }
        }
        let Some((_, room, seen)) = best else { return Err(closed()) };
        if room < bytes {
            return Err(no_room(seen.root.path(), bytes, room));
        }
        let Seen { root, file_system, .. } = seen;
        let nth = books.made;
        books.made += 1;
        books.claims.insert(nth, Claimed { id, root: root.clone(), file_system, bytes });
        Ok(Claim { of: self.clone(), nth, root })
    }

    fn books(&self) -> MutexGuard<'_, Books> {
        // Nothing is done under the lock that could leave it half-changed.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Books {
    /// Claims that ended since the look count as they did then: what they wrote is not in it.
    fn claimed_of(&self, seen: &Seen) -> u64 {
        let new = self.claims.iter().filter(|(nth, claim)| {
            claim.file_system == seen.file_system && !seen.outstanding.contains_key(*nth)
        });
        let new: u64 = new.map(|(_, claim)| claim.bytes).sum();
        new + seen.outstanding.values().sum::<u64>()
    }
}

fn closed() -> Failure {
    let what = "no storage takes new copies: every one that is there has the weight 0";
    let mend = "give a `[[storage]]` a weight and `sealbox reload`, then retry";
    Failure::new(Class::Operator, what, mend)
}

fn no_room(root: &Path, bytes: u64, room: u64) -> Failure {
    let what = "no storage has room for the copy";
    let mend =
        "free space, lower `keep_free_mib`, or add a `[[storage]]`: sealbox goes on by itself";
    let (bytes, room) = (ByteSize(bytes), ByteSize(room));
    let detail = format!("the most is here: {room} unclaimed; the copy needs {bytes}");
    Failure::new(Class::Space, what, mend).at(root).detail(detail)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ids::{ActorId, SectorNumber};

    const GIB: u64 = 1 << 30;

    fn id(number: u64) -> SectorId {
        SectorId { miner: ActorId(1000), number: SectorNumber(number) }
    }

    fn root(path: &str, weight: u32, keep_free: u64) -> RootConfig {
        RootConfig { weight, keep_free: Some(ByteSize(keep_free)), ..RootConfig::at(path) }
    }

    /// A root on a file system of its own.
    fn seen(path: &str, available: u64) -> Seen {
        let file_system = path.bytes().map(u64::from).sum();
        let (root, outstanding) = (StorageRoot::new(path), BTreeMap::new());
        Seen { root, file_system, available, begun: false, outstanding }
    }

    fn goes_to(room: &StorageRoom, number: u64, seen: Vec<Seen>) -> Claim {
        room.claim(id(number), GIB, seen).unwrap()
    }

    #[test]
    fn a_copy_goes_where_weight_times_room_is_the_most_and_never_into_what_stays_free() {
        let room = StorageRoom::new(&[root("/a", 1, 0), root("/b", 3, 0)]);
        let both = |a, b| vec![seen("/a", a * GIB), seen("/b", b * GIB)];
        assert_eq!(goes_to(&room, 1, both(5, 2)).root().path(), Path::new("/b"));
        assert_eq!(goes_to(&room, 1, both(7, 2)).root().path(), Path::new("/a"));
        room.change(&[root("/a", 1, 0), root("/b", 0, 0)]);
        assert_eq!(goes_to(&room, 1, both(1, 9)).root().path(), Path::new("/a"));
        room.change(&[root("/a", 0, 0), root("/b", 0, 0)]);
        assert_eq!(room.claim(id(1), GIB, both(9, 9)).unwrap_err().class, Class::Operator);
        room.change(&[root("/a", 1, 9 * GIB), root("/b", 1, 9 * GIB)]);
        assert_eq!(room.claim(id(1), GIB, both(9, 9)).unwrap_err().class, Class::Space);
    }

    #[test]
    fn a_copy_that_was_begun_goes_on_there_unless_that_root_is_full_and_another_is_not() {
        let room = StorageRoom::new(&[root("/a", 1, 0), root("/b", 1, 0)]);
        let begun = |available| Seen { begun: true, ..seen("/a", available) };
        let goes_to = |available| {
            let both = vec![begun(available), seen("/b", 9 * GIB)];
            goes_to(&room, 1, both).root().path().to_path_buf()
        };
        assert_eq!(goes_to(GIB), Path::new("/a"));
        assert_eq!(goes_to(GIB - 1), Path::new("/b"));
    }

    #[test]
    fn two_copies_never_claim_the_same_room_whenever_the_root_was_looked_at() {
        let room = StorageRoom::new(&[root("/a", 1, 0)]);
        // Both looked before either had claimed.
        let first = goes_to(&room, 1, vec![seen("/a", GIB + GIB / 2)]);
        let second = room.claim(id(2), GIB, vec![seen("/a", GIB + GIB / 2)]);
        assert_eq!(second.unwrap_err().class, Class::Space);
        assert_eq!(room.claimed()[Path::new("/a")], ByteSize(GIB));
        // This one looked when the first had half of it to write; the first ends before it claims.
        let half = BTreeMap::from([(0, GIB / 2)]);
        drop(first);
        let late = Seen { outstanding: half.clone(), ..seen("/a", GIB) };
        assert!(room.claim(id(2), GIB, vec![late]).is_err(), "that half is written by now");
        let fits = Seen { outstanding: half, ..seen("/a", GIB + GIB / 2) };
        drop(goes_to(&room, 2, vec![fits]));
        assert!(room.claimed().is_empty(), "a claim that is over is none");
    }

    #[test]
    fn two_roots_on_one_file_system_have_one_room_and_what_is_written_is_no_longer_claimed() {
        let dir = tempfile::tempdir().unwrap();
        let [a, b] = ["a", "b"].map(|name| StorageRoot::new(dir.path().join(name)));
        for dir in a.parents().iter().chain(&b.parents()) {
            fs::create_dir_all(dir).unwrap();
        }
        let room = StorageRoom::default();
        let look = |root, number| room.look(root, id(number)).unwrap();
        let claim = room.claim(id(1), 1 << 20, vec![look(&a, 1)]).unwrap();
        assert_eq!(look(&b, 2).outstanding, BTreeMap::from([(0, 1 << 20)]));
        fs::create_dir(a.cache_dir(id(1))).unwrap();
        let part = crate::domain::layout::part_of(&a.replica(id(1)));
        fs::write(&part, vec![7; 1 << 19]).unwrap();
        fs::File::open(&part).unwrap().sync_all().unwrap();
        let left = look(&b, 2).outstanding[&0];
        assert!(left <= 1 << 19, "{left} are still claimed");
        let begun = look(&a, 1);
        assert!(begun.begun);
        drop(claim);
    }
}
