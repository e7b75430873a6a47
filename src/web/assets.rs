//! The files of `static/`, carried in the binary.

use std::sync::LazyLock;

use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};

use super::error::{Named, PageError};

struct Asset {
    name: &'static str,
    content_type: &'static str,
    bytes: &'static [u8],
    /// The beginning of its BLAKE3: changes with the content, so the address can be kept for ever.
    version: String,
}

const CSS: &str = "text/css; charset=utf-8";
const JS: &str = "text/javascript; charset=utf-8";
const SVG: &str = "image/svg+xml";

macro_rules! asset {
    ($name:literal, $content_type:expr) => {
        Asset::new($name, $content_type, include_bytes!(concat!("../../static/", $name)))
    };
}

static ASSETS: LazyLock<[Asset; 9]> = LazyLock::new(|| {
    [
        asset!("sealbox.css", CSS),
        asset!("live.js", JS),
        asset!("charts.js", JS),
        asset!("icon.svg", SVG),
        asset!("vendor/htmx.min.js", JS),
        asset!("vendor/htmx-ext-sse.min.js", JS),
        asset!("vendor/idiomorph-ext.min.js", JS),
        asset!("vendor/uplot.min.js", JS),
        asset!("vendor/uplot.min.css", CSS),
    ]
});

impl Asset {
    fn new(name: &'static str, content_type: &'static str, bytes: &'static [u8]) -> Self {
        let digest = blake3::hash(bytes).to_hex();
        Self { name, content_type, bytes, version: digest.as_str()[..16].to_owned() }
    }

    fn named(name: &str) -> Option<&'static Self> {
        ASSETS.iter().find(|asset| asset.name == name)
    }
}

/// The address of a file of `static/`, with its version. A name that is not there is answered
/// without one, and 404 when it is asked for.
pub fn url(name: &str) -> String {
    match Asset::named(name) {
        Some(asset) => format!("/static/{name}?v={}", asset.version),
        None => format!("/static/{name}"),
    }
}

pub async fn serve(Named(name): Named, uri: Uri, headers: HeaderMap) -> Response {
    let Some(asset) = Asset::named(&name) else {
        return PageError::not_found(format!("no file {name} comes with sealbox")).into_response();
    };
    let tag = format!("\"{}\"", asset.version);
    let versioned = uri.query() == Some(&format!("v={}", asset.version));
    let caching = if versioned { "public, max-age=31536000, immutable" } else { "no-cache" };
    let head = [
        (header::CONTENT_TYPE, asset.content_type.to_owned()),
        (header::CACHE_CONTROL, caching.to_owned()),
        (header::ETAG, tag.clone()),
    ];
    let known =
        headers.get(header::IF_NONE_MATCH).is_some_and(|known| known.as_bytes() == tag.as_bytes());
    if known {
        return (StatusCode::NOT_MODIFIED, head).into_response();
    }
    (head, asset.bytes).into_response()
}
