//! What can be done to a sector now. The state machine itself is asked: its reason is shown.

use serde::Serialize;

use super::schema::shape;
use crate::domain::event::Event;
use crate::domain::phase::Phase;
use crate::domain::pipeline::{Stamp, apply};
use crate::domain::sector::Sector;

/// The reason why it cannot be done.
pub type WhyNot = &'static str;

/// Why this cannot happen to the sector now; none: it can.
pub fn why_not(sector: &Sector, event: &Event) -> Option<WhyNot> {
    let stamp = Stamp { seq: sector.seq, at: sector.updated };
    apply(sector, stamp, event).err().map(|illegal| illegal.why)
}

/// What a person may do to one sector, and what may not be done with the reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Offers {
    /// The phases that can be put back now.
    pub retry: Vec<Phase>,
    /// P5 would copy again what P6 could not prove.
    pub copy_again: bool,
    /// Its stored copy can be proven again.
    pub prove_again: bool,
    /// Why none can, if none can.
    pub no_retry: Option<WhyNot>,
    pub no_redo: Option<WhyNot>,
    pub no_abort: Option<WhyNot>,
}

shape!(Offers { retry, copy_again, prove_again, no_retry, no_redo, no_abort });

impl Offers {
    /// The words on the button that puts this phase back.
    pub fn retry_words(&self, phase: &Phase) -> String {
        if *phase == Phase::P5 && self.copy_again {
            "Copy again".to_owned()
        } else {
            format!("Retry {phase}")
        }
    }

    pub fn of(sector: &Sector) -> Self {
        let by = || String::from("?");
        let why_not = |event: &Event| why_not(sector, event);
        let why_no_retry = |phase| why_not(&Event::Retried { phase, by: by() });
        let retry: Vec<Phase> =
            Phase::ALL.into_iter().filter(|phase| why_no_retry(*phase).is_none()).collect();
        let at_hand = sector.stage.works().next().map_or(Phase::P1, |(phase, _)| phase);
        Self {
            copy_again: retry.contains(&Phase::P6) && retry.contains(&Phase::P5),
            prove_again: why_not(&Event::StoredProven { by: by() }).is_none(),
            no_retry: if retry.is_empty() { why_no_retry(at_hand) } else { None },
            retry,
            no_redo: why_not(&Event::Redone { by: by() }),
            no_abort: why_not(&Event::Aborted { by: by() }),
        }
    }
}
