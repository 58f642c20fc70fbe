//! The messages inside the channel: JSON, one call and one reply. A call is known by its number within the connection, and
//! a server repeats the stored reply to a repeated number.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::keys::{KeyCall, KeyOutcome};
use crate::accounting::Demands;
use crate::api::LicenceInfo;
use crate::datafile::Part;
use crate::error::Error;
use crate::id::{Bytes32, ComputerId, ConnectionId, KeyNo, SessionId};
use crate::subkeys::{Policy, Subkey};
use crate::time::Time;

/// What the server says of itself in the handshake.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerHello {
    /// Protocol version chosen.
    pub protocol: u8,
    /// Identifier of the new connection.
    pub connection: ConnectionId,
    /// Version of the server.
    pub version: String,
    /// `Linux` or `Windows`.
    pub os: String,
    /// Width of its process.
    pub cpu: String,
    /// Name of its computer.
    pub computer: String,
    /// Ledger sequence: one that is lower than remembered shows a restored backup.
    pub sequence: u64,
    /// Licence files of the series that name this server: the client verifies one under its anchor.
    pub licences: Vec<String>,
}

/// A call with its number.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Envelope {
    /// Number of the call, chosen by the client, unique within the connection.
    pub id: u64,
    /// The call.
    pub call: Call,
}

/// A reply to the call of the same number.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ReplyEnvelope {
    /// Number of the call.
    pub id: u64,
    /// Ledger sequence at the time of the reply.
    pub sequence: u64,
    /// What came of it.
    pub result: Result<Outcome, Error>,
}

/// What a client may ask.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case")]
pub enum Call {
    /// The first call: who the client is.
    Open(Box<ClientInfo>),
    /// Take a licence for a session, or take it over.
    Acquire(Box<Acquire>),
    /// The client lives; all its sessions are kept.
    Heartbeat,
    /// The licence that a session holds.
    Licence {
        /// The session.
        session: SessionId,
    },
    /// The key of a protected object.
    ObjectKey(ObjectKeyQuery),
    /// A piece of a datafile that lies beside the server. Its answer is not stored: asking again changes nothing.
    Datafile(DatafileQuery),
    /// Something about the keys of the series, beyond seats.
    Key(Box<KeyCall>),
    /// Give the seat back at once.
    Release {
        /// The session.
        session: SessionId,
    },
    /// The last object of the session is gone, the session may go on: keep the seat for it for a while.
    Detach {
        /// The session.
        session: SessionId,
    },
    /// The connection ends; its sessions stay for a take-over until their lease is over.
    Disconnect,
    /// The keys of the server.
    Licences {
        /// Of all series, not of the connection's only.
        all_series: bool,
        /// Without those that can't be used.
        only_available: bool,
    },
    /// Numbers of the series.
    Counters,
    /// A value that the vendor has put into a licence.
    Parameter {
        /// The key; the main key of the series without it.
        key_no: Option<KeyNo>,
        /// Name of the value.
        name: String,
        /// Asks the main key when this one has no such value.
        or_main: bool,
    },
    /// A value that the server keeps for the series.
    ServerParameter {
        /// Name of the value.
        name: String,
    },
    /// Lets the server keep a value for the series, durably.
    SetServerParameter {
        /// The session that asks; it must hold a seat.
        session: SessionId,
        /// Name of the value.
        name: String,
        /// The value; `None` removes it.
        value: Option<String>,
    },
    /// Takes a named lock among the sessions of the series, or gives it back. It ends with its session or connection.
    SetLock {
        /// The session that asks; it must hold a seat.
        session: SessionId,
        /// Name of the lock.
        name: String,
        /// Whether it is taken or given back.
        locked: bool,
    },
    /// A call of a newer component, that this program does not know. Never sent.
    #[serde(other)]
    Unknown,
}

impl Call {
    /// Whether it holds what only a server that has proved itself may learn. Who the session is, is no secret of this kind, nor is a
    /// session's own secret: that is known to the server that gave it, and goes back to the holder of that server's key only.
    pub fn carries_secret(&self) -> bool {
        match self {
            Call::Acquire(claim) => claim.carries_secret(),
            Call::Key(call) => call.carries_secret(),
            Call::Open(_)
            | Call::Heartbeat
            | Call::Licence { .. }
            | Call::ObjectKey(_)
            | Call::Datafile(_)
            | Call::Release { .. }
            | Call::Detach { .. }
            | Call::Disconnect
            | Call::Licences { .. }
            | Call::Counters
            | Call::Parameter { .. }
            | Call::ServerParameter { .. }
            | Call::SetServerParameter { .. }
            | Call::SetLock { .. }
            | Call::Unknown => false,
        }
    }
}

