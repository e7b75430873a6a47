//! `/metrics`, for Prometheus: what this process has counted, and the box as it is. An answer costs
//! what the view shows, however long the history is.

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::{encode_eof, encode_registry};
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;

use super::WebState;
use super::disks::DiskRow;
use super::error::{PageError, Unanswered};
use super::show::now;
use crate::domain::phase::Phase;
use crate::domain::units::Timestamp;
use crate::scheduler::view::{BoxView, DiskView, WorkerView};
use crate::telemetry::{self, Process};

/// Asked for by name where it is spoken; the older text otherwise.
const OPEN_METRICS: &str = "application/openmetrics-text";
const OPEN_METRICS_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
const TEXT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

pub async fn show(State(state): State<WebState>, headers: HeaderMap) -> Response {
    let Ok(written) = written(&state) else {
        // Writing to a string cannot fail; were it ever to, that is a defect of ours.
        let why = "the metrics could not be written";
        let mend = "please report it with the log of this moment";
        let status = axum::http::StatusCode::INTERNAL_SERVER_ERROR;
        return PageError(Unanswered::new(status, why, mend)).into_response();
    };
    let accepted = headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok());
    let (head, body) = if accepted.is_some_and(|accept| accept.contains(OPEN_METRICS)) {
        (OPEN_METRICS_TYPE, written)
    } else {
        (TEXT_TYPE, older(&written))
    };
    ([(header::CONTENT_TYPE, head)], body).into_response()
}

fn written(state: &WebState) -> Result<String, fmt::Error> {
    let mut now_so = Registry::default();
    now_so.register_collector(Box::new(Snapshot {
        view: state.handle.view(),
        full_in: full_in(state),
        disks: state.disks.borrow().clone(),
        process: telemetry::process(),
        engine: match state.engine.kind() {
            crate::engine::EngineKind::Filecoin => "filecoin",
            crate::engine::EngineKind::Simulated => "simulated",
        },
        now: now(),
    }));
    let mut text = String::with_capacity(32 * 1024);
    encode_registry(&mut text, state.counted.registry())?;
    encode_registry(&mut text, &now_so)?;
    encode_eof(&mut text)?;
    Ok(text)
}

fn full_in(state: &WebState) -> Vec<(DiskView, Duration)> {
    let left = |row: DiskRow| Some((row.view, row.full_at?.since(now())));
    DiskRow::all_of(state).into_iter().filter_map(left).collect()
}

/// The same in the format before OpenMetrics: there a counter is described by its whole name, and
/// there are no units and no end.
fn older(open_metrics: &str) -> String {
    let mut text = String::with_capacity(open_metrics.len());
    let mut help: Option<(&str, &str)> = None;
    for line in open_metrics.lines() {
        if let Some((name, said)) =
            line.strip_prefix("# HELP ").and_then(|rest| rest.split_once(' '))
        {
            help = Some((name, said));
        } else if let Some((name, kind)) =
            line.strip_prefix("# TYPE ").and_then(|rest| rest.split_once(' '))
        {
            let suffix = if kind == "counter" { "_total" } else { "" };
            let said = help.take().map_or("", |(_, said)| said);
            text += &format!("# HELP {name}{suffix} {said}\n# TYPE {name}{suffix} {kind}\n");
        } else if !line.starts_with('#') {
            text += line;
            text.push('\n');
        }
    }
    text
}

/// The box at the moment of a scrape.
#[derive(Debug)]
struct Snapshot {
    view: Arc<BoxView>,
    disks: Vec<DiskView>,
    /// Those that will be full, and in how long.
    full_in: Vec<(DiskView, Duration)>,
    process: Option<Process>,
    engine: &'static str,
    now: Timestamp,
}

type Labels<'a> = Vec<(&'static str, &'a str)>;

/// Writes families one after the other.
struct Writer<'a, 'e>(&'a mut DescriptorEncoder<'e>);

impl Writer<'_, '_> {
    fn gauges<'l>(
        &mut self,
        name: &str,
        help: &str,
        values: impl IntoIterator<Item = (Labels<'l>, f64)>,
    ) -> fmt::Result {
        let mut metric = self.0.encode_descriptor(name, help, None, MetricType::Gauge)?;
        for (labels, value) in values {
            ConstGauge::new(value).encode(metric.encode_family(&labels)?)?;
        }
        Ok(())
    }

    fn gauge(&mut self, name: &str, help: &str, value: f64) -> fmt::Result {
        let metric = self.0.encode_descriptor(name, help, None, MetricType::Gauge)?;
        ConstGauge::new(value).encode(metric)
    }

    /// Its name is written with `_total` behind it.
    fn counter(&mut self, name: &str, help: &str, value: f64) -> fmt::Result {
        let metric = self.0.encode_descriptor(name, help, None, MetricType::Counter)?;
        ConstCounter::new(value).encode(metric)
    }
}

