//! What is refused, where, and with which words.

use std::fs;
use std::os::unix::ffi::OsStringExt;
use std::path::Path;

use proptest::prelude::*;

use super::*;

/// One problem, on this line, of this key, whose text has all of these words.
#[track_caller]
fn refused(text: &str, line: usize, key: &str, words: &[&str]) {
    let errors = parse(text).expect_err("it has to be refused");
    let [problem] = errors.problems() else { panic!("{errors}") };
    assert_eq!(problem.place, Place::Line { file: "test.toml".into(), line }, "{errors}");
    assert_eq!(problem.key, key, "{errors}");
    let shown = errors.to_string();
    for word in words {
        assert!(shown.contains(word), "`{word}` in: {shown}");
    }
}

#[test]
fn an_unknown_key_is_refused_with_the_nearest_right_one() {
    refused("\nsector_sise = 1", 2, "sector_sise", &["did you mean `sector_size`?"]);
    refused("Miner = 't01000'", 1, "Miner", &["did you mean `miner`?"]);
    refused("[web]\n\nlisen = 1", 3, "web.lisen", &["did you mean `listen`?"]);
    refused("[max_outstanding]\n32GB = 1", 2, "max_outstanding.32GB", &["`32GiB`"]);
    refused("[wbe]\nlisten = 1", 1, "wbe", &["did you mean `web`?"]);
    refused("zzz = 1", 1, "zzz", &["expected one of: ", "data_dir"]);
    let worker = "[[worker]]\nsupported_phases = []\nsupported_phase = [1, 2, 4, 8, 16, 32]";
    refused(worker, 2, "worker.supported_phases", &["did you mean `supported_phase`?"]);
}

#[test]
fn a_key_in_the_wrong_table_is_told_where_it_belongs() {
    refused("[web]\ndata_dir = 'x'", 2, "web.data_dir", &["top of the file"]);
    refused("listen = '127.0.0.1:1'", 1, "listen", &["belongs to [web]"]);
}

#[test]
fn wrong_types_and_units_are_refused() {
    let number = "expected a whole number from 0 to";
    refused("auto_pledge = 'two'", 1, "auto_pledge", &["the text \"two\"", number, "sectors"]);
    refused("auto_pledge = -1", 1, "auto_pledge", &["is -1", number]);
    refused("auto_pledge = 'until-ful'", 1, "auto_pledge", &["did you mean \"until-full\"?"]);
    refused("auto_pledge = 1.5", 1, "auto_pledge", &["1.5, a fraction", number]);
    refused("auto_pledge = 9223372036854775807", 1, "auto_pledge", &["100000"]);
    refused("copy_limit_mb_per_sec = '500MB'", 1, "copy_limit_mb_per_sec", &["MiB per second"]);
    refused("data_dir = 5", 1, "data_dir", &["is 5", "expected a path"]);
    refused("data_dir = '~/x'", 1, "data_dir", &["not expanded"]);
    refused("sector_size = '32GB'", 1, "sector_size", &["did you mean \"32GiB\"?"]);
    refused("sector_size = 1024", 1, "sector_size", &["is 1024", "\"2KiB\""]);
    refused("sector_size = true", 1, "sector_size", &["is true", "\"2KiB\""]);
    refused("miner = 't1abc'", 1, "miner", &["t01000"]);
    refused("[engine]\nkind = 'filecon'", 2, "engine.kind", &["did you mean \"filecoin\"?"]);
    let isolation = &["is the text \"fork\"", "\"thread\"", "\"process\""];
    refused("[engine]\n\nisolation = 'fork'", 3, "engine.isolation", isolation);
    refused("[engine]\nisolation = 'proces'", 2, "engine.isolation", &["mean \"process\"?"]);
    refused("[chain]\nkind = 'mainnet'", 2, "chain.kind", &["expected \"lab\""]);
    refused("log = 'inof'", 1, "log", &["did you mean \"info\"?"]);
    refused("log = 'a=b=c'", 1, "log", &["filter"]);
    refused("web = 3", 1, "web", &["expected a table"]);
    refused("[web]\nlisten = 3456", 2, "web.listen", &["127.0.0.1:3456"]);
    refused("[storage]\npath = '/x'", 1, "storage", &["[[storage]]", "two brackets"]);
    refused(
        "[chain.lab]\nrefuse_pre_commit = [1, 'x']",
        2,
        "chain.lab.refuse_pre_commit",
        &["\"x\""],
    );
    refused(
        "[chain.lab]\nchallenge_delay = 0",
        2,
        "chain.lab.challenge_delay",
        &["from 1", "epochs"],
    );
}

