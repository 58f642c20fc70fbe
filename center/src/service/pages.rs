//! Pages for people: the vendor's support finds a code, sees its history, blocks it, allows one more transfer; and anybody
//! exchanges a request file for an answer file.

use askama::Template;
use licence::Lang;
use licence::code::ActivationCode;
use licence::error::{Code, Error, Result};
use licence::version::VERSION;
use licence::{KeyId, KeyNo, SeriesId, Time};
use web::page::{Frame, Link};
use web::{Access, Method, Request, Response, status};

use super::views::Sight;
use super::{Answers, Call, Endpoint, Handler, Manner, requests, route};
use crate::centre::{Found, KeyHistory};
use crate::store::{Event, Key, KeyState, Origin, Sold, State};

/// Reports on the page.
const REPORTS: u32 = 100;

#[derive(Template)]
#[template(path = "search.html")]
struct Search<'a> {
    lang: Lang,
    query: &'a str,
    searched: bool,
    codes: Vec<CodeRow>,
    keys: Vec<KeyRow>,
}

#[derive(Template)]
#[template(path = "key.html")]
struct KeyPage {
    lang: Lang,
    /// Whether he may do something about it.
    acts: bool,
    key: KeyRow,
    root: String,
    codes: Vec<CodeRow>,
    history: Vec<EventRow>,
    transfers: Vec<(String, String, String)>,
}

#[derive(Template)]
#[template(path = "reports.html")]
struct Reports {
    lang: Lang,
    reports: Vec<EventRow>,
}

#[derive(Template)]
#[template(path = "answer.html")]
struct AnswerPage<'a> {
    lang: Lang,
    answered: Option<Answered<'a>>,
}

/// A request file and its answer.
struct Answered<'a> {
    request: &'a str,
    answer: &'a str,
}

#[derive(Template)]
#[template(path = "refusal.html")]
struct Refusal {
    cause: String,
    remedy: String,
}

struct CodeRow {
    code: String,
    origin: &'static str,
    state: &'static str,
    blockable: bool,
    created: String,
    product: String,
}

struct KeyRow {
    name: String,
    address: String,
    key_id: KeyId,
    key_no: KeyNo,
    reg_no: u32,
    state: &'static str,
    issue: u32,
    allowance: u32,
    owner: String,
    product: String,
    count: u32,
    activated: String,
    computer: String,
    code: String,
}

struct EventRow {
    at: String,
    actor: String,
    what: &'static str,
    key: Option<(String, String)>,
    details: String,
}

impl CodeRow {
    fn of(sold: &Sold, sight: Sight, lang: Lang) -> CodeRow {
        let origin = match sold.origin {
            Origin::Sold => lang.pick("продан", "sold"),
            Origin::Demo => lang.pick("демо", "demo"),
            Origin::Reserve => lang.pick("резервный", "reserve"),
        };
        let state = match sold.state {
            State::New => lang.pick("новый", "new"),
            State::Used => lang.pick("использован", "used"),
            State::Blocked => lang.pick("заблокирован", "blocked"),
        };
        CodeRow {
            code: sight.code(sold.code, sold.state != State::New),
            origin,
            state,
            blockable: sight == Sight::All && sold.state != State::Blocked,
            created: moment(sold.created),
            product: sold.terms.offer.product_name.clone(),
        }
    }
}

/// A moment for people: to the second, in UTC.
fn moment(time: Time) -> String {
    let text = time.to_string();
    text.get(..19).map_or_else(|| text.clone(), |second| second.replace('T', " ") + " UTC")
}

fn key_address(series: &SeriesId, key_no: KeyNo) -> String {
    format!("/keys/{}/{key_no}?Root={}", series.key_id, series.root)
}

impl KeyRow {
    fn of(key: &Key, lang: Lang) -> KeyRow {
        let state = match (key.revoked, key.state) {
            (true, _) => lang.pick("отозван", "revoked"),
            (false, KeyState::Active) => lang.pick("действует", "active"),
            (false, KeyState::Reserved) => lang.pick("отдан за резервный код", "given up for a reserve code"),
        };
        let owner = [&key.itn, &key.iec].into_iter().flatten().cloned().collect::<Vec<_>>().join(" / ");
        KeyRow {
            name: format!("{}.{}", key.series.key_id, key.key_no),
            address: key_address(&key.series, key.key_no),
            key_id: key.series.key_id,
            key_no: key.key_no,
            reg_no: key.reg_no,
            state,
            issue: key.issue,
            allowance: key.allowance,
            owner,
            product: key.terms.offer.product_name.clone(),
            count: key.terms.offer.licence_count,
            activated: moment(key.activated),
            computer: key.computer_id.map(|id| id.to_string()).unwrap_or_default(),
            code: key.code.to_string(),
        }
    }
}

