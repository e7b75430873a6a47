//! The whole table: every situation of a sector against every event. What a row does not name must
//! be illegal.

use std::collections::BTreeMap;

use super::*;
use crate::domain::event::Output;
use crate::domain::failure::{Class, Failure};
use crate::domain::ids::{ActorId, Bytes32, CommD, CommR, OrderId, SealProof};
use crate::domain::phase::Phase;
use crate::domain::porep::Porep;
use crate::domain::sector::{
    Cleaning, Commit, Commitments, Copying, Data, PreCommit, Seed, StoredAt, Ticket,
};
use crate::domain::units::{Epoch, SectorSize};

const B: Bytes32 = Bytes32([3; 32]);

fn failure() -> Failure {
    Failure::new(Class::Operator, "disk full", "free space")
}

fn output(phase: Phase) -> Output {
    match phase {
        Phase::P1 => Output::P1,
        Phase::P2 => Output::P2 { commitments: Commitments { comm_d: CommD(B), comm_r: CommR(B) } },
        Phase::P3 => Output::P3,
        Phase::P4 => Output::P4 { proof: SealProof(vec![1; 192]) },
        Phase::P5 => {
            Output::P5 { stored: StoredAt { root: "/mnt".to_owned(), bytes: 5, manifest: B } }
        }
        Phase::P6 => Output::P6,
    }
}

/// An event by its short name: `start P1`, `ok P1`, `fail P1` (operator), `flake P1` (transient),
/// `bad P1` (sector), `stop P1` (interrupted), `die P1` (the same, by the box's death), `further P1`,
/// `retry P1`, and the ones without a phase.
pub(super) fn event(name: &str) -> Event {
    let by = || "test".to_owned();
    let (word, phase) = match name.split_once(' ') {
        Some((word, phase)) => (word, phase.parse().unwrap()),
        None => (name, Phase::P1),
    };
    let failed = |class| Event::Failed { phase, failure: Failure { class, ..failure() } };
    match word {
        "issue" => Event::Issued {
            miner: ActorId(1000),
            size: SectorSize::KiB2,
            data: Data::CommittedCapacity,
            order: OrderId(0),
            simulated: false,
            porep: Porep::Interactive,
            scratch: None,
        },
        "ticket" => Event::TicketDrawn { ticket: Ticket { epoch: Epoch(1), value: B } },
        "start" => Event::Started { phase, worker: "w".to_owned() },
        "stop" => Event::Interrupted { phase, died: false },
        "die" => Event::Interrupted { phase, died: true },
        "further" => Event::Advanced { phase },
        "ok" => Event::Succeeded { output: output(phase) },
        "fail" => failed(Class::Operator),
        "flake" => failed(Class::Transient),
        "bad" => failed(Class::Sector),
        "retry" => Event::Retried { phase, by: by() },
        "precommitted" => Event::PreCommitted {
            pre_commit: PreCommit {
                message: "m".to_owned(),
                epoch: Epoch(2),
                seed_epoch: Epoch(12),
            },
        },
        "precommit-refused" => Event::PreCommitRefused { failure: failure() },
        "seed" => Event::SeedDrawn { seed: Seed { epoch: Epoch(12), value: B } },
        "committed" => {
            Event::Committed { commit: Commit { message: "c".to_owned(), epoch: Epoch(20) } }
        }
        "commit-refused" => Event::CommitRefused { failure: failure() },
        "redo" => Event::Redone { by: by() },
        "abort" => Event::Aborted { by: by() },
        "proven" => Event::StoredProven { by: by() },
        "damaged" => Event::StoredDamaged { by: by(), failure: failure() },
        "deleted" => Event::Deleted { path: "/x".into(), bytes: 1, reason: "clean".to_owned() },
        other => panic!("no event {other}"),
    }
}

