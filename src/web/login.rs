//! The way in and out: a plain form, with or without JavaScript.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::OnceLock;
use std::sync::mpsc::{self, Sender};
use std::thread;
use std::time::Duration;

use askama::Template;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{Html, IntoResponse, Redirect, Response};
use axum::{Form, RequestExt as _};
use serde::Deserialize;
use tokio::sync::{Semaphore, oneshot};
use tokio::time::Instant;

use super::WebState;
use super::actions::own_address;
use super::entry::{cookie, peer, too_often};
use super::error::{PageError, Unanswered};
use super::show::now;
use crate::access::secret::Secret;
use crate::access::{AccessError, Claim, Role};

pub const PATH: &str = "/login";
pub const OUT: &str = "/logout";

/// Who guesses waits, who mistypes hardly notices.
const DELAY: Duration = Duration::from_secs(1);
/// One password is hashed at a time: it takes 19 MiB and a core that sealing wants.
static TURN: Semaphore = Semaphore::const_new(1);

/// The form's address, from which it leads back to `here`.
pub fn address(here: &str) -> String {
    let encoded: String = here
        .bytes()
        .map(|byte| match byte {
            b'/' | b'-' | b'_' | b'.' | b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' => {
                char::from(byte).to_string()
            }
            other => format!("%{other:02X}"),
        })
        .collect();
    format!("{PATH}?back={encoded}")
}

#[derive(Template)]
#[template(path = "login.html")]
struct LoginPage<'a> {
    back: &'a str,
    trouble: Option<&'a str>,
}

fn page(status: StatusCode, back: &str, trouble: Option<&str>) -> Response {
    match (LoginPage { back: own_address(back), trouble }).render() {
        Ok(text) => (status, Html(text)).into_response(),
        // Writing to a string cannot fail, and if it does the text itself still can be sent.
        Err(_) => (status, trouble.unwrap_or("no page").to_owned()).into_response(),
    }
}

#[derive(Debug, Default, Deserialize)]
pub struct Way {
    #[serde(default)]
    back: String,
}

pub async fn form(
    State(state): State<WebState>,
    headers: HeaderMap,
    way: Result<Query<Way>, QueryRejection>,
) -> Response {
    let Query(Way { back }) = way.unwrap_or_default();
    let session = cookie(&headers, &state.door.cookie);
    match state.door.access.caller(Claim { bearer: None, session }, now()) {
        Ok(_) => Redirect::to(own_address(&back)).into_response(),
        Err(_) => page(StatusCode::OK, &back, None),
    }
}

#[derive(Deserialize)]
struct SignIn {
    password: String,
    #[serde(default)]
    back: String,
}

pub async fn sign_in(State(state): State<WebState>, request: Request) -> Response {
    let (from, began) = (peer(&request), Instant::now());
    if let Err(wait) = state.door.access.sign_ins.take(from, std::time::Instant::now()) {
        return too_often(PATH, wait, "too many tries to sign in came from this address");
    }
    let fields = match request.extract::<Form<SignIn>, _>().await {
        Ok(Form(fields)) => fields,
        // Not its words: they may quote what was typed.
        Err(rejection) => {
            let mend = "open /login and use its form";
            let what = "this is not what the form sends";
            return PageError(Unanswered::new(rejection.status(), what, mend)).into_response();
        }
    };
    let back = own_address(&fields.back).to_owned();
    if state.door.access.is_open() {
        return Redirect::to(&back).into_response();
    }
    match try_password(&state, fields.password).await {
        Ok(Some((role, secret))) => {
            tracing::info!(%from, role = role.name(), "signed in");
            let cookie = session_cookie(&state, secret.shown(), role.session());
            ([(header::SET_COOKIE, cookie)], Redirect::to(&back)).into_response()
        }
        Ok(None) => {
            state.door.access.note_failed(from, now());
            tokio::time::sleep_until(began + DELAY).await;
            page(StatusCode::FORBIDDEN, &back, Some("That is not the password."))
        }
        Err(why) => PageError(why).into_response(),
    }
}

async fn try_password(
    state: &WebState,
    password: String,
) -> Result<Option<(Role, Secret)>, Unanswered> {
    let access = state.door.access.clone();
    in_turn(move || access.sign_in(&password, now())).await?.map_err(|error| unkept(&error))
}

/// On the one thread that hashes: the allocator keeps the 19 MiB for every thread that has ever
/// done it, and the runtime has many.
async fn in_turn<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Unanswered> {
    let turn = TURN.acquire().await.map_err(|_| cut_short())?;
    let (answer, answered) = oneshot::channel();
    let work = Box::new(move || {
        // Held until it is done, whether or not anybody still waits for the answer.
        let _turn = turn;
        let _ = answer.send(work());
    });
    hasher().send(work).map_err(|_| cut_short())?;
    answered.await.map_err(|_| cut_short())
}

type Work = Box<dyn FnOnce() + Send>;

fn hasher() -> &'static Sender<Work> {
    static HASHER: OnceLock<Sender<Work>> = OnceLock::new();
    HASHER.get_or_init(|| {
        let (sender, works) = mpsc::channel::<Work>();
        let run = move || {
            for work in works {
                // A defect in one is told to who waits for it, and the next has its turn.
                let _ = catch_unwind(AssertUnwindSafe(work));
            }
        };
        if let Err(error) = thread::Builder::new().name("sign-in".to_owned()).spawn(run) {
            tracing::error!("nobody can sign in: no thread can be started ({error})");
        }
        sender
    })
}

fn cut_short() -> Unanswered {
    let mend = "try again; if it stays, please report it with the log of this moment";
    Unanswered::new(StatusCode::SERVICE_UNAVAILABLE, "signing in was cut short", mend)
}

fn unkept(error: &AccessError) -> Unanswered {
    tracing::error!("{error}");
    let mend = "see that the data directory can be written, then try again; the log says more";
    Unanswered::new(StatusCode::SERVICE_UNAVAILABLE, "this session cannot be kept", mend)
}

pub async fn sign_out(State(state): State<WebState>, headers: HeaderMap) -> Response {
    if let Some(session) = cookie(&headers, &state.door.cookie).map(str::to_owned) {
        let access = state.door.access.clone();
        match in_turn(move || access.sign_out(&session)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => return PageError(unkept(&error)).into_response(),
            Err(why) => return PageError(why).into_response(),
        }
    }
    let gone = session_cookie(&state, "", Duration::ZERO);
    ([(header::SET_COOKIE, gone)], Redirect::to(PATH)).into_response()
}

fn session_cookie(state: &WebState, value: &str, lasts: Duration) -> HeaderValue {
    let (name, seconds) = (&state.door.cookie, lasts.as_secs());
    let secure = if state.door.secure { "; Secure" } else { "" };
    let cookie =
        format!("{name}={value}; Max-Age={seconds}; Path=/; HttpOnly; SameSite=Strict{secure}");
    HeaderValue::try_from(cookie).expect("hex, a port and constants are visible ASCII")
}
