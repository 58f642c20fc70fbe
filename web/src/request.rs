//! A request as services see it, and the checks that every front makes while building one.
//! It must never hold a path that was decoded twice or could name a file elsewhere.

use crate::{Headers, Rejection, multipart, percent};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::de::DeserializeOwned;
use std::fmt;
use std::net::SocketAddr;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

/// Methods that are told apart: what no route serves is answered 405. Any other is answered 501 by the fronts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[allow(missing_docs, reason = "the names are those of HTTP")]
pub enum Method {
    Get,
    Head,
    Post,
    Put,
    Patch,
    Delete,
    Options,
    Trace,
    Query,
}

impl Method {
    /// The method of that exact name.
    pub fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "GET" => Self::Get,
            "HEAD" => Self::Head,
            "POST" => Self::Post,
            "PUT" => Self::Put,
            "PATCH" => Self::Patch,
            "DELETE" => Self::Delete,
            "OPTIONS" => Self::Options,
            "TRACE" => Self::Trace,
            "QUERY" => Self::Query,
            _ => return None,
        })
    }

    /// Its name on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Head => "HEAD",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
            Self::Options => "OPTIONS",
            Self::Trace => "TRACE",
            Self::Query => "QUERY",
        }
    }

    /// Whether a request of this method may change something.
    pub fn is_write(self) -> bool {
        !matches!(self, Self::Get | Self::Head | Self::Options | Self::Trace | Self::Query)
    }
}

/// Languages of texts for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
#[allow(missing_docs, reason = "the names say it")]
pub enum Language {
    #[default]
    Russian,
    English,
}

impl Language {
    /// Two-letter code, as in `lang` attributes.
    pub fn code(self) -> &'static str {
        match self {
            Self::Russian => "ru",
            Self::English => "en",
        }
    }

    /// The language of a tag such as `en-GB` or `ru`; `None` for any other language.
    pub fn parse(tag: &str) -> Option<Self> {
        match tag.split('-').next().unwrap_or_default().to_ascii_lowercase().as_str() {
            "ru" => Some(Self::Russian),
            "en" => Some(Self::English),
            _ => None,
        }
    }

    /// The text in this language.
    pub fn pick<'a>(self, russian: &'a str, english: &'a str) -> &'a str {
        match self {
            Self::Russian => russian,
            Self::English => english,
        }
    }
}

/// Number of a request, unique over the runs of a server: in its log, and in the answer under [`RequestId::HEADER`], so that who
/// has got an answer can find it in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestId {
    run: u32,
    number: u64,
}

impl RequestId {
    /// Header field of answers.
    pub const HEADER: &str = "x-request-id";

    fn next() -> RequestId {
        static RUN: LazyLock<u32> = LazyLock::new(|| {
            let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
            now.as_secs() as u32
        });
        static NUMBER: AtomicU64 = AtomicU64::new(1);
        RequestId { run: *RUN, number: NUMBER.fetch_add(1, Ordering::Relaxed) }
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{:08x}-{}", self.run, self.number)
    }
}

/// One request: read in full, its path checked.
#[derive(Clone, Debug)]
pub struct Request {
    /// Its number.
    pub id: RequestId,
    /// Method.
    pub method: Method,
    /// Path, percent-decoded once. It begins with `/` and has no empty (but the last), `.` or `..` segments, no
    /// backslash, no control characters and no slash that came encoded.
    pub path: String,
    /// Path and query as received, for logs.
    pub target: String,
    /// Decoded pairs of the query string, in their order.
    pub query: Vec<(String, String)>,
    /// Header fields.
    pub headers: Headers,
    /// Body, empty when there is none.
    pub body: Vec<u8>,
    /// Address of the other end of the connection.
    pub peer: SocketAddr,
    /// Whether the connection is encrypted.
    pub tls: bool,
}

/// A body that is not what the address takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BodyError {
    /// 415 for a wrong content type, else 400.
    pub status: u16,
    /// What is wrong, for the caller.
    pub message: String,
}

impl fmt::Display for BodyError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.message)
    }
}

impl std::error::Error for BodyError {}

