//! What can be said on the command line.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};

use super::{access, exit};
use crate::access::Role;
use crate::domain::ids::SectorNumber;
use crate::domain::order::{ORDER_LIMIT, Place};
use crate::domain::phase::Phase;
use crate::domain::units::SectorSize;
use crate::logs::Level;

/// An all-in-one Filecoin sealing appliance: one binary, one process, no services.
///
/// Without a command it runs the box.
#[derive(Debug, Clone, Parser)]
#[command(name = "sealbox", version, after_help = exit::help())]
pub struct Cli {
    /// The configuration; else SEALBOX_CONFIG, ./appliance.toml, /etc/sealbox/appliance.toml, or
    /// the built-in one
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Answer in JSON on standard output
    #[arg(long, global = true)]
    pub json: bool,
    /// Where the running box answers, if not where the configuration says
    #[arg(long, global = true, value_name = "URL")]
    pub url: Option<String>,
    /// Who asks, where the box wants to know; better in SEALBOX_TOKEN, which others on this machine
    /// do not see
    #[arg(long, global = true, value_name = "TOKEN")]
    pub token: Option<String>,
    #[command(subcommand)]
    pub command: Option<Command>,
}

impl Cli {
    /// What to do; a bare `sealbox` runs.
    pub fn wanted(&self) -> Command {
        self.command.clone().unwrap_or(Command::Run)
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Subcommand)]
pub enum Command {
    /// Run the box until it is stopped
    Run,
    /// Check the configuration, and show what follows from it
    CheckConfig,
    /// Print the OpenAPI document of the JSON API
    Openapi,
    /// Look at disks, permissions, memory, parameters and all else that sealing needs
    Doctor,
    /// Make a scratch or storage directory this box's own, whatever sectors lie in it; the box
    /// must be stopped
    AdoptRoot {
        /// As the configuration has it
        path: PathBuf,
    },
    /// Read the journal itself, whether or not a box runs on it
    #[command(subcommand)]
    Journal(JournalCommand),
    /// Copy the journal, verified, to a directory that is not there yet; the box may run meanwhile
    Backup {
        /// It is made
        dir: PathBuf,
        #[command(flatten)]
        of: DataDir,
    },
    /// Set the password that the page asks for; read without echo, or from standard input
    Passwd {
        /// Whose: operator, who may do everything, or viewer, who may look
        #[arg(long, default_value = "operator", value_parser = access::signing_role)]
        role: Role,
        /// Take it away instead
        #[arg(long)]
        remove: bool,
        #[command(flatten)]
        of: DataDir,
    },
    /// Make, list and revoke bearer tokens for the API and the metrics
    #[command(subcommand)]
    Token(TokenCommand),
    /// One attempt in a process of its own: the box starts it
    #[command(hide = true)]
    Attempt {
        /// For who reads the list of processes
        what: String,
    },
    /// Show where the running box's Groth parameters stand; or fetch those of the trusted set-up
    Params {
        #[command(subcommand)]
        order: Option<ParamsOrder>,
    },
    #[command(flatten)]
    Ask(Request),
}

/// What is done about tokens, whether or not a box runs.
#[derive(Debug, Clone, PartialEq, Eq, Subcommand)]
pub enum TokenCommand {
    /// Make one, and show it once
    Create {
        /// By which it is listed and revoked, and stands in the history
        #[arg(value_parser = access::token_name)]
        name: String,
        /// What it is for: operator (everything), viewer (look), metrics (/metrics alone)
        #[arg(long, default_value = "operator", value_parser = access::any_role)]
        role: Role,
        /// How long it is good for, as in 90d; else for ever
        #[arg(long, value_name = "TIME", value_parser = access::lifetime)]
        expires: Option<Duration>,
        #[command(flatten)]
        of: DataDir,
    },
    /// List all, without what is secret of them
    List {
        #[command(flatten)]
        of: DataDir,
    },
    /// Refuse one from now on
    Revoke {
        /// As the list has it
        name: String,
        #[command(flatten)]
        of: DataDir,
    },
}

