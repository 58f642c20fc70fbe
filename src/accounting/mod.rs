//! Accounting: who takes which seat ([`seat`]), which keys give seats ([`pool`]), who holds what now ([`book`]), who was
//! refused ([`denial`]), what was held over time ([`history`]), and whether the store of all this went back ([`rollback`], [`receipt`]).
//!
//! All of it is pure: time, identifiers and secrets' hashes come in as arguments, and what must survive a restart goes
//! out as [`book::Change`]s that the owner of the store writes down before anybody is answered.

pub mod book;
pub mod clock;
pub mod control;
pub mod denial;
pub mod history;
pub mod infobase;
pub mod limit;
pub mod pool;
pub mod receipt;
pub mod rollback;
pub mod seat;
pub mod warning;

pub use book::{Book, Change, Claim, ConnectionInfo, ExternalClaim, Grant, Leases, SessionRecord};
pub use clock::{ClockState, Timekeeper};
pub use control::{AccessCodes, Demands, Marks, Terms, Wants};
pub use infobase::{Base, InfoBase};
pub use limit::SeatLimits;
pub use pool::{Judgement, KeyFacts, Pool, PoolKey, Pools, Standing, judge};
pub use receipt::Receipt;
pub use rollback::{Finding, Mark};
pub use seat::{Asker, ExternalSession, InfobaseSession, ParentSession, Seat, SessionIdentity, TerminalClient};
pub use warning::{Warning, Watched, warnings};

#[cfg(test)]
mod histories;
#[cfg(test)]
mod restricted;
#[cfg(test)]
mod rollbacks;
