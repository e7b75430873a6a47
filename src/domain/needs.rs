//! What a task needs of the machine while it runs, and a sector of scratch and storage.
//! Pure tables, with their sources; `appliance.toml` overrides them.

use std::collections::BTreeMap;

use serde::Serialize;

use super::layout::{self, CacheFile};
use super::phase::Phase;
use super::porep::{Porep, SealKind};
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

/// What a sector holds of the scratch.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Hold {
    /// At any time.
    most: ByteSize,
    /// From the end of P2 on.
    after_p2: ByteSize,
}

/// What the box may use of the machine: what it has, less what is reserved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Machine {
    pub memory: ByteSize,
    pub cores: u32,
    pub gpus: u32,
}

/// The needs of every phase and kind of sector. The default is none at all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Needs {
    tasks: BTreeMap<(SealKind, Phase), Need>,
    scratch: BTreeMap<SealKind, Hold>,
    /// What of that is a link, once another sector has made it.
    shared: BTreeMap<SectorSize, ByteSize>,
    stored: BTreeMap<SectorSize, ByteSize>,
}

impl Needs {
    /// Of the real engine.
    pub fn real() -> Self {
        let tasks = SealKind::all().flat_map(|kind| {
            Phase::ALL.into_iter().map(move |phase| ((kind, phase), real(kind, phase)))
        });
        let scratch = |kind| {
            let most = ByteSize(layout::scratch_bytes(kind));
            let after_p2 = ByteSize(layout::scratch_bytes_after_p2(kind));
            (kind, Hold { most, after_p2 })
        };
        let tree_d = |size| (size, ByteSize(CacheFile::TreeD.bytes(size).unwrap_or(0)));
        let stored = |size| (size, ByteSize(layout::stored_bytes(size) + BESIDE_A_COPY));
        Self {
            tasks: tasks.collect(),
            scratch: SealKind::all().map(scratch).collect(),
            shared: SectorSize::ALL.map(tree_d).into(),
            stored: SectorSize::ALL.map(stored).into(),
        }
    }

    /// Of the simulated engine: it sleeps, and leaves marks on the scratch.
    pub fn simulated() -> Self {
        let hold = |porep| match porep {
            Porep::Interactive | Porep::NonInteractive => {
                Hold { most: SIMULATED_SECTOR, after_p2: SIMULATED_SECTOR }
            }
            Porep::Synthetic => {
                Hold { most: SIMULATED_SECTOR, after_p2: ByteSize(SIMULATED_SECTOR.0 / 2) }
            }
        };
        let scratch = SealKind::all().map(|kind| (kind, hold(kind.porep))).collect();
        let stored = SectorSize::ALL.map(|size| (size, SIMULATED_SECTOR)).into();
        Self { tasks: BTreeMap::new(), scratch, shared: BTreeMap::new(), stored }
    }

    /// Replaces one row, for every kind of PoRep, by what this box's operator knows better.
    pub fn set(&mut self, size: SectorSize, phase: Phase, need: Need) {
        for porep in Porep::ALL {
            self.tasks.insert((SealKind { size, porep }, phase), need);
        }
    }

    pub fn of(&self, kind: SealKind, phase: Phase) -> Need {
        self.tasks.get(&(kind, phase)).copied().unwrap_or(Need::NOTHING)
    }

    /// The most that a sector holds of the scratch at any time.
    pub fn scratch(&self, kind: SealKind) -> ByteSize {
        self.scratch.get(&kind).copied().unwrap_or_default().most
    }

    /// What it holds from the end of P2 on.
    pub fn scratch_after_p2(&self, kind: SealKind) -> ByteSize {
        self.scratch.get(&kind).copied().unwrap_or_default().after_p2
    }

    /// What of that it need not hold itself once the shared files of its size are there.
    pub fn shared(&self, size: SectorSize) -> ByteSize {
        self.shared.get(&size).copied().unwrap_or_default()
    }

    /// What a finished sector holds of a storage.
    pub fn stored(&self, size: SectorSize) -> ByteSize {
        self.stored.get(&size).copied().unwrap_or_default()
    }

