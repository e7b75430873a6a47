//! Sizes that hardly any test machine can seal: refused where they do not fit, and gone through on
//! the simulated engine, with the names and sizes of the real files.

mod support;

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::time::{Duration, Instant};

use sealbox::domain::ids::{ActorId, SectorId, SectorNumber};
use sealbox::domain::layout::{Scratch, StorageRoot, cache_files, stored_bytes, stored_files};
use sealbox::domain::porep::{Porep, SealKind};
use sealbox::domain::units::SectorSize;
use serde_json::{Value, json};
use support::{Lab, QUICK, left_on, text};

const ID: SectorId = SectorId { miner: ActorId(1000), number: SectorNumber(0) };

/// What marks and directories may take of a disk.
const NEXT_TO_NOTHING: u64 = 1 << 20;

fn goes_through_with_the_real_files(size: SectorSize, patience: Duration) {
    let quick = QUICK.replace("[simulated]", "[simulated]\nsizes = \"real\"");
    let name = size.name();
    let mut lab = Lab::with(&format!(
        "auto_pledge = 0\nsector_size = \"{name}\"\n[engine]\nkind = \"simulated\"\n{quick}\n\
         [[storage]]\npath = \"store\"\n"
    ));
    lab.start();
    lab.post("/api/v1/phases/P3/pause", &json!({})).unwrap();
    lab.pledge(1);
    lab.wait_for_row(0, 2, (1, 1, 0));
    let scratch = Scratch::new(lab.path("sealbox-data/scratch"));
    for file in cache_files(SealKind::new(size, Porep::Interactive)) {
        let found = fs::metadata(scratch.cache_dir(ID).join(file.name(size)));
        let found = found.unwrap_or_else(|error| panic!("{file:?}: {error}"));
        assert!(file.bytes(size).is_none_or(|bytes| bytes == found.len()), "{file:?}");
    }
    assert_eq!(fs::metadata(scratch.replica(ID)).unwrap().len(), size.bytes());
    let start = Instant::now();
    lab.post("/api/v1/phases/P3/resume", &json!({})).unwrap();
    lab.wait_for(patience, "finished", |lab| lab.sector(0)["state"] == "finished");
    println!("{size}: P3 to P6 took {:.1} s", start.elapsed().as_secs_f64());
    let store = StorageRoot::new(lab.path("store"));
    let mut taken = 0;
    for file in stored_files(ID, size) {
        let found = fs::metadata(store.path().join(&file.relative)).unwrap();
        assert!(file.bytes.is_none_or(|bytes| bytes == found.len()), "{file:?}");
        taken += found.blocks() * 512;
    }
    assert!(taken < NEXT_TO_NOTHING, "the copy has lost its holes: it takes {taken} bytes");
    let told = lab.sector(0)["stored"]["bytes"].as_u64().unwrap();
    assert!((0..2_000).contains(&(told - stored_bytes(size))), "{told}");
    assert_eq!(left_on(scratch.root()), Vec::<std::path::PathBuf>::new());
}

#[test]
fn a_512_mib_sector_goes_through_with_files_of_the_real_names_and_sizes() {
    goes_through_with_the_real_files(SectorSize::MiB512, support::PATIENCE);
}

#[test]
#[ignore = "digests 96 GiB, a minute or two: cargo test --release --test large_sizes -- --ignored"]
fn a_32_gib_sector_goes_through_with_files_of_the_real_names_and_sizes() {
    goes_through_with_the_real_files(SectorSize::GiB32, Duration::from_secs(1_800));
}

#[test]
#[ignore = "digests 192 GiB, some minutes: cargo test --release --test large_sizes -- --ignored"]
fn a_64_gib_sector_goes_through_with_files_of_the_real_names_and_sizes() {
    goes_through_with_the_real_files(SectorSize::GiB64, Duration::from_secs(3_600));
}

fn check_of<'a>(checks: &'a Value, of: &str) -> &'a Value {
    let all = checks["error"]["checks"].as_array().expect("a list of checks");
    let is_it = |check: &&Value| check["of"].as_str().is_some_and(|name| name.starts_with(of));
    all.iter().find(is_it).unwrap_or_else(|| panic!("no check of {of}: {checks}"))
}

#[test]
fn a_box_too_small_for_64_gib_is_refused_by_the_start_and_the_doctor_with_the_shortfall() {
    let lab = Lab::with(
        "auto_pledge = 0\nsector_size = \"64GiB\"\nscratch = \"scratch\"\n\
         scratch_keep_free_mib = 1000000000\n[machine]\nmemory_mib = 65536\nreserved_memory_mib = 0\ncores = 16\n",
    );
    let short = "P1 of a 64 GiB sector needs 128 GiB of memory, and sealbox may use 64 GiB here";
    let output = lab.cli(&["run"]);
    let said = text(&output.stderr);
    assert!(!output.status.success() && said.contains(short), "{said}");
    fs::create_dir(lab.path("scratch")).unwrap();
    let checks: Value =
        serde_json::from_slice(&lab.cli(&["doctor", "--json"]).stdout).expect("JSON");
    let memory = check_of(&checks, "memory");
    assert_eq!((&memory["verdict"], &memory["found"]), (&json!("stop"), &json!(short)));
    let scratch = check_of(&checks, "scratch");
    let found = scratch["found"].as_str().unwrap();
    assert_eq!(scratch["verdict"], "stop");
    assert!(found.contains(" free on ") && found.contains("are needed at least"), "{found}");
}

#[test]
fn an_order_that_can_never_fit_is_refused_with_the_shortfall_and_others_are_not() {
    let mut lab = Lab::with(&format!(
        "auto_pledge = 0\n[machine]\nmemory_mib = 65536\nreserved_memory_mib = 0\n[[need]]\n\
         sector_size = \"64GiB\"\nphase = \"P1\"\nmemory_mib = 131072\n[engine]\nkind = \
         \"simulated\"\n{QUICK}"
    ));
    lab.start();
    let output = lab.cli(&["pledge", "1", "--size", "64GiB"]);
    let said = text(&output.stderr);
    assert!(!output.status.success(), "{said}");
    assert!(said.contains("needs 128 GiB of memory") && said.contains("64 GiB here"), "{said}");
    assert!(lab.cli(&["pledge", "1", "--size", "32GiB"]).status.success());
}
