//! One line of the journal: a commit's entries as JSON, behind a checksum.
//!
//! ```text
//! {"sum":"<16 hex>","v":1,"seq":<first entry>,"entries":[{"seq":…,"at":…,"happened":…},…]}
//! ```
//! `sum` is the first 8 bytes of BLAKE3 over everything of the line behind the sum's own closing
//! quote, without the newline. It stands first, at a fixed place, so that it is checked before
//! anything else of the line is believed.

use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::domain::event::Entry;
use crate::domain::units::Seq;

/// The version of the lines that are written.
pub const VERSION: u32 = 1;

const HEAD: &[u8] = br#"{"sum":""#;
const SUM_HEX: usize = 16;
/// Where the summed part of a line begins: behind the sum's closing quote.
const BODY: usize = HEAD.len() + SUM_HEX + 1;

/// Why a line cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LineError {
    /// It is not what was written.
    Damaged(String),
    /// It is what was written, by a sealbox that knows more than this one.
    Newer(String),
}

/// What a line says about itself, its sum verified and its entries not yet read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    pub first: Seq,
    pub count: u64,
}

impl Header {
    /// The last entry of the line.
    pub fn last(self) -> Seq {
        Seq(self.first.0 + self.count - 1)
    }
}

/// The entries as they stand in a line, without the brackets. Fails only for what JSON cannot say
/// (a path that is not UTF-8).
pub fn fragment(entries: &[Entry]) -> Result<Vec<u8>, serde_json::Error> {
    let mut json = serde_json::to_vec(entries)?;
    json.pop();
    json.remove(0);
    Ok(json)
}

/// The line, newline included, of the entries from `first` on.
pub fn line<'a>(first: Seq, fragments: impl Iterator<Item = &'a [u8]>) -> Vec<u8> {
    let mut line = Vec::with_capacity(4096);
    line.extend_from_slice(HEAD);
    line.extend_from_slice(&[b'0'; SUM_HEX]);
    line.extend_from_slice(
        format!("\",\"v\":{VERSION},\"seq\":{},\"entries\":[", first.0).as_bytes(),
    );
    for (i, fragment) in fragments.enumerate() {
        if i > 0 {
            line.push(b',');
        }
        line.extend_from_slice(fragment);
    }
    line.extend_from_slice(b"]}");
    let sum = sum(&line[BODY..]);
    line[HEAD.len()..HEAD.len() + SUM_HEX].copy_from_slice(sum.as_bytes());
    line.push(b'\n');
    line
}

fn sum(body: &[u8]) -> String {
    hex::encode(&blake3::hash(body).as_bytes()[..SUM_HEX / 2])
}

/// Checks a line (without its newline) and reads what it says about itself.
pub fn check(line: &[u8]) -> Result<Header, LineError> {
    #[derive(Deserialize)]
    struct Lazy {
        v: u32,
        seq: u64,
        entries: Vec<IgnoredAny>,
    }
    #[derive(Deserialize)]
    struct VersionOnly {
        v: u32,
    }
    check_sum(line)?;
    // Whatever a newer version changed, `v` is still there to say so.
    let newer = |v| LineError::Newer(format!("version {v}, this sealbox knows {VERSION}"));
    match serde_json::from_slice::<Lazy>(line) {
        Ok(Lazy { v, .. }) if v != VERSION => Err(newer(v)),
        Ok(Lazy { entries, .. }) if entries.is_empty() => {
            Err(LineError::Damaged("it has no entries".to_owned()))
        }
        Ok(Lazy { seq, entries, .. }) => {
            Ok(Header { first: Seq(seq), count: entries.len() as u64 })
        }
        Err(error) => match serde_json::from_slice::<VersionOnly>(line) {
            Ok(VersionOnly { v }) if v != VERSION => Err(newer(v)),
            Ok(_) | Err(_) => Err(LineError::Damaged(error.to_string())),
        },
    }
}

fn check_sum(line: &[u8]) -> Result<(), LineError> {
    let damaged = |why: &str| Err(LineError::Damaged(why.to_owned()));
    if line.len() <= BODY || !line.starts_with(HEAD) || line[BODY - 1] != b'"' {
        return damaged("it does not begin with its checksum");
    }
    if line[HEAD.len()..BODY - 1] != *sum(&line[BODY..]).as_bytes() {
        return damaged("it does not match its checksum");
    }
    Ok(())
}

