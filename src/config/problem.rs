//! What is wrong with a configuration, and where: what the operator reads.

use std::fmt;

use serde::Serialize;

/// Where a value was given.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(untagged)]
pub enum Place {
    /// A line of the file, from 1.
    Line { file: String, line: usize },
    /// The file as a whole.
    File { file: String },
    /// An environment variable.
    Variable { variable: String },
    /// Nowhere: the value is the default.
    Default {},
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Line { file, line } => write!(f, "{file}:{line}"),
            Self::File { file } => f.write_str(file),
            Self::Variable { variable } => write!(f, "environment variable {variable}"),
            Self::Default {} => f.write_str("default"),
        }
    }
}

/// One thing that is wrong: where, what was found, and what is right.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Problem {
    #[serde(flatten)]
    pub place: Place,
    /// The key with its table, as in `web.listen`; empty if the file as a whole is meant.
    pub key: String,
    pub what: String,
    pub mend: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}; {}", self.place, self.what, self.mend)
    }
}

/// Everything that is wrong, in the order of the file. Never empty.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct ConfigErrors(Vec<Problem>);

impl ConfigErrors {
    /// What to do about all of it.
    pub const MEND: &str = "mend this, and check it with `sealbox check-config`";

    pub(super) fn new(mut problems: Vec<Problem>) -> Self {
        problems.sort();
        Self(problems)
    }

    /// A problem of the file as a whole.
    pub(super) fn of_file(file: &str, what: impl Into<String>, mend: impl Into<String>) -> Self {
        let place = Place::File { file: file.to_owned() };
        Self(vec![Problem { place, key: String::new(), what: what.into(), mend: mend.into() }])
    }

    pub fn problems(&self) -> &[Problem] {
        &self.0
    }
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("sealbox cannot use this configuration:")?;
        for problem in &self.0 {
            write!(f, "\n  {problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigErrors {}

/// The candidate nearest to what was written, if any is near enough to be what was meant.
pub(super) fn nearest<'a>(
    written: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    const NEAR: f64 = 0.6;
    let written = written.to_lowercase();
    candidates
        .into_iter()
        .map(|c| (strsim::normalized_damerau_levenshtein(&written, &c.to_lowercase()), c))
        .filter(|(score, _)| *score >= NEAR)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, candidate)| candidate)
}

/// What was expected, with the nearest of the choices to what was written.
pub fn with_nearest(expected: &str, written: &str, choices: &[&str]) -> String {
    match nearest(written, choices.iter().copied()) {
        Some(near) => format!("{expected}; did you mean {near:?}?"),
        None => expected.to_owned(),
    }
}
