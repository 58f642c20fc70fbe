//! The component's protocol at `/client`: handshakes, channels, calls. `docs/protocol.md`.
//!
//! It owns the channels and the stored answers, in memory only; who holds which seat is the ledger's business, and what a
//! licence entitles to the key store's.

mod answers;
mod channels;
mod claim;
mod codes;
mod keys;
mod locks;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use licence::accounting::book::{self, Beat, SessionState};
use licence::accounting::{Book, Claim, Grant, Receipt};
use licence::api::LicenceInfo;
use licence::crypto::{Mac, Provider};
use licence::protocol::handshake::{Accepted, MAX_HELLO};
use licence::protocol::message::{
    Acquire, Alive, Call, ClientInfo, Counters, DatafileQuery, Envelope, Granted, Lost, ObjectKeyQuery, Outcome,
    ReplyEnvelope, Secret, ServerHello,
};
use licence::protocol::{Channel, MEDIA_TYPE};
use licence::time::Clock;
use licence::{Code, ConnectionId, Error, KeyNo, Lang, Moment, Result, SeriesId, SessionId, Tick};
use parking_lot::{Mutex, RwLock};
use web::limits::Buckets;
use web::{Completer, Lane, Reply, Request, Response, Workers};
use zeroize::Zeroizing;

use crate::datafiles::Datafiles;
use crate::defaults::Defaults;
use crate::keys::KeyStore;
use crate::ledger::{Assignment, Ledger};
use crate::queue::hand_over;
use crate::timekeeper::Timekeeper;
use answers::{Admission, Answer, Answers};
use channels::Channels;
use codes::{Attempt, CodeGuard};
use locks::{Holder, Locks};

/// How often a component should be heard.
const HEARTBEAT: Duration = Duration::from_secs(10);
/// A channel that was not used for this long is forgotten: its connection's lease is over.
const CHANNEL_KEPT: Duration = Duration::from_secs(60);
/// A channel whose client has not introduced itself is forgotten sooner.
const UNOPENED_KEPT: Duration = Duration::from_secs(10);
/// Keys that are told at once, in bytes of JSON: chunks and numbers around them leave the frame below its limit.
const MAX_LICENCES: usize = 512 * 1024;
/// How often forgotten channels are looked for.
const SWEEP: Duration = Duration::from_secs(5);

/// Threads that read files of the data folder, and calls that may wait for them; addresses take turns.
const READERS: [&[usize]; 2] = [&[0]; 2];
const READS: Lane = Lane { waiting: 256, waiting_per_client: 128, patience: Duration::from_secs(20) };

/// The endpoint.
pub struct Clients {
    core: Arc<Core>,
    channels: RwLock<Channels<Connection>>,
    swept: Mutex<Tick>,
}

/// What calls need besides their connection.
struct Core {
    crypto: Provider,
    clock: Arc<dyn Clock>,
    timekeeper: Arc<Timekeeper>,
    keys: Arc<KeyStore>,
    ledger: Arc<Ledger>,
    datafiles: Datafiles,
    defaults: Defaults,
    /// Threads that read both.
    readers: Workers,
    /// Authenticates receipts.
    receipts: Box<dyn Mac>,
    /// The service, for calls about keys, and how many of them each address has made.
    life: Arc<crate::Core>,
    tries: Mutex<Buckets>,
    computer: String,
    codes: Mutex<CodeGuard>,
    /// Looked at and changed inside the ledger's lock only, as sessions end there.
    locks: Mutex<Locks>,
}

/// One channel with a component.
struct Connection {
    id: ConnectionId,
    series: SeriesId,
    /// It came to install the first key of the series: it can do nothing else, even when there is a key meanwhile, and the book
    /// does not know it, as the series may be anything.
    brings_key: bool,
    peer: std::net::IpAddr,
    /// A proxy has forwarded the handshake, so the peer is not the client's computer.
    is_forwarded: bool,
    channel: Channel,
    /// What the client said in its first call; nothing else is answered before.
    opened: Mutex<Option<ClientInfo>>,
    answers: Mutex<Answers<Completer>>,
    used: AtomicU64,
    gone: AtomicBool,
}

