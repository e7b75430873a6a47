//! Lists that the box tells a piece at a time, and what is done to many at once.

use serde_json::{Value, json};

use super::server::Server;
use super::{ask_of, command};
use crate::cli::Exit;

fn cause(words: &str, sectors: &[u64]) -> Value {
    let tasks: Vec<Value> = sectors.iter().map(|sector| json!({ "sector": sector })).collect();
    let cause = format!("P2 operator {words}");
    json!({ "cause": cause, "what": words, "mend": "free it", "sectors": sectors, "tasks": tasks })
}

fn page(causes: Vec<Value>, next: Value) -> (u16, Value) {
    (200, json!({ "causes": causes, "next": next }))
}

#[test]
fn orders_and_orphans_are_followed_to_their_end_and_what_else_is_told_is_kept() {
    let row = |order: u64| json!({ "order": order, "size": "2KiB" });
    let pages = vec![
        (200, json!({ "orders": [row(4)], "next": 4 })),
        (200, json!({ "orders": [row(2)], "next": null })),
    ];
    let (said, asked) = ask_of(Server::start(pages), "orders");
    let first = "GET /api/v1/orders?limit=500 ";
    assert_eq!(asked, [first, "GET /api/v1/orders?limit=500&after=4 "]);
    assert_eq!(said.unwrap().json, json!({ "orders": [row(4), row(2)] }));

    let orphan = |path: &str| json!({ "path": path, "bytes": 1, "why": "nobody's" });
    let root = json!({ "path": "/scratch", "looking": true });
    let pages = vec![
        (200, json!({ "orphans": [orphan("/a b")], "next": "/a b", "roots": [] })),
        (200, json!({ "orphans": [orphan("/c")], "next": null, "roots": [root] })),
    ];
    let (said, asked) = ask_of(Server::start(pages), "orphans");
    assert_eq!(asked[1], "GET /api/v1/orphans?limit=500&after=%2Fa%20b ");
    let text = said.unwrap().text;
    assert!(text.contains("/c") && text.contains("/scratch is still being looked at"), "{text}");
}

#[test]
fn failures_are_told_by_cause_however_many_pieces_they_came_in() {
    let pages = vec![
        page(vec![cause("no space", &[1, 2])], json!("2-P2")),
        page(vec![cause("no space", &[3]), cause("no answer", &[4])], Value::Null),
    ];
    let (said, asked) = ask_of(Server::start(pages), "failures");
    assert_eq!(asked[1], "GET /api/v1/failures?limit=500&after=2-P2 ");
    let text = said.unwrap().text;
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[0], "1 task: P2 operator no answer (sectors 4)");
    assert_eq!(lines[2], "3 tasks: P2 operator no space (sectors 1, 2, 3)");
    assert_eq!(lines[3], "  free it");
    let (said, _) = ask_of(Server::start(vec![page(vec![], Value::Null)]), "failures");
    assert_eq!(said.unwrap().text, "nothing has failed");
}

#[test]
fn what_failed_of_a_cause_is_put_back_until_none_is_left() {
    let causes = vec![cause("no space", &[1, 2]), cause("no answer", &[4])];
    let done = |sector: u64, left: u64| {
        let counts = json!({ "done": 1, "not_done": 0, "left": left });
        let done = json!([{ "sector": sector, "phase": "P2" }]);
        (200, json!({ "counts": counts, "done": done, "not_done": [] }))
    };
    let not = json!([{ "why": "its P2 runs", "count": 1, "sectors": [] }]);
    let counts = json!({ "done": 0, "not_done": 1, "left": 0 });
    let last = (200, json!({ "counts": counts, "done": [], "not_done": not }));
    let answers = vec![page(causes.clone(), Value::Null), done(1, 1), last];
    let (said, asked) = ask_of(Server::start(answers), "retry --cause SPACE");
    let bulk = r#"POST /api/v1/bulk {"action":"retry","cause":"P2 operator no space"}"#;
    assert_eq!(asked[1..], [bulk, bulk]);
    let said = said.unwrap();
    assert_eq!(said.text.trim_end(), "1 task put back\n1 not: its P2 runs");
    assert_eq!(said.json["counts"], json!({ "done": 1, "not_done": 1 }));

    let nothing = Server::start(vec![page(causes, Value::Null)]);
    let (said, asked) = ask_of(nothing, "retry --cause teapot");
    assert_eq!((said.unwrap_err().exit, asked.len()), (Exit::NotFound, 1));
}

#[test]
fn a_retry_means_one_thing() {
    for bad in ["retry", "retry 3 --cause x", "retry --cause x --phase P1", "retry 3 --all"] {
        assert!(command(bad).is_err(), "{bad}");
    }
    let (_, asked) = ask_of(
        Server::start(vec![(200, json!({ "sectors": [], "next": null }))]),
        "sectors --order 4",
    );
    assert_eq!(asked, ["GET /api/v1/sectors?order=4&limit=500 "]);
}
