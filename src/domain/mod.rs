//! The pure core: what a sector is, what follows what, what may start now.
//!
//! No I/O, no clock, no randomness, no threads. Time comes in with each event.

pub mod admission;
pub mod event;
pub mod failure;
pub mod forecast;
pub mod ids;
pub mod isolation;
pub mod layout;
pub mod needs;
pub mod order;
pub mod phase;
pub mod pipeline;
#[cfg(test)]
pub mod planted;
pub mod porep;
pub mod progress;
pub mod sector;
pub mod task;
pub mod timeline;
pub mod times;
pub mod units;
