//! Events and states in words.

use std::collections::BTreeMap;

use super::look::Look;
use super::show::plural;
use super::waiting;
use crate::domain::event::{BoxEvent, Entry, Event, Happened, Output};
use crate::domain::failure::{Class, DEATHS};
use crate::domain::phase::Phase;
use crate::domain::porep::Porep;
use crate::domain::progress::{Progress, SnarkStep, Snarks};
use crate::domain::sector::{Cleaning, Copying, GiveUp, Sector, Snark, Stage, Work};
use crate::domain::units::{ByteSize, Timestamp};
use crate::worker::progress::Reported;

/// An entry of the history, in words.
pub struct Happening {
    pub at: Timestamp,
    pub class: &'static str,
    pub words: String,
}

impl Happening {
    pub fn of(entry: &Entry) -> Self {
        let (look, words) = happened(&entry.happened);
        Self { at: entry.at, class: look.class(), words }
    }
}

/// What happened, as the history tells it.
pub fn happened(happened: &Happened) -> (Look, String) {
    match happened {
        Happened::Sector { event, .. } => event_words(event),
        Happened::Box(event) => (Look::Later, box_words(event)),
    }
}

fn event_words(event: &Event) -> (Look, String) {
    match event {
        Event::Issued { size, order, simulated, porep, scratch, .. } => {
            let porep = match porep {
                Porep::Interactive => String::new(),
                Porep::Synthetic | Porep::NonInteractive => format!(", {porep} PoRep"),
            };
            let made = scratch.as_ref().map(|root| format!(", made in {root}"));
            let simulated = if *simulated { ", SIMULATED" } else { "" };
            (
                Look::Later,
                format!(
                    "issued for order {order}: {size}, committed capacity{porep}{simulated}{}",
                    made.unwrap_or_default()
                ),
            )
        }
        Event::TicketDrawn { ticket } => {
            (Look::Later, format!("ticket drawn at epoch {}", ticket.epoch))
        }
        Event::Started { phase, worker } => {
            (Look::Running, format!("{phase} ({}) started on {worker}", phase.what()))
        }
        Event::Interrupted { phase, died: false } => (
            Look::Waiting,
            format!("{phase} was interrupted: the box stopped (not counted as a failure)"),
        ),
        Event::Interrupted { phase, died: true } => (
            Look::Waiting,
            format!(
                "the box died while {phase} ran (after {DEATHS} times in a row it waits for you)"
            ),
        ),
        Event::Advanced { phase } => {
            (Look::Later, format!("{phase} came further than when the box died"))
        }
        Event::Succeeded { output } => (Look::Done, output_words(output)),
        Event::Failed { phase, failure } => (Look::Failed, format!("{phase} failed: {failure}")),
        Event::PreCommitted { pre_commit } => (
            Look::Done,
            format!(
                "pre-committed at epoch {} (message {}); the seed is drawn at epoch {}",
                pre_commit.epoch, pre_commit.message, pre_commit.seed_epoch
            ),
        ),
        Event::PreCommitRefused { failure } => {
            (Look::Failed, format!("the chain refused the pre-commit: {failure}"))
        }
        Event::SeedDrawn { seed } => (Look::Later, format!("seed drawn at epoch {}", seed.epoch)),
        Event::Committed { commit } => (
            Look::Done,
            format!("committed at epoch {} (message {})", commit.epoch, commit.message),
        ),
        Event::CommitRefused { failure } => {
            (Look::Failed, format!("the chain refused the commit: {failure}"))
        }
        Event::Retried { phase, by } => (Look::Waiting, format!("{phase} put back by {by}")),
        Event::Redone { by } => (Look::Waiting, format!("sent back to P1 by {by}")),
        Event::Aborted { by } => (Look::Failed, format!("aborted by {by}")),
        Event::Deleted { path, bytes, reason } => {
            (Look::Never, format!("deleted {} ({}): {reason}", path.display(), ByteSize(*bytes)))
        }
        Event::StoredProven { by } => {
            (Look::Done, format!("the stored copy was proven again (asked by {by})"))
        }
        Event::StoredDamaged { by, failure } => (
            Look::Failed,
            format!("the stored copy could not be proven again (asked by {by}): {failure}"),
        ),
    }
}

fn output_words(output: &Output) -> String {
    match output {
        Output::P1 => "P1 done: the layers are labelled and synced".to_owned(),
        Output::P2 { commitments } => {
            format!("P2 done: comm_r {}", commitments.comm_r.cid())
        }
        Output::P3 => "P3 done: the vanilla proofs verify".to_owned(),
        Output::P4 { proof } => format!("P4 done: the proof verifies ({} bytes)", proof.0.len()),
        Output::P5 { stored } => format!(
            "P5 done: {} stored in {}, read back and compared",
            ByteSize(stored.bytes),
            stored.root
        ),
        Output::P6 => "P6 done: scratch is clean".to_owned(),
    }
}

