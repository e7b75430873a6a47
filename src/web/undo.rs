//! What takes an action back, offered in the sentence after it.
//!
//! Only what the box was asked for a moment ago and can be asked to leave: a retry has begun, and
//! what an abort deletes is gone.

use std::fmt;
use std::str::FromStr;

use crate::domain::ids::OrderId;
use crate::domain::phase::Phase;
use crate::domain::units::SectorSize;
use crate::scheduler::command::{Command, Done};
use crate::scheduler::view::BoxView;

/// An action of the page that undoes another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Undo {
    PauseIntake,
    ResumeIntake,
    PausePhase(Phase),
    ResumePhase(Phase),
    Drain,
    ResumeAll,
    CancelOrder(OrderId),
    /// What a cancelled order had left, as a new order.
    OrderAgain {
        size: SectorSize,
        count: u64,
    },
    /// Where an order stood: before that one, or last.
    MoveOrder {
        order: OrderId,
        before: Option<OrderId>,
    },
}

impl Undo {
    /// What undoes a command that was carried out, by how the box stood before. None: it cannot be
    /// undone, or it changed nothing.
    pub fn of(command: &Command, done: &Done, before: &BoxView) -> Option<Self> {
        let nothing_paused = !before.intake_paused && before.paused.is_empty();
        match command {
            Command::Order { .. } => {
                let Done::Ordered(order) = done else { return None };
                Some(Self::CancelOrder(order.id))
            }
            Command::CancelOrder { order } => {
                let order = before.orders.iter().find(|open| open.id == *order)?;
                (order.left() > 0)
                    .then(|| Self::OrderAgain { size: order.size, count: order.left() })
            }
            Command::MoveOrder { order, .. } => {
                let at = before.orders.iter().position(|open| open.id == *order)?;
                let behind = before.orders.get(at + 1).map(|open| open.id);
                Some(Self::MoveOrder { order: *order, before: behind })
            }
            Command::PauseIntake => (!before.intake_paused).then_some(Self::ResumeIntake),
            Command::ResumeIntake => before.intake_paused.then_some(Self::PauseIntake),
            Command::PausePhase { phase } => {
                (!before.paused.contains(phase)).then_some(Self::ResumePhase(*phase))
            }
            Command::ResumePhase { phase } => {
                before.paused.contains(phase).then_some(Self::PausePhase(*phase))
            }
            // Of several pauses it would not be known which to leave.
            Command::Drain => nothing_paused.then_some(Self::ResumeAll),
            Command::ResumeAll => before.drained().then_some(Self::Drain),
            Command::Retry { .. }
            | Command::RetryAll
            | Command::Redo { .. }
            | Command::Abort { .. }
            | Command::Adopt { .. }
            | Command::RecordOrphan { .. } => None,
        }
    }

    /// Where its button is sent.
    pub fn path(&self) -> String {
        match self {
            Self::PauseIntake => "/intake/pause".to_owned(),
            Self::ResumeIntake => "/intake/resume".to_owned(),
            Self::PausePhase(phase) => format!("/phases/{phase}/pause"),
            Self::ResumePhase(phase) => format!("/phases/{phase}/resume"),
            Self::Drain => "/drain".to_owned(),
            Self::ResumeAll => "/resume".to_owned(),
            Self::CancelOrder(order) => format!("/orders/{order}/cancel"),
            Self::OrderAgain { .. } => "/orders".to_owned(),
            Self::MoveOrder { order, .. } => format!("/orders/{order}/move"),
        }
    }

    /// What is sent with it.
    pub fn fields(&self) -> Vec<(&'static str, String)> {
        match self {
            Self::PauseIntake
            | Self::ResumeIntake
            | Self::PausePhase(_)
            | Self::ResumePhase(_)
            | Self::Drain
            | Self::ResumeAll
            | Self::CancelOrder(_) => Vec::new(),
            Self::OrderAgain { size, count } => {
                vec![("count", count.to_string()), ("size", size.name().to_owned())]
            }
            Self::MoveOrder { before: Some(before), .. } => vec![("before", before.to_string())],
            Self::MoveOrder { before: None, .. } => vec![("to", "last".to_owned())],
        }
    }
}

/// As the cookie carries it.
impl fmt::Display for Undo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PauseIntake => f.write_str("pause-intake"),
            Self::ResumeIntake => f.write_str("resume-intake"),
            Self::PausePhase(phase) => write!(f, "pause {phase}"),
            Self::ResumePhase(phase) => write!(f, "resume {phase}"),
            Self::Drain => f.write_str("drain"),
            Self::ResumeAll => f.write_str("resume-all"),
            Self::CancelOrder(order) => write!(f, "cancel {order}"),
            Self::OrderAgain { size, count } => write!(f, "order {count} {}", size.name()),
            Self::MoveOrder { order, before: Some(before) } => write!(f, "move {order} {before}"),
            Self::MoveOrder { order, before: None } => write!(f, "move {order}"),
        }
    }
}

/// A cookie can be anybody's: what is not one of these offers nothing.
impl FromStr for Undo {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let order = |text: &str| text.parse().map(OrderId).map_err(|_| ());
        let phase = |text: &str| text.parse::<Phase>().map_err(|_| ());
        let words: Vec<&str> = text.split(' ').collect();
        Ok(match words.as_slice() {
            ["pause-intake"] => Self::PauseIntake,
            ["resume-intake"] => Self::ResumeIntake,
            ["pause", name] => Self::PausePhase(phase(name)?),
            ["resume", name] => Self::ResumePhase(phase(name)?),
            ["drain"] => Self::Drain,
            ["resume-all"] => Self::ResumeAll,
            ["cancel", id] => Self::CancelOrder(order(id)?),
            ["order", count, size] => Self::OrderAgain {
                count: count.parse().map_err(|_| ())?,
                size: size.parse().map_err(|_| ())?,
            },
            ["move", id] => Self::MoveOrder { order: order(id)?, before: None },
            ["move", id, before] => {
                Self::MoveOrder { order: order(id)?, before: Some(order(before)?) }
            }
            _ => return Err(()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_undoes_an_action_is_read_again_from_the_cookie_and_nothing_else_is() {
        let (one, two) = (OrderId(1), OrderId(2));
        for undo in [
            Undo::PauseIntake,
            Undo::ResumeIntake,
            Undo::PausePhase(Phase::P1),
            Undo::ResumePhase(Phase::P6),
            Undo::Drain,
            Undo::ResumeAll,
            Undo::CancelOrder(one),
            Undo::OrderAgain { size: SectorSize::GiB32, count: 7 },
            Undo::MoveOrder { order: one, before: Some(two) },
            Undo::MoveOrder { order: one, before: None },
        ] {
            assert_eq!(undo.to_string().parse(), Ok(undo));
        }
        for text in ["", "abort 3", "pause P9", "cancel ../x", "order 1", "drain ", "move 1 2 3"] {
            assert_eq!(text.parse::<Undo>(), Err(()), "{text}");
        }
    }
}
