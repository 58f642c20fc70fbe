//! The client of licence servers: connections, sessions, failover, heartbeats. Knows nothing of 1C, and the network only
//! through [`transport::Transport`].
//!
//! Locks come from `std`, not from `parking_lot`: the latter keeps a table of waiting threads for ever, which a library that
//! is unmapped would leak.

pub mod connection;
mod data;
mod heartbeat;
pub mod keys;
mod ledger;
pub mod names;
pub mod presence;
pub mod registry;
mod search;
pub mod series;
pub mod session;
pub mod transport;
mod turn;

#[cfg(test)]
pub(crate) mod tests;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use licence::crypto::Provider;
use licence::error::Error;
use licence::protocol::message::ClientInfo;
use licence::time::{Clock, Deadline, Tick};

/// No call of 1C blocks longer, but for a protected object ([`OBJECT_LIMIT`]) and for what the vendor's centre is asked
/// ([`keys::CENTRE_LIMIT`]), however many servers are out of reach.
pub const TOTAL_LIMIT: Duration = Duration::from_secs(15);
/// All that a protected object needs of servers, together: whether they have a datafile, its bytes, the key.
pub const OBJECT_LIMIT: Duration = Duration::from_secs(30);
/// One server gets at most this much of a call's time.
pub const SERVER_LIMIT: Duration = Duration::from_secs(5);
/// A server that was there and is out of reach may be about to start again, as at an upgrade: calls wait for it this long after
/// it was lost, and are refused at once afterwards.
pub const RESTART_LIMIT: Duration = TOTAL_LIMIT;
/// How often it is looked for meanwhile.
const RESTART_PAUSE: Duration = Duration::from_millis(100);
/// What a farewell to a server may take: its success is welcome, not needed.
pub const FAREWELL_LIMIT: Duration = Duration::from_secs(1);

/// What the client needs of its surroundings.
#[derive(Clone)]
pub struct Net {
    /// Carries requests.
    pub transport: Arc<dyn transport::Transport>,
    /// A clock whose ticks count time asleep.
    pub clock: Arc<dyn Clock>,
    /// Cryptography.
    pub crypto: Provider,
    /// What servers are told of this process.
    pub info: Arc<ClientInfo>,
}

impl Net {
    fn now(&self) -> Tick {
        self.clock.now().tick
    }

    /// A deadline `limit` from now.
    pub fn within(&self, limit: Duration) -> Deadline {
        Deadline::within(limit, &self.clock)
    }
}

/// Why a server did not do what it was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trouble {
    /// It is out of reach, or what answers is no licence server; the cause in words.
    Unreachable(String),
    /// It refuses.
    Refused(Error),
}

/// Locks a mutex whose data are whole after every statement, so that a panic elsewhere does not spoil them.
fn locked<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
