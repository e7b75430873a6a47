//! Logs: for people on the terminal, as lines of JSON in files that roll daily, and of every sector
//! in a file of its own. Records of the proofs library come through `log` and are taken in.
//!
//! Every line goes one way: `layer` makes a [`Line`] of it, the latest stay in memory, and threads
//! write the files. Whoever logs waits for none of that.

mod files;
mod keeper;
mod layer;
mod line;
mod overheard;
mod query;
mod ring;
#[cfg(test)]
mod tests;

use std::io::{self, IsTerminal as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, SystemTime};

use tokio::sync::{Semaphore, oneshot, watch};
use tracing::Subscriber;
use tracing_appender::non_blocking::WorkerGuard;
use tracing_appender::rolling::{InitError, RollingFileAppender, Rotation};
use tracing_subscriber::filter::{ParseError, filter_fn};
use tracing_subscriber::layer::{Filter, Layer, SubscriberExt};
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};
use tracing_subscriber::{EnvFilter, Registry, fmt, reload};

pub use self::line::{About, Level, Line, LineId, OF_CHILD, OF_CHILD_OURS, Written};
pub use self::overheard::overhear;
pub use self::query::{Page, Query};

use self::files::{Keep, SectorFiles};
use self::keeper::Keeper;
use self::layer::Keeping;
use self::overheard::overhearing;
use self::ring::Ring;
use crate::domain::ids::{ActorId, SectorNumber};
use crate::within::SHORT_LIMIT;

/// How many days of log files are kept.
const DAYS_KEPT: usize = 30;
/// What is kept of sectors that are over, and how often that is seen to.
const KEEP: Keep = Keep { longest: Duration::from_secs(90 * 86_400), most_bytes: 2 << 30 };
const SWEEP_EVERY: Duration = Duration::from_secs(6 * 3_600);
/// Looks into sectors' logs at the same time: those at a disk that hangs must not pile up.
const LOOKS: usize = 8;

#[derive(Debug, thiserror::Error)]
pub enum LogError {
    #[error(
        "`log = \"{filter}\"` is no log filter ({source}): write a level as in \"info\", or levels \
         by module as in \"info,sealbox=debug\""
    )]
    Filter { filter: String, source: ParseError },
    #[error("the log files cannot be written in {dir} ({source}): see who owns that directory")]
    Files { dir: String, source: InitError },
    #[error("the log directory {dir} cannot be made ({source}): see who owns the one above it")]
    Directory { dir: String, source: io::Error },
    #[error("there is no thread for the sectors' logs ({0}): raise the limit (`ulimit -u`)")]
    Thread(io::Error),
    #[error("the log filter cannot be changed any more ({0}): start sealbox again")]
    Fixed(#[from] reload::Error),
    #[error("logging was set up twice ({0}): this is a bug, report it")]
    Twice(#[from] TryInitError),
}

/// Checks a filter without setting anything up.
///
/// # Errors
/// [`LogError::Filter`].
pub fn check_filter(filter: &str) -> Result<EnvFilter, LogError> {
    EnvFilter::try_new(filter)
        .map_err(|source| LogError::Filter { filter: filter.to_owned(), source })
}

/// What is logged, to be changed while the process runs. A clone is the same.
#[derive(Debug, Clone)]
pub struct LogFilter(reload::Handle<EnvFilter, Registry>);

impl LogFilter {
    /// Of no log at all.
    #[cfg(test)]
    pub fn of_nothing() -> Self {
        Self(reload::Layer::new(EnvFilter::default()).1)
    }

    /// # Errors
    /// A filter that does not parse. Nothing has changed then.
    pub fn change(&self, filter: &str) -> Result<(), LogError> {
        Ok(self.0.reload(check_filter(filter)?)?)
    }
}

/// Sets logging up for an attempt's process: one line a record to standard error, as the box reads
/// it. Time and span are added there.
///
/// # Errors
/// A filter that does not parse.
pub fn set_up_for_attempt(filter: &str) -> Result<(), LogError> {
    let lines = fmt::layer().with_writer(io::stderr).with_ansi(false).without_time();
    subscriber(lines, check_filter(filter)?).try_init()?;
    Ok(())
}

/// What is logged goes by the filter; what is overheard does not.
fn subscriber(
    logged: impl Layer<Registry> + Send + Sync + 'static,
    filter: impl Filter<Registry> + Send + Sync + 'static,
) -> impl Subscriber + Send + Sync + 'static {
    tracing_subscriber::registry().with(logged.with_filter(filter)).with(overhearing())
}

