//! The hyper front: the only thing of this project that listens beyond loopback.
//! It owns deadlines, limits and the life of connections; it must never let one client cost another, and never look
//! into what a request means.

mod accept;
mod answer;
mod body;
mod connection;
mod spelling;
mod tls;
mod transport;

pub use accept::serve;
pub use tls::{ReadFile, Tls};

use std::time::Duration;

/// What one client, and all of them, may cost. Every deadline ends the connection.
#[derive(Clone, Debug)]
pub struct Limits {
    /// From the first byte of a request (of a new connection: from its opening) to the end of its header.
    pub header: Duration,
    /// From the end of the header to the end of the body; answered 408.
    pub body: Duration,
    /// How long a service may take to answer; answered 503.
    pub answer: Duration,
    /// How long a connection may stay open between two requests. It must be longer than the heartbeat of clients.
    pub idle: Duration,
    /// How long a reader may take nothing of a response.
    pub write: Duration,
    /// How long a stop waits for requests that are being answered.
    pub grace: Duration,
    /// Between two signs of life on a stream of events.
    pub stream_pulse: Duration,
    /// Request line and header fields, in bytes, at least 8192; answered 431.
    pub header_bytes: usize,
    /// Body in bytes; answered 413.
    pub body_bytes: usize,
    /// Bytes of all bodies that are being received, but for the first 16 KiB of each; answered 503. So small requests are served
    /// whatever others hold.
    pub bodies_bytes: usize,
    /// Connections at once; those beyond are answered 503 and closed.
    pub connections: usize,
    /// Connections at once of one IPv4 address or one IPv6 network of 64 bits.
    pub connections_per_address: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            header: Duration::from_secs(10),
            body: Duration::from_secs(30),
            answer: Duration::from_secs(120),
            idle: Duration::from_secs(75),
            write: Duration::from_secs(30),
            grace: Duration::from_secs(10),
            stream_pulse: Duration::from_secs(15),
            header_bytes: 16 * 1024,
            body_bytes: 1024 * 1024,
            bodies_bytes: 64 * 1024 * 1024,
            connections: 16_384,
            connections_per_address: 1024,
        }
    }
}
