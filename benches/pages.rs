//! The pages of a working box with a long history: `cargo bench --bench pages -- [sectors]
//! [browsers]`, 100000 and 100 if not said. Every page and every filter is asked for over and over
//! (wanted: p99 under 50 ms, the first page of a filtered list under 20 ms), then so many browsers
//! follow the first page live (wanted: under 10 % of a core beyond what the box takes by itself).
//!
//! The engine is simulated, and a sector is over every half a second or so.

#[path = "../tests/support/mod.rs"]
mod lab;
mod support;

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use lab::Lab;
use sealbox::domain::units::SectorSize;

const ASKED: usize = 300;
/// How long the cost of browsers is watched.
const WATCHED: Duration = Duration::from_secs(20);

const PAGES: [&str; 30] = [
    "/",
    "/sectors",
    "/sectors?state=finished",
    "/sectors?state=in_flight",
    "/sectors?state=needs_you",
    "/sectors?state=given_up",
    "/sectors/7",
    "/sectors/99999",
    "/tasks",
    "/tasks?task_type=1",
    "/tasks?task_type=32",
    "/tasks?task_type=32&result_status=0",
    "/tasks?task_type=8&result_status=2",
    "/tasks?result_status=1",
    "/tasks?result_status=2",
    "/tasks?sector=500",
    "/tasks?is_taken=1&is_finished=0",
    "/failures",
    "/storage",
    "/logs",
    "/logs?level=warn&q=nothing+like+this",
    "/sectors/7?q=nothing+like+this",
    "/sectors/7?q=storage_proofs&level=error",
    "/sectors/7?q=layer+3&attempt=99",
    "/system",
    "/api/v1/status",
    "/api/v1/sectors",
    "/api/v1/sectors?state=finished",
    "/api/v1/tasks?task_type=4",
    "/api/v1/sectors/7/log",
];

fn main() {
    let given: Vec<String> = std::env::args().skip(1).collect();
    // `cargo test --benches` only asks whether this still builds and starts.
    if given.iter().any(|argument| argument == "--test") {
        return;
    }
    let mut given = given.into_iter().filter(|argument| !argument.starts_with("--"));
    let mut number = |default| given.next().map_or(default, |n| n.parse().expect("a number"));
    let (sectors, browsers) = (number(100_000), number(100));
    let size = SectorSize::KiB2;
    let phases: String = (1..=6).map(|phase| format!("p{phase}_ms = 400\n")).collect();
    let mut lab = Lab::with(&format!(
        "auto_pledge = 0\nsector_size = \"{}\"\nshutdown_grace_sec = 0\n\
         [max_outstanding]\n\"2KiB\" = 50\n[engine]\nkind = \"simulated\"\n[simulated]\n{phases}\
         [chain.lab]\nepoch_ms = 100\nchallenge_delay = 5\n",
        size.name()
    ));
    // The first start makes scratch and storage the box's own.
    lab.start();
    lab.signal("-TERM");
    assert_eq!(lab.wait_for_end(), Some(0), "{}", lab.messages());
    let data = lab.path("sealbox-data");
    let entries = support::fill(&data, sectors, 0, size, &data.join("storage"));
    fill_log(&data.join("logs/sectors/s-t01000-7"));
    lab.start();
    lab.pledge(5_000);
    println!("{sectors} finished sectors, {} tasks, {entries} entries; the box works", sectors * 6);
    PAGES.iter().for_each(|page| ask(&lab, page));
    retry_all(&lab);
    follow(&lab, browsers);
}

/// A sector's log at its bound: both of its files are full.
fn fill_log(path: &Path) {
    const HALF: usize = 512 << 10;
    fs::create_dir_all(path.parent().expect("it has one")).expect("the logs' directory");
    let mut id: u64 = 1_700_000_000_000_000;
    for end in [".older.jsonl", ".jsonl"] {
        let mut text = String::new();
        while text.len() < HALF {
            id += 1_000;
            text.push_str(&format!(
                "{{\"at\":\"2023-11-14T22:13:20.000Z\",\"id\":{id},\"level\":\"info\",\"sector\":7,\
                 \"phase\":\"P1\",\"attempt\":1,\"target\":\"storage_proofs_porep::stacked\",\
                 \"message\":\"generating layer {}\",\"fields\":{{\"took_ms\":\"512\"}}}}\n",
                id % 11
            ));
        }
        fs::write(format!("{}{end}", path.display()), text).expect("a log file");
    }
}

