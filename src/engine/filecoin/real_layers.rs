//! P1 resumes by layer: real 2 KiB sectors, two layers each, interrupted in every way that counts.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use super::layers::{self, LayerRecords};
use super::outputs::{self, Binding};
use super::real_sector::{Bench, bench, spoil, ticket, truncate};
use super::recorder::Recorder;
use super::{Hooks, label, replicate};
use crate::domain::failure::{Class, Failure};
use crate::domain::ids::Bytes32;
use crate::domain::progress::Progress;

/// Which file this is and when it was last written.
pub fn stamp(path: &Path) -> (u64, i64, i64) {
    let found = fs::metadata(path).unwrap();
    (found.ino(), found.mtime(), found.mtime_nsec())
}

pub fn wait_until(what: &str, patience: Duration, mut holds: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < patience, "waited in vain: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

impl Bench {
    pub fn binding(&self) -> Binding {
        Binding::of(&self.job, &self.ticket)
    }

    pub fn records(&self) -> LayerRecords {
        layers::recorded(&self.job, &self.binding())
    }

    /// P1 ran this far and was killed while it wrote layer 2.
    fn killed_in_layer_2(number: u64) -> Self {
        let bench = bench(number);
        bench.label();
        bench.forget_p1();
        fs::remove_file(bench.layer(1)).unwrap();
        fs::write(bench.cached("sc-02-data-layer-2..tmp"), "torn").unwrap();
        let mut records = bench.records();
        records.layers.remove(&2);
        layers::keep(&bench.job, &bench.binding(), &records).unwrap();
        bench
    }

    /// As if it had not come to its end.
    fn forget_p1(&self) {
        fs::remove_file(self.cached(outputs::P1)).unwrap();
    }

    /// As if the machine had been restarted since.
    fn reboot(&self) {
        let boot = layers::boot_id().unwrap();
        for note in [outputs::LABELLING, outputs::LAYERS] {
            let text = fs::read_to_string(self.cached(note)).unwrap();
            assert!(text.contains(&boot), "{note}");
            fs::write(self.cached(note), text.replace(&boot, "another boot")).unwrap();
        }
    }

    fn flip_a_byte(&self, layer: usize) {
        let mut bytes = fs::read(self.layer(layer)).unwrap();
        bytes[777] ^= 1;
        fs::write(self.layer(layer), bytes).unwrap();
    }

    fn stamps(&self) -> [(u64, i64, i64); 2] {
        [0, 1].map(|layer| stamp(&self.layer(layer)))
    }

    fn replicate_or_fail(&self) -> Failure {
        replicate::replicate(&self.job, &self.ticket).unwrap_err()
    }

    /// The comm_r is that of a sector nobody disturbed.
    fn ends_undisturbed(&self) {
        let mut other = bench(self.job.id.number.0);
        other.ticket = self.ticket;
        other.label();
        assert_eq!(self.replicate(), other.replicate());
    }
}

#[test]
fn every_layer_is_on_record_when_p1_has_ended() {
    let bench = bench(100);
    bench.label();
    let records = bench.records();
    assert_eq!(records.boot, layers::boot_id());
    assert_eq!(records.layers.len(), 2);
    for (layer, record) in records.layers {
        let bytes = fs::read(layers::path(&bench.job, layer)).unwrap();
        assert_eq!(record.bytes, bytes.len() as u64);
        assert_eq!(record.blake3, Bytes32(blake3::hash(&bytes).into()));
    }
}

#[test]
fn a_kill_in_layer_2_leaves_layer_1_as_it_is() {
    let bench = Bench::killed_in_layer_2(101);
    let before = stamp(&bench.layer(0));
    bench.label();
    assert_eq!(stamp(&bench.layer(0)), before);
    assert!(!bench.cached("sc-02-data-layer-2..tmp").exists());
    assert_eq!(bench.records().layers.len(), 2);
    bench.ends_undisturbed();
}

#[test]
fn a_power_cut_in_layer_2_leaves_a_recorded_layer_1_as_it_is() {
    let bench = Bench::killed_in_layer_2(102);
    bench.reboot();
    let before = stamp(&bench.layer(0));
    bench.label();
    assert_eq!(stamp(&bench.layer(0)), before);
    bench.ends_undisturbed();
}

#[test]
fn a_layer_that_was_not_recorded_survives_a_kill_but_no_power_cut() {
    for reboot in [false, true] {
        let bench = bench(103);
        bench.label();
        bench.forget_p1();
        let mut records = bench.records();
        records.layers.remove(&2);
        layers::keep(&bench.job, &bench.binding(), &records).unwrap();
        if reboot {
            bench.reboot();
        }
        let [first, second] = bench.stamps();
        bench.label();
        let after = bench.stamps();
        assert_eq!(after[0], first, "reboot: {reboot}");
        assert_eq!(after[1] != second, reboot);
        assert_eq!(bench.records().layers.len(), 2);
        bench.ends_undisturbed();
    }
}

#[test]
fn a_flipped_byte_in_a_recorded_layer_is_found_before_it_is_built_upon() {
    for reboot in [false, true] {
        for (flipped, kept) in [(0, [false, false]), (1, [true, false])] {
            let bench = bench(104);
            bench.label();
            bench.forget_p1();
            bench.flip_a_byte(flipped);
            if reboot {
                bench.reboot();
            }
            let before = bench.stamps();
            bench.label();
            let after = bench.stamps();
            assert_eq!([0, 1].map(|n| before[n] == after[n]), kept, "reboot: {reboot}");
            bench.ends_undisturbed();
        }
    }
}

#[test]
fn a_layer_of_another_sector_is_not_kept() {
    let (bench, other) = (bench(105), bench(106));
    bench.label();
    other.label();
    bench.forget_p1();
    fs::copy(other.layer(0), bench.layer(0)).unwrap();
    bench.label();
    assert_ne!(fs::read(bench.layer(0)).unwrap(), fs::read(other.layer(0)).unwrap());
    bench.ends_undisturbed();
}

#[test]
fn digests_of_another_sector_or_ticket_vouch_for_nothing() {
    let (other_sector, mut other_ticket) = (bench(108), bench(107));
    other_ticket.ticket = ticket(2);
    for other in [other_sector, other_ticket] {
        other.label();
        other.reboot();
        let bench = bench(107);
        // Layers, digests and boot are the other's, through and through.
        for name in fs::read_dir(&other.job.cache).unwrap() {
            let name = name.unwrap().file_name();
            fs::copy(other.job.cache.join(&name), bench.job.cache.join(&name)).unwrap();
        }
        bench.forget_p1();
        bench.label();
        assert_ne!(fs::read(bench.layer(0)).unwrap(), fs::read(other.layer(0)).unwrap());
        bench.ends_undisturbed();
    }
}

#[test]
fn a_torn_record_vouches_for_nothing_and_is_made_again() {
    for (torn, reboot, kept) in [
        ("", true, false),
        ("{\"version\":1,\"binding\":", true, false),
        ("[]", true, false),
        ("", false, true),
    ] {
        let bench = bench(109);
        bench.label();
        bench.forget_p1();
        if reboot {
            bench.reboot();
        }
        fs::write(bench.cached(outputs::LAYERS), torn).unwrap();
        let torn_write = bench.cached(".sealbox-p1-layers.json.17-3.tmp");
        fs::write(&torn_write, "{").unwrap();
        let before = bench.stamps();
        bench.label();
        assert_eq!(bench.stamps() == before, kept, "{torn:?} reboot: {reboot}");
        assert_eq!(bench.records().layers.len(), 2);
        assert!(!torn_write.exists());
        bench.ends_undisturbed();
    }
}

#[test]
fn a_gap_or_a_short_layer_takes_what_follows_along() {
    for harm in [truncate as fn(&Path), |path| fs::remove_file(path).unwrap()] {
        let bench = bench(110);
        bench.label();
        bench.forget_p1();
        harm(&bench.layer(0));
        let second = stamp(&bench.layer(1));
        bench.label();
        assert_ne!(stamp(&bench.layer(1)), second);
        bench.ends_undisturbed();
    }
}

#[test]
fn suspicion_keeps_what_lies_before_the_damage_and_nothing_where_there_is_none() {
    let sector_failed = Failure::new(Class::Sector, "a check failed", "redo it");
    for (damage, kept) in [(true, [true, false]), (false, [false, false])] {
        let bench = bench(111);
        bench.label();
        outputs::suspect(&bench.job.cache, &bench.binding(), &sector_failed);
        if damage {
            bench.flip_a_byte(1);
        }
        let before = bench.stamps();
        bench.label();
        let after = bench.stamps();
        assert_eq!([0, 1].map(|n| before[n] == after[n]), kept);
        assert!(!outputs::is_suspect(&bench.job.cache));
        bench.ends_undisturbed();
    }
}

#[test]
fn p2_compares_the_layers_after_a_restart_of_the_machine_before_it_uses_them() {
    let bench = bench(112);
    bench.label();
    bench.reboot();
    bench.flip_a_byte(1);
    let failure = bench.replicate_or_fail();
    assert_eq!((failure.class, failure.file.as_deref()), (Class::Sector, Some(&*bench.layer(1))));
    // Again: it is remembered, though the boot is known by now.
    assert_eq!(bench.replicate_or_fail().file.as_deref(), Some(&*bench.layer(1)));
    let first = stamp(&bench.layer(0));
    bench.label();
    assert_eq!(stamp(&bench.layer(0)), first);
    bench.ends_undisturbed();
}

#[test]
fn p2_compares_the_layers_once_for_each_restart() {
    let bench = bench(113);
    bench.label();
    bench.reboot();
    bench.replicate();
    assert_eq!(bench.records().boot, layers::boot_id());
    // Not one byte only: the check of the new replica takes samples.
    spoil(&bench.layer(1));
    // Not compared: it is the check of the new replica that fails.
    assert_ne!(bench.replicate_or_fail().file.as_deref(), Some(&*bench.layer(1)));
    // Compared, because that failed.
    assert_eq!(bench.replicate_or_fail().file.as_deref(), Some(&*bench.layer(1)));
}

#[test]
fn p1_tells_of_its_layers_and_of_what_it_compares_first() {
    let bench = Bench::killed_in_layer_2(114);
    let told = Mutex::new(Vec::new());
    let tell = |progress| told.lock().unwrap().push(progress);
    label::label(&bench.job, &bench.ticket, &Hooks::default(), &tell).unwrap();
    let told = told.into_inner().unwrap();
    let size = bench.job.size.bytes();
    assert_eq!(told[0], Progress::Checking { done_bytes: size, total_bytes: size });
    assert_eq!(told.last(), Some(&Progress::Layers { done: 2, of: 2 }));
}

#[test]
fn a_layer_is_on_record_while_the_next_is_being_made() {
    let bench = bench(115);
    let binding = bench.binding();
    let mut recorder = Recorder::new(&bench.job, &binding, LayerRecords::default());
    recorder.beside(&Hooks::default(), &|_| {}, || {
        fs::write(bench.cached("sc-02-data-layer-2..tmp"), [0; 2048]).unwrap();
        fs::write(bench.layer(0), [1; 2048]).unwrap();
        let recorded = || bench.records().layers.keys().eq(&[1]);
        wait_until("layer 1 is on record", Duration::from_secs(60), recorded);
    });
    assert!(recorder.finish().is_err(), "there is no layer 2");
}

#[test]
fn what_cannot_be_recorded_beside_the_work_does_not_fail_it() {
    let bench = bench(116);
    let binding = bench.binding();
    for layer in [0, 1] {
        fs::write(bench.layer(layer), [1; 2048]).unwrap();
    }
    fs::create_dir(bench.cached(outputs::LAYERS)).unwrap();
    let mut recorder = Recorder::new(&bench.job, &binding, LayerRecords::default());
    let hooks =
        Hooks { thread_started: std::sync::Arc::new(|| panic!("on purpose")), ..Hooks::default() };
    assert_eq!(recorder.beside(&hooks, &|_| {}, || 7), 7);
    assert_eq!(recorder.beside(&Hooks::default(), &|_| {}, || 8), 8);
    assert!(recorder.finish().is_err());
    fs::remove_dir(bench.cached(outputs::LAYERS)).unwrap();
    recorder.finish().unwrap();
    assert_eq!(bench.records().layers.len(), 2);
}

#[test]
fn a_panic_of_the_work_ends_the_recording_too() {
    let bench = bench(117);
    let binding = bench.binding();
    let mut recorder = Recorder::new(&bench.job, &binding, LayerRecords::default());
    let work = || recorder.beside(&Hooks::default(), &|_| {}, || panic!("on purpose"));
    let ended: Result<(), _> = catch_unwind(AssertUnwindSafe(work));
    assert!(ended.is_err());
}
