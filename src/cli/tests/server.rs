//! A server that gives the answers it was told to give, and remembers what it was asked.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread::JoinHandle;

use serde_json::{Value, json};

pub struct Server {
    pub url: String,
    answering: JoinHandle<Vec<String>>,
}

/// An error as the API tells it.
pub fn problem(status: u16, detail: &str, mend: &str) -> (u16, Value) {
    let problem = json!({
        "type": "about:blank", "title": "refused", "status": status, "detail": detail, "mend": mend
    });
    (status, problem)
}

impl Server {
    /// Each answer to one request, in this order.
    pub fn start(answers: Vec<(u16, Value)>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let answering = std::thread::spawn(move || {
            let mut requests = Vec::new();
            for answer in answers {
                let (mut stream, _) = listener.accept().unwrap();
                let Some(request) = read_request(&stream) else { break };
                requests.push(request);
                write_answer(&mut stream, &answer);
            }
            requests
        });
        Self { url, answering }
    }

    /// What was asked: method, path and body.
    pub fn requests(self) -> Vec<String> {
        // A connection without a request says that no more will come.
        let _ = TcpStream::connect(self.url.trim_start_matches("http://"));
        self.answering.join().unwrap()
    }
}

fn read_request(stream: &TcpStream) -> Option<String> {
    let mut reader = BufReader::new(stream);
    let mut first = String::new();
    if reader.read_line(&mut first).unwrap() == 0 {
        return None;
    }
    let mut length = 0;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        let line = line.trim_end().to_lowercase();
        if line.is_empty() {
            break;
        }
        if let Some(value) = line.strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    // Its spaces are the client library's affair.
    let body = serde_json::from_slice::<Value>(&body).map_or(String::new(), |b| b.to_string());
    let words: Vec<_> = first.split(' ').collect();
    Some(format!("{} {} {body}", words[0], words[1]))
}

fn write_answer(stream: &mut TcpStream, (status, value): &(u16, Value)) {
    let body = value.to_string();
    let kind = if *status < 400 { "application/json" } else { "application/problem+json" };
    let head = format!(
        "HTTP/1.1 {status} Status\r\ncontent-type: {kind}\r\ncontent-length: {}\r\n\
         connection: close\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body.as_bytes())).unwrap();
}
