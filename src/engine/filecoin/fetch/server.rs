//! A mirror on this machine that misbehaves as it is told.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use super::Mirror;

/// What becomes of one GET.
#[derive(Debug, Clone, Copy)]
pub enum Mischief {
    None,
    /// The connection ends after so many bytes of the body.
    Truncate(usize),
    /// Nothing more comes after so many bytes of the body.
    Stall(usize),
    /// A byte now and then.
    Drip,
    /// As many bytes as it should be, and every one of them wrong.
    Lie,
    Status(u16),
    /// From the beginning, whatever was asked for; and it ends after so many bytes.
    NoRange(usize),
    NoLength,
    TooLong,
}

/// One GET and what it got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Served {
    pub from: Option<usize>,
    pub bytes: usize,
}

/// Serves the same content under every name.
pub struct Server {
    pub mirror: Mirror,
    served: Arc<Mutex<Vec<Served>>>,
}

struct Site {
    content: Vec<u8>,
    /// One for each GET; the last for all that follow.
    script: Vec<Mischief>,
    served: Arc<Mutex<Vec<Served>>>,
}

impl Server {
    pub fn start(content: &[u8], script: &[Mischief]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mirror = Mirror::parse(&format!("http://{}/ipfs", listener.local_addr().unwrap()));
        let served = Arc::<Mutex<Vec<Served>>>::default();
        let site = Arc::new(Site {
            content: content.to_vec(),
            script: script.to_vec(),
            served: Arc::clone(&served),
        });
        // Ends with the test's process.
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let site = Arc::clone(&site);
                // A client that goes away in the middle is what half of the tests are about.
                thread::spawn(move || drop(site.answer(stream)));
            }
        });
        Self { mirror: mirror.unwrap(), served }
    }

    /// The GETs so far.
    pub fn served(&self) -> Vec<Served> {
        self.served.lock().unwrap().clone()
    }
}

impl Site {
    fn answer(&self, stream: TcpStream) -> io::Result<()> {
        let mut reader = BufReader::new(stream.try_clone()?);
        let mut first = String::new();
        reader.read_line(&mut first)?;
        let mut from = None;
        loop {
            let mut line = String::new();
            reader.read_line(&mut line)?;
            let line = line.trim().to_lowercase();
            if line.is_empty() {
                break;
            }
            if let Some(range) = line.strip_prefix("range: bytes=") {
                from = range.trim_end_matches('-').parse().ok();
            }
        }
        if first.starts_with("HEAD") {
            return self.head(stream);
        }
        self.get(stream, reader, from)
    }

    fn head(&self, mut stream: TcpStream) -> io::Result<()> {
        match self.script[0] {
            Mischief::Status(status) => {
                write!(stream, "HTTP/1.1 {status} No\r\nConnection: close\r\n\r\n")
            }
            _ => {
                write!(
                    stream,
                    "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
                    self.content.len()
                )
            }
        }
    }

    fn get(
        &self,
        mut stream: TcpStream,
        mut reader: BufReader<TcpStream>,
        from: Option<usize>,
    ) -> io::Result<()> {
        let mischief = {
            let mut served = self.served.lock().unwrap();
            let mischief = self.script[served.len().min(self.script.len() - 1)];
            served.push(Served { from, bytes: 0 });
            mischief
        };
        let place = self.served.lock().unwrap().len() - 1;
        let total = self.content.len();
        let begin = from.unwrap_or(0);
        let head = match (mischief, from) {
            (Mischief::Status(status), _) => format!("{status} No\r\nContent-Length: 0"),
            (Mischief::NoLength, _) => "200 OK".to_owned(),
            (Mischief::TooLong, _) => format!("200 OK\r\nContent-Length: {}", 1u64 << 50),
            (Mischief::NoRange(_), _) | (_, None) => format!("200 OK\r\nContent-Length: {total}"),
            (_, Some(from)) if from >= total => {
                format!("416 No\r\nContent-Range: bytes */{total}\r\nContent-Length: 0")
            }
            (_, Some(from)) => format!(
                "206 Part\r\nContent-Range: bytes {from}-{}/{total}\r\nContent-Length: {}",
                total - 1,
                total - from
            ),
        };
        write!(stream, "HTTP/1.1 {head}\r\nConnection: close\r\n\r\n")?;
        let rest = &self.content[begin.min(total)..];
        let body = match mischief {
            Mischief::None | Mischief::NoLength | Mischief::TooLong => rest.to_vec(),
            Mischief::Truncate(at) | Mischief::Stall(at) => rest[..at.min(rest.len())].to_vec(),
            Mischief::NoRange(at) => self.content[..at.min(total)].to_vec(),
            Mischief::Lie => rest.iter().map(|byte| !byte).collect(),
            Mischief::Status(_) | Mischief::Drip => Vec::new(),
        };
        self.served.lock().unwrap()[place].bytes = body.len();
        stream.write_all(&body)?;
        if matches!(mischief, Mischief::Drip) {
            for byte in rest {
                stream.write_all(&[*byte])?;
                thread::sleep(Duration::from_millis(5));
            }
        }
        if matches!(mischief, Mischief::Stall(_)) {
            // Until the client has had enough of it.
            reader.read_to_end(&mut Vec::new())?;
        }
        Ok(())
    }
}
