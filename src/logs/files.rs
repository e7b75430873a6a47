//! Each sector's own log: two files of bounded size, the newer of which is written to. When that is
//! full it takes the place of the older one, which is gone then.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::line::{Line, LineId};
use super::query::{Page, Picker, Query, Sieve};
use crate::domain::ids::{ActorId, SectorId, SectorNumber};

/// One of a sector's two files is no larger, but for the lines that are written at once.
const HALF: u64 = 512 << 10;
const NEWER: &str = ".jsonl";
const OLDER: &str = ".older.jsonl";

/// The sectors' logs of one miner.
#[derive(Debug, Clone)]
pub struct SectorFiles {
    dir: PathBuf,
    miner: ActorId,
}

/// What may be kept of sectors that are over.
#[derive(Debug, Clone, Copy)]
pub struct Keep {
    pub longest: Duration,
    /// All logs together; those of sectors in flight count, but stay.
    pub most_bytes: u64,
}

/// How many files were deleted, by reason.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Swept {
    pub too_old: u64,
    pub too_many: u64,
}

impl SectorFiles {
    pub fn new(dir: PathBuf, miner: ActorId) -> Self {
        Self { dir, miner }
    }

    fn path(&self, number: SectorNumber, end: &str) -> PathBuf {
        self.dir.join(format!("{}{end}", SectorId { miner: self.miner, number }))
    }

    /// Adds lines of one sector, in their order.
    pub fn append(&self, number: SectorNumber, lines: &[Arc<Line>]) -> io::Result<()> {
        let Some(first) = lines.first() else { return Ok(()) };
        let mut text: String = lines.iter().map(|line| line.json()).collect();
        let newer = self.path(number, NEWER);
        let open = || OpenOptions::new().read(true).append(true).create(true).open(&newer);
        let mut file = match open() {
            // Somebody has cleared the logs away.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                fs::create_dir_all(&self.dir)?;
                open()?
            }
            opened => opened?,
        };
        let size = file.metadata()?.len();
        if size > 0 && size + text.len() as u64 > HALF {
            let older = self.path(number, OLDER);
            if older.exists() {
                // Ids leave room for one in between.
                let id = LineId(first.id.0 - 1);
                let told =
                    format!("older lines were dropped: a sector's log keeps {} KiB", HALF >> 9);
                text.insert_str(0, &Line::own(id, told).json());
            }
            fs::rename(&newer, &older)?;
            file = open()?;
        } else if size > 0 && !ends_a_line(&file, size)? {
            // Cut short by a full disk or a crash: what follows is on a line of its own.
            text.insert(0, '\n');
        }
        file.write_all(text.as_bytes())
    }

    /// # Errors
    /// The newer file is there and cannot be read.
    pub fn select(&self, number: SectorNumber, query: &Query) -> io::Result<Page> {
        let (mut picker, sieve) = (Picker::new(query), Sieve::of(query));
        let newer = tail(&self.path(number, NEWER), 2 * HALF)?;
        if picker.take(newest_first(&newer, &sieve).map(Cow::Owned)) {
            let older = tail(&self.path(number, OLDER), 2 * HALF)?;
            let _ = picker.take(newest_first(&older, &sieve).map(Cow::Owned));
        }
        Ok(picker.page())
    }

    /// Deletes what is too old, or too much, of sectors that are over; the oldest first.
    pub fn sweep(
        &self,
        now: SystemTime,
        keep: Keep,
        is_over: &dyn Fn(SectorNumber) -> bool,
    ) -> io::Result<Swept> {
        let mut found = self.all()?;
        found.sort_by_key(|(_, modified, _, _)| *modified);
        let mut bytes: u64 = found.iter().map(|(.., bytes)| bytes).sum();
        let mut swept = Swept::default();
        for (path, modified, number, size) in found {
            let is_old = now.duration_since(modified).is_ok_and(|age| age > keep.longest);
            if !is_old && bytes <= keep.most_bytes {
                break;
            }
            if !is_over(number) {
                continue;
            }
            fs::remove_file(&path)?;
            bytes -= size;
            if is_old {
                swept.too_old += 1;
            } else {
                swept.too_many += 1;
            }
        }
        Ok(swept)
    }

    /// What is named as one of ours: path, last change, sector, size.
    fn all(&self) -> io::Result<Vec<(PathBuf, SystemTime, SectorNumber, u64)>> {
        let mut found = Vec::new();
        let start = format!("s-{}-", self.miner);
        for entry in fs::read_dir(&self.dir)? {
            let entry = entry?;
            let name = entry.file_name();
            let middle = name.to_str().and_then(|name| {
                let rest = name.strip_prefix(&start)?;
                rest.strip_suffix(OLDER).or_else(|| rest.strip_suffix(NEWER))
            });
            let Some(number) = middle.and_then(|middle| middle.parse().ok()) else { continue };
            let metadata = entry.metadata()?;
            found.push((entry.path(), metadata.modified()?, number, metadata.len()));
        }
        Ok(found)
    }
}

fn ends_a_line(file: &File, size: u64) -> io::Result<bool> {
    let mut last = [0];
    file.read_exact_at(&mut last, size - 1)?;
    Ok(last == *b"\n")
}

