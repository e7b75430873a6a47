//! What the state holds, and under which keys. All of it is a fold of the journal.
//!
//! | key                              | value                                      |
//! |----------------------------------|--------------------------------------------|
//! | `f`                              | the format of everything else              |
//! | `m`                              | last entry, the box's own state, counts    |
//! | `s` number                       | the sector's snapshot                      |
//! | `h` number, entry                | a run of its history, from that entry on   |
//! | `x` entry                        | a run of the box's history                 |
//! | `l` block                        | sectors, a bit each: see [`super::lists`]  |
//! | `a` block                        | those of them that are not over            |
//! | `w` block                        | those that wait for a person               |
//! | `g` stage, block                 | those that are at that stage               |
//! | `t` task type, row, block        | those whose task of that type has that row |
//!
//! Numbers are big-endian, so that keys sort as numbers do. One tree holds them all, because a
//! batch is atomic within one tree. A value that is no block is a format byte and postcard, and a
//! run is several entries one behind the other: sled's memory, its writing and its opening cost by
//! the key, and a finished sector would have some thirty.

use std::collections::BTreeMap;
use std::ops::Bound;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::error::StoreError;
use super::index::Counts;
use super::lists::Moves;
use super::state::{Changes, Direction, State};
use crate::domain::event::{Entry, Happened};
use crate::domain::ids::SectorNumber;
use crate::domain::order::BoxState;
use crate::domain::sector::Sector;
use crate::domain::units::Seq;

/// Raised with every change of a key or of the shape of a value (a test notices the latter): a
/// state of another format is set aside and made again.
pub const FORMAT: u8 = 10;

const FORMAT_KEY: &[u8] = b"f";
pub(super) const META_KEY: &[u8] = b"m";

/// A run that is this long is added to no more. Enough for the history of a sector that nothing went
/// wrong with; the longer, the more is written again with each entry.
const RUN_BYTES: usize = 4096;

/// How far the state is, and what is known beside the sectors.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Meta {
    pub last: Seq,
    pub box_state: BoxState,
    pub counts: Counts,
}

pub(super) fn numbered(mut prefix: Vec<u8>, number: u64) -> Vec<u8> {
    prefix.extend_from_slice(&number.to_be_bytes());
    prefix
}

pub(super) fn sector_key(number: SectorNumber) -> Vec<u8> {
    numbered(vec![b's'], number.0)
}

fn history_prefix(number: SectorNumber) -> Vec<u8> {
    numbered(vec![b'h'], number.0)
}

fn box_history_prefix() -> Vec<u8> {
    vec![b'x']
}

