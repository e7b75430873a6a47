//! What a box acknowledged, and whether its journal and its disks still hold all of it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use sealbox::domain::event::{BoxEvent, Entry, Event, Happened, Output};
use sealbox::domain::failure::Failure;
use sealbox::domain::layout::{
    CacheFile, Scratch, StorageRoot, cache_files_after_p2, stored_files, trash_of,
};
use sealbox::domain::order::BoxState;
use sealbox::domain::pipeline::{self, Stamp};
use sealbox::domain::sector::{Cleaning, GiveUp, Sector, Stage, StoredAt};
use sealbox::domain::units::Seq;
use serde::Deserialize;
use serde_json::Value;

/// How it begins what is said of a task that the box died under again and again.
pub const HELD: &str = "sealbox died ";

/// The history as the journal's own lines tell it, folded by the domain alone.
#[derive(Default)]
pub struct Past {
    pub box_state: BoxState,
    pub sectors: BTreeMap<u64, Sector>,
    pub entries: Vec<Entry>,
}

impl Past {
    /// Reads a data directory, whether or not a box runs there. A last line that is being written,
    /// or was torn, is left out. Panics where the history has a gap or does not follow.
    pub fn read(data: &Path) -> Self {
        #[derive(Deserialize)]
        struct Line {
            entries: Vec<Entry>,
        }
        let mut past = Self::default();
        let files = journal_files(data);
        for (nth, file) in files.iter().enumerate() {
            let bytes = fs::read(file).expect("a journal file");
            let whole = bytes.iter().rposition(|byte| *byte == b'\n').unwrap_or(0);
            let mut lines = bytes[..whole].split(|byte| *byte == b'\n').peekable();
            while let Some(line) = lines.next() {
                match serde_json::from_slice::<Line>(line) {
                    Ok(line) => line.entries.into_iter().for_each(|entry| past.take(entry)),
                    Err(_) if nth + 1 == files.len() && lines.peek().is_none() => {}
                    Err(error) => panic!("{}: {error}", file.display()),
                }
            }
        }
        past
    }

    fn take(&mut self, entry: Entry) {
        assert_eq!(entry.seq, Seq(self.box_state.seq.0 + 1), "the history has a gap");
        self.box_state = self.box_state.apply(&entry).expect("what follows");
        if let Happened::Sector { number, event } = &entry.happened {
            let stamp = Stamp { seq: entry.seq, at: entry.at };
            let before = self.sectors.get(&number.0);
            let after = pipeline::fold(before, *number, stamp, event).expect("what follows").0;
            self.sectors.insert(number.0, after);
        }
        self.entries.push(entry);
    }

    pub fn unfinished(&self) -> Vec<u64> {
        let open = |sector: &&Sector| !sector.stage.is_over();
        self.sectors.values().filter(open).map(|sector| sector.id.number.0).collect()
    }

    pub fn is_all_done(&self) -> bool {
        self.box_state.orders.is_empty() && self.unfinished().is_empty()
    }

    /// The events of sectors, in order.
    pub fn events(&self) -> impl Iterator<Item = (Seq, u64, &Event)> {
        self.entries.iter().filter_map(|entry| match &entry.happened {
            Happened::Sector { number, event } => Some((entry.seq, number.0, event)),
            Happened::Box(_) => None,
        })
    }

    /// Attempts that failed for another reason than those named, or than that the box died.
    pub fn failures_but(&self, expected: &[&str]) -> Vec<String> {
        let is_expected = |failure: &Failure| {
            expected.iter().chain([&HELD]).any(|what| failure.what.contains(what))
        };
        let unexpected = |(_, number, event): (Seq, u64, &Event)| match event {
            Event::Failed { phase, failure } if !is_expected(failure) => {
                Some(format!("sector {number}: {phase} failed: {failure}"))
            }
            _ => None,
        };
        self.events().filter_map(unexpected).collect()
    }

    /// Sectors whose layers were made more than once though nothing was wrong with them.
    pub fn labelled_twice(&self) -> Vec<String> {
        let mut labelled = BTreeSet::new();
        let again = |(_, number, event): (Seq, u64, &Event)| match event {
            Event::Succeeded { output: Output::P1 } if !labelled.insert(number) => {
                Some(format!("sector {number} was labelled twice"))
            }
            _ => None,
        };
        self.events().filter_map(again).collect()
    }

