//! Puts P1's layers on record while the library makes the next ones.
//!
//! The library says nothing between its start and its end, hours later. But it writes each layer
//! under a temporary name and renames it when it is complete: that is looked for.

use std::collections::BTreeMap;
use std::fs::File;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use super::Hooks;
use super::layers::{self, LayerRecord, LayerRecords};
use super::outputs::Binding;
use crate::domain::failure::{Class, Failure};
use crate::domain::progress::{Progress, Tell};
use crate::engine::{Job, files};
use crate::failpoint::die_at;

/// Between two looks. A look is one `stat` for each layer; a layer takes minutes at 32 GiB.
const INTERVAL: Duration = Duration::from_millis(250);

/// Syncs, digests and records the layers of one attempt.
pub struct Recorder<'a> {
    job: &'a Job,
    binding: &'a Binding,
    records: LayerRecords,
    /// Layers that could not be recorded. They are left alone until the labelling is over.
    troubles: BTreeMap<u32, Failure>,
}

impl<'a> Recorder<'a> {
    /// `records` are of layers that are there and match.
    pub fn new(job: &'a Job, binding: &'a Binding, records: LayerRecords) -> Self {
        Self { job, binding, records, troubles: BTreeMap::new() }
    }

    /// Runs `work` with a thread beside it that records what becomes complete. Whatever happens to
    /// that thread, the work goes on; what it left out is [`Recorder::finish`]'s.
    pub fn beside<T>(&mut self, hooks: &Hooks, tell: Tell<'_>, work: impl FnOnce() -> T) -> T {
        let span = tracing::Span::current();
        thread::scope(|scope| {
            // Made in here, so that a panic of the work drops its end and the thread stops.
            let (working, over) = channel();
            let watch = move || {
                let _entered = span.entered();
                (hooks.thread_started)();
                self.watch(&over, tell);
            };
            let name = "p1-layers".to_owned();
            let watcher = thread::Builder::new().name(name).spawn_scoped(scope, watch);
            let made = work();
            drop::<std::sync::mpsc::Sender<()>>(working);
            match watcher.map(thread::ScopedJoinHandle::join) {
                Ok(Ok(())) => {}
                Ok(Err(_)) => tracing::warn!("recording layers panicked; they are recorded now"),
                Err(error) => tracing::warn!(%error, "no thread to record layers beside P1"),
            }
            made
        })
    }

    fn watch(&mut self, over: &Receiver<()>, tell: Tell<'_>) {
        loop {
            self.look(tell);
            match over.recv_timeout(INTERVAL) {
                Err(RecvTimeoutError::Timeout) => {}
                Ok(()) | Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    fn look(&mut self, tell: Tell<'_>) {
        let of = self.job.size.layers();
        // A layer that cannot be looked at now is complete some other time.
        let complete: Vec<u32> = (1..=of)
            .filter(|&layer| layers::is_complete(self.job, layer).unwrap_or(false))
            .collect();
        let done = u32::try_from(complete.len()).expect("as many as layers at most");
        tell(Progress::Layers { done, of });
        for layer in complete {
            if self.records.layers.contains_key(&layer) || self.troubles.contains_key(&layer) {
                continue;
            }
            if let Err(failure) = self.record(layer) {
                tracing::warn!(layer, %failure, "a layer is not recorded; P1 goes on");
                self.troubles.insert(layer, failure);
            }
        }
    }

    /// Records what is not yet on record. Then every layer is.
    pub fn finish(&mut self) -> Result<(), Failure> {
        for layer in 1..=self.job.size.layers() {
            if !self.records.layers.contains_key(&layer) {
                self.record(layer)
                    .map_err(|failure| self.troubles.remove(&layer).unwrap_or(failure))?;
            }
        }
        Ok(())
    }

    fn record(&mut self, layer: u32) -> Result<(), Failure> {
        let path = layers::path(self.job, layer);
        let failed = |doing| {
            let path = path.clone();
            move |error: std::io::Error| Failure::io(doing, &path, &error)
        };
        let mut file = File::open(&path).map_err(failed("opening a finished layer"))?;
        die_at("p1.layer_complete");
        if let Err(error) = file.sync_all() {
            // The system tells of lost writes once. Asked again it says that all is well, so the
            // layer must not be there for anyone to ask.
            files::remove_if_there(&path)?;
            return Err(failed("syncing a finished layer")(error));
        }
        die_at("p1.layer_synced");
        files::sync_directory(&self.job.cache)?;
        die_at("p1.layer_named");
        let (bytes, blake3) =
            files::digest(&mut file, &mut |_| {}).map_err(failed("digesting a finished layer"))?;
        if bytes != self.job.size.bytes() {
            let mend = "it is tried again by itself; if it stays, check the scratch disk (`dmesg`)";
            let detail = format!("{bytes} bytes instead of {}", self.job.size.bytes());
            return Err(Failure::new(Class::Transient, "a finished layer changed its size", mend)
                .at(path)
                .detail(detail));
        }
        die_at("p1.layer_digested");
        let mut records = self.records.clone();
        records.layers.insert(layer, LayerRecord { bytes, blake3 });
        layers::keep(self.job, self.binding, &records)?;
        die_at("p1.layer_recorded");
        self.records = records;
        tracing::info!(layer, of = self.job.size.layers(), "a layer is synced and on record");
        Ok(())
    }
}
