//! What a person is told of who does not look at the page: what needs one, when it begins and when
//! it is over. What is to be told follows from how things are and from what was told; `sender` sends
//! it to a webhook.

mod kept;
pub mod sender;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::domain::failure::{Class, Failure};
use crate::domain::forecast::Forecast;
use crate::domain::ids::SectorNumber;
use crate::domain::phase::Phase;
use crate::domain::sector::Sector;
use crate::domain::units::{SectorSize, Timestamp, roughly};
use crate::scheduler::view::{BoxView, DiskRole, DiskView, ThrottleView};

pub use sender::{Alerts, Said};

/// Below this part of a disk it is nearly full.
const LEFT_PERCENT: u64 = 5;
/// Not before there is this much again is it no longer so: else a disk at the edge would be told of
/// again and again.
const LEFT_AGAIN_PERCENT: u64 = 7;

/// What an alert is about. Of each there is one at a time.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Key {
    /// No work starts at all.
    Halted,
    /// Failed sectors fill a throttle.
    Standstill(SectorSize),
    Hung(PathBuf),
    Unusable(PathBuf),
    NearlyFull(PathBuf),
    /// By its forecast, before long.
    FullSoon(PathBuf),
    /// A stored copy is not what was sealed.
    Damaged(SectorNumber),
    /// A task waits for a person.
    Failed(SectorNumber, Phase),
}

/// One of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alert {
    /// Constant, for programs.
    pub alert: Cow<'static, str>,
    pub what: String,
    pub since: Timestamp,
    pub sector: Option<SectorNumber>,
    pub phase: Option<Phase>,
    pub class: Option<Class>,
    /// What to do now.
    pub mend: String,
    /// The page that shows it, as a path.
    pub page: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    Firing,
    Resolved,
    /// Somebody asked for one.
    Test,
}

/// What has to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owed {
    pub key: Key,
    pub status: Status,
    pub alert: Alert,
}

/// What is wrong at a moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Standing {
    alerts: BTreeMap<Key, Alert>,
    /// Of these nobody knows now whether they are so: what was told of them stands.
    unknown: BTreeSet<Key>,
    /// There are more sectors that wait for a person than the view lists.
    more: bool,
}

/// What was told and not yet said to be over.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Told(BTreeMap<Key, Alert>);

impl Told {
    /// What has to be sent, so that what was told is what is so.
    pub fn owes(&self, standing: &Standing) -> Vec<Owed> {
        let over = self.0.iter().filter(|(key, _)| {
            // One that is not listed may be behind those that are.
            let unlisted = standing.more && matches!(key, Key::Damaged(_) | Key::Failed(..));
            !unlisted && !standing.unknown.contains(key) && !standing.alerts.contains_key(key)
        });
        let over = over.map(|(key, alert)| (key, Status::Resolved, alert));
        let new = standing.alerts.iter().filter(|(key, _)| !self.0.contains_key(key));
        let new = new.map(|(key, alert)| (key, Status::Firing, alert));
        let owed = |(key, status, alert): (&Key, _, &Alert)| Owed {
            key: key.clone(),
            status,
            alert: alert.clone(),
        };
        over.chain(new).map(owed).collect()
    }

    /// It was sent.
    pub fn sent(&mut self, owed: Owed) {
        match owed.status {
            Status::Firing => drop(self.0.insert(owed.key, owed.alert)),
            Status::Resolved => drop(self.0.remove(&owed.key)),
            Status::Test => {}
        }
    }

    pub fn count(&self) -> usize {
        self.0.len()
    }
}

/// All that is looked at: `forecasts` has one for each of the disks.
pub struct Looked<'a> {
    pub view: &'a BoxView,
    pub disks: &'a [DiskView],
    pub forecasts: &'a [Forecast],
    /// A disk that will be full within this is told of.
    pub full_within: Duration,
}

/// What is wrong now. `told` keeps a disk at the edge from being told of again and again.
pub fn standing(looked: &Looked, told: &Told) -> Standing {
    let Looked { view, disks, forecasts, full_within } = *looked;
    let mut standing = Standing::default();
    if let Some(trouble) = &view.trouble {
        standing.alerts.insert(Key::Halted, of_failure("halted", trouble, view.at, "/"));
    }
    for throttle in view.throttles.iter().filter(|throttle| throttle.stands_still()) {
        standing.alerts.insert(Key::Standstill(throttle.size), standstill(throttle, view.at));
    }
    for disk in disks {
        of_disk(disk, view.at, told, &mut standing);
    }
    for (nth, (disk, forecast)) in disks.iter().zip(forecasts).enumerate() {
        if tells_of_its_disk(disk, &disks[..nth]) {
            of_forecast(disk, *forecast, full_within, view.at, told, &mut standing);
        }
    }
    for sector in &view.attention {
        of_sector(sector, &mut standing.alerts);
    }
    let listed = u64::try_from(view.attention.len()).unwrap_or(u64::MAX);
    standing.more = view.counts.needs_you > listed;
    standing
}

