//! The machine and this process on it, as they are now; and what of the machine may be used.

use std::thread;
use std::time::Duration;

use sysinfo::{ProcessRefreshKind, ProcessesToUpdate, System};

use crate::config::MachineConfig;
use crate::domain::needs::Machine as Usable;
use crate::domain::units::ByteSize;

/// The machine, as it is now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Machine {
    pub cores: usize,
    pub memory: ByteSize,
    /// What could be had without swapping.
    pub memory_available: ByteSize,
    /// What this process holds of it, mapped parameters included.
    pub memory_of_sealbox: ByteSize,
    pub kernel: String,
}

/// Looks at the machine: some reads below `/proc`, no waiting. None where the system does not say.
pub fn machine() -> Option<Machine> {
    let mut system = System::new().ok()?;
    system.refresh_memory();
    let limit = system.cgroup_limits();
    let me = sysinfo::get_current_pid().ok()?;
    let only_memory = ProcessRefreshKind::nothing().with_memory();
    system.refresh_processes_specifics(ProcessesToUpdate::Some(&[me]), false, only_memory);
    Some(Machine {
        cores: thread::available_parallelism().map_or(1, std::num::NonZero::get),
        memory: ByteSize(limit.map_or(system.total_memory(), |limit| limit.total_memory)),
        memory_available: ByteSize(system.available_memory()),
        memory_of_sealbox: ByteSize(system.process(me)?.memory()),
        kernel: System::kernel_version().ok()?,
    })
}

/// What this process takes, for metrics. Attempts that run in processes of their own are not in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Process {
    pub resident: ByteSize,
    pub virtual_memory: ByteSize,
    /// Of all cores together, since it started.
    pub cpu: Duration,
    /// In seconds since 1970.
    pub started: u64,
    pub open_files: Option<usize>,
    pub open_files_limit: Option<usize>,
}

/// Looks at this process: some reads below `/proc`, no waiting. None where the system does not say.
pub fn process() -> Option<Process> {
    let mut system = System::new().ok()?;
    let me = sysinfo::get_current_pid().ok()?;
    let wanted = ProcessRefreshKind::nothing().with_memory().with_cpu();
    system.refresh_processes_specifics(ProcessesToUpdate::Some(&[me]), false, wanted);
    let process = system.process(me)?;
    Some(Process {
        resident: ByteSize(process.memory()),
        virtual_memory: ByteSize(process.virtual_memory()),
        cpu: Duration::from_millis(process.accumulated_cpu_time()),
        started: process.start_time(),
        open_files: process.open_files(),
        open_files_limit: process.open_files_limit(),
    })
}

/// Of this many cores none are kept back, of more one, of more yet two: below that the box has
/// nothing else to do than to prove.
const CORES_FOR_ONE: u32 = 4;
const CORES_FOR_TWO: u32 = 8;
/// What part of the memory is left to everything else.
const RESERVED_MEMORY_PART: u64 = 16;

/// What sealbox may use of this machine: what the configuration says, or what the machine (and the
/// cgroup round it) has, less what is reserved.
pub fn usable(config: &MachineConfig) -> Usable {
    let found = machine();
    let cores = cores(config);
    let memory = config.memory.or(found.map(|machine| machine.memory)).unwrap_or_default();
    let reserved = config.reserved_memory.unwrap_or(ByteSize(memory.0 / RESERVED_MEMORY_PART));
    Usable {
        memory: ByteSize(memory.0.saturating_sub(reserved.0)),
        cores: cores.saturating_sub(reserved_cores(config)),
        gpus: config.gpus,
    }
}

fn cores(config: &MachineConfig) -> u32 {
    let found = || thread::available_parallelism().map_or(1, std::num::NonZero::get);
    config.cores.unwrap_or_else(|| u32::try_from(found()).unwrap_or(u32::MAX))
}

/// Cores that proving leaves alone.
pub fn reserved_cores(config: &MachineConfig) -> u32 {
    config.reserved_cores.unwrap_or(match cores(config) {
        0..CORES_FOR_ONE => 0,
        CORES_FOR_ONE..CORES_FOR_TWO => 1,
        CORES_FOR_TWO.. => 2,
    })
}
