//! Fetching parameters with the built binary: its refusals, a kill in the middle, and the box that
//! waits for them. No byte of it comes from outside this machine.

mod support;

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Instant;

use serde_json::Value;
use support::mounts::SmallDisk;
use support::{Lab, PATIENCE, text};

const FAILED: i32 = 1;
const USAGE: i32 = 2;

/// The command, with every mirror but the one that is named out of reach.
fn fetch(lab: &Lab, gateway: &str) -> Command {
    let nowhere = format!("http://127.0.0.1:{}", support::Port::take().number);
    let mut command = lab.sealbox();
    command
        .args(["params", "fetch", "--sector-size", "2KiB"])
        .env("IPFS_GATEWAY", gateway)
        .env("ALL_PROXY", nowhere)
        .env("NO_PROXY", "127.0.0.1")
        .env("FIL_PROOFS_PARAMETER_CACHE", lab.path("parameters"));
    command
}

#[test]
fn without_a_mirror_in_reach_the_command_fails_and_says_what_to_do() {
    let lab = Lab::simulated("");
    let dead = format!("http://127.0.0.1:{}/ipfs/", support::Port::take().number);
    let output = fetch(&lab, &dead).arg("--json").output().unwrap();
    let message = text(&output.stderr);
    assert_eq!(output.status.code(), Some(FAILED), "{message}");
    assert!(message.starts_with("no mirror gives this file ("), "{message}");
    for part in [&dead, "https://proofs.filecoin.io/ipfs/: ", ".vk", "IPFS_GATEWAY"] {
        assert!(message.contains(part), "{part} in {message}");
    }
    let json: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(json["error"]["mend"].as_str().unwrap().contains("fetch again"), "{json}");
}

#[test]
fn a_gateway_that_is_no_address_is_wrong_usage() {
    let lab = Lab::simulated("");
    let output = fetch(&lab, "gateway.lan").output().unwrap();
    let message = text(&output.stderr);
    assert_eq!(output.status.code(), Some(USAGE), "{message}");
    assert!(message.contains("`gateway.lan`") && message.contains("IPFS_GATEWAY"), "{message}");
}

const LENGTH: usize = 8 << 20;
const FIRST: usize = 3 << 20;

/// Serves zeros: [`FIRST`] bytes and then silence to the first GET, all that is asked for to the
/// others. Returns its address, and where each GET wanted to begin.
fn zeros() -> (String, Arc<Mutex<Vec<usize>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}/ipfs/", listener.local_addr().unwrap());
    let asked = Arc::<Mutex<Vec<usize>>>::default();
    let seen = Arc::clone(&asked);
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let seen = Arc::clone(&seen);
            // The client is killed in the middle: that is the test.
            thread::spawn(move || drop(serve_zeros(stream, &seen)));
        }
    });
    (address, asked)
}

fn serve_zeros(mut stream: TcpStream, asked: &Mutex<Vec<usize>>) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let (mut method, mut from) = (String::new(), 0);
    reader.read_line(&mut method)?;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let line = line.trim().to_lowercase();
        if let Some(range) = line.strip_prefix("range: bytes=") {
            from = range.trim_end_matches('-').parse().unwrap();
        }
        if line.is_empty() {
            break;
        }
    }
    let (status, rest) = if from == 0 { ("200 OK", LENGTH) } else { ("206 Part", LENGTH - from) };
    write!(
        stream,
        "HTTP/1.1 {status}\r\nContent-Length: {rest}\r\nConnection: close\r\n\
         Content-Range: bytes {from}-{}/{LENGTH}\r\n\r\n",
        LENGTH - 1
    )?;
    if method.starts_with("HEAD") {
        return Ok(());
    }
    let is_first = {
        let mut asked = asked.lock().unwrap();
        asked.push(from);
        asked.len() == 1
    };
    if is_first {
        stream.write_all(&vec![0; FIRST])?;
        reader.read_to_end(&mut Vec::new())?;
    }
    stream.write_all(&vec![0; rest])
}

#[test]
fn a_killed_fetch_goes_on_where_it_was_and_wrong_bytes_never_get_the_name() {
    let lab = Lab::simulated("");
    let (gateway, asked) = zeros();
    let mut first = fetch(&lab, &gateway).stderr(Stdio::null()).spawn().unwrap();
    let is_part = |path: &PathBuf| path.extension().is_some_and(|end| end == "sealbox-part");
    let part = || -> Option<PathBuf> {
        let entries = fs::read_dir(lab.path("parameters")).ok()?.flatten();
        entries.map(|entry| entry.path()).find(is_part)
    };
    let start = Instant::now();
    let length = || part().and_then(|part| fs::metadata(part).ok()).map_or(0, |part| part.len());
    while length() < FIRST as u64 {
        assert!(start.elapsed() < PATIENCE, "the fetch does not come to {FIRST} bytes");
        thread::yield_now();
    }
    first.kill().unwrap();
    first.wait().unwrap();
    let output = fetch(&lab, &gateway).output().unwrap();
    let message = text(&output.stderr);
    // Where it was; and once more from the beginning, for what was there may have been at fault.
    assert_eq!(*asked.lock().unwrap(), [0, FIRST, 0], "{message}");
    assert_eq!(output.status.code(), Some(FAILED), "{message}");
    assert!(message.contains("does not have the right digest"), "{message}");
    let left = fs::read_dir(lab.path("parameters")).unwrap().flatten();
    let left: Vec<_> = left.map(|entry| entry.path()).collect();
    assert!(left.iter().all(|path| path.extension().is_some_and(|e| e == "lock")), "{left:?}");
}

#[test]
fn a_box_without_its_parameters_names_the_command_and_looks_at_what_comes() {
    let mut lab = Lab::with(
        "sector_size = \"32GiB\"\nauto_pledge = 0\n[machine]\nmemory_mib = 262144\ncores = 16\n",
    );
    // One that could hold such a sector: it has the room that is asked for when it is written to.
    let Ok(_disk) = SmallDisk::make(&lab.path("sealbox-data/scratch"), 600 << 10) else {
        eprintln!("skipped: mounting a tmpfs needs root");
        return;
    };
    let parameters = lab.path("parameters");
    let environment = [("FIL_PROOFS_PARAMETER_CACHE", parameters.to_str().unwrap())];
    lab.launch(&environment);
    lab.wait_until_it_answers();
    lab.wait("the box has looked", |lab| lab.get("/api/v1/params")["state"] == "awaited");
    let failure = lab.get("/api/v1/params")["failure"].clone();
    let mend = failure["mend"].as_str().unwrap();
    assert!(mend.contains("`sealbox params fetch --sector-size 32GiB`"), "{mend}");
    fs::write(failure["file"].as_str().unwrap(), "not the trusted set-up's").unwrap();
    lab.wait("the box has seen it come", |lab| {
        let failure = &lab.get("/api/v1/params")["failure"];
        failure["what"].as_str().is_some_and(|what| what.contains("digest"))
    });
    lab.kill();
}
