//! One HTTP/1.1 connection that is kept open, and nothing else of HTTP than our server's answers need.
//! Requests are whole bytes made beforehand, so that sending one costs a system call and little more.

use std::io::{Error, ErrorKind};
use std::net::{IpAddr, SocketAddr};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

use crate::Outcome;

/// Longest answer that is read, in bytes; a head is far shorter.
const MAX_ANSWER: usize = 1024 * 1024;

/// An open connection.
pub struct Wire {
    stream: TcpStream,
    buffer: Vec<u8>,
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Status of HTTP.
    pub status: u16,
    /// Body.
    pub body: Vec<u8>,
}

impl Wire {
    /// Connects, from a certain address of this computer if one is given.
    pub async fn open(to: SocketAddr, from: Option<IpAddr>) -> Outcome<Wire> {
        let socket = TcpSocket::new_v4()?;
        if let Some(from) = from {
            socket.bind(SocketAddr::new(from, 0))?;
        }
        let stream = socket.connect(to).await?;
        stream.set_nodelay(true)?;
        Ok(Wire { stream, buffer: Vec::new() })
    }

    /// Sends a request and waits for its answer.
    pub async fn exchange(&mut self, request: &[u8]) -> Outcome<Answer> {
        self.stream.write_all(request).await?;
        self.buffer.clear();
        loop {
            if let Some(head) = Head::read(&self.buffer)? {
                let whole = head.length + head.body;
                if whole > MAX_ANSWER {
                    return Err("an answer is too long".into());
                }
                while self.buffer.len() < whole {
                    self.receive().await?;
                }
                return Ok(Answer { status: head.status, body: self.buffer[head.length..whole].to_vec() });
            }
            if self.buffer.len() > MAX_ANSWER {
                return Err("a head is too long".into());
            }
            self.receive().await?;
        }
    }

    /// Whether the other side has closed it.
    pub fn is_closed(&self) -> bool {
        let mut one = [0; 1];
        !matches!(self.stream.try_read(&mut one), Err(error) if error.kind() == ErrorKind::WouldBlock)
    }

    async fn receive(&mut self) -> Outcome {
        self.buffer.reserve(4096);
        match self.stream.read_buf(&mut self.buffer).await? {
            0 => Err(Error::from(ErrorKind::UnexpectedEof).into()),
            _ => Ok(()),
        }
    }
}

/// What of an answer's head matters.
#[derive(Debug, PartialEq, Eq)]
struct Head {
    status: u16,
    /// Length of the head.
    length: usize,
    /// Length of the body.
    body: usize,
}

impl Head {
    /// The head, once all of it is there.
    fn read(bytes: &[u8]) -> Outcome<Option<Head>> {
        let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else { return Ok(None) };
        let text = std::str::from_utf8(&bytes[..end])?;
        let mut lines = text.split("\r\n");
        let status = lines.next().and_then(|line| line.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok());
        let body = lines.find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse().ok()).flatten()
        });
        match (status, body) {
            (Some(status), Some(body)) => Ok(Some(Head { status, length: end + 4, body })),
            _ => Err(format!("not an answer of ours: {text}").into()),
        }
    }
}

/// A request as bytes; `headers` are whole lines.
pub fn request(method: &str, path: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    let length = body.len();
    let head = format!("{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n{headers}Content-Length: {length}\r\n\r\n");
    [head.as_bytes(), body].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_read_once_it_is_whole() {
        let text = b"HTTP/1.1 201 Created\r\nserver: x\r\nContent-Length: 2\r\n\r\n{}";
        assert_eq!(Head::read(&text[..30]).unwrap(), None);
        assert_eq!(Head::read(text).unwrap(), Some(Head { status: 201, length: text.len() - 2, body: 2 }));
        assert!(Head::read(b"HTTP/1.1 200 OK\r\n\r\n").is_err(), "no length");
        assert!(Head::read(b"nonsense\r\n\r\n").is_err());
    }
}
