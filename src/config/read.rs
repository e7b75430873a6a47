//! Which keys there are, and what each may be.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tracing_subscriber::EnvFilter;

use super::alerts::AlertsConfig;
use super::engine::{chain, engine};
use super::numbers::{DAY_SEC, WEEK_SEC, YEAR_SEC, integer, small};
use super::problem::with_nearest;
use super::roots::{Directories, directories};
use super::table::Table;
use super::web::Web;
use super::{Config, Source, WorkerGroup, machine};
use crate::domain::ids::ActorId;
use crate::domain::order::{AutoPledge, ORDER_LIMIT};
use crate::domain::phase::Phase;
use crate::domain::porep::Porep;
use crate::domain::units::SectorSize;

/// A lab's miner, if none is named.
const DEFAULT_MINER: ActorId = ActorId(1000);
const DEFAULT_GRACE_SEC: u64 = 20;
const DEFAULT_WAIT_SEC: u64 = 60;
const DEFAULT_CHECK_EVERY_SEC: u64 = 30 * DAY_SEC;

/// More threads in one group than this is a slip of the finger.
const MOST_THREADS: u64 = 1_024;
/// A TiB a second: faster than anything a box can be copied to.
const MOST_COPY_MIB: u64 = 1 << 20;

/// Reads every key. The result means nothing if the reading has collected a problem.
///
/// `base` is the directory that relative paths are relative to, `parameter_cache` the
/// directory that the proofs library's own variable says.
pub fn config(
    root: &Table,
    source: Source,
    base: &Path,
    parameter_cache: Option<PathBuf>,
) -> Config {
    let mut notes = without_effect(root);
    let Directories { data_dir, scratch, storage } = directories(root, base);
    let (max_outstanding, max_outstanding_in_all) = machine::max_outstanding(root);
    let (engine, isolation) = engine(root);
    let Web { listen, hosts, tls } = Web::read(root, base, &mut notes);
    let parameters = parameter_cache.unwrap_or_else(|| data_dir.join("parameters"));
    Config {
        source,
        miner: miner(root, &mut notes),
        sector_size: sector_size(root),
        porep: porep(root),
        data_dir,
        scratch,
        storage,
        copy_limit_bytes_per_sec: copy_limit(root),
        workers: workers(root),
        max_outstanding,
        max_outstanding_in_all,
        machine: machine::machine(root),
        needs: machine::needs(root),
        scratch_keep_free_bytes: integer(root, "scratch_keep_free_mib", 0..=1 << 40, "MiB", 0)
            << 20,
        auto_pledge: auto_pledge(root),
        engine,
        isolation,
        chain: chain(root),
        listen,
        hosts,
        tls,
        alerts: AlertsConfig::read(root, base),
        shutdown_grace: Duration::from_secs(integer(
            root,
            "shutdown_grace_sec",
            0..=WEEK_SEC,
            "seconds",
            DEFAULT_GRACE_SEC,
        )),
        check_every: check_every(root),
        parameters,
        log: log(root),
        notes,
        // Known when all is read.
        given: BTreeMap::new(),
    }
}

/// The fleet's keys that have nothing to decide here.
fn without_effect(root: &Table) -> Vec<String> {
    let keys = [
        (
            "scheduler_url",
            "the scheduler is part of sealbox, which listens where `listen` in [web] says",
        ),
        ("group_id", "a box is a group of its own"),
        ("ip", "no other machine takes part in sealing; storage is named by its path"),
    ];
    keys.into_iter()
        .filter_map(|(key, why)| {
            let place = root.given(key)?;
            Some(format!("{place}: `{key}` has no effect: {why}"))
        })
        .collect()
}

fn auto_pledge(root: &Table) -> AutoPledge {
    let until_full = AutoPledge::UNTIL_FULL;
    let expected =
        format!("expected a whole number from 0 to {ORDER_LIMIT} (sectors), or {until_full:?}");
    let got = root.parsed("auto_pledge", &expected, &[until_full]);
    got.map_or(AutoPledge::Sectors(0), |got| got.value)
}

fn miner(root: &Table, notes: &mut Vec<String>) -> ActorId {
    let expected = "expected a miner's address, as in \"t01000\"";
    let before = root.reading().count();
    match root.parsed("miner", expected, &[]) {
        Some(got) => got.value,
        None => {
            if root.reading().count() == before {
                notes.push(format!(
                    "no `miner` is given: {DEFAULT_MINER} is used, which is right for a lab only"
                ));
            }
            DEFAULT_MINER
        }
    }
}

