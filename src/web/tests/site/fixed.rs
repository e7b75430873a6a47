//! What things in a fixed state are made of.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::domain::failure::{Class, Failure};
use crate::domain::ids::{Bytes32, CommD, CommR, SealProof};
use crate::domain::porep::SealKind;
use crate::domain::progress::Tell;
use crate::domain::sector::{Commitments, PreCommit, Sector, Seed, StoredAt, Ticket};
use crate::domain::units::{Epoch, Timestamp};
use crate::engine::{Engine, EngineKind, Job, ParametersState, SealStatement, StoredCopy};
use crate::scheduler::view::{DiskRole, DiskView};
use crate::web::{SectorPaths, StoredPaths};

pub fn disk_full() -> Failure {
    Failure::new(
        Class::Operator,
        "no space left on device while writing the trees",
        "free 24.8 GiB on this disk, then retry",
    )
    .at("/sealer/cache/s-t01000-12")
    .detail("No space left on device (os error 28)")
}

pub fn ticket() -> Ticket {
    Ticket { epoch: Epoch(4_812_390), value: Bytes32([0x11; 32]) }
}

pub fn seed() -> Seed {
    Seed { epoch: Epoch(4_812_540), value: Bytes32([0x22; 32]) }
}

pub fn commitments() -> Commitments {
    Commitments { comm_d: CommD(Bytes32([0x33; 32])), comm_r: CommR(Bytes32([0x04; 32])) }
}

pub fn pre_commit() -> PreCommit {
    PreCommit {
        message: "bafy-pre-commit".into(),
        epoch: Epoch(4_812_400),
        seed_epoch: Epoch(4_812_540),
    }
}

pub fn stored() -> StoredAt {
    StoredAt { root: "/mnt/store-1".into(), bytes: 34_453_065_728, manifest: Bytes32([0x55; 32]) }
}

pub fn paths(sector: &Sector) -> SectorPaths {
    let under = |root: &str, kind: &str| PathBuf::from(format!("{root}/{kind}/{}", sector.id));
    let stored = sector.stage.stored().map(|stored| StoredPaths {
        root: PathBuf::from(&stored.root),
        replica: under(&stored.root, "sealed"),
        cache: under(&stored.root, "cache"),
        manifest: under(&stored.root, "cache").join("manifest.json"),
    });
    SectorPaths { scratch: vec![under("/sealer", "cache"), under("/sealer", "sealed")], stored }
}

/// The configuration that is used where there is no file.
pub fn built_in() -> crate::config::Config {
    let none: [(std::ffi::OsString, std::ffi::OsString); 0] = [];
    crate::config::Config::load(None, none, std::path::Path::new("/nowhere")).expect("it is tested")
}

pub fn disk(path: &str, role: DiskRole, used_percent: u64) -> DiskView {
    let total = 7 * (1 << 40);
    DiskView {
        path: path.into(),
        role,
        device: "/dev/md1".into(),
        mount: path.into(),
        file_system: "xfs".into(),
        number: None,
        total_bytes: total,
        used_bytes: total / 100 * used_percent,
        free_bytes: total / 100 * (99 - used_percent),
        trouble: None,
        hung: false,
        held: BTreeMap::new(),
        shared: Default::default(),
        looked: Timestamp(0),
    }
}

/// An engine whose parameters stand somewhere, and that is never asked for more.
pub struct Idle(pub ParametersState);

fn never<T>() -> Result<T, Failure> {
    Err(Failure::new(Class::Fatal, "this engine does nothing", "do not ask it"))
}

impl Engine for Idle {
    fn kind(&self) -> EngineKind {
        EngineKind::Filecoin
    }
    fn label(&self, _: &Job, _: &Ticket, _: Tell<'_>) -> Result<(), Failure> {
        never()
    }
    fn replicate(&self, _: &Job, _: &Ticket) -> Result<Commitments, Failure> {
        never()
    }
    fn prove_vanilla(&self, _: &Job, _: &SealStatement) -> Result<(), Failure> {
        never()
    }
    fn prove_snark(&self, _: &Job, _: &SealStatement, _: Tell<'_>) -> Result<SealProof, Failure> {
        never()
    }
    fn verify_seal(&self, _: &SealStatement, _: &SealProof) -> Result<bool, Failure> {
        never()
    }
    fn prove_stored(&self, _: &StoredCopy, _: &CommR) -> Result<(), Failure> {
        never()
    }
    fn seal_proof_name(&self, _: SealKind) -> &'static str {
        "StackedDrg32GiBV1_1"
    }
    fn parameters(&self) -> ParametersState {
        self.0.clone()
    }
}
