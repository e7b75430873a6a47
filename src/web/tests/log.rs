//! Logs: the box's and the sectors', as pages, as parts that are followed, as text and as JSON.

use axum::body::Body;
use scraper::{Html, Selector};

use super::site::{Answer, Site, ask, said};
use super::states::failing;
use crate::domain::failure::{Class, Failure};
use crate::domain::ids::SectorNumber;
use crate::domain::phase::Phase;
use crate::logs::{About, Level, Line, LineId};

const EVIL: &str = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>";

impl Site {
    fn logs(&self, sector: Option<u64>, level: Level, message: &str) -> LineId {
        let about = About {
            sector: sector.map(SectorNumber),
            phase: sector.map(|_| Phase::P2),
            attempt: sector.map(|_| 1),
        };
        let line = Line::own(LineId::default(), message.to_owned());
        let line = self.logs.take(Line { level, about, ..line });
        self.logs.flush();
        line.id
    }

    /// As the page itself asks for its part.
    fn part(&self, path: &str) -> Answer {
        self.send(ask("GET", path).header("hx-request", "true").body(Body::empty()).unwrap())
    }
}

/// Sector 0 has failed in P2; the box and sector 0 have logged.
fn logging() -> Site {
    let site = failing();
    site.logs(None, Level::Info, "sealbox runs");
    site.logs(Some(0), Level::Info, "attempt started");
    site.logs(Some(0), Level::Warn, "a layer is slow");
    site.logs(Some(0), Level::Error, "attempt failed: No Space");
    site
}

fn words(html: &Html, css: &str) -> Vec<String> {
    html.select(&Selector::parse(css).unwrap()).map(said).collect()
}

fn shown(answer: &Answer) -> Vec<String> {
    assert_eq!(answer.status, 200, "{}", answer.text);
    words(&answer.html(), "#log .lines .words")
}

