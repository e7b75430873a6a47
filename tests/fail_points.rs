//! A box with the simulated engine dies at every point of the program that the engine leaves alone,
//! twice in a row at the first time that it comes there, then at the second time, the third, until
//! it gets through. The real engine's points are in `real_fail_points`.

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use sealbox::domain::event::Event;
use sealbox::domain::layout::Scratch;
use serde_json::json;
use support::Lab;
use support::ledger::Past;
use support::points::{self, Went, run};

const PATIENCE: Duration = Duration::from_secs(60);
/// More deaths than this in one life are a life without progress.
const MOST_DEATHS: usize = 200;
/// Lives at a time: they wait for the disk more than for a core.
const AT_ONCE: usize = 4;

/// Points behind a step that a start finds done, and does not do again: a box that was to die there
/// twice in a row goes past it the second time.
const ONCE: [&str; 6] = [
    "lab.written",
    "p5.one_dropped",
    "store.file_made",
    "store.file_named",
    "store.state_set_aside",
    "store.torn_cut",
];

const FAST: &str = "
[engine]
kind = \"simulated\"
[simulated]
p1_ms = 1
p2_ms = 1
p3_ms = 1
p4_ms = 1
p5_ms = 1
p6_ms = 1
[chain.lab]
epoch_ms = 5
challenge_delay = 2
";

/// What only synthetic PoRep comes to.
fn of_shrinking(file: &Path) -> bool {
    file.ends_with("shrink.rs")
}

fn of_the_engine(file: &Path) -> bool {
    file.starts_with("engine")
}

/// What has to go wrong before a point can be reached at all.
fn prepare(lab: &mut Lab, point: &str) {
    let mut die = |at: &str| {
        let name = at.split('=').next().unwrap_or_default();
        assert!(run(lab, at, PATIENCE, points::is_finished).died_at(name), "before {point}");
    };
    match point {
        "p5.one_dropped" => die("p5.file_written=return"),
        "store.last_line_rewritten" => die("store.line_synced=return"),
        "store.torn_kept" | "store.torn_cut" => {
            die("store.state_applied=3*off->return");
            tear_the_journal(&lab.path("sealbox-data/journal"));
        }
        "store.state_set_aside" => {
            die("store.state_applied=3*off->return");
            fs::remove_file(lab.path("sealbox-data/state.mark")).expect("the state's mark");
        }
        _ => {}
    }
}

/// As a power cut leaves it: the last line was being written.
fn tear_the_journal(journal: &Path) {
    let file = support::files(journal).pop().expect("a journal file");
    let mut text = fs::read(journal.join(&file)).expect("the journal");
    text.extend(b"{\"sum\":\"0123");
    fs::write(journal.join(&file), text).expect("the journal");
}

/// One box and one sector, from its first start to its end; how often it died. It is to die twice
/// in a row when it first comes to the point, then once for each further time that it comes there.
fn live(lab: &mut Lab, point: &str, is_over: impl Fn(&Lab) -> bool + Copy) -> usize {
    let mut deaths = 0;
    for time in [0].into_iter().chain(0..) {
        let points = points::at(point, time);
        match run(lab, &points, PATIENCE, is_over) {
            Went::DiedAt(at) => assert_eq!(at, point),
            Went::Through => break,
        }
        deaths += 1;
        assert!(
            deaths < MOST_DEATHS,
            "{point}: {:?}",
            Past::read(&lab.path("sealbox-data")).entries
        );
    }
    assert_eq!(run(lab, "", PATIENCE, is_over), Went::Through);
    deaths
}

/// Lives of many boxes at a time; prints how often they died and what was wrong with them.
fn live_all(what: &str, points: Vec<String>, life: impl Fn(&str) -> (usize, Vec<String>) + Sync) {
    let begun = Instant::now();
    let lives = points.len();
    let todo = Mutex::new(points.into_iter());
    let wrong = Mutex::new(Vec::new());
    let deaths = Mutex::new(0);
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                let next = || todo.lock().expect("a life panicked").next();
                while let Some(point) = next() {
                    let (died, found) = life(&point);
                    *deaths.lock().expect("no panic") += died;
                    let found = found.into_iter().map(|wrong| format!("{point}: {wrong}"));
                    wrong.lock().expect("no panic").extend(found);
                }
            });
        }
    });
    let (wrong, deaths) =
        (wrong.into_inner().expect("no panic"), deaths.into_inner().expect("no panic"));
    assert!(wrong.is_empty(), "{what}: {wrong:#?}");
    println!("{what}: {lives} points, {deaths} deaths, {} s", begun.elapsed().as_secs());
}

