//! What the world outside wants of a running process: hang-ups, and word of a start that takes long.

use std::io::IsTerminal as _;
use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};

use crate::notify::Notify;
use crate::reload::Reload;
use crate::store::Opening;

/// How often is looked whether the opening gets on.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// An opening that got on has this much longer. One that does not runs into the manager's limit.
const LONGER: Duration = Duration::from_secs(60);

/// SIGHUP reads the configuration again. On a terminal it means that the terminal is gone, and the
/// process ends by it as it always did: it could not even say what it reads.
pub async fn reload_on_hangup(reload: Reload) {
    if std::io::stderr().is_terminal() {
        return;
    }
    let Ok(mut hangups) = signal(SignalKind::hangup()) else {
        return tracing::error!("SIGHUP cannot be caught; `sealbox reload` does the same");
    };
    while hangups.recv().await.is_some() {
        // What came of it is in the log.
        drop(reload.again("SIGHUP").await);
    }
}

/// Keeps the service manager from giving up on a start that rebuilds a long state.
pub async fn tell_opening(notify: Notify, opening: Arc<Opening>) {
    let mut before = None;
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        let Some(rebuild) = opening.rebuild() else { continue };
        if before.replace(rebuild.done) != Some(rebuild.done) {
            notify.busy(LONGER);
            let (done, total) = (rebuild.done.0, rebuild.total.0);
            notify.status(&format!("rebuilding the state: {done} of {total} entries"));
        }
    }
}
