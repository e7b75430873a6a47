//! What is told, and that it is told once; and a webhook that stalls, refuses, and takes it at last.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::sync::mpsc;
use std::time::Duration;

use proptest::prelude::*;
use serde_json::Value;
use tokio::sync::watch;

use super::sender::{Alerts, Parts, Patience};
use super::*;
use crate::config::{AlertsConfig, Config, Loaded};
use crate::samples::Samples;
use crate::web::tests::site::{Site, built_in, disk, disk_full};

fn alert() -> Alert {
    let failure = Failure::new(Class::Operator, "full", "free some");
    of_failure("sector_failed", &failure, Timestamp(1), "/")
}

fn key(n: u64) -> Key {
    Key::Failed(SectorNumber(n), Phase::P1)
}

fn of(wrong: &BTreeSet<u64>, more: bool) -> Standing {
    let alerts = wrong.iter().map(|n| (key(*n), alert())).collect();
    Standing { alerts, more, ..Standing::default() }
}

const DAY: Duration = Duration::from_secs(24 * 3_600);

/// What is wrong, if disks that fill within two days are told of.
fn seen(view: &BoxView, disks: &[DiskView], forecasts: &[Forecast], told: &Told) -> Standing {
    standing(&Looked { view, disks, forecasts, full_within: 2 * DAY }, told)
}

/// Sends all that is owed: what of it, and the keys.
fn tell(told: &mut Told, standing: &Standing) -> Vec<(Status, Key)> {
    let owed = told.owes(standing);
    owed.into_iter()
        .map(|owed| {
            let of = (owed.status, owed.key.clone());
            told.sent(owed);
            of
        })
        .collect()
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
    let now = seen(&site.view(), &site.disks, &[Forecast::Unknown; 2], &Told::default());
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
    let mut status = |permille| {
        let now = seen(&view, &[with_left(permille)], &[Forecast::Steady], &told);
        tell(&mut told, &now).into_iter().map(|(status, _)| status).collect::<Vec<_>>()
    };
    assert_eq!(status(60), []);
    assert_eq!(status(49), [Status::Firing]);
    assert_eq!(status(52), []);
    assert_eq!(status(48), []);
    assert_eq!(status(71), [Status::Resolved]);
    let mut scratch = with_left(10);
    scratch.role = DiskRole::Scratch;
    let now = seen(&view, &[scratch], &[Forecast::Crowded], &Told::default());
    assert_eq!(now, Standing::default());
}

#[test]
fn a_disk_that_will_be_full_before_long_is_told_of_once_and_again_only_after_it_had_recovered() {
    let view = Site::empty().view();
    let disks = [disk("/mnt/store-1", DiskRole::Storage, 90)];
    let mut told = Told::default();
    let mut status = |forecast| {
        let now = seen(&view, &disks, &[forecast], &told);
        tell(&mut told, &now).into_iter().map(|(status, _)| status).collect::<Vec<_>>()
    };
    let full = |hours: u32| Forecast::Full { left: DAY * hours / 24 };
    assert_eq!(status(full(49)), []);
    assert_eq!(status(full(47)), [Status::Firing]);
    assert_eq!(status(full(50)), [], "at the edge");
    assert_eq!(status(Forecast::Unknown), [], "no basis is no recovery");
    assert_eq!(status(full(12)), []);
    assert_eq!(status(full(72)), [Status::Resolved]);
    assert_eq!(status(full(60)), []);
    assert_eq!(status(full(47)), [Status::Firing]);
    assert_eq!(status(Forecast::Steady), [Status::Resolved]);
}

#[test]
fn a_disk_that_will_be_full_says_what_to_do_and_two_roots_on_it_say_it_once() {
    let view = Site::empty().view();
    let on = |number, path, role| DiskView { number: Some(number), ..disk(path, role, 50) };
    let disks = [
        on(1, "/sealer", DiskRole::Scratch),
        on(1, "/sealer/store", DiskRole::Storage),
        on(1, "/sealer/more", DiskRole::Storage),
        on(1, "/sealer/data", DiskRole::Data),
        on(2, "/", DiskRole::Data),
    ];
    let now = seen(&view, &disks, &[Forecast::Full { left: DAY }; 5], &Told::default());
    let [first, second] = ["/", "/sealer/store"].map(|path| Key::FullSoon(path.into()));
    assert_eq!(now.alerts.keys().collect::<Vec<_>>(), [&first, &second]);
    let alert = &now.alerts[&second];
    assert_eq!(alert.what, "/sealer/store (storage) will be full in ~ 24 hours");
    assert!(alert.mend.contains("add a `[[storage]]`"), "{alert:?}");
}

