//! From the end of one phase to the start of the next, as the two workers see it, while 500 P1 of
//! 2 KiB are in flight: `cargo bench --bench handover -- [hand-overs] [P1 in flight]`, 3000 and 500
//! if not said, with TMPDIR on the disk that is meant. Once with idle cores, and once with every
//! core busy at the priority that proving has. Wanted: p99 under 5 ms.
//!
//! Beside it, in the same time, what disk and machine give at best: a line written and synced, and
//! then another thread woken. On a machine that is shared, that is what the figures are of.
//!
//! P1 takes 2.5 to 7.5 s here, so that 500 of them end at about the rate that two cores manage.

mod support;

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::channel;
use std::thread;
use std::time::{Duration, Instant};

use sealbox::domain::ids::SectorNumber;
use sealbox::domain::phase::Phase;
use sealbox::worker::priority::Priority;
use support::fleet::{Fleet, Play};

/// The control's lines, about as long as the journal's, over and over into the same file.
const LINE: usize = 500;
const LINES: usize = 128;
const CONTROL_EVERY: Duration = Duration::from_millis(5);

fn main() {
    let given: Vec<String> = std::env::args().skip(1).collect();
    // `cargo test --benches` only asks whether this still builds and starts.
    if given.iter().any(|argument| argument == "--test") {
        return;
    }
    let mut given = given.into_iter().filter(|argument| !argument.starts_with("--"));
    let mut number = |default| given.next().map_or(default, |n| n.parse().expect("a number"));
    let (wanted, labelling): (usize, usize) = (number(3_000), number(500));
    measure("cores idle", wanted, labelling, 0);
    let cores = thread::available_parallelism().map_or(1, usize::from);
    measure("cores busy", wanted, labelling, cores);
}

fn measure(what: &str, wanted: usize, labelling: usize, busy: usize) {
    let over = Arc::new(AtomicBool::new(false));
    let burners: Vec<_> = (0..busy).map(|_| thread::spawn(burner(&over))).collect();
    let dir = tempfile::tempdir().expect("a temporary directory");
    use Phase::{P1, P2, P3, P4, P5, P6};
    // Enough for the others that nothing waits for a worker: that would be no hand-over.
    let crews: [(&[Phase], usize); 3] = [(&[P1], labelling), (&[P2, P3], 32), (&[P4, P5, P6], 64)];
    let play: Play = Arc::new(|phase, number| {
        if phase == Phase::P1 {
            thread::sleep(Duration::from_millis(label_ms(number)));
        }
    });
    let fleet = Fleet::start(dir.path(), &crews, play);
    fleet.order((labelling + wanted) as u64);
    fleet.log.wait_until(|lines| !lines.over.is_empty());
    let in_flight = fleet.log.lines().labelling;
    fleet.log.lines().listening = true;
    let control = thread::spawn(control(&over, dir.path()));
    fleet.log.wait_until(|lines| lines.hand_overs.len() >= wanted);
    let mut took = std::mem::take(&mut fleet.log.lines().hand_overs);
    over.store(true, Ordering::Relaxed);
    println!("{what}, {in_flight} P1 in flight");
    told("hand-overs", &mut took);
    told("sync and wake", &mut control.join().expect("it only writes"));
    burners.into_iter().for_each(|burner| burner.join().expect("it only counts"));
    // As it is: its last sectors are nobody's concern.
    drop(fleet);
}

fn told(what: &str, took: &mut [Duration]) {
    took.sort();
    let at = |permille: usize| ms(took[(took.len() * permille / 1_000).min(took.len() - 1)]);
    let [p50, p90, p99, p999, most] = [500, 900, 990, 999, 1_000].map(at);
    println!(
        "  {:>5} × {what:<14} p50 {p50:.2} ms, p90 {p90:.2}, p99 {p99:.2}, p99.9 {p999:.2}, most \
         {most:.2}",
        took.len()
    );
}

/// Writes, syncs and wakes until it is over.
fn control(over: &Arc<AtomicBool>, dir: &Path) -> impl FnOnce() -> Vec<Duration> + Send + 'static {
    let (over, path) = (Arc::clone(over), dir.join("control"));
    move || {
        let file = File::create(path).expect("a file");
        file.write_all_at(&[b' '; LINE * LINES], 0).expect("a write");
        file.sync_all().expect("a sync");
        let (wake, woken) = channel::<Instant>();
        let other = thread::spawn(move || woken.iter().map(|since| since.elapsed()).collect());
        for n in 0.. {
            if over.load(Ordering::Relaxed) {
                break;
            }
            let since = Instant::now();
            file.write_all_at(&[b'x'; LINE], (n % LINES * LINE) as u64).expect("a write");
            file.sync_data().expect("a sync");
            wake.send(since).expect("it listens");
            thread::sleep(CONTROL_EVERY);
        }
        drop(wake);
        other.join().expect("it only listens")
    }
}

/// 2.5 to 7.5 s, spread evenly.
fn label_ms(number: SectorNumber) -> u64 {
    2_500 + number.0.wrapping_mul(2_654_435_761) % 5_000
}

/// Keeps a core busy, as a proof would.
fn burner(over: &Arc<AtomicBool>) -> impl FnOnce() + Send + 'static {
    let over = Arc::clone(over);
    move || {
        Priority::reserving(0).enter();
        while !over.load(Ordering::Relaxed) {
            std::hint::spin_loop();
        }
    }
}

fn ms(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1_000.0
}
