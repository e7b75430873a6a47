//! Thousands of requests that make sense or only look like it: the box answers each, does not grow,
//! and works as before.

mod support;

use std::fs;
use std::path::Path;

use serde_json::{Value, json};
use support::Lab;
use support::crowd::{Crowd, open_files};
use support::dice::Dice;
use support::drawn::{Drawn, Operation};
use support::http::{Answer, all_words, resident_kib};

/// Requests to the API; by the first of them the box has taken what memory it needs.
const REQUESTS: usize = 10_000;
const WARM: usize = 3_000;
/// Requests to the pages and their forms.
const TO_PAGES: usize = 2_000;
/// A few KiB for each request would be more; what it seals meanwhile takes some of it.
const LEAK_KIB: u64 = 24 * 1024;
/// The box's own, that come and go: disks that are looked at, logs that are moved.
const FILES: usize = 24;

/// Quick, and never many sectors at a time: what grows is not the work.
const CONFIG: &str = "auto_pledge = 0
[max_outstanding]
\"2KiB\" = 3
\"8MiB\" = 2
\"512MiB\" = 1
[engine]
kind = \"simulated\"
[simulated]
p1_ms = 20
p2_ms = 20
p3_ms = 20
p4_ms = 20
p5_ms = 20
p6_ms = 20
[chain.lab]
epoch_ms = 5
challenge_delay = 2
";

fn flooded(lab: &Lab, drawn: &Drawn) -> String {
    let Drawn { method, target, headers, body } = drawn;
    let headers: String = headers.iter().map(|line| format!("{line}\r\n")).collect();
    format!(
        "{method} {target} HTTP/1.1\r\nhost: 127.0.0.1:{}\r\nconnection: close\r\n{headers}\
         content-length: {}\r\n\r\n{body}",
        lab.port.number,
        body.len()
    )
}

fn check(lab: &Lab, nth: usize, request: &str, answer: Option<&Answer>) {
    let shown: String = request.chars().take(2_000).collect();
    let Some(answer) = answer else { panic!("{nth}: no answer to {shown}\n{}", lab.messages()) };
    let status = answer.status;
    assert!((200..500).contains(&status), "{nth}: {status} for {shown}\n{}", lab.messages());
    assert_ne!(status, 429, "{nth}: {shown}");
    // What is no HTTP at all never gets to where problems are worded.
    let worded = status > 400 && ![414, 431].contains(&status) && !request.starts_with("HEAD");
    if worded && request.contains(" /api/v1/") {
        let kind = answer.header("content-type");
        assert_eq!(kind, "application/problem+json", "{nth}: {status} for {shown}");
        let packed = !answer.header("content-encoding").is_empty();
        let mend = packed || answer.body.contains("\"mend\":\"");
        assert!(mend, "{nth}: {} for {shown}", answer.body);
    }
}

/// Asks all of it; how much the box has grown since it was warm, in KiB.
fn flood(lab: &Lab, crowd: &mut Crowd, requests: &[String], warm: usize) -> u64 {
    let mut grown_from = 0;
    for (begin, some) in (0..).step_by(100).zip(requests.chunks(100)) {
        if begin >= warm && grown_from == 0 {
            grown_from = resident_kib(lab.pid());
        }
        let answers = crowd.ask(some);
        for ((nth, request), answer) in (begin..).zip(some).zip(&answers) {
            check(lab, nth, request, answer.as_ref());
        }
    }
    let now = resident_kib(lab.pid());
    println!("{} requests: {now} KiB, from {grown_from} KiB", requests.len());
    now.saturating_sub(grown_from)
}

fn post(crowd: &mut Crowd, lab: &Lab, path: &str, body: &Value) -> Answer {
    let headers = vec!["content-type: application/json".to_owned()];
    let (method, target) = ("POST".to_owned(), path.to_owned());
    let drawn = Drawn { method, target, headers, body: body.to_string() };
    let answer = crowd.ask(&[flooded(lab, &drawn)]).remove(0);
    answer.unwrap_or_else(|| panic!("{path}: no answer"))
}

/// Whatever was ordered, paused and aborted meanwhile.
fn still_works(lab: &Lab, crowd: &mut Crowd) {
    assert_eq!(post(crowd, lab, "/api/v1/resume", &json!({})).status, 200);
    // What is too large for this machine's disk would wait for ever; what is nearly done ends. The
    // lists are told a piece at a time, and the box issues meanwhile: again, until nothing is left.
    lab.wait("all of it is over", |lab| {
        let orders = lab.get("/api/v1/orders")["orders"].as_array().cloned().unwrap_or_default();
        for order in &orders {
            post(crowd, lab, &format!("/api/v1/orders/{}/cancel", order["order"]), &json!({}));
        }
        let listed = lab.get("/api/v1/sectors?state=in_flight");
        for sector in listed["sectors"].as_array().cloned().unwrap_or_default() {
            post(crowd, lab, &format!("/api/v1/sectors/{}/abort", sector["number"]), &json!({}));
        }
        orders.is_empty() && lab.get("/api/v1/status")["counts"]["in_flight"] == 0
    });
    let finished = |lab: &Lab| lab.get("/api/v1/status")["finished"].as_u64().unwrap_or(0);
    let before = finished(lab);
    let ordered = post(crowd, lab, "/api/v1/orders", &json!({ "count": 2 }));
    assert_eq!(ordered.status, 201, "{}", ordered.body);
    lab.wait("two more are finished", |lab| finished(lab) == before + 2);
    assert!(!all_words(lab).contains("panicked"), "{}", lab.messages());
}

