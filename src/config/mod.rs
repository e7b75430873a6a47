//! The configuration: `appliance.toml`, and the environment's word over it.
//!
//! A `Config` that exists has been checked in itself; whether its directories can be written is
//! another part's question. The repository's own `appliance.toml` is both the default and the
//! documentation.

mod again;
mod alerts;
mod engine;
mod load;
mod machine;
mod numbers;
mod paths;
mod problem;
mod read;
mod reader;
mod roots;
mod show;
mod table;
#[cfg(test)]
mod tests;
mod web;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::domain::failure::Class;
use crate::domain::ids::{ActorId, SectorNumber};
use crate::domain::isolation::Isolation;
use crate::domain::needs::Need;
use crate::domain::order::AutoPledge;
use crate::domain::phase::{PerPhase, Phase};
use crate::domain::porep::{Porep, SealKind};
use crate::domain::units::{ByteSize, SectorSize};

pub use again::{Changes, Loaded, Origin};
pub use alerts::AlertsConfig;
pub use load::{BUILT_IN, SYSTEM_FILE};
pub use problem::{ConfigErrors, Place, Problem};
pub use reader::TOKEN_VARIABLE;
pub use web::{TlsFiles, Web};

/// The whole configuration. All paths are absolute.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Config {
    pub source: Source,
    /// What was accepted and has no effect here, and why; one sentence each.
    pub notes: Vec<String>,
    /// The keys that the file or a variable gives, and where; the others have their defaults.
    #[serde(skip)]
    pub given: BTreeMap<String, Place>,
    #[serde(serialize_with = "show::as_text")]
    pub miner: ActorId,
    /// The size of a sector when an order names none.
    pub sector_size: SectorSize,
    /// How sectors that are issued from now on are proven.
    pub porep: Porep,
    /// The box's own state: journal, database, logs.
    pub data_dir: PathBuf,
    /// Where sectors are sealed; at least one. The fleet's `local_dir`.
    pub scratch: Vec<RootConfig>,
    /// Where finished sectors go; at least one.
    pub storage: Vec<RootConfig>,
    /// For all copies together; `None` is as fast as the disks go.
    pub copy_limit_bytes_per_sec: Option<u64>,
    /// Every phase is supported by at least one group.
    pub workers: Vec<WorkerGroup>,
    /// How many unfinished sectors of a size there may be; a size that is absent has no limit.
    pub max_outstanding: BTreeMap<SectorSize, u32>,
    /// As that, for all sizes together; none: no limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_outstanding_in_all: Option<u32>,
    pub machine: MachineConfig,
    /// What this box's operator knows better than the tables.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub needs: Vec<NeedConfig>,
    /// What stays free of each scratch that says nothing else, whatever waits.
    pub scratch_keep_free_bytes: u64,
    /// What is ordered without a person.
    pub auto_pledge: AutoPledge,
    pub engine: EngineConfig,
    /// Where attempts run: `[engine] isolation`.
    pub isolation: Isolation,
    pub chain: ChainConfig,
    /// Any address: whether one that others reach has a password is looked at by the start.
    pub listen: SocketAddr,
    /// Names by which the page may be opened, beside addresses and `localhost`; in lower case.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub hosts: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls: Option<TlsFiles>,
    /// Where a person is told of what needs one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub alerts: Option<AlertsConfig>,
    /// How long running attempts may go on after a stop was asked for.
    #[serde(rename = "shutdown_grace_sec", serialize_with = "show::as_secs")]
    pub shutdown_grace: Duration,
    /// How long one pass over all finished sectors takes, proving each again; `None`: only on
    /// demand.
    #[serde(rename = "check_every_sec", serialize_with = "show::as_secs_or_zero")]
    pub check_every: Option<Duration>,
    /// Where the Groth parameters are kept.
    pub parameters: PathBuf,
    /// A `tracing` filter.
    pub log: String,
}