fn box_words(event: &BoxEvent) -> String {
    match event {
        BoxEvent::Ordered { order, size, count, by } => {
            format!("order {order} by {by}: {} of {size}", plural(*count, "sector", "sectors"))
        }
        BoxEvent::Cancelled { order, by } => format!("order {order} cancelled by {by}"),
        BoxEvent::Moved { order, before: Some(before), by } => {
            format!("order {order} put before order {before} by {by}")
        }
        BoxEvent::Moved { order, before: None, by } => format!("order {order} put last by {by}"),
        BoxEvent::IntakePaused { by } => format!("intake paused by {by}"),
        BoxEvent::IntakeResumed { by } => format!("intake resumed by {by}"),
        BoxEvent::PhasePaused { phase, by } => format!("{phase} paused by {by}"),
        BoxEvent::PhaseResumed { phase, by } => format!("{phase} resumed by {by}"),
        BoxEvent::Stopping { running } => {
            format!("told to stop while {} ran", plural(*running, "attempt", "attempts"))
        }
        BoxEvent::OrphanDeleted { path, bytes, by } => {
            format!("orphan {} ({}) deleted by {by}", path.display(), ByteSize(*bytes))
        }
        BoxEvent::Checked { root, up_to: Some(up_to), .. } => {
            format!("the finished sectors in {root} were proven again up to {up_to}")
        }
        BoxEvent::Checked { root, up_to: None, .. } => {
            format!("all finished sectors in {root} were proven again")
        }
    }
}

/// Phases that may not start now, each with what it waits for.
pub type Held = BTreeMap<Phase, String>;

/// Where the sector stands now, in a sentence.
pub fn standing(sector: &Sector, held: &Held, reported: &Reported) -> String {
    let work_words = |phase: Phase, work: &Work| work_words(phase, work, held, reported);
    let ending = if sector.giving_up.is_some() {
        " It was aborted: it is given up as soon as what runs has ended."
    } else {
        ""
    };
    let now = match &sector.stage {
        Stage::Ticket => "Its ticket is being drawn.".to_owned(),
        Stage::P1 { work, .. } => work_words(Phase::P1, work),
        Stage::P2 { work, .. } => work_words(Phase::P2, work),
        Stage::PreCommitting { .. } => "Its pre-commit is being sent.".to_owned(),
        Stage::WaitSeed { pre_commit, .. } => {
            format!("Pre-committed; the seed is drawn at epoch {}.", pre_commit.seed_epoch)
        }
        Stage::P3 { work, .. } => work_words(Phase::P3, work),
        Stage::Proving { snark, copying, .. } => {
            format!("{} {}", snark_words(snark, &work_words), copying_words(copying, &work_words))
        }
        Stage::P6 { cleaning: Cleaning::Sealed { .. }, work } => format!(
            "Sealed and stored. {} Local files go only once the stored copy is proven.",
            work_words(Phase::P6, work)
        ),
        Stage::P6 { cleaning: Cleaning::GivenUp { because, .. }, work } => {
            format!("{} {}", given_up(because), work_words(Phase::P6, work))
        }
        Stage::Finished { fault: Some(_), .. } => {
            "Sealed and on chain, but its stored copy is damaged: it waits for you.".to_owned()
        }
        Stage::Finished { fault: None, .. } => {
            "Sealed, its stored copy proven, its local files cleaned up.".to_owned()
        }
        Stage::GivenUp { because } => given_up(because),
    };
    now + ending
}

fn work_words(phase: Phase, work: &Work, held: &Held, reported: &Reported) -> String {
    match work {
        Work::Ready { not_before: None, .. } => match held.get(&phase) {
            Some(why) => format!("{phase} ({}) waits: {why}.", phase.what()),
            None => format!("{phase} ({}) is queued for a worker.", phase.what()),
        },
        Work::Ready { not_before: Some(at), tries, .. } => {
            let times = if *tries == 1 { "once".to_owned() } else { format!("{tries} times") };
            let failed = format!("{phase} ({}) failed {times}", phase.what());
            match held.get(&phase) {
                Some(why) => format!("{failed} and waits: {why}."),
                None => format!("{failed} and is {}.", waiting::again(*at)),
            }
        }
        Work::Running { worker, .. } => {
            let far = reported.get(&phase).map(|far| format!(": {}", progress_words(far)));
            format!("{phase} ({}) runs on {worker}{}.", phase.what(), far.unwrap_or_default())
        }
        Work::Failed { .. } => format!("{phase} ({}) failed and waits for you.", phase.what()),
    }
}

/// How far a running phase has come.
pub fn progress_words(progress: &Progress) -> String {
    match *progress {
        Progress::Checking { done_bytes, total_bytes } => format!(
            "comparing the layers of an earlier attempt, {} of {}",
            ByteSize(done_bytes),
            ByteSize(total_bytes)
        ),
        Progress::Layers { done, of } if done < of => format!("layer {} of {of}", done + 1),
        Progress::Layers { of, .. } => format!("all {of} layers made, the last being synced"),
        Progress::Trees { tree_c, of, .. } if tree_c < of => {
            format!("tree-c {} of {of}", tree_c + 1)
        }
        Progress::Trees { tree_r_last, of, .. } if tree_r_last < of => {
            format!("tree-c made, the replica and tree-r-last {} of {of}", tree_r_last + 1)
        }
        Progress::Trees { .. } => "all trees made, being synced and checked".to_owned(),
        Progress::Snarks(snarks) => snark_progress(&snarks),
        Progress::Copying { done_bytes, total_bytes } => {
            // Every byte counts twice: written and read back.
            let (done, total) = (ByteSize(done_bytes / 2), ByteSize(total_bytes / 2));
            format!("{done} of {total} written and read back")
        }
    }
}

