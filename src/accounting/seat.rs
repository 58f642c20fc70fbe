//! Who asks, and which seat that takes: the one table of this file. What a client says of itself is its word; nothing here
//! can check it, and nothing here counts.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::infobase::{Base, InfoBase};
use crate::error::{Code, Error, Result};
use crate::id::{ComputerId, Malformed, SessionId, text_serde};
use crate::time::Time;

/// Longest name (user, application, computer, client) that is accepted, in characters.
pub const MAX_NAME: usize = 256;

/// What kind of process asks for a seat.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Asker {
    /// A process of the 1C server or of a web server, web and HTTP services included.
    Server,
    /// A client process on a desktop, COM and external connections included.
    Desktop(ComputerId),
    /// A client process in a terminal session (RDP, Citrix, xrdp, ssh).
    Terminal {
        /// The computer that the process runs on.
        host: ComputerId,
        /// Whose terminal it is.
        client: TerminalClient,
    },
    /// An external session, asked for through the API.
    External,
}

/// A terminal's owner as its host tells it. Names differ in letters' case between protocols, so they are kept in lower case.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum TerminalClient {
    /// Name of the computer in front of the user.
    Name(String),
    /// The user, where the protocol gives no name of the client's computer.
    User(String),
}

impl TerminalClient {
    /// The client by its name, or by its user when the name is empty.
    pub fn new(name: &str, user: &str) -> TerminalClient {
        match name.trim() {
            "" => TerminalClient::User(user.trim().to_lowercase()),
            name => TerminalClient::Name(name.to_lowercase()),
        }
    }
}

impl Asker {
    /// The seat that this asker's sessions share, `None` when each session takes its own.
    ///
    /// A client process of a server base or a web base does not open the base itself, so it asks for the session alone.
    pub fn shared_seat(&self, identity: &SessionIdentity) -> Option<Seat> {
        let SessionIdentity::Infobase(session) = identity else { return None };
        match (self, session.infobase.base()) {
            (Asker::Desktop(computer), Base::File) => Some(Seat::Computer(*computer)),
            (Asker::Terminal { host, client }, Base::File) => {
                Some(Seat::Terminal { host: *host, client: client.clone() })
            }
            _ => None,
        }
    }

    /// The computer that the asking process runs on, where it told so.
    pub fn computer(&self) -> Option<ComputerId> {
        match self {
            Asker::Desktop(computer) | Asker::Terminal { host: computer, .. } => Some(*computer),
            Asker::Server | Asker::External => None,
        }
    }
}

/// What one licence is consumed by.
///
/// Its text is stable, kept in stores and shown in answers: `session:<id>`, `computer:<id>`, `terminal:<host>/client=<name>` or
/// `terminal:<host>/user=<name>`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Seat {
    /// One session; a background job sits on its parent's seat.
    Session(SessionId),
    /// A desktop computer.
    Computer(ComputerId),
    /// A terminal client.
    Terminal {
        /// The computer that the terminal sessions run on.
        host: ComputerId,
        /// Whose terminal it is.
        client: TerminalClient,
    },
}

impl fmt::Display for Seat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Seat::Session(id) => write!(f, "session:{id}"),
            Seat::Computer(id) => write!(f, "computer:{id}"),
            Seat::Terminal { host, client: TerminalClient::Name(name) } => write!(f, "terminal:{host}/client={name}"),
            Seat::Terminal { host, client: TerminalClient::User(user) } => write!(f, "terminal:{host}/user={user}"),
        }
    }
}

impl FromStr for Seat {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Seat, Malformed> {
        let wrong = Malformed("a seat");
        let (kind, rest) = text.split_once(':').ok_or(wrong.clone())?;
        match kind {
            "session" => rest.parse().map(Seat::Session),
            "computer" => rest.parse().map(Seat::Computer),
            "terminal" => {
                let (host, client) = rest.split_once('/').ok_or(wrong.clone())?;
                let client = match client.split_once('=').ok_or(wrong.clone())? {
                    ("client", name) => TerminalClient::Name(name.to_owned()),
                    ("user", user) => TerminalClient::User(user.to_owned()),
                    _ => return Err(wrong),
                };
                Ok(Seat::Terminal { host: host.parse()?, client })
            }
            _ => Err(wrong),
        }
    }
}

