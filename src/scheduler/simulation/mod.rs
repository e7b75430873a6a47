//! The deterministic simulation: the real core, pipeline and admission in a simulated world.
//!
//! A run is one seed. It decides the box, the world's temper, every fault and which of the pending
//! things happens next; the same seed gives the same run on every machine. After each step the
//! invariants are checked (`invariants`, `history`), at the end the world turns kind, and then
//! everything that was ordered has to come out.
//!
//! What is real: `Core`, `pipeline`, `admission`, `failure`, `BoxState`. What is simulated: the
//! journal, the loop round the core (`process`, cut into steps between which it can be killed),
//! the messenger, workers, chain, disks, clock.
//!
//! More seeds: `SIMULATION_SEEDS=100000 cargo test --release simulation`. One, with its trace:
//! `SIMULATION_SEED=<seed> cargo test --release simulation -- --nocapture`.

mod chain;
mod ending;
mod files;
mod history;
mod invariants;
mod journal;
mod mischief;
mod process;
mod promises;
mod random;
mod run;
mod tests;
mod violation;
mod world;
