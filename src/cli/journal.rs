//! `journal verify`, `journal export` and `backup`: what is done with the journal itself, whether
//! or not a box runs on it.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::{Answer, Exit, Refusal, print};
use crate::domain::event::{Entry, Happened};
use crate::domain::ids::SectorNumber;
use crate::domain::units::{ByteSize, Seq};
use crate::store::{self, StoreError, Verified};

/// # Errors
/// The first damage, with its place; there is no journal; the disk.
pub fn verify(data: &Path) -> Result<Answer, Refusal> {
    let verified = store::verify(data)?;
    require_journal(&verified, data)?;
    let text = format!("the journal below {} is whole\n\n{}", data.display(), text(&verified));
    Ok(Answer { json: facts(&verified), text })
}

/// # Errors
/// As [`verify`]; the directory is there already.
pub fn backup(data: &Path, to: &Path) -> Result<Answer, Refusal> {
    if let Some(taken) = store::in_the_way(to) {
        let what = format!("{} is there already; nothing was written", taken.display());
        let mend = "name a directory that is not there yet; one that ends in `.unfinished` was \
                    left by a backup that was broken off, and may be deleted";
        return Err(Refusal::new(Exit::Usage, what, mend));
    }
    let verified = store::backup(data, to)?;
    require_journal(&verified, data)?;
    let mut json = facts(&verified);
    json["backup"] = to.display().to_string().into();
    let text = format!("{} holds a verified copy\n\n{}", to.display(), text(&verified));
    Ok(Answer { json, text })
}

/// Writes entries as JSON lines, of one sector if one is named.
///
/// # Errors
/// As [`verify`], but for events that do not follow. What was written before it is good.
pub fn export(
    data: &Path,
    sector: Option<SectorNumber>,
    from: Seq,
    out: &mut dyn Write,
) -> Result<(), Refusal> {
    let is_wanted = |entry: &Entry| match (&entry.happened, sector) {
        (Happened::Sector { number, .. }, Some(sector)) => *number == sector,
        (Happened::Box(_), Some(_)) => false,
        (Happened::Sector { .. } | Happened::Box(_), None) => true,
    };
    let mut out = io::BufWriter::new(out);
    let mut written = Ok(());
    store::export(data, from, &mut |entry| {
        if is_wanted(entry) {
            written = serde_json::to_writer(&mut out, entry)
                .map_err(io::Error::from)
                .and_then(|()| out.write_all(b"\n"));
        }
        written.is_ok()
    })?;
    match written.and_then(|()| out.flush()) {
        // Whoever closes the pipe, as `head` does, has seen enough.
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(Refusal::new(
            Exit::Failed,
            format!("writing the export failed: {error}"),
            "see where standard output goes, and that there is room",
        )),
        Ok(()) | Err(_) => Ok(()),
    }
}

fn require_journal(verified: &Verified, data: &Path) -> Result<(), Refusal> {
    if !verified.segments.is_empty() {
        return Ok(());
    }
    let what = format!("there is no journal below {}", data.display());
    let mend = "see that its disk is mounted, or name the box's data directory with `--data-dir`";
    Err(Refusal::new(Exit::Failed, what, mend))
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        let file = error.file().map(|file| file.display().to_string());
        let mut more = json!({ "file": file });
        if let Some(place) = error.place() {
            more["line"] = place.line.into();
            more["byte"] = place.byte.into();
        }
        let what = match file {
            Some(file) => format!("{} ({file})", error.what()),
            None => error.what(),
        };
        Self { more: Some(("at", more)), ..Self::new(Exit::Failed, what, error.mend()) }
    }
}

fn facts(verified: &Verified) -> Value {
    let segment = |segment: &store::SegmentFacts| {
        json!({
            "file": segment.path,
            "first_seq": segment.first.0,
            "lines": segment.lines,
            "entries": segment.entries,
            "bytes": segment.bytes,
        })
    };
    let at = |nth: usize| verified.span.map(|span| span[nth]);
    json!({
        "segments": verified.segments.iter().map(segment).collect::<Vec<_>>(),
        "entries": verified.entries(),
        "bytes": verified.bytes(),
        "first_seq": at(0).map(|(seq, _)| seq.0),
        "first_at": at(0).map(|(_, at)| at.0),
        "last_seq": at(1).map(|(seq, _)| seq.0),
        "last_at": at(1).map(|(_, at)| at.0),
        "sectors": verified.sectors,
        "unfinished": verified.unfinished,
        "torn": verified.torn.as_ref().map(|torn| json!({
            "file": torn.at.file, "line": torn.at.line, "byte": torn.at.byte,
            "bytes": torn.bytes, "why": torn.why,
        })),
    })
}

fn text(verified: &Verified) -> String {
    let name = |path: &PathBuf| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let rows: Vec<Vec<String>> = verified
        .segments
        .iter()
        .map(|segment| {
            let counts = [segment.lines, segment.entries].map(|count| count.to_string());
            let [lines, entries] = counts;
            vec![name(&segment.path), lines, entries, ByteSize(segment.bytes).to_string()]
        })
        .collect();
    let mut text = print::table(&["segment", "lines", "entries", "size"], &rows);
    if let Some([(first, began), (last, ended)]) = verified.span {
        text.push_str(&format!(
            "\n{} segments, {} entries, {}; from {} at {} to {} at {}\n{} sectors, {} of them \
             unfinished\n",
            verified.segments.len(),
            verified.entries(),
            ByteSize(verified.bytes()),
            first.0,
            print::utc(began.0),
            last.0,
            print::utc(ended.0),
            verified.sectors,
            verified.unfinished,
        ));
    }
    if let Some(torn) = &verified.torn {
        text.push_str(&format!(
            "\nThe last {} bytes ({} {}: {}) are not a whole line, and are left out: a running box \
             is writing them, or a crash cut them short. The next start keeps them aside.\n",
            torn.bytes,
            torn.at.file.display(),
            torn.at,
            torn.why,
        ));
    }
    text
}
