use std::process::Command;

use super::*;

#[test]
fn a_batch_that_does_not_continue_the_history_is_refused_and_not_written() {
    let mut world = Box_::new();
    world.live(30);
    let (store, _) = world.open();
    let mut ahead = world.world.clone();
    let good = ahead.batch(&[1 << 20 | 5, 2 << 20 | 5, 3 << 20 | 5]);
    assert!(!good.sectors.is_empty());
    let broken: [fn(&mut Batch); 7] = [
        |batch| batch.entries.swap(0, 1),
        |batch| drop(batch.entries.remove(0)),
        |batch| batch.entries.clear(),
        |batch| batch.box_state.seq = Seq(1),
        |batch| drop(batch.sectors.pop()),
        |batch| batch.sectors[0].seq = Seq(1),
        |batch| batch.sectors.push(batch.sectors[0].clone()),
    ];
    for (i, breaks) in broken.into_iter().enumerate() {
        let mut bad = good.clone();
        breaks(&mut bad);
        let answer = store.commit(bad).wait();
        assert!(matches!(answer, Err(StoreError::Refused { .. })), "{i}: {answer:?}");
    }
    drop(store);
    let (store, _) = world.open();
    store.commit(good).wait().unwrap();
    world.world = ahead;
    assert_same(&store.reader(), &world.world);
}

#[test]
fn a_full_disk_loses_no_commit_and_the_next_one_may_succeed() {
    let mut world = Box_::new();
    let options = world.options();
    let faults = Arc::clone(&options.faults);
    let (store, _) = options.open().unwrap();
    world.commit(&store, &[1, 2, 3]);
    let before = written(&world.segments()[0]);
    let mut ahead = world.world.clone();
    let batch = ahead.batch(&[4, 5, 6]);
    faults.full.arm();
    let answer = store.commit(batch.clone()).wait();
    assert!(matches!(answer, Err(StoreError::Full { .. })), "{answer:?}");
    assert_eq!(written(&world.segments()[0]), before);
    store.commit(batch).wait().unwrap();
    world.world = ahead;
    assert_same(&store.reader(), &world.world);
    drop(store);
    world.open();
}

#[test]
fn after_an_fsync_that_failed_nothing_is_acknowledged_until_a_restart() {
    let mut world = Box_::new();
    let options = world.options();
    let faults = Arc::clone(&options.faults);
    let (store, _) = options.open().unwrap();
    world.commit(&store, &[1, 2, 3]);
    let batch = world.world.batch(&[4, 5, 6]);
    faults.sync.arm();
    for _ in 0..3 {
        let answer = store.commit(batch.clone()).wait();
        assert!(matches!(answer, Err(StoreError::Broken { .. })), "{answer:?}");
        assert!(answer.unwrap_err().mend().contains("restart"));
    }
    assert!(matches!(store.health(), Some(StoreError::Broken { .. })));
    drop(store);
    // It was written whole before the sync failed: the next start finds it and makes it durable.
    world.open();
}

#[test]
fn a_commit_the_state_did_not_take_is_durable_and_the_next_one_brings_the_state_after_it() {
    let mut world = Box_::new();
    let options = world.options();
    let faults = Arc::clone(&options.faults);
    let (store, _) = options.open().unwrap();
    world.commit(&store, &[1, 2, 3]);
    assert!(store.health().is_none(), "the state has followed: the fault is the next commit's");
    faults.apply.arm();
    let done = world.commit(&store, &[4, 5, 6]);
    assert_eq!(done, Committed { last: Seq(6) });
    assert!(matches!(store.health(), Some(StoreError::StateBehind { by: 3, .. })));
    let done = world.commit(&store, &[7]);
    assert_eq!(done, Committed { last: Seq(7) });
    assert!(store.health().is_none());
    assert_same(&store.reader(), &world.world);
    assert_eq!(world.set_aside(), 0);
    faults.apply.arm();
    world.commit(&store, &[8]);
    store.close().unwrap();
    let (_store, recovered) = world.open();
    assert_eq!(recovered.report, [""; 0]);
}

/// The answer to a commit that does not wait for the state.
fn answered(store: &Store, batch: Batch) -> Committed {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let patience = std::time::Duration::from_secs(20);
    let commit = store.commit(batch);
    let answer = runtime.block_on(async { tokio::time::timeout(patience, commit).await });
    answer.expect("it waits for the state").unwrap()
}

