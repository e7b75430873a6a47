//! How each phase runs: one attempt, from the sector's state to the phase's output.

use std::cell::Cell;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use super::progress::{Further, ProgressBoard};
use super::timeline::TimelineBoard;
use super::trees;
use crate::domain::event::Output;
use crate::domain::failure::{Class, Failure};
use crate::domain::ids::{CommR, SectorId};
use crate::domain::isolation::Isolation;
use crate::domain::layout::{Scratch, StorageRoot};
use crate::domain::phase::Phase;
use crate::domain::progress::Progress;
use crate::domain::sector::{Challenge, Cleaning, GiveUp, Sealed, Sector, Stage};
use crate::durable::sync_dir;
use crate::engine::claim::{Claim, Claims};
use crate::engine::{Engine, EngineKind, Job, SealStatement, StoredCopy};
use crate::failpoint::die_at;
use crate::scheduler::view::DiskView;
use crate::stop::Stop;
use crate::storage::clean::{Permit, ProvenCopy, Record, clean, discard_copy};
use crate::storage::rate::RateLimit;
use crate::storage::room::{Claim as RoomClaim, Seen, StorageRoom};
use crate::storage::roots::Roots;
use crate::storage::shrink::drop_what_is_answered;
use crate::storage::transfer::{ToStore, bytes_to_copy, copy_sector};
use crate::telemetry::Disks;
use crate::within::{ANSWER_LIMIT, hung, within};

/// What every worker works with.
pub struct Tools {
    pub engine: Arc<dyn Engine>,
    pub claims: Claims,
    /// Those that are configured.
    pub scratch: Vec<Scratch>,
    pub storage: Vec<StorageRoot>,
    pub copy_limit: RateLimit,
    /// Where copies go, and what they have claimed there.
    pub room: StorageRoom,
    /// Where running attempts tell how far they are.
    pub progress: Arc<ProgressBoard>,
    /// Where those that have ended are put down.
    pub timeline: Arc<TimelineBoard>,
    /// Whether a root is what it was is looked at again before every attempt.
    pub roots: Roots,
    /// Which of them hang, as last seen.
    pub disks: Disks,
}

impl Tools {
    /// The root that the sector is made in, configured or not.
    pub fn home(&self, sector: &Sector) -> Scratch {
        sector.scratch.clone().unwrap_or_else(|| self.roots.first_scratch())
    }

    /// Why nothing can be done in that root now; none: it is there, or is not one of ours at all.
    pub fn home_is_away(&self, home: &Scratch) -> Option<Failure> {
        let is_configured = self.scratch.contains(home);
        self.roots.check(home.root()).err().filter(|_| is_configured)
    }
}

/// Who is told of what happens in the midst of an attempt.
pub struct Told<'a> {
    pub record: Record<'a>,
    /// It made something that no attempt need make again. Called where the box has died under the
    /// attempts before it, once.
    pub advanced: &'a (dyn Fn() + Sync),
}

/// One attempt at a phase, until its end or the order to stop. May panic where the proofs library
/// does.
pub fn run_phase(
    tools: &Tools,
    sector: &Sector,
    phase: Phase,
    stop: &Stop,
    told: Told<'_>,
) -> Result<Output, Failure> {
    let Told { record, advanced } = told;
    // A finished name on a simulated sector, or the reverse, is how a fake gets into storage.
    let simulated = tools.engine.kind() == EngineKind::Simulated;
    if sector.simulated != simulated {
        let what = "the sector was begun with another engine than the box now has";
        let mend = "set `engine` back to what it was, or abort this sector";
        return Err(Failure::new(Class::Operator, what, mend));
    }
    let home = tools.home(sector);
    if !tools.scratch.contains(&home) {
        return without_home(tools, sector, phase, &home, record);
    }
    // A mount that went away is found here, before its empty directory is taken for the scratch.
    tools.roots.check(home.root())?;
    let claim = claim(tools, sector.id, phase)?;
    match (phase, &sector.stage) {
        (Phase::P1, Stage::P1 { ticket, work }) => {
            let job = job(&home, sector, stop);
            make_room(&home, &job.cache)?;
            let row = tools.progress.begin(sector.id.number, Phase::P1);
            let further = (work.deaths() > 0).then(Further::default);
            let tell = |progress| {
                row.tell(progress);
                if further.as_ref().is_some_and(|further| further.than_before(progress)) {
                    advanced();
                }
            };
            tools.engine.label(&job, ticket, &tell).map(|()| Output::P1)
        }
        (Phase::P2, Stage::P2 { ticket, .. }) => {
            let job = job(&home, sector, stop);
            let row = tools.progress.begin(sector.id.number, Phase::P2);
            let replicate = || tools.engine.replicate(&job, ticket);
            let commitments = trees::beside(&job.cache, job.size, &row, replicate)?;
            drop_what_is_answered(&home, sector.id, sector.kind(), &commitments, record)?;
            Ok(Output::P2 { commitments })
        }
        (Phase::P3, Stage::P3 { challenge, .. }) => {
            let statement = statement(sector, challenge);
            tools.engine.prove_vanilla(&job(&home, sector, stop), &statement).map(|()| Output::P3)
        }
        (Phase::P4, Stage::Proving { challenge, .. }) => {
            let statement = statement(sector, challenge);
            let row = tools.progress.begin(sector.id.number, Phase::P4);
            let job = job(&home, sector, stop);
            let proof =
                tools.engine.prove_snark(&job, &statement, &|progress| row.tell(progress))?;
            Ok(Output::P4 { proof })
        }
        (Phase::P5, Stage::Proving { challenge, .. }) => copy(tools, sector, challenge, stop),
        (Phase::P6, Stage::P6 { cleaning, .. }) => {
            tools.engine.attend(Phase::P6, sector.id, stop)?;
            match cleaning {
                Cleaning::Sealed { sealed } => clean_behind_copy(tools, sector, sealed, record)?,
                Cleaning::GivenUp { because, comm_r } => {
                    clean_given_up(tools, sector, because, *comm_r, record)?;
                }
            }
            // Whoever would claim it now has nothing left to do.
            if let Some(claim) = claim {
                claim.remove();
            }
            Ok(Output::P6)
        }
        (Phase::P1 | Phase::P2 | Phase::P3 | Phase::P4 | Phase::P5 | Phase::P6, stage) => {
            let what = format!("{phase} was started for a sector at {}", stage.name());
            Err(Failure::new(Class::Sector, what, "this is a bug: report it with the journal"))
        }
    }
}