#[test]
fn impossible_workers_are_refused() {
    let all = "supported_phase = [1, 2, 4, 8, 16, 32]";
    refused(&format!("[[worker]]\nnum = 0\n{all}"), 2, "worker.num", &["is 0", "threads"]);
    refused(&format!("[[worker]]\nwait_sec = 0\n{all}"), 2, "worker.wait_sec", &["seconds"]);
    let phases = "supported_phase = ['P1', 'P2', 'P3', 'P5', 'P6']";
    let key = "worker.supported_phase";
    refused(&format!("\n[[worker]]\n{phases}"), 2, key, &["no worker supports CommitPhase2"]);
    let misspelt = "[[worker]]\nsupported_phase = [\n 'PreComitPhase1']";
    refused(misspelt, 3, key, &["did you mean \"PreCommitPhase1\"?"]);
    refused("\n[[worker]]\nnum = 1", 2, key, &["missing"]);
    refused("worker = []", 1, "worker", &["[[worker]]"]);
}

#[test]
fn directories_that_get_into_each_others_way_are_refused() {
    let storage = |scratch: &str, storage: &str| {
        format!("data_dir='/d'\nscratch='{scratch}'\n[[storage]]\npath = '{storage}'")
    };
    refused(&storage("/s", "/s/x"), 4, "storage.path", &["`storage.path` (/s/x) is inside"]);
    refused(&storage("/s/x", "/s"), 4, "storage.path", &["is around `scratch` (/s/x)"]);
    refused(&storage("/s", "/t/../s/./"), 4, "storage.path", &["is the same directory as"]);
    refused(&storage("/s", "/d"), 4, "storage.path", &["the same directory as `data_dir`"]);
    refused(&storage("/d", "/x"), 2, "scratch", &["the same directory as `data_dir`"]);
    refused("data_dir = '/s/d'\nscratch='/s'", 2, "scratch", &["around `data_dir`"]);
    refused("scratch = '/a'\nlocal_dir = '/b'", 2, "local_dir", &["two names for one thing"]);
    let two = |first, second| format!("[[scratch]]\npath='{first}'\n[[scratch]]\npath='{second}'");
    refused(&two("/s", "/s/x"), 4, "scratch", &["(/s/x) is inside `scratch` (/s)"]);
    refused("local_dir = '/b'\n[[scratch]]\npath='/a'", 1, "local_dir", &["two names"]);
    refused("scratch = ['/a', '/b']", 1, "scratch", &["[[scratch]]"]);
    let twice = "[[storage]]\npath = '/x'\n[[storage]]\npath = '/x/'";
    refused(twice, 4, "storage.path", &["the same directory as"]);
    refused("[[storage]]", 1, "storage.path", &["missing"]);
    parse(&storage("/s", "/sx")).unwrap();
}

#[test]
fn a_throttle_of_zero_is_refused_with_what_to_do_instead() {
    let text = "[max_outstanding]\n'32GiB' = 0";
    refused(text, 2, "max_outstanding.32GiB", &["is 0", "pause intake"]);
}

#[test]
fn a_name_that_is_none_and_half_a_certificate_are_refused() {
    refused("[web]\nhosts = ['box.lan:80']", 2, "web.hosts", &["without scheme and port"]);
    refused("[web]\nhosts = ['10.0.0.1']", 2, "web.hosts", &["addresses need not be named"]);
    refused("[web]\nhosts = 'box.lan'", 2, "web.hosts", &["a list of names"]);
    refused("[web]\ntls_cert = 'c.pem'", 1, "web.tls_key", &["the key that belongs"]);
    refused("[web]\ntls_key = 'k.pem'", 1, "web.tls_cert", &["the certificate that"]);
}

#[test]
fn simulated_settings_without_the_simulated_engine_are_refused() {
    refused("[simulated]\np1_ms = 1", 1, "simulated", &["kind = \"simulated\""]);
    let failure = "\n[[simulated.failure]]\nphase = 'P1'";
    refused(failure, 2, "simulated", &["kind = \"simulated\""]);
    let errors = parse_with("log = 'info'", &[("SEALBOX_SIMULATED_P1_MS", "1")]).unwrap_err();
    assert!(errors.to_string().contains("variable SEALBOX_SIMULATED_P1_MS"), "{errors}");
}

