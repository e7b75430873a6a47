//! A real sector whose box dies at every point of its sealing, twice in a row, and that is valid in
//! the end. It takes two SNARKs, a minute each on two cores: the points behind the SNARK cost one
//! each. The points that no engine comes to are in `fail_points`.

mod support;

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, Once, PoisonError};
use std::time::{Duration, Instant};

use sealbox::domain::event::Event;
use sealbox::domain::layout::{Scratch, cache_files_after_p2, dropped_with_p2};
use sealbox::domain::sector::{Sealed, Sector, Stage};
use sealbox::engine::filecoin::{FilecoinEngine, Hooks};
use sealbox::engine::{Engine as _, SealStatement, StoredCopy};
use sealbox::storage::manifest::check_copy;
use sealbox::storage::rate::RateLimit;
use support::Lab;
use support::ledger::Past;
use support::points::{self, Went, run};

/// A SNARK, on a machine that may be busy.
const PATIENCE: Duration = Duration::from_secs(20 * 60);

const LAB: &str = "auto_pledge = 1\n[chain.lab]\nepoch_ms = 50\nchallenge_delay = 1\n";

/// What the next run does that is to die at the same point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    Dies,
    /// The step is done and is not done again: it goes on, to the next point of the list.
    GoesOn,
    /// It is not tried: it would cost a SNARK, or there is nothing more of that kind to do.
    Untried,
}

/// Every point of a sector's life, in an order in which one life comes to all of them.
const LIFE: [(&str, Next); 61] = [
    ("store.line_written", Next::Dies),
    ("store.line_synced", Next::Dies),
    ("store.state_applied", Next::Dies),
    ("p1.directory_made", Next::Dies),
    ("p1.directory_synced", Next::Dies),
    ("p1.layers_compared", Next::Dies),
    ("p1.rest_dropped", Next::Dies),
    ("p1.kept_recorded", Next::Dies),
    ("p1.start_recorded", Next::Dies),
    ("p1.replica_created", Next::Dies),
    ("p1.layer_complete", Next::Dies),
    ("p1.layer_synced", Next::Dies),
    ("p1.layer_named", Next::Dies),
    ("p1.layer_digested", Next::Dies),
    // One layer each time: 2 KiB has two.
    ("p1.layer_recorded", Next::Dies),
    ("p1.labelled", Next::Dies),
    // What the run before left is one file.
    ("p1.one_dropped", Next::GoesOn),
    ("p1.layers_recorded", Next::Dies),
    ("p1.tree_d_synced", Next::Dies),
    ("p1.tree_d_noted", Next::Dies),
    // It is linked from then on.
    ("p1.tree_d_shared", Next::GoesOn),
    ("p1.tree_d_linked", Next::Dies),
    ("p1.recorded", Next::GoesOn),
    ("p2.layers_checked", Next::Dies),
    ("p2.one_dropped", Next::Dies),
    ("p2.rest_dropped", Next::Dies),
    ("p2.replica_emptied", Next::Dies),
    ("p2.replica_grown", Next::Dies),
    ("p2.blank_synced", Next::Dies),
    ("p2.blank_named", Next::Dies),
    ("p2.replicated", Next::Dies),
    ("p2.trees_synced", Next::Dies),
    ("p2.replica_synced", Next::Dies),
    ("p2.replica_named", Next::Dies),
    ("p2.checked", Next::Dies),
    ("p2.recorded", Next::Dies),
    ("p2.suspicion_cleared", Next::Dies),
    ("p3.proved", Next::Dies),
    ("p3.recorded", Next::Dies),
    ("p5.directory_made", Next::Dies),
    ("p5.marked", Next::Dies),
    ("p5.file_begun", Next::Dies),
    ("p5.one_dropped", Next::GoesOn),
    ("p5.rest_dropped", Next::Dies),
    ("p5.file_written", Next::Dies),
    ("p5.file_synced", Next::Dies),
    ("p5.file_compared", Next::Dies),
    ("p5.file_renamed", Next::Dies),
    ("p5.files_named", Next::Dies),
    ("p5.manifest_written", Next::Dies),
    ("p5.mark_removed", Next::Dies),
    ("p4.begun", Next::Dies),
    ("p4.verified", Next::Untried),
    ("p4.recorded", Next::GoesOn),
    ("p6.copy_proven", Next::Dies),
    // Two things to delete, the cache and the replica, and some points for each.
    ("p6.renamed", Next::Untried),
    ("p6.deletion_recorded", Next::Dies),
    ("p6.removal_synced", Next::Untried),
    ("p6.rename_synced", Next::Untried),
    ("p6.removed", Next::Untried),
    ("p6.cleaned", Next::Dies),
];

