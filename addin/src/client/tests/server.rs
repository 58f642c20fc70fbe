//! A network in memory with small servers on it, made of the core's own protocol. Holds no test.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, AtomicU16, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use licence::api::{Availability, LicenceInfo};
use licence::crypto::ring::PROVIDER;
use licence::crypto::{Crypto, Signer};
use licence::datafile::Part;
use licence::error::{Code, Error, Lang, Result};
use licence::id::{Bytes32, ConnectionId, KeyId, RootHash, SessionId};
use licence::identity::Identity;
use licence::key::Key;
use licence::protocol::handshake::Accepted;
use licence::protocol::keys::{Hidden, KeyCall, KeyOutcome};
use licence::protocol::message::{
    Acquire, Alive, Call, Counters, DatafilePiece, Envelope, Granted, Lost, Outcome, ReplyEnvelope, Secret,
    ServerHello, SessionData,
};
use licence::protocol::{CONNECT_PATH, Channel};
use licence::series::{Certificate, Issuer, RootKey};
use licence::settings::Endpoint;
use licence::subkeys::{ObjectRef, SeriesSecret};
use licence::time::{Clock, Moment, Tick, Time};

use crate::client::connection::Wanted;
use crate::client::registry::Nets;
use crate::client::transport::{Answer, CALL_LIMIT, Fault, Transport};
use crate::client::{Net, locked};

pub const SERIES: KeyId = KeyId(0x672B);
pub const LEASE: Duration = Duration::from_secs(900);
const ROOT: &[u8] = include_bytes!("../../../../golden/test-root.pk8");
const ISSUING: &[u8] = include_bytes!("../../../../golden/test-issuing.pk8");
const LICENCE: &str = include_str!("../../../../golden/672B.7121172.licence");

/// A clock that tests move.
#[derive(Default)]
pub struct TestClock(AtomicU64);

impl TestClock {
    pub fn pass(&self, time: Duration) {
        self.0.fetch_add(time.as_millis() as u64, Ordering::SeqCst);
    }
}

impl Clock for TestClock {
    fn now(&self) -> Moment {
        Moment { wall: Time(1_700_000_000_000), tick: Tick(self.0.load(Ordering::SeqCst) + 1_000_000) }
    }
}

/// Servers by name, and what they were asked.
#[derive(Default)]
pub struct Network {
    pub clock: Arc<TestClock>,
    port: OnceLock<u16>,
    servers: Mutex<BTreeMap<String, Arc<Server>>>,
    events: Mutex<Vec<String>>,
    /// Every server takes requests and answers none.
    hangs: AtomicBool,
}

/// Answers given over a connection, by the number of their calls.
type Answers = BTreeMap<u64, Vec<u8>>;

pub struct Server {
    name: String,
    identity: Identity,
    pub licences: Mutex<Vec<String>>,
    pub is_up: AtomicBool,
    /// So many answers get lost on their way.
    pub loses: AtomicUsize,
    /// So many answers take longer than a transport waits.
    pub silent: AtomicUsize,
    /// Milliseconds that each of its answers takes.
    pub takes: AtomicU64,
    /// So many calls about keys find it started again.
    pub forgets: AtomicUsize,
    /// It has no key of the series.
    pub keyless: AtomicBool,
    /// Calls about keys that came.
    pub asked: Mutex<Vec<KeyCall>>,
    /// Calls carried out.
    pub performed: AtomicUsize,
    pub refuses_connections: Mutex<Option<Error>>,
    pub refuses_claims: Mutex<Option<Error>>,
    /// Claims that came.
    pub claims: Mutex<Vec<Acquire>>,
    /// Values that it keeps.
    pub values: Mutex<BTreeMap<String, String>>,
    /// Calls are refused outside the channel with this.
    pub refuses_in_clear: Mutex<Option<Error>>,
    pub sequence: AtomicU64,
    /// Datafiles beside it.
    pub datafiles: Mutex<HashMap<Part, Vec<u8>>>,
    pub lost: Mutex<Vec<(SessionId, Error)>>,
    connections: Mutex<BTreeMap<ConnectionId, (Arc<Channel>, Answers)>>,
    /// Session by number, with the connection that holds it.
    sessions: Mutex<BTreeMap<String, (SessionId, Option<ConnectionId>)>>,
}

