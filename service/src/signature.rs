//! The signature of API answers: RSA with SHA-256 over QueryID and body, as the guide says. It owns this installation's own key.
//!
//! Signing is slow, so it happens on a bounded crew of threads, holds no lock, and a full queue is answered 503.

use std::path::Path;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use licence::crypto::{self, Provider, Signer};
use licence::error::{Code, Error, Result};
use licence::host::files::{self, Access};
use web::{Crew, Request, Response};
use zeroize::Zeroizing;

use crate::queue::hand_over_then;

/// File of the key in the data folder: PKCS#8 in PEM.
pub const KEY_FILE: &str = "server.apikey";
const LIMIT: u64 = 64 * 1024;
/// Answers that may wait to be signed.
const QUEUE: usize = 1024;
/// Answers to strangers that may wait: a flood of them must not hold up those who have signed in.
const STRANGERS: usize = 64;
const QUERY_ID: &str = "Licence-QueryID";
const PEM_HEAD: &str = "-----BEGIN PRIVATE KEY-----";
const PEM_TAIL: &str = "-----END PRIVATE KEY-----";

/// Signs answers.
pub struct Signing {
    signer: Arc<dyn Signer>,
    pem: String,
    crew: Crew,
    strangers: Crew,
}

/// Identifier of a query: what a client gave, checked, so that nobody can have a text of his choice signed.
///
/// What is signed is this identifier with the body behind it. A JSON text of a client's choice would need a quotation mark, as every
/// name and string in it does, and the identifier has none; an escape of one needs a backslash. Without them it can't even
/// begin an object, and a number or a list before the body is no JSON text.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct QueryId(Option<String>);

impl QueryId {
    /// The identifier of a request; an error when it is not 1 to 128 printable ASCII characters other than `"` and `\`, or
    /// stands twice.
    pub fn of(request: &Request) -> Result<QueryId> {
        let mut values = request.headers.get_all(QUERY_ID);
        let (first, more) = (values.next(), values.next());
        let plain = |byte: u8| matches!(byte, b' '..=b'~') && !matches!(byte, b'"' | b'\\');
        match first {
            None => Ok(QueryId(None)),
            Some(id) if more.is_none() && (1..=128).contains(&id.len()) && id.bytes().all(plain) => {
                Ok(QueryId(Some(id.to_owned())))
            }
            Some(_) => Err(Error::new(Code::BadRequest).with_text(
                format_args!("{QUERY_ID}: от 1 до 128 печатных знаков ASCII, кроме \" и \\"),
                format_args!("{QUERY_ID}: 1 to 128 printable ASCII characters other than \" and \\"),
            )),
        }
    }

    /// The answer with the identifier repeated.
    pub fn echo(&self, response: Response) -> Response {
        match &self.0 {
            Some(id) => response.with_header(QUERY_ID, id),
            None => response,
        }
    }
}

impl Signing {
    /// Reads the key of the data folder, or makes it with `make` at the first start.
    pub fn open(folder: &Path, crypto: Provider, make: fn() -> Result<Vec<u8>>) -> Result<Signing> {
        let path = folder.join(KEY_FILE);
        let pkcs8 = match files::read_text_if_there(&path, LIMIT)? {
            Some(text) => from_pem(&path, &Zeroizing::new(text))?,
            None => {
                let pkcs8 = Zeroizing::new(make()?);
                files::write_atomically(&path, to_pem(&pkcs8).as_bytes(), Access::Private)?;
                log::info!("{}: a new key for signing API answers", path.display());
                pkcs8
            }
        };
        let signer: Arc<dyn Signer> = crypto.rsa_signer(&pkcs8)?.into();
        let pem = crypto::public_key_pem(signer.public_key())?;
        // More threads than processors make no more signatures.
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let crew =
            |name, threads, queue| Crew::new(name, threads, queue).map_err(|e| Error::new(Code::Internal).with(e));
        let (strangers, crew) = (crew("signing-public", 1, STRANGERS)?, crew("signing", threads, QUEUE)?);
        Ok(Signing { signer, pem, crew, strangers })
    }

    /// The public key, SPKI DER.
    pub fn public_key(&self) -> &[u8] {
        self.signer.public_key()
    }

