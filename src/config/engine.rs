//! The keys that choose the engine and the chain, and those of the ones that only act as if.

use std::time::Duration;

use super::numbers::{DAY_SEC, WEEK_SEC, integer, small};
use super::table::Table;
use super::{
    ChainConfig, EngineConfig, LabConfig, SimulatedConfig, SimulatedFailure, SimulatedSizes,
};
use crate::domain::failure::Class;
use crate::domain::ids::SectorNumber;
use crate::domain::isolation::Isolation;
use crate::domain::order::ORDER_LIMIT;
use crate::domain::phase::{PerPhase, Phase};

const DEFAULT_SIMULATED_MS: u64 = 100;

#[derive(Clone, Copy, PartialEq)]
enum EngineWord {
    Filecoin,
    Simulated,
}

pub fn engine(root: &Table) -> (EngineConfig, Isolation) {
    let words = [("filecoin", EngineWord::Filecoin), ("simulated", EngineWord::Simulated)];
    let places = Isolation::ALL.map(|isolation| (isolation.name(), isolation));
    let (word, isolation) = root.table("engine", |table| {
        (table.choice("kind", &words), table.choice("isolation", &places))
    });
    let isolation = isolation.map_or(Isolation::default(), |got| got.value);
    let word = word.map_or(EngineWord::Filecoin, |got| got.value);
    let written = root.given("simulated");
    let (config, variable) =
        root.table("simulated", |table| (simulated(table), table.variable_given()));
    let engine = match word {
        EngineWord::Simulated => EngineConfig::Simulated(config),
        EngineWord::Filecoin => {
            if let Some(place) = written.or(variable) {
                root.reading().refuse(
                    place,
                    "simulated",
                    "[simulated] is given, but the engine is \"filecoin\"".to_owned(),
                    "expected `kind = \"simulated\"` in [engine], or no [simulated] at all"
                        .to_owned(),
                );
            }
            EngineConfig::Filecoin
        }
    };
    (engine, isolation)
}

fn simulated(table: &Table) -> SimulatedConfig {
    let durations = PerPhase::from_fn(|phase| {
        let key = match phase {
            Phase::P1 => "p1_ms",
            Phase::P2 => "p2_ms",
            Phase::P3 => "p3_ms",
            Phase::P4 => "p4_ms",
            Phase::P5 => "p5_ms",
            Phase::P6 => "p6_ms",
        };
        let range = 0..=WEEK_SEC * 1_000;
        Duration::from_millis(integer(table, key, range, "milliseconds", DEFAULT_SIMULATED_MS))
    });
    let failures = table.tables("failure", simulated_failure).unwrap_or_default();
    let sizes = [("small", SimulatedSizes::Small), ("real", SimulatedSizes::Real)];
    let sizes = table.choice("sizes", &sizes).map_or_else(Default::default, |got| got.value);
    SimulatedConfig { durations, failures: failures.into_iter().flatten().collect(), sizes }
}

fn simulated_failure(table: &Table) -> Option<SimulatedFailure> {
    let names = Phase::ALL.map(Phase::fleet_name);
    let expected = "expected a phase, \"P1\" to \"P6\" or its name in `supported_phase`";
    let phase_given = table.given("phase").is_some();
    let phase = table.parsed("phase", expected, &names);
    if !phase_given {
        table.missing("phase", expected);
    }
    let classes = Class::ALL.map(|class| (class.name(), class));
    let sector = table.integer("sector", 0..=ORDER_LIMIT, "a sector's number");
    let class = table.choice("class", &classes).map_or(Class::Transient, |got| got.value);
    let times = small(table, "times", 1..=ORDER_LIMIT, "attempts", 1);
    let panic = table.boolean("panic").is_some_and(|got| got.value);
    Some(SimulatedFailure {
        sector: sector.map(|got| SectorNumber(got.value)),
        phase: phase?.value,
        class,
        times,
        panic,
    })
}

pub fn chain(root: &Table) -> ChainConfig {
    root.table("chain", |table| {
        // The only chain so far; the word is there so that a file says which it was made for.
        table.choice("kind", &[("lab", ())]);
        ChainConfig::Lab(table.table("lab", lab))
    })
}

fn lab(table: &Table) -> LabConfig {
    let expected = "expected a list of sector numbers, as in [3, 4]";
    let refused = table.list("refuse_pre_commit", expected, |value| {
        let number = value.as_integer().and_then(|number| u64::try_from(number).ok());
        number.map(SectorNumber).ok_or_else(|| expected.to_owned())
    });
    let LabConfig { epoch, challenge_delay, .. } = LabConfig::default();
    let epoch_ms = u64::try_from(epoch.as_millis()).unwrap_or(u64::MAX);
    let epoch_ms = integer(table, "epoch_ms", 1..=DAY_SEC * 1_000, "milliseconds", epoch_ms);
    LabConfig {
        epoch: Duration::from_millis(epoch_ms),
        challenge_delay: integer(table, "challenge_delay", 1..=100_000, "epochs", challenge_delay),
        refuse_pre_commit: refused.unwrap_or_default(),
    }
}