pub fn root() -> RootHash {
    Key::read(&PROVIDER, "golden", LICENCE).unwrap().series.root
}

/// The golden licence, issued to another server.
pub fn licence_for(identity: &Identity) -> String {
    let mut key = Key::read(&PROVIDER, "golden", LICENCE).unwrap();
    key.licence.identity = identity.public();
    key.licence.sign(&*signer(ISSUING), &key.issuer).unwrap()
}

/// The same under a root that nobody trusts.
pub fn forged_licence_for(identity: &Identity) -> String {
    let (own_root, own_issuing) = (signer(ISSUING), signer(ROOT));
    let certificate = Certificate {
        key_id: SERIES,
        root: RootKey::new(own_root.public_key().to_vec()).unwrap(),
        key: own_issuing.public_key().to_vec(),
        not_before: Time(0),
        not_after: Time(i64::MAX / 2),
    };
    let issuer = Issuer::read(&PROVIDER, "forged", &certificate.sign(&*own_root).unwrap()).unwrap();
    let mut licence = Key::read(&PROVIDER, "golden", LICENCE).unwrap().licence;
    licence.identity = identity.public();
    licence.sign(&*own_issuing, &issuer).unwrap()
}

fn signer(pkcs8: &[u8]) -> Box<dyn Signer> {
    PROVIDER.rsa_signer(pkcs8).unwrap()
}

pub fn endpoint(name: &str) -> Endpoint {
    Endpoint { host: name.into(), port: 9099 }
}

pub fn wanted() -> Wanted {
    Wanted { key_id: SERIES, anchor: Some(root()) }
}

/// The claim of a session of a file base.
pub fn claim(number: u32) -> Acquire {
    let session = SessionData {
        session_number: number.to_string(),
        session_started: Some(Time(1_600_000_000_000)),
        info_base_connection_string: "File=\"/db\";".into(),
        ..SessionData::default()
    };
    Acquire { session, ..Acquire::default() }
}

impl Network {
    pub fn new() -> Arc<Network> {
        Arc::default()
    }

    /// An address that no other test's network has: started series are shared by address within the process.
    pub fn endpoint(&self, name: &str) -> Endpoint {
        static NETWORKS: AtomicU16 = AtomicU16::new(1);
        let port = *self.port.get_or_init(|| NETWORKS.fetch_add(1, Ordering::SeqCst));
        Endpoint { host: name.into(), port }
    }

    /// Puts a server with a licence of its own on the network.
    pub fn add(&self, name: &str) -> Arc<Server> {
        let identity = Identity::generate(&PROVIDER).unwrap();
        let server = Arc::new(Server {
            name: name.into(),
            licences: Mutex::new(vec![licence_for(&identity)]),
            identity,
            is_up: AtomicBool::new(true),
            loses: AtomicUsize::default(),
            silent: AtomicUsize::default(),
            takes: AtomicU64::default(),
            forgets: AtomicUsize::default(),
            keyless: AtomicBool::default(),
            asked: Mutex::default(),
            performed: AtomicUsize::default(),
            refuses_connections: Mutex::default(),
            refuses_claims: Mutex::default(),
            claims: Mutex::default(),
            values: Mutex::default(),
            refuses_in_clear: Mutex::default(),
            sequence: AtomicU64::new(1),
            datafiles: Mutex::default(),
            lost: Mutex::default(),
            connections: Mutex::default(),
            sessions: Mutex::default(),
        });
        locked(&self.servers).insert(name.into(), Arc::clone(&server));
        server
    }

    pub fn net(self: &Arc<Network>) -> Net {
        Net {
            transport: Arc::<Network>::clone(self),
            clock: Arc::<TestClock>::clone(&self.clock),
            crypto: &PROVIDER,
            info: Arc::default(),
        }
    }

    pub fn nets(self: &Arc<Network>) -> Nets {
        Nets { calls: self.net(), heartbeat: self.net() }
    }

