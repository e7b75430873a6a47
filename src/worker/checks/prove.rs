//! One look at the stored copy of a finished sector: is it whole, is it damaged and where, or
//! could that not be found out now.

use std::cell::Cell;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::domain::failure::{Class, Failure};
use crate::domain::layout::StorageRoot;
use crate::domain::sector::{Sealed, Sector};
use crate::engine::{Engine, EngineKind};
use crate::storage::manifest::{check_copy, check_sizes};
use crate::worker::panics;
use crate::worker::phases::{Tools, prove_stored_copy, stored_copy};

/// How closely it is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// The manifest, every file's size, `p_aux`, and a PoSt proof under random challenges: a few
    /// reads, whatever the sector's size. What the challenges do not hit stays unseen until a
    /// later pass draws others.
    Quick,
    /// All of what P6 asks for before it deletes: every byte is read.
    Full,
}

/// What a look found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    Whole,
    /// The failure names the file at fault.
    Damaged(Failure),
    /// Nothing is known of the copy: its mount, or something else that it takes, is not there.
    Unknown(Failure),
}

/// A look, and whether the proofs library panicked in it.
pub struct Look {
    pub found: Found,
    pub panicked: bool,
}

/// How far a full look has come, in bytes; written by it, read by whoever wants to know.
#[derive(Debug, Default)]
pub struct Far {
    pub done: AtomicU64,
    pub total: AtomicU64,
}

/// What fails while the root is fine before it and after it is the copy's own fault. An I/O error
/// has to come twice: on a network a single one says little.
pub fn look(tools: &Tools, sector: &Sector, sealed: &Sealed, depth: Depth, far: &Far) -> Look {
    let root = Path::new(&sealed.stored.root);
    let mut last = None;
    for _try in 0..2 {
        if let Err(failure) = tools.roots.check(root) {
            return Look { found: Found::Unknown(failure), panicked: false };
        }
        let seen = panics::caught(|| prove(tools, sector, sealed, depth, far));
        let (failure, panicked) = match seen {
            Ok(Found::Damaged(failure)) => (failure, false),
            Ok(found @ (Found::Whole | Found::Unknown(_))) => {
                return Look { found, panicked: false };
            }
            Err(panic) => {
                let what = format!("proving the stored copy panicked: {}", panic.message);
                let replica = StorageRoot::new(root).replica(sector.id);
                (Failure::new(Class::Sector, what, "").at(replica).detail(panic.backtrace), true)
            }
        };
        let is_clear = failure.class == Class::Sector;
        last = Some((failure, panicked));
        if is_clear {
            break;
        }
    }
    let (failure, panicked) = last.expect("two tries are made");
    let found = match tools.roots.check(root) {
        Ok(()) => Found::Damaged(fault(failure, sector)),
        Err(failure) => Found::Unknown(failure),
    };
    Look { found, panicked }
}

/// What can be done about it is the same whatever it is: nothing is left on the scratch to copy
/// again.
fn fault(failure: Failure, sector: &Sector) -> Failure {
    let mend = format!(
        "this is the sector's only copy: look at that disk (`dmesg`) and bring the file back (from \
         a mirror, a snapshot or a backup), then prove it again (`sealbox verify {}`)",
        sector.id.number
    );
    Failure { class: Class::Sector, mend, ..failure }
}

fn prove(tools: &Tools, sector: &Sector, sealed: &Sealed, depth: Depth, far: &Far) -> Found {
    if !is_of(&*tools.engine, sector) {
        let what = "the sector was made with another engine than the box now has";
        let mend = "set `engine` back to what it was to prove it";
        return Found::Unknown(Failure::new(Class::Operator, what, mend));
    }
    match depth {
        Depth::Quick => found(quickly(tools, sector, sealed)),
        Depth::Full => {
            let tell = |done, total| {
                far.done.store(done, Ordering::Relaxed);
                far.total.store(total, Ordering::Relaxed);
            };
            // Without its parameters a seal proof cannot be verified: that says nothing of the copy.
            let no_verdict = Cell::new(false);
            let proven = prove_stored_copy(tools, sector, sealed, &tell, &no_verdict);
            match proven {
                Err(failure) if no_verdict.get() => Found::Unknown(failure),
                proven => found(proven.map(drop)),
            }
        }
    }
}

/// Whether this engine, or one of its kind, made it: no other can prove it.
pub fn is_of(engine: &dyn Engine, sector: &Sector) -> bool {
    sector.simulated == (engine.kind() == EngineKind::Simulated)
}

fn found(proven: Result<(), Failure>) -> Found {
    match proven {
        Ok(()) => Found::Whole,
        Err(failure) => Found::Damaged(failure),
    }
}

fn quickly(tools: &Tools, sector: &Sector, sealed: &Sealed) -> Result<(), Failure> {
    let root = StorageRoot::new(&sealed.stored.root);
    let (id, manifest) = (sector.id, sealed.stored.manifest);
    check_sizes(&root, id, manifest)?;
    let copy = stored_copy(sector, &root.cache_dir(id), &root.replica(id));
    let comm_r = &sealed.challenge.replica.commitments.comm_r;
    tools.engine.prove_stored(&copy, comm_r).map_err(|failure| {
        // A PoSt proof that fails does not say whether the replica or a tree is at fault: the
        // digests do. Rare, so that reading everything is worth it.
        match check_copy(&root, id, manifest, &tools.copy_limit, &|_done, _total| {}) {
            Ok(_) => failure,
            Err(named) => {
                let both = format!("{}\n{failure}", named.detail.as_deref().unwrap_or_default());
                named.detail(both)
            }
        }
    })
}
