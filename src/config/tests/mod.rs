//! What loads, and from where. `refusals` has what does not.

mod refusals;

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::load::{self, Environment};
use super::*;
use crate::domain::needs::Cores;

const FLEET: &str = r#"
    scheduler_url = "http://10.10.19.17:3456"
    local_dir = "/sealer"
    copy_limit_mb_per_sec = 500      # every phase uses the network: no one copy may take it all
    group_id = [1]
    sector_size = 536870912
    ip = "10.10.19.17"

    [[worker]]
    num = 1                          # this many threads of this kind
    supported_phase = ["PreCommitPhase1","PreCommitPhase2","CommitPhase1","CommitPhase2"]
    wait_sec = 60

    [[worker]]
    num = 1
    supported_phase = ["CopyTask","CleanTask"]
    wait_sec = 60
"#;

/// The file with every optional part of it made effective, except one of two names for one thing.
fn built_in_with_everything() -> String {
    let is_example = |line: &str| {
        line.strip_prefix('#').is_some_and(|rest| rest.starts_with(|c: char| !c.is_whitespace()))
    };
    let lines = BUILT_IN.lines().filter(|line| !line.starts_with("#local_dir"));
    let lines = lines.map(|line| if is_example(line) { &line[1..] } else { line });
    let text = lines.collect::<Vec<_>>().join("\n");
    text.replace("kind = \"filecoin\"", "kind = \"simulated\"")
}

fn pairs(variables: &[(&str, &str)]) -> Vec<(OsString, OsString)> {
    variables.iter().map(|(name, value)| (name.into(), value.into())).collect()
}

fn parse_with(
    text: &str,
    variables: &[(&str, &str)],
) -> Result<(Config, BTreeSet<String>), ConfigErrors> {
    let environment = Environment::of(pairs(variables))?;
    load::parse(text, "test.toml", Source::BuiltIn, Path::new("/base"), environment)
}

fn parse(text: &str) -> Result<Config, ConfigErrors> {
    parse_with(text, &[]).map(|(config, _)| config)
}

#[test]
fn the_repositorys_file_seals_one_small_sector_for_real() {
    let config = parse(BUILT_IN).unwrap();
    assert_eq!(config.engine, EngineConfig::Filecoin);
    assert_eq!(config.isolation, Isolation::Thread);
    assert_eq!(config.sector_size, SectorSize::KiB2);
    assert_eq!(config.auto_pledge, AutoPledge::Sectors(1));
    assert_eq!(config.data_dir, Path::new("/base/sealbox-data"));
    assert_eq!(config.scratch, [RootConfig::at("/base/sealbox-data/scratch")]);
    assert_eq!(config.storage, [RootConfig::at("/base/sealbox-data/storage")]);
    assert_eq!(config.parameters, Path::new("/base/sealbox-data/parameters"));
    assert_eq!(config.copy_limit_bytes_per_sec, None);
    assert_eq!(config.notes, Vec::<String>::new());
    assert!(config.listen.ip().is_loopback());
}

#[test]
fn every_default_is_what_the_repositorys_file_says() {
    let nothing = parse("log = \"info\"").unwrap();
    let written = parse(BUILT_IN).unwrap();
    assert_eq!(nothing.auto_pledge, AutoPledge::Sectors(0));
    assert_eq!(nothing.notes.len(), 1, "{:?}", nothing.notes);
    let same = Config {
        auto_pledge: AutoPledge::Sectors(1),
        notes: Vec::new(),
        given: written.given.clone(),
        ..nothing
    };
    assert_eq!(same, written);
}

#[test]
fn every_key_is_documented_in_the_repositorys_file() {
    let (_, mut keys) = parse_with(&built_in_with_everything(), &[]).unwrap();
    assert!(keys.remove("local_dir"));
    assert!(BUILT_IN.contains("\n#local_dir = "));

    let mut table = String::new();
    let mut documented = BTreeSet::new();
    for line in BUILT_IN.lines() {
        let line = line.strip_prefix('#').unwrap_or(line);
        if let Some(header) = line.strip_prefix('[') {
            table = header.trim_matches(['[', ']']).to_owned();
            documented.insert(table.clone());
        } else if let Some((key, _)) = line.split_once(" = ") {
            let dot = if table.is_empty() { "" } else { "." };
            documented.insert(format!("{table}{dot}{}", key.trim_matches('"')));
        }
    }
    let missing: Vec<_> = keys.difference(&documented).collect();
    assert!(missing.is_empty(), "not documented: {missing:?}");
    assert!(keys.len() > 30, "{keys:?}");
}

