//! Takes connections: so many and no more, none that dawdles, each told to whom it belongs.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tower::ServiceExt as _;

use super::patient::Patient;
use crate::access::buckets::neighbourhood;
use crate::tls::Tls;

/// Each costs a file descriptor, of which sealing needs some of the thousand that are usual.
const MOST: usize = 512;
/// So that one address alone cannot keep everybody else out.
const MOST_OF_ONE: usize = 256;
/// From a connection's opening, or its last answer, to the end of the next request's head.
const HEAD: Duration = Duration::from_secs(10);
const HANDSHAKE: Duration = Duration::from_secs(10);
/// A head's lines in all, with room for what browsers and proxies put there.
const HEAD_BYTES: usize = 32 * 1024;
const HEAD_LINES: usize = 100;
/// After an error that concerns no single connection, as too many open files.
const BREATH: Duration = Duration::from_millis(100);
/// What requests under way have when the box stops.
const LAST_MOMENT: Duration = Duration::from_secs(1);

/// Who is at the other end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer(pub IpAddr);

/// Serves until `shutdown` ends; then requests under way have a moment to end, live connections
/// (which would go on for ever) are cut.
pub async fn serve(
    listener: TcpListener,
    tls: Option<Tls>,
    router: Router,
    shutdown: impl Future<Output = ()>,
) {
    let (stop, stopping) = watch::channel(false);
    let (places, mut open) = (Places::default(), JoinSet::new());
    let mut shutdown = pin!(shutdown);
    loop {
        tokio::select! {
            biased;
            () = &mut shutdown => break,
            Some(_) = open.join_next() => {}
            accepted = listener.accept() => match accepted {
                Ok((stream, peer)) => match places.take(peer.ip()) {
                    Some(place) => {
                        let line = Line { peer, router: router.clone(), stopping: stopping.clone() };
                        let tls = tls.clone();
                        open.spawn(async move { line.serve(stream, tls).await; drop(place) });
                    }
                    None => turn_away(&stream, tls.is_some()),
                },
                Err(error) if concerns_one_connection(&error) => {}
                Err(error) => {
                    tracing::error!("no connection can be taken: {error}; see `ulimit -n`");
                    tokio::time::sleep(BREATH).await;
                }
            },
        }
    }
    // No longer taken in while the last answers go out.
    drop(listener);
    stop.send_replace(true);
    let last_answers = async { while open.join_next().await.is_some() {} };
    // Who is cut off here was told for long enough.
    let _ = tokio::time::timeout(LAST_MOMENT, last_answers).await;
}

fn concerns_one_connection(error: &io::Error) -> bool {
    [
        io::ErrorKind::ConnectionAborted,
        io::ErrorKind::ConnectionReset,
        io::ErrorKind::ConnectionRefused,
    ]
    .contains(&error.kind())
}

/// Says so if it can be said at once: nobody is waited for here.
fn turn_away(stream: &TcpStream, tls: bool) {
    tracing::debug!("too many connections: one was turned away");
    const BUSY: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\ncontent-type: text/plain\r\n\
        retry-after: 5\r\nconnection: close\r\n\r\n\
        this box has too many connections open; close some pages of it, and load this one again\n";
    if !tls {
        let _ = stream.try_write(BUSY);
    }
}

/// How many connections there are, in all and of each address.
#[derive(Debug, Clone, Default)]
struct Places(Arc<Mutex<Taken>>);

#[derive(Debug, Default)]
struct Taken {
    in_all: usize,
    of: HashMap<IpAddr, usize>,
}

/// Given back when it goes.
struct Place(Places, IpAddr);

impl Places {
    fn take(&self, from: IpAddr) -> Option<Place> {
        let from = neighbourhood(from);
        let mut taken = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if taken.in_all >= MOST || taken.of.get(&from).is_some_and(|of| *of >= MOST_OF_ONE) {
            return None;
        }
        taken.in_all += 1;
        *taken.of.entry(from).or_default() += 1;
        Some(Place(self.clone(), from))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.0.0.lock().unwrap_or_else(PoisonError::into_inner);
        taken.in_all -= 1;
        if let Some(of) = taken.of.get_mut(&self.1) {
            *of -= 1;
            if *of == 0 {
                taken.of.remove(&self.1);
            }
        }
    }
}

/// One connection.
struct Line {
    peer: SocketAddr,
    router: Router,
    stopping: watch::Receiver<bool>,
}

impl Line {
    async fn serve(self, stream: TcpStream, tls: Option<Tls>) {
        // Without it small answers wait for the acknowledgement of earlier ones.
        let _ = stream.set_nodelay(true);
        let stream = Patient::new(stream);
        match tls {
            None => self.answer(pin!(stream)).await,
            Some(tls) => {
                let shaken = tls.acceptor().accept(stream);
                // What does not speak TLS, or not in time, is let go.
                if let Ok(Ok(stream)) = tokio::time::timeout(HANDSHAKE, shaken).await {
                    self.answer(pin!(stream)).await;
                }
            }
        }
    }

    async fn answer(mut self, stream: Pin<&mut (impl AsyncRead + AsyncWrite)>) {
        let (peer, router) = (Peer(self.peer.ip()), self.router);
        let service = service_fn(move |request: Request<Incoming>| {
            let mut request = request.map(Body::new);
            request.extensions_mut().insert(peer);
            router.clone().oneshot(request)
        });
        let mut http = http1::Builder::new();
        http.timer(TokioTimer::new()).header_read_timeout(HEAD);
        http.max_buf_size(HEAD_BYTES).max_headers(HEAD_LINES);
        let mut connection = pin!(http.serve_connection(TokioIo::new(stream), service));
        // How it ended is the other side's business: cut, too slow, or not HTTP.
        tokio::select! {
            _ = connection.as_mut() => return,
            // An error says that the one who would tell is gone: as good as told.
            _ = self.stopping.wait_for(|stop| *stop) => connection.as_mut().graceful_shutdown(),
        }
        let _ = connection.await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_address_cannot_take_every_place_and_all_of_them_have_an_end() {
        let places = Places::default();
        let of = |last: u8| IpAddr::from([10, 0, 0, last]);
        let first: Vec<_> = std::iter::from_fn(|| places.take(of(1))).collect();
        assert_eq!(first.len(), MOST_OF_ONE);
        let second: Vec<_> = std::iter::from_fn(|| places.take(of(2))).collect();
        assert_eq!(first.len() + second.len(), MOST);
        assert!(places.take(of(3)).is_none());
        drop(first);
        assert!(places.take(of(1)).is_some());
        drop(second);
        assert!(places.0.lock().unwrap().of.is_empty(), "what is given back is forgotten");
    }
}