fn sector_size(root: &Table) -> SectorSize {
    let names = SectorSize::ALL.map(SectorSize::name);
    let expected = format!(
        "expected a size that has a proof, in words or bytes: {}",
        names.map(|name| format!("{name:?}")).join(", ")
    );
    root.parsed("sector_size", &expected, &names).map_or(SectorSize::KiB2, |got| got.value)
}

fn porep(root: &Table) -> Porep {
    let choices = Porep::ALL.map(|porep| (porep.name(), porep));
    root.choice("porep", &choices).map_or(Porep::Interactive, |got| got.value)
}

fn copy_limit(root: &Table) -> Option<u64> {
    let unit = "MiB per second, 0 for no limit";
    let mib = integer(root, "copy_limit_mb_per_sec", 0..=MOST_COPY_MIB, unit, 0);
    (mib > 0).then_some(mib << 20)
}

fn workers(root: &Table) -> Vec<WorkerGroup> {
    let before = root.reading().count();
    let Some(groups) = root.tables("worker", worker) else { return default_workers() };
    let missing: Vec<_> = Phase::ALL
        .into_iter()
        .filter(|phase| !groups.iter().any(|group| group.phases.contains(phase)))
        .map(Phase::fleet_name)
        .collect();
    // A phase that was misspelt is missing too; one complaint about it is enough.
    if !missing.is_empty() && root.reading().count() == before {
        let place = root.given("worker").unwrap_or_else(|| root.reading().whole_file());
        root.reading().refuse(
            place,
            "worker.supported_phase",
            format!("no worker supports {}", missing.join(", ")),
            "expected every phase in the `supported_phase` of at least one [[worker]], or no \
             sector is ever finished"
                .to_owned(),
        );
    }
    groups
}

fn worker(table: &Table) -> WorkerGroup {
    let names = Phase::ALL.map(Phase::fleet_name);
    let expected = format!("expected a list of phases: {}", names.join(", "));
    let given = table.given("supported_phase").is_some();
    let phases = table.list("supported_phase", &expected, |value| {
        let text = value.as_str().map(str::to_owned);
        let text = text.or_else(|| value.as_integer().map(|n| n.to_string())).unwrap_or_default();
        text.parse::<Phase>().map_err(|_| with_nearest(&expected, &text, &names))
    });
    if !given {
        table.missing("supported_phase", &expected);
    }
    let mut phases = phases.unwrap_or_default();
    phases.sort();
    phases.dedup();
    WorkerGroup {
        num: small(table, "num", 1..=MOST_THREADS, "threads", 1),
        phases,
        wait: Duration::from_secs(integer(
            table,
            "wait_sec",
            1..=DAY_SEC,
            "seconds",
            DEFAULT_WAIT_SEC,
        )),
    }
}

/// What the repository's file has: one sector's labels, its SNARK and a copy at the same time.
fn default_workers() -> Vec<WorkerGroup> {
    let group = |phases: &[Phase]| WorkerGroup {
        num: 1,
        phases: phases.to_vec(),
        wait: Duration::from_secs(DEFAULT_WAIT_SEC),
    };
    vec![
        group(&[Phase::P1, Phase::P2, Phase::P3]),
        group(&[Phase::P4]),
        group(&[Phase::P5, Phase::P6]),
    ]
}

fn check_every(root: &Table) -> Option<Duration> {
    let unit = "seconds, 0 for never";
    let seconds = root.table("check", |check| {
        integer(check, "every_sec", 0..=YEAR_SEC, unit, DEFAULT_CHECK_EVERY_SEC)
    });
    (seconds > 0).then(|| Duration::from_secs(seconds))
}

fn log(root: &Table) -> String {
    const LEVELS: [&str; 6] = ["error", "warn", "info", "debug", "trace", "off"];
    let got = root.text("log", |text| {
        let expected = "expected a log level (error, warn, info, debug, trace, off) or a filter, \
                        as in \"info,sealbox=debug\"";
        // A filter of one word that is no level would be a target's name, and silence the rest.
        let is_word = text.bytes().all(|byte| byte.is_ascii_alphabetic());
        let is_level = LEVELS.iter().any(|level| level.eq_ignore_ascii_case(text));
        if (is_word && !is_level) || EnvFilter::try_new(text).is_err() {
            return Err(with_nearest(expected, text, &LEVELS));
        }
        Ok(text.to_owned())
    });
    got.map_or_else(|| "info".to_owned(), |got| got.value)
}
