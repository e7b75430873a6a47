//! The box's own state: its orders, its next sector number, whether it takes work in.
//!
//! The open orders are a queue: where one stands decides which sector is issued next.

use std::collections::{BTreeMap, BTreeSet};
use std::str::FromStr;

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

impl Order {
    /// Sectors that are not issued yet.
    pub fn left(&self) -> u64 {
        self.count - self.issued
    }
}

/// What is ordered without a person.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AutoPledge {
    /// Until so many were ordered in all, by whomever.
    Sectors(u64),
    /// For as long as a storage has room for one more copy.
    UntilFull,
}

impl AutoPledge {
    /// The second, as the configuration has it.
    pub const UNTIL_FULL: &str = "until-full";
}

impl FromStr for AutoPledge {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let text = text.trim();
        if text == Self::UNTIL_FULL {
            return Ok(Self::UntilFull);
        }
        let count = text.parse().ok().filter(|count| *count <= ORDER_LIMIT);
        count.map(Self::Sectors).ok_or(())
    }
}

/// As the configuration has it.
impl Serialize for AutoPledge {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Sectors(count) => serializer.serialize_u64(*count),
            Self::UntilFull => serializer.serialize_str(Self::UNTIL_FULL),
        }
    }
}

/// Where in the queue an order is put.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    First,
    Up,
    Down,
    Last,
    Before(OrderId),
}

impl Place {
    /// Those that need no other order, by their names.
    pub const NAMED: [(&str, Self); 4] =
        [("first", Self::First), ("up", Self::Up), ("down", Self::Down), ("last", Self::Last)];
}

/// The open orders, in the order in which they are issued.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Orders(Vec<Order>);

impl Orders {
    pub fn iter(&self) -> std::slice::Iter<'_, Order> {
        self.0.iter()
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn first(&self) -> Option<&Order> {
        self.0.first()
    }

    /// How many stand before it; none if it is not open.
    pub fn position(&self, order: OrderId) -> Option<usize> {
        self.0.iter().position(|open| open.id == order)
    }

    /// What an open order that is put to this place stands before; none: it is the last.
    pub fn target(&self, order: OrderId, to: Place) -> Option<OrderId> {
        let at = self.position(order)?;
        let target = match to {
            Place::First => self.0.first(),
            Place::Up => self.0.get(at.saturating_sub(1)),
            Place::Down => self.0.get(at + 2),
            Place::Last => None,
            Place::Before(other) => return Some(other),
        };
        target.map(|order| order.id)
    }

    /// Whether an open order stands right before that one, or is that one.
    pub fn stands_before(&self, order: OrderId, before: Option<OrderId>) -> bool {
        let next = self.position(order).and_then(|at| self.0.get(at + 1)).map(|next| next.id);
        before == next || before == Some(order)
    }

    /// Puts an order right before another, or to the end. All others keep their sequence.
    fn put_before(&mut self, order: OrderId, before: Option<OrderId>) -> Result<(), &'static str> {
        let from = self.position(order).ok_or(NO_SUCH)?;
        let to = match before {
            Some(before) if before == order => return Err("an order cannot stand before itself"),
            Some(before) => self.position(before).ok_or(NO_SUCH)?,
            None => self.0.len(),
        };
        // What stands behind its old place moves up by one.
        let to = if from < to { to - 1 } else { to };
        let moved = self.0.remove(from);
        self.0.insert(to, moved);
        Ok(())
    }

    fn remove(&mut self, order: OrderId) -> Result<(), &'static str> {
        let at = self.position(order).ok_or(NO_SUCH)?;
        self.0.remove(at);
        Ok(())
    }

    /// One more sector of it is issued; the last one closes it.
    fn issue(&mut self, order: OrderId) -> Result<(), &'static str> {
        let at = self.position(order).ok_or(NO_SUCH)?;
        self.0[at].issued += 1;
        if self.0[at].left() == 0 {
            self.0.remove(at);
        }
        Ok(())
    }
}

const NO_SUCH: &str = "no such order";

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
    pub orders: Orders,
    pub intake_paused: bool,
    /// Phases that a person paused: what runs may end, nothing of them starts.
    pub paused: BTreeSet<Phase>,
    /// Sectors ever ordered, the cancelled ones too: `auto_pledge` does not order again what a
    /// person took back.
    pub ordered: u64,
    /// How far the finished sectors of each storage were proven again.
    pub passes: BTreeMap<String, Pass>,
    /// It was told to stop, and nothing has started since: whatever ran was not what ended it.
    pub stopping: bool,
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
                self.orders.0.push(placed);
            }
            Happened::Box(BoxEvent::Cancelled { order, .. }) => {
                self.orders.remove(*order).map_err(illegal)?;
            }
            Happened::Box(BoxEvent::Moved { order, before, .. }) => {
                self.orders.put_before(*order, *before).map_err(illegal)?;
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
            Happened::Box(BoxEvent::Stopping { .. }) => self.stopping = true,
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
                self.orders.issue(*order).map_err(illegal)?;
                self.next_number += 1;
            }
            Happened::Sector { event: Event::Started { .. }, .. } => self.stopping = false,
            Happened::Sector { .. } => {}
        }
        self.seq = entry.seq;
        Ok(())
    }

    pub fn next_sector(&self) -> SectorNumber {
        SectorNumber(self.next_number)
    }
}

#[cfg(test)]
#[path = "order_tests.rs"]
mod tests;
