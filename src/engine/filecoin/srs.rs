//! The reference string that the SNARKs of a non-interactive proof are aggregated with: one file for
//! all sizes, of the trusted set-up or lab-made.

use std::path::Path;

use storage_proofs_core::parameter_cache::{
    get_srs_parameter_data_from_id, parameter_cache_srs_key_path,
};

use super::lab_made::generate_srs;
use super::parameter_files::{Digest, ParameterFiles, has_digest_of, hold};
use super::params::now;
use super::trusted::TrustedFile;
use crate::domain::failure::{Class, Failure};
use crate::domain::units::SectorSize;
use crate::engine::files;

/// Where the library looks for it. Of these names only the file's own, the marker's and the lock's
/// are used.
pub fn files() -> ParameterFiles {
    // One for every circuit and number of proofs.
    ParameterFiles::beside(parameter_cache_srs_key_path("", 0))
}

/// The trusted set-up's, as the library's own table has it.
pub fn trusted() -> Option<TrustedFile> {
    let name = files().params.file_name()?.to_string_lossy().into_owned();
    let entry = get_srs_parameter_data_from_id(&name)?;
    let (cid, digest) = (entry.cid.clone(), entry.digest.clone());
    Some(TrustedFile { name, cid, digest })
}

/// Has it there for this size, or says what to do. A lab's is made if need be: that is a matter of
/// milliseconds, so one that nobody vouches for is simply made anew.
///
/// # Errors
/// Operator: it is not there and has to be brought (an answer of its own), or the disk.
pub fn make_ready(size: SectorSize, waiting: impl FnOnce()) -> Result<Ready, Failure> {
    let files = files();
    if !size.allows_lab_parameters() {
        return if is_trusted(&files)? {
            Ok(Ready::There)
        } else {
            Ok(Ready::Awaited(to_bring(&files, size)))
        };
    }
    let _held = hold(&files.lock, waiting)?;
    if is_marked(&files)? || is_trusted(&files)? {
        return Ok(Ready::There);
    }
    files.set_aside(&[&files.marker, &files.params], now())?;
    generate_srs(size).map_err(|error| {
        Failure::new(
            Class::Operator,
            "the lab's aggregation key could not be made",
            "see that the parameters' disk has room and can be written, then retry",
        )
        .at(&files.params)
        .detail(format!("{error:#}"))
    })?;
    files::sync_file(&files.params)?;
    files::sync_directory(files.directory())?;
    files::write_json(&files.marker, &Digest::of(&files.params)?)?;
    Ok(Ready::There)
}

/// Whether it can be used.
#[derive(Debug)]
pub enum Ready {
    There,
    /// A person has to bring it.
    Awaited(Failure),
}

/// Made here, and whole.
fn is_marked(files: &ParameterFiles) -> Result<bool, Failure> {
    match files::read_json::<Digest>(&files.marker) {
        Ok(digest) => digest.is_of(&files.params),
        Err(files::Unreadable::Io(error)) => {
            Err(Failure::io("reading the marker of the aggregation key", &files.marker, &error))
        }
        Err(files::Unreadable::Absent | files::Unreadable::Damaged(_)) => Ok(false),
    }
}

fn is_trusted(files: &ParameterFiles) -> Result<bool, Failure> {
    Ok(files::length(&files.params)?.is_some()
        && has_digest_of(&files.params, get_srs_parameter_data_from_id)?)
}

fn to_bring(files: &ParameterFiles, size: SectorSize) -> Failure {
    let mend = format!(
        "fetch it with the other parameters: `sealbox params fetch --sector-size {}` with \
         `porep = \"non-interactive\"` in the configuration; sealbox goes on by itself then",
        size.name()
    );
    let what = "the trusted set-up's aggregation key is missing, or this is another one";
    Failure::new(Class::Operator, what, mend).at(&files.params)
}

/// Whether it lies in this directory, looked at without reading it.
///
/// # Errors
/// The directory cannot be read.
pub fn find(dir: &Path) -> Result<bool, Failure> {
    let name = files().params.file_name().map(|name| dir.join(name));
    name.map_or(Ok(false), |file| Ok(files::length(&file)?.is_some()))
}
