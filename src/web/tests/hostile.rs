//! Strangers, and strange input: answered, never obeyed, never a panic.

use axum::body::Body;
use axum::http::Request;

use super::site::{Site, ask};
use super::states::failing;
use crate::domain::event::Event;
use crate::domain::failure::{Class, Failure};
use crate::domain::phase::Phase;
use crate::scheduler::command::Done;

fn willing() -> Site {
    let mut site = failing();
    site.reply = |_| Ok(Done::IntakePaused);
    site
}

#[test]
fn a_forged_host_learns_nothing() {
    let site = willing();
    for host in ["evil.example", "evil.example:3456", "127.0.0.1.evil.example", "10.0.0.9"] {
        for path in ["/", "/api/v1/status", "/live", "/static/sealbox.css", "/sectors/0"] {
            let request = Request::builder().uri(path).header("host", host);
            let answer = site.send(request.body(Body::empty()).unwrap());
            assert_eq!(answer.status, 403, "{host} {path}");
            assert!(!answer.text.contains("t01000"), "{host} {path}");
        }
    }
    let nameless = Request::builder().uri("/").body(Body::empty()).unwrap();
    assert_eq!(site.send(nameless).status, 403);
}

#[test]
fn another_site_s_page_can_press_nothing() {
    let site = willing();
    let forged = [
        vec![("origin", "https://evil.example")],
        vec![("origin", "http://127.0.0.1:9999")],
        vec![("origin", "null")],
        vec![("sec-fetch-site", "cross-site")],
        vec![("sec-fetch-site", "same-site"), ("origin", "http://127.0.0.1:3456")],
    ];
    for headers in forged {
        for path in ["/intake/pause", "/sectors/0/abort", "/api/v1/intake/pause", "/api/v1/retry"] {
            let mut request =
                ask("POST", path).header("content-type", "application/x-www-form-urlencoded");
            for (name, value) in &headers {
                request = request.header(*name, *value);
            }
            let answer = site.send(request.body(Body::empty()).unwrap());
            assert_eq!(answer.status, 403, "{headers:?} {path}");
            let json = answer.header("content-type") == "application/problem+json";
            assert_eq!(json, path.starts_with("/api/"), "{path}");
        }
    }
    assert_eq!(site.commands(), []);
    let plain = ask("POST", "/api/v1/intake/pause").body(Body::empty()).unwrap();
    assert_eq!(site.send(plain).status, 200, "a command line sends neither header");
}

#[test]
fn a_body_beyond_the_limit_is_refused() {
    let site = willing();
    let big = format!("count=1&back={}", "a".repeat(80 * 1024));
    assert_eq!(site.press("/orders", &big).status, 413);
    let json = format!("{{\"count\":1,\"size\":\"{}\"}}", "a".repeat(80 * 1024));
    let answer = site.post_json("/api/v1/orders", &json);
    assert_eq!(answer.status, 413);
    assert_eq!(answer.header("content-type"), "application/problem+json");
    assert_eq!(site.commands(), []);
}