/// The sector's root is no longer configured: nothing can be done but to give it up.
fn without_home(
    tools: &Tools,
    sector: &Sector,
    phase: Phase,
    home: &Scratch,
    record: Record<'_>,
) -> Result<Output, Failure> {
    if let (Phase::P6, Stage::P6 { cleaning: Cleaning::GivenUp { because, comm_r }, .. }) =
        (phase, &sector.stage)
    {
        return clean_given_up(tools, sector, because, *comm_r, record).map(|()| Output::P6);
    }
    let what = "the sector is made in a scratch that is not configured any more";
    let mend = "put it back into the configuration (`weight = 0` keeps new sectors off it), restart \
                sealbox and retry; or abort the sector";
    Err(Failure::new(Class::Operator, what, mend).at(home.root()))
}

/// Keeps everybody else off the sector's scratch while this attempt writes to it.
fn claim(tools: &Tools, id: SectorId, phase: Phase) -> Result<Option<Claim>, Failure> {
    let wanted = match (phase, tools.engine.isolation()) {
        (Phase::P6, Isolation::Thread | Isolation::Process) => true,
        (Phase::P1 | Phase::P2 | Phase::P3 | Phase::P4, Isolation::Thread) => true,
        // The attempt's own process claims it: it is that one which may outlive the box.
        (Phase::P1 | Phase::P2 | Phase::P3 | Phase::P4, Isolation::Process) => false,
        // It only reads there, beside P4.
        (Phase::P5, Isolation::Thread | Isolation::Process) => false,
    };
    if wanted { Claim::take(&tools.claims.path(id)).map(Some) } else { Ok(None) }
}

fn job(home: &Scratch, sector: &Sector, stop: &Stop) -> Job {
    Job {
        id: sector.id,
        size: sector.size,
        porep: sector.porep,
        data: sector.data,
        cache: home.cache_dir(sector.id),
        shared: home.shared_dir(),
        replica: home.replica(sector.id),
        stop: stop.clone(),
    }
}

fn statement(sector: &Sector, challenge: &Challenge) -> SealStatement {
    SealStatement {
        id: sector.id,
        size: sector.size,
        porep: sector.porep,
        ticket: challenge.replica.ticket,
        seed: challenge.seed(),
        commitments: challenge.replica.commitments,
    }
}

/// Only P1 makes the sector's directory, and never the scratch itself: a scratch that is not there
/// is a mount that is missing, not a directory to be made on the disk below it.
fn make_room(scratch: &Scratch, cache: &Path) -> Result<(), Failure> {
    for parent in scratch.parents() {
        if !parent.is_dir() {
            let what = "the scratch is not there: a directory of it is missing";
            let mend = "mount it (`findmnt` says what is mounted), then retry";
            return Err(Failure::new(Class::Operator, what, mend).at(parent));
        }
    }
    match fs::create_dir(cache) {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => {
            return Err(Failure::io("making the sector's cache directory", cache, &error));
        }
        // An earlier attempt that made it may not have come this far.
        Ok(()) | Err(_) => {}
    }
    die_at("p1.directory_made");
    let parent = cache.parent().unwrap_or(scratch.root());
    sync_dir(parent)
        .map_err(|error| Failure::io("syncing the sector's cache directory", parent, &error))?;
    die_at("p1.directory_synced");
    Ok(())
}

