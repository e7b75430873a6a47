//! From start to serving, the rebuild of the state, and memory, on the built program with a long
//! history behind it: `cargo bench --bench start -- [finished] [active] [size]`, 100000, 100 and
//! 32GiB if not said, with TMPDIR on the disk that is meant. The engine is simulated.

#[path = "../tests/support/mod.rs"]
mod lab;
mod support;

use std::fs;
use std::time::{Duration, Instant};

use lab::Lab;
use sealbox::domain::units::SectorSize;

const LOOK_EVERY: Duration = Duration::from_millis(2);
const PATIENCE: Duration = Duration::from_secs(600);

fn main() {
    let given: Vec<String> = std::env::args().skip(1).collect();
    // `cargo test --benches` only asks whether this still builds and starts.
    if given.iter().any(|argument| argument == "--test") {
        return;
    }
    let mut given = given.into_iter().filter(|argument| !argument.starts_with("--"));
    let mut number = |default| given.next().map_or(default, |n| n.parse().expect("a number"));
    let (finished, active) = (number(100_000), number(100));
    let size = given.next().map_or(SectorSize::GiB32, |size| size.parse().expect("a size"));

    let mut lab = Lab::with(&format!(
        "auto_pledge = 0\nsector_size = \"{}\"\nshutdown_grace_sec = 0\n\
         [engine]\nkind = \"simulated\"\n[simulated]\np1_ms = 3600000\np2_ms = 3600000\n\
         p3_ms = 3600000\np4_ms = 3600000\np5_ms = 3600000\np6_ms = 3600000\n",
        size.name()
    ));
    // The first start makes scratch and storage the box's own.
    serving(&mut lab);
    stop(&mut lab);
    let data = lab.path("sealbox-data");
    let start = Instant::now();
    let entries = support::fill(&data, finished, active, size, &data.join("storage"));
    println!("{finished} finished and {active} active sectors of {size}: {entries} entries");
    println!(
        "made in {:.1?}; journal {}, state {}",
        start.elapsed(),
        mib(&lab, "journal"),
        mib(&lab, "state")
    );

    for _ in 0..2 {
        told("start after a clean stop", &mut lab);
        lab.kill();
        told("start after a kill -9", &mut lab);
        stop(&mut lab);
    }
    fs::remove_dir_all(data.join("state")).expect("the state is removed");
    told("start without the state: rebuilt", &mut lab);
    lab.kill();
    told("start after a kill -9 behind that", &mut lab);
    stop(&mut lab);
}

/// Starts it, asks the pages that cost most, and says what that took.
fn told(what: &str, lab: &mut Lab) {
    let times = serving(lab);
    let fresh = memory(lab, "VmRSS");
    for page in ["/", "/sectors", "/tasks", "/failures", "/sectors/7"] {
        for _ in 0..20 {
            lab.page(page);
        }
    }
    println!(
        "{what}: first answer {:.0?}, serving {:.2?}; {fresh} MiB resident, {} after 100 pages, {} \
         at most",
        times.answer,
        times.page,
        memory(lab, "VmRSS"),
        memory(lab, "VmHWM")
    );
}

struct Times {
    /// The port answers, be it that it is being rebuilt.
    answer: Duration,
    /// The first page of the box itself.
    page: Duration,
}

fn serving(lab: &mut Lab) -> Times {
    let start = Instant::now();
    lab.launch(&[]);
    let mut answer = None;
    loop {
        assert!(start.elapsed() < PATIENCE, "no page: {}", lab.messages());
        match ureq::get(lab.url("/")).call() {
            Ok(_) => {
                let page = start.elapsed();
                return Times { answer: answer.unwrap_or(page), page };
            }
            Err(ureq::Error::StatusCode(503)) => {
                answer.get_or_insert(start.elapsed());
            }
            Err(_) => {}
        }
        std::thread::sleep(LOOK_EVERY);
    }
}

fn stop(lab: &mut Lab) {
    lab.signal("-TERM");
    let code = lab.wait_for_end();
    assert_eq!(code, Some(0), "{}", lab.messages());
}

fn memory(lab: &Lab, name: &str) -> u64 {
    support::memory_mib(&lab.pid().to_string(), name)
}

fn mib(lab: &Lab, dir: &str) -> String {
    let dir = lab.path("sealbox-data").join(dir);
    let len = |file: &std::path::PathBuf| fs::metadata(dir.join(file)).map_or(0, |m| m.len());
    format!("{} MiB", lab::files(&dir).iter().map(len).sum::<u64>() >> 20)
}
