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
use crate::domain::porep::{Porep, SealKind};
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

/// Nodes that a label is made from, in its layer and in the one before it
/// (`storage_proofs_porep::stacked`: `BASE_DEGREE` and `EXP_DEGREE`).
const PARENTS: u64 = 6 + 8;
/// Synthetic challenges of a sector; a smaller one has as many as it has nodes
/// (`stacked/vanilla/challenges.rs`: `DEFAULT_SYNTH_CHALLENGE_COUNT`).
const SYNTHETIC_CHALLENGES: u64 = 1 << 18;

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
        || name == SYNTHETIC_PROOFS
}

const SYNTHETIC_PROOFS: &str = "syn-porep-vanilla-proofs.dat";

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
    /// The answers to all challenges that a seed may choose from, with synthetic PoRep.
    SyntheticProofs,
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
            Self::SyntheticProofs => SYNTHETIC_PROOFS.to_owned(),
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
            Self::SyntheticProofs => Some(synthetic_proofs_bytes(size)),
        }
    }

    /// Whether storage keeps it. The PoSt proofs read the replica, `p_aux` and tree-r-last;
    /// `t_aux` goes along because other programs look whether it is there.
    pub fn is_stored(self) -> bool {
        match self {
            Self::PAux | Self::TAux | Self::TreeRLast(_) => true,
            Self::Layer(_) | Self::TreeD | Self::TreeC(_) | Self::SyntheticProofs => false,
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

/// The roots of the three trees, then for each challenge: its own and its parents' indices, its path
/// in tree-d, its and its parents' columns with their paths in tree-c, its path in tree-r-last
/// (`stacked/vanilla/params.rs`: `SynthProofs::write`).
fn synthetic_proofs_bytes(size: SectorSize) -> u64 {
    let nodes = size.bytes() / NODE;
    // Above the octrees their roots are joined, by eights and then by twos.
    let joined = u64::from(size.tree_files());
    let eights = joined.min(ARITY);
    let path =
        1 + u64::from(leaf_height(size)) * (ARITY - 1) + (eights - 1) + (joined / eights - 1);
    let column = u64::from(size.layers()) + path;
    let in_tree_d = 1 + u64::from(nodes.ilog2());
    let columns = 1 + PARENTS;
    let index: u64 = 8;
    let challenge = columns * index + (in_tree_d + columns * column + path) * NODE;
    3 * NODE + nodes.min(SYNTHETIC_CHALLENGES) * challenge
}

/// The files that P1 and P2 make.
pub fn cache_files(kind: SealKind) -> Vec<CacheFile> {
    let size = kind.size;
    let mut files = CacheFile::layers(size);
    files.push(CacheFile::TreeD);
    files.extend(CacheFile::trees_c(size));
    files.extend(CacheFile::trees_r_last(size));
    files.extend([CacheFile::PAux, CacheFile::TAux]);
    match kind.porep {
        Porep::Interactive | Porep::NonInteractive => {}
        Porep::Synthetic => files.push(CacheFile::SyntheticProofs),
    }
    files
}

/// Which of them P2 drops once it has checked what stands for them.
pub fn dropped_with_p2(kind: SealKind) -> Vec<CacheFile> {
    match kind.porep {
        Porep::Interactive | Porep::NonInteractive => Vec::new(),
        Porep::Synthetic => {
            let mut files = CacheFile::layers(kind.size);
            files.push(CacheFile::TreeD);
            files.extend(CacheFile::trees_c(kind.size));
            files
        }
    }
}

/// Which of them P3 finds.
pub fn cache_files_after_p2(kind: SealKind) -> Vec<CacheFile> {
    let dropped = dropped_with_p2(kind);
    cache_files(kind).into_iter().filter(|file| !dropped.contains(file)).collect()
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
    let cache = stored_of_cache(size).map(|file| StoredFile {
        relative: relative_in_cache(id, &file.name(size)),
        bytes: file.bytes(size),
    });
    std::iter::once(replica).chain(cache).collect()
}

/// However it was sealed: what only the seal takes stays behind.
fn stored_of_cache(size: SectorSize) -> impl Iterator<Item = CacheFile> {
    let kind = SealKind::new(size, Porep::Interactive);
    cache_files(kind).into_iter().filter(|file| file.is_stored())
}

/// A file of the sector's cache directory, from the root.
fn relative_in_cache(id: SectorId, name: &str) -> String {
    format!("{CACHE}/{id}/{name}")
}

/// The most that a sector holds of the scratch disk, at the end of P2: cache and replica, in bytes.
/// Until then it is less; what is reserved has to be this much.
pub fn scratch_bytes(kind: SealKind) -> u64 {
    with_replica(kind, cache_files(kind))
}

/// What it holds from then on.
pub fn scratch_bytes_after_p2(kind: SealKind) -> u64 {
    with_replica(kind, cache_files_after_p2(kind))
}

fn with_replica(kind: SealKind, cache: Vec<CacheFile>) -> u64 {
    cache.into_iter().filter_map(|file| file.bytes(kind.size)).sum::<u64>() + kind.size.bytes()
}

/// What a finished sector holds of storage, in bytes.
pub fn stored_bytes(size: SectorSize) -> u64 {
    stored_of_cache(size).filter_map(|file| file.bytes(size)).sum::<u64>() + size.bytes()
}

#[cfg(test)]
#[path = "layout_tests.rs"]
mod tests;
