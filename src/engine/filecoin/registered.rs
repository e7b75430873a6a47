//! Which registered proof seals which sector size.

use filecoin_proofs_api::{RegisteredPoStProof, RegisteredSealProof};

use crate::domain::units::SectorSize;

/// Interactive PoRep, API version 1.1: the seal proof that miners use since network version 7.
pub fn seal_proof(size: SectorSize) -> RegisteredSealProof {
    match size {
        SectorSize::KiB2 => RegisteredSealProof::StackedDrg2KiBV1_1,
        SectorSize::MiB8 => RegisteredSealProof::StackedDrg8MiBV1_1,
        SectorSize::MiB512 => RegisteredSealProof::StackedDrg512MiBV1_1,
        SectorSize::GiB32 => RegisteredSealProof::StackedDrg32GiBV1_1,
        SectorSize::GiB64 => RegisteredSealProof::StackedDrg64GiBV1_1,
    }
}

/// The name of [`seal_proof`].
pub fn seal_proof_name(size: SectorSize) -> &'static str {
    match size {
        SectorSize::KiB2 => "StackedDrg2KiBV1_1",
        SectorSize::MiB8 => "StackedDrg8MiBV1_1",
        SectorSize::MiB512 => "StackedDrg512MiBV1_1",
        SectorSize::GiB32 => "StackedDrg32GiBV1_1",
        SectorSize::GiB64 => "StackedDrg64GiBV1_1",
    }
}

/// WindowPoSt as it is since network version 19 (API version 1.2).
pub fn window_post_proof(size: SectorSize) -> RegisteredPoStProof {
    match size {
        SectorSize::KiB2 => RegisteredPoStProof::StackedDrgWindow2KiBV1_2,
        SectorSize::MiB8 => RegisteredPoStProof::StackedDrgWindow8MiBV1_2,
        SectorSize::MiB512 => RegisteredPoStProof::StackedDrgWindow512MiBV1_2,
        SectorSize::GiB32 => RegisteredPoStProof::StackedDrgWindow32GiBV1_2,
        SectorSize::GiB64 => RegisteredPoStProof::StackedDrgWindow64GiBV1_2,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_size_has_its_own_proof_of_that_size() {
        for size in SectorSize::ALL {
            assert_eq!(u64::from(seal_proof(size).sector_size()), size.bytes());
            assert_eq!(u64::from(window_post_proof(size).sector_size()), size.bytes());
            assert_eq!(format!("{:?}", seal_proof(size)), seal_proof_name(size));
        }
    }
}