const SYNTHETIC: &str =
    "auto_pledge = 1\nporep = \"synthetic\"\n[chain.lab]\nepoch_ms = 50\nchallenge_delay = 1\n";

/// What a synthetic sector comes to beside that, in the same order. It dies twice at each.
const SHRINKING: [&str; 6] = [
    "p2.challenges_answered",
    "p2.answers_synced",
    "p2.drop_recorded",
    "p2.file_dropped",
    "p2.drops_synced",
    BEFORE_THE_SNARK,
];

/// One box at a time; and the library, here as in the box, looks for parameters where the tests
/// keep them.
fn alone() -> MutexGuard<'static, ()> {
    static ONE: Mutex<()> = Mutex::new(());
    static ENVIRONMENT: Once = Once::new();
    let guard = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    ENVIRONMENT.call_once(|| {
        std::fs::create_dir_all(support::parameters()).expect("a place for the parameters");
        // SAFETY: the tests of this file run one at a time behind the lock, and no other thread
        // reads the environment while it is set.
        unsafe { std::env::set_var("FIL_PROOFS_PARAMETER_CACHE", support::parameters()) };
    });
    guard
}

/// Where the box dies when it is to die at one of these.
fn die_at_one_of(lab: &mut Lab, of: &[&str]) -> String {
    let all: Vec<String> = of.iter().map(|point| points::at(point, 0)).collect();
    match run(lab, &all.join(";"), PATIENCE, points::is_finished) {
        Went::DiedAt(point) => point,
        Went::Through => panic!("none of {of:?} was reached: {:?}", lab.messages()),
    }
}

#[test]
fn a_real_sector_is_valid_after_its_box_died_twice_at_every_point_of_its_sealing() {
    let _alone = alone();
    let begun = Instant::now();
    let mut lab = Lab::with(LAB);
    let mut deaths = 0;
    let mut died_already = false;
    for (nth, &(point, next)) in LIFE.iter().enumerate() {
        if !died_already {
            assert_eq!(die_at_one_of(&mut lab, &[point]), point);
            deaths += 1;
        }
        died_already = false;
        match next {
            Next::Dies => assert_eq!(die_at_one_of(&mut lab, &[point]), point, "again"),
            Next::GoesOn => {
                let after = LIFE[nth + 1].0;
                assert_eq!(die_at_one_of(&mut lab, &[point, after]), after, "beyond {point}");
                died_already = true;
            }
            Next::Untried => continue,
        }
        deaths += 1;
        println!("{point}: {} s", begun.elapsed().as_secs());
    }
    assert_eq!(run(&mut lab, "", PATIENCE, points::is_finished), Went::Through);
    let wrong = points::wrong(&lab, &[]);
    assert!(wrong.is_empty(), "{wrong:#?}");
    check_the_seal_and_the_copy(&lab);
    println!("{} points, {deaths} deaths, {} s", LIFE.len(), begun.elapsed().as_secs());
}

#[test]
fn every_point_of_sealing_is_in_the_life_of_the_real_sector() {
    let phases =
        ["engine", "worker", "storage/transfer.rs", "storage/clean.rs", "storage/shrink.rs"];
    let of_sealing = |file: &Path| phases.iter().any(|phase| file.starts_with(phase));
    let listed: BTreeSet<&str> = LIFE.iter().map(|(point, _)| *point).collect();
    assert_eq!(listed.len(), LIFE.len(), "a point is listed twice");
    for (point, file) in points::in_sources() {
        let is_listed = listed.contains(point.as_str()) || SHRINKING.contains(&&*point);
        let missing = of_sealing(&file) && !is_listed;
        assert!(!missing, "{point} ({}) has no place in LIFE", file.display());
    }
}

/// The proof is of this sector, and what is stored is what was proven.
fn check_the_seal_and_the_copy(lab: &Lab) {
    let past = Past::read(&lab.path("sealbox-data"));
    let sector = &past.sectors[&0];
    let Stage::Finished { sealed, .. } = &sector.stage else { panic!("{}", sector.stage.name()) };
    let engine = FilecoinEngine::new(sector.kind(), Hooks::default());
    let statement = statement(sector, sealed);
    assert!(engine.verify_seal(&statement, &sealed.proof).expect("it can be checked"));
    let mut other = statement;
    other.seed.as_mut().expect("interactive").value.0[0] ^= 1;
    assert!(!engine.verify_seal(&other, &sealed.proof).expect("the check can fail"));

    let (root, id, size) = (points::storage(lab), sector.id, sector.size);
    let unlimited = RateLimit::new(None);
    check_copy(&root, id, sealed.stored.manifest, &unlimited, &|_, _| {}).expect("its digests");
    let (cache, replica) = (root.cache_dir(id), root.replica(id));
    let copy = StoredCopy { id, size, cache, replica };
    let comm_r = sealed.challenge.replica.commitments.comm_r;
    engine.prove_stored(&copy, &comm_r).expect("it can be proven");
}

