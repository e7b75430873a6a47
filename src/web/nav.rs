//! The pages, as the header of each leads to them.

/// The entries of the top bar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Nav {
    Overview,
    Sectors,
    Tasks,
    Failures,
    Workers,
    History,
    Storage,
    Logs,
    System,
}

impl Nav {
    pub const ALL: [Self; 9] = [
        Self::Overview,
        Self::Sectors,
        Self::Tasks,
        Self::Failures,
        Self::Workers,
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
            Self::Workers => "Workers",
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
            Self::Workers => "/workers",
            Self::History => "/history",
            Self::Storage => "/storage",
            Self::Logs => "/logs",
            Self::System => "/system",
        }
    }

    /// The key that leads there together with those that the browser asks for (Alt and Shift in
    /// most): one letter alone would be taken from whoever speaks to the page.
    pub fn key(self) -> char {
        match self {
            Self::Overview => '1',
            Self::Sectors => '2',
            Self::Tasks => '3',
            Self::Failures => '4',
            Self::Workers => '5',
            Self::History => '6',
            Self::Storage => '7',
            Self::Logs => '8',
            Self::System => '9',
        }
    }
}
