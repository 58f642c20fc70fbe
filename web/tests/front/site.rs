//! A small service behind the real front on a free loopback port, and a client of raw bytes.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;
use tokio::sync::oneshot;
use web::events::events;
use web::network::{Limits, Tls, serve};
use web::{Completer, Feed, Method, Rejection, Reply, Request, Response, Service};

/// Longer than any limit under test; only a failing test waits that long.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// Bytes of `/large`, more than any pair of sockets buffers.
pub const LARGE: usize = 32 * 1024 * 1024;

/// Names whose spelling clients may rely on.
pub const SPELLED: [&str; 7] = [
    "ETag",
    "Licence-QueryID",
    "Licence-QuerySignature",
    "Licence-ServerVersion",
    "Licence-SessionID",
    "Licence-Signature",
    "WWW-Authenticate",
];

pub struct Site {
    pub address: SocketAddr,
    /// Completers of `/later`.
    pub later: Receiver<Completer>,
    /// Feeds of `/events`.
    pub feeds: Receiver<Feed>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

struct Echo {
    later: Mutex<Sender<Completer>>,
    feeds: Mutex<Sender<Feed>>,
}

impl Service for Echo {
    fn call(&self, request: Request) -> Reply {
        match request.path.as_str() {
            "/later" => {
                let (completer, reply) = Reply::later();
                let _ = self.later.lock().unwrap().send(completer);
                reply
            }
            "/dropped" => Reply::later().1,
            "/events" => {
                let (feed, events) = events(4);
                let _ = self.feeds.lock().unwrap().send(feed);
                Reply::Stream(events)
            }
            "/panic" => panic!("on purpose"),
            "/spelled" => SPELLED.iter().fold(Response::text(200, "x"), |one, name| one.with_header(name, "x")).into(),
            "/nothing" => Response::empty(404).into(),
            "/large" => Response::text(200, vec![b'x'; LARGE]).into(),
            path => {
                let method = if request.method == Method::Head { "GET" } else { request.method.name() };
                let secure = if request.tls { " secure" } else { "" };
                Response::text(200, format!("{method} {path} {}{secure}", request.body.len())).into()
            }
        }
    }

    fn reject(&self, rejection: Rejection) -> Response {
        let id = rejection.headers.get("licence-queryid").unwrap_or("none").to_owned();
        rejection.response().with_header("Licence-QueryID", &id)
    }
}

impl Site {
    pub fn start(limits: Limits) -> Self {
        Self::start_with(limits, None)
    }

    pub fn start_with(limits: Limits, tls: Option<Arc<Tls>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let (later_sender, later) = mpsc::channel();
        let (feed_sender, feeds) = mpsc::channel();
        let service = Arc::new(Echo { later: Mutex::new(later_sender), feeds: Mutex::new(feed_sender) });
        let thread = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
            let shutdown = async {
                let _ = stopped.await;
            };
            runtime.block_on(serve(vec![listener], tls, service, limits, shutdown)).unwrap();
        });
        Self { address, later, feeds, stop: Some(stop), thread: Some(thread) }
    }

    /// Stops the front and waits for its end.
    pub fn stop(&mut self) {
        self.begin_stop();
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }

    pub fn begin_stop(&mut self) {
        drop(self.stop.take());
    }

    pub fn connect(&self) -> Client {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Client { stream, buffer: Vec::new() }
    }

    /// The same with an answer that is no text.
    pub fn connect_raw(&self, bytes: &[u8]) -> Vec<u8> {
        let mut client = self.connect();
        client.send(bytes);
        while client.fill() > 0 {}
        client.buffer
    }

    /// Sends `bytes` on a new connection and reads until the server closes it.
    pub fn last_words(&self, bytes: impl AsRef<[u8]>) -> String {
        let mut client = self.connect();
        client.send(bytes);
        client.rest()
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        self.stop();
    }
}

pub struct Client {
    pub stream: TcpStream,
    buffer: Vec<u8>,
}

impl Client {
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        // The server may have closed already: what it said is what counts.
        let _ = self.stream.write_all(bytes.as_ref());
    }

    pub fn get(&mut self, path: &str) -> (u16, String) {
        self.send(format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n"));
        self.response()
    }

    /// One response with its body by Content-Length.
    pub fn response(&mut self) -> (u16, String) {
        let head = self.head();
        let length =
            head.lines().find_map(|line| line.to_lowercase().strip_prefix("content-length: ").map(str::to_owned));
        let length = length.map_or(0, |length| length.parse::<usize>().unwrap());
        while self.buffer.len() < length {
            assert!(self.fill() > 0, "closed inside a body: {head}");
        }
        let body = String::from_utf8(self.buffer.drain(..length).collect()).unwrap();
        (status(&head), body)
    }

    /// A response's header.
    pub fn head(&mut self) -> String {
        self.until(b"\r\n\r\n")
    }

    /// Everything up to and with `end`.
    pub fn until(&mut self, end: &[u8]) -> String {
        loop {
            if let Some(at) = self.buffer.windows(end.len()).position(|window| window == end) {
                return String::from_utf8(self.buffer.drain(..at + end.len()).collect()).unwrap();
            }
            let got = String::from_utf8_lossy(&self.buffer).into_owned();
            assert!(self.fill() > 0, "closed after {got:?}");
        }
    }

    /// Everything up to the end of the connection.
    pub fn rest(&mut self) -> String {
        while self.fill() > 0 {}
        String::from_utf8(std::mem::take(&mut self.buffer)).unwrap()
    }

    fn fill(&mut self) -> usize {
        let mut chunk = [0; 65536];
        match self.stream.read(&mut chunk) {
            Ok(count) => {
                self.buffer.extend_from_slice(&chunk[..count]);
                count
            }
            Err(error) if error.kind() == ErrorKind::ConnectionReset => 0,
            Err(error) => panic!("{error} after {:?}", String::from_utf8_lossy(&self.buffer)),
        }
    }
}

/// Status of a response; 0 when it is none.
pub fn status(response: &str) -> u16 {
    response.split(' ').nth(1).and_then(|text| text.parse().ok()).unwrap_or(0)
}
