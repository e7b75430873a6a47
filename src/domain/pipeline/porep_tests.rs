//! What the kinds of PoRep change in what follows what.

use super::tests::event;
use super::*;
use crate::domain::phase::Phase;
use crate::domain::porep::Porep;
use crate::domain::task::TaskState;

/// The sector of this kind after these events, one millisecond apart.
fn after(porep: Porep, history: &str) -> Sector {
    let mut issued = event("issue");
    if let Event::Issued { porep: of, .. } = &mut issued {
        *of = porep;
    }
    let events = history.split(", ").map(event);
    let mut sector = None;
    for (n, event) in (1..).zip(std::iter::once(issued).chain(events)) {
        let stamp = Stamp { seq: Seq(n), at: Timestamp(n) };
        sector = Some(fold(sector.as_ref(), SectorNumber(7), stamp, &event).unwrap().0);
    }
    sector.unwrap()
}

fn follows(sector: &Sector, name: &str) -> Result<Vec<Effect>, &'static str> {
    let stamp = Stamp { seq: Seq(99), at: Timestamp(99) };
    apply(sector, stamp, &event(name)).map(|(_, effects)| effects).map_err(|illegal| illegal.why)
}

const REPLICATED: &str = "ticket, start P1, ok P1, start P2, ok P2";

#[test]
fn without_interaction_p3_follows_p2_and_the_chain_is_asked_for_nothing_in_between() {
    let sector = after(Porep::NonInteractive, REPLICATED);
    assert!(matches!(sector.task(Phase::P3), TaskState::Ready { not_before: None }));
    assert_eq!(owed(&sector), []);
    assert_eq!(follows(&sector, "precommitted"), Err(NOT_NOW));
    assert_eq!(follows(&sector, "seed"), Err(NOT_NOW));
    let challenge = sector.stage.challenge().unwrap();
    assert_eq!((challenge.seed(), challenge.pre_commit()), (None, None));
}

#[test]
fn without_interaction_the_first_message_is_the_commit() {
    let proven = format!("{REPLICATED}, start P3, ok P3, start P4");
    let sector = after(Porep::NonInteractive, &proven);
    assert_eq!(follows(&sector, "ok P4"), Ok(vec![Effect::SendCommit]));
    let ended = format!("{proven}, ok P4, committed, start P5, ok P5, start P6, ok P6");
    assert_eq!(after(Porep::NonInteractive, &ended).stage.name(), "finished");
}

#[test]
fn what_the_chain_does_not_know_can_be_labelled_again_after_p2() {
    let failed = format!("{REPLICATED}, start P3, bad P3");
    let sector = after(Porep::NonInteractive, &format!("{failed}, redo"));
    assert_eq!(sector.stage.name(), "P1");
    assert!(matches!(sector.task(Phase::P2), TaskState::NotYet));
    assert!(matches!(sector.task(Phase::P3), TaskState::NotYet));
    assert!(!sector.is_replicated());
    assert!(
        follows(&after(Porep::NonInteractive, &format!("{REPLICATED}, start P3")), "redo").is_err()
    );
    let drawn = REPLICATED.to_owned() + ", precommitted, seed, start P3, bad P3";
    for interactive in [Porep::Interactive, Porep::Synthetic] {
        assert!(follows(&after(interactive, &drawn), "redo").is_err());
    }
}

#[test]
fn a_synthetic_sector_waits_for_its_seed_and_may_drop_its_layers_within_p2() {
    let sector = after(Porep::Synthetic, "ticket, start P1, ok P1, start P2, deleted, ok P2");
    assert_eq!(owed(&sector), [Effect::SendPreCommit]);
    assert!(sector.is_replicated());
    assert!(!sector.cleaning_begun, "the stored copy may still be made again");
    assert!(follows(&sector, "deleted").is_err());
}