/// Does something under a log of this filter, written nowhere.
#[cfg(test)]
pub fn with_log_of<T>(filter: &str, work: impl FnOnce() -> T) -> T {
    let (filter, _handle) = reload::Layer::new(check_filter(filter).expect("a filter"));
    let nowhere = fmt::layer().with_writer(io::sink);
    tracing::subscriber::with_default(subscriber(nowhere, filter), work)
}

/// As a process that seals has it: the libraries log through the crate `log`, and that knows one
/// place in a process.
#[cfg(test)]
pub fn overhear_libraries() {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        let set_up = tracing_subscriber::registry().with(overhearing()).try_init();
        set_up.expect("no other test sets a log up for the whole process");
    });
}

/// What logging leaves to the rest of the box.
#[derive(Debug, Clone)]
pub struct Logging {
    pub filter: LogFilter,
    pub logs: Logs,
}

/// Sees to it that the last lines are written; to be dropped last.
pub struct LogGuard {
    logs: Logs,
    _file: WorkerGuard,
}

impl Drop for LogGuard {
    fn drop(&mut self) {
        self.logs.0.keeper.flush();
    }
}

/// Sets logging up for the process. What is still on its way to the files is written when the guard
/// is dropped.
///
/// # Errors
/// A filter that does not parse; a directory that cannot be written.
pub fn set_up(dir: &Path, filter: &str, miner: ActorId) -> Result<(LogGuard, Logging), LogError> {
    let logs = Logs::open(dir, miner)?;
    let files = RollingFileAppender::builder()
        .rotation(Rotation::DAILY)
        .filename_prefix("sealbox")
        .filename_suffix("jsonl")
        .max_log_files(DAYS_KEPT)
        .build(dir)
        .map_err(|source| LogError::Files { dir: dir.display().to_string(), source })?;
    // A log that cannot be written must not hold up the work: lines are dropped then.
    let (writer, file) = tracing_appender::non_blocking(files);
    // People want to know what the box does; the library's steps are in the files.
    let for_people = filter_fn(|about| {
        about.target().starts_with("sealbox") || *about.level() <= tracing::Level::WARN
    });
    let terminal = fmt::layer()
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal())
        .with_target(false)
        .with_filter(for_people);
    let (filter, handle) = reload::Layer::new(check_filter(filter)?);
    let logged = terminal.and_then(Keeping::new(logs.clone(), writer));
    subscriber(logged, filter).try_init()?;
    let guard = LogGuard { logs: logs.clone(), _file: file };
    Ok((guard, Logging { filter: LogFilter(handle), logs }))
}

/// Whose lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whose {
    /// All of the box.
    Box,
    Sector(SectorNumber),
}

/// The lines of the log. A clone is the same.
#[derive(Debug, Clone)]
pub struct Logs(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    ring: Ring,
    files: SectorFiles,
    keeper: Keeper,
    /// Counts up when there is more of any log.
    moved: watch::Sender<u64>,
    looks: Arc<Semaphore>,
}

/// What was found, and why that may not be all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Found {
    pub page: Page,
    pub trouble: Option<String>,
}

impl Logs {
    /// Makes the directories, and remembers the end of the newest file of the box's log.
    ///
    /// # Errors
    /// They cannot be made; the system gives no thread.
    pub fn open(dir: &Path, miner: ActorId) -> Result<Self, LogError> {
        let sectors = dir.join("sectors");
        std::fs::create_dir_all(&sectors)
            .map_err(|source| LogError::Directory { dir: sectors.display().to_string(), source })?;
        let ring = Ring::remembering(dir);
        let files = SectorFiles::new(sectors, miner);
        let moved = watch::Sender::new(0);
        let keeper = Keeper::start(files.clone(), moved.clone()).map_err(LogError::Thread)?;
        let looks = Arc::new(Semaphore::new(LOOKS));
        Ok(Self(Arc::new(Inner { ring, files, keeper, moved, looks })))
    }