/// Partitions that are worked on together are named by the first and the last.
fn snark_progress(snarks: &Snarks) -> String {
    let Snarks { of, made, .. } = *snarks;
    let up_to = snarks.up_to();
    let partitions = match (of, made + 1 == up_to) {
        (1, _) => "the one partition".to_owned(),
        (_, true) => format!("partition {up_to} of {of}"),
        (_, false) => format!("partitions {} to {up_to} of {of}", made + 1),
    };
    match snarks.step {
        SnarkStep::Parameters => "reading the parameters".to_owned(),
        SnarkStep::Circuits => format!("filling in the circuits of {partitions}"),
        SnarkStep::Begun => format!("SNARKs of {partitions} begun"),
        SnarkStep::Transformed => format!("SNARKs of {partitions}: transforms done, summing up"),
        SnarkStep::Aggregating => format!("all {of} SNARKs made, being aggregated"),
        SnarkStep::Checking => "the proof is made, being checked".to_owned(),
        SnarkStep::Checked => "the proof is made and checked".to_owned(),
    }
}

/// The same where there is no room for a sentence: `7/11`, `34%`.
pub fn progress_short(progress: &Progress) -> String {
    match *progress {
        Progress::Layers { done, of } => format!("{}/{of}", of.min(done + 1)),
        Progress::Trees { tree_c, of, .. } if tree_c < of => format!("c {}/{of}", tree_c + 1),
        Progress::Trees { tree_r_last, of, .. } => format!("r {}/{of}", of.min(tree_r_last + 1)),
        Progress::Snarks(snarks) => {
            let upto = |step: &str| format!("{step} {}/{}", snarks.up_to(), snarks.of);
            match snarks.step {
                SnarkStep::Parameters => "params".to_owned(),
                SnarkStep::Circuits => upto("c"),
                SnarkStep::Begun => upto("f"),
                SnarkStep::Transformed => upto("s"),
                SnarkStep::Aggregating => "join".to_owned(),
                SnarkStep::Checking | SnarkStep::Checked => "check".to_owned(),
            }
        }
        Progress::Checking { done_bytes, total_bytes }
        | Progress::Copying { done_bytes, total_bytes } => {
            let percent = u128::from(done_bytes) * 100 / u128::from(total_bytes.max(1));
            format!("{percent}%")
        }
    }
}

fn snark_words(snark: &Snark, work_words: &dyn Fn(Phase, &Work) -> String) -> String {
    match snark {
        Snark::P4 { work } => work_words(Phase::P4, work),
        Snark::Committing { refused: None, .. } => {
            "The proof is made; its commit is being sent.".to_owned()
        }
        Snark::Committing { refused: Some(_), .. } => {
            "The proof is made; the chain refused the commit, and it waits for you.".to_owned()
        }
        Snark::Committed { commit, .. } => format!("Committed at epoch {}.", commit.epoch),
    }
}

fn copying_words(copying: &Copying, work_words: &dyn Fn(Phase, &Work) -> String) -> String {
    match copying {
        Copying::P5 { work } => work_words(Phase::P5, work),
        Copying::Copied { stored } => format!("The copy lies in {}.", stored.root),
    }
}

fn given_up(because: &GiveUp) -> String {
    match because {
        GiveUp::Chain { failure } => format!("Given up: the chain refused it: {}.", failure.what),
        GiveUp::Operator { who } => format!("Given up: aborted by {who}."),
    }
}

/// What a failure's class means for who looks at it.
pub fn class_words(class: Class) -> &'static str {
    match class {
        Class::Transient => "tried again by itself, and still failing",
        Class::Space => "goes on by itself once there is room",
        Class::Operator => "needs a person",
        Class::Sector => "this sector cannot go on as it is",
        Class::Fatal => "the box has stopped taking work",
    }
}

/// The look of a sector's state where it is one word in a table.
pub fn look(sector: &Sector) -> Look {
    if sector.needs_you() {
        return Look::Failed;
    }
    match &sector.stage {
        Stage::Finished { .. } => Look::Done,
        Stage::GivenUp { .. } => Look::Never,
        stage if stage.works().any(|(_, work)| work.is_running()) => Look::Running,
        Stage::Ticket
        | Stage::P1 { .. }
        | Stage::P2 { .. }
        | Stage::PreCommitting { .. }
        | Stage::WaitSeed { .. }
        | Stage::P3 { .. }
        | Stage::Proving { .. }
        | Stage::P6 { .. } => Look::Waiting,
    }
}
