//! The thread of one storage: its finished sectors in turn, spread over the period, and in between
//! what people ask for.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use tokio::sync::{mpsc::UnboundedSender, oneshot};

use super::prove::{Depth, Far, Found, Look, is_of, look};
use super::{Checks, Order, Parts, root_of};
use crate::domain::event::Event;
use crate::domain::failure::{Class, Failure};
use crate::domain::ids::SectorNumber;
use crate::domain::sector::{Sealed, Sector, Stage};
use crate::domain::units::Timestamp;
use crate::scheduler::input::Input;
use crate::scheduler::run::Clock;
use crate::store::{Direction, Reader, SectorFilter, StageKind, StoreError};
use crate::worker::phases::{Tools, hung_as_seen};

/// In the history: whom to name for what nobody asked for.
const SCHEDULE: &str = "the schedule";
/// The pass's position is written down this often at most: a restart repeats no more than that.
const NOTED_EVERY: Duration = Duration::from_secs(600);
/// After this long a storage that could not be looked at is tried again.
const AGAIN: Duration = Duration::from_secs(10);
/// The longest wait without a look at the clock, which may have been set.
const LONGEST_WAIT: Duration = Duration::from_secs(3600);
/// Finished sectors read at a time while looking for the next one in this storage.
const ROWS: usize = 64;

/// Where the pass over the storage stands.
#[derive(Debug)]
struct Place {
    began: Timestamp,
    up_to: Option<SectorNumber>,
    over: bool,
    /// When the position was written down last.
    noted: Option<Timestamp>,
    /// Not before this: what was missed while the box was off is made up for without a burst.
    rests_until: Timestamp,
}

#[derive(Debug, PartialEq, Eq)]
enum Step {
    Begin,
    Check(SectorNumber),
    End,
}

pub(super) struct Round {
    root: PathBuf,
    orders: Receiver<Order>,
    checks: Checks,
    tools: Arc<Tools>,
    reader: Reader,
    inputs: UnboundedSender<Input>,
    clock: Clock,
    every: Option<Duration>,
    place: Place,
}

impl Round {
    pub fn new(parts: &Parts, checks: Checks, root: PathBuf, orders: Receiver<Order>) -> Self {
        let now = (parts.clock)();
        let before = root.to_str().and_then(|root| parts.passes.get(root));
        let place = Place {
            began: before.map_or(now, |pass| pass.began),
            up_to: before.and_then(|pass| pass.up_to),
            over: before.is_some_and(|pass| pass.up_to.is_none()),
            noted: before.map(|_| now),
            rests_until: Timestamp(0),
        };
        Self {
            root,
            orders,
            checks,
            tools: parts.tools.clone(),
            reader: parts.reader.clone(),
            inputs: parts.inputs.clone(),
            clock: parts.clock.clone(),
            every: parts.every,
            place,
        }
    }

    /// Runs as long as anybody could ask for anything.
    pub fn run(mut self) {
        loop {
            let next = self.every.map(|every| (every, self.next_step(every)));
            let wait = match &next {
                Some((_, Ok((_, due)))) => due.since((self.clock)()).min(LONGEST_WAIT),
                // The state is being opened anew, or the disk below it fails, which pages say.
                Some((_, Err(_))) => AGAIN,
                None => LONGEST_WAIT,
            };
            match (self.orders.recv_timeout(wait), next) {
                (Ok(order), _) => self.carry_out(&order),
                (Err(RecvTimeoutError::Timeout), Some((every, Ok((step, due))))) => {
                    if (self.clock)() >= due {
                        self.take(&step, every);
                    }
                }
                (Err(RecvTimeoutError::Timeout), Some((_, Err(_))) | None) => {}
                (Err(RecvTimeoutError::Disconnected), _) => return,
            }
        }
    }

    /// What the pass does next, and when. The sectors of a pass are due as their numbers divide
    /// the period, so that it is spread over all of it.
    fn next_step(&mut self, every: Duration) -> Result<(Step, Timestamp), StoreError> {
        let now = (self.clock)();
        // Unless the clock was set back: then it is as if it had just begun.
        self.place.began = self.place.began.min(now);
        self.place.rests_until = self.place.rests_until.min(now.plus(every.max(AGAIN)));
        if self.place.over {
            return Ok((Step::Begin, self.place.began.plus(every)));
        }
        let Some(number) = self.following()? else { return Ok((Step::End, now)) };
        let share = share(every, number.0, self.reader.counts()?.sectors);
        Ok((Step::Check(number), self.place.began.plus(share).max(self.place.rests_until)))
    }

    /// The next finished sector that lies here.
    fn following(&self) -> Result<Option<SectorNumber>, StoreError> {
        let mut after = self.place.up_to;
        let finished = SectorFilter::Stage(StageKind::Finished);
        loop {
            let page = self.reader.sectors(finished, after, ROWS, Direction::OldestFirst)?;
            let here = page.items.iter().find(|sector| root_of(sector) == Some(&self.root));
            if let Some(sector) = here {
                return Ok(Some(sector.id.number));
            }
            after = page.next;
            if after.is_none() {
                return Ok(None);
            }
        }
    }