/// Headers by which proxies tell that they forward for somebody else.
const FORWARDING: [&str; 7] =
    ["forwarded", "via", "x-real-ip", "x-client-ip", "x-cluster-client-ip", "true-client-ip", "cf-connecting-ip"];

impl Request {
    /// Builds a request without body from what a front has read, or says why it must be refused.
    ///
    /// `target` is the request target in origin form (`/path?query`) or absolute form (`http://host/path?query`).
    ///
    /// # Errors
    /// 501 for a method that nobody serves, 400 for a target that is malformed or could be read in two ways, for
    /// two `Host` fields.
    pub fn build(
        method: &str,
        target: &str,
        headers: Headers,
        peer: SocketAddr,
        tls: bool,
    ) -> Result<Self, Box<Rejection>> {
        let reject =
            |status, reason: &str, headers| Err(Box::new(Rejection { status, reason: reason.into(), headers }));
        let Some(method) = Method::parse(method) else {
            return reject(501, "The method is not implemented.", headers);
        };
        if headers.get_all("host").count() > 1 {
            return reject(400, "The request has more than one Host field.", headers);
        }
        let Some((path, query)) = split_target(target) else {
            return reject(400, "The request target must begin with a slash and be plain ASCII.", headers);
        };
        let Some(path) = decode_path(path) else {
            return reject(400, "The path is malformed or has forbidden characters or segments.", headers);
        };
        let Some(query) = decode_pairs(query) else {
            return reject(400, "The query string is not properly percent-encoded.", headers);
        };
        let target = target.to_owned();
        Ok(Self { id: RequestId::next(), method, path, target, query, headers, body: Vec::new(), peer, tls })
    }

    /// The first value of the parameter `name` of the query string, however its letters are written.
    pub fn query(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// User and password of HTTP Basic authentication (RFC 7617, UTF-8).
    pub fn basic_credentials(&self) -> Option<(String, String)> {
        let value = self.headers.get("authorization")?;
        let (scheme, encoded) = value.split_once(' ')?;
        if !scheme.eq_ignore_ascii_case("basic") {
            return None;
        }
        let decoded = String::from_utf8(STANDARD.decode(encoded.trim()).ok()?).ok()?;
        let (user, password) = decoded.split_once(':')?;
        Some((user.to_owned(), password.to_owned()))
    }

    /// Whether the request was made on this computer: the peer is a loopback address and no header says that somebody
    /// forwards it.
    pub fn is_loopback(&self) -> bool {
        self.peer.ip().to_canonical().is_loopback() && !self.is_forwarded()
    }

    /// Whether a proxy says that it forwards this request.
    pub fn is_forwarded(&self) -> bool {
        self.headers.iter().any(|(name, _)| {
            let name = name.to_ascii_lowercase();
            name.starts_with("x-forwarded") || name.starts_with("x-original") || FORWARDING.contains(&name.as_str())
        })
    }

    /// Whether a browser says that a page made it send the request.
    pub fn is_from_page(&self) -> bool {
        self.headers.iter().any(|(name, _)| {
            let name = name.to_ascii_lowercase();
            name.starts_with("sec-fetch-") || matches!(name.as_str(), "origin" | "referer")
        })
    }

    /// The body as JSON; a byte order mark before it is forgiven. Scripts send JSON under many content types (`curl -d`,
    /// PowerShell, Python's urllib), so the type counts only where a browser sends it: a foreign web page can't send
    /// `application/json` without asking first.
    ///
    /// # Errors
    /// 415 when a page sends it under another content type, 400 when the body does not fit `T`.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, BodyError> {
        if self.is_from_page() {
            self.expect_type("application/json")?;
        }
        serde_json::from_slice(self.text_bytes())
            .map_err(|error| BodyError { status: 400, message: format!("The JSON body is not valid: {error}.") })
    }

    /// The body without a byte order mark.
    pub fn text_bytes(&self) -> &[u8] {
        self.body.strip_prefix("\u{feff}".as_bytes()).unwrap_or(&self.body)
    }

