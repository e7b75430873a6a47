//! The shapes that the API sends: made for who reads them, whatever the inside looks like.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde_json::{Value, json};

use super::offer::Offers;
use super::parts::Failed;
use super::schema::{Shaped, Shapes, shape};
use super::show::{now, rfc3339};
use super::story::{Input, inputs};
use super::times::DoneIn;
use super::verify::Proven;
use super::{SectorPaths, WebState, waiting, words};
use crate::domain::event::{Entry, Happened};
use crate::domain::failure::Failure;
use crate::domain::phase::Phase;
use crate::domain::porep::Porep;
use crate::domain::progress::Progress;
use crate::domain::sector::{Challenge, Commit, PreCommit, Sector};
use crate::domain::times::Usual;

#[derive(Debug, Serialize)]
pub struct SectorRow {
    pub number: u64,
    pub size: &'static str,
    /// The stage, as in `wait seed`.
    pub state: &'static str,
    /// The first phase whose work is to do now.
    pub phase: Option<&'static str>,
    pub created: String,
    pub updated: String,
    /// Why it waits for a person, if it does.
    pub attention: Option<String>,
    /// What it may still take by what is usual here; none without a basis.
    pub done_in: Option<DoneIn>,
    pub simulated: bool,
}

impl SectorRow {
    pub fn of(sector: &Sector, usual: &Usual) -> Self {
        Self {
            number: sector.id.number.0,
            size: sector.size.name(),
            state: sector.stage.name(),
            phase: sector.stage.works().next().map(|(phase, _)| phase.short_name()),
            created: rfc3339(sector.created),
            updated: rfc3339(sector.updated),
            attention: attention(sector),
            done_in: DoneIn::of(sector, usual, now()),
            simulated: sector.simulated,
        }
    }
}

/// Every failed task with its cause, in one line.
fn attention(sector: &Sector) -> Option<String> {
    let failed = sector.failures().map(|(phase, failure)| format!("{phase}: {failure}"));
    let fault = sector.fault().map(|fault| format!("stored copy: {fault}"));
    let causes: Vec<String> = failed.chain(fault).collect();
    (!causes.is_empty()).then(|| causes.join(" · "))
}

/// The fleet's row, with what operators ask for beside it.
#[derive(Debug, Serialize)]
pub struct TaskRow {
    pub sector_id: u64,
    pub task_type: u8,
    pub phase: &'static str,
    pub is_taken: u8,
    pub is_finished: u8,
    pub result_status: u8,
    pub attempts: u32,
    pub create_time: Option<String>,
    pub update_time: Option<String>,
    pub worker: Option<String>,
    pub miner: String,
    /// Of comm_r, once P2 has made it.
    pub cid: Option<String>,
    /// The sector's size.
    pub params: &'static str,
    /// Why the last attempt failed, until one succeeds.
    pub error: Option<String>,
}

impl TaskRow {
    /// None if the task was never issued.
    pub fn of(sector: &Sector, phase: Phase) -> Option<Self> {
        let row = sector.row(phase)?;
        let record = &sector.tasks[phase];
        Some(Self {
            sector_id: sector.id.number.0,
            task_type: phase.task_type(),
            phase: phase.short_name(),
            is_taken: row.is_taken.into(),
            is_finished: row.is_finished.into(),
            result_status: row.result_status.code(),
            attempts: record.attempts,
            create_time: record.created.map(rfc3339),
            update_time: record.updated.or(record.created).map(rfc3339),
            worker: record.worker.clone(),
            miner: sector.id.miner.to_string(),
            cid: sector.stage.replica().map(|replica| replica.commitments.comm_r.cid()),
            params: sector.size.name(),
            error: record.last_failure.as_ref().map(ToString::to_string),
        })
    }
}

