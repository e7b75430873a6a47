//! What the rest of the box tells the scheduler.

use std::collections::BTreeSet;
use std::path::PathBuf;

use tokio::sync::oneshot;

use super::core::{Cause, WorkerId};
use crate::domain::admission::{Rooms, Stores};
use crate::domain::event::Event;
use crate::domain::failure::Failure;
use crate::domain::ids::SectorNumber;
use crate::domain::layout::Scratch;
use crate::domain::phase::Phase;
use crate::domain::units::Timestamp;

/// From workers, chain and engine.
#[derive(Debug)]
pub enum Input {
    /// Something happened in the midst of an attempt (a deletion). `durable` is answered once it
    /// is recorded; dropped unanswered if it is not.
    During { sector: SectorNumber, event: Event, durable: oneshot::Sender<()> },
    /// The stored copy of a finished sector was looked at. `durable` as above.
    Checked { sector: SectorNumber, event: Event, durable: oneshot::Sender<()> },
    /// A pass over the finished sectors of a storage has come this far; none: to its end.
    CheckedUpTo { root: String, began: Timestamp, up_to: Option<SectorNumber> },
    /// An attempt at what the box had died under got further.
    Advanced { sector: SectorNumber, phase: Phase },
    /// An attempt ended.
    Ended { worker: WorkerId, sector: SectorNumber, event: Event },
    /// An attempt panicked. The proofs library may have lost threads for good by it: a later call
    /// could hang for ever, so the process is not to be trusted with another attempt.
    EngineSuspect { why: String },
    /// The chain answered.
    Chain { sector: SectorNumber, event: Event },
    /// A phase has to wait for something, or no longer has to.
    Hold { phase: Phase, cause: Cause, waits_for: Option<String> },
    /// The storage that does not answer now.
    StorageHangs { roots: BTreeSet<PathBuf> },
    /// How the scratch roots were found.
    Rooms(Rooms),
    /// An attempt found that its root is gone.
    ScratchAway { root: Scratch, why: String },
    /// How the storage was found.
    Stores(Stores),
    /// The chain gives no answer (or does again).
    ChainTrouble { sector: SectorNumber, failure: Option<Failure> },
}