impl Clients {
    /// The endpoint over the service.
    pub(crate) fn new(
        life: Arc<crate::Core>,
        clock: Arc<dyn Clock>,
        (datafiles, defaults): (Datafiles, Defaults),
    ) -> Result<Clients> {
        let swept = Mutex::new(clock.now().tick);
        let computer = licence::host::os::computer_name();
        let ticks = clock.clone();
        let now = move || Duration::from_millis(ticks.now().tick.0);
        let readers = Workers::start("datafiles", &[READS], &READERS, now);
        let readers = readers.map_err(|e| Error::new(Code::Internal).with(e))?;
        let core = Arc::new(Core {
            crypto: life.crypto,
            clock,
            timekeeper: life.timekeeper.clone(),
            keys: life.keys.clone(),
            ledger: life.ledger.clone(),
            datafiles,
            defaults,
            readers,
            receipts: life.keys.identity().receipt_key(life.crypto)?,
            life,
            tries: Mutex::new(Buckets::new(keys::TRIES, keys::TRIES_EVERY, keys::ADDRESSES)),
            computer,
            codes: Mutex::default(),
            locks: Mutex::default(),
        });
        Ok(Clients { core, channels: RwLock::new(Channels::new()), swept })
    }

    /// Answers `POST /client/connect`.
    pub fn connect(&self, request: &Request) -> Reply {
        self.sweep();
        Reply::Now(self.shake_hands(request).map_or_else(|error| refusal(&error), binary))
    }

    fn shake_hands(&self, request: &Request) -> Result<Vec<u8>> {
        let core = &self.core;
        let accepted = Accepted::read(core.crypto, core.keys.identity().noise_private(), &request.body)?;
        let peer = request.peer.ip().to_canonical();
        if !self.channels.read().has_room(peer) {
            return Err(Code::Busy.into());
        }
        let (series, brings_key) = match (core.keys.series_of(accepted.key_id, accepted.anchor), accepted.anchor) {
            (Err(error), Some(root)) if accepted.installs && error.code == Code::NoKey => {
                (SeriesId { key_id: accepted.key_id, root }, true)
            }
            (found, _) => (found?, false),
        };
        let mut hello = ServerHello {
            protocol: accepted.protocol,
            connection: ConnectionId(core.crypto.random_id()?),
            version: licence::version::VERSION.into(),
            os: licence::version::OS.into(),
            cpu: licence::version::CPU.into(),
            computer: core.computer.clone(),
            sequence: core.ledger.sequence(),
            licences: Vec::new(),
        };
        // JSON writes a licence's quotes and line feeds as two characters each; half of the room is enough for them.
        hello.licences = core.keys.documents(&series, MAX_HELLO / 2);
        let (answer, channel) = accepted.answer(&hello)?;
        let connection = Connection {
            id: hello.connection,
            series,
            brings_key,
            peer,
            is_forwarded: request.is_forwarded(),
            channel,
            opened: Mutex::new(None),
            answers: Mutex::new(Answers::new()),
            used: AtomicU64::new(core.clock.now().tick.0),
            gone: AtomicBool::new(false),
        };
        self.channels.write().insert(connection.id, peer, connection);
        Ok(answer)
    }

    /// Answers `POST /client/call`.
    pub fn call(&self, request: &Request) -> Reply {
        match self.open_frame(request) {
            Ok((connection, envelope)) => self.core.clone().admit(connection, envelope),
            Err(error) => Reply::Now(refusal(&error)),
        }
    }

