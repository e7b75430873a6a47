//! Which sectors are kept in memory: those in flight, and of the finished ones the damaged.

use std::sync::Arc;

use super::Core;
use crate::domain::event::{BoxEvent, Event};
use crate::domain::failure::Class;
use crate::domain::ids::SectorNumber;
use crate::domain::pipeline::IllegalEvent;
use crate::domain::sector::{Sector, Stage};
use crate::domain::times::{self, Step};
use crate::domain::units::Timestamp;

impl Core {
    /// The stored copy of a finished sector was looked at. `stored` is the sector as the store has
    /// it; what is in memory is newer.
    pub fn checked(
        &mut self,
        number: SectorNumber,
        stored: Option<Sector>,
        event: Event,
        now: Timestamp,
    ) -> Result<(), IllegalEvent> {
        let before = self.known(number).or_else(|| stored.map(Arc::new));
        self.happen_to(before, number, event, now)
    }

    /// A pass over the finished sectors of a storage has come this far.
    pub fn checked_up_to(
        &mut self,
        root: String,
        began: Timestamp,
        up_to: Option<SectorNumber>,
        now: Timestamp,
    ) {
        self.box_event(BoxEvent::Checked { root, began, up_to }, now);
    }

    /// The sector as it was decided last, if it is in memory.
    pub(super) fn known(&self, number: SectorNumber) -> Option<Arc<Sector>> {
        let kept = self.sectors.get(&number).or_else(|| self.damaged.get(&number));
        kept.or_else(|| self.changed.get(&number)).cloned()
    }

    /// Takes note of what became of a sector.
    pub(super) fn note(&mut self, before: Option<&Sector>, after: Arc<Sector>) {
        let was_over = before.is_some_and(|before| before.stage.is_over());
        match &after.stage {
            Stage::Finished { .. } if !was_over => {
                self.finished += 1;
                Arc::make_mut(&mut self.throughput).count(after.size, after.ended());
            }
            Stage::GivenUp { .. } if !was_over => self.given_up += 1,
            Stage::Finished { .. }
            | Stage::GivenUp { .. }
            | Stage::Ticket
            | Stage::P1 { .. }
            | Stage::P2 { .. }
            | Stage::PreCommitting { .. }
            | Stage::WaitSeed { .. }
            | Stage::P3 { .. }
            | Stage::Proving { .. }
            | Stage::P6 { .. } => {}
        }
        self.keep(before, after);
    }

    /// Learns from a step that is over how long it takes.
    pub(super) fn learn(&mut self, after: &Sector, event: &Event) {
        let step = match event {
            Event::Succeeded { output } => Step::Phase(output.phase()),
            Event::SeedDrawn { .. } => Step::Seed,
            Event::Issued { .. }
            | Event::TicketDrawn { .. }
            | Event::Started { .. }
            | Event::Interrupted { .. }
            | Event::Advanced { .. }
            | Event::Failed { .. }
            | Event::PreCommitted { .. }
            | Event::PreCommitRefused { .. }
            | Event::Committed { .. }
            | Event::CommitRefused { .. }
            | Event::Retried { .. }
            | Event::Redone { .. }
            | Event::Aborted { .. }
            | Event::Deleted { .. }
            | Event::StoredProven { .. }
            | Event::StoredDamaged { .. } => return,
        };
        if let Some(took) = times::took(after, step) {
            Arc::make_mut(&mut self.usual).learn(after.kind(), step, took);
        }
    }

    /// Keeps a sector as it is now, for as long as it is in flight or damaged.
    pub(super) fn keep(&mut self, before: Option<&Sector>, after: Arc<Sector>) {
        let number = after.id.number;
        self.queue.update(before, &after);
        if after.needs_you() {
            self.attention.insert(number);
        } else {
            self.attention.remove(&number);
        }
        self.damaged.remove(&number);
        match &after.stage {
            Stage::Finished { fault, .. } => {
                self.sectors.remove(&number);
                if fault.is_some() {
                    self.damaged.insert(number, after);
                }
            }
            Stage::GivenUp { .. } => {
                self.sectors.remove(&number);
            }
            Stage::Ticket
            | Stage::P1 { .. }
            | Stage::P2 { .. }
            | Stage::PreCommitting { .. }
            | Stage::WaitSeed { .. }
            | Stage::P3 { .. }
            | Stage::Proving { .. }
            | Stage::P6 { .. } => {
                self.sectors.insert(number, after);
            }
        }
        // A halt stands with the failed task that caused it: when that was aborted, there would be
        // nothing left to retry, and the box would stand still for good.
        if self.halted.is_some() && !self.attention.iter().any(|number| self.is_fatal(*number)) {
            self.halted = None;
        }
    }

    fn is_fatal(&self, number: SectorNumber) -> bool {
        let sector = self.sectors.get(&number);
        sector.is_some_and(|s| s.failures().any(|(_, failure)| failure.class == Class::Fatal))
    }
}
