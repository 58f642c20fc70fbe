//! A client of the REST API that trusts no answer: every one is checked against the server's public key.

use std::fmt;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use licence::crypto::{Crypto, public_key_from_pem, ring::PROVIDER};
use serde_json::Value;

use crate::failure::{Outcome, check, fail};

/// How long one answer may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// The client.
pub struct Rest {
    agent: ureq::Agent,
    url: String,
    authorization: Option<String>,
    headers: Vec<(String, String)>,
    key: OnceLock<Vec<u8>>,
}

/// An answer.
#[derive(Debug, Clone)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// Headers, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body as it came.
    pub body: Vec<u8>,
}

impl fmt::Display for Answer {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} {}", self.status, String::from_utf8_lossy(&self.body))
    }
}

impl Answer {
    /// A header; the name in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The body as JSON.
    pub fn json(&self) -> Outcome<Value> {
        Ok(serde_json::from_slice(&self.body)?)
    }

    /// The body as JSON of an answer with this status.
    pub fn expect(&self, status: u16) -> Outcome<Value> {
        check(self.status == status, || format!("{status} was expected, not {self}"))?;
        self.json()
    }

    /// Number of the error of a refusal with this status.
    pub fn refusal(&self, status: u16) -> Outcome<u64> {
        let body = self.expect(status)?;
        let complete =
            ["Text", "Message", "Exception"].iter().all(|name| body[name].is_string()) && body["Code"] == status;
        check(complete, || format!("a refusal has the fields of the guide: {self}"))?;
        body["ErrorCode"].as_u64().map_or_else(|| fail(format!("no ErrorCode: {self}")), Ok)
    }

    /// Checks the signature over the query's identifier and the body, under both names of the header.
    pub fn verify(&self, key: &[u8], query: &str) -> Outcome {
        for name in ["licence-signature", "licence-querysignature"] {
            let Some(signature) = self.header(name) else { return fail(format!("no {name}: {self}")) };
            let signed = [query.as_bytes(), &self.body].concat();
            check(PROVIDER.rsa_verify(key, &signed, &STANDARD.decode(signature)?), || {
                format!("{name} is wrong: {self}")
            })?;
        }
        check(self.header("licence-queryid") == Some(query), || "the query's identifier is not repeated".to_owned())
    }
}

impl Rest {
    /// A client without a user.
    pub fn new(url: &str) -> Rest {
        let config =
            ureq::Agent::config_builder().http_status_as_error(false).timeout_global(Some(PATIENCE)).proxy(None);
        Rest {
            agent: config.build().into(),
            url: url.to_owned(),
            authorization: None,
            headers: Vec::new(),
            key: OnceLock::new(),
        }
    }

    /// The same for a user.
    pub fn with_user(mut self, user: &str, password: &str) -> Rest {
        self.authorization = Some(format!("Basic {}", STANDARD.encode(format!("{user}:{password}"))));
        self
    }

    /// The same with one more header in each request.
    pub fn with_header(mut self, name: &str, value: &str) -> Rest {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// `GET`; JSON below `/api` is verified.
    pub fn get(&self, path: &str) -> Outcome<Answer> {
        self.verified("GET", path, None)
    }

    /// `POST` of JSON, verified.
    pub fn post(&self, path: &str, body: &Value) -> Outcome<Answer> {
        self.verified("POST", path, Some(body.to_string().as_bytes()))
    }

    /// `PUT` of JSON, verified.
    pub fn put(&self, path: &str, body: &Value) -> Outcome<Answer> {
        self.verified("PUT", path, Some(body.to_string().as_bytes()))
    }

    /// `DELETE`, verified.
    pub fn delete(&self, path: &str) -> Outcome<Answer> {
        self.verified("DELETE", path, None)
    }

    fn verified(&self, method: &str, path: &str, body: Option<&[u8]>) -> Outcome<Answer> {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let query = format!("query:{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let answer = self.raw(method, path, &[("Licence-QueryID", &query)], body)?;
        let is_json = answer.header("content-type").is_some_and(|kind| kind.starts_with("application/json"));
        if is_json && path.starts_with("/api") {
            answer.verify(self.public_key()?, &query)?;
        }
        Ok(answer)
    }

    /// The server's public key, SPKI DER.
    pub fn public_key(&self) -> Outcome<&[u8]> {
        if let Some(key) = self.key.get() {
            return Ok(key);
        }
        let answer = self.raw("GET", "/api/publickey", &[], None)?;
        let text = String::from_utf8(answer.body.clone())?.replace("\\n", "\n");
        let pem = text
            .find("-----BEGIN")
            .and_then(|start| text.find("-----END PUBLIC KEY-----").map(|end| (start, end + 24)));
        let Some(pem) = pem.and_then(|(start, end)| text.get(start..end)) else {
            return fail(format!("no public key: {answer}"));
        };
        Ok(self.key.get_or_init(|| public_key_from_pem(pem).unwrap_or_default()))
    }

    /// Any request, its answer as it comes.
    pub fn raw(&self, method: &str, path: &str, headers: &[(&str, &str)], body: Option<&[u8]>) -> Outcome<Answer> {
        let mut request = ureq::http::Request::builder().method(method).uri(format!("{}{path}", self.url));
        if let Some(authorization) = &self.authorization {
            request = request.header("Authorization", authorization);
        }
        for (name, value) in
            self.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).chain(headers.iter().copied())
        {
            request = request.header(name, value);
        }
        let mut response = match body {
            Some(body) => self.agent.run(request.header("Content-Type", "application/json").body(body)?)?,
            None => self.agent.run(request.body(())?)?,
        };
        let text = |value: &ureq::http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
        let headers = response.headers().iter().map(|(name, value)| (name.as_str().to_owned(), text(value))).collect();
        let status = response.status().as_u16();
        Ok(Answer { status, headers, body: response.body_mut().read_to_vec()? })
    }
}