impl TokenCommand {
    pub fn of(&self) -> &DataDir {
        match self {
            Self::Create { of, .. } | Self::List { of } | Self::Revoke { of, .. } => of,
        }
    }
}

/// What is done about the parameters, whether or not a box runs.
#[derive(Debug, Clone, PartialEq, Eq, Subcommand)]
pub enum ParamsOrder {
    /// Fetch those of the trusted set-up, verified; what is there and right is kept, and a fetch
    /// that was broken off goes on
    #[command(after_help = FETCH_HELP)]
    Fetch {
        /// 2KiB, 8MiB, 512MiB, 32GiB or 64GiB; else the configuration's
        #[arg(long, value_name = "SIZE")]
        sector_size: Option<SectorSize>,
        /// Those of WindowPoSt as well
        #[arg(long)]
        post: bool,
    },
}

const FETCH_HELP: &str = "IPFS_GATEWAY names mirrors to ask first, with commas between. They go to \
                          FIL_PROOFS_PARAMETER_CACHE, else to `parameters` in the data directory.";

/// What is done with a journal. Nothing of it is changed.
#[derive(Debug, Clone, PartialEq, Eq, Subcommand)]
pub enum JournalCommand {
    /// Read all of it, and say that it is whole or where it is damaged
    Verify {
        #[command(flatten)]
        of: DataDir,
    },
    /// Write its entries as lines of JSON
    Export {
        /// Only this sector's
        #[arg(long)]
        sector: Option<SectorNumber>,
        /// Only from this entry on
        #[arg(long, value_name = "SEQ", default_value_t = 1)]
        from: u64,
        #[command(flatten)]
        of: DataDir,
    },
}

/// Whose journal.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct DataDir {
    /// The box's data directory; else the configuration's
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
}

/// What is asked of a running box.
#[derive(Debug, Clone, PartialEq, Eq, Subcommand)]
pub enum Request {
    /// Order sectors to be sealed
    Pledge {
        /// How many
        #[arg(value_parser = sector_count, allow_negative_numbers = true)]
        count: u64,
        /// 2KiB, 8MiB, 512MiB, 32GiB or 64GiB; else the configuration's
        #[arg(long)]
        size: Option<SectorSize>,
    },
    /// List sectors
    Sectors {
        /// Only those that were issued for this order
        #[arg(long)]
        order: Option<u64>,
        /// Only those in this state: all, in_flight, needs_you (or failed), finished, given_up,
        /// or where they stand, as in P1 or "wait seed"
        #[arg(long)]
        state: Option<String>,
    },
    /// Show one sector; with --json all that is needed to check its seal elsewhere
    Sector {
        /// Its number
        sector: SectorNumber,
    },
    /// List tasks, as the fleet's task table has them
    Tasks {
        /// Only this phase: 1, 2, 4, 8, 16, 32, P1 to P6 or its name
        #[arg(long = "type", value_name = "TYPE")]
        task_type: Option<Phase>,
        /// Only this result_status: 0 succeeded, 1 not over, 2 failed
        #[arg(long, value_parser = clap::value_parser!(u8).range(0..=2))]
        status: Option<u8>,
        /// Only this sector's
        #[arg(long)]
        sector: Option<SectorNumber>,
    },
    /// Show the latest lines of a sector's log, or of the box's
    Log(Lines),
    /// List what failed, by its cause, with what to do about it
    Failures,
    /// Put failed tasks back, so that they run again
    Retry {
        /// The sector whose failed tasks are meant
        #[arg(required_unless_present_any = ["all", "cause"])]
        sector: Option<SectorNumber>,
        /// Only this phase
        #[arg(long, requires = "sector")]
        phase: Option<Phase>,
        /// Every failed task of every sector
        #[arg(long, conflicts_with_all = ["sector", "phase"])]
        all: bool,
        /// Every task that failed of the causes with this text, in whatever case
        #[arg(long, value_name = "TEXT", conflicts_with_all = ["sector", "phase"])]
        cause: Option<String>,
    },
    /// Send a sector back to P1
    Redo {
        /// Its number
        sector: SectorNumber,
    },
    /// Begin no further sector, those begun go on; or start nothing more of one phase
    Pause {
        /// P1 to P6, or its name
        phase: Option<Phase>,
    },
    /// Begin sectors again; or resume one phase, or everything
    Resume {
        /// P1 to P6, or its name
        phase: Option<Phase>,
        /// The intake and every phase
        #[arg(long, conflicts_with = "phase")]
        all: bool,
    },
    /// Pause the intake and every phase: what runs may end, and the box comes to rest
    Drain,
    /// Have the box read its configuration file again, and put into effect what needs no restart
    Reload,
    /// Say where alerts go and what became of them; or send one for a test
    Alert {
        #[command(subcommand)]
        order: Option<AlertOrder>,
    },
    /// List the open orders as they will be issued; or move or cancel one
    Orders {
        #[command(subcommand)]
        order: Option<OrdersOrder>,
    },
    /// Give a sector up: what it has on scratch and in storage is deleted
    Abort {
        /// Its number
        sector: SectorNumber,
        /// Yes, I mean it
        #[arg(long)]
        yes: bool,
    },
    /// Have the stored copies of finished sectors proven again, every byte of them
    Verify {
        /// Only this sector's; else those of all
        sector: Option<SectorNumber>,
        /// Those of all finished sectors, which is what no sector means, too
        #[arg(long, conflicts_with = "sector")]
        all: bool,
    },
    /// List what lies in scratch and storage that no sector owns; or delete one of it
    Orphans {
        #[command(subcommand)]
        order: Option<OrphanOrder>,
    },
}

