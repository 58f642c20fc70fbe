//! One connection to one server about one series: handshake, trust, numbered calls. A connection that exists has been checked
//! against the anchor, if there is one.
//!
//! A call on the wire is the connection's identifier (16 bytes) and a frame of its channel; the answer is a frame, or an
//! error of the catalogue in JSON under another HTTP status when the server can't answer inside the channel.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use licence::error::{Code, Error, Lang, MAX_PARTICULAR, plain};
use licence::id::{Bytes32, ConnectionId, KeyId, RootHash, SeriesId};
use licence::key::Key;
use licence::protocol::channel::Channel;
use licence::protocol::handshake::ClientHandshake;
use licence::protocol::message::{Call, Envelope, Outcome, ReplyEnvelope, ServerHello};
use licence::protocol::{CALL_PATH, CONNECT_PATH};
use licence::settings::Endpoint;
use licence::time::Deadline;
use zeroize::Zeroizing;

use super::ledger::KNOWN;
use super::transport::{Answer, CALL_LIMIT, Fault};
use super::{Net, SERVER_LIMIT, Trouble};

/// An established connection.
pub struct Connection {
    /// Place of its server in the list.
    pub index: usize,
    /// The server's address.
    pub endpoint: Endpoint,
    /// The key that the server proved to hold.
    pub server_key: Bytes32,
    /// What the server said of itself. Its licences are not kept.
    pub hello: ServerHello,
    /// Whether a licence under the anchor has named that key.
    pub is_proven: bool,
    /// The sequence that the server was known to have reached, when it came back with a lower one.
    pub went_back_from: Option<u64>,
    wanted: Wanted,
    purpose: Purpose,
    id: ConnectionId,
    channel: Channel,
    next_call: AtomicU64,
    /// The server does not know this connection any more.
    gone: AtomicBool,
}

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wanted {
    /// The series.
    pub key_id: KeyId,
    /// Its root, if it is known.
    pub anchor: Option<RootHash>,
}

impl Wanted {
    /// [`Code::NoAnchor`] for a secret where no anchor says what a server must prove.
    pub fn may_send(&self, is_secret: bool) -> Result<(), Error> {
        match self.anchor {
            None if is_secret => Err(Error::new(Code::NoAnchor).with(self.key_id)),
            _ => Ok(()),
        }
    }
}

/// What a connection is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// To work under the keys of the series: the server must prove that it has one.
    Work,
    /// To bring the first key: a server that shows no licence is accepted too. Nothing that it says is relied on.
    Install,
}

impl Connection {
    /// Connects, checks the server under the anchor, and tells it who we are.
    pub fn open(
        net: &Net,
        index: usize,
        endpoint: &Endpoint,
        wanted: Wanted,
        deadline: &Deadline,
    ) -> Result<Connection, Trouble> {
        Connection::open_for(net, index, endpoint, (wanted, Purpose::Work), deadline)
    }

    /// The same for a purpose.
    pub fn open_for(
        net: &Net,
        index: usize,
        endpoint: &Endpoint,
        (wanted, purpose): (Wanted, Purpose),
        deadline: &Deadline,
    ) -> Result<Connection, Trouble> {
        let deadline = deadline.at_most(SERVER_LIMIT);
        let handshake = match (purpose, wanted.anchor) {
            (Purpose::Work, anchor) => ClientHandshake::start(wanted.key_id, anchor),
            (Purpose::Install, Some(root)) => ClientHandshake::start_installer(wanted.key_id, root),
            // Nobody could tell whose key is to come.
            (Purpose::Install, None) => Err(Error::new(Code::NoAnchor).with(wanted.key_id)),
        };
        let (handshake, offer) = handshake.map_err(Trouble::Refused)?;
        // What a call beside this one hears meanwhile may be newer than the hello.
        let before = KNOWN.snapshot();
        let answer = net.transport.post(endpoint, CONNECT_PATH, &offer, deadline.left());
        let body = accepted(answer.map_err(unreachable)?)?;
        // What is no handshake comes from some other program on that port.
        let no_handshake = |e: Error| Trouble::Unreachable(plain(&e.cause(Lang::English), MAX_PARTICULAR));
        let established = handshake.finish(&body).map_err(no_handshake)?;
        let (mut hello, server_key) = (established.hello, established.server_key);
        let licences = std::mem::take(&mut hello.licences);
        for text in [&mut hello.version, &mut hello.os, &mut hello.cpu, &mut hello.computer] {
            *text = plain(text, MAX_PARTICULAR);
        }
        let needs_proof = purpose == Purpose::Work || !licences.is_empty();
        let root = wanted.anchor.filter(|_| needs_proof);
        if let Some(root) = root {
            let series = SeriesId { key_id: wanted.key_id, root };
            check(net, endpoint, series, &server_key, &licences).map_err(Trouble::Refused)?;
        }
        let went_back_from = before.of(&server_key).filter(|known| hello.sequence < *known);
        if let Some(known) = went_back_from {
            log::warn!("{endpoint}: the ledger went back from {known} to {}", hello.sequence);
        }
        KNOWN.note(server_key, hello.sequence);
        let connection = Connection {
            index,
            endpoint: endpoint.clone(),
            server_key,
            hello,
            is_proven: root.is_some(),
            went_back_from,
            wanted,
            purpose,
            id: established.connection,
            channel: established.channel,
            next_call: AtomicU64::new(1),
            gone: AtomicBool::new(false),
        };
        connection.call(net, Call::Open(Box::new((*net.info).clone())), &deadline)?;
        let server = (&connection.hello.version, &connection.hello.os, &connection.hello.computer);
        log::info!("{}: connected to {endpoint} {server:?}, anchor: {}", wanted.key_id, wanted.anchor.is_some());
        Ok(connection)
    }

