//! `params fetch`: the trusted set-up's parameters, brought here by the operator's order.

use std::collections::VecDeque;
use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

use serde_json::json;

use super::{Answer, Exit, Refusal};
use crate::config::Config;
use crate::domain::failure::Failure;
use crate::domain::porep::SealKind;
use crate::domain::units::{ByteSize, SectorSize};
use crate::engine::filecoin::fetch::{
    self, Fetched, GATEWAYS, Mirror, Nth, Patience, Source, Step,
};
use crate::engine::filecoin::trusted_set_up;

/// # Errors
/// As [`fetch::fetch`]; the variable names something that is no gateway.
pub fn answer(config: &Config, kind: SealKind, with_post: bool) -> Result<Answer, Refusal> {
    let gateways = std::env::var_os(GATEWAYS).unwrap_or_default();
    let mirrors = Mirror::all(&gateways.to_string_lossy()).map_err(|bad| {
        let mend = format!(
            "expected addresses as in `https://ipfs.io/ipfs/`, with commas between, in {GATEWAYS}"
        );
        Refusal::new(Exit::Usage, bad.to_string(), mend)
    })?;
    let wanted = trusted_set_up(kind, with_post).map_err(refusal)?;
    let source = Source::new(mirrors, Patience::default());
    let mut terminal = Terminal::new(io::stderr().is_terminal());
    let fetched = fetch::fetch(&wanted, &config.parameters, &source, &mut |step| {
        terminal.show(step, Instant::now());
    });
    terminal.clear();
    let fetched = fetched.map_err(refusal)?;
    let json = json!({
        "sector_size": kind.size,
        "directory": config.parameters,
        "files": fetched,
    });
    Ok(Answer { json, text: text(kind.size, &fetched) })
}

fn refusal(failure: Failure) -> Refusal {
    let mut what = match &failure.file {
        Some(file) => format!("{} ({})", failure.what, file.display()),
        None => failure.what,
    };
    for line in failure.detail.iter().flat_map(|detail| detail.lines()) {
        what.push_str("\n  ");
        what.push_str(line);
    }
    Refusal::new(Exit::Failed, what, failure.mend)
}

fn text(size: SectorSize, fetched: &[Fetched]) -> String {
    let mut text = format!("the trusted set-up's parameters for {size} sectors are there:\n");
    for Fetched { file, bytes, from, set_aside } in fetched {
        let whence = match from {
            Some(mirror) => format!("from {mirror}"),
            None => "was there already".to_owned(),
        };
        text.push_str(&format!("  {} ({bytes}, {whence})\n", file.display()));
        if let Some(aside) = set_aside {
            text.push_str(&format!("    a wrong file of that name is now {}\n", aside.display()));
        }
    }
    text
}

/// One line that is written over and over, where somebody is looking; nothing elsewhere.
struct Terminal {
    looked_at: bool,
    drawn: Option<Instant>,
    pace: Pace,
}

const DRAW_EVERY: Duration = Duration::from_millis(500);
/// Back to the line's beginning, and clear it.
const CLEAR: &str = "\r\x1b[K";

impl Terminal {
    fn new(looked_at: bool) -> Self {
        Self { looked_at, drawn: None, pace: Pace::default() }
    }

    fn show(&mut self, step: Step<'_>, now: Instant) {
        match step {
            Step::Waiting { lock } => self.note(&format!(
                "another sealbox makes or fetches them: waiting for it ({})",
                lock.display()
            )),
            Step::Measuring => self.note("asking the mirrors how much is to come"),
            Step::SetAside { file, to } => self.note(&format!(
                "{} is not the trusted set-up's; it is now {}",
                file.display(),
                to.display()
            )),
            Step::MirrorFailed { mirror, why } => self.note(&format!("{mirror}: {why}")),
            Step::Pausing { pause } => {
                self.note(&format!("all mirrors are asked again in {} s", pause.as_secs()));
            }
            Step::Checking { file, done, of } => self.draw("checking", file, done, of, now),
            Step::Fetching { file, done, of } => self.draw("fetching", file, done, of, now),
        }
    }

