//! Units: time, epochs, bytes, sector sizes.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

/// Milliseconds since 1970-01-01 UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(pub u64);

impl Timestamp {
    pub fn plus(self, duration: Duration) -> Self {
        let ms = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        Self(self.0.saturating_add(ms))
    }

    /// How long after `earlier`; zero if the clock went backwards.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }

    /// RFC 3339 in UTC, with milliseconds: `2025-11-22T14:43:01.042Z`.
    pub fn rfc3339(self) -> String {
        // Out of range is the year 9999 and later: the end of it is as good as any.
        let seconds = i64::try_from(self.0 / 1_000).unwrap_or(i64::MAX);
        let moment = OffsetDateTime::from_unix_timestamp(seconds.min(253_402_300_799))
            .unwrap_or(OffsetDateTime::UNIX_EPOCH);
        let (date, time) = (moment.date(), moment.time());
        format!(
            "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z",
            date.year(),
            u8::from(date.month()),
            date.day(),
            time.hour(),
            time.minute(),
            time.second(),
            self.0 % 1_000,
        )
    }
}

/// A time that nobody knows exactly, in words: `~ 25 minutes`, `~ 5 hours`, `~ 6 days`.
pub fn roughly(duration: Duration) -> String {
    const MINUTE: u64 = 60;
    const HOUR: u64 = 60 * MINUTE;
    const DAY: u64 = 24 * HOUR;
    const YEAR: u64 = 365 * DAY;
    // Of each from two on, so that what is cut off matters little.
    let (unit, name) = match duration.as_secs() {
        0..120 => return "~ 1 minute".to_owned(),
        seconds if seconds < 2 * HOUR => (MINUTE, "minutes"),
        seconds if seconds < 2 * DAY => (HOUR, "hours"),
        seconds if seconds < 2 * YEAR => (DAY, "days"),
        _ => (YEAR, "years"),
    };
    format!("~ {} {name}", duration.as_secs() / unit)
}

/// A chain epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Epoch(pub u64);

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The place of an event in the box's one history. The first is 1; 0 means "none yet".
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Seq(pub u64);

/// A number of bytes, shown in the binary unit that people use for it.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct ByteSize(pub u64);

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const UNITS: [&str; 6] = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
        let mut unit = 0;
        let mut scaled = self.0 as f64;
        while scaled >= 1024.0 && unit + 1 < UNITS.len() {
            scaled /= 1024.0;
            unit += 1;
        }
        if unit == 0 || scaled.fract() == 0.0 {
            write!(f, "{scaled:.0} {}", UNITS[unit])
        } else {
            write!(f, "{scaled:.1} {}", UNITS[unit])
        }
    }
}

/// The sector sizes that have a registered seal proof.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum SectorSize {
    #[serde(rename = "2KiB")]
    KiB2,
    #[serde(rename = "8MiB")]
    MiB8,
    #[serde(rename = "512MiB")]
    MiB512,
    #[serde(rename = "32GiB")]
    GiB32,
    #[serde(rename = "64GiB")]
    GiB64,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no sector size: expected 2KiB, 8MiB, 512MiB, 32GiB or 64GiB (or that in bytes)")]
pub struct BadSectorSize(String);

impl SectorSize {
    pub const ALL: [Self; 5] = [Self::KiB2, Self::MiB8, Self::MiB512, Self::GiB32, Self::GiB64];

    pub fn bytes(self) -> u64 {
        match self {
            Self::KiB2 => 2 << 10,
            Self::MiB8 => 8 << 20,
            Self::MiB512 => 512 << 20,
            Self::GiB32 => 32 << 30,
            Self::GiB64 => 64 << 30,
        }
    }

    /// The name without a space, as configuration and commands write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::KiB2 => "2KiB",
            Self::MiB8 => "8MiB",
            Self::MiB512 => "512MiB",
            Self::GiB32 => "32GiB",
            Self::GiB64 => "64GiB",
        }
    }

    /// Whether a lab may make its own Groth parameters for this size. The two production sizes
    /// take theirs from the trusted set-up; anything else there would prove nothing to anyone.
    pub fn allows_lab_parameters(self) -> bool {
        match self {
            Self::KiB2 | Self::MiB8 | Self::MiB512 => true,
            Self::GiB32 | Self::GiB64 => false,
        }
    }

    /// SDR layers of this size (`storage_proofs_porep`'s setup parameters for the size).
    pub fn layers(self) -> u32 {
        match self {
            Self::KiB2 | Self::MiB8 | Self::MiB512 => 2,
            Self::GiB32 | Self::GiB64 => 11,
        }
    }

    /// Into how many files tree-c and tree-r-last are each split. One file has no `-N` suffix.
    pub fn tree_files(self) -> u32 {
        match self {
            Self::KiB2 | Self::MiB8 | Self::MiB512 => 1,
            Self::GiB32 => 8,
            Self::GiB64 => 16,
        }
    }
}

impl fmt::Display for SectorSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        ByteSize(self.bytes()).fmt(f)
    }
}

impl FromStr for SectorSize {
    type Err = BadSectorSize;

    /// `32GiB`, `32 GiB`, `32gib` and `34359738368` are the same size.
    fn from_str(s: &str) -> Result<Self, Self::Err> {
        let compact: String = s.chars().filter(|c| !c.is_whitespace()).collect();
        Self::ALL
            .into_iter()
            .find(|size| {
                size.name().eq_ignore_ascii_case(&compact) || size.bytes().to_string() == compact
            })
            .ok_or_else(|| BadSectorSize(s.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sector_size_is_read_in_words_and_in_bytes() {
        for size in SectorSize::ALL {
            assert_eq!(size.name().parse(), Ok(size));
            assert_eq!(size.to_string().parse(), Ok(size));
            assert_eq!(size.bytes().to_string().parse(), Ok(size));
        }
        assert!("1GiB".parse::<SectorSize>().is_err());
        assert!("32GB".parse::<SectorSize>().is_err());
    }

    #[test]
    fn a_moment_is_written_as_rfc_3339_says() {
        assert_eq!(Timestamp(0).rfc3339(), "1970-01-01T00:00:00.000Z");
        assert_eq!(Timestamp(951_827_696_789).rfc3339(), "2000-02-29T12:34:56.789Z");
        assert!(Timestamp(u64::MAX).rfc3339().starts_with("9999-12-31T23:59:59"));
    }

    #[test]
    fn sizes_are_shown_in_the_unit_people_use() {
        assert_eq!(ByteSize(512).to_string(), "512 B");
        assert_eq!(ByteSize(34_359_738_368).to_string(), "32 GiB");
        assert_eq!(ByteSize(1_114_707_768).to_string(), "1.0 GiB");
    }

    #[test]
    fn what_nobody_knows_exactly_is_said_in_one_unit() {
        let said = |seconds| roughly(Duration::from_secs(seconds));
        assert_eq!([7, 7_199, 7_200].map(said), ["~ 1 minute", "~ 119 minutes", "~ 2 hours"]);
        assert_eq!([175_000, 63_072_000].map(said), ["~ 2 days", "~ 2 years"]);
    }
}
