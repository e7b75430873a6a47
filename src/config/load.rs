//! Finds the file, reads it, and puts the environment over it.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::io::Read;
use std::path::{Path, PathBuf};

use toml_edit::Document;

use super::problem::{ConfigErrors, Place, Problem};
use super::reader::{CONFIG_VARIABLE, PREFIX, Reading, TOKEN_VARIABLE, line_of};
use super::table::Table;
use super::{Config, Source, read};

/// The repository's own file: the default, and the documentation.
pub const BUILT_IN: &str = include_str!("../../appliance.toml");
/// The last place where a file is looked for.
pub const SYSTEM_FILE: &str = "/etc/sealbox/appliance.toml";

const LOCAL_FILE: &str = "appliance.toml";
const BUILT_IN_NAME: &str = "built-in appliance.toml";
/// The proofs library's own variable for where it keeps its parameters.
const PARAMETER_CACHE: &str = "FIL_PROOFS_PARAMETER_CACHE";
/// No configuration is as long as this; a disk image given by mistake is.
const LONGEST: u64 = 1 << 20;

impl Config {
    /// The configuration that this environment asks for.
    ///
    /// The file is `file` (of `--config`), else what `SEALBOX_CONFIG` names, else
    /// `appliance.toml` in `current_dir`, else [`SYSTEM_FILE`], else [`BUILT_IN`]. A file that was
    /// named has to be there. `environment` is [`std::env::vars_os`], or a test's own.
    ///
    /// # Errors
    /// Everything that is wrong with the file and the variables, at once.
    pub fn load(
        file: Option<&Path>,
        environment: impl IntoIterator<Item = (OsString, OsString)>,
        current_dir: &Path,
    ) -> Result<Self, ConfigErrors> {
        let mut environment = Environment::of(environment)?;
        // The proofs library's variable means the same to it and to us.
        let cache = environment.parameter_cache.take();
        environment.parameter_cache = cache.map(|cache| current_dir.join(cache));
        let named = file.map(Path::to_path_buf).or_else(|| environment.config.clone());
        match find(named, current_dir) {
            Some(path) => {
                let name = path.display().to_string();
                let text = read_text(&path)?;
                let base = path.parent().unwrap_or(current_dir).to_path_buf();
                parse(&text, &name, Source::File(path), &base, environment)
                    .map(|(config, _)| config)
            }
            None => {
                let source = Source::BuiltIn;
                parse(BUILT_IN, BUILT_IN_NAME, source, current_dir, environment)
                    .map(|(config, _)| config)
            }
        }
    }
}

fn find(named: Option<PathBuf>, current_dir: &Path) -> Option<PathBuf> {
    if let Some(named) = named {
        return Some(current_dir.join(named));
    }
    // A link that leads nowhere is there too, and is complained of: it was meant to be used.
    [current_dir.join(LOCAL_FILE), PathBuf::from(SYSTEM_FILE)]
        .into_iter()
        .find(|path| path.symlink_metadata().is_ok())
}

/// What concerns sealbox of an environment.
#[derive(Debug, Default)]
pub(super) struct Environment {
    config: Option<PathBuf>,
    parameter_cache: Option<PathBuf>,
    /// All other `SEALBOX_` variables.
    variables: BTreeMap<String, String>,
}

impl Environment {
    pub(super) fn of(
        pairs: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> Result<Self, ConfigErrors> {
        let mut environment = Self::default();
        let mut problems = Vec::new();
        for (name, value) in pairs {
            // Names that are not text are nobody's here.
            let Ok(name) = name.into_string() else { continue };
            if name == CONFIG_VARIABLE {
                environment.config = Some(value.into());
            } else if name == PARAMETER_CACHE && !value.is_empty() {
                environment.parameter_cache = Some(value.into());
            } else if name.starts_with(PREFIX) && name != TOKEN_VARIABLE {
                match value.into_string() {
                    Ok(value) => {
                        environment.variables.insert(name, value);
                    }
                    Err(_) => problems.push(Problem {
                        place: Place::Variable { variable: name.clone() },
                        key: name,
                        what: "the value is not text".to_owned(),
                        mend: "expected UTF-8".to_owned(),
                    }),
                }
            }
        }
        if problems.is_empty() { Ok(environment) } else { Err(ConfigErrors::new(problems)) }
    }
}

fn read_text(path: &Path) -> Result<String, ConfigErrors> {
    const ELSE: &str = "name another file with `--config`, or mend this one";
    let name = path.display().to_string();
    let refused = |what: String, mend: &str| ConfigErrors::of_file(&name, what, mend);
    if path.is_dir() {
        return Err(refused("this is a directory".to_owned(), "name the file in it"));
    }
    let mut bytes = Vec::new();
    std::fs::File::open(path)
        .and_then(|file| file.take(LONGEST + 1).read_to_end(&mut bytes))
        .map_err(|error| {
            let mend = match error.kind() {
                std::io::ErrorKind::NotFound => {
                    "see that the path is right; without a file, and none named, sealbox uses its \
                     built-in configuration"
                }
                std::io::ErrorKind::PermissionDenied => {
                    "give the user that runs sealbox read access to it"
                }
                _ => ELSE,
            };
            refused(format!("cannot be read: {error}"), mend)
        })?;
    if bytes.len() as u64 > LONGEST {
        return Err(refused("longer than 1 MiB, so not a configuration".to_owned(), ELSE));
    }
    let text = String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        refused(format!("not a text file: byte {at} is not UTF-8"), ELSE)
    })?;
    if text.trim().is_empty() {
        return Err(refused(
            "the file is empty".to_owned(),
            "put at least one key in it, or remove it: without a file sealbox uses its built-in \
             configuration",
        ));
    }
    Ok(text)
}

/// Also returns every key that was asked for.
pub(super) fn parse(
    text: &str,
    name: &str,
    source: Source,
    base: &Path,
    environment: Environment,
) -> Result<(Config, BTreeSet<String>), ConfigErrors> {
    let document = Document::parse(text).map_err(|error| {
        let line = error.span().map(|span| line_of(text, span));
        let file = name.to_owned();
        ConfigErrors::new(vec![Problem {
            place: match line {
                Some(line) => Place::Line { file, line },
                None => Place::File { file },
            },
            key: String::new(),
            what: format!("not TOML: {}", error.message().replace('\n', ", ")),
            mend: "mend this line; the `appliance.toml` that comes with sealbox shows how every \
                   key is written"
                .to_owned(),
        }])
    })?;
    let reading = Reading::new(name, text, &document, &environment.variables);
    let config = Table::read_root(&reading, |root| {
        read::config(root, source, base, environment.parameter_cache)
    });
    let config = Config { given: reading.given(), ..config };
    let (problems, keys) = reading.finish();
    if problems.is_empty() { Ok((config, keys)) } else { Err(ConfigErrors::new(problems)) }
}