#[test]
fn commits_are_answered_while_the_state_is_slow_and_readers_wait_for_it() {
    let mut world = Box_::new();
    let options = world.options();
    let faults = Arc::clone(&options.faults);
    let (store, _) = options.open().unwrap();
    let slow = faults.slow.lock().unwrap();
    for n in 0..30 {
        answered(&store, world.world.batch(&[n, n << 20 | 5, n << 21 | 5]));
    }
    let reader = store.reader();
    let asked = std::thread::spawn(move || reader.counts().unwrap().sectors);
    drop(slow);
    assert_eq!(asked.join().unwrap(), world.world.sectors.len() as u64);
    assert_same(&store.reader(), &world.world);
    drop(store);
    world.open();
}

#[test]
fn what_was_answered_before_the_state_failed_is_in_it_once_it_has_caught_up() {
    let mut world = Box_::new();
    let options = world.options();
    let faults = Arc::clone(&options.faults);
    let (store, _) = options.open().unwrap();
    let slow = faults.slow.lock().unwrap();
    faults.apply.arm();
    for n in 0..40 {
        answered(&store, world.world.batch(&[n, n << 20 | 5]));
    }
    drop(slow);
    assert!(matches!(store.health(), Some(StoreError::StateBehind { by: 80, .. })));
    answered(&store, world.world.batch(&[7]));
    assert!(store.health().is_none());
    assert_same(&store.reader(), &world.world);
    assert_eq!(world.set_aside(), 0);
    store.close().unwrap();
    world.open();
}

#[test]
fn an_answer_can_be_awaited() {
    let mut world = Box_::new();
    let (store, _) = world.open();
    let batch = world.world.batch(&[1, 2, 3]);
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let done = runtime.block_on(store.commit(batch)).unwrap();
    assert_eq!(done.last, Seq(3));
}

/// A small disk of its own, for as long as it lives; needs root.
struct Disk(tempfile::TempDir);

impl Disk {
    fn mount(bytes: u64) -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        let status = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={bytes}"), "tmpfs"])
            .arg(dir.path())
            .output();
        status.is_ok_and(|done| done.status.success()).then_some(Self(dir))
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0.path()).status();
    }
}

#[test]
fn a_disk_that_really_fills_up_loses_nothing_that_was_acknowledged() {
    let Some(disk) = Disk::mount(8 << 20) else {
        println!("skipped: mounting a tmpfs needs root");
        return;
    };
    let data = disk.0.path().join("data");
    let ballast = disk.0.path().join("ballast");
    let (store, _) = OpenOptions::new(&data).segment_bytes(64 << 10).open().unwrap();
    std::fs::write(&ballast, vec![0; 4 << 20]).unwrap();
    let mut world = World::default();
    let mut n = 0_usize;
    let mut next = || {
        n += 8;
        let pick = |i: usize| ((n + i) as u32).wrapping_mul(2_654_435_761);
        world.batch(&std::array::from_fn::<_, 8, _>(pick))
    };
    let mut acknowledged = BoxState::default();
    let mut batch = next();
    for round in 0..2 {
        let full = loop {
            match store.commit(batch.clone()).wait() {
                Ok(_) => acknowledged = batch.box_state,
                Err(error) => break error,
            }
            batch = next();
        };
        let told = matches!(full, StoreError::Full { .. } | StoreError::StateBehind { .. });
        assert!(told, "{full}");
        if round == 0 {
            // Room again: the very commit that was refused goes through. Readers see it at once,
            // or with one of the next: sled may still stumble over what it could not write before.
            std::fs::remove_file(&ballast).unwrap();
            store.commit(batch.clone()).wait().unwrap();
            acknowledged = batch.box_state.clone();
            for _ in 0..8 {
                if store.health().is_none() {
                    break;
                }
                batch = next();
                match store.commit(batch.clone()).wait() {
                    Ok(_) => {}
                    Err(StoreError::StateBehind { .. }) => {
                        store.commit(batch.clone()).wait().unwrap();
                    }
                    Err(error) => panic!("{error}"),
                }
                acknowledged = batch.box_state.clone();
            }
            let never = "readers never see what was committed after the disk had room again";
            assert!(store.health().is_none(), "{never}");
            assert_eq!(store.reader().counts().unwrap().sectors, acknowledged.next_number);
            batch = next();
        }
    }
    drop(store);
    // Rebuilt elsewhere from the journal alone, all that was acknowledged is there.
    let elsewhere = tempfile::tempdir().unwrap();
    copy_tree(&data.join("journal"), &elsewhere.path().join("journal"));
    let (_store, recovered) = OpenOptions::new(elsewhere.path()).open().unwrap();
    assert_eq!(recovered.box_state, acknowledged);
}
