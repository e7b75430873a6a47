//! Answers as people read them: aligned columns, no colours, one line a row.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::domain::ids::SectorNumber;

/// What a reload has changed.
pub fn reloaded(answer: &Value) -> String {
    let keys = |name| {
        let keys = answer.get(name).and_then(Value::as_array).map(Vec::as_slice);
        let keys = keys.unwrap_or_default().iter().map(|key| cell(Some(key)));
        keys.collect::<Vec<_>>().join(", ")
    };
    let mut text = match keys("in_effect") {
        none if none.is_empty() => "nothing has changed".to_owned(),
        keys => format!("in effect: {keys}"),
    };
    let needs_restart = keys("needs_restart");
    if !needs_restart.is_empty() {
        text += &format!("\nneeds a restart, and is as it was: {needs_restart}");
    }
    text
}

/// One value on one line. What comes from outside may hold line ends, and escape sequences that
/// a terminal would obey.
pub fn cell(value: Option<&Value>) -> String {
    let text = match value {
        None | Some(Value::Null) => return "-".to_owned(),
        Some(Value::String(text)) => text.clone(),
        Some(Value::Bool(value)) => u8::from(*value).to_string(),
        Some(Value::Number(number)) => number.to_string(),
        // A failure is told by what happened.
        Some(Value::Object(members)) if members.contains_key("what") => {
            return cell(members.get("what"));
        }
        Some(other @ (Value::Array(_) | Value::Object(_))) => other.to_string(),
    };
    let line: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    if line.trim().is_empty() { "-".to_owned() } else { line }
}

/// A time: milliseconds since 1970 are shown as a date, anything else as it is.
fn time(value: Option<&Value>) -> String {
    match value.and_then(Value::as_u64) {
        Some(ms) => utc(ms),
        None => cell(value),
    }
}

/// `2026-01-31 23:59:59Z`.
pub fn utc(ms: u64) -> String {
    let (seconds, days) = (ms / 1_000 % 86_400, ms / 86_400_000);
    let leap = |year: u64| {
        year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
    };
    // The calendar repeats every 400 years, which are 146,097 days.
    let (mut year, mut day) = (1970 + days / 146_097 * 400, days % 146_097);
    while day >= 365 + u64::from(leap(year)) {
        day -= 365 + u64::from(leap(year));
        year += 1;
    }
    let february = 28 + u64::from(leap(year));
    let mut month = 1;
    for length in [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31] {
        if day < length {
            break;
        }
        day -= length;
        month += 1;
    }
    let (hour, minute, second) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
    format!("{year:04}-{month:02}-{:02} {hour:02}:{minute:02}:{second:02}Z", day + 1)
}

/// Columns as wide as their widest cell; the last one as it comes.
pub fn table(header: &[&str], rows: &[Vec<String>]) -> String {
    let header: Vec<String> = header.iter().map(|name| (*name).to_owned()).collect();
    let lines: Vec<&Vec<String>> = std::iter::once(&header).chain(rows).collect();
    let width = |column: usize| {
        lines.iter().map(|line| line[column].chars().count()).max().unwrap_or_default()
    };
    let widths: Vec<usize> = (0..header.len()).map(width).collect();
    let mut text = String::new();
    for line in lines {
        let cells = line.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}"));
        text.push_str(cells.collect::<Vec<_>>().join("  ").trim_end());
        text.push('\n');
    }
    text
}

fn rows_of<'a>(value: &'a Value, name: &str) -> &'a [Value] {
    value.get(name).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

fn count(number: u64, one: &str) -> String {
    if number == 1 { format!("1 {one}") } else { format!("{number} {one}s") }
}

pub fn order(value: &Value) -> String {
    let number = value.get("count").and_then(Value::as_u64).unwrap_or_default();
    let (order, size) = (cell(value.get("order")), cell(value.get("size")));
    format!("order {order}: {} of {size}", count(number, "sector"))
}

pub fn orders(value: &Value) -> String {
    const COLUMNS: [&str; 7] = ["order", "size", "count", "issued", "left", "by", "at"];
    let rows = rows_of(value, "orders");
    if rows.is_empty() {
        return "no open orders".to_owned();
    }
    let row = |row: &Value| COLUMNS.map(|name| cell(row.get(name))).to_vec();
    table(&COLUMNS, &rows.iter().map(row).collect::<Vec<_>>())
}

