//! Files: where they lie, how they are copied to storage, how they are proven there, and how they
//! are deleted. Nothing else in sealbox builds a sector's path or removes a sector's file.
//!
//! Every call blocks, for as long as the disk behind it does (a hung mount: for ever). Call from
//! threads that may wait, never from the scheduler or the async runtime.

pub mod clean;
pub mod disk;
pub mod identity;
pub mod manifest;
pub mod orphans;
mod pump;
pub mod rate;
pub mod room;
pub mod roots;
pub mod shrink;
#[cfg(test)]
mod testing;
pub mod transfer;
pub mod writable;
