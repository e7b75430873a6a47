//! Every path of a sector, and the name and exact size of every file in its cache. Pure.
//!
//! Names are those of `storage_proofs_porep` and of the storage roots that lotus-miner and Curio
//! attach: `<root>/{sealed,cache}/s-t0<miner>-<number>`.

use std::ffi::OsStr;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::domain::ids::{ActorId, SectorId};
use crate::domain::units::SectorSize;

const SEALED: &str = "sealed";
const CACHE: &str = "cache";
const SHARED: &str = "shared";
const MANIFEST: &str = "sealbox-manifest.json";
const COPYING: &str = "sealbox-copying";
/// A copy under way ends in this. No sector's file does: what ends in it may be dropped.
const PART: &str = ".sealbox-part";
/// What was moved out of the way to be deleted ends in this.
const TRASH: &str = ".sealbox-trash";

/// comm_c, then comm_r_last.
pub const P_AUX_BYTES: u64 = 64;
/// Bytes of a node of every tree: one field element, or one SHA-256 digest.
const NODE: u64 = 32;
/// Children of a node in tree-c and tree-r-last.
const ARITY: u64 = 8;
/// Rows above the leaves that tree-r-last leaves out and PoSt computes again. The library's
/// default (`FIL_PROOFS_ROWS_TO_DISCARD`); 2 KiB has so few rows that it leaves out one less.
const ROWS_LEFT_OUT: u32 = 2;

/// A root that sectors are made in. A clone costs nothing: every sector names its own.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(from = "PathBuf", into = "PathBuf")]
pub struct Scratch {
    /// Not a path: they are compared often, and a path is compared part by part.
    root: Arc<OsStr>,
}

impl fmt::Display for Scratch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.root().display().fmt(f)
    }
}

impl From<PathBuf> for Scratch {
    fn from(root: PathBuf) -> Self {
        Self { root: root.into_os_string().into() }
    }
}

impl From<Scratch> for PathBuf {
    fn from(scratch: Scratch) -> Self {
        scratch.root().to_path_buf()
    }
}

/// Where finished sectors are kept: one `[[storage]]` path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StorageRoot {
    path: PathBuf,
}

impl Scratch {
    pub fn new(root: impl Into<PathBuf>) -> Self {
        root.into().into()
    }

    pub fn root(&self) -> &Path {
        Path::new(&*self.root)
    }

    /// The directories that hold all sectors' files; they are there before work starts.
    pub fn parents(&self) -> [PathBuf; 2] {
        parents(self.root())
    }

    /// What sectors of a size have in common.
    pub fn shared_dir(&self) -> PathBuf {
        self.root().join(SHARED)
    }

    pub fn cache_dir(&self, id: SectorId) -> PathBuf {
        cache_dir(self.root(), id)
    }

    /// The sealed replica: a file.
    pub fn replica(&self, id: SectorId) -> PathBuf {
        replica(self.root(), id)
    }
}

impl StorageRoot {
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The directories that hold all sectors' files. Made when the box starts, never by a copy: a
    /// mount that went away leaves an empty directory, and a copy must not fill the disk below.
    pub fn parents(&self) -> [PathBuf; 2] {
        parents(&self.path)
    }

    pub fn cache_dir(&self, id: SectorId) -> PathBuf {
        cache_dir(&self.path, id)
    }

    /// The sealed replica: a file.
    pub fn replica(&self, id: SectorId) -> PathBuf {
        replica(&self.path, id)
    }

    /// The list of the stored files with their digests, beside them.
    pub fn manifest(&self, id: SectorId) -> PathBuf {
        self.cache_dir(id).join(MANIFEST)
    }

    /// Says that what lies here without a manifest is an unfinished copy of ours.
    pub fn copying_mark(&self, id: SectorId) -> PathBuf {
        self.cache_dir(id).join(COPYING)
    }
}

fn parents(root: &Path) -> [PathBuf; 2] {
    [root.join(CACHE), root.join(SEALED)]
}