    fn open_frame(&self, request: &Request) -> Result<(Arc<Connection>, Envelope)> {
        let short = || Error::new(Code::FrameRefused).with_text("слишком короткий", "too short");
        let (id, frame) = request.body.split_first_chunk::<16>().ok_or_else(short)?;
        let connection = self.channels.read().get(ConnectionId(*id));
        let connection = connection.filter(|connection| !connection.gone.load(Ordering::Relaxed));
        let connection = connection.ok_or(Code::ConnectionUnknown)?;
        let message = connection.channel.open(frame)?;
        let envelope = serde_json::from_slice(&message)
            .map_err(|e| Error::new(Code::FrameRefused).with(format_args!("JSON, column {}", e.column())))?;
        connection.used.store(self.core.clock.now().tick.0, Ordering::Relaxed);
        Ok((connection, envelope))
    }

    /// Forgets channels that are not used any more. Done now and then, so that no call pays for it.
    fn sweep(&self) {
        let now = self.core.clock.now().tick;
        {
            let mut swept = self.swept.lock();
            if now.since(*swept) < SWEEP {
                return;
            }
            *swept = now;
        }
        self.channels.write().retain(|connection| {
            let kept = if connection.opened.lock().is_some() { CHANNEL_KEPT } else { UNOPENED_KEPT };
            let idle = now.since(Tick(connection.used.load(Ordering::Relaxed)));
            idle < kept && !connection.gone.load(Ordering::Relaxed)
        });
    }
}

impl Core {
    /// Carries out a call that is new, repeats the answer of one that is not.
    fn admit(self: Arc<Core>, connection: Arc<Connection>, envelope: Envelope) -> Reply {
        let (completer, reply) = Reply::later();
        let allowed = connection.allows(&envelope.call);
        if let (Call::Datafile(query), Ok(())) = (&envelope.call, &allowed) {
            self.hand_out(connection, envelope.id, *query, completer);
            return reply;
        }
        let admission = connection.answers.lock().admit(envelope.id, completer);
        match admission {
            Admission::New => match allowed {
                Ok(()) => self.perform(connection, envelope.id, envelope.call),
                Err(error) => self.answer(&connection, envelope.id, Err(error)),
            },
            Admission::Joined => {}
            Admission::Answered(completer, answer) => completer.complete(connection.seal(&answer)),
            Admission::Refused(completer) => completer.complete(refusal(&Code::Busy.into())),
        }
        reply
    }

    fn perform(self: Arc<Core>, connection: Arc<Connection>, id: u64, call: Call) {
        let (key, series) = (connection.id, connection.series);
        let result = match call {
            Call::Acquire(acquire) => match self.claim(&connection, &acquire) {
                Ok((claim, _, attempt)) if acquire.control.key_only => self.present(series, claim, attempt),
                Ok((claim, secret, attempt)) => {
                    let (core, issuer, secret_hash) = (self.clone(), self.clone(), claim.secret_hash);
                    let hold = move |book: &mut Book, now| {
                        let grant = core.judged(attempt, book.claim(claim, now))?;
                        Ok((grant, book.leases().hold()))
                    };
                    let outcome = move |(grant, hold)| {
                        let receipt = issuer.receipt(series, &grant, secret_hash);
                        granted(&grant, hold, (secret, receipt))
                    };
                    return self.durably(connection, id, hold, outcome);
                }
                Err(error) => Err(error),
            },
            Call::Release { session } => {
                return self.durably(
                    connection,
                    id,
                    move |book, now| book.release(key, session, now),
                    |()| Outcome::Done,
                );
            }
            // The rest is answered at once: nothing of it must be durable first.
            Call::Open(info) => {
                let record = claim::connection_info(series, connection.peer, &info);
                if connection.opened.lock().replace(*info).is_none() && !connection.brings_key {
                    self.ledger.touch(|book, now| book.connect(key, record, now));
                }
                Ok(Outcome::Done)
            }
            Call::Heartbeat if connection.brings_key => Ok(Outcome::Alive(Alive { lost: Vec::new() })),
            Call::Heartbeat => self.ledger.touch(|book, now| book.heartbeat(key, now)).map(alive),
            Call::Detach { session } => {
                self.ledger.touch(|book, now| book.detach(key, session, now)).map(|()| Outcome::Done)
            }
            Call::Disconnect => {
                connection.gone.store(true, Ordering::Relaxed);
                self.ledger.touch(|book, now| book.disconnect(key, now));
                Ok(Outcome::Done)
            }
            Call::Licence { session } => self.licence(key, series, session),
            Call::ObjectKey(query) => self.object_key(key, series, &query),
            Call::Key(call) => return self.about_keys(connection, id, *call),
            // Only `admit` knows who waits for it.
            Call::Datafile(_) => Err(Code::Internal.into()),
            Call::Unknown => Err(Code::CallUnknown.into()),
            Call::Licences { all_series, only_available } => Ok(self.licences(series, all_series, only_available)),
            Call::Counters => Ok(Outcome::Counters(self.counters(series))),
            Call::Parameter { key_no, name, or_main } => match self.keys.parameter(&series, key_no, &name, or_main) {
                Ok(None) => return self.look_up_default(connection, id, name),
                found => found.map(|value| Outcome::Value { value }),
            },
            Call::ServerParameter { name } => Ok(Outcome::Value { value: self.ledger.parameter(series, &name) }),
            Call::SetServerParameter { session, name, value } => {
                let core = self.clone();
                return self.ledger.set_parameter(
                    Assignment { series, name, value },
                    |book, now| book.use_session(key, session, now).map(drop),
                    move |set| core.answer(&connection, id, set.map(|()| Outcome::Done)),
                );
            }
            Call::SetLock { session, name, locked } => {
                let holder = Holder { session, connection: key };
                self.set_lock(series, &name, holder, locked).map(|()| Outcome::Done)
            }
        };
        self.answer(&connection, id, result);
    }

