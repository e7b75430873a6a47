//! Mounts that hang, vanish, or are another box's, seen on the built program.

mod owners;
mod scratch;
#[path = "../support/mod.rs"]
mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use support::{Lab, QUICK, text};

const FAILED: i32 = 1;
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

use mounted_or_skip;

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
