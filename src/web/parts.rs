//! Pieces that several pages show, each a template of its own.

use askama::Template;
use askama::filters::HtmlSafe;

use super::disks::DiskRow;
use super::offer::Offers;
use super::show::{self, Markup};
use super::strip::{Cell, strip, waits_for_seed};
use super::{SectorPaths, WebState, words};
use crate::domain::failure::Failure;
use crate::domain::ids::SectorNumber;
use crate::domain::isolation::Isolation;
use crate::domain::phase::Phase;
use crate::domain::sector::Sector;
use crate::domain::units::Timestamp;
use crate::engine::ParametersState;
use crate::scheduler::view::{DiskView, ThrottleView};
use crate::worker::progress::Reported;

/// A sector's cells.
#[derive(Debug, Clone, Template)]
#[template(path = "parts/strip.html")]
pub struct Strip {
    pub cells: Vec<Cell>,
    /// Whether one of them is the seed's.
    pub seeded: bool,
    pub now: Timestamp,
}

impl HtmlSafe for Strip {}

impl Strip {
    pub fn of(sector: &Sector, now: Timestamp, reported: &Reported) -> Self {
        Self { cells: strip(sector, reported), seeded: waits_for_seed(sector), now }
    }
}

/// The form that does something to many sectors at once (`parts/bulk.html`).
#[derive(Debug, Clone)]
pub struct Bulk {
    /// What the page is filtered by.
    pub filter: Vec<(&'static str, String)>,
    /// What the page shows, if that is less than what matches.
    pub shown: Vec<SectorNumber>,
    /// The words for all that match.
    pub all: String,
    /// Finished sectors can be among them.
    pub verify: bool,
}

/// The buttons of a sector: what its state allows, the rest greyed with the reason.
#[derive(Debug, Clone, Template)]
#[template(path = "parts/actions.html")]
pub struct Actions {
    pub number: SectorNumber,
    pub offers: Offers,
    /// What an abort deletes.
    pub paths: SectorPaths,
    /// What becomes of what runs, if it is aborted.
    pub running: &'static str,
    pub here: String,
}

impl HtmlSafe for Actions {}

impl Actions {
    pub fn of(state: &WebState, sector: &Sector, here: &str) -> Self {
        Self {
            number: sector.id.number,
            offers: Offers::of(sector),
            paths: (state.paths)(sector),
            running: what_runs(sector, state.engine.isolation()),
            here: here.to_owned(),
        }
    }
}

fn what_runs(sector: &Sector, isolation: Isolation) -> &'static str {
    let running = sector.stage.works().filter(|(_, work)| work.is_running());
    let can_stop: Vec<_> = running.map(|(phase, _)| isolation.can_stop(phase)).collect();
    match (can_stop.is_empty(), can_stop.iter().all(|can| *can)) {
        (true, _) => "",
        (false, true) => "; what runs of it is stopped at once",
        (false, false) => " as soon as what runs has ended",
    }
}

/// A failed task as it is shown: what, where, since when, what to do.
#[derive(Debug, Clone)]
pub struct Failed {
    pub sector: SectorNumber,
    pub phase: Phase,
    pub failure: Failure,
    pub at: Timestamp,
    pub attempts: u32,
    pub worker: String,
}

impl Failed {
    pub fn all_of(sector: &Sector) -> Vec<Self> {
        let of = |(phase, failure): (Phase, &Failure)| {
            let record = &sector.tasks[phase];
            Self {
                sector: sector.id.number,
                phase,
                failure: failure.clone(),
                at: record.updated.unwrap_or(sector.updated),
                attempts: record.attempts,
                worker: record.worker.clone().unwrap_or_default(),
            }
        };
        sector.failures().map(of).collect()
    }

    pub fn class_words(&self) -> &'static str {
        words::class_words(self.failure.class)
    }

    pub fn file(&self) -> String {
        self.failure.file.as_ref().map(|file| file.display().to_string()).unwrap_or_default()
    }

    pub fn detail(&self) -> &str {
        self.failure.detail.as_deref().unwrap_or_default()
    }
}

/// A finished sector whose stored copy is damaged, as it is shown.
#[derive(Debug, Clone)]
pub struct Damaged {
    pub sector: SectorNumber,
    pub failure: Failure,
    /// When it was found.
    pub at: Timestamp,
}

impl Damaged {
    pub fn of(sector: &Sector) -> Option<Self> {
        let failure = sector.fault()?.clone();
        Some(Self { sector: sector.id.number, failure, at: sector.updated })
    }

    pub fn file(&self) -> String {
        self.failure.file.as_ref().map(|file| file.display().to_string()).unwrap_or_default()
    }

