//! What a task needs of the machine while it runs, and a sector of scratch and storage.
//! Pure tables, with their sources; `appliance.toml` overrides them.

use std::collections::BTreeMap;

use serde::Serialize;

use super::layout::{self, CacheFile};
use super::phase::Phase;
use super::units::{ByteSize, SectorSize};

const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

/// What a simulated sector takes of the scratch: a few small files.
const SIMULATED_SECTOR: ByteSize = ByteSize(256 << 10);

/// What lies beside the files of a stored copy whose sizes the layout knows: `t_aux` and the manifest.
const BESIDE_A_COPY: u64 = 64 << 10;

/// The cores that a task keeps busy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Cores {
    /// So many, by itself. None for what is over before it would matter.
    Own(u32),
    /// All that the proving pools have. Two such tasks would only slow each other down and hold
    /// twice the memory: one runs at a time. Tasks with cores of their own go on beside it, for
    /// the pool takes what they leave.
    Pool,
}

/// What one attempt needs while it runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Need {
    pub memory: ByteSize,
    pub cores: Cores,
    pub gpus: u32,
}

impl Need {
    const NOTHING: Self = Self { memory: ByteSize(0), cores: Cores::Own(0), gpus: 0 };
}

/// What the box may use of the machine: what it has, less what is reserved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Machine {
    pub memory: ByteSize,
    pub cores: u32,
    pub gpus: u32,
}

/// The needs of every phase and size. The default is none at all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Needs {
    tasks: BTreeMap<(SectorSize, Phase), Need>,
    scratch: BTreeMap<SectorSize, ByteSize>,
    /// What of that is a link, once another sector has made it.
    shared: BTreeMap<SectorSize, ByteSize>,
    stored: BTreeMap<SectorSize, ByteSize>,
}

impl Needs {
    /// Of the real engine.
    pub fn real() -> Self {
        let tasks = SectorSize::ALL.into_iter().flat_map(|size| {
            Phase::ALL.into_iter().map(move |phase| ((size, phase), real(size, phase)))
        });
        let scratch = |size| (size, ByteSize(layout::scratch_bytes(size)));
        let tree_d = |size| (size, ByteSize(CacheFile::TreeD.bytes(size).unwrap_or(0)));
        let stored = |size| (size, ByteSize(layout::stored_bytes(size) + BESIDE_A_COPY));
        Self {
            tasks: tasks.collect(),
            scratch: SectorSize::ALL.map(scratch).into(),
            shared: SectorSize::ALL.map(tree_d).into(),
            stored: SectorSize::ALL.map(stored).into(),
        }
    }

    /// Of the simulated engine: it sleeps, and leaves marks on the scratch.
    pub fn simulated() -> Self {
        let each: BTreeMap<_, _> = SectorSize::ALL.map(|size| (size, SIMULATED_SECTOR)).into();
        let (tasks, shared) = (BTreeMap::new(), BTreeMap::new());
        Self { tasks, scratch: each.clone(), shared, stored: each }
    }

    /// Replaces one row by what this box's operator knows better.
    pub fn set(&mut self, size: SectorSize, phase: Phase, need: Need) {
        self.tasks.insert((size, phase), need);
    }

    pub fn of(&self, size: SectorSize, phase: Phase) -> Need {
        self.tasks.get(&(size, phase)).copied().unwrap_or(Need::NOTHING)
    }

    /// The most that a sector holds of the scratch at any time.
    pub fn scratch(&self, size: SectorSize) -> ByteSize {
        self.scratch.get(&size).copied().unwrap_or_default()
    }

    /// What of that it need not hold itself once the shared files of its size are there.
    pub fn shared(&self, size: SectorSize) -> ByteSize {
        self.shared.get(&size).copied().unwrap_or_default()
    }

    /// What a finished sector holds of a storage.
    pub fn stored(&self, size: SectorSize) -> ByteSize {
        self.stored.get(&size).copied().unwrap_or_default()
    }

    /// Why a sector of this size could never be finished on this machine, however long it waits.
    pub fn never_fits(&self, size: SectorSize, machine: &Machine) -> Option<String> {
        Phase::ALL.into_iter().find_map(|phase| {
            let Need { memory, cores, gpus } = self.of(size, phase);
            let task = format!("{phase} of a {size} sector needs");
            if memory > machine.memory {
                let has = machine.memory;
                return Some(format!("{task} {memory} of memory, and sealbox may use {has} here"));
            }
            if let Cores::Own(cores) = cores
                && cores > machine.cores
            {
                return Some(format!(
                    "{task} {cores} cores, and sealbox may use {}",
                    machine.cores
                ));
            }
            (gpus > machine.gpus)
                .then(|| format!("{task} {gpus} GPUs, and sealbox may use {}", machine.gpus))
        })
    }
}

