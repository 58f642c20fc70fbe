//! One request through the front: header, body, service, response.
//! Whatever could be read in two ways (request smuggling) is refused here and the connection closed.

use super::body::Outgoing;
use super::connection::Front;
use super::transport::{Pulse, Turn};
use crate::{Headers, Rejection, Reply, Request, RequestId, Response};
use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};
use hyper::ext::ReasonPhrase;
use hyper::header::{CONNECTION, HeaderName, HeaderValue, TRANSFER_ENCODING};
use hyper::{StatusCode, Version};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;
use tokio::time::timeout;

/// Bytes of a body that need no room among the others.
const FREE: usize = 16 * 1024;

type Answer = hyper::Response<Outgoing>;

pub(super) async fn answer(
    front: Arc<Front>,
    pulse: Arc<Pulse>,
    incoming: hyper::Request<Incoming>,
    peer: SocketAddr,
    tls: bool,
) -> Result<Answer, Infallible> {
    let turn = pulse.turn();
    let begun = Instant::now();
    let request = match read(&front, &pulse, incoming, (peer, tls)).await {
        Ok(request) => request,
        Err(rejection) => {
            pulse.leave_unread();
            log::debug!("{peer}: {} {}", rejection.status, rejection.reason);
            let mut answer = whole(&front, front.service.reject(*rejection), turn);
            answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            return Ok(answer);
        }
    };
    let (id, method, path) = (request.id, request.method, request.path.clone());
    let mut answer = serve(&front, request, turn).await;
    // The query may hold what is nobody's business: it is not logged.
    let level = if answer.status().is_server_error() { log::Level::Warn } else { log::Level::Debug };
    let (status, ms) = (answer.status().as_u16(), begun.elapsed().as_millis());
    log::log!(level, "{id} {peer} {} {path:?} {status} {ms} ms", method.name());
    if let Ok(id) = HeaderValue::from_str(&id.to_string()) {
        answer.headers_mut().insert(HeaderName::from_static(RequestId::HEADER), id);
    }
    Ok(answer)
}

/// The service's answer, or what takes its place.
async fn serve(front: &Front, request: Request, turn: Turn) -> Answer {
    let headers = request.headers.clone();
    let reject = |status, reason: &str| {
        front.service.reject(Rejection { status, reason: reason.to_owned(), headers: headers.clone() })
    };
    let reply = catch_unwind(AssertUnwindSafe(|| front.service.call(request)));
    match reply {
        Ok(Reply::Now(response)) => whole(front, response, turn),
        Ok(Reply::Later(pending)) => match timeout(front.limits.answer, pending).await {
            Ok(response) => whole(front, response, turn),
            Err(_) => whole(front, reject(503, "The answer took too long; repeat the request."), turn),
        },
        Ok(Reply::Stream(events)) => {
            let response = Response::new(200, "text/event-stream", []).with_header("Cache-Control", "no-store");
            let body = Outgoing::events(events, front.limits.stream_pulse, front.stopped.clone(), turn);
            build(front, response, body)
        }
        Err(_) => {
            log::error!("the service panicked");
            whole(front, reject(500, "The server has a fault; its log tells more."), turn)
        }
    }
}