/// The end of a file, at most so much of it, from the beginning of a line; nothing of one that is
/// not there.
pub fn tail(path: &Path, most_bytes: u64) -> io::Result<Vec<u8>> {
    let mut file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        opened => opened?,
    };
    let size = file.metadata()?.len();
    let skipped = size.saturating_sub(most_bytes);
    file.seek(SeekFrom::Start(skipped))?;
    let mut bytes = Vec::new();
    file.take(most_bytes).read_to_end(&mut bytes)?;
    if skipped > 0 {
        let whole = bytes.iter().position(|byte| *byte == b'\n').map_or(bytes.len(), |at| at + 1);
        bytes.drain(..whole);
    }
    Ok(bytes)
}

/// What is no line of ours is passed over: cut short, or of an earlier version.
pub fn newest_first(bytes: &[u8], sieve: &Sieve) -> impl Iterator<Item = Line> {
    let written = bytes.rsplit(|byte| *byte == b'\n').filter(|line| sieve.lets_through(line));
    written.filter_map(|line| serde_json::from_slice(line).ok())
}

/// By sector, each in its order; lines that concern none are left out.
pub fn by_sector(lines: &[Arc<Line>]) -> BTreeMap<SectorNumber, Vec<Arc<Line>>> {
    let mut sorted: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for line in lines {
        if let Some(sector) = line.about.sector {
            sorted.entry(sector).or_default().push(Arc::clone(line));
        }
    }
    sorted
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECTOR: SectorNumber = SectorNumber(7);

    fn files(dir: &tempfile::TempDir) -> SectorFiles {
        SectorFiles::new(dir.path().to_path_buf(), ActorId(1000))
    }

    fn line(id: u64, text: &str) -> Arc<Line> {
        Arc::new(Line::own(LineId(id), text.to_owned()))
    }

    fn all() -> Query {
        Query { limit: 1_000_000, ..Query::default() }
    }

    #[test]
    fn a_log_that_is_full_loses_its_oldest_half_and_says_so() {
        let dir = tempfile::tempdir().unwrap();
        let files = files(&dir);
        let text = "x".repeat(1_000);
        for id in 1..=2_000 {
            files.append(SECTOR, &[line(id * 10, &text)]).unwrap();
        }
        let names: Vec<_> = fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap()).collect();
        assert_eq!(names.len(), 2);
        let bytes: u64 = names.iter().map(|entry| entry.metadata().unwrap().len()).sum();
        assert!((HALF..=2 * HALF).contains(&bytes), "{bytes}");
        let page = files.select(SECTOR, &all()).unwrap();
        assert!(page.lines.is_sorted_by_key(|line| line.id));
        assert_eq!(page.lines.last().unwrap().id.0, 20_000);
        let told = page.lines.iter().filter(|line| line.message.starts_with("older lines were"));
        assert!((1..=2).contains(&told.count()));
    }

    #[test]
    fn a_line_that_was_cut_short_spoils_no_other() {
        let dir = tempfile::tempdir().unwrap();
        let files = files(&dir);
        files.append(SECTOR, &[line(10, "whole")]).unwrap();
        let path = files.path(SECTOR, NEWER);
        let mut file = OpenOptions::new().append(true).open(&path).unwrap();
        file.write_all(br#"{"at":"2025"#).unwrap();
        files.append(SECTOR, &[line(20, "next")]).unwrap();
        let page = files.select(SECTOR, &all()).unwrap();
        let messages: Vec<_> = page.lines.iter().map(|line| line.message.as_str()).collect();
        assert_eq!(messages, ["whole", "next"]);
    }

    #[test]
    fn of_a_sector_that_never_logged_there_is_nothing() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(files(&dir).select(SECTOR, &all()).unwrap(), Page::default());
    }

    #[test]
    fn a_tail_begins_with_a_whole_line() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        fs::write(&path, "first\nsecond\nthird\n").unwrap();
        assert_eq!(tail(&path, 8).unwrap(), b"third\n");
        assert_eq!(tail(&path, 100).unwrap(), b"first\nsecond\nthird\n");
    }

    #[test]
    fn logs_go_by_age_and_by_size_but_never_those_of_a_sector_in_flight() {
        let dir = tempfile::tempdir().unwrap();
        let files = files(&dir);
        let now = SystemTime::now();
        let day = Duration::from_secs(86_400);
        for number in 1..=5 {
            files.append(SectorNumber(number), &[line(10, "some text")]).unwrap();
            let age = day * (10 - u32::try_from(number).unwrap());
            let path = files.path(SectorNumber(number), NEWER);
            File::options().write(true).open(path).unwrap().set_modified(now - age).unwrap();
        }
        fs::write(dir.path().join("notes.txt"), "not ours").unwrap();
        let size = fs::metadata(files.path(SECTOR, NEWER).with_file_name("s-t01000-1.jsonl"));
        let most_bytes = 3 * size.unwrap().len();
        let keep = Keep { longest: day * 8 + day / 2, most_bytes };
        let swept = files.sweep(now, keep, &|number| number.0 != 2).unwrap();
        assert_eq!(swept, Swept { too_old: 1, too_many: 1 });
        let left = |number| files.path(SectorNumber(number), NEWER).exists();
        assert_eq!([1, 2, 3, 4, 5].map(left), [false, true, false, true, true]);
        assert!(dir.path().join("notes.txt").exists());
    }
}