    /// What the servers were asked since the last question: `a acquire`, `b release` …
    pub fn events(&self) -> Vec<String> {
        std::mem::take(&mut *locked(&self.events))
    }

    /// From now on no server answers, or all do again.
    pub fn hang(&self, hangs: bool) {
        self.hangs.store(hangs, Ordering::SeqCst);
    }

    fn event(&self, server: &Server, what: &str) {
        locked(&self.events).push(format!("{} {what}", server.name));
    }
}

impl Transport for Network {
    fn post(&self, to: &Endpoint, path: &str, body: &[u8], limit: Duration) -> Result<Answer, Fault> {
        let server = locked(&self.servers).get(&to.host).cloned();
        let server = server.filter(|server| server.is_up.load(Ordering::SeqCst));
        let server = server.ok_or_else(|| Fault::Unsent("connection refused".into()))?;
        if self.hangs.load(Ordering::SeqCst) {
            self.clock.pass(limit.min(CALL_LIMIT));
            return Err(Fault::Unanswered("timeout".into()));
        }
        let answered = if path == CONNECT_PATH { server.connect(body) } else { server.call(self, body) };
        let takes = Duration::from_millis(server.takes.load(Ordering::SeqCst));
        let limit = limit.min(CALL_LIMIT);
        if path != CONNECT_PATH && one_of(&server.silent) || takes > limit {
            self.clock.pass(limit);
            return Err(Fault::Unanswered("timeout".into()));
        }
        self.clock.pass(takes);
        if one_of(&server.loses) {
            return Err(Fault::Unanswered("hung up".into()));
        }
        Ok(match answered {
            Ok(body) => Answer { status: 200, body },
            Err(error) => Answer { status: error.code.status(), body: serde_json::to_vec(&error).unwrap() },
        })
    }

    fn pause(&self, time: Duration) -> bool {
        let hangs = self.hangs.load(Ordering::SeqCst);
        if hangs {
            self.clock.pass(time);
        }
        hangs
    }
}

/// Counts one down, if there is one.
fn one_of(many: &AtomicUsize) -> bool {
    many.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok()
}

impl Server {
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Starts it again: sessions stay, connections don't.
    pub fn restart(&self) {
        locked(&self.connections).clear();
        locked(&self.sessions).values_mut().for_each(|(_, holder)| *holder = None);
        self.is_up.store(true, Ordering::SeqCst);
    }

    pub fn stop(&self) {
        self.is_up.store(false, Ordering::SeqCst);
    }

    pub fn held(&self) -> usize {
        locked(&self.sessions).len()
    }

    fn connect(&self, offer: &[u8]) -> Result<Vec<u8>> {
        let accepted = Accepted::read(&PROVIDER, self.identity.noise_private(), offer)?;
        if let Some(error) = locked(&self.refuses_connections).clone() {
            return Err(error);
        }
        let keyless = self.keyless.load(Ordering::SeqCst);
        if keyless && !accepted.installs {
            return Err(Error::new(Code::NoKey).with(accepted.key_id));
        }
        let hello = ServerHello {
            protocol: accepted.protocol,
            connection: ConnectionId(PROVIDER.random_id()?),
            version: "3.0.100.0".into(),
            os: "Linux".into(),
            cpu: "x86_64".into(),
            computer: self.name.clone(),
            sequence: self.sequence.load(Ordering::SeqCst),
            licences: if keyless { Vec::new() } else { locked(&self.licences).clone() },
        };
        let (answer, channel) = accepted.answer(&hello)?;
        locked(&self.connections).insert(hello.connection, (Arc::new(channel), BTreeMap::new()));
        Ok(answer)
    }