/// Reads a request in full, or says why it is refused.
async fn read(
    front: &Front,
    pulse: &Pulse,
    incoming: hyper::Request<Incoming>,
    (peer, tls): (SocketAddr, bool),
) -> Result<Request, Box<Rejection>> {
    let (parts, body) = incoming.into_parts();
    let mut headers = Headers::new();
    for (name, value) in &parts.headers {
        if headers.receive(name.as_str(), value.as_bytes()).is_err() {
            return Err(Box::new(Rejection::new(400, format!("The header field {name} has forbidden characters."))));
        }
    }
    let reject = |status, reason: &str, headers: &Headers| {
        Err(Box::new(Rejection { status, reason: reason.to_owned(), headers: headers.clone() }))
    };
    if headers.contains("content-length") {
        pulse.note_length();
    }
    let codings: Vec<&HeaderValue> = parts.headers.get_all(TRANSFER_ENCODING).iter().collect();
    match codings.as_slice() {
        [] => {}
        [only] if !only.as_bytes().eq_ignore_ascii_case(b"chunked") => {
            return reject(501, "The only Transfer-Encoding that is understood is chunked.", &headers);
        }
        [_] if pulse.hides_length() => {
            return reject(400, "Content-Length stands beside Transfer-Encoding.", &headers);
        }
        [_] => {}
        _ => return reject(400, "Transfer-Encoding is repeated.", &headers),
    }
    if parts.version == Version::HTTP_11 && !headers.contains("host") {
        return reject(400, "The Host field is missing.", &headers);
    }
    let mut request = Request::build(parts.method.as_str(), &parts.uri.to_string(), headers, peer, tls)?;
    let limit = front.limits.body_bytes;
    if body.size_hint().lower() > limit as u64 {
        return reject(413, &format!("The body may have at most {limit} bytes."), &request.headers);
    }
    if body.is_end_stream() {
        return Ok(request);
    }
    match timeout(front.limits.body, gather(front, body)).await {
        Ok(Ok(body)) => request.body = body,
        Ok(Err(Lost::Broken)) => return reject(400, "The body ended too early.", &request.headers),
        Ok(Err(Lost::TooLarge)) => {
            return reject(413, &format!("The body may have at most {limit} bytes."), &request.headers);
        }
        Ok(Err(Lost::NoRoom)) => return reject(503, "Too many large bodies are being received.", &request.headers),
        Err(_) => return reject(408, "The body was not received in time.", &request.headers),
    }
    Ok(request)
}

/// Why a body was not received.
enum Lost {
    Broken,
    TooLarge,
    NoRoom,
}

/// What one body holds of the room for all; given back when dropped.
struct Room<'a> {
    front: &'a Front,
    held: usize,
}

impl Room<'_> {
    /// Holds what a body of so many bytes holds; whether there is room for it.
    fn hold(&mut self, length: usize) -> bool {
        let more = length.saturating_sub(FREE).saturating_sub(self.held);
        self.held += more;
        more == 0 || self.front.bodies.fetch_add(more, Ordering::Relaxed) + more <= self.front.limits.bodies_bytes
    }
}

impl Drop for Room<'_> {
    fn drop(&mut self) {
        self.front.bodies.fetch_sub(self.held, Ordering::Relaxed);
    }
}

/// A body; an announced length was looked at, one in chunks has none. Its pieces are copied: kept as they come, one byte of a slow sender would hold a
/// whole buffer.
async fn gather(front: &Front, mut body: Incoming) -> Result<Vec<u8>, Lost> {
    let mut room = Room { front, held: 0 };
    let mut gathered = Vec::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(|_| Lost::Broken)?.into_data() else { continue };
        if gathered.len() + data.len() > front.limits.body_bytes {
            return Err(Lost::TooLarge);
        }
        if !room.hold(gathered.len() + data.len()) {
            return Err(Lost::NoRoom);
        }
        gathered.extend_from_slice(&data);
    }
    Ok(gathered)
}

fn whole(front: &Front, mut response: Response, turn: Turn) -> Answer {
    if matches!(response.status, 204 | 304) {
        response.body.clear();
    }
    let body = Outgoing::whole(std::mem::take(&mut response.body), turn);
    build(front, response, body)
}

fn build(front: &Front, response: Response, body: Outgoing) -> Answer {
    let mut answer = hyper::Response::new(body);
    if let Some(spelling) = front.spelling.of(&response.headers) {
        *answer.extensions_mut() = spelling;
    }
    let status = StatusCode::from_u16(response.status).ok().filter(|status| !status.is_informational());
    *answer.status_mut() = status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    // The guide has a word of its own for it.
    if answer.status() == StatusCode::ACCEPTED {
        answer.extensions_mut().insert(ReasonPhrase::from_static(b"Updated"));
    }
    for (name, value) in response.headers.iter() {
        // Framing is the front's.
        if ["content-length", "transfer-encoding"].iter().any(|framing| name.eq_ignore_ascii_case(framing)) {
            continue;
        }
        if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name.as_bytes()), HeaderValue::from_str(value)) {
            answer.headers_mut().append(name, value);
        }
    }
    answer
}