#[test]
fn the_examples_in_the_repositorys_file_hold() {
    let config = parse(&built_in_with_everything()).unwrap();
    assert_eq!(config.scratch, [RootConfig::at("/mnt/md1/sealbox")]);
    let keep_free = Some(ByteSize(0));
    let storage = RootConfig { keep_free, ..RootConfig::at("/mnt/storage/sealbox") };
    assert_eq!(config.storage, [storage]);
    assert_eq!(config.max_outstanding.len(), 5);
    assert_eq!(config.max_outstanding_in_all, Some(100));
    assert_eq!(config.machine.reserved_cores, Some(1));
    let [NeedConfig { size: SectorSize::GiB32, phase: Phase::P4, need }] = config.needs[..] else {
        panic!("{:?}", config.needs)
    };
    assert_eq!((need.memory, need.cores), (ByteSize(62 << 30), Cores::Pool));
    let EngineConfig::Simulated(simulated) = config.engine else { panic!("not simulated") };
    let failure = SimulatedFailure {
        sector: Some(SectorNumber(3)),
        phase: Phase::P2,
        class: Class::Transient,
        times: 1,
        panic: false,
    };
    assert_eq!(simulated.failures, [failure]);
}

#[test]
fn several_scratches_and_storages_each_have_a_weight_and_what_stays_free() {
    let roots = "
        scratch_keep_free_mib = 1
        [[scratch]]
        path = '/fast'
        weight = 10
        [[scratch]]
        path = '/slow'
        keep_free_mib = 2
        [[storage]]
        path = '/store'
        weight = 0
        keep_free_mib = 3
    ";
    let config = parse(roots).unwrap();
    let [fast, slow] = &config.scratch[..] else { panic!("{:?}", config.scratch) };
    assert_eq!((fast.path.as_path(), fast.weight), (Path::new("/fast"), 10));
    assert_eq!(config.scratch_keeps_free(fast), ByteSize(1 << 20));
    assert_eq!((slow.path.as_path(), slow.weight), (Path::new("/slow"), 1));
    assert_eq!(config.scratch_keeps_free(slow), ByteSize(2 << 20));
    let stored =
        RootConfig { weight: 0, keep_free: Some(ByteSize(3 << 20)), ..RootConfig::at("/store") };
    assert_eq!(config.storage, [stored]);
    let (config, _) = parse_with(roots, &[("SEALBOX_SCRATCH", "/other")]).unwrap();
    assert_eq!(config.scratch, [RootConfig::at("/other")]);
}

#[test]
fn the_fleets_file_loads_as_it_is() {
    let config = parse(FLEET).unwrap();
    assert_eq!(config.scratch, [RootConfig::at("/sealer")]);
    assert_eq!(config.sector_size, SectorSize::MiB512);
    assert_eq!(config.copy_limit_bytes_per_sec, Some(500 << 20));
    assert_eq!(config.miner, ActorId(1000));
    assert_eq!(config.auto_pledge, AutoPledge::Sectors(0));
    assert_eq!(config.workers.len(), 2);
    assert_eq!(config.workers[0].phases, [Phase::P1, Phase::P2, Phase::P3, Phase::P4]);
    assert_eq!(config.workers[1].wait, Duration::from_secs(60));
    let notes = config.notes.join("\n");
    for what in ["test.toml:2: `scheduler_url`", "test.toml:5: `group_id`", "`ip`", "no `miner`"] {
        assert!(notes.contains(what), "{what} in {notes}");
    }
}

#[test]
fn a_variable_wins_over_the_file() {
    let (config, _) = parse_with(
        FLEET,
        &[
            ("SEALBOX_SCRATCH", "elsewhere"),
            ("SEALBOX_DATA_DIR", "/data"),
            ("SEALBOX_SECTOR_SIZE", "8 MiB"),
            ("SEALBOX_MINER", "f02000"),
            ("SEALBOX_AUTO_PLEDGE", "7"),
            ("SEALBOX_WEB_LISTEN", "[::1]:0"),
            ("SEALBOX_ENGINE_KIND", "simulated"),
            ("SEALBOX_ENGINE_ISOLATION", "process"),
            ("SEALBOX_SIMULATED_P1_MS", "5"),
            ("SEALBOX_CHAIN_LAB_EPOCH_MS", "20"),
            ("SEALBOX_MAX_OUTSTANDING_32GIB", "3"),
            ("FIL_PROOFS_PARAMETER_CACHE", "/parameters"),
            ("HOME", "/root"),
        ],
    )
    .unwrap();
    assert_eq!(config.scratch, [RootConfig::at("/base/elsewhere")]);
    assert_eq!(config.storage, [RootConfig::at("/data/storage")]);
    assert_eq!(config.sector_size, SectorSize::MiB8);
    assert_eq!(config.miner, ActorId(2000));
    assert_eq!(config.auto_pledge, AutoPledge::Sectors(7));
    assert_eq!(config.listen, "[::1]:0".parse().unwrap());
    assert_eq!(config.parameters, Path::new("/parameters"));
    assert_eq!(config.max_outstanding[&SectorSize::GiB32], 3);
    assert_eq!(config.isolation, Isolation::Process);
    let EngineConfig::Simulated(simulated) = &config.engine else { panic!("not simulated") };
    assert_eq!(simulated.durations[Phase::P1], Duration::from_millis(5));
    let ChainConfig::Lab(lab) = &config.chain;
    assert_eq!(lab.epoch, Duration::from_millis(20));
}

