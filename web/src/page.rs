//! The frame of every page of a console: header, navigation, language switch, main part, footer, safe headers.
//! Its main part is always a template (one for HTML, so that everything in it is escaped); nothing inline is ever
//! needed, and the policy sent with it forbids it.

use crate::{Language, Request, Response, percent_encode};
use askama::Template;

/// What a page may load: its own style sheet, script and images; who may frame it: itself; where its forms may go:
/// to itself.
pub const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; connect-src 'self'; \
     form-action 'self'; frame-ancestors 'self'; base-uri 'none'";

/// One entry of the navigation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// Path on this service.
    pub href: String,
    /// Text in the language of the page.
    pub text: String,
    /// Whether it is the page that is shown.
    pub current: bool,
}

/// The frame around the main part of one page.
#[derive(Clone, Debug)]
pub struct Frame<'a> {
    /// Name of the program, as people call it.
    pub product: &'a str,
    /// Its version.
    pub version: &'a str,
    /// Language of the page; see [`Request::language`].
    pub language: Language,
    /// Heading and title of the page.
    pub title: &'a str,
    /// Navigation; may be empty.
    pub nav: &'a [Link],
    /// Who is signed in.
    pub user: Option<&'a str>,
}

#[derive(Template)]
#[template(path = "frame.html")]
struct Whole<'a> {
    product: &'a str,
    version: &'a str,
    language: Language,
    title: &'a str,
    nav: &'a [Link],
    user: Option<&'a str>,
    /// The same page in the other language.
    other: &'a str,
    main: &'a str,
}

impl Frame<'_> {
    /// The page as a response. A language chosen by `?lang=` in `request` is remembered in a cookie for a year.
    pub fn response(&self, request: &Request, status: u16, main: &impl Template) -> Response {
        let other = in_other_language(request, self.language);
        let rendered = main.render().and_then(|main| self.whole(&other, &main).render());
        let page = match rendered {
            Ok(page) => page,
            Err(error) => {
                log::error!("page {:?} can't be rendered: {error}", request.path);
                return Response::text(500, "The page can't be shown.");
            }
        };
        let response = protect(Response::html(status, page)).with_header("Content-Language", self.language.code());
        match request.query("lang").and_then(Language::parse) {
            Some(chosen) => response.with_cookie("lang", chosen.code(), 365 * 24 * 3600, request.tls),
            None => response,
        }
    }

    fn whole<'a>(&'a self, other: &'a str, main: &'a str) -> Whole<'a> {
        let Self { product, version, language, title, nav, user } = *self;
        Whole { product, version, language, title, nav, user, other, main }
    }
}

/// The query string that shows the same page in the other language: what else the query says stays.
fn in_other_language(request: &Request, shown: Language) -> String {
    let other = match shown {
        Language::Russian => Language::English,
        Language::English => Language::Russian,
    };
    let kept = request.query.iter().filter(|(name, _)| name != "lang");
    let mut query: String =
        kept.map(|(name, value)| format!("{}={}&", percent_encode(name), percent_encode(value))).collect();
    query.insert(0, '?');
    query + "lang=" + other.code()
}

/// Adds the headers that a page needs: content policy, no referrer to others, nothing stored.
pub fn protect(response: Response) -> Response {
    response
        .with_header("Content-Security-Policy", CONTENT_SECURITY_POLICY)
        .with_header("X-Content-Type-Options", "nosniff")
        .with_header("X-Frame-Options", "SAMEORIGIN")
        .with_header("Referrer-Policy", "same-origin")
        .with_header("Cache-Control", "no-store")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Headers;

    #[derive(Template)]
    #[template(source = "<p>{{ host }}</p>", ext = "html")]
    struct Main<'a> {
        host: &'a str,
    }

    const HOSTILE: &str = "\"'><script>alert(1)</script>";

    fn page(target: &str) -> (Response, String) {
        let request = Request::build("GET", target, Headers::new(), "127.0.0.1:1".parse().unwrap(), false).unwrap();
        let nav = [Link { href: "/licences".into(), text: HOSTILE.into(), current: true }];
        let language = request.language();
        let frame =
            Frame { product: "СЛК", version: "3.0.100.0", language, title: HOSTILE, nav: &nav, user: Some(HOSTILE) };
        let response = frame.response(&request, 200, &Main { host: HOSTILE });
        let text = String::from_utf8(response.body.clone()).unwrap();
        (response, text)
    }

    #[test]
    fn everything_in_a_page_is_escaped() {
        let (_, text) = page("/");
        assert!(!text.contains("<script"), "{text}");
        assert_eq!(text.matches("&#60;script&#62;").count(), 5);
        assert!(text.contains("3.0.100.0") && text.contains("aria-current=\"page\""));
    }

    #[test]
    fn nothing_inline_is_in_the_frame_and_the_policy_forbids_it() {
        let (response, text) = page("/");
        assert!(!text.contains("style=") && !text.contains("<style") && !text.contains("onclick"));
        let policy = response.headers.get("content-security-policy").unwrap();
        assert!(policy.starts_with("default-src 'none';") && !policy.contains("unsafe"));
        assert_eq!(response.headers.get("cache-control"), Some("no-store"));
        assert_eq!(response.headers.get("x-content-type-options"), Some("nosniff"));
    }

    #[test]
    fn the_other_language_shows_the_same_page() {
        let (_, text) = page("/licences/7?KeyID=672B&menu=false&lang=en&q=%22%26%3Ca");
        assert!(text.contains("href=\"?KeyID=672B&#38;menu=false&#38;q=%22%26%3Ca&#38;lang=ru\""), "{text}");
        assert!(page("/").1.contains("href=\"?lang=en\""));
    }

    #[test]
    fn a_chosen_language_is_used_and_remembered() {
        let (response, text) = page("/?lang=en");
        assert!(text.contains("<html lang=\"en\">"));
        assert!(response.headers.get("set-cookie").unwrap().starts_with("lang=en;"));
        let (response, text) = page("/");
        assert!(text.contains("<html lang=\"ru\">"));
        assert_eq!(response.headers.get("set-cookie"), None);
    }
}
