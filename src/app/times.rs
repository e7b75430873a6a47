//! What the newest finished sectors tell a box that starts: how long things take on it, and what it
//! finished in the last day.

use std::time::Duration;

use crate::domain::times::{Throughput, Usual};
use crate::domain::units::Timestamp;
use crate::store::{Direction, Reader, SectorFilter, StageKind, StoreError};

const DAY: Duration = Duration::from_secs(24 * 3600);
/// Sectors that are read at once.
const PAGE: usize = 100;
/// The most that are read, so that a start costs the same after years. A box that finishes more in a
/// day says since when it has counted.
const MOST: usize = 2_000;

/// Reads the newest finished sectors, by number: those of the last day, and one page at least.
pub fn learn(reader: &Reader, now: Timestamp) -> Result<(Usual, Throughput), StoreError> {
    let filter = SectorFilter::Stage(StageKind::Finished);
    let mut newest = Vec::new();
    let mut after = None;
    loop {
        let page = reader.sectors(filter, after, PAGE, Direction::NewestFirst)?;
        // Numbers follow the times roughly: a page without a sector of today ends it.
        let of_today = page.items.iter().any(|sector| now.since(sector.ended()) < DAY);
        newest.extend(page.items);
        after = page.next;
        if after.is_none() || !of_today || newest.len() >= MOST {
            break;
        }
    }
    let (mut usual, mut throughput) = (Usual::default(), Throughput::default());
    if newest.len() >= MOST && after.is_some() {
        let oldest = newest.iter().map(|sector| sector.ended()).min();
        oldest.into_iter().for_each(|since| throughput.only_since(since));
    }
    // The oldest first: what is learnt last is what stays.
    newest.sort_by_key(|sector| sector.ended());
    for sector in &newest {
        usual.learn_all(sector);
        throughput.count(sector.size, sector.ended());
    }
    Ok((usual, throughput))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::OpenOptions;

    #[test]
    fn a_box_without_finished_sectors_knows_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let (store, _) = OpenOptions::new(dir.path()).open().unwrap();
        let (usual, throughput) = learn(&store.reader(), Timestamp(1 << 40)).unwrap();
        assert_eq!((usual, throughput), (Usual::default(), Throughput::default()));
    }
}
