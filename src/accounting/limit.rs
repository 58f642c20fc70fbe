//! How many seats of one series a single client may hold: an address, and a computer. Clients are anonymous, so without a limit
//! one of them can take all that is free.
//!
//! An address is what the system says of a connection; a computer is the client's word. Counts are kept as seats come and go,
//! whether a limit is set or not, so that a claim costs the same however many seats are held.

use core::net::{IpAddr, Ipv6Addr};
use std::collections::HashMap;
use std::hash::Hash;

use crate::error::{Code, Error, Result};
use crate::id::{ComputerId, KeyId};
use crate::settings::Network;

/// The limits (`[Limits]`).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SeatLimits {
    /// `SeatsPerAddress`: seats of a series that one address may hold; 0: any number.
    pub per_address: u64,
    /// `SeatsPerComputer`: seats of a series that one computer may hold; 0: any number.
    pub per_computer: u64,
    /// `SeatsUnlimited`: networks whose claims neither limit refuses.
    pub unlimited: Vec<Network>,
}

/// Whom a seat counts for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Client {
    /// Address that the claim came from.
    pub address: IpAddr,
    /// Computer that the claim named, else the one that its process named.
    pub computer: Option<ComputerId>,
}

/// What is counted as one address: an IPv4 address, or the network of 64 bits that one IPv6 client usually owns.
pub fn counted_address(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) if !v6.is_loopback() => Ipv6Addr::from_bits(v6.to_bits() & !u128::from(u64::MAX)).into(),
        other => other,
    }
}

/// How many seats of a series each client holds.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Holdings {
    addresses: HashMap<IpAddr, u64>,
    computers: HashMap<ComputerId, u64>,
}

impl Holdings {
    /// The client holds one seat more.
    pub fn add(&mut self, client: &Client) {
        *self.addresses.entry(counted_address(client.address)).or_default() += 1;
        if let Some(computer) = client.computer {
            *self.computers.entry(computer).or_default() += 1;
        }
    }

    /// The client holds one seat less.
    pub fn remove(&mut self, client: &Client) {
        subtract(&mut self.addresses, counted_address(client.address));
        if let Some(computer) = client.computer {
            subtract(&mut self.computers, computer);
        }
    }

    /// Whether the client may hold one more. Errors: [`Code::AddressAtLimit`], [`Code::ComputerAtLimit`].
    pub fn check(&self, limits: &SeatLimits, series: KeyId, client: &Client) -> Result<()> {
        if limits.unlimited.iter().any(|network| network.contains(client.address)) {
            return Ok(());
        }
        let address = counted_address(client.address);
        let held = self.addresses.get(&address).copied().unwrap_or_default();
        if limits.per_address > 0 && held >= limits.per_address {
            return Err(Error::new(Code::AddressAtLimit)
                .with(series)
                .with(address)
                .with(held)
                .with(limits.per_address));
        }
        let Some(computer) = client.computer.filter(|_| limits.per_computer > 0) else { return Ok(()) };
        match self.computers.get(&computer).copied().unwrap_or_default() {
            held if held < limits.per_computer => Ok(()),
            held => {
                Err(Error::new(Code::ComputerAtLimit).with(series).with(computer).with(held).with(limits.per_computer))
            }
        }
    }
}

fn subtract<K: Eq + Hash>(counts: &mut HashMap<K, u64>, key: K) {
    if let std::collections::hash_map::Entry::Occupied(mut count) = counts.entry(key) {
        *count.get_mut() = count.get().saturating_sub(1);
        if *count.get() == 0 {
            count.remove();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SERIES: KeyId = KeyId(0x672B);

    fn client(address: &str, computer: u8) -> Client {
        Client { address: address.parse().unwrap(), computer: (computer > 0).then_some(ComputerId([computer; 20])) }
    }

    fn limits(per_address: u64, per_computer: u64, unlimited: &[&str]) -> SeatLimits {
        let unlimited = unlimited.iter().map(|network| network.parse().unwrap()).collect();
        SeatLimits { per_address, per_computer, unlimited }
    }

    fn refusal(holdings: &Holdings, limits: &SeatLimits, client: &Client) -> Option<Code> {
        holdings.check(limits, SERIES, client).err().map(|error| error.code)
    }

    #[test]
    fn an_address_gets_as_many_as_its_limit_whatever_it_says_of_its_computers() {
        let mut holdings = Holdings::default();
        let limits = limits(2, 0, &[]);
        holdings.add(&client("10.0.0.1", 1));
        holdings.add(&client("::ffff:10.0.0.1", 2));
        let error = holdings.check(&limits, SERIES, &client("10.0.0.1", 0)).unwrap_err();
        assert_eq!((error.code, error.args.join(" ").as_str()), (Code::AddressAtLimit, "672B 10.0.0.1 2 2"));
        assert_eq!(refusal(&holdings, &limits, &client("10.0.0.2", 1)), None);
        holdings.remove(&client("10.0.0.1", 1));
        assert_eq!(refusal(&holdings, &limits, &client("10.0.0.1", 1)), None);
    }

    #[test]
    fn a_network_of_ipv6_is_one_address() {
        let mut holdings = Holdings::default();
        holdings.add(&client("2001:db8::1", 0));
        let limits = limits(1, 0, &[]);
        assert_eq!(refusal(&holdings, &limits, &client("2001:db8::2", 0)), Some(Code::AddressAtLimit));
        assert_eq!(refusal(&holdings, &limits, &client("2001:db8:0:1::2", 0)), None);
    }

    #[test]
    fn a_computer_gets_as_many_as_its_limit_from_whatever_address() {
        let mut holdings = Holdings::default();
        holdings.add(&client("10.0.0.1", 1));
        let limits = limits(0, 1, &[]);
        assert_eq!(refusal(&holdings, &limits, &client("10.0.0.2", 1)), Some(Code::ComputerAtLimit));
        assert_eq!(refusal(&holdings, &limits, &client("10.0.0.1", 2)), None);
        assert_eq!(refusal(&holdings, &limits, &client("10.0.0.1", 0)), None, "no computer named, none counted");
    }

    #[test]
    fn limits_that_are_off_and_networks_without_limits_refuse_nobody() {
        let mut holdings = Holdings::default();
        (0..1000).for_each(|_| holdings.add(&client("10.0.0.1", 1)));
        assert_eq!(refusal(&holdings, &SeatLimits::default(), &client("10.0.0.1", 1)), None);
        let limits = limits(1, 1, &["10.0.0.0/24"]);
        assert_eq!(refusal(&holdings, &limits, &client("10.0.0.1", 1)), None);
        assert_eq!(refusal(&holdings, &limits, &client("10.0.1.1", 1)), Some(Code::ComputerAtLimit));
        (0..1001).for_each(|_| holdings.remove(&client("10.0.0.1", 1)));
        assert_eq!(holdings, Holdings::default(), "nobody who holds nothing is remembered");
    }
}
