//! A server to attack, and a client of raw bytes.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use e2e::server::{PASSWORD, USER};
use e2e::{Outcome, Root, Server};

/// Only a failing test waits that long.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A server whose password is changed, with more sections of settings.
pub fn server(name: &str, more: &str) -> Outcome<Server> {
    Server::with_settings(Root::new(name)?, more)
}

/// The value of `Authorization` for a pair.
pub fn basic(user: &str, password: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{user}:{password}")))
}

/// The administrator's header line.
pub fn administrator() -> String {
    format!("Authorization: {}\r\n", basic(USER, PASSWORD))
}

/// An answer as it came.
#[derive(Debug)]
pub struct Heard(pub String);

impl Heard {
    /// Its status; 0 when it is none.
    pub fn status(&self) -> u16 {
        self.0.split(' ').nth(1).and_then(|text| text.parse().ok()).unwrap_or(0)
    }

    /// Its header, in lower case.
    pub fn head(&self) -> String {
        self.0.split("\r\n\r\n").next().unwrap_or_default().to_lowercase()
    }

    /// What follows the header.
    pub fn body(&self) -> &str {
        self.0.split_once("\r\n\r\n").map_or("", |(_, body)| body)
    }
}

/// A new connection.
pub fn connect(server: &Server) -> Outcome<TcpStream> {
    let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, server.port()))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    Ok(stream)
}

/// Everything up to the server's close.
pub fn rest(stream: &mut TcpStream) -> Outcome<Heard> {
    let mut bytes = Vec::new();
    match stream.read_to_end(&mut bytes) {
        Err(error) if error.kind() != ErrorKind::ConnectionReset => Err(error.into()),
        _ => Ok(Heard(String::from_utf8_lossy(&bytes).into_owned())),
    }
}

/// Sends bytes on a new connection and hears the server until it closes.
pub fn throw(server: &Server, bytes: impl AsRef<[u8]>) -> Outcome<Heard> {
    let mut stream = connect(server)?;
    // The server may have closed before all was sent: what it says is what counts.
    let _ = stream.write_all(bytes.as_ref());
    rest(&mut stream)
}

/// One request with header lines of its own and a body.
pub fn ask(server: &Server, line: &str, fields: &str, body: &str) -> Outcome<Heard> {
    let host = if fields.to_lowercase().contains("host:") { "" } else { "Host: 127.0.0.1\r\n" };
    let length = if body.is_empty() { String::new() } else { format!("Content-Length: {}\r\n", body.len()) };
    throw(server, format!("{line} HTTP/1.1\r\n{host}Connection: close\r\n{length}{fields}\r\n{body}"))
}

/// The server goes on as if nothing had been.
pub fn unharmed(server: &Server) -> Outcome {
    let heard = ask(server, "GET /healthz", "", "")?;
    e2e::check(heard.status() == 200 && heard.body() == "ok\n", || format!("it is harmed: {heard:?}"))
}

/// Descriptors that the server has open: one for each connection, and some of its own.
#[cfg(target_os = "linux")]
pub fn descriptors(server: &Server) -> Outcome<usize> {
    Ok(std::fs::read_dir(format!("/proc/{}/fd", server.pid()))?.count())
}
