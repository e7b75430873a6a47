//! Answers that have not changed are not sent again.

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::error::{Unanswered, answer};

/// Larger than any answer of the API.
const MOST: usize = 64 << 20;

/// Names what a GET is answered with, and says no more than that it is still so if the asker has it.
/// The answer is made all the same: this saves the line and the asker's work.
pub async fn tagged(request: Request, next: Next) -> Response {
    if request.method() != Method::GET {
        return next.run(request).await;
    }
    let path = request.uri().path().to_owned();
    let asked =
        request.headers().get_all(header::IF_NONE_MATCH).iter().cloned().collect::<Vec<_>>();
    let response = next.run(request).await;
    if response.status() != StatusCode::OK {
        return response;
    }
    let (mut parts, body) = response.into_parts();
    let Ok(body) = to_bytes(body, MOST).await else {
        let what = "the answer is too long";
        let why =
            Unanswered::new(StatusCode::INTERNAL_SERVER_ERROR, what, "ask for less at a time");
        return answer(&path, why);
    };
    // Of an answer that tells the time, its handler says what it is a tag of.
    let tag = parts.headers.get(header::ETAG).cloned().unwrap_or_else(|| tag(&body));
    parts.headers.insert(header::ETAG, tag.clone());
    // Kept, but asked about each time.
    parts.headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    if has(&asked, &tag) {
        let mut headers = HeaderMap::new();
        for name in [header::ETAG, header::CACHE_CONTROL] {
            headers.extend(parts.headers.get(&name).map(|value| (name, value.clone())));
        }
        return (StatusCode::NOT_MODIFIED, headers).into_response();
    }
    Response::from_parts(parts, Body::from(body))
}

/// A weak one: the same may be sent compressed or not.
pub fn tag(of: &Bytes) -> HeaderValue {
    let hash = blake3::hash(of).to_hex();
    let text = format!("W/\"{}\"", &hash.as_str()[..32]);
    HeaderValue::try_from(text).expect("hexadecimal digits can be in a header")
}

fn has(asked: &[HeaderValue], tag: &HeaderValue) -> bool {
    let strong = |text: &str| text.trim().trim_start_matches("W/").to_owned();
    let Ok(tag) = tag.to_str().map(strong) else { return false };
    let texts = asked.iter().filter_map(|value| value.to_str().ok());
    texts.flat_map(|text| text.split(',')).map(strong).any(|one| one == "*" || one == tag)
}
