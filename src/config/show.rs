//! How values are shown in JSON: in the units that the file uses.

use std::fmt::Display;
use std::time::Duration;

use serde::Serializer;

use crate::domain::phase::PerPhase;

pub fn as_text<S: Serializer>(value: &impl Display, s: S) -> Result<S::Ok, S::Error> {
    s.collect_str(value)
}

pub fn as_secs<S: Serializer>(value: &Duration, s: S) -> Result<S::Ok, S::Error> {
    s.serialize_u64(value.as_secs())
}

pub fn as_secs_or_zero<S: Serializer>(value: &Option<Duration>, s: S) -> Result<S::Ok, S::Error> {
    s.serialize_u64(value.map_or(0, |value| value.as_secs()))
}

pub fn as_ms<S: Serializer>(value: &Duration, s: S) -> Result<S::Ok, S::Error> {
    s.serialize_u128(value.as_millis())
}

pub fn durations_as_ms<S: Serializer>(
    durations: &PerPhase<Duration>,
    s: S,
) -> Result<S::Ok, S::Error> {
    s.collect_map(durations.iter().map(|(phase, d)| (phase.short_name(), d.as_millis())))
}
