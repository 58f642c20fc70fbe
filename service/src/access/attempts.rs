//! Failed sign-ins by address: after a few of them the next one has to wait, longer each time. Pure over injected time;
//! memory is bounded, whatever number of addresses comes.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use licence::time::Tick;

/// Failures that cost nothing: people mistype.
const FREE: u32 = 5;
/// From this number on even a remembered password has to wait, for it could be guessed against.
const STRICT: u32 = 20;
const LONGEST: Duration = Duration::from_secs(300);
/// An address without failures for this long has none.
const FORGOTTEN: Duration = Duration::from_secs(30 * 60);
const MAX_ADDRESSES: usize = 10_000;

#[derive(Debug, Clone, Copy)]
struct Record {
    failures: u32,
    last: Tick,
}

/// The failures.
#[derive(Debug, Default)]
pub struct Attempts {
    records: HashMap<IpAddr, Record>,
}

/// What an address may try now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission {
    /// Anything.
    Free,
    /// A remembered pair only; anything else waits this long.
    Remembered(Duration),
    /// Nothing for this long.
    Closed(Duration),
}

impl Attempts {
    /// What `address` may try at `now`.
    pub fn admission(&self, address: IpAddr, now: Tick) -> Admission {
        let Some(record) = self.records.get(&client_of(address)) else { return Admission::Free };
        let wait = delay(record.failures).saturating_sub(now.since(record.last));
        match wait {
            Duration::ZERO => Admission::Free,
            wait if record.failures < STRICT => Admission::Remembered(wait),
            wait => Admission::Closed(wait),
        }
    }

    /// Counts a failure.
    pub fn failed(&mut self, address: IpAddr, now: Tick) {
        let client = client_of(address);
        if self.records.len() >= MAX_ADDRESSES && !self.records.contains_key(&client) {
            self.forget(now);
        }
        let record = self.records.entry(client).or_insert(Record { failures: 0, last: now });
        let known = if now.since(record.last) > FORGOTTEN { 0 } else { record.failures };
        *record = Record { failures: known.saturating_add(1), last: now };
    }

    /// Forgets the failures of an address that has signed in.
    pub fn succeeded(&mut self, address: IpAddr) {
        self.records.remove(&client_of(address));
    }

    /// Makes room: old records go, then the half that failed least, so that a guesser is not forgotten for newcomers.
    fn forget(&mut self, now: Tick) {
        self.records.retain(|_, record| now.since(record.last) <= FORGOTTEN);
        if self.records.len() >= MAX_ADDRESSES {
            let mut order: Vec<(u32, Tick, IpAddr)> =
                self.records.iter().map(|(address, record)| (record.failures, record.last, *address)).collect();
            order.sort_unstable();
            for (_, _, address) in order.into_iter().take(MAX_ADDRESSES / 2) {
                self.records.remove(&address);
            }
        }
    }
}

fn delay(failures: u32) -> Duration {
    match failures.checked_sub(FREE) {
        None => Duration::ZERO,
        Some(over) => Duration::from_secs(1 << over.min(16)).min(LONGEST),
    }
}

/// One client: an IPv4 address, or the /64 network that one IPv6 client usually owns.
fn client_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) if !v6.is_loopback() => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() >> 64 << 64)),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    fn seconds(count: u64) -> Tick {
        Tick(count * 1000)
    }

    #[test]
    fn the_delay_grows_with_every_failure_and_ends_with_a_success() {
        let mut attempts = Attempts::default();
        let mut last = Duration::ZERO;
        for failure in 1..=40u32 {
            attempts.failed(HERE, seconds(10));
            let wait = match attempts.admission(HERE, seconds(10)) {
                Admission::Free => Duration::ZERO,
                Admission::Remembered(wait) if failure < STRICT => wait,
                Admission::Closed(wait) if failure >= STRICT => wait,
                other => panic!("{failure}: {other:?}"),
            };
            assert_eq!(wait.is_zero(), failure < FREE, "{failure}");
            assert!(wait >= last && wait <= LONGEST);
            last = wait;
        }
        assert_eq!(attempts.admission(HERE, seconds(10 + 300)), Admission::Free);
        attempts.succeeded(HERE);
        assert_eq!(attempts.admission(HERE, seconds(10)), Admission::Free);
    }

    #[test]
    fn one_ipv6_network_is_one_client_and_others_are_not_held_up() {
        let mut attempts = Attempts::default();
        for host in 0..10 {
            attempts.failed(format!("2001:db8::{host}").parse().unwrap(), seconds(1));
        }
        assert_ne!(attempts.admission("2001:db8::ffff".parse().unwrap(), seconds(1)), Admission::Free);
        assert_eq!(attempts.admission("2001:db8:0:1::1".parse().unwrap(), seconds(1)), Admission::Free);
    }

    #[test]
    fn many_addresses_take_bounded_memory_and_a_guesser_is_not_forgotten() {
        let mut attempts = Attempts::default();
        for _ in 0..10 {
            attempts.failed(HERE, seconds(1));
        }
        for number in 0..3 * MAX_ADDRESSES as u32 {
            attempts.failed(IpAddr::V4(std::net::Ipv4Addr::from_bits(0x0A00_0000 + number)), seconds(1));
        }
        assert!(attempts.records.len() <= MAX_ADDRESSES);
        assert_ne!(attempts.admission(HERE, seconds(1)), Admission::Free);
    }
}
