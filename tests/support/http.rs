//! HTTP as strangers speak it: every byte as the test has it, and what belongs to a box that asks
//! who is there.

use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::process::{Output, Stdio};
use std::time::Duration;

use super::{Lab, text};

/// Whatever is cut for slowness is cut long before this.
pub const LONG: Duration = Duration::from_secs(90);

/// An answer, read to the connection's end.
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: String,
}

impl Answer {
    pub fn header(&self, name: &str) -> &str {
        let line = self.head.lines().find_map(|line| {
            let (found, value) = line.split_once(':')?;
            found.eq_ignore_ascii_case(name).then_some(value.trim())
        });
        line.unwrap_or_default()
    }
}

pub fn connect(port: u16) -> TcpStream {
    let stream = TcpStream::connect(("127.0.0.1", port)).expect("a connection");
    stream.set_read_timeout(Some(LONG)).unwrap();
    stream.set_write_timeout(Some(LONG)).unwrap();
    stream
}

/// What comes until the connection ends; nothing, if it is cut.
pub fn rest_of(stream: &mut TcpStream) -> Vec<u8> {
    let mut got = Vec::new();
    match stream.read_to_end(&mut got) {
        Ok(_) => got,
        Err(error) if error.kind() == ErrorKind::ConnectionReset => got,
        Err(error) => panic!("{error} after {:?}", text(&got)),
    }
}

pub fn parse(answer: &[u8]) -> Option<Answer> {
    let answer = text(answer);
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let status = head.split(' ').nth(1)?.parse().ok()?;
    Some(Answer { status, head: head.to_owned(), body: body.to_owned() })
}

/// Sends these bytes, whatever they are.
pub fn raw(port: u16, request: &[u8]) -> Option<Answer> {
    let mut stream = connect(port);
    // The box may have answered and closed before it has read all of it.
    let _ = stream.write_all(request);
    parse(&rest_of(&mut stream))
}

pub fn send(lab: &Lab, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
    let port = lab.port.number;
    let mut request = format!("{method} {path} HTTP/1.1\r\nconnection: close\r\n");
    if !headers.iter().any(|(name, _)| *name == "host") {
        request.push_str(&format!("host: 127.0.0.1:{port}\r\n"));
    }
    for (name, value) in headers {
        request.push_str(&format!("{name}: {value}\r\n"));
    }
    request.push_str(&format!("content-length: {}\r\n\r\n{body}", body.len()));
    let answer = raw(port, request.as_bytes());
    answer.unwrap_or_else(|| panic!("{method} {path}: no answer; {}", lab.messages()))
}

pub fn form(lab: &Lab, path: &str, fields: &str, headers: &[(&str, &str)]) -> Answer {
    let mut all = vec![("content-type", "application/x-www-form-urlencoded")];
    all.extend(headers);
    send(lab, "POST", path, &all, fields)
}

/// Runs `sealbox passwd` with this on its standard input.
pub fn passwd(lab: &Lab, args: &[&str], password: &str) -> Output {
    let mut child = lab
        .sealbox()
        .arg("passwd")
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("sealbox runs");
    writeln!(child.stdin.take().expect("it is piped"), "{password}").expect("it is read");
    child.wait_with_output().expect("it ends")
}

pub fn set_password(lab: &Lab, args: &[&str], password: &str) {
    let output = passwd(lab, args, password);
    assert!(output.status.success(), "{}", text(&output.stderr));
}

/// All that the box has written for people to read.
pub fn all_words(lab: &Lab) -> String {
    let logs = lab.path("sealbox-data/logs");
    let files = super::files(&logs).into_iter();
    let logs: String = files.filter_map(|file| fs::read_to_string(logs.join(file)).ok()).collect();
    logs + &lab.messages()
}

pub fn resident_kib(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("it runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a line");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}
