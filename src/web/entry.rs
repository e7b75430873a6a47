//! Who is let in, and what for: stands before every page and every address of the API.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::extract::{FromRequestParts, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Redirect, Response};

use futures_util::StreamExt as _;

use super::error::{Unanswered, answer};
use super::guard::BODY_LIMIT;
use super::login;
use super::serve::Peer;
use super::show::now;
use crate::access::{Access, Caller, Claim, Denied, Role, Shown};

/// A body of 64 KiB takes no longer on any line that is worth waiting for.
const BODY_PATIENCE: Duration = Duration::from_secs(10);

/// A body that is too long is read this far: else the answer is lost with the connection, which is
/// reset while the other side still sends.
const HEARD_OUT: usize = 1 << 20;

/// What the guards at the door need.
#[derive(Clone)]
pub struct Door {
    pub access: Arc<Access>,
    /// The session cookie's name: two boxes of one host do not sign each other's people out.
    pub cookie: Arc<str>,
    pub secure: bool,
}

impl Door {
    pub fn new(access: Arc<Access>, port: u16, secure: bool) -> Self {
        // With this prefix browsers take it from this very host alone, over HTTPS.
        let prefix = if secure { "__Host-" } else { "" };
        Self { access, cookie: format!("{prefix}sealbox_{port}").into(), secure }
    }
}

/// What concerns nobody: how the page looks, and the way in and out.
fn is_for_all(path: &str) -> bool {
    path.starts_with("/static/") || path == login::PATH || path == login::OUT
}

/// Lets in who may, and leaves word of who it is for what comes after.
pub async fn admit(State(door): State<Door>, mut request: Request, next: Next) -> Response {
    if is_for_all(request.uri().path()) {
        return next.run(request).await;
    }
    let claim = Claim {
        bearer: bearer(request.headers()),
        session: cookie(request.headers(), &door.cookie),
    };
    let caller = match door.access.caller(claim, now()) {
        Ok(caller) => caller,
        Err(denied) => {
            match denied {
                Denied::WrongToken => door.access.note_failed(peer(&request), now()),
                Denied::SignIn | Denied::Expired { .. } => {}
            }
            return way_in(&request, denied);
        }
    };
    match may(&caller, request.method(), request.uri().path()) {
        Ok(()) => {
            request.extensions_mut().insert(caller);
            next.run(request).await
        }
        Err(why) => answer(request.uri().path(), why),
    }
}

fn may(caller: &Caller, method: &Method, path: &str) -> Result<(), Unanswered> {
    let refused = |what: &str, mend: &str| Err(Unanswered::new(StatusCode::FORBIDDEN, what, mend));
    match caller.role {
        Role::Operator => Ok(()),
        Role::Viewer if is_look(method) => Ok(()),
        Role::Viewer => refused(
            "a viewer may look and press nothing, so nothing was done",
            "sign out, and in again with the operator's password; or use an operator's token",
        ),
        Role::Metrics if path == "/metrics" && is_look(method) => Ok(()),
        Role::Metrics => refused(
            "this token is for /metrics alone",
            "use a viewer's token (`sealbox token create NAME --role viewer`)",
        ),
    }
}

fn is_look(method: &Method) -> bool {
    *method == Method::GET || *method == Method::HEAD
}

/// Programs and the page's own requests are told; who opens a page is led to the form.
fn way_in(request: &Request, denied: Denied) -> Response {
    let path = request.uri().path();
    let here = request.uri().path_and_query().map_or("/", |here| here.as_str());
    let form = login::address(here);
    let renewal = request.headers().contains_key("hx-request");
    let api = path.starts_with("/api/") || path == "/metrics";
    let asks_for_page = is_look(request.method()) && path != "/live" && !api && !renewal;
    if asks_for_page && denied == Denied::SignIn {
        return Redirect::to(&form).into_response();
    }
    let (what, mend) = match denied {
        Denied::SignIn if api => (
            "this box asks who you are".to_owned(),
            "make a token with `sealbox token create NAME` and send it as `Authorization: Bearer`; \
             sealbox's own commands take it from SEALBOX_TOKEN or `--token`",
        ),
        Denied::SignIn => (
            "you are not signed in, or not any more; nothing was done".to_owned(),
            "sign in at /login, then do it again",
        ),
        Denied::WrongToken => (
            "this box knows no such token".to_owned(),
            "see `sealbox token list`; make a new one with `sealbox token create NAME`",
        ),
        Denied::Expired { name } => {
            (format!("token {name} has expired"), "make a new one with `sealbox token create NAME`")
        }
    };
    let mut response = answer(path, Unanswered::new(StatusCode::UNAUTHORIZED, what, mend));
    let headers = response.headers_mut();
    headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    if renewal && let Ok(form) = HeaderValue::try_from(form) {
        headers.insert("hx-redirect", form);
    }
    response
}

