//! Pages that many browsers renew at the same time, made once.
//!
//! Every change makes every open page fetch itself again. Those who look at the same page, and
//! may the same, get the same bytes: it is rendered and compressed for the first of them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::http::response::Parts;
use axum::http::{HeaderMap, HeaderName, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::{WebState, live};
use crate::access::{Caller, Shown};

/// Of what no version tells (disks, and the words for how long ago), this much may be old.
const FRESH: Duration = Duration::from_secs(1);
/// Kept at a time; more is a crowd of different pages, where nothing is gained.
const PAGES: usize = 64;
/// A request whose headers are longer is answered by itself.
const LONGEST: usize = 4096;
/// Larger than any page.
const MOST: usize = 8 << 20;
/// What an answer depends on beside the address and the caller.
const DEPENDS_ON: [HeaderName; 1] = [header::ACCEPT_ENCODING];

type Key = Vec<u8>;
/// Locked while the page is made: the others wait for it instead of making their own.
type Slot = Arc<tokio::sync::Mutex<Option<Kept>>>;

struct Kept {
    version: String,
    made: Instant,
    headers: HeaderMap,
    body: Bytes,
}

#[derive(Clone)]
pub struct Renewals {
    state: WebState,
    slots: Arc<Mutex<BTreeMap<Key, Slot>>>,
}

impl Renewals {
    pub fn new(state: WebState) -> Self {
        Self { state, slots: Arc::default() }
    }

    fn slot(&self, key: Key) -> Slot {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        if slots.len() >= PAGES && !slots.contains_key(&key) {
            slots.clear();
        }
        Arc::clone(slots.entry(key).or_default())
    }
}

/// Answers a renewal with what was made for another, if nothing has changed since.
pub async fn once(State(renewals): State<Renewals>, request: Request, next: Next) -> Response {
    let Some(key) = key(&request) else { return next.run(request).await };
    let slot = renewals.slot(key);
    let mut kept = slot.lock().await;
    // Before the page is made: what changes meanwhile makes it old.
    let version = version(&renewals.state, request.uri().path());
    if let Some(kept) = &*kept
        && kept.version == version
        && kept.made.elapsed() < FRESH
    {
        return (kept.headers.clone(), kept.body.clone()).into_response();
    }
    let made = Instant::now();
    let (parts, body) = next.run(request).await.into_parts();
    if !can_be_kept(&parts) {
        *kept = None;
        return Response::from_parts(parts, body);
    }
    let Ok(body) = to_bytes(body, MOST).await else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    *kept = Some(Kept { version, made, headers: parts.headers.clone(), body: body.clone() });
    Response::from_parts(parts, Body::from(body))
}

/// What shows a log is old with its next line.
fn version(state: &WebState, path: &str) -> String {
    let shows_log = ["/logs", "/sectors/"].iter().any(|start| path.starts_with(start));
    let lines = if shows_log { *state.logs.moved().borrow() } else { 0 };
    format!("{}-{lines}", live::version(state))
}

/// None for what is no renewal.
fn key(request: &Request) -> Option<Key> {
    let headers = request.headers();
    if request.method() != Method::GET || !headers.contains_key("hx-request") {
        return None;
    }
    // A page knows of a caller how much he may and whether he can sign out, and not who he is.
    let Caller { role, shown } = request.extensions().get()?;
    let mut key = request.uri().path_and_query()?.as_str().as_bytes().to_vec();
    key.extend_from_slice(format!("\n{} {}", role.name(), *shown == Shown::Session).as_bytes());
    for value in DEPENDS_ON.iter().flat_map(|name| headers.get_all(name)) {
        key.push(b'\n');
        key.extend_from_slice(value.as_bytes());
    }
    (key.len() <= LONGEST).then_some(key)
}

/// A page, and nothing else: the live connection has no end to read to, and a table as CSV may be
/// longer than what is kept.
fn can_be_kept(parts: &Parts) -> bool {
    let of_kind = parts.headers.get(header::CONTENT_TYPE);
    let is_page = of_kind.is_some_and(|of_kind| of_kind.as_bytes().starts_with(b"text/html"));
    is_page && parts.status == StatusCode::OK && !parts.headers.contains_key(header::SET_COOKIE)
}
