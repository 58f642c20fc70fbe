//! Slow and idle clients by the thousand, all at once: others are served, memory is bounded, and all are gone in the end.
#![cfg(target_os = "linux")]

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use e2e::{Outcome, Server};

use crate::stage::{PATIENCE, connect, descriptors, server, unharmed};

const SLOW: usize = 500;
const IDLE: usize = 5_000;
/// Bytes of memory that the server may have in RAM meanwhile.
const MEMORY: u64 = 150_000_000;
/// Long enough for all of them to come before the first must go.
const LIMITS: &str = "[Limits]\nConnections=16384\nConnectionsPerAddress=16384\nHeaderTimeout=20\nBodyTimeout=20\nIdleTimeout=20\nReadTimeout=20\n";

fn resident(server: &Server) -> Outcome<u64> {
    let status = fs::read_to_string(format!("/proc/{}/status", server.pid()))?;
    let kib =
        status.lines().find_map(|line| line.strip_prefix("VmRSS:")?.split_whitespace().next()?.parse::<u64>().ok());
    Ok(kib.unwrap_or(u64::MAX) * 1024)
}

fn crowd(server: &Server, count: usize, request: &[u8]) -> Outcome<Vec<TcpStream>> {
    let come = |_| -> Outcome<TcpStream> {
        let mut stream = connect(server)?;
        stream.write_all(request)?;
        Ok(stream)
    };
    (0..count).map(come).collect()
}

#[test]
fn thousands_of_slow_and_idle_clients_keep_nobody_from_being_served() -> Outcome {
    rlimit::increase_nofile_limit(16_384)?;
    let server = server("siege", LIMITS)?;
    unharmed(&server)?;
    let before = descriptors(&server)?;
    let mut idle = crowd(&server, IDLE, b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")?;
    for stream in &mut idle {
        let mut status = [0; 15];
        stream.read_exact(&mut status)?;
        assert_eq!(&status, b"HTTP/1.1 200 OK");
    }
    let headers = crowd(&server, SLOW, b"GET / HTTP/1.1\r\nHost: x\r\n")?;
    let bodies = crowd(&server, SLOW, b"POST /client/call HTTP/1.1\r\nHost: x\r\nContent-Length: 500000\r\n\r\nabc")?;
    let readers = crowd(&server, SLOW, &b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n".repeat(20))?;
    for _ in 0..20 {
        unharmed(&server)?;
    }
    let (held, memory) = (descriptors(&server)?, resident(&server)?);
    assert!(held >= IDLE + 3 * SLOW, "all of them are there at once: {held}");
    assert!(memory < MEMORY, "{memory} bytes");
    // Nobody of them says or reads anything any more; the server ends every one.
    let deadline = Instant::now() + PATIENCE;
    while descriptors(&server)? > before + 8 {
        assert!(Instant::now() < deadline, "{} are left", descriptors(&server)? - before);
        std::thread::sleep(Duration::from_millis(200));
    }
    unharmed(&server)?;
    drop((idle, headers, bodies, readers));
    Ok(())
}
