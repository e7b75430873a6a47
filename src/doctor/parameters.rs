//! The Groth parameters and the parents cache: there, of which kind, and with room to be made.

use super::Check;
use crate::config::{Config, EngineConfig};
use crate::domain::porep::Porep;
use crate::domain::units::{ByteSize, SectorSize};
use crate::engine::filecoin::{Found, find_parameters, find_srs};
use crate::storage::disk;

pub fn checks(config: &Config) -> Vec<Check> {
    match &config.engine {
        EngineConfig::Simulated(_) => {
            vec![Check::ok("parameters", "not needed: the engine is simulated")]
        }
        EngineConfig::Filecoin => {
            std::iter::once(parameters(config)).chain(aggregation(config)).collect()
        }
    }
}

/// What the parameters of a size take, about: measured for those that a lab makes, the trusted
/// set-up's `v28` files for the others.
fn bytes(size: SectorSize) -> ByteSize {
    match size {
        SectorSize::KiB2 | SectorSize::MiB8 | SectorSize::MiB512 => ByteSize(6 << 28),
        SectorSize::GiB32 | SectorSize::GiB64 => ByteSize(120 << 30),
    }
}

fn parameters(config: &Config) -> Check {
    let size = config.sector_size;
    let of = format!("parameters {size}");
    let dir = config.parameters.display();
    let room = config.parameters.ancestors().find_map(|dir| disk::available(dir).ok());
    match find_parameters(&config.parameters, size) {
        Ok(Found::LabMade { bytes }) => Check::ok(
            of,
            format!("lab-made, {bytes} in {dir}; proofs with them prove nothing to anyone else"),
        ),
        Ok(Found::Unmarked { bytes }) => Check::ok(
            of,
            format!(
                "{bytes} in {dir}; their digest is compared with the trusted set-up's at the start"
            ),
        ),
        Ok(Found::Absent) if room.is_some_and(|room| room < bytes(size)) => Check::stop(
            of,
            format!("not there, and {dir} has no room for {}", bytes(size)),
            "free space there, or name another directory in FIL_PROOFS_PARAMETER_CACHE",
        ),
        Ok(Found::Absent) if size.allows_lab_parameters() => Check::ok(
            of,
            format!(
                "not there yet: made in {dir} at the start, once, about ten minutes on two cores"
            ),
        ),
        Ok(Found::Absent) => Check::stop(
            of,
            format!("those of the trusted set-up are not in {dir}: C2 cannot run without them"),
            format!("`sealbox params fetch --sector-size {}`", size.name()),
        ),
        Err(failure) => Check::failed(of, &failure),
    }
}

/// What non-interactive PoRep takes beside them.
fn aggregation(config: &Config) -> Option<Check> {
    match config.porep {
        Porep::Interactive | Porep::Synthetic => return None,
        Porep::NonInteractive => {}
    }
    let (size, of) = (config.sector_size, "aggregation key");
    let dir = config.parameters.display();
    Some(match find_srs(&config.parameters) {
        Ok(true) => Check::ok(of, format!("in {dir}; its digest is compared at the start")),
        Ok(false) if size.allows_lab_parameters() => {
            Check::ok(of, format!("not there yet: made in {dir} at the start, in no time"))
        }
        Ok(false) => Check::stop(
            of,
            format!("that of the trusted set-up is not in {dir}: C2 cannot run without it"),
            format!("`sealbox params fetch --sector-size {}`", size.name()),
        ),
        Err(failure) => Check::failed(of, &failure),
    })
}
