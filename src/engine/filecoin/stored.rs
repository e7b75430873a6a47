//! Whether a stored copy is the sector, as far as the proofs library can tell.
//!
//! The vanilla proof alone is not enough: it samples the replica, and it returns `Ok` for a
//! damaged comm_c and for a wrong comm_r. So `p_aux` is checked against comm_r first; the
//! digests of the files are the storage's part.

use std::fs;
use std::path::Path;

use filecoin_hashers::poseidon::PoseidonHasher;
use filecoin_hashers::{Domain, HashFunction, Hasher};
use filecoin_proofs_api::PrivateReplicaInfo;
use filecoin_proofs_api::post::{
    generate_fallback_sector_challenges, generate_single_vanilla_proof,
};
use rand_08::RngCore;
use rand_08::rngs::OsRng;

use super::library;
use super::registered;
use crate::domain::failure::{Class, Failure};
use crate::domain::ids::{Bytes32, CommR};
use crate::domain::layout::{CacheFile, P_AUX_BYTES};
use crate::engine::{StoredCopy, files};

pub fn prove(copy: &StoredCopy, comm_r: &CommR) -> Result<(), Failure> {
    check_replica_size(copy)?;
    let p_aux = copy.cache.join(CacheFile::PAux.name(copy.size));
    let found = comm_r_of(&p_aux)?;
    if found != *comm_r {
        return Err(bad("the stored p_aux does not give the sector's comm_r")
            .at(p_aux)
            .detail(format!("it gives {}, the sector has {}", found.0, comm_r.0)));
    }
    prove_random_challenges(copy, comm_r)
}

fn check_replica_size(copy: &StoredCopy) -> Result<(), Failure> {
    let found = fs::metadata(&copy.replica)
        .map_err(|error| Failure::io("looking at the stored replica", &copy.replica, &error))?
        .len();
    if found == copy.size.bytes() {
        return Ok(());
    }
    Err(bad("the stored replica has the wrong size")
        .at(&copy.replica)
        .detail(format!("expected {} bytes, found {found}", copy.size.bytes())))
}

/// comm_r = hash2(comm_c, comm_r_last), over the two halves of `p_aux`.
fn comm_r_of(p_aux: &Path) -> Result<CommR, Failure> {
    type Node = <PoseidonHasher as Hasher>::Domain;
    let bytes =
        fs::read(p_aux).map_err(|error| Failure::io("reading the stored p_aux", p_aux, &error))?;
    if files::length(p_aux)? != Some(P_AUX_BYTES) {
        return Err(bad("the stored p_aux has the wrong size").at(p_aux));
    }
    let (comm_c, comm_r_last) = bytes.split_at(32);
    // The library panics on bytes that are no element of the field; such a file is damaged.
    let node = |bytes: &[u8]| match Node::try_from_bytes(bytes) {
        Ok(node) if is_field_element(bytes) => Ok(node),
        Ok(_) | Err(_) => Err(bad("the stored p_aux is damaged").at(p_aux)),
    };
    let root = <PoseidonHasher as Hasher>::Function::hash2(&node(comm_c)?, &node(comm_r_last)?);
    Ok(CommR(Bytes32(root.into())))
}

/// Whether little-endian bytes are below the order of BLS12-381's scalar field.
fn is_field_element(bytes: &[u8]) -> bool {
    const ORDER_BIG_ENDIAN: [u8; 32] = [
        0x73, 0xed, 0xa7, 0x53, 0x29, 0x9d, 0x7d, 0x48, 0x33, 0x39, 0xd8, 0x08, 0x09, 0xa1, 0xd8,
        0x05, 0x53, 0xbd, 0xa4, 0x02, 0xff, 0xfe, 0x5b, 0xfe, 0xff, 0xff, 0xff, 0xff, 0x00, 0x00,
        0x00, 0x01,
    ];
    bytes.len() == 32 && bytes.iter().rev().lt(&ORDER_BIG_ENDIAN)
}

/// A vanilla WindowPoSt proof under random challenges: what the chain will ask of it every day.
fn prove_random_challenges(copy: &StoredCopy, comm_r: &CommR) -> Result<(), Failure> {
    let failed = |error: anyhow::Error| {
        library::failed("proving the stored copy", &copy.replica, &error, Class::Sector)
    };
    let post = registered::window_post_proof(copy.size);
    let sector = library::sector_id(copy.id);
    let prover_id = copy.id.miner.prover_id();
    let mut randomness = [0; 32];
    OsRng.fill_bytes(&mut randomness);
    // A field element has 255 bits at most; lotus clears the same two.
    randomness[31] &= 0x3f;
    let challenges = generate_fallback_sector_challenges(post, &randomness, &[sector], prover_id)
        .map_err(failed)?;
    let challenges = challenges.get(&sector).map(Vec::as_slice).unwrap_or_default();
    let replica =
        PrivateReplicaInfo::new(post, comm_r.0.0, copy.cache.clone(), copy.replica.clone());
    generate_single_vanilla_proof(post, sector, &replica, challenges).map_err(failed)?;
    Ok(())
}

fn bad(what: &str) -> Failure {
    Failure::new(
        Class::Sector,
        what,
        "the local copy is kept: check the storage's disk, then copy the sector again (retry P5)",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn p_aux(halves: [[u8; 32]; 2]) -> (tempfile::TempDir, std::path::PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("p_aux");
        fs::write(&file, halves.concat()).unwrap();
        (dir, file)
    }

    #[test]
    fn any_flipped_bit_of_p_aux_gives_another_comm_r_or_none() {
        let (_dir, file) = p_aux([[1; 32], [2; 32]]);
        let whole = comm_r_of(&file).unwrap();
        for bit in 0..512 {
            let mut bytes = [[1u8; 32], [2; 32]].concat();
            bytes[bit / 8] ^= 1 << (bit % 8);
            fs::write(&file, bytes).unwrap();
            // Beyond the field's order the library would panic: an error it has to be.
            assert_ne!(comm_r_of(&file).ok(), Some(whole), "bit {bit}");
        }
    }

    #[test]
    fn a_p_aux_outside_the_field_or_too_short_is_damaged() {
        let (_dir, file) = p_aux([[0xff; 32], [2; 32]]);
        assert!(comm_r_of(&file).unwrap_err().what.contains("damaged"));
        fs::write(&file, [1; 63]).unwrap();
        assert!(comm_r_of(&file).unwrap_err().what.contains("wrong size"));
    }
}
