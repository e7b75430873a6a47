//! The web side of a site: asked as a browser or a program asks.

use std::sync::Arc;

use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Request, StatusCode};
use scraper::Html;
use tokio::sync::{mpsc, watch};
use tower::ServiceExt;

use super::fixed::{Idle, built_in, paths};
use super::{MINER, Site};
use crate::alerts::Alerts;
use crate::alerts::sender::{Parts, Patience};
use crate::config::{Config, Loaded, Origin};
use crate::doctor::Doctor;
use crate::logs::LogFilter;
use crate::notify::Notify;
use crate::reload::{self, Reload};
use crate::scheduler::Handle;
use crate::scheduler::command::{Ask, Command};
use crate::storage::rate::RateLimit;
use crate::web::guard::Names;
use crate::web::orphans::Orphans;
use crate::web::show::now;
use crate::web::{Door, WebState, router};
use crate::worker::checks::Checks;

/// An answer, read to its end.
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub text: String,
}

impl Answer {
    pub fn html(&self) -> Html {
        Html::parse_document(&self.text)
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

/// What a piece of markup says to a reader.
pub fn said(element: scraper::ElementRef) -> String {
    element.text().collect::<Vec<_>>().join(" ").split_whitespace().collect::<Vec<_>>().join(" ")
}

impl Site {
    /// The web side of this box, and the scheduler's to be run beside it.
    pub fn state(&self) -> (WebState, impl Future<Output = ()> + use<>) {
        let (ask, mut asks) = mpsc::channel::<Ask>(16);
        let (_views, views) = watch::channel(Arc::new(self.view()));
        let (_disks, disks) = watch::channel(self.disks.clone());
        let (_changes, changes) = watch::channel(0);
        let (reply, asked) = (self.reply, Arc::clone(&self.asked));
        let scheduler = async move {
            while let Some(ask) = asks.recv().await {
                let answer = reply(&ask.command);
                asked.lock().unwrap().push((ask.command, ask.by));
                let _gone = ask.reply.send(answer);
            }
        };
        let started = Loaded { config: Arc::new(built_in()), at: now(), needs_restart: Vec::new() };
        let (loaded_sender, loaded) = watch::channel(started);
        let handle = Handle::new(ask, views);
        let parts = reload::Parts {
            origin: Origin::default(),
            handle: handle.clone(),
            copy_limit: RateLimit::new(None),
            room: Default::default(),
            log: LogFilter::of_nothing(),
            notify: Notify::default(),
            clock: Arc::new(now),
            tls: None,
        };
        let config = Config { hosts: vec!["box.lab".into()], ..built_in() };
        let access = Arc::clone(&self.access);
        let state = WebState {
            handle,
            reader: self.store.reader(),
            engine: Arc::new(Idle(self.parameters.clone())),
            disks,
            changes,
            progress: Arc::clone(&self.progress),
            timeline: Arc::clone(&self.timeline),
            samples: self.samples.clone(),
            checks: Checks::idle(),
            room: Default::default(),
            orphans: Orphans::new(self.roots.clone(), MINER, self.store.reader()),
            doctor: Doctor::new(loaded.clone()),
            paths: if self.broken { Arc::new(|_| panic!("on purpose")) } else { Arc::new(paths) },
            names: Names::of(&config),
            door: Door::new(access, config.listen.port(), false),
            reload: Reload::new(parts, loaded_sender),
            logs: self.logs.clone(),
            counted: Arc::default(),
            alerts: Alerts::new(Parts {
                loaded,
                samples: self.samples.clone(),
                patience: Patience::default(),
                clock: Arc::new(now),
            }),
        };
        (state, scheduler)
    }

    pub fn send(&self, request: Request<Body>) -> Answer {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let (state, scheduler) = self.state();
            tokio::spawn(scheduler);
            let response = router(state).oneshot(request).await.unwrap();
            let (parts, body) = response.into_parts();
            let bytes = to_bytes(body, usize::MAX).await.unwrap();
            let text = String::from_utf8(bytes.to_vec()).unwrap();
            Answer { status: parts.status, headers: parts.headers, text }
        })
    }

    pub fn get(&self, path: &str) -> Answer {
        self.send(ask("GET", path).body(Body::empty()).unwrap())
    }

    /// What a browser sends when a form's button is pressed.
    pub fn press(&self, path: &str, fields: &str) -> Answer {
        let request = ask("POST", path)
            .header("content-type", "application/x-www-form-urlencoded")
            .header("origin", "http://127.0.0.1:3456")
            .header("sec-fetch-site", "same-origin");
        self.send(request.body(Body::from(fields.to_owned())).unwrap())
    }

    pub fn post_json(&self, path: &str, body: &str) -> Answer {
        let request = ask("POST", path).header("content-type", "application/json");
        self.send(request.body(Body::from(body.to_owned())).unwrap())
    }

    pub fn commands(&self) -> Vec<Command> {
        self.asked.lock().unwrap().iter().map(|(command, _)| command.clone()).collect()
    }
}

pub fn ask(method: &str, path: &str) -> axum::http::request::Builder {
    Request::builder().method(method).uri(path).header("host", "127.0.0.1:3456")
}