/// One `[[scratch]]` or `[[storage]]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RootConfig {
    pub path: PathBuf,
    /// Where weight times room is the most, the next sector or copy goes; 0: nothing new goes there.
    pub weight: u32,
    /// What stays free of it, whatever waits.
    #[serde(rename = "keep_free_bytes", skip_serializing_if = "Option::is_none")]
    pub keep_free: Option<ByteSize>,
}

impl RootConfig {
    /// With nothing said of it but where it is.
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), weight: 1, keep_free: None }
    }
}

impl Config {
    /// What stays free of a scratch.
    pub fn scratch_keeps_free(&self, scratch: &RootConfig) -> ByteSize {
        scratch.keep_free.unwrap_or(ByteSize(self.scratch_keep_free_bytes))
    }

    /// Where this machine reaches the page.
    pub fn url(&self) -> String {
        Web::url(self.listen, &self.hosts, self.tls.is_some())
    }

    /// What a sector is when an order names no size.
    pub fn kind(&self) -> SealKind {
        SealKind::new(self.sector_size, self.porep)
    }
}

/// Where the configuration came from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// No file was found: the text built into the binary.
    BuiltIn,
    File(PathBuf),
}

/// One `[[worker]]`: `num` threads, each doing one task at a time of any of these phases.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct WorkerGroup {
    pub num: u32,
    /// In their order, each once.
    pub phases: Vec<Phase>,
    /// The longest a thread of this group goes without looking for work.
    #[serde(rename = "wait_sec", serialize_with = "show::as_secs")]
    pub wait: Duration,
}

/// What of the machine sealbox may use. What is absent is asked of the machine.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct MachineConfig {
    pub memory: Option<ByteSize>,
    pub cores: Option<u32>,
    pub gpus: u32,
    pub reserved_memory: Option<ByteSize>,
    pub reserved_cores: Option<u32>,
}

/// One `[[need]]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NeedConfig {
    pub size: SectorSize,
    pub phase: Phase,
    pub need: Need,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum EngineConfig {
    Filecoin,
    Simulated(SimulatedConfig),
}

/// How the simulated engine behaves. The default takes no time and never fails.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct SimulatedConfig {
    /// How long each phase takes.
    #[serde(rename = "durations_ms", serialize_with = "show::durations_as_ms")]
    pub durations: PerPhase<Duration>,
    pub failures: Vec<SimulatedFailure>,
    pub sizes: SimulatedSizes,
}

/// How large the simulated engine's files are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SimulatedSizes {
    /// A mark, and nothing else.
    #[default]
    Small,
    /// As large as the real ones: a mark, and a hole behind it.
    Real,
}

impl SimulatedSizes {
    /// The size that a file is to have whose real one has this; none: its own.
    pub fn of(self, real: Option<u64>) -> Option<u64> {
        match self {
            Self::Small => None,
            Self::Real => real,
        }
    }
}

/// A failure that the simulated engine makes on purpose.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SimulatedFailure {
    /// `None`: any sector.
    pub sector: Option<SectorNumber>,
    pub phase: Phase,
    pub class: Class,
    /// How many attempts fail before one goes through, for each sector.
    pub times: u32,
    /// Whether the attempt panics instead of returning the failure.
    pub panic: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ChainConfig {
    Lab(LabConfig),
}

/// The lab's own chain: a local beacon.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LabConfig {
    /// How long an epoch lasts.
    #[serde(rename = "epoch_ms", serialize_with = "show::as_ms")]
    pub epoch: Duration,
    /// Epochs between a pre-commit and its seed.
    pub challenge_delay: u64,
    /// Sectors whose pre-commit this chain refuses, to see what follows.
    pub refuse_pre_commit: Vec<SectorNumber>,
}

impl Default for LabConfig {
    fn default() -> Self {
        Self { epoch: Duration::from_secs(1), challenge_delay: 10, refuse_pre_commit: Vec::new() }
    }
}
