//! `/api/connections` and `/api/sessions`: who is connected, who holds a licence, and their end at an administrator's wish.

use licence::accounting::book::{Book, ConnectionView, SessionState, SessionView};
use licence::accounting::{Asker, SessionIdentity};
use licence::api::{ConnectionInfo, SessionInfo, truth};
use licence::error::{Code, Error, Result};
use licence::time::Moment;
use licence::{ConnectionId, KeyId, RootHash, SeriesId, SessionId};

use super::Call;
use super::licences::{root_of, series_of};
use super::operation::Given;
use crate::ledger::Ledger;

/// How many rows are read under the ledger's lock at once.
const BATCH: usize = 256;

/// `GET /api/connections`, oldest first.
pub fn connections(call: &Call) -> Result<Vec<ConnectionInfo>> {
    let ledger = &call.core.ledger;
    let ids: Vec<ConnectionId> = ledger.read(|book, now| book.connections(now).map(|view| view.id).collect());
    let mut connections = Vec::with_capacity(ids.len());
    for batch in ids.chunks(BATCH) {
        ledger.read(|book, now| {
            let views = batch.iter().filter_map(|id| book.connection(*id, now));
            connections.extend(views.map(connection_info));
        });
    }
    connections.sort_by(|a, b| (a.created, &a.id).cmp(&(b.created, &b.id)));
    Ok(connections)
}

/// `GET /api/connections/{ID}`.
pub fn connection(call: &Call) -> Result<ConnectionInfo> {
    let id = identifier::<ConnectionId>(call)?;
    let found = call.core.ledger.read(|book, now| book.connection(id, now).map(connection_info));
    found.ok_or_else(|| missing(call))
}

/// `DELETE /api/connections/{ID}`: the connection as it was. Its sessions end; their holder is told so.
pub fn drop_connection(call: Call, given: Given<ConnectionInfo>) {
    let id = match identifier::<ConnectionId>(&call) {
        Ok(id) => id,
        Err(error) => return given.refuse(&error),
    };
    let unknown = missing(&call);
    call.core.ledger.submit(
        move |book, now| {
            let last = book.connection(id, now).map(connection_info).ok_or(unknown)?;
            let held = |view: &SessionView<'_>| view.state == SessionState::Attached(id);
            let sessions: Vec<SessionId> = book.sessions(now).filter(held).map(|view| view.record.id).collect();
            for session in sessions {
                book.drop_session(session, now)?;
            }
            book.disconnect(id, now);
            Ok(last)
        },
        move |outcome| given.result(200, outcome),
    );
}

/// `GET /api/sessions`, in the order in which they were granted.
pub fn sessions(call: &Call) -> Result<Vec<SessionInfo>> {
    let ledger = &call.core.ledger;
    let mut ids = granted(ledger);
    ids.sort_unstable();
    let mut sessions = Vec::with_capacity(ids.len());
    for batch in ids.chunks(BATCH) {
        ledger.read(|book, now| {
            let views = batch.iter().filter_map(|(_, id)| book.session(*id, now));
            sessions.extend(views.map(session_info));
        });
    }
    Ok(sessions)
}

fn granted(ledger: &Ledger) -> Vec<(licence::Time, SessionId)> {
    ledger.read(|book, now| book.sessions(now).map(|view| (view.record.granted, view.record.id)).collect())
}

/// `GET /api/sessions/{ID}`.
pub fn session(call: &Call) -> Result<SessionInfo> {
    let named = Named::by(call)?;
    call.core.ledger.read(|book, now| {
        let id = named.find(book, now)?;
        book.session(id, now).map(session_info).ok_or_else(|| missing(call))
    })
}

/// `DELETE /api/sessions/{ID}`: the session as it was. Its licence is free; its holder, if it has one, is told so.
pub fn drop_session(call: Call, given: Given<SessionInfo>) {
    match Named::by(&call) {
        Ok(named) => end_named(&call.core.ledger, named, move |outcome| given.result(200, outcome)),
        Err(error) => given.refuse(&error),
    }
}

/// Ends the session of that identifier; `done` gets it as it was.
pub fn end_session(ledger: &Ledger, id: &str, done: impl FnOnce(Result<SessionInfo>) + Send + 'static) {
    end_named(ledger, Named { name: id.to_owned(), key_id: None, root: None }, done);
}

