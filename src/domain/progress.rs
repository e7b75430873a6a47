//! How far a running attempt has come: told while it runs, shown, and kept nowhere.

use serde::{Deserialize, Serialize};

/// What an attempt tells of itself between its start and its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Progress {
    /// Before P1: layers of an earlier attempt are compared with what was recorded of them.
    Checking { done_bytes: u64, total_bytes: u64 },
    /// P1: how many layers are complete, those of earlier attempts included.
    Layers { done: u32, of: u32 },
    /// P2: of each kind of tree, how many of its files are complete. The replica is encoded between
    /// the two.
    Trees { tree_c: u32, tree_r_last: u32, of: u32 },
    /// P5: every byte counts twice, once written and once read back.
    Copying { done_bytes: u64, total_bytes: u64 },
}

/// Who is told. From whichever thread knows.
pub type Tell<'a> = &'a (dyn Fn(Progress) + Sync);
