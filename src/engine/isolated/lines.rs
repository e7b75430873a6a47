//! What an attempt's process writes to standard error, taken over into the box's log. All of it is
//! bounded: a library in trouble can write without end.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read};

use crate::logs::{OF_CHILD, OF_CHILD_OURS};

/// A line that is longer is cut.
const LONGEST: u64 = 4_096;
/// An attempt that writes more is heard no further, but for its last lines.
const MOST: u64 = 20_000;
/// The last lines go into the failure of a process that died.
const LAST: usize = 20;

/// Logs every line in the current span until the process has closed its end; gives back the last.
pub fn take_over(from: impl Read) -> Vec<String> {
    let mut from = BufReader::new(from);
    let mut last = VecDeque::new();
    let mut heard = 0u64;
    while let Some(line) = next(&mut from) {
        heard += 1;
        if heard <= MOST {
            log(&line);
        } else if heard == MOST + 1 {
            tracing::warn!("the attempt's process writes without end: it is not logged further");
        }
        if last.len() == LAST {
            last.pop_front();
        }
        last.push_back(line);
    }
    last.into()
}

/// The next line without its end; `None` when there is no more to come.
fn next(from: &mut impl BufRead) -> Option<String> {
    let mut line = Vec::new();
    from.by_ref().take(LONGEST).read_until(b'\n', &mut line).ok().filter(|read| *read > 0)?;
    if line.len() as u64 == LONGEST && line.last() != Some(&b'\n') {
        from.skip_until(b'\n').ok()?;
    }
    Some(String::from_utf8_lossy(&line).trim_end().to_owned())
}

/// `LEVEL target: message`, as the process's own log writes it; anything else is a library's cry.
fn log(line: &str) {
    // Two targets, because the terminal shows people only what is ours below a warning.
    macro_rules! log {
        ($level:ident, $text:expr) => {
            if $text.starts_with("sealbox") {
                tracing::$level!(target: OF_CHILD_OURS, "{}", $text)
            } else {
                tracing::$level!(target: OF_CHILD, "{}", $text)
            }
        };
    }
    match line.trim_start().split_once(' ') {
        Some(("ERROR", text)) => log!(error, text),
        Some(("WARN", text)) => log!(warn, text),
        Some(("INFO", text)) => log!(info, text),
        Some(("DEBUG", text)) => log!(debug, text),
        Some(("TRACE", text)) => log!(trace, text),
        Some(_) | None if line.is_empty() => {}
        Some(_) | None => log!(warn, line),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_flood_the_last_lines_are_kept_and_long_ones_cut() {
        let long = "x".repeat(10_000);
        let mut text: String = (0..MOST + 50).map(|n| format!("line {n}\n")).collect();
        text.push_str(&format!("{long}\nlast, without an end"));
        let last = take_over(text.as_bytes());
        assert_eq!(last.len(), LAST);
        assert_eq!(last[LAST - 1], "last, without an end");
        assert_eq!(last[LAST - 2].len() as u64, LONGEST);
        assert_eq!(last[LAST - 3], format!("line {}", MOST + 49));
    }
}
