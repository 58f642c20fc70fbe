//! A response, whole in memory: API answers are signed before their body is sent.
//! It must never carry a header that could break a line; see [`crate::headers`].

use crate::Headers;
use serde::Serialize;

/// One response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// HTTP status, 200–599.
    pub status: u16,
    /// Header fields; the fronts add `Content-Length`, `Date` and `Connection`.
    pub headers: Headers,
    /// Body.
    pub body: Vec<u8>,
}

impl Response {
    /// A response without body.
    pub fn empty(status: u16) -> Self {
        Self { status, headers: Headers::new(), body: Vec::new() }
    }

    /// A response with a body of that media type, which no browser may guess to be another.
    pub fn new(status: u16, content_type: &str, body: impl Into<Vec<u8>>) -> Self {
        let response = Self { status, headers: Headers::new(), body: body.into() };
        response.with_header("Content-Type", content_type).with_header("X-Content-Type-Options", "nosniff")
    }

    /// `value` as JSON, never stored by caches.
    pub fn json<T: Serialize + ?Sized>(status: u16, value: &T) -> Self {
        match serde_json::to_vec(value) {
            Ok(body) => {
                Self::new(status, "application/json; charset=utf-8", body).with_header("Cache-Control", "no-store")
            }
            Err(error) => {
                log::error!("an answer can't be written as JSON: {error}");
                Self::empty(500)
            }
        }
    }

    /// A page. [`crate::page`] adds what a page of the console needs.
    pub fn html(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self::new(status, "text/html; charset=utf-8", body)
    }

    /// Plain text.
    pub fn text(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self::new(status, "text/plain; charset=utf-8", body)
    }

    /// Sends a browser to `location` by GET (303), as after a form. `location` must be a path of this service.
    pub fn redirect(location: &str) -> Self {
        let own = location.starts_with('/') && !location.starts_with("//") && !location.contains('\\');
        Self::empty(303).with_header("Location", if own { location } else { "/" })
    }

    /// The same response with the header set. A name or value that can't be sent is left out and logged.
    pub fn with_header(mut self, name: &str, value: &str) -> Self {
        if let Err(error) = self.headers.set(name, value) {
            log::error!("header {name:?} left out: {error}");
        }
        self
    }

    /// The same response, telling after how many seconds the request may be repeated, if that is known.
    pub fn with_retry_after(self, seconds: Option<u64>) -> Self {
        match seconds {
            Some(seconds) => self.with_header("Retry-After", &seconds.to_string()),
            None => self,
        }
    }

    /// The same response with a cookie for the whole service: `HttpOnly`, `SameSite=Strict`, `Secure` under TLS.
    /// `max_age` is in seconds; 0 removes the cookie. A value with characters that cookies can't hold is left out.
    pub fn with_cookie(mut self, name: &str, value: &str, max_age: u32, secure: bool) -> Self {
        let fits = |text: &str| text.bytes().all(|byte| byte.is_ascii_graphic() && !b"\";,\\=".contains(&byte));
        let secure = if secure { "; Secure" } else { "" };
        let line = format!("{name}={value}; Path=/; Max-Age={max_age}; HttpOnly; SameSite=Strict{secure}");
        if !fits(name) || !fits(value) || self.headers.add("Set-Cookie", &line).is_err() {
            log::error!("cookie {name:?} left out");
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_with_a_line_break_is_left_out() {
        let response = Response::text(200, "x").with_header("Licence-QueryID", "1\r\nSet-Cookie: a=b");
        assert!(!response.headers.contains("licence-queryid"));
        assert!(!response.headers.contains("set-cookie"));
    }

    #[test]
    fn a_redirect_never_leaves_the_service() {
        assert_eq!(Response::redirect("/licences?lang=en").headers.get("location"), Some("/licences?lang=en"));
        for location in ["//evil.example", "https://evil.example", "/\\evil.example", "evil"] {
            assert_eq!(Response::redirect(location).headers.get("location"), Some("/"), "{location}");
        }
    }

    #[test]
    fn a_cookie_is_out_of_reach_of_scripts_and_other_sites() {
        let response = Response::empty(200).with_cookie("lang", "en", 60, true).with_cookie("x", "a;b", 60, false);
        let cookies = response.headers.get_all("set-cookie").collect::<Vec<_>>();
        assert_eq!(cookies, ["lang=en; Path=/; Max-Age=60; HttpOnly; SameSite=Strict; Secure"]);
    }
}
