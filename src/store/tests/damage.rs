use std::fs;
use std::io::Write;

use super::*;

fn refused(world: &Box_) -> StoreError {
    let error = world.try_open().map(|_| ()).unwrap_err();
    let text = error.to_string();
    assert!(text.contains("; ") && !error.mend().is_empty(), "{text}");
    error
}

/// Where the last line of a file begins.
fn last_line(bytes: &[u8]) -> usize {
    bytes[..bytes.len() - 1].iter().rposition(|&b| b == b'\n').map_or(0, |at| at + 1)
}

#[test]
fn a_line_torn_at_any_byte_is_cut_off_and_kept_aside() {
    let mut world = Box_::new();
    world.live(60);
    let before = world.world.box_state.seq;
    let state = world.data().join("state");
    copy_tree(&state, &world.data().join("copy"));
    let (store, _) = world.open();
    world.commit(&store, &[7, 77]);
    drop(store);
    let path = world.segments().pop().unwrap();
    let whole = written(&path);
    let start = last_line(&whole);
    world.forget_after(before);
    for cut in start + 1..whole.len() {
        // What the file was filled up with may be there, may have become zeros, or be gone.
        let mut torn = whole[..cut].to_vec();
        torn.resize(cut + cut % 3 * 100_000, if cut % 2 == 0 { b' ' } else { 0 });
        fs::write(&path, &torn).unwrap();
        fs::remove_dir_all(&state).unwrap();
        copy_tree(&world.data().join("copy"), &state);
        let (store, recovered) = world.open();
        drop(store);
        assert_eq!(recovered.report.len(), 1, "{:?}", recovered.report);
        assert!(recovered.report[0].contains(&format!("byte {start}")), "{recovered:?}");
        assert_eq!(fs::read(&path).unwrap(), whole[..start]);
        let torn = world.torn();
        assert_eq!(torn.len(), 1, "{torn:?}");
        // A line's own last spaces cannot be told from what the file is filled up with.
        assert_eq!(fs::read(&torn[0]).unwrap(), whole[start..cut].trim_ascii_end());
        fs::remove_file(&torn[0]).unwrap();
    }
}

#[test]
fn after_a_power_cut_a_last_line_with_holes_is_torn() {
    let mut world = Box_::new();
    world.live(60);
    let before = world.world.box_state.seq;
    let (store, _) = world.open();
    world.commit(&store, &[7, 77]);
    drop(store);
    let path = world.segments().pop().unwrap();
    let mut bytes = written(&path);
    let start = last_line(&bytes);
    bytes[start + 10..start + 40].fill(0);
    bytes.resize(bytes.len() + 100_000, b' ');
    fs::write(&path, &bytes).unwrap();
    world.boot += 1;
    world.forget_after(before);
    let (_store, recovered) = world.open();
    assert_eq!(recovered.report.len(), 2, "{:?}", recovered.report);
    assert_eq!((world.torn().len(), world.set_aside()), (1, 1));
}

#[test]
fn a_flipped_byte_in_an_acknowledged_last_line_stops_the_box() {
    let mut world = Box_::new();
    world.live(60);
    let path = world.segments().pop().unwrap();
    let whole = fs::read(&path).unwrap();
    let start = last_line(&whole);
    let mut bytes = whole.clone();
    bytes[start + 40] ^= 1;
    fs::write(&path, &bytes).unwrap();
    let error = refused(&world);
    let StoreError::DamagedEnd { at, .. } = &error else { panic!("{error}") };
    let line = 1 + whole[..start].iter().filter(|&&b| b == b'\n').count() as u64;
    assert_eq!(*at, Place { file: path.clone(), line, byte: start as u64 });
    assert!(error.mend().contains(&format!("truncate -s {start} {}", path.display())));
    assert_eq!(fs::read(&path).unwrap(), bytes, "nothing was changed");
    fs::write(&path, &whole).unwrap();
    world.open();
}

