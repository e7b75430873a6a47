//! What of the machine sealbox may use, and what its phases need of it.

use std::collections::BTreeMap;

use super::numbers::{integer, small};
use super::table::Table;
use super::{MachineConfig, NeedConfig};
use crate::domain::needs::{Cores, Need};
use crate::domain::order::ORDER_LIMIT;
use crate::domain::phase::Phase;
use crate::domain::units::{ByteSize, SectorSize};

/// More than this is a slip of the finger.
const MOST_MEMORY_MIB: u64 = 1 << 30;
const MOST_CORES: u64 = 4_096;
const MOST_GPUS: u64 = 64;

pub fn machine(root: &Table) -> MachineConfig {
    root.table("machine", |table| {
        let memory = |key, unit| {
            let got = table.integer(key, 0..=MOST_MEMORY_MIB, unit)?;
            Some(ByteSize(got.value << 20))
        };
        let cores = |key, unit| {
            let got = table.integer(key, 0..=MOST_CORES, unit)?;
            u32::try_from(got.value).ok()
        };
        MachineConfig {
            memory: memory("memory_mib", "MiB").filter(|memory| memory.0 > 0),
            cores: cores("cores", "cores, 0 to ask the machine").filter(|cores| *cores > 0),
            gpus: small(table, "gpus", 0..=MOST_GPUS, "GPUs", 0),
            reserved_memory: memory("reserved_memory_mib", "MiB"),
            reserved_cores: cores("reserved_cores", "cores"),
        }
    })
}

pub fn needs(root: &Table) -> Vec<NeedConfig> {
    root.tables("need", need).unwrap_or_default().into_iter().flatten().collect()
}

fn need(table: &Table) -> Option<NeedConfig> {
    let sizes = SectorSize::ALL.map(SectorSize::name);
    let phases = Phase::ALL.map(Phase::short_name);
    let expected_size = format!("expected a sector size: {}", sizes.join(", "));
    let expected_phase = format!("expected a phase: {}", phases.join(", "));
    let size = table.parsed("sector_size", &expected_size, &sizes).map(|got| got.value);
    let phase = table.parsed("phase", &expected_phase, &phases).map(|got| got.value);
    let pool = table.boolean("pool").is_some_and(|got| got.value);
    let cores = small(table, "cores", 0..=MOST_CORES, "cores", 0);
    let memory = integer(table, "memory_mib", 0..=MOST_MEMORY_MIB, "MiB", 0);
    let gpus = small(table, "gpus", 0..=MOST_GPUS, "GPUs", 0);
    for (given, key, expected) in [
        (size.is_some(), "sector_size", &expected_size),
        (phase.is_some(), "phase", &expected_phase),
    ] {
        if !given && table.given(key).is_none() {
            table.missing(key, expected);
        }
    }
    let cores = if pool { Cores::Pool } else { Cores::Own(cores) };
    let need = Need { memory: ByteSize(memory << 20), cores, gpus };
    Some(NeedConfig { size: size?, phase: phase?, need })
}

/// The throttles: by size, and for all sizes together.
pub fn max_outstanding(root: &Table) -> (BTreeMap<SectorSize, u32>, Option<u32>) {
    // The production sizes fill a disk with one sector.
    let mut limits = BTreeMap::from([(SectorSize::GiB32, 1), (SectorSize::GiB64, 1)]);
    let in_all = root.table("max_outstanding", |table| {
        let limit = |key| {
            let unit = "unfinished sectors; to take no work in, leave this out and pause intake \
                        on the page";
            let got = table.integer(key, 1..=ORDER_LIMIT, unit)?;
            u32::try_from(got.value).ok()
        };
        for size in SectorSize::ALL {
            if let Some(number) = limit(size.name()) {
                limits.insert(size, number);
            }
        }
        limit("all")
    });
    (limits, in_all)
}
