//! A wire-tap between a component and a server: passes everything on and keeps a copy of what the component sent.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use crate::failure::Outcome;

/// The tap.
pub struct Tap {
    address: SocketAddr,
    heard: Arc<Mutex<Vec<Vec<u8>>>>,
}

/// A request as it went over the wire.
#[derive(Debug, Clone)]
pub struct Heard {
    /// `/client/call`.
    pub path: String,
    /// The body.
    pub body: Vec<u8>,
}

impl Tap {
    /// A tap in front of a server, on a free port of loopback. Its threads live until the process ends.
    pub fn new(server: SocketAddr) -> Outcome<Tap> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;
        let heard: Arc<Mutex<Vec<Vec<u8>>>> = Arc::default();
        let all = heard.clone();
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let Ok(server) = TcpStream::connect(server) else { continue };
                let mut list = all.lock().unwrap_or_else(PoisonError::into_inner);
                let own = list.len();
                list.push(Vec::new());
                drop(list);
                let (Ok(back_from), Ok(back_to)) = (server.try_clone(), client.try_clone()) else { continue };
                let all = all.clone();
                let keep = move |bytes: &[u8]| {
                    let mut list = all.lock().unwrap_or_else(PoisonError::into_inner);
                    list[own].extend_from_slice(bytes);
                };
                thread::spawn(move || pass(client, server, keep));
                thread::spawn(move || pass(back_from, back_to, |_| ()));
            }
        });
        Ok(Tap { address, heard })
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// Its address, as that of a server.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// All whole requests so far, in the order of their connections.
    pub fn heard(&self) -> Vec<Heard> {
        let list = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        list.iter().flat_map(|bytes| requests(bytes)).collect()
    }
}

fn pass(mut from: TcpStream, mut to: TcpStream, keep: impl Fn(&[u8])) {
    let mut buffer = [0; 16 * 1024];
    while let Ok(length @ 1..) = from.read(&mut buffer) {
        keep(&buffer[..length]);
        if to.write_all(&buffer[..length]).is_err() {
            break;
        }
    }
    // The other side is told; it may be gone already.
    let _ = to.shutdown(Shutdown::Write);
    let _ = from.shutdown(Shutdown::Read);
}

/// Requests with a Content-Length, one after another.
fn requests(mut bytes: &[u8]) -> Vec<Heard> {
    let mut found = Vec::new();
    while let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
        let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
        let length = head.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
        });
        let rest = &bytes[end + 4..];
        let Some(body) = rest.get(..length.unwrap_or(0)) else { break };
        let path = head.split_whitespace().nth(1).unwrap_or_default().to_owned();
        found.push(Heard { path, body: body.to_vec() });
        bytes = &rest[body.len()..];
    }
    found
}
