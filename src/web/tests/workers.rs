//! Workers: what each does and did, and why what is queued waits.

use super::site::{Site, disk_full};
use super::states::{all, busy, one, words};
use crate::domain::event::{Event, Output};
use crate::domain::ids::SectorNumber;
use crate::domain::phase::Phase;
use crate::domain::progress::Progress;

#[test]
fn each_worker_says_what_it_does_or_why_it_does_nothing() {
    let mut site = busy();
    site.tweak = |view| {
        view.held.insert(Phase::P3, "paused by a person".to_owned());
        view.paused.insert(Phase::P3);
    };
    let layer = site.progress.begin(SectorNumber(6), Phase::P1);
    layer.tell(Progress::Layers { done: 6, of: 11 });
    let html = site.get("/workers").html();
    let p1 = words(&html, "#worker-p1-0");
    assert!(p1.starts_with("p1-0 P1 P1 of 6 for ") && p1.contains(", layer 7 of 11"), "{p1}");
    let p3 = words(&html, "#worker-p3-0");
    assert!(p3.contains("idle : P3 waits: paused by a person"), "{p3}");
    let p6 = words(&html, "#worker-p6-0");
    assert!(p6.contains("idle : nothing is queued for P6"), "{p6}");
    assert_eq!(words(&html, "#queue-P3 button"), "Resume P3");
    assert_eq!(words(&html, "#queue-P1 button"), "Pause P1");
}

#[test]
fn what_a_worker_did_in_the_last_day_is_counted_and_its_last_attempts_lead_to_their_logs() {
    let mut site = busy();
    site.running(9, Phase::P2).later(60).fails(9, Phase::P2, disk_full());
    site.recall();
    let html = site.get("/workers").html();
    let p2 = words(&html, "#worker-p2-0");
    assert!(p2.contains("1 failed"), "{p2}");
    let failed = one(&html, "#worker-p2-0 a.fail");
    assert_eq!(failed.attr("href"), Some("/sectors/9?phase=P2#log"));
    assert_eq!(all(&html, "#worker-p1-0 td:last-child a").len(), 4, "no more than the last");
    assert!(words(&html, "#worker-p1-0 td.num").contains(" %"));
    let queue = words(&html, "#queue-P2");
    assert!(queue.contains("12 min 00 s"), "what it usually takes: {queue}");
}

#[test]
fn each_phase_says_how_long_its_oldest_task_waits_and_for_what() {
    let mut site = busy();
    site.tweak = |view| {
        view.held.insert(Phase::P1, "the scratch hangs".to_owned());
    };
    let html = site.get("/workers").html();
    assert_eq!(all(&html, "#queues tbody tr").len(), 6);
    let p1 = words(&html, "#queue-P1");
    assert!(p1.starts_with("P1 label 1 ") && p1.contains("the scratch hangs"), "{p1}");
    assert_eq!(all(&html, "#queue-P1 time.for").len(), 1, "since when");
    for link in all(&html, "#queues a") {
        assert_eq!(site.get(link.attr("href").unwrap()).status, 200);
    }
}

#[test]
fn every_queued_task_says_why_it_waits_wherever_it_is_listed() {
    let site = busy();
    let why = "its worker is busy with P1 of sector 6";
    assert!(words(&site.get("/tasks").html(), "#task-7-1").ends_with(why));
    let now = words(&site.get("/sectors/7").html(), ".now");
    assert!(now.contains(&format!("P1 (label) waits: {why}.")), "{now}");
    let standing = site.get("/api/v1/sectors/7").json()["standing"].to_string();
    assert!(standing.contains(why), "{standing}");
}

#[test]
fn a_task_that_is_tried_again_says_when() {
    let mut site = Site::empty();
    let mut busy_disk = disk_full();
    busy_disk.class = crate::domain::failure::Class::Transient;
    site.order(1).running(0, Phase::P1).fails(0, Phase::P1, busy_disk);
    let row = words(&site.get("/tasks").html(), "#task-0-1");
    assert!(row.contains("tried again by itself at ") && row.ends_with(" UTC"), "{row}");
}

#[test]
fn a_sector_that_was_tried_more_than_once_lists_every_attempt_with_its_cause_and_log() {
    let mut site = Site::empty();
    site.order(2).running(0, Phase::P2).later(60).fails(0, Phase::P2, disk_full());
    assert!(all(&site.get("/sectors/0").html(), "#attempts").is_empty(), "one each: the tasks");
    site.later(5).happens(0, Event::Retried { phase: Phase::P2, by: "the page".into() });
    site.start(0, Phase::P2).happens(0, Event::Interrupted { phase: Phase::P2, died: false });
    site.start(0, Phase::P2);
    let html = site.get("/sectors/0").html();
    let rows: Vec<String> =
        all(&html, "#attempts tbody tr").into_iter().map(super::site::said).collect();
    assert_eq!(rows.len(), 4, "{rows:?}");
    assert!(rows[0].contains("P2 attempt 3 p2-0") && rows[0].contains("running"), "{rows:?}");
    assert!(rows[1].contains("was stopped"), "{rows:?}");
    assert!(rows[2].contains("1 min 00 s failed no space left on device"), "{rows:?}");
    assert!(rows[3].contains("P1 attempt 1") && rows[3].contains("succeeded"), "{rows:?}");
    let log = one(&html, "#attempt-P2-1 a").attr("href");
    assert_eq!(log, Some("/sectors/0?phase=P2&attempt=1#log"));
}

#[test]
fn from_one_failure_there_is_a_way_to_the_next_and_round() {
    let mut site = Site::empty();
    site.order(4);
    for number in [0, 2, 3] {
        site.running(number, Phase::P1).fails(number, Phase::P1, disk_full());
        if number == 0 {
            site.running(1, Phase::P1).succeeds(1, Output::P1);
        }
    }
    let next = |number: u64| {
        let html = site.get(&format!("/sectors/{number}")).html();
        one(&html, "#next-needy").attr("href").unwrap().to_owned()
    };
    assert_eq!([0, 1, 2, 3].map(next), ["/sectors/2", "/sectors/2", "/sectors/3", "/sectors/0"]);
    let mut alone = Site::empty();
    alone.order(1).running(0, Phase::P1).fails(0, Phase::P1, disk_full());
    assert!(all(&alone.get("/sectors/0").html(), "#next-needy").is_empty());
}

#[test]
fn every_page_is_a_key_away_and_no_key_leads_to_two() {
    let html = busy().get("/").html();
    let keys: Vec<_> = all(&html, "[accesskey]").iter().map(|a| a.attr("accesskey")).collect();
    let distinct: std::collections::BTreeSet<_> = keys.iter().collect();
    assert_eq!((keys.len(), distinct.len()), (9, 9));
}