#[test]
fn what_was_told_of_a_disk_stands_until_it_was_looked_at_again() {
    let view = Site::empty().view();
    let full = || disk("/mnt/store-1", DiskRole::Storage, 98);
    let trouble = Some(Failure::new(Class::Operator, "no answer", "look at it"));
    let hung = DiskView { trouble, hung: true, ..disk("/mnt/store-2", DiskRole::Storage, 9) };
    let mut told = Told::default();
    let mut of = |disks: &[DiskView]| {
        let now = seen(&view, disks, &[Forecast::Unknown; 2], &told);
        tell(&mut told, &now)
    };
    assert_eq!(of(&[full(), hung.clone()]).len(), 2);
    let unseen = |disk: DiskView| DiskView { total_bytes: 0, trouble: None, hung: false, ..disk };
    assert_eq!(of(&[unseen(full()), unseen(hung.clone())]), [], "as after a start");
    let whole = DiskView { trouble: None, hung: false, ..hung.clone() };
    let over = (Status::Resolved, Key::Hung(hung.path.clone()));
    assert_eq!(of(&[unseen(full()), whole.clone()]), [over]);
    let hangs_too = DiskView { path: full().path, ..hung };
    assert_eq!(of(&[hangs_too, whole]).len(), 1, "how full it is nobody knows meanwhile");
}

#[test]
fn what_was_told_is_read_again_and_a_file_that_is_broken_tells_it_a_second_time() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join(kept::FILE);
    assert_eq!(kept::read(&file), Told::default());
    let view = Site::empty().view();
    let mut told = Told::default();
    let disks = [disk("/mnt/store-1", DiskRole::Storage, 98)];
    tell(&mut told, &seen(&view, &disks, &[Forecast::Full { left: DAY }], &Told::default()));
    let unknown = told.0.keys().cloned().collect();
    tell(&mut told, &Standing { alerts: [(key(7), alert())].into(), unknown, more: false });
    assert_eq!(told.count(), 3);
    kept::write(&file, &told).unwrap();
    assert_eq!(kept::read(&file), told);
    std::fs::write(&file, "[{").unwrap();
    assert_eq!(kept::read(&file), Told::default());
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

/// Tells this webhook; what is sent into the channel is another configuration.
fn alerts(webhook: Option<String>) -> (Alerts, watch::Sender<Loaded>) {
    let patience = Patience {
        answer: Duration::from_millis(500),
        first: Duration::from_millis(10),
        most: Duration::from_millis(50),
        look: Duration::from_millis(1),
    };
    let (sender, loaded) = watch::channel(telling(webhook));
    let (samples, clock) = (Samples::default(), Arc::new(|| Timestamp(7)));
    (Alerts::new(Parts { loaded, samples, patience, clock }), sender)
}

fn telling(webhook: Option<String>) -> Loaded {
    let alerts = webhook.map(|webhook| AlertsConfig::to(webhook, "also-secret"));
    let config = Config { alerts, ..built_in() };
    Loaded { config: Arc::new(config), at: Timestamp(7), needs_restart: Vec::new() }
}

/// A box that tells, until it is stopped.
struct Telling {
    runtime: tokio::runtime::Runtime,
    running: tokio::task::JoinHandle<()>,
    views: watch::Sender<Arc<BoxView>>,
    _disks: watch::Sender<Vec<DiskView>>,
}

impl Telling {
    fn start(alerts: &Alerts, site: &Site) -> Self {
        let (views, view) = watch::channel(Arc::new(site.view()));
        let (disks, seen) = watch::channel(Vec::new());
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let running = runtime.spawn(alerts.clone().run(site.dir.path().into(), view, seen));
        Self { runtime, running, views, _disks: disks }
    }

    fn stop(self) {
        drop(self.views);
        self.runtime.block_on(self.running).unwrap();
    }
}

const LONG: Duration = Duration::from_secs(60);

