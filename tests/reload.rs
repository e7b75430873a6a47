//! The configuration, changed under a running box.

mod support;

use serde_json::{Value, json};
use support::{Lab, text};

const FAILED: i32 = 1;
const USAGE: i32 = 2;

/// P1 takes long enough to be seen; three sectors at a time could be labelled.
const SLOW: &str = "
[simulated]
p1_ms = 3000
p2_ms = 1
p3_ms = 1
p4_ms = 1
p5_ms = 1
p6_ms = 1
[chain.lab]
epoch_ms = 5
challenge_delay = 2
[[worker]]
num = 3
supported_phase = [\"P1\"]
[[worker]]
num = 3
supported_phase = [\"P2\", \"P3\", \"P4\", \"P5\", \"P6\"]
";

/// A simulated box's configuration: `top` may begin with top-level keys.
fn configuration(top: &str) -> String {
    format!("auto_pledge = 0\n{top}\n[engine]\nkind = \"simulated\"\n{SLOW}")
}

fn throttle(limit: u64) -> String {
    configuration(&format!("[max_outstanding]\n\"2KiB\" = {limit}"))
}

fn in_flight(lab: &Lab) -> u64 {
    lab.get("/api/v1/status")["counts"]["in_flight"].as_u64().unwrap()
}

fn running(lab: &Lab) -> usize {
    let workers = lab.get("/api/v1/status")["workers"].clone();
    workers.as_array().unwrap().iter().filter(|worker| !worker["sector"].is_null()).count()
}

fn limit(lab: &Lab) -> Value {
    lab.get("/api/v1/status")["throttles"][0]["limit"].clone()
}

/// When the sector was begun, and when it was finished.
fn life(lab: &Lab, number: u64) -> (String, String) {
    let sector = lab.sector(number);
    let time = |name: &str| sector[name].as_str().unwrap().to_owned();
    (time("created"), time("updated"))
}

#[test]
fn a_limit_below_what_runs_kills_nothing_and_begins_nothing_until_there_is_room() {
    let mut lab = Lab::with(&throttle(3));
    lab.start();
    lab.pledge(4);
    lab.wait("three sectors are labelled", |lab| running(lab) == 3);
    lab.configure(&throttle(1));
    assert_eq!(lab.json(&["reload"])["in_effect"], json!(["max_outstanding"]));
    assert_eq!(limit(&lab), 1);
    assert_eq!((in_flight(&lab), running(&lab)), (3, 3), "what runs goes on");
    lab.wait_for_state(3, "finished");
    let begun = life(&lab, 3).0;
    for number in 0..3 {
        assert_eq!(lab.sector(number)["tasks"][0]["attempts"], 1, "sector {number}");
        let finished = life(&lab, number).1;
        assert!(finished <= begun, "{number} was finished at {finished}, 3 begun at {begun}");
    }
}

#[test]
fn a_higher_limit_and_more_sectors_to_pledge_take_effect_at_once() {
    let mut lab = Lab::with(&throttle(1));
    lab.start();
    lab.pledge(2);
    lab.wait("one sector is begun", |lab| in_flight(lab) == 1);
    lab.configure(&throttle(3).replace("auto_pledge = 0", "auto_pledge = 3"));
    let reloaded = lab.json(&["reload"]);
    assert_eq!(reloaded["in_effect"], json!(["max_outstanding", "auto_pledge"]));
    lab.wait("three are begun", |lab| in_flight(lab) == 3);
    assert_eq!(lab.json(&["reload"])["in_effect"], json!([]), "it is in effect already");
    let orders = lab.sector(2)["order"].clone();
    assert_eq!(orders, 1, "the third is of an order of its own");
}

#[test]
fn what_stays_free_of_the_scratch_and_what_a_phase_needs_can_be_changed_while_it_waits() {
    let full = configuration("scratch_keep_free_mib = 1099511627775");
    let mut lab = Lab::with(&full);
    lab.start();
    lab.wait("the scratch was looked at", |lab| {
        let disks = lab.get("/api/v1/status")["disks"].clone();
        disks.as_array().unwrap().iter().all(|disk| disk["total_bytes"] != 0)
    });
    lab.pledge(1);
    lab.wait("the intake waits for room", |lab| {
        !lab.get("/api/v1/status")["intake_waits"].is_null()
    });
    lab.configure(&configuration(""));
    lab.json(&["reload"]);
    lab.wait_for_state(0, "finished");

    let need = "[[need]]\nsector_size = \"2KiB\"\nphase = \"P2\"\nmemory_mib = 1000000000";
    lab.configure(&configuration(need));
    let refused = lab.cli(&["reload"]);
    assert_eq!(refused.status.code(), Some(FAILED), "{}", text(&refused.stderr));
    assert!(text(&refused.stderr).contains("[[need]]"), "{}", text(&refused.stderr));
    lab.pledge(1);
    lab.wait_for_state(1, "finished");
}

#[test]
fn a_broken_file_changes_nothing_and_its_problems_are_the_answer_in_the_words_of_check_config() {
    let mut lab = Lab::with(&throttle(3));
    lab.start();
    lab.pledge(1);
    let good = std::fs::read_to_string(lab.path("appliance.toml")).unwrap();
    let broken = good.replace("\"2KiB\" = 3", "\"2KiB\" = 0\nfoo = 1");
    std::fs::write(lab.path("appliance.toml"), broken).unwrap();
    let checked = lab.cli(&["check-config"]);
    assert_eq!(checked.status.code(), Some(USAGE));
    // The command reads the file itself to find the box, unless it is told where that is.
    for args in [&["reload"][..], &["reload", "--url", &lab.url("")]] {
        let refused = lab.cli(args);
        assert_eq!(refused.status.code(), Some(USAGE), "{args:?}");
        let (one, other) = (text(&refused.stderr), text(&checked.stderr));
        assert_eq!(in_place(&lab, &one), in_place(&lab, &other), "{args:?}");
    }
    let mut answer = ureq::post(lab.url("/api/v1/reload"))
        .config()
        .http_status_as_error(false)
        .build()
        .send_empty()
        .unwrap();
    assert_eq!(answer.status(), 422);
    let problem: Value = answer.body_mut().read_json().unwrap();
    let keys: Vec<_> = problem["problems"].as_array().unwrap().iter().map(|p| &p["key"]).collect();
    assert_eq!(keys, ["max_outstanding.2KiB", "max_outstanding.foo"]);
    assert_eq!(limit(&lab), 3);
    lab.signal("-HUP");
    lab.wait("the log has it", |lab| lab.messages().contains("the configuration stays as it was"));
    assert_eq!(limit(&lab), 3);
}

/// The box knows the file by its whole path, as the command does that finds it by itself.
fn in_place(lab: &Lab, text: &str) -> String {
    let dir = lab.dir.path().canonicalize().unwrap();
    text.replace(&format!("{}/", dir.display()), "")
}

#[test]
fn what_needs_a_restart_is_named_and_stays_as_it_was() {
    let mut lab = Lab::with(&throttle(3));
    lab.start();
    lab.pledge(1);
    let other_port = support::Port::take();
    let text = std::fs::read_to_string(lab.path("appliance.toml")).unwrap();
    let text = text.replace(&format!(":{}", lab.port.number), &format!(":{}", other_port.number));
    let text = text.replace("num = 3", "num = 2").replace("\"2KiB\" = 3", "\"2KiB\" = 2");
    std::fs::write(lab.path("appliance.toml"), format!("miner = \"t02000\"\n{text}")).unwrap();
    let reloaded = lab.json(&["reload", "--url", &lab.url("")]);
    assert_eq!(reloaded["in_effect"], json!(["max_outstanding"]));
    assert_eq!(reloaded["needs_restart"], json!(["miner", "worker", "web.listen"]));
    let status = lab.get("/api/v1/status");
    assert_eq!(status["workers"].as_array().unwrap().len(), 6);
    let page = lab.page("/system");
    assert!(page.contains("a restart puts it into effect: miner, worker, web.listen"), "{page}");
    assert!(page.contains("t01000") && !page.contains("t02000"), "{page}");
}

#[test]
fn a_hang_up_and_the_button_on_the_page_read_the_file_again() {
    let mut lab = Lab::with(&throttle(3));
    lab.start();
    lab.pledge(1);
    lab.configure(
        &throttle(2).replace("auto_pledge = 0", "auto_pledge = 0\nlog = \"sealbox=debug\""),
    );
    lab.signal("-HUP");
    lab.wait("the signal did it", |lab| limit(lab) == 2);
    lab.configure(&throttle(1));
    let client: ureq::Agent = ureq::Agent::config_builder().max_redirects(0).build().into();
    let pressed = client.post(lab.url("/reload")).send_form([("back", "/system")]).unwrap();
    assert_eq!((pressed.status().as_u16(), limit(&lab)), (303, json!(1)));
    assert_eq!(pressed.headers()["location"], "/system");
    let page = lab.page("/system");
    assert!(page.contains("&quot;max_outstanding&quot;") || page.contains("max_outstanding"));
    assert!(page.contains("action=\"/reload\""), "{page}");
}

#[test]
fn copies_go_to_the_storage_with_the_weight_from_the_reload_on() {
    let stores = |a: u32, b: u32| {
        let store = |name, weight| format!("[[storage]]\npath = \"{name}\"\nweight = {weight}\n");
        format!("{}\n{}{}", configuration(""), store("a", a), store("b", b))
    };
    let mut lab = Lab::with(&stores(1, 0));
    lab.start();
    for (number, weights, store) in [(0, (1, 0), "a"), (1, (0, 1), "b"), (2, (1, 0), "a")] {
        lab.configure(&stores(weights.0, weights.1));
        lab.json(&["reload"]);
        lab.pledge(1);
        lab.wait_for_state(number, "finished");
        let root = lab.sector(number)["stored"]["root"].clone();
        assert_eq!(root.as_str(), lab.path(store).to_str());
    }
    lab.configure(&stores(0, 0));
    assert_eq!(lab.json(&["reload"])["in_effect"], json!(["storage"]));
    lab.pledge(1);
    lab.wait("its copy waits for a person", |lab| {
        lab.sector(3)["attention"].to_string().contains("weight 0")
    });
}

#[test]
fn where_alerts_go_can_be_changed_and_taken_away() {
    let to = |place: &str| configuration(&format!("[alerts]\nwebhook = \"http://{place}/secret\""));
    let mut lab = Lab::with(&configuration(""));
    lab.start();
    let webhook = |lab: &Lab| lab.get("/api/v1/alerts")["webhook"].clone();
    assert_eq!(webhook(&lab), Value::Null);
    lab.configure(&to("one.invalid"));
    assert_eq!(lab.json(&["reload"])["in_effect"], json!(["alerts"]));
    assert_eq!(webhook(&lab), "http://one.invalid/…");
    lab.configure(&to("other.invalid"));
    lab.json(&["reload"]);
    assert_eq!(webhook(&lab), "http://other.invalid/…");
    lab.configure(&configuration(""));
    lab.json(&["reload"]);
    assert_eq!(webhook(&lab), Value::Null);
}
