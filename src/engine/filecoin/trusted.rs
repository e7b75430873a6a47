//! The files of the trusted set-up, as the proofs library's own table has them.

use filecoin_proofs_api::{RegisteredPoStProof, RegisteredSealProof};
use storage_proofs_core::parameter_cache::get_parameter_data_from_id;

use super::parameter_files::ParameterFiles;
use super::{registered, srs};
use crate::domain::failure::{Class, Failure};
use crate::domain::porep::{Porep, SealKind};
use crate::domain::units::SectorSize;

/// One file: by which name it is kept, and by which it is fetched and known again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrustedFile {
    pub name: String,
    /// Its address in IPFS, as text.
    pub cid: String,
    /// The first 16 bytes of its BLAKE2b-512, in hex
    /// (`storage_proofs_core::parameter_cache::verify_production_entry`).
    pub digest: String,
}

/// What sealing this kind takes, and if asked for what WindowPoSt takes as well. A verifying key
/// stands before its parameters: whoever waits for those finds it there.
///
/// # Errors
/// The library's table does not have them.
pub fn trusted_set_up(kind: SealKind, with_post: bool) -> Result<Vec<TrustedFile>, Failure> {
    let mut circuits = vec![seal_files(kind.size)?];
    if with_post {
        circuits.push(window_post_files(kind.size)?);
    }
    let srs = match kind.porep {
        Porep::Interactive | Porep::Synthetic => None,
        Porep::NonInteractive => Some(srs::trusted().ok_or_else(|| unknown("aggregation"))?),
    };
    let names = circuits.iter().flat_map(|files| [&files.verifying_key, &files.params]);
    names
        .map(|path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let entry = get_parameter_data_from_id(&name).ok_or_else(|| unknown(&name))?;
            let (cid, digest) = (entry.cid.clone(), entry.digest.clone());
            Ok(TrustedFile { name, cid, digest })
        })
        .chain(srs.map(Ok))
        .collect()
}

fn unknown(name: &str) -> Failure {
    let what = format!("the proofs library knows of no trusted set-up for {name}");
    Failure::new(Class::Operator, what, "report this as a bug of sealbox")
}

/// Where the library looks for what C2 takes; the kinds of PoRep have that in common.
pub fn seal_files(size: SectorSize) -> Result<ParameterFiles, Failure> {
    let proof: RegisteredSealProof =
        registered::seal_proof(SealKind::new(size, Porep::Interactive));
    proof.cache_params_path().map(ParameterFiles::beside).map_err(|error| no_name(&error))
}

fn window_post_files(size: SectorSize) -> Result<ParameterFiles, Failure> {
    let proof: RegisteredPoStProof = registered::window_post_proof(size);
    proof.cache_params_path().map(ParameterFiles::beside).map_err(|error| no_name(&error))
}

fn no_name(error: &anyhow::Error) -> Failure {
    Failure::new(
        Class::Operator,
        "the proofs library has no name for this size's parameters",
        "report this as a bug of sealbox",
    )
    .detail(format!("{error:#}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_library_has_every_file_of_every_size() {
        for size in SectorSize::ALL {
            let kind = SealKind::new(size, Porep::Interactive);
            let files = trusted_set_up(kind, true).unwrap();
            let ends: Vec<_> = files.iter().map(|file| file.name.rsplit('.').next()).collect();
            assert_eq!(ends, [Some("vk"), Some("params"), Some("vk"), Some("params")], "{size}");
            assert!(files[1].name.contains("stacked-proof-of-replication"), "{:?}", files[1]);
            assert!(files[3].name.contains("proof-of-spacetime"), "{:?}", files[3]);
            for file in &files {
                assert!(file.cid.starts_with("Qm") && file.digest.len() == 32, "{file:?}");
            }
            assert_eq!(trusted_set_up(kind, false).unwrap(), files[..2]);
            let aggregated = SealKind::new(size, Porep::NonInteractive);
            let with_srs = trusted_set_up(aggregated, false).unwrap();
            assert_eq!(with_srs[..2], files[..2]);
            assert_eq!(with_srs[2].name, "v28-fil-inner-product-v1.srs");
        }
    }
}
