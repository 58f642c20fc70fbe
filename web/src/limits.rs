//! Limits per address: connections at once, and a token bucket of tries.
//! Pure: the time is an argument. Memory is bounded, whatever number of addresses comes.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

/// What is counted as one client: an IPv4 address, or the /64 network that one IPv6 client usually owns.
pub fn client_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) if !v6.is_loopback() => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & !u128::from(u64::MAX))),
        other => other,
    }
}

/// Counts open connections, in all and per address.
#[derive(Clone, Debug)]
pub struct Connections {
    total: usize,
    open: HashMap<IpAddr, usize>,
    max: usize,
    max_per_address: usize,
}

impl Connections {
    /// At most `max` connections, at most `max_per_address` of one client.
    pub fn new(max: usize, max_per_address: usize) -> Self {
        Self { total: 0, open: HashMap::new(), max, max_per_address }
    }

    /// Counts one more connection and returns whether it may be served.
    pub fn open(&mut self, address: IpAddr) -> bool {
        let client = client_of(address);
        if self.total >= self.max || self.open.get(&client).is_some_and(|count| *count >= self.max_per_address) {
            return false;
        }
        self.total += 1;
        *self.open.entry(client).or_default() += 1;
        true
    }

    /// Uncounts a connection that [`Connections::open`] counted.
    pub fn close(&mut self, address: IpAddr) {
        let client = client_of(address);
        if let Some(count) = self.open.get_mut(&client) {
            self.total -= 1;
            *count -= 1;
            if *count == 0 {
                self.open.remove(&client);
            }
        }
    }

    /// Number of open connections.
    pub fn total(&self) -> usize {
        self.total
    }
}

/// A token bucket per client, which may be an address (see [`client_of`]) or whatever else tries are counted by: `burst` tries
/// at once, then one per `interval`.
#[derive(Clone, Debug)]
pub struct Buckets<K = IpAddr> {
    /// Per client the moment at which its bucket is full again; absent means full.
    full_at: HashMap<K, Duration>,
    burst: u32,
    interval: Duration,
    max_clients: usize,
}

impl<K: Eq + Hash> Buckets<K> {
    /// Buckets for at most `max_clients` of them; when there are more, the fullest are forgotten first.
    pub fn new(burst: u32, interval: Duration, max_clients: usize) -> Self {
        Self { full_at: HashMap::new(), burst: burst.max(1), interval, max_clients: max_clients.max(1) }
    }

    /// Takes one token at `now`, a time that never goes back. When there is none, `Err` tells how long to wait.
    pub fn take(&mut self, client: K, now: Duration) -> Result<(), Duration> {
        let full_at = self.full_at.get(&client).copied().unwrap_or_default().max(now) + self.interval;
        let latest = now + self.interval * self.burst;
        if full_at > latest {
            return Err(full_at - latest);
        }
        if self.full_at.len() >= self.max_clients && !self.full_at.contains_key(&client) {
            self.forget(now);
        }
        self.full_at.insert(client, full_at);
        Ok(())
    }

    /// Gives back the token of a try that was no guess.
    pub fn give_back(&mut self, client: &K) {
        if let Some(full_at) = self.full_at.get_mut(client) {
            *full_at = full_at.saturating_sub(self.interval);
        }
    }

    fn forget(&mut self, now: Duration) {
        self.full_at.retain(|_, full_at| *full_at > now);
        if self.full_at.len() >= self.max_clients {
            // Half at once, so that the cost of sorting is shared by many newcomers.
            let mut moments = self.full_at.values().copied().collect::<Vec<_>>();
            moments.sort_unstable();
            let middle = moments.get(moments.len() / 2).copied().unwrap_or_default();
            self.full_at.retain(|_, full_at| *full_at > middle);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn connections_are_limited_in_all_and_per_address() {
        let mut connections = Connections::new(3, 2);
        assert!(connections.open(ip("10.0.0.1")) && connections.open(ip("::ffff:10.0.0.1")));
        assert!(!connections.open(ip("10.0.0.1")));
        assert!(connections.open(ip("10.0.0.2")));
        assert!(!connections.open(ip("10.0.0.3")));
        connections.close(ip("10.0.0.1"));
        assert!(connections.open(ip("10.0.0.3")));
        assert_eq!(connections.total(), 3);
        connections.close(ip("10.9.9.9"));
        assert_eq!(connections.total(), 3);
    }

    #[test]
    fn one_network_of_ipv6_is_one_client() {
        let mut connections = Connections::new(9, 1);
        assert!(connections.open(ip("2001:db8::1")));
        assert!(!connections.open(ip("2001:db8::2")));
        assert!(connections.open(ip("2001:db8:0:1::2")) && connections.open(ip("::1")));
    }

    #[test]
    fn a_bucket_gives_a_burst_and_then_one_token_per_interval() {
        let mut buckets = Buckets::new(3, SECOND, 10);
        let now = 100 * SECOND;
        for _ in 0..3 {
            assert_eq!(buckets.take(ip("10.0.0.1"), now), Ok(()));
        }
        assert_eq!(buckets.take(ip("10.0.0.1"), now), Err(SECOND));
        assert_eq!(buckets.take(ip("10.0.0.2"), now), Ok(()));
        assert_eq!(buckets.take(ip("10.0.0.1"), now + SECOND), Ok(()));
        assert_eq!(buckets.take(ip("10.0.0.1"), now + SECOND), Err(SECOND));
        buckets.give_back(&ip("10.0.0.1"));
        assert_eq!(buckets.take(ip("10.0.0.1"), now + SECOND), Ok(()));
    }

    #[test]
    fn any_number_of_addresses_takes_bounded_memory_and_the_worst_is_remembered() {
        let mut buckets = Buckets::new(2, SECOND, 100);
        let guesser = ip("10.255.0.1");
        assert!(buckets.take(guesser, SECOND).is_ok() && buckets.take(guesser, SECOND).is_ok());
        for number in 0..1_000_u32 {
            assert!(buckets.take(IpAddr::V4((0x0a00_0000 + number).into()), SECOND).is_ok());
            assert!(buckets.full_at.len() <= 100);
        }
        assert!(buckets.take(guesser, SECOND).is_err());
    }
}
