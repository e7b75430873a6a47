//! Mounts that hang, vanish, or are another box's, seen on the built program.

mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use support::{Lab, QUICK, text};

const FAILED: i32 = 1;
const USAGE: i32 = 2;
const OCCUPIED: i32 = 5;
/// A hang shows after 10 s without an answer, and looks are 5 s apart.
const HANG_SHOWS: Duration = Duration::from_secs(60);

fn configuration(top: &str, stores: &[&str]) -> String {
    let stores: String =
        stores.iter().map(|path| format!("[[storage]]\npath = \"{path}\"\n")).collect();
    format!("auto_pledge = 0\n{top}\n[engine]\nkind = \"simulated\"\n{QUICK}\n{stores}")
}

/// A directory mounted by a FUSE process, which can be made to hang.
struct Mounted {
    at: PathBuf,
    server: Child,
}

impl Mounted {
    /// None where bindfs or `/dev/fuse` is missing.
    fn bind(from: &Path, at: &Path) -> Option<Self> {
        fs::create_dir_all(from).unwrap();
        fs::create_dir_all(at).unwrap();
        if !Path::new("/dev/fuse").exists() {
            return None;
        }
        let mut bindfs = Command::new("bindfs");
        // Without caches, so that every touch reaches the server.
        bindfs.args(["-f", "-o", "attr_timeout=0,entry_timeout=0,negative_timeout=0"]);
        let server = bindfs.arg(from).arg(at).stderr(Stdio::null()).spawn().ok()?;
        let mounted = Self { at: at.to_path_buf(), server };
        let start = Instant::now();
        while !is_mount_point(at) {
            if start.elapsed() > Duration::from_secs(10) {
                return None;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Some(mounted)
    }

    fn signal(&self, name: &str) {
        let status = Command::new("kill").args([name, &self.server.id().to_string()]).status();
        assert!(status.expect("kill runs").success());
    }

    fn hang(&self) {
        self.signal("-STOP");
    }

    fn answer_again(&self) {
        self.signal("-CONT");
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        self.answer_again();
        drop(Command::new("umount").arg("-l").arg(&self.at).status());
        drop(self.server.kill());
        drop(self.server.wait());
    }
}

/// Asked of the table, not of the mount: that may hang.
fn is_mount_point(at: &Path) -> bool {
    let at = at.canonicalize().unwrap_or_else(|_| at.to_path_buf());
    let table = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    table.lines().any(|line| line.split(' ').nth(4) == at.to_str())
}

macro_rules! mounted_or_skip {
    ($from:expr, $at:expr) => {
        match Mounted::bind(&$from, &$at) {
            Some(mounted) => mounted,
            None => {
                eprintln!("skipped: this needs bindfs (Debian package bindfs) and /dev/fuse");
                return;
            }
        }
    };
}

fn disk(lab: &Lab, path: &str) -> Value {
    let status = lab.get("/api/v1/status");
    let wanted = lab.path(path);
    let disks = status["disks"].as_array().cloned().unwrap_or_default();
    let found = disks.into_iter().find(|disk| disk["path"].as_str() == wanted.to_str());
    found.unwrap_or(Value::Null)
}

fn hangs(lab: &Lab, path: &str) -> bool {
    let disk = disk(lab, path);
    let what = disk["trouble"]["what"].as_str().unwrap_or_default();
    disk["hung"] == true && what.starts_with("hung: no answer for")
}

fn answers_within_a_second(lab: &Lab, path: &str) {
    let start = Instant::now();
    lab.page(path);
    assert!(start.elapsed() < Duration::from_secs(1), "{path} took {:?}", start.elapsed());
}

fn stored_in(lab: &Lab, number: u64) -> PathBuf {
    PathBuf::from(lab.sector(number)["stored"]["root"].as_str().unwrap_or_default())
}

/// The storage that gets the copies is the one with the most room: the mount reports that of the
/// disk below it, which the other shares, so which one it is is not known beforehand.
#[test]
fn a_storage_that_hangs_holds_nobody_else_up_and_recovers() {
    let mut lab = Lab::with(&configuration("", &["store", "other"]));
    let mounted = mounted_or_skip!(lab.path("below"), lab.path("store"));
    lab.start();
    lab.pledge(1);
    lab.wait_for_state(0, "finished");
    lab.wait("both are seen", |lab| {
        disk(lab, "store")["total_bytes"].as_u64() > Some(0) && !hangs(lab, "store")
    });

    mounted.hang();
    lab.wait_for(HANG_SHOWS, "the hang is shown", |lab| hangs(lab, "store"));
    for path in ["/", "/system", "/storage", "/sectors", "/api/v1/status"] {
        answers_within_a_second(&lab, path);
    }
    lab.pledge(3);
    for number in 1..=3 {
        lab.wait_for_state(number, "finished");
        assert_eq!(stored_in(&lab, number), lab.path("other"));
    }
    answers_within_a_second(&lab, "/");
    // A command reads the configuration, which names the mount.
    assert!(lab.cli(&["sectors"]).status.success());

    mounted.answer_again();
    lab.wait_for(HANG_SHOWS, "it recovers", |lab| disk(lab, "store")["trouble"].is_null());
    lab.pledge(1);
    lab.wait_for_state(4, "finished");
    lab.kill();
}

#[test]
fn a_finished_sector_in_a_storage_that_hangs_is_not_damaged_and_is_proven_when_it_answers() {
    let checked = configuration("", &["store"]) + "[check]\nevery_sec = 1\n";
    let mut lab = Lab::with(&checked);
    let mounted = mounted_or_skip!(lab.path("below"), lab.path("store"));
    lab.start();
    lab.pledge(1);
    lab.wait_for_state(0, "finished");
    mounted.hang();
    let output = lab.cli(&["verify", "0"]);
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(FAILED), "{said}");
    assert!(said.contains("not looked at") && said.contains("hung"), "{said}");
    lab.wait_for(HANG_SHOWS, "the hang is shown", |lab| hangs(lab, "store"));
    answers_within_a_second(&lab, "/");
    answers_within_a_second(&lab, "/sectors/0");
    mounted.answer_again();
    lab.wait_for(HANG_SHOWS, "it recovers", |lab| disk(lab, "store")["trouble"].is_null());
    lab.wait("it is proven", |lab| lab.cli(&["verify", "0"]).status.success());
    let history = lab.history(0);
    assert!(!history.contains(&"found damaged".to_owned()), "{history:?}");
    lab.kill();
}

#[test]
fn copies_wait_while_the_only_storage_hangs_and_go_on_by_themselves() {
    let mut lab = Lab::with(&configuration("", &["store"]));
    let mounted = mounted_or_skip!(lab.path("below"), lab.path("store"));
    lab.start();
    mounted.hang();
    lab.wait_for(HANG_SHOWS, "the hang is shown", |lab| hangs(lab, "store"));
    lab.pledge(2);
    lab.wait_for_row(0, 8, (1, 1, 0));
    assert_eq!(lab.row(0, 16), Some((0, 0, 1)), "P5 was started");
    let standing = lab.sector(0)["standing"].as_str().unwrap_or_default().to_owned();
    assert!(standing.contains("every storage hangs"), "{standing}");
    mounted.answer_again();
    lab.wait_for_state(0, "finished");
    lab.wait_for_state(1, "finished");
    let history = lab.history(0);
    assert!(!history.iter().any(|line| line.contains("failed")), "{history:?}");
    lab.kill();
}

#[test]
fn nothing_starts_while_the_scratch_hangs_and_the_page_says_why() {
    let mut lab = Lab::with(&configuration("scratch = \"scratch\"", &["store"]));
    let mounted = mounted_or_skip!(lab.path("below"), lab.path("scratch"));
    lab.start();
    let seen = |lab: &Lab| disk(lab, "scratch")["total_bytes"].as_u64() > Some(0);
    lab.wait("the scratch was looked at", seen);
    mounted.hang();
    lab.wait_for(HANG_SHOWS, "the hang is shown", |lab| hangs(lab, "scratch"));
    lab.pledge(1);
    lab.wait("the order waits, and says for what", |lab| {
        lab.get("/api/v1/status")["intake_waits"].to_string().contains("hangs")
    });
    assert_eq!(lab.sector(0), Value::Null, "begun where nothing can be done");
    answers_within_a_second(&lab, "/");
    mounted.answer_again();
    lab.wait_for_state(0, "finished");
    lab.kill();
}

#[test]
fn a_storage_that_hangs_at_the_start_does_not_keep_the_box_from_starting() {
    let mut lab = Lab::with(&configuration("", &["store", "other"]));
    let mounted = mounted_or_skip!(lab.path("below"), lab.path("store"));
    lab.start();
    lab.kill();
    mounted.hang();
    lab.start();
    let report = lab.get("/api/v1/status")["report"].to_string();
    assert!(report.contains("hung: no answer"), "{report}");
    lab.wait_for(HANG_SHOWS, "the hang is shown", |lab| hangs(lab, "store"));
    lab.pledge(1);
    lab.wait_for_state(0, "finished");
    mounted.answer_again();
    lab.wait_for(HANG_SHOWS, "it recovers", |lab| disk(lab, "store")["trouble"].is_null());
    lab.kill();
}

#[test]
fn an_unmounted_storage_is_never_written_to_and_its_work_goes_on_when_it_is_back() {
    let mut lab = Lab::with(&configuration("", &["store"]));
    lab.start();
    lab.kill();
    // What an unmounted mount point looks like.
    fs::rename(lab.path("store"), lab.path("away")).unwrap();
    fs::create_dir_all(lab.path("store/cache")).unwrap();
    fs::create_dir_all(lab.path("store/sealed")).unwrap();
    lab.start();
    let report = lab.get("/api/v1/status")["report"].to_string();
    assert!(report.contains("not mounted"), "{report}");
    lab.pledge(1);
    lab.wait_for_row(0, 16, (1, 1, 2));
    let attention = lab.sector(0)["attention"].as_str().unwrap_or_default().to_owned();
    assert!(attention.contains("not mounted") && attention.contains("store"), "{attention}");
    assert_eq!(support::files(&lab.path("store")), Vec::<PathBuf>::new());
    fs::remove_dir_all(lab.path("store")).unwrap();
    fs::rename(lab.path("away"), lab.path("store")).unwrap();
    assert!(lab.cli(&["retry", "0"]).status.success());
    lab.wait_for_state(0, "finished");
}

#[test]
fn a_scratch_that_vanishes_while_the_box_runs_is_found_before_anything_is_written() {
    let mut lab = Lab::with(&configuration("scratch = \"scratch\"", &["store"]));
    lab.start();
    fs::rename(lab.path("scratch"), lab.path("away")).unwrap();
    fs::create_dir_all(lab.path("scratch/cache")).unwrap();
    fs::create_dir_all(lab.path("scratch/sealed")).unwrap();
    lab.pledge(1);
    lab.wait("the order waits, or P1 does, and says for what", |lab| {
        let intake = lab.get("/api/v1/status")["intake_waits"].to_string();
        (intake + &standing(lab, 0)).contains("the scratch is not there")
    });
    assert_eq!(support::files(&lab.path("scratch")), Vec::<PathBuf>::new());
    fs::remove_dir_all(lab.path("scratch")).unwrap();
    fs::rename(lab.path("away"), lab.path("scratch")).unwrap();
    lab.wait_for_state(0, "finished");
    nothing_failed(&lab, 0);
}

fn standing(lab: &Lab, number: u64) -> String {
    lab.sector(number)["standing"].as_str().unwrap_or_default().to_owned()
}

fn nothing_failed(lab: &Lab, number: u64) {
    let history = lab.history(number);
    assert!(!history.iter().any(|line| line.contains("failed")), "{history:?}");
}

/// Two scratches, of which sectors are begun in one alone.
fn two_scratches(weights: [u32; 2], more: &str) -> String {
    let [a, b] = weights;
    let text = configuration("max_outstanding = { all = 9 }", &["store"]);
    format!(
        "{}\n[[worker]]\nnum = 4\nsupported_phase = [\"P1\", \"P2\", \"P3\", \"P4\", \"P5\", \"P6\"]\n\
         [[scratch]]\npath = \"a\"\nweight = {a}\n[[scratch]]\npath = \"b\"\nweight = {b}\n{more}",
        text.replace("p1_ms = 5", "p1_ms = 1000")
    )
}

/// Sector 0 in scratch a, sector 1 in scratch b.
fn one_in_each(lab: &mut Lab, more: &str) {
    lab.start();
    for (number, root) in [(0, "a"), (1, "b")] {
        let weights = if root == "a" { [1, 0] } else { [0, 1] };
        lab.configure(&two_scratches(weights, more));
        lab.json(&["reload"]);
        lab.pledge(1);
        let home = lab.path(root);
        lab.wait("it is begun where it should be", |lab| {
            lab.sector(number)["scratch"].as_str() == home.to_str()
        });
    }
}

/// A directory at a second place, until it is taken away.
struct Bound {
    at: PathBuf,
}

impl Bound {
    /// None where this may not be done.
    fn bind(from: &Path, at: &Path) -> Option<Self> {
        fs::create_dir_all(from).unwrap();
        fs::create_dir_all(at).unwrap();
        let mounted = Command::new("mount").arg("--bind").args([from, at]).status();
        mounted.is_ok_and(|status| status.success()).then(|| Self { at: at.to_path_buf() })
    }
}

impl Drop for Bound {
    fn drop(&mut self) {
        let lazily = Command::new("umount").arg("--lazy").arg(&self.at).status();
        assert!(lazily.is_ok_and(|status| status.success()), "{} stays", self.at.display());
    }
}

#[test]
fn a_scratch_taken_away_holds_back_its_own_sectors_and_the_others_go_on() {
    let mut lab = Lab::with(&two_scratches([1, 0], ""));
    let Some(mounted) = Bound::bind(&lab.path("below"), &lab.path("b")) else {
        eprintln!("skipped: mounting needs root");
        return;
    };
    one_in_each(&mut lab, "");
    lab.wait_for_row(1, 1, (1, 0, 1));
    // Under a running P1.
    drop(mounted);
    lab.wait("its sector waits, and says for what", |lab| {
        standing(lab, 1).contains("the scratch is not there")
    });
    lab.wait_for_state(0, "finished");
    // Another one is begun, in the other root, beside the one that waits.
    lab.configure(&two_scratches([1, 1], ""));
    lab.json(&["reload"]);
    lab.pledge(1);
    lab.wait_for_state(2, "finished");
    assert_eq!(lab.sector(2)["scratch"].as_str(), lab.path("a").to_str());
    assert_eq!(support::files(&lab.path("b")), Vec::<PathBuf>::new(), "written below the mount");
    let _mounted = Bound::bind(&lab.path("below"), &lab.path("b")).expect("as before");
    lab.wait_for_state(1, "finished");
    for number in 0..=2 {
        nothing_failed(&lab, number);
        assert_eq!(lab.sector(number)["attention"], Value::Null);
    }
    lab.kill();
}

#[test]
fn a_scratch_that_is_away_at_the_start_holds_back_its_own_sectors_only() {
    let mut lab = Lab::with(&two_scratches([1, 0], ""));
    one_in_each(&mut lab, "");
    lab.kill();
    fs::rename(lab.path("b"), lab.path("away")).unwrap();
    fs::create_dir(lab.path("b")).unwrap();
    lab.start();
    lab.wait_for_state(0, "finished");
    lab.wait("the other waits", |lab| standing(lab, 1).contains("the scratch is not there"));
    fs::remove_dir(lab.path("b")).expect("nothing was written to it");
    fs::rename(lab.path("away"), lab.path("b")).unwrap();
    lab.wait_for_state(1, "finished");
    nothing_failed(&lab, 1);
}

#[test]
fn a_sector_whose_scratch_is_no_longer_configured_waits_for_a_person_and_can_be_given_up() {
    let mut lab = Lab::with(&two_scratches([1, 0], ""));
    one_in_each(&mut lab, "");
    lab.kill();
    let both = fs::read_to_string(lab.path("appliance.toml")).unwrap();
    let only_a = both.replace("[[scratch]]\npath = \"b\"\nweight = 1\n", "");
    fs::write(lab.path("appliance.toml"), &only_a).unwrap();
    lab.start();
    let report = lab.get("/api/v1/status")["report"].to_string();
    assert!(report.contains("not configured") && report.contains("cannot go on: 1;"), "{report}");
    lab.wait_for_state(0, "finished");
    lab.wait_for_row(1, 1, (1, 1, 2));
    let attention = lab.sector(1)["attention"].to_string();
    assert!(attention.contains("not configured any more"), "{attention}");
    // With its scratch put back it goes on.
    lab.kill();
    fs::write(lab.path("appliance.toml"), &both).unwrap();
    lab.start();
    assert!(lab.cli(&["retry", "1"]).status.success());
    lab.wait_for_state(1, "finished");
    // Without it, it can be given up, and what lies there is not touched.
    lab.pledge(1);
    lab.wait_for_row(2, 1, (1, 0, 1));
    lab.kill();
    fs::write(lab.path("appliance.toml"), &only_a).unwrap();
    lab.start();
    lab.wait_for_row(2, 1, (1, 1, 2));
    let before = support::files(&lab.path("b"));
    lab.post("/api/v1/sectors/2/abort", &json!({})).expect("aborted");
    lab.wait_for_state(2, "given up");
    assert_eq!(support::files(&lab.path("b")), before);
}

#[test]
fn a_second_box_on_the_same_storage_is_refused_and_told_what_to_do() {
    let mut first = Lab::with(&configuration("", &["store"]));
    first.start();
    let shared = first.path("store");
    let second = Lab::with(&configuration("", &[shared.to_str().unwrap()]));
    let output = second.cli(&["run"]);
    let message = text(&output.stderr);
    assert_eq!(output.status.code(), Some(FAILED), "{message}");
    for part in ["belongs to another box", "sealbox-root.json", "sealbox adopt-root"] {
        assert!(message.contains(part), "{part} in {message}");
    }
    // Nor can it be taken over while its name is on it.
    let output = second.cli(&["adopt-root", shared.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(FAILED), "{}", text(&output.stderr));
    first.pledge(1);
    first.wait_for_state(0, "finished");
}

#[test]
fn sectors_of_unknown_origin_are_adopted_only_by_an_order_to_a_stopped_box() {
    let mut lab = Lab::with(&configuration("", &["store"]));
    fs::create_dir_all(lab.path("store/cache/s-t01000-99")).unwrap();
    let output = lab.cli(&["run"]);
    let message = text(&output.stderr);
    assert_eq!(output.status.code(), Some(FAILED), "{message}");
    assert!(message.contains("nothing says whose they are"), "{message}");
    assert!(lab.cli(&["adopt-root", "store"]).status.success());
    lab.start();
    assert!(lab.path("store/cache/s-t01000-99").is_dir());
    let output = lab.cli(&["adopt-root", "store"]);
    assert_eq!(output.status.code(), Some(OCCUPIED), "{}", text(&output.stderr));
}

#[test]
fn an_orphan_is_listed_and_deleted_only_by_an_order_that_is_recorded() {
    let slow = configuration("", &["store"]).replace("p1_ms = 5", "p1_ms = 3000");
    let mut lab = Lab::with(&slow);
    lab.start();
    let orphan = lab.path("store/cache/s-t01000-99");
    fs::create_dir_all(&orphan).unwrap();
    fs::write(orphan.join("p_aux"), "seven b").unwrap();
    let listed = lab.json(&["orphans"]);
    assert_eq!(listed["orphans"][0]["path"].as_str(), orphan.to_str(), "{listed}");
    assert_eq!(listed["orphans"][0]["bytes"], 7);
    assert_eq!(listed["orphans"].as_array().map(Vec::len), Some(1));
    assert!(lab.page("/storage").contains("s-t01000-99"));

    let path = orphan.to_str().unwrap();
    let output = lab.cli(&["orphans", "delete", path]);
    assert_eq!(output.status.code(), Some(USAGE), "{}", text(&output.stderr));
    let around = format!("{}/../../store/cache/s-t01000-99", lab.path("store/cache").display());
    for elsewhere in ["/etc/passwd", "store/cache/s-t01000-99", &around] {
        let refused = lab.post("/api/v1/orphans/delete", &json!({ "path": elsewhere }));
        assert_eq!(refused, Err(404), "{elsewhere}");
    }
    // A sector in flight owns what has its name, in any root.
    lab.pledge(1);
    lab.wait_for_row(0, 1, (1, 0, 1));
    let owned = lab.path("sealbox-data/scratch/cache/s-t01000-0");
    lab.wait("P1 has its directory", |_| owned.is_dir());
    assert_eq!(lab.post("/api/v1/orphans/delete", &json!({ "path": owned })), Err(409));
    assert!(owned.is_dir() && orphan.is_dir());

    assert!(lab.cli(&["orphans", "delete", path, "--yes"]).status.success());
    assert!(!orphan.exists());
    assert_eq!(lab.json(&["orphans"])["orphans"], json!([]));
    let journal = lab.path("sealbox-data/journal");
    let lines: String = support::files(&journal)
        .iter()
        .map(|file| fs::read_to_string(journal.join(file)).unwrap_or_default())
        .collect();
    assert!(lines.contains("orphan_deleted") && lines.contains("s-t01000-99"), "{lines}");
    // The history with it is read again.
    lab.kill();
    lab.start();
    lab.wait_for_state(0, "finished");
    assert_eq!(lab.json(&["orphans"])["orphans"], json!([]), "a finished sector's copy is listed");
}
