//! The box's own state: its orders, its next sector number, whether it takes work in.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::event::{BoxEvent, Entry, Event, Happened};
use super::ids::{OrderId, SectorNumber};
use super::phase::Phase;
use super::units::{SectorSize, Seq, Timestamp};

/// The most sectors one order may ask for.
pub const ORDER_LIMIT: u64 = 100_000;

/// The most orders that may be open at once: every event carries the box's state along.
pub const OPEN_ORDERS_LIMIT: usize = 1_000;

/// An order that still has sectors to issue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    pub id: OrderId,
    pub size: SectorSize,
    pub count: u64,
    pub issued: u64,
    pub by: String,
    pub at: Timestamp,
}

/// A pass over the finished sectors of one storage, in the order of their numbers: each is proven
/// again from there. What it finds damaged is in that sector's own history.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pass {
    pub began: Timestamp,
    /// The last sector it has looked at; none once it is over.
    pub up_to: Option<SectorNumber>,
    /// When the pass before it began.
    pub before: Option<Timestamp>,
}

impl Pass {
    /// Since when a sector of this number was looked at at least once, if that is known.
    pub fn looked_at_since(&self, number: SectorNumber) -> Option<Timestamp> {
        match self.up_to {
            Some(up_to) if number > up_to => self.before,
            Some(_) | None => Some(self.began),
        }
    }
}

/// The fold of everything that concerns the box and not one sector. Orders leave it once they are
/// issued, so its size follows the work to come, not the history.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BoxState {
    pub seq: Seq,
    pub next_number: u64,
    pub next_order: u64,
    pub orders: BTreeMap<OrderId, Order>,
    pub intake_paused: bool,
    /// Phases that a person paused: what runs may end, nothing of them starts.
    pub paused: BTreeSet<Phase>,
    /// Sectors ever ordered, the cancelled ones too: `auto_pledge` does not order again what a
    /// person took back.
    pub ordered: u64,
    /// How far the finished sectors of each storage were proven again.
    pub passes: BTreeMap<String, Pass>,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{event} does not fit the box's state: {why}")]
pub struct IllegalBoxEvent {
    event: String,
    why: &'static str,
}

impl BoxState {
    pub fn apply(&self, entry: &Entry) -> Result<Self, IllegalBoxEvent> {
        let mut next = self.clone();
        next.advance(entry)?;
        Ok(next)
    }

    /// As [`BoxState::apply`], in place: a thousand open orders are not copied for every event.
    ///
    /// # Errors
    /// The entry does not fit; nothing is changed then.
    pub fn advance(&mut self, entry: &Entry) -> Result<(), IllegalBoxEvent> {
        let illegal = |why| IllegalBoxEvent { event: format!("{:?}", entry.happened), why };
        match &entry.happened {
            Happened::Box(BoxEvent::Ordered { order, size, count, by }) => {
                if order.0 != self.next_order {
                    return Err(illegal("order numbers follow each other"));
                }
                self.next_order += 1;
                self.ordered += count;
                let placed = Order {
                    id: *order,
                    size: *size,
                    count: *count,
                    issued: 0,
                    by: by.clone(),
                    at: entry.at,
                };
                self.orders.insert(*order, placed);
            }
            Happened::Box(BoxEvent::Cancelled { order, .. }) => {
                self.orders.remove(order).ok_or_else(|| illegal("no such order"))?;
            }
            Happened::Box(BoxEvent::IntakePaused { .. }) => self.intake_paused = true,
            Happened::Box(BoxEvent::IntakeResumed { .. }) => self.intake_paused = false,
            Happened::Box(BoxEvent::PhasePaused { phase, .. }) => {
                self.paused.insert(*phase);
            }
            Happened::Box(BoxEvent::PhaseResumed { phase, .. }) => {
                self.paused.remove(phase);
            }
            Happened::Box(BoxEvent::OrphanDeleted { .. }) => {}
            Happened::Box(BoxEvent::Checked { root, began, up_to }) => {
                let before = match self.passes.get(root) {
                    Some(pass) if pass.began == *began => pass.before,
                    Some(pass) => Some(pass.began),
                    None => None,
                };
                let pass = Pass { began: *began, up_to: *up_to, before };
                self.passes.insert(root.clone(), pass);
            }
            Happened::Sector { number, event: Event::Issued { order, .. } } => {
                if number.0 != self.next_number {
                    return Err(illegal("sector numbers follow each other"));
                }
                let open = self.orders.get_mut(order).ok_or_else(|| illegal("no such order"))?;
                open.issued += 1;
                if open.issued == open.count {
                    self.orders.remove(order);
                }
                self.next_number += 1;
            }
            Happened::Sector { .. } => {}
        }
        self.seq = entry.seq;
        Ok(())
    }

    pub fn next_sector(&self) -> SectorNumber {
        SectorNumber(self.next_number)
    }
}
