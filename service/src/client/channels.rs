//! The channels that live, by connection, and how many each address has: strangers may open some, so both are bounded.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use licence::ConnectionId;

/// Most channels at once: beyond it new ones are refused, those that live go on.
const MOST: usize = 200_000;
/// Most channels of one address, unless it is this computer: a large 1C server has some hundreds.
const MOST_OF_ADDRESS: usize = 10_000;

/// The table.
pub struct Channels<T> {
    by_id: HashMap<ConnectionId, (IpAddr, Arc<T>)>,
    by_address: HashMap<IpAddr, usize>,
}

impl<T> Channels<T> {
    /// An empty table.
    pub fn new() -> Channels<T> {
        Channels { by_id: HashMap::new(), by_address: HashMap::new() }
    }

    /// Whether `address` may open one more.
    pub fn has_room(&self, address: IpAddr) -> bool {
        let of_address = self.by_address.get(&address).copied().unwrap_or(0);
        self.by_id.len() < MOST && (of_address < MOST_OF_ADDRESS || address.is_loopback())
    }

    /// Enters a channel under a fresh identifier.
    pub fn insert(&mut self, id: ConnectionId, address: IpAddr, channel: T) {
        *self.by_address.entry(address).or_default() += 1;
        self.by_id.insert(id, (address, Arc::new(channel)));
    }

    /// The channel of a connection.
    pub fn get(&self, id: ConnectionId) -> Option<Arc<T>> {
        self.by_id.get(&id).map(|(_, channel)| channel.clone())
    }

    /// Forgets the channels that are not to be kept.
    pub fn retain(&mut self, keep: impl Fn(&T) -> bool) {
        let by_address = &mut self.by_address;
        self.by_id.retain(|_, (address, channel)| {
            let kept = keep(channel);
            if !kept && let Some(count) = by_address.get_mut(address) {
                *count -= 1;
            }
            kept
        });
        by_address.retain(|_, count| *count > 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: usize) -> ConnectionId {
        ConnectionId((number as u128).to_be_bytes())
    }

    #[test]
    fn one_address_can_not_take_the_room_of_others() {
        let (stranger, other): (IpAddr, IpAddr) = ("192.0.2.1".parse().unwrap(), "192.0.2.2".parse().unwrap());
        let mut channels = Channels::new();
        for number in 0..MOST_OF_ADDRESS {
            assert!(channels.has_room(stranger));
            channels.insert(id(number), stranger, number);
        }
        assert!(!channels.has_room(stranger) && channels.has_room(other));
        channels.retain(|number| *number != 5);
        assert!(channels.has_room(stranger));
        assert!(channels.get(id(5)).is_none() && channels.get(id(6)).is_some());
        channels.retain(|_| false);
        assert!(channels.by_address.is_empty());
    }
}
