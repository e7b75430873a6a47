//! Durable commits a second, beside others' on the same disk in the same minute:
//! `cargo bench --bench commits`, with TMPDIR on the disk that is meant.
//!
//! A shared disk changes its mind often, so everyone has short turns, each right behind a turn of raw
//! appends that it is compared with.

mod support;

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use sealbox::domain::units::SectorSize;
use sealbox::store::{self, Batch, Store};
use support::{History, life, median};

const TURN: Duration = Duration::from_millis(250);
const ROUNDS: usize = 16;
/// What a turn left for the background to write is not to be paid for by the next.
const BACKGROUND: Duration = Duration::from_millis(1200);
const CALLERS: usize = 64;
/// Enough for every turn on a fast disk.
const BATCHES: u64 = 20_000;

/// One commit, durable when it returns. It is told which one it is.
type Once<'a> = &'a (dyn Fn(u64) + Sync);

struct Side<'a> {
    name: &'static str,
    callers: usize,
    once: Once<'a>,
    per_second: Vec<f64>,
    /// What raw appends gave just before each of these.
    raw: Vec<f64>,
}

fn main() {
    // `cargo test --benches` only asks whether this still builds and starts.
    if std::env::args().any(|argument| argument == "--test") {
        return;
    }
    let dir = tempfile::tempdir().expect("a temporary directory");
    let batches = batches();
    let line = line_of(&batches);
    let at = dir.path();
    println!("lines of {} bytes, in {}", line.len(), at.display());
    let appended = appended(at, &line);
    let overwritten = overwritten(at, &line);
    let (store, _) = store::OpenOptions::new(at.join("data")).open().expect("a store");
    let batches = Mutex::new(batches.into_iter());
    let ours = |_| commit(&store, &batches);
    let sqlite = sqlite(at, &line);
    let sled = sled(at, &line);
    let side = |name, callers, once| {
        let (per_second, raw) = (Vec::new(), Vec::new());
        Side { name, callers, once, per_second, raw }
    };
    let mut sides = [
        side("raw overwrite + fdatasync", 1, &overwritten),
        side("sealbox", 1, &ours),
        side("sealbox", CALLERS, &ours),
        // SQLite has one writer: its callers would only wait in line.
        side("SQLite, WAL, synchronous=FULL", 1, &sqlite),
        side("sled 0.34.7, flush()", 1, &sled),
        side("sled 0.34.7, flush()", CALLERS, &sled),
    ];
    let next = AtomicU64::new(0);
    for _ in 0..ROUNDS {
        for side in &mut sides {
            side.raw.push(turn(&appended, 1, &next));
            side.per_second.push(turn(side.once, side.callers, &next));
            std::thread::sleep(BACKGROUND);
        }
    }
    report(&sides);
}

fn turn(once: Once<'_>, callers: usize, next: &AtomicU64) -> f64 {
    let start = Instant::now();
    let caller = || {
        let mut done = 0_u32;
        while start.elapsed() < TURN {
            once(next.fetch_add(1, Ordering::Relaxed));
            done += 1;
        }
        done
    };
    let done: u32 = if callers == 1 {
        caller()
    } else {
        std::thread::scope(|scope| {
            let threads: Vec<_> = (0..callers).map(|_| scope.spawn(caller)).collect();
            threads.into_iter().map(|thread| thread.join().expect("a caller")).sum()
        })
    };
    f64::from(done) / start.elapsed().as_secs_f64()
}

fn report(sides: &[Side<'_>]) {
    let raw = sides.iter().flat_map(|side| &side.raw).copied().collect();
    let raw = median(raw);
    println!("{ROUNDS} turns of {} ms each, medians:", TURN.as_millis());
    println!("{:<32} {:>7} {:>9} {:>12}", "", "callers", "a second", "× raw append");
    println!("{:<32} {:>7} {raw:>9.0} {:>12}", "raw append + fdatasync", 1, "");
    for side in sides {
        let ratios = side.per_second.iter().zip(&side.raw).map(|(own, raw)| own / raw).collect();
        println!(
            "{:<32} {:>7} {:>9.0} {:>12.2}",
            side.name,
            side.callers,
            median(side.per_second.clone()),
            median(ratios)
        );
    }
    let [one, many] = [1, 2].map(|side| median(sides[side].per_second.clone()));
    println!("sealbox: {CALLERS} callers × one by one: {:.1}", many / one);
}

/// Batches of one entry, made beforehand: the domain's time is not the store's.
fn batches() -> Vec<Batch> {
    let mut history = History::default();
    let lives = (0..BATCHES).flat_map(|number| life(number, SectorSize::KiB2, Path::new("/s")));
    lives
        .map(|happened| {
            history.happen(happened);
            history.take()
        })
        .collect()
}

/// As long as the journal's lines are.
fn line_of(batches: &[Batch]) -> Vec<u8> {
    let some = &batches[..2000];
    let json = |batch: &Batch| serde_json::to_vec(&batch.entries).expect("JSON").len();
    let header = 60;
    vec![b'x'; some.iter().map(json).sum::<usize>() / some.len() + header]
}

fn commit(store: &Store, batches: &Mutex<std::vec::IntoIter<Batch>>) {
    // The lock is what keeps the order: held until the batch is queued.
    let mut batches = batches.lock().expect("no caller panics");
    let commit = store.commit(batches.next().expect("enough for all turns"));
    drop(batches);
    commit.wait().expect("a commit");
}

fn appended(dir: &Path, line: &[u8]) -> impl Fn(u64) + Sync {
    let path = dir.join("appended");
    let file = OpenOptions::new().create(true).append(true).open(path).expect("a file");
    move |_| {
        (&file).write_all(line).expect("a write");
        file.sync_data().expect("a sync");
    }
}

/// Into a file that never grows: what a disk gives at best.
fn overwritten(dir: &Path, line: &[u8]) -> impl Fn(u64) + Sync {
    let file = File::create(dir.join("overwritten")).expect("a file");
    let places = (4 << 20) / line.len() as u64;
    file.write_all_at(&vec![b' '; 4 << 20], 0).expect("a write");
    file.sync_all().expect("a sync");
    move |n| {
        file.write_all_at(line, n % places * line.len() as u64).expect("a write");
        file.sync_data().expect("a sync");
    }
}

fn sqlite(dir: &Path, line: &[u8]) -> impl Fn(u64) + Sync {
    let db = rusqlite::Connection::open(dir.join("sqlite.db")).expect("a database");
    db.pragma_update(None, "journal_mode", "WAL").expect("WAL");
    db.pragma_update(None, "synchronous", "FULL").expect("FULL");
    db.execute("CREATE TABLE journal (seq INTEGER PRIMARY KEY, line BLOB)", []).expect("a table");
    let (db, line) = (Mutex::new(db), line.to_vec());
    move |n| {
        let db = db.lock().expect("no caller panics");
        // Some 10 µs of it are for understanding the statement: little beside the sync.
        let row = rusqlite::params![n as i64, line];
        db.execute("INSERT INTO journal VALUES (?1, ?2)", row).expect("a row");
    }
}

fn sled(dir: &Path, line: &[u8]) -> impl Fn(u64) + Sync {
    let db = sled::open(dir.join("sled")).expect("a database");
    let line = line.to_vec();
    move |n| {
        db.insert(n.to_be_bytes(), line.as_slice()).expect("an insert");
        db.flush().expect("a flush");
    }
}
