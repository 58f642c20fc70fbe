//! A component's side of the protocol without the component: for tests that count, repeat and spoil single calls.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use licence::id::{Bytes32, ConnectionId, KeyId, RootHash, SessionId};
use licence::protocol::keys::{KeyCall, KeyOutcome};
use licence::protocol::message::{Acquire, ClientInfo, Granted, Lost, ObjectKeyQuery, Resume, SessionData};
use licence::protocol::{
    CALL_PATH, CONNECT_PATH, Call, Channel, ClientHandshake, Envelope, Outcome as Reply, ReplyEnvelope, VERSIONS,
};
use licence::protocol::{MEDIA_TYPE, ServerHello};

use crate::SERIES;
use crate::failure::{Outcome, check, fail};

const PATIENCE: Duration = Duration::from_secs(60);

/// A connection with a server.
pub struct Link {
    agent: ureq::Agent,
    url: String,
    channel: Channel,
    /// Identifier of the connection.
    pub connection: ConnectionId,
    /// What the server said of itself.
    pub hello: ServerHello,
    /// The static key that it proved to hold.
    pub server_key: Bytes32,
    next: AtomicU64,
}

/// Sends a body to a path of a server; gives status and body.
pub fn post(agent: &ureq::Agent, url: &str, path: &str, body: &[u8]) -> Outcome<(u16, Vec<u8>)> {
    let mut response = agent.post(format!("{url}{path}")).header("Content-Type", MEDIA_TYPE).send(body)?;
    Ok((response.status().as_u16(), response.body_mut().read_to_vec()?))
}

/// An agent that gives every answer as it comes.
pub fn agent() -> ureq::Agent {
    ureq::Agent::config_builder().http_status_as_error(false).timeout_global(Some(PATIENCE)).proxy(None).build().into()
}

impl Link {
    /// Connects for the series of the tests and introduces itself.
    pub fn connect(url: &str, anchor: &str) -> Outcome<Link> {
        let link = Link::shake_hands(url, anchor)?;
        let info = ClientInfo {
            version: licence::version::VERSION.into(),
            pid: std::process::id(),
            is_server: true,
            ..ClientInfo::default()
        };
        link.done(Call::Open(Box::new(info)))?;
        Ok(link)
    }

    /// Connects and says nothing yet.
    pub fn shake_hands(url: &str, anchor: &str) -> Outcome<Link> {
        Link::shake_hands_offering(VERSIONS, url, anchor)
    }

    /// The same as a component that speaks these versions of the protocol.
    pub fn shake_hands_offering(versions: &[u8], url: &str, anchor: &str) -> Outcome<Link> {
        let agent = agent();
        let (key_id, anchor) = (SERIES.parse::<KeyId>()?, anchor.parse::<RootHash>()?);
        let (handshake, offer) = ClientHandshake::offering(versions, key_id, Some(anchor))?;
        let (status, answer) = post(&agent, url, CONNECT_PATH, &offer)?;
        check(status == 200, || format!("handshake: {status} {}", String::from_utf8_lossy(&answer)))?;
        let established = handshake.finish(&answer)?;
        Ok(Link {
            agent,
            url: url.to_owned(),
            channel: established.channel,
            connection: established.connection,
            hello: established.hello,
            server_key: established.server_key,
            next: AtomicU64::new(1),
        })
    }

    /// The body of a call as it goes over the wire, under a number of its own.
    pub fn body(&self, call: Call) -> Outcome<Vec<u8>> {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        self.numbered(id, call)
    }

    /// The body of a call under a given number.
    pub fn numbered(&self, id: u64, call: Call) -> Outcome<Vec<u8>> {
        self.sealed(&serde_json::to_vec(&Envelope { id, call })?)
    }

    /// The body of any message.
    pub fn sealed(&self, message: &[u8]) -> Outcome<Vec<u8>> {
        let frame = self.channel.seal(message)?;
        Ok([&self.connection.0[..], &frame].concat())
    }

