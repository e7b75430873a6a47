//! Is the page there while every core proves? `cargo bench --bench reachable -- [size]`, `2KiB` if
//! not said: asks for page after page for as long as the C2 of a real sector runs. Wanted: an answer
//! within 100 ms.

#[path = "../tests/support/mod.rs"]
mod lab;
mod support;

use std::thread::sleep;
use std::time::{Duration, Instant};

use lab::Lab;

const PATIENCE: Duration = Duration::from_secs(3_600);
/// Between two pages: what is measured is the answer, not a machine that is busy answering.
const PAUSE: Duration = Duration::from_millis(50);
const PAGES: [&str; 8] =
    ["/", "/sectors", "/sectors/0", "/tasks", "/failures", "/history", "/storage", "/system"];
/// `task_type` of C2 in the fleet's table.
const C2: u64 = 8;
const RUNNING: (u64, u64, u64) = (1, 0, 1);

fn main() {
    let given: Vec<String> = std::env::args().skip(1).collect();
    // `cargo test --benches` only asks whether this still builds and starts.
    if given.iter().any(|argument| argument == "--test") {
        return;
    }
    let size = given.iter().find(|argument| argument.ends_with('B'));
    let size = size.map_or("2KiB", String::as_str);
    let mut lab = Lab::with(&format!(
        "auto_pledge = 1\nsector_size = \"{size}\"\n[chain.lab]\nepoch_ms = 1\nchallenge_delay = 1\n"
    ));
    let parameters = lab::parameters().display().to_string();
    lab.launch(&[("FIL_PROOFS_PARAMETER_CACHE", &parameters)]);
    lab.wait_until_it_answers();
    let runs = |lab: &Lab| lab.row(0, C2) == Some(RUNNING);
    lab.wait_for(PATIENCE, "C2", runs);
    let begun = Instant::now();
    let mut took = Vec::new();
    while runs(&lab) {
        for page in PAGES {
            let asked = Instant::now();
            lab.page(page);
            took.push((asked.elapsed(), page));
            sleep(PAUSE);
        }
    }
    took.sort();
    let ms = |took: Duration| took.as_secs_f64() * 1_000.0;
    let [p50, p99] = [50, 99].map(|percent| ms(took[(took.len() - 1) * percent / 100].0));
    let (most, page) = took[took.len() - 1];
    println!(
        "{} pages in {:.0} s of C2 of {size}: p50 {p50:.1} ms, p99 {p99:.1}, most {:.1} ({page})",
        took.len(),
        begun.elapsed().as_secs_f64(),
        ms(most)
    );
}
