//! Who is let in by the pages and the API, and who may press what.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::http::Request;

use super::site::{Answer, Site, ask};
use super::states::failing;
use crate::access::buckets::Buckets;
use crate::access::kept::{self, Token};
use crate::access::secret::{PasswordKept, Secret};
use crate::access::{AccessError, Role};
use crate::scheduler::command::Done;
use crate::web::show::now;

const PASSWORD: &str = "correct horse";
const VIEWERS: &str = "wall display";

/// A box that asks who is there.
fn asking() -> Site {
    let mut site = failing();
    site.reply = |_| Ok(Done::IntakePaused);
    let hashed = |password| PasswordKept::of(password).unwrap();
    let changed = kept::change::<(), AccessError>(site.dir.path(), |kept| {
        kept.set_password(Role::Operator, hashed(PASSWORD));
        kept.set_password(Role::Viewer, hashed(VIEWERS));
        Ok(())
    });
    changed.unwrap();
    site
}

fn token(site: &Site, name: &str, role: Role) -> String {
    let secret = Secret::draw();
    let token =
        Token { name: name.into(), role, digest: secret.digest(), created: now(), expires: None };
    let add = |kept: &mut kept::Kept| {
        kept.tokens.push(token);
        Ok(())
    };
    kept::change::<(), AccessError>(site.dir.path(), add).unwrap();
    format!("Bearer {}", secret.shown())
}

fn sign_in(site: &Site, password: &str) -> Answer {
    site.press("/login", &format!("password={password}&back=%2Ftasks%3Fafter%3D1"))
}

/// The `Cookie` header after signing in.
fn signed_in(site: &Site, password: &str) -> String {
    let answer = sign_in(site, password);
    assert_eq!(answer.status, 303, "{}", answer.text);
    answer.header("set-cookie").split(';').next().unwrap().to_owned()
}

fn sent(site: &Site, method: &str, path: &str, headers: &[(&str, &str)]) -> Answer {
    let mut request: axum::http::request::Builder =
        ask(method, path).header("content-type", "application/x-www-form-urlencoded");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request: Request<Body> = request.body(Body::empty()).unwrap();
    site.send(request)
}