impl EventRow {
    fn of(event: &Event, lang: Lang) -> EventRow {
        use crate::store::Kind::*;
        let what = match event.kind {
            Activated => lang.pick("выдана лицензия", "licence issued"),
            Reserved => lang.pick("выдан резервный код", "reserve code given"),
            Rebaselined => lang.pick("компьютер учтён заново", "machine taken anew"),
            Updated => lang.pick("лицензия подписана заново", "licence signed anew"),
            Cloned => lang.pick("сервер замечен на другом компьютере", "server seen on another machine"),
            Restored => lang.pick("замечена возвращённая копия лицензии", "retired licence seen again"),
            CodesMade => lang.pick("созданы коды", "codes made"),
            Blocked => lang.pick("код заблокирован", "code blocked"),
            Allowed => lang.pick("разрешён ещё один перенос", "one more transfer allowed"),
            TermsChanged => lang.pick("изменены условия", "terms changed"),
            CatalogueChanged => lang.pick("изменён каталог", "catalogue changed"),
            TokenChanged => lang.pick("изменены токены", "tokens changed"),
        };
        let key = event.series.zip(event.key_no);
        EventRow {
            at: moment(event.at),
            actor: event.actor.clone(),
            what,
            key: key.map(|(series, key_no)| (format!("{}.{key_no}", series.key_id), key_address(&series, key_no))),
            details: event.details.clone(),
        }
    }
}

/// Routes of the pages.
pub(super) fn routes() -> Vec<web::Route<Endpoint>> {
    use Access::{Operator, Public, Viewer};
    use Method::{Get, Post};
    let page =
        |method, path, access, answers: Answers| route(method, path, access, Manner::Person, Handler::Answers(answers));
    vec![
        page(Get, "/", Viewer, search),
        page(Post, "/", Viewer, search),
        page(Get, "/keys/{KeyID}/{KeyNo}", Viewer, key),
        page(Post, "/keys/{KeyID}/{KeyNo}/allow", Operator, allow),
        page(Post, "/codes/block", Operator, block),
        page(Get, "/reports", Viewer, reports),
        page(Get, "/answer", Public, answer_form),
        page(Post, "/answer", Public, answer),
        page(Get, "/assets/{name}", Public, answer_form),
    ]
}

fn framed(request: &Request, user: Option<&str>, code: u16, title: (&str, &str), main: &impl Template) -> Response {
    let lang = super::lang(request.language());
    let link = |href: &str, russian, english| Link {
        href: href.to_owned(),
        text: lang.pick(russian, english).to_owned(),
        current: request.path == href,
    };
    let own = [link("/", "Поиск", "Search"), link("/reports", "Сообщения", "Reports")];
    let everybody = link("/answer", "Ответ на файл запроса", "Answer to a request file");
    let nav: Vec<Link> = own.into_iter().filter(|_| user.is_some()).chain([everybody]).collect();
    let title = lang.pick(title.0, title.1);
    let language = request.language();
    let frame = Frame { product: "СЛК Центр", version: VERSION, language, title, nav: &nav, user };
    frame.response(request, code, main)
}

fn shown(call: &Call<'_>, title: (&str, &str), main: &impl Template) -> Result<Response> {
    Ok(framed(call.request, call.token.as_ref().map(|token| token.name.as_str()), 200, title, main))
}

/// A refusal as a page; without a token the browser asks for one.
pub(super) fn refused(request: &Request, error: &Error) -> Response {
    let error = &super::of_the_centre(error);
    let lang = super::lang(request.language());
    let code = error.code.status();
    let main = Refusal { cause: error.cause(lang), remedy: error.remedy(lang) };
    let response = framed(request, None, code, ("Отказ", status::text(code)), &main);
    let response = response.with_retry_after(error.retry_after());
    match error.code {
        Code::TokenWrong => {
            response.with_header("WWW-Authenticate", "Basic realm=\"licencecenter\", charset=\"UTF-8\"")
        }
        _ => response,
    }
}