fn copy(
    tools: &Tools,
    sector: &Sector,
    challenge: &Challenge,
    stop: &Stop,
) -> Result<Output, Failure> {
    tools.engine.attend(Phase::P5, sector.id, stop)?;
    let to_store = ToStore {
        id: sector.id,
        size: sector.size,
        comm_r: challenge.replica.commitments.comm_r,
        simulated: sector.simulated,
    };
    let home = tools.home(sector);
    let claim = claim_room(tools, &home, &to_store)?;
    let row = tools.progress.begin(sector.id.number, Phase::P5);
    let copied = |done_bytes, total_bytes| row.tell(Progress::Copying { done_bytes, total_bytes });
    let stored = copy_sector(&home, claim.root(), &to_store, &tools.copy_limit, &copied, stop)?;
    Ok(Output::P5 { stored })
}

/// Room for the copy in a storage that answers and is the one that it was.
fn claim_room(tools: &Tools, home: &Scratch, to_store: &ToStore) -> Result<RoomClaim, Failure> {
    let bytes = bytes_to_copy(home, to_store)?;
    let (mut seen, mut failure) = (Vec::new(), None);
    for root in &tools.storage {
        match look_at_root(tools, root, to_store.id) {
            Ok(found) => seen.push(found),
            Err(trouble) => failure = Some(worse(failure, trouble)),
        }
    }
    match failure {
        Some(failure) if seen.is_empty() => Err(failure),
        Some(_) | None => tools.room.claim(to_store.id, bytes, seen),
    }
}

/// Of several roots that cannot be used, the one that only waiting will not bring back.
fn worse(before: Option<Failure>, trouble: Failure) -> Failure {
    match before {
        Some(before) if before.class == Class::Operator => before,
        Some(_) | None => trouble,
    }
}

fn look_at_root(tools: &Tools, root: &StorageRoot, id: SectorId) -> Result<Seen, Failure> {
    if let Some(hung) = hung_as_seen(tools, root.path()) {
        return Err(hung);
    }
    tools.roots.check(root.path())?;
    let (room, looked_at) = (tools.room.clone(), root.clone());
    within(ANSWER_LIMIT, move || room.look(&looked_at, id))
        .unwrap_or_else(|| Err(hung(root.path(), ANSWER_LIMIT)))
}

/// What the samples say of a root that hangs: it is not even asked then.
pub fn hung_as_seen(tools: &Tools, root: &Path) -> Option<Failure> {
    hung_in(&tools.disks.borrow(), root)
}

/// The same, of these samples.
pub fn hung_in(disks: &[DiskView], root: &Path) -> Option<Failure> {
    let disk = disks.iter().find(|disk| disk.path == root && disk.hung)?;
    disk.trouble.clone()
}

/// All three have to hold of a stored copy: its digests, its `p_aux` with a PoSt proof, and the
/// seal proof. `no_verdict` is set if the seal proof could not be verified either way.
pub fn prove_stored_copy(
    tools: &Tools,
    sector: &Sector,
    sealed: &Sealed,
    progress: &dyn Fn(u64, u64),
    no_verdict: &Cell<bool>,
) -> Result<ProvenCopy, Failure> {
    let engine = &tools.engine;
    ProvenCopy::prove(
        sector.id,
        &sealed.stored,
        &tools.copy_limit,
        progress,
        |cache, replica| {
            let comm_r = &sealed.challenge.replica.commitments.comm_r;
            engine.prove_stored(&stored_copy(sector, cache, replica), comm_r)
        },
        || {
            let verified = engine.verify_seal(&statement(sector, &sealed.challenge), &sealed.proof);
            no_verdict.set(verified.is_err());
            verified
        },
    )
}

/// A copy as the engine takes it.
pub fn stored_copy(sector: &Sector, cache: &Path, replica: &Path) -> StoredCopy {
    let (cache, replica) = (cache.to_path_buf(), replica.to_path_buf());
    StoredCopy { id: sector.id, size: sector.size, cache, replica }
}

/// Nothing is deleted before the stored copy is proven.
fn clean_behind_copy(
    tools: &Tools,
    sector: &Sector,
    sealed: &Sealed,
    record: Record<'_>,
) -> Result<(), Failure> {
    // What cannot be seen because its mount is gone must not be believed gone.
    tools.roots.check(Path::new(&sealed.stored.root))?;
    let proven = prove_stored_copy(tools, sector, sealed, &|_done, _total| {}, &Cell::new(false))?;
    tracing::info!("the stored copy is proven; the scratch is cleaned");
    die_at("p6.copy_proven");
    clean(&tools.home(sector), &Permit::proven(proven), record).map(|_deleted| ())
}

fn clean_given_up(
    tools: &Tools,
    sector: &Sector,
    because: &GiveUp,
    comm_r: Option<CommR>,
    record: Record<'_>,
) -> Result<(), Failure> {
    let home = tools.home(sector);
    if tools.scratch.contains(&home) {
        clean(&home, &Permit::given_up(sector.id, because), record)?;
    } else {
        // It is not this box's any more; what lies there is an orphan if it ever is again.
        tracing::warn!(scratch = %home, "nothing is deleted in a scratch that is not configured");
    }
    // Before P5 was ever started there is nothing of it in any storage, whatever state that is in.
    if sector.tasks[Phase::P5].attempts == 0 {
        return Ok(());
    }
    for root in &tools.storage {
        tools.roots.check(root.path())?;
        discard_copy(root, sector.id, comm_r, because, record)?;
    }
    Ok(())
}
