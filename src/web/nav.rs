//! The pages, as the header of each leads to them.

/// The entries of the top bar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Nav {
    Overview,
    Sectors,
    Tasks,
    Failures,
    History,
    Storage,
    Logs,
    System,
}

impl Nav {
    pub const ALL: [Self; 8] = [
        Self::Overview,
        Self::Sectors,
        Self::Tasks,
        Self::Failures,
        Self::History,
        Self::Storage,
        Self::Logs,
        Self::System,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::Overview => "Overview",
            Self::Sectors => "Sectors",
            Self::Tasks => "Tasks",
            Self::Failures => "Failures",
            Self::History => "History",
            Self::Storage => "Storage",
            Self::Logs => "Logs",
            Self::System => "System",
        }
    }

    pub fn href(self) -> &'static str {
        match self {
            Self::Overview => "/",
            Self::Sectors => "/sectors",
            Self::Tasks => "/tasks",
            Self::Failures => "/failures",
            Self::History => "/history",
            Self::Storage => "/storage",
            Self::Logs => "/logs",
            Self::System => "/system",
        }
    }
}