    /// Answers what a parameter is worth that no licence has, beside the others' calls: a file is looked at.
    fn look_up_default(self: Arc<Core>, connection: Arc<Connection>, id: u64, name: String) {
        let core = self.clone();
        let place = (0, connection.peer);
        let look = move |connection: Arc<Connection>, turn: Result<()>| {
            let value = turn.and_then(|()| core.defaults.value(&connection.series, &name));
            core.answer(&connection, id, value.map(|value| Outcome::Value { value }));
        };
        if let Err((error, connection)) = hand_over(&self.readers, place, connection, look) {
            self.answer(&connection, id, Err(error));
        }
    }

    /// Reads a piece of a datafile beside the others' calls: it waits for a disk.
    fn hand_out(self: Arc<Core>, connection: Arc<Connection>, id: u64, query: DatafileQuery, completer: Completer) {
        let core = self.clone();
        let place = (0, connection.peer);
        let read = move |completer: Completer, turn: Result<()>| {
            let result = turn.and_then(|()| core.datafiles.piece(&connection.series, &query)).map(Outcome::Datafile);
            if let Some(answer) = core.reply(id, result) {
                completer.complete(connection.seal(&answer));
            }
        };
        if let Err((error, completer)) = hand_over(&self.readers, place, completer, read) {
            completer.complete(refusal(&error));
        }
    }

    /// The claim of a call, the secret for its grant, and the attempt that its access code is.
    fn claim(&self, connection: &Connection, acquire: &Acquire) -> Result<(Claim, Secret, Option<Attempt>)> {
        let (claim, secret) = claim::claim((self.crypto, &*self.receipts), connection, acquire)?;
        let now = self.clock.now().tick;
        let attempt = self.codes.lock().admit(self.crypto, connection.peer, &connection.series, &claim, now)?;
        Ok((claim, secret, attempt))
    }

    /// The receipt for a grant that is durable now: the commit that holds it has the ledger's number.
    fn receipt(&self, series: SeriesId, grant: &Grant, secret_hash: [u8; 32]) -> String {
        let receipt = Receipt {
            series,
            session: grant.session,
            key_no: grant.key_no,
            seat: grant.seat.clone(),
            generation: grant.generation,
            sequence: self.ledger.sequence(),
            secret_hash,
        };
        receipt.seal(&*self.receipts)
    }