    /// The body as pairs of a form; of a form with files in it each file is the text of its field.
    ///
    /// # Errors
    /// 415 unless the content type is `application/x-www-form-urlencoded` or `multipart/form-data`, 400 when it is malformed.
    pub fn form(&self) -> Result<Vec<(String, String)>, BodyError> {
        let malformed = |how: &str| BodyError { status: 400, message: format!("The form is not properly {how}.") };
        if self.content_type() == "multipart/form-data" {
            let content_type = self.headers.get("content-type").unwrap_or_default();
            return multipart::decode(content_type, &self.body)
                .ok_or_else(|| malformed("put together, or has a file that is no text"));
        }
        self.expect_type("application/x-www-form-urlencoded")?;
        std::str::from_utf8(&self.body).ok().and_then(decode_pairs).ok_or_else(|| malformed("percent-encoded"))
    }

    /// Media type of the body in lower case, without parameters; empty when none is given.
    pub fn content_type(&self) -> String {
        let value = self.headers.get("content-type").unwrap_or_default();
        value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
    }

    fn expect_type(&self, expected: &str) -> Result<(), BodyError> {
        match self.content_type() == expected {
            true => Ok(()),
            false => Err(BodyError { status: 415, message: format!("Content-Type must be {expected}.") }),
        }
    }

    /// The value of the cookie `name`.
    pub fn cookie(&self, name: &str) -> Option<&str> {
        self.headers
            .get_all("cookie")
            .flat_map(|line| line.split(';'))
            .filter_map(|pair| pair.trim().split_once('='))
            .find(|(key, _)| *key == name)
            .map(|(_, value)| value)
    }

    /// The language for people: `lang` of the query string, then the cookie `lang`, then `Accept-Language`, else
    /// Russian.
    pub fn language(&self) -> Language {
        let chosen =
            self.query("lang").and_then(Language::parse).or_else(|| self.cookie("lang").and_then(Language::parse));
        chosen.unwrap_or_else(|| self.accept_language())
    }

    /// The language that `Accept-Language` prefers among ours (RFC 9110, 12.5.4), else Russian.
    pub fn accept_language(&self) -> Language {
        let mut best = (0.0, Language::Russian);
        for range in self.headers.get("accept-language").unwrap_or_default().split(',') {
            let mut parts = range.split(';').map(str::trim);
            let language = parts.next().and_then(Language::parse);
            let quality =
                parts.find_map(|part| part.strip_prefix("q=")).map_or(Some(1.0), |text| text.parse::<f32>().ok());
            if let (Some(language), Some(quality)) = (language, quality)
                && quality > best.0
            {
                best = (quality, language);
            }
        }
        best.1
    }
}

/// Splits a target into path and query; `None` when it is neither in origin nor in absolute form.
fn split_target(target: &str) -> Option<(&str, &str)> {
    if !target.bytes().all(|byte| byte.is_ascii_graphic()) || target.contains('#') {
        return None;
    }
    let origin = if target.starts_with('/') {
        target
    } else {
        let rest = target.strip_prefix("http://").or_else(|| target.strip_prefix("https://"))?;
        rest.find('/').map_or("/", |start| &rest[start..])
    };
    Some(origin.split_once('?').unwrap_or((origin, "")))
}

fn decode_path(raw: &str) -> Option<String> {
    let mut path = String::with_capacity(raw.len());
    let mut segments = raw.strip_prefix('/')?.split('/').peekable();
    while let Some(raw) = segments.next() {
        let segment = percent::decode(raw, false)?;
        let empty_inside = segment.is_empty() && segments.peek().is_some();
        let forbidden = segment.chars().any(|letter| letter.is_control() || matches!(letter, '/' | '\\'));
        if empty_inside || forbidden || segment == "." || segment == ".." {
            return None;
        }
        path.push('/');
        path.push_str(&segment);
    }
    Some(path)
}

fn decode_pairs(text: &str) -> Option<Vec<(String, String)>> {
    let pairs = text.split('&').filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            Some((percent::decode(key, true)?, percent::decode(value, true)?))
        })
        .collect()
}

#[cfg(test)]
#[path = "request_tests.rs"]
mod tests;
