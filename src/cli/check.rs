//! `check-config`: what follows from a configuration.

use serde_json::Value;

use super::{Answer, print};
use crate::config::{Config, Source};

/// The effective configuration, every value of it.
pub fn answer(config: &Config) -> Answer {
    let json = serde_json::to_value(config).unwrap_or_default();
    let source = match &config.source {
        Source::BuiltIn => "the built-in configuration (no file was found)".to_owned(),
        Source::File(file) => file.display().to_string(),
    };
    let mut rows = Vec::new();
    flatten("", &json, &mut rows);
    rows.retain(|(key, _)| !key.starts_with("source") && !key.starts_with("notes"));
    let width = rows.iter().map(|(key, _)| key.chars().count()).max().unwrap_or_default();
    let mut text = format!("{source}: good. What is in effect:\n\n");
    for (key, value) in rows {
        text.push_str(&format!("{key:width$}  {value}\n"));
    }
    if !config.notes.is_empty() {
        text.push_str(&format!("\nNotes:\n  {}\n", config.notes.join("\n  ")));
    }
    Answer { json, text }
}

/// Every value with the path to it, so that nothing can be forgotten here.
fn flatten(path: &str, value: &Value, rows: &mut Vec<(String, String)>) {
    let dot = if path.is_empty() { "" } else { "." };
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                flatten(&format!("{path}{dot}{name}"), member, rows);
            }
        }
        Value::Array(items) if items.iter().any(Value::is_object) => {
            for (nth, item) in items.iter().enumerate() {
                flatten(&format!("{path}{dot}{}", nth + 1), item, rows);
            }
        }
        Value::Array(items) => {
            let items: Vec<_> = items.iter().map(|item| print::cell(Some(item))).collect();
            rows.push((path.to_owned(), items.join(", ")));
        }
        Value::Bool(value) => rows.push((path.to_owned(), value.to_string())),
        Value::Null | Value::Number(_) | Value::String(_) => {
            rows.push((path.to_owned(), print::cell(Some(value))));
        }
    }
}
