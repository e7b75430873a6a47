//! How often in a row the box died under an attempt.

use super::tests::after;
use crate::domain::phase::Phase;
use crate::domain::sector::Work;

const TO_P2: &str = "ticket, start P1, ok P1";

/// Of the phase whose work is to do.
fn deaths(history: &str) -> u32 {
    let sector = after(history);
    let works: Vec<(Phase, u32)> =
        sector.stage.works().map(|(phase, work)| (phase, Work::deaths(work))).collect();
    match works[..] {
        [(_, deaths)] => deaths,
        _ => panic!("{history}: {works:?}"),
    }
}

#[test]
fn deaths_in_a_row_are_counted_while_it_runs_too() {
    for (history, counted) in [
        ("start P2", 0),
        ("start P2, die P2", 1),
        ("start P2, die P2, start P2", 1),
        ("start P2, die P2, start P2, die P2", 2),
    ] {
        assert_eq!(deaths(&format!("{TO_P2}, {history}")), counted, "{history}");
    }
}

#[test]
fn whatever_else_ends_an_attempt_ends_the_row() {
    let died = "start P2, die P2, start P2, die P2, start P2";
    for end in ["stop P2", "flake P2", "fail P2, retry P2", "bad P2", "fail P2, redo"] {
        assert_eq!(deaths(&format!("{TO_P2}, {died}, {end}")), 0, "{end}");
    }
    assert_eq!(deaths(&format!("{TO_P2}, {died}, fail P2")), 0, "it waits for a person");
}

#[test]
fn an_attempt_that_got_further_begins_a_new_row() {
    let died = "ticket, start P1, die P1, start P1, die P1, start P1";
    assert_eq!(deaths(&format!("{died}, further P1")), 0);
    assert_eq!(deaths(&format!("{died}, further P1, die P1")), 1);
    assert_eq!(deaths(&format!("{died}, die P1")), 3);
}

#[test]
fn what_was_deleted_is_further() {
    let died = "abort, start P6, die P6, start P6, die P6, start P6";
    assert_eq!(deaths(died), 2);
    assert_eq!(deaths(&format!("{died}, deleted")), 0);
}