    /// The public key in PEM.
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// Signs `response` on the crew and gives it to `done` with `load`; gives `load` back when the queue is full. An answer to
    /// somebody who is not `known` has a queue of its own.
    pub fn sign<T: Send + 'static>(
        &self,
        known: bool,
        query: QueryId,
        response: Response,
        load: T,
        done: impl FnOnce(T, Response) + Send + 'static,
    ) -> Result<(), (Error, T)> {
        let signer = self.signer.clone();
        let crew = if known { &self.crew } else { &self.strangers };
        hand_over_then(crew, load, move |load| {
            let response = signed(signer.as_ref(), &query, response);
            move || done(load, response)
        })
    }

    /// Signs `response` on this thread, which must be one that may take its time.
    pub fn sign_here(&self, query: &QueryId, response: Response) -> Response {
        signed(self.signer.as_ref(), query, response)
    }
}

fn signed(signer: &dyn Signer, query: &QueryId, response: Response) -> Response {
    let mut message = query.0.clone().unwrap_or_default().into_bytes();
    message.extend_from_slice(&response.body);
    match signer.sign(&message) {
        Ok(signature) => {
            let text = STANDARD.encode(signature);
            response.with_header("Licence-Signature", &text).with_header("Licence-QuerySignature", &text)
        }
        Err(error) => {
            log::error!("an answer could not be signed: {error}");
            response
        }
    }
}

fn to_pem(pkcs8: &[u8]) -> Zeroizing<String> {
    let encoded = Zeroizing::new(STANDARD.encode(pkcs8));
    let mut text = Zeroizing::new(String::with_capacity(encoded.len() * 2));
    text.push_str(PEM_HEAD);
    text.push('\n');
    for (at, letter) in encoded.chars().enumerate() {
        if at > 0 && at % 64 == 0 {
            text.push('\n');
        }
        text.push(letter);
    }
    text.push('\n');
    text.push_str(PEM_TAIL);
    text.push('\n');
    text
}

fn from_pem(path: &Path, text: &str) -> Result<Zeroizing<Vec<u8>>> {
    let damaged = || Error::new(Code::DocumentDamaged).with(path.display()).with("PEM");
    let body = text.trim().strip_prefix(PEM_HEAD).and_then(|rest| rest.strip_suffix(PEM_TAIL)).ok_or_else(damaged)?;
    let letters = Zeroizing::new(body.split_whitespace().collect::<String>());
    STANDARD.decode(letters.as_bytes()).map(Zeroizing::new).map_err(|_| damaged())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn query(ids: &[&str]) -> Result<QueryId> {
        let mut headers = web::Headers::new();
        for id in ids {
            headers.add(QUERY_ID, id).unwrap();
        }
        QueryId::of(&Request::build("GET", "/api", headers, "127.0.0.1:1".parse().unwrap(), false).unwrap())
    }

    #[test]
    fn an_identifier_that_could_be_a_chosen_text_is_refused() {
        assert_eq!(query(&[]).unwrap(), QueryId(None));
        assert_eq!(query(&["2020:01-27_a.B"]).unwrap(), QueryId(Some("2020:01-27_a.B".into())));
        assert_eq!(query(&["27.01.2020 23:06 {a/b}"]).unwrap(), QueryId(Some("27.01.2020 23:06 {a/b}".into())));
        let long = "x".repeat(129);
        for ids in [&[""][..], &["{\"Code\":200}"], &["a\\b"], &[&long], &["a", "a"]] {
            assert_eq!(query(ids).unwrap_err().code, Code::BadRequest, "{ids:?}");
        }
    }

    #[test]
    fn a_key_survives_its_file() {
        for length in [0, 1, 47, 48, 49, 1200] {
            let bytes: Vec<u8> = (0..length).map(|at| at as u8).collect();
            let text = to_pem(&bytes);
            assert!(text.lines().all(|line| line.len() <= 64));
            assert_eq!(*from_pem(Path::new("k"), &text).unwrap(), bytes);
            assert_eq!(*from_pem(Path::new("k"), &text.replace('\n', "\r\n")).unwrap(), bytes);
        }
        assert!(from_pem(Path::new("k"), "not a key").is_err());
    }
}
