//! Proving gives way: its threads leave the reserved cores alone and run at a lower priority.
//!
//! The libraries' pools (rayon, yastl, ec-gpu-gen) size themselves by the affinity of the thread
//! that first calls them, and their threads inherit its affinity and its nice value. So it is enough
//! that every thread of ours that may be that first one has entered here before. I/O priority needs
//! nothing of its own: the kernel derives it from the nice value.

use rustix::process::{getpriority_process, setpriority_process};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// How far proving stands back behind everything else on the machine.
const NICE: i32 = 10;

/// What proving threads are bound to.
#[derive(Clone)]
pub struct Priority {
    /// None: nothing is reserved, or the machine does not say.
    cores: Option<CpuSet>,
}

impl Priority {
    /// Keeps the first `reserved` of the cores that this process may use free of proving. Never all
    /// of them.
    pub fn reserving(reserved: u32) -> Self {
        if reserved == 0 {
            return Self { cores: None };
        }
        let cores = sched_getaffinity(None).ok().map(|mut cores| {
            let usable: Vec<usize> =
                (0..CpuSet::MAX_CPU).filter(|core| cores.is_set(*core)).collect();
            let keep = (reserved as usize).min(usable.len().saturating_sub(1));
            usable.into_iter().take(keep).for_each(|core| cores.unset(core));
            cores
        });
        Self { cores }
    }

    /// The calling thread proves from here on. What the system does not allow is logged and let be:
    /// sealing goes on, only less politely.
    pub fn enter(&self) {
        if let Some(cores) = &self.cores
            && let Err(error) = sched_setaffinity(None, cores)
        {
            tracing::warn!(%error, "proving cannot be kept off the reserved cores");
        }
        let before = getpriority_process(None).unwrap_or(0);
        if before < NICE
            && let Err(error) = setpriority_process(None, NICE)
        {
            tracing::warn!(%error, "proving cannot be given a lower priority");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_that_proves_leaves_the_reserved_core_alone_and_so_do_its_children() {
        let before = sched_getaffinity(None).expect("a process may ask for its own").count();
        let given = getpriority_process(None).expect("a process may ask for its own");
        let priority = Priority::reserving(1);
        let seen = std::thread::spawn(move || {
            priority.enter();
            std::thread::spawn(|| {
                let cores = sched_getaffinity(None).expect("asked for its own").count();
                (cores, getpriority_process(None).expect("asked for its own"))
            })
            .join()
        });
        let (cores, nice) = seen.join().expect("no panic").expect("no panic");
        assert_eq!(cores, (before - 1).max(1));
        assert_eq!(nice, NICE.max(given), "who stands further back stays there");
        assert_eq!(sched_getaffinity(None).expect("asked for its own").count(), before);
    }

    #[test]
    fn the_last_core_is_never_reserved() {
        let all = Priority::reserving(u32::MAX).cores.expect("something is left");
        assert_eq!(all.count(), 1);
    }
}
