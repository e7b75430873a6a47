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
use tokio::time::Instant;

use super::WebState;
use crate::logs::{LineId, Logs, Whose};
use crate::metrics::Follower;
use crate::scheduler::view::{BoxView, DiskView};

/// At most one message in this time: four a second.
const PAUSE: Duration = Duration::from_millis(250);
/// At most so often is it told of more of a log.
const LOG_PAUSE: Duration = Duration::from_secs(1);
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
    /// The log that it shows: a sector's number, or `box`.
    log: Option<String>,
}

struct Watch {
    views: watch::Receiver<Arc<BoxView>>,
    disks: watch::Receiver<Vec<DiskView>>,
    changes: watch::Receiver<u64>,
    log: Option<Following>,
    step: Step,
    _counted: Follower,
}

enum Step {
    /// The browser shows what is no longer so.
    Behind,
    /// It shows what there is.
    Abreast,
    /// It was told a moment ago.
    Told,
}

/// A log that is followed.
struct Following {
    logs: Logs,
    whose: Whose,
    moved: watch::Receiver<u64>,
    /// The line that was told of last.
    told: Option<LineId>,
    not_before: Instant,
}

impl Following {
    fn of(state: &WebState, log: Option<&str>) -> Option<Self> {
        let whose = match log? {
            "box" => Whose::Box,
            number => Whose::Sector(number.parse().ok()?),
        };
        let (logs, moved) = (state.logs.clone(), state.logs.moved());
        // What came since the page was made is told at once.
        Some(Self { logs, whose, moved, told: None, not_before: Instant::now() })
    }

    /// Waits until there is more of it.
    async fn more(&mut self) {
        tokio::time::sleep_until(self.not_before).await;
        loop {
            let latest = self.logs.latest(self.whose);
            if latest > self.told {
                self.told = latest;
                self.not_before = Instant::now() + LOG_PAUSE;
                return;
            }
            any(&mut self.moved).await;
        }
    }
}

/// `changed` whenever something did, `log` when there is more of the log that is asked for; `beat`
/// while there is neither.
pub async fn live(
    State(state): State<WebState>,
    query: Result<Query<Since>, QueryRejection>,
) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let (seen, log) = query.map_or((None, None), |Query(since)| (since.seen, since.log));
    let (mut views, mut changes) = (state.handle.views(), state.changes.clone());
    let mut disks = state.disks.clone();
    let log = Following::of(&state, log.as_deref());
    // Interest comes before the comparison, so that no change falls in between.
    views.mark_unchanged();
    changes.mark_unchanged();
    disks.mark_unchanged();
    let step = if seen == Some(version(&state)) { Step::Abreast } else { Step::Behind };
    let watch = Watch { views, disks, changes, log, step, _counted: state.counted.follower() };
    let beat = KeepAlive::new().interval(BEAT).event(Event::default().event("beat").data("."));
    Sse::new(unfold(watch, next)).keep_alive(beat)
}

async fn next(mut watch: Watch) -> Option<(Result<Event, Infallible>, Watch)> {
    let news = match watch.step {
        Step::Behind => "changed",
        Step::Abreast => news(&mut watch).await?,
        Step::Told => {
            tokio::time::sleep(PAUSE).await;
            news(&mut watch).await?
        }
    };
    watch.step = Step::Told;
    Some((Ok(Event::default().event(news).data(".")), watch))
}

/// Waits for any change and takes note of all there are. None when the scheduler has ended.
async fn news(watch: &mut Watch) -> Option<&'static str> {
    tokio::select! {
        view = watch.views.changed() => view.ok()?,
        () = any(&mut watch.disks) => {}
        () = any(&mut watch.changes) => {}
        () = more(&mut watch.log) => return Some("log"),
    }
    watch.views.mark_unchanged();
    watch.disks.mark_unchanged();
    watch.changes.mark_unchanged();
    Some("changed")
}

/// More of the log that is followed; never, if none is.
async fn more(log: &mut Option<Following>) {
    match log {
        Some(log) => log.more().await,
        None => std::future::pending().await,
    }
}

/// The next change; never, if none can come any more.
async fn any<T>(receiver: &mut watch::Receiver<T>) {
    if receiver.changed().await.is_err() {
        std::future::pending().await
    }
}
