//! The beginning and the end of a process: what an earlier one left, and the order to stop.

use super::{BY_ITSELF, Core};
use crate::domain::event::{BoxEvent, Event};
use crate::domain::failure::{DEATHS, died_under};
use crate::domain::order::{AutoPledge, ORDER_LIMIT};
use crate::domain::phase::Phase;
use crate::domain::pipeline;
#[cfg(test)]
use crate::domain::planted::{Bug, planted};
use crate::domain::units::Timestamp;

impl Core {
    /// After a start: attempts that were running were interrupted, what the chain was asked for is
    /// asked again, and the configured number of sectors is ordered.
    pub fn wake(&mut self, now: Timestamp) {
        let (mut rescued, mut held) = (0u32, 0u32);
        for sector in self.sectors.values().cloned().collect::<Vec<_>>() {
            self.effects.extend(
                pipeline::owed(&sector).into_iter().map(|effect| (sector.id.number, effect)),
            );
            for (phase, work) in sector.stage.works().filter(|(_, work)| work.is_running()) {
                let event = self.cut_off(phase, work.deaths());
                let is_held = matches!(event, Event::Failed { .. });
                *(if is_held { &mut held } else { &mut rescued }) += 1;
                self.must_happen(sector.id.number, event, now);
            }
        }
        if rescued > 0 {
            self.report.push(format!(
                "{rescued} attempt(s) were running when sealbox stopped; they start again"
            ));
        }
        if held > 0 {
            self.report.push(format!(
                "{held} task(s) wait for you: sealbox died {DEATHS} times in a row while they ran"
            ));
        }
        #[cfg(test)]
        if planted(Bug::EffectsForgotten) {
            self.effects.clear();
        }
        self.pledge_by_itself(now);
    }

    /// Orders what is missing of the configured number of sectors. (What is ordered until the
    /// storage is full is ordered one by one, as it is issued.)
    pub(super) fn pledge_by_itself(&mut self, now: Timestamp) {
        let wanted = match self.settings.limits.auto_pledge {
            AutoPledge::Sectors(wanted) => wanted,
            AutoPledge::UntilFull => return,
        };
        let ordered = self.box_state.ordered;
        #[cfg(test)]
        let ordered = if planted(Bug::PledgesAgain) { 0 } else { ordered };
        let missing = wanted.saturating_sub(ordered);
        if missing > 0 {
            let size = self.settings.sector_size;
            self.order(size, missing.min(ORDER_LIMIT), BY_ITSELF, now);
        }
    }

    /// What happened to an attempt that ran when the process before this one ended, after so many
    /// deaths in a row.
    fn cut_off(&self, phase: Phase, deaths: u32) -> Event {
        let died = !self.box_state.stopping;
        #[cfg(test)]
        let died = died || planted(Bug::StopIsDeath);
        let is_held = died && deaths + 1 >= DEATHS;
        #[cfg(test)]
        let is_held = is_held && !planted(Bug::DiesForEver);
        if is_held {
            Event::Failed { phase, failure: died_under(phase) }
        } else {
            Event::Interrupted { phase, died }
        }
    }

    /// Nothing new starts from now on.
    pub fn stop(&mut self, now: Timestamp) {
        self.stopping = true;
        // On record, whatever ends the process after that: what runs may outlast its grace.
        let running = self.running() as u64;
        if running > 0 {
            self.box_event(BoxEvent::Stopping { running }, now);
        }
    }
}
