//! An attempt in a process of its own: what `sealbox attempt` does. The box starts it, and nobody
//! else; `engine::isolated` is the box's side.

use std::fs;
use std::io::{self, Write};
use std::sync::{Mutex, PoisonError};

use rustix::process::{Signal, getppid, set_parent_process_death_signal};
use tokio::signal::unix::{SignalKind, signal};

use super::panics;
use crate::engine::claim::Claim;
use crate::engine::isolated::{Request, Said};
use crate::logs;

/// Why it could not even begin. Nobody but the box reads it.
#[derive(Debug, thiserror::Error)]
pub enum CannotBegin {
    #[error("{0}")]
    System(#[from] io::Error),
    #[error("no request came: `sealbox attempt` is started by the box, and by nobody else ({0})")]
    Request(#[from] serde_json::Error),
    #[error("the box that asked for this is gone")]
    Orphaned,
    #[error("{0}")]
    Log(#[from] logs::LogError),
}

/// Reads the request, does it, says what came of it.
///
/// # Errors
/// When there is nothing to do, or nobody to do it for.
pub fn serve() -> Result<(), CannotBegin> {
    let request = begin()?;
    logs::set_up_for_attempt(&request.log)?;
    panics::install_hook();
    // What the kernel ends for want of memory should be this and not the box.
    if let Err(error) = fs::write("/proc/self/oom_score_adj", "500") {
        tracing::debug!(%error, "not marked for the OOM killer");
    }
    let said = match panics::caught(|| carry_out(request)) {
        Ok(result) => Said::Ended(result),
        Err(panics::Caught { message, backtrace }) => Said::Panicked { message, backtrace },
    };
    say(&said);
    Ok(())
}

/// Makes sure, before anything is touched, that this process ends with the box.
fn begin() -> Result<Request, CannotBegin> {
    set_parent_process_death_signal(Some(Signal::KILL)).map_err(io::Error::from)?;
    let request: Request = serde_json::from_reader(io::stdin().lock())?;
    // The box may have died before the line above: then no signal will come.
    let parent = getppid().and_then(|parent| u32::try_from(parent.as_raw_nonzero().get()).ok());
    if parent != Some(request.parent) {
        return Err(CannotBegin::Orphaned);
    }
    outlast_a_stop()?;
    Ok(request)
}

/// A service manager sends SIGTERM to all of a service's processes; the box decides what that
/// means, and attempts may finish. Once it listens, a signal no longer has its default effect.
fn outlast_a_stop() -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let _entered = runtime.enter();
    for kind in [SignalKind::terminate(), SignalKind::interrupt(), SignalKind::hangup()] {
        drop(signal(kind)?);
    }
    Ok(())
}

fn carry_out(request: Request) -> Result<serde_json::Value, crate::domain::failure::Failure> {
    let Request { claim, engine, call, .. } = request;
    let _claim = claim.map(|path| Claim::take(&path)).transpose()?;
    call.of(&*engine.engine(), &|progress| say(&Said::Progress(progress)))
}

/// One line, in one write, on a line of its own whatever else has been written there.
fn say(said: &Said) {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let text = serde_json::to_string(said).expect("it is made of text and numbers");
    let mut out = io::stdout().lock();
    // Without a box to read it, the kernel is about to end this process.
    let _ = out.write_all(format!("\n{text}\n").as_bytes()).and_then(|()| out.flush());
}
