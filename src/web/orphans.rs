//! Orphans, looked for on demand. Every root is looked at on a thread of its own, which may hang;
//! nobody waits longer for it than a moment.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use axum::http::StatusCode;
use tokio::sync::{oneshot, watch};

use super::error::Unanswered;
use super::show::now;
use crate::domain::failure::{Class, Failure};
use crate::domain::ids::{ActorId, SectorNumber};
use crate::domain::sector::Stage;
use crate::domain::units::Timestamp;
use crate::scheduler::Handle;
use crate::scheduler::command::Command;
use crate::storage::identity::Role;
use crate::storage::orphans::{Aside, Ground, Known, Orphan, is_entry_of};
use crate::storage::roots::Roots;
use crate::store::Reader;

/// What the last look at a root found.
#[derive(Debug, Clone)]
pub struct Looked {
    pub path: PathBuf,
    pub role: Role,
    /// A look is under way.
    pub looking: bool,
    pub at: Option<Timestamp>,
    pub orphans: Vec<Orphan>,
    pub trouble: Option<Failure>,
}

/// Looks for orphans, and deletes them by order.
#[derive(Clone)]
pub struct Orphans {
    roots: Roots,
    miner: ActorId,
    reader: Reader,
    looked: Arc<Mutex<BTreeMap<PathBuf, Looked>>>,
    ended: Arc<watch::Sender<u64>>,
}

impl Orphans {
    pub fn new(roots: Roots, miner: ActorId, reader: Reader) -> Self {
        let looked = roots.configured().iter().map(|(path, role)| {
            let (orphans, path) = (Vec::new(), path.clone());
            let new = Looked {
                path: path.clone(),
                role: *role,
                looking: false,
                at: None,
                orphans,
                trouble: None,
            };
            (path, new)
        });
        let looked = Arc::new(Mutex::new(looked.collect()));
        Self { roots, miner, reader, looked, ended: Arc::new(watch::channel(0).0) }
    }

    /// Looks at every root that was not looked at for this long, waits no longer than `patience`
    /// for them, and tells what is known then.
    pub async fn look(&self, old: Duration, patience: Duration) -> Vec<Looked> {
        let mut ended = self.ended.subscribe();
        self.start(old);
        let done = async {
            while self.known().iter().any(|root| root.looking) {
                // The sender lives as long as this.
                drop(ended.changed().await);
            }
        };
        drop(tokio::time::timeout(patience, done).await);
        self.known()
    }