impl Collector for Snapshot {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut to = Writer(&mut encoder);
        self.build(&mut to)?;
        self.sectors(&mut to)?;
        self.queue(&mut to)?;
        self.throttle(&mut to)?;
        self.workers(&mut to)?;
        self.disks(&mut to)?;
        self.trouble(&mut to)?;
        self.process(&mut to)
    }
}

impl Snapshot {
    fn build(&self, to: &mut Writer<'_, '_>) -> fmt::Result {
        let miner = self.view.miner.to_string();
        let labels = vec![
            ("version", env!("CARGO_PKG_VERSION")),
            ("miner", &miner),
            ("sector_size", self.view.sector_size.name()),
            ("engine", self.engine),
        ];
        to.gauges("sealbox_build_info", "What runs here; always 1", [(labels, 1.0)])
    }

    fn sectors(&self, to: &mut Writer<'_, '_>) -> fmt::Result {
        let counts = &self.view.counts;
        let help = "Sectors that were finished, since the box began: a restart does not reset it";
        to.counter("sealbox_sectors_finished", help, float(self.view.finished))?;
        let help = "Sectors that were given up, since the box began: a restart does not reset it";
        to.counter("sealbox_sectors_given_up", help, float(self.view.given_up))?;
        let help = "Sectors that were issued and are neither finished nor given up";
        to.gauge("sealbox_sectors_in_flight", help, float(counts.in_flight))?;
        let help = "Sectors that wait for a person";
        to.gauge("sealbox_sectors_need_attention", help, float(counts.needs_you))?;
        let steps = [
            ("ticket", counts.drawing_ticket),
            ("seed", counts.awaiting_seed),
            ("commit", counts.committing),
        ];
        let steps = steps.map(|(step, count)| (vec![("step", step)], float(count)));
        to.gauges("sealbox_sectors_on_chain", "Sectors that wait for the chain", steps)
    }

    fn queue(&self, to: &mut Writer<'_, '_>) -> fmt::Result {
        let tasks = self.view.counts.phases.iter().flat_map(|(phase, counts)| {
            let states =
                [("queued", counts.queued), ("running", counts.running), ("failed", counts.failed)];
            states.map(|(state, count)| {
                (vec![("phase", phase.short_name()), ("state", state)], float(count))
            })
        });
        to.gauges("sealbox_tasks", "Tasks by phase and by where they stand", tasks)?;
        let ages = self.view.oldest.iter().map(|(phase, since)| {
            let age = since.map_or(0.0, |since| self.now.since(since).as_secs_f64());
            (vec![("phase", phase.short_name())], age)
        });
        let help = "How long the task waits that has waited longest; 0 if none does";
        to.gauges("sealbox_queue_age_seconds", help, ages)?;
        let paused = Phase::ALL.map(|phase| {
            (vec![("phase", phase.short_name())], flag(self.view.paused.contains(&phase)))
        });
        to.gauges("sealbox_phase_paused", "Whether a person paused the phase", paused)?;
        let held = Phase::ALL.map(|phase| {
            (vec![("phase", phase.short_name())], flag(self.view.held.contains_key(&phase)))
        });
        to.gauges("sealbox_phase_held", "Whether nothing of the phase may start now", held)?;
        let help = "Whether a person paused the intake";
        to.gauge("sealbox_intake_paused", help, flag(self.view.intake_paused))
    }

    fn throttle(&self, to: &mut Writer<'_, '_>) -> fmt::Result {
        let throttles = || self.view.throttles.iter().map(|throttle| (throttle, throttle.size));
        let of = |size: crate::domain::units::SectorSize| vec![("size", size.name())];
        let values = throttles().map(|(t, size)| (of(size), float(t.outstanding)));
        let help = "Sectors that hold a place of the throttle, failed ones included";
        to.gauges("sealbox_throttle_outstanding_sectors", help, values)?;
        let values = throttles().filter_map(|(t, size)| Some((of(size), float(t.limit?))));
        let help = "How many places the throttle has; no series if it has no limit";
        to.gauges("sealbox_throttle_limit_sectors", help, values)?;
        let values = throttles().map(|(t, size)| (of(size), float(t.waiting)));
        let help = "Sectors that are ordered and not issued yet";
        to.gauges("sealbox_throttle_waiting_sectors", help, values)?;
        let values = throttles().map(|(t, size)| (of(size), flag(t.stands_still())));
        let help = "Whether the throttle is full and failed sectors are among those that fill it";
        to.gauges("sealbox_throttle_stands_still", help, values)
    }