fn ask(lab: &Lab, page: &str) {
    let agent = ureq::Agent::config_builder().max_redirects(0).build().new_agent();
    let url = lab.url(page);
    let mut took: Vec<Duration> = (0..ASKED)
        .map(|_| {
            let begun = Instant::now();
            let mut answer =
                agent.get(&url).call().unwrap_or_else(|error| panic!("{page}: {error}"));
            answer.body_mut().read_to_vec().expect("the page");
            begun.elapsed()
        })
        .collect();
    let first = took[0];
    took.sort();
    let [p50, p99] = [ASKED / 2, ASKED * 99 / 100].map(|at| ms(took[at]));
    println!("{page:<40} first {:6.2} ms, p50 {p50:6.2}, p99 {p99:6.2}", ms(first));
}

/// Every sector there is has to be looked at, for the answer says of each why nothing was done.
fn retry_all(lab: &Lab) {
    let agent = ureq::Agent::config_builder().max_redirects(0).build().new_agent();
    let begun = Instant::now();
    let fields = [("action", "retry"), ("which", "all"), ("state", "all")];
    let answer = agent.post(lab.url("/bulk")).send_form(fields).expect("an answer");
    println!("retry of all that match: {} after {:.0} ms", answer.status(), ms(begun.elapsed()));
}

fn ms(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

/// What the box uses by itself, and with so many browsers on its first page.
fn follow(lab: &Lab, browsers: u64) {
    let alone = cores(lab);
    let over = Arc::new(AtomicBool::new(false));
    let fetched = Arc::new(AtomicU64::new(0));
    let (address, url) = (lab.url("").replace("http://", ""), lab.url("/"));
    let browsers: Vec<_> = (0..browsers)
        .map(|_| {
            let browse = browser(&address, &url, &over, &fetched);
            thread::Builder::new().stack_size(512 << 10).spawn(browse).expect("a thread")
        })
        .collect();
    let before = fetched.load(Ordering::Relaxed);
    let followed = cores(lab);
    let fetched = fetched.load(Ordering::Relaxed) - before;
    over.store(true, Ordering::Relaxed);
    let number = browsers.len();
    drop(browsers);
    println!(
        "{number} browsers: {:.1} % of a core beside the {:.1} % that the box takes by itself; \
         {:.0} parts fetched a second",
        (followed - alone) * 100.0,
        alone * 100.0,
        fetched as f64 / WATCHED.as_secs_f64()
    );
}

/// Cores that the box keeps busy.
fn cores(lab: &Lab) -> f64 {
    let (begun, before) = (Instant::now(), lab.cpu_ms());
    thread::sleep(WATCHED);
    (lab.cpu_ms() - before) as f64 / begun.elapsed().as_secs_f64() / 1e3
}

/// Listens, and fetches the page's live part whenever it is told to, as `base.html` does.
fn browser(
    address: &str,
    url: &str,
    over: &Arc<AtomicBool>,
    fetched: &Arc<AtomicU64>,
) -> impl FnOnce() + Send + use<> {
    let (address, url) = (address.to_owned(), url.to_owned());
    let (over, fetched) = (Arc::clone(over), Arc::clone(fetched));
    move || {
        let agent = ureq::Agent::new_with_defaults();
        let mut connection = TcpStream::connect(&address).expect("a connection");
        let request = format!("GET /live HTTP/1.1\r\nHost: {address}\r\n\r\n");
        connection.write_all(request.as_bytes()).expect("a request");
        for line in BufReader::new(connection).lines().map_while(Result::ok) {
            if over.load(Ordering::Relaxed) {
                return;
            }
            if line.starts_with("event: changed") || line.starts_with("event:changed") {
                let renewed = agent
                    .get(&url)
                    .header("HX-Request", "true")
                    .header("Accept-Encoding", "gzip")
                    .call();
                drop(renewed.map(|mut answer| answer.body_mut().read_to_vec()));
                fetched.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}
