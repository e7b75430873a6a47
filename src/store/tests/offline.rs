use std::fs;

use super::*;
use crate::domain::event::{Entry, Happened};

fn exported(data: &Path, from: u64) -> Vec<Entry> {
    let mut entries = Vec::new();
    export(data, Seq(from), &mut |entry| {
        entries.push(entry.clone());
        true
    })
    .unwrap();
    entries
}

#[test]
fn a_whole_journal_is_told_in_full_beside_the_box_that_writes_it() {
    let mut world = Box_::new();
    world.live(300);
    let (_store, _) = world.open();
    let verified = verify(world.data()).unwrap();
    let paths: Vec<_> = verified.segments.iter().map(|segment| segment.path.clone()).collect();
    assert_eq!(paths, world.segments());
    assert!(paths.len() > 2);
    let (first, last) = (&world.world.history[0], world.world.history.last().unwrap());
    assert_eq!(verified.span, Some([(first.seq, first.at), (last.seq, last.at)]));
    assert_eq!(verified.entries(), world.world.history.len() as u64);
    assert_eq!(verified.sectors, world.world.sectors.len());
    let size: u64 = paths.iter().map(|path| fs::metadata(path).unwrap().len()).sum();
    assert_eq!(verified.bytes(), size);
    assert_eq!(verified.torn, None);
}

#[test]
fn a_flipped_byte_anywhere_is_found_with_its_line() {
    let mut world = Box_::new();
    world.live(60);
    for path in world.segments() {
        let whole = fs::read(&path).unwrap();
        for at in (0..whole.len()).step_by(97) {
            let mut bytes = whole.clone();
            bytes[at] ^= 1;
            fs::write(&path, &bytes).unwrap();
            let start = whole[..at].iter().rposition(|&b| b == b'\n').map_or(0, |end| end + 1);
            let error = verify(world.data()).unwrap_err();
            let place = error.place().unwrap();
            assert_eq!((&place.file, place.byte), (&path, start as u64), "byte {at}: {error}");
            assert!(!error.mend().is_empty());
        }
        fs::write(&path, &whole).unwrap();
    }
    verify(world.data()).unwrap();
}

#[test]
fn a_line_that_is_being_written_is_left_out_and_said() {
    let mut world = Box_::new();
    world.live(60);
    let path = world.segments().pop().unwrap();
    let whole = fs::read(&path).unwrap();
    let start = whole[..whole.len() - 1].iter().rposition(|&b| b == b'\n').unwrap() + 1;
    fs::write(&path, &whole[..whole.len() - 9]).unwrap();
    let verified = verify(world.data()).unwrap();
    assert_eq!(verified.torn.as_ref().unwrap().at.byte, start as u64);
    assert_eq!(verified.segments.last().unwrap().bytes, start as u64);
    assert_eq!(fs::read(&path).unwrap().len(), whole.len() - 9, "nothing was changed");
}

#[test]
fn an_event_that_cannot_follow_is_found_though_its_sum_is_right() {
    let mut world = Box_::new();
    world.live(60);
    let path = world.segments().pop().unwrap();
    let next = Seq(world.world.box_state.seq.0 + 1);
    let mut impossible = world.world.history.last().unwrap().clone();
    impossible.seq = next;
    impossible.happened = Happened::Sector {
        number: SectorNumber(999),
        event: crate::domain::event::Event::Redone { by: "nobody".to_owned() },
    };
    let json = record::fragment(&[impossible]).unwrap();
    let mut bytes = fs::read(&path).unwrap();
    bytes.extend(record::line(next, [json.as_slice()].into_iter()));
    fs::write(&path, bytes).unwrap();
    let error = verify(world.data()).unwrap_err();
    assert!(matches!(error, StoreError::DoesNotFollow { .. }), "{error}");
}

#[test]
fn an_export_gives_every_entry_from_the_one_asked_for() {
    let mut world = Box_::new();
    world.live(300);
    assert_eq!(exported(world.data(), 0), world.world.history);
    for from in [1, 2, 150, world.world.box_state.seq.0] {
        assert_eq!(exported(world.data(), from), world.world.history[from as usize - 1..]);
    }
    assert_eq!(exported(world.data(), 100_000), []);
    let mut taken = 0;
    export(world.data(), Seq(1), &mut |_| {
        taken += 1;
        taken < 5
    })
    .unwrap();
    assert_eq!(taken, 5);
}

#[test]
fn a_backup_of_a_running_box_put_into_an_empty_directory_is_that_box() {
    let mut world = Box_::new();
    world.live(300);
    let (store, _) = world.open();
    fs::create_dir(world.data().join("chain")).unwrap();
    fs::write(world.data().join("chain/lab.json"), "a beacon").unwrap();
    let elsewhere = tempfile::tempdir().unwrap();
    let to = elsewhere.path().join("backup");
    backup(world.data(), &to).unwrap();
    let again = backup(world.data(), &to).unwrap_err();
    assert!(again.to_string().contains("exists"), "{again}");
    let in_backup = world.world.clone();
    world.commit(&store, &[7, 77]);

    let restored = Box_ { dir: tempfile::tempdir().unwrap(), world: in_backup, boot: 1 };
    copy_tree(&to, restored.data());
    assert_eq!(fs::read(restored.data().join("chain/lab.json")).unwrap(), b"a beacon");
    let (_store, recovered) = restored.open();
    assert_eq!(recovered.report, Vec::<String>::new());
    assert_eq!(fs::read_dir(elsewhere.path()).unwrap().count(), 1, "nothing lies beside it");
}

#[test]
fn a_damaged_journal_is_not_backed_up() {
    let mut world = Box_::new();
    world.live(60);
    let path = world.segments().remove(0);
    let mut bytes = fs::read(&path).unwrap();
    bytes[30] ^= 1;
    fs::write(&path, bytes).unwrap();
    let to = world.data().join("backup");
    assert!(backup(world.data(), &to).is_err());
    assert!(!to.exists());
}
