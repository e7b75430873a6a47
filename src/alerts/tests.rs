//! What is told, and that it is told once; and a webhook that stalls, refuses, and takes it at last.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::sync::mpsc;
use std::time::Duration;

use proptest::prelude::*;
use serde_json::Value;
use tokio::sync::watch;

use super::sender::{Alerts, Patience};
use super::*;
use crate::config::AlertsConfig;
use crate::web::tests::site::{Site, disk, disk_full};

fn alert() -> Alert {
    let failure = Failure::new(Class::Operator, "full", "free some");
    of_failure("sector_failed", &failure, Timestamp(1), "/")
}

fn key(n: u64) -> Key {
    Key::Failed(SectorNumber(n), Phase::P1)
}

fn of(wrong: &BTreeSet<u64>, more: bool) -> Standing {
    Standing { alerts: wrong.iter().map(|n| (key(*n), alert())).collect(), more }
}

proptest! {
    #[test]
    fn an_alert_is_sent_once_until_it_is_resolved_and_then_once_again(
        steps in prop::collection::vec(
            (prop::collection::btree_set(0u64..6, 0..6), 0usize..8, any::<bool>()), 1..40),
    ) {
        let (mut told, mut open) = (Told::default(), BTreeSet::new());
        for (wrong, sent, more) in steps {
            // Of what is owed only some gets through before things change again.
            for owed in told.owes(&of(&wrong, more)).into_iter().take(sent) {
                let of_key = owed.key.clone();
                match owed.status {
                    Status::Firing => prop_assert!(open.insert(of_key), "told twice"),
                    Status::Resolved => {
                        prop_assert!(open.remove(&of_key), "resolved without being told");
                        prop_assert!(!more, "what is not listed may still be wrong");
                    }
                    Status::Test => prop_assert!(false, "nobody asked for a test"),
                }
                told.sent(owed);
            }
        }
        let last = BTreeSet::from([1, 4]);
        for owed in told.owes(&of(&last, false)) {
            told.sent(owed);
        }
        prop_assert_eq!(told.owes(&of(&last, false)), vec![]);
        prop_assert_eq!(told.count(), last.len());
    }
}

#[test]
fn what_needs_a_person_is_told_and_what_does_not_is_not() {
    let mut site = Site::empty();
    site.order(2).running(0, Phase::P2).fails(0, Phase::P2, disk_full());
    site.running(1, Phase::P1);
    let now = standing(&site.view(), &site.disks, &Told::default());
    assert_eq!(now.alerts.keys().collect::<Vec<_>>(), [&Key::Failed(SectorNumber(0), Phase::P2)]);
    let told = &now.alerts[&Key::Failed(SectorNumber(0), Phase::P2)];
    assert_eq!(told.page, "/sectors/0");
    assert!(told.what.contains("no space left") && told.mend.contains("free"), "{told:?}");
}

#[test]
fn a_disk_at_the_edge_is_told_of_once() {
    let view = Site::empty().view();
    let with_left = |permille: u64| {
        let mut disk = disk("/mnt/store-1", DiskRole::Storage, 90);
        disk.free_bytes = disk.total_bytes / 1_000 * permille;
        disk
    };
    let mut told = Told::default();
    let mut tell = |permille| {
        let owed = told.owes(&standing(&view, &[with_left(permille)], &told));
        let status: Vec<Status> = owed.iter().map(|owed| owed.status).collect();
        owed.into_iter().for_each(|owed| told.sent(owed));
        status
    };
    assert_eq!(tell(60), []);
    assert_eq!(tell(49), [Status::Firing]);
    assert_eq!(tell(52), []);
    assert_eq!(tell(48), []);
    assert_eq!(tell(71), [Status::Resolved]);
    let mut scratch = with_left(10);
    scratch.role = DiskRole::Scratch;
    assert_eq!(standing(&view, &[scratch], &Told::default()), Standing::default());
}

/// What a webhook does with a request.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Does {
    Takes,
    Refuses,
    Stalls,
}

