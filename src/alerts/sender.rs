//! Sends what is owed to the webhook. What waits is never more than what differs from what was
//! told, so that nothing piles up while the other side is away; and nobody waits for it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::Serialize;
use serde_json::json;
use tokio::sync::{oneshot, watch};
use ureq::Agent;

use super::{Alert, Status, Told, standing};
use crate::config::AlertsConfig;
use crate::domain::failure::{Class, Failure};
use crate::domain::units::Timestamp;
use crate::scheduler::run::Clock;
use crate::scheduler::view::{BoxView, DiskView};

/// How long the webhook is waited for.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    pub answer: Duration,
    /// Before the second try; each further one waits twice as long.
    pub first: Duration,
    pub most: Duration,
    /// Between looks: what is over within it is not told of.
    pub look: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            answer: Duration::from_secs(10),
            first: Duration::from_secs(1),
            most: Duration::from_secs(300),
            look: Duration::from_secs(1),
        }
    }
}

/// What became of the alerts, since this process started.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Said {
    /// Where they go, without what may be secret of it; none: nowhere.
    pub webhook: Option<String>,
    /// Told, and not over yet.
    pub standing: usize,
    /// To be sent.
    pub waiting: usize,
    pub last_sent: Option<Event>,
    pub last_failed: Option<Event>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Event {
    pub at: Timestamp,
    pub what: String,
}

#[derive(Clone)]
pub struct Alerts(Arc<Inner>);

struct Inner {
    config: Option<AlertsConfig>,
    /// Where people open the page.
    url: String,
    patience: Patience,
    clock: Clock,
    said: Mutex<Said>,
}

impl Alerts {
    pub fn new(
        config: Option<AlertsConfig>,
        url: String,
        patience: Patience,
        clock: Clock,
    ) -> Self {
        let webhook = config.as_ref().map(AlertsConfig::place);
        let said = Mutex::new(Said { webhook, ..Said::default() });
        Self(Arc::new(Inner { config, url, patience, clock, said }))
    }

    pub fn said(&self) -> Said {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, Said> {
        self.0.said.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends one that says that it is a test, at once.
    pub async fn test(&self) -> Result<(), Failure> {
        let alert = Alert {
            alert: "test",
            what: "somebody asked for a test: alerts of this box arrive".to_owned(),
            since: (self.0.clock)(),
            sector: None,
            phase: None,
            class: None,
            mend: "nothing is to be done".to_owned(),
            page: "/system".to_owned(),
        };
        self.send(Status::Test, &alert).await
    }

    /// Tells what begins and what is over until the box stops.
    pub async fn run(
        self,
        mut views: watch::Receiver<Arc<BoxView>>,
        mut disks: watch::Receiver<Vec<DiskView>>,
    ) {
        if self.0.config.is_none() {
            return;
        }
        let Patience { first, most, look, .. } = self.0.patience;
        let (mut told, mut pause) = (Told::default(), first);
        loop {
            let (view, looked) =
                (views.borrow_and_update().clone(), disks.borrow_and_update().clone());
            let owed = told.owes(&standing(&view, &looked, &told));
            {
                let mut said = self.lock();
                (said.waiting, said.standing) = (owed.len(), told.count());
            }
            let wait = match owed.into_iter().next() {
                Some(owed) => match self.send(owed.status, &owed.alert).await {
                    Ok(()) => {
                        told.sent(owed);
                        pause = first;
                        continue;
                    }
                    Err(_) => {
                        let wait = pause;
                        pause = most.min(pause * 2);
                        wait
                    }
                },
                None => {
                    let changed = tokio::select! {
                        view = views.changed() => view,
                        disks = disks.changed() => disks,
                    };
                    if changed.is_err() {
                        return;
                    }
                    look
                }
            };
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                // Ends only when the box does.
                _ = views.wait_for(|_| false) => return,
            }
        }
    }

    /// On a thread of its own: the box's stop does not wait for a webhook.
    async fn send(&self, status: Status, alert: &Alert) -> Result<(), Failure> {
        let Some(config) = self.0.config.clone() else {
            let mend = "set `[alerts] webhook`, then start the box again";
            return Err(Failure::new(Class::Operator, "no webhook is configured", mend));
        };
        let mut body = json!(alert);
        body["status"] = json!(status);
        body["at"] = json!((self.0.clock)().rfc3339());
        body["link"] = json!(format!("{}{}", self.0.url, alert.page));
        let (reply, answer) = oneshot::channel();
        let timeout = self.0.patience.answer;
        let work = move || drop(reply.send(post(&config, &body, timeout)));
        let begun = std::thread::Builder::new().name("alert".to_owned()).spawn(work);
        let sent = match begun {
            Ok(_) => answer.await.unwrap_or_else(|_| Err("the sending thread ended".to_owned())),
            Err(error) => Err(format!("no thread for it: {error}")),
        };
        let at = (self.0.clock)();
        match sent {
            Ok(()) => {
                self.lock().last_sent = Some(Event { at, what: alert.what.clone() });
                Ok(())
            }
            Err(why) => {
                tracing::warn!(alert = alert.alert, why, "an alert could not be sent");
                self.lock().last_failed = Some(Event { at, what: why.clone() });
                let mend =
                    "see that the webhook of `[alerts]` is right and can be reached from here";
                Err(Failure::new(Class::Transient, format!("the alert was not sent: {why}"), mend))
            }
        }
    }
}

/// Why it was not taken: never with the address or the token, which may be secret.
fn post(config: &AlertsConfig, body: &serde_json::Value, timeout: Duration) -> Result<(), String> {
    let agent: Agent = Agent::config_builder()
        .timeout_global(Some(timeout))
        // A token is for the one who was named.
        .max_redirects(0)
        .user_agent(concat!("sealbox/", env!("CARGO_PKG_VERSION")))
        .build()
        .into();
    let mut request = agent.post(&config.webhook);
    if let Some(token) = config.token()? {
        request = request.header("authorization", format!("Bearer {token}"));
    }
    match request.send_json(body) {
        Ok(answer) if answer.status().is_success() => Ok(()),
        Ok(answer) => Err(format!("the webhook answered {}", answer.status().as_u16())),
        Err(ureq::Error::StatusCode(code)) => Err(format!("the webhook answered {code}")),
        Err(ureq::Error::Timeout(_)) => Err(format!("no answer within {} s", timeout.as_secs())),
        Err(ureq::Error::BadUri(_)) => Err("the webhook's address is none".to_owned()),
        Err(error) => Err(error.to_string().replace(&config.webhook, "the webhook")),
    }
}
