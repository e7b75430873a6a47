//! The roots: where sectors are made, and where finished ones are kept.

use std::path::{Path, PathBuf};

use super::RootConfig;
use super::numbers::small;
use super::paths;
use super::problem::Place;
use super::reader::Got;
use super::table::Table;
use crate::domain::units::ByteSize;

/// A weight above this says nothing that a smaller one does not.
const MOST_WEIGHT: u64 = 1_000_000;
const MOST_MIB: u64 = 1 << 40;

pub struct Directories {
    pub data_dir: PathBuf,
    pub scratch: Vec<RootConfig>,
    pub storage: Vec<RootConfig>,
}

pub fn directories(root: &Table, base: &Path) -> Directories {
    let before = root.reading().count();
    let data_dir =
        root.path("data_dir", base).unwrap_or_else(|| Got::default(base.join("sealbox-data")));
    let alone = |name| vec![Got::default(RootConfig::at(data_dir.value.join(name)))];
    let scratch = scratch(root, base).unwrap_or_else(|| alone("scratch"));
    let storage = listed(root, "storage", base).unwrap_or_else(|| alone("storage"));
    if root.reading().count() == before {
        root.reading().extend(paths::keep_apart(&data_dir, &scratch, &storage));
    }
    let values = |all: Vec<Got<RootConfig>>| all.into_iter().map(|got| got.value).collect();
    Directories { data_dir: data_dir.value, scratch: values(scratch), storage: values(storage) }
}

/// Every `[[key]]`; none if there is none at all.
fn listed(root: &Table, key: &'static str, base: &Path) -> Option<Vec<Got<RootConfig>>> {
    let roots = root.tables(key, |table| {
        let given = table.given("path").is_some();
        let path = table.path("path", base);
        if !given {
            table.missing("path", "expected `path = \"…\"`, a directory of its own");
        }
        let weight = small(table, "weight", 0..=MOST_WEIGHT, "0 for nothing new", 1);
        let keep_free = table.integer("keep_free_mib", 0..=MOST_MIB, "MiB");
        let keep_free = keep_free.map(|got| ByteSize(got.value << 20));
        path.map(|Got { value, place }| Got {
            value: RootConfig { path: value, weight, keep_free },
            place,
        })
    });
    roots.map(|roots| roots.into_iter().flatten().collect())
}

/// `scratch`, as one path or as a list, or `local_dir` as the fleet calls the one.
fn scratch(root: &Table, base: &Path) -> Option<Vec<Got<RootConfig>>> {
    let one = |got: Got<PathBuf>| vec![Got { value: RootConfig::at(got.value), place: got.place }];
    let is_variable = |place: &Place| match place {
        Place::Variable { .. } => true,
        Place::Line { .. } | Place::File { .. } | Place::Default {} => false,
    };
    let ours = match root.is_list("scratch") {
        true => listed(root, "scratch", base),
        false => root.path("scratch", base).map(one),
    };
    let fleets = root.path("local_dir", base);
    match (ours, fleets) {
        (Some(ours), Some(fleets)) => {
            let place = ours.first().map(|first| &first.place);
            let overrides = place.is_some_and(is_variable);
            if is_variable(&fleets.place) && !overrides {
                return Some(one(fleets));
            }
            if is_variable(&fleets.place) == overrides {
                let ours = place.map_or_else(String::new, |place| format!(" ({place})"));
                root.reading().refuse(
                    fleets.place,
                    "local_dir",
                    format!("`local_dir` and `scratch`{ours} are two names for one thing"),
                    "expected one of them".to_owned(),
                );
            }
            Some(ours)
        }
        (ours, fleets) => ours.or(fleets.map(one)),
    }
}
