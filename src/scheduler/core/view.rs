//! The box as it is now, for everyone to read.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use super::{Core, Worker};
use crate::domain::admission::Wait;
use crate::domain::ids::SectorNumber;
use crate::domain::order::Order;
use crate::domain::phase::{PerPhase, Phase};
use crate::domain::sector::Sector;
use crate::domain::units::{ByteSize, SectorSize, Timestamp};
use crate::scheduler::view::{BoxView, LISTED, ThrottleView, UntilFullView, WaitView, WorkerView};

impl Core {
    /// The box as it is. What only the edge knows (chain trouble, a store that cannot be written)
    /// is added there.
    pub fn view(&self, now: Timestamp) -> BoxView {
        BoxView {
            at: now,
            seq: self.box_state.seq,
            simulated: self.settings.simulated,
            miner: self.settings.miner,
            sector_size: self.settings.sector_size,
            porep: self.settings.porep,
            counts: *self.queue.counts(),
            oldest: PerPhase::from_fn(|phase| self.queue.oldest(phase)),
            finished: self.finished,
            given_up: self.given_up,
            usual: self.usual.clone(),
            throughput: self.throughput.clone(),
            in_flight: self.in_flight_list(),
            attention: self.attention_list(),
            chain_trouble: Vec::new(),
            workers: self.workers.iter().map(|worker| self.worker_view(worker)).collect(),
            throttles: self.throttles(),
            passes: self.box_state.passes.clone(),
            orders: self.box_state.orders.iter().cloned().collect(),
            until_full: self.until_full_view(),
            intake_paused: self.box_state.intake_paused,
            held: self.held_words(),
            paused: self.box_state.paused.clone(),
            waits: self.waits(),
            intake_waits: self.waiting.intake.as_ref().map(Wait::to_string),
            reserved: self.reserved(),
            stopping: self.stopping,
            suspect: self.suspect.clone(),
            behind: None,
            trouble: self.halted.clone(),
            report: self.report.clone(),
        }
    }

    fn until_full_view(&self) -> Option<UntilFullView> {
        let size = self.until_full()?;
        let full = self.waiting.full.as_ref().map(Wait::to_string);
        Some(UntilFullView { size, full })
    }

    fn waits(&self) -> Vec<WaitView> {
        let view = |((sector, phase), wait): (&(SectorNumber, Phase), &Wait)| WaitView {
            sector: *sector,
            phase: *phase,
            why: wait.to_string(),
        };
        self.waiting.waits.iter().map(view).take(LISTED).collect()
    }

    /// What sectors in flight may still add to each scratch.
    fn reserved(&self) -> BTreeMap<PathBuf, ByteSize> {
        let Some(rooms) = &self.rooms else { return BTreeMap::new() };
        let bounds = self.bounds();
        let roots = rooms.roots.keys().map(|root| (root.root().to_path_buf(), ByteSize(0)));
        let mut reserved: BTreeMap<_, _> = roots.collect();
        for (number, sector) in self.queue.making() {
            let root = rooms.of(sector.scratch.as_ref());
            if let Some(sum) = root.and_then(|(root, _)| reserved.get_mut(root.root())) {
                sum.0 += bounds.reserved(number, sector);
            }
        }
        reserved
    }

    /// What runs comes first: where many wait, it would not be seen otherwise.
    pub(super) fn in_flight_list(&self) -> Vec<Arc<Sector>> {
        let doing = self.workers.iter().filter_map(|worker| Some(worker.doing?.sector));
        let running: BTreeSet<SectorNumber> = doing.collect();
        let others = self.sectors.keys().filter(|number| !running.contains(number)).take(LISTED);
        let listed = running.iter().chain(others).take(LISTED);
        let mut listed: Vec<_> =
            listed.filter_map(|number| self.sectors.get(number).cloned()).collect();
        listed.sort_by_key(|sector| sector.id.number);
        listed
    }

    pub(super) fn attention_list(&self) -> Vec<Arc<Sector>> {
        let of = |number| self.sectors.get(number).or_else(|| self.damaged.get(number)).cloned();
        self.attention.iter().take(LISTED).filter_map(of).collect()
    }

    pub(super) fn worker_view(&self, worker: &Worker) -> WorkerView {
        WorkerView {
            name: worker.name.clone(),
            phases: self.crews[worker.group].phases.iter().copied().collect(),
            doing: worker.doing,
        }
    }

    pub(super) fn throttles(&self) -> Vec<ThrottleView> {
        SectorSize::ALL
            .into_iter()
            .map(|size| self.throttle(size))
            .filter(|t| t.limit.is_some() || t.outstanding > 0 || t.waiting > 0)
            .filter(|t| t.size == self.settings.sector_size || t.outstanding > 0 || t.waiting > 0)
            .collect()
    }

    pub(super) fn throttle(&self, size: SectorSize) -> ThrottleView {
        let orders = self.box_state.orders.iter().filter(|order| order.size == size);
        // A damaged one that is finished holds no place.
        let holds = |sector: &Arc<Sector>| sector.size == size && !sector.stage.is_over();
        let held = |number: &&SectorNumber| self.sectors.get(*number).is_some_and(holds);
        let held = || self.attention.iter().filter(held);
        ThrottleView {
            size,
            limit: self.settings.limits.max_outstanding.get(&size).copied(),
            outstanding: self.queue.outstanding(size),
            waiting: orders.map(Order::left).sum(),
            held: held().count() as u64,
            held_by: held().take(LISTED).copied().collect(),
        }
    }
}
