//! What befalls a key after its activation, on pages: updates, reserve codes, the centre's answers as files.

use askama::Template;
use licence::activation::CodeParameters;
use licence::api::LicenceInfo;
use licence::error::{Code, Error, Lang, Result};
use web::Response;
use web::page::protect;

use super::call::Call;
use super::fields::Fields;
use super::{RESPONSES, Reader, activation, key, words};
use crate::activation::{self as centre, Done, Order, ReserveInfo, ReserveOrder, UpdateInfo, UpdateOrder};
use crate::api;

/// The form for the text of an answer.
#[derive(Template)]
#[template(path = "console/response.html")]
pub(super) struct ResponseForm {
    lang: Lang,
    action: String,
    text: String,
}

impl ResponseForm {
    /// An empty form.
    pub(super) fn empty(reader: &Reader) -> ResponseForm {
        ResponseForm { lang: reader.lang, action: reader.address(RESPONSES), text: String::new() }
    }
}

/// The form for a reserve code with what was typed into it, and what the key will lose.
#[derive(Template)]
#[template(path = "console/reserve.html")]
struct ReserveForm<'a> {
    lang: Lang,
    key: &'a LicenceInfo,
    action: String,
    back: String,
    reason: &'a str,
    comment: &'a str,
    /// Whether the key was given up before, so that only its code is asked for again.
    is_retired: bool,
    used: u32,
}

#[derive(Template)]
#[template(path = "console/reserved.html")]
struct Reserved<'a> {
    lang: Lang,
    info: &'a ReserveInfo,
    back: String,
}

#[derive(Template)]
#[template(path = "console/updated.html")]
struct Updated {
    lang: Lang,
    news: Vec<News>,
    back: String,
}

/// News about one series, in words; empty where there is nothing of the kind.
struct News {
    series: String,
    updated: String,
    retired: String,
    revoked: String,
}

#[derive(Template)]
#[template(path = "console/parameters.html")]
struct Parameters<'a> {
    lang: Lang,
    parameters: &'a CodeParameters,
    state: &'static str,
    badge: &'static str,
    kind: &'static str,
    starts: Option<String>,
    until: Option<String>,
    back: String,
}

/// A request file, as a download: nothing is changed here by it.
pub fn request_file(call: &Call, order: Order) -> Result<Response> {
    let file = centre::request_file(&call.core, &order)?;
    let name = format!("attachment; filename=\"{}\"", file.file_name);
    let response = protect(Response::new(200, "application/octet-stream", file.text));
    Ok(response.with_header("Content-Disposition", &name))
}

/// `POST /responses`: what the answer has brought.
pub fn respond(call: &Call) -> Result<Response> {
    let (core, reader) = (&call.core, &call.reader);
    Ok(match centre::respond(core, call.fields.text_or_file("text")?)? {
        Done::Activated(series, key_no) => {
            activation::installed(reader, &centre::installed(core, series, key_no, reader.lang)?)
        }
        Done::Reserved(info) => reserved(reader, &info),
        Done::Updated(info) => updated(reader, &[info]),
        Done::CodeParameters(parameters) => offered(reader, &parameters),
    })
}

/// `POST /codes`: what a code would give.
pub fn code(call: &Call) -> Result<Response> {
    let code = call.fields.get("code").parse()?;
    Ok(offered(&call.reader, &centre::parameters(&call.core, code)?))
}

fn offered(reader: &Reader, parameters: &CodeParameters) -> Response {
    let lang = reader.lang;
    let (state, badge) = words::code_state(lang, parameters.state);
    let offer = &parameters.offer;
    let main = Parameters {
        lang,
        parameters,
        state,
        badge,
        kind: words::key_type(lang, offer.key_type.into()),
        starts: offer.start_date.map(|start| words::day(lang, start)),
        until: offer.until.map(|until| words::day(lang, until)),
        back: reader.address("/"),
    };
    reader.framed(200, lang.pick("Что даёт код", "What the code gives"), &main)
}

/// The page of an answer that was refused, with the form.
pub fn response_failed(reader: &Reader, fields: &Fields, error: &Error) -> Response {
    let form = ResponseForm { text: fields.get("text").to_owned(), ..ResponseForm::empty(reader) };
    let title = reader.lang.pick("Ответ не установлен", "The answer was not installed");
    activation::again(reader, title, error, form)
}