    fn judged<T>(&self, attempt: Option<Attempt>, outcome: Result<T>) -> Result<T> {
        if let Some(attempt) = attempt {
            self.codes.lock().judged(attempt, &outcome, self.clock.now().tick);
        }
        outcome
    }

    /// A key that is there: nothing is granted, so there is no session that an object's key could be asked for with.
    fn present(&self, series: SeriesId, claim: Claim, attempt: Option<Attempt>) -> Result<Outcome> {
        let found = self.ledger.touch(|book, now| book.find_key(claim, now));
        let key_no = self.judged(attempt, found)?;
        let licence = self.keys.info(&series, key_no, self.timekeeper.now());
        let licence = licence.ok_or_else(|| Error::new(Code::NoKey).with(series.key_id))?;
        Ok(Outcome::Present { licence: Box::new(licence) })
    }

    fn licence(&self, connection: ConnectionId, series: SeriesId, session: SessionId) -> Result<Outcome> {
        let key_no = self.key_of(connection, session)?;
        let licence = self.keys.info(&series, key_no, self.timekeeper.now());
        let licence = licence.ok_or_else(|| Error::new(Code::NoKey).with(series.key_id))?;
        Ok(Outcome::Licence { licence: Box::new(licence) })
    }

    /// The keys of the connection's series or of all. Clients are strangers, so of activation codes they see the last group only.
    fn licences(&self, series: SeriesId, all_series: bool, only_available: bool) -> Outcome {
        let mut licences = self.keys.list((!all_series).then_some(&series), self.timekeeper.now());
        licences.retain(|licence| licence.enabled || !only_available);
        for licence in &mut licences {
            let last = licence.activation_code.rsplit('-').next().unwrap_or_default();
            licence.activation_code = format!("****-****-****-****-{last}");
        }
        let mut room = MAX_LICENCES;
        let size = |licence: &LicenceInfo| serde_json::to_vec(licence).map_or(MAX_LICENCES, |json| json.len());
        let too_far = licences.iter().position(|licence| {
            let left = room.checked_sub(size(licence));
            room = left.unwrap_or(0);
            left.is_none()
        });
        licences.truncate(too_far.unwrap_or(licences.len()));
        Outcome::Licences { licences }
    }

    fn counters(&self, series: SeriesId) -> Counters {
        let (tally, usage) = self.ledger.read(|book, _| (book.tally(series), book.usage(series).unwrap_or_default()));
        Counters {
            licences: self.keys.count(&series),
            connections: tally.connections,
            sessions: tally.sessions,
            total_licence_count: usage.total,
            use_licence_count: usage.used,
            free_licence_count: usage.total.saturating_sub(usage.used),
        }
    }

    fn set_lock(&self, series: SeriesId, name: &str, holder: Holder, locked: bool) -> Result<()> {
        self.ledger.touch(|book, now| {
            book.use_session(holder.connection, holder.session, now)?;
            let lives = |holder: &Holder| {
                let session = book.session(holder.session, now);
                session.is_some_and(|session| session.state == SessionState::Attached(holder.connection))
            };
            let mut locks = self.locks.lock();
            match locked {
                true => locks.take(series, name, holder, lives),
                false => locks.give_back(series, name, holder.session, lives),
            }
        })
    }

    fn object_key(&self, connection: ConnectionId, series: SeriesId, query: &ObjectKeyQuery) -> Result<Outcome> {
        // An object that protects its code only needs no session.
        let key_no = match query.session {
            Some(session) => Some(self.key_of(connection, session)?),
            None if query.policy.seat => return Err(Error::new(Code::SeatNeeded).with(&query.name)),
            None => None,
        };
        self.keys
            .object_key(&series, key_no, query)
            .map(|(key_no, key)| Outcome::ObjectKey { key, key_no: Some(key_no) })
    }

