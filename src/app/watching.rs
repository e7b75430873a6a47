//! What is watched beside the loop, and told to it or to the pages.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, watch};
use tokio::time::MissedTickBehavior;

use crate::config::Loaded;
use crate::domain::layout::Scratch;
use crate::domain::phase::Phase;
use crate::engine::{Engine, ParametersState};
use crate::scheduler::core::Cause;
use crate::scheduler::input::Input;
use crate::scheduler::view::DiskView;
use crate::telemetry;
use crate::worker::progress::ProgressBoard;

/// Well under the time between two looks.
const STORES_EVERY: Duration = Duration::from_secs(1);

/// C2 is not started while the parameters are being made, or before they are brought: it would hold
/// a worker and only wait. It is started when nothing but a Retry can help, to say so with its
/// failure.
pub fn awaited_parameters(engine: &dyn Engine) -> Option<String> {
    match engine.parameters() {
        ParametersState::Checking => Some("the parameters are being checked".to_owned()),
        ParametersState::Making { .. } => Some("the lab parameters are being made".to_owned()),
        ParametersState::Awaited { failure } => Some(failure.what),
        ParametersState::NotNeeded
        | ParametersState::LabMade { .. }
        | ParametersState::Production { .. }
        | ParametersState::Missing { .. } => None,
    }
}

/// Tells the scheduler whenever that changes.
pub async fn watch_parameters(
    engine: Arc<dyn Engine>,
    mut changes: watch::Receiver<u64>,
    inputs: mpsc::UnboundedSender<Input>,
) {
    loop {
        let waits_for = awaited_parameters(&*engine);
        let hold = Input::Hold { phase: Phase::P4, cause: Cause::Parameters, waits_for };
        // Both ends go only when the process stops.
        if inputs.send(hold).is_err() || changes.changed().await.is_err() {
            return;
        }
    }
}

/// Counts up when something changes that no view tells, the progress at most once a second.
pub fn unseen_changes(
    of: [watch::Receiver<u64>; 2],
    mut loaded: watch::Receiver<Loaded>,
    progress: Arc<ProgressBoard>,
) -> watch::Receiver<u64> {
    let (changes, changed) = watch::channel(0u64);
    for mut one in of {
        let changes = changes.clone();
        tokio::spawn(async move {
            while one.changed().await.is_ok() {
                changes.send_modify(|count| *count += 1);
            }
        });
    }
    let by_reload = changes.clone();
    tokio::spawn(async move {
        while loaded.changed().await.is_ok() {
            by_reload.send_modify(|count| *count += 1);
        }
    });
    tokio::spawn(async move { progress.wake(&changes).await });
    changed
}

/// Tells the scheduler how the roots are found, whenever that changes; and now and then anyhow, for
/// an attempt may have told it otherwise meanwhile.
pub async fn watch_mounts(
    first_scratch: Scratch,
    mut disks: watch::Receiver<Vec<DiskView>>,
    mut loaded: watch::Receiver<Loaded>,
    inputs: mpsc::UnboundedSender<Input>,
) {
    let mut before = None;
    loop {
        let config = Arc::clone(&loaded.borrow_and_update().config);
        let rooms = telemetry::rooms(&disks.borrow_and_update(), &config, &first_scratch);
        if inputs.send(Input::Rooms(rooms)).is_err() {
            return;
        }
        let now = telemetry::holds(&disks.borrow());
        if before.as_ref() != Some(&now) {
            if now.inputs().into_iter().any(|input| inputs.send(input).is_err()) {
                return;
            }
            before = Some(now);
        }
        let changed = tokio::select! {
            changed = disks.changed() => changed,
            changed = loaded.changed() => changed,
            () = tokio::time::sleep(telemetry::EVERY) => Ok(()),
        };
        if changed.is_err() {
            return;
        }
    }
}

/// Tells the scheduler of the storage, as often as it is looked at: that a copy is seen may change
/// nothing but the time.
pub async fn watch_stores(
    disks: watch::Receiver<Vec<DiskView>>,
    loaded: watch::Receiver<Loaded>,
    inputs: mpsc::UnboundedSender<Input>,
) {
    let mut told = None;
    let mut looks = tokio::time::interval(STORES_EVERY);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        looks.tick().await;
        let config = Arc::clone(&loaded.borrow().config);
        let stores = telemetry::stores(&disks.borrow(), &config);
        if stores == told {
            continue;
        }
        if let Some(stores) = stores.clone()
            && inputs.send(Input::Stores(stores)).is_err()
        {
            return;
        }
        told = stores;
    }
}

/// The first SIGTERM or SIGINT stops new work and waits; the second exits now. Both are safe.
pub fn stop_on_signal(stop: watch::Sender<bool>) -> impl Future<Output = ()> {
    // From now on, and not from when this is first polled.
    let signals = (signal(SignalKind::terminate()), signal(SignalKind::interrupt()));
    async move {
        let (Ok(mut term), Ok(mut int)) = signals else {
            tracing::error!(
                "signals cannot be caught; `kill` stops sealbox at once, which is safe"
            );
            return std::future::pending().await;
        };
        for first in [true, false] {
            tokio::select! {
                _ = term.recv() => {}
                _ = int.recv() => {}
            }
            if first {
                tracing::info!("stopping: running attempts may finish; once more stops at once");
                stop.send_replace(true);
            }
        }
        // What a shell expects of a process that an interrupt ended.
        std::process::exit(130);
    }
}
