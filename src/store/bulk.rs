//! Many sectors at once, for tests that need a store which is full of them: they are put into the state
//! as if the journal had told of them long ago, without their histories.

use std::collections::BTreeMap;
use std::path::Path;

use super::error::StoreError;
use super::ground::Ground;
use super::lists::{BLOCK, Bits, List, block_of};
use super::state::{Changes, State};
use super::tables::{META_KEY, numbered, pack, sector_key};
use crate::domain::ids::SectorNumber;
use crate::domain::sector::Sector;

/// Sectors that are put into the state at once.
const AT_ONCE: u64 = 10_000;

/// Makes the sectors below `count` in a store that was opened before and is closed: each is as the one
/// that `like` names of `templates`.
pub fn fill(
    data: &Path,
    count: u64,
    templates: &[Sector],
    like: impl Fn(u64) -> usize,
) -> Result<(), StoreError> {
    let ground = Ground::take(data, None)?;
    let state = State::open(&ground.state)?;
    let mut meta = state.meta()?;
    let none = || vec![Bits::default(); usize::try_from(count / BLOCK + 1).unwrap_or(0)];
    let mut bits: Vec<Vec<Bits>> = templates.iter().map(|_| none()).collect();
    let mut changes = Changes::default();
    let mut sectors = templates.to_vec();
    for number in 0..count {
        let (place, number) = (like(number), SectorNumber(number));
        let sector = &mut sectors[place];
        sector.id.number = number;
        changes.put(&sector_key(number), pack(sector)?);
        let (block, byte, bit) = block_of(number);
        bits[place][block as usize][byte] |= bit;
        meta.counts.add(sector);
        if (number.0 + 1).is_multiple_of(AT_ONCE) {
            state.apply(std::mem::take(&mut changes))?;
        }
    }
    let mut blocks: BTreeMap<Vec<u8>, Bits> = BTreeMap::new();
    for (template, bits) in templates.iter().zip(bits) {
        for (list, (block, bits)) in List::of(template)
            .into_iter()
            .flat_map(|list| (0..).zip(&bits).map(move |of| (list, of)))
        {
            let all = blocks.entry(numbered(list.prefix(), block)).or_default();
            all.iter_mut().zip(bits).for_each(|(all, bits)| *all |= bits);
        }
    }
    for (key, bits) in blocks.into_iter().filter(|(_, bits)| *bits != Bits::default()) {
        changes.put(&key, bits.to_vec());
    }
    meta.box_state.next_number = count;
    meta.box_state.ordered = count;
    changes.put(META_KEY, pack(&meta)?);
    state.apply(changes)?;
    state.close()
}
