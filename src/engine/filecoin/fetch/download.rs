//! One file: which mirror is asked next, what is kept of its answer, and when it is whole.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use rustix::fs::{Advice, fadvise};

use super::mirror::{Answer, Mirror, Patience, Source};
use super::{Nth, Step, TellStep, no_room, require_room};
use crate::domain::failure::{Class, Failure};
use crate::domain::units::ByteSize;
use crate::engine::filecoin::trusted::TrustedFile;
use crate::engine::files;

/// Bytes that are moved at once.
const PIECE: usize = 1 << 18;
/// A mirror whose bytes were wrong this often is not asked again.
const LIES: u8 = 2;

/// What a file is called until it is known to be right.
pub(super) const PART: &str = ".sealbox-part";

/// Why an answer ended before the file did.
struct Broken {
    why: String,
    /// Another mirror may do better.
    is_slow: bool,
}

pub(super) struct Download<'a> {
    file: &'a TrustedFile,
    directory: &'a Path,
    pub(super) target: PathBuf,
    part: PathBuf,
    source: &'a Source,
    nth: Nth,
    /// How often each mirror's bytes were wrong.
    lies: Vec<u8>,
    /// What was the matter with each mirror last, by its place.
    troubles: BTreeMap<usize, String>,
}

impl Broken {
    fn ended(at: u64, total: u64) -> Self {
        Self { why: format!("it ended at byte {at} of {total}"), is_slow: false }
    }

    fn slow(bytes: u64, within: Duration) -> Self {
        let why = format!("too slow: {} in {} s", ByteSize(bytes), within.as_secs());
        Self { why, is_slow: true }
    }
}

/// What came of asking a mirror.
enum Asked {
    /// The file is there, so long, and right.
    Done(ByteSize),
    /// Some of it.
    Gained,
    InVain,
}

/// What one answer of one mirror has brought.
enum Attempt {
    /// As many bytes as the file has. `alone`: all of them from this answer.
    Whole { alone: bool },
    /// It ended too early, was not worth waiting for, or there was none.
    Short { gained: u64, broken: Broken },
}

impl<'a> Download<'a> {
    pub(super) fn new(
        file: &'a TrustedFile,
        directory: &'a Path,
        source: &'a Source,
        nth: Nth,
    ) -> Self {
        let target = directory.join(&file.name);
        let part = files::with_suffix(&target, PART);
        let lies = vec![0; source.mirrors.len()];
        Self { file, directory, target, part, source, nth, lies, troubles: BTreeMap::new() }
    }

    /// What an earlier fetch has left is not to come again.
    pub(super) fn bytes_to_come(&self) -> Result<u64, Failure> {
        let have = files::length(&self.part)?.unwrap_or(0);
        Ok(self.source.length(&self.file.cid).unwrap_or(0).saturating_sub(have))
    }

    /// Goes round the mirrors until the file is there, or none of them helps any more.
    pub(super) fn run(&mut self, tell: TellStep<'_>) -> Result<(ByteSize, Mirror), Failure> {
        let source = self.source;
        let mut pauses = None;
        loop {
            let mut gained = false;
            for (place, mirror) in source.mirrors.iter().enumerate() {
                match self.ask(place, mirror, tell)? {
                    Asked::Done(bytes) => return Ok((bytes, mirror.clone())),
                    Asked::Gained => gained = true,
                    Asked::InVain => {}
                }
            }
            if gained {
                pauses = Some(source.patience.pauses.iter());
                continue;
            }
            // Mirrors that never gave anything are more likely a mistake than an outage.
            match pauses.as_mut().and_then(Iterator::next) {
                Some(pause) => {
                    tell(Step::Pausing { pause: *pause });
                    thread::sleep(*pause);
                }
                None => return Err(self.given_up()),
            }
        }
    }

    /// Asks one mirror for as long as it helps: it may be the fastest.
    fn ask(&mut self, place: usize, mirror: &Mirror, tell: TellStep<'_>) -> Result<Asked, Failure> {
        let mut asked = Asked::InVain;
        while self.lies[place] < LIES {
            let (why, helps) = match self.attempt(mirror, tell)? {
                Attempt::Short { gained: 0, broken } => (broken.why, false),
                Attempt::Short { gained: _, broken } => {
                    asked = Asked::Gained;
                    (broken.why, !broken.is_slow)
                }
                Attempt::Whole { alone } => {
                    if let Some(bytes) = self.right(&self.part, tell)? {
                        self.install()?;
                        return Ok(Asked::Done(bytes));
                    }
                    files::remove_if_there(&self.part)?;
                    // Joined from several answers, it may be another mirror's fault.
                    self.lies[place] = if alone { LIES } else { self.lies[place] + 1 };
                    ("what it gave does not have the right digest".to_owned(), true)
                }
            };
            tell(Step::MirrorFailed { mirror, why: &why });
            self.troubles.insert(place, why);
            if !helps {
                break;
            }
        }
        Ok(asked)
    }