    fn take(&mut self, step: &Step, every: Duration) {
        let now = (self.clock)();
        match step {
            Step::Begin => {
                let rests_until = self.place.rests_until;
                self.place =
                    Place { began: now, up_to: None, over: false, noted: None, rests_until };
            }
            Step::Check(number) => {
                let checked = self.check(*number);
                let now = (self.clock)();
                let Some(is_news) = checked else {
                    self.place.rests_until = now.plus(AGAIN);
                    return;
                };
                self.place.up_to = Some(*number);
                let sectors = self.reader.counts().map_or(1, |counts| counts.sectors);
                // At twice the pace at most.
                self.place.rests_until = now.plus(share(every, 1, sectors.max(1)) / 2);
                let is_old = self.place.noted.is_none_or(|at| now.since(at) >= NOTED_EVERY);
                if is_news || is_old {
                    self.note(self.place.up_to);
                }
            }
            Step::End => {
                self.place.over = true;
                // A storage without sectors has no passes to tell of.
                if self.place.up_to.is_some() {
                    self.note(None);
                }
            }
        }
    }

    /// Writes the position down.
    fn note(&mut self, up_to: Option<SectorNumber>) {
        self.place.noted = Some((self.clock)());
        let Some(root) = self.root.to_str().map(str::to_owned) else { return };
        let began = self.place.began;
        // The scheduler is gone only when the process stops.
        drop(self.inputs.send(Input::CheckedUpTo { root, began, up_to }));
    }

    /// Looks at a sector because it is its turn; whether that brought anything new. None: it could
    /// not be looked at now.
    fn check(&self, number: SectorNumber) -> Option<bool> {
        let sector = self.reader.sector(number).ok()??;
        let Stage::Finished { sealed, fault, .. } = &sector.stage else { return Some(false) };
        if !is_of(&*self.tools.engine, &sector) {
            return Some(false);
        }
        if hung_as_seen(&self.tools, &self.root).is_some() {
            return None;
        }
        let seen = self.look(&sector, sealed, Depth::Quick, &Far::default());
        let event = match (seen, fault) {
            (Found::Whole, None) => return Some(false),
            (Found::Damaged(found), Some(known)) if is_same(&found, known) => return Some(false),
            (Found::Whole, Some(_)) => Event::StoredProven { by: SCHEDULE.to_owned() },
            (Found::Damaged(failure), _) => {
                Event::StoredDamaged { by: SCHEDULE.to_owned(), failure }
            }
            (Found::Unknown(_), _) => return None,
        };
        self.record(number, event).then_some(true)
    }

    /// Looks at a sector because a person asked. What comes of it is on record, and then told.
    fn carry_out(&self, order: &Order) {
        let far = self.checks.begun(order.sector);
        let found = self.found_for(order, &far);
        self.checks.ended(order.sector, found, (self.clock)());
    }

    fn found_for(&self, order: &Order, far: &Far) -> Found {
        let sector = match self.reader.sector(order.sector) {
            Ok(Some(sector)) => sector,
            Ok(None) => return Found::Unknown(not_recorded(&self.root)),
            Err(error) => return Found::Unknown(Failure::from(error)),
        };
        let Stage::Finished { sealed, .. } = &sector.stage else {
            return Found::Unknown(not_recorded(&self.root));
        };
        if let Some(hung) = hung_as_seen(&self.tools, &self.root) {
            return Found::Unknown(hung);
        }
        let found = self.look(&sector, sealed, Depth::Full, far);
        let by = order.by.clone();
        let event = match &found {
            Found::Whole => Event::StoredProven { by },
            Found::Damaged(failure) => Event::StoredDamaged { by, failure: failure.clone() },
            Found::Unknown(_) => return found,
        };
        if self.record(order.sector, event) {
            found
        } else {
            Found::Unknown(not_recorded(&self.root))
        }
    }

    /// A look, and the one place where what it found is logged.
    fn look(&self, sector: &Sector, sealed: &Sealed, depth: Depth, far: &Far) -> Found {
        let number = sector.id.number;
        let Look { found, panicked } = look(&self.tools, sector, sealed, depth, far);
        if panicked {
            let why = format!("proving the stored copy of sector {number} panicked");
            drop(self.inputs.send(Input::EngineSuspect { why }));
        }
        match &found {
            Found::Whole => tracing::info!(sector = number.0, ?depth, "stored copy proven again"),
            Found::Damaged(failure) => {
                tracing::error!(sector = number.0, ?depth, %failure, "stored copy damaged");
            }
            // Told to whoever asked; of a mount, the Storage page tells everyone.
            Found::Unknown(failure) => {
                tracing::debug!(sector = number.0, ?depth, %failure, "stored copy not looked at");
            }
        }
        found
    }

    /// Puts it on record and waits until that is durable.
    fn record(&self, sector: SectorNumber, event: Event) -> bool {
        let (durable, recorded) = oneshot::channel();
        let sent = self.inputs.send(Input::Checked { sector, event, durable });
        sent.is_ok() && recorded.blocking_recv().is_ok()
    }
}

/// What fails the same way at the same file needs no second entry.
fn is_same(found: &Failure, known: &Failure) -> bool {
    (&found.what, &found.file) == (&known.what, &known.file)
}

fn not_recorded(root: &Path) -> Failure {
    let what = "what was found could not be put on record";
    Failure::new(Class::Transient, what, "see what the Overview says, then ask again").at(root)
}

/// That many sectors' part of the period.
fn share(every: Duration, sectors: u64, of: u64) -> Duration {
    let ms = every.as_millis() * u128::from(sectors.min(of)) / u128::from(of.max(1));
    Duration::from_millis(u64::try_from(ms).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pass_is_spread_over_the_period_by_the_sectors_numbers() {
        let month = Duration::from_secs(30 * 24 * 3600);
        assert_eq!(share(month, 0, 100_000), Duration::ZERO);
        assert_eq!(share(month, 50_000, 100_000), month / 2);
        assert_eq!(share(month, 1, 100_000), Duration::from_millis(25_920));
        assert_eq!(share(month, 7, 0), Duration::ZERO, "an empty box");
    }
}
