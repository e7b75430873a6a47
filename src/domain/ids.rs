//! Names of things: miners, sectors, orders, commitments.

use std::fmt;
use std::str::FromStr;

use cid::Cid;
use cid::multihash::Multihash;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A sector's number, unique for its miner.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SectorNumber(pub u64);

impl fmt::Display for SectorNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no sector number: expected a whole number from 0")]
pub struct BadSectorNumber(String);

impl FromStr for SectorNumber {
    type Err = BadSectorNumber;
    fn from_str(s: &str) -> Result<Self, Self::Err> {
        s.parse().map(Self).map_err(|_| BadSectorNumber(s.to_owned()))
    }
}

/// A miner's actor id: the number in `t01000` or `f01000`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ActorId(pub u64);

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a miner's address: expected `t0` or `f0` and a number, as in `t01000`")]
pub struct BadActorId(String);

impl ActorId {
    /// The prover id of the proofs: LEB128 bytes, zero-padded to 32 (sealing-facts; `filecoin-ffi`).
    pub fn prover_id(self) -> [u8; 32] {
        let mut out = [0u8; 32];
        let mut rest = self.0;
        for byte in &mut out {
            // Seven bits at a time: the cast keeps exactly the bits asked for.
            *byte = (rest & 0x7f) as u8;
            rest >>= 7;
            if rest == 0 {
                break;
            }
            *byte |= 0x80;
        }
        out
    }
}

impl fmt::Display for ActorId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "t0{}", self.0)
    }
}

impl FromStr for ActorId {
    type Err = BadActorId;
    fn from_str(s: &str) -> Result<Self, Self::Err> {
        let bad = || BadActorId(s.to_owned());
        let digits = s.strip_prefix("t0").or_else(|| s.strip_prefix("f0")).unwrap_or(s);
        if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
            return Err(bad());
        }
        digits.parse().map(Self).map_err(|_| bad())
    }
}

/// Which sector, of which miner. Displayed as directories are named: `s-t01000-7`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SectorId {
    pub miner: ActorId,
    pub number: SectorNumber,
}

impl fmt::Display for SectorId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "s-{}-{}", self.miner, self.number)
    }
}

/// An order for a number of sectors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct OrderId(pub u64);

impl fmt::Display for OrderId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// 32 bytes, shown as hex: randomness, digests, commitments.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Bytes32(pub [u8; 32]);

impl fmt::Display for Bytes32 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for Bytes32 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Bytes32 {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        hex_serde::serialize(&self.0, s)
    }
}

impl<'de> Deserialize<'de> for Bytes32 {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let bytes = hex_serde::deserialize(d)?;
        let length = bytes.len();
        let array = bytes
            .try_into()
            .map_err(|_| serde::de::Error::custom(format!("expected 32 bytes, found {length}")))?;
        Ok(Self(array))
    }
}

/// CommD: the unsealed data's commitment (a SHA-256 tree root, little-endian field element).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CommD(pub Bytes32);

/// CommR: the replica's commitment, `hash2(comm_c, comm_r_last)` with Poseidon.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CommR(pub Bytes32);

// The multicodec table: fil-commitment-* and their hash functions.
const FIL_COMMITMENT_UNSEALED: u64 = 0xf101;
const FIL_COMMITMENT_SEALED: u64 = 0xf102;
const SHA2_256_TRUNC254_PADDED: u64 = 0x1012;
const POSEIDON_BLS12_381_A2_FC1: u64 = 0xb401;

impl CommD {
    /// The CID that chains and explorers show: `baga6ea4seaq…`.
    pub fn cid(&self) -> String {
        commitment_cid(FIL_COMMITMENT_UNSEALED, SHA2_256_TRUNC254_PADDED, &self.0)
    }
}

impl CommR {
    /// The CID that chains and explorers show: `bagboea4b5abc…`.
    pub fn cid(&self) -> String {
        commitment_cid(FIL_COMMITMENT_SEALED, POSEIDON_BLS12_381_A2_FC1, &self.0)
    }
}

fn commitment_cid(codec: u64, hash_code: u64, digest: &Bytes32) -> String {
    let hash = Multihash::<64>::wrap(hash_code, &digest.0).expect("32 bytes fit in 64");
    Cid::new_v1(codec, hash).to_string()
}

/// A seal proof: 192 bytes a partition, shown as hex.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SealProof(#[serde(with = "hex_serde")] pub Vec<u8>);

impl fmt::Debug for SealProof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SealProof({} bytes)", self.0.len())
    }
}

/// Hex in JSON, where people read it; plain bytes in sled, where nobody does.
mod hex_serde {
    use serde::{Deserialize, Deserializer, Serializer};

    pub fn serialize<S: Serializer>(bytes: &[u8], s: S) -> Result<S::Ok, S::Error> {
        if s.is_human_readable() {
            s.serialize_str(&hex::encode(bytes))
        } else {
            s.serialize_bytes(bytes)
        }
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Vec<u8>, D::Error> {
        if d.is_human_readable() {
            let text = String::deserialize(d)?;
            hex::decode(&text).map_err(serde::de::Error::custom)
        } else {
            Vec::<u8>::deserialize(d)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prover_id_is_leb128_padded_to_32() {
        let id = ActorId(1000).prover_id();
        assert_eq!(&id[..3], &[0xe8, 0x07, 0]);
        let largest = ActorId(u64::MAX).prover_id();
        assert_eq!(largest[9], 1);
        assert_eq!(largest[10..], [0; 22]);
    }

    #[test]
    fn cids_have_the_known_prefixes() {
        let zero = Bytes32([0; 32]);
        assert!(CommR(zero).cid().starts_with("bagboea4b5abc"));
        assert!(CommD(zero).cid().starts_with("baga6ea4seaq"));
    }

    #[test]
    fn a_miner_is_read_as_people_write_it_and_nothing_else() {
        assert_eq!("t01000".parse(), Ok(ActorId(1000)));
        assert_eq!("f01000".parse(), Ok(ActorId(1000)));
        assert_eq!("1000".parse(), Ok(ActorId(1000)));
        for bad in ["", "t0", "t1abc", "-1", "t099999999999999999999", "t0 1"] {
            assert!(bad.parse::<ActorId>().is_err(), "{bad}");
        }
    }

    #[test]
    fn bytes_survive_json_and_postcard() {
        let bytes = Bytes32([7; 32]);
        let json = serde_json::to_string(&bytes).unwrap();
        assert_eq!(json, format!("\"{}\"", "07".repeat(32)));
        assert_eq!(serde_json::from_str::<Bytes32>(&json).unwrap(), bytes);
        let packed = postcard::to_stdvec(&bytes).unwrap();
        assert_eq!(postcard::from_bytes::<Bytes32>(&packed).unwrap(), bytes);
    }
}