#[test]
fn who_is_not_signed_in_is_led_to_the_form_and_back_to_where_he_was() {
    let site = asking();
    let led = site.get("/tasks?after=1");
    assert_eq!(
        (led.status.as_u16(), led.header("location")),
        (303, "/login?back=/tasks%3Fafter%3D1")
    );
    let form = site.get(led.header("location"));
    assert_eq!(form.status, 200);
    assert!(form.text.contains(r#"name="back" value="/tasks?after=1""#), "{}", form.text);
    assert!(!form.text.contains("t01000"), "a stranger learns nothing of the box");
    let answer = sign_in(&site, PASSWORD);
    assert_eq!((answer.status.as_u16(), answer.header("location")), (303, "/tasks?after=1"));
    let cookie = answer.header("set-cookie").to_owned();
    for part in ["; HttpOnly", "; SameSite=Strict", "; Path=/", "; Max-Age="] {
        assert!(cookie.contains(part), "{cookie}");
    }
    let pair = signed_in(&site, PASSWORD);
    assert_eq!(sent(&site, "GET", "/tasks", &[("cookie", &pair)]).status, 200);
    let stranger = sent(&site, "GET", "/login?back=//evil.example", &[("cookie", &pair)]);
    assert_eq!((stranger.status.as_u16(), stranger.header("location")), (303, "/"));
}

#[test]
fn what_is_wrong_forged_or_missing_lets_nobody_in() {
    let site = asking();
    let pair = signed_in(&site, PASSWORD);
    let (name, value) = pair.split_once('=').unwrap();
    let (most, last) = value.split_at(value.len() - 1);
    let turned = format!("{name}={most}{}", if last == "0" { "1" } else { "0" });
    let forged = [
        ("cookie", turned.as_str()),
        ("cookie", &format!("{name}=")),
        ("cookie", &format!("x{pair}")),
        ("authorization", "Bearer "),
        ("authorization", "Bearer sealbox_00"),
        ("authorization", "Basic b3BlcmF0b3I6eA=="),
        ("authorization", value),
        ("x-forwarded-for", "127.0.0.1"),
    ];
    for header in forged {
        for path in ["/api/v1/status", "/api/v1/sectors/0", "/live"] {
            let answer = sent(&site, "GET", path, &[header]);
            assert_eq!(answer.status, 401, "{header:?} {path}");
            assert!(!answer.text.contains("t01000") && !answer.text.contains("sealbox_0"));
            assert_eq!(answer.header("www-authenticate"), "Bearer");
        }
        for path in ["/intake/pause", "/api/v1/intake/pause", "/sectors/0/abort"] {
            assert_eq!(sent(&site, "POST", path, &[header]).status, 401, "{header:?} {path}");
        }
        let page = sent(&site, "GET", "/", &[header]);
        assert!([303, 401].contains(&page.status.as_u16()), "{header:?}");
    }
    assert_eq!(site.commands(), []);
    assert!(site.access.failed.tally().in_all >= 10, "wrong tokens are counted");
    let renewal = sent(&site, "GET", "/tasks", &[("hx-request", "true")]);
    assert_eq!(
        (renewal.status.as_u16(), renewal.header("hx-redirect")),
        (401, "/login?back=/tasks")
    );
}

#[test]
fn a_wrong_password_takes_a_second_is_counted_and_not_told_apart() {
    let site = asking();
    for wrong in ["wrong", "", "correct+horsf", &"x".repeat(5_000)] {
        let began = Instant::now();
        let answer = sign_in(&site, wrong);
        assert_eq!(answer.status, 403, "{wrong}");
        assert!(began.elapsed().as_millis() >= 1_000, "{wrong}");
        assert!(
            answer.text.contains("That is not the password.")
                && answer.headers.get("set-cookie").is_none()
        );
        assert!(!answer.text.contains("horsf"), "what was typed is not shown");
    }
    assert_eq!(site.access.failed.tally().in_all, 4);
    for senseless in ["", "passwort=x", "password=%ff", "password=a&password=b"] {
        let answer = site.press("/login", senseless);
        assert!(answer.status.is_client_error(), "{senseless}: {}", answer.status);
    }
}

#[test]
fn signing_out_ends_the_session_for_good() {
    let site = asking();
    let pair = signed_in(&site, PASSWORD);
    assert!(sent(&site, "GET", "/", &[("cookie", &pair)]).text.contains("action=\"/logout\""));
    let out = sent(&site, "POST", "/logout", &[("cookie", &pair)]);
    assert_eq!((out.status.as_u16(), out.header("location")), (303, "/login"));
    assert!(out.header("set-cookie").contains("Max-Age=0"));
    assert_eq!(sent(&site, "GET", "/api/v1/status", &[("cookie", &pair)]).status, 401);
}

#[test]
fn a_viewer_sees_every_page_and_no_button() {
    let site = asking();
    let pair = signed_in(&site, VIEWERS);
    for path in
        ["/", "/sectors", "/sectors/0", "/tasks", "/failures", "/history", "/storage", "/system"]
    {
        let answer = sent(&site, "GET", path, &[("cookie", &pair)]);
        assert_eq!(answer.status, 200, "{path}");
        let html = answer.html();
        let acts =
            scraper::Selector::parse(r#"form[method=post]:not([action="/logout"]), details.ask"#);
        assert_eq!(html.select(&acts.unwrap()).count(), 0, "{path}");
        assert!(answer.text.contains("Read only:"), "{path}");
        let full = signed_in(&site, PASSWORD);
        let operators = sent(&site, "GET", path, &[("cookie", &full)]).text;
        assert!(
            operators.contains("method=\"post\"") && !operators.contains("Read only:"),
            "{path}"
        );
    }
}

#[test]
fn a_viewer_presses_nothing_and_a_metrics_token_reads_nothing_else() {
    let site = asking();
    let pair = signed_in(&site, VIEWERS);
    let viewer = token(&site, "wall", Role::Viewer);
    let metrics = token(&site, "grafana", Role::Metrics);
    let actions = [
        "/orders",
        "/intake/pause",
        "/sectors/0/abort",
        "/reload",
        "/api/v1/drain",
        "/api/v1/orders",
        "/api/v1/reload",
        "/nothing",
    ];
    for path in actions {
        for header in
            [("cookie", pair.as_str()), ("authorization", &viewer), ("authorization", &metrics)]
        {
            for method in ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"] {
                let answer = sent(&site, method, path, &[header]);
                assert_eq!(answer.status, 403, "{method} {path} {header:?}");
            }
        }
    }
    assert_eq!(site.commands(), []);
    assert_eq!(sent(&site, "GET", "/api/v1/status", &[("authorization", &viewer)]).status, 200);
    for path in ["/", "/api/v1/status", "/system", "/live"] {
        assert_eq!(sent(&site, "GET", path, &[("authorization", &metrics)]).status, 403, "{path}");
    }
    assert_ne!(sent(&site, "GET", "/metrics", &[("authorization", &metrics)]).status, 403);
}

#[test]
fn the_history_says_who_it_was() {
    let site = asking();
    let pair = signed_in(&site, PASSWORD);
    let ci = token(&site, "ci", Role::Operator);
    let ours = [("user-agent", "sealbox/0.1")];
    sent(&site, "POST", "/intake/pause", &[("cookie", &pair)]);
    sent(&site, "POST", "/api/v1/intake/pause", &[("authorization", &ci), ours[0]]);
    sent(&site, "POST", "/api/v1/intake/pause", &[("cookie", &pair)]);
    let open = failing();
    sent(&open, "POST", "/intake/pause", &[]);
    sent(&open, "POST", "/api/v1/intake/pause", &ours);
    sent(&open, "POST", "/api/v1/intake/pause", &[]);
    let by = |site: &Site| -> Vec<String> {
        site.asked.lock().unwrap().iter().map(|(_, by)| by.clone()).collect()
    };
    assert_eq!(by(&site), ["the page (operator)", "token ci", "the API (operator)"]);
    assert_eq!(by(&open), ["the page", "the command line", "the API"]);
}

#[test]
fn the_system_page_shows_who_may_and_who_failed_and_no_secret() {
    let site = asking();
    let bearer = token(&site, "grafana", Role::Metrics);
    sent(&site, "GET", "/api/v1/status", &[("authorization", "Bearer wrong")]);
    let pair = signed_in(&site, PASSWORD);
    let page = sent(&site, "GET", "/system", &[("cookie", &pair)]).text;
    assert!(
        page.contains("grafana") && page.contains("Wrong passwords or tokens since the start: 1"),
        "{page}"
    );
    for secret in [PASSWORD, "argon2", bearer.trim_start_matches("Bearer "), pair.as_str()] {
        assert!(!page.contains(secret), "{secret}");
    }
}

/// Empties this machine's bucket for longer than any test takes.
fn empty(bucket: &Buckets) {
    let later = Instant::now() + Duration::from_secs(3_600);
    while bucket.take(IpAddr::from([127, 0, 0, 1]), later).is_ok() {}
}

#[test]
fn who_tries_or_changes_too_often_is_told_when_to_come_back() {
    let site = asking();
    let pair = signed_in(&site, PASSWORD);
    empty(&site.access.sign_ins);
    empty(&site.access.changes);
    let changes = sent(&site, "POST", "/api/v1/intake/pause", &[("cookie", &pair)]);
    for answer in [sign_in(&site, PASSWORD), changes] {
        assert_eq!(answer.status, 429, "{}", answer.text);
        assert!(answer.header("retry-after").parse::<u64>().unwrap() >= 1);
    }
    assert_eq!(site.commands(), []);
    assert_eq!(sent(&site, "GET", "/tasks", &[("cookie", &pair)]).status, 200, "who looks is not");
}

#[test]
fn a_viewer_finds_nothing_to_pick() {
    let site = asking();
    for (role, picks) in [(Role::Viewer, false), (Role::Operator, true)] {
        let bearer = token(&site, role.name(), role);
        for path in ["/sectors", "/failures"] {
            let page = sent(&site, "GET", path, &[("authorization", &bearer)]);
            assert_eq!(page.text.contains("type=\"checkbox\""), picks, "{path} {}", role.name());
        }
    }
}
