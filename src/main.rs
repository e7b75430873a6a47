//! Starts what the command line asks for.

use std::os::unix::process::CommandExt as _;
use std::process::{Command, ExitCode};

use sealbox::app;
use sealbox::cli::{self, Exit};
use sealbox::config::Config;
use sealbox::engine::filecoin::settings;
use sealbox::logs;
use sealbox::scheduler::run::Then;

fn main() -> ExitCode {
    let cli = cli::parse();
    cli::dispatch(&cli, run).into()
}

fn run(config: Config) -> Exit {
    let parents = config.data_dir.join("parents");
    let is_set = |key: &str| std::env::var_os(key).is_some();
    let variables = settings::prepare(&config.parameters, &parents, is_set);
    // SAFETY: nothing has started a thread yet; the runtime, the log and the workers come after.
    unsafe { settings::set(&variables) };
    let ended = logs::set_up(&app::log_dir(&config.data_dir), &config.log)
        .map_err(anyhow::Error::from)
        .and_then(|guard| {
            let ended = app::run(config).map_err(anyhow::Error::from);
            drop(guard);
            ended
        });
    match ended {
        Ok(Then::Stop) => Exit::Done,
        Ok(Then::Restart) => {
            // Only returns if it did not work.
            let error = Command::new("/proc/self/exe").args(std::env::args_os().skip(1)).exec();
            eprintln!("sealbox could not start itself again ({error}): start it by hand");
            Exit::Failed
        }
        Err(error) => {
            eprintln!("sealbox cannot run: {error}");
            match error.downcast_ref::<app::StartError>() {
                Some(start) if start.is_occupied() => Exit::Busy,
                Some(_) | None => Exit::Failed,
            }
        }
    }
}
