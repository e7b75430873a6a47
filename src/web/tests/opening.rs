//! The port before the store is open, and the moment when it is.

use std::sync::Arc;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{Request, Response};
use tower::ServiceExt;

use super::site::{Site, ask, built_in};
use crate::domain::units::Seq;
use crate::store::Opening;
use crate::web::guard::Names;
use crate::web::opening::{Pages, front};
use crate::web::router;

struct Port {
    opening: Arc<Opening>,
    pages: Pages,
    router: Router,
}

fn port() -> Port {
    let (opening, pages) = (Arc::<Opening>::default(), Pages::default());
    let names = Names::of(&built_in());
    let router = front(pages.clone(), names, Arc::clone(&opening));
    Port { opening, pages, router }
}

impl Port {
    async fn send(&self, request: Request<Body>) -> (Response<()>, String) {
        let (head, body) = self.router.clone().oneshot(request).await.unwrap().into_parts();
        let bytes = to_bytes(body, usize::MAX).await.unwrap();
        (Response::from_parts(head, ()), String::from_utf8(bytes.to_vec()).unwrap())
    }

    async fn ask(&self, method: &str, path: &str) -> (Response<()>, String) {
        self.send(ask(method, path).body(Body::empty()).unwrap()).await
    }
}

#[tokio::test]
async fn every_page_says_how_far_the_rebuild_is_and_renews_itself() {
    let port = port();
    let (_, text) = port.ask("GET", "/").await;
    assert!(text.contains("opening the store"), "{text}");
    port.opening.begin(Seq(0), Seq(1_800_000));
    port.opening.at(Seq(450_000));
    for path in ["/", "/sectors/7", "/live", "/nothing"] {
        let (head, text) = port.ask("GET", path).await;
        assert_eq!(head.status(), 503);
        assert_eq!(head.headers()["retry-after"], "1");
        assert_eq!(head.headers()["cache-control"], "no-store");
        let said = "rebuilding the state from the journal: 450,000 of 1,800,000 entries, about ";
        assert!(text.contains(said), "{text}");
        assert!(text.contains(r#"http-equiv="refresh" content="1""#), "{text}");
    }
    let (_, text) = port.ask("POST", "/orders").await;
    assert!(text.contains(r#"content="1;url=/""#), "{text}");
    assert_eq!(port.ask("GET", "/static/sealbox.css").await.0.status(), 200);
}

#[tokio::test]
async fn the_api_says_the_same_as_a_problem() {
    let port = port();
    port.opening.begin(Seq(0), Seq(30));
    let (head, text) = port.ask("POST", "/api/v1/orders").await;
    assert_eq!(head.status(), 503);
    assert_eq!(head.headers()["retry-after"], "1");
    assert_eq!(head.headers()["content-type"], "application/problem+json");
    let problem: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(problem["detail"], "rebuilding the state from the journal: 0 of 30 entries");
    assert!(problem["mend"].as_str().is_some_and(|mend| !mend.is_empty()));
}

#[tokio::test]
async fn a_forged_host_does_not_learn_that_the_store_is_opened() {
    let request = Request::builder().uri("/").header("host", "evil.example");
    let (head, text) = port().send(request.body(Body::empty()).unwrap()).await;
    assert_eq!(head.status(), 403);
    assert!(!text.contains("store"), "{text}");
}

#[tokio::test]
async fn the_pages_take_over_at_the_same_address() {
    let port = port();
    assert_eq!(port.ask("GET", "/").await.0.status(), 503);
    let site = Site::empty();
    let (state, _scheduler) = site.state();
    port.pages.take_over(router(state));
    let (head, text) = port.ask("GET", "/").await;
    assert_eq!(head.status(), 200);
    assert!(text.contains("Overview"), "{text}");
    assert_eq!(port.ask("GET", "/api/v1/status").await.0.status(), 200);
}