/// The range of the numbers under a prefix, beyond `beyond` in the direction asked for.
pub(super) fn range_of(
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

pub(super) fn number_of(key: &[u8]) -> u64 {
    let tail = key.last_chunk().expect("every key of a list ends in eight bytes");
    u64::from_be_bytes(*tail)
}

pub(super) fn pack(value: &impl Serialize) -> Result<Vec<u8>, StoreError> {
    pack_behind(vec![FORMAT], value)
}

fn pack_behind(bytes: Vec<u8>, value: &impl Serialize) -> Result<Vec<u8>, StoreError> {
    let bytes = postcard::to_extend(value, bytes);
    bytes.map_err(|error| StoreError::Refused { why: format!("it cannot be stored: {error}") })
}

impl State {
    fn unpack<T: DeserializeOwned>(&self, bytes: &[u8]) -> Result<T, StoreError> {
        let packed = self.packed(bytes)?;
        postcard::from_bytes(packed).map_err(|error| self.unreadable(error.to_string()))
    }

    fn unpack_run(&self, bytes: &[u8]) -> Result<Vec<Entry>, StoreError> {
        let mut packed = self.packed(bytes)?;
        let mut entries = Vec::new();
        while !packed.is_empty() {
            let (entry, rest) = postcard::take_from_bytes(packed)
                .map_err(|error| self.unreadable(error.to_string()))?;
            entries.push(entry);
            packed = rest;
        }
        Ok(entries)
    }

    /// What stands behind the format byte.
    fn packed<'b>(&self, bytes: &'b [u8]) -> Result<&'b [u8], StoreError> {
        match bytes.split_first() {
            Some((&FORMAT, packed)) => Ok(packed),
            Some((other, _)) => {
                Err(self.unreadable(format!("a value of format {other}, not {FORMAT}")))
            }
            None => Err(self.unreadable("an empty value".to_owned())),
        }
    }

    fn unreadable(&self, why: String) -> StoreError {
        StoreError::State { path: self.path().to_path_buf(), why }
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
        self.value(&sector_key(number))
    }

    /// A sector's history after an entry, oldest first.
    pub fn history(
        &self,
        number: SectorNumber,
        after: Option<Seq>,
    ) -> Result<impl Iterator<Item = Result<Entry, StoreError>>, StoreError> {
        let prefix = history_prefix(number);
        // The first of them may stand in a run that begins before it.
        let run = match after {
            Some(after) => self.run_with(&prefix, after)?,
            None => None,
        };
        let before = run.and_then(|first| first.checked_sub(1));
        let is_after = move |entry: &Entry| after.is_none_or(|after| entry.seq > after);
        let entries = self.entries(prefix, before, Direction::OldestFirst);
        Ok(entries.filter(move |entry| entry.as_ref().map_or(true, is_after)))
    }

    /// The box's own history before an entry, newest first.
    pub fn box_history(
        &self,
        before: Option<Seq>,
    ) -> impl Iterator<Item = Result<Entry, StoreError>> {
        // A run that begins before it may go on behind it.
        let runs = before.map(|before| before.0);
        let is_before = move |entry: &Entry| before.is_none_or(|before| entry.seq < before);
        let entries = self.entries(box_history_prefix(), runs, Direction::NewestFirst);
        entries.filter(move |entry| entry.as_ref().map_or(true, is_before))
    }

    fn entries(
        &self,
        prefix: Vec<u8>,
        beyond: Option<u64>,
        direction: Direction,
    ) -> impl Iterator<Item = Result<Entry, StoreError>> {
        self.range(range_of(prefix, beyond, direction), direction).flat_map(move |item| {
            let run = item.and_then(|(_, value)| self.unpack_run(&value));
            let (mut entries, error) = match run {
                Ok(entries) => (entries, None),
                Err(error) => (Vec::new(), Some(Err(error))),
            };
            if direction == Direction::NewestFirst {
                entries.reverse();
            }
            entries.into_iter().map(Ok).chain(error)
        })
    }

    /// The first entry of the last run that begins no later than `seq`.
    fn run_with(&self, prefix: &[u8], seq: Seq) -> Result<Option<u64>, StoreError> {
        let direction = Direction::NewestFirst;
        // Behind the last number there is nothing to leave out.
        let beyond = seq.0.checked_add(1);
        let mut runs = self.range(range_of(prefix.to_vec(), beyond, direction), direction);
        Ok(runs.next().transpose()?.map(|(key, _)| number_of(&key)))
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
        let mut histories: BTreeMap<Vec<u8>, Vec<&Entry>> = BTreeMap::new();
        for entry in entries {
            let prefix = match &entry.happened {
                Happened::Sector { number, .. } => history_prefix(*number),
                Happened::Box(_) => box_history_prefix(),
            };
            histories.entry(prefix).or_default().push(entry);
        }
        for (prefix, entries) in histories {
            self.lengthen(&mut changes, &prefix, &entries)?;
        }
        let mut moves = Moves::new(self);
        for (&number, sector) in sectors {
            let before = self.sector(number)?;
            moves.relist(before.as_ref(), sector)?;
            if let Some(before) = &before {
                next.counts.remove(before);
            }
            next.counts.add(sector);
            changes.put(&sector_key(number), pack(sector)?);
        }
        moves.put(&mut changes);
        changes.put(META_KEY, pack(&next)?);
        self.apply(changes)?;
        *meta = next;
        Ok(())
    }
    /// Adds entries to a history: to its last run while there is room, then to new ones.
    fn lengthen(
        &self,
        changes: &mut Changes,
        prefix: &[u8],
        entries: &[&Entry],
    ) -> Result<(), StoreError> {
        let direction = Direction::NewestFirst;
        let last = self.range(range_of(prefix.to_vec(), None, direction), direction).next();
        let mut run = last.transpose()?.filter(|(_, run)| run.len() < RUN_BYTES);
        for entry in entries {
            let (key, bytes) = run
                .take()
                .unwrap_or_else(|| (numbered(prefix.to_vec(), entry.seq.0), vec![FORMAT]));
            let bytes = pack_behind(bytes, entry)?;
            if bytes.len() < RUN_BYTES {
                run = Some((key, bytes));
            } else {
                changes.put(&key, bytes);
            }
        }
        if let Some((key, bytes)) = run {
            changes.put(&key, bytes);
        }
        Ok(())
    }
}
