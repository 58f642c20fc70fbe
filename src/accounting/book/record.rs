//! What goes into the book and what comes out of it: plain values, no rules.

use core::net::IpAddr;
use std::time::Duration;

use crate::accounting::control::Demands;
use crate::accounting::receipt::Receipt;
use crate::accounting::seat::{Asker, ExternalSession, InfobaseSession, ParentSession, Seat, SessionIdentity};
use crate::error::{Code, Error};
use crate::id::{ComputerId, ConnectionId, KeyId, KeyNo, SeriesId, SessionId};
use crate::time::Time;

/// Terms of leases.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Leases {
    /// A connection expires this long after its last use.
    pub connection: Duration,
    /// A session ends this long after its last use when no connection holds it.
    pub session: Duration,
    /// A shorter term for orphans: they end this long after their connection has expired.
    pub orphan_grace: Option<Duration>,
    /// A detached seat may be given to another this long after its last object went.
    pub detached_kept: Duration,
    /// When the book wasn't touched for longer than this, its process stood still: all leases are extended by that
    /// time, so that no client ends that could not be heard. The owner must call [`super::Book::expire`] more often than this.
    /// `None`: no such rule.
    pub gap: Option<Duration>,
}

impl Default for Leases {
    fn default() -> Leases {
        Leases {
            connection: Duration::from_secs(20),
            session: Duration::from_secs(15 * 60),
            orphan_grace: None,
            detached_kept: Duration::from_secs(2 * 60),
            gap: Some(Duration::from_secs(5)),
        }
    }
}

impl Leases {
    /// For how long after its last heartbeat a vanished client keeps its seats: what the client's own fence counts from.
    pub fn hold(&self) -> Duration {
        self.orphan_grace.map_or(self.session, |grace| self.session.min(self.connection.saturating_add(grace)))
    }
}

/// What a client says of itself when it connects. The caller bounds the lengths.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectionInfo {
    /// Series that the connection is about.
    pub series: SeriesId,
    /// Address that the request came from.
    pub peer: IpAddr,
    /// Operating system and its version.
    pub os_version: String,
    /// Name of the computer.
    pub computer_name: String,
    /// The computer's identifier, if the client gave it.
    pub computer: Option<ComputerId>,
    /// Addresses of the computer, separated by commas.
    pub local_ip: String,
    /// Path of the process's program.
    pub process: String,
    /// `i386`, `x86_64` …
    pub cpu: String,
    /// Number of the process.
    pub pid: u32,
    /// Whether it is a process of the 1C server or of a web server.
    pub is_server: bool,
    /// Version of the 1C platform.
    pub platform_version: String,
    /// Path of the component's library.
    pub module_name: String,
    /// Version of the component.
    pub version: String,
}

/// A session's claim to a seat, made over a connection.
#[derive(Debug, Clone)]
pub struct Claim {
    /// The connection; its series is the one that is claimed.
    pub connection: ConnectionId,
    /// What kind of process asks.
    pub asker: Asker,
    /// Which session.
    pub identity: InfobaseSession,
    /// The session that started it, when it is a background job.
    pub parent: Option<ParentSession>,
    /// Access code that the session presents.
    pub access_code: Option<String>,
    /// What it demands of the key that gives its seat.
    pub demands: Demands,
    /// Hash of the secret that the session was given before, if the client has one: proves that the session is its own when
    /// the terminal or the computer that it names has changed.
    pub previous_secret: Option<[u8; 32]>,
    /// The receipt that the client presents, if this server made it. Counts together with the secret only.
    pub receipt: Option<Box<Receipt>>,
    /// Identifier for the session, if it becomes a new one: random.
    pub new_id: SessionId,
    /// Hash of the secret that the answer will carry unless the grant is [`Granted::Again`].
    pub secret_hash: [u8; 32],
}

impl Claim {
    /// The receipt, if the claim has the secret that belongs to it.
    pub(super) fn proved_receipt(&self) -> Option<&Receipt> {
        self.receipt.as_deref().filter(|receipt| self.previous_secret == Some(receipt.secret_hash))
    }
}

/// A claim through the API; the same `client_session_id` means the same session and renews its lease.
#[derive(Debug, Clone)]
pub struct ExternalClaim {
    /// Series.
    pub series: SeriesId,
    /// Which session.
    pub identity: ExternalSession,
    /// Access code that it presents.
    pub access_code: Option<String>,
    /// Identifier for the session, if it becomes a new one: random.
    pub new_id: SessionId,
}

/// How a claim was met.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Granted {
    /// A new session.
    New,
    /// The session that this connection holds already; its secret stays as it was.
    Again,
    /// A session held before by another process, or by none; it has the new secret and the next generation.
    TakenOver,
}

/// A granted seat.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// The session.
    pub session: SessionId,
    /// Grows each time another process takes the session over.
    pub generation: u32,
    /// The key that gives the seat (`UsedLicence` of the guide).
    pub key_no: KeyNo,
    /// The seat.
    pub seat: Seat,
    /// How the claim was met.
    pub granted: Granted,
}