/// All that a third party needs to check the seal, and where the sector stands.
#[derive(Debug, Serialize)]
pub struct SectorDetail {
    /// The registered proof's name.
    pub seal_proof: &'static str,
    pub miner: String,
    pub number: u64,
    pub prover_id: String,
    pub size: &'static str,
    pub sector_size_bytes: u64,
    pub simulated: bool,
    pub porep: Porep,
    pub state: &'static str,
    pub ticket: Option<String>,
    pub ticket_epoch: Option<u64>,
    pub seed: Option<String>,
    pub seed_epoch: Option<u64>,
    pub comm_d: Option<String>,
    pub comm_d_cid: Option<String>,
    pub comm_r: Option<String>,
    pub comm_r_cid: Option<String>,
    pub proof: Option<String>,
    /// The scratch root that it is made in; none: it is from when there was only one.
    pub scratch: Option<String>,
    pub stored: Option<Stored>,
    /// When the stored copy was proven last; then or later, if it was one of a pass over all.
    pub proven: Option<String>,
    pub pre_commit: Option<PreCommit>,
    pub commit: Option<Commit>,
    pub created: String,
    pub updated: String,
    pub order: u64,
    pub tasks: Vec<TaskRow>,
    /// The first thousand; `history_next` is where the rest begins, for `after`.
    pub history: Vec<HistoryLine>,
    pub history_next: Option<u64>,
    pub attention: Option<String>,
    pub failures: Vec<FailedTask>,
    /// What is wrong with the stored copy of a finished one.
    pub fault: Option<Failure>,
    /// Where it stands, in a sentence.
    pub standing: String,
    /// How far its running phases have come.
    pub progress: BTreeMap<Phase, Progress>,
    /// What may be done to it now, and why the rest may not.
    pub offers: Offers,
    /// What P6, or an abort, deletes.
    pub scratch_paths: Vec<PathBuf>,
    /// What it may still take by what is usual here; none without a basis.
    pub done_in: Option<DoneIn>,
}

#[derive(Debug, Serialize)]
pub struct Stored {
    pub root: String,
    pub replica: String,
    pub cache: String,
    pub manifest: String,
    pub bytes: u64,
    /// BLAKE3 of the manifest.
    pub manifest_digest: String,
}

#[derive(Debug, Serialize)]
pub struct HistoryLine {
    pub seq: u64,
    pub at: String,
    /// The event's name, constant, for programs.
    pub event: &'static str,
    pub phase: Option<&'static str>,
    /// The same in words, for people.
    pub what: String,
}

impl SectorDetail {
    pub fn of(state: &WebState, sector: &Sector, history: &[Entry]) -> Self {
        let stage = &sector.stage;
        let seed = stage.challenge().and_then(Challenge::seed);
        let commitments = stage.replica().map(|replica| &replica.commitments);
        let tasks = Phase::ALL.into_iter().filter_map(|phase| TaskRow::of(sector, phase));
        Self {
            seal_proof: state.engine.seal_proof_name(sector.kind()),
            miner: sector.id.miner.to_string(),
            number: sector.id.number.0,
            prover_id: hex::encode(sector.id.miner.prover_id()),
            size: sector.size.name(),
            sector_size_bytes: sector.size.bytes(),
            simulated: sector.simulated,
            porep: sector.porep,
            state: stage.name(),
            ticket: stage.ticket().map(|ticket| ticket.value.to_string()),
            ticket_epoch: stage.ticket().map(|ticket| ticket.epoch.0),
            seed: seed.map(|seed| seed.value.to_string()),
            seed_epoch: seed.map(|seed| seed.epoch.0),
            comm_d: commitments.map(|both| both.comm_d.0.to_string()),
            comm_d_cid: commitments.map(|both| both.comm_d.cid()),
            comm_r: commitments.map(|both| both.comm_r.0.to_string()),
            comm_r_cid: commitments.map(|both| both.comm_r.cid()),
            proof: stage.proof().map(|proof| hex::encode(&proof.0)),
            scratch: sector.scratch.as_ref().map(ToString::to_string),
            stored: stored(sector, (state.paths)(sector)),
            proven: Proven::of(&state.handle.view(), sector).map(|proven| rfc3339(proven.at)),
            pre_commit: stage.pre_commit().cloned(),
            commit: commit(sector).cloned(),
            created: rfc3339(sector.created),
            updated: rfc3339(sector.updated),
            order: sector.order.0,
            tasks: tasks.collect(),
            history: history.iter().map(HistoryLine::of).collect(),
            history_next: None,
            attention: attention(sector),
            failures: Failed::all_of(sector)
                .into_iter()
                .map(|failed| FailedTask::of(state, sector, failed))
                .collect(),
            fault: sector.fault().cloned(),
            standing: words::standing(
                sector,
                &waiting::held(&state.handle.view(), sector),
                &state.progress.of(sector.id.number),
            ),
            progress: state.progress.of(sector.id.number),
            offers: Offers::of(sector),
            scratch_paths: (state.paths)(sector).scratch,
            done_in: DoneIn::of(sector, &state.handle.view().usual, now()),
        }
    }
}