fn end_named(ledger: &Ledger, named: Named, done: impl FnOnce(Result<SessionInfo>) + Send + 'static) {
    ledger.submit(
        move |book, now| {
            let id = named.find(book, now)?;
            let last = book.session(id, now).map(session_info).ok_or_else(|| named.missing())?;
            book.drop_session(id, now)?;
            Ok(last)
        },
        done,
    );
}

/// What an address calls a session: its identifier here, or of an external one the name that its application gave it.
pub struct Named {
    name: String,
    key_id: Option<KeyId>,
    root: Option<RootHash>,
}

impl Named {
    /// The session that a call is about; `?KeyID=` and `?SeriesKey=` tell sessions of one name apart.
    pub fn by(call: &Call) -> Result<Named> {
        let name = call.params.get("ID").trim().to_owned();
        Ok(Named { name, key_id: series_of(&call.request)?, root: root_of(&call.request)? })
    }

    /// Whether an address with this parameter can mean an external session by its application's name only.
    pub fn is_by_application(name: &str) -> bool {
        name.trim().parse::<SessionId>().is_err()
    }

    /// The session's identifier. One that has it as its identifier goes before those that are called so.
    pub fn find(&self, book: &Book, now: Moment) -> Result<SessionId> {
        if let Some(id) = self.name.parse().ok().filter(|id| book.session(*id, now).is_some()) {
            return Ok(id);
        }
        let fits = |series: &SeriesId| {
            self.key_id.is_none_or(|key_id| series.key_id == key_id) && self.root.is_none_or(|root| series.root == root)
        };
        let called = book.series().filter(fits).filter_map(|series| Some((series, book.external(series, &self.name)?)));
        let called: Vec<(SeriesId, SessionId)> = called.collect();
        match called.as_slice() {
            [] => Err(self.missing()),
            [(_, id)] => Ok(*id),
            several => {
                let ways =
                    several.iter().map(|(series, _)| format!("?KeyID={}&SeriesKey={}", series.key_id, series.root));
                Err(Error::new(Code::SessionsAlike).with(&self.name).with(ways.collect::<Vec<_>>().join(", ")))
            }
        }
    }

    fn missing(&self) -> Error {
        Error::new(Code::RecordNotFound).with(&self.name)
    }
}

/// The identifier in the address; one that can't be any record's is not found.
pub fn identifier<T: std::str::FromStr>(call: &Call) -> Result<T> {
    call.params.get("ID").parse().map_err(|_| missing(call))
}

fn missing(call: &Call) -> Error {
    Error::new(Code::RecordNotFound).with(call.params.get("ID"))
}

/// A connection, in the fields of the guide.
pub fn connection_info(view: ConnectionView<'_>) -> ConnectionInfo {
    let info = view.info;
    ConnectionInfo {
        id: view.id.to_string(),
        peer_ip: info.peer.to_canonical().to_string(),
        created: view.created,
        last_used: view.last_used,
        os_version: info.os_version.clone(),
        computer_name: info.computer_name.clone(),
        local_ip: info.local_ip.clone(),
        process: info.process.clone(),
        cpu: info.cpu.clone(),
        pid: info.pid.to_string(),
        is_server: info.is_server,
        platform_version: info.platform_version.clone(),
        module_name: info.module_name.clone(),
        version: info.version.clone(),
        key_id: info.series.key_id,
        expire_time: view.expires,
        expired: truth(view.expired),
    }
}

/// A session, in the fields of the guide.
pub fn session_info(view: SessionView<'_>) -> SessionInfo {
    let record = view.record;
    let text = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
    let (number, base, application, computer, user, started) = match &record.identity {
        SessionIdentity::Infobase(session) => (
            session.number.to_string(),
            Some(session.infobase.to_string()),
            &session.application,
            &session.computer,
            &session.user,
            Some(session.started.to_string()),
        ),
        // The caller's own name of the session stands where 1C has its number.
        SessionIdentity::External(session) => (
            session.client_session_id.clone(),
            None,
            &session.application,
            &session.computer,
            &session.user,
            session.started.clone(),
        ),
    };
    SessionInfo {
        id: record.id.to_string(),
        session_number: Some(number),
        is_server: record.asker == Asker::Server,
        info_base_connection_string: base.clone(),
        info_base_connection_str: base,
        app_name: text(application),
        computer_name: text(computer),
        user_name: text(user),
        session_started: started,
        session_connection: record.connection.map(|id| id.to_string()),
        access_code: record.access_code.clone(),
        expire_time: view.expires,
        expired: truth(view.expired),
        key_id: record.series.key_id,
        used_licence: Some(record.key_no),
    }
}
