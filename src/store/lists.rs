//! Lists of sector numbers: a bit a sector, the bits of [`BLOCK`] sectors in one value.
//!
//! sled holds something in memory for every few keys that there are, and writes a whole page of
//! them for every few changes. So 100,000 sectors with a key in each of their lists would cost more
//! than their snapshots do.

use std::collections::{BTreeMap, BTreeSet};

use super::error::StoreError;
use super::index::{StageKind, row_code};
use super::state::{Changes, Direction, State};
use super::tables::{number_of, numbered, range_of};
use crate::domain::ids::SectorNumber;
use crate::domain::phase::Phase;
use crate::domain::sector::Sector;
use crate::domain::task::Row;

/// How many sectors have their bits in one value.
pub(super) const BLOCK: u64 = 256;
pub(super) type Bits = [u8; BLOCK as usize / 8];

/// Where a sector's bit is: the block, the byte of it, and the bit in that.
pub(super) fn block_of(number: SectorNumber) -> (u64, usize, u8) {
    let bit = number.0 % BLOCK;
    (number.0 / BLOCK, bit as usize / 8, 1 << (bit % 8))
}

/// The lists of sector numbers that are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum List {
    All,
    Active,
    Attention,
    Stage(StageKind),
    Task(Phase, Row),
}

impl List {
    pub(super) fn prefix(self) -> Vec<u8> {
        match self {
            Self::All => vec![b'l'],
            Self::Active => vec![b'a'],
            Self::Attention => vec![b'w'],
            Self::Stage(kind) => vec![b'g', kind.code()],
            Self::Task(phase, row) => vec![b't', phase.task_type(), row_code(row)],
        }
    }

    /// Whether the sector, as it is now, is in the list.
    pub fn has(self, sector: &Sector) -> bool {
        match self {
            Self::All => true,
            Self::Active => !sector.stage.is_over(),
            Self::Attention => sector.needs_you(),
            Self::Stage(kind) => kind == StageKind::of(&sector.stage),
            Self::Task(phase, row) => sector.row(phase) == Some(row),
        }
    }

    /// All that have the sector.
    pub(super) fn of(sector: &Sector) -> BTreeSet<Self> {
        let task = |phase| Some(Self::Task(phase, sector.row(phase)?));
        [Self::All, Self::Active, Self::Attention, Self::Stage(StageKind::of(&sector.stage))]
            .into_iter()
            .filter(|list| list.has(sector))
            .chain(Phase::ALL.into_iter().filter_map(task))
            .collect()
    }
}

impl State {
    /// The numbers in a list, beyond `beyond` in the direction asked for. What changes meanwhile
    /// may be seen or not: [`List::has`] says whether a sector is still in it.
    pub fn numbers(
        &self,
        list: List,
        beyond: Option<SectorNumber>,
        direction: Direction,
    ) -> impl Iterator<Item = Result<SectorNumber, StoreError>> + use<> {
        let is_beyond = move |number: &u64| match (beyond, direction) {
            (None, Direction::OldestFirst | Direction::NewestFirst) => true,
            (Some(beyond), Direction::OldestFirst) => *number > beyond.0,
            (Some(beyond), Direction::NewestFirst) => *number < beyond.0,
        };
        // The block of `beyond` itself may hold more of them.
        let block = beyond.map(|beyond| beyond.0 / BLOCK);
        let before = match direction {
            Direction::OldestFirst => block.and_then(|block| block.checked_sub(1)),
            Direction::NewestFirst => block.map(|block| block + 1),
        };
        self.range(range_of(list.prefix(), before, direction), direction).flat_map(move |item| {
            let (numbers, error) = match item {
                Ok((key, bits)) => (numbers_in(&key, &bits, direction), None),
                Err(error) => (Vec::new(), Some(Err(error))),
            };
            let numbers = numbers.into_iter().filter(is_beyond);
            numbers.map(|number| Ok(SectorNumber(number))).chain(error)
        })
    }
}

fn numbers_in(key: &[u8], bits: &[u8], direction: Direction) -> Vec<u64> {
    let first = number_of(key) * BLOCK;
    let bytes = (0_u64..).zip(bits);
    let set = bytes.flat_map(|(i, byte)| {
        (0..8).filter(move |bit| byte >> bit & 1 == 1).map(move |bit| first + i * 8 + bit)
    });
    let mut numbers: Vec<u64> = set.collect();
    if direction == Direction::NewestFirst {
        numbers.reverse();
    }
    numbers
}

/// The values that change because sectors move from list to list.
pub struct Moves<'a> {
    state: &'a State,
    blocks: BTreeMap<Vec<u8>, Bits>,
}

impl<'a> Moves<'a> {
    pub fn new(state: &'a State) -> Self {
        Self { state, blocks: BTreeMap::new() }
    }

    /// Moves a sector from the lists it was in to those it is in.
    pub fn relist(&mut self, before: Option<&Sector>, after: &Sector) -> Result<(), StoreError> {
        let was = before.map(List::of).unwrap_or_default();
        let is = List::of(after);
        for list in was.symmetric_difference(&is) {
            self.flip(*list, after.id.number)?;
        }
        Ok(())
    }

    fn flip(&mut self, list: List, number: SectorNumber) -> Result<(), StoreError> {
        let (block, byte, bit) = block_of(number);
        let key = numbered(list.prefix(), block);
        let bits = match self.blocks.get_mut(&key) {
            Some(bits) => bits,
            None => {
                let bits = self.block(&key)?;
                self.blocks.entry(key).or_insert(bits)
            }
        };
        bits[byte] ^= bit;
        Ok(())
    }

    fn block(&self, key: &[u8]) -> Result<Bits, StoreError> {
        let Some(value) = self.state.get(key)? else { return Ok(Bits::default()) };
        value.as_ref().try_into().map_err(|_| StoreError::State {
            path: self.state.path().to_path_buf(),
            why: format!("a block of a list has {} bytes", value.as_ref().len()),
        })
    }

    /// Adds what changed.
    pub fn put(self, changes: &mut Changes) {
        for (key, bits) in self.blocks {
            match bits == Bits::default() {
                true => changes.delete(&key),
                false => changes.put(&key, bits.to_vec()),
            }
        }
    }
}
