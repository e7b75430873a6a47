//! Which registered proof seals which kind of sector.

use filecoin_proofs_api::{RegisteredPoStProof, RegisteredSealProof};

use crate::domain::porep::{Porep, SealKind};
use crate::domain::units::SectorSize;

/// The seal proof of this kind, and its name.
///
/// Interactive: API version 1.1, which miners use since network version 7. The synthetic ones are
/// of API version 1.2, whatever their names say (`filecoin_proofs_api::registry`).
pub fn named_seal_proof(kind: SealKind) -> (RegisteredSealProof, &'static str) {
    use RegisteredSealProof as Proof;
    use SectorSize::{GiB32, GiB64, KiB2, MiB8, MiB512};
    macro_rules! named {
        ($proof:ident) => {
            (Proof::$proof, stringify!($proof))
        };
    }
    match (kind.porep, kind.size) {
        (Porep::Interactive, KiB2) => named!(StackedDrg2KiBV1_1),
        (Porep::Interactive, MiB8) => named!(StackedDrg8MiBV1_1),
        (Porep::Interactive, MiB512) => named!(StackedDrg512MiBV1_1),
        (Porep::Interactive, GiB32) => named!(StackedDrg32GiBV1_1),
        (Porep::Interactive, GiB64) => named!(StackedDrg64GiBV1_1),
        (Porep::Synthetic, KiB2) => named!(StackedDrg2KiBV1_1_Feat_SyntheticPoRep),
        (Porep::Synthetic, MiB8) => named!(StackedDrg8MiBV1_1_Feat_SyntheticPoRep),
        (Porep::Synthetic, MiB512) => named!(StackedDrg512MiBV1_1_Feat_SyntheticPoRep),
        (Porep::Synthetic, GiB32) => named!(StackedDrg32GiBV1_1_Feat_SyntheticPoRep),
        (Porep::Synthetic, GiB64) => named!(StackedDrg64GiBV1_1_Feat_SyntheticPoRep),
        (Porep::NonInteractive, KiB2) => named!(StackedDrg2KiBV1_2_Feat_NonInteractivePoRep),
        (Porep::NonInteractive, MiB8) => named!(StackedDrg8MiBV1_2_Feat_NonInteractivePoRep),
        (Porep::NonInteractive, MiB512) => named!(StackedDrg512MiBV1_2_Feat_NonInteractivePoRep),
        (Porep::NonInteractive, GiB32) => named!(StackedDrg32GiBV1_2_Feat_NonInteractivePoRep),
        (Porep::NonInteractive, GiB64) => named!(StackedDrg64GiBV1_2_Feat_NonInteractivePoRep),
    }
}

pub fn seal_proof(kind: SealKind) -> RegisteredSealProof {
    named_seal_proof(kind).0
}

/// WindowPoSt as it is since network version 19 (API version 1.2). It does not ask how a sector was
/// sealed.
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
    use filecoin_proofs_api::ApiFeature;

    use super::*;

    #[test]
    fn every_kind_has_its_own_proof_of_that_size_and_feature() {
        for kind in SealKind::all() {
            let (proof, name) = named_seal_proof(kind);
            assert_eq!(u64::from(proof.sector_size()), kind.size.bytes());
            assert_eq!(format!("{proof:?}"), name);
            let is = |porep| kind.porep == porep;
            assert_eq!(proof.feature_enabled(ApiFeature::SyntheticPoRep), is(Porep::Synthetic));
            let without = proof.feature_enabled(ApiFeature::NonInteractivePoRep);
            assert_eq!(without, is(Porep::NonInteractive));
        }
        for size in SectorSize::ALL {
            assert_eq!(u64::from(window_post_proof(size).sector_size()), size.bytes());
        }
    }

    /// So no kind needs parameters of its own; what differs is how many SNARKs a sector takes.
    #[test]
    fn every_kind_of_a_size_is_proven_by_the_same_circuit() {
        for size in SectorSize::ALL {
            let of = |porep| seal_proof(SealKind::new(size, porep));
            let [interactive, synthetic, without] = Porep::ALL.map(of);
            let params = interactive.cache_params_path().unwrap();
            assert_eq!(synthetic.cache_params_path().unwrap(), params);
            assert_eq!(without.cache_params_path().unwrap(), params);
            let (one, many) = if size.allows_lab_parameters() { (1, 13) } else { (10, 126) };
            assert_eq!([interactive, synthetic, without].map(|p| p.partitions()), [one, one, many]);
            let known = Porep::ALL.map(|porep| SealKind::new(size, porep).partitions());
            assert_eq!(known, [one, one, many].map(u32::from));
        }
    }
}