/// Whoever presses too often has to wait: each change costs a sync of the journal.
pub async fn slow_down(State(door): State<Door>, request: Request, next: Next) -> Response {
    if is_look(request.method()) {
        return next.run(request).await;
    }
    match door.access.changes.take(peer(&request), Instant::now()) {
        Ok(()) => next.run(request).await,
        Err(wait) => too_often(
            request.uri().path(),
            wait,
            "too many changes were asked for from this address; this one was not done",
        ),
    }
}

/// 429, with when to come back.
pub fn too_often(path: &str, wait: Duration, what: &str) -> Response {
    let seconds = wait.as_secs() + 1;
    let mend = format!("ask again in {seconds} s");
    let mut response = answer(path, Unanswered::new(StatusCode::TOO_MANY_REQUESTS, what, mend));
    response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    response
}

/// Reads the body, so that whoever sends it slowly, or too much of it, is told so here, on every
/// address alike.
pub async fn whole_body(request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    let path = parts.uri.path().to_owned();
    let why = match tokio::time::timeout(BODY_PATIENCE, read(body)).await {
        Ok(Some(bytes)) => return next.run(Request::from_parts(parts, bytes.into())).await,
        Ok(None) => Unanswered::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            format!("this request's body is longer than {} KiB", BODY_LIMIT / 1_024),
            "send less: no form and no order of this box is as long",
        ),
        Err(_) => {
            let what = format!("the body did not come within {} s", BODY_PATIENCE.as_secs());
            Unanswered::new(StatusCode::REQUEST_TIMEOUT, what, "send it in one go")
        }
    };
    let mut response = answer(&path, why);
    // What was not read must not be taken for the next request.
    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    response
}

/// None if it is too long, or ends before its end.
async fn read(body: Body) -> Option<Vec<u8>> {
    let (mut pieces, mut whole, mut seen) = (body.into_data_stream(), Vec::new(), 0);
    while let Some(piece) = pieces.next().await {
        let piece = piece.ok()?;
        seen += piece.len();
        if seen <= BODY_LIMIT {
            whole.extend_from_slice(&piece);
        } else if seen > HEARD_OUT {
            return None;
        }
    }
    (seen <= BODY_LIMIT).then_some(whole)
}

/// Where a request came from; this machine, if it came through no connection.
pub fn peer(request: &Request) -> IpAddr {
    request.extensions().get().map_or(IpAddr::V4(Ipv4Addr::LOCALHOST), |Peer(address)| *address)
}

/// What a browser brought by this name.
pub fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let cookies = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    cookies
        .flat_map(|line| line.split(';'))
        .find_map(|pair| pair.trim().strip_prefix(name)?.strip_prefix('='))
}

/// What is sent as `Authorization: Bearer`. Another scheme is a token that is wrong.
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let sent = headers.get(header::AUTHORIZATION)?.to_str().unwrap_or_default();
    let (scheme, token) = sent.split_once(' ').unwrap_or_default();
    Some(if scheme.eq_ignore_ascii_case("bearer") { token.trim() } else { "" })
}

/// Who asked, for the history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct By(pub String);

impl<S: Sync> FromRequestParts<S> for By {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Response> {
        let Some(caller) = parts.extensions.get::<Caller>() else {
            // No address that acts is for all; if one ever were, it would do nothing.
            let mend = "please report it with the log of this moment";
            let what = "nobody knows who asked; nothing was done";
            let why = Unanswered::new(StatusCode::UNAUTHORIZED, what, mend);
            return Err(answer(parts.uri.path(), why));
        };
        let agent = parts.headers.get(header::USER_AGENT).and_then(|agent| agent.to_str().ok());
        let from = match agent {
            Some(_) | None if !parts.uri.path().starts_with("/api/") => "the page",
            Some(agent) if agent.starts_with("sealbox/") => "the command line",
            Some(_) | None => "the API",
        };
        Ok(Self(match &caller.shown {
            Shown::Nothing => from.to_owned(),
            Shown::Session => format!("{from} ({})", caller.role.name()),
            Shown::Token(name) => format!("token {name}"),
            Shown::Local => "the command line".to_owned(),
        }))
    }
}