fn statement(sector: &Sector, sealed: &Sealed) -> SealStatement {
    let challenge = &sealed.challenge;
    SealStatement {
        id: sector.id,
        size: sector.size,
        porep: sector.porep,
        ticket: challenge.replica.ticket,
        seed: challenge.seed(),
        commitments: challenge.replica.commitments,
    }
}

/// Where the next tests stop: before the SNARK, behind a P3 that found the replica good.
const BEFORE_THE_SNARK: &str = "p4.begun";

fn run_to_the_snark(lab: &mut Lab, point: &str, passing: usize) -> String {
    let both = format!("{};{BEFORE_THE_SNARK}=return", points::at(point, passing));
    match run(lab, &both, PATIENCE, points::is_finished) {
        Went::DiedAt(point) => point,
        Went::Through => panic!("it went past the SNARK"),
    }
}

fn check_what_came_before_the_snark(lab: &Lab) {
    let past = Past::read(&lab.path("sealbox-data"));
    let mut wrong = past.failures_but(&[]);
    wrong.extend(past.labelled_twice());
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// Up to the SNARK, which is the same as any other's.
#[test]
fn a_real_synthetic_sector_answers_its_seed_after_its_box_died_twice_at_every_point_of_shrinking() {
    let _alone = alone();
    let begun = Instant::now();
    let mut lab = Lab::with(SYNTHETIC);
    for point in SHRINKING {
        assert_eq!(die_at_one_of(&mut lab, &[point]), point);
        assert_eq!(die_at_one_of(&mut lab, &[point]), point, "again");
        println!("{point}: {} s", begun.elapsed().as_secs());
    }
    check_what_came_before_the_snark(&lab);
    let past = Past::read(&lab.path("sealbox-data"));
    let sector = &past.sectors[&0];
    assert_eq!(sector.stage.name(), "P4/P5");
    let cache = Scratch::new(lab.path("sealbox-data/scratch")).cache_dir(sector.id);
    for file in cache_files_after_p2(sector.kind()) {
        assert!(cache.join(file.name(sector.size)).exists(), "{file:?}");
    }
    for file in dropped_with_p2(sector.kind()) {
        let path = cache.join(file.name(sector.size));
        let is_of_it =
            |event: &Event| matches!(event, Event::Deleted { path: at, .. } if *at == path);
        let recorded = past.events().any(|(_, _, event)| is_of_it(event));
        assert!(!path.exists() && recorded, "{}", path.display());
    }
}

#[test]
fn a_death_within_any_write_of_a_real_box_costs_nothing() {
    let _alone = alone();
    for point in ["write.temp_synced", "write.renamed"] {
        let begun = Instant::now();
        let mut writes = 0;
        // The first write of a box's life, the second, and so on, each in a box of its own.
        loop {
            let mut lab = Lab::with(LAB);
            if run_to_the_snark(&mut lab, point, writes) == BEFORE_THE_SNARK {
                break;
            }
            run_to_the_snark(&mut lab, point, writes);
            let end = die_at_one_of(&mut lab, &[BEFORE_THE_SNARK]);
            assert_eq!(end, BEFORE_THE_SNARK);
            check_what_came_before_the_snark(&lab);
            writes += 1;
        }
        assert!(writes > 10, "{writes} writes: where are the others?");
        println!("{point}: {writes} writes, {} s", begun.elapsed().as_secs());
    }
}

#[test]
fn a_death_in_any_commit_of_a_real_box_costs_nothing() {
    let _alone = alone();
    for point in ["store.line_written", "store.line_synced", "store.state_applied"] {
        let begun = Instant::now();
        let mut lab = Lab::with(LAB);
        let mut deaths = 0;
        // At the first commit of a process twice, then at the second, and so on.
        while run_to_the_snark(&mut lab, point, deaths / 2) != BEFORE_THE_SNARK {
            deaths += 1;
            assert!(deaths < 100, "no progress: {:?}", lab.messages());
        }
        assert!(deaths > 4, "{deaths} deaths: where are the commits?");
        check_what_came_before_the_snark(&lab);
        println!("{point}: {deaths} deaths, {} s", begun.elapsed().as_secs());
    }
}
