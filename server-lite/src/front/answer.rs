//! One request: checked, called, its answer written. Framing that could be read in two ways is refused; a panic of the
//! service is a 500. Answers are written here and not by tiny_http, which can't say `Connection: close`.

use std::io::{Read, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};

use web::{Headers, Rejection, Reply, Request, RequestId, Response, Service, status};

use super::{DRAINED, Limits};

/// Longest answer, in bytes, that a socket takes without its client reading.
const FITS_SOCKET: usize = 32 * 1024;

/// An answer ready to be sent.
pub(super) struct Answer {
    writer: Box<dyn Write + Send>,
    bytes: Vec<u8>,
}

impl Answer {
    /// The service's answer to `incoming`; `None` when it was refused and that is already sent.
    pub(super) fn to(service: &dyn Service, limits: &Limits, mut incoming: tiny_http::Request) -> Option<Answer> {
        let is_head = *incoming.method() == tiny_http::Method::Head;
        let request = match read(limits, &mut incoming) {
            Ok(request) => request,
            Err(rejection) => {
                refuse_with(service, incoming, *rejection);
                return None;
            }
        };
        let id = request.id.to_string();
        let response = call(service, limits, request).with_header(RequestId::HEADER, &id);
        Some(Answer { writer: incoming.into_writer(), bytes: bytes_of(response, is_head) })
    }

    /// Whether sending it will not wait for the client.
    pub(super) fn fits_socket(&self) -> bool {
        self.bytes.len() <= FITS_SOCKET
    }

    /// Sends it. A client that went away is no error.
    pub(super) fn send(mut self) {
        if let Err(error) = self.writer.write_all(&self.bytes).and_then(|()| self.writer.flush()) {
            log::debug!("an answer was not sent: {error}");
        }
    }

    /// Sends a short 503 in its place.
    pub(super) fn give_up(mut self, service: &dyn Service) {
        self.bytes =
            bytes_of(service.reject(Rejection::new(503, "Too many clients read slowly; try again later.")), false);
        self.send();
    }
}

/// Whether the client waits for leave to send its body.
pub(super) fn expects_continue(request: &tiny_http::Request) -> bool {
    request.headers().iter().any(|header| header.field.equiv("Expect"))
}

/// Refuses a request whose body was not read.
pub(super) fn refuse(service: &dyn Service, request: tiny_http::Request, status: u16, reason: &str) {
    refuse_with(service, request, Rejection::new(status, reason));
}

fn refuse_with(service: &dyn Service, request: tiny_http::Request, rejection: Rejection) {
    let response = service.reject(rejection);
    if request.body_length().unwrap_or(0) > DRAINED {
        // Only the status can be sent without dropping the body's reader, which would allocate the announced length.
        let parts = request.upgrade("close", tiny_http::Response::empty(response.status));
        std::mem::forget(parts);
        return;
    }
    let mut answer = tiny_http::Response::from_data(response.body).with_status_code(response.status);
    for (name, value) in response.headers.iter() {
        if let Ok(header) = tiny_http::Header::from_bytes(name, value) {
            answer.add_header(header);
        }
    }
    // Here tiny_http writes: it sends the answer first and reads the rest of the body after.
    if let Err(error) = request.respond(answer) {
        log::debug!("a refusal was not sent: {error}");
    }
}

