//! Failures: classed once, where they arise, and what follows from the class.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::phase::Phase;
#[cfg(test)]
use super::planted::{Bug, planted};

/// What kind of trouble it is; decides what happens next (see [`next_step`]).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Class {
    /// May go away by itself: tried again, later and later, up to a limit.
    Transient,
    /// A disk is full: tried again for as long as it takes. Until then no sector is begun in that
    /// scratch, and none at all if it is the storage.
    Space,
    /// Needs a person: a permission, missing parameters, a wrong mount.
    Operator,
    /// This sector cannot go on as it is: redo from an earlier phase, or give it up.
    Sector,
    /// The box must stop taking work.
    Fatal,
}

impl Class {
    pub const ALL: [Self; 5] =
        [Self::Transient, Self::Space, Self::Operator, Self::Sector, Self::Fatal];

    pub fn name(self) -> &'static str {
        match self {
            Self::Transient => "transient",
            Self::Space => "space",
            Self::Operator => "operator",
            Self::Sector => "sector",
            Self::Fatal => "fatal",
        }
    }
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What went wrong, where, and what to do now. The phase and the sector are those of the event
/// that carries it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    pub class: Class,
    /// One sentence without the path: failures that read the same have the same cause.
    pub what: String,
    pub file: Option<PathBuf>,
    /// What the operator does now.
    pub mend: String,
    /// The rest for who looks closer: the error chain, a panic's backtrace.
    pub detail: Option<String>,
}

impl Failure {
    pub fn new(class: Class, what: impl Into<String>, mend: impl Into<String>) -> Self {
        Self { class, what: what.into(), file: None, mend: mend.into(), detail: None }
    }

    #[must_use]
    pub fn at(mut self, file: impl AsRef<Path>) -> Self {
        self.file = Some(file.as_ref().to_path_buf());
        self
    }

    #[must_use]
    pub fn detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }

    /// An I/O error at a path. Its kind decides the class: what a person must mend waits for a
    /// person, the rest is tried again.
    pub fn io(doing: &str, path: impl AsRef<Path>, error: &std::io::Error) -> Self {
        use std::io::ErrorKind;
        let path = path.as_ref();
        let (class, what, mend) = match error.kind() {
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded => (
                Class::Space,
                format!("no space left on device while {doing}"),
                "free space on this disk: sealbox goes on by itself, or at once with Retry"
                    .to_owned(),
            ),
            ErrorKind::PermissionDenied => (
                Class::Operator,
                format!("permission denied while {doing}"),
                "give the user that runs sealbox write access to this path, then retry".to_owned(),
            ),
            ErrorKind::ReadOnlyFilesystem => (
                Class::Operator,
                format!("read-only file system while {doing}"),
                "mount it writable (look at `dmesg` for why it is read-only), then retry"
                    .to_owned(),
            ),
            ErrorKind::NotFound => (
                Class::Operator,
                format!("no such file or directory while {doing}"),
                "see that the disk behind this path is mounted and complete, then retry".to_owned(),
            ),
            _ => (
                Class::Transient,
                format!("{doing} failed: {error}"),
                "sealbox tries again by itself; if it stays, look at the disk (`dmesg`)".to_owned(),
            ),
        };
        Self::new(class, what, mend).at(path).detail(error.to_string())
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)?;
        if let Some(file) = &self.file {
            write!(f, " ({})", file.display())?;
        }
        write!(f, "; {}", self.mend)
    }
}

impl std::error::Error for Failure {}

/// What follows a failed attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NextStep {
    /// The same phase again, after this long.
    RetryAfter(Duration),
    /// P2 cannot get there from these layers: label again.
    RedoFromP1,
    /// A person decides.
    Wait,
}

/// Automatic tries of a transient failure before a person is asked.
pub const TRANSIENT_TRIES: u32 = 4;
/// Automatic tries of P2 on the same layers before they are suspected.
pub const P2_TRIES: u32 = 2;
/// How often the layers are made again before a person is asked.
pub const P1_REDOS: u32 = 1;

/// In how many attempts in a row at the same task the box may die before a person is asked: what
/// kills it each time would do so for ever.
pub const DEATHS: u32 = 3;