fn cache_dir(root: &Path, id: SectorId) -> PathBuf {
    root.join(CACHE).join(id.to_string())
}

fn replica(root: &Path, id: SectorId) -> PathBuf {
    root.join(SEALED).join(id.to_string())
}

/// The name that a file is copied under until it is complete.
pub fn part_of(path: &Path) -> PathBuf {
    with_suffix(path, PART)
}

pub fn is_part(path: &Path) -> bool {
    path.as_os_str().as_encoded_bytes().ends_with(PART.as_bytes())
}

/// The name that a file or directory is deleted under. Beside it, so that it is on the same file
/// system even where `cache` or `sealed` is a mount or a link of its own.
pub fn trash_of(path: &Path) -> PathBuf {
    with_suffix(path, TRASH)
}

/// A name without what sealbox adds to unfinished and to deleted files, and whether it had that.
pub fn without_suffix(name: &str) -> (&str, bool) {
    match name.strip_suffix(PART).or_else(|| name.strip_suffix(TRASH)) {
        Some(rest) => (rest, true),
        None => (name, false),
    }
}

/// The sector that a file or directory of this name belongs to, written exactly as we write it.
pub fn sector_of(name: &str) -> Option<SectorId> {
    let (miner, number) = name.strip_prefix("s-t0")?.split_once('-')?;
    let id = SectorId { miner: ActorId(miner.parse().ok()?), number: number.parse().ok()? };
    (id.to_string() == name).then_some(id)
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// The file in [`Scratch::shared_dir`] that tree-d of every CC sector of this size is a link to.
pub fn shared_tree_d(size: SectorSize) -> String {
    format!("tree-d-{}.dat", size.name())
}

/// Whether a file of a cache directory by this name came from sealing, ours or the library's, the
/// unfinished ones included (the library's temporary layers end in `..tmp`).
pub fn is_of_sealing(name: &str) -> bool {
    name.starts_with("sc-02-data-")
        || name.starts_with("sealbox-")
        || name == "p_aux"
        || name == "t_aux"
}

/// A file of a sector's cache directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CacheFile {
    /// Labels; the first layer is 1.
    Layer(u32),
    TreeD,
    /// Counted from 0; sizes with one file have no number in its name.
    TreeC(u32),
    /// As tree-c.
    TreeRLast(u32),
    /// comm_c and comm_r_last. Without it the sector has to be sealed again.
    PAux,
    /// The library's notes for C1, with absolute paths in them: of no use elsewhere.
    TAux,
}

impl CacheFile {
    pub fn name(self, size: SectorSize) -> String {
        let numbered = |tree: &str, n: u32| match size.tree_files() {
            1 => format!("sc-02-data-{tree}.dat"),
            _ => format!("sc-02-data-{tree}-{n}.dat"),
        };
        match self {
            Self::Layer(n) => format!("sc-02-data-layer-{n}.dat"),
            Self::TreeD => "sc-02-data-tree-d.dat".to_owned(),
            Self::TreeC(n) => numbered("tree-c", n),
            Self::TreeRLast(n) => numbered("tree-r-last", n),
            Self::PAux => "p_aux".to_owned(),
            Self::TAux => "t_aux".to_owned(),
        }
    }

    /// Its size in bytes; none for `t_aux`, which holds paths.
    pub fn bytes(self, size: SectorSize) -> Option<u64> {
        match self {
            Self::Layer(_) => Some(size.bytes()),
            // A binary tree, leaves included: twice the leaves, less one node.
            Self::TreeD => Some(2 * size.bytes() - NODE),
            Self::TreeC(_) => Some(tree_bytes(leaf_height(size))),
            Self::TreeRLast(_) => Some(tree_r_last_bytes(size)),
            Self::PAux => Some(P_AUX_BYTES),
            Self::TAux => None,
        }
    }

    /// Whether storage keeps it. The PoSt proofs read the replica, `p_aux` and tree-r-last;
    /// `t_aux` goes along because other programs look whether it is there.
    pub fn is_stored(self) -> bool {
        match self {
            Self::PAux | Self::TAux | Self::TreeRLast(_) => true,
            Self::Layer(_) | Self::TreeD | Self::TreeC(_) => false,
        }
    }

