//! The disks, with what the box is about to do with them: for pages and API.

use serde::Serialize;
use serde_json::{Value, json};

use super::WebState;
use super::schema::{Shaped, Shapes, named};
use super::show::{now, rfc3339};
use crate::config::{Config, RootConfig};
use crate::domain::failure::Failure;
use crate::domain::forecast::{Pace, Shelf, full_in};
use crate::domain::units::Timestamp;
use crate::scheduler::view::{DiskRole, DiskView};

/// A disk as last looked at, and what is planned with it.
#[derive(Debug, Clone, Serialize)]
pub struct DiskRow {
    #[serde(flatten)]
    pub view: DiskView,
    /// Of scratch and storage: what is begun or copied there, rather than to another; 0: nothing.
    pub weight: Option<u32>,
    /// What stays free of it, whatever waits.
    pub keep_free_bytes: u64,
    /// Of a scratch: what sectors in flight may still write.
    pub reserved_bytes: u64,
    /// Of a storage: what copies under way will have taken when they are done.
    pub claimed_bytes: u64,
    /// When a storage will be full at this box's own pace; none without a basis.
    #[serde(serialize_with = "as_rfc3339")]
    pub full_at: Option<Timestamp>,
}

fn as_rfc3339<S: serde::Serializer>(at: &Option<Timestamp>, s: S) -> Result<S::Ok, S::Error> {
    at.map(rfc3339).serialize(s)
}

impl Shaped for DiskRow {
    fn shape(shapes: &mut Shapes) -> Value {
        // Does not compile if there is another field.
        let _all = |DiskRow {
                        view:
                            DiskView {
                                path: _,
                                role: _,
                                device: _,
                                mount: _,
                                file_system: _,
                                number: _,
                                total_bytes: _,
                                used_bytes: _,
                                free_bytes: _,
                                trouble: _,
                                hung: _,
                                held: _,
                                looked: _,
                                shared: _,
                            },
                        weight: _,
                        keep_free_bytes: _,
                        reserved_bytes: _,
                        claimed_bytes: _,
                        full_at: _,
                    }: &DiskRow| ();
        named("Disk", shapes, |shapes| {
            let texts = ["path", "device", "mount", "file_system"];
            let bytes = [
                "total_bytes",
                "used_bytes",
                "free_bytes",
                "keep_free_bytes",
                "reserved_bytes",
                "claimed_bytes",
            ];
            let text = |name| (name, json!({ "type": "string" }));
            let number = u64::shape(shapes);
            let mut all: Vec<_> = texts.into_iter().map(text).collect();
            all.extend(bytes.map(|name| (name, number.clone())));
            all.extend([
                ("role", DiskRole::shape(shapes)),
                ("trouble", Option::<Failure>::shape(shapes)),
                ("hung", bool::shape(shapes)),
                ("weight", Option::<u32>::shape(shapes)),
                ("full_at", Option::<String>::shape(shapes)),
            ]);
            all
        })
    }
}

impl DiskRow {
    /// Every disk.
    pub fn all_of(state: &WebState) -> Vec<Self> {
        let view = state.handle.view();
        let config = state.reload.loaded().config;
        let claimed = state.room.claimed();
        let row = |disk: &DiskView| {
            let root = configured(&config, disk);
            Self {
                weight: root.map(|root| root.weight),
                keep_free_bytes: root.map_or(0, |root| keep_free(&config, disk.role, root)),
                reserved_bytes: view.reserved.get(&disk.path).map_or(0, |bytes| bytes.0),
                claimed_bytes: claimed.get(&disk.path).map_or(0, |bytes| bytes.0),
                full_at: None,
                view: disk.clone(),
            }
        };
        let mut rows: Vec<_> = state.disks.borrow().iter().map(row).collect();
        // What a simulated sector stores is no basis for anything.
        let pace = Pace::of(&view.throughput, now()).filter(|_| !view.simulated);
        if let Some(pace) = pace {
            forecast(&mut rows, pace, now());
        }
        rows
    }

    fn shelf(&self) -> Option<Shelf> {
        let is_seen = self.view.trouble.is_none() && self.view.total_bytes > 0;
        let room = self.view.free_bytes.saturating_sub(self.keep_free_bytes);
        (self.view.role == DiskRole::Storage && is_seen)
            .then(|| Shelf { weight: self.weight.unwrap_or(1), room })
    }
}

fn forecast(rows: &mut [DiskRow], pace: Pace, now: Timestamp) {
    let shelves: Vec<_> = rows.iter().filter_map(DiskRow::shelf).collect();
    for row in rows {
        let left = row.shelf().and_then(|shelf| full_in(pace, shelf, &shelves));
        row.full_at = left.map(|left| now.plus(left));
    }
}

fn configured<'a>(config: &'a Config, disk: &DiskView) -> Option<&'a RootConfig> {
    let roots = match disk.role {
        DiskRole::Scratch => &config.scratch,
        DiskRole::Storage => &config.storage,
        DiskRole::Data => return None,
    };
    roots.iter().find(|root| root.path == disk.path)
}

fn keep_free(config: &Config, role: DiskRole, root: &RootConfig) -> u64 {
    match role {
        DiskRole::Scratch => config.scratch_keeps_free(root).0,
        DiskRole::Storage | DiskRole::Data => root.keep_free.unwrap_or_default().0,
    }
}
