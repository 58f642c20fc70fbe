//! The overview: the server, its series and keys, who is connected and who holds a licence, the activation form.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use askama::Template;
use licence::accounting::book::Usage;
use licence::api::{ConnectionInfo, LicenceEntry, LicenceInfo, ServerInfo, SessionInfo};
use licence::error::{Error, Lang, Result};
use licence::time::Time;
use licence::{KeyId, KeyNo};
use web::{Access, Response};

use super::activation::Form;
use super::call::Call;
use super::life::ResponseForm;
use super::{Reader, words};
use crate::access::is_default;
use crate::{Core, Scope, api};

/// Rows of one table that are shown; the API gives them all.
pub(super) const ROWS: usize = 500;

/// What an administrator has to be told before anything else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Notices {
    /// The default name and password are in force.
    pub default_password: bool,
    /// Passwords travel in the clear: no TLS, and the server listens beyond loopback.
    pub plain_http: bool,
    /// The address of the licensing centre is not set.
    pub centre_unset: bool,
}

/// Everything on the page.
pub struct Overview {
    /// The server.
    pub info: ServerInfo,
    /// Keys, in the order of their files.
    pub licences: Vec<LicenceEntry>,
    /// Seats of each series.
    pub usage: Vec<(KeyId, Usage)>,
    /// Connections, the latest if there are many.
    pub connections: Vec<ConnectionInfo>,
    /// Number of all of them.
    pub total_connections: usize,
    /// Sessions, the latest if there are many.
    pub sessions: Vec<SessionInfo>,
    /// Number of all of them.
    pub total_sessions: usize,
    /// Warnings.
    pub notices: Notices,
    /// What does not work now: the store takes no writes, or went back.
    pub failures: Vec<Error>,
    /// What should be done soon.
    pub advice: Vec<Error>,
}

#[derive(Template)]
#[template(path = "console/overview.html")]
struct Page<'a> {
    lang: Lang,
    info: &'a ServerInfo,
    started: String,
    computer_id: String,
    notices: Notices,
    failures: Vec<(String, String)>,
    advice: Vec<(String, String)>,
    series: Vec<SeriesRow>,
    keys: Vec<KeyRow<'a>>,
    broken: Vec<(&'a str, &'a str)>,
    sessions: Vec<SessionRow<'a>>,
    connections: Vec<ConnectionRow<'a>>,
    total_sessions: usize,
    total_connections: usize,
    forms: Option<Forms>,
    may_end: bool,
}

/// The forms by which licences come.
struct Forms {
    code: Form,
    demo: Form,
    response: ResponseForm,
}

struct SeriesRow {
    key_id: KeyId,
    product: String,
    keys: usize,
    total: u64,
    used: u64,
    free: u64,
}

struct KeyRow<'a> {
    key: &'a LicenceInfo,
    kind: &'static str,
    state: &'static str,
    badge: &'static str,
    error: Option<&'a str>,
    used: Option<u32>,
    owner: String,
    address: String,
    expires: Option<String>,
    days_left: Option<u32>,
}

struct SessionRow<'a> {
    session: &'a SessionInfo,
    /// Where its end is asked for.
    end: String,
    started: String,
    expires: String,
}

struct ConnectionRow<'a> {
    connection: &'a ConnectionInfo,
    created: String,
    last_used: String,
}

/// `GET /`.
pub fn show(call: &Call) -> Result<Response> {
    Ok(page(&call.reader, &collect(&call.core, &call.reader)))
}

/// The page at `/`.
pub fn page(reader: &Reader, data: &Overview) -> Response {
    let lang = reader.lang;
    let keys = data.licences.iter().filter_map(|entry| match entry {
        LicenceEntry::Readable(key) => Some(key.as_ref()),
        LicenceEntry::Unreadable(_) => None,
    });
    let broken = data.licences.iter().filter_map(|entry| match entry {
        LicenceEntry::Readable(_) => None,
        LicenceEntry::Unreadable(file) => Some((file.file_name.as_str(), words::without_class(&file.open_error))),
    });
    let mut sessions: Vec<&SessionInfo> = data.sessions.iter().collect();
    sessions.sort_by(|a, b| (&a.computer_name, &a.user_name, &a.id).cmp(&(&b.computer_name, &b.user_name, &b.id)));
    let mut connections: Vec<&ConnectionInfo> = data.connections.iter().collect();
    connections.sort_by(|a, b| (&a.computer_name, &a.id).cmp(&(&b.computer_name, &b.id)));
    let page = Page {
        lang,
        info: &data.info,
        started: words::moment(lang, data.info.started),
        computer_id: data.info.computer_id.as_ref().map(ToString::to_string).unwrap_or_default(),
        notices: data.notices,
        failures: words::causes(lang, &data.failures),
        advice: words::causes(lang, &data.advice),
        series: series(keys.clone(), &data.usage),
        keys: keys.map(|key| key_row(reader, key, &data.usage)).collect(),
        broken: broken.collect(),
        total_sessions: data.total_sessions,
        total_connections: data.total_connections,
        sessions: sessions.into_iter().map(|session| session_row(reader, session)).collect(),
        connections: connections.into_iter().map(|connection| connection_row(lang, connection)).collect(),
        forms: (reader.may >= Access::Administrator).then(|| Forms {
            code: Form::for_code(reader),
            demo: Form::for_demo(reader),
            response: ResponseForm::empty(reader),
        }),
        may_end: reader.may >= Access::Operator,
    };
    reader.framed(200, lang.pick("Обзор", "Overview"), &page)
}