fn every_event() -> Vec<String> {
    let of_phase = ["start", "stop", "die", "further", "ok", "fail", "flake", "bad", "retry"];
    let of_none = [
        "issue",
        "ticket",
        "precommitted",
        "precommit-refused",
        "seed",
        "committed",
        "commit-refused",
        "redo",
        "abort",
        "deleted",
        "proven",
        "damaged",
    ];
    let phased = of_phase.iter().flat_map(|word| Phase::ALL.map(|phase| format!("{word} {phase}")));
    phased.chain(of_none.map(str::to_owned)).collect()
}

/// The sector after these events, one millisecond apart.
pub(super) fn after(history: &str) -> Sector {
    let mut sector = None;
    let events = history.split(", ").filter(|name| !name.is_empty());
    for (n, name) in std::iter::once("issue").chain(events).enumerate() {
        let n = n as u64 + 1;
        let stamp = Stamp { seq: Seq(n), at: Timestamp(n) };
        let folded = fold(sector.as_ref(), SectorNumber(7), stamp, &event(name));
        sector = Some(folded.unwrap_or_else(|e| panic!("{history}: {e}")).0);
    }
    sector.unwrap()
}

fn work(work: &Work) -> &'static str {
    match work {
        Work::Ready { not_before: None, .. } => "ready",
        Work::Ready { not_before: Some(_), .. } => "later",
        Work::Running { .. } => "running",
        Work::Failed { .. } => "failed",
    }
}

fn situation(sector: &Sector) -> String {
    let at = match &sector.stage {
        Stage::Ticket => "ticket".to_owned(),
        Stage::P1 { work: w, .. } => format!("P1 {}", work(w)),
        Stage::P2 { work: w, .. } => format!("P2 {}", work(w)),
        Stage::PreCommitting { .. } => "precommitting".to_owned(),
        Stage::WaitSeed { .. } => "wait seed".to_owned(),
        Stage::P3 { work: w, .. } => format!("P3 {}", work(w)),
        Stage::Proving { snark, copying, .. } => {
            let snark = match snark {
                Snark::P4 { work: w } => format!("P4 {}", work(w)),
                Snark::Committing { refused: None, .. } => "committing".to_owned(),
                Snark::Committing { refused: Some(_), .. } => "refused".to_owned(),
                Snark::Committed { .. } => "committed".to_owned(),
            };
            let copying = match copying {
                Copying::P5 { work: w } => format!("P5 {}", work(w)),
                Copying::Copied { .. } => "copied".to_owned(),
            };
            format!("{snark} + {copying}")
        }
        Stage::P6 { cleaning: Cleaning::Sealed { .. }, work: w } => format!("P6 {}", work(w)),
        Stage::P6 { cleaning: Cleaning::GivenUp { .. }, work: w } => {
            format!("P6 given up {}", work(w))
        }
        Stage::Finished { fault: None, .. } => "finished".to_owned(),
        Stage::Finished { fault: Some(_), .. } => "finished, damaged".to_owned(),
        Stage::GivenUp { .. } => "given up".to_owned(),
    };
    if sector.giving_up.is_some() { format!("{at}, giving up") } else { at }
}

const TO_P2: &str = "ticket, start P1, ok P1";
const TO_PRE_COMMIT: &str = "ticket, start P1, ok P1, start P2, ok P2";
const TO_P3: &str = "ticket, start P1, ok P1, start P2, ok P2, precommitted, seed";
const TO_PROVING: &str =
    "ticket, start P1, ok P1, start P2, ok P2, precommitted, seed, start P3, ok P3";
const TO_P6: &str = "ticket, start P1, ok P1, start P2, ok P2, precommitted, seed, start P3, \
                     ok P3, start P4, ok P4, committed, start P5, ok P5";

#[test]
fn what_is_given_up_is_known_by_its_comm_r_once_there_is_one() {
    let known_by = |history: &str| match after(history).stage {
        Stage::P6 { cleaning: Cleaning::GivenUp { comm_r, .. }, .. } => comm_r,
        other => panic!("{history}: {other:?}"),
    };
    let comm_r = after(TO_PROVING).stage.replica().map(|replica| replica.commitments.comm_r);
    assert!(comm_r.is_some());
    assert_eq!(known_by(&format!("{TO_P2}, abort")), None);
    assert_eq!(known_by(&format!("{TO_PROVING}, abort")), comm_r);
    assert_eq!(known_by(&format!("{TO_PROVING}, start P5, ok P5, abort")), comm_r);
}

