//! The API's lists: followed piece by piece, and what only one address tells.

use std::fs;

use axum::body::Body;
use serde_json::{Value, json};

use super::site::{MINER, Site, ask, disk_full};
use super::states::{busy, failing};
use crate::domain::failure::{Class, Failure};
use crate::domain::phase::Phase;
use crate::domain::progress::Progress;
use crate::domain::units::Timestamp;
use crate::storage::roots::{Places, Roots};

/// Rows by their address: every list that can grow.
const LISTS: [(&str, &str); 11] = [
    ("sectors", "/sectors"),
    ("tasks", "/tasks"),
    ("orders", "/orders"),
    ("orphans", "/orphans"),
    ("causes", "/failures"),
    ("damaged", "/damaged"),
    ("history", "/history"),
    ("history", "/sectors/0/history"),
    ("attempts", "/sectors/0/attempts"),
    ("attempts", "/timeline?range=24h"),
    ("waits", "/timeline/waits?range=24h"),
];

/// Something of everything.
fn full() -> Site {
    let mut site = Site::empty();
    site.order(6).order(2).order(1);
    site.running(0, Phase::P2).later(9).fails(0, Phase::P2, disk_full());
    site.happens(0, crate::domain::event::Event::Retried { phase: Phase::P2, by: "me".into() });
    site.start(0, Phase::P2).later(9).fails(0, Phase::P2, disk_full());
    site.running(1, Phase::P2).fails(1, Phase::P2, disk_full());
    let other = Failure::new(Class::Operator, "no answer", "look");
    site.running(2, Phase::P1).fails(2, Phase::P1, other);
    for number in [3, 4] {
        site.finished(number);
        let fault = Failure::new(Class::Sector, "a byte is not what it was", "bring it back");
        let by = || "me".to_owned();
        let damaged = crate::domain::event::Event::StoredDamaged { by: by(), failure: fault };
        site.happens(number, damaged);
    }
    site.recall();
    for second in 1..4 {
        let why = |phase| (phase, format!("reason {second}"));
        let reasons = [Phase::P1, Phase::P4].map(why).into();
        let at = Timestamp(crate::web::show::now().0 - 10_000 + second);
        site.timeline.change(|timeline| timeline.waiting(at, &reasons));
    }
    site.roots = roots_with_orphans(&site);
    site
}

fn roots_with_orphans(site: &Site) -> Roots {
    let [scratch, store] = ["scratch", "store"].map(|name| site.dir.path().join(name));
    let places = Places {
        data_dir: &site.dir.path().join("data"),
        scratch: std::slice::from_ref(&scratch),
        storage: std::slice::from_ref(&store),
        miner: MINER,
        stored_in: &Default::default(),
    };
    fs::create_dir_all(places.data_dir).unwrap();
    let (roots, _) = Roots::open(&places, Timestamp(1)).unwrap();
    for root in [scratch, store] {
        for name in ["a", "b"] {
            fs::create_dir_all(root.join("cache")).unwrap();
            fs::write(root.join("cache").join(name), name).unwrap();
        }
    }
    roots
}

fn rows(page: &Value, name: &str) -> Vec<Value> {
    let rows = page[name].as_array().unwrap_or_else(|| panic!("{name}: {page}")).clone();
    match name {
        // Of a cause, each task is a row.
        "causes" => {
            rows.iter().flat_map(|cause| cause["tasks"].as_array().unwrap().clone()).collect()
        }
        _ => rows,
    }
}

fn address(path: &str, more: &str) -> String {
    let and = if path.contains('?') { '&' } else { '?' };
    format!("/api/v1{path}{and}{more}")
}

fn followed(site: &Site, path: &str, name: &str) -> Vec<Value> {
    let (mut found, mut next) = (Vec::new(), String::new());
    loop {
        let page = site.get(&address(path, &format!("limit=1{next}"))).json();
        let more = rows(&page, name);
        assert!(more.len() <= 1, "{path}: {page}");
        found.extend(more);
        next = match &page["next"] {
            Value::Null => return found,
            Value::String(place) => format!("&after={place}"),
            other => format!("&after={other}"),
        };
        assert!(found.len() < 200, "{path} leads nowhere");
    }
}

#[test]
fn every_list_that_can_grow_is_followed_by_its_cursor_and_nothing_is_left_out_or_told_twice() {
    let site = full();
    for (name, path) in LISTS {
        let whole = site.get(&address(path, "limit=1000")).json();
        let mut all = rows(&whole, name);
        assert_eq!(whole["next"], Value::Null, "{path}");
        assert!(all.len() > 1, "{path} has too little to be followed: {whole}");
        let mut found = followed(&site, path, name);
        if name == "causes" {
            // The most frequent cause comes first in one answer.
            let key = |task: &Value| task["sector"].as_u64();
            all.sort_by_key(key);
            found.sort_by_key(key);
        }
        for row in all.iter_mut().chain(&mut found) {
            // They are told from now.
            for relative in ["age_sec", "done_in"] {
                row.as_object_mut().and_then(|row| row.remove(relative));
            }
        }
        assert_eq!(found, all, "{path}");
    }
}

