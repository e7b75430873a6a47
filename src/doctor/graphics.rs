//! GPUs: those that are there, those that `[machine]` plans with, and those that phases need.

use std::fs;
use std::path::Path;

use super::{Check, needs};
use crate::config::Config;
use crate::domain::phase::Phase;

/// What there is to compare.
#[derive(Debug, Clone, Copy)]
struct Graphics {
    found: u32,
    /// Whether this build can use any.
    built: bool,
    /// `[machine] gpus`.
    planned: u32,
    /// The phase that needs most, by the configuration's `[[need]]`.
    needed: Option<(u32, Phase)>,
}

pub fn check(config: &Config) -> Check {
    let needs = needs(config);
    let of = |phase| (needs.of(config.kind(), phase).gpus, phase);
    judge(Graphics {
        found: found(),
        built: cfg!(any(feature = "cuda", feature = "opencl")),
        planned: config.machine.gpus,
        needed: Phase::ALL.map(of).into_iter().filter(|(gpus, _)| *gpus > 0).max(),
    })
}

fn judge(graphics: Graphics) -> Check {
    let Graphics { found, built, planned, needed } = graphics;
    if let Some((gpus, phase)) = needed {
        let needs = format!("{phase} needs {} by its [[need]]", count(gpus));
        if gpus > found {
            let found = format!("{needs}, and the system shows {}", count_or_none(found));
            let mend = "see whether the driver is loaded (`nvidia-smi`), or take `gpus` out of \
                        that [[need]]";
            return Check::stop("GPU", found, mend);
        }
        if gpus > planned {
            let plans = format!("{needs}, and [machine] plans with {}", count_or_none(planned));
            return Check::stop("GPU", plans, format!("set `gpus = {found}` in [machine]"));
        }
        if !built {
            let found = format!("{needs}, and this build does not use any: it proves on the CPU");
            return Check::warning("GPU", found, "build with `--features cuda`");
        }
    }
    if planned > found {
        let plans = format!("[machine] plans with {}, and the system shows", count(planned));
        let mend =
            format!("see whether the driver is loaded (`nvidia-smi`), or set `gpus = {found}`");
        return Check::warning("GPU", format!("{plans} {}", count_or_none(found)), mend);
    }
    match (found, built) {
        (0, false) => Check::ok("GPU", "none; this build proves on the CPU"),
        (0, true) => Check::warning(
            "GPU",
            "this build uses one, and none is there: it proves on the CPU",
            "see whether the driver is loaded (`nvidia-smi`)",
        ),
        (some, false) => Check::warning(
            "GPU",
            format!("{some} there, and this build does not use them"),
            "build with `--features cuda`: C2 of a 32 GiB sector takes minutes instead of an hour",
        ),
        (some, true) if planned == 0 || needed.is_none() => Check::warning(
            "GPU",
            format!("{some} there, [machine] plans with {planned}, and no phase says it needs one"),
            format!("set `gpus = {some}` in [machine], and a [[need]] with `gpus` for P2 and P4"),
        ),
        (some, true) => Check::ok("GPU", format!("{some} there, {planned} planned with")),
    }
}

fn count(gpus: u32) -> String {
    if gpus == 1 { "1 GPU".to_owned() } else { format!("{gpus} GPUs") }
}

fn count_or_none(gpus: u32) -> String {
    if gpus == 0 { "none".to_owned() } else { gpus.to_string() }
}

/// NVIDIA's driver lists its cards; AMD's lists nodes, of which those with a GPU have its id.
fn found() -> u32 {
    let nvidia = Path::new("/proc/driver/nvidia/gpus");
    let cards = fs::read_dir(nvidia).map_or(0, |cards| cards.flatten().count());
    let amd = Path::new("/sys/class/kfd/kfd/topology/nodes");
    let has_gpu = |node: &fs::DirEntry| {
        fs::read_to_string(node.path().join("gpu_id")).is_ok_and(|id| id.trim() != "0")
    };
    let nodes = fs::read_dir(amd).map_or(0, |all| all.flatten().filter(has_gpu).count());
    u32::try_from(cards + nodes).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Verdict::{self, Ok, Stop, Warning};

    fn verdict(found: u32, built: bool, planned: u32, needed: u32) -> (Verdict, String) {
        let needed = (needed > 0).then_some((needed, Phase::P4));
        let check = judge(Graphics { found, built, planned, needed });
        (check.verdict, format!("{}; {}", check.found, check.mend))
    }

    #[test]
    fn a_gpu_that_a_phase_needs_and_that_is_not_there_or_not_planned_with_stops() {
        let (stop, said) = verdict(0, true, 1, 1);
        assert_eq!(stop, Stop);
        assert!(said.starts_with("P4 needs 1 GPU by its [[need]], and the system shows none;"));
        assert_eq!(verdict(0, false, 0, 1).0, Stop);
        let (stop, said) = verdict(2, true, 0, 1);
        assert_eq!(stop, Stop);
        assert!(said.ends_with("plans with none; set `gpus = 2` in [machine]"), "{said}");
    }

    #[test]
    fn what_only_costs_time_is_a_warning_and_what_agrees_is_well() {
        assert_eq!(verdict(0, false, 0, 0).0, Ok);
        assert_eq!(verdict(2, true, 2, 1).0, Ok);
        for (found, built, planned, needed) in
            [(0, true, 0, 0), (1, false, 0, 0), (1, true, 0, 0), (1, true, 1, 0), (1, false, 1, 1)]
        {
            let (verdict, said) = verdict(found, built, planned, needed);
            assert_eq!(verdict, Warning, "{said}");
        }
        let (verdict, said) = verdict(1, true, 2, 1);
        assert_eq!(verdict, Warning);
        assert!(said.starts_with("[machine] plans with 2 GPUs, and the system shows 1;"), "{said}");
    }
}
