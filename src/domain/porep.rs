//! The kinds of PoRep: who chooses what the proof is challenged on, and what must be kept until then.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::units::SectorSize;

/// How a sector's replica is proven. Fixed when the sector is issued: its replica id depends on it,
/// and with that every byte of it.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum Porep {
    /// The chain draws a seed after the pre-commit; layers and trees are kept until it is answered.
    #[default]
    Interactive,
    /// As that, but the seed chooses among challenges that were all answered in P2 (FIP-0059):
    /// layers and trees are dropped then.
    Synthetic,
    /// The challenges follow from comm_r (FIP-0092): no pre-commit, no seed, more to prove.
    NonInteractive,
}

impl Porep {
    pub const ALL: [Self; 3] = [Self::Interactive, Self::Synthetic, Self::NonInteractive];

    /// As it is written in `appliance.toml`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Interactive => "interactive",
            Self::Synthetic => "synthetic",
            Self::NonInteractive => "non-interactive",
        }
    }
}

impl fmt::Display for Porep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What decides which proof seals a sector, what it needs of the machine, and which files it has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SealKind {
    pub size: SectorSize,
    pub porep: Porep,
}

impl SealKind {
    pub fn new(size: SectorSize, porep: Porep) -> Self {
        Self { size, porep }
    }

    /// How many SNARKs its proof is made of.
    pub fn partitions(self) -> u32 {
        match (self.porep, self.size.allows_lab_parameters()) {
            (Porep::Interactive | Porep::Synthetic, true) => 1,
            (Porep::Interactive | Porep::Synthetic, false) => 10,
            (Porep::NonInteractive, true) => 13,
            (Porep::NonInteractive, false) => 126,
        }
    }

    /// Every size with every kind.
    pub fn all() -> impl Iterator<Item = Self> {
        let of = |size| Porep::ALL.into_iter().map(move |porep| Self { size, porep });
        SectorSize::ALL.into_iter().flat_map(of)
    }
}
