//! What the configuration asks for, made.

use std::collections::BTreeSet;
use std::sync::Arc;

use tokio::sync::watch;

use crate::chain::Chain;
use crate::chain::lab::Lab;
use crate::config::{ChainConfig, Config, EngineConfig};
use crate::doctor;
use crate::domain::failure::{Class, Failure};
use crate::domain::ids::SectorNumber;
use crate::domain::isolation::Isolation;
use crate::domain::layout::{Scratch, StorageRoot};
use crate::domain::phase::Phase;
use crate::engine::claim::Claims;
use crate::engine::filecoin::settings as library;
use crate::engine::filecoin::{FilecoinEngine, Hooks};
use crate::engine::isolated::{Inner, Isolated};
use crate::engine::simulated::SimulatedEngine;
use crate::engine::{Engine, EngineKind};
use crate::reload;
use crate::scheduler::core::Settings;
use crate::scheduler::run::Clock;
use crate::store::Reader;
use crate::telemetry;
use crate::web::{PathsOf, SectorPaths, StoredPaths};
use crate::worker::priority::Priority;

pub fn engine(
    config: &Config,
    claims: &Claims,
    changed: watch::Sender<u64>,
    priority: Priority,
) -> Result<Arc<dyn Engine>, Failure> {
    let inner = match &config.engine {
        EngineConfig::Filecoin => {
            library::read_back()?;
            let parameters_changed = Arc::new(move || changed.send_modify(|count| *count += 1));
            let thread_started = Arc::new(move || priority.enter());
            let hooks = Hooks { parameters_changed, thread_started };
            Inner::Filecoin(FilecoinEngine::new(config.kind(), hooks))
        }
        EngineConfig::Simulated(simulated) => {
            Inner::Simulated(SimulatedEngine::new(simulated.clone()))
        }
    };
    Ok(match (config.isolation, inner) {
        (Isolation::Process, inner) => {
            Arc::new(Isolated::new(inner, claims.clone(), config.log.clone()))
        }
        (Isolation::Thread, Inner::Filecoin(engine)) => Arc::new(engine),
        (Isolation::Thread, Inner::Simulated(engine)) => Arc::new(engine),
    })
}

pub fn chain(config: &Config, clock: &Clock) -> Result<Arc<dyn Chain>, Failure> {
    match &config.chain {
        ChainConfig::Lab(lab) => {
            Ok(Arc::new(Lab::open(&config.data_dir, lab.clone(), clock.clone())?))
        }
    }
}

pub fn settings(config: &Config, engine: &dyn Engine) -> Settings {
    Settings {
        miner: config.miner,
        sector_size: config.sector_size,
        porep: config.porep,
        simulated: match engine.kind() {
            EngineKind::Filecoin => false,
            EngineKind::Simulated => true,
        },
        machine: Some(telemetry::usable(&config.machine)),
        isolation: engine.isolation(),
        limits: reload::limits(config),
    }
}

/// A box that could never finish a sector of its size says so before the first hour is spent.
pub fn never_fits(config: &Config) -> Option<Failure> {
    let usable = telemetry::usable(&config.machine);
    let what = doctor::needs(config).never_fits(config.kind(), &usable)?;
    let mend = "set another `sector_size`, or say in `[machine]` and `[[need]]` what is right here";
    Some(Failure::new(Class::Operator, what, mend))
}

pub fn groups(config: &Config) -> Vec<(BTreeSet<Phase>, usize)> {
    let group = |group: &crate::config::WorkerGroup| {
        (group.phases.iter().copied().collect(), group.num as usize)
    };
    config.workers.iter().map(group).collect()
}

/// Where the pages say that a sector's files are.
pub fn paths(first_scratch: Scratch) -> PathsOf {
    Arc::new(move |sector| {
        let scratch = sector.scratch.as_ref().unwrap_or(&first_scratch);
        SectorPaths {
            scratch: vec![scratch.cache_dir(sector.id), scratch.replica(sector.id)],
            stored: sector.stage.stored().map(|stored| {
                let root = StorageRoot::new(&stored.root);
                StoredPaths {
                    replica: root.replica(sector.id),
                    cache: root.cache_dir(sector.id),
                    manifest: root.manifest(sector.id),
                    root: root.path().to_path_buf(),
                }
            }),
        }
    })
}

/// Whether nothing more will happen to a sector by itself; also of one that is not known.
pub fn is_over(reader: Reader) -> impl Fn(SectorNumber) -> bool {
    move |number| match reader.sector(number) {
        Ok(sector) => sector.is_none_or(|sector| sector.stage.is_over()),
        Err(_) => false,
    }
}