    fn call(&self, network: &Network, body: &[u8]) -> Result<Vec<u8>> {
        if let Some(error) = locked(&self.refuses_in_clear).clone() {
            return Err(error);
        }
        let (id, frame) = body.split_first_chunk::<16>().unwrap();
        let id = ConnectionId(*id);
        let known = locked(&self.connections).get(&id).map(|(channel, _)| Arc::clone(channel));
        let channel = known.ok_or(Code::ConnectionUnknown)?;
        let envelope: Envelope = serde_json::from_slice(&channel.open(frame)?).unwrap();
        if matches!(envelope.call, Call::Key(_)) && one_of(&self.forgets) {
            self.restart();
            return Err(Code::ConnectionUnknown.into());
        }
        let stored = locked(&self.connections).get(&id).and_then(|(_, answers)| answers.get(&envelope.id).cloned());
        let answer = stored.unwrap_or_else(|| {
            self.performed.fetch_add(1, Ordering::SeqCst);
            let result = self.perform(network, id, envelope.call);
            let sequence = self.sequence.load(Ordering::SeqCst);
            serde_json::to_vec(&ReplyEnvelope { id: envelope.id, sequence, result }).unwrap()
        });
        if let Some((_, answers)) = locked(&self.connections).get_mut(&id) {
            answers.insert(envelope.id, answer.clone());
        }
        channel.seal(&answer)
    }

    fn perform(&self, network: &Network, connection: ConnectionId, call: Call) -> Result<Outcome> {
        match call {
            Call::Open(_) => {}
            Call::Acquire(acquire) => return self.acquire(network, connection, &acquire),
            Call::Heartbeat => {
                let lost = std::mem::take(&mut *locked(&self.lost));
                let lost = lost.into_iter().map(|(session, cause)| Lost { session, cause }).collect();
                return Ok(Outcome::Alive(Alive { lost }));
            }
            Call::Licence { session } => {
                self.holds(connection, session)?;
                return Ok(Outcome::Licence { licence: self.licence()? });
            }
            Call::Key(call) => {
                network.event(self, "key");
                locked(&self.asked).push((*call).clone());
                return self.about_keys(*call).map(|outcome| Outcome::Key(Box::new(outcome)));
            }
            Call::Unknown => return Err(Code::CallUnknown.into()),
            Call::Licences { .. } => return Ok(Outcome::Licences { licences: vec![*self.licence()?] }),
            Call::Counters => {
                let sessions = self.held() as u64;
                return Ok(Outcome::Counters(Counters { sessions, ..Counters::default() }));
            }
            // A value that names what was asked, so that tests see it.
            Call::Parameter { key_no, name, or_main } => {
                return Ok(Outcome::Value { value: Some(format!("{key_no:?} {name} {or_main}")) });
            }
            Call::ServerParameter { name } => {
                return Ok(Outcome::Value { value: locked(&self.values).get(&name).cloned() });
            }
            Call::SetServerParameter { session, name, value } => {
                self.holds(connection, session)?;
                let mut values = locked(&self.values);
                match value {
                    Some(value) => drop(values.insert(name, value)),
                    None => drop(values.remove(&name)),
                }
            }
            Call::SetLock { session, name, locked } => {
                self.holds(connection, session)?;
                network.event(self, &format!("{} {name}", if locked { "lock" } else { "unlock" }));
            }
            Call::ObjectKey(query) => {
                match query.session {
                    Some(session) => self.holds(connection, session)?,
                    None if query.policy.seat => return Err(Error::new(Code::SeatNeeded).with(query.name)),
                    None => {}
                }
                // As the golden files have it.
                let secret = SeriesSecret::new([7; 32]);
                let object = ObjectRef { name: &query.name, policy: &query.policy, salt: &query.salt.0 };
                return Ok(Outcome::ObjectKey { key: secret.object_key(&PROVIDER, &object)?, key_no: Some(7) });
            }
            Call::Datafile(query) => {
                let name = query.part.file_name(SERIES);
                let file = locked(&self.datafiles).get(&query.part).cloned();
                let bytes = file.ok_or_else(|| Error::new(Code::NoDatafile).with(name))?;
                // As a server has it: of the index and its signature.
                let head = bytes.iter().enumerate().filter(|(_, byte)| **byte == b'\n').nth(2);
                let stamp = Bytes32(PROVIDER.sha256(&[&bytes[..head.map_or(bytes.len(), |(at, _)| at + 1)]]));
                let piece = bytes.iter().skip(query.at as usize).take(query.length as usize).copied().collect();
                return Ok(Outcome::Datafile(DatafilePiece { size: bytes.len() as u64, stamp, bytes: piece }));
            }
            Call::Release { session } => {
                network.event(self, "release");
                self.holds(connection, session)?;
                locked(&self.sessions).retain(|_, (id, _)| *id != session);
            }
            Call::Detach { session } => {
                network.event(self, "detach");
                self.holds(connection, session)?;
                self.unhold(|id, _| id == session);
            }
            Call::Disconnect => {
                network.event(self, "disconnect");
                self.unhold(|_, holder| holder == Some(connection));
                locked(&self.connections).remove(&connection);
            }
        }
        Ok(Outcome::Done)
    }

