//! A siege: clients that send headers and bodies byte by byte, that hardly read, that say nothing, all at once, and what a
//! stranger who comes meanwhile has to wait. That the server gets rid of them is tested in `tests/security`, not here.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

use crate::Outcome;
use crate::load::Measured;
use crate::rest;
use crate::wire::{Wire, request};

/// Of each slow kind.
const SLOW: usize = 500;
const IDLE: usize = 5_000;
/// Settings of a server under siege: all of them come from one address, and none has to go while it is measured.
pub const SETTINGS: &str = "[Limits]\nConnections=16384\nConnectionsPerAddress=16384\n\
    HeaderTimeout=600\nBodyTimeout=600\nIdleTimeout=600\nReadTimeout=600\n";
/// Every slow client moves one byte a second. They take turns, so that no burst of theirs holds up the measurement.
const TURNS: usize = 50;
const TURN: Duration = Duration::from_millis(20);

/// What a slow client does.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Slow {
    Sends,
    Reads,
}

/// The clients. They go when dropped.
pub struct Besiegers {
    slow: Arc<Vec<(Slow, TcpStream)>>,
    idle: Vec<Wire>,
    moving: JoinHandle<()>,
}

impl Besiegers {
    /// Brings them all before the server.
    pub async fn gather(to: SocketAddr) -> Outcome<Besiegers> {
        let hello = request("GET", "/healthz", "", b"");
        let mut idle = Vec::with_capacity(IDLE);
        for _ in 0..IDLE {
            let mut wire = Wire::open(to, None).await?;
            wire.exchange(&hello).await?;
            idle.push(wire);
        }
        let header = b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Slow: ".to_vec();
        let body = b"POST /client/call HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 500000\r\n\r\nabc".to_vec();
        let pages = b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".repeat(20);
        let mut slow = Vec::with_capacity(3 * SLOW);
        for (kind, first) in [(Slow::Sends, header), (Slow::Sends, body), (Slow::Reads, pages)] {
            for _ in 0..SLOW {
                let mut stream = TcpStream::connect(to).await?;
                stream.write_all(&first).await?;
                slow.push((kind, stream));
            }
        }
        let slow = Arc::new(slow);
        let moving = tokio::spawn(creep(Arc::clone(&slow)));
        Ok(Besiegers { slow, idle, moving })
    }

    /// How many the server still has.
    pub fn left(&self) -> usize {
        // A slow reader has something to read: only what waits in vain shows that it is there.
        let senders = self.slow.iter().filter(|(kind, stream)| *kind == Slow::Reads || is_open(stream)).count();
        senders + self.idle.iter().filter(|wire| !wire.is_closed()).count()
    }
}

impl Drop for Besiegers {
    fn drop(&mut self) {
        self.moving.abort();
    }
}

fn is_open(stream: &TcpStream) -> bool {
    matches!(stream.try_read(&mut [0; 1]), Err(error) if error.kind() == std::io::ErrorKind::WouldBlock)
}

/// One byte each, again and again.
async fn creep(slow: Arc<Vec<(Slow, TcpStream)>>) {
    let mut clock = tokio::time::interval(TURN);
    for turn in (0..TURNS).cycle() {
        clock.tick().await;
        for (kind, stream) in slow.iter().skip(turn).step_by(TURNS) {
            // What has become of it is counted at the end.
            let _ = match kind {
                Slow::Sends => stream.try_write(b"a"),
                Slow::Reads => stream.try_read(&mut [0; 1]),
            };
        }
    }
}

/// Strangers who come one after the other, each on a connection of his own, for a signed answer; their time counts from the
/// connection on.
pub async fn fresh(to: SocketAddr, span: Duration) -> Outcome<Measured> {
    let read = rest::read();
    let mut times = Vec::new();
    let start = Instant::now();
    let mut begun = start;
    while begun - start < span {
        let answer = Wire::open(to, None).await?.exchange(&read).await?;
        if answer.status != 200 {
            return Err(format!("under siege: {} {}", answer.status, String::from_utf8_lossy(&answer.body)).into());
        }
        let now = Instant::now();
        times.push(now - begun);
        begun = now;
    }
    Ok(Measured::new(begun - start, times))
}
