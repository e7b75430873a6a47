//! How sealbox ends, in a number for scripts.

use std::process::ExitCode;

/// The exit codes. `sealbox --help` lists them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    Done,
    Failed,
    Usage,
    NotRunning,
    NotFound,
    Busy,
}

impl Exit {
    pub const ALL: [Self; 6] =
        [Self::Done, Self::Failed, Self::Usage, Self::NotRunning, Self::NotFound, Self::Busy];

    pub fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Failed => 1,
            Self::Usage => 2,
            Self::NotRunning => 3,
            Self::NotFound => 4,
            Self::Busy => 5,
        }
    }

    fn meaning(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Failed => "failed, or refused by the box",
            Self::Usage => "wrong usage or configuration; nothing was asked of the box",
            Self::NotRunning => "no sealbox is running there",
            Self::NotFound => "there is no such sector",
            Self::Busy => "cannot run: already running, the port or the data directory is taken",
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

pub(super) fn help() -> String {
    let lines = Exit::ALL.map(|exit| format!("  {}  {}", exit.code(), exit.meaning()));
    format!("Exit codes:\n{}", lines.join("\n"))
}