#[test]
fn strange_numbers_and_names_are_answered_in_words() {
    let site = willing();
    let not_found = [
        "/sectors/99",
        "/sectors/-1",
        "/sectors/abc",
        "/sectors/18446744073709551616",
        "/sectors/%00",
        "/sectors/%2e%2e%2f",
        "/nothing",
        "/static/../Cargo.toml",
        "/static/%2e%2e/Cargo.toml",
        "/api/v1/sectors/99",
        "/api/v1/nothing",
        "/api/v1/sectors/x",
    ];
    for path in not_found {
        assert_eq!(site.get(path).status, 404, "{path}");
    }
    let invalid = [
        "/sectors?state=nonsense",
        "/sectors?after=-1",
        "/sectors?limit=0",
        "/sectors?limit=99999",
        "/sectors?number=x",
        "/tasks?task_type=3",
        "/tasks?result_status=7",
        "/tasks?is_taken=2",
        "/tasks?sector=x",
        "/tasks?after=zz",
        "/tasks?format=xml",
    ];
    for path in invalid {
        assert_eq!(site.get(path).status, 422, "{path}");
        if !path.contains("number") && !path.contains("format") {
            let answer = site.get(&format!("/api/v1{path}"));
            assert_eq!(answer.status, 422, "{path}");
            assert_eq!(answer.header("content-type"), "application/problem+json");
        }
    }
    for path in ["/sectors?state=a&state=b", "/sectors?state=%ff"] {
        assert!(site.get(path).status.is_client_error() || site.get(path).status == 200, "{path}");
    }
    assert_eq!(site.get("/sectors/%ff").header("content-type"), "text/html; charset=utf-8");
    assert_eq!(site.get("/api/v1/sectors/%ff").header("content-type"), "application/problem+json");
    assert_eq!(site.get("/orders").status, 405);
    assert_eq!(site.get("/api/v1/orders/0/move").status, 405);
    assert_eq!(site.press("/sectors/x/abort", "").status, 404);
    assert_eq!(site.press("/sectors/0/retry", "phase=P9").status, 422);
    assert_eq!(site.post_json("/api/v1/sectors/0/retry", r#"{"phase":9}"#).status, 422);
    assert_eq!(site.commands(), []);
}

#[test]
fn no_text_from_outside_becomes_markup() {
    const EVIL: &str = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>";
    let mut site = Site::empty();
    site.order(2).issue(0).happens(0, Event::TicketDrawn { ticket: super::site::ticket() });
    site.happens(0, Event::Started { phase: Phase::P1, worker: EVIL.into() });
    let failure = Failure::new(Class::Operator, EVIL, EVIL).at(EVIL).detail(EVIL);
    site.fails(0, Phase::P1, failure);
    site.running(1, Phase::P1).happens(1, Event::Aborted { by: EVIL.into() });
    site.tweak = |view| {
        view.trouble = Some(Failure::new(Class::Fatal, EVIL, EVIL).at(EVIL));
        view.report = vec![EVIL.to_owned()];
        view.workers[0].name = EVIL.to_owned();
        view.orders.iter_mut().for_each(|order| order.by = EVIL.to_owned());
    };
    let cookie = format!("sealbox_said={}", hex::encode(EVIL));
    let paths = [
        "/",
        "/sectors",
        "/tasks",
        "/failures",
        "/system",
        "/sectors/0",
        "/sectors/1",
        "/sectors/%3Cscript%3E",
        "/sectors?state=%3Cscript%3Ealert(1)%3C/script%3E",
    ];
    for path in paths {
        let request = ask("GET", path).header("cookie", &cookie);
        let answer = site.send(request.body(Body::empty()).unwrap());
        assert!(!answer.text.contains("<script>alert"), "{path}");
        assert!(!answer.text.contains("<img"), "{path}");
    }
}

#[test]
fn every_answer_carries_the_security_headers() {
    let site = willing();
    for path in ["/", "/nothing", "/static/sealbox.css", "/api/v1/status", "/api/v1/nothing"] {
        let answer = site.get(path);
        let policy = answer.header("content-security-policy");
        assert!(policy.starts_with("default-src 'none'; script-src 'self'"), "{path}");
        assert!(!policy.contains("unsafe"), "{path}");
        assert_eq!(answer.header("x-content-type-options"), "nosniff", "{path}");
        assert_eq!(answer.header("x-frame-options"), "DENY", "{path}");
        assert_eq!(answer.header("referrer-policy"), "same-origin", "{path}");
    }
    assert_eq!(site.get("/").header("cache-control"), "no-store");
}

#[test]
fn a_defect_of_ours_is_an_answer_and_not_a_lost_connection() {
    let mut site = willing();
    site.broken = true;
    let answer = site.get("/sectors/0");
    assert_eq!(answer.status, 500);
    assert_eq!(answer.json()["status"], 500);
    assert_eq!(answer.header("x-content-type-options"), "nosniff");
}

#[test]
fn files_are_kept_by_their_version_and_asked_for_by_their_tag() {
    let site = willing();
    let versioned = crate::web::assets::url("sealbox.css");
    let answer = site.get(&versioned);
    assert_eq!(answer.header("content-type"), "text/css; charset=utf-8");
    assert!(answer.header("cache-control").contains("immutable"));
    assert_eq!(site.get("/static/sealbox.css").header("cache-control"), "no-cache");
    let tag = answer.header("etag").to_owned();
    let again = ask("GET", &versioned).header("if-none-match", tag);
    assert_eq!(site.send(again.body(Body::empty()).unwrap()).status, 304);
}

#[test]
fn a_failed_order_does_not_echo_more_than_a_line() {
    let answer = willing().press("/orders", &format!("count={}", "9".repeat(10_000)));
    assert_eq!(answer.status, 422);
    assert!(answer.text.len() < 4_000, "{}", answer.text.len());
}
