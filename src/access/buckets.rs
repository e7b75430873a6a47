//! How often an address may do something: a token bucket for each.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// So many addresses have buckets of their own; beyond that, all others share one.
const MOST: usize = 4_096;
const EVERYBODY_ELSE: IpAddr = IpAddr::V6(Ipv6Addr::UNSPECIFIED);

/// A bucket is kept as the moment when it will be full again: one that is in the past is full, and
/// need not be kept.
#[derive(Debug)]
pub struct Buckets {
    holds: u32,
    one_in: Duration,
    full_at: Mutex<HashMap<IpAddr, Instant>>,
}

impl Buckets {
    /// Each holds so many, and gets another one in this time.
    pub fn new(holds: u32, one_in: Duration) -> Self {
        Self { holds, one_in, full_at: Mutex::default() }
    }

    /// Takes one.
    ///
    /// # Errors
    /// There is none; the next is there after this time.
    pub fn take(&self, from: IpAddr, now: Instant) -> Result<(), Duration> {
        let mut buckets = self.full_at.lock().unwrap_or_else(PoisonError::into_inner);
        let mut whose = neighbourhood(from);
        if !buckets.contains_key(&whose) && buckets.len() >= MOST {
            buckets.retain(|_, full_at| *full_at > now);
            if buckets.len() >= MOST {
                whose = EVERYBODY_ELSE;
            }
        }
        let full_at = buckets.get(&whose).copied().unwrap_or(now).max(now) + self.one_in;
        let latest = now + self.one_in * self.holds;
        if full_at > latest {
            return Err(full_at - latest);
        }
        buckets.insert(whose, full_at);
        Ok(())
    }
}

/// An IPv6 network is one customer's, down to its last 64 bits.
pub fn neighbourhood(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => {
            IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 64)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn address(last: u32) -> IpAddr {
        IpAddr::V4(std::net::Ipv4Addr::from_bits(0x0a00_0000 + last))
    }

    #[test]
    fn a_bucket_gives_what_it_holds_and_then_one_at_a_time() {
        let (buckets, now) = (Buckets::new(3, 10 * SECOND), Instant::now());
        let taken: Vec<_> = (0..4).map(|_| buckets.take(address(1), now).is_ok()).collect();
        assert_eq!(taken, [true, true, true, false]);
        assert_eq!(buckets.take(address(1), now + 4 * SECOND), Err(6 * SECOND));
        assert_eq!(buckets.take(address(1), now + 10 * SECOND), Ok(()));
        assert!(buckets.take(address(1), now + 10 * SECOND).is_err());
        assert_eq!(buckets.take(address(2), now), Ok(()), "another has its own");
    }

    #[test]
    fn a_whole_ipv6_network_has_one_bucket() {
        let (buckets, now) = (Buckets::new(1, SECOND), Instant::now());
        assert!(buckets.take("2001:db8::1".parse().unwrap(), now).is_ok());
        assert!(buckets.take("2001:db8::2".parse().unwrap(), now).is_err());
        assert!(buckets.take("2001:db8:0:1::1".parse().unwrap(), now).is_ok());
        assert!(buckets.take("::ffff:10.0.0.1".parse().unwrap(), now).is_ok());
        assert!(buckets.take("10.0.0.1".parse().unwrap(), now).is_err());
    }

    #[test]
    fn a_million_addresses_take_no_more_room_than_some_thousands() {
        let (buckets, now) = (Buckets::new(2, SECOND), Instant::now());
        let more = MOST as u32 + 10;
        let taken = (0..more).filter(|last| buckets.take(address(*last), now).is_ok()).count();
        assert_eq!(taken, MOST + 2, "those beyond share one bucket");
        assert!(buckets.full_at.lock().unwrap().len() <= MOST + 1);
        assert!(buckets.take(address(more), now + 3 * SECOND).is_ok(), "what is full makes room");
    }
}
