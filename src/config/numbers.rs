//! Numbers with a default, and the bounds that several keys share.

use std::ops::RangeInclusive;

use super::table::Table;

pub const YEAR_SEC: u64 = 365 * 24 * 60 * 60;
pub const WEEK_SEC: u64 = 7 * 24 * 60 * 60;
pub const DAY_SEC: u64 = 24 * 60 * 60;

pub fn integer(
    table: &Table,
    key: &'static str,
    range: RangeInclusive<u64>,
    unit: &str,
    default: u64,
) -> u64 {
    table.integer(key, range, unit).map_or(default, |got| got.value)
}

/// As `integer`, for the ranges that end within a u32.
pub fn small(
    table: &Table,
    key: &'static str,
    range: RangeInclusive<u64>,
    unit: &str,
    default: u32,
) -> u32 {
    let value = table.integer(key, range, unit).map(|got| got.value);
    value.and_then(|value| u32::try_from(value).ok()).unwrap_or(default)
}