#[test]
fn a_flipped_byte_before_the_last_line_stops_the_box_with_its_place() {
    let mut world = Box_::new();
    world.live(300);
    for path in world.segments() {
        let whole = fs::read(&path).unwrap();
        let mut bytes = whole.clone();
        // In the first line; the file has more.
        let second = 1 + whole.iter().position(|&b| b == b'\n').unwrap();
        assert!(second < whole.len());
        bytes[30] ^= 4;
        fs::write(&path, &bytes).unwrap();
        let state = world.data().join("state");
        fs::rename(&state, world.data().join("kept")).unwrap();
        let error = refused(&world);
        let StoreError::Damaged { at, .. } = &error else { panic!("{error}") };
        assert_eq!(*at, Place { file: path.clone(), line: 1, byte: 0 });
        fs::remove_dir_all(&state).unwrap();
        fs::rename(world.data().join("kept"), &state).unwrap();
        fs::write(&path, &whole).unwrap();
    }
    world.open();
}

#[test]
fn a_missing_journal_file_stops_the_box() {
    let mut world = Box_::new();
    world.live(300);
    let segments = world.segments();
    for path in &segments[..segments.len() - 1] {
        let aside = path.with_extension("aside");
        fs::rename(path, &aside).unwrap();
        let error = refused(&world);
        let StoreError::Gap { expected, .. } = &error else { panic!("{error}") };
        let name: u64 = path.file_stem().unwrap().to_str().unwrap().parse().unwrap();
        assert_eq!(*expected, Seq(name));
        fs::rename(&aside, path).unwrap();
    }
    world.open();
}

#[test]
fn a_journal_file_cut_short_before_the_last_stops_the_box() {
    let mut world = Box_::new();
    world.live(300);
    let segments = world.segments();
    for path in &segments[..segments.len() - 1] {
        let whole = fs::read(path).unwrap();
        for cut in [0, 20, last_line(&whole), whole.len() - 1] {
            fs::write(path, &whole[..cut]).unwrap();
            let error = refused(&world);
            let exact = matches!(error, StoreError::Gap { .. } | StoreError::Damaged { .. });
            assert!(exact, "{error}");
        }
        fs::write(path, &whole).unwrap();
    }
    world.open();
}

#[test]
fn a_state_whose_journal_is_gone_is_not_a_fresh_box() {
    let mut world = Box_::new();
    world.live(60);
    fs::remove_dir_all(world.data().join("journal")).unwrap();
    assert!(matches!(refused(&world), StoreError::Gap { found: None, .. }));
    fs::remove_dir_all(world.data().join("state")).unwrap();
    world.world = World::default();
    let (_store, recovered) = world.open();
    assert_eq!(recovered.report, [""; 0]);
}

#[test]
fn a_state_ahead_of_the_journal_is_set_aside_and_made_again() {
    let mut world = Box_::new();
    world.live(60);
    let path = world.segments().pop().unwrap();
    let whole = fs::read(&path).unwrap();
    fs::write(&path, &whole[..last_line(&whole)]).unwrap();
    world.forget_after(Seq(57));
    let (_store, recovered) = world.open();
    assert_eq!(recovered.report.len(), 1);
    assert!(recovered.report[0].contains("ahead"), "{:?}", recovered.report);
    assert_eq!(world.set_aside(), 1);
}

#[test]
fn a_state_that_does_not_open_or_is_of_another_format_is_set_aside() {
    let mut world = Box_::new();
    world.live(60);
    let db = world.data().join("state/db");
    let len = fs::metadata(&db).unwrap().len() as usize;
    for garbage in [vec![0xff; len], vec![0; len], b"x".to_vec()] {
        fs::write(&db, garbage).unwrap();
        let (store, _) = world.open();
        store.close().unwrap();
    }
    fs::write(world.data().join("state/conf"), "not sled's").unwrap();
    let (store, recovered) = world.open();
    assert_eq!(recovered.report.len(), 1);
    store.close().unwrap();
    let state = state::State::open(&world.data().join("state")).unwrap();
    let mut changes = state::Changes::default();
    changes.put(b"f", vec![tables::FORMAT + 1]);
    state.apply(changes).unwrap();
    state.close().unwrap();
    let (_store, recovered) = world.open();
    assert!(recovered.report[0].contains("format"), "{:?}", recovered.report);
}

