//! What people ask, and what comes of it.

use std::sync::Arc;

use super::{Core, Limits, WorkerId};
use crate::domain::event::{BoxEvent, Event};
use crate::domain::ids::{OrderId, SectorNumber};
use crate::domain::order::{OPEN_ORDERS_LIMIT, ORDER_LIMIT, Order, Place};
use crate::domain::phase::Phase;
#[cfg(test)]
use crate::domain::planted::{Bug, planted};
use crate::domain::porep::SealKind;
use crate::domain::sector::Sector;
use crate::domain::units::{SectorSize, Timestamp};
use crate::scheduler::command::{Command, Done, Refusal, Retried};

impl Core {
    pub fn command(
        &mut self,
        command: &Command,
        by: &str,
        now: Timestamp,
    ) -> Result<Done, Refusal> {
        let by = by.to_owned();
        match *command {
            Command::Order { size, count } => {
                if !(1..=ORDER_LIMIT).contains(&count) {
                    return Err(Refusal::Invalid {
                        what: format!("{count} is not a number of sectors that can be ordered"),
                        mend: format!("order 1 to {ORDER_LIMIT} at a time"),
                    });
                }
                if let Some(what) = self.never_fits(size) {
                    let mend = "order a size that fits; `scratch`, `[[need]]` and `[machine]` in \
                                appliance.toml say what sealbox plans with"
                        .to_owned();
                    return Err(Refusal::Invalid { what, mend });
                }
                if self.box_state.orders.len() >= OPEN_ORDERS_LIMIT {
                    return Err(Refusal::Conflict {
                        what: format!("{OPEN_ORDERS_LIMIT} orders are open already"),
                        mend: "order more sectors at a time, or wait".to_owned(),
                    });
                }
                Ok(Done::Ordered(self.order(size, count, &by, now)))
            }
            Command::CancelOrder { order } => {
                self.open_order(order)?;
                self.box_event(BoxEvent::Cancelled { order, by }, now);
                Ok(Done::Cancelled(order))
            }
            Command::MoveOrder { order, to } => self.move_order(order, to, by, now),
            Command::Retry { sector, phase } => self.retry(sector, phase, &by, now),
            Command::RetryAll => {
                let mut retried = Vec::new();
                for sector in self.attention.iter().copied().collect::<Vec<_>>() {
                    if let Ok(Done::Retried(some)) = self.retry(sector, None, &by, now) {
                        retried.extend(some);
                    }
                }
                Ok(Done::Retried(retried))
            }
            Command::Redo { sector } => {
                self.ask(sector, Event::Redone { by }, now)?;
                Ok(Done::Redone(sector))
            }
            Command::Abort { sector } => {
                self.ask(sector, Event::Aborted { by }, now)?;
                Ok(self.end_attempts(sector))
            }
            Command::PauseIntake => {
                if !self.box_state.intake_paused {
                    self.box_event(BoxEvent::IntakePaused { by }, now);
                }
                Ok(Done::IntakePaused)
            }
            Command::ResumeIntake => {
                if self.box_state.intake_paused {
                    self.box_event(BoxEvent::IntakeResumed { by }, now);
                }
                Ok(Done::IntakeResumed)
            }
            Command::PausePhase { phase } => {
                self.pause_phase(phase, &by, now);
                Ok(Done::PhasePaused(phase))
            }
            Command::ResumePhase { phase } => {
                self.resume_phase(phase, &by, now);
                Ok(Done::PhaseResumed(phase))
            }
            Command::Drain => {
                self.command(&Command::PauseIntake, &by, now)?;
                Phase::ALL.into_iter().for_each(|phase| self.pause_phase(phase, &by, now));
                Ok(Done::Draining { running: self.running() })
            }
            Command::ResumeAll => {
                self.command(&Command::ResumeIntake, &by, now)?;
                Phase::ALL.into_iter().for_each(|phase| self.resume_phase(phase, &by, now));
                Ok(Done::AllResumed)
            }
            Command::Adopt { ref limits } => self.adopt(limits, now),
            Command::RecordOrphan { ref path, bytes, sector } => {
                if let Some(number) = sector.filter(|number| self.sectors.contains_key(number)) {
                    return Err(Refusal::Conflict {
                        what: format!("sector {number} was begun meanwhile, and owns this"),
                        mend: "nothing was deleted".to_owned(),
                    });
                }
                let path = path.clone();
                self.box_event(BoxEvent::OrphanDeleted { path: path.clone(), bytes, by }, now);
                Ok(Done::OrphanRecorded { path, bytes })
            }
        }
    }

    /// What a sector of this size would be, if it were issued now.
    fn kind(&self, size: SectorSize) -> SealKind {
        SealKind::new(size, self.settings.porep)
    }

    /// Why a sector of this size could never be finished here, however long it waits.
    fn never_fits(&self, size: SectorSize) -> Option<String> {
        let needs = &self.settings.limits.needs;
        let machine = self.settings.machine.as_ref();
        let machine = machine.and_then(|machine| needs.never_fits(self.kind(size), machine));
        let scratch = self.rooms.as_ref();
        machine.or_else(|| scratch?.never_fit(needs.scratch(self.kind(size)), size))
    }

    /// What runs goes on, whatever the limits are now: they say what may start. Nothing of them is
    /// put on record, for the next start reads the same file.
    fn adopt(&mut self, limits: &Limits, now: Timestamp) -> Result<Done, Refusal> {
        let kind = self.kind(self.settings.sector_size);
        if let Some(machine) = &self.settings.machine
            && let Some(what) = limits.needs.never_fits(kind, machine)
        {
            let mend = "say in `[[need]]` what is right here, and reload again".to_owned();
            return Err(Refusal::Invalid { what, mend });
        }
        self.settings.limits = limits.clone();
        self.pledge_by_itself(now);
        Ok(Done::Adopted)
    }