/// How to get there; what is legal there and where it leads. All else is illegal.
struct Row {
    history: String,
    is: &'static str,
    legal: BTreeMap<String, &'static str>,
}

fn table() -> Vec<Row> {
    let mut table = Vec::new();
    let mut row = |history: &str, is, legal: &[(&str, &'static str)]| {
        let mut legal: BTreeMap<String, &'static str> =
            legal.iter().map(|(event, to)| ((*event).to_owned(), *to)).collect();
        // What can be stopped can be died under, and can have got further before.
        for (event, to) in legal.clone() {
            if let Some(phase) = event.strip_prefix("stop ") {
                legal.insert(format!("die {phase}"), to);
                legal.insert(format!("further {phase}"), is);
            }
        }
        table.push(Row { history: history.to_owned(), is, legal });
    };
    let to = |base: &str, more: &str| format!("{base}, {more}");

    row("", "ticket", &[("ticket", "P1 ready"), ("abort", "P6 given up ready")]);

    row(
        "ticket",
        "P1 ready",
        &[("start P1", "P1 running"), ("redo", "P1 ready"), ("abort", "P6 given up ready")],
    );
    row(
        "ticket, start P1",
        "P1 running",
        &[
            ("stop P1", "P1 ready"),
            ("ok P1", "P2 ready"),
            ("fail P1", "P1 failed"),
            ("flake P1", "P1 later"),
            ("bad P1", "P1 failed"),
            ("abort", "P1 running, giving up"),
            ("deleted", "P1 running"),
        ],
    );
    row(
        "ticket, start P1, abort",
        "P1 running, giving up",
        &[
            ("stop P1", "P6 given up ready"),
            ("ok P1", "P6 given up ready"),
            ("fail P1", "P6 given up ready"),
            ("flake P1", "P6 given up ready"),
            ("bad P1", "P6 given up ready"),
            ("deleted", "P1 running, giving up"),
        ],
    );
    row(
        "ticket, start P1, flake P1",
        "P1 later",
        &[
            ("start P1", "P1 running"),
            ("retry P1", "P1 ready"),
            ("redo", "P1 ready"),
            ("abort", "P6 given up ready"),
        ],
    );
    row(
        "ticket, start P1, fail P1",
        "P1 failed",
        &[("retry P1", "P1 ready"), ("redo", "P1 ready"), ("abort", "P6 given up ready")],
    );

    row(
        TO_P2,
        "P2 ready",
        &[("start P2", "P2 running"), ("redo", "P1 ready"), ("abort", "P6 given up ready")],
    );
    row(
        &to(TO_P2, "start P2"),
        "P2 running",
        &[
            ("stop P2", "P2 ready"),
            ("ok P2", "precommitting"),
            ("fail P2", "P2 failed"),
            ("flake P2", "P2 later"),
            ("bad P2", "P2 ready"),
            ("abort", "P2 running, giving up"),
            ("deleted", "P2 running"),
        ],
    );
    row(
        &to(TO_P2, "start P2, bad P2, start P2"),
        "P2 running",
        &[
            ("stop P2", "P2 ready"),
            ("ok P2", "precommitting"),
            ("fail P2", "P2 failed"),
            ("flake P2", "P2 later"),
            ("bad P2", "P1 ready"),
            ("abort", "P2 running, giving up"),
            ("deleted", "P2 running"),
        ],
    );
    row(
        &to(TO_P2, "start P2, fail P2"),
        "P2 failed",
        &[("retry P2", "P2 ready"), ("redo", "P1 ready"), ("abort", "P6 given up ready")],
    );

    row(
        TO_PRE_COMMIT,
        "precommitting",
        &[
            ("precommitted", "wait seed"),
            ("precommit-refused", "P6 given up ready"),
            ("abort", "P6 given up ready"),
        ],
    );
    row(
        &to(TO_PRE_COMMIT, "precommitted"),
        "wait seed",
        &[("seed", "P3 ready"), ("abort", "P6 given up ready")],
    );

    row(TO_P3, "P3 ready", &[("start P3", "P3 running"), ("abort", "P6 given up ready")]);
    row(
        &to(TO_P3, "start P3"),
        "P3 running",
        &[
            ("stop P3", "P3 ready"),
            ("ok P3", "P4 ready + P5 ready"),
            ("fail P3", "P3 failed"),
            ("flake P3", "P3 later"),
            ("bad P3", "P3 failed"),
            ("abort", "P3 running, giving up"),
            ("deleted", "P3 running"),
        ],
    );
    row(
        &to(TO_P3, "start P3, fail P3"),
        "P3 failed",
        &[("retry P3", "P3 ready"), ("abort", "P6 given up ready")],
    );

    row(
        TO_PROVING,
        "P4 ready + P5 ready",
        &[
            ("start P4", "P4 running + P5 ready"),
            ("start P5", "P4 ready + P5 running"),
            ("abort", "P6 given up ready"),
        ],
    );
    row(
        &to(TO_PROVING, "start P4, start P5"),
        "P4 running + P5 running",
        &[
            ("stop P4", "P4 ready + P5 running"),
            ("ok P4", "committing + P5 running"),
            ("fail P4", "P4 failed + P5 running"),
            ("flake P4", "P4 later + P5 running"),
            ("bad P4", "P4 failed + P5 running"),
            ("stop P5", "P4 running + P5 ready"),
            ("ok P5", "P4 running + copied"),
            ("fail P5", "P4 running + P5 failed"),
            ("flake P5", "P4 running + P5 later"),
            ("bad P5", "P4 running + P5 failed"),
            ("abort", "P4 running + P5 running, giving up"),
            ("deleted", "P4 running + P5 running"),
        ],
    );
    row(
        &to(TO_PROVING, "start P4, start P5, abort, ok P4"),
        "committing + P5 running, giving up",
        &[
            ("committed", "committed + P5 running, giving up"),
            ("commit-refused", "refused + P5 running, giving up"),
            ("stop P5", "P6 given up ready"),
            ("ok P5", "P6 given up ready"),
            ("fail P5", "P6 given up ready"),
            ("flake P5", "P6 given up ready"),
            ("bad P5", "P6 given up ready"),
            ("deleted", "committing + P5 running, giving up"),
        ],
    );
    row(
        &to(TO_PROVING, "start P4, start P5, fail P4, fail P5"),
        "P4 failed + P5 failed",
        &[
            ("retry P4", "P4 ready + P5 failed"),
            ("retry P5", "P4 failed + P5 ready"),
            ("abort", "P6 given up ready"),
        ],
    );
    row(
        &to(TO_PROVING, "start P4, ok P4"),
        "committing + P5 ready",
        &[
            ("start P5", "committing + P5 running"),
            ("committed", "committed + P5 ready"),
            ("commit-refused", "refused + P5 ready"),
        ],
    );
    row(
        &to(TO_PROVING, "start P4, ok P4, commit-refused"),
        "refused + P5 ready",
        &[
            ("start P5", "refused + P5 running"),
            ("retry P4", "committing + P5 ready"),
            ("abort", "P6 given up ready"),
        ],
    );
    row(
        &to(TO_PROVING, "start P4, ok P4, start P5, ok P5"),
        "committing + copied",
        &[("committed", "P6 ready"), ("commit-refused", "refused + copied")],
    );
    row(
        &to(TO_PROVING, "start P4, ok P4, committed, start P5"),
        "committed + P5 running",
        &[
            ("stop P5", "committed + P5 ready"),
            ("ok P5", "P6 ready"),
            ("fail P5", "committed + P5 failed"),
            ("flake P5", "committed + P5 later"),
            ("bad P5", "committed + P5 failed"),
            ("deleted", "committed + P5 running"),
        ],
    );

    row(TO_P6, "P6 ready", &[("start P6", "P6 running")]);
    row(
        &to(TO_P6, "start P6"),
        "P6 running",
        &[
            ("stop P6", "P6 ready"),
            ("ok P6", "finished"),
            ("fail P6", "P6 failed"),
            ("flake P6", "P6 later"),
            ("bad P6", "P6 failed"),
            ("deleted", "P6 running"),
        ],
    );
    row(&to(TO_P6, "start P6, fail P6"), "P6 failed", &[("retry P6", "P6 ready")]);
    row(
        &to(TO_P6, "start P6, bad P6"),
        "P6 failed",
        &[("retry P6", "P6 ready"), ("retry P5", "committed + P5 ready")],
    );
    row(
        &to(TO_PRE_COMMIT, "precommit-refused, start P6"),
        "P6 given up running",
        &[
            ("stop P6", "P6 given up ready"),
            ("ok P6", "given up"),
            ("fail P6", "P6 given up failed"),
            ("flake P6", "P6 given up later"),
            ("bad P6", "P6 given up failed"),
            ("deleted", "P6 given up running"),
        ],
    );
    row(
        &to(TO_PRE_COMMIT, "precommit-refused"),
        "P6 given up ready",
        &[("start P6", "P6 given up running")],
    );
    row(
        &to(TO_P6, "start P6, ok P6"),
        "finished",
        &[("proven", "finished"), ("damaged", "finished, damaged")],
    );
    row(
        &to(TO_P6, "start P6, ok P6, damaged"),
        "finished, damaged",
        &[("proven", "finished"), ("damaged", "finished, damaged")],
    );
    row("abort, start P6, ok P6", "given up", &[]);
    table
}

#[test]
fn every_situation_decides_every_event_as_the_table_says() {
    let events = every_event();
    for Row { history, is, legal } in table() {
        let sector = after(&history);
        assert_eq!(situation(&sector), is, "after: {history}");
        for name in &events {
            let stamp = Stamp { seq: Seq(99), at: Timestamp(99) };
            let result = apply(&sector, stamp, &event(name)).map(|(next, _)| situation(&next));
            match (legal.get(name), result) {
                (Some(expected), Ok(found)) => assert_eq!(&found, expected, "{is} × {name}"),
                (None, Err(_)) => {}
                (Some(expected), Err(illegal)) => {
                    panic!("{is} × {name}: not {expected}: {illegal}")
                }
                (None, Ok(found)) => panic!("{is} × {name}: led to {found}, must be illegal"),
            }
        }
    }
}

#[test]
fn what_p6_has_begun_to_delete_is_not_copied_again() {
    let stamp = Stamp { seq: Seq(99), at: Timestamp(99) };
    let before = after(&format!("{TO_P6}, start P6, bad P6"));
    assert!(apply(&before, stamp, &event("retry P5")).is_ok());
    let begun = after(&format!("{TO_P6}, start P6, deleted, stop P6, start P6, bad P6"));
    let illegal =
        apply(&begun, stamp, &event("retry P5")).expect_err("the scratch has not all of it");
    assert!(illegal.why.contains("deleted"), "{illegal}");
    assert!(apply(&begun, stamp, &event("retry P6")).is_ok());
}

#[test]
fn what_is_asked_of_the_chain_is_asked_once_and_again_after_a_restart() {
    let stamp = Stamp { seq: Seq(99), at: Timestamp(99) };
    let sector = after(&format!("{TO_PROVING}, start P4, start P5"));
    let (committing, effects) = apply(&sector, stamp, &event("ok P4")).unwrap();
    assert_eq!(effects, [Effect::SendCommit]);
    let (copied, effects) = apply(&committing, stamp, &event("ok P5")).unwrap();
    assert_eq!(effects, [], "the commit is under way: the copy's end does not send it again");
    assert_eq!(owed(&copied), [Effect::SendCommit]);
}

#[test]
fn nothing_is_sent_for_a_sector_that_is_being_given_up() {
    let sector = after(&format!("{TO_PROVING}, start P4, start P5, abort, ok P4"));
    assert_eq!(owed(&sector), []);
}

#[test]
fn an_interrupted_attempt_is_not_a_failed_one() {
    let sector = after("ticket, start P1, flake P1, start P1, stop P1");
    match &sector.stage {
        Stage::P1 { work: Work::Ready { tries, .. }, .. } => assert_eq!(*tries, 1),
        other => panic!("{other:?}"),
    }
    assert_eq!(sector.tasks[Phase::P1].attempts, 2);
}

#[test]
fn a_person_who_retries_resets_the_count_of_tries() {
    let limit = "ticket, start P1, flake P1, start P1, flake P1, start P1, flake P1, start P1, \
                 flake P1";
    assert_eq!(situation(&after(limit)), "P1 failed");
    assert_eq!(situation(&after(&format!("{limit}, retry P1, start P1, flake P1"))), "P1 later");
}

#[test]
fn p2_that_failed_twice_goes_back_to_p1_once_and_then_asks_a_person() {
    let once = format!("{TO_P2}, start P2, bad P2, start P2, bad P2");
    let sector = after(&once);
    assert_eq!(situation(&sector), "P1 ready");
    assert_eq!(sector.tasks[Phase::P1].done, None, "its layers are no longer taken for done");
    let twice = format!("{once}, start P1, ok P1, start P2, bad P2, start P2, bad P2");
    assert_eq!(situation(&after(&twice)), "P2 failed");
}

#[test]
fn a_damaged_copy_needs_a_person_until_it_is_proven_again() {
    let finished = format!("{TO_P6}, start P6, ok P6");
    let sector = after(&format!("{finished}, damaged"));
    assert!(sector.needs_you() && sector.fault() == Some(&failure()));
    assert!(sector.failures().next().is_none(), "no task of it failed");
    assert_eq!(sector.row(Phase::P6), after(&finished).row(Phase::P6));
    let sector = after(&format!("{finished}, damaged, proven"));
    assert!(!sector.needs_you());
    match sector.stage {
        Stage::Finished { proven, .. } => assert_eq!(proven, sector.updated),
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_fleets_row_follows_the_state() {
    let row = |history: &str, phase: Phase| {
        let row = after(history).row(phase)?;
        Some((u8::from(row.is_taken), u8::from(row.is_finished), row.result_status.code()))
    };
    assert_eq!(row("", Phase::P1), None, "no task before its turn");
    assert_eq!(row("ticket", Phase::P1), Some((0, 0, 1)));
    assert_eq!(row("ticket, start P1", Phase::P1), Some((1, 0, 1)));
    assert_eq!(row("ticket, start P1, flake P1", Phase::P1), Some((0, 0, 1)));
    assert_eq!(row("ticket, start P1, fail P1", Phase::P1), Some((1, 1, 2)));
    assert_eq!(row("ticket, start P1, fail P1, retry P1", Phase::P1), Some((0, 0, 1)));
    assert_eq!(row(TO_P2, Phase::P1), Some((1, 1, 0)));
    let refused = format!("{TO_PROVING}, start P4, ok P4, commit-refused");
    assert_eq!(row(&refused, Phase::P4), Some((1, 1, 2)));
    let given_up = format!("{TO_PRE_COMMIT}, precommit-refused");
    for phase in [Phase::P3, Phase::P4, Phase::P5] {
        assert_eq!(row(&given_up, phase), None, "4, 8 and 16 never run");
    }
    assert_eq!(row(&given_up, Phase::P6), Some((0, 0, 1)));
    let done = format!("{TO_P6}, start P6, ok P6");
    for phase in Phase::ALL {
        assert_eq!(row(&done, phase), Some((1, 1, 0)), "{phase}");
    }
}
