//! The page of one key: its fields, why it can't be used, what it knows of the machine, and the buttons of what can be done with it.

use askama::Template;
use licence::KeyNo;
use licence::SeriesId;
use licence::api::{LicenceEntry, LicenceInfo};
use licence::error::{Code, Error, Lang, Result};
use licence::fingerprint::Match;
use licence::time::Time;
use web::{Access, Response};

use super::call::Call;
use super::{Reader, words};
use crate::api;

/// What is known of a key.
pub struct Facts {
    /// Its fields.
    pub info: LicenceInfo,
    /// Seats that are taken.
    pub used: Option<u32>,
    /// What it knows of the machine again; `None` when it is bound to a carrier.
    pub fits: Option<Match>,
    /// Whether its carrier is plugged in.
    pub is_plugged: bool,
    /// Whether it belongs to this server.
    pub is_own: bool,
    /// Whether it was given up.
    pub is_retired: bool,
}

#[derive(Template)]
#[template(path = "console/key.html")]
struct Page<'a> {
    lang: Lang,
    key: &'a LicenceInfo,
    kind: &'static str,
    state: &'static str,
    badge: &'static str,
    error: Option<&'a str>,
    used: Option<u32>,
    owner: String,
    code: String,
    activated: String,
    starts: Option<String>,
    expires: Option<String>,
    updated: Option<String>,
    version_name: Option<&'a str>,
    support: Option<String>,
    industry_support: Option<String>,
    is_plugged: bool,
    is_own: bool,
    is_retired: bool,
    fits: Option<&'a Match>,
    parts: Vec<Part>,
    /// Whether the buttons are shown.
    may_change: bool,
    update: String,
    enabled: String,
    reserve: String,
    memory: String,
    back: String,
}

struct Part {
    name: &'static str,
    weight: u32,
    matches: bool,
}

/// The key that a call is about.
pub fn named(call: &Call) -> Result<(SeriesId, KeyNo)> {
    api::named_key(&call.core, &call.reader.request, call.params.get("KeyNo"))
}

impl Facts {
    /// What is known of the key that a call is about.
    pub fn of(call: &Call) -> Result<Facts> {
        let (series, key_no) = named(call)?;
        let core = &call.core;
        let snapshot = core.keys.snapshot();
        let usage = core.ledger.read(|book, _| book.usage(series));
        let used = usage.and_then(|usage| usage.keys.iter().find(|key| key.key_no == key_no).map(|key| key.used));
        let missing = || Error::new(Code::RecordNotFound).with(key_no);
        let is_it = |key: &licence::key::Key| key.series == series && key.licence.key_no == key_no;
        let found = snapshot.views().filter(|view| view.is_current()).find_map(|view| {
            let key = view.entry.key.as_ref().filter(|key| is_it(key))?;
            match view.info(core.timekeeper.now(), call.reader.lang) {
                LicenceEntry::Readable(info) => Some((view, key, *info)),
                LicenceEntry::Unreadable(_) => None,
            }
        });
        let (view, key, info) = found.ok_or_else(missing)?;
        Ok(Facts {
            used,
            fits: view.entry.fits.clone(),
            is_plugged: info.blank_key_no.is_some_and(|carrier| core.keys.has_carrier(carrier)),
            is_own: key.licence.identity == core.keys.identity().public(),
            is_retired: !view.is_held(),
            info,
        })
    }
}

/// `GET /licences/{KeyNo}`.
pub fn show(call: &Call) -> Result<Response> {
    Ok(page(&call.reader, &Facts::of(call)?))
}

/// The page of a key.
pub fn page(reader: &Reader, facts: &Facts) -> Response {
    let (lang, key) = (reader.lang, &facts.info);
    let (state, badge) = match facts.is_retired {
        true => (lang.pick("Деактивирован", "Deactivated"), "bad"),
        false => words::key_state(lang, key),
    };
    let parts = facts.fits.iter().flat_map(|fits| &fits.parts);
    let version_name = key.support.product_version_name.as_deref();
    let main = Page {
        lang,
        key,
        kind: words::key_type(lang, key.key_type),
        state,
        badge,
        error: key.open_error.as_deref().map(words::without_class),
        used: facts.used,
        owner: words::owner(key),
        // Who may look need not be one of those who may know the code.
        code: key.activation_code.rsplit('-').next().map(|last| format!("…-{last}")).unwrap_or_default(),
        activated: words::day(lang, key.activation_date),
        starts: key.start_date.map(|start| words::day(lang, start)),
        expires: key.expire_date.map(|end| words::day(lang, end)),
        updated: key.update_date.filter(|day| *day != key.activation_date).map(|day| words::day(lang, day)),
        version_name: version_name.filter(|name| *name != key.product_version.to_string()),
        support: support(lang, key.support.support_type_name.as_deref(), key.support.support_date),
        industry_support: support(
            lang,
            key.support.industry_support_type_name.as_deref(),
            key.support.industry_support_date,
        ),
        is_plugged: facts.is_plugged,
        is_own: facts.is_own,
        is_retired: facts.is_retired,
        fits: facts.fits.as_ref(),
        parts: parts
            .map(|&(kind, weight, matches)| Part { name: words::part_kind(lang, kind), weight, matches })
            .collect(),
        may_change: reader.may >= Access::Administrator,
        update: reader.key_address(key, "/update"),
        enabled: reader.key_address(key, "/enabled"),
        reserve: reader.key_address(key, "/reserve"),
        memory: reader.key_address(key, "/memory"),
        back: reader.address("/"),
    };
    let title = format!("{} {}.{}", lang.pick("Ключ", "Key"), key.key_id, key.key_no);
    reader.framed(200, &title, &main)
}

/// What the vendor has stated of a kind of support: `ПРОФ до 01.05.2027`.
fn support(lang: Lang, kind: Option<&str>, until: Option<Time>) -> Option<String> {
    let until = until.map(|day| format!("{} {}", lang.pick("до", "until"), words::day(lang, day)));
    let stated: Vec<&str> = kind.into_iter().chain(until.as_deref()).collect();
    (!stated.is_empty()).then(|| stated.join(" "))
}

/// `POST /licences/{KeyNo}/enabled`: lets the key be used or not, and shows it again.
pub fn switch(call: &Call) -> Result<Response> {
    let (series, key_no) = named(call)?;
    let enabled = licence::settings::flag(call.fields.get("enabled"));
    let enabled = enabled.ok_or_else(|| Error::new(Code::BadRequest).with("enabled"))?;
    let now = call.core.timekeeper.now();
    call.core.change_keys(|keys| keys.set_enabled(series, key_no, enabled, now))?;
    let facts = Facts::of(call)?;
    Ok(Response::redirect(&call.reader.key_address(&facts.info, "")))
}
