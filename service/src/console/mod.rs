//! Pages of the server's console: the overview at `/`, the result of an activation, refusals. They work without scripts.
//!
//! Pages only: data come in, a response goes out. Who may see a page is decided before; names that clients gave are
//! hostile and are escaped by the templates.

mod activation;
mod overview;
mod site;
mod words;

use askama::Template;
use licence::error::{Code, Error, Lang};
use licence::version::VERSION;
use web::page::{Frame, Link};
use web::{Language, Request, Response};

pub use site::Console;

/// Where the form of the overview sends an activation code, by POST.
pub const ACTIVATION: &str = "/activation";
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

#[derive(Template)]
#[template(path = "console/refusal.html")]
struct RefusalPage {
    lang: Lang,
    cause: String,
    remedy: String,
}

/// The page for an error, with its status; 401 asks the browser for a password.
pub fn refusal(request: &Request, lang: Lang, error: &Error) -> Response {
    let main = RefusalPage { lang, cause: error.cause(lang), remedy: error.remedy(lang) };
    let title = lang.pick("Запрос не выполнен", "The request was refused");
    let response = framed(request, lang, error.code.status(), title, None, &main);
    if error.code == Code::Unauthorized { response.with_header("WWW-Authenticate", CHALLENGE) } else { response }
}

/// A page in the console's frame. `?menu=false` leaves the menu out, so that a 1C form can show the page as its own.
fn framed(
    request: &Request,
    lang: Lang,
    status: u16,
    title: &str,
    user: Option<&str>,
    main: &impl Template,
) -> Response {
    let link = |href: &str, russian: &str, english: &str, current| Link {
        href: href.into(),
        text: lang.pick(russian, english).into(),
        current,
    };
    let sections = [
        link("/", "Обзор", "Overview", request.path == "/"),
        link("/#keys", "Ключи", "Keys", false),
        link("/#sessions", "Сеансы", "Sessions", false),
        link("/#connections", "Соединения", "Connections", false),
        link("/#activation", "Активация", "Activation", false),
    ];
    let frame = Frame {
        product: lang.pick("Сервер СЛК", "SLK server"),
        version: VERSION,
        language: match lang {
            Lang::Russian => Language::Russian,
            Lang::English => Language::English,
        },
        title,
        nav: if has_menu(request) { &sections } else { &[] },
        user,
    };
    frame.response(request, status, main)
}

fn has_menu(request: &Request) -> bool {
    request.query("menu").and_then(licence::settings::flag) != Some(false)
}

#[cfg(test)]
mod tests;