    /// The key that a session of this connection is on; counts as a use of the session.
    fn key_of(&self, connection: ConnectionId, session: SessionId) -> Result<KeyNo> {
        self.ledger.touch(|book, now| book.use_session(connection, session, now).map(|record| record.key_no))
    }

    /// Lets the ledger decide, and answers when what it decided is durable.
    fn durably<T: Send + 'static>(
        self: Arc<Core>,
        connection: Arc<Connection>,
        id: u64,
        decide: impl FnOnce(&mut Book, Moment) -> Result<T>,
        outcome: impl FnOnce(T) -> Outcome + Send + 'static,
    ) {
        let core = self.clone();
        self.ledger.submit(decide, move |decided| core.answer(&connection, id, decided.map(outcome)));
    }

    fn reply(&self, id: u64, result: Result<Outcome>) -> Option<Answer> {
        let reply = ReplyEnvelope { id, sequence: self.ledger.sequence(), result };
        match serde_json::to_vec(&reply) {
            Ok(json) => Some(Zeroizing::new(json)),
            // Only a value that can't be JSON gets here, and there is none in the messages; the waiters get 503.
            Err(error) => {
                log::error!("a reply could not be written: {error}");
                None
            }
        }
    }

    /// Stores the answer of a call and sends it to everybody who waits for it.
    fn answer(&self, connection: &Connection, id: u64, result: Result<Outcome>) {
        // A list may be large, and to ask for it again changes nothing.
        let is_kept = !matches!(result, Ok(Outcome::Licences { .. }));
        let Some(answer) = self.reply(id, result) else { return };
        let mut answers = connection.answers.lock();
        let waiters = if is_kept { answers.answered(id, &answer) } else { answers.forget(id) };
        drop(answers);
        for completer in waiters {
            completer.complete(connection.seal(&answer));
        }
    }
}

impl Connection {
    /// Whether this call may be made here and now.
    fn allows(&self, call: &Call) -> Result<()> {
        if !matches!(call, Call::Open(_)) && self.opened.lock().is_none() {
            return Err(Error::new(Code::FrameRefused)
                .with_text("первым должен быть вызов open", "the first call must be open"));
        }
        let needs_no_key = match call {
            Call::Open(_) | Call::Heartbeat | Call::Disconnect => true,
            Call::Key(call) => call.brings_key(),
            _ => false,
        };
        if self.brings_key && !needs_no_key {
            return Err(Error::new(Code::NoKey).with(self.series.key_id));
        }
        Ok(())
    }

    fn seal(&self, answer: &[u8]) -> Response {
        self.channel.seal(answer).map_or_else(|error| refusal(&error), binary)
    }
}

fn granted(grant: &Grant, hold: Duration, (secret, receipt): (Secret, String)) -> Outcome {
    let keeps = grant.granted == book::Granted::Again;
    Outcome::Granted(Granted {
        session: grant.session,
        secret: (!keeps).then_some(secret),
        receipt: (!keeps).then_some(receipt),
        generation: grant.generation,
        key_no: grant.key_no,
        lease_ms: u64::try_from(hold.as_millis()).unwrap_or(u64::MAX),
        heartbeat_ms: u64::try_from(HEARTBEAT.as_millis()).unwrap_or(u64::MAX),
    })
}

fn alive(beat: Beat) -> Outcome {
    let lost = beat.ended.into_iter().map(|(session, cause)| Lost { session, cause }).collect();
    Outcome::Alive(Alive { lost })
}

fn binary(bytes: Vec<u8>) -> Response {
    Response::new(200, MEDIA_TYPE, bytes)
}

/// A refusal outside the channel: an error of the catalogue in clear. It never holds more than a stranger may know.
fn refusal(error: &Error) -> Response {
    if error.code == Code::Internal || error.code == Code::CryptoFailed {
        log::warn!("{}", error.message(Lang::English));
    }
    Response::json(error.code.status(), error).with_retry_after(error.retry_after())
}
