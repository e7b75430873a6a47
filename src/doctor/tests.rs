use std::fs;
use std::path::Path;

use super::*;
use crate::config::{MachineConfig, RootConfig};
use crate::domain::units::{ByteSize, SectorSize};

fn config(dir: &Path) -> Config {
    let file = dir.join("appliance.toml");
    fs::write(&file, "auto_pledge = 0\n[web]\nlisten = \"127.0.0.1:0\"\n").unwrap();
    Config::load(Some(&file), Vec::<(std::ffi::OsString, std::ffi::OsString)>::new(), dir).unwrap()
}

fn of<'a>(checks: &'a [Check], what: &str) -> &'a Check {
    checks.iter().find(|check| check.of.starts_with(what)).unwrap_or_else(|| panic!("no {what}"))
}

#[test]
fn every_check_says_what_was_found_and_a_bad_one_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    let checks = examine(&config(dir.path()));
    for what in
        ["data ", "scratch ", "storage ", "memory", "cores", "open files", "processor", "GPU"]
    {
        of(&checks, what);
    }
    for Check { of, verdict, found, mend } in &checks {
        assert!(!found.is_empty(), "{of}");
        assert_eq!(*verdict == Verdict::Ok, mend.is_empty(), "{of}: {found}; {mend}");
    }
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "it made something");
}

#[test]
fn a_scratch_without_room_for_one_sector_stops_and_says_how_much_is_needed() {
    let dir = tempfile::tempdir().unwrap();
    let mut config = config(dir.path());
    let scratch = dir.path().join("scratch");
    fs::create_dir(&scratch).unwrap();
    config.scratch = vec![RootConfig::at(scratch)];
    config.scratch_keep_free_bytes = 1 << 60;
    let checks = examine(&config);
    let scratch = of(&checks, "scratch ");
    assert_eq!(scratch.verdict, Verdict::Stop);
    assert!(scratch.found.contains("1.0 EiB") || scratch.found.contains("are needed at least"));
}

#[test]
fn a_file_where_a_directory_should_be_stops() {
    let dir = tempfile::tempdir().unwrap();
    let mut config = config(dir.path());
    config.storage = vec![RootConfig::at("/dev/null")];
    let checks = examine(&config);
    assert_eq!(of(&checks, "storage ").verdict, Verdict::Stop);
    // Another one goes on without it.
    config.storage.push(RootConfig::at(dir.path()));
    let checks = examine(&config);
    assert_eq!(of(&checks, "storage ").verdict, Verdict::Warning);
}

#[test]
fn a_sector_that_never_fits_the_memory_stops_and_names_the_shortfall() {
    let dir = tempfile::tempdir().unwrap();
    let mut config = config(dir.path());
    config.sector_size = SectorSize::GiB64;
    let gib = |n: u64| Some(ByteSize(n << 30));
    let reserved_memory = gib(0);
    config.machine = MachineConfig { memory: gib(64), reserved_memory, ..MachineConfig::default() };
    let checks = examine(&config);
    let memory = of(&checks, "memory");
    assert_eq!(memory.verdict, Verdict::Stop);
    assert!(memory.found.contains("needs 128 GiB of memory, and sealbox may use 64 GiB"));
    let parameters = of(&checks, "parameters");
    assert_eq!(parameters.verdict, Verdict::Stop);
}