fn series<'a>(keys: impl Iterator<Item = &'a LicenceInfo>, usage: &[(KeyId, Usage)]) -> Vec<SeriesRow> {
    let mut rows: BTreeMap<KeyId, SeriesRow> = BTreeMap::new();
    let row = |key_id| SeriesRow { key_id, product: String::new(), keys: 0, total: 0, used: 0, free: 0 };
    for key in keys {
        let row = rows.entry(key.key_id).or_insert_with(|| row(key.key_id));
        row.keys += 1;
        // The main key names the product best.
        if row.product.is_empty() || key.key_type == 3 {
            row.product.clone_from(&key.product_name);
        }
    }
    for (key_id, usage) in usage {
        let row = rows.entry(*key_id).or_insert_with(|| row(*key_id));
        row.total += usage.total;
        row.used += usage.used;
        row.free += usage.total.saturating_sub(usage.used);
    }
    rows.into_values().collect()
}

fn key_row<'a>(reader: &Reader, key: &'a LicenceInfo, usage: &[(KeyId, Usage)]) -> KeyRow<'a> {
    let lang = reader.lang;
    let (state, badge) = words::key_state(lang, key);
    let same = |number: KeyNo| number == key.key_no;
    let seats = usage.iter().filter(|(key_id, _)| *key_id == key.key_id).flat_map(|(_, usage)| &usage.keys);
    KeyRow {
        key,
        kind: words::key_type(lang, key.key_type),
        state,
        badge,
        error: key.open_error.as_deref().map(words::without_class),
        used: seats.filter(|seats| same(seats.key_no)).map(|seats| seats.used).next(),
        owner: words::owner(key),
        address: reader.key_address(key, ""),
        expires: key.expire_date.map(|end| words::day(lang, end)),
        days_left: key.days_left.filter(|_| !key.expired),
    }
}

fn session_row<'a>(reader: &Reader, session: &'a SessionInfo) -> SessionRow<'a> {
    let lang = reader.lang;
    SessionRow {
        session,
        end: reader.address(&format!("/sessions/{}/end", session.id)),
        started: session.session_started.as_deref().map(|text| words::stated(lang, text)).unwrap_or_default(),
        expires: words::moment(lang, session.expire_time),
    }
}

fn connection_row(lang: Lang, connection: &ConnectionInfo) -> ConnectionRow<'_> {
    ConnectionRow {
        connection,
        created: words::moment(lang, connection.created),
        last_used: words::moment(lang, connection.last_used),
    }
}

/// What should be done soon: the settings file, spoilt files of the data folder, the clock, keys that still work but not for long.
fn advice(core: &Core, now: Time) -> Vec<Error> {
    let keys = core.keys.snapshot().warnings(now).into_iter().map(|warning| warning.notice);
    let data = core.keys.remarks();
    core.settings.not_in_force().into_iter().chain(data).chain(core.timekeeper.shown().notices()).chain(keys).collect()
}

/// What the overview shows now. Long lists are cut to the latest [`ROWS`].
fn collect(core: &Core, reader: &Reader) -> Overview {
    let lang = reader.lang;
    let settings = core.settings.get();
    let now = core.timekeeper.now();
    let snapshot = core.keys.snapshot();
    let data = core.ledger.read(|book, now| {
        let mut sessions: Vec<_> =
            book.sessions(now).map(|view| (Reverse(view.record.granted), view.record.id)).collect();
        let mut connections: Vec<_> = book.connections(now).map(|view| (Reverse(view.created), view.id)).collect();
        let totals = (sessions.len(), connections.len());
        sessions.sort_unstable();
        connections.sort_unstable();
        let sessions: Vec<_> =
            sessions.iter().take(ROWS).filter_map(|(_, id)| book.session(*id, now)).map(api::session_info).collect();
        let connections: Vec<_> = connections
            .iter()
            .take(ROWS)
            .filter_map(|(_, id)| book.connection(*id, now))
            .map(api::connection_info)
            .collect();
        let usage: Vec<_> = book.series().filter_map(|series| Some((series.key_id, book.usage(series)?))).collect();
        (sessions, connections, totals, usage)
    });
    let (sessions, connections, (total_sessions, total_connections), usage) = data;
    let is_full = core.scope == Scope::Full;
    Overview {
        info: api::server_info(core, lang),
        licences: snapshot.views().map(|view| view.info(now, lang)).collect(),
        usage,
        connections,
        total_connections,
        sessions,
        total_sessions,
        notices: Notices {
            default_password: is_full && is_default(&settings),
            plain_http: is_full
                && !reader.request.tls
                && !settings.local_only
                && !settings.addresses.iter().all(std::net::IpAddr::is_loopback),
            centre_unset: is_full && settings.centres.is_empty(),
        },
        failures: core.ledger.failing().into_iter().chain(core.ledger.rolled_back()).collect(),
        advice: advice(core, now),
    }
}
