//! Not a proof, a measurement: `cargo test --release --lib store::tests::speed -- --ignored
//! --nocapture --test-threads 1`, with TMPDIR on the disk that is meant.

use std::fs::OpenOptions as File;
use std::io::Write;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use super::*;

const SPAN: Duration = Duration::from_secs(3);

fn per_second(mut once: impl FnMut()) -> f64 {
    let start = Instant::now();
    let mut times = 0_u32;
    while start.elapsed() < SPAN {
        once();
        times += 1;
    }
    f64::from(times) / start.elapsed().as_secs_f64()
}

fn raw(line: usize) -> f64 {
    let dir = tempfile::tempdir().unwrap();
    let mut file = File::new().create(true).append(true).open(dir.path().join("raw")).unwrap();
    let line = vec![b'x'; line];
    per_second(|| {
        file.write_all(&line).unwrap();
        file.sync_data().unwrap();
    })
}

fn pick(n: u32) -> u32 {
    n.wrapping_mul(2_654_435_761).rotate_left(7)
}

/// The batches of a long history, made beforehand: the domain's own time is not the store's.
fn batches(count: u32) -> Vec<Batch> {
    let mut world = World::default();
    (0..count).map(|n| world.batch(&[pick(n)])).collect()
}

fn one_by_one() -> f64 {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = OpenOptions::new(dir.path()).open().unwrap();
    let mut batches = batches(60_000).into_iter();
    per_second(|| {
        store.commit(batches.next().expect("enough for the span")).wait().unwrap();
    })
}

fn with_callers(callers: usize) -> f64 {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = OpenOptions::new(dir.path()).open().unwrap();
    let batches = Mutex::new(batches(200_000).into_iter());
    let start = Instant::now();
    let done: u32 = std::thread::scope(|scope| {
        let caller = || {
            let mut done = 0;
            while start.elapsed() < SPAN {
                // The lock is what keeps the order: taken until the batch is queued.
                let mut batches = batches.lock().unwrap();
                let Some(batch) = batches.next() else { break };
                let commit = store.commit(batch);
                drop(batches);
                commit.wait().unwrap();
                done += 1;
            }
            done
        };
        let threads: Vec<_> = (0..callers).map(|_| scope.spawn(caller)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    f64::from(done) / start.elapsed().as_secs_f64()
}

#[test]
#[ignore = "a measurement"]
fn durable_commits_per_second() {
    let sample = batches(2000);
    let bytes: usize = sample.iter().map(|b| record::fragment(&b.entries).unwrap().len()).sum();
    let line = bytes / sample.len() + 60;
    println!("line of {line} bytes; in {}", std::env::temp_dir().display());
    for round in 1..=3 {
        let (raw, one, eight, many) = (raw(line), one_by_one(), with_callers(8), with_callers(64));
        println!(
            "round {round}: raw fdatasync {raw:.0}/s; one by one {one:.0}/s = {:.2} of raw; \
             8 callers {eight:.0}/s; 64 callers {many:.0}/s = {:.1} x one by one",
            one / raw,
            many / one
        );
    }
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
