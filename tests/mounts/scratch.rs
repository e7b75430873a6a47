//! Scratches that hang, vanish, or are not configured any more.

use super::*;

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