    /// What sectors must have on disk at their stage, and have not. Only while no box runs there.
    pub fn missing(&self, scratch: &Scratch) -> Vec<String> {
        let mut deleted = BTreeSet::new();
        for (_, number, event) in self.events() {
            if let Event::Deleted { path, .. } = event {
                deleted.insert((number, path.clone()));
            }
        }
        let mut missing = Vec::new();
        for sector in self.sectors.values() {
            let is_deleted = |path: &Path| {
                deleted.contains(&(sector.id.number.0, path.to_path_buf()))
                    || trash_of(path).exists()
            };
            let mut lacks = |what: String| {
                missing.push(format!("sector {} at {}: {what}", sector.id, sector.stage.name()));
            };
            for file in on_scratch(sector, scratch) {
                // A P2 that has come to its end drops what is answered.
                if !is_intact(&file) && !is_deleted(&file) {
                    lacks(format!("{} is missing or spoilt", file.display()));
                }
            }
            if let Stage::P6 { cleaning: Cleaning::Sealed { .. }, .. } = &sector.stage {
                for target in [scratch.cache_dir(sector.id), scratch.replica(sector.id)] {
                    if !target.exists() && !is_deleted(&target) {
                        lacks(format!("{} went without a word", target.display()));
                    }
                }
            }
            if let Some(stored) = sector.stage.stored() {
                not_stored(sector, stored).into_iter().for_each(&mut lacks);
            }
        }
        missing
    }
}

fn journal_files(data: &Path) -> Vec<PathBuf> {
    let listing = fs::read_dir(data.join("journal")).into_iter().flatten().flatten();
    let mut files: Vec<PathBuf> = listing.map(|item| item.path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "jsonl"));
    files.sort();
    files
}

/// The files that the next phase of a sector needs.
fn on_scratch(sector: &Sector, scratch: &Scratch) -> Vec<PathBuf> {
    let cache = |file: CacheFile| scratch.cache_dir(sector.id).join(file.name(sector.size));
    let labelled = || {
        let mut files = CacheFile::layers(sector.size);
        files.push(CacheFile::TreeD);
        files
    };
    let mut files: Vec<PathBuf> = match &sector.stage {
        Stage::P2 { .. } => labelled().into_iter().map(cache).collect(),
        Stage::PreCommitting { .. }
        | Stage::WaitSeed { .. }
        | Stage::P3 { .. }
        | Stage::Proving { .. } => {
            let mut files: Vec<_> =
                cache_files_after_p2(sector.kind()).into_iter().map(cache).collect();
            files.push(scratch.replica(sector.id));
            files
        }
        Stage::Ticket
        | Stage::P1 { .. }
        | Stage::P6 { .. }
        | Stage::Finished { .. }
        | Stage::GivenUp { .. } => Vec::new(),
    };
    if let Stage::Proving { .. } = &sector.stage {
        files.push(scratch.cache_dir(sector.id).join("sealbox-c1.json"));
    }
    files
}

fn not_stored(sector: &Sector, stored: &StoredAt) -> Vec<String> {
    let root = StorageRoot::new(&stored.root);
    let mut missing = Vec::new();
    let manifest = fs::read(root.manifest(sector.id)).unwrap_or_default();
    if *blake3::hash(&manifest).as_bytes() != stored.manifest.0 {
        missing.push("its stored manifest is not the recorded one".to_owned());
    }
    for file in stored_files(sector.id, sector.size) {
        let path = root.path().join(file.relative);
        if !is_intact(&path) {
            missing.push(format!("{} is missing or spoilt", path.display()));
        }
    }
    missing
}

/// Files of the simulated engine begin with its mark and are never shorter than this.
fn is_intact(path: &Path) -> bool {
    fs::read(path).is_ok_and(|bytes| bytes.starts_with(b"SIMULATED") && bytes.len() >= 1_000)
}

/// Everything that the box said was done, or showed.
#[derive(Default)]
pub struct Ledger {
    orders: BTreeMap<u64, u64>,
    retries: BTreeMap<(u64, String), usize>,
    aborts: BTreeSet<u64>,
    /// Whether intake is paused; none if the last wish was not answered.
    paused: Option<bool>,
    intake_answers: u64,
    /// What the box showed of a sector's history: seq and the event's name.
    seen: BTreeMap<u64, BTreeMap<u64, String>>,
    /// How many single acknowledgements and shown events were looked for, all checks together.
    pub checked: u64,
}

