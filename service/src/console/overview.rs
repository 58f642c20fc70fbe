//! The overview: the server, its series and keys, who is connected and who holds a licence, the activation form.

use std::collections::BTreeMap;

use askama::Template;
use licence::accounting::book::Usage;
use licence::api::{ConnectionInfo, Digits, LicenceEntry, LicenceInfo, ServerInfo, SessionInfo};
use licence::error::{Error, Lang};
use licence::{KeyId, KeyNo};
use web::{Request, Response};

use super::{ACTIVATION, framed, words};

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
    /// What does not work now: the store, the data folder.
    pub failures: Vec<Error>,
    /// What should be done soon.
    pub advice: Vec<Error>,
    /// Whether the page is for looking only: it takes no activation code.
    pub read_only: bool,
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
    form: Option<Form>,
}

/// The activation form with what was typed into it.
#[derive(Template, Default)]
#[template(path = "console/form.html")]
pub(super) struct Form {
    pub(super) lang: Lang,
    pub(super) action: String,
    pub(super) code: String,
    pub(super) itn: String,
    pub(super) iec: String,
    /// Whether the code was refused.
    pub(super) invalid: bool,
}

impl Form {
    /// A form to be sent from the page of `request`: without a menu here there is none on the next page.
    pub(super) fn empty(lang: Lang, request: &Request) -> Form {
        let action = if super::has_menu(request) { ACTIVATION.to_owned() } else { format!("{ACTIVATION}?menu=false") };
        Form { lang, action, ..Form::default() }
    }
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
    expires: Option<String>,
    days_left: Option<u32>,
}

struct SessionRow<'a> {
    session: &'a SessionInfo,
    started: String,
    expires: String,
}

struct ConnectionRow<'a> {
    connection: &'a ConnectionInfo,
    created: String,
    last_used: String,
}

/// The page at `/`. `user` is who has signed in.
pub fn overview(request: &Request, lang: Lang, user: Option<&str>, data: &Overview) -> Response {
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
        keys: keys.map(|key| key_row(lang, key, &data.usage)).collect(),
        broken: broken.collect(),
        total_sessions: data.total_sessions,
        total_connections: data.total_connections,
        sessions: sessions.into_iter().map(|session| session_row(lang, session)).collect(),
        connections: connections.into_iter().map(|connection| connection_row(lang, connection)).collect(),
        form: (!data.read_only).then(|| Form::empty(lang, request)),
    };
    framed(request, lang, 200, lang.pick("Обзор", "Overview"), user, &page)
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

fn key_row<'a>(lang: Lang, key: &'a LicenceInfo, usage: &[(KeyId, Usage)]) -> KeyRow<'a> {
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
        owner: owner(key),
        expires: key.expire_date.map(|end| words::day(lang, end)),
        days_left: key.days_left.filter(|_| !key.expired),
    }
}

/// ИНН and КПП, as they are written on papers.
fn owner(key: &LicenceInfo) -> String {
    let text = |digits: &Option<Digits>| digits.as_ref().and_then(Digits::text).filter(|text| !text.is_empty());
    [text(&key.itn), text(&key.iec)].into_iter().flatten().collect::<Vec<_>>().join(" / ")
}

fn session_row(lang: Lang, session: &SessionInfo) -> SessionRow<'_> {
    SessionRow {
        session,
        started: session.session_started.map(|time| words::moment(lang, time)).unwrap_or_default(),
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
