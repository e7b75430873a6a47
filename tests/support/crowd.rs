//! Requests of many strangers: each comes from an address of its own, so that none of them is slowed
//! down for what the others asked. (All of 127.0.0.0/8 is this machine.)

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};

use futures_util::future::join_all;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::runtime::Runtime;

use super::http::{Answer, LONG, parse};
use super::text;

/// So many at a time.
const AT_ONCE: usize = 8;
/// Longer answers are not read to their end.
const MOST_BYTES: u64 = 4 << 20;

/// Comes before the answer to who asks whether to go on.
const GO_ON: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

pub struct Crowd {
    port: u16,
    runtime: Runtime,
    /// How many have come so far.
    strangers: u32,
}

impl Crowd {
    /// Those who go to this port.
    pub fn new(port: u16) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        Self { port, runtime: runtime.expect("a runtime"), strangers: 0 }
    }

    /// Sends each; the answers in the same order, none for a connection that is just closed.
    pub fn ask(&mut self, requests: &[String]) -> Vec<Option<Answer>> {
        let mut answers = Vec::new();
        for some in requests.chunks(AT_ONCE) {
            let first = self.strangers;
            self.strangers += some.len() as u32;
            let sent = (first..).zip(some).map(|(nth, request)| one(self.port, nth, request));
            answers.extend(self.runtime.block_on(join_all(sent)));
        }
        answers
    }
}

/// 127.1.0.1 and the 65,000 behind it.
fn address(nth: u32) -> Ipv4Addr {
    let [_, _, high, low] = (nth % 64_000 + 1).to_be_bytes();
    Ipv4Addr::new(127, 1, high, low)
}

async fn one(port: u16, nth: u32, request: &str) -> Option<Answer> {
    let stream = connected(port, nth).await;
    let answered = tokio::time::timeout(LONG, answer(stream, request)).await;
    let answered = answered.unwrap_or_else(|_| panic!("no answer for {LONG:?}: {request}"));
    parse(answered.strip_prefix(GO_ON).unwrap_or(&answered))
}

async fn connected(port: u16, nth: u32) -> TcpStream {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.bind(SocketAddr::from((address(nth), 0))).expect("an address of this machine");
    socket.connect(SocketAddr::from(([127, 0, 0, 1], port))).await.expect("a connection")
}

/// To the connection's end; of a live one, which has none, to its first words.
async fn answer(mut stream: TcpStream, request: &str) -> Vec<u8> {
    // The box may have answered and closed before it has read all of it.
    let _ = stream.write_all(request.as_bytes()).await;
    let (mut got, mut piece) = (Vec::new(), [0; 16 << 10]);
    while let Ok(more @ 1..) = stream.read(&mut piece).await {
        got.extend_from_slice(&piece[..more]);
        let live = got.len() < 4_096 && text(&got).contains("text/event-stream");
        if live || got.len() as u64 > MOST_BYTES {
            break;
        }
    }
    got
}

pub fn open_files(pid: u32) -> usize {
    fs::read_dir(format!("/proc/{pid}/fd")).expect("it runs").count()
}
