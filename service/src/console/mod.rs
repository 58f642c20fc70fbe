//! Pages of the server's console: the overview at `/`, keys, the forms of what befalls a key, what was written down. They work
//! without scripts.
//!
//! `site` decides who may see what and `call` carries it out; the others make pages of data. They do what the API does, by the
//! same functions. Names that clients gave are hostile and are escaped by the templates.

mod activation;
mod call;
mod fields;
mod key;
mod life;
mod memory;
mod overview;
mod records;
mod site;
mod words;

use askama::Template;
use licence::api::LicenceInfo;
use licence::error::{Code, Error, Lang};
use licence::version::VERSION;
use web::page::{Frame, Link};
use web::{Access, Language, Request, Response};

pub use site::Console;

/// Where an activation code, or the wish for a demo licence, goes by POST.
const ACTIVATION: &str = "/activation";
/// Where an activation code goes by POST to learn what it would give.
const CODES: &str = "/codes";
/// Where the text of an answer of the centre goes by POST.
const RESPONSES: &str = "/responses";
/// Who was refused.
const DENIALS: &str = "/denials";
/// Seats over time.
const USAGE: &str = "/usage";
/// The audit trail.
const EVENTS: &str = "/events";
/// Realm of the password that the console asks for: RFC 7617 wants it to be plain text.
const CHALLENGE: &str = "Basic realm=\"licenceserver\", charset=\"UTF-8\"";

/// The language of a page: what its reader has chosen or his browser prefers, else the server's.
pub fn language(request: &Request, default: Lang) -> Lang {
    let known = |tag: &str| Language::parse(tag.split(';').next().unwrap_or_default().trim()).is_some();
    let preferences = request.headers.get("accept-language").unwrap_or_default();
    let chosen = request.query("lang").is_some_and(known)
        || request.cookie("lang").is_some_and(known)
        || preferences.split(',').any(known);
    match (chosen, request.language()) {
        (true, Language::Russian) => Lang::Russian,
        (true, Language::English) => Lang::English,
        (false, _) => default,
    }
}

/// Who reads a page, and how.
pub struct Reader {
    /// What was asked for.
    request: Request,
    lang: Lang,
    /// The account, if somebody has signed in.
    user: Option<String>,
    /// What the page offers; inside the component nothing but itself. Where one may look without signing in it offers everything, and each form asks who it is.
    may: Access,
}

#[derive(Template)]
#[template(path = "console/refusal.html")]
struct RefusalPage {
    lang: Lang,
    cause: String,
    remedy: String,
    back: String,
}

/// The page for an error, with its status; 401 asks the browser for a password.
fn refusal(reader: &Reader, error: &Error) -> Response {
    let lang = reader.lang;
    let main = RefusalPage { lang, cause: error.cause(lang), remedy: error.remedy(lang), back: reader.address("/") };
    let title = lang.pick("Запрос не выполнен", "The request was refused");
    let response = reader.framed(error.code.status(), title, &main).with_retry_after(error.retry_after());
    if error.code == Code::Unauthorized { response.with_header("WWW-Authenticate", CHALLENGE) } else { response }
}

impl Reader {
    /// A page in the console's frame. `?menu=false` leaves the menu out, so that a 1C form can show the page as its own.
    fn framed(&self, status: u16, title: &str, main: &impl Template) -> Response {
        let lang = self.lang;
        let link = |href: &str, russian: &str, english: &str, current| Link {
            href: href.into(),
            text: lang.pick(russian, english).into(),
            current,
        };
        let sections = [
            link("/", "Обзор", "Overview", self.request.path == "/"),
            link("/#keys", "Ключи", "Keys", false),
            link("/#sessions", "Сеансы", "Sessions", false),
            link("/#connections", "Соединения", "Connections", false),
            link("/#activation", "Активация", "Activation", false),
            link(DENIALS, "Отказы", "Refusals", self.request.path == DENIALS),
            link(USAGE, "Использование", "Usage", self.request.path == USAGE),
            link(EVENTS, "Журнал", "Audit", self.request.path == EVENTS),
        ];
        let shown = match self.may {
            _ if !self.has_menu() => 0,
            Access::Public => sections.len() - 3,
            Access::Viewer => sections.len() - 1,
            Access::Operator | Access::Administrator => sections.len(),
        };
        let frame = Frame {
            product: lang.pick("Сервер СЛК", "SLK server"),
            version: VERSION,
            language: match lang {
                Lang::Russian => Language::Russian,
                Lang::English => Language::English,
            },
            title,
            nav: sections.get(..shown).unwrap_or_default(),
            user: self.user.as_deref(),
        };
        frame.response(&self.request, status, main)
    }

    fn has_menu(&self) -> bool {
        self.request.query("menu").and_then(licence::settings::flag) != Some(false)
    }

    /// A path of the console, without a menu there when there is none here.
    fn address(&self, path: &str) -> String {
        match (self.has_menu(), path.contains('?')) {
            (true, _) => path.to_owned(),
            (false, true) => format!("{path}&menu=false"),
            (false, false) => format!("{path}?menu=false"),
        }
    }

    /// The page of a key, or with `act` (`/update`) what is done to it. It names the vendor: two may use the same numbers.
    fn key_address(&self, key: &LicenceInfo, act: &str) -> String {
        let vendor = key.series_key.map(|root| format!("&SeriesKey={root}")).unwrap_or_default();
        self.address(&format!("/licences/{}{act}?KeyID={}{vendor}", key.key_no, key.key_id))
    }
}

#[cfg(test)]
mod tests;