/// `{"layers":{"done":2,"of":11}}`: what is counted differs from phase to phase.
impl Shaped for Progress {
    fn shape(shapes: &mut Shapes) -> Value {
        let counts = json!({ "type": "object", "additionalProperties": u64::shape(shapes) });
        json!({ "type": "object", "additionalProperties": counts })
    }
}

/// A task that waits for a person, with what its last attempt was given.
#[derive(Debug, Serialize)]
pub struct FailedTask {
    pub phase: &'static str,
    pub attempt: u32,
    pub worker: String,
    pub at: String,
    pub failure: Failure,
    pub inputs: Vec<Input>,
    /// The address of that attempt's log.
    pub log: String,
}

impl FailedTask {
    fn of(state: &WebState, sector: &Sector, failed: Failed) -> Self {
        let Failed { sector: number, phase, failure, at, attempts, worker } = failed;
        Self {
            phase: phase.short_name(),
            attempt: attempts,
            worker,
            at: rfc3339(at),
            failure,
            inputs: inputs(state, sector, phase),
            log: format!("/api/v1/sectors/{number}/log?phase={phase}&attempt={attempts}"),
        }
    }
}

fn stored(sector: &Sector, paths: SectorPaths) -> Option<Stored> {
    let at = sector.stage.stored()?;
    let paths = paths.stored?;
    let text = |path: &Path| path.display().to_string();
    Some(Stored {
        root: at.root.clone(),
        replica: text(&paths.replica),
        cache: text(&paths.cache),
        manifest: text(&paths.manifest),
        bytes: at.bytes,
        manifest_digest: at.manifest.to_string(),
    })
}

pub fn commit(sector: &Sector) -> Option<&Commit> {
    use crate::domain::sector::{Cleaning, Snark, Stage};
    match &sector.stage {
        Stage::Proving { snark: Snark::Committed { commit, .. }, .. } => Some(commit),
        Stage::P6 { cleaning: Cleaning::Sealed { sealed }, .. }
        | Stage::Finished { sealed, .. } => Some(&sealed.commit),
        Stage::Ticket
        | Stage::P1 { .. }
        | Stage::P2 { .. }
        | Stage::PreCommitting { .. }
        | Stage::WaitSeed { .. }
        | Stage::P3 { .. }
        | Stage::Proving { snark: Snark::P4 { .. } | Snark::Committing { .. }, .. }
        | Stage::P6 { cleaning: Cleaning::GivenUp { .. }, .. }
        | Stage::GivenUp { .. } => None,
    }
}

impl HistoryLine {
    pub fn of(entry: &Entry) -> Self {
        let (_, what) = words::happened(&entry.happened);
        let (event, phase) = match &entry.happened {
            Happened::Sector { event, .. } => (event.name(), event.phase()),
            Happened::Box(event) => (event.name(), None),
        };
        let phase = phase.map(Phase::short_name);
        Self { seq: entry.seq.0, at: rfc3339(entry.at), event, phase, what }
    }
}

shape!(SectorRow { number, size, state, phase, created, updated, attention, done_in, simulated });
shape!(TaskRow {
    sector_id,
    task_type,
    phase,
    is_taken,
    is_finished,
    result_status,
    attempts,
    create_time,
    update_time,
    worker,
    miner,
    cid,
    params,
    error,
});
shape!(SectorDetail {
    seal_proof,
    miner,
    number,
    prover_id,
    size,
    sector_size_bytes,
    simulated,
    porep,
    state,
    ticket,
    ticket_epoch,
    seed,
    seed_epoch,
    comm_d,
    comm_d_cid,
    comm_r,
    comm_r_cid,
    proof,
    scratch,
    stored,
    proven,
    pre_commit,
    commit,
    created,
    updated,
    order,
    tasks,
    history,
    history_next,
    attention,
    failures,
    fault,
    standing,
    progress,
    offers,
    scratch_paths,
    done_in,
});

shape!(Stored { root, replica, cache, manifest, bytes, manifest_digest });
shape!(HistoryLine { seq, at, event, phase, what });
shape!(FailedTask { phase, attempt, worker, at, failure, inputs, log });
