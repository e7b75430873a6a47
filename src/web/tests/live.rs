//! The live connection: wakes on change, and only then.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use futures_util::StreamExt;
use tokio::sync::{mpsc, watch};
use tower::ServiceExt;

use super::pages::PAGES;
use super::site::{Site, ask};
use crate::access::kept::{self, Token};
use crate::access::secret::Secret;
use crate::access::{AccessError, Role};
use crate::domain::ids::SectorNumber;
use crate::logs::{self, About, LineId};
use crate::scheduler::Handle;
use crate::scheduler::view::BoxView;
use crate::web::{WebState, live, router, show};

struct Line {
    /// Its store is read.
    site: Site,
    state: WebState,
    views: watch::Sender<Arc<BoxView>>,
    changes: watch::Sender<u64>,
}

fn line() -> Line {
    let site = Site::empty();
    let (mut state, _scheduler) = site.state();
    let (ask, _asks) = mpsc::channel(1);
    let (views, seen) = watch::channel(Arc::new(site.view()));
    let (changes, changed) = watch::channel(0);
    state.handle = Handle::new(ask, seen);
    state.changes = changed;
    Line { site, state, views, changes }
}

/// The next message's name; none if the connection ended.
async fn heard(body: &mut axum::body::BodyDataStream) -> Option<String> {
    let bytes = body.next().await?.unwrap();
    let text = String::from_utf8(bytes.to_vec()).unwrap();
    Some(text.lines().next().unwrap().strip_prefix("event: ").unwrap().to_owned())
}

async fn connect(state: &WebState, seen: &str) -> axum::body::BodyDataStream {
    let request = ask("GET", &format!("/live?seen={seen}")).body(Body::empty()).unwrap();
    let response = router(state.clone()).oneshot(request).await.unwrap();
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    assert!(response.headers().get("content-encoding").is_none());
    response.into_body().into_data_stream()
}

#[tokio::test(start_paused = true)]
async fn a_page_that_is_abreast_is_told_only_of_changes() {
    let line = line();
    let mut body = connect(&line.state, &live::version(&line.state)).await;
    assert_eq!(heard(&mut body).await.unwrap(), "beat");
    line.views.send_modify(|_| {});
    assert_eq!(heard(&mut body).await.unwrap(), "changed");
    assert_eq!(heard(&mut body).await.unwrap(), "beat");
    line.changes.send_modify(|count| *count += 1);
    assert_eq!(heard(&mut body).await.unwrap(), "changed");
}

#[tokio::test(start_paused = true)]
async fn a_page_that_is_behind_is_told_at_once() {
    let line = line();
    let begun = tokio::time::Instant::now();
    let mut body = connect(&line.state, "0-0-0").await;
    assert_eq!(heard(&mut body).await.unwrap(), "changed");
    assert!(begun.elapsed() < Duration::from_millis(10));
}

#[tokio::test(start_paused = true)]
async fn a_storm_of_changes_is_told_four_times_a_second() {
    let line = line();
    let mut body = connect(&line.state, "").await;
    heard(&mut body).await.unwrap();
    let begun = tokio::time::Instant::now();
    for _ in 0..8 {
        (0..100).for_each(|_| line.views.send_modify(|_| {}));
        assert_eq!(heard(&mut body).await.unwrap(), "changed");
    }
    assert!(begun.elapsed() >= Duration::from_secs(2), "{:?}", begun.elapsed());
}

#[tokio::test(start_paused = true)]
async fn who_follows_a_log_is_told_of_that_one_and_of_no_other() {
    let line = line();
    let all = &line.state.logs;
    let logs = |sector| {
        let about = About { sector: Some(SectorNumber(sector)), ..About::default() };
        let one = logs::Line::own(LineId::default(), "anything".to_owned());
        all.take(logs::Line { about, ..one });
        all.flush();
    };
    logs(8);
    let version = live::version(&line.state);
    let mut of_sector = connect(&line.state, &format!("{version}&log=7")).await;
    let mut of_box = connect(&line.state, &format!("{version}&log=box")).await;
    let mut of_none = connect(&line.state, &format!("{version}&log=%3Cscript%3E")).await;
    assert_eq!(heard(&mut of_box).await.unwrap(), "log", "of what came before it connected");
    // The pause between two tellings is shorter than two beats.
    let quiet = ["beat", "beat"].map(str::to_owned);
    assert_eq!(two(&mut of_sector).await, quiet);
    logs(7);
    assert_eq!(heard(&mut of_sector).await.unwrap(), "log");
    assert!(two(&mut of_box).await.contains(&"log".to_owned()));
    logs(8);
    assert_eq!(two(&mut of_sector).await, quiet);
    assert_eq!(two(&mut of_none).await, quiet);
}

async fn two(body: &mut axum::body::BodyDataStream) -> [String; 2] {
    [heard(body).await.unwrap(), heard(body).await.unwrap()]
}

#[tokio::test(start_paused = true)]
async fn the_connection_ends_with_the_scheduler() {
    let line = line();
    let mut body = connect(&line.state, &live::version(&line.state)).await;
    drop(line.views);
    assert_eq!(heard(&mut body).await, None);
}

