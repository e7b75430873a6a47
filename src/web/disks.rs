//! The disks, with what the box is about to do with them: for pages and API.

use std::time::Duration;

use serde::Serialize;
use serde_json::{Value, json};

use super::WebState;
use super::schema::{Shaped, Shapes, named};
use super::show::{now, rfc3339};
use crate::domain::failure::Failure;
use crate::domain::forecast::{Forecast, Outlook};
use crate::domain::units::{ByteSize, Timestamp, roughly};
use crate::forecast::{self, configured, keep_free};
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
    /// What becomes of it.
    pub forecast: Outlook,
    /// When it will be full: a storage at this box's own pace, the data disk as it grew.
    #[serde(serialize_with = "as_rfc3339")]
    pub full_at: Option<Timestamp>,
    /// Of a scratch that will not be full: the most that will be used of it at a time.
    pub at_most_bytes: Option<u64>,
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
                        forecast: _,
                        full_at: _,
                        at_most_bytes: _,
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
                ("forecast", Outlook::shape(shapes)),
                ("full_at", Option::<String>::shape(shapes)),
                ("at_most_bytes", Option::<u64>::shape(shapes)),
            ]);
            all
        })
    }
}

impl DiskRow {
    /// Every disk.
    pub fn all_of(state: &WebState) -> Vec<Self> {
        let (view, disks) = (state.handle.view(), state.disks.borrow().clone());
        let config = state.reload.loaded().config;
        let claimed = state.room.claimed();
        let forecasts = forecast::of(&view, &disks, &config, &state.samples, now());
        let row = |(disk, forecast): (DiskView, Forecast)| Self {
            weight: configured(&config, &disk).map(|root| root.weight),
            keep_free_bytes: keep_free(&config, &disk),
            reserved_bytes: view.reserved.get(&disk.path).map_or(0, |bytes| bytes.0),
            claimed_bytes: claimed.get(&disk.path).map_or(0, |bytes| bytes.0),
            forecast: forecast.outlook(),
            full_at: forecast.left().map(|left| now().plus(left)),
            at_most_bytes: forecast.most(),
            view: disk,
        };
        disks.into_iter().zip(forecasts).map(row).collect()
    }

    /// The level at which it is full: what is to stay free is not written to.
    pub fn full_bytes(&self) -> u64 {
        let room = self.view.free_bytes.saturating_sub(self.keep_free_bytes);
        self.view.used_bytes.saturating_add(room)
    }

    /// What becomes of it, in words; none without a basis.
    pub fn forecast_words(&self) -> Option<String> {
        match self.forecast {
            Outlook::Unknown => None,
            Outlook::Steady => Some("does not grow".to_owned()),
            Outlook::Bounded => {
                let most = ByteSize(self.at_most_bytes?);
                Some(format!(
                    "will not fill: at most {most} of {}",
                    ByteSize(self.view.total_bytes)
                ))
            }
            Outlook::Crowded => Some("may fill: what does not fit waits".to_owned()),
            Outlook::Full => Some(full_in(self.full_at?.since(now()))),
        }
    }

    /// What the words go by.
    pub fn forecast_basis(&self) -> &'static str {
        match self.view.role {
            DiskRole::Scratch => {
                "By what sectors in flight may still write, and those that the throttle or the orders \
                 let begin beside them"
            }
            DiskRole::Storage => "By what was finished in the last day",
            DiskRole::Data => "By how much fuller it is than some days ago",
        }
    }
}

fn full_in(left: Duration) -> String {
    if left.is_zero() { "full".to_owned() } else { format!("full in {}", roughly(left)) }
}
