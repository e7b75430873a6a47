//! The view of a site, as the scheduler would make it.

use std::sync::Arc;

use super::{MINER, Site};
use crate::domain::admission::Queue;
use crate::domain::order::Order;
use crate::domain::phase::{PerPhase, Phase};
use crate::domain::times::{Throughput, Usual};
use crate::scheduler::view::{BoxView, Doing, LISTED, ThrottleView, WorkerView};

impl Site {
    /// The view that the scheduler would make of it.
    pub fn view(&self) -> BoxView {
        let mut queue = Queue::default();
        for sector in self.sectors.values() {
            queue.update(None, sector);
        }
        let open = || self.sectors.values().filter(|sector| !sector.stage.is_over());
        let needy = || open().filter(|sector| sector.failures().next().is_some());
        let waiting_for_a_person = self.sectors.values().filter(|sector| sector.needs_you());
        let stage_is =
            |name| self.sectors.values().filter(|s| s.stage.name() == name).count() as u64;
        let waiting = self.box_state.orders.iter().map(Order::left).sum();
        let (mut usual, mut throughput) = (Usual::default(), Throughput::default());
        for sector in self.sectors.values() {
            usual.learn_all(sector);
            if sector.stage.name() == "finished" {
                throughput.count(sector.size, sector.ended());
            }
        }
        let mut view = BoxView {
            passes: self.box_state.passes.clone(),
            at: self.clock,
            seq: self.box_state.seq,
            simulated: false,
            miner: MINER,
            sector_size: self.size,
            porep: self.porep,
            counts: *queue.counts(),
            oldest: PerPhase::from_fn(|phase| queue.oldest(phase)),
            finished: stage_is("finished"),
            given_up: stage_is("given up"),
            usual: Arc::new(usual),
            throughput: Arc::new(throughput),
            in_flight: open().take(LISTED).cloned().map(Arc::new).collect(),
            attention: waiting_for_a_person.take(LISTED).cloned().map(Arc::new).collect(),
            chain_trouble: Vec::new(),
            workers: self.workers(),
            throttles: vec![ThrottleView {
                size: self.size,
                limit: self.limit,
                outstanding: queue.outstanding(self.size),
                waiting,
                held: needy().count() as u64,
                held_by: needy().map(|sector| sector.id.number).collect(),
            }],
            orders: self.box_state.orders.iter().cloned().collect(),
            until_full: None,
            intake_paused: self.box_state.intake_paused,
            paused: self.box_state.paused.clone(),
            waits: Vec::new(),
            intake_waits: None,
            reserved: Default::default(),
            held: Default::default(),
            suspect: None,
            behind: None,
            stopping: false,
            trouble: None,
            report: Vec::new(),
        };
        (self.tweak)(&mut view);
        view
    }

    fn workers(&self) -> Vec<WorkerView> {
        let doing = |phase: Phase| {
            self.sectors.values().find_map(|sector| match sector.task(phase) {
                crate::domain::task::TaskState::Running { since, .. } => {
                    Some(Doing { sector: sector.id.number, phase, since })
                }
                _ => None,
            })
        };
        let worker = |phase: Phase| WorkerView {
            name: format!("{}-0", phase.short_name().to_lowercase()),
            phases: vec![phase],
            doing: doing(phase),
        };
        Phase::ALL.map(worker).into()
    }
}