    /// Asks one mirror for what is still missing.
    fn attempt(&self, mirror: &Mirror, tell: TellStep<'_>) -> Result<Attempt, Failure> {
        let have = files::length(&self.part)?.unwrap_or(0);
        let (from, total, body) = match self.source.open(mirror, &self.file.cid, have) {
            Ok(Answer::Body { from, total, body }) => (from, total, body),
            Ok(Answer::NothingMore) => return Ok(Attempt::Whole { alone: false }),
            Err(why) => {
                return Ok(Attempt::Short { gained: 0, broken: Broken { why, is_slow: false } });
            }
        };
        if total == have {
            return Ok(Attempt::Whole { alone: false });
        }
        require_room(ByteSize(total - have), self.directory)?;
        let mut part = File::options()
            .create(true)
            .append(true)
            .open(&self.part)
            .map_err(|error| self.failed(&error))?;
        // More than it announced is not taken.
        let mut body = body.take(total - from);
        let (now, broken) = self.receive(&mut body, &mut part, (from, have, total), tell)?;
        if now == total {
            part.sync_all().map_err(|error| self.failed(&error))?;
            return Ok(Attempt::Whole { alone: have == 0 });
        }
        Ok(Attempt::Short { gained: now - have, broken })
    }

    /// Appends what is not there yet. A server that knows no ranges sends the file from its
    /// beginning: what is here already is passed over, not thrown away, so that a connection
    /// that breaks again has cost nothing.
    fn receive(
        &self,
        body: &mut dyn Read,
        part: &mut File,
        (from, have, total): (u64, u64, u64),
        tell: TellStep<'_>,
    ) -> Result<(u64, Broken), Failure> {
        let mut piece = vec![0; PIECE];
        let (mut at, mut now) = (from, have);
        let (mut since, mut then) = (Instant::now(), from);
        loop {
            let length = match body.read(&mut piece) {
                Ok(0) => return Ok((now, Broken::ended(now, total))),
                Ok(length) => length,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Ok((now, Broken { why: error.to_string(), is_slow: false })),
            };
            // At most the piece's length, so it fits.
            let known = usize::try_from((have - at.min(have)).min(length as u64)).unwrap_or(length);
            part.write_all(&piece[known..length]).map_err(|error| self.failed(&error))?;
            at += length as u64;
            now = now.max(at);
            tell(Step::Fetching { file: self.nth, done: ByteSize(now), of: ByteSize(total) });
            let Patience { silence, slowest, .. } = self.source.patience;
            if since.elapsed() >= silence {
                if at - then < slowest && at < total {
                    return Ok((now, Broken::slow(at - then, silence)));
                }
                (since, then) = (Instant::now(), at);
            }
        }
    }

    /// The file's length, if its digest is right.
    pub(super) fn right(
        &self,
        path: &Path,
        tell: TellStep<'_>,
    ) -> Result<Option<ByteSize>, Failure> {
        let failed =
            |error: io::Error| Failure::io("checking the parameters' digest", path, &error);
        let mut file = File::open(path).map_err(failed)?;
        let of = ByteSize(file.metadata().map_err(failed)?.len());
        // What was just written is still in memory, right even where the disk has it wrong.
        let _ = fadvise(&file, 0, None, Advice::DontNeed);
        let mut digest = blake2b_simd::State::new();
        let mut piece = vec![0; PIECE];
        let mut done = ByteSize(0);
        loop {
            let length = match file.read(&mut piece) {
                Ok(0) => break,
                Ok(length) => length,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(failed(error)),
            };
            digest.update(&piece[..length]);
            done.0 += length as u64;
            tell(Step::Checking { file: self.nth, done, of });
        }
        let hex = digest.finalize().to_hex();
        // The library's table has its first 16 bytes.
        Ok((hex[..32] == self.file.digest).then_some(done))
    }

    /// It was synced when it became whole; but that may have been in a process that is gone.
    fn install(&self) -> Result<(), Failure> {
        files::sync_file(&self.part)?;
        fs::rename(&self.part, &self.target)
            .map_err(|error| Failure::io("giving the file its name", &self.target, &error))?;
        files::sync_directory(self.directory)
    }

    fn failed(&self, error: &io::Error) -> Failure {
        let doing = "writing the parameters";
        match error.kind() {
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded => {
                no_room(format!("no space left on device while {doing}"), &self.part)
            }
            _ => Failure::io(doing, &self.part, error),
        }
    }

    fn given_up(&self) -> Failure {
        let name = |place: &usize| self.source.mirrors.get(*place).map(Mirror::to_string);
        let each = self.troubles.iter();
        let each = each.map(|(place, why)| format!("{}: {why}", name(place).unwrap_or_default()));
        Failure::new(
            Class::Operator,
            "no mirror gives this file",
            "see that this machine reaches one of them (network, proxy, firewall), or name one \
             that it reaches in IPFS_GATEWAY, then fetch again: it goes on from where it stopped",
        )
        .at(&self.target)
        .detail(each.collect::<Vec<_>>().join("\n"))
    }
}