pub fn sectors(value: &Value) -> String {
    let rows = rows_of(value, "sectors");
    if rows.is_empty() {
        return "no such sectors".to_owned();
    }
    let rows: Vec<_> = rows
        .iter()
        .map(|row| {
            vec![
                cell(row.get("number")),
                cell(row.get("size")),
                cell(row.get("state")),
                cell(row.get("phase")),
                time(row.get("created")),
                time(row.get("updated")),
                cell(row.get("attention")),
            ]
        })
        .collect();
    table(&["sector", "size", "state", "phase", "created", "updated", "attention"], &rows)
}

pub fn tasks(value: &Value) -> String {
    let rows = rows_of(value, "tasks");
    if rows.is_empty() {
        return "no such tasks".to_owned();
    }
    task_table(rows)
}

/// With the fleet's names, so that what operators know of its table holds here.
fn task_table(rows: &[Value]) -> String {
    const COLUMNS: [&str; 11] = [
        "sector_id",
        "task_type",
        "phase",
        "is_taken",
        "is_finished",
        "result_status",
        "attempts",
        "create_time",
        "update_time",
        "worker",
        "error",
    ];
    let show = |row: &Value, column: &str| match column {
        "create_time" | "update_time" => time(row.get(column)),
        other => cell(row.get(other)),
    };
    let rows: Vec<_> =
        rows.iter().map(|row| COLUMNS.iter().map(|column| show(row, column)).collect()).collect();
    table(&COLUMNS, &rows)
}

pub fn sector(value: &Value) -> String {
    let mut text = String::new();
    if value.get("simulated").and_then(Value::as_bool).unwrap_or_default() {
        text.push_str("SIMULATED: this is no sealed sector\n");
    }
    let drawn = |name: &str, epoch: &str| match value.get(name).and_then(Value::as_str) {
        Some(hex) => format!("{hex} (epoch {})", cell(value.get(epoch))),
        None => "-".to_owned(),
    };
    let proof = match value.get("proof").and_then(Value::as_str) {
        Some(hex) => format!("{} bytes (with --json in full)", hex.len() / 2),
        None => "-".to_owned(),
    };
    let plain = |name: &'static str| (name, cell(value.get(name)));
    let mut lines = vec![
        ("sector", cell(value.get("number"))),
        plain("miner"),
        plain("size"),
        plain("state"),
        plain("seal_proof"),
        ("ticket", drawn("ticket", "ticket_epoch")),
        ("seed", drawn("seed", "seed_epoch")),
        plain("comm_d_cid"),
        plain("comm_r_cid"),
        ("proof", proof),
    ];
    if let Some(stored) = value.get("stored").filter(|stored| stored.is_object()) {
        lines.push(("replica", cell(stored.get("replica"))));
        lines.push(("cache", cell(stored.get("cache"))));
        lines.push(("manifest", cell(stored.get("manifest"))));
    }
    for (name, shown) in lines {
        text.push_str(&format!("{name:<11} {shown}\n"));
    }
    let tasks = rows_of(value, "tasks");
    if !tasks.is_empty() {
        text.push_str(&format!("\n{}", task_table(tasks)));
    }
    let history = rows_of(value, "history");
    if !history.is_empty() {
        let rows: Vec<_> = history
            .iter()
            .map(|row| vec![cell(row.get("seq")), time(row.get("at")), cell(row.get("what"))])
            .collect();
        text.push_str(&format!("\n{}", table(&["seq", "at", "what"], &rows)));
    }
    text
}

pub fn retried(sector: Option<SectorNumber>, value: &Value) -> String {
    let tasks: Vec<String> = rows_of(value, "retried")
        .iter()
        .map(|task| match sector {
            Some(_) => cell(Some(task)),
            None => format!("sector {} {}", cell(task.get("sector")), cell(task.get("phase"))),
        })
        .collect();
    match (tasks.is_empty(), sector) {
        (true, _) => "nothing had failed, so nothing was put back".to_owned(),
        (false, Some(sector)) => format!("put back: sector {sector} {}", tasks.join(", ")),
        (false, None) => format!("put back: {}", tasks.join(", ")),
    }
}

