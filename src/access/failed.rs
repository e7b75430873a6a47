//! How often a wrong password or token was shown since the start, and from where.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};

use super::buckets::neighbourhood;
use crate::domain::units::Timestamp;

/// So many addresses are told apart.
const MOST: usize = 1_024;

#[derive(Debug, Default)]
pub struct Failed(Mutex<Counted>);

#[derive(Debug, Default)]
struct Counted {
    in_all: u64,
    last: Option<(Timestamp, IpAddr)>,
    by_address: HashMap<IpAddr, u64>,
}

/// As the System page shows it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tally {
    pub in_all: u64,
    pub last: Option<(Timestamp, IpAddr)>,
    /// Those with the most, most first.
    pub most: Vec<(IpAddr, u64)>,
}

impl Failed {
    /// How often it was by now from there, or in all where addresses are no longer told apart.
    pub fn note(&self, from: IpAddr, now: Timestamp) -> u64 {
        let mut counted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let from = neighbourhood(from);
        counted.in_all += 1;
        counted.last = Some((now, from));
        let room = counted.by_address.len() < MOST;
        if !room && !counted.by_address.contains_key(&from) {
            return counted.in_all;
        }
        let of_it = counted.by_address.entry(from).or_default();
        *of_it += 1;
        *of_it
    }

    pub fn tally(&self) -> Tally {
        const SHOWN: usize = 5;
        let counted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut most: Vec<_> = counted.by_address.iter().map(|(from, n)| (*from, *n)).collect();
        most.sort_by_key(|(from, count)| (std::cmp::Reverse(*count), *from));
        most.truncate(SHOWN);
        Tally { in_all: counted.in_all, last: counted.last, most }
    }
}