/// The first page for a browser with this cookie, a moment after whatever was made before.
async fn renewed(line: &Line, router: &axum::Router, cookie: &str, is_renewal: bool) -> String {
    let before = show::now();
    while show::now() == before {
        std::hint::spin_loop();
    }
    let mut request = ask("GET", "/").header("cookie", cookie);
    if is_renewal {
        request = request.header("hx-request", "true");
    }
    let response = router.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
    assert_eq!(response.status(), 200, "{:?}", live::version(&line.state));
    let body = axum::body::to_bytes(response.into_body(), 1 << 20).await.unwrap();
    String::from_utf8(body.to_vec()).unwrap()
}

#[tokio::test]
async fn an_open_page_is_sent_its_live_part_alone_and_a_new_one_holds_the_same_part() {
    let line = line();
    let router = router(line.state.clone());
    for path in PAGES {
        let [part, whole] = [true, false].map(|is_renewal| page(&router, path, is_renewal));
        let (part, whole) = (part.await, whole.await);
        assert!(part.trim_start().starts_with("<div id=\"live\""), "{path}: {part}");
        assert!(!part.contains("<script"), "{path}: the head is not sent again");
        assert!(!part.contains("sse-connect"), "{path}: what stands round it stays");
        let timeless = |text: &str| text.replace(|c: char| c.is_ascii_digit(), "");
        assert!(timeless(&whole).contains(timeless(&part).trim()), "{path}");
    }
}

async fn page(router: &axum::Router, path: &str, is_renewal: bool) -> String {
    let mut request = ask("GET", path);
    if is_renewal {
        request = request.header("hx-request", "true");
    }
    let response = router.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
    assert_eq!(response.status(), 200, "{path}");
    let body = axum::body::to_bytes(response.into_body(), 1 << 20).await.unwrap();
    String::from_utf8(body.to_vec()).unwrap()
}

#[tokio::test]
async fn a_renewal_is_made_once_for_all_who_ask_until_something_changes() {
    let line = line();
    let router = router(line.state.clone());
    let first = renewed(&line, &router, "a=1", true).await;
    assert_eq!(renewed(&line, &router, "a=1", true).await, first);
    assert_eq!(renewed(&line, &router, "a=2", true).await, first, "who may the same sees the same");
    assert_ne!(renewed(&line, &router, "a=1", false).await, first, "a page that is opened");
    line.changes.send_modify(|count| *count += 1);
    assert_ne!(renewed(&line, &router, "a=1", true).await, first, "an old page");
}

#[tokio::test]
async fn a_part_of_a_log_is_never_one_that_was_made_before_its_last_line() {
    let line = line();
    let router = router(line.state.clone());
    for number in 0..3 {
        let said = format!("number {number}");
        line.state.logs.take(logs::Line::own(LineId::default(), said.clone()));
        let request = ask("GET", "/logs/lines").header("hx-request", "true");
        let response = router.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
        let body = axum::body::to_bytes(response.into_body(), 1 << 20).await.unwrap();
        assert!(String::from_utf8_lossy(&body).contains(&said), "{said}");
    }
}

#[tokio::test]
async fn what_was_made_for_an_operator_is_handed_to_no_viewer_and_no_stranger() {
    let line = line();
    let router = router(line.state.clone());
    assert!(renewed(&line, &router, "a=1", true).await.contains("method=\"post\""));
    let secret = Secret::draw();
    let (name, role, digest) = ("wall".to_owned(), Role::Viewer, secret.digest());
    let token = Token { name, role, digest, created: show::now(), expires: None };
    let changed = kept::change::<(), AccessError>(line.site.dir.path(), |kept| {
        kept.tokens.push(token);
        Ok(())
    });
    changed.unwrap();
    for (token, status) in [(secret.shown(), 200), ("forged", 401)] {
        let request = ask("GET", "/").header("hx-request", "true");
        let request = request.header("authorization", format!("Bearer {token}"));
        let response = router.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
        assert_eq!(response.status(), status);
        let body = axum::body::to_bytes(response.into_body(), 1 << 20).await.unwrap();
        assert!(!String::from_utf8(body.to_vec()).unwrap().contains("method=\"post\""), "{token}");
    }
}

#[tokio::test]
async fn a_live_connection_is_not_read_to_its_end_for_others() {
    let line = line();
    let request = ask("GET", "/live").header("hx-request", "true").body(Body::empty()).unwrap();
    let answered = router(line.state.clone()).oneshot(request);
    let answered = tokio::time::timeout(Duration::from_secs(20), answered).await;
    assert_eq!(answered.expect("it is answered at once").unwrap().status(), 200);
}

#[tokio::test]
async fn an_open_live_connection_does_not_hold_up_the_stop() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let line = line();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let shutdown = async {
        let _ = stopped.await;
    };
    let served =
        tokio::spawn(crate::web::serve(listener, None, router(line.state.clone()), shutdown));
    let mut browser = tokio::net::TcpStream::connect(address).await.unwrap();
    browser.write_all(b"GET /live HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    let mut head = [0; 12];
    browser.read_exact(&mut head).await.unwrap();
    assert_eq!(&head, b"HTTP/1.1 200");
    stop.send(()).unwrap();
    let bounded = tokio::time::timeout(Duration::from_secs(20), served).await;
    bounded.expect("the stop waits for no browser").unwrap();
}
