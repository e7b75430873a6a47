//! The one sentence that an action leaves for the next page.
//!
//! A cookie and not a query parameter: no link can put words into the page's mouth.

use axum::http::{HeaderMap, HeaderValue};

use super::entry::cookie;

const NAME: &str = "sealbox_said";
const LONGEST: usize = 300;
/// Long enough for the redirect, short enough not to turn up on tomorrow's page.
const SECONDS: u32 = 20;

/// The header that leaves the sentence.
pub fn leave(said: &str) -> HeaderValue {
    let said: String = said.chars().take(LONGEST).collect();
    set(&hex::encode(said), SECONDS)
}

/// The header that takes it away once it is shown.
pub fn clear() -> HeaderValue {
    set("", 0)
}

fn set(value: &str, seconds: u32) -> HeaderValue {
    let cookie = format!("{NAME}={value}; Max-Age={seconds}; Path=/; HttpOnly; SameSite=Strict");
    HeaderValue::try_from(cookie).expect("hex and constants are visible ASCII")
}

/// What was left, if it is one of ours.
pub fn left(headers: &HeaderMap) -> Option<String> {
    let value = cookie(headers, NAME)?;
    let said = String::from_utf8(hex::decode(value).ok()?).ok()?;
    let shown: String = said.chars().filter(|c| !c.is_control()).take(LONGEST).collect();
    (!shown.is_empty()).then_some(shown)
}

#[cfg(test)]
mod tests {
    use axum::http::header;

    use super::*;

    fn brought(cookie: &str) -> Option<String> {
        let mut headers = HeaderMap::new();
        headers.insert(header::COOKIE, HeaderValue::from_str(cookie).unwrap());
        left(&headers)
    }

    #[test]
    fn what_was_left_is_found_again() {
        let set = leave("Retried P2 of sector 12 — done");
        let pair = set.to_str().unwrap().split(';').next().unwrap().to_owned();
        let said = brought(&format!("other=1; {pair}"));
        assert_eq!(said.as_deref(), Some("Retried P2 of sector 12 — done"));
    }

    #[test]
    fn what_is_not_ours_is_ignored() {
        for cookie in ["sealbox_said=zz", "sealbox_said=", "sealbox_said=ff", "a=b", ";;;"] {
            assert_eq!(brought(cookie), None, "{cookie}");
        }
    }

    #[test]
    fn no_sentence_is_longer_than_the_limit() {
        let pair = format!("{NAME}={}", hex::encode("x".repeat(5_000)));
        assert_eq!(brought(&pair).unwrap().len(), LONGEST);
    }
}
