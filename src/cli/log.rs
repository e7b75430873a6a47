//! `log`: the lines of a sector's log, or of the box's; followed, if that is asked for.

use std::io::Write;
use std::thread::sleep;
use std::time::Duration;

use serde_json::Value;

use super::args::Lines;
use super::client::{Client, strange};
use super::{Answer, Refusal};
use crate::logs::Line;

/// How often it is asked what came since.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// The latest lines.
///
/// # Errors
/// No sealbox answers, or it refuses.
pub fn latest(client: &Client, wanted: &Lines) -> Result<Answer, Refusal> {
    let json = ask(client, wanted)?;
    let lines: Vec<String> = rows(&json).iter().map(text).collect();
    let text = if lines.is_empty() { "no such lines".to_owned() } else { lines.join("\n") };
    Ok(Answer { json, text })
}

/// The latest lines, and then what comes, until whoever reads has seen enough.
///
/// # Errors
/// No sealbox answers, or no longer; it refuses.
pub fn follow(
    client: &Client,
    wanted: &Lines,
    as_json: bool,
    out: &mut dyn Write,
) -> Result<(), Refusal> {
    let mut page = ask(client, wanted)?;
    loop {
        for row in rows(&page) {
            let line = if as_json { row.to_string() } else { text(row) };
            if writeln!(out, "{line}").and_then(|()| out.flush()).is_err() {
                return Ok(());
            }
        }
        let address = page.get("follow").and_then(Value::as_str).unwrap_or_default();
        if !address.starts_with("/api/v1/") {
            return Err(strange(&wanted.path(), "that does not say how to follow it"));
        }
        if page.get("next").is_none_or(Value::is_null) {
            sleep(LOOK_EVERY);
        }
        page = client.get(address, &[])?;
    }
}

fn ask(client: &Client, wanted: &Lines) -> Result<Value, Refusal> {
    let mut query = vec![("limit", wanted.lines.to_string())];
    query.extend(wanted.level.map(|level| ("level", level.name().to_owned())));
    query.extend(wanted.search.clone().map(|text| ("q", text)));
    client.get(&wanted.path(), &query)
}

fn rows(page: &Value) -> &[Value] {
    page.get("lines").and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// On one line, with nothing that a terminal would obey.
fn text(row: &Value) -> String {
    match serde_json::from_value::<Line>(row.clone()) {
        Ok(line) => line.to_string(),
        Err(_) => row.to_string(),
    }
}
