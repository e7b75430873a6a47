//! The log on the command line.

use super::*;
use crate::cli::args::Lines;
use crate::cli::log;
use crate::logs::Level;

fn line(id: u64, message: &str) -> Value {
    json!({ "at": "2025-11-22T20:40:35.123Z", "id": id, "level": "error", "sector": 7,
            "phase": "P2", "attempt": 1, "target": "sealbox::worker", "message": message })
}

fn lines(words: &str) -> Lines {
    match request(words) {
        Request::Log(lines) => lines,
        other => panic!("{words}: {other:?}"),
    }
}

#[test]
fn a_log_is_of_a_sector_or_of_the_box_and_can_be_filtered() {
    let wanted = lines("log 7 --level warn --search space --lines 5 --follow");
    assert_eq!(
        (wanted.path().as_str(), wanted.level),
        ("/api/v1/sectors/7/log", Some(Level::Warn))
    );
    assert!(wanted.follow);
    assert_eq!(lines("log").path(), "/api/v1/log");
    assert!(command("log x").is_err());
    assert!(command("log --lines 0").is_err());
    assert!(command("log --level loud").unwrap_err().contains("expected error, warn, info"));
}

#[test]
fn each_line_of_a_log_is_one_line_that_orders_no_terminal_about() {
    let page = json!({ "lines": [line(8, "one\nand \u{1b}[31mmore")], "next": null });
    let (said, asked) = ask_of(Server::start(vec![(200, page)]), "log 7 --search a&b");
    assert_eq!(asked, ["GET /api/v1/sectors/7/log?limit=200&q=a%26b "]);
    let text = said.unwrap().text;
    assert!(
        text.ends_with("ERROR sector 7 P2 attempt 1 sealbox::worker: one and  [31mmore"),
        "{text}"
    );
}

#[test]
fn a_log_is_followed_by_the_address_that_the_box_gives_until_it_ends() {
    let first = json!({ "lines": [line(8, "one")], "next": 8,
                        "follow": "/api/v1/sectors/7/log?level=error&after=8" });
    let then = json!({ "lines": [line(9, "two")], "next": 9,
                       "follow": "/api/v1/sectors/7/log?level=error&after=9" });
    let server =
        Server::start(vec![(200, first), (200, then), problem(503, "it stops", "start it again")]);
    let client = Client::new(&server.url, Papers::default()).unwrap();
    let mut out = Vec::new();
    let wanted = lines("log 7 --follow --level error");
    let end = log::follow(&client, &wanted, false, &mut out).unwrap_err();
    assert_eq!(end.what, "it stops");
    let said = String::from_utf8(out).unwrap();
    let messages: Vec<_> = said.lines().map(|line| line.rsplit(' ').next().unwrap()).collect();
    assert_eq!(messages, ["one", "two"]);
    assert_eq!(server.requests()[2], "GET /api/v1/sectors/7/log?level=error&after=9 ");
}

#[test]
fn a_box_that_does_not_say_how_to_follow_is_not_asked_without_end() {
    let server = Server::start(vec![(200, json!({ "lines": [], "next": null }))]);
    let client = Client::new(&server.url, Papers::default()).unwrap();
    let end = log::follow(&client, &lines("log --follow"), true, &mut Vec::new()).unwrap_err();
    assert!(end.what.contains("does not say how to follow"), "{}", end.what);
}
