//! Logs: for people on the terminal, as JSON in files that roll daily. Records of the proofs
//! library come through `log` and are taken in.

use std::io::IsTerminal as _;
use std::path::Path;

use tracing::Level;
use tracing_appender::non_blocking::WorkerGuard;
use tracing_appender::rolling::{InitError, RollingFileAppender, Rotation};
use tracing_subscriber::filter::{ParseError, filter_fn};
use tracing_subscriber::layer::{Layer as _, SubscriberExt};
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};
use tracing_subscriber::{EnvFilter, Registry, fmt, reload};

/// How many days of log files are kept.
const DAYS_KEPT: usize = 30;

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
    Directory { dir: String, source: std::io::Error },
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
    let lines = fmt::layer().with_writer(std::io::stderr).with_ansi(false).without_time();
    tracing_subscriber::registry().with(check_filter(filter)?).with(lines).try_init()?;
    Ok(())
}

/// Sets logging up for the process. What is still on its way to the file is written when the guard
/// is dropped.
///
/// # Errors
/// A filter that does not parse; a directory that cannot be written.
pub fn set_up(dir: &Path, filter: &str) -> Result<(WorkerGuard, LogFilter), LogError> {
    std::fs::create_dir_all(dir)
        .map_err(|source| LogError::Directory { dir: dir.display().to_string(), source })?;
    let files = RollingFileAppender::builder()
        .rotation(Rotation::DAILY)
        .filename_prefix("sealbox")
        .filename_suffix("jsonl")
        .max_log_files(DAYS_KEPT)
        .build(dir)
        .map_err(|source| LogError::Files { dir: dir.display().to_string(), source })?;
    // A log that cannot be written must not hold up the work: lines are dropped then.
    let (writer, guard) = tracing_appender::non_blocking(files);
    // People want to know what the box does; the library's steps are in the files.
    let for_people =
        filter_fn(|about| about.target().starts_with("sealbox") || *about.level() <= Level::WARN);
    let terminal = fmt::layer()
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false)
        .with_filter(for_people);
    let (filter, handle) = reload::Layer::new(check_filter(filter)?);
    tracing_subscriber::registry()
        .with(filter)
        .with(terminal)
        .with(fmt::layer().json().with_current_span(true).with_span_list(false).with_writer(writer))
        .try_init()?;
    Ok((guard, LogFilter(handle)))
}
