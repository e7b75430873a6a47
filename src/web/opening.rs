//! What the port answers while the store is opened, and how the pages take over from it.

use std::sync::{Arc, OnceLock};

use askama::Template;
use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::middleware::{from_fn, from_fn_with_state};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;
use tower::ServiceExt as _;

use super::assets;
use super::error::{Problem, Unanswered};
use super::guard::{self, Names};
use super::show::{grouped, span};
use crate::store::{Opening, Rebuild};

const MEND: &str = "wait: sealbox goes on by itself when this is done, and nothing is lost";
/// Pages renew themselves, and programs are asked to come back, after so many seconds.
const AGAIN: u8 = 1;

/// The place of the real pages, empty until the store is open.
#[derive(Debug, Clone, Default)]
pub struct Pages(Arc<OnceLock<Router>>);

impl Pages {
    /// From here on every request is these pages'; connections that are open stay open.
    pub fn take_over(&self, router: Router) {
        // There is one start in a process, so nothing can be there yet.
        let _ = self.0.set(router);
    }
}

#[derive(Clone)]
struct Front {
    pages: Pages,
    waiting: Router,
}

/// Answers with the pages once they are there, and until then with how far the opening is.
pub fn front(pages: Pages, names: Names, opening: Arc<Opening>) -> Router {
    let waiting = Router::new()
        .route("/static/{*name}", get(assets::serve))
        .fallback(not_yet)
        .layer(from_fn_with_state(names, guard::host))
        .layer(from_fn(guard::headers))
        .with_state(opening);
    Router::new().fallback(pass_on).with_state(Front { pages, waiting })
}

async fn pass_on(State(front): State<Front>, request: Request) -> Response {
    let router = front.pages.0.get().unwrap_or(&front.waiting).clone();
    router.oneshot(request).await.unwrap_or_else(|never| match never {})
}

#[derive(Template)]
#[template(path = "opening.html")]
struct OpeningPage {
    what: String,
    mend: &'static str,
    /// How often a browser asks again, and where if not for the same page.
    refresh: String,
}

async fn not_yet(State(opening): State<Arc<Opening>>, request: Request) -> Response {
    let what = words(opening.rebuild());
    let mut response = if request.uri().path().starts_with("/api/") {
        let why = Unanswered::new(StatusCode::SERVICE_UNAVAILABLE, what, MEND);
        Problem(why).into_response()
    } else {
        // What a form sent is not sent again by itself.
        let refresh = match *request.method() {
            Method::GET => AGAIN.to_string(),
            _ => format!("{AGAIN};url=/"),
        };
        let page = OpeningPage { what: what.clone(), mend: MEND, refresh };
        let text = page.render().map_or_else(|_| what.into_response(), |t| Html(t).into_response());
        (StatusCode::SERVICE_UNAVAILABLE, text).into_response()
    };
    response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(u16::from(AGAIN)));
    response
}

fn words(rebuild: Option<Rebuild>) -> String {
    let Some(rebuild) = rebuild else { return "opening the store".to_owned() };
    let (done, total) = (grouped(rebuild.done.0), grouped(rebuild.total.0));
    let left = rebuild.left().map(|left| format!(", about {} left", span(left)));
    let left = left.unwrap_or_default();
    format!("rebuilding the state from the journal: {done} of {total} entries{left}")
}