/// `POST /licences/{KeyNo}/update`: what the centre has told of the keys of that series.
pub fn update(call: &Call) -> Result<Response> {
    Ok(updated(&call.reader, &centre::update(&call.core, update_order(call)?)?))
}

/// The same as a request file.
pub fn update_by_file(call: &Call) -> Result<Response> {
    request_file(call, Order::Update(update_order(call)?))
}

fn update_order(call: &Call) -> Result<UpdateOrder> {
    let (series, _) = key::named(call)?;
    Ok(UpdateOrder { key_id: Some(series.key_id), root: Some(series.root) })
}

fn updated(reader: &Reader, infos: &[UpdateInfo]) -> Response {
    let news = infos.iter().map(|info| News {
        series: info.key_id.to_string(),
        updated: words::numbers(&info.updated),
        retired: words::numbers(&info.retired),
        revoked: words::numbers(&info.revoked),
    });
    let lang = reader.lang;
    let main = Updated { lang, news: news.collect(), back: reader.address("/") };
    reader.framed(200, lang.pick("Обновление получено", "The update has come"), &main)
}

/// `GET /licences/{KeyNo}/reserve`: what giving the key up means, and the form.
pub fn ask_reserve(call: &Call) -> Result<Response> {
    let facts = key::Facts::of(call)?;
    Ok(call.reader.framed(200, reserve_title(call.reader.lang), &reserve_form(&call.reader, &call.fields, &facts)))
}

/// `POST /licences/{KeyNo}/reserve`: the code. Asked for again it is the same.
pub fn reserve(call: &Call) -> Result<Response> {
    Ok(reserved(&call.reader, &centre::reserve(&call.core, reserve_order(call)?)?))
}

/// The same as a request file: the key works until the answer is installed.
pub fn reserve_by_file(call: &Call) -> Result<Response> {
    request_file(call, Order::Reserve(reserve_order(call)?))
}

/// The page of a wish that was refused, with the form.
pub fn reserve_failed(call: &Call, error: &Error) -> Response {
    match key::Facts::of(call) {
        Ok(facts) => {
            let form = reserve_form(&call.reader, &call.fields, &facts);
            activation::again(&call.reader, reserve_title(call.reader.lang), error, form)
        }
        Err(_) => super::refusal(&call.reader, error),
    }
}

fn reserve_order(call: &Call) -> Result<ReserveOrder> {
    let (series, key_no) = key::named(call)?;
    if !call.fields.is_on("confirm") {
        return Err(Error::new(Code::BadRequest).with_text(
            "нет подтверждения, что ключ перестанет действовать",
            "it was not confirmed that the key will stop counting",
        ));
    }
    let text = |name: &str| call.fields.get(name).to_owned();
    Ok(ReserveOrder {
        key_no,
        key_id: Some(series.key_id),
        root: Some(series.root),
        reason: text("reason"),
        comment: text("comment"),
    })
}

fn reserve_title(lang: Lang) -> &'static str {
    lang.pick("Резервный код", "Reserve code")
}

fn reserve_form<'a>(reader: &Reader, fields: &'a Fields, facts: &'a key::Facts) -> ReserveForm<'a> {
    ReserveForm {
        lang: reader.lang,
        key: &facts.info,
        action: reader.key_address(&facts.info, "/reserve"),
        back: reader.key_address(&facts.info, ""),
        reason: fields.get("reason"),
        comment: fields.get("comment"),
        is_retired: facts.is_retired,
        used: facts.used.unwrap_or(0),
    }
}

fn reserved(reader: &Reader, info: &ReserveInfo) -> Response {
    let main = Reserved { lang: reader.lang, info, back: reader.address("/") };
    reader.framed(200, reserve_title(reader.lang), &main)
}

/// `POST /sessions/{ID}/end`: ends a session; its holder is told so.
pub fn end_session(call: Call) {
    let core = call.core.clone();
    let id = call.params.get("ID").to_owned();
    api::end_session(&core.ledger, &id, move |outcome| {
        let sessions = format!("{}#sessions", call.reader.address("/"));
        call.finish(outcome.map(|_| Response::redirect(&sessions)));
    });
}
