//! What the proofs library must find in the environment, and what it found.
//!
//! The library reads its settings once, at first use: defaults, then
//! `./rust-fil-proofs.config.toml` in the working directory, then `FIL_PROOFS_*`
//! (`storage_proofs_core::settings`). So what is set here beats that file, and what the operator
//! set in the environment beats both.

use std::ffi::OsString;
use std::panic::catch_unwind;
use std::path::{Path, PathBuf};

use storage_proofs_core::settings::{DEFAULT_ROWS_TO_DISCARD, SETTINGS};

use crate::domain::failure::{Class, Failure};

/// The Groth parameters' directory.
pub const PARAMETER_CACHE: &str = "FIL_PROOFS_PARAMETER_CACHE";
/// The directory of the graph's parents, of which P1 makes one file for each sector size.
pub const PARENT_CACHE: &str = "FIL_PROOFS_PARENT_CACHE";
/// The older variable for the same: a prefix, to which the library appends `filecoin-parents`.
pub const CACHE_DIR: &str = "FIL_PROOFS_CACHE_DIR";
/// Whether P1 checks the parents' file by its digest before it uses it.
pub const VERIFY_CACHE: &str = "FIL_PROOFS_VERIFY_CACHE";
/// How much of tree-r-last is not kept.
pub const ROWS_TO_DISCARD: &str = "FIL_PROOFS_ROWS_TO_DISCARD";

/// The library's own settings file, in the working directory.
pub const CONFIG_FILE: &str = "rust-fil-proofs.config.toml";

/// One variable to set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Variable {
    pub key: &'static str,
    pub value: OsString,
}

/// What has to be set before the first thread starts. Both directories should be absolute.
/// `is_set` says whether a variable is in the environment already; those are left alone.
pub fn prepare(parameters: &Path, parents: &Path, is_set: impl Fn(&str) -> bool) -> Vec<Variable> {
    let mut wanted = vec![(PARAMETER_CACHE, parameters.as_os_str().to_owned())];
    if !is_set(CACHE_DIR) {
        wanted.push((PARENT_CACHE, parents.as_os_str().to_owned()));
    }
    // The file gets its full length first and its contents then: one whose making was killed
    // looks finished, and would spoil every sector after it. The digest tells, and the library
    // makes it again.
    wanted.push((VERIFY_CACHE, "true".into()));
    // Said aloud, so that a settings file cannot change the layout that storage relies on.
    wanted.push((ROWS_TO_DISCARD, DEFAULT_ROWS_TO_DISCARD.to_string().into()));
    wanted
        .into_iter()
        .filter(|(key, _)| !is_set(key))
        .map(|(key, value)| Variable { key, value })
        .collect()
}

/// Sets the variables.
///
/// # Safety
/// No other thread may run: others may be reading the environment. To be called first thing in
/// `main`, before the runtime, the log and the workers.
pub unsafe fn set(variables: &[Variable]) {
    for variable in variables {
        // SAFETY: the caller vouches that this is the only thread.
        unsafe { std::env::set_var(variable.key, &variable.value) };
    }
}

/// What the library goes by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InForce {
    pub parameters: PathBuf,
    pub parents: PathBuf,
    /// The library's settings file, if one lies in the working directory: it may change what
    /// sealbox does not set.
    pub config_file: Option<PathBuf>,
}

/// Has the library read its settings now, rather than hours later in some phase, and refuses what
/// it cannot work with.
pub fn read_back() -> Result<InForce, Failure> {
    let config_file = std::env::current_dir().ok().map(|dir| dir.join(CONFIG_FILE));
    let config_file = config_file.filter(|file| file.exists());
    // The library panics on a setting that it cannot parse.
    let read = catch_unwind(|| {
        let settings = &*SETTINGS;
        (
            PathBuf::from(&settings.parameter_cache),
            PathBuf::from(&settings.parent_cache),
            settings.rows_to_discard,
        )
    });
    let refused = |what: &str, mend: String| {
        let failure = Failure::new(Class::Operator, what, mend);
        match &config_file {
            Some(file) => failure.at(file),
            None => failure,
        }
    };
    let (parameters, parents, rows_to_discard) = read.map_err(|_| {
        refused(
            "the proofs library cannot read its settings",
            format!("correct or remove {CONFIG_FILE} and the FIL_PROOFS_… variables"),
        )
    })?;
    if rows_to_discard != DEFAULT_ROWS_TO_DISCARD {
        return Err(refused(
            "tree-r-last is set to a layout that sealbox does not know",
            format!("unset {ROWS_TO_DISCARD}, or set it to {DEFAULT_ROWS_TO_DISCARD}"),
        ));
    }
    Ok(InForce { parameters, parents, config_file })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(set: &[&str]) -> Vec<&'static str> {
        prepare(Path::new("/p"), Path::new("/c"), |key| set.contains(&key))
            .into_iter()
            .map(|variable| variable.key)
            .collect()
    }

    #[test]
    fn every_setting_that_a_seal_depends_on_is_made() {
        assert_eq!(keys(&[]), [PARAMETER_CACHE, PARENT_CACHE, VERIFY_CACHE, ROWS_TO_DISCARD]);
        let made = prepare(Path::new("/p"), Path::new("/c"), |_| false);
        assert_eq!(made[0].value, "/p");
        assert_eq!(made[1].value, "/c");
    }

    #[test]
    fn what_the_operator_set_is_left_alone() {
        for key in [PARAMETER_CACHE, PARENT_CACHE, VERIFY_CACHE, ROWS_TO_DISCARD] {
            assert!(!keys(&[key]).contains(&key), "{key}");
        }
        assert!(!keys(&[CACHE_DIR]).contains(&PARENT_CACHE));
    }

    #[test]
    fn the_library_knows_the_settings_by_these_names() {
        let known = serde_json::to_value(storage_proofs_core::settings::Settings::default());
        let known = known.unwrap();
        for key in [PARAMETER_CACHE, PARENT_CACHE, VERIFY_CACHE, ROWS_TO_DISCARD] {
            let field = key.strip_prefix("FIL_PROOFS_").unwrap().to_lowercase();
            assert!(known.get(&field).is_some(), "{field}");
        }
    }

    #[test]
    fn the_library_goes_by_the_environment() {
        let in_force = read_back().unwrap();
        if let Some(set) = std::env::var_os(PARAMETER_CACHE) {
            assert_eq!(in_force.parameters, set);
        }
        if let Some(set) = std::env::var_os(PARENT_CACHE) {
            assert_eq!(in_force.parents, set);
        }
        assert!(in_force.config_file.is_none());
    }
}