    /// Answers that show what was asked; these servers have no centre and no store of keys.
    fn about_keys(&self, call: KeyCall) -> Result<KeyOutcome> {
        let hidden = |text: &str| Hidden(text.into());
        let update = || KeyOutcome::Updated { updated: vec![7], retired: vec![], revoked: vec![8] };
        let reserve = || KeyOutcome::Reserved { key_no: 7, code: hidden("reserve") };
        Ok(match call {
            KeyCall::Install(_) => KeyOutcome::Installed { licence: self.licence()? },
            KeyCall::Update => update(),
            KeyCall::Deactivate(_) => reserve(),
            KeyCall::Request { .. } => KeyOutcome::Request { file_name: "a.request".into(), text: "request".into() },
            KeyCall::Respond { text } => match text.as_str() {
                "licence" => KeyOutcome::Installed { licence: self.licence()? },
                "reserve" => reserve(),
                _ => update(),
            },
            KeyCall::CodeParameters { .. } => return Err(Code::CodeUnknown.into()),
            KeyCall::ReadMemory { .. } => KeyOutcome::Memory { data: hidden("memory") },
            KeyCall::WriteMemory { .. } | KeyCall::ClearMemory { .. } | KeyCall::SetPasswords { .. } => {
                KeyOutcome::Done
            }
        })
    }

    fn licence(&self) -> Result<Box<LicenceInfo>> {
        let key = Key::read(&PROVIDER, "golden", LICENCE)?;
        let found = Availability { usable: &Ok(()), workable: true, switched_on: true };
        Ok(Box::new(LicenceInfo::of(&key, self.name.clone(), found, Time(0), Lang::English)))
    }

    fn acquire(&self, network: &Network, connection: ConnectionId, acquire: &Acquire) -> Result<Outcome> {
        network.event(self, if acquire.resume.is_some() { "resume" } else { "acquire" });
        if let Some(error) = locked(&self.refuses_claims).clone() {
            return Err(error);
        }
        locked(&self.claims).push(acquire.clone());
        if acquire.control.key_only {
            return Ok(Outcome::Present { licence: self.licence()? });
        }
        let mut sessions = locked(&self.sessions);
        let fresh = (SessionId(PROVIDER.random_id()?), None);
        let (session, holder) = sessions.entry(acquire.session.session_number.clone()).or_insert(fresh);
        let again = *holder == Some(connection);
        *holder = Some(connection);
        Ok(Outcome::Granted(Granted {
            session: *session,
            secret: (!again).then(|| Secret::new([5; 16])),
            receipt: (!again).then(|| format!("receipt {session}")),
            generation: 1,
            key_no: 7,
            lease_ms: LEASE.as_millis() as u64,
            heartbeat_ms: 10_000,
        }))
    }

    fn holds(&self, connection: ConnectionId, session: SessionId) -> Result<()> {
        let sessions = locked(&self.sessions);
        match sessions.values().find(|(id, _)| *id == session) {
            Some((_, Some(holder))) if *holder == connection => Ok(()),
            Some(_) => Err(Code::SessionTakenOver.into()),
            None => Err(Code::SessionUnknown.into()),
        }
    }

    fn unhold(&self, which: impl Fn(SessionId, Option<ConnectionId>) -> bool) {
        for (id, holder) in locked(&self.sessions).values_mut() {
            if which(*id, *holder) {
                *holder = None;
            }
        }
    }
}
