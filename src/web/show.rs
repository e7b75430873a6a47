//! Numbers as people read them: durations, moments, sizes.

use std::time::Duration;

use askama::filters::HtmlSafeOutput;

use crate::domain::units::{ByteSize, Timestamp};

/// Markup made here, of numbers only.
pub type Markup = HtmlSafeOutput<String>;

/// `<1 s`, `7 s`, `1 min 05 s`, `2 h 05 min`, `3 d 4 h`. `live.js` writes the same.
pub fn span(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        0 => "<1 s".to_owned(),
        1..60 => format!("{seconds} s"),
        60..3_600 => format!("{} min {:02} s", seconds / 60, seconds % 60),
        3_600..86_400 => format!("{} h {:02} min", seconds / 3_600, seconds / 60 % 60),
        _ => format!("{} d {} h", seconds / 86_400, seconds / 3_600 % 24),
    }
}

/// As [`span`], for narrow places: `<1s`, `7s`, `1m05`, `12m`, `2h05`, `3d4h`.
pub fn compact(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        0 => "<1s".to_owned(),
        1..60 => format!("{seconds}s"),
        60..600 => format!("{}m{:02}", seconds / 60, seconds % 60),
        600..3_600 => format!("{}m", seconds / 60),
        3_600..86_400 => format!("{}h{:02}", seconds / 3_600, seconds / 60 % 60),
        _ => format!("{}d{}h", seconds / 86_400, seconds / 3_600 % 24),
    }
}

/// RFC 3339 in UTC, with milliseconds: `2025-11-22T14:43:01.042Z`.
pub fn rfc3339(at: Timestamp) -> String {
    at.rfc3339()
}

/// `2025-11-22 14:43:01 UTC`.
pub fn full(at: Timestamp) -> String {
    let text = rfc3339(at);
    format!("{} {} UTC", &text[..10], &text[11..19])
}

fn time_element(class: &str, at: Timestamp, text: &str) -> Markup {
    HtmlSafeOutput(format!(
        r#"<time class="{class}" datetime="{}" title="{}">{text}</time>"#,
        rfc3339(at),
        full(at),
    ))
}

/// `14 min ago`, the moment on hover; `live.js` keeps it true.
pub fn ago(at: Timestamp, now: Timestamp) -> Markup {
    time_element("ago", at, &ago_text(at, now))
}

pub fn ago_text(at: Timestamp, now: Timestamp) -> String {
    let since = now.since(at);
    match since.as_secs() {
        0..5 => "just now".to_owned(),
        5..60 => format!("{} s ago", since.as_secs()),
        60..3_600 => format!("{} min ago", since.as_secs() / 60),
        _ => format!("{} ago", span(since)),
    }
}

/// How long it has been going on: `2 h 05 min`, the moment it began on hover.
pub fn lasting(since: Timestamp, now: Timestamp) -> Markup {
    time_element("for", since, &span(now.since(since)).replace('<', "&lt;"))
}

/// As [`lasting`], for narrow places.
pub fn lasting_compact(since: Timestamp, now: Timestamp) -> Markup {
    time_element("for short", since, &compact(now.since(since)).replace('<', "&lt;"))
}

/// The time of day in UTC, the date on hover.
pub fn clock(at: Timestamp) -> Markup {
    time_element("clock", at, &rfc3339(at)[11..19])
}

/// `32 GiB`, the exact number on hover.
pub fn bytes(count: u64) -> Markup {
    let exact = grouped(count);
    HtmlSafeOutput(format!(r#"<span title="{exact} bytes">{}</span>"#, ByteSize(count)))
}

/// `1,234,567`.
pub fn grouped(count: u64) -> String {
    let digits = count.to_string();
    let mut out = String::with_capacity(digits.len() * 4 / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// `1 sector`, `3 sectors`.
pub fn plural(count: u64, one: &str, many: &str) -> String {
    format!("{} {}", grouped(count), if count == 1 { one } else { many })
}

#[cfg(test)]
thread_local! {
    /// The time that a test's pages are made at, if not the wall clock's.
    pub static FIXED: std::cell::Cell<Option<Timestamp>> = const { std::cell::Cell::new(None) };
}

/// The wall clock, for what is shown as relative to now.
pub fn now() -> Timestamp {
    #[cfg(test)]
    if let Some(fixed) = FIXED.get() {
        return fixed;
    }
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    Timestamp(since.map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_shown_to_the_precision_people_use() {
        let shown = |seconds| span(Duration::from_secs(seconds));
        assert_eq!(span(Duration::from_millis(999)), "<1 s");
        assert_eq!(shown(7), "7 s");
        assert_eq!(shown(65), "1 min 05 s");
        assert_eq!(shown(2 * 3600 + 5 * 60 + 59), "2 h 05 min");
        assert_eq!(shown(3 * 86_400 + 4 * 3600), "3 d 4 h");
        let narrow = |seconds| compact(Duration::from_secs(seconds));
        assert_eq!([7, 65, 725, 7_500].map(narrow), ["7s", "1m05", "12m", "2h05"]);
    }

    #[test]
    fn numbers_are_grouped_by_thousands() {
        assert_eq!([0, 999, 1_000, 1_234_567].map(grouped), ["0", "999", "1,000", "1,234,567"]);
    }

    #[test]
    fn exact_bytes_stand_behind_the_rounded_ones() {
        let shown = bytes(34_359_738_368).to_string();
        assert_eq!(shown, r#"<span title="34,359,738,368 bytes">32 GiB</span>"#);
    }
}