fn read(limits: &Limits, incoming: &mut tiny_http::Request) -> Result<Request, Box<Rejection>> {
    let mut headers = Headers::new();
    for header in incoming.headers() {
        let (name, value) = (header.field.as_str().as_str(), header.value.as_str());
        if headers.receive(name, value.as_bytes()).is_err() {
            return Err(Box::new(Rejection::new(400, "A header field has forbidden characters.")));
        }
    }
    let reject = |status, reason: &str, headers: &Headers| {
        Err(Box::new(Rejection { status, reason: reason.to_owned(), headers: headers.clone() }))
    };
    let codings: Vec<&str> = headers.get_all("transfer-encoding").collect();
    let in_chunks = match codings.as_slice() {
        [] => false,
        [only] if !only.eq_ignore_ascii_case("chunked") => {
            return reject(501, "The only Transfer-Encoding that is understood is chunked.", &headers);
        }
        [_] if headers.contains("content-length") || *incoming.http_version() != tiny_http::HTTPVersion(1, 1) => {
            return reject(400, "Content-Length stands beside Transfer-Encoding, or this is not HTTP/1.1.", &headers);
        }
        // tiny_http would not decode the chunks, and nothing says where such a body ends.
        [_] if headers.contains("upgrade") || headers.get("connection").is_some_and(asks_to_upgrade) => {
            return reject(400, "A body in chunks can't come with an upgrade.", &headers);
        }
        [_] => true,
        _ => return reject(400, "Transfer-Encoding is repeated.", &headers),
    };
    let is_length = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let lengths: Vec<&str> = headers.get_all("content-length").collect();
    if lengths.len() > 1 || !lengths.iter().all(|text| is_length(text) && text.parse::<usize>().is_ok()) {
        return reject(400, "Content-Length is malformed or repeated.", &headers);
    }
    if *incoming.http_version() >= tiny_http::HTTPVersion(1, 1) && !headers.contains("host") {
        return reject(400, "The Host field is missing.", &headers);
    }
    let Some(peer) = incoming.remote_addr().copied() else {
        return reject(400, "The connection has no address.", &headers);
    };
    let mut request = Request::build(incoming.method().as_str(), incoming.url(), headers, peer, false)?;
    let length = incoming.body_length().unwrap_or(0);
    if length > limits.body_bytes {
        return reject(413, &format!("The body may have at most {} bytes.", limits.body_bytes), &request.headers);
    }
    if length > 0 {
        let mut body = Vec::with_capacity(length);
        let outcome = incoming.as_reader().take(length as u64).read_to_end(&mut body);
        if outcome.is_err() || body.len() < length {
            return reject(400, "The body ended too early.", &request.headers);
        }
        request.body = body;
    }
    if in_chunks {
        let limit = limits.body_bytes as u64 + 1;
        if incoming.as_reader().take(limit).read_to_end(&mut request.body).is_err() {
            return reject(400, "The body ended too early.", &request.headers);
        }
        if request.body.len() > limits.body_bytes {
            return reject(413, &format!("The body may have at most {} bytes.", limits.body_bytes), &request.headers);
        }
    }
    Ok(request)
}

fn asks_to_upgrade(connection: &str) -> bool {
    connection.to_ascii_lowercase().contains("upgrade")
}

fn call(service: &dyn Service, limits: &Limits, request: Request) -> Response {
    let headers = request.headers.clone();
    let reject = |status, reason: &str| {
        service.reject(Rejection { status, reason: reason.to_owned(), headers: headers.clone() })
    };
    match catch_unwind(AssertUnwindSafe(|| service.call(request))) {
        Ok(Reply::Now(response)) => response,
        Ok(Reply::Later(pending)) => match pending.recv_timeout(limits.answer) {
            Ok(response) => response,
            Err(_) => reject(503, "The answer took too long; repeat the request."),
        },
        // A stream would hold its connection, and with it a thread, for as long as its reader likes.
        Ok(Reply::Stream(_)) => reject(501, "Streams of events are served by licenceserver only."),
        Err(_) => {
            log::error!("the service panicked");
            reject(500, "The server has a fault; its log tells more.")
        }
    }
}

fn bytes_of(response: Response, is_head: bool) -> Vec<u8> {
    let Response { status, headers, body } = response;
    let status = if (200..600).contains(&status) { status } else { 500 };
    let mut bytes = format!("HTTP/1.1 {status} {}\r\n", status::text(status)).into_bytes();
    for (name, value) in headers.iter() {
        // Framing is the front's.
        let framing = ["content-length", "transfer-encoding", "connection"];
        if !framing.iter().any(|field| name.eq_ignore_ascii_case(field)) {
            bytes.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
        }
    }
    let bodiless = matches!(status, 204 | 304);
    if !bodiless {
        bytes.extend_from_slice(format!("Content-Length: {}\r\n", body.len()).as_bytes());
    }
    bytes.extend_from_slice(b"Connection: close\r\n\r\n");
    if !is_head && !bodiless {
        bytes.extend_from_slice(&body);
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_framed_by_the_front_and_asks_to_close() {
        let response = Response::text(200, "x")
            .with_header("Transfer-Encoding", "chunked")
            .with_header("Connection", "keep-alive");
        let text = String::from_utf8(bytes_of(response, false)).unwrap();
        assert!(
            text.starts_with("HTTP/1.1 200 OK\r\n")
                && text.ends_with("Content-Length: 1\r\nConnection: close\r\n\r\nx"),
            "{text}"
        );
        assert!(!text.contains("chunked") && !text.contains("keep-alive"));
    }

    #[test]
    fn an_answer_to_head_tells_the_length_and_has_no_body() {
        let text = String::from_utf8(bytes_of(Response::text(200, "abc"), true)).unwrap();
        assert!(text.contains("Content-Length: 3\r\n") && text.ends_with("\r\n\r\n"), "{text}");
        assert!(!String::from_utf8(bytes_of(Response::empty(204), false)).unwrap().contains("Content-Length"));
    }
}