/// Small sizes: resident memory as measured on 2 cores with filecoin-proofs-api 19.1 (C2: 2.5 GB
/// at 2 KiB, 3.3 GB at 8 MiB; 512 MiB is not measured, and taken as between). 32 and 64 GiB: what
/// lotus plans with (`storage/sealer/storiface/resources.go`: for C2 `MinMemory` and
/// `BaseMinMemory` together).
fn real(size: SectorSize, phase: Phase) -> Need {
    let need = |bytes, cores| Need { memory: ByteSize(bytes), cores, gpus: 0 };
    let own = |bytes, cores| need(bytes, Cores::Own(cores));
    let pool = |bytes| need(bytes, Cores::Pool);
    match (phase, size) {
        // Milliseconds: hundreds may run at a time.
        (Phase::P1 | Phase::P2 | Phase::P3, SectorSize::KiB2) => own(16 * MIB, 0),
        (Phase::P4, SectorSize::KiB2) => pool(5 * GIB / 2),
        (Phase::P1, SectorSize::MiB8) => own(64 * MIB, 1),
        (Phase::P2, SectorSize::MiB8) => own(128 * MIB, 1),
        (Phase::P3, SectorSize::MiB8) => own(64 * MIB, 1),
        (Phase::P4, SectorSize::MiB8) => pool(7 * GIB / 2),
        (Phase::P1, SectorSize::MiB512) => own(5 * GIB / 4, 1),
        (Phase::P2, SectorSize::MiB512) => pool(3 * GIB / 2),
        (Phase::P3, SectorSize::MiB512) => own(GIB, 1),
        (Phase::P4, SectorSize::MiB512) => pool(6 * GIB),
        (Phase::P1, SectorSize::GiB32) => own(64 * GIB, 1),
        (Phase::P2, SectorSize::GiB32) => pool(15 * GIB),
        (Phase::P3, SectorSize::GiB32 | SectorSize::GiB64) => own(GIB, 1),
        (Phase::P4, SectorSize::GiB32) => pool(62 * GIB),
        (Phase::P1, SectorSize::GiB64) => own(128 * GIB, 1),
        (Phase::P2, SectorSize::GiB64) => pool(30 * GIB),
        (Phase::P4, SectorSize::GiB64) => pool(124 * GIB),
        // A few buffers.
        (
            Phase::P5 | Phase::P6,
            SectorSize::KiB2
            | SectorSize::MiB8
            | SectorSize::MiB512
            | SectorSize::GiB32
            | SectorSize::GiB64,
        ) => own(16 * MIB, 0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine(memory_gib: u64, cores: u32) -> Machine {
        Machine { memory: ByteSize(memory_gib * GIB), cores, gpus: 0 }
    }

    #[test]
    fn a_64_gib_sector_never_fits_a_64_gib_box_and_the_shortfall_is_named() {
        let needs = Needs::real();
        let why = needs.never_fits(SectorSize::GiB64, &machine(62, 16)).expect("it cannot fit");
        assert_eq!(
            why,
            "P1 of a 64 GiB sector needs 128 GiB of memory, and sealbox may use \
             62 GiB here"
        );
        assert_eq!(needs.never_fits(SectorSize::GiB32, &machine(128, 16)), None);
        assert_eq!(needs.never_fits(SectorSize::KiB2, &machine(3, 1)), None);
    }

    #[test]
    fn an_overridden_need_is_the_one_that_counts() {
        let mut needs = Needs::real();
        let gpu = Need { memory: ByteSize(GIB), cores: Cores::Own(6), gpus: 1 };
        needs.set(SectorSize::GiB32, Phase::P4, gpu);
        assert_eq!(needs.of(SectorSize::GiB32, Phase::P4), gpu);
        let why = needs.never_fits(SectorSize::GiB32, &machine(512, 64)).expect("no GPU is there");
        assert!(why.contains("needs 1 GPUs, and sealbox may use 0"), "{why}");
    }

    #[test]
    fn a_sector_takes_of_the_scratch_what_the_layout_says() {
        let needs = Needs::real();
        assert_eq!(needs.scratch(SectorSize::GiB32).0, layout::scratch_bytes(SectorSize::GiB32));
        assert_eq!(Needs::simulated().scratch(SectorSize::GiB64), SIMULATED_SECTOR);
    }
}