/// The entries of a line that was checked.
pub fn entries(line: &[u8]) -> Result<Vec<Entry>, LineError> {
    #[derive(Deserialize)]
    struct Full {
        seq: u64,
        entries: Vec<Entry>,
    }
    // The sum held, so the line is as it was written: what is not understood is not damaged.
    let Full { seq, entries } = serde_json::from_slice(line)
        .map_err(|error| LineError::Newer(format!("an entry unknown here: {error}")))?;
    for (expected, entry) in (seq..).zip(&entries) {
        if entry.seq.0 != expected {
            return Err(LineError::Damaged(format!(
                "entry {} stands where {expected} belongs",
                entry.seq.0
            )));
        }
    }
    Ok(entries)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::event::{BoxEvent, Event, Happened};
    use crate::domain::units::Timestamp;

    fn entry(seq: u64) -> Entry {
        Entry {
            seq: Seq(seq),
            at: Timestamp(1_700_000_000_000),
            happened: Happened::Box(BoxEvent::IntakePaused { by: "a \"b\"\n".to_owned() }),
        }
    }

    fn sample() -> Vec<u8> {
        let (one, two) = (fragment(&[entry(7)]).unwrap(), fragment(&[entry(8)]).unwrap());
        let mut line = line(Seq(7), [one.as_slice(), two.as_slice()].into_iter());
        assert_eq!(line.pop(), Some(b'\n'));
        line
    }

    #[test]
    fn a_line_gives_back_its_entries_and_is_one_line_of_json() {
        let line = sample();
        assert!(!line.contains(&b'\n'));
        serde_json::from_slice::<serde_json::Value>(&line).unwrap();
        assert_eq!(check(&line), Ok(Header { first: Seq(7), count: 2 }));
        assert_eq!(entries(&line).unwrap(), [entry(7), entry(8)]);
    }

    #[test]
    fn every_flipped_bit_of_a_line_is_found() {
        let good = sample();
        for at in 0..good.len() {
            for bit in 0..8 {
                let mut bad = good.clone();
                bad[at] ^= 1 << bit;
                assert!(matches!(check(&bad), Err(LineError::Damaged(_))), "byte {at} bit {bit}");
            }
        }
    }

    /// The promise to the journals that are out there: this very line stays readable.
    #[test]
    fn a_line_of_version_1_is_read_for_ever() {
        let line = br#"{"sum":"01a70042e61268c2","v":1,"seq":3,"entries":[{"seq":3,"at":5,"happened":{"sector":{"number":0,"event":{"started":{"phase":"P1","worker":"w"}}}}}]}"#;
        assert_eq!(sum(&line[BODY..]), "01a70042e61268c2");
        assert_eq!(check(line), Ok(Header { first: Seq(3), count: 1 }));
        assert_eq!(entries(line).unwrap().len(), 1);
        // From before there were several scratch roots.
        let line = br#"{"sum":"79ef987557b25ed7","v":1,"seq":2,"entries":[{"seq":2,"at":1795374512224,"happened":{"sector":{"number":0,"event":{"issued":{"miner":1000,"size":"2KiB","data":"committed_capacity","order":0,"simulated":false}}}}}]}"#;
        assert_eq!(check(line), Ok(Header { first: Seq(2), count: 1 }));
        let [entry] = &entries(line).unwrap()[..] else { panic!("one entry") };
        let Happened::Sector { event, .. } = &entry.happened else { panic!("{entry:?}") };
        assert!(matches!(event, Event::Issued { scratch: None, .. }), "{event:?}");
    }

    #[test]
    fn a_newer_version_is_told_from_damage_even_if_its_shape_changed() {
        for body in [r#"","v":2,"seq":1,"entries":[1]}"#, r#"","v":9,"other":{}}"#] {
            let line = format!(r#"{{"sum":"{}{body}"#, sum(&body.as_bytes()[1..]));
            assert!(matches!(check(line.as_bytes()), Err(LineError::Newer(_))), "{line}");
        }
    }

    #[test]
    fn an_event_unknown_here_is_told_from_damage() {
        let body = r#"","v":1,"seq":1,"entries":[{"seq":1,"at":1,"happened":{"moon":{}}}]}"#;
        let line = format!(r#"{{"sum":"{}{body}"#, sum(&body.as_bytes()[1..]));
        assert!(check(line.as_bytes()).is_ok());
        assert!(matches!(entries(line.as_bytes()), Err(LineError::Newer(_))));
    }
}
