//! How far C2 is. The libraries answer with nothing until its end, and a partition's SNARK has no
//! file that could be looked at; but they log their steps, on the thread that called them.

use std::sync::mpsc::channel;
use std::thread;

use crate::domain::porep::SealKind;
use crate::domain::progress::{Progress, SnarkEvent, Snarks, Tell};
use crate::logs::{Line, overhear};

/// Makes a sector's SNARKs with a thread beside that tells how far they are. Without that thread
/// they are made all the same.
pub fn watched<T>(kind: SealKind, tell: Tell<'_>, make: impl FnOnce() -> T) -> T {
    thread::scope(|scope| {
        // Its other end goes with the listening, a panic included, and then this thread stops.
        let (to, lines) = channel::<Line>();
        let span = tracing::Span::current();
        let follow = move || {
            let _entered = span.entered();
            let mut now = Snarks::of(kind);
            say(now, tell);
            for event in lines.iter().filter_map(|line| told(&line.target, &line.message)) {
                now = now.after(event);
                say(now, tell);
            }
        };
        if let Err(error) =
            thread::Builder::new().name("p4-steps".to_owned()).spawn_scoped(scope, follow)
        {
            tracing::warn!(%error, "no thread to tell how far C2 is");
        }
        overhear(to, make)
    })
}

fn say(now: Snarks, tell: Tell<'_>) {
    tracing::info!(step = ?now.step, made = now.made, of = now.of, "C2");
    tell(Progress::Snarks(now));
}

/// What a line says of SNARKs. The texts are bellperson's (0.27, `groth16/prover`) and
/// filecoin-proofs' (19.1, `api/seal.rs`); with its feature `cuda-supraseal` bellperson says nothing
/// of transforms.
fn told(target: &str, message: &str) -> Option<SnarkEvent> {
    if target.starts_with("bellperson::groth16::prover") {
        return match message {
            "multiexp h" => Some(SnarkEvent::Transformed),
            _ if message.starts_with("Bellperson ") && message.ends_with(" is being used!") => {
                Some(SnarkEvent::Starts)
            }
            _ if message.starts_with("synthesis time: ") => Some(SnarkEvent::CircuitsFilled),
            _ if message.starts_with("prover time: ") => Some(SnarkEvent::Made),
            _ => None,
        };
    }
    if target.starts_with("filecoin_proofs::api") {
        return match message {
            "aggregate_seal_commit_proofs:finish" => Some(SnarkEvent::Aggregated),
            "verify_aggregate_seal_commit_proofs:finish" => Some(SnarkEvent::Checked),
            _ if message.starts_with("verify_seal:finish: ") => Some(SnarkEvent::Checked),
            _ => None,
        };
    }
    None
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;
    use crate::domain::porep::Porep;
    use crate::domain::progress::SnarkStep;
    use crate::domain::units::SectorSize;
    use crate::logs::with_log_of;

    /// As they were logged by C2 of 2 KiB, thirteen partitions without interaction, in order.
    fn log_all_of_c2() {
        macro_rules! prover {
            ($level:ident, $($text:tt)*) => {
                tracing::$level!(target: "bellperson::groth16::prover::native", $($text)*)
            };
        }
        macro_rules! seal {
            ($text:literal) => { tracing::info!(target: "filecoin_proofs::api::seal", $text) };
        }
        seal!("seal_commit_phase2:start: SectorId(29)");
        seal!("seal_commit_phase2_circuit_proofs:start: SectorId(29)");
        for _ in 0..2 {
            prover!(info, "Bellperson 0.27.0 is being used!");
            prover!(info, "synthesis time: 4.013577563s");
            prover!(info, "starting proof timer");
            prover!(debug, "multiexp h");
            prover!(debug, "multiexp l");
            prover!(debug, "multiexp a b_g1");
            prover!(debug, "multiexp b_g2");
            prover!(debug, "proofs");
            prover!(info, "prover time: 38.613557401s");
        }
        seal!("seal_commit_phase2_circuit_proofs:finish: SectorId(29)");
        seal!("aggregate_seal_commit_proofs:start");
        seal!("aggregate_seal_commit_proofs:finish");
        seal!("verify_seal:start: SectorId(29)");
        seal!("verify_aggregate_seal_commit_proofs:start");
        seal!("verify_aggregate_seal_commit_proofs:finish");
        seal!("seal_commit_phase2:finish: SectorId(29)");
    }

    fn steps(log: impl FnOnce()) -> Vec<(SnarkStep, u32)> {
        let seen = Mutex::new(Vec::new());
        let tell = |progress| match progress {
            Progress::Snarks(now) => seen.lock().unwrap().push((now.step, now.made)),
            other => panic!("{other:?}"),
        };
        watched(SealKind::new(SectorSize::KiB2, Porep::NonInteractive), &tell, log);
        seen.into_inner().unwrap()
    }

    #[test]
    fn every_step_of_c2_is_told_under_any_filter_of_the_log() {
        use SnarkStep::{Aggregating, Begun, Checked, Checking, Circuits, Parameters, Transformed};
        for filter in ["off", "error", "trace"] {
            let told = with_log_of(filter, || steps(log_all_of_c2));
            assert_eq!(
                told,
                [
                    (Parameters, 0),
                    (Circuits, 0),
                    (Begun, 0),
                    (Transformed, 0),
                    (Circuits, 10),
                    (Circuits, 10),
                    (Begun, 10),
                    (Transformed, 10),
                    (Aggregating, 13),
                    (Checking, 13),
                    (Checked, 13),
                ],
                "{filter}"
            );
        }
    }

    #[test]
    fn lines_of_other_threads_and_after_the_end_are_no_steps() {
        let told = with_log_of("info", || {
            let told = steps(|| {
                let dispatch = tracing::dispatcher::get_default(Clone::clone);
                let other = move || tracing::dispatcher::with_default(&dispatch, log_all_of_c2);
                thread::spawn(other).join().unwrap();
                tracing::info!(target: "bellperson::groth16", "synthesis time: not the prover's");
            });
            log_all_of_c2();
            told
        });
        assert_eq!(told, [(SnarkStep::Parameters, 0)]);
    }

    #[test]
    fn a_panic_of_the_work_ends_the_telling_too() {
        let work = || steps(|| panic!("on purpose"));
        assert!(std::panic::catch_unwind(work).is_err());
        let later = with_log_of("info", || steps(|| ()));
        assert_eq!(later, [(SnarkStep::Parameters, 0)]);
    }

    #[test]
    fn other_lines_of_the_libraries_say_nothing() {
        for (target, message) in [
            ("bellperson::groth16::prover::native", "starting proof timer"),
            ("bellperson::groth16::prover::native", "multiexp a b_g1"),
            ("bellperson::groth16::aggregate::prove", "prover: challenge 1"),
            ("filecoin_proofs::api::seal", "verify_seal:start: SectorId(7)"),
            ("filecoin_proofs::api::seal", "seal_commit_phase1:finish: SectorId(7)"),
            ("filecoin_proofs::caches", "found params in memory cache"),
            ("sealbox::worker", "synthesis time: 1s"),
        ] {
            assert_eq!(told(target, message), None, "{message}");
        }
        let supraseal = "Bellperson 0.27.0 with SupraSeal is being used!";
        let of_gpu = told("bellperson::groth16::prover::supraseal", supraseal);
        assert_eq!(of_gpu, Some(SnarkEvent::Starts));
    }
}