    /// Why a sector of this kind could never be finished on this machine, however long it waits.
    pub fn never_fits(&self, kind: SealKind, machine: &Machine) -> Option<String> {
        Phase::ALL.into_iter().find_map(|phase| {
            let Need { memory, cores, gpus } = self.of(kind, phase);
            let size = kind.size;
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
fn real(kind: SealKind, phase: Phase) -> Need {
    let need = usual(kind.size, phase);
    let memory = match (kind.porep, phase) {
        (Porep::Synthetic, Phase::P2) => need.memory.max(all_answers(kind.size)),
        (Porep::NonInteractive, Phase::P4) => need.memory.max(snarks_at_a_time(kind.size)),
        (Porep::Interactive | Porep::Synthetic | Porep::NonInteractive, _) => need.memory,
    };
    Need { memory, ..need }
}

/// The library holds all synthetic proofs in memory before it writes them. Worked out: the file's
/// bytes, the labelling proofs that are not in it (a hash for each of 37 parents a layer), and a
/// fifth for what the allocator adds.
fn all_answers(size: SectorSize) -> ByteSize {
    let file = CacheFile::SyntheticProofs.bytes(size).unwrap_or(0);
    let challenges = (size.bytes() / 32).min(1 << 18);
    let labels = challenges * u64::from(size.layers()) * 37 * 32;
    ByteSize((file + labels) / 5 * 6)
}

/// The library proves ten partitions at a time, and 2 KiB to 512 MiB have thirteen in place of one.
/// 2 KiB: 4.7 GB as measured. The others are not measured: what one takes, and for each further one
/// what its circuit may hold.
fn snarks_at_a_time(size: SectorSize) -> ByteSize {
    match size {
        SectorSize::KiB2 => ByteSize(5 * GIB),
        SectorSize::MiB8 => ByteSize(12 * GIB),
        SectorSize::MiB512 => ByteSize(16 * GIB),
        // Ten there too, as ever.
        SectorSize::GiB32 | SectorSize::GiB64 => ByteSize(0),
    }
}

fn usual(size: SectorSize, phase: Phase) -> Need {
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

    fn kind(size: SectorSize) -> SealKind {
        SealKind::new(size, Porep::Interactive)
    }

    fn machine(memory_gib: u64, cores: u32) -> Machine {
        Machine { memory: ByteSize(memory_gib * GIB), cores, gpus: 0 }
    }

    #[test]
    fn a_64_gib_sector_never_fits_a_64_gib_box_and_the_shortfall_is_named() {
        let needs = Needs::real();
        let why =
            needs.never_fits(kind(SectorSize::GiB64), &machine(62, 16)).expect("it cannot fit");
        assert_eq!(
            why,
            "P1 of a 64 GiB sector needs 128 GiB of memory, and sealbox may use \
             62 GiB here"
        );
        assert_eq!(needs.never_fits(kind(SectorSize::GiB32), &machine(128, 16)), None);
        assert_eq!(needs.never_fits(kind(SectorSize::KiB2), &machine(3, 1)), None);
    }

    #[test]
    fn an_overridden_need_is_the_one_that_counts() {
        let mut needs = Needs::real();
        let gpu = Need { memory: ByteSize(GIB), cores: Cores::Own(6), gpus: 1 };
        needs.set(SectorSize::GiB32, Phase::P4, gpu);
        assert_eq!(needs.of(kind(SectorSize::GiB32), Phase::P4), gpu);
        let why =
            needs.never_fits(kind(SectorSize::GiB32), &machine(512, 64)).expect("no GPU is there");
        assert!(why.contains("needs 1 GPUs, and sealbox may use 0"), "{why}");
    }

    #[test]
    fn a_sector_takes_of_the_scratch_what_the_layout_says() {
        let needs = Needs::real();
        for kind in SealKind::all() {
            assert_eq!(needs.scratch(kind).0, layout::scratch_bytes(kind));
            assert_eq!(needs.scratch_after_p2(kind).0, layout::scratch_bytes_after_p2(kind));
        }
        assert_eq!(Needs::simulated().scratch(kind(SectorSize::GiB64)), SIMULATED_SECTOR);
    }
}
