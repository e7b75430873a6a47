//! What the state holds, and under which keys. All of it is a fold of the journal.
//!
//! | key                              | value                                   |
//! |----------------------------------|-----------------------------------------|
//! | `f`                              | the format of everything else           |
//! | `m`                              | last entry, the box's own state, counts |
//! | `s` number                       | the sector's snapshot                   |
//! | `h` number, entry                | an entry of the sector's history        |
//! | `x` entry                        | an entry of the box's history           |
//! | `a` number                       | the sector is not over                  |
//! | `w` number                       | it waits for a person                   |
//! | `g` stage, number                | the sector is at that stage             |
//! | `t` task type, row, number       | its task of that type has that row      |
//!
//! Numbers are big-endian, so that keys sort as numbers do. One tree holds them all, because a
//! batch is atomic within one tree. A value is a format byte and postcard.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::error::StoreError;
use super::index::{Counts, StageKind, row_code};
use super::state::{Changes, Direction, State};
use crate::domain::event::{Entry, Happened};
use crate::domain::ids::SectorNumber;
use crate::domain::order::BoxState;
use crate::domain::phase::Phase;
use crate::domain::sector::Sector;
use crate::domain::task::Row;
use crate::domain::units::Seq;

/// Raised with every change of a key or of the shape of a value (a test notices the latter): a
/// state of another format is set aside and made again.
pub const FORMAT: u8 = 4;

const FORMAT_KEY: &[u8] = b"f";
const META_KEY: &[u8] = b"m";

/// How far the state is, and what is known beside the sectors.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Meta {
    pub last: Seq,
    pub box_state: BoxState,
    pub counts: Counts,
}

/// The lists of sector numbers that are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum List {
    All,
    Active,
    Attention,
    Stage(StageKind),
    Task(Phase, Row),
}

impl List {
    fn prefix(self) -> Vec<u8> {
        match self {
            Self::All => vec![b's'],
            Self::Active => vec![b'a'],
            Self::Attention => vec![b'w'],
            Self::Stage(kind) => vec![b'g', kind.code()],
            Self::Task(phase, row) => vec![b't', phase.task_type(), row_code(row)],
        }
    }

    fn key(self, number: SectorNumber) -> Vec<u8> {
        numbered(self.prefix(), number.0)
    }
}

fn numbered(mut prefix: Vec<u8>, number: u64) -> Vec<u8> {
    prefix.extend_from_slice(&number.to_be_bytes());
    prefix
}

fn history_prefix(number: SectorNumber) -> Vec<u8> {
    numbered(vec![b'h'], number.0)
}

/// The range of the numbers under a prefix, beyond `beyond` in the direction asked for.
fn range_of(
    prefix: Vec<u8>,
    beyond: Option<u64>,
    direction: Direction,
) -> (Bound<Vec<u8>>, Bound<Vec<u8>>) {
    let low = numbered(prefix.clone(), 0);
    let high = numbered(prefix.clone(), u64::MAX);
    let beyond = beyond.map(|number| Bound::Excluded(numbered(prefix, number)));
    match direction {
        Direction::OldestFirst => (beyond.unwrap_or(Bound::Included(low)), Bound::Included(high)),
        Direction::NewestFirst => (Bound::Included(low), beyond.unwrap_or(Bound::Included(high))),
    }
}

fn number_of(key: &[u8]) -> u64 {
    let tail = key.last_chunk().expect("every key of a list ends in eight bytes");
    u64::from_be_bytes(*tail)
}

fn pack(value: &impl Serialize) -> Result<Vec<u8>, StoreError> {
    let bytes = postcard::to_extend(value, vec![FORMAT]);
    bytes.map_err(|error| StoreError::Refused { why: format!("it cannot be stored: {error}") })
}

impl State {
    fn unpack<T: DeserializeOwned>(&self, bytes: &[u8]) -> Result<T, StoreError> {
        let failed = |why| StoreError::State { path: self.path().to_path_buf(), why };
        match bytes.split_first() {
            Some((&FORMAT, packed)) => {
                postcard::from_bytes(packed).map_err(|error| failed(error.to_string()))
            }
            Some((other, _)) => Err(failed(format!("a value of format {other}, not {FORMAT}"))),
            None => Err(failed("an empty value".to_owned())),
        }
    }

    fn value<T: DeserializeOwned>(&self, key: &[u8]) -> Result<Option<T>, StoreError> {
        self.get(key)?.map(|bytes| self.unpack(bytes.as_ref())).transpose()
    }

