//! The command line: runs the box, checks a configuration, or asks a running box.

mod access;
mod adopt;
mod args;
mod ask;
mod check;
mod client;
mod doctor;
mod exit;
mod fetch;
mod journal;
mod log;
mod print;
#[cfg(test)]
mod tests;
mod verify;

use std::io::{self, Write};
use std::path::PathBuf;

use clap::Parser;
use serde_json::{Value, json};

use crate::access::local_secret;
use crate::config::{Config, ConfigErrors, Origin, TOKEN_VARIABLE};
use crate::domain::porep::SealKind;
use crate::domain::units::Seq;
use crate::tls::in_use;
use crate::worker::apart;

pub use args::{Cli, Command, DataDir, JournalCommand, ParamsOrder, Request, TokenCommand};
pub use exit::Exit;

/// Reads the command line. Help, and what cannot be understood, end the process here: with 0, and
/// with [`Exit::Usage`].
pub fn parse() -> Cli {
    Cli::try_parse().unwrap_or_else(|error| {
        if error.use_stderr() && std::env::args_os().any(|argument| argument == "--json") {
            let what = error.to_string();
            let what = what.lines().next().unwrap_or_default().trim_start_matches("error: ");
            let refusal = Refusal::new(Exit::Usage, what, "see `sealbox --help`");
            print(&mut io::stdout(), &pretty(&refusal.json()));
        }
        error.exit()
    })
}

/// The configuration that this command line and the process's environment ask for.
///
/// # Errors
/// As [`Config::load`].
pub fn load_config(cli: &Cli) -> Result<Config, ConfigErrors> {
    origin(cli).load()
}

fn origin(cli: &Cli) -> Origin {
    Origin::of_process(cli.config.as_deref())
}

/// Does what the command line says; `run` runs the box.
pub fn dispatch(cli: &Cli, run: impl FnOnce(Config, Origin) -> Result<(), Refusal>) -> Exit {
    let answer = match cli.wanted() {
        Command::Run => {
            // Before anything else changes the environment.
            let origin = origin(cli);
            let config = origin.load().map_err(Refusal::from);
            match config.and_then(|config| run(config, origin)) {
                Ok(()) => return Exit::Done,
                Err(refusal) => Err(refusal),
            }
        }
        Command::CheckConfig => load_config(cli).map(|c| check::answer(&c)).map_err(Refusal::from),
        Command::Openapi => {
            let document = crate::web::api::document();
            match writeln!(io::stdout(), "{document:#}") {
                Ok(()) => return Exit::Done,
                Err(error) => Err(Refusal::new(Exit::Failed, error.to_string(), "")),
            }
        }
        Command::Doctor => load_config(cli).map_err(Refusal::from).and_then(|c| doctor::answer(&c)),
        Command::AdoptRoot { path } => {
            load_config(cli).map_err(Refusal::from).and_then(|config| adopt::answer(&config, &path))
        }
        Command::Journal(JournalCommand::Verify { of }) => {
            data_dir(cli, of).and_then(|data| journal::verify(&data))
        }
        Command::Journal(JournalCommand::Export { sector, from, of }) => {
            let exported = data_dir(cli, of)
                .and_then(|data| journal::export(&data, sector, Seq(from), &mut io::stdout()));
            match exported {
                Ok(()) => return Exit::Done,
                Err(refusal) => Err(refusal),
            }
        }
        Command::Backup { dir, of } => {
            data_dir(cli, of).and_then(|data| journal::backup(&data, &dir))
        }
        Command::Passwd { role, remove, of } => {
            data_dir(cli, of).and_then(|data| access::passwd(&data, role, remove))
        }
        Command::Token(command) => {
            data_dir(cli, command.of().clone()).and_then(|data| access::token(&data, &command))
        }
        Command::Attempt { .. } => match apart::serve() {
            Ok(()) => return Exit::Done,
            Err(error) => Err(Refusal::new(Exit::Failed, error.to_string(), "")),
        },
        Command::Params { order: None } => client_of(cli).and_then(|client| ask::params(&client)),
        Command::Params { order: Some(ParamsOrder::Fetch { sector_size, post }) } => {
            load_config(cli).map_err(Refusal::from).and_then(|config| {
                let size = sector_size.unwrap_or(config.sector_size);
                fetch::answer(&config, SealKind::new(size, config.porep), post)
            })
        }
        Command::Ask(Request::Log(lines)) if lines.follow => {
            let followed = client_of(cli)
                .and_then(|client| log::follow(&client, &lines, cli.json, &mut io::stdout()));
            match followed {
                Ok(()) => return Exit::Done,
                Err(refusal) => Err(refusal),
            }
        }
        Command::Ask(request) => client_of(cli).and_then(|client| ask::ask(&client, &request)),
    };
    report(cli.json, answer, &mut io::stdout(), &mut io::stderr())
}

