//! Live updates: tells browsers that something changed; they fetch the page again.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::response::sse::{Event, KeepAlive, Sse};
use futures_util::stream::{Stream, unfold};
use serde::Deserialize;
use tokio::sync::watch;

use super::WebState;
use crate::scheduler::view::{BoxView, DiskView};

/// At most one message in this time: four a second.
const PAUSE: Duration = Duration::from_millis(250);
/// A browser that hears nothing for longer than this and a bit says that the connection is lost.
const BEAT: Duration = Duration::from_secs(2);

/// Which state a page shows. Two pages of the same version show the same, clocks apart.
pub fn version(state: &WebState) -> String {
    let view = state.handle.view();
    format!("{}-{}-{}", view.seq.0, view.at.0, *state.changes.borrow())
}

#[derive(Deserialize)]
pub struct Since {
    /// The version of the page that connects.
    seen: Option<String>,
}

struct Watch {
    views: watch::Receiver<Arc<BoxView>>,
    disks: watch::Receiver<Vec<DiskView>>,
    changes: watch::Receiver<u64>,
    step: Step,
}

enum Step {
    /// The browser shows what is no longer so.
    Behind,
    /// It shows what there is.
    Abreast,
    /// It was told a moment ago.
    Told,
}

/// `changed` whenever something did; `beat` while nothing does.
pub async fn live(
    State(state): State<WebState>,
    query: Result<Query<Since>, QueryRejection>,
) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let seen = query.ok().and_then(|Query(since)| since.seen);
    let (mut views, mut changes) = (state.handle.views(), state.changes.clone());
    let mut disks = state.disks.clone();
    // Interest comes before the comparison, so that no change falls in between.
    views.mark_unchanged();
    changes.mark_unchanged();
    disks.mark_unchanged();
    let step = if seen == Some(version(&state)) { Step::Abreast } else { Step::Behind };
    let watch = Watch { views, disks, changes, step };
    let beat = KeepAlive::new().interval(BEAT).event(Event::default().event("beat").data("."));
    Sse::new(unfold(watch, next)).keep_alive(beat)
}

async fn next(mut watch: Watch) -> Option<(Result<Event, Infallible>, Watch)> {
    match watch.step {
        Step::Behind => {}
        Step::Abreast => changed(&mut watch).await?,
        Step::Told => {
            tokio::time::sleep(PAUSE).await;
            changed(&mut watch).await?;
        }
    }
    watch.step = Step::Told;
    Some((Ok(Event::default().event("changed").data(".")), watch))
}

/// Waits for any change and takes note of all there are. None when the scheduler has ended.
async fn changed(watch: &mut Watch) -> Option<()> {
    tokio::select! {
        view = watch.views.changed() => view.ok()?,
        () = any(&mut watch.disks) => {}
        () = any(&mut watch.changes) => {}
    }
    watch.views.mark_unchanged();
    watch.disks.mark_unchanged();
    watch.changes.mark_unchanged();
    Some(())
}

/// The next change; never, if none can come any more.
async fn any<T>(receiver: &mut watch::Receiver<T>) {
    if receiver.changed().await.is_err() {
        std::future::pending().await
    }
}