#[test]
fn a_sector_is_sealed_whatever_point_the_box_dies_at_twice_in_a_row() {
    let points = points::in_sources();
    let points = points.into_iter().filter(|(_, file)| !of_the_engine(file));
    let points: BTreeMap<_, _> = points.collect();
    live_all("sealed", points.keys().cloned().collect(), |point| {
        let porep = if of_shrinking(&points[point]) { "synthetic" } else { "interactive" };
        let mut lab = Lab::with(&format!("auto_pledge = 1\nporep = \"{porep}\"\n{FAST}"));
        prepare(&mut lab, point);
        let deaths = live(&mut lab, point, points::is_finished);
        let mut wrong = points::wrong(&lab, &[]);
        let past = Past::read(&lab.path("sealbox-data"));
        wrong.extend(past.missing(&Scratch::new(lab.path("sealbox-data/scratch"))));
        match deaths {
            0 => wrong.push("this point was never reached".to_owned()),
            1 if !ONCE.contains(&point) => wrong.push("it did not die there again".to_owned()),
            2.. if ONCE.contains(&point) => wrong.push("it died there again".to_owned()),
            _ => {}
        }
        (deaths, wrong)
    });
}

/// The points of deleting.
fn of_cleaning() -> Vec<String> {
    let points = points::in_sources().into_iter();
    points.filter(|(_, file)| file.ends_with("clean.rs")).map(|(point, _)| point).collect()
}

fn is_given_up(lab: &Lab) -> bool {
    lab.sector(0)["state"] == "given up"
}

#[test]
fn a_refused_sector_is_cleaned_up_whatever_point_the_box_dies_at() {
    live_all("refused", of_cleaning(), |point| {
        let refuse = "challenge_delay = 2\nrefuse_pre_commit = [0]";
        let fast = FAST.replace("challenge_delay = 2", refuse);
        let mut lab = Lab::with(&format!("auto_pledge = 1\n{fast}"));
        let deaths = live(&mut lab, point, is_given_up);
        assert!(deaths > 0, "{point} was never reached");
        (deaths, points::wrong(&lab, &[]))
    });
}

/// Aborts the sector as soon as it waits for a person, and answers whether it is given up.
fn aborted(lab: &Lab) -> bool {
    if !lab.sector(0)["attention"].is_null() {
        // The box may die before it answers.
        drop(ureq::post(lab.url("/api/v1/sectors/0/abort")).send_json(json!({})));
    }
    is_given_up(lab)
}

fn fails(phase: &str) -> String {
    format!("[[simulated.failure]]\nphase = \"{phase}\"\nclass = \"operator\"\n")
}

/// A sector whose proof is on chain cannot be aborted.
fn unproven() -> String {
    format!("auto_pledge = 1\n{FAST}\n{}", fails("P4"))
}

/// What is wrong with a box whose one sector was aborted.
fn wrong_after_abort(lab: &Lab) -> Vec<String> {
    let mut wrong = points::wrong(lab, &["simulated"]);
    let left = support::files(points::storage(lab).path());
    let left = left.into_iter().filter(|file| !support::is_of_the_root(file));
    wrong.extend(left.map(|file| format!("left in storage: {}", file.display())));
    wrong
}

#[test]
fn a_sector_aborted_in_the_midst_of_its_copy_leaves_nothing_in_storage() {
    live_all("aborted", of_cleaning(), |point| {
        let unproven = unproven();
        let mut lab = Lab::with(&unproven);
        let half_copied = points::at("p5.file_renamed", 2);
        assert!(run(&mut lab, &half_copied, PATIENCE, |_| false).died_at("p5.file_renamed"));
        lab.configure(&format!("{unproven}{}", fails("P5")));
        let deaths = live(&mut lab, point, aborted);
        assert!(deaths > 0, "{point} was never reached");
        (deaths, wrong_after_abort(&lab))
    });
}

/// As [`aborted`], once its copy is made.
fn aborted_behind_its_copy(lab: &Lab) -> bool {
    if lab.sector(0)["stored"].is_null() { is_given_up(lab) } else { aborted(lab) }
}

#[test]
fn a_sector_aborted_behind_its_copy_leaves_nothing_in_storage_and_every_deletion_is_recorded() {
    live_all("aborted behind P5", of_cleaning(), |point| {
        let mut lab = Lab::with(&unproven());
        let deaths = live(&mut lab, point, aborted_behind_its_copy);
        assert!(deaths > 0, "{point} was never reached");
        let mut wrong = wrong_after_abort(&lab);
        let past = Past::read(&lab.path("sealbox-data"));
        let deleted = |of: &str| {
            let in_storage = format!("storage/{of}/");
            past.events().any(|(_, _, event)| {
                matches!(event, Event::Deleted { path, .. }
                    if path.to_string_lossy().contains(&in_storage))
            })
        };
        let unsaid = ["sealed", "cache"].into_iter().filter(|of| !deleted(of));
        wrong.extend(unsaid.map(|of| format!("its copy in {of} was deleted without a word")));
        (deaths, wrong)
    });
}
