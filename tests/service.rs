//! What the service manager hears of a box: a socket of the test stands in its place.

mod support;

use std::os::unix::net::UnixDatagram;
use std::time::{Duration, Instant};

use serde_json::json;
use support::mounts::SmallDisk;
use support::{Lab, PATIENCE};

const IDLE: &str = "shutdown_grace_sec = 100\n";
const WORK: &str = "
[simulated]
p1_ms = 600000
[chain.lab]
epoch_ms = 5
";

/// The service manager's ear.
struct Ear(UnixDatagram);

impl Ear {
    fn in_the(lab: &Lab) -> Self {
        let socket = UnixDatagram::bind(lab.path("notify")).unwrap();
        Self(socket)
    }

    /// The next message. None if none comes in this time.
    fn hear(&self, within: Duration) -> Option<String> {
        let mut buffer = [0; 4096];
        self.0.set_read_timeout(Some(within)).unwrap();
        let length = self.0.recv(&mut buffer).ok()?;
        Some(String::from_utf8(buffer[..length].to_vec()).unwrap())
    }

    /// All that is said until something begins like this, that included.
    fn until(&self, lab: &Lab, begins: &str) -> Vec<String> {
        let (start, mut heard) = (Instant::now(), Vec::<String>::new());
        while !heard.last().is_some_and(|last| last.starts_with(begins)) {
            assert!(start.elapsed() < PATIENCE, "{begins}: {heard:?}\n{}", lab.messages());
            heard.extend(self.hear(Duration::from_secs(1)));
        }
        heard
    }
}

fn launch(lab: &mut Lab, watchdog: &str) -> Ear {
    let ear = Ear::in_the(lab);
    let socket = lab.path("notify").display().to_string();
    lab.launch(&[("NOTIFY_SOCKET", &socket), ("WATCHDOG_USEC", watchdog)]);
    ear
}

#[test]
fn the_service_manager_hears_ready_then_signs_of_life_then_the_stop() {
    let mut lab = Lab::simulated(&format!("{IDLE}{WORK}"));
    let ear = launch(&mut lab, "200000");
    let before_ready = ear.until(&lab, "READY=1");
    assert!(before_ready.iter().all(|said| !said.contains("WATCHDOG")), "{before_ready:?}");
    lab.get("/api/v1/status");
    // Nothing happens in this box: it is the loop alone that says so.
    for _ in 0..5 {
        ear.until(&lab, "WATCHDOG=1");
    }
    lab.pledge(1);
    ear.until(&lab, "STATUS=1 sector in flight, 1 running");
    lab.signal("-TERM");
    let stopping = ear.until(&lab, "STOPPING=1").pop().unwrap();
    // Longer than `shutdown_grace_sec`, whatever TimeoutStopSec is.
    assert_eq!(stopping, "STOPPING=1\nEXTEND_TIMEOUT_USEC=130000000");
    ear.until(&lab, "WATCHDOG=1");
    lab.signal("-TERM");
    assert_eq!(lab.wait_for_end(), Some(130), "a second signal does not wait");
}

#[test]
fn a_reload_is_told_when_it_begins_and_when_it_is_over() {
    let mut lab = Lab::simulated("");
    let ear = launch(&mut lab, "0");
    ear.until(&lab, "READY=1");
    lab.signal("-HUP");
    let began = ear.until(&lab, "RELOADING=1").pop().unwrap();
    let usec = began.strip_prefix("RELOADING=1\nMONOTONIC_USEC=").unwrap();
    assert!(usec.parse::<u64>().unwrap() > 0);
    ear.until(&lab, "READY=1");
    std::fs::write(lab.path("appliance.toml"), "broken").unwrap();
    lab.signal("-HUP");
    ear.until(&lab, "RELOADING=1");
    ear.until(&lab, "READY=1");
}

#[test]
fn a_box_that_nobody_watches_sends_no_signs_of_life() {
    let mut lab = Lab::simulated("");
    let ear = launch(&mut lab, "0");
    ear.until(&lab, "READY=1");
    lab.wait_until_it_answers();
    lab.pledge(1);
    let heard = ear.until(&lab, "STATUS=0 sectors");
    assert!(heard.iter().all(|said| said.starts_with("STATUS=")), "{heard:?}");
}

#[test]
fn a_box_whose_journal_cannot_be_written_says_so_and_is_alive() {
    let mut lab = Lab::with(&format!(
        "auto_pledge = 0\ndata_dir = \"data\"\nscratch = \"scratch\"\n[engine]\nkind = \
         \"simulated\"\n{WORK}\n[[storage]]\npath = \"store\"\n"
    ));
    let disk = match SmallDisk::make(&lab.path("data"), 16) {
        Ok(disk) => disk,
        Err(why) => return eprintln!("skipped: {why}"),
    };
    let ear = launch(&mut lab, "1000000");
    ear.until(&lab, "READY=1");
    disk.fill();
    let url = lab.url("/api/v1/orders");
    let _asked = std::thread::spawn(move || ureq::post(&url).send_json(json!({ "count": 1 })));
    let said = ear.until(&lab, "STATUS=1 sector in flight, 0 running; stands still: ");
    assert!(said.last().unwrap().contains("space"), "{said:?}");
    for _ in 0..2 {
        ear.until(&lab, "WATCHDOG=1");
    }
    lab.kill();
}
