//! Names of response fields, spelled as the guide spells them. Names are the same in any case (RFC 9110, 5.1), but 1C keeps
//! those of a response in a map that tells cases apart, and existing code looks for `Licence-QueryID`.
//!
//! hyper knows names in lower case and can begin each word with a capital. What this does not spell rightly is listed here.
//! hyper also writes names as they were spelled in a request whose spelling it was asked to preserve; so it is shown such a
//! request once, and responses take along what it has preserved.

use crate::Headers;
use http_body_util::Empty;
use hyper::body::{Bytes, Incoming};
use hyper::http::Extensions;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use std::convert::Infallible;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::io::AsyncWriteExt;

/// Names in which a word is more than a capital and small letters.
const NAMES: [&str; 6] = [
    "ETag",
    "Licence-QueryID",
    "Licence-QuerySignature",
    "Licence-ServerVersion",
    "Licence-SessionID",
    "WWW-Authenticate",
];

/// What hyper preserves of the spelling of [`NAMES`].
pub(super) struct Spelling(Extensions);

impl Spelling {
    /// Lets hyper read a request with these names, through memory.
    ///
    /// # Errors
    /// Only when hyper does not read it.
    pub(super) async fn learn() -> io::Result<Spelling> {
        let fields: String = NAMES.iter().map(|name| format!("{name}: x\r\n")).collect();
        let request = format!("GET / HTTP/1.1\r\nHost: x\r\n{fields}Connection: close\r\n\r\n");
        let (mut client, server) = tokio::io::duplex(4096);
        client.write_all(request.as_bytes()).await?;
        let learned = Arc::new(Mutex::new(None));
        let teacher = learned.clone();
        let service = service_fn(move |request: hyper::Request<Incoming>| {
            let preserved = request.into_parts().0.extensions;
            *teacher.lock().unwrap_or_else(PoisonError::into_inner) = Some(preserved);
            async { Ok::<_, Infallible>(hyper::Response::new(Empty::<Bytes>::new())) }
        });
        let mut builder = http1::Builder::new();
        builder.preserve_header_case(true);
        builder.serve_connection(TokioIo::new(server), service).await.map_err(io::Error::other)?;
        let learned = learned.lock().unwrap_or_else(PoisonError::into_inner).take();
        learned.map(Spelling).ok_or_else(|| io::Error::other("the spelling of field names was not learned"))
    }

    /// What a response with these fields takes along, if any of its names needs it.
    pub(super) fn of(&self, headers: &Headers) -> Option<Extensions> {
        headers.iter().any(|(name, _)| NAMES.contains(&name)).then(|| self.0.clone())
    }
}
