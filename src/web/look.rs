//! How a state looks, in a strip as in a table.

/// How a cell looks: its class, its sign and the word that says the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Look {
    Done,
    Running,
    Waiting,
    Failed,
    Later,
    Never,
}

impl Look {
    pub fn class(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Running => "run",
            Self::Waiting => "wait",
            Self::Failed => "fail",
            Self::Later => "later",
            Self::Never => "never",
        }
    }

    pub fn sign(self) -> &'static str {
        match self {
            Self::Done => "✓",
            Self::Running => "▶",
            Self::Waiting => "◷",
            Self::Failed => "✕",
            Self::Later => "·",
            Self::Never => "–",
        }
    }
}
