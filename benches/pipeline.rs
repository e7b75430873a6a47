//! Simulated sectors through all six phases by the real scheduler and store, with attempts that
//! take no time: `cargo bench --bench pipeline -- [sectors] [workers a phase]`, 10000 and 4 if not
//! said, with TMPDIR on the disk that is meant. Wanted: 10,000 in under 60 s on 2 cores, memory
//! flat, and the last thousand no slower than the first.

mod support;

use std::sync::Arc;
use std::time::{Duration, Instant};

use sealbox::domain::phase::Phase;
use support::fleet::Fleet;
use support::memory_mib;

const THOUSAND: usize = 1_000;

fn main() {
    let given: Vec<String> = std::env::args().skip(1).collect();
    // `cargo test --benches` only asks whether this still builds and starts.
    if given.iter().any(|argument| argument == "--test") {
        return;
    }
    let mut given = given.into_iter().filter(|argument| !argument.starts_with("--"));
    let mut number = |default| given.next().map_or(default, |n| n.parse().expect("a number"));
    let (sectors, workers): (usize, usize) = (number(10 * THOUSAND), number(4));
    let dir = tempfile::tempdir().expect("a temporary directory");
    let crews = Phase::ALL.map(|phase| [phase]);
    let crews = crews.each_ref().map(|phases| (phases.as_slice(), workers));
    let fleet = Fleet::start(dir.path(), &crews, Arc::new(|_, _| ()));
    println!("{sectors} sectors, {workers} workers a phase, in {}", dir.path().display());
    let begun = Instant::now();
    fleet.order(sectors as u64);
    println!("{:>8} {:>9} {:>12} {:>8}", "sectors", "seconds", "ms a sector", "MiB");
    let mut before = begun;
    let mut a_sector = Vec::new();
    for mark in (THOUSAND.min(sectors)..=sectors).step_by(THOUSAND) {
        fleet.log.wait_until(|lines| lines.over.len() >= mark);
        let at = fleet.log.lines().over[mark - 1];
        let ms = ms(at - before) / THOUSAND.min(sectors) as f64;
        before = at;
        let memory = memory_mib("self", "VmRSS");
        println!("{mark:>8} {:>9.2} {ms:>12.3} {memory:>8}", (at - begun).as_secs_f64());
        a_sector.push(ms);
    }
    let last = a_sector.last().copied().unwrap_or(0.0);
    println!("the last thousand × the first: {:.2}", last / a_sector[0]);
    fleet.stop();
}

fn ms(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1_000.0
}