#[test]
fn a_cursor_or_a_limit_that_makes_no_sense_is_told_in_the_same_words_by_every_list() {
    let site = full();
    for (_, path) in LISTS {
        let wrong = site.get(&address(path, "after=%3F%3F"));
        assert_eq!(wrong.status, 422, "{path}: {}", wrong.text);
        let problem = wrong.json();
        assert_eq!(problem["detail"], "after: `??` is no place in the list", "{path}");
        let mend = problem["mend"].as_str().unwrap();
        assert!(mend.starts_with("use what `next` said, as in "), "{path}: {mend}");
        for limit in ["0", "1001", "-1", "x", "1.5"] {
            let wrong = site.get(&address(path, &format!("limit={limit}")));
            assert_eq!(wrong.status, 422, "{path} {limit}");
            let detail = format!("limit: `{limit}` is not from 1 to 1000");
            assert_eq!(wrong.json()["detail"], detail, "{path}");
        }
        assert_eq!(site.get(&address(path, "after=&limit=")).status, 200, "{path}");
    }
    assert_eq!(site.get("/api/v1/sectors/9/history").status, 404);
    assert_eq!(site.get("/api/v1/sectors/9/attempts").status, 404);
}

#[test]
fn behind_the_largest_number_a_list_is_at_its_end() {
    let site = full();
    let last = format!("after={}", u64::MAX);
    for (name, path) in LISTS {
        // The newest first: behind the largest number is all of it.
        if path == "/history" {
            continue;
        }
        if ["sectors", "damaged", "history", "attempts"].contains(&name) && !path.contains('?') {
            let page = site.get(&address(path, &last));
            assert_eq!(page.status, 200, "{path}: {}", page.text);
            assert_eq!(page.json()[name], json!([]), "{path}");
        }
        let newest = site.get(&address(path, "direction=newest&after=0"));
        assert!(newest.status != 500, "{path}: {}", newest.text);
    }
}

#[test]
fn behind_an_order_that_is_not_open_there_is_nothing() {
    let mut site = Site::empty();
    site.order(3);
    let answer = site.get("/api/v1/orders?after=7");
    assert_eq!(answer.status, 404);
    assert_eq!(answer.json()["detail"], "order 7 is not open, so nothing is behind it");
}

#[test]
fn sectors_are_listed_by_their_order_and_the_newest_first_if_asked() {
    let mut site = Site::empty();
    site.order(2).issue(0).issue(1).order(2).issue(2);
    let numbers = |path: &str| -> Vec<u64> {
        let page = site.get(path).json();
        let rows = page["sectors"].as_array().unwrap().clone();
        rows.iter().map(|row| row["number"].as_u64().unwrap()).collect()
    };
    assert_eq!(numbers("/api/v1/sectors?order=0"), [0, 1]);
    assert_eq!(numbers("/api/v1/sectors?order=1"), [2]);
    assert_eq!(numbers("/api/v1/sectors?order=9"), [0; 0]);
    assert_eq!(numbers("/api/v1/sectors?direction=newest"), [2, 1, 0]);
    assert_eq!(numbers("/api/v1/sectors?direction=newest&after=1"), [0]);
    let tasks = site.get("/api/v1/tasks?direction=newest&limit=1").json();
    assert_eq!(tasks["next"].is_null(), tasks["tasks"].as_array().unwrap().is_empty());
    for wrong in ["sectors?order=x", "sectors?direction=up", "tasks?direction=2"] {
        assert_eq!(site.get(&format!("/api/v1/{wrong}")).status, 422, "{wrong}");
    }
}

#[test]
fn a_sector_s_attempts_are_told_with_their_number_their_end_and_their_cause() {
    let site = full();
    let attempts = site.get("/api/v1/sectors/0/attempts").json();
    let told: Vec<Value> = attempts["attempts"].as_array().unwrap().clone();
    let short = |one: &Value| (one["phase"].clone(), one["attempt"].clone(), one["how"].clone());
    let expected = [
        (json!("P1"), json!(1), json!("succeeded")),
        (json!("P2"), json!(1), json!("failed")),
        (json!("P2"), json!(2), json!("failed")),
    ];
    assert_eq!(told.iter().map(short).collect::<Vec<_>>(), expected);
    assert_eq!(told[2]["log"], "/api/v1/sectors/0/log?phase=P2&attempt=2");
    assert_eq!(told[2]["failure"]["class"], "operator");
    let running = busy().get("/api/v1/sectors/6/attempts").json();
    assert_eq!(running["attempts"][0]["how"], "running");
    assert_eq!(running["attempts"][0]["to"], Value::Null);
}

