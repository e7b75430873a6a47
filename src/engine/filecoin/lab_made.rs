//! Making parameters in this lab. They prove nothing to anyone else.

use filecoin_proofs::constants::{
    DefaultPieceHasher, SectorShape2KiB, SectorShape8MiB, SectorShape512MiB,
};
use filecoin_proofs::parameters::public_params;
use filecoin_proofs::types::MerkleTreeTrait;
use rand_08::rngs::OsRng;
use storage_proofs_core::compound_proof::CompoundProof;
use storage_proofs_core::parameter_cache::CacheableParameters;
use storage_proofs_porep::stacked::{StackedCircuit, StackedCompound, StackedDrg};

use super::parameter_files::ParameterFiles;
use super::registered;
use crate::domain::failure::{Class, Failure};
use crate::domain::porep::{Porep, SealKind};
use crate::domain::units::SectorSize;

/// What to expect, as measured on two cores.
pub fn measured(size: SectorSize) -> &'static str {
    match size {
        SectorSize::KiB2 => "9 to 12 minutes on two cores, 5.2 GB of memory",
        SectorSize::MiB8 => "about 13 minutes on two cores, 7.2 GB of memory",
        SectorSize::MiB512 => "longer than the 13 minutes of 8 MiB, and more than 7.2 GB of memory",
        SectorSize::GiB32 | SectorSize::GiB64 => "never",
    }
}

/// Every kind of PoRep is proven by the same circuit: this one stands for all.
fn circuit_of(size: SectorSize) -> SealKind {
    SealKind::new(size, Porep::Interactive)
}

pub enum Wanted {
    All,
    Keys,
}

pub fn generate(size: SectorSize, wanted: Wanted, files: &ParameterFiles) -> Result<(), Failure> {
    let made = match size {
        SectorSize::KiB2 => generate_with_shape::<SectorShape2KiB>(size, wanted),
        SectorSize::MiB8 => generate_with_shape::<SectorShape8MiB>(size, wanted),
        SectorSize::MiB512 => generate_with_shape::<SectorShape512MiB>(size, wanted),
        SectorSize::GiB32 | SectorSize::GiB64 => {
            Err(anyhow::anyhow!("lab parameters are refused for {size}"))
        }
    };
    made.map_err(|error| {
        Failure::new(
            Class::Operator,
            "the lab parameters could not be made",
            "see that the disk has 2 GB free and the box the memory it takes, then retry",
        )
        .at(files.directory())
        .detail(format!("{error:#}"))
    })
}

/// Makes what is missing through the library's own cache, so that the names and the format are
/// its own. Dropping the result unmaps it; C2 maps the file again.
fn generate_with_shape<Tree: 'static + MerkleTreeTrait>(
    size: SectorSize,
    wanted: Wanted,
) -> anyhow::Result<()> {
    type Compound<Tree> = StackedCompound<Tree, DefaultPieceHasher>;
    type Scheme<'a, Tree> = StackedDrg<'a, Tree, DefaultPieceHasher>;
    type Circuit<Tree> = StackedCircuit<Tree, DefaultPieceHasher>;

    let public = public_params::<Tree>(&registered::seal_proof(circuit_of(size)).as_v1_config())?;
    let circuit = || {
        <Compound<Tree> as CompoundProof<'_, Scheme<'_, Tree>, Circuit<Tree>>>::blank_circuit(
            &public,
        )
    };
    Compound::<Tree>::get_param_metadata(circuit(), &public)?;
    match wanted {
        Wanted::All => {
            Compound::<Tree>::get_groth_params(Some(&mut OsRng), circuit(), &public)?;
        }
        Wanted::Keys => {}
    }
    Compound::<Tree>::get_verifying_key(None::<&mut OsRng>, circuit(), &public)?;
    Ok(())
}

/// Makes the reference string that the SNARKs of one sector are aggregated with, again through the
/// library's cache. Whoever makes it knows what nobody should: it is of use in a lab only. Some KiB.
pub fn generate_srs(size: SectorSize) -> anyhow::Result<()> {
    match size {
        SectorSize::KiB2 => generate_srs_with_shape::<SectorShape2KiB>(size),
        SectorSize::MiB8 => generate_srs_with_shape::<SectorShape8MiB>(size),
        SectorSize::MiB512 => generate_srs_with_shape::<SectorShape512MiB>(size),
        SectorSize::GiB32 | SectorSize::GiB64 => {
            Err(anyhow::anyhow!("a lab-made reference string is refused for {size}"))
        }
    }
}

fn generate_srs_with_shape<Tree: 'static + MerkleTreeTrait>(
    size: SectorSize,
) -> anyhow::Result<()> {
    type Compound<Tree> = StackedCompound<Tree, DefaultPieceHasher>;
    type Scheme<'a, Tree> = StackedDrg<'a, Tree, DefaultPieceHasher>;
    type Circuit<Tree> = StackedCircuit<Tree, DefaultPieceHasher>;

    let proof = registered::seal_proof(SealKind::new(size, Porep::NonInteractive));
    let public = public_params::<Tree>(&proof.as_v1_config())?;
    // The last SNARK is repeated until there are as many as a power of two.
    let snarks = usize::from(proof.partitions()).next_power_of_two();
    <Compound<Tree> as CompoundProof<'_, Scheme<'_, Tree>, Circuit<Tree>>>::srs_key(
        Some(&mut OsRng),
        &public,
        snarks,
    )?;
    Ok(())
}
