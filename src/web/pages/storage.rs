//! Storage: every disk with its health, and what lies on it that no sector owns.

use std::time::Duration;

use askama::Template;
use axum::extract::State;
use axum::response::Response;

use crate::web::WebState;
use crate::web::error::PageError;
use crate::web::frame::{Frame, Seen, page};
use crate::web::nav::Nav;
use crate::web::orphans::Looked;
use crate::web::parts::Disk;
use crate::web::show::{self, Markup, plural};

/// An open page is made again whenever something changes; a large storage is not looked through as
/// often.
const OLD: Duration = Duration::from_secs(60);
/// A root that takes longer is shown as still being looked at.
const PATIENCE: Duration = Duration::from_millis(500);

#[derive(Template)]
#[template(path = "storage.html", blocks = ["live"])]
struct Storage {
    frame: Frame,
    disks: Vec<Disk>,
    roots: Vec<Looked>,
}

impl Storage {
    fn bytes(&self, count: &u64) -> Markup {
        show::bytes(*count)
    }

    fn count_words(&self) -> String {
        let count = self.roots.iter().map(|root| root.orphans.len() as u64).sum();
        plural(count, "orphan", "orphans")
    }
}

pub async fn show(State(state): State<WebState>, seen: Seen) -> Result<Response, PageError> {
    let roots = state.orphans.look(OLD, PATIENCE).await;
    let frame = Frame::new(&state, &seen, Nav::Storage, "Storage");
    let disks = Disk::all_of(&state);
    let storage = Storage { frame, disks, roots };
    page(&seen, &storage, &storage.as_live())
}
