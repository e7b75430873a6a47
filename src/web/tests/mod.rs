//! Every page from fixed states, made by folding real events, and parsed; the API; strangers.

mod access;
mod actions;
mod api;
mod api_bulk;
mod api_lists;
mod bulk;
mod disks;
mod history;
mod hostile;
mod lists;
mod live;
mod log;
mod metrics;
mod openapi;
mod opening;
mod overview;
mod pages;
mod sector;
pub mod site;
mod snapshots;
pub mod states;
mod times;
mod workers;