text_serde!(Seat);

/// Which session asks. Made once at the edge by [`InfobaseSession::new`] or [`ExternalSession::new`], which check it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum SessionIdentity {
    /// A session of an infobase, as 1C code describes it.
    Infobase(InfobaseSession),
    /// A session outside 1C, asked for through the API.
    External(ExternalSession),
}

/// A session of an infobase, as 1C code describes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InfobaseSession {
    /// The infobase.
    pub infobase: InfoBase,
    /// Number of the session in its infobase; numbers are used again after a session has ended.
    pub number: u32,
    /// When the session started.
    pub started: Time,
    /// The infobase user; empty when it has none.
    pub user: String,
    /// The application: `1CV8C`, `BackgroundJob` …
    pub application: String,
    /// Name of the session's computer.
    pub computer: String,
}

/// A session outside 1C.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExternalSession {
    /// The caller's own name of the session; alone decides whether two requests mean the same session.
    pub client_session_id: String,
    /// When the session started, if the caller said so: a moment as [`Time`] writes it, or whatever he calls it.
    pub started: Option<String>,
    /// The user.
    pub user: String,
    /// The application.
    pub application: String,
    /// The computer or device.
    pub computer: String,
}

/// The session that started a background job; of the same infobase as the job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ParentSession {
    /// Its number.
    pub number: u32,
    /// When it started.
    pub started: Time,
}

fn name(what: &str, text: &str) -> Result<String> {
    let text = text.trim();
    if text.chars().count() > MAX_NAME || text.chars().any(char::is_control) {
        let error = Error::new(Code::BadSession);
        return Err(error.with_text(
            format_args!("{what}: допустимо не более {MAX_NAME} печатных символов"),
            format_args!("{what}: at most {MAX_NAME} printable characters are allowed"),
        ));
    }
    Ok(text.to_owned())
}

impl InfobaseSession {
    /// A session by what 1C code says of it. [`Code::BadSession`] when the connection string names no base or a name is
    /// too long.
    pub fn new(
        connection_string: &str,
        number: u32,
        started: Time,
        user: &str,
        application: &str,
        computer: &str,
    ) -> Result<InfobaseSession> {
        Ok(InfobaseSession {
            infobase: connection_string.parse().map_err(|_| {
                Error::new(Code::BadSession).with_text(
                    "в строке соединения ожидается File=, Srvr= с Ref= или ws=",
                    "the connection string must have File=, Srvr= with Ref=, or ws=",
                )
            })?,
            number,
            started,
            user: name("UserName", user)?,
            application: name("AppName", application)?,
            computer: name("ComputerName", computer)?,
        })
    }

    /// Whether this is a background job: the only kind of session that may sit on its parent's seat.
    pub fn is_background_job(&self) -> bool {
        ["BackgroundJob", "SystemBackgroundJob"].iter().any(|job| self.application.eq_ignore_ascii_case(job))
    }
}

impl ExternalSession {
    /// A session by what the API's caller says of it; [`Code::BadSession`] when its id is empty or a name is too long.
    pub fn new(
        client_session_id: &str,
        started: Option<&str>,
        user: &str,
        application: &str,
        computer: &str,
    ) -> Result<ExternalSession> {
        let client_session_id = name("ClientSessionID", client_session_id)?;
        if client_session_id.is_empty() {
            return Err(Error::new(Code::BadSession).with_text("нет ClientSessionID", "ClientSessionID is missing"));
        }
        let started = started.map(|text| match text.trim().parse::<Time>() {
            Ok(moment) => Ok(moment.to_string()),
            Err(_) => name("SessionStarted", text),
        });
        Ok(ExternalSession {
            client_session_id,
            started: started.transpose()?.filter(|text| !text.is_empty()),
            user: name("UserName", user)?,
            application: name("AppName", application)?,
            computer: name("ComputerName", computer)?,
        })
    }
}

impl SessionIdentity {
    /// Text that is equal for two claims which may mean the same session; [`SessionIdentity::same_session`] decides.
    pub(super) fn key(&self) -> Box<str> {
        match self {
            SessionIdentity::Infobase(session) => {
                infobase_key(&session.infobase, ParentSession { number: session.number, started: session.started })
            }
            SessionIdentity::External(session) => SessionIdentity::external_key(&session.client_session_id),
        }
    }