#[test]
fn the_file_is_looked_for_in_the_documented_order() {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, pledge: u64| {
        let path = dir.path().join(name);
        fs::write(&path, format!("auto_pledge = {pledge}")).unwrap();
        path
    };
    let load = |file: Option<&str>, variables: &[(&str, &str)]| {
        let config = Config::load(file.map(Path::new), pairs(variables), dir.path()).unwrap();
        (config.source, config.auto_pledge)
    };
    if !Path::new(SYSTEM_FILE).exists() {
        assert_eq!(load(None, &[]), (Source::BuiltIn, AutoPledge::Sectors(1)));
    }
    let local = write("appliance.toml", 2);
    assert_eq!(load(None, &[]), (Source::File(local), AutoPledge::Sectors(2)));
    let by_variable = write("variable.toml", 3);
    let variables = [("SEALBOX_CONFIG", "variable.toml")];
    assert_eq!(load(None, &variables), (Source::File(by_variable), AutoPledge::Sectors(3)));
    let by_option = write("option.toml", 4);
    assert_eq!(
        load(Some("option.toml"), &variables),
        (Source::File(by_option), AutoPledge::Sectors(4))
    );
}

#[test]
fn relative_paths_are_relative_to_the_file() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("etc")).unwrap();
    let file = PathBuf::from("etc/box.toml");
    fs::write(dir.path().join(&file), "data_dir = \"here\"").unwrap();
    let cache = pairs(&[("FIL_PROOFS_PARAMETER_CACHE", "cache")]);
    let config = Config::load(Some(&file), cache, dir.path()).unwrap();
    assert_eq!(config.data_dir, dir.path().join("etc/here"));
    // To the proofs library, its variable is relative to where the process was started.
    assert_eq!(config.parameters, dir.path().join("cache"));
}

#[test]
fn json_shows_values_in_the_files_units() {
    let json = serde_json::to_value(parse(&built_in_with_everything()).unwrap()).unwrap();
    assert_eq!(json["miner"], "t01000");
    assert_eq!(json["sector_size"], "2KiB");
    assert_eq!(json["isolation"], "thread");
    assert_eq!(json["max_outstanding"]["32GiB"], 1);
    assert_eq!(json["shutdown_grace_sec"], 20);
    assert_eq!(json["chain"]["lab"]["epoch_ms"], 1000);
    assert_eq!(json["engine"]["simulated"]["durations_ms"]["P6"], 100);
    assert_eq!(json["workers"][0]["wait_sec"], 60);
}

#[test]
fn the_kind_of_porep_is_interactive_unless_another_is_named() {
    assert_eq!(parse("").unwrap().porep, Porep::Interactive);
    for porep in Porep::ALL {
        let text = format!("porep = \"{porep}\"");
        assert_eq!(parse(&text).unwrap().porep, porep);
    }
    let (config, _) = parse_with("", &[("SEALBOX_POREP", "synthetic")]).unwrap();
    assert_eq!(config.porep, Porep::Synthetic);
    let refusal = parse("porep = \"noninteractive\"").unwrap_err().to_string();
    assert!(refusal.contains("\"non-interactive\""), "{refusal}");
}

#[test]
fn of_every_key_that_is_given_it_is_known_where() {
    let text = "auto_pledge = 3\n[web]\nlisten = '127.0.0.1:1'\n[max_outstanding]\n\"2KiB\" = 4\n\
        [[worker]]\nnum = 1\nsupported_phase = ['P1', 'P2', 'P3', 'P4', 'P5', 'P6']\n";
    let (config, _) = parse_with(text, &[("SEALBOX_WEB_LISTEN", "127.0.0.1:2")]).unwrap();
    let given: Vec<_> = config.given.iter().map(|(key, at)| format!("{key} {at}")).collect();
    let expected = [
        "auto_pledge test.toml:1",
        "max_outstanding.2KiB test.toml:5",
        "web.listen environment variable SEALBOX_WEB_LISTEN",
        "worker test.toml:6",
    ];
    assert_eq!(given, expected);
}