    fn known(&self) -> Vec<Looked> {
        self.looked.lock().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    fn start(&self, old: Duration) {
        let now = now();
        for (path, role) in self.roots.configured() {
            // One look at a time: those at a hung root must not pile up.
            let begin = self.change(path, |root| {
                let is_old = root.at.is_none_or(|at| now.since(at) >= old);
                let begin = is_old && !root.looking;
                root.looking |= begin;
                begin
            });
            if begin != Some(true) {
                continue;
            }
            let (this, at, role) = (self.clone(), path.clone(), *role);
            let looking = thread::Builder::new().name("orphans".to_owned());
            let started = looking.spawn(move || {
                let found = this.on(&at, role, |ground| ground.scan());
                this.ended(&at, found);
            });
            if let Err(error) = started {
                self.ended(path, Err(Failure::io("starting a thread", path, &error)));
            }
        }
    }

    fn ended(&self, path: &Path, found: Result<Vec<Orphan>, Failure>) {
        self.change(path, |root| {
            root.looking = false;
            root.at = Some(now());
            (root.orphans, root.trouble) = match found {
                Ok(orphans) => (orphans, None),
                Err(failure) => (Vec::new(), Some(failure)),
            };
        });
        self.ended.send_modify(|count| *count += 1);
    }

    fn change<T>(&self, path: &Path, change: impl FnOnce(&mut Looked) -> T) -> Option<T> {
        let mut looked = self.looked.lock().unwrap_or_else(PoisonError::into_inner);
        looked.get_mut(path).map(change)
    }

    fn on<T>(&self, root: &Path, role: Role, act: impl FnOnce(Ground<'_>) -> T) -> T {
        let knows = |number| self.knows(number);
        act(Ground { root, role, miner: self.miner, roots: &self.roots, knows: &knows })
    }

    fn knows(&self, number: SectorNumber) -> Result<Known, Failure> {
        let Some(sector) = self.reader.sector(number).map_err(Failure::from)? else {
            return Ok(Known::Nothing);
        };
        Ok(match &sector.stage {
            Stage::Finished { sealed, .. } => {
                Known::Finished { stored: (&sealed.stored.root).into() }
            }
            Stage::GivenUp { .. } => Known::GivenUp,
            Stage::Ticket
            | Stage::P1 { .. }
            | Stage::P2 { .. }
            | Stage::PreCommitting { .. }
            | Stage::WaitSeed { .. }
            | Stage::P3 { .. }
            | Stage::Proving { .. }
            | Stage::P6 { .. } => Known::InFlight,
        })
    }

    /// Renames it away, has that recorded, and removes it; its bytes. Goes on to its end though
    /// whoever asked goes away.
    pub async fn delete(
        &self,
        handle: &Handle,
        path: PathBuf,
        by: String,
    ) -> Result<u64, Unanswered> {
        let (this, handle) = (self.clone(), handle.clone());
        let done = tokio::spawn(async move { this.delete_in_steps(&handle, path, &by).await });
        done.await.unwrap_or_else(|_| Err(no_thread()))
    }

    async fn delete_in_steps(
        &self,
        handle: &Handle,
        path: PathBuf,
        by: &str,
    ) -> Result<u64, Unanswered> {
        let root = self.roots.configured().iter().find(|(root, _)| is_entry_of(root, &path));
        let Some((root, role)) = root.cloned() else {
            return Err(Unanswered::new(
                StatusCode::NOT_FOUND,
                "this is no entry of `cache` or `sealed` in a root of this box; nothing was deleted",
                "give a path as `sealbox orphans` lists it",
            ));
        };
        let (this, at) = (self.clone(), root.clone());
        let aside =
            on_thread(move || this.on(&root, role, |ground| ground.set_aside(&path))).await?;
        let Aside { bytes, sector, .. } = aside;
        let command = Command::RecordOrphan { path: aside.path.clone(), bytes, sector };
        if let Err(refusal) = handle.command(command, by).await {
            on_thread(move || aside.put_back()).await?;
            return Err(refusal.into());
        }
        let path = aside.path.clone();
        on_thread(move || aside.remove()).await?;
        self.change(&at, |looked| looked.orphans.retain(|orphan| orphan.path != path));
        Ok(bytes)
    }
}

/// Runs it where a hang hurts nobody else.
async fn on_thread<T: Send + 'static>(
    run: impl FnOnce() -> Result<T, Failure> + Send + 'static,
) -> Result<T, Unanswered> {
    let (sender, done) = oneshot::channel();
    let run = move || drop(sender.send(run()));
    thread::Builder::new().name("orphan".to_owned()).spawn(run).map_err(|_| no_thread())?;
    done.await.map_err(|_| no_thread())?.map_err(|failure| {
        let status = match failure.class {
            Class::Operator | Class::Space => StatusCode::CONFLICT,
            Class::Transient | Class::Sector | Class::Fatal => StatusCode::SERVICE_UNAVAILABLE,
        };
        let file = failure.file.as_ref().map(|file| format!(" ({})", file.display()));
        Unanswered::new(status, failure.what + &file.unwrap_or_default(), failure.mend)
    })
}

fn no_thread() -> Unanswered {
    let mend = "look at the log, then say it again";
    Unanswered::new(StatusCode::SERVICE_UNAVAILABLE, "the deletion was broken off", mend)
}
