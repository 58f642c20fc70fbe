//! How bytes reach a server: one POST, one answer, within a limit of time. HTTP over `ureq`, or a test's memory.
//! Must not know what the bytes mean, and must leave no thread behind when it is dropped.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use licence::protocol::{MAX_FRAME, MEDIA_TYPE};
use licence::settings::Endpoint;
use licence::version::VERSION;
use ureq::Agent;
use ureq::unversioned::transport::DefaultConnector;

use super::names::{self, Names, Shown, StayLoaded};

/// A server that does not take the connection within this time is out of reach.
pub const CONNECT_LIMIT: Duration = Duration::from_secs(2);
/// A server that does not answer within this time is out of reach.
pub const CALL_LIMIT: Duration = Duration::from_secs(5);

/// Carries requests to servers.
pub trait Transport: Send + Sync {
    /// Posts `body` and waits for the answer, at most `limit` and [`CALL_LIMIT`].
    fn post(&self, to: &Endpoint, path: &str, body: &[u8], limit: Duration) -> Result<Answer, Fault>;

    /// Servers that will be asked one after the other, so that what takes time before they can be reached may begin for all.
    fn expect(&self, _servers: &[&Endpoint]) {}

    /// Lets time pass before a server is tried again; `false` when that would change nothing.
    fn pause(&self, _time: Duration) -> bool {
        false
    }

    /// Breaks off what is under way and everything after: the caller is about to wait for the thread that posts.
    fn cut(&self) {}
}

/// An answer of whatever status.
#[derive(Debug)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// The body.
    pub body: Vec<u8>,
}

/// Why there is no answer, in words for a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// The server was not reached, so it has not seen the request.
    Unsent(String),
    /// The server may have seen the request; its answer did not come.
    Unanswered(String),
}

/// HTTP/1.1 with kept-alive connections; no proxy, no redirects.
pub struct HttpTransport {
    agent: Agent,
    names: Arc<Names>,
}

impl HttpTransport {
    /// A transport with its own pool of connections, in a library that `stay_loaded` keeps loaded where the system does not finish a
    /// lookup.
    pub fn new(stay_loaded: StayLoaded) -> HttpTransport {
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .proxy(None)
            .max_redirects(0)
            .user_agent(format!("licenceaddin/{VERSION}"))
            .timeout_connect(Some(CONNECT_LIMIT))
            .timeout_resolve(Some(CONNECT_LIMIT))
            // A server closes a kept connection after its own time; shorter than that saves a repeated call.
            .max_idle_age(Duration::from_secs(25))
            .build();
        let names = Arc::new(Names::new(names::system, stay_loaded));
        let agent = Agent::with_parts(config, DefaultConnector::default(), Shown(Arc::clone(&names)));
        HttpTransport { agent, names }
    }
}

impl Transport for HttpTransport {
    fn post(&self, to: &Endpoint, path: &str, body: &[u8], limit: Duration) -> Result<Answer, Fault> {
        if limit.is_zero() {
            // No time at all would be taken for a second.
            return Err(Fault::Unsent("timeout".into()));
        }
        // A zone of an IPv6 address can't stand in a URL as it is.
        let url = format!("http://{to}{path}").replace('%', "%25");
        let request = self.agent.post(url).config().timeout_global(Some(limit.min(CALL_LIMIT))).build();
        let answer = request.content_type(MEDIA_TYPE).send(body).map_err(fault)?;
        let status = answer.status().as_u16();
        let read = answer.into_body().into_with_config().limit(MAX_FRAME as u64).read_to_vec();
        read.map(|body| Answer { status, body }).map_err(|e| Fault::Unanswered(e.to_string()))
    }

    fn expect(&self, servers: &[&Endpoint]) {
        self.names.expect(servers.iter().map(|server| (server.host.as_str(), server.port)));
    }

    fn pause(&self, time: Duration) -> bool {
        thread::sleep(time);
        true
    }

    fn cut(&self) {
        self.names.close();
        self.agent.clone().shutdown();
    }
}

fn fault(error: ureq::Error) -> Fault {
    use ureq::Timeout::{Connect, Resolve};
    let text = error.to_string();
    let unsent = match &error {
        ureq::Error::Io(e) => e.kind() == std::io::ErrorKind::ConnectionRefused,
        ureq::Error::Timeout(at) => matches!(at, Connect | Resolve),
        ureq::Error::HostNotFound | ureq::Error::ConnectionFailed | ureq::Error::BadUri(_) => true,
        _ => false,
    };
    if unsent { Fault::Unsent(text) } else { Fault::Unanswered(text) }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpListener;

    use super::*;

    fn endpoint(port: u16) -> Endpoint {
        Endpoint { host: "127.0.0.1".into(), port }
    }

    /// Reads one request and gives its body.
    fn request(stream: &mut impl Read) -> Vec<u8> {
        let mut bytes = Vec::new();
        loop {
            let mut piece = [0; 1024];
            let length = stream.read(&mut piece).unwrap();
            bytes.extend_from_slice(&piece[..length]);
            let text = String::from_utf8_lossy(&bytes).to_lowercase();
            let Some(head) = text.find("\r\n\r\n") else { continue };
            let length = text.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse::<usize>().ok());
            if bytes.len() >= head + 4 + length.unwrap() {
                return bytes[head + 4..].to_vec();
            }
        }
    }

    #[test]
    fn a_post_brings_the_answer_of_any_status_over_one_kept_connection() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            for status in ["200 OK", "404 Not found"] {
                assert_eq!(request(&mut stream), b"frame");
                write!(stream, "HTTP/1.1 {status}\r\nContent-Length: 3\r\n\r\nabc").unwrap();
            }
        });
        let transport = HttpTransport::new(|| false);
        for status in [200, 404] {
            let answer = transport.post(&endpoint(port), "/client/call", b"frame", CALL_LIMIT).unwrap();
            assert_eq!((answer.status, answer.body.as_slice()), (status, &b"abc"[..]));
        }
        server.join().unwrap();
    }

    #[test]
    fn a_server_that_is_not_there_has_not_seen_the_request() {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let transport = HttpTransport::new(|| false);
        let fault = transport.post(&endpoint(port), "/", b"", CALL_LIMIT).unwrap_err();
        assert!(matches!(fault, Fault::Unsent(_)), "{fault:?}");
        let nobody = Endpoint { host: "no-such-host.invalid".into(), port: 1 };
        assert!(matches!(transport.post(&nobody, "/", b"", CALL_LIMIT), Err(Fault::Unsent(_))));
    }

    #[test]
    fn a_server_that_hangs_up_may_have_seen_the_request() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = thread::spawn(move || request(&mut listener.accept().unwrap().0));
        let fault = HttpTransport::new(|| false).post(&endpoint(port), "/", b"x", CALL_LIMIT).unwrap_err();
        assert!(matches!(fault, Fault::Unanswered(_)), "{fault:?}");
        server.join().unwrap();
    }

    #[test]
    fn a_cut_transport_stops_waiting() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let transport = HttpTransport::new(|| false);
        thread::scope(|scope| {
            let waiting = scope.spawn(|| transport.post(&endpoint(port), "/", b"x", Duration::from_secs(3600)));
            let (mut stream, _) = listener.accept().unwrap();
            request(&mut stream);
            transport.cut();
            let Err(Fault::Unanswered(cause)) = waiting.join().unwrap() else { panic!("an answer from nobody") };
            assert!(!cause.contains("timeout"), "{cause}");
        });
    }
}