#[test]
fn a_bad_variable_is_named_in_place_of_file_and_line() {
    let shown = |name: &str, value: &str| {
        parse_with("log = 'info'", &[(name, value)]).unwrap_err().to_string()
    };
    let bad = shown("SEALBOX_AUTO_PLEDGE", "many");
    assert!(bad.contains("environment variable SEALBOX_AUTO_PLEDGE: `auto_pledge` is"), "{bad}");
    assert!(!bad.contains("test.toml"), "{bad}");
    let unknown = shown("SEALBOX_DATADIR", "x");
    assert!(unknown.contains("did you mean SEALBOX_DATA_DIR?"), "{unknown}");
    assert!(shown("SEALBOX_STORAGE", "x").contains("no key has this variable"));
    assert!(shown("SEALBOX_SIMULATED_FAILURE", "x").contains("no key has this variable"));
    let unknown = shown("SEALBOX_CONFG", "x");
    assert!(unknown.contains("did you mean SEALBOX_CONFIG?"), "{unknown}");

    let not_text = OsString::from_vec(vec![0xff]);
    let errors = Environment::of([("SEALBOX_LOG".into(), not_text)]).unwrap_err();
    assert!(errors.to_string().contains("SEALBOX_LOG: the value is not text"), "{errors}");
}

#[test]
fn all_problems_are_told_at_once_in_the_files_order() {
    let text =
        "miner = 'x'\nzzz = 1\n[[worker]]\nnum = 0\nsupported_phase = ['P9']\n[chain.lab]\nx = 1";
    let errors = parse_with(text, &[("SEALBOX_LOG", "")]).unwrap_err();
    let lines: Vec<_> = errors
        .problems()
        .iter()
        .filter_map(|problem| match &problem.place {
            Place::Line { line, .. } => Some(*line),
            Place::File { .. } | Place::Variable { .. } | Place::Default {} => None,
        })
        .collect();
    assert_eq!(lines, [1, 2, 4, 5, 7], "{errors}");
    assert_eq!(errors.problems().len(), 6, "{errors}");
}

#[test]
fn what_is_not_toml_is_refused_with_its_line() {
    refused("miner = 't01000'\nlog = ", 2, "", &["not TOML"]);
    refused("log = 'info'\nlog = 'info'", 2, "", &["not TOML", "duplicate"]);
}

#[test]
fn a_file_that_cannot_be_read_as_text_is_refused_as_such() {
    let dir = tempfile::tempdir().unwrap();
    let shown = |file: &Path| Config::load(Some(file), [], dir.path()).unwrap_err().to_string();
    let of = |bytes: &[u8]| {
        let file = dir.path().join("x.toml");
        fs::write(&file, bytes).unwrap();
        shown(&file)
    };
    assert!(of(b" \n").contains("x.toml: the file is empty"));
    assert!(of(b"log = '\xff'").contains("byte 7 is not UTF-8"));
    assert!(of(b"log\0= 1").contains("x.toml:1: not TOML"));
    assert!(of(&vec![b'#'; (1 << 20) + 1]).contains("longer than 1 MiB"));
    assert!(shown(dir.path()).contains("this is a directory"));
    assert!(shown(Path::new("absent.toml")).contains("absent.toml: cannot be read"));

    let link = dir.path().join("appliance.toml");
    std::os::unix::fs::symlink("nowhere", link).unwrap();
    assert!(Config::load(None, [], dir.path()).is_err(), "a dangling link is not passed over");
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = parse(&String::from_utf8_lossy(&bytes));
    }

    #[test]
    fn no_change_to_a_good_file_makes_it_panic(
        cut in any::<prop::sample::Index>(),
        length in 0_usize..40,
        put in "[a-z0-9=\\[\\]{}\"'.,# \n-]{0,12}",
    ) {
        let mut bytes = built_in_with_everything().into_bytes();
        let start = cut.index(bytes.len());
        bytes.splice(start..(start + length).min(bytes.len()), put.into_bytes());
        let _ = parse(&String::from_utf8_lossy(&bytes));
    }
}
