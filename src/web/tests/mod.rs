//! Every page from fixed states, made by folding real events, and parsed; the API; strangers.

mod access;
mod actions;
mod api;
mod bulk;
mod disks;
mod history;
mod hostile;
mod live;
mod log;
mod metrics;
mod openapi;
mod opening;
mod pages;
pub mod site;
mod snapshots;
mod times;
