//! A damaged state is set aside and made again from the journal, and the port says so meanwhile.
//!
//! The journal is split, and a pipe stands in the place of the file in the middle: whoever reads
//! the journal waits there until the test goes on.

mod support;

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use serde_json::Value;
use support::{Lab, QUICK, text};

/// The longest that an answer may take.
const ANSWER: Duration = Duration::from_secs(10);

/// A journal of three files, the one in the middle a pipe.
struct Stopped {
    lab: Lab,
    sectors: Value,
    pipe: PathBuf,
    /// What belongs into it.
    middle: String,
    /// The last entry before it, and the last of all.
    before: u64,
    last: u64,
}

/// A box that has finished three sectors, with a state that sled does not open.
fn stopped_with_a_damaged_state() -> Stopped {
    let mut lab = Lab::with(&format!("auto_pledge = 0\n[engine]\nkind = \"simulated\"\n{QUICK}"));
    lab.start();
    lab.pledge(3);
    (0..3).for_each(|number| lab.wait_for_state(number, "finished"));
    let sectors = lab.json(&["sectors"]);
    lab.signal("-TERM");
    assert_eq!(lab.wait_for_end(), Some(0));
    fs::write(lab.path("sealbox-data/state/conf"), "not sled's").expect("the damage");

    let dir = lab.path("sealbox-data/journal");
    let whole = fs::read_to_string(dir.join("00000000000000000001.jsonl")).expect("the journal");
    let lines: Vec<&str> = whole.split_inclusive('\n').collect();
    let first_of = |line: &str| {
        let line: Value = serde_json::from_str(line).expect("a line is JSON");
        line["seq"].as_u64().expect("its first entry")
    };
    let last: Value = serde_json::from_str(lines[lines.len() - 1]).expect("a line is JSON");
    let last = last["entries"].as_array().and_then(|all| all.last()).expect("an entry").clone();
    let third = lines.len() / 3;
    let [head, middle, rest] = [&lines[..third], &lines[third..2 * third], &lines[2 * third..]];
    let path = |lines: &[&str]| dir.join(format!("{:020}.jsonl", first_of(lines[0])));
    fs::write(path(head), head.concat()).expect("the first file");
    fs::write(path(rest), rest.concat()).expect("the last file");
    let pipe = path(middle);
    assert!(Command::new("mkfifo").arg(&pipe).status().expect("mkfifo runs").success());
    Stopped {
        sectors,
        middle: middle.concat(),
        before: first_of(middle[0]) - 1,
        last: last["seq"].as_u64().expect("the last entry"),
        pipe,
        lab,
    }
}

impl Stopped {
    /// Starts it, and waits until its page shows the rebuild at the pipe.
    fn start(&mut self) -> Connection {
        self.lab.launch(&[]);
        let at = format!("the journal: {} of {} entries", self.before, self.last);
        let mut found = None;
        self.lab.wait(&at, |lab| {
            let Ok(mut connection) = Connection::open(lab.port.number) else { return false };
            let (status, page) = connection.get("/sectors");
            let shows = status == 503 && page.contains(&at);
            found = shows.then_some(connection);
            shows
        });
        found.expect("it was waited for")
    }
}

/// One connection, kept.
struct Connection(BufReader<TcpStream>);

impl Connection {
    fn open(port: u16) -> std::io::Result<Self> {
        let stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_read_timeout(Some(ANSWER))?;
        Ok(Self(BufReader::new(stream)))
    }

    fn get(&mut self, path: &str) -> (u16, String) {
        let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n");
        self.0.get_mut().write_all(request.as_bytes()).expect("the connection is there");
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            assert!(self.0.read_line(&mut head).expect("an answer") > 0, "closed after {head}");
        }
        let head = head.to_lowercase();
        let length = head.split("content-length: ").nth(1).and_then(|rest| rest.lines().next());
        let length: usize = length.expect("its length").parse().expect("a number");
        let mut body = vec![0; length];
        self.0.read_exact(&mut body).expect("the whole answer");
        let status = head.split(' ').nth(1).expect("a status").parse().expect("a number");
        (status, text(&body))
    }
}

#[test]
fn while_the_state_is_rebuilt_the_port_says_how_far_it_is_and_then_serves_the_box() {
    let mut stopped = stopped_with_a_damaged_state();
    let mut connection = stopped.start();
    let refused = ureq::Agent::config_builder().http_status_as_error(false).build();
    let agent: ureq::Agent = refused.into();
    let mut answer = agent.get(stopped.lab.url("/api/v1/status")).call().expect("an answer");
    assert_eq!(answer.status().as_u16(), 503);
    assert!(answer.headers().contains_key("retry-after"));
    let problem: Value = answer.body_mut().read_json().expect("a problem");
    let detail = problem["detail"].as_str().expect("its detail");
    assert!(detail.starts_with("rebuilding the state from the journal"), "{problem}");
    let asked = stopped.lab.cli(&["sectors"]);
    assert!(text(&asked.stderr).contains("rebuilding the state"), "{}", text(&asked.stderr));

    fs::write(&stopped.pipe, &stopped.middle).expect("the rest of the journal");
    stopped.lab.wait_until_it_answers();
    let (status, page) = connection.get("/sectors");
    assert_eq!(status, 200, "{page}");
    assert_eq!(stopped.lab.json(&["sectors"]), stopped.sectors);
    assert!(stopped.lab.page("/system").contains("set aside"), "the page tells what was mended");
}

#[test]
fn a_kill_in_the_middle_of_a_rebuild_costs_only_the_time() {
    let mut stopped = stopped_with_a_damaged_state();
    for _ in 0..2 {
        stopped.start();
        stopped.lab.kill();
    }
    fs::remove_file(&stopped.pipe).expect("the pipe is removed");
    fs::write(&stopped.pipe, &stopped.middle).expect("the file in the middle");
    stopped.lab.start();
    assert_eq!(stopped.lab.json(&["sectors"]), stopped.sectors);
}

#[test]
fn damage_that_the_rebuild_finds_ends_it_with_its_place_and_exit_code_1() {
    let mut stopped = stopped_with_a_damaged_state();
    stopped.start();
    let damaged = stopped.middle.replacen("entries", "entrees", 1);
    fs::write(&stopped.pipe, damaged).expect("the damage");
    assert_eq!(stopped.lab.wait_for_end(), Some(1));
    let messages = stopped.lab.messages();
    assert!(messages.contains("the journal is damaged at line 1, byte 0"), "{messages}");
    let file = stopped.pipe.file_name().and_then(|name| name.to_str()).expect("its name");
    assert!(messages.contains(file), "{messages}");
}
