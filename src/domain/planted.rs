//! Deliberate bugs, to show that the simulation finds what it is there for. Compiled for tests
//! only; at most one is in place, and for the test's own thread alone.

use std::cell::Cell;

/// Each stands in the code at the place it names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bug {
    /// `admission::intake` issues one sector more than the throttle allows.
    ThrottleOffByOne,
    /// `admission::Queue`: a failed sector does not hold its place.
    FailedHoldsNoPlace,
    /// `admission::Queue` and `pipeline::started`: what runs may be started again.
    DoubleStart,
    /// `pipeline::interrupted` counts as a failure.
    InterruptedCounts,
    /// `pipeline::give_up_if_asked` does not wait for the attempts that run.
    AbortUnderRunning,
    /// `failure::next_step` tries a transient failure for ever.
    TriesForEver,
    /// `Core::retry` answers well and does nothing.
    LostRetry,
    /// `Core::wake` does not ask the chain again.
    EffectsForgotten,
    /// `Core::wake` orders what it ordered at the last start.
    PledgesAgain,
    /// `Core::attempt_ended` keeps the worker of a failed attempt.
    SlotLost,
    /// `Queue::next_wake` names times that are over, so that the loop never rests.
    WakesForThePast,
    /// The loop acts on what is not durable yet.
    ActsBeforeCommit,
    /// The loop answers a command before what it did is durable.
    AnswersBeforeCommit,
    /// The loop leaves the chain's errand running when the sector is given up.
    ErrandOutlivesItsNeed,
    /// `admission::intake` takes the free scratch for its own, whatever is reserved of it.
    ReservesNothing,
    /// `admission::Sites` reserves all in the first root, wherever a sector is made.
    ReservesElsewhere,
    /// `admission::Left` starts work in a root that is known to be away.
    AwayForgotten,
    /// P6 deletes without looking at the stored copy.
    CleansBeforeProof,
    /// P6 deletes before the deletion is on record.
    DeletesBeforeRecord,
    /// P2 drops the layers before anything stands for them.
    DropsUnanswered,
    /// `Core::new` leaves the damaged finished sectors out.
    DamageForgotten,
    /// `pipeline::checked` keeps the fault of a copy that is proven again.
    DamageStays,
    /// `admission::intake` goes by the orders' numbers, wherever they stand.
    IssuesByNumber,
    /// `Core::move_order` answers well and does nothing.
    LostMove,
    /// `admission::pledge` takes all of the storage's room for its own, whatever copies are owed.
    OwesNoCopies,
    /// `Core::attempt_ended` forgets a copy that no look at the storage has seen.
    StoredUnseen,
    /// `admission::tasks` tries a copy again into a storage that is seen to be full.
    CopiesInVain,
    /// P6 leaves the stored copy of a sector that was given up.
    LeavesTheCopy,
    /// `Core::wake` starts again what the box dies under each time.
    DiesForEver,
    /// `Core::wake` takes an ordered stop for a death.
    StopIsDeath,
    /// `pipeline::advanced` forgives no deaths.
    AdvanceForgotten,
}

impl Bug {
    pub const ALL: [Self; 31] = [
        Self::ThrottleOffByOne,
        Self::FailedHoldsNoPlace,
        Self::DoubleStart,
        Self::InterruptedCounts,
        Self::AbortUnderRunning,
        Self::TriesForEver,
        Self::LostRetry,
        Self::EffectsForgotten,
        Self::PledgesAgain,
        Self::SlotLost,
        Self::WakesForThePast,
        Self::ActsBeforeCommit,
        Self::AnswersBeforeCommit,
        Self::ErrandOutlivesItsNeed,
        Self::ReservesNothing,
        Self::ReservesElsewhere,
        Self::AwayForgotten,
        Self::CleansBeforeProof,
        Self::DeletesBeforeRecord,
        Self::DropsUnanswered,
        Self::DamageForgotten,
        Self::DamageStays,
        Self::IssuesByNumber,
        Self::LostMove,
        Self::OwesNoCopies,
        Self::StoredUnseen,
        Self::CopiesInVain,
        Self::LeavesTheCopy,
        Self::DiesForEver,
        Self::StopIsDeath,
        Self::AdvanceForgotten,
    ];
}

thread_local! {
    static PLANTED: Cell<Option<Bug>> = const { Cell::new(None) };
}

/// Puts this bug in place for the rest of this thread.
pub fn plant(bug: Bug) {
    PLANTED.set(Some(bug));
}

/// Whether this bug is in place.
pub fn planted(bug: Bug) -> bool {
    PLANTED.get() == Some(bug)
}