fn field(call: &Call<'_>, name: &str) -> Result<String> {
    let form = call.request.form().map_err(|e| Error::new(Code::BadRequest).with(e))?;
    Ok(form.into_iter().find(|(key, _)| key == name).map(|(_, value)| value).unwrap_or_default())
}

fn search(call: &Call<'_>) -> Result<Response> {
    let lang = call.lang();
    let searched = call.request.method == Method::Post;
    let query = if searched { field(call, "query")? } else { String::new() };
    let Found { codes, keys } = call.shared.centre.find(&query)?;
    let main = Search {
        lang,
        query: &query,
        searched,
        codes: codes.iter().map(|sold| CodeRow::of(sold, call.sight(), lang)).collect(),
        keys: keys.iter().map(|key| KeyRow::of(key, lang)).collect(),
    };
    shown(call, ("Поиск кодов и ключей", "Codes and keys"), &main)
}

fn addressed(call: &Call<'_>) -> Result<(SeriesId, KeyNo)> {
    let wrong = |name: &str| Error::new(Code::BadRequest).with(name);
    let key_id: KeyId = call.params.get("KeyID").parse().map_err(|_| wrong("KeyID"))?;
    let key_no = call.params.get("KeyNo").parse().map_err(|_| wrong("KeyNo"))?;
    let root = call.request.query("Root").map(str::parse).transpose().map_err(|_| wrong("Root"))?;
    let series = match root {
        Some(root) => SeriesId { key_id, root },
        None => call.shared.centre.store().work(|work| work.series_of(key_id))?.series,
    };
    Ok((series, key_no))
}

fn key(call: &Call<'_>) -> Result<Response> {
    let (series, key_no) = addressed(call)?;
    let lang = call.lang();
    let KeyHistory { key, codes, transfers, events, .. } = call.shared.centre.history(&series, key_no)?;
    let main = KeyPage {
        lang,
        acts: call.sight() == Sight::All,
        key: KeyRow::of(&key, lang),
        root: series.root.to_string(),
        codes: codes.iter().map(|sold| CodeRow::of(sold, call.sight(), lang)).collect(),
        history: events.iter().map(|event| EventRow::of(event, lang)).collect(),
        transfers: transfers.into_iter().map(|t| (moment(t.at), t.reason, t.comment)).collect(),
    };
    let title = format!("{}.{key_no}", series.key_id);
    shown(call, (&title, &title), &main)
}

fn allow(call: &Call<'_>) -> Result<Response> {
    let (series, key_no) = addressed(call)?;
    call.shared.centre.allow(call.actor(), &series, key_no)?;
    Ok(Response::redirect(&key_address(&series, key_no)))
}

fn block(call: &Call<'_>) -> Result<Response> {
    let code: ActivationCode = field(call, "code")?.parse()?;
    call.shared.centre.block(call.actor(), code)?;
    let sold = call.shared.centre.store().work(|work| work.code(code))?;
    let key = sold.and_then(|sold| Some(key_address(&sold.series, sold.key_no?)));
    Ok(Response::redirect(&key.unwrap_or_else(|| "/".to_owned())))
}

fn reports(call: &Call<'_>) -> Result<Response> {
    let lang = call.lang();
    let events = call.shared.centre.store().work(|work| work.latest_events(true, (0, REPORTS)))?;
    let reports = events.iter().map(|event| EventRow::of(event, lang)).collect();
    shown(call, ("Сообщения", "Reports"), &Reports { lang, reports })
}

fn answer_form(call: &Call<'_>) -> Result<Response> {
    answer_page(call, None)
}

fn answer_page(call: &Call<'_>, answered: Option<Answered<'_>>) -> Result<Response> {
    let main = AnswerPage { lang: call.lang(), answered };
    shown(call, ("Ответ на файл запроса", "Answer to a request file"), &main)
}

/// Shows the answer, or gives it as a file. The same request gives the same again, so either may come first.
fn answer(call: &Call<'_>) -> Result<Response> {
    let pasted = field(call, "request")?;
    let text = if pasted.trim().is_empty() { field(call, "file")? } else { pasted };
    let done = requests::Decided::of(call, Ok(&text))?.settle(call.shared)?;
    let response = if field(call, "save")?.is_empty() {
        answer_page(call, Some(Answered { request: &text, answer: &done.answer }))?
    } else {
        let name = format!("attachment; filename=\"{}.answer\"", done.series.key_id);
        Response::text(200, done.answer).with_header("Content-Disposition", &name)
    };
    Ok(response.with_header("Cache-Control", "no-store"))
}
