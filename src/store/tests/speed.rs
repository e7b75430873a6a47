//! Not a proof, a measurement: `cargo test --release --lib store::tests::speed -- --ignored
//! --nocapture --test-threads 1`, with TMPDIR on the disk that is meant.

use std::fs::OpenOptions as File;
use std::io::Write;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use super::*;

/// How long one side runs before it is the other's turn: a shared disk changes its mind often,
/// so only neighbours are compared.
const TURN: Duration = Duration::from_millis(300);
const TURNS: usize = 20;
const SLED_FLUSHES: Duration = Duration::from_millis(1500);

fn per_second(mut once: impl FnMut()) -> f64 {
    let start = Instant::now();
    let mut times = 0_u32;
    while start.elapsed() < TURN {
        once();
        times += 1;
    }
    f64::from(times) / start.elapsed().as_secs_f64()
}

fn pick(n: u32) -> u32 {
    n.wrapping_mul(2_654_435_761).rotate_left(7)
}

/// The batches of a long history, made beforehand: the domain's own time is not the store's.
fn batches(count: u32) -> Vec<Batch> {
    let mut world = World::default();
    (0..count).map(|n| world.batch(&[pick(n)])).collect()
}

fn with_callers(store: &Store, batches: &Mutex<std::vec::IntoIter<Batch>>, callers: usize) -> f64 {
    let start = Instant::now();
    let caller = || {
        let mut done = 0_u32;
        while start.elapsed() < TURN {
            // The lock is what keeps the order: held until the batch is queued.
            let mut batches = batches.lock().unwrap();
            let commit = store.commit(batches.next().expect("enough for all turns"));
            drop(batches);
            commit.wait().unwrap();
            done += 1;
        }
        done
    };
    let done: u32 = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..callers).map(|_| scope.spawn(caller)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    f64::from(done) / start.elapsed().as_secs_f64()
}

fn shown(name: &str, mut figures: Vec<f64>) {
    figures.sort_by(f64::total_cmp);
    let at = |part: usize| figures[(figures.len() - 1) * part / 4];
    let n = figures.len();
    println!("{name}: median {:.2}, quartiles {:.2} to {:.2}, n = {n}", at(2), at(1), at(3));
}

#[test]
#[ignore = "a measurement"]
fn durable_commits_per_second() {
    let made = batches(150_000);
    let bytes: usize =
        made[..2000].iter().map(|b| record::fragment(&b.entries).unwrap().len()).sum();
    let line = vec![b'x'; bytes / 2000 + 60];
    println!("lines of about {} bytes in {}", line.len(), std::env::temp_dir().display());
    let made = Mutex::new(made.into_iter());
    let dir = tempfile::tempdir().unwrap();
    let mut file = File::new().create(true).append(true).open(dir.path().join("raw")).unwrap();
    let (store, _) = OpenOptions::new(dir.path().join("data")).open().unwrap();
    let mut raw = Vec::new();
    let mut one = Vec::new();
    for turn in 0..TURNS * 2 {
        // Raw, store, store, raw, …: neither side always comes after the other. What sled still
        // has to flush of the store's turn is not to be paid for by the raw one.
        if turn % 4 == 0 || turn % 4 == 3 {
            std::thread::sleep(SLED_FLUSHES);
            raw.push(per_second(|| {
                file.write_all(&line).unwrap();
                file.sync_data().unwrap();
            }));
        } else {
            one.push(with_callers(&store, &made, 1));
        }
    }
    let many: Vec<f64> = (0..TURNS).map(|_| with_callers(&store, &made, 64)).collect();
    let ratio = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a / b).collect();
    shown("one by one / raw fdatasync, pairwise", ratio(&one, &raw));
    shown("raw fdatasync per second", raw);
    shown("one by one per second", one);
    shown("64 callers per second", many);
}

#[test]
#[ignore = "a measurement"]
fn opening_follows_the_work_in_flight() {
    for entries in [20_000, 200_000] {
        let dir = tempfile::tempdir().unwrap();
        let (store, _) = OpenOptions::new(dir.path()).segment_bytes(4 << 20).open().unwrap();
        let mut world = World::default();
        for n in 0..entries / 100 {
            let picks: Vec<u32> = (0..100).map(|i| pick(n * 100 + i)).collect();
            store.commit(world.batch(&picks)).wait().unwrap();
        }
        store.close().unwrap();
        let start = Instant::now();
        let (store, recovered) = OpenOptions::new(dir.path()).open().unwrap();
        let clean = start.elapsed();
        drop(store);
        std::fs::remove_dir_all(dir.path().join("state")).unwrap();
        let start = Instant::now();
        let (_store, again) = OpenOptions::new(dir.path()).open().unwrap();
        println!(
            "{entries} entries, {} sectors, {} active: opened in {clean:?}; rebuilt in {:?}",
            recovered.counts.sectors,
            recovered.active.len(),
            start.elapsed()
        );
        assert_eq!(again.counts, recovered.counts);
    }
}
