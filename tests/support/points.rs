//! Boxes that die at named points of the program, and where those points are.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use sealbox::domain::event::Event;
use sealbox::domain::layout::{Scratch, StorageRoot, is_part};
use sealbox::domain::sector::Sector;
use serde_json::{Value, json};

use super::ledger::{HELD, Past};
use super::{Lab, files, left_on};

/// Every point in the sources, with the file that it is in. Each name is one place's.
pub fn in_sources() -> BTreeMap<String, PathBuf> {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut points = BTreeMap::new();
    for file in files(&src) {
        let text = fs::read_to_string(src.join(&file)).unwrap_or_default();
        for rest in text.split("die_at(\"").skip(1) {
            let point = rest.split('"').next().expect("a first part").to_owned();
            if let Some(other) = points.insert(point.clone(), file.clone()) {
                panic!("{point} is in {} and in {}", other.display(), file.display());
            }
        }
    }
    assert!(points.len() > 50, "the points were not found: {points:?}");
    points
}

/// How a run of the box ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Went {
    DiedAt(String),
    /// It was over, and it stopped when it was told to.
    Through,
}

impl Went {
    pub fn died_at(&self, point: &str) -> bool {
        *self == Self::DiedAt(point.to_owned())
    }
}

/// For the variable FAILPOINTS: to die at this point, passing it so many times before.
pub fn at(point: &str, passing: usize) -> String {
    format!("{point}={passing}*off->return")
}

/// Runs the box until it dies at one of these points, given as the variable FAILPOINTS has them,
/// or until `is_over`; then it is stopped, and may still die on the way out.
pub fn run(
    lab: &mut Lab,
    points: &str,
    patience: Duration,
    is_over: impl Fn(&Lab) -> bool,
) -> Went {
    let parameters = super::parameters();
    let parameters = parameters.to_str().expect("a path in UTF-8");
    lab.launch(&[("FAILPOINTS", points), ("FIL_PROOFS_PARAMETER_CACHE", parameters)]);
    let start = Instant::now();
    let mut stopping = false;
    loop {
        if let Some(status) = lab.ended() {
            return match (status.signal(), status.code()) {
                (Some(9), _) => Went::DiedAt(last_words(lab)),
                (None, Some(0)) if stopping => Went::Through,
                _ => {
                    panic!("FAILPOINTS={points:?}: the box ended with {status}: {}", lab.messages())
                }
            };
        }
        retry_what_is_held(lab);
        if !stopping && is_over(lab) {
            lab.signal("-TERM");
            stopping = true;
        }
        if start.elapsed() > patience {
            panic!("FAILPOINTS={points:?}: no end: {:?}\n{}", lab.history(0), lab.messages());
        }
        std::thread::sleep(super::LOOK_EVERY);
    }
}

/// What is said of a task that the box died under again and again: here it is the point of it all.
fn is_held(attention: &Value) -> bool {
    attention.as_str().is_some_and(|words| words.contains(HELD))
}

fn retry_what_is_held(lab: &Lab) {
    if is_held(&lab.sector(0)["attention"]) {
        // The box may die before it answers; and what is held is asked for again then.
        drop(ureq::post(lab.url("/api/v1/sectors/0/retry")).send_json(json!({})));
    }
}

/// What it said before it killed itself: without it, it was somebody else who killed it.
fn last_words(lab: &Lab) -> String {
    let messages = lab.messages();
    let said = messages.lines().rev().find_map(|line| line.strip_prefix("died at "));
    said.unwrap_or_else(|| panic!("killed, and not by itself: {messages}")).to_owned()
}

pub fn is_finished(lab: &Lab) -> bool {
    let sector = lab.sector(0);
    let attention = &sector["attention"];
    assert!(attention.is_null() || is_held(attention), "it needs a person: {attention}");
    sector["state"] == "finished"
}

/// What is wrong with a box of one sector that is over: its history, its scratch, what was left.
/// The box does not run. `expected` is what failures may say.
pub fn wrong(lab: &Lab, expected: &[&str]) -> Vec<String> {
    let data = lab.path("sealbox-data");
    let past = Past::read(&data);
    let mut wrong = past.failures_but(expected);
    wrong.extend(past.labelled_twice());
    let verified = lab.json(&["journal", "verify"]);
    if verified["entries"] != past.entries.len() {
        wrong.push(format!("the journal: {verified}"));
    }
    if past.sectors.len() != 1 || !past.is_all_done() {
        wrong.push(format!("{} sectors, unfinished: {:?}", past.sectors.len(), past.unfinished()));
    }
    for sector in past.sectors.values() {
        wrong.extend(undeclared(&past, sector, &data));
    }
    let left = left_on(&data.join("scratch"));
    wrong.extend(left.iter().map(|file| format!("left on scratch: {}", file.display())));
    wrong.extend(litter(&data));
    wrong
}

/// What was there to be deleted and whose deletion is not on record.
fn undeclared(past: &Past, sector: &Sector, data: &Path) -> Vec<String> {
    let scratch = Scratch::new(data.join("scratch"));
    let recorded = |path: &Path| {
        past.events().any(
            |(_, _, event)| matches!(event, Event::Deleted { path: at, .. } if at.ends_with(path)),
        )
    };
    [scratch.cache_dir(sector.id), scratch.replica(sector.id)]
        .iter()
        .filter(|path| !recorded(path.strip_prefix(lab_of(data)).expect("below the lab")))
        .map(|path| format!("{} was deleted without a word", path.display()))
        .collect()
}

fn lab_of(data: &Path) -> &Path {
    data.parent().expect("the lab's directory")
}

/// What an interrupted write or copy left and nobody took away.
fn litter(data: &Path) -> Vec<String> {
    let is_litter = |file: &PathBuf| {
        let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let torn = name.starts_with('.') && name.ends_with(".tmp");
        (torn || is_part(file) || name == "sealbox-copying") && !is_probe(file)
    };
    let found = files(data).into_iter().filter(is_litter);
    found.map(|file| format!("litter: {}", file.display())).collect()
}

/// Goes with a start that is a minute later.
fn is_probe(file: &Path) -> bool {
    file.to_string_lossy().contains(".sealbox-probe-")
}

/// The storage of the lab.
pub fn storage(lab: &Lab) -> StorageRoot {
    StorageRoot::new(lab.path("sealbox-data/storage"))
}