    /// The key of an external session of that name.
    pub(super) fn external_key(client_session_id: &str) -> Box<str> {
        format!("external {client_session_id}").into()
    }

    /// The key of this session's parent, which is of the same infobase.
    pub(super) fn parent_key(&self, parent: ParentSession) -> Option<Box<str>> {
        match self {
            SessionIdentity::Infobase(session) => Some(infobase_key(&session.infobase, parent)),
            SessionIdentity::External(_) => None,
        }
    }

    /// Whether both, of equal keys, are one session.
    pub(super) fn same_session(&self, other: &SessionIdentity) -> bool {
        match (self, other) {
            (SessionIdentity::Infobase(a), SessionIdentity::Infobase(b)) => {
                a.user == b.user && a.application == b.application && a.computer == b.computer
            }
            (SessionIdentity::External(_), SessionIdentity::External(_)) => true,
            _ => false,
        }
    }
}

fn infobase_key(infobase: &InfoBase, session: ParentSession) -> Box<str> {
    format!("{} {} {}", session.number, session.started.0, infobase.key()).into_boxed_str()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PC: ComputerId = ComputerId([7; 20]);

    fn session(connection_string: &str) -> SessionIdentity {
        let session = InfobaseSession::new(connection_string, 2, Time(0), "Ann", "1CV8C", "PC");
        SessionIdentity::Infobase(session.unwrap())
    }

    fn terminal(client: &str, user: &str) -> Asker {
        Asker::Terminal { host: PC, client: TerminalClient::new(client, user) }
    }

    #[test]
    fn a_server_process_takes_a_seat_for_each_session_whatever_the_base() {
        for base in ["File=/b", "Srvr=a;Ref=b", "ws=http://a/b"] {
            assert_eq!(Asker::Server.shared_seat(&session(base)), None);
        }
    }

    #[test]
    fn a_desktop_client_of_a_file_base_takes_one_seat_per_computer() {
        assert_eq!(Asker::Desktop(PC).shared_seat(&session("File=/b")), Some(Seat::Computer(PC)));
    }

    #[test]
    fn a_client_of_a_server_or_web_base_takes_a_seat_for_each_session() {
        for asker in [Asker::Desktop(PC), terminal("thin7", "ann")] {
            for base in ["Srvr=a;Ref=b", "ws=http://a/b"] {
                assert_eq!(asker.shared_seat(&session(base)), None);
            }
        }
    }

    #[test]
    fn a_terminal_client_of_a_file_base_takes_one_seat_and_a_nameless_one_goes_by_its_user() {
        let base = session("File=/b");
        assert_eq!(terminal("THIN7", "ann").shared_seat(&base), terminal("thin7", "bob").shared_seat(&base));
        assert_ne!(terminal("", "ann").shared_seat(&base), terminal("", "bob").shared_seat(&base));
        assert_ne!(terminal("ann", "x").shared_seat(&base), terminal("", "ann").shared_seat(&base));
    }

    #[test]
    fn a_seat_reads_back_from_its_text() {
        let seats = [
            Seat::Session(SessionId([1; 16])),
            Seat::Computer(PC),
            Seat::Terminal { host: PC, client: TerminalClient::Name("a/b=c:d".into()) },
            Seat::Terminal { host: PC, client: TerminalClient::User(String::new()) },
        ];
        for seat in seats {
            assert_eq!(seat.to_string().parse::<Seat>().unwrap(), seat);
        }
        for text in ["", "session", "session:1", "terminal:x", "desk:1", "terminal:/client=a"] {
            assert!(text.parse::<Seat>().is_err(), "{text}");
        }
    }

    #[test]
    fn wrong_session_data_are_refused_with_the_place_named() {
        let long = "x".repeat(MAX_NAME + 1);
        let error = InfobaseSession::new("File=/b", 1, Time(0), &long, "", "").unwrap_err();
        assert_eq!(error.code, Code::BadSession);
        assert!(error.message(crate::Lang::Russian).contains("UserName"));
        assert!(InfobaseSession::new("base", 1, Time(0), "", "", "").is_err());
        assert!(ExternalSession::new(" ", None, "", "", "").is_err());
    }
}