/// What came of a call.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "snake_case")]
pub enum Outcome {
    /// Done, nothing to tell.
    Done,
    /// The session has its licence; the answer was durable before it was sent.
    Granted(Granted),
    /// A usable key that meets the demands is there; no seat was taken.
    Present {
        /// The key's fields, as the REST API gives them.
        #[serde(serialize_with = "crate::api::to_component")]
        licence: Box<LicenceInfo>,
    },
    /// To a heartbeat: what has changed for the client's sessions.
    Alive(Alive),
    /// The licence of a session.
    Licence {
        /// Its fields, as the REST API gives them.
        #[serde(serialize_with = "crate::api::to_component")]
        licence: Box<LicenceInfo>,
    },
    /// To a call about keys.
    Key(Box<KeyOutcome>),
    /// The key of an object.
    ObjectKey {
        /// AES-256-GCM key.
        key: Subkey,
        /// The key of protection that it was derived under; absent: a server that does not tell.
        #[serde(default)]
        key_no: Option<KeyNo>,
    },
    /// A piece of a datafile.
    Datafile(DatafilePiece),
    /// Keys, as many as fit into an answer.
    Licences {
        /// Their fields, as the REST API gives them; of an activation code only the last group is shown.
        #[serde(serialize_with = "crate::api::all_to_component")]
        licences: Vec<LicenceInfo>,
    },
    /// Numbers of the series.
    Counters(Counters),
    /// A named value.
    Value {
        /// `None` when there is none of this name.
        value: Option<String>,
    },
}

/// Numbers of one series on one server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Counters {
    /// Keys, usable or not.
    pub licences: u64,
    /// Connections of components.
    pub connections: u64,
    /// Sessions, external ones included.
    pub sessions: u64,
    /// Seats that the usable keys give.
    pub total_licence_count: u64,
    /// Seats taken.
    pub use_licence_count: u64,
    /// Seats free.
    pub free_licence_count: u64,
}

/// The client as its connection shows it (`/api/connections`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(default)]
pub struct ClientInfo {
    /// Version of the component.
    pub version: String,
    /// Operating system.
    pub os_version: String,
    /// Computer.
    pub computer_name: String,
    /// Its hardware identifier.
    pub computer: Option<crate::id::ComputerId>,
    /// Its addresses, separated by commas.
    pub local_ip: String,
    /// Executable of the process.
    pub process: String,
    /// Width of the process.
    pub cpu: String,
    /// Number of the process.
    pub pid: u32,
    /// Whether the process is a 1C server or web server.
    pub is_server: bool,
    /// Version of the 1C platform.
    pub platform_version: String,
    /// The component's file.
    pub module_name: String,
}

/// A claim. What it says of the session is the client's word.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Acquire {
    /// Who asks.
    pub session: SessionData,
    /// Hardware identifier of the client's computer.
    pub computer: Option<ComputerId>,
    /// The terminal client, when the process serves one.
    pub terminal: Option<Terminal>,
    /// To take over a session that the client held before a break.
    pub resume: Option<Resume>,
    /// What the licence must be like.
    #[serde(default)]
    pub control: Control,
    /// Access code, for keys that are set aside.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub access_code: Option<String>,
}

impl Acquire {
    /// Whether its terms hold a secret: an access code, or whom the licence must belong to.
    pub fn carries_secret(&self) -> bool {
        let demands = &self.control.demands;
        self.access_code.is_some() || demands.itn.is_some() || demands.iec.is_some()
    }
}

/// Parameters of licence control, as 1C code sets them (`УстановитьПараметрыКонтроляЛицензии`).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Control {
    /// A usable key must be there, and no seat is taken: the answer is [`Outcome::Present`], without a session, so an object
    /// that needs a seat stays closed.
    pub key_only: bool,
    /// What is demanded of the key.
    #[serde(flatten)]
    pub demands: Demands,
}

/// A terminal client: its name may be empty, then the user tells clients apart.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Terminal {
    /// Name or address of the client.
    pub client: String,
    /// User of the terminal session.
    pub user: String,
}

/// Proof of having held a session.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resume {
    /// The session.
    pub session: SessionId,
    /// Its secret.
    pub secret: Secret,
    /// The receipt that came with the secret, for a server whose store went back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub receipt: Option<String>,
}

impl fmt::Debug for Resume {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Resume({})", self.session)
    }
}

/// The secret of a session: 128 bits. The server keeps its hash only.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Secret(SessionId);

impl Secret {
    /// A secret of these random bytes.
    pub fn new(bytes: [u8; 16]) -> Secret {
        Secret(SessionId(bytes))
    }

