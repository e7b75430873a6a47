//! What has changed since something failed: whether a Retry has better prospects now.

use std::path::Path;

use super::WebState;
use super::lookup::{self, SectorQuery};
use super::show::{ago_text, plural};
use crate::domain::failure::Class;
use crate::domain::phase::Phase;
use crate::domain::sector::Sector;
use crate::domain::units::{ByteSize, Timestamp};
use crate::engine::ParametersState;
use crate::scheduler::view::DiskView;
use crate::store::{Direction, SectorFilter, StageKind};

/// So many finished sectors are looked at for what has succeeded since.
const FINISHED: usize = 200;

/// What the box knows now, gathered once for all causes.
pub struct Now<'a> {
    state: &'a WebState,
    at: Timestamp,
    disks: Vec<DiskView>,
    /// Where a phase can have succeeded since.
    sectors: Vec<Sector>,
}

/// What is known of a failure, or of several with the same cause: the latest.
pub struct Past<'a> {
    pub phase: Phase,
    pub class: Class,
    pub at: Timestamp,
    pub file: Option<&'a Path>,
}

impl<'a> Now<'a> {
    pub fn of(state: &'a WebState, at: Timestamp) -> Self {
        let query = SectorQuery::first(SectorFilter::Stage(StageKind::Finished), FINISHED);
        let finished = lookup::sectors(state, &query, Direction::NewestFirst);
        let in_flight = state.handle.view();
        let in_flight = in_flight.in_flight.iter().map(|sector| Sector::clone(sector));
        // Without the store there is only less to tell.
        let sectors = finished.map(|listed| listed.items).unwrap_or_default();
        let sectors = sectors.into_iter().chain(in_flight).collect();
        Self { state, at, disks: state.disks.borrow().clone(), sectors }
    }

    /// In sentences, what most concerns it first.
    pub fn since(&self, past: &Past<'_>) -> Vec<String> {
        let said = [self.disk(past), self.parameters(past), self.read(past), self.others(past)];
        said.into_iter().flatten().collect()
    }

    /// How its disk is now, if the failure names a file.
    fn disk(&self, past: &Past<'_>) -> Option<String> {
        let file = past.file?;
        let on = self.disks.iter().filter(|disk| file.starts_with(&disk.path));
        let disk = on.max_by_key(|disk| disk.path.as_os_str().len())?;
        let path = disk.path.display();
        Some(match (&disk.trouble, disk.hung) {
            (_, true) => format!("{path} does not answer"),
            (Some(trouble), false) => format!("{path}: {}", trouble.what),
            (None, false) => match past.class {
                Class::Space | Class::Operator => {
                    format!("{path} answers, {} free now", ByteSize(disk.free_bytes))
                }
                Class::Transient | Class::Sector | Class::Fatal => return None,
            },
        })
    }

    fn parameters(&self, past: &Past<'_>) -> Option<String> {
        if past.phase != Phase::P4 {
            return None;
        }
        match self.state.engine.parameters() {
            ParametersState::LabMade { .. } | ParametersState::Production { .. } => {
                Some("the parameters are there".to_owned())
            }
            ParametersState::Missing { .. } | ParametersState::Awaited { .. } => {
                Some("the parameters are still missing".to_owned())
            }
            ParametersState::NotNeeded
            | ParametersState::Checking
            | ParametersState::Making { .. } => None,
        }
    }

    /// A start reads the configuration, too.
    fn read(&self, past: &Past<'_>) -> Option<String> {
        let read = self.state.reload.loaded().at;
        let ago = ago_text(read, self.at);
        (read > past.at).then(|| format!("the box was started or its configuration read {ago}"))
    }

    fn others(&self, past: &Past<'_>) -> Option<String> {
        let is_later =
            |sector: &&Sector| sector.tasks[past.phase].done.is_some_and(|done| done > past.at);
        let others = self.sectors.iter().filter(is_later).count() as u64;
        let others = plural(others, "other sector", "other sectors");
        (!others.starts_with("0 ")).then(|| format!("{} succeeded for {others}", past.phase))
    }
}
