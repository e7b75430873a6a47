//! The command line, and what it says of a box's answers.

mod lists;
mod log;
mod server;

use std::net::TcpListener;

use clap::Parser;
use serde_json::{Value, json};

use self::server::{Server, problem};
use super::client::{Client, Papers};
use super::*;
use crate::domain::ids::SectorNumber;
use crate::domain::phase::Phase;
use crate::domain::units::SectorSize;

fn command(words: &str) -> Result<Command, String> {
    let words = std::iter::once("sealbox").chain(words.split_whitespace());
    Cli::try_parse_from(words).map(|cli| cli.wanted()).map_err(|error| error.to_string())
}

fn request(words: &str) -> Request {
    match command(words) {
        Ok(Command::Ask(request)) => request,
        other => panic!("{words}: {other:?}"),
    }
}

/// Asks this server, and returns what it was asked, line by line.
fn ask_of(server: Server, words: &str) -> (Result<Answer, Refusal>, Vec<String>) {
    let client = Client::new(&server.url, Papers::default()).unwrap();
    let answer = ask::ask(&client, &request(words));
    (answer, server.requests())
}

#[test]
fn a_bare_command_runs_the_box() {
    assert_eq!(command(""), Ok(Command::Run));
    assert_eq!(command("--json"), Ok(Command::Run));
    assert_eq!(command("run"), Ok(Command::Run));
}

#[test]
fn the_definition_of_the_command_line_holds_together() {
    use clap::CommandFactory;
    Cli::command().debug_assert();
    let help = Cli::command().render_help().to_string();
    for exit in Exit::ALL {
        assert!(help.contains(&format!("\n  {}  ", exit.code())), "{help}");
    }
}

#[test]
fn an_order_that_means_nothing_is_refused_before_anything_is_asked() {
    for bad in ["0", "1000000000000", "x", "-1", "1.5", "99999999999999999999999", "100001"] {
        let error = command(&format!("pledge {bad}")).unwrap_err();
        assert!(error.contains("a number of sectors from 1 to 100000"), "{bad}: {error}");
    }
    assert!(command("pledge").is_err());
    assert!(command("pledge 1 --size 1GiB").unwrap_err().contains("expected 2KiB"));
}

#[test]
fn a_phase_is_named_as_the_fleet_or_the_page_names_it() {
    for name in ["32", "P6", "p6", "CleanTask"] {
        let tasks = request(&format!("tasks --type {name} --status 2"));
        let expected = Request::Tasks { task_type: Some(Phase::P6), status: Some(2), sector: None };
        assert_eq!(tasks, expected);
    }
    assert!(command("tasks --type 3").is_err());
    assert!(command("tasks --status 3").is_err());
}

#[test]
fn retry_wants_a_sector_or_all() {
    assert!(command("retry").is_err());
    assert!(command("retry 1 --all").is_err());
    assert!(command("retry --all --phase P2").is_err());
    let expected = Request::Retry {
        sector: Some(SectorNumber(1)),
        phase: Some(Phase::P2),
        all: false,
        cause: None,
    };
    assert_eq!(request("retry 1 --phase P2"), expected);
}

#[test]
fn options_may_stand_after_the_command() {
    let words = ["sealbox", "sectors", "--json", "--url", "http://x", "--config", "y"];
    let cli = Cli::try_parse_from(words).unwrap();
    assert!(cli.json && cli.url.is_some() && cli.config.is_some());
}

