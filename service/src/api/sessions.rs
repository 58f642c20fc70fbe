//! `/api/connections` and `/api/sessions`: who is connected, who holds a licence, and sessions from outside 1C.

use std::sync::Arc;

use licence::accounting::book::{ConnectionView, Granted, SessionView};
use licence::accounting::{Asker, ExternalClaim, ExternalSession, SessionIdentity};
use licence::api::{self, ConnectionInfo, SessionInfo, truth};
use licence::error::{Code, Error, Result};
use licence::{ConnectionId, SeriesId, SessionId};
use serde::Serialize;

use super::Call;
use super::answer::{Answer, body};
use super::licences::root_of;

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Connections {
    connections: Vec<ConnectionInfo>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Sessions {
    sessions: Vec<SessionInfo>,
}

/// `GET /api/connections`, oldest first.
pub fn connections(call: Call, answer: Answer) {
    let mut connections: Vec<ConnectionInfo> =
        call.core.ledger.read(|book, now| book.connections(now).map(connection_info).collect());
    connections.sort_by(|a, b| (a.created, &a.id).cmp(&(b.created, &b.id)));
    answer.json(200, &Connections { connections });
}

/// `GET /api/connections/{ID}`.
pub fn connection(call: Call, answer: Answer) {
    let text = call.params.get("ID");
    let id = text.parse::<ConnectionId>().ok();
    let found = id.and_then(|id| call.core.ledger.read(|book, now| book.connection(id, now).map(connection_info)));
    answer.result(200, found.ok_or_else(|| Error::new(Code::RecordNotFound).with(text)));
}

/// `GET /api/sessions`, in the order in which they were granted.
pub fn sessions(call: Call, answer: Answer) {
    let mut sessions: Vec<(licence::Time, SessionInfo)> = call
        .core
        .ledger
        .read(|book, now| book.sessions(now).map(|view| (view.record.granted, session_info(view))).collect());
    sessions.sort_by(|a, b| (a.0, &a.1.id).cmp(&(b.0, &b.1.id)));
    answer.json(200, &Sessions { sessions: sessions.into_iter().map(|(_, session)| session).collect() });
}

/// `GET /api/sessions/{ID}`.
pub fn session(call: Call, answer: Answer) {
    let text = call.params.get("ID");
    let id = text.parse::<SessionId>().ok();
    let found = id.and_then(|id| call.core.ledger.read(|book, now| book.session(id, now).map(session_info)));
    answer.result(200, found.ok_or_else(|| Error::new(Code::RecordNotFound).with(text)));
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
            Some(session.started),
        ),
        // The caller's own name of the session stands where 1C has its number.
        SessionIdentity::External(session) => (
            session.client_session_id.clone(),
            None,
            &session.application,
            &session.computer,
            &session.user,
            session.started,
        ),
    };
    SessionInfo {
        id: record.id.to_string(),
        session_number: Some(number),
        is_server: record.asker == Asker::Server,
        info_base_connection_string: base,
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

/// `POST /api/sessions`: a session from outside 1C takes a licence (201), or renews its lease (200).
pub fn take(call: Call, answer: Answer) {
    let (series, claim) = match claim(&call) {
        Ok(claim) => claim,
        Err(error) => return answer.refuse(&error),
    };
    let (core, lang) = (Arc::clone(&call.core), call.lang);
    let peer = Some(call.request.peer.ip());
    call.core.ledger.submit(
        move |book, now| book.claim_external_from(claim, peer, now),
        move |granted| {
            let outcome = granted.and_then(|grant| {
                let now = core.timekeeper.now();
                let info = core.keys.info_in(&series, grant.key_no, now, lang);
                let info = info.ok_or_else(|| Error::new(Code::NoKey).with(series.key_id))?;
                Ok((if grant.granted == Granted::New { 201 } else { 200 }, info))
            });
            match outcome {
                Ok((status, info)) => answer.json(status, &info),
                Err(error) => answer.refuse(&error),
            }
        },
    );
}

fn claim(call: &Call) -> Result<(SeriesId, ExternalClaim)> {
    let asked: api::ExternalSession = body(&call.request)?;
    let series = call.core.keys.series_of(asked.key_id, root_of(&call.request)?)?;
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    let identity = ExternalSession::new(
        &asked.client_session_id,
        asked.session_started,
        &text(&asked.user_name),
        &text(&asked.app_name),
        &text(&asked.computer_name),
    )?;
    Ok((series, ExternalClaim { series, identity, new_id: SessionId(call.core.crypto.random_id()?) }))
}