/// With `--data-dir` even a broken configuration does not keep anybody from the journal.
fn data_dir(cli: &Cli, of: DataDir) -> Result<PathBuf, Refusal> {
    match of.data_dir {
        Some(dir) => Ok(dir),
        None => Ok(load_config(cli)?.data_dir),
    }
}

/// With `--url` even a broken configuration does not keep anybody from asking the box. Who asks is
/// said by a token; beside the box, who may read its data directory needs none.
fn client_of(cli: &Cli) -> Result<client::Client, Refusal> {
    let given = || std::env::var(TOKEN_VARIABLE).ok().filter(|token| !token.is_empty());
    let token = cli.token.clone().or_else(given);
    if let Some(url) = &cli.url {
        return client::Client::new(url, client::Papers { token, certificates: Vec::new() });
    }
    let config = load_config(cli)?;
    let token = token.or_else(|| std::fs::read_to_string(local_secret(&config.data_dir)).ok());
    // What it was renewed to counts from the next reload on; until then the box shows the one before.
    let certificates = config.tls.iter();
    let certificates = certificates.flat_map(|tls| [in_use(&config.data_dir), tls.cert.clone()]);
    let papers = client::Papers { token, certificates: certificates.collect() };
    client::Client::new(&config.url(), papers)
}

/// A good answer, for programs and for people.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    pub json: Value,
    pub text: String,
}

/// Why there is no good answer: what failed and where, and what to do now.
#[derive(Debug, Clone, PartialEq)]
pub struct Refusal {
    pub exit: Exit,
    pub what: String,
    pub mend: String,
    /// Further members of the JSON error.
    more: Option<(&'static str, Value)>,
}

impl Refusal {
    pub fn new(exit: Exit, what: impl Into<String>, mend: impl Into<String>) -> Self {
        Self { exit, what: what.into(), mend: mend.into(), more: None }
    }

    /// What `--json` prints.
    pub fn json(&self) -> Value {
        let mut error = json!({ "what": self.what, "mend": self.mend });
        if let Some((name, value)) = &self.more {
            error[*name] = value.clone();
        }
        json!({ "error": error })
    }
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // What takes several lines has its mend on one of its own.
        let between = if self.what.contains('\n') { "\n" } else { "; " };
        f.write_str(&self.what)?;
        if self.mend.is_empty() { Ok(()) } else { write!(f, "{between}{}", self.mend) }
    }
}

impl From<ConfigErrors> for Refusal {
    fn from(errors: ConfigErrors) -> Self {
        let problems = serde_json::to_value(&errors).unwrap_or_default();
        Self {
            more: Some(("problems", problems)),
            ..Self::new(Exit::Usage, errors.to_string(), ConfigErrors::MEND)
        }
    }
}

/// Says it, and returns how the process ends. Refusals go to standard error in any case, and with
/// `--json` to standard output as well.
pub fn report(
    as_json: bool,
    answer: Result<Answer, Refusal>,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> Exit {
    match answer {
        Ok(answer) => {
            print(out, &if as_json { pretty(&answer.json) } else { answer.text });
            Exit::Done
        }
        Err(refusal) => {
            if as_json {
                print(out, &pretty(&refusal.json()));
            }
            print(err, &refusal.to_string());
            refusal.exit
        }
    }
}

fn pretty(value: &Value) -> String {
    serde_json::to_string_pretty(value).unwrap_or_else(|_| value.to_string())
}

/// Whoever closes the pipe, as `head` does, has seen enough: that is no error.
fn print(out: &mut dyn Write, text: &str) {
    let _ = out.write_all(text.trim_end().as_bytes()).and_then(|()| out.write_all(b"\n"));
    let _ = out.flush();
}