#[test]
fn failures_are_told_by_cause_with_what_names_it_and_what_has_changed() {
    let site = full();
    let failures = site.get("/api/v1/failures").json();
    let first = &failures["causes"][0];
    assert_eq!(first["cause"], format!("P2 operator {}", disk_full().what));
    assert_eq!(first["sectors"], json!([0, 1]));
    assert_eq!(first["tasks"][0]["attempt"], 2);
    assert_eq!(first["tasks"][1]["failure"]["file"], "/sealer/cache/s-t01000-12");
    assert!(first["since"].is_array());
    assert_eq!(failures["causes"][1]["cause"], "P1 operator no answer");
    let damaged = site.get("/api/v1/damaged").json();
    assert_eq!(damaged["damaged"][0]["sector"], 3);
    let failure = &damaged["damaged"][0]["failure"];
    assert_eq!(failure["what"], "a byte is not what it was");
    assert_eq!(site.get("/api/v1/sectors/3").json()["fault"], *failure);
}

#[test]
fn a_sector_says_what_may_be_done_to_it_what_would_be_deleted_and_how_far_it_is() {
    let site = failing();
    let sector = site.get("/api/v1/sectors/0").json();
    assert_eq!(sector["offers"]["retry"], json!(["P2"]));
    assert_eq!(sector["offers"]["no_abort"], Value::Null);
    let scratch = json!(["/sealer/cache/s-t01000-0", "/sealer/sealed/s-t01000-0"]);
    assert_eq!(sector["scratch_paths"], scratch);
    assert_eq!((&sector["progress"], &sector["history_next"]), (&json!({}), &Value::Null));
    let site = busy();
    let row = site.progress.begin(crate::domain::ids::SectorNumber(6), Phase::P1);
    row.tell(Progress::Layers { done: 2, of: 11 });
    let sector = site.get("/api/v1/sectors/6").json();
    assert_eq!(sector["progress"], json!({ "P1": { "layers": { "done": 2, "of": 11 } } }));
    assert!(sector["offers"]["no_retry"].is_string());
}

#[test]
fn what_is_counted_is_what_the_lists_have() {
    let site = busy();
    let counts = site.get("/api/v1/counts").json();
    assert_eq!((&counts["sectors"], &counts["in_flight"]), (&json!(9), &json!(6)));
    for (state, count) in counts["states"].as_object().unwrap() {
        let listed = site.get(&format!("/api/v1/sectors?state={state}")).json();
        assert_eq!(count, listed["sectors"].as_array().unwrap().len(), "{state}");
    }
    for row in counts["tasks"].as_array().unwrap() {
        for (name, filter) in [
            ("all", ""),
            ("queued", "&is_taken=0&result_status=1"),
            ("running", "&is_taken=1&result_status=1"),
            ("failed", "&result_status=2"),
            ("succeeded", "&result_status=0"),
        ] {
            let path = format!("/api/v1/tasks?task_type={}{filter}", row["task_type"]);
            let listed = site.get(&path).json()["tasks"].as_array().unwrap().len();
            assert_eq!(row[name], listed, "{path}");
        }
    }
}

#[test]
fn the_system_page_s_facts_have_addresses_and_no_secret_is_told() {
    use crate::access::kept::{self, Token};
    use crate::access::secret::Secret;
    use crate::access::{AccessError, Role};
    let site = Site::empty();
    let secret = Secret::draw();
    let digest = secret.digest();
    kept::change::<(), AccessError>(site.dir.path(), |kept| {
        let (name, created) = ("grafana".to_owned(), Timestamp(5));
        let expires = Some(Timestamp(9));
        kept.tokens.push(Token { name, role: Role::Metrics, digest, created, expires });
        Ok(())
    })
    .unwrap();
    let access = site.get("/api/v1/access");
    assert_eq!(
        access.json()["tokens"],
        json!([{
            "name": "grafana", "role": "metrics", "created": "1970-01-01T00:00:00.005Z",
            "expires": "1970-01-01T00:00:00.009Z", "expired": true,
        }])
    );
    assert!(!access.text.contains(secret.shown()) && !access.text.contains("digest"));
    assert_eq!(access.json()["asked"], false);
    let system = site.get("/api/v1/system").json();
    assert_eq!(system["isolation"], "thread");
    assert!(system["machine"]["reserved_cores"].as_u64() < system["machine"]["cores"].as_u64());
    assert_eq!(system["address"], "http://127.0.0.1:3456");
    let config = site.get("/api/v1/config").json();
    assert_eq!(config["file"], Value::Null);
    assert_eq!(config["settings"]["auto_pledge"], 1);
    let given = config["given"].as_array().unwrap();
    let auto_pledge = given.iter().find(|one| one["key"] == "auto_pledge").unwrap();
    assert!(auto_pledge["place"].as_str().unwrap().starts_with("built-in appliance.toml:"));
}

#[test]
fn an_orphan_whose_name_is_no_text_is_listed_all_the_same() {
    use std::os::unix::ffi::OsStrExt as _;
    let mut site = Site::empty();
    site.roots = roots_with_orphans(&site);
    let name = std::ffi::OsStr::from_bytes(b"\xff\xfe");
    fs::write(site.dir.path().join("scratch/cache").join(name), "x").unwrap();
    let answer = site.send(ask("GET", "/api/v1/orphans").body(Body::empty()).unwrap());
    assert_eq!(answer.status, 200, "{}", answer.text);
    assert_eq!(answer.json()["orphans"].as_array().unwrap().len(), 5);
}