fn messages(answer: &Answer) -> Vec<String> {
    let json = answer.json();
    let lines = json["lines"].as_array().expect("lines").clone();
    lines.iter().map(|line| line["message"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_sector_s_page_shows_its_log_the_newest_line_last() {
    let page = logging().get("/sectors/0");
    let all = ["attempt started", "a layer is slow", "attempt failed: No Space"];
    assert_eq!(shown(&page), all);
    let html = page.html();
    let log = html.select(&Selector::parse("#log").unwrap()).next().unwrap();
    assert_eq!(log.attr("hx-trigger"), Some("sse:log"));
    assert_eq!(log.attr("hx-get"), Some("/sectors/0/log"));
    assert!(page.text.contains("&amp;log=0"), "the live connection is told what is followed");
}

#[test]
fn the_log_is_filtered_by_level_text_and_attempt_without_javascript() {
    let site = logging();
    let of = |query: &str| shown(&site.get(&format!("/sectors/0?{query}")));
    assert_eq!(of("level=warn"), ["a layer is slow", "attempt failed: No Space"]);
    assert_eq!(of("q=no+space"), ["attempt failed: No Space"]);
    assert_eq!(of("phase=P2&attempt=1&level=error"), ["attempt failed: No Space"]);
    assert_eq!(of("phase=P2&attempt=2"), [""; 0]);
    assert!(site.get("/sectors/0?q=nothing").text.contains("No line is like that"));
}

#[test]
fn the_part_alone_is_what_the_page_shows_and_leads_a_person_to_the_page() {
    let site = logging();
    let (page, part) = (site.get("/sectors/0?level=warn"), site.part("/sectors/0/log?level=warn"));
    assert_eq!(shown(&page), shown(&part));
    assert!(!part.text.contains("<html"));
    assert!(page.text.contains(part.text.trim_end()), "one template makes both");
    let person = site.get("/sectors/0/log");
    assert_eq!((person.status.as_u16(), person.header("location")), (303, "/sectors/0#log"));
    assert_eq!(site.get("/logs/lines").header("location"), "/logs");
}

#[test]
fn the_box_s_log_leads_from_an_error_to_its_sector_and_attempt() {
    let site = logging();
    let page = site.get("/logs");
    let first = "sealbox runs".to_owned();
    assert_eq!(shown(&page).first(), Some(&first));
    let html = page.html();
    let error = html.select(&Selector::parse(".lines .at-error .whose").unwrap()).next().unwrap();
    assert_eq!(error.attr("href"), Some("/sectors/0?phase=P2&attempt=1#log"));
    assert_eq!(shown(&site.get("/logs?sector=0")).len(), 3);
    assert_eq!(shown(&site.get("/logs?sector=5")).len(), 0);
    assert_eq!(shown(&site.part("/logs/lines?q=runs")), ["sealbox runs"]);
}

#[test]
fn a_failure_tells_its_cause_its_last_lines_and_what_it_was_given() {
    let mut site = failing();
    let backtrace = "at src/lib.rs:1\n   0: std::panicking\n   1: main";
    let failure =
        Failure::new(Class::Operator, "P2 panicked: on purpose", "retry").detail(backtrace);
    site.running(1, Phase::P2).fails(1, Phase::P2, failure);
    site.logs(Some(1), Level::Error, "panic: on purpose");
    let page = site.get("/sectors/1");
    let html = page.html();
    let story = &words(&html, "#failed-P2")[0];
    for part in ["✕ P2 failed: P2 panicked: on purpose", "panic: on purpose", "attempt 1"] {
        assert!(story.contains(part), "{part}: {story}");
    }
    assert_eq!(words(&html, "#failed-P2 .around .words"), ["panic: on purpose"]);
    assert_eq!(words(&html, "#detail-P2 summary"), ["Backtrace"]);
    assert!(page.text.contains("<details class=\"fold\" id=\"detail-P2\">"), "folded away");
    let inputs = &words(&html, "#inputs-P2 dl")[0];
    for part in [
        "worker p2-0",
        "a thread of the box",
        "32 GiB (34359738368 bytes)",
        "1111 (epoch",
        "scratch /sealer/cache/s-t01000-1",
    ] {
        assert!(inputs.contains(part), "{part}: {inputs}");
    }
    let api = site.get("/api/v1/sectors/1").json();
    assert_eq!(api["failures"][0]["log"], "/api/v1/sectors/1/log?phase=P2&attempt=1");
    assert_eq!(api["failures"][0]["inputs"][1]["value"], "p2-0");
}

#[test]
fn the_failures_page_leads_to_the_story_and_says_what_changed_since() {
    let mut site = failing();
    site.order(1).before(1, Phase::P3);
    let html = site.get("/failures").html();
    let since = &words(&html, ".since")[0];
    assert!(since.contains("/sealer answers, 2.0 TiB free now"), "{since}");
    assert!(since.contains("P2 succeeded for 1 other sector"), "{since}");
    let links = Selector::parse("#failed-0-P2 a").unwrap();
    let links: Vec<_> = html.select(&links).filter_map(|link| link.attr("href")).collect();
    let to = ["/sectors/0", "/sectors/0#failed-P2", "/sectors/0?phase=P2&attempt=1#log"];
    assert_eq!(links, to);
}

#[test]
fn the_api_gives_the_latest_lines_and_an_address_to_follow_them_by() {
    let site = logging();
    let latest = site.get("/api/v1/sectors/0/log?limit=2");
    assert_eq!(messages(&latest), ["a layer is slow", "attempt failed: No Space"]);
    let json = latest.json();
    assert_eq!(json["previous"], json["lines"][0]["id"]);
    assert!(json["lines"][0]["at"].as_str().unwrap().ends_with('Z'));
    let follow = json["follow"].as_str().unwrap().to_owned();
    let nothing = site.get(&follow);
    assert_eq!(messages(&nothing), [""; 0]);
    assert_eq!(nothing.json()["follow"], follow.as_str());
    for number in 1..=3 {
        site.logs(Some(0), Level::Info, &format!("more {number}"));
    }
    let more = site.get(&format!("{follow}&limit=2"));
    assert_eq!(messages(&more), ["more 1", "more 2"]);
    assert_eq!(more.json()["next"], more.json()["lines"][1]["id"]);
    assert_eq!(messages(&site.get(more.json()["follow"].as_str().unwrap())), ["more 3"]);
    let before = json["previous"].to_string();
    let past = site.get(&format!("/api/v1/sectors/0/log?before={before}"));
    assert_eq!(messages(&past), ["attempt started"]);
    assert_eq!(past.json()["previous"], serde_json::Value::Null);
    assert_eq!(messages(&site.get("/api/v1/log?level=error&q=SPACE")).len(), 1);
}

#[test]
fn earlier_lines_are_a_link_away_and_a_page_of_the_past_stays_as_it_is() {
    let site = failing();
    for number in 0..250 {
        site.logs(Some(0), Level::Info, &format!("line {number}"));
    }
    let page = site.get("/sectors/0?q=line");
    assert_eq!(shown(&page).len(), 200);
    let html = page.html();
    let earlier = html.select(&Selector::parse("#log [rel=prev]").unwrap()).next().unwrap();
    let past = site.get(earlier.attr("href").unwrap().trim_end_matches("#log"));
    assert_eq!(shown(&past).len(), 50);
    let html = past.html();
    let log = html.select(&Selector::parse("#log").unwrap()).next().unwrap();
    assert_eq!(log.attr("hx-trigger"), None);
}

#[test]
fn a_log_is_had_as_text_under_the_sector_s_name() {
    let site = logging();
    let text = site.get("/sectors/0/log.txt?level=warn");
    assert_eq!(text.header("content-type"), "text/plain; charset=utf-8");
    assert_eq!(text.header("content-disposition"), "attachment; filename=\"s-t01000-0.log\"");
    let lines: Vec<_> = text.text.lines().collect();
    assert_eq!(lines.len(), 2);
    assert!(
        lines[1].ends_with("ERROR sector 0 P2 attempt 1 sealbox::logs: attempt failed: No Space")
    );
    assert_eq!(site.get("/logs.txt").text.lines().count(), 4);
}

#[test]
fn no_line_and_no_search_becomes_markup() {
    let site = failing();
    site.logs(Some(0), Level::Error, EVIL);
    let coded = "%3Cscript%3Ealert(1)%3C%2Fscript%3E%22%27%3E%3Cimg%20src=x%20onerror=alert(1)%3E";
    for path in ["/sectors/0", "/logs", "/sectors/0/log", "/logs/lines"] {
        for query in ["", coded] {
            let answer = site.part(&format!("{path}?q={query}"));
            assert_eq!(shown(&answer), [EVIL], "{path}");
            assert!(!answer.text.contains("<script>alert"), "{path}");
            assert!(!answer.text.contains("<img"), "{path}");
        }
    }
}

#[test]
fn strange_filters_are_answered_in_words() {
    let site = logging();
    let long = "x".repeat(201);
    for path in [
        "/logs",
        "/sectors/0",
        "/logs.txt",
        "/sectors/0/log.txt",
        "/api/v1/log",
        "/api/v1/sectors/0/log",
    ] {
        for query in [
            "level=loud",
            "sector=-1",
            "phase=P9",
            "attempt=x",
            "after=x",
            "before=-1",
            "limit=0",
            "limit=1001",
            &format!("q={long}"),
        ] {
            let answer = site.get(&format!("{path}?{query}"));
            assert_eq!(answer.status, 422, "{path}?{query}");
        }
        assert!(site.get(&format!("{path}?q=a&q=b")).status.is_client_error());
    }
    for path in [
        "/sectors/99/log",
        "/sectors/99/log.txt",
        "/api/v1/sectors/99/log",
        "/sectors/%2e%2e%2fx/log.txt",
        "/api/v1/sectors/x/log",
    ] {
        assert_eq!(site.get(path).status, 404, "{path}");
    }
}
