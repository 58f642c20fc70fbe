//! `licence`, the core of the licensing system: rules, formats and the client protocol, all without I/O.
//!
//! Everything here is pure over injected time, randomness and cryptography, but for [`host`], which alone touches
//! files, the network, the clock, the environment and the operating system (a test keeps it so).

pub mod accounting;
pub mod activation;
pub mod api;
pub mod code;
pub mod crypto;
pub mod datafile;
pub mod document;
pub mod error;
pub mod fingerprint;
pub mod flags;
#[cfg(test)]
mod golden;
pub mod host;
pub mod id;
pub mod identity;
pub mod key;
pub mod parameters;
pub mod printable;
pub mod protocol;
pub mod revocation;
pub mod series;
pub mod settings;
pub mod subkeys;
pub mod support;
pub mod taxpayer;
pub mod text;
pub mod time;
pub mod trailer;
pub mod version;

pub use error::{Code, Error, Lang, Result};
pub use id::{ConnectionId, KeyId, KeyNo, RootHash, SeriesId, SessionId};
pub use time::{Moment, Tick, Time};