/// A session as the store keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionRecord {
    /// Identifier.
    pub id: SessionId,
    /// Series.
    pub series: SeriesId,
    /// The key that gives the seat.
    pub key_no: KeyNo,
    /// The seat.
    pub seat: Seat,
    /// Order in which seats were granted; equal for all sessions of one seat.
    pub ordinal: u64,
    /// Grows with each take-over.
    pub generation: u32,
    /// Hash of the session's secret; zeros for an external session, which has none.
    pub secret_hash: [u8; 32],
    /// When the session was granted.
    pub granted: Time,
    /// The connection that holds or last held it; `None` for an external session.
    pub connection: Option<ConnectionId>,
    /// Access code that it presented.
    pub access_code: Option<String>,
    /// What kind of process asked.
    pub asker: Asker,
    /// Which session it is.
    pub identity: SessionIdentity,
}

/// Why a session ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EndCause {
    /// Its client released it.
    Released,
    /// Its lease ran out.
    Expired,
    /// An administrator ended it.
    Dropped,
    /// The pool became smaller than what was held.
    Ending,
    /// Its detached seat was given to another.
    GivenAway,
    /// After the store went back its seat went to one that was certainly held; it may come back.
    Displaced,
    /// The store did not accept it, so nobody was told of it.
    NotStored,
}

impl EndCause {
    /// What the former holder is told.
    pub fn error(self, series: KeyId) -> Error {
        let unknown = Error::new(Code::SessionUnknown);
        match self {
            EndCause::Released => unknown.with_text("он освобождён", "it was released"),
            EndCause::Expired => unknown.with_text("истёк срок его аренды", "its lease ran out"),
            EndCause::NotStored => unknown.with_text("его не приняло хранилище", "the store did not accept it"),
            EndCause::GivenAway => {
                unknown.with_text("его место отдано другому сеансу", "its seat was given to another session")
            }
            EndCause::Displaced => unknown.with_text(
                "его место занял сеанс, который точно работал",
                "its seat went to a session that was certainly at work",
            ),
            EndCause::Dropped => Error::new(Code::SessionDropped),
            EndCause::Ending => Error::new(Code::SessionEnding).with(series),
        }
    }
}

/// What the store must write down before anything that follows from it is answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// The session exists, in this form.
    Put(Box<SessionRecord>),
    /// The session has ended. One that was displaced is kept apart from the others.
    Delete(SessionId, EndCause),
    /// The store that went back is as good as any again: displaced sessions are forgotten.
    QuarantineEnded,
}

impl Change {
    /// The session that exists by this change.
    pub fn put(&self) -> Option<SessionId> {
        match self {
            Change::Put(record) => Some(record.id),
            Change::Delete(..) | Change::QuarantineEnded => None,
        }
    }
}

/// Answer to a heartbeat.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Beat {
    /// Sessions of this connection that it no longer holds, and why; each is told once.
    pub ended: Vec<(SessionId, Error)>,
}

/// State of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SessionState {
    /// Held by a live connection.
    Attached(ConnectionId),
    /// Its connection has expired, or the server was restarted.
    Orphaned,
    /// Its last object was destroyed; the session may come back.
    Detached,
    /// An external session: lives by its own requests.
    External,
}

/// A session as the API and the console show it.
#[derive(Debug, Clone, Copy)]
pub struct SessionView<'a> {
    /// What the store keeps.
    pub record: &'a SessionRecord,
    /// Who holds it.
    pub state: SessionState,
    /// Whether it ends at its next heartbeat, for the pool has become smaller.
    pub ending: bool,
    /// When its lease runs out if nobody uses it any more.
    pub expires: Time,
    /// Whether that moment has passed.
    pub expired: bool,
}

/// A connection as the API and the console show it.
#[derive(Debug, Clone, Copy)]
pub struct ConnectionView<'a> {
    /// Identifier.
    pub id: ConnectionId,
    /// What the client said of itself.
    pub info: &'a ConnectionInfo,
    /// When it was made.
    pub created: Time,
    /// When it was used last.
    pub last_used: Time,
    /// When its lease runs out.
    pub expires: Time,
    /// Whether that moment has passed.
    pub expired: bool,
    /// Number of sessions that it holds.
    pub sessions: usize,
    /// The same computer identifier came from other addresses too: a cloned machine, or a forged identifier.
    pub several_addresses: bool,
}

/// Seats of one key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyUsage {
    /// The key.
    pub key_no: KeyNo,
    /// Seats that it gives now.
    pub total: u32,
    /// Seats taken, those that are ending included.
    pub used: u32,
}

/// How many connections and sessions a series has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tally {
    /// Connections of components.
    pub connections: u64,
    /// Sessions, those that nobody holds now included.
    pub sessions: u64,
}

/// Seats of one series.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Usage {
    /// Seats of all usable keys.
    pub total: u64,
    /// Seats held, those that are ending or whose key is gone included.
    pub used: u64,
    /// Usable keys in the order in which they fill.
    pub keys: Vec<KeyUsage>,
}
