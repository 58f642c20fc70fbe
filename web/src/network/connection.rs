//! One connection from its opening to its close: hyper does the protocol, this does the deadlines and the end.

use super::answer::answer;
use super::spelling::Spelling;
use super::tls::HANDSHAKE;
use super::transport::{Pulse, Transport};
use super::{Limits, Tls};
use crate::{Rejection, Response, Service, status};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::task::{Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{Instant, Sleep, sleep_until, timeout};

/// How long, and for how many bytes, a close waits for a client that still sends what was refused.
const LINGER: Duration = Duration::from_secs(2);
const LINGER_BYTES: usize = 1024 * 1024;

/// What all connections share.
pub(super) struct Front {
    pub(super) service: Arc<dyn Service>,
    pub(super) limits: Limits,
    pub(super) tls: Option<Arc<Tls>>,
    pub(super) spelling: Spelling,
    /// What bodies that are being received hold, as [`Limits::bodies_bytes`] counts.
    pub(super) bodies: AtomicUsize,
    /// Becomes true when the front stops.
    pub(super) stopped: watch::Receiver<bool>,
}

/// Serves `stream` until either side, or a deadline, ends it.
pub(super) async fn drive(front: &Arc<Front>, stream: TcpStream, peer: SocketAddr) {
    let _ = stream.set_nodelay(true);
    match &front.tls {
        None => converse(front, stream, peer, false).await,
        Some(tls) => Box::pin(drive_with(tls, front, stream, peer)).await,
    }
}

/// The same for a stream that may begin with a TLS handshake.
async fn drive_with(tls: &Tls, front: &Arc<Front>, stream: TcpStream, peer: SocketAddr) {
    match timeout(front.limits.header, first_byte(&stream)).await {
        Ok(Some(HANDSHAKE)) => match timeout(front.limits.header, tls.acceptor().accept(stream)).await {
            Ok(Ok(stream)) => converse(front, stream, peer, true).await,
            Ok(Err(cause)) => log::debug!("{peer}: no TLS: {cause}"),
            Err(_) => log::debug!("{peer}: the TLS handshake took too long"),
        },
        Ok(Some(_)) => converse(front, stream, peer, false).await,
        Ok(None) => {}
        Err(_) => close(stream, Some(refusal(front, 408)), false).await,
    }
}

/// The first byte that a client sends, left in the stream; `None` when it sends none.
async fn first_byte(stream: &TcpStream) -> Option<u8> {
    let mut byte = [0];
    matches!(stream.peek(&mut byte).await, Ok(1)).then_some(byte[0])
}

/// Thousands of connections do nothing most of the time: what only a request or the end needs is put on the heap when it comes,
/// not kept in each task.
async fn converse<S>(front: &Arc<Front>, stream: S, peer: SocketAddr, tls: bool)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let pulse = Pulse::new();
    let transport = TokioIo::new(Transport::new(stream, pulse.clone()));
    let handler = {
        let (front, pulse) = (front.clone(), pulse.clone());
        service_fn(move |request| Box::pin(answer(front.clone(), pulse.clone(), request, peer, tls)))
    };
    let header_bytes = front.limits.header_bytes.max(8192);
    let mut connection = http1::Builder::new()
        .header_read_timeout(None)
        .title_case_headers(true)
        .max_buf_size(header_bytes)
        .max_header_size(header_bytes)
        .serve_connection(transport, handler);

    let mut stopped = front.stopped.clone();
    let mut stopping = false;
    let mut alarm = pin!(sleep_until(pulse.due(&front.limits)));
    let refused = loop {
        tokio::select! {
            biased;
            result = &mut connection => break match result {
                // hyper has answered, or would have but for us; or it has no answer to bytes that are no HTTP.
                Err(error) if error.is_parse() && pulse.is_http2() => Some(505),
                Err(error) if error.is_parse() => Some(pulse.refused().unwrap_or(400)),
                _ => None,
            },
            () = expired(&mut alarm, &pulse, &front.limits) => break pulse.in_header().then_some(408),
            _ = stopped.wait_for(|stopped| *stopped), if !stopping => {
                stopping = true;
                Pin::new(&mut connection).graceful_shutdown();
            }
        }
    };
    let stream = connection.into_parts().io.into_inner().into_inner();
    Box::pin(close(stream, refused.map(|status| refusal(front, status)), pulse.is_unread())).await;
}

fn refusal(front: &Front, status: u16) -> Response {
    front.service.reject(Rejection::new(status, reason(status)))
}

fn reason(status: u16) -> &'static str {
    match status {
        408 => "The request header was not received in time.",
        414 => "The address is too long.",
        431 => "The request header is too large.",
        505 => "HTTP/2 is not spoken here; use HTTP/1.1.",
        _ => "The request is not valid HTTP/1.1.",
    }
}

/// Ready when the connection's deadline has passed. The alarm is only ever moved forward lazily, so that a request
/// costs no timer.
async fn expired(alarm: &mut Pin<&mut Sleep>, pulse: &Pulse, limits: &Limits) {
    poll_fn(|context| {
        loop {
            let due = pulse.due(limits);
            if due < alarm.deadline() {
                alarm.as_mut().reset(due);
            }
            ready!(alarm.as_mut().poll(context));
            if due <= Instant::now() {
                return Poll::Ready(());
            }
            alarm.as_mut().reset(due);
        }
    })
    .await;
}

/// Writes a last response if there is one, and closes without a reset that could destroy it on its way.
async fn close<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S, refusal: Option<Response>, unread: bool) {
    let end = async {
        if let Some(response) = &refusal {
            stream.write_all(&closing_bytes(response)).await?;
        }
        stream.shutdown().await?;
        if refusal.is_some() || unread {
            let mut left = LINGER_BYTES;
            let mut sink = [0; 4096];
            while left > 0 {
                match stream.read(&mut sink).await? {
                    0 => break,
                    count => left = left.saturating_sub(count),
                }
            }
        }
        Ok::<(), std::io::Error>(())
    };
    // Whatever fails here fails because the client is gone.
    let _ = timeout(LINGER, end).await;
}

/// A whole response that closes its connection, as bytes.
pub(super) fn closing_bytes(response: &Response) -> Vec<u8> {
    let mut head = format!("HTTP/1.1 {} {}\r\n", response.status, status::text(response.status));
    for (name, value) in response.headers.iter() {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str(&format!("Content-Length: {}\r\nConnection: close\r\n\r\n", response.body.len()));
    let mut bytes = head.into_bytes();
    bytes.extend_from_slice(&response.body);
    bytes
}
