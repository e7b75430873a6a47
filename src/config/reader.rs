//! Reads a TOML document key by key.
//!
//! What is asked for is what is known: a key that nobody asked for is refused, a variable that
//! belongs to no key is refused, and neither needs a list of its own. Problems are collected, so
//! that the operator sees all of them at once.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use toml_edit::Document;

use super::problem::{Place, Problem, nearest};

/// A value, and where it was given.
#[derive(Debug, Clone)]
pub struct Got<T> {
    pub value: T,
    pub place: Place,
}

impl<T> Got<T> {
    pub fn default(value: T) -> Self {
        Self { value, place: Place::Default {} }
    }
}

/// What every environment variable of sealbox begins with.
pub const PREFIX: &str = "SEALBOX_";
/// The variable that names the file. It belongs to no key.
pub const CONFIG_VARIABLE: &str = "SEALBOX_CONFIG";
/// The variable with the command line's bearer token. No key either: a secret does not lie in a
/// configuration that pages show.
pub const TOKEN_VARIABLE: &str = "SEALBOX_TOKEN";

/// The variable that overrides a key: `web.listen` is `SEALBOX_WEB_LISTEN`.
pub fn variable_of(key: &str) -> String {
    format!("{PREFIX}{}", key.replace('.', "_").to_uppercase())
}

/// One reading of one document.
pub struct Reading<'a> {
    file: String,
    text: &'a str,
    pub document: &'a Document<&'a str>,
    /// The `SEALBOX_` variables, but those that belong to no key.
    variables: &'a BTreeMap<String, String>,
    problems: RefCell<Vec<Problem>>,
    /// Every key that was asked for.
    keys: RefCell<BTreeSet<String>>,
    /// Every variable that belongs to a key.
    names: RefCell<BTreeSet<String>>,
    unknown: RefCell<Vec<Unknown>>,
    /// Every key that was asked for and is given.
    given: RefCell<BTreeMap<String, Place>>,
}

struct Unknown {
    table: String,
    key: String,
    place: Place,
}

impl<'a> Reading<'a> {
    pub fn new(
        file: &str,
        text: &'a str,
        document: &'a Document<&'a str>,
        variables: &'a BTreeMap<String, String>,
    ) -> Self {
        Self {
            file: file.to_owned(),
            text,
            document,
            variables,
            problems: RefCell::default(),
            keys: RefCell::default(),
            names: RefCell::default(),
            unknown: RefCell::default(),
            given: RefCell::default(),
        }
    }

    pub fn refuse(&self, place: Place, key: &str, what: String, mend: String) {
        self.problems.borrow_mut().push(Problem { place, key: key.to_owned(), what, mend });
    }

    pub fn extend(&self, problems: Vec<Problem>) {
        self.problems.borrow_mut().extend(problems);
    }

    /// How many problems there are so far.
    pub fn count(&self) -> usize {
        self.problems.borrow().len()
    }

    pub fn whole_file(&self) -> Place {
        Place::File { file: self.file.clone() }
    }

    /// All problems, and all keys that were asked for.
    pub fn finish(self) -> (Vec<Problem>, BTreeSet<String>) {
        let mut problems = self.problems.take();
        let keys = self.keys.take();
        problems.extend(self.unknown.take().into_iter().map(|unknown| unknown.problem(&keys)));
        let names = self.names.take();
        for variable in self.variables.keys().filter(|name| !names.contains(*name)) {
            let near = nearest(variable, names.iter().map(String::as_str).chain([CONFIG_VARIABLE]));
            let mend = match near {
                Some(near) => format!("did you mean {near}?"),
                None => "expected a key of appliance.toml in upper case, as in SEALBOX_DATA_DIR; \
                         lists can be given in the file only"
                    .to_owned(),
            };
            problems.push(Problem {
                place: Place::Variable { variable: variable.clone() },
                key: variable.clone(),
                what: "no key has this variable".to_owned(),
                mend,
            });
        }
        (problems, keys)
    }

    /// Notes that there is such a key.
    pub fn know_key(&self, key: String) {
        self.keys.borrow_mut().insert(key);
    }

    /// Notes that a key is given.
    pub fn know_place(&self, key: &str, place: &Place) {
        self.given.borrow_mut().insert(key.to_owned(), place.clone());
    }

    /// What is given so far, and where.
    pub fn given(&self) -> BTreeMap<String, Place> {
        self.given.borrow().clone()
    }

    /// The value of a key's variable; notes that there is such a variable.
    pub fn variable(&self, name: &str) -> Option<&'a str> {
        self.names.borrow_mut().insert(name.to_owned());
        self.variables.get(name).map(String::as_str)
    }

    /// Whether there is this variable, whatever it belongs to.
    pub fn has_variable(&self, name: &str) -> bool {
        self.variables.contains_key(name)
    }

    /// Keeps an unknown key for the end, when all keys are known that it could have been.
    pub fn unknown(&self, table: &str, key: &str, place: Place) {
        let unknown = Unknown { table: table.to_owned(), key: key.to_owned(), place };
        self.unknown.borrow_mut().push(unknown);
    }

    pub fn at(&self, span: Option<Range<usize>>) -> Place {
        match span {
            Some(span) => Place::Line { file: self.file.clone(), line: line_of(self.text, span) },
            None => self.whole_file(),
        }
    }
}

/// The line a span starts on, from 1.
pub fn line_of(text: &str, span: Range<usize>) -> usize {
    let end = span.start.min(text.len());
    1 + text.as_bytes()[..end].iter().filter(|byte| **byte == b'\n').count()
}

impl Unknown {
    fn problem(self, keys: &BTreeSet<String>) -> Problem {
        let Self { table, key, place } = self;
        let split = |full: &'_ str| match full.rsplit_once('.') {
            Some((table, key)) => (table.to_owned(), key.to_owned()),
            None => (String::new(), full.to_owned()),
        };
        let known: Vec<_> = keys.iter().map(|full| split(full)).collect();
        let here = known.iter().filter(|(t, _)| *t == table).map(|(_, k)| k.as_str());
        let elsewhere = known.iter().find(|(t, k)| *k == key && *t != table);
        let mend = match (elsewhere, nearest(&key, here.clone())) {
            (Some((t, _)), _) if t.is_empty() => {
                "it stands at the top of the file, before the first [table]".to_owned()
            }
            (Some((t, _)), _) => format!("it belongs to [{t}]"),
            (None, Some(near)) => format!("did you mean `{near}`?"),
            (None, None) => format!("expected one of: {}", here.collect::<Vec<_>>().join(", ")),
        };
        let full = if table.is_empty() { key } else { format!("{table}.{key}") };
        Problem { place, what: format!("unknown key `{full}`"), key: full, mend }
    }
}