    pub fn detail(&self) -> &str {
        self.failure.detail.as_deref().unwrap_or_default()
    }
}

/// The standstill of a throttle, in words; none if it does not stand still.
pub fn standstill(throttle: &ThrottleView) -> Option<String> {
    let limit = throttle.limit.filter(|_| throttle.stands_still())?;
    let held: Vec<String> = throttle.held_by.iter().take(5).map(ToString::to_string).collect();
    let more = throttle.held.saturating_sub(held.len() as u64);
    let more = if more == 0 { String::new() } else { format!(" and {more} more") };
    let (sectors, holds, until) = match held.as_slice() {
        [one] => (format!("Sector {one}"), "holds", "it is"),
        many => (format!("Sectors {}{more}", many.join(", ")), "hold", "they are"),
    };
    Some(format!(
        "{sectors} {holds} the {} throttle ({} of {limit}): nothing new starts until {until} \
         retried or aborted",
        throttle.size, throttle.outstanding,
    ))
}

/// A disk with its bar.
#[derive(Debug, Clone)]
pub struct Disk {
    pub row: DiskRow,
    /// Used, in thousandths of the whole.
    pub used_permille: u64,
    /// Reserved for sectors in flight, likewise.
    pub reserved_permille: u64,
    /// Kept back by the file system, likewise.
    pub kept_permille: u64,
}

impl Disk {
    /// Every disk, as last looked at.
    pub fn all_of(state: &WebState) -> Vec<Self> {
        DiskRow::all_of(state).into_iter().map(Self::of).collect()
    }

    fn of(row: DiskRow) -> Self {
        let view = &row.view;
        let permille = |part: u64| {
            let wide = u128::from(part) * 1_000 / u128::from(view.total_bytes.max(1));
            u64::try_from(wide.min(1_000)).expect("at most a thousand")
        };
        let used = permille(view.used_bytes);
        let reserved = row.reserved_bytes.min(view.free_bytes);
        Self {
            used_permille: used,
            reserved_permille: permille(reserved).min(1_000 - used),
            kept_permille: permille(kept_back(view)).min(1_000 - used),
            row,
        }
    }

    pub fn path(&self) -> String {
        self.row.view.path.display().to_string()
    }

    pub fn role(&self) -> &'static str {
        self.row.view.role.name()
    }

    /// Role, device and file system, as far as they are known.
    pub fn about(&self) -> String {
        let known = [self.role(), &self.row.view.device, &self.row.view.file_system];
        let known: Vec<&str> = known.into_iter().filter(|part| !part.is_empty()).collect();
        known.join(" · ")
    }

    pub fn nearly_full(&self) -> bool {
        self.used_permille + self.kept_permille >= 950
    }

    pub fn used(&self) -> Markup {
        show::bytes(self.row.view.used_bytes)
    }

    pub fn reserved(&self) -> Markup {
        show::bytes(self.row.reserved_bytes)
    }

    pub fn kept(&self) -> Markup {
        show::bytes(kept_back(&self.row.view))
    }

    pub fn claimed(&self) -> Markup {
        show::bytes(self.row.claimed_bytes)
    }

    pub fn stays_free(&self) -> Markup {
        show::bytes(self.row.keep_free_bytes)
    }

    /// The weight, where it is not what nobody thinks of.
    pub fn weight(&self) -> Option<u32> {
        self.row.weight.filter(|weight| *weight != 1)
    }

    pub fn free(&self) -> Markup {
        show::bytes(self.row.view.free_bytes)
    }

    pub fn total(&self) -> Markup {
        show::bytes(self.row.view.total_bytes)
    }
}

/// The state of the parameters in a sentence.
pub fn parameters_words(parameters: &ParametersState) -> String {
    match parameters {
        ParametersState::NotNeeded => "None needed: the engine is simulated.".to_owned(),
        ParametersState::Checking => "Being looked for and checked.".to_owned(),
        ParametersState::LabMade { file, .. } => format!(
            "Made in this lab, kept in {}. Proofs made with them prove nothing to anyone else.",
            file.display()
        ),
        ParametersState::Production { file, .. } => {
            format!("The trusted set-up's, digest checked, in {}.", file.display())
        }
        ParametersState::Making { step, .. } => format!("Being made: {step}."),
        ParametersState::Missing { failure } | ParametersState::Awaited { failure } => {
            format!("Missing: {failure}")
        }
    }
}

/// Neither used nor to be had: what the file system keeps back for root.
fn kept_back(view: &DiskView) -> u64 {
    view.total_bytes.saturating_sub(view.used_bytes).saturating_sub(view.free_bytes)
}