#[test]
fn a_webhook_that_stalls_and_refuses_is_asked_again_until_it_takes_the_alert() {
    let (address, told) = webhook(vec![Does::Stalls, Does::Refuses, Does::Refuses]);
    let mut site = Site::empty();
    site.order(1).running(0, Phase::P2).fails(0, Phase::P2, disk_full());
    let (alerts, _loaded) = alerts(Some(address));
    let telling = Telling::start(&alerts, &site);

    let (head, first) = told.recv_timeout(LONG).unwrap();
    assert!(head.contains("authorization: bearer also-secret"), "{head}");
    assert_eq!((&first["status"], &first["alert"]), (&"firing".into(), &"sector_failed".into()));
    assert_eq!((&first["sector"], &first["phase"]), (&0.into(), &"P2".into()));
    assert_eq!(first["link"], format!("{}/sectors/0", built_in().url()));
    assert!(first["since"].as_str().unwrap().ends_with('Z'), "{first}");
    let said = alerts.said();
    assert!(said.last_failed.is_some());

    site.happens(0, crate::domain::event::Event::Retried { phase: Phase::P2, by: "me".into() });
    telling.views.send_replace(Arc::new(site.view()));
    let (_, second) = told.recv_timeout(LONG).unwrap();
    assert_eq!((&second["status"], &second["sector"]), (&"resolved".into(), &0.into()));

    // The box stops, and with it this.
    telling.stop();
    let shown = format!("{:?} {}", alerts.said(), serde_json::json!(alerts.said()));
    assert!(!shown.contains("secret"), "{shown}");
}

#[test]
fn a_restart_tells_nobody_again_of_what_stands_and_says_when_it_is_over() {
    let (address, told) = webhook(Vec::new());
    let mut site = Site::empty();
    site.order(2).running(0, Phase::P2).fails(0, Phase::P2, disk_full());
    let (before, _loaded) = alerts(Some(address.clone()));
    let telling = Telling::start(&before, &site);
    assert_eq!(told.recv_timeout(LONG).unwrap().1["status"], "firing");
    let is_kept = || !kept::read(&site.dir.path().join(kept::FILE)).0.is_empty();
    let began = std::time::Instant::now();
    while !is_kept() {
        assert!(began.elapsed() < LONG, "it is not kept");
        std::thread::yield_now();
    }
    telling.stop();

    // Another one fails while the box is down: the first to come is of that one.
    site.running(1, Phase::P1).fails(1, Phase::P1, disk_full());
    let (after, _loaded) = alerts(Some(address));
    let telling = Telling::start(&after, &site);
    let (_, second) = told.recv_timeout(LONG).unwrap();
    assert_eq!((&second["status"], &second["sector"]), (&"firing".into(), &1.into()));
    site.happens(0, crate::domain::event::Event::Retried { phase: Phase::P2, by: "me".into() });
    telling.views.send_replace(Arc::new(site.view()));
    let (_, third) = told.recv_timeout(LONG).unwrap();
    assert_eq!((&third["status"], &third["sector"]), (&"resolved".into(), &0.into()));
    telling.stop();
}

#[test]
fn a_reload_changes_where_alerts_go_and_one_that_is_refused_is_sent_there_at_once() {
    let (wrong, _) = webhook(vec![Does::Refuses; 1_000]);
    let (right, told) = webhook(Vec::new());
    let mut site = Site::empty();
    site.order(1).running(0, Phase::P2).fails(0, Phase::P2, disk_full());
    let (alerts, loaded) = alerts(None);
    let running = Telling::start(&alerts, &site);
    assert_eq!(alerts.said(), Said::default(), "there is nobody to tell");
    loaded.send_replace(telling(Some(wrong)));
    let began = std::time::Instant::now();
    while alerts.said().last_failed.is_none() {
        assert!(began.elapsed() < LONG, "nobody was asked");
        std::thread::yield_now();
    }
    loaded.send_replace(telling(Some(right)));
    assert_eq!(told.recv_timeout(LONG).unwrap().1["alert"], "sector_failed");
    loaded.send_replace(telling(None));
    assert_eq!(alerts.said().webhook, None);
    running.stop();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_test_says_whether_it_was_taken_and_never_with_a_secret() {
    let (address, told) = webhook(vec![Does::Refuses, Does::Takes]);
    let (to_webhook, loaded) = alerts(Some(address));
    let refused = to_webhook.test().await.unwrap_err();
    assert!(refused.what.contains("500"), "{refused}");
    assert!(!format!("{refused:?}").contains("secret"), "{refused:?}");
    to_webhook.test().await.unwrap();
    assert_eq!(told.recv_timeout(LONG).unwrap().1["status"], "test");
    loaded.send_replace(telling(None));
    assert!(to_webhook.test().await.unwrap_err().mend.contains("[alerts] webhook"));
}