/// What is said of a task that the box has died under so often. Whatever else ran each time is as
/// much under suspicion, and is held too.
pub fn died_under(phase: Phase) -> Failure {
    Failure::new(
        Class::Operator,
        format!("sealbox died {DEATHS} times in a row while {phase} ran"),
        "most often the kernel ended it for want of memory (`journalctl -k | grep -i \"out of \
         memory\"` says so): give the box more, or plan with more for this phase (`[[need]]`) or \
         with fewer workers, then retry; with `[engine] isolation = \"process\"` only the attempt \
         dies",
    )
    .detail(
        "It ran each time that the box ended without having been told to, and came no further in \
         between. Other tasks of which that is true wait as well: one of them may be the cause. \
         Retry them one at a time.",
    )
}

/// The failure policy.
///
/// `tries` counts the failed attempts of this phase since it became ready or a person last looked,
/// this one included; `redos` how often this sector went back to P1 by itself.
///
/// | class     | P1, P3, P4, P5, P6               | P2                                       |
/// |-----------|----------------------------------|------------------------------------------|
/// | transient | again after 5, 20, 80 s; then a person | the same                           |
/// | space     | again after 30 s, 2 min, then every 5 min | the same                        |
/// | operator  | a person                         | a person                                 |
/// | sector    | a person                         | again at once; twice: redo from P1, once |
/// | fatal     | a person (and the box stops)     | the same                                 |
pub fn next_step(phase: Phase, class: Class, tries: u32, redos: u32) -> NextStep {
    match (class, phase) {
        #[cfg(test)]
        (Class::Transient, _) if planted(Bug::TriesForEver) && tries >= TRANSIENT_TRIES => {
            NextStep::RetryAfter(Duration::from_secs(320))
        }
        (Class::Transient, _) if tries < TRANSIENT_TRIES => {
            NextStep::RetryAfter(Duration::from_secs(5 * 4u64.pow(tries.saturating_sub(1))))
        }
        // Without a limit: it costs nothing while there is no room. Admission asks for it before P1
        // and P2 start, and before P5 starts again; so only who is refused the room that was seen
        // waits longer and longer.
        (Class::Space, _) => NextStep::RetryAfter(match tries {
            0 | 1 => Duration::from_secs(30),
            2 => Duration::from_secs(120),
            _ => Duration::from_secs(300),
        }),
        (Class::Sector, Phase::P2) if tries < P2_TRIES => NextStep::RetryAfter(Duration::ZERO),
        (Class::Sector, Phase::P2) if redos < P1_REDOS => NextStep::RedoFromP1,
        (Class::Transient | Class::Operator | Class::Sector | Class::Fatal, _) => NextStep::Wait,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_class_but_a_full_disk_is_tried_for_ever() {
        for class in Class::ALL.into_iter().filter(|class| *class != Class::Space) {
            for phase in Phase::ALL {
                assert_eq!(next_step(phase, class, TRANSIENT_TRIES, P1_REDOS), NextStep::Wait);
            }
        }
    }

    #[test]
    fn a_full_disk_is_looked_at_again_for_as_long_as_it_takes() {
        let five_minutes = NextStep::RetryAfter(Duration::from_secs(300));
        for phase in Phase::ALL {
            assert_eq!(next_step(phase, Class::Space, 10_000, P1_REDOS), five_minutes);
        }
    }

    #[test]
    fn what_the_box_died_under_so_often_waits_for_a_person() {
        for phase in Phase::ALL {
            let class = died_under(phase).class;
            assert_eq!(next_step(phase, class, 1, 0), NextStep::Wait);
        }
    }

    #[test]
    fn back_off_grows() {
        let waits: Vec<_> = (1..TRANSIENT_TRIES)
            .map(|tries| match next_step(Phase::P5, Class::Transient, tries, 0) {
                NextStep::RetryAfter(wait) => wait.as_secs(),
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(waits, [5, 20, 80]);
    }

    #[test]
    fn p2_that_fails_twice_is_redone_from_p1_once() {
        let step = |tries, redos| next_step(Phase::P2, Class::Sector, tries, redos);
        assert_eq!(step(1, 0), NextStep::RetryAfter(Duration::ZERO));
        assert_eq!(step(2, 0), NextStep::RedoFromP1);
        assert_eq!(step(2, 1), NextStep::Wait);
    }
}
