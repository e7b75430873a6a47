//! What was recorded of P1's layers, and which of them may still be built upon.
//!
//! A layer is made from the one before it, and the library asks of a layer on disk only whether it
//! has the right size. So what is kept is always an unbroken run from the first layer on, and a
//! layer that is not what it was takes everything after it along.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::outputs::{self, Binding, Unusable};
use crate::domain::failure::{Class, Failure};
use crate::domain::ids::Bytes32;
use crate::domain::layout::CacheFile;
use crate::domain::progress::{Progress, Tell};
use crate::engine::files::Unreadable;
use crate::engine::{Job, files};

/// The layers that were synced and digested.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LayerRecords {
    /// The boot in which all of these digests were last right.
    pub boot: Option<String>,
    /// By the layer's number, from 1.
    pub layers: BTreeMap<u32, LayerRecord>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct LayerRecord {
    pub bytes: u64,
    pub blake3: Bytes32,
}

/// How much of an earlier attempt is whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Whole {
    /// Layers, from the first on.
    pub layers: u32,
    /// The next one is on record, but is not what was recorded.
    pub damaged: bool,
}

pub fn path(job: &Job, layer: u32) -> PathBuf {
    job.cache.join(CacheFile::Layer(layer).name(job.size))
}

/// Whether the layer has its final name and its full size. The library renames it to that name
/// when it is complete.
pub fn is_complete(job: &Job, layer: u32) -> Result<bool, Failure> {
    Ok(files::length(&path(job, layer))? == Some(job.size.bytes()))
}

/// What is on record for this sector and ticket; nothing, if the record cannot be used.
pub fn recorded(job: &Job, binding: &Binding) -> LayerRecords {
    match outputs::look_up(&job.cache, outputs::LAYERS, binding) {
        Ok(records) => records,
        Err(Unusable::Unreadable(Unreadable::Absent)) => LayerRecords::default(),
        Err(unusable) => {
            let file = outputs::path(&job.cache, outputs::LAYERS);
            tracing::warn!(file = %file.display(), reason = %unusable, "layer digests are not used");
            LayerRecords::default()
        }
    }
}

pub fn keep(job: &Job, binding: &Binding, records: &LayerRecords) -> Result<(), Failure> {
    outputs::keep(&job.cache, outputs::LAYERS, binding, records)
}

/// Reads what is on record and compares. `unrecorded` layers count as whole only where nothing
/// but this process can have been interrupted: then what was written is what is read.
pub fn whole(
    job: &Job,
    records: &LayerRecords,
    unrecorded: bool,
    tell: Tell<'_>,
) -> Result<Whole, Failure> {
    let mut reading = Reading { job, tell, done: 0, total: bytes_to_read(job, records)? };
    for layer in 1..=job.size.layers() {
        let before = layer - 1;
        let complete = is_complete(job, layer)?;
        match records.layers.get(&layer) {
            Some(record) if complete && reading.matches(layer, record) => {}
            Some(_) => {
                let file = path(job, layer);
                tracing::warn!(layer, file = %file.display(), "a layer is not what was recorded");
                return Ok(Whole { layers: before, damaged: true });
            }
            None if complete && unrecorded => {}
            None => return Ok(Whole { layers: before, damaged: false }),
        }
    }
    Ok(Whole { layers: job.size.layers(), damaged: false })
}

fn bytes_to_read(job: &Job, records: &LayerRecords) -> Result<u64, Failure> {
    let mut total = 0;
    for &layer in records.layers.keys() {
        total += files::length(&path(job, layer))?.unwrap_or(0);
    }
    Ok(total)
}

struct Reading<'a> {
    job: &'a Job,
    tell: Tell<'a>,
    done: u64,
    total: u64,
}

impl Reading<'_> {
    /// A layer that cannot be read is as good as one that is wrong: it can be made again.
    fn matches(&mut self, layer: u32, record: &LayerRecord) -> bool {
        let path = path(self.job, layer);
        tracing::info!(layer, bytes = record.bytes, "comparing a layer with its digest");
        let found = fs::File::open(&path).and_then(|mut file| {
            files::digest(&mut file, &mut |read| {
                self.done += read;
                let (done_bytes, total_bytes) = (self.done, self.total);
                (self.tell)(Progress::Checking { done_bytes, total_bytes });
            })
        });
        match found {
            Ok(found) => found == (record.bytes, record.blake3),
            Err(error) => {
                tracing::warn!(file = %path.display(), %error, "a layer cannot be read");
                false
            }
        }
    }
}

/// Before P2 builds on the layers. Reading all of them takes minutes at 32 GiB, so it is done only
/// where something may have happened to them since: the machine was restarted, or an attempt
/// failed with them. Their sizes are looked at each time, by the caller.
pub fn check_before_use(job: &Job, binding: &Binding) -> Result<(), Failure> {
    let mut records = recorded(job, binding);
    let boot = boot_id();
    let same_boot = boot.is_some() && records.boot == boot;
    if records.layers.is_empty() || (same_boot && !outputs::is_suspect(&job.cache)) {
        return Ok(());
    }
    tracing::info!("the layers are compared with their digests before P2 uses them");
    let found = whole(job, &records, true, &|_| {})?;
    if found.layers < job.size.layers() {
        let failure = Failure::new(
            Class::Sector,
            "a layer is not what P1 made: the scratch disk changed it",
            "check the disk (`dmesg`, `smartctl`), then redo the sector from P1: layers before \
             this one are kept",
        )
        .at(path(job, found.layers + 1));
        outputs::suspect(&job.cache, binding, &failure);
        return Err(failure);
    }
    records.boot = boot;
    keep(job, binding, &records)
}

/// Changes with every boot of the machine; `None` where the kernel does not say.
pub fn boot_id() -> Option<String> {
    fs::read_to_string("/proc/sys/kernel/random/boot_id").ok().map(|id| id.trim().to_owned())
}