fn of_failure(alert: &'static str, failure: &Failure, since: Timestamp, page: &str) -> Alert {
    let what = match &failure.file {
        Some(file) => format!("{}: {}", failure.what, file.display()),
        None => failure.what.clone(),
    };
    Alert {
        alert: alert.into(),
        what,
        since,
        sector: None,
        phase: None,
        class: Some(failure.class),
        mend: failure.mend.clone(),
        page: page.to_owned(),
    }
}

fn standstill(throttle: &ThrottleView, since: Timestamp) -> Alert {
    let held = throttle.held;
    Alert {
        alert: "standstill".into(),
        what: format!(
            "no sector of {} is begun: {held} that wait for a person hold every place",
            throttle.size
        ),
        since,
        sector: None,
        phase: None,
        class: None,
        mend: "retry or abort them on the Failures page".to_owned(),
        page: "/failures".to_owned(),
    }
}

fn of_disk(disk: &DiskView, at: Timestamp, told: &Told, standing: &mut Standing) {
    let path = || disk.path.clone();
    // It was not looked at since the start.
    if disk.trouble.is_none() && disk.total_bytes == 0 {
        let keys = [Key::Hung(path()), Key::Unusable(path()), Key::NearlyFull(path())];
        standing.unknown.extend(keys);
        return;
    }
    if let Some(trouble) = &disk.trouble {
        let (key, name) = if disk.hung {
            (Key::Hung(path()), "disk_hung")
        } else {
            (Key::Unusable(path()), "disk_unusable")
        };
        let alert = of_failure(name, &trouble.clone().at(&disk.path), at, "/storage");
        standing.alerts.insert(key, alert);
        standing.unknown.insert(Key::NearlyFull(path()));
        return;
    }
    // A scratch is meant to be filled: what waits for room there goes on by itself.
    let fills_for_good = match disk.role {
        DiskRole::Storage | DiskRole::Data => true,
        DiskRole::Scratch => false,
    };
    let key = Key::NearlyFull(path());
    let left = if told.0.contains_key(&key) { LEFT_AGAIN_PERCENT } else { LEFT_PERCENT };
    let is_full = disk.free_bytes < disk.total_bytes / 100 * left;
    if fills_for_good && disk.total_bytes > 0 && is_full {
        let what = format!("{} ({}) is nearly full", disk.path.display(), disk.role.name());
        standing.alerts.insert(key, of_space("disk_nearly_full", what, MORE_SPACE, at));
    }
}

const MORE_SPACE: &str = "add storage, or free space on it";

/// One root of a file system is enough. A scratch fills for good only with what shares its disk.
fn tells_of_its_disk(disk: &DiskView, before: &[DiskView]) -> bool {
    let fills = |disk: &DiskView| disk.role != DiskRole::Scratch;
    let shares = |other: &DiskView| disk.number.is_some() && other.number == disk.number;
    fills(disk) && !before.iter().any(|other| fills(other) && shares(other))
}

fn of_forecast(
    disk: &DiskView,
    forecast: Forecast,
    within: Duration,
    at: Timestamp,
    told: &Told,
    standing: &mut Standing,
) {
    let key = Key::FullSoon(disk.path.clone());
    let left = match forecast {
        // A box that has just begun again has no basis yet.
        Forecast::Unknown => {
            standing.unknown.insert(key);
            return;
        }
        Forecast::Steady | Forecast::Bounded { .. } | Forecast::Crowded => return,
        Forecast::Full { left } => left,
    };
    let within = if told.0.contains_key(&key) { within * 3 / 2 } else { within };
    if left < within {
        let (path, role) = (disk.path.display(), disk.role.name());
        let what = match left.is_zero() {
            true => format!("{path} ({role}) has no room for another sector"),
            false => format!("{path} ({role}) will be full in {}", roughly(left)),
        };
        let mend = match disk.role {
            DiskRole::Storage | DiskRole::Scratch => {
                "add a `[[storage]]` on another disk, or free space on this one"
            }
            DiskRole::Data => {
                "see what grows on it and free space, or move `data_dir` to a larger disk"
            }
        };
        standing.alerts.insert(key, of_space("disk_full_soon", what, mend, at));
    }
}

fn of_space(alert: &'static str, what: String, mend: &str, since: Timestamp) -> Alert {
    Alert {
        alert: alert.into(),
        what,
        since,
        sector: None,
        phase: None,
        class: Some(Class::Space),
        mend: mend.to_owned(),
        page: "/storage".to_owned(),
    }
}

fn of_sector(sector: &Arc<Sector>, alerts: &mut BTreeMap<Key, Alert>) {
    let number = sector.id.number;
    let page = format!("/sectors/{number}");
    for (phase, failure) in sector.failures() {
        let since = sector.tasks[phase].updated.unwrap_or(sector.updated);
        let alert = of_failure("sector_failed", failure, since, &page);
        let alert = Alert { sector: Some(number), phase: Some(phase), ..alert };
        alerts.insert(Key::Failed(number, phase), alert);
    }
    if let Some(fault) = sector.fault() {
        let alert = of_failure("stored_copy_damaged", fault, sector.updated, &page);
        alerts.insert(Key::Damaged(number), Alert { sector: Some(number), ..alert });
    }
}