#[test]
fn ten_thousand_requests_of_the_api_s_own_shapes_make_it_neither_fail_nor_grow() {
    let mut lab = Lab::with(CONFIG);
    lab.start();
    lab.pledge(3);
    lab.wait_for_state(2, "finished");
    let document = lab.get("/api/v1/openapi.json");
    let operations = Operation::all_of(&document);
    assert!(operations.len() > 30, "{operations:?}");
    let mut dice = Dice(20_260_101);
    let draw =
        |nth: usize| flooded(&lab, &operations[nth % operations.len()].draw(&mut dice, &document));
    let requests: Vec<String> = (0..REQUESTS).map(draw).collect();
    let mut crowd = Crowd::new(lab.port.number);
    let files = open_files(lab.pid());
    let grown = flood(&lab, &mut crowd, &requests, WARM);
    assert!(grown < LEAK_KIB, "it has grown by {grown} KiB");
    lab.wait("its files are closed", |lab| open_files(lab.pid()) <= files + FILES);
    still_works(&lab, &mut crowd);
}

/// Every address of a page or a form, as the sources have it.
fn page_routes() -> Vec<String> {
    let web = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/web");
    let sources = support::files(&web).into_iter().filter(|file| !file.starts_with("tests"));
    let texts = sources.filter_map(|file| fs::read_to_string(web.join(file)).ok());
    let routes = texts.flat_map(|text| {
        let found = text.split(".route(\"").skip(1).filter_map(|rest| rest.split('"').next());
        found.map(str::to_owned).collect::<Vec<_>>()
    });
    let routes: Vec<String> =
        routes.chain(["/login", "/logout", "/nowhere"].map(str::to_owned)).collect();
    assert!(routes.len() > 30, "{routes:?}");
    routes
}

const METHODS: [&str; 6] = ["GET", "POST", "GET", "POST", "HEAD", "BREW"];
const NASTY: [&str; 16] = [
    "0",
    "1",
    "-1",
    "P2",
    "32",
    "all",
    "18446744073709551616",
    "%00",
    "%ff",
    "a%2f..%2f",
    "%3Cscript%3E",
    "%2f%2fevil.example",
    "sealbox.css",
    "retry",
    "abort",
    "%F0%9F%92%A9",
];
const FIELDS: [&str; 18] = [
    "count",
    "size",
    "back",
    "phase",
    "path",
    "cause",
    "password",
    "after",
    "limit",
    "state",
    "sector",
    "number",
    "task_type",
    "seen",
    "action",
    "which",
    "pick",
    "range",
];

fn to_a_page(dice: &mut Dice, route: &str) -> Drawn {
    let named = |part: &str, dice: &mut Dice| {
        if part.starts_with('{') { dice.of(&NASTY).to_owned() } else { part.to_owned() }
    };
    let path: Vec<String> = route.split('/').map(|part| named(part, dice)).collect();
    let count = dice.below(5);
    let fields: Vec<String> =
        (0..count).map(|_| format!("{}={}", dice.of(&FIELDS), dice.of(&NASTY))).collect();
    let more = [
        "cookie: sealbox_said=ff; a",
        "hx-request: true",
        "if-none-match: \"x\"",
        "expect: 100-continue",
        "sec-fetch-site: same-origin",
    ];
    let kinds = ["application/x-www-form-urlencoded", "application/json", "multipart/form-data"];
    let kind = if dice.once_in(6) { dice.of(&kinds) } else { kinds[0] };
    let body = if dice.once_in(2) { fields.join("&") } else { String::new() };
    Drawn {
        method: dice.of(&METHODS).to_owned(),
        target: format!("{}?{}", path.join("/"), fields.join("&")),
        headers: vec![format!("content-type: {kind}"), dice.of(&more).to_owned()],
        body,
    }
}

#[test]
fn strange_requests_to_pages_and_forms_make_it_neither_fail_nor_grow() {
    let mut lab = Lab::with(CONFIG);
    lab.start();
    lab.pledge(2);
    lab.wait_for_state(1, "finished");
    let routes = page_routes();
    let mut dice = Dice(20_260_102);
    let draw = |nth: usize| flooded(&lab, &to_a_page(&mut dice, &routes[nth % routes.len()]));
    let requests: Vec<String> = (0..TO_PAGES).map(draw).collect();
    let mut crowd = Crowd::new(lab.port.number);
    let grown = flood(&lab, &mut crowd, &requests, TO_PAGES / 3);
    assert!(grown < LEAK_KIB, "it has grown by {grown} KiB");
    still_works(&lab, &mut crowd);
}
