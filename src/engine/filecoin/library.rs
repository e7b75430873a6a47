//! Our types in the proofs library's terms, and its errors in ours.

use std::path::Path;

use filecoin_hashers::sha256::Sha256Hasher;
use filecoin_hashers::{HashFunction, Hasher};
use filecoin_proofs_api::{Commitment, PaddedBytesAmount, PieceInfo, SectorId};

use crate::domain::failure::{Class, Failure};
use crate::domain::ids::{self, Bytes32, CommD, CommR};
use crate::domain::sector::{Commitments, Data};
use crate::domain::units::SectorSize;

pub fn sector_id(id: ids::SectorId) -> SectorId {
    SectorId::from(id.number.0)
}

/// The pieces of a sector: for committed capacity one piece of zeros. It is named, rather than
/// left out, because without it the library would hash the whole sector to learn the same.
pub fn pieces(data: Data, size: SectorSize) -> Vec<PieceInfo> {
    match data {
        Data::CommittedCapacity => vec![PieceInfo {
            commitment: comm_d_of_zeros(size),
            size: PaddedBytesAmount(size.bytes()).into(),
        }],
    }
}

/// The root of the SHA-256 tree over zeros: every row has one distinct node.
pub fn comm_d_of_zeros(size: SectorSize) -> Commitment {
    type Node = <Sha256Hasher as Hasher>::Domain;
    let rows = (size.bytes() / 32).ilog2();
    let root = (0..rows)
        .fold(Node::default(), |node, _| <Sha256Hasher as Hasher>::Function::hash2(&node, &node));
    Commitment::from(root)
}

pub fn commitments(comm_d: Commitment, comm_r: Commitment) -> Commitments {
    Commitments { comm_d: CommD(Bytes32(comm_d)), comm_r: CommR(Bytes32(comm_r)) }
}

/// What a failed call of the library means. An I/O error anywhere in its chain is classed as one
/// (a full disk waits for room); anything else is of `otherwise`.
pub fn failed(doing: &str, at: &Path, error: &anyhow::Error, otherwise: Class) -> Failure {
    let chain = format!("{error:#}");
    let io = error.chain().find_map(|cause| cause.downcast_ref::<std::io::Error>());
    let failure = match io {
        // The library opens what an earlier phase left: not there means the sector is not whole.
        Some(io) if io.kind() == std::io::ErrorKind::NotFound => {
            Failure::new(otherwise, format!("{doing} failed: a file is missing"), mend(otherwise))
        }
        Some(io) => Failure::io(doing, at, io),
        None => Failure::new(otherwise, format!("{doing} failed"), mend(otherwise)),
    };
    failure.at(at).detail(chain)
}

fn mend(class: Class) -> &'static str {
    match class {
        Class::Transient => "sealbox tries again by itself; if it stays, read the detail",
        Class::Space => "free space on this disk: sealbox goes on by itself",
        Class::Operator => "read the detail, mend it, then retry",
        Class::Sector => {
            "retry once; if it fails again, check memory and the scratch disk (`dmesg`), then \
             redo the sector from P1"
        }
        Class::Fatal => "report this as a bug of sealbox",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_commitment_of_zeros_is_the_known_one() {
        // Known from the chain: the CommD of every empty 32 GiB sector.
        let comm_d = CommD(Bytes32(comm_d_of_zeros(SectorSize::GiB32)));
        assert_eq!(
            comm_d.cid(),
            "baga6ea4seaqao7s73y24kcutaosvacpdjgfe5pw76ooefnyqw4ynr3d2y6x2mpq"
        );
    }

    #[test]
    fn a_full_disk_deep_in_the_chain_waits_for_room() {
        let io = std::io::Error::from(std::io::ErrorKind::StorageFull);
        let error = anyhow::Error::new(io).context("writing layer").context("phase 1");
        let failure = failed("labelling", Path::new("/scratch"), &error, Class::Transient);
        assert_eq!(failure.class, Class::Space);
        assert!(failure.detail.is_some_and(|detail| detail.starts_with("phase 1: writing layer")));
    }

    #[test]
    fn an_error_of_the_proofs_has_the_phases_class() {
        let error = anyhow::anyhow!("Invalid vanilla proof generated");
        let failure = failed("P3", Path::new("/scratch"), &error, Class::Sector);
        assert_eq!(failure.class, Class::Sector);
    }
}
