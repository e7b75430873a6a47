//! What no sector owns: listed by its path, and deleted one at a time.

use std::path::PathBuf;
use std::time::Duration;

use axum::extract::rejection::{JsonRejection, QueryRejection};
use axum::extract::{Json, Query, State};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{body, query};
use crate::domain::failure::Failure;
use crate::storage::orphans::Orphan;
use crate::web::WebState;
use crate::web::entry::By;
use crate::web::error::Problem;
use crate::web::lookup::{self, Paging};
use crate::web::openapi::{Api, says};
use crate::web::orphans::Looked;
use crate::web::schema::shape;
use crate::web::show::{now, rfc3339};

/// A root that takes longer is told as still being looked at.
const LOOK_PATIENCE: Duration = Duration::from_secs(3);

pub fn add(api: Api) -> Api {
    let path = json!({ "type": "object", "additionalProperties": false, "required": ["path"],
        "properties": { "path": { "type": "string" } } });
    let after = json!({ "type": "string", "pattern": "^(/.*)?$" });
    api.get(
        "/orphans",
        orphans,
        says::<OrphanList>("orphans", "What no sector owns").paged(after).leads_with(
            "delete",
            "delete_orphan",
            json!({ "path": "$response.body#/orphans/0/path" }),
        ),
    )
    .post(
        "/orphans/delete",
        delete_orphan,
        says::<OrphanDeleted>("delete_orphan", "Delete what no sector owns").takes(path),
    )
}

async fn orphans(
    State(state): State<WebState>,
    sent: Result<Query<Paging>, QueryRejection>,
) -> Result<Json<OrphanList>, Problem> {
    let paging = query(sent)?;
    let path = |text: &str| text.starts_with('/').then(|| text.to_owned());
    let (after, limit) = (paging.after("/scratch/cache/s-t01000-7", path)?, paging.limit()?);
    let roots = state.orphans.look(Duration::ZERO, LOOK_PATIENCE).await;
    Ok(Json(OrphanList::of(&roots, after.as_deref(), limit)))
}

/// What no sector owns, and how far each root was looked at.
#[derive(Serialize)]
struct OrphanList {
    orphans: Vec<OrphanRow>,
    next: Option<String>,
    roots: Vec<RootRow>,
}

#[derive(Serialize)]
struct OrphanRow {
    path: String,
    bytes: u64,
    /// When it was changed last.
    modified: String,
    age_sec: u64,
    why: String,
}

#[derive(Serialize)]
struct RootRow {
    path: PathBuf,
    role: &'static str,
    /// Not looked at to the end yet: there may be more.
    looking: bool,
    looked_at: Option<String>,
    trouble: Option<Failure>,
}

impl OrphanList {
    /// Those behind a path, of all roots.
    fn of(roots: &[Looked], after: Option<&str>, limit: usize) -> Self {
        let now = now();
        let row = |(path, orphan): (String, &Orphan)| OrphanRow {
            path,
            bytes: orphan.bytes,
            modified: rfc3339(orphan.modified),
            age_sec: now.0.saturating_sub(orphan.modified.0) / 1_000,
            why: orphan.why.clone(),
        };
        let root = |root: &Looked| RootRow {
            path: root.path.clone(),
            role: root.role.name(),
            looking: root.looking,
            looked_at: root.at.map(rfc3339),
            trouble: root.trouble.clone(),
        };
        // By what can be written in JSON, which a name on a disk need not be.
        let named = |orphan: &'_ Orphan| orphan.path.display().to_string();
        let orphans = roots.iter().flat_map(|root| &root.orphans);
        let mut all: Vec<(String, &Orphan)> = orphans.map(|one| (named(one), one)).collect();
        all.sort_by(|one, other| one.0.cmp(&other.0));
        let behind = all.into_iter().filter(|one| after.is_none_or(|after| &*one.0 > after));
        let page = lookup::piece(behind, limit, |(path, _)| path.clone());
        Self {
            orphans: page.items.into_iter().map(row).collect(),
            next: page.next,
            roots: roots.iter().map(root).collect(),
        }
    }
}

shape!(OrphanList { orphans, next, roots });
shape!(OrphanRow { path, bytes, modified, age_sec, why });
shape!(RootRow { path, role, looking, looked_at, trouble });

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct OrphanBody {
    path: PathBuf,
}

#[derive(Debug, Serialize)]
struct OrphanDeleted {
    deleted: PathBuf,
    bytes: u64,
}

shape!(OrphanDeleted { deleted, bytes });

async fn delete_orphan(
    State(state): State<WebState>,
    By(by): By,
    sent: Result<Json<OrphanBody>, JsonRejection>,
) -> Result<Json<OrphanDeleted>, Problem> {
    let OrphanBody { path } = body(sent, r#"{"path":"/scratch/cache/s-t01000-7"}"#)?;
    let bytes = state.orphans.delete(&state.handle, path.clone(), by).await?;
    Ok(Json(OrphanDeleted { deleted: path, bytes }))
}
