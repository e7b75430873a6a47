//! Who may ask, and what every answer carries.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::header::{self, HeaderName};
use axum::http::{HeaderValue, StatusCode, Uri};
use axum::middleware::Next;
use axum::response::Response;

use super::error::{Unanswered, answer};
use crate::config::{Config, Web};

/// A request carries no more than this, in bytes.
pub const BODY_LIMIT: usize = 64 * 1024;

const PATIENCE: Duration = Duration::from_secs(30);

const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
    img-src 'self' data:; connect-src 'self'; form-action 'self'; base-uri 'none'; \
    frame-ancestors 'none'";

const HEADERS: [(HeaderName, HeaderValue); 6] = [
    (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY)),
    (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    (header::REFERRER_POLICY, HeaderValue::from_static("same-origin")),
    (header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY")),
    (
        HeaderName::from_static("cross-origin-opener-policy"),
        HeaderValue::from_static("same-origin"),
    ),
    (
        HeaderName::from_static("cross-origin-resource-policy"),
        HeaderValue::from_static("same-origin"),
    ),
];

/// Puts the security headers on every answer; pages and data are not kept by caches.
pub async fn headers(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    for (name, value) in HEADERS {
        headers.insert(name, value);
    }
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}

/// What this box is called, beside `localhost`.
#[derive(Debug, Clone)]
pub struct Names {
    pub listen: SocketAddr,
    hosts: Arc<[String]>,
    tls: bool,
}

impl Names {
    pub fn of(config: &Config) -> Self {
        let hosts = config.hosts.as_slice().into();
        Self { listen: config.listen, hosts, tls: config.tls.is_some() }
    }

    pub fn url(&self) -> String {
        Web::url(self.listen, &self.hosts, self.tls)
    }

    fn are_asked_for(&self, host: &str) -> bool {
        let Ok(uri) = host.parse::<Uri>() else { return false };
        let Some(name) = uri.host() else { return false };
        let bare = name.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(name);
        let listen = self.listen.ip();
        match bare.parse::<IpAddr>() {
            // An address cannot be rebound. On all interfaces the box has addresses not known here.
            Ok(ip) => ip.is_loopback() || ip == listen || listen.is_unspecified(),
            Err(_) => {
                let name = bare.trim_end_matches('.').to_ascii_lowercase();
                name == "localhost" || self.hosts.contains(&name)
            }
        }
    }
}

/// Refuses a request that was sent to a name that is not ours: a stranger's page whose own name
/// was pointed at this address (DNS rebinding) would otherwise be the same origin as this one.
pub async fn host(State(names): State<Names>, request: Request, next: Next) -> Response {
    // HTTP/2 and absolute-form requests name the host in the address itself.
    let named = match request.uri().authority() {
        Some(authority) => Some(authority.as_str().to_owned()),
        None => request
            .headers()
            .get(header::HOST)
            .and_then(|host| host.to_str().ok().map(str::to_owned)),
    };
    match named {
        Some(name) if names.are_asked_for(&name) => next.run(request).await,
        Some(_) | None => answer(
            request.uri().path(),
            Unanswered::new(
                StatusCode::FORBIDDEN,
                "this request names a host that is not this box",
                format!("open {}/, or put the name into `[web] hosts`", names.url()),
            ),
        ),
    }
}

/// How a request from another site's page is refused.
pub fn cross_site() -> Unanswered {
    Unanswered::new(
        StatusCode::FORBIDDEN,
        "this request came from another site's page, so nothing was done",
        "open the page of this box itself and press the button there",
    )
}

/// Gives up on a request that takes too long, a slowly sent body included.
pub async fn patience(request: Request, next: Next) -> Response {
    let path = request.uri().path().to_owned();
    match tokio::time::timeout(PATIENCE, next.run(request)).await {
        Ok(response) => response,
        Err(_) => answer(
            &path,
            Unanswered::new(
                StatusCode::SERVICE_UNAVAILABLE,
                format!("no answer within {} s", PATIENCE.as_secs()),
                "look whether the disk of the data directory hangs (`dmesg`); \
                 what was asked for may still be carried out: look before asking again",
            ),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_box_s_own_names_are_ours() {
        let names = |listen: &str| Names {
            listen: listen.parse().unwrap(),
            hosts: ["box.lab".to_owned()].into(),
            tls: false,
        };
        let loopback = names("127.0.0.1:3456");
        for host in [
            "localhost",
            "LOCALHOST:3456",
            "127.0.0.1:3456",
            "127.0.0.1",
            "[::1]:3456",
            "localhost.:1",
            "box.lab:3456",
            "Box.Lab.",
        ] {
            assert!(loopback.are_asked_for(host), "{host}");
        }
        for host in [
            "evil.example",
            "evil.example:3456",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "10.0.0.1:3456",
            "a.box.lab",
            "",
            " ",
            "[::1",
            "a b",
        ] {
            assert!(!loopback.are_asked_for(host), "{host}");
        }
        let all = names("0.0.0.0:3456");
        assert!(all.are_asked_for("10.0.0.1:3456"));
        assert!(!all.are_asked_for("box.example"));
    }
}