    pub fn layers(size: SectorSize) -> Vec<Self> {
        (1..=size.layers()).map(Self::Layer).collect()
    }

    pub fn trees_c(size: SectorSize) -> Vec<Self> {
        (0..size.tree_files()).map(Self::TreeC).collect()
    }

    pub fn trees_r_last(size: SectorSize) -> Vec<Self> {
        (0..size.tree_files()).map(Self::TreeRLast).collect()
    }
}

/// The height of the leaves over the root in each of the octrees of this size.
fn leaf_height(size: SectorSize) -> u32 {
    let leaves = size.bytes() / NODE / u64::from(size.tree_files());
    leaves.ilog2() / ARITY.ilog2()
}

/// A whole octree whose lowest row is `height` rows under its root.
fn tree_bytes(height: u32) -> u64 {
    (ARITY.pow(height + 1) - 1) / (ARITY - 1) * NODE
}

fn tree_r_last_bytes(size: SectorSize) -> u64 {
    let height = leaf_height(size);
    // The leaves are the replica's own nodes. The root row is never left out.
    let left_out = 1 + ROWS_LEFT_OUT.min(height - 1);
    tree_bytes(height - left_out)
}

/// The files of a complete cache, after P2.
pub fn cache_files(size: SectorSize) -> Vec<CacheFile> {
    let mut files = CacheFile::layers(size);
    files.push(CacheFile::TreeD);
    files.extend(CacheFile::trees_c(size));
    files.extend(CacheFile::trees_r_last(size));
    files.extend([CacheFile::PAux, CacheFile::TAux]);
    files
}

/// A file of a stored copy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredFile {
    /// Under the root, on scratch as in storage: `cache/s-t01000-7/p_aux`.
    pub relative: String,
    /// None for `t_aux`, whose size varies.
    pub bytes: Option<u64>,
}

/// What storage keeps of a sector: the replica and what PoSt needs of the cache.
pub fn stored_files(id: SectorId, size: SectorSize) -> Vec<StoredFile> {
    let replica = StoredFile { relative: format!("{SEALED}/{id}"), bytes: Some(size.bytes()) };
    let cache = cache_files(size).into_iter().filter(|file| file.is_stored());
    let cache = cache.map(|file| StoredFile {
        relative: relative_in_cache(id, &file.name(size)),
        bytes: file.bytes(size),
    });
    std::iter::once(replica).chain(cache).collect()
}

/// A file of the sector's cache directory, from the root.
fn relative_in_cache(id: SectorId, name: &str) -> String {
    format!("{CACHE}/{id}/{name}")
}

/// What a sector holds of the scratch disk after P2: cache and replica, in bytes. By phase it is
/// less; what is reserved has to be this much.
pub fn scratch_bytes(size: SectorSize) -> u64 {
    let cache: u64 = cache_files(size).into_iter().filter_map(|file| file.bytes(size)).sum();
    cache + size.bytes()
}

/// What a finished sector holds of storage, in bytes.
pub fn stored_bytes(size: SectorSize) -> u64 {
    let cache = cache_files(size).into_iter().filter(|file| file.is_stored());
    cache.filter_map(|file| file.bytes(size)).sum::<u64>() + size.bytes()
}

#[cfg(test)]
mod tests {
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
        assert_eq!(
            CacheFile::TreeRLast(15).name(SectorSize::GiB64),
            "sc-02-data-tree-r-last-15.dat"
        );
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
        let names: Vec<_> = cache_files(size).iter().map(|file| file.name(size)).collect();
        assert_eq!(names.len(), 11 + 1 + 8 + 8 + 2);
        assert_eq!(names[0], "sc-02-data-layer-1.dat");
        assert_eq!(names[10], "sc-02-data-layer-11.dat");
        let cache = scratch_bytes(size) - size.bytes();
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
}
