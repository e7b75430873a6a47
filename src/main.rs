//! Starts what the command line asks for.

use std::os::unix::process::CommandExt as _;
use std::process::{Command, ExitCode};

use sealbox::app;
use sealbox::cli::{self, Exit, Refusal};
use sealbox::config::{Config, Origin};
use sealbox::engine::filecoin::settings;
use sealbox::failpoint;
use sealbox::logs;
use sealbox::scheduler::run::Then;

fn main() -> ExitCode {
    failpoint::set_up();
    let cli = cli::parse();
    cli::dispatch(&cli, run).into()
}

fn run(config: Config, origin: Origin) -> Result<(), Refusal> {
    let parents = config.data_dir.join("parents");
    let is_set = |key: &str| std::env::var_os(key).is_some();
    let variables = settings::prepare(&config.parameters, &parents, is_set);
    // SAFETY: nothing has started a thread yet; the runtime, the log and the workers come after.
    unsafe { settings::set(&variables) };
    // The reason says what to do as well.
    let cannot = |why: &dyn std::error::Error, exit| {
        Refusal::new(exit, format!("sealbox cannot run: {why}"), "")
    };
    let (guard, logging) = logs::set_up(&logs::dir(&config.data_dir), &config.log, config.miner)
        .map_err(|error| cannot(&error, Exit::Failed))?;
    let then = app::run(config, origin, logging).map_err(|error| {
        let exit = if error.is_occupied() { Exit::Busy } else { Exit::Failed };
        cannot(&error, exit)
    })?;
    drop(guard);
    match then {
        Then::Stop => Ok(()),
        Then::Restart => Err(replace_this_process()),
    }
}

/// Only returns if it did not work.
fn replace_this_process() -> Refusal {
    let error = Command::new("/proc/self/exe").args(std::env::args_os().skip(1)).exec();
    let what = format!("sealbox could not start itself again ({error})");
    Refusal::new(Exit::Failed, what, "start it by hand")
}
