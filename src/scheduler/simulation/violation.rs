//! A promise that was broken.

/// Which promise, and how it was seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// I1 to I9 as in ARCHITECTURE.md, or a word: `liveness`, `queue` and `wake` (what the core
    /// keeps beside the sectors), `idle` (a worker beside work), `intake`, `chain`, `panic`, and
    /// `bug` for what the code says of itself.
    pub of: &'static str,
    pub what: String,
}

pub fn broken(of: &'static str, what: impl Into<String>) -> Violation {
    Violation { of, what: what.into() }
}

pub fn ensure(
    holds: bool,
    of: &'static str,
    what: impl FnOnce() -> String,
) -> Result<(), Violation> {
    if holds { Ok(()) } else { Err(broken(of, what())) }
}
