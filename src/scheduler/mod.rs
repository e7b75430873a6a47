//! The one writer: events in, decisions out.

pub mod command;
pub mod core;
#[cfg(test)]
mod errand_tests;
pub mod input;
pub mod messenger;
pub mod pulse;
pub mod run;
#[cfg(test)]
mod simulation;
pub mod view;

use std::sync::Arc;

use tokio::sync::{mpsc, oneshot, watch};

use command::{Ask, Command, Done, Refusal};
use view::BoxView;

/// How everyone else reaches the scheduler: commands in, views out.
#[derive(Debug, Clone)]
pub struct Handle {
    asks: mpsc::Sender<Ask>,
    views: watch::Receiver<Arc<BoxView>>,
}

impl Handle {
    pub fn new(asks: mpsc::Sender<Ask>, views: watch::Receiver<Arc<BoxView>>) -> Self {
        Self { asks, views }
    }

    /// Carries a command out. When this answers Ok, what it did is durable.
    pub async fn command(&self, command: Command, by: &str) -> Result<Done, Refusal> {
        let gone = || Refusal::Unavailable {
            what: "sealbox is stopping".to_owned(),
            mend: "start it again and repeat the command".to_owned(),
        };
        let (reply, answer) = oneshot::channel();
        let ask = Ask { command, by: by.to_owned(), reply };
        self.asks.send(ask).await.map_err(|_| gone())?;
        answer.await.map_err(|_| gone())?
    }

    pub fn view(&self) -> Arc<BoxView> {
        self.views.borrow().clone()
    }

    /// Wakes whenever the view changes.
    pub fn views(&self) -> watch::Receiver<Arc<BoxView>> {
        self.views.clone()
    }
}