    fn pause_phase(&mut self, phase: Phase, by: &str, now: Timestamp) {
        if !self.box_state.paused.contains(&phase) {
            self.box_event(BoxEvent::PhasePaused { phase, by: by.to_owned() }, now);
        }
    }

    fn resume_phase(&mut self, phase: Phase, by: &str, now: Timestamp) {
        if self.box_state.paused.contains(&phase) {
            self.box_event(BoxEvent::PhaseResumed { phase, by: by.to_owned() }, now);
        }
    }

    /// Ends what runs of a sector that is being given up, as far as it can be ended.
    fn end_attempts(&mut self, sector: SectorNumber) -> Done {
        let (mut stopped, mut awaited) = (Vec::new(), Vec::new());
        for (index, worker) in self.workers.iter().enumerate() {
            let Some(doing) = worker.doing.filter(|doing| doing.sector == sector) else { continue };
            if self.settings.isolation.can_stop(doing.phase) {
                self.stops.push(WorkerId(index));
                stopped.push(doing.phase);
            } else {
                awaited.push(doing.phase);
            }
        }
        Done::Aborted { sector, stopped, awaited }
    }

    pub(super) fn order(
        &mut self,
        size: SectorSize,
        count: u64,
        by: &str,
        now: Timestamp,
    ) -> Order {
        let order = OrderId(self.box_state.next_order);
        self.box_event(BoxEvent::Ordered { order, size, count, by: by.to_owned() }, now);
        Order { id: order, size, count, issued: 0, by: by.to_owned(), at: now }
    }

    /// Where it stands already it stays, and leaves no entry.
    fn move_order(
        &mut self,
        order: OrderId,
        to: Place,
        by: String,
        now: Timestamp,
    ) -> Result<Done, Refusal> {
        self.open_order(order)?;
        if let Place::Before(other) = to {
            // What is not there is not what was asked for here: that is the order to be moved.
            self.open_order(other).map_err(|refusal| match refusal {
                Refusal::NotFound(what) => Refusal::Conflict {
                    what: format!("there is no {what} to stand before"),
                    mend: "name an open order; `sealbox orders` lists them".to_owned(),
                },
                refusal @ (Refusal::Conflict { .. }
                | Refusal::Invalid { .. }
                | Refusal::Unavailable { .. }) => refusal,
            })?;
            if other == order {
                return Err(Refusal::Invalid {
                    what: format!("order {order} cannot be put before itself"),
                    mend: "name another open order, or first, up, down or last".to_owned(),
                });
            }
        }
        let orders = &self.box_state.orders;
        let before = orders.target(order, to);
        let moves = !orders.stands_before(order, before);
        #[cfg(test)]
        let moves = moves && !planted(Bug::LostMove);
        if moves {
            self.box_event(BoxEvent::Moved { order, before, by }, now);
        }
        let place = self.box_state.orders.position(order).map_or(0, |before| before + 1);
        Ok(Done::Moved { order, place })
    }

    fn open_order(&self, order: OrderId) -> Result<(), Refusal> {
        if self.box_state.orders.position(order).is_some() {
            Ok(())
        } else if order.0 < self.box_state.next_order {
            Err(Refusal::Conflict {
                what: format!("order {order} is not open: all of it was issued, or cancelled"),
                mend: "nothing of it waits; its sectors that were begun go on".to_owned(),
            })
        } else {
            Err(Refusal::NotFound(format!("order {order}")))
        }
    }

    pub(super) fn retry(
        &mut self,
        number: SectorNumber,
        phase: Option<Phase>,
        by: &str,
        now: Timestamp,
    ) -> Result<Done, Refusal> {
        let sector = self.in_flight(number)?;
        let phases: Vec<Phase> = match phase {
            Some(phase) => vec![phase],
            None => sector.failures().map(|(phase, _)| phase).collect(),
        };
        if phases.is_empty() {
            return Err(Refusal::Conflict {
                what: format!("sector {number} has no failed task"),
                mend: "nothing needs to be done".to_owned(),
            });
        }
        let mut retried = Vec::new();
        self.halted = None;
        for phase in phases {
            #[cfg(test)]
            if planted(Bug::LostRetry) {
                retried.push(Retried { sector: number, phase });
                continue;
            }
            self.ask(number, Event::Retried { phase, by: by.to_owned() }, now)?;
            retried.push(Retried { sector: number, phase });
        }
        Ok(Done::Retried(retried))
    }

    /// A person's wish, which the sector's state may refuse.
    pub(super) fn ask(
        &mut self,
        number: SectorNumber,
        event: Event,
        now: Timestamp,
    ) -> Result<(), Refusal> {
        self.in_flight(number)?;
        self.happen(number, event, now).map_err(|illegal| Refusal::Conflict {
            what: format!(
                "sector {number} (at {}) cannot be {}: {}",
                illegal.stage, illegal.event, illegal.why
            ),
            mend: "look at the sector's page for what it allows".to_owned(),
        })
    }

    pub(super) fn in_flight(&self, number: SectorNumber) -> Result<&Arc<Sector>, Refusal> {
        match self.sectors.get(&number) {
            Some(sector) => Ok(sector),
            None if self.damaged.contains_key(&number) => Err(Refusal::Conflict {
                what: format!("sector {number} is finished, and its stored copy is damaged"),
                mend: format!(
                    "bring the copy's file back, then prove it again (`sealbox verify {number}`)"
                ),
            }),
            None if number.0 < self.box_state.next_number => Err(Refusal::Conflict {
                what: format!("sector {number} is finished or given up"),
                mend: "nothing needs to be done".to_owned(),
            }),
            None => Err(Refusal::NotFound(format!("sector {number}"))),
        }
    }
}