    /// Gives a line its place, remembers it, and has it written to its sector's log. Never waits
    /// for a disk.
    pub fn take(&self, line: Line) -> Arc<Line> {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let now = LineId(u64::try_from(since.as_micros()).unwrap_or_default());
        let line = self.0.ring.push(line, now, |line| {
            if line.about.sector.is_some() {
                self.0.keeper.keep(Arc::clone(line));
            }
        });
        self.0.moved.send_modify(|count| *count += 1);
        line
    }

    /// Of the lines in memory, those that are wanted.
    pub fn of_box(&self, query: &Query) -> Page {
        self.0.ring.select(query)
    }

    /// Of a sector's log, what is wanted. Where that cannot be read, of the lines in memory.
    pub async fn of_sector(&self, sector: SectorNumber, query: &Query) -> Found {
        match self.read(sector, query).await {
            Ok(page) => Found { page, trouble: None },
            Err(why) => {
                let query = Query { sector: Some(sector), ..query.clone() };
                let trouble = format!(
                    "its file cannot be read ({why}): these are the lines that are still in memory; \
                     look at the disk of the data directory (`dmesg`)"
                );
                Found { page: self.of_box(&query), trouble: Some(trouble) }
            }
        }
    }

    /// On a thread that may hang.
    async fn read(&self, sector: SectorNumber, query: &Query) -> Result<Page, String> {
        let hung = || format!("no answer for {} s", SHORT_LIMIT.as_secs());
        let look = Arc::clone(&self.0.looks);
        let look = tokio::time::timeout(SHORT_LIMIT, look.acquire_owned()).await;
        let look = look.map_err(|_| hung())?.map_err(|error| error.to_string())?;
        let (files, query) = (self.0.files.clone(), query.clone());
        let (sender, found) = oneshot::channel();
        let read = move || {
            let found = files.select(sector, &query);
            drop(look);
            // Who asked may have stopped waiting.
            drop(sender.send(found));
        };
        let thread = thread::Builder::new().name("log".to_owned()).spawn(read);
        thread.map_err(|error| error.to_string())?;
        let found = tokio::time::timeout(SHORT_LIMIT, found).await.map_err(|_| hung())?;
        found.map_err(|error| error.to_string())?.map_err(|error| error.to_string())
    }

    /// The last line there is to be shown; none if that is not known.
    pub fn latest(&self, whose: Whose) -> Option<LineId> {
        match whose {
            Whose::Box => self.0.ring.last(),
            Whose::Sector(sector) => self.0.keeper.latest(sector),
        }
    }

    /// Wakes when there is more of any log.
    pub fn moved(&self) -> watch::Receiver<u64> {
        self.0.moved.subscribe()
    }

    /// From now on, deletes old logs of sectors that are over: now and then, on a thread of its own.
    ///
    /// # Errors
    /// The system gives no thread.
    pub fn sweep(&self, is_over: impl Fn(SectorNumber) -> bool + Send + 'static) -> io::Result<()> {
        let files = self.0.files.clone();
        let sweep = move || {
            loop {
                match files.sweep(SystemTime::now(), KEEP, &is_over) {
                    Ok(swept) if swept == files::Swept::default() => {}
                    Ok(swept) => tracing::info!(
                        older_than_90_days = swept.too_old,
                        beyond_2_gib_in_all = swept.too_many,
                        "logs of sectors that are over were deleted"
                    ),
                    Err(error) => tracing::warn!(%error, "old logs of sectors cannot be deleted"),
                }
                thread::sleep(SWEEP_EVERY);
            }
        };
        thread::Builder::new().name("log-sweep".to_owned()).spawn(sweep).map(drop)
    }

    /// Waits until everything is written.
    #[cfg(test)]
    pub fn flush(&self) {
        self.0.keeper.flush();
    }
}

/// Where the log files are.
pub fn dir(data_dir: &Path) -> PathBuf {
    data_dir.join("logs")
}