    /// Makes a call. It is sent once more under the same number when its answer was lost: the server then repeats what it
    /// answered, and does nothing twice.
    pub fn call(&self, net: &Net, call: Call, deadline: &Deadline) -> Result<Outcome, Trouble> {
        self.exchange(net, call, deadline, false)
    }

    /// Makes a call that the server works on for longer than a transport waits: it is sent again as long as the server is silent.
    pub fn call_patiently(&self, net: &Net, call: Call, deadline: &Deadline) -> Result<Outcome, Trouble> {
        self.exchange(net, call, deadline, true)
    }

    fn exchange(&self, net: &Net, call: Call, deadline: &Deadline, patiently: bool) -> Result<Outcome, Trouble> {
        self.may_send(&call).map_err(Trouble::Refused)?;
        let id = self.next_call.fetch_add(1, Ordering::Relaxed);
        // May hold a session's secret.
        let message = Zeroizing::new(serde_json::to_vec(&Envelope { id, call }).map_err(|e| wrong(&e))?);
        let mut lost = None;
        let mut losses = 0;
        while losses < 2 {
            let sent = net.now();
            let frame = self.channel.seal(&message).map_err(Trouble::Refused)?;
            let body = [&self.id.0[..], &frame].concat();
            match net.transport.post(&self.endpoint, CALL_PATH, &body, deadline.left()) {
                Ok(answer) => {
                    let frame = accepted(answer).inspect_err(|e| self.note(e)).map_err(|e| self.in_clear(e))?;
                    return self.reply(id, &frame);
                }
                Err(Fault::Unanswered(cause)) if !deadline.is_over() => {
                    lost = Some(cause);
                    // A server at work lets the transport wait; one that broke off at once is not at work.
                    let is_silent = net.now().since(sent) > CALL_LIMIT / 2;
                    losses += u32::from(!(patiently && is_silent));
                }
                Err(fault) => return Err(unreachable(fault)),
            }
        }
        Err(Trouble::Unreachable(lost.unwrap_or_default()))
    }

    /// What this server may be sent. Every call passes here, whoever makes it.
    fn may_send(&self, call: &Call) -> Result<(), Error> {
        let is_for_keyless = match call {
            Call::Open(_) | Call::Heartbeat | Call::Disconnect => true,
            Call::Key(call) => call.brings_key(),
            _ => false,
        };
        match self.purpose {
            _ if self.is_proven => Ok(()),
            Purpose::Work => self.wanted.may_send(call.carries_secret()),
            Purpose::Install if is_for_keyless => Ok(()),
            Purpose::Install => Err(Error::new(Code::NoKey).with(self.wanted.key_id)),
        }
    }

    fn reply(&self, id: u64, frame: &[u8]) -> Result<Outcome, Trouble> {
        let message = self.channel.open(frame).map_err(Trouble::Refused).inspect_err(|e| self.note(e))?;
        let reply: ReplyEnvelope = serde_json::from_slice(&message).map_err(|e| wrong(&e))?;
        if reply.id != id {
            return Err(wrong(&"a reply to another call"));
        }
        KNOWN.note(self.server_key, reply.sequence);
        reply.result.map_err(Trouble::Refused).inspect_err(|e| self.note(e))
    }

    /// What a refusal outside the channel is worth: anybody on the way may have written it, so all that follows from it is
    /// to connect again or to try another server.
    fn in_clear(&self, trouble: Trouble) -> Trouble {
        match trouble {
            Trouble::Refused(error) if !self.is_gone() => Trouble::Unreachable(error.cause(Lang::English)),
            other => other,
        }
    }

    /// Whether the server has said that it does not know this connection.
    pub fn is_gone(&self) -> bool {
        self.gone.load(Ordering::Relaxed)
    }

    fn note(&self, trouble: &Trouble) {
        if matches!(trouble, Trouble::Refused(e) if matches!(e.code, Code::ConnectionUnknown | Code::FrameRefused)) {
            self.gone.store(true, Ordering::Relaxed);
        }
    }
}

/// Whether a licence under the anchor names the key that the server proved to hold.
fn check(
    net: &Net,
    endpoint: &Endpoint,
    series: SeriesId,
    server_key: &Bytes32,
    licences: &[String],
) -> Result<(), Error> {
    let place = endpoint.to_string();
    let mut genuine = licences.iter().filter_map(|text| Key::read(net.crypto, &place, text).ok());
    if genuine.any(|key| key.series == series && key.licence.identity.noise == *server_key) {
        return Ok(());
    }
    let error = Error::new(Code::ServerNotTrusted).with(&place).with(series.key_id);
    Err(if licences.is_empty() {
        error.with_text("он не показал ни одной лицензии", "it showed no licence")
    } else {
        error.with_text(
            "ни одна из его лицензий не выдана этому серверу под якорем доверия",
            "none of its licences was issued to this server under the trust anchor",
        )
    })
}

fn accepted(answer: Answer) -> Result<Vec<u8>, Trouble> {
    if answer.status == 200 {
        return Ok(answer.body);
    }
    Err(match serde_json::from_slice(&answer.body) {
        Ok(error) => Trouble::Refused(error),
        Err(_) => Trouble::Unreachable(format!("HTTP {}", answer.status)),
    })
}

fn unreachable(fault: Fault) -> Trouble {
    match fault {
        Fault::Unsent(cause) | Fault::Unanswered(cause) => Trouble::Unreachable(plain(&cause, MAX_PARTICULAR)),
    }
}

/// The cause may quote what the server sent.
fn wrong(cause: &dyn std::fmt::Display) -> Trouble {
    Trouble::Refused(Error::new(Code::FrameRefused).with(plain(&cause.to_string(), MAX_PARTICULAR)))
}