    fn note(&mut self, line: &str) {
        self.pace = Pace::default();
        self.write(&format!("{CLEAR}{line}\n"));
    }

    fn draw(
        &mut self,
        doing: &str,
        Nth { nth, of: files }: Nth,
        done: ByteSize,
        of: ByteSize,
        now: Instant,
    ) {
        let is_due = self.drawn.is_none_or(|drawn| now.duration_since(drawn) >= DRAW_EVERY);
        if is_due || done == of {
            self.drawn = Some(now);
            let pace = self.pace.say(done, of, now);
            self.write(&format!("{CLEAR}{doing} file {nth} of {files}: {pace}"));
        }
    }

    fn clear(&mut self) {
        self.write(CLEAR);
    }

    fn write(&mut self, text: &str) {
        if self.looked_at {
            let mut err = io::stderr();
            // A terminal that is gone is no reason to stop.
            let _ = err.write_all(text.as_bytes()).and_then(|()| err.flush());
        }
    }
}

/// How fast it goes, by the last seconds: the first ones of a long download tell little.
#[derive(Default)]
struct Pace {
    seen: VecDeque<(Instant, u64)>,
}

const PACE_OVER: Duration = Duration::from_secs(20);

impl Pace {
    /// As in `27 %, 12.3 GiB of 45.1 GiB, 48 MiB/s, 11 min left`.
    fn say(&mut self, done: ByteSize, of: ByteSize, now: Instant) -> String {
        let percent = 100 * u128::from(done.0) / u128::from(of.0.max(1));
        let so_far = format!("{percent} %, {done} of {of}");
        if self.seen.back().is_some_and(|(_, last)| *last > done.0) {
            // Another file, or from the beginning again.
            self.seen.clear();
        }
        self.seen.push_back((now, done.0));
        while self.seen.len() > 2 && now.duration_since(self.seen[0].0) > PACE_OVER {
            self.seen.pop_front();
        }
        let (since, from) = self.seen[0];
        let seconds = now.duration_since(since).as_secs_f64();
        let rate = (done.0 - from) as f64 / seconds;
        if !rate.is_normal() {
            return so_far;
        }
        let left = of.0.saturating_sub(done.0) as f64 / rate;
        format!("{so_far}, {}/s, {} left", ByteSize(rate as u64), lasting(left as u64))
    }
}

fn lasting(seconds: u64) -> String {
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7200 => format!("{} min", seconds / 60),
        7200.. => format!("{} h {} min", seconds / 3600, seconds / 60 % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pace_is_that_of_the_last_seconds_and_starts_anew_with_each_file() {
        let start = Instant::now();
        let mut pace = Pace::default();
        let mut say = |done: u64, at: u64| {
            pace.say(ByteSize(done << 20), ByteSize(1 << 30), start + Duration::from_secs(at))
        };
        assert_eq!(say(0, 0), "0 %, 0 B of 1 GiB");
        assert_eq!(say(100, 1), "9 %, 100 MiB of 1 GiB, 100 MiB/s, 9 s left");
        say(101, 30);
        assert_eq!(
            say(111, 40),
            "10 %, 111 MiB of 1 GiB, 1 MiB/s, 913 s left".replace("913 s", "15 min")
        );
        assert_eq!(say(50, 41), "4 %, 50 MiB of 1 GiB");
        assert_eq!(say(50, 42), "4 %, 50 MiB of 1 GiB", "no rate, no time left");
    }

    #[test]
    fn a_refusal_names_every_mirror_and_what_to_do() {
        let failure = Failure::new(crate::domain::failure::Class::Operator, "what", "mend")
            .at("/p/x.params")
            .detail("http://a/: status 500\nhttp://b/: status 404");
        let refusal = refusal(failure);
        assert_eq!(refusal.exit, Exit::Failed);
        let lines = "what (/p/x.params)\n  http://a/: status 500\n  http://b/: status 404\nmend";
        assert_eq!(refusal.to_string(), lines);
    }
}