#[test]
fn pledge_orders_and_says_what_was_ordered() {
    let answer = json!({ "order": 0, "count": 3, "size": "8MiB" });
    let (said, asked) = ask_of(Server::start(vec![(201, answer.clone())]), "pledge 3 --size 8mib");
    assert_eq!(asked, [r#"POST /api/v1/orders {"count":3,"size":"8MiB"}"#]);
    assert_eq!(said.unwrap(), Answer { json: answer, text: "order 0: 3 sectors of 8MiB".into() });
}

#[test]
fn a_list_is_followed_to_its_end() {
    let page = |number: u64, next: Value| {
        let row = json!({
            "number": number, "size": "2KiB", "state": "P1", "phase": "P1",
            "created": 0, "updated": 1_000, "attention": null
        });
        (200, json!({ "sectors": [row], "next": next }))
    };
    let server = Server::start(vec![page(0, json!(0)), page(7, Value::Null)]);
    let (said, asked) = ask_of(server, "sectors --state a&b");
    assert_eq!(
        asked,
        [
            "GET /api/v1/sectors?state=a%26b&limit=500 ",
            "GET /api/v1/sectors?state=a%26b&limit=500&after=0 "
        ]
    );
    let said = said.unwrap();
    assert_eq!(said.json["sectors"][1]["number"], 7);
    let lines: Vec<_> = said.text.lines().collect();
    assert_eq!(lines.len(), 3);
    assert!(lines[0].starts_with("sector  size  state  phase  created"), "{}", lines[0]);
    assert!(
        lines[2].starts_with("7       2KiB  P1     P1     1970-01-01 00:00:00Z"),
        "{}",
        lines[2]
    );
}

#[test]
fn a_list_without_end_is_not_followed_for_ever() {
    let page = json!({ "tasks": [], "next": "again" });
    let server = Server::start(vec![(200, page.clone()), (200, page)]);
    let (said, _) = ask_of(server, "tasks");
    assert_eq!(said.unwrap_err().exit, Exit::Failed);
}

#[test]
fn tasks_are_asked_for_and_shown_in_the_fleets_words() {
    let row = json!({
        "sector_id": 4, "task_type": 32, "phase": "P6", "is_taken": 1, "is_finished": true,
        "result_status": 2, "attempts": 1, "create_time": 1_769_903_999_000_u64,
        "update_time": null, "worker": "P5P6-0", "miner": "t01000", "cid": null, "params": null,
        "error": "no space left\u{1b}[2J\non device"
    });
    let server = Server::start(vec![(200, json!({ "tasks": [row], "next": null }))]);
    let (said, asked) = ask_of(server, "tasks --type 32 --status 2 --sector 4");
    assert_eq!(asked, ["GET /api/v1/tasks?task_type=32&result_status=2&sector=4&limit=500 "]);
    let text = said.unwrap().text;
    let lines: Vec<_> = text.lines().collect();
    assert!(lines[0].starts_with("sector_id  task_type  phase  is_taken  is_finished"));
    assert!(lines[1].contains("2026-01-31 23:59:59Z"), "{text}");
    assert!(lines[1].ends_with("no space left [2J on device"), "{text}");
    assert_eq!(lines.len(), 2);
}

#[test]
fn a_sector_is_summed_up_for_people_and_whole_in_json() {
    let detail = json!({
        "number": 3, "miner": "t01000", "size": "2KiB", "state": "done", "simulated": true,
        "seal_proof": "StackedDrg2KiBV1_1", "ticket": "aa", "ticket_epoch": 5, "seed": null,
        "proof": "00".repeat(192), "stored": { "root": "/s", "replica": "/s/r" },
        "tasks": [{ "sector_id": 3, "phase": "P1" }],
        "history": [{ "seq": 1, "at": 0, "what": "issued" }], "unheard_of": [1]
    });
    let (said, asked) = ask_of(Server::start(vec![(200, detail.clone())]), "sector 3");
    assert_eq!(asked, ["GET /api/v1/sectors/3 "]);
    let said = said.unwrap();
    assert_eq!(said.json, detail);
    for part in ["SIMULATED", "aa (epoch 5)", "192 bytes", "/s/r", "issued", "StackedDrg2KiBV1_1"] {
        assert!(said.text.contains(part), "{part} in {}", said.text);
    }
}

#[test]
fn retry_says_what_was_put_back() {
    let server = Server::start(vec![(200, json!({ "retried": ["P5"] }))]);
    let (said, asked) = ask_of(server, "retry 3 --phase CopyTask");
    assert_eq!(asked, [r#"POST /api/v1/sectors/3/retry {"phase":"P5"}"#]);
    assert_eq!(said.unwrap().text, "put back: sector 3 P5");

    let both =
        json!({ "retried": [{ "sector": 3, "phase": "P2" }, { "sector": 4, "phase": "P1" }] });
    let (said, asked) = ask_of(Server::start(vec![(200, both)]), "retry --all");
    assert_eq!(asked, ["POST /api/v1/retry {}"]);
    assert_eq!(said.unwrap().text, "put back: sector 3 P2, sector 4 P1");
}

#[test]
fn a_sector_is_given_up_only_with_a_yes() {
    let (said, asked) = ask_of(Server::start(vec![]), "abort 3");
    assert_eq!(said.unwrap_err().exit, Exit::Usage);
    assert_eq!(asked, Vec::<String>::new());

    let server = Server::start(vec![(200, json!({ "aborted": 3 }))]);
    let (said, asked) = ask_of(server, "abort 3 --yes");
    assert_eq!(said.unwrap().text, "sector 3 is given up");
    assert_eq!(asked, ["POST /api/v1/sectors/3/abort {}"]);

    let running = json!({ "aborted": 3, "now": false, "stopped": ["P5"], "awaited": ["P4"] });
    let (said, _) = ask_of(Server::start(vec![(200, running)]), "abort 3 --yes");
    let words = "sector 3 is given up when its running P4 ends; its running P5 is stopped now";
    assert_eq!(said.unwrap().text, words);
}

#[test]
fn parameters_are_asked_for_or_fetched_by_the_same_word() {
    assert_eq!(command("params"), Ok(Command::Params { order: None }));
    let fetch = |sector_size, post| {
        Ok(Command::Params { order: Some(ParamsOrder::Fetch { sector_size, post }) })
    };
    assert_eq!(command("params fetch"), fetch(None, false));
    let size = Some(SectorSize::GiB32);
    assert_eq!(command("params fetch --sector-size 32GiB --post"), fetch(size, true));
    assert!(command("params fetch --sector-size 1GiB").unwrap_err().contains("expected 2KiB"));
}

#[test]
fn the_state_of_the_parameters_is_told_in_words() {
    let told = |value: Value| {
        let server = Server::start(vec![(200, value)]);
        ask::params(&Client::new(&server.url, Papers::default()).unwrap()).unwrap().text
    };
    let making = json!({ "state": "making", "step": "step 1 of 2", "since": 0 });
    assert!(told(making).contains("since 1970-01-01 00:00:00Z: step 1 of 2"));
    let failure = json!({ "class": "operator", "what": "gone", "mend": "bring them back" });
    let missing = told(json!({ "state": "missing", "failure": failure }));
    assert_eq!(missing, "no Groth parameters: gone; bring them back");
    let failure = json!({ "class": "operator", "what": "gone", "mend": "bring them back" });
    assert_eq!(told(json!({ "state": "awaited", "failure": failure })), missing);
    assert!(
        told(json!({ "state": "lab_made", "file": "/p", "bytes": 9 })).contains("/p (9 bytes)")
    );
}

#[test]
fn the_boxs_own_words_are_passed_on() {
    let gone = problem(404, "there is no sector 9", "see `sealbox sectors`");
    let (said, _) = ask_of(Server::start(vec![gone]), "sector 9");
    let refusal = said.unwrap_err();
    assert_eq!(refusal.exit, Exit::NotFound);
    assert_eq!(refusal.to_string(), "there is no sector 9; see `sealbox sectors`");

    let paused = problem(409, "intake is paused", "resume it");
    let (said, _) = ask_of(Server::start(vec![paused]), "pledge 1");
    assert_eq!(said.unwrap_err().exit, Exit::Failed);
}

#[test]
fn no_box_is_said_plainly() {
    // Bound and let go again: nobody listens there.
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let client = Client::new(&format!("http://{address}/"), Papers::default()).unwrap();
    let asked = ["sectors", "pledge 1", "tasks"].map(|words| ask::ask(&client, &request(words)));
    for answer in asked.into_iter().chain([ask::params(&client)]) {
        let refusal = answer.unwrap_err();
        assert_eq!(refusal.exit, Exit::NotRunning);
        let said = refusal.to_string();
        assert!(said.starts_with(&format!("no sealbox answers at http://{address} (")), "{said}");
        assert!(said.contains("start it with `sealbox run`"), "{said}");
    }
}

#[test]
fn another_program_on_the_port_is_not_taken_for_a_box() {
    let others = [(200, json!("hello")), (404, json!({ "error": "no route" })), (302, json!({}))];
    for other in others {
        let (said, _) = ask_of(Server::start(vec![other]), "sectors");
        let refusal = said.unwrap_err();
        assert_eq!(refusal.exit, Exit::NotRunning);
        assert!(refusal.what.contains("is no sealbox"), "{refusal}");
    }
}

#[test]
fn an_address_that_is_none_is_refused() {
    for bad in ["", "http://", "127.0.0.1:3456", "https://", "ftp://x"] {
        assert_eq!(Client::new(bad, Papers::default()).unwrap_err().exit, Exit::Usage, "{bad}");
    }
    let client = Client::new("http://a b", Papers::default()).unwrap();
    assert_eq!(ask::params(&client).unwrap_err().exit, Exit::Usage);
}

#[test]
fn a_refusal_in_json_stands_on_both_streams() {
    let refusal = || Err(Refusal::new(Exit::NotFound, "there is no sector 9", "look"));
    let (mut out, mut err) = (Vec::new(), Vec::new());
    assert_eq!(report(true, refusal(), &mut out, &mut err), Exit::NotFound);
    let json: Value = serde_json::from_slice(&out).unwrap();
    assert_eq!(json, json!({ "error": { "what": "there is no sector 9", "mend": "look" } }));
    assert_eq!(String::from_utf8(err).unwrap(), "there is no sector 9; look\n");

    let mut out = Vec::new();
    report(false, refusal(), &mut out, &mut Vec::new());
    assert!(out.is_empty());
}

#[test]
fn dates_are_right_to_the_day() {
    assert_eq!(print::utc(0), "1970-01-01 00:00:00Z");
    assert_eq!(print::utc(951_782_400_000), "2000-02-29 00:00:00Z");
    assert_eq!(print::utc(4_107_542_399_999), "2100-02-28 23:59:59Z");
    assert_eq!(print::utc(4_107_542_400_000), "2100-03-01 00:00:00Z");
    assert_eq!(print::utc(1_735_689_599_000), "2024-12-31 23:59:59Z");
    assert!(print::utc(u64::MAX).ends_with('Z'));
}

#[test]
fn check_config_shows_every_value_and_every_note() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("config.toml");
    std::fs::write(&file, "ip = '10.0.0.1'\nsector_size = '8MiB'\n").unwrap();
    let config = Config::load(Some(&file), [], dir.path()).unwrap();
    let answer = check::answer(&config);
    assert_eq!(answer.json["sector_size"], SectorSize::MiB8.name());
    let shown = ["sector_size", "8MiB", "workers.1.phases", "P1, P2, P3", "`ip` has no effect"];
    for part in shown {
        assert!(answer.text.contains(part), "{part} in {}", answer.text);
    }
}

#[test]
fn a_bad_configuration_is_refused_with_all_its_problems() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("bad.toml");
    std::fs::write(&file, "zzz = 1\nminer = 1.5\n").unwrap();
    let refusal = Refusal::from(Config::load(Some(&file), [], dir.path()).unwrap_err());
    assert_eq!(refusal.exit, Exit::Usage);
    let json = refusal.json();
    assert_eq!(json["error"]["problems"][1]["key"], "miner");
    assert_eq!(json["error"]["problems"][1]["line"], 2);
    assert!(refusal.to_string().contains("bad.toml:1: unknown key `zzz`"), "{refusal}");
}

#[test]
fn orders_are_listed_moved_and_cancelled() {
    let row = json!({ "order": 3, "size": "2KiB", "count": 5, "issued": 2, "left": 3,
        "by": "the page", "at": "2026-01-31T00:00:00Z" });
    let (said, asked) = ask_of(Server::start(vec![(200, json!({ "orders": [row] }))]), "orders");
    assert_eq!(asked, ["GET /api/v1/orders?limit=500 "]);
    let text = said.unwrap().text;
    assert_eq!(text.lines().nth(1).unwrap().split_whitespace().nth(4), Some("3"), "{text}");
    let pairs = [
        ("orders move 3 first", r#"POST /api/v1/orders/3/move {"to":"first"}"#),
        ("orders move 3 --before 1", r#"POST /api/v1/orders/3/move {"before":1}"#),
        ("orders cancel 3", "POST /api/v1/orders/3/cancel {}"),
    ];
    for (words, expected) in pairs {
        let server = Server::start(vec![(200, json!({ "moved": 3, "place": 1 }))]);
        let (said, asked) = ask_of(server, words);
        assert_eq!(asked, [expected]);
        assert!(said.unwrap().text.contains("order 3"), "{words}");
    }
    for bad in ["orders move 3", "orders move 3 sideways", "orders move 3 up --before 1"] {
        assert!(command(bad).is_err(), "{bad}");
    }
}
