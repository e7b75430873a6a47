//! What was told, in `<data_dir>/alerts.json`: a restart tells nobody again of what stands since before.

use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::{Alert, Key, Told};
use crate::durable::write_atomic;

pub const FILE: &str = "alerts.json";

#[derive(Serialize, Deserialize)]
struct Line {
    key: Key,
    alert: Alert,
}

/// What was told before this start. A file that cannot be read costs a second telling, no more.
pub fn read(file: &Path) -> Told {
    let lines = match std::fs::read(file) {
        Ok(bytes) => serde_json::from_slice::<Vec<Line>>(&bytes).map_err(io::Error::from),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error),
    };
    let lines = lines.unwrap_or_else(|error| {
        tracing::warn!(
            "what was told is not known, and is told again: {}: {error}",
            file.display()
        );
        Vec::new()
    });
    Told(lines.into_iter().map(|Line { key, alert }| (key, alert)).collect())
}

/// Replaces the file, durably.
pub fn write(file: &Path, told: &Told) -> io::Result<()> {
    let line = |(key, alert): (&Key, &Alert)| Line { key: key.clone(), alert: alert.clone() };
    let lines: Vec<Line> = told.0.iter().map(line).collect();
    write_atomic(file, &serde_json::to_vec_pretty(&lines)?)
}