/// A line a cause, and what to do about it. The box tells so many tasks at a time: a cause can come
/// again.
pub fn failures(value: &Value) -> String {
    const NAMED: usize = 10;
    let mut causes: BTreeMap<String, Vec<&Value>> = BTreeMap::new();
    for cause in rows_of(value, "causes") {
        causes.entry(cell(cause.get("cause"))).or_default().push(cause);
    }
    if causes.is_empty() {
        return "nothing has failed".to_owned();
    }
    let line = |(cause, told): (&String, &Vec<&Value>)| {
        let sectors = || told.iter().flat_map(|one| rows_of(one, "sectors"));
        let named: Vec<String> = sectors().take(NAMED).map(|one| cell(Some(one))).collect();
        let more = if sectors().nth(NAMED).is_some() { ", …" } else { "" };
        let tasks = count(told.iter().flat_map(|one| rows_of(one, "tasks")).count() as u64, "task");
        let mend = cell(told.first().and_then(|one| one.get("mend")));
        format!("{tasks}: {cause} (sectors {}{more})\n  {mend}\n", named.join(", "))
    };
    causes.iter().map(line).collect()
}

/// Several answers to a bulk action as one.
pub fn together(answers: &[Value]) -> Value {
    let all = |name: &str| answers.iter().flat_map(|one| rows_of(one, name)).cloned().collect();
    let (done, not_done): (Vec<Value>, Vec<Value>) = (all("done"), all("not_done"));
    let counted = |at: &str| -> u64 {
        answers.iter().filter_map(|one| one.pointer(at).and_then(Value::as_u64)).sum()
    };
    json!({
        "counts": { "done": counted("/counts/done"), "not_done": counted("/counts/not_done") },
        "done": done,
        "not_done": not_done,
    })
}

/// What was put back, and why the rest was not.
pub fn bulk(value: &Value) -> String {
    let done = rows_of(value, "done").len() as u64;
    let mut text = format!("{} put back\n", count(done, "task"));
    for not in rows_of(value, "not_done") {
        let (number, why) = (cell(not.get("count")), cell(not.get("why")));
        text.push_str(&format!("{number} not: {why}\n"));
    }
    text
}

pub fn parameters(value: &Value) -> String {
    let file = || format!("{} ({} bytes)", cell(value.get("file")), cell(value.get("bytes")));
    match value.get("state").and_then(Value::as_str).unwrap_or_default() {
        "not_needed" => "the simulated engine needs no Groth parameters".to_owned(),
        "checking" => "the Groth parameters are being looked for".to_owned(),
        "lab_made" => {
            format!("Groth parameters made in this lab, which prove nothing outside it: {}", file())
        }
        "production" => format!("Groth parameters of the trusted set-up: {}", file()),
        "making" => format!(
            "the Groth parameters are being made since {}: {}",
            time(value.get("since")),
            cell(value.get("step"))
        ),
        "missing" | "awaited" => {
            let failure = value.get("failure");
            let mend = failure.and_then(|failure| failure.get("mend"));
            format!("no Groth parameters: {}; {}", cell(failure), cell(mend))
        }
        _ => cell(Some(value)),
    }
}

pub fn aborted(sector: SectorNumber, value: &Value) -> String {
    let phases = |name: &str| {
        let phases = value.get(name).and_then(Value::as_array).into_iter().flatten();
        phases.filter_map(Value::as_str).collect::<Vec<_>>().join(" and ")
    };
    let (stopped, awaited) = (phases("stopped"), phases("awaited"));
    let mut said = format!("sector {sector} is given up");
    if !awaited.is_empty() {
        said.push_str(&format!(" when its running {awaited} ends"));
    }
    if !stopped.is_empty() {
        said.push_str(&format!("; its running {stopped} is stopped now"));
    }
    said
}

pub fn orphans(value: &Value) -> String {
    let rows: Vec<_> = rows_of(value, "orphans")
        .iter()
        .map(|row| {
            let text = |name: &str| cell(row.get(name));
            vec![text("bytes"), text("modified"), text("path"), text("why")]
        })
        .collect();
    let mut said = match rows.is_empty() {
        true => "no orphans\n".to_owned(),
        false => table(&["bytes", "last changed", "path", "why"], &rows),
    };
    for root in rows_of(value, "roots") {
        let trouble = root.get("trouble").filter(|trouble| trouble.is_object());
        if root.get("looking").and_then(Value::as_bool) == Some(true) {
            let path = cell(root.get("path"));
            said.push_str(&format!("{path} is still being looked at; ask again\n"));
        } else if trouble.is_some() {
            let path = cell(root.get("path"));
            said.push_str(&format!("{path} could not be looked at: {}\n", cell(trouble)));
        }
    }
    said
}