impl Ledger {
    pub fn ordered(&mut self, answer: &Value) {
        let field = |name: &str| answer[name].as_u64().expect("a number in the answer");
        self.orders.insert(field("order"), field("count"));
    }

    /// `{"retried":[{"sector":1,"phase":"P2"}]}`
    pub fn retried(&mut self, answer: &Value) {
        for task in answer["retried"].as_array().into_iter().flatten() {
            let phase = task["phase"].as_str().expect("a phase").to_owned();
            let sector = task["sector"].as_u64().expect("a sector");
            *self.retries.entry((sector, phase)).or_default() += 1;
        }
    }

    pub fn aborted(&mut self, sector: u64) {
        self.aborts.insert(sector);
    }

    pub fn intake(&mut self, paused: Option<bool>) {
        self.paused = paused;
        self.intake_answers += u64::from(paused.is_some());
    }

    /// A sector as the API shows it.
    pub fn saw(&mut self, number: u64, sector: &Value) {
        let seen = self.seen.entry(number).or_default();
        for line in sector["history"].as_array().into_iter().flatten() {
            if let (Some(seq), Some(event)) = (line["seq"].as_u64(), line["event"].as_str()) {
                seen.insert(seq, event.to_owned());
            }
        }
    }

    pub fn acknowledged(&self) -> u64 {
        let retries: usize = self.retries.values().sum();
        (self.orders.len() + self.aborts.len() + retries) as u64 + self.intake_answers
    }

    pub fn shown(&self) -> usize {
        self.seen.values().map(BTreeMap::len).sum()
    }

    /// What of all that is not in the history.
    pub fn lost(&mut self, past: &Past) -> Vec<String> {
        let mut lost = Vec::new();
        let mut orders = BTreeMap::new();
        for entry in &past.entries {
            if let Happened::Box(BoxEvent::Ordered { order, count, .. }) = &entry.happened {
                orders.insert(order.0, *count);
            }
        }
        for (order, count) in &self.orders {
            self.checked += 1;
            if orders.get(order) != Some(count) {
                lost.push(format!("order {order} of {count}: {:?}", orders.get(order)));
            }
        }
        let mut retries: BTreeMap<(u64, String), usize> = BTreeMap::new();
        let mut aborts = BTreeSet::new();
        let mut names = BTreeMap::new();
        for (seq, number, event) in past.events() {
            names.insert((number, seq.0), event.name());
            if let Event::Retried { phase, .. } = event {
                *retries.entry((number, phase.short_name().to_owned())).or_default() += 1;
            }
            if let Event::Aborted { .. } = event {
                aborts.insert(number);
            }
        }
        for (task, times) in &self.retries {
            self.checked += *times as u64;
            if retries.get(task).is_none_or(|found| found < times) {
                lost.push(format!("{times} retries of {task:?}: {:?}", retries.get(task)));
            }
        }
        self.checked += self.aborts.len() as u64;
        lost.extend(self.aborts.difference(&aborts).map(|number| format!("abort of {number}")));
        if let Some(paused) = self.paused {
            self.checked += 1;
            if past.box_state.intake_paused != paused {
                lost.push(format!("intake paused: {paused}"));
            }
        }
        for (number, shown) in &self.seen {
            for (seq, event) in shown {
                self.checked += 1;
                if names.get(&(*number, *seq)) != Some(&event.as_str()) {
                    lost.push(format!("sector {number}: entry {seq}, {event}, was shown"));
                }
            }
        }
        lost
    }

    /// Whether every acknowledged order became sectors, and each of them is finished, or was
    /// given up by a person.
    pub fn unfulfilled(&self, past: &Past) -> Vec<String> {
        let mut issued: BTreeMap<u64, u64> = BTreeMap::new();
        for sector in past.sectors.values() {
            *issued.entry(sector.order.0).or_default() += 1;
        }
        let mut short: Vec<String> = self
            .orders
            .iter()
            .filter(|(order, count)| issued.get(order) != Some(count))
            .map(|(order, count)| format!("order {order} of {count}: {:?}", issued.get(order)))
            .collect();
        for sector in past.sectors.values() {
            let number = sector.id.number.0;
            match &sector.stage {
                Stage::Finished { .. } if !self.aborts.contains(&number) => {}
                Stage::GivenUp { because: GiveUp::Operator { .. } } => {}
                other => short.push(format!("sector {number} ended {}", other.name())),
            }
        }
        short
    }
}
