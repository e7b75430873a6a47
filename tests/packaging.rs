//! What the Debian package is made of, against itself and against the program.

mod support;

use sealbox::domain::order::AutoPledge;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::Path;
use std::process::Command;

use sealbox::config::Config;
use toml_edit::{DocumentMut, Item};

/// What a stop takes beyond the grace, as the unit's comment promises.
const MARGIN_SEC: u64 = 30;

fn packaging(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging").join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The unit's settings; the last one counts.
fn unit() -> BTreeMap<String, String> {
    let text = packaging("sealbox.service");
    let settings = text.lines().filter(|line| !line.starts_with('#'));
    let settings = settings.filter_map(|line| line.split_once('='));
    settings.map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
}

fn configuration() -> Config {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging");
    let none = Vec::<(OsString, OsString)>::new();
    Config::load(Some(&dir.join("appliance.toml")), none, &dir).unwrap()
}

fn package() -> Item {
    let text = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml")).unwrap();
    text.parse::<DocumentMut>().unwrap()["package"]["metadata"]["deb"].clone()
}

/// Where each file goes, and where it comes from.
fn assets() -> BTreeMap<String, String> {
    let package = package();
    let assets = package["assets"].as_array().unwrap().iter().map(|asset| {
        let of = |index| asset.as_array().unwrap().get(index).unwrap().as_str().unwrap();
        let name = Path::new(of(0)).file_name().unwrap().to_str().unwrap();
        (format!("/{}{name}", of(1)), of(0).to_owned())
    });
    assets.collect()
}

#[test]
fn the_unit_starts_and_reloads_what_the_package_installs_with_the_configuration_it_installs() {
    let (unit, assets) = (unit(), assets());
    for command in ["ExecStart", "ExecReload"] {
        let words: Vec<_> = unit[command].split(' ').collect();
        let [program, _, "--config", configuration] = words[..] else { panic!("{words:?}") };
        assert!(assets.contains_key(program), "{program}");
        let package = package();
        let kept = package["conf-files"].as_array().unwrap();
        assert!(kept.iter().any(|file| file.as_str() == Some(configuration)), "{configuration}");
        assert_eq!(assets[configuration], "packaging/appliance.toml");
    }
    for source in assets.values().filter(|source| !source.starts_with("target/")) {
        assert!(Path::new(env!("CARGO_MANIFEST_DIR")).join(source).is_file(), "{source}");
    }
}

#[test]
fn the_packaged_configuration_keeps_to_the_services_own_directory_and_orders_nothing() {
    let (unit, config) = (unit(), configuration());
    let own = Path::new("/var/lib").join(&unit["StateDirectory"]);
    let roots = config.storage.iter().chain(&config.scratch).map(|root| &root.path);
    for path in roots.chain([&config.data_dir]) {
        assert!(path.starts_with(&own), "{} is not in {}", path.display(), own.display());
    }
    assert_eq!(unit["WorkingDirectory"], own.display().to_string());
    assert_eq!(config.auto_pledge, AutoPledge::Sectors(0));
    assert_eq!(config.notes, Vec::<String>::new());
}

#[test]
fn the_unit_runs_as_the_user_that_the_package_makes() {
    let users = packaging("sealbox.sysusers");
    let line = users.lines().find(|line| !line.starts_with('#')).unwrap();
    let words: Vec<_> = line.split_whitespace().collect();
    assert_eq!((words[0], words[1]), ("u", unit()["User"].as_str()));
    assert_eq!(words.last(), Some(&"/var/lib/sealbox"));
}

#[test]
fn the_units_time_for_a_stop_is_longer_than_the_grace_of_the_packaged_configuration() {
    let seconds: u64 = unit()["TimeoutStopSec"].parse().unwrap();
    assert!(seconds >= configuration().shutdown_grace.as_secs() + MARGIN_SEC);
}

#[test]
fn a_stop_of_the_unit_leaves_the_attempts_to_their_grace() {
    assert_eq!(unit()["KillMode"], "mixed");
}

#[test]
fn systemd_finds_nothing_to_complain_of_in_the_unit() {
    let dir = tempfile::tempdir().unwrap();
    let text = packaging("sealbox.service");
    let here = text.replace("/usr/bin/sealbox", env!("CARGO_BIN_EXE_sealbox"));
    let file = dir.path().join("sealbox.service");
    std::fs::write(&file, here).unwrap();
    let Ok(checked) = Command::new("systemd-analyze").arg("verify").arg(&file).output() else {
        return eprintln!("skipped: it takes `systemd-analyze`");
    };
    let said = support::text(&checked.stderr);
    assert!(checked.status.success() && !said.contains("sealbox.service"), "{said}");
}
