//! What libraries log on a thread, for whoever called them there: where they tell of their steps in
//! no other way. It does not go by the log's filter, which is the operator's.

use std::cell::RefCell;
use std::sync::mpsc::Sender;

use tracing::Subscriber;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::{Context, Layer};
use tracing_subscriber::registry::LookupSpan;

use super::line::{About, Line};

/// Whose steps are listened to, and the least that matters of what they log. All else costs what a
/// line costs that nobody wants.
const HEARD: [(&str, LevelFilter); 2] =
    [("bellperson", LevelFilter::DEBUG), ("filecoin_proofs", LevelFilter::INFO)];

thread_local! {
    static LISTENER: RefCell<Option<Sender<Line>>> = const { RefCell::new(None) };
}

/// Sends every line that a library logs on this thread while `work` runs, until it ends or panics.
/// So it is known whose a line is, whatever runs on other threads. Nothing is sent where no log was
/// set up.
pub fn overhear<T>(to: Sender<Line>, work: impl FnOnce() -> T) -> T {
    struct Until;
    impl Drop for Until {
        fn drop(&mut self) {
            LISTENER.set(None);
        }
    }
    LISTENER.set(Some(to));
    let _until = Until;
    work()
}

/// What makes [`overhear`] hear, as a part of a process's log.
pub fn overhearing<S: Subscriber + for<'a> LookupSpan<'a>>() -> impl Layer<S> {
    Overhearing.with_filter(Targets::new().with_targets(HEARD))
}

struct Overhearing;

impl<S: Subscriber> Layer<S> for Overhearing {
    fn on_event(&self, event: &tracing::Event<'_>, _context: Context<'_, S>) {
        // A thread that is ending listens no more; who no longer wants to know has hung up.
        let _ = LISTENER.try_with(|to| {
            if let Some(to) = &*to.borrow() {
                let _ = to.send(Line::of(event, About::default()));
            }
        });
    }
}