/// Does these with its first requests and takes the rest; tells each that came: its head, its body.
fn webhook(first: Vec<Does>) -> (String, mpsc::Receiver<(String, Value)>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}/hook/very-secret", listener.local_addr().unwrap());
    let (tell, told) = mpsc::channel();
    std::thread::spawn(move || {
        let mut kept = Vec::new();
        let mut does = first.into_iter();
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut reader = BufReader::new(stream.try_clone().unwrap());
            let (mut head, mut length) = (String::new(), 0);
            loop {
                let mut line = String::new();
                if reader.read_line(&mut line).unwrap() <= 2 {
                    break;
                }
                let line = line.to_ascii_lowercase();
                if let Some(value) = line.strip_prefix("content-length:") {
                    length = value.trim().parse().unwrap();
                }
                head += &line;
            }
            let mut body = vec![0; length];
            reader.read_exact(&mut body).unwrap();
            let does = does.next().unwrap_or(Does::Takes);
            let status = match does {
                Does::Takes => "204 No Content",
                Does::Refuses => "500 Internal Server Error",
                Does::Stalls => {
                    kept.push(stream);
                    continue;
                }
            };
            let answer =
                format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
            let _ = stream.write_all(answer.as_bytes());
            if does == Does::Takes
                && tell.send((head, serde_json::from_slice(&body).unwrap())).is_err()
            {
                return;
            }
        }
    });
    (address, told)
}

fn alerts(webhook: String) -> Alerts {
    let patience = Patience {
        answer: Duration::from_millis(500),
        first: Duration::from_millis(10),
        most: Duration::from_millis(50),
        look: Duration::from_millis(1),
    };
    let config = AlertsConfig::to(webhook, "also-secret");
    Alerts::new(Some(config), "http://box.lab".into(), patience, Arc::new(|| Timestamp(7)))
}

const LONG: Duration = Duration::from_secs(60);

#[test]
fn a_webhook_that_stalls_and_refuses_is_asked_again_until_it_takes_the_alert() {
    let (address, told) = webhook(vec![Does::Stalls, Does::Refuses, Does::Refuses]);
    let mut site = Site::empty();
    site.order(1).running(0, Phase::P2).fails(0, Phase::P2, disk_full());
    let (views, view) = watch::channel(Arc::new(site.view()));
    let (_disks, disks) = watch::channel(Vec::new());
    let alerts = alerts(address);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let running = runtime.spawn(alerts.clone().run(view, disks));

    let (head, first) = told.recv_timeout(LONG).unwrap();
    assert!(head.contains("authorization: bearer also-secret"), "{head}");
    assert_eq!((&first["status"], &first["alert"]), (&"firing".into(), &"sector_failed".into()));
    assert_eq!((&first["sector"], &first["phase"]), (&0.into(), &"P2".into()));
    assert_eq!(first["link"], "http://box.lab/sectors/0");
    let said = alerts.said();
    assert!(said.last_failed.is_some());

    site.happens(0, crate::domain::event::Event::Retried { phase: Phase::P2, by: "me".into() });
    views.send_replace(Arc::new(site.view()));
    let (_, second) = told.recv_timeout(LONG).unwrap();
    assert_eq!((&second["status"], &second["sector"]), (&"resolved".into(), &0.into()));

    // The box stops, and with it this.
    drop(views);
    runtime.block_on(running).unwrap();
    let shown = format!("{:?} {}", alerts.said(), serde_json::json!(alerts.said()));
    assert!(!shown.contains("secret"), "{shown}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_test_says_whether_it_was_taken_and_never_with_a_secret() {
    let (address, told) = webhook(vec![Does::Refuses, Does::Takes]);
    let alerts = alerts(address);
    let refused = alerts.test().await.unwrap_err();
    assert!(refused.what.contains("500"), "{refused}");
    assert!(!format!("{refused:?}").contains("secret"), "{refused:?}");
    alerts.test().await.unwrap();
    assert_eq!(told.recv_timeout(LONG).unwrap().1["status"], "test");
    let nowhere = Alerts::new(None, String::new(), Patience::default(), Arc::new(|| Timestamp(7)));
    assert!(nowhere.test().await.unwrap_err().mend.contains("[alerts] webhook"));
}
