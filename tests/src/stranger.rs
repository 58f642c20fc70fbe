//! Somebody in the place of a licence server: speaks the client's protocol with keys of his own, has no licence under any anchor, and
//! writes down all that he is told.

use std::collections::BTreeMap;
use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use licence::crypto::Crypto;
use licence::crypto::ring::PROVIDER;
use licence::error::{Code, Error};
use licence::id::{ConnectionId, SessionId};
use licence::identity::Identity;
use licence::protocol::handshake::Accepted;
use licence::protocol::message::{Alive, Counters};
use licence::protocol::{CONNECT_PATH, Call, Channel, Envelope, Outcome as Reply, ReplyEnvelope, ServerHello};
use serde_json::Value as Json;

use crate::cutter::message;
use crate::failure::{Failure, Outcome, fail};

/// What he refuses calls about keys with.
type Refusal = Box<dyn Fn() -> Json + Send + Sync>;

/// The stranger. His threads live until the process ends.
pub struct Stranger {
    address: SocketAddr,
    mind: Arc<Mind>,
}

struct Mind {
    identity: Identity,
    channels: Mutex<BTreeMap<ConnectionId, Arc<Channel>>>,
    heard: Mutex<Vec<String>>,
    refusal: Refusal,
}

impl Stranger {
    /// One who grants what he is asked for, and refuses calls about keys in words of his own.
    pub fn refusing(refusal: impl Fn() -> Json + Send + Sync + 'static) -> Outcome<Stranger> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;
        let mind = Arc::new(Mind {
            identity: Identity::generate(&PROVIDER)?,
            channels: Mutex::default(),
            heard: Mutex::default(),
            refusal: Box::new(refusal),
        });
        let all = mind.clone();
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let mind = all.clone();
                // A client that is gone ends its thread.
                thread::spawn(move || mind.listen(client).ok());
            }
        });
        Ok(Stranger { address, mind })
    }

    /// The same, who says only that he has no key.
    pub fn new() -> Outcome<Stranger> {
        Stranger::refusing(|| serde_json::to_value(Error::new(Code::NoKey).with(crate::SERIES)).unwrap_or_default())
    }

    /// The port that he listens at.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// Everything that he was told, as JSON.
    pub fn heard(&self) -> Vec<String> {
        locked(&self.mind.heard).clone()
    }
}

fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Mind {
    fn listen(&self, mut client: TcpStream) -> Outcome {
        loop {
            let request = message(&mut client)?;
            let Some(end) = request.windows(4).position(|four| four == b"\r\n\r\n") else { return Ok(()) };
            let is_offer = request[..end].windows(CONNECT_PATH.len()).any(|part| part == CONNECT_PATH.as_bytes());
            let body = &request[end + 4..];
            let answer = if is_offer { self.shake_hands(body)? } else { self.answer(body)? };
            write!(client, "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", answer.len())?;
            client.write_all(&answer)?;
        }
    }

    fn shake_hands(&self, offer: &[u8]) -> Outcome<Vec<u8>> {
        let accepted = Accepted::read(&PROVIDER, self.identity.noise_private(), offer)?;
        let hello = ServerHello {
            protocol: accepted.protocol,
            connection: ConnectionId(PROVIDER.random_id()?),
            version: "3.0.100.0\u{1B}[2J".into(),
            os: "Linux".into(),
            cpu: "x86_64".into(),
            computer: "x".repeat(20_000),
            sequence: 1,
            licences: Vec::new(),
        };
        let (answer, channel) = accepted.answer(&hello)?;
        locked(&self.channels).insert(hello.connection, Arc::new(channel));
        Ok(answer)
    }

    fn answer(&self, body: &[u8]) -> Outcome<Vec<u8>> {
        let (id, frame) = body.split_first_chunk::<16>().ok_or_else(|| Failure::new("a short frame"))?;
        let known = locked(&self.channels).get(&ConnectionId(*id)).cloned();
        let Some(channel) = known else { return fail("an unknown connection") };
        let heard = channel.open(frame)?;
        locked(&self.heard).push(String::from_utf8_lossy(&heard).into_owned());
        let envelope: Envelope = serde_json::from_slice(&heard)?;
        let outcome = match envelope.call {
            // As a server of any age would write it.
            Call::Acquire(_) => serde_json::from_value(serde_json::json!({
                "is": "granted",
                "session": SessionId([7; 16]),
                "secret": SessionId([8; 16]),
                "generation": 1,
                "key_no": 7,
                "lease_ms": 900_000,
                "heartbeat_ms": 10_000,
            }))?,
            Call::Heartbeat => Reply::Alive(Alive::default()),
            Call::Counters => Reply::Counters(Counters::default()),
            Call::ServerParameter { .. } | Call::Parameter { .. } => Reply::Value { value: None },
            Call::Key(_) | Call::ObjectKey(_) | Call::Licence { .. } => {
                let reply =
                    serde_json::json!({ "id": envelope.id, "sequence": 1, "result": { "Err": (self.refusal)() } });
                return Ok(channel.seal(&serde_json::to_vec(&reply)?)?);
            }
            _ => Reply::Done,
        };
        let reply = ReplyEnvelope { id: envelope.id, sequence: 1, result: Ok(outcome) };
        Ok(channel.seal(&serde_json::to_vec(&reply)?)?)
    }
}
