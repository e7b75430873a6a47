//! `verify`: has finished sectors proven again from storage, one after the other, and waits for
//! what comes of it. The box does it; whoever stops this command stops asking.

use std::io::Write;
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::client::Client;
use super::print::cell;
use super::{Answer, Exit, Refusal, print};
use crate::domain::ids::SectorNumber;

/// How often it is asked how far a sector is.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// How often that is told.
const TELL_EVERY: Duration = Duration::from_secs(5);

/// What came of each sector is said to `said` as it comes.
///
/// # Errors
/// No sealbox answers, or it refuses; a copy is damaged, or could not be looked at.
pub fn verify(
    client: &Client,
    sector: Option<SectorNumber>,
    said: &mut dyn Write,
) -> Result<Answer, Refusal> {
    let sectors = match sector {
        Some(sector) => vec![sector.0],
        None => finished(client)?,
    };
    let mut rows = Vec::new();
    for (index, sector) in sectors.iter().enumerate() {
        let row =
            verify_one(client, *sector, &format!("{} of {}", index + 1, sectors.len()), said)?;
        print(said, &line(&row));
        rows.push(row);
    }
    conclude(rows)
}

fn finished(client: &Client) -> Result<Vec<u64>, Refusal> {
    let query = vec![("state", "finished".to_owned())];
    let found = client.all("/api/v1/sectors", "sectors", query)?;
    let rows = found.get("sectors").and_then(Value::as_array).into_iter().flatten();
    Ok(rows.filter_map(|row| row.get("number")?.as_u64()).collect())
}

fn verify_one(
    client: &Client,
    sector: u64,
    place: &str,
    said: &mut dyn Write,
) -> Result<Value, Refusal> {
    let path = format!("/api/v1/sectors/{sector}/verify");
    let mut row = client.post(&path, &json!({}))?;
    let (mut told, mut said_last) = (Instant::now(), String::new());
    loop {
        let state = row.get("state").and_then(Value::as_str).unwrap_or_default();
        let waits_for_storage =
            state == "waiting" && row.get("failure").is_some_and(Value::is_object);
        if !matches!(state, "waiting" | "running") || waits_for_storage {
            return Ok(row);
        }
        if told.elapsed() >= TELL_EVERY {
            let bytes = |name: &str| row.get(name).and_then(Value::as_u64).unwrap_or_default();
            let (done, total) = (bytes("done_bytes"), bytes("total_bytes"));
            let percent = u128::from(done) * 100 / u128::from(total.max(1));
            let now = match percent {
                // All of it is read; its proofs are checked, and wait for a C2 that runs.
                100 => format!("sector {sector} ({place}): checking its proofs"),
                some => format!("sector {sector} ({place}): {state}, {some}%"),
            };
            if now != said_last {
                print(said, &now);
            }
            (told, said_last) = (Instant::now(), now);
        }
        sleep(LOOK_EVERY);
        row = client.get(&path, &[])?;
    }
}

/// A sector's result in a line: what, where, what to do now.
fn line(row: &Value) -> String {
    let sector = cell(row.get("sector"));
    let word = match row.get("state").and_then(Value::as_str).unwrap_or_default() {
        "proven" => return format!("sector {sector}: proven"),
        "damaged" => "DAMAGED",
        _ => "not looked at",
    };
    let failure = row.get("failure");
    let part = |name: &str| failure.and_then(|failure| failure.get(name));
    let file = part("file").filter(|file| file.is_string());
    let file = file.map(|file| format!(" ({})", cell(Some(file)))).unwrap_or_default();
    format!("sector {sector}: {word}: {}{file}; {}", cell(part("what")), cell(part("mend")))
}

fn conclude(rows: Vec<Value>) -> Result<Answer, Refusal> {
    let is = |row: &&Value, state: &str| row.get("state").and_then(Value::as_str) == Some(state);
    let proven = rows.iter().filter(|row| is(row, "proven")).count();
    let damaged = rows.iter().filter(|row| is(row, "damaged")).count();
    let unknown = rows.len() - proven - damaged;
    if damaged == 0 && unknown == 0 {
        let text = match rows.len() {
            0 => "no finished sectors: nothing to prove".to_owned(),
            1 => "the stored copy is proven".to_owned(),
            many => format!("all {many} stored copies are proven"),
        };
        return Ok(Answer { json: json!({ "verified": rows }), text });
    }
    let what = format!("{proven} proven, {damaged} damaged, {unknown} not looked at");
    let mend = match damaged {
        0 => "see what keeps the box from looking at them, then say it again",
        _ => "do what is said of each above (it is on the Failures page, too)",
    };
    let more = Some(("verified", Value::Array(rows)));
    Err(Refusal { more, ..Refusal::new(Exit::Failed, what, mend) })
}