#[test]
fn after_a_reboot_without_a_clean_stop_the_state_is_not_trusted() {
    let mut world = Box_::new();
    world.live(60);
    world.boot += 1;
    let (store, recovered) = world.open();
    assert_eq!(recovered.report, [""; 0], "it was stopped cleanly");
    drop(store);
    let (store, recovered) = world.open();
    assert_eq!(recovered.report, [""; 0], "only the process was gone");
    drop(store);
    world.boot += 1;
    let (_store, recovered) = world.open();
    assert_eq!(recovered.report.len(), 1);
    assert_eq!(world.set_aside(), 1);
}

#[test]
fn a_journal_of_a_newer_sealbox_is_told_from_a_damaged_one() {
    let mut world = Box_::new();
    world.live(30);
    let path = world.segments().pop().unwrap();
    let body = br#","v":2,"seq":31,"entries":[{}]}"#;
    let sum = hex::encode(&blake3::hash(body).as_bytes()[..8]);
    let mut file = fs::OpenOptions::new().append(true).open(&path).unwrap();
    writeln!(file, "{{\"sum\":\"{sum}\"{}", std::str::from_utf8(body).unwrap()).unwrap();
    let error = refused(&world);
    assert!(matches!(error, StoreError::Newer { .. }), "{error}");
    assert!(error.to_string().contains("version 2"), "{error}");
}

#[test]
fn a_store_that_is_open_is_not_opened_again() {
    let world = Box_::new();
    let (store, _) = world.open();
    let error = refused(&world);
    let StoreError::Locked { pid, .. } = &error else { panic!("{error}") };
    assert_eq!(*pid, std::process::id().to_string());
    drop(store);
    world.open();
}

/// What an fsync that failed left in the page cache is there to be read and clean to the kernel: a
/// plain sync would not bring it to the disk.
#[test]
fn the_last_line_is_written_once_more_before_anything_builds_on_it() {
    let mut world = Box_::new();
    world.live(60);
    let path = world.segments().pop().unwrap();
    let bytes = fs::read(&path).unwrap();
    let long_ago = std::time::SystemTime::UNIX_EPOCH;
    fs::File::options().write(true).open(&path).unwrap().set_modified(long_ago).unwrap();
    let (_store, _) = world.open();
    assert_ne!(fs::metadata(&path).unwrap().modified().unwrap(), long_ago, "it was not written");
    assert_eq!(fs::read(&path).unwrap(), bytes);
}

#[test]
fn what_a_file_is_filled_up_with_is_not_a_line() {
    let mut world = Box_::new();
    let (store, _) = world.open();
    world.commit(&store, &[1, 2, 3]);
    drop(store);
    let path = world.segments().pop().unwrap();
    let filled = fs::read(&path).unwrap();
    assert!(filled.ends_with(b"   "), "the next lines find the file long enough");
    let (store, recovered) = world.open();
    assert_eq!(recovered.report, [""; 0]);
    world.commit(&store, &[4, 5, 6]);
    store.close().unwrap();
    assert!(fs::read(&path).unwrap().ends_with(b"\n"), "a clean stop leaves lines and no more");
    world.open();
}

#[test]
fn an_opening_reads_the_end_of_the_last_file_and_not_what_the_state_has() {
    let mut world = Box_::new();
    let (store, _) = world.options().segment_bytes(1 << 20).open().unwrap();
    for n in 0..300_u32 {
        let pick = |i: u32| (n * 3 + i).wrapping_mul(2_654_435_761).rotate_left(7);
        world.commit(&store, &[pick(0), pick(1), pick(2)]);
    }
    store.close().unwrap();
    let path = world.segments().pop().unwrap();
    let whole = fs::read(&path).unwrap();
    assert!(whole.len() > 100_000, "{}", whole.len());
    let mut bytes = whole.clone();
    bytes[50] ^= 1;
    fs::write(&path, &bytes).unwrap();
    let (store, recovered) = world.open();
    assert_eq!(recovered.report, [""; 0], "nobody looked there");
    drop(store);
    // What it does read it still tells by its line, counted from the file's first.
    let start = last_line(&whole);
    bytes.clone_from(&whole);
    bytes[start + 40] ^= 1;
    fs::write(&path, &bytes).unwrap();
    let error = refused(&world);
    let StoreError::DamagedEnd { at, .. } = &error else { panic!("{error}") };
    assert_eq!((at.line, at.byte), (300, start as u64));
}
