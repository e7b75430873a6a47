//! What the cache directory of a sector holds, by name and size.
//!
//! Names are those of `merkletree::store::StoreConfig::data_path` and
//! `storage_proofs_core::cache_key`; sizes follow from the trees' shapes.

use crate::domain::units::SectorSize;

/// Both commitments that comm_r hashes. Irreplaceable.
pub const P_AUX: &str = "p_aux";
/// Where the trees lie. Needed by P3 and by nothing after it.
pub const T_AUX: &str = "t_aux";
/// `p_aux` is comm_c, then comm_r_last.
pub const P_AUX_BYTES: u64 = 64;
/// What every file of layers and trees begins with, the unfinished ones included.
pub const STORE_PREFIX: &str = "sc-02-data-";

const NODE_BYTES: u64 = 32;
/// Rows above the base that tree-r-last does not keep; the proofs rebuild them from the replica.
const ROWS_DISCARDED: u32 = 2;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CacheFile {
    pub name: String,
    pub bytes: u64,
}

/// One file a layer, each of the sector's size.
pub fn layers(size: SectorSize) -> Vec<CacheFile> {
    (1..=size.layers())
        .map(|layer| CacheFile {
            name: format!("{STORE_PREFIX}layer-{layer}.dat"),
            bytes: size.bytes(),
        })
        .collect()
}

/// The binary tree over the sector's data.
pub fn tree_d(size: SectorSize) -> CacheFile {
    let nodes = size.bytes() / NODE_BYTES;
    CacheFile { name: format!("{STORE_PREFIX}tree-d.dat"), bytes: (2 * nodes - 1) * NODE_BYTES }
}

/// The trees over the columns of labels, one for each sub-tree.
pub fn tree_c(size: SectorSize) -> Vec<CacheFile> {
    split("tree-c", size, octree_nodes(rows_above_base(size)))
}

/// The trees over the replica, without their base and the rows next to it.
pub fn tree_r_last(size: SectorSize) -> Vec<CacheFile> {
    let rows = rows_above_base(size);
    let discarded = ROWS_DISCARDED.min(rows - 1);
    split("tree-r-last", size, octree_nodes(rows - 1 - discarded))
}

fn split(tree: &str, size: SectorSize, nodes: u64) -> Vec<CacheFile> {
    let files = size.tree_files();
    (0..files)
        .map(|index| {
            let suffix = if files == 1 { String::new() } else { format!("-{index}") };
            CacheFile {
                name: format!("{STORE_PREFIX}{tree}{suffix}.dat"),
                bytes: nodes * NODE_BYTES,
            }
        })
        .collect()
}

/// Rows of one octree above its base: log8 of its leaves.
fn rows_above_base(size: SectorSize) -> u32 {
    let leaves = size.bytes() / NODE_BYTES / u64::from(size.tree_files());
    leaves.ilog2() / 3
}

/// Nodes of a full octree whose root is `rows` rows above its base.
fn octree_nodes(rows: u32) -> u64 {
    (8u64.pow(rows + 1) - 1) / 7
}

#[cfg(test)]
mod tests {
    use super::*;

    fn total(files: &[CacheFile]) -> u64 {
        files.iter().map(|file| file.bytes).sum()
    }

    #[test]
    fn sizes_are_those_measured_on_real_sectors() {
        let measured = [
            (SectorSize::KiB2, 4_064, 2_336, 32),
            (SectorSize::MiB8, (16 << 20) - 32, 9_586_976, 18_720),
            (SectorSize::MiB512, (1 << 30) - 32, 613_566_752, 1_198_368),
        ];
        for (size, d, c, r_last) in measured {
            assert_eq!(tree_d(size).bytes, d, "{size}");
            assert_eq!(total(&tree_c(size)), c, "{size}");
            assert_eq!(total(&tree_r_last(size)), r_last, "{size}");
        }
        assert_eq!(total(&tree_r_last(SectorSize::GiB32)), 8 * 9_586_976);
    }

    #[test]
    fn one_tree_has_no_number_and_many_are_counted_from_zero() {
        let names = |files: Vec<CacheFile>| -> Vec<String> {
            files.into_iter().map(|file| file.name).collect()
        };
        assert_eq!(names(tree_c(SectorSize::KiB2)), ["sc-02-data-tree-c.dat"]);
        assert_eq!(names(tree_r_last(SectorSize::GiB32))[7], "sc-02-data-tree-r-last-7.dat");
        assert_eq!(names(tree_r_last(SectorSize::GiB64)).len(), 16);
        assert_eq!(names(layers(SectorSize::GiB32))[10], "sc-02-data-layer-11.dat");
    }
}