    /// How far a state is; a fresh one is given its format and is at nothing.
    pub fn meta(&self) -> Result<Meta, StoreError> {
        let format = self.get(FORMAT_KEY)?.map(|value| value.as_ref().to_vec());
        match format.as_deref() {
            Some([FORMAT]) => Ok(self.value(META_KEY)?.unwrap_or_default()),
            Some(other) => Err(StoreError::State {
                path: self.path().to_path_buf(),
                why: format!("it has format {other:?}, this sealbox writes [{FORMAT}]"),
            }),
            None => {
                let mut changes = Changes::default();
                changes.put(FORMAT_KEY, vec![FORMAT]);
                self.apply(changes)?;
                Ok(Meta::default())
            }
        }
    }

    pub fn sector(&self, number: SectorNumber) -> Result<Option<Sector>, StoreError> {
        self.value(&List::All.key(number))
    }

    /// The numbers in a list, beyond `beyond` in the direction asked for.
    pub fn numbers(
        &self,
        list: List,
        beyond: Option<SectorNumber>,
        direction: Direction,
    ) -> impl Iterator<Item = Result<SectorNumber, StoreError>> + use<> {
        self.range(range_of(list.prefix(), beyond.map(|number| number.0), direction), direction)
            .map(|item| item.map(|(key, _)| SectorNumber(number_of(&key))))
    }

    pub fn history(
        &self,
        number: SectorNumber,
        after: Option<Seq>,
    ) -> impl Iterator<Item = Result<Entry, StoreError>> {
        self.entries(history_prefix(number), after, Direction::OldestFirst)
    }

    /// The box's own history, newest first.
    pub fn box_history(&self) -> impl Iterator<Item = Result<Entry, StoreError>> {
        self.entries(vec![b'x'], None, Direction::NewestFirst)
    }

    fn entries(
        &self,
        prefix: Vec<u8>,
        beyond: Option<Seq>,
        direction: Direction,
    ) -> impl Iterator<Item = Result<Entry, StoreError>> {
        self.range(range_of(prefix, beyond.map(|seq| seq.0), direction), direction)
            .map(|item| item.and_then(|(_, value)| self.unpack(&value)))
    }

    /// Brings the state from `meta` to the last of `entries`, all of it or nothing.
    ///
    /// `sectors` has each sector that the entries concern, as it is after them.
    pub fn advance<'a>(
        &self,
        meta: &mut Meta,
        entries: impl Iterator<Item = &'a Entry>,
        sectors: &BTreeMap<SectorNumber, &Sector>,
        box_state: &BoxState,
    ) -> Result<(), StoreError> {
        let mut next =
            Meta { last: box_state.seq, box_state: box_state.clone(), counts: meta.counts.clone() };
        let mut changes = Changes::default();
        for entry in entries {
            let key = match &entry.happened {
                Happened::Sector { number, .. } => numbered(history_prefix(*number), entry.seq.0),
                Happened::Box(_) => numbered(vec![b'x'], entry.seq.0),
            };
            changes.put(&key, pack(entry)?);
        }
        for (&number, sector) in sectors {
            let before = self.sector(number)?;
            relist(&mut changes, before.as_ref(), sector);
            if let Some(before) = &before {
                next.counts.remove(before);
            }
            next.counts.add(sector);
            changes.put(&List::All.key(number), pack(sector)?);
        }
        changes.put(META_KEY, pack(&next)?);
        self.apply(changes)?;
        *meta = next;
        Ok(())
    }
}

/// Moves a sector from the lists it was in to those it is in.
fn relist(changes: &mut Changes, before: Option<&Sector>, after: &Sector) {
    let was = before.map(lists).unwrap_or_default();
    let is = lists(after);
    for key in was.difference(&is) {
        changes.delete(key);
    }
    for key in is.difference(&was) {
        changes.put(key, Vec::new());
    }
}

fn lists(sector: &Sector) -> BTreeSet<Vec<u8>> {
    let number = sector.id.number;
    let mut keys = BTreeSet::new();
    keys.insert(List::Stage(StageKind::of(&sector.stage)).key(number));
    if !sector.stage.is_over() {
        keys.insert(List::Active.key(number));
    }
    if sector.needs_you() {
        keys.insert(List::Attention.key(number));
    }
    for phase in Phase::ALL {
        if let Some(row) = sector.row(phase) {
            keys.insert(List::Task(phase, row).key(number));
        }
    }
    keys
}