    fn workers(&self, to: &mut Writer<'_, '_>) -> fmt::Result {
        let mut groups: Vec<(&[Phase], u64, u64)> = Vec::new();
        for WorkerView { phases, doing, .. } in &self.view.workers {
            let at = groups.iter().position(|(of, ..)| of == phases).unwrap_or_else(|| {
                groups.push((phases.as_slice(), 0, 0));
                groups.len() - 1
            });
            let (_, busy, idle) = &mut groups[at];
            *if doing.is_some() { busy } else { idle } += 1;
        }
        let name = |phases: &[Phase]| {
            let names: Vec<&str> = phases.iter().map(|phase| phase.short_name()).collect();
            names.join(",")
        };
        let named: Vec<(String, u64, u64)> =
            groups.into_iter().map(|(of, busy, idle)| (name(of), busy, idle)).collect();
        let values = named.iter().flat_map(|(of, busy, idle)| {
            [("busy", *busy), ("idle", *idle)].map(|(state, count)| {
                (vec![("phases", of.as_str()), ("state", state)], float(count))
            })
        });
        to.gauges("sealbox_workers", "Workers, by the phases that they take", values)
    }

    fn disks(&self, to: &mut Writer<'_, '_>) -> fmt::Result {
        let paths: Vec<String> =
            self.disks.iter().map(|disk| disk.path.display().to_string()).collect();
        let mut each = |name, help, value: fn(&DiskView) -> f64| {
            let labels = |(disk, path): (&DiskView, _)| {
                (vec![("role", disk.role.name()), ("path", path)], value(disk))
            };
            to.gauges(
                name,
                help,
                self.disks.iter().zip(paths.iter().map(String::as_str)).map(labels),
            )
        };
        each("sealbox_disk_size_bytes", "Size of the file system", |d| float(d.total_bytes))?;
        each("sealbox_disk_used_bytes", "What is used of it", |d| float(d.used_bytes))?;
        each("sealbox_disk_free_bytes", "What may still be written", |d| float(d.free_bytes))?;
        each("sealbox_disk_hung", "Whether it does not answer", |d| flag(d.hung))?;
        let help = "Whether it cannot be used, for whatever reason";
        each("sealbox_disk_unusable", help, |d| flag(d.trouble.is_some()))?;
        let help = "What sectors in flight may still add to it";
        let reserved = |path: &Path| self.view.reserved.get(path).map_or(0, |bytes| bytes.0);
        let labels = |(disk, path): (&DiskView, _)| {
            (vec![("role", disk.role.name()), ("path", path)], float(reserved(&disk.path)))
        };
        let disks = self.disks.iter().zip(paths.iter().map(String::as_str)).map(labels);
        to.gauges("sealbox_disk_reserved_bytes", help, disks)?;
        let help = "Seconds until it will be full, by the pace of finished sectors or by its own \
                    growth; no series without a forecast";
        let paths: Vec<String> =
            self.full_in.iter().map(|(disk, _)| disk.path.display().to_string()).collect();
        let left = self.full_in.iter().zip(&paths).map(|((disk, left), path)| {
            (vec![("role", disk.role.name()), ("path", path.as_str())], left.as_secs_f64())
        });
        to.gauges("sealbox_disk_full_in_seconds", help, left)
    }

    fn trouble(&self, to: &mut Writer<'_, '_>) -> fmt::Result {
        let view = &self.view;
        let help = "Whether no work starts: the journal cannot be written, or a failure of the box";
        to.gauge("sealbox_halted", help, flag(view.trouble.is_some()))?;
        let help = "Whether the state that pages read is behind the journal";
        to.gauge("sealbox_store_behind", help, flag(view.behind.is_some()))?;
        let help = "Sectors whose chain step gets no answer";
        let unanswered = u64::try_from(view.chain_trouble.len()).unwrap_or(u64::MAX);
        to.gauge("sealbox_chain_unanswered_sectors", help, float(unanswered))?;
        let help = "Whether nothing new starts because sealbox stops or restarts itself";
        to.gauge("sealbox_stopping", help, flag(view.stopping || view.suspect.is_some()))?;
        let help = "Entries of the journal, since the box began";
        to.counter("sealbox_journal_entries", help, float(view.seq.0))
    }

    fn process(&self, to: &mut Writer<'_, '_>) -> fmt::Result {
        let Some(process) = &self.process else { return Ok(()) };
        let help = "CPU time of this process; attempts in processes of their own not counted";
        to.counter("process_cpu_seconds", help, process.cpu.as_secs_f64())?;
        let help = "Memory that is in RAM";
        to.gauge("process_resident_memory_bytes", help, float(process.resident.0))?;
        let help = "Address space in use";
        to.gauge("process_virtual_memory_bytes", help, float(process.virtual_memory.0))?;
        let help = "When this process started, in seconds since 1970";
        to.gauge("process_start_time_seconds", help, float(process.started))?;
        let count = |count: usize| (Vec::new(), float(u64::try_from(count).unwrap_or(u64::MAX)));
        to.gauges("process_open_fds", "Open file descriptors", process.open_files.map(count))?;
        let limit = process.open_files_limit.map(count);
        to.gauges("process_max_fds", "How many may be open", limit)
    }
}

fn flag(is_so: bool) -> f64 {
    f64::from(u8::from(is_so))
}

#[expect(clippy::cast_precision_loss, reason = "metrics are floats; counts below 2^53 are exact")]
fn float(count: u64) -> f64 {
    count as f64
}
