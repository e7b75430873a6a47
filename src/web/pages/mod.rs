//! One file a page: its template's struct beside its handler.

pub mod failures;
pub mod history;
pub mod logs;
pub mod overview;
pub mod sector;
pub mod sectors;
pub mod storage;
pub mod system;
pub mod tasks;
pub mod workers;
