//! sealbox: an all-in-one Filecoin sealing appliance. ARCHITECTURE.md is the map.

pub mod access;
pub mod alerts;
pub mod app;
pub mod chain;
pub mod cli;
pub mod config;
pub mod doctor;
pub mod domain;
pub mod durable;
pub mod engine;
pub mod failpoint;
pub mod forecast;
pub mod logs;
pub mod metrics;
pub mod notify;
pub mod reload;
pub mod samples;
pub mod scheduler;
pub mod stop;
pub mod storage;
pub mod store;
pub mod telemetry;
pub mod tls;
pub mod web;
pub mod within;
pub mod worker;