/// What is done with alerts.
#[derive(Debug, Clone, PartialEq, Eq, Subcommand)]
pub enum AlertOrder {
    /// Send one that says that it is a test
    Test,
}

/// Which lines of a log.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct Lines {
    /// Whose log; else the box's
    pub sector: Option<SectorNumber>,
    /// Go on with what comes, until it is stopped
    #[arg(long, short)]
    pub follow: bool,
    /// Only this level and what is worse: error, warn, info, debug or trace
    #[arg(long)]
    pub level: Option<Level>,
    /// Only lines that hold this text, in whatever case
    #[arg(long, value_name = "TEXT")]
    pub search: Option<String>,
    /// How many, to begin with
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub lines: u32,
}

impl Lines {
    /// Where the box has them.
    pub fn path(&self) -> String {
        match self.sector {
            Some(sector) => format!("/api/v1/sectors/{sector}/log"),
            None => "/api/v1/log".to_owned(),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Subcommand)]
pub enum OrdersOrder {
    /// Issue an order earlier or later
    Move {
        /// Its number
        order: u64,
        /// To here, seen from where it stands
        #[arg(value_parser = Place::NAMED.map(|(name, _)| name), required_unless_present = "before")]
        to: Option<String>,
        /// Or right before this order
        #[arg(long, value_name = "ORDER", conflicts_with = "to")]
        before: Option<u64>,
    },
    /// Issue no more of an order; its sectors that were begun go on
    Cancel {
        /// Its number
        order: u64,
    },
}

#[derive(Debug, Clone, PartialEq, Eq, Subcommand)]
pub enum OrphanOrder {
    /// Delete one, for good
    Delete {
        /// As the list has it
        path: PathBuf,
        /// Yes, I mean it
        #[arg(long)]
        yes: bool,
    },
}

fn sector_count(text: &str) -> Result<u64, String> {
    let expected = || format!("expected a number of sectors from 1 to {ORDER_LIMIT} in one order");
    let count: u64 = text.parse().map_err(|_| expected())?;
    if (1..=ORDER_LIMIT).contains(&count) { Ok(count) } else { Err(expected()) }
}
