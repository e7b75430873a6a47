//! The box at a glance, as the API sends it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::Serialize;

use super::WebState;
use super::disks::DiskRow;
use super::schema::shape;
use super::show::{now, rfc3339};
use super::times::{Finishing, UsualRow};
use super::wire::SectorRow;
use crate::domain::admission::Counts;
use crate::domain::failure::Failure;
use crate::domain::ids::SectorNumber;
use crate::domain::order::{Order, Pass};
use crate::domain::phase::Phase;
use crate::domain::porep::Porep;
use crate::domain::sector::Sector;
use crate::domain::units::ByteSize;
use crate::engine::{EngineKind, ParametersState};
use crate::scheduler::view::{ChainTrouble, ThrottleView, UntilFullView, WaitView, WorkerView};

/// The box at a glance.
#[derive(Debug, Serialize)]
pub struct Status {
    pub version: &'static str,
    pub now: String,
    /// When the rest was last true.
    pub at: String,
    pub miner: String,
    pub sector_size: &'static str,
    /// What a sector that is issued now would be.
    pub porep: Porep,
    pub engine: EngineKind,
    pub simulated: bool,
    pub counts: Counts,
    pub finished: u64,
    pub given_up: u64,
    pub throughput: Finishing,
    /// What each step usually takes here, for those seen often enough.
    pub usual: Vec<UsualRow>,
    /// At most 50 of `counts.in_flight`.
    pub in_flight: Vec<SectorRow>,
    /// At most 50 of `counts.needs_you`.
    pub attention: Vec<SectorRow>,
    pub chain_trouble: Vec<ChainTrouble>,
    pub workers: Vec<WorkerRow>,
    pub throttles: Vec<ThrottleRow>,
    /// In the order in which they are issued.
    pub orders: Vec<OrderRow>,
    /// Sectors are ordered by themselves until the storage is full.
    pub until_full: Option<UntilFullView>,
    /// How far the finished sectors of each storage were proven again; its end is no number.
    pub passes: BTreeMap<String, PassRow>,
    pub intake_paused: bool,
    /// What the next sector waits for beside the throttle.
    pub intake_waits: Option<String>,
    pub paused: BTreeSet<Phase>,
    /// Phases that may not start now, each with what it waits for.
    pub held: BTreeMap<Phase, String>,
    /// Tasks that wait although a worker is free, at most 50.
    pub waits: Vec<WaitView>,
    /// What sectors in flight may still add to all scratch roots together.
    pub scratch_reserved_bytes: ByteSize,
    pub stopping: bool,
    pub trouble: Option<Failure>,
    pub report: Vec<String>,
    pub parameters: ParametersState,
    pub disks: Vec<DiskRow>,
}

#[derive(Debug, Serialize)]
pub struct WorkerRow {
    pub name: String,
    pub phases: Vec<&'static str>,
    pub sector: Option<u64>,
    pub phase: Option<&'static str>,
    pub since: Option<String>,
}

#[derive(Debug, Serialize)]
pub struct ThrottleRow {
    pub size: &'static str,
    pub limit: Option<u64>,
    pub outstanding: u64,
    pub waiting: u64,
    /// Sectors that hold a place and wait for a person, and the first of them.
    pub held: u64,
    pub held_by: Vec<SectorNumber>,
    pub stands_still: bool,
}

#[derive(Debug, Serialize)]
pub struct OrderRow {
    pub order: u64,
    pub size: &'static str,
    pub count: u64,
    pub issued: u64,
    /// Not issued yet.
    pub left: u64,
    pub by: String,
    pub at: String,
}

#[derive(Debug, Serialize)]
pub struct PassRow {
    pub began: String,
    pub up_to: Option<u64>,
}

impl Status {
    pub fn of(state: &WebState) -> Self {
        let view = state.handle.view();
        let row = |sector: &Arc<Sector>| SectorRow::of(sector, &view.usual);
        let rows = |sectors: &[Arc<Sector>]| sectors.iter().map(row).collect();
        Self {
            version: env!("CARGO_PKG_VERSION"),
            now: rfc3339(now()),
            at: rfc3339(view.at),
            miner: view.miner.to_string(),
            sector_size: view.sector_size.name(),
            porep: view.porep,
            engine: state.engine.kind(),
            simulated: view.simulated,
            counts: view.counts,
            finished: view.finished,
            given_up: view.given_up,
            throughput: Finishing::of(&view.throughput, now()),
            usual: UsualRow::all_of(&view.usual),
            in_flight: rows(&view.in_flight),
            attention: rows(&view.attention),
            chain_trouble: view.chain_trouble.clone(),
            workers: view.workers.iter().map(worker_row).collect(),
            throttles: view.throttles.iter().map(throttle_row).collect(),
            orders: view.orders.iter().map(order_row).collect(),
            until_full: view.until_full.clone(),
            passes: view.passes.iter().map(|(root, pass)| (root.clone(), pass_row(pass))).collect(),
            intake_paused: view.intake_paused,
            intake_waits: view.intake_waits.clone(),
            paused: view.paused.clone(),
            held: view.held.clone(),
            waits: view.waits.clone(),
            scratch_reserved_bytes: ByteSize(view.reserved.values().map(|bytes| bytes.0).sum()),
            stopping: view.stopping,
            trouble: view.trouble.clone(),
            report: view.report.clone(),
            parameters: state.engine.parameters(),
            disks: DiskRow::all_of(state),
        }
    }
}

fn worker_row(worker: &WorkerView) -> WorkerRow {
    WorkerRow {
        name: worker.name.clone(),
        phases: worker.phases.iter().map(|phase| phase.short_name()).collect(),
        sector: worker.doing.map(|doing| doing.sector.0),
        phase: worker.doing.map(|doing| doing.phase.short_name()),
        since: worker.doing.map(|doing| rfc3339(doing.since)),
    }
}

fn throttle_row(throttle: &ThrottleView) -> ThrottleRow {
    ThrottleRow {
        size: throttle.size.name(),
        limit: throttle.limit,
        outstanding: throttle.outstanding,
        waiting: throttle.waiting,
        held: throttle.held,
        held_by: throttle.held_by.clone(),
        stands_still: throttle.stands_still(),
    }
}

fn pass_row(pass: &Pass) -> PassRow {
    PassRow { began: rfc3339(pass.began), up_to: pass.up_to.map(|number| number.0) }
}

pub fn order_row(order: &Order) -> OrderRow {
    OrderRow {
        order: order.id.0,
        size: order.size.name(),
        count: order.count,
        issued: order.issued,
        left: order.left(),
        by: order.by.clone(),
        at: rfc3339(order.at),
    }
}

shape!(Status {
    version,
    now,
    at,
    miner,
    sector_size,
    porep,
    engine,
    simulated,
    counts,
    finished,
    given_up,
    throughput,
    usual,
    in_flight,
    attention,
    chain_trouble,
    workers,
    throttles,
    orders,
    until_full,
    passes,
    intake_paused,
    intake_waits,
    paused,
    held,
    waits,
    scratch_reserved_bytes,
    stopping,
    trouble,
    report,
    parameters,
    disks,
});
shape!(WorkerRow { name, phases, sector, phase, since });
shape!(ThrottleRow { size, limit, outstanding, waiting, held, held_by, stands_still });
shape!(OrderRow { order, size, count, issued, left, by, at });
shape!(PassRow { began, up_to });
