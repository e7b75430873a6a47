//! Sends what is owed to the webhook. What waits is never more than what differs from what was
//! told, so that nothing piles up while the other side is away; and nobody waits for it.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::Serialize;
use serde_json::json;
use tokio::sync::{oneshot, watch};
use ureq::Agent;

use super::{Alert, Looked, Owed, Status, Told, kept, standing};
use crate::config::{AlertsConfig, Config, Loaded};
use crate::domain::failure::{Class, Failure};
use crate::domain::units::Timestamp;
use crate::forecast;
use crate::samples::Samples;
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

/// What is looked at to know what to tell, beside the box itself.
pub struct Parts {
    /// Where alerts go: a reload changes it.
    pub loaded: watch::Receiver<Loaded>,
    /// Of the box's own disk, for its forecast.
    pub samples: Samples,
    pub patience: Patience,
    pub clock: Clock,
}

#[derive(Clone)]
pub struct Alerts(Arc<Inner>);

struct Inner {
    parts: Parts,
    said: Mutex<Said>,
}

impl Alerts {
    pub fn new(parts: Parts) -> Self {
        Self(Arc::new(Inner { parts, said: Mutex::default() }))
    }

    pub fn said(&self) -> Said {
        match &self.config().alerts {
            Some(config) => Said { webhook: Some(config.place()), ..self.lock().clone() },
            None => Said { standing: 0, waiting: 0, ..self.lock().clone() },
        }
    }

    fn config(&self) -> Arc<Config> {
        Arc::clone(&self.0.parts.loaded.borrow().config)
    }

    fn now(&self) -> Timestamp {
        (self.0.parts.clock)()
    }

    fn lock(&self) -> MutexGuard<'_, Said> {
        self.0.said.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends one that says that it is a test, at once.
    pub async fn test(&self) -> Result<(), Failure> {
        let alert = Alert {
            alert: "test".into(),
            what: "somebody asked for a test: alerts of this box arrive".to_owned(),
            since: self.now(),
            sector: None,
            phase: None,
            class: None,
            mend: "nothing is to be done".to_owned(),
            page: "/system".to_owned(),
        };
        self.send(Status::Test, &alert).await
    }

    /// Tells what begins and what is over until the box stops. What was told is kept in this
    /// directory.
    pub async fn run(
        self,
        data_dir: PathBuf,
        mut views: watch::Receiver<Arc<BoxView>>,
        mut disks: watch::Receiver<Vec<DiskView>>,
    ) {
        let Patience { first, most, look, .. } = self.0.parts.patience;
        let mut loaded = self.0.parts.loaded.clone();
        let file = data_dir.join(kept::FILE);
        let (mut told, mut pause) = (kept::read(&file), first);
        loop {
            let (view, seen) =
                (views.borrow_and_update().clone(), disks.borrow_and_update().clone());
            let config = Arc::clone(&loaded.borrow_and_update().config);
            let owed = self.owed(&config, &view, &seen, &told);
            {
                let mut said = self.lock();
                (said.waiting, said.standing) = (owed.len(), told.count());
            }
            let wait = match owed.into_iter().next() {
                Some(owed) => match self.send(owed.status, &owed.alert).await {
                    Ok(()) => {
                        told.sent(owed);
                        // After the webhook took it: who dies in between tells it twice, not never.
                        keep(&file, &told).await;
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
                        loaded = loaded.changed() => loaded,
                    };
                    if changed.is_err() {
                        return;
                    }
                    look
                }
            };
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                // Another webhook is tried at once.
                changed = loaded.changed() => match changed {
                    Ok(()) => pause = first,
                    Err(_) => return,
                },
                // Ends only when the box does.
                _ = views.wait_for(|_| false) => return,
            }
        }
    }

    /// Nothing, if there is nobody to tell.
    fn owed(&self, config: &Config, view: &BoxView, disks: &[DiskView], told: &Told) -> Vec<Owed> {
        let Some(AlertsConfig { full_within, .. }) = config.alerts else { return Vec::new() };
        let forecasts = forecast::of(view, disks, config, &self.0.parts.samples, self.now());
        told.owes(&standing(&Looked { view, disks, forecasts: &forecasts, full_within }, told))
    }

    async fn send(&self, status: Status, alert: &Alert) -> Result<(), Failure> {
        let config = self.config();
        let Some(to) = config.alerts.clone() else {
            let mend = "set `[alerts] webhook`, then `sealbox reload`";
            return Err(Failure::new(Class::Operator, "no webhook is configured", mend));
        };
        let mut body = json!(alert);
        body["since"] = json!(alert.since.rfc3339());
        body["status"] = json!(status);
        body["at"] = json!(self.now().rfc3339());
        body["link"] = json!(format!("{}{}", config.url(), alert.page));
        let timeout = self.0.parts.patience.answer;
        let sent = apart(move || post(&to, &body, timeout)).await.and_then(|sent| sent);
        let at = self.now();
        match sent {
            Ok(()) => {
                self.lock().last_sent = Some(Event { at, what: alert.what.clone() });
                Ok(())
            }
            Err(why) => {
                tracing::warn!(alert = &*alert.alert, why, "an alert could not be sent");
                self.lock().last_failed = Some(Event { at, what: why.clone() });
                let mend =
                    "see that the webhook of `[alerts]` is right and can be reached from here";
                Err(Failure::new(Class::Transient, format!("the alert was not sent: {why}"), mend))
            }
        }
    }
}

/// On a thread of its own: the box's stop waits neither for a webhook nor for a disk that hangs.
async fn apart<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, String> {
    let (reply, answer) = oneshot::channel();
    let run = move || drop(reply.send(work()));
    match std::thread::Builder::new().name("alert".to_owned()).spawn(run) {
        Ok(_) => answer.await.map_err(|_| "its thread ended".to_owned()),
        Err(error) => Err(format!("no thread for it: {error}")),
    }
}

async fn keep(file: &Path, told: &Told) {
    let (path, told) = (file.to_path_buf(), told.clone());
    let kept = apart(move || kept::write(&path, &told).map_err(|error| error.to_string())).await;
    if let Err(why) = kept.and_then(|kept| kept) {
        let file = file.display();
        tracing::warn!("a restart will tell again what stands: {file} cannot be written: {why}");
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