    /// Sends a body; what the server says outside the channel when it refuses.
    pub fn send(&self, body: &[u8]) -> Outcome<Result<ReplyEnvelope, (u16, String)>> {
        let (status, answer) = post(&self.agent, &self.url, CALL_PATH, body)?;
        if status != 200 {
            return Ok(Err((status, String::from_utf8_lossy(&answer).into_owned())));
        }
        Ok(Ok(serde_json::from_slice(&self.channel.open(&answer)?)?))
    }

    /// Calls the server; what came of it.
    pub fn call(&self, call: Call) -> Outcome<licence::error::Result<Reply>> {
        match self.send(&self.body(call)?)? {
            Ok(reply) => Ok(reply.result),
            Err((status, text)) => fail(format!("the frame was refused: {status} {text}")),
        }
    }

    /// A call that has nothing to tell.
    pub fn done(&self, call: Call) -> Outcome {
        match self.call(call)?? {
            Reply::Done => Ok(()),
            other => fail(format!("not what was asked for: {other:?}")),
        }
    }

    /// Takes a licence for a session; a refusal is a value.
    pub fn try_acquire(&self, session: SessionData) -> Outcome<licence::error::Result<Granted>> {
        self.claim(Acquire { session, ..Acquire::default() })
    }

    fn claim(&self, acquire: Acquire) -> Outcome<licence::error::Result<Granted>> {
        match self.call(Call::Acquire(Box::new(acquire)))? {
            Ok(Reply::Granted(granted)) => Ok(Ok(granted)),
            Ok(other) => fail(format!("not a grant: {other:?}")),
            Err(error) => Ok(Err(error)),
        }
    }

    /// Takes over a session that was granted before a break.
    pub fn resume(&self, session: SessionData, held: &Granted) -> Outcome<licence::error::Result<Granted>> {
        let Some(secret) = held.secret.clone() else { return fail("no secret to take it over with") };
        let resume = Some(Resume { session: held.session, secret, receipt: held.receipt.clone() });
        self.claim(Acquire { session, resume, ..Acquire::default() })
    }

    /// Takes a licence for a session.
    pub fn acquire(&self, session: SessionData) -> Outcome<Granted> {
        Ok(self.try_acquire(session)??)
    }

    /// Says that it lives; what it holds no more.
    pub fn heartbeat(&self) -> Outcome<Vec<Lost>> {
        match self.call(Call::Heartbeat)?? {
            Reply::Alive(alive) => Ok(alive.lost),
            other => fail(format!("not an answer to a heartbeat: {other:?}")),
        }
    }

    /// Something about the keys of the series.
    pub fn about_keys(&self, call: KeyCall) -> Outcome<KeyOutcome> {
        match self.call(Call::Key(Box::new(call)))?? {
            Reply::Key(outcome) => Ok(*outcome),
            other => fail(format!("not an answer about keys: {other:?}")),
        }
    }

    /// Gives it back.
    pub fn release(&self, session: SessionId) -> Outcome {
        self.done(Call::Release { session })
    }

    /// Asks for the key of an object; a refusal is a value.
    pub fn object_key(&self, query: ObjectKeyQuery) -> Outcome<licence::error::Result<licence::subkeys::Subkey>> {
        match self.call(Call::ObjectKey(query))? {
            Ok(Reply::ObjectKey { key, .. }) => Ok(Ok(key)),
            Ok(other) => fail(format!("not a key: {other:?}")),
            Err(error) => Ok(Err(error)),
        }
    }
}

/// Session `number` of a server infobase.
pub fn server_session(number: u32) -> SessionData {
    SessionData {
        session_number: number.to_string(),
        session_started: "2024-05-06T07:08:09Z".parse().ok(),
        user_name: format!("Кассир {number}"),
        app_name: "1CV8C".into(),
        computer_name: format!("KASSA-{number}"),
        info_base_connection_string: "Srvr=\"app01\";Ref=\"trade\";".into(),
        is_server: Some(true),
        ..SessionData::default()
    }
}
