//! The one sentence that an action leaves for the next page.
//!
//! A cookie and not a query parameter: no link can put words into the page's mouth.

use axum::http::{HeaderMap, HeaderValue};

use super::entry::cookie;
use super::undo::Undo;

const NAME: &str = "sealbox_said";
/// A cookie may have 4 KiB: every character may be 4 bytes, written as 8 digits.
const LONGEST: usize = 480;
/// Between the sentence and the undo.
const UNDO: char = '\n';
/// Long enough for the redirect, short enough not to turn up on tomorrow's page.
const SECONDS: u32 = 20;

/// What was done, and how it is taken back if it can be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    pub words: String,
    pub undo: Option<Undo>,
}

/// The header that leaves the sentence.
pub fn leave(words: &str, undo: Option<Undo>) -> HeaderValue {
    let mut said: String = words.chars().take(LONGEST).collect();
    if let Some(undo) = undo {
        said.push(UNDO);
        said.push_str(&undo.to_string());
    }
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
pub fn left(headers: &HeaderMap) -> Option<Said> {
    let value = cookie(headers, NAME)?;
    let said = String::from_utf8(hex::decode(value).ok()?).ok()?;
    let (words, undo) = said.split_once(UNDO).unwrap_or((&said, ""));
    let words: String = words.chars().filter(|c| !c.is_control()).take(LONGEST).collect();
    (!words.is_empty()).then(|| Said { words, undo: undo.parse().ok() })
}

#[cfg(test)]
mod tests {
    use axum::http::header;

    use super::*;

    fn brought(cookie: &str) -> Option<Said> {
        let mut headers = HeaderMap::new();
        headers.insert(header::COOKIE, HeaderValue::from_str(cookie).unwrap());
        left(&headers)
    }

    #[test]
    fn what_was_left_is_found_again() {
        for undo in [None, Some(Undo::ResumeIntake)] {
            let words = "Retried P2 of sector 12 — done".to_owned();
            let set = leave(&words, undo);
            let pair = set.to_str().unwrap().split(';').next().unwrap().to_owned();
            let said = brought(&format!("other=1; {pair}"));
            assert_eq!(said, Some(Said { words, undo }));
        }
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
        assert_eq!(brought(&pair).unwrap().words.len(), LONGEST);
    }
}
