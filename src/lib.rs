//! sealbox: an all-in-one Filecoin sealing appliance. ARCHITECTURE.md is the map.

pub mod domain;
pub mod engine;
pub mod scheduler;
pub mod web;