    /// What the server keeps.
    pub fn hash(&self, crypto: &dyn crate::crypto::Crypto) -> Bytes32 {
        Bytes32(crypto.sha256(&[b"SLK session 1", &self.0.0]))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

/// A 1C session as 1C code describes it (`УстановитьДанныеСеанса`). Names are those of the REST API.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
pub struct SessionData {
    /// Number of the session in its infobase.
    #[serde(deserialize_with = "number_or_text")]
    pub session_number: String,
    /// When the session started.
    pub session_started: Option<Time>,
    /// 1C user.
    pub user_name: String,
    /// Application: `1CV8C`, `BackgroundJob`, `WSConnection` …
    pub app_name: String,
    /// Computer of the session.
    pub computer_name: String,
    /// Connection string of the infobase.
    pub info_base_connection_string: String,
    /// Whether 1C code runs at a server; absent: decided by infobase and process.
    pub is_server: Option<bool>,
    /// Number of the session that started this background job.
    #[serde(deserialize_with = "number_or_text")]
    pub parent_session_number: String,
    /// Its start.
    pub parent_session_started: Option<Time>,
}

/// 1C code may give a session's number as a number or as text.
fn number_or_text<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Either {
        Number(u64),
        Text(String),
        Nothing(()),
    }
    Ok(match Either::deserialize(deserializer)? {
        Either::Number(number) => number.to_string(),
        Either::Text(text) => text.trim().to_owned(),
        Either::Nothing(()) => String::new(),
    })
}

/// A granted seat.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Granted {
    /// The session on the server.
    pub session: SessionId,
    /// Secret to take it over with; absent when the connection holds the session already and so has its secret.
    pub secret: Option<Secret>,
    /// To be kept with the secret and shown with it, as it is; absent without a secret, and from a server that makes none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub receipt: Option<String>,
    /// Grows with each take-over.
    pub generation: u32,
    /// The key that the seat is on.
    pub key_no: KeyNo,
    /// How long the server keeps the seat after the client was last heard, in milliseconds.
    pub lease_ms: u64,
    /// How often the client should be heard, in milliseconds.
    pub heartbeat_ms: u64,
}

/// Answer to a heartbeat.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
pub struct Alive {
    /// Sessions that this client holds no more, each with its cause.
    pub lost: Vec<Lost>,
}

/// A session that the client holds no more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lost {
    /// The session.
    pub session: SessionId,
    /// Why.
    pub cause: Error,
}

/// Which object's key is asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObjectKeyQuery {
    /// The session that asks; an object whose policy needs no seat may be asked for without one.
    pub session: Option<SessionId>,
    /// Name as the index has it.
    pub name: String,
    /// Its policy: enters the key, so a milder one gives a useless key.
    pub policy: Policy,
    /// Salt of the datafile.
    pub salt: Bytes32,
}

/// Which bytes of which datafile are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct DatafileQuery {
    /// The file of the connection's series.
    pub part: Part,
    /// Where the piece begins; beyond the end: only size and stamp are asked for.
    pub at: u64,
    /// Its length, at most [`super::MAX_PIECE`]; less comes at the end of the file.
    pub length: u32,
}

/// A piece of a datafile, with what tells whether it is still the same file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DatafilePiece {
    /// Size of the whole file.
    pub size: u64,
    /// [`crate::datafile::Datafile::stamp`].
    pub stamp: Bytes32,
    /// The bytes.
    #[serde(with = "crate::document::base64_bytes")]
    pub bytes: Vec<u8>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn session_data_are_read_as_1c_code_writes_them() {
        let data: SessionData = serde_json::from_str(
            r#"{"SessionNumber": 2, "SessionStarted": "2018-04-03T14:06:58Z", "UserName": null, "AppName": "1CV8C",
                "InfoBaseConnectionString": "File=\"D:\\Db\";", "Extra": 1}"#
                .replace("null", "\"\"")
                .as_str(),
        )
        .unwrap();
        assert_eq!((data.session_number.as_str(), data.is_server), ("2", None));
        let text = serde_json::from_str::<SessionData>(r#"{"SessionNumber": " 7 "}"#).unwrap();
        assert_eq!(text.session_number, "7");
        assert!(serde_json::from_str::<SessionData>(r#"{"SessionNumber": {}}"#).is_err());
    }

    #[test]
    fn a_claim_of_a_component_that_knows_no_control_demands_nothing() {
        let acquire = Acquire::default();
        let mut json = serde_json::to_value(&acquire).unwrap();
        json.as_object_mut().unwrap().remove("control");
        assert_eq!(serde_json::from_value::<Acquire>(json).unwrap(), acquire);
        let json = r#"{"session": {}, "computer": null, "terminal": null, "resume": null,
            "control": {"key_only": true, "itn": "7701000001"}, "access_code": "x"}"#;
        let acquire: Acquire = serde_json::from_str(json).unwrap();
        assert_eq!((acquire.control.key_only, acquire.access_code.as_deref()), (true, Some("x")));
        assert_eq!(acquire.control.demands.itn.as_deref(), Some("7701000001"));
    }

    #[test]
    fn a_secret_does_not_show_itself() {
        let resume = Resume { session: SessionId([1; 16]), secret: Secret::new([0xAB; 16]), receipt: None };
        assert!(!format!("{resume:?}").contains("AB"));
    }

    #[test]
    fn a_call_and_its_reply_survive_json() {
        let envelope = Envelope {
            id: 7,
            call: Call::ObjectKey(ObjectKeyQuery {
                session: None,
                name: "Обработка".into(),
                policy: Policy::default(),
                salt: Bytes32([1; 32]),
            }),
        };
        let json = serde_json::to_string(&envelope).unwrap();
        assert_eq!(serde_json::from_str::<Envelope>(&json).unwrap(), envelope);
        let reply = ReplyEnvelope { id: 7, sequence: 3, result: Err(crate::Code::SessionDropped.into()) };
        let json = serde_json::to_string(&reply).unwrap();
        assert_eq!(serde_json::from_str::<ReplyEnvelope>(&json).unwrap(), reply);
    }
}
