//! Samples of the machine: the disks behind the configured paths, cores and memory.

use std::path::PathBuf;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use sysinfo::{ProcessRefreshKind, ProcessesToUpdate, System};
use tokio::sync::watch;

use crate::config::Config;
use crate::domain::units::ByteSize;
use crate::scheduler::view::{DiskRole, DiskView};
use crate::storage::disk::usage;

/// How often a disk is looked at.
const EVERY: Duration = Duration::from_secs(5);

/// Watches every configured path, each on a thread of its own: one that hangs stops nobody else.
///
/// # Errors
/// When the system gives no more threads.
pub fn watch_disks(config: &Config) -> std::io::Result<watch::Receiver<Vec<DiskView>>> {
    let scratch = std::iter::once((config.scratch.clone(), DiskRole::Scratch));
    let storage = config.storage.iter().map(|path| (path.clone(), DiskRole::Storage));
    let data = std::iter::once((config.data_dir.clone(), DiskRole::Data));
    let paths: Vec<_> = scratch.chain(storage).chain(data).collect();
    let unseen = paths.iter().map(|(path, role)| unseen(path.clone(), *role)).collect();
    let (sender, receiver) = watch::channel(unseen);
    let sender = Arc::new(sender);
    for (index, (path, role)) in paths.into_iter().enumerate() {
        let sender: Arc<watch::Sender<Vec<DiskView>>> = sender.clone();
        thread::Builder::new().name(format!("disk-{index}")).spawn(move || {
            while !sender.is_closed() {
                let seen = look(path.clone(), role);
                sender.send_if_modified(|disks| {
                    let changed = disks[index] != seen;
                    disks[index] = seen;
                    changed
                });
                thread::sleep(EVERY);
            }
        })?;
    }
    Ok(receiver)
}

fn look(path: PathBuf, role: DiskRole) -> DiskView {
    match usage(&path) {
        Ok(usage) => DiskView {
            device: usage.device,
            mount: usage.mount_point,
            file_system: usage.fs_type,
            total_bytes: usage.total.0,
            used_bytes: usage.total.0.saturating_sub(usage.free.0),
            free_bytes: usage.available.0,
            trouble: None,
            path,
            role,
        },
        Err(failure) => DiskView { trouble: Some(failure), ..unseen(path, role) },
    }
}

fn unseen(path: PathBuf, role: DiskRole) -> DiskView {
    DiskView {
        path,
        role,
        device: String::new(),
        mount: PathBuf::new(),
        file_system: String::new(),
        total_bytes: 0,
        used_bytes: 0,
        free_bytes: 0,
        trouble: None,
    }
}

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
    let me = sysinfo::get_current_pid().ok()?;
    let only_memory = ProcessRefreshKind::nothing().with_memory();
    system.refresh_processes_specifics(ProcessesToUpdate::Some(&[me]), false, only_memory);
    Some(Machine {
        cores: thread::available_parallelism().map_or(1, std::num::NonZero::get),
        memory: ByteSize(system.total_memory()),
        memory_available: ByteSize(system.available_memory()),
        memory_of_sealbox: ByteSize(system.process(me)?.memory()),
        kernel: System::kernel_version().ok()?,
    })
}
