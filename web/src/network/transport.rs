//! The stream under hyper, watched: it knows in which phase its connection is and by when something must happen.
//! hyper has one deadline for waiting and for reading a header; clients that keep a connection between heartbeats
//! need two. It also takes hyper's own bodiless refusals out of the stream, so that every refusal has a body.

use super::Limits;
use parking_lot::Mutex;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

/// Far enough to mean "no deadline here": the answer has its own.
const FAR: Duration = Duration::from_secs(24 * 3600);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Between two requests, since then.
    Idle(Instant),
    /// A header is being received, since then.
    Header(Instant),
    /// A request is being read, answered or written.
    Busy,
}

/// The state of one connection, shared by its transport, its requests and its driver. All of them run in one task,
/// so the lock is never contended.
pub(super) struct Pulse {
    state: Mutex<State>,
}

struct State {
    phase: Phase,
    /// A response is on its way and not yet written in full.
    responding: bool,
    /// The reader takes nothing since then.
    stalled: Option<Instant>,
    /// Status of hyper's refusal that was taken out of the stream.
    refused: Option<u16>,
    /// The request was refused before its body was read.
    unread: bool,
    /// Fields `Content-Length` that came in, and those of requests that were read: hyper hides one beside `Transfer-Encoding`.
    lengths: Lengths,
    /// How much of [`PREFACE`] the connection has begun with; `None` once it has gone on otherwise.
    preface: Option<usize>,
}

/// With what a client begins that speaks HTTP/2 without asking first.
const PREFACE: &[u8] = b"PRI * HTTP/2";

/// Counts lines that begin with `Content-Length`, in whatever pieces they come.
#[derive(Default)]
struct Lengths {
    came: u64,
    read: u64,
    /// How much of [`Lengths::LINE`] the last bytes are.
    matched: usize,
}

impl Lengths {
    const LINE: &[u8] = b"\ncontent-length";

    fn watch(&mut self, bytes: &[u8]) {
        for byte in bytes {
            let expected = Self::LINE.get(self.matched).copied();
            self.matched = match byte.to_ascii_lowercase() {
                byte if Some(byte) == expected => self.matched + 1,
                b'\n' => 1,
                _ => 0,
            };
            if self.matched == Self::LINE.len() {
                self.came += 1;
                self.matched = 0;
            }
        }
    }
}

impl State {
    fn watch_preface(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.preface = match self.preface {
                Some(matched) if matched < PREFACE.len() => (PREFACE[matched] == *byte).then_some(matched + 1),
                known => return self.preface = known,
            };
        }
    }
}

impl Pulse {
    pub(super) fn new() -> Arc<Self> {
        let state = State {
            phase: Phase::Header(Instant::now()),
            responding: false,
            stalled: None,
            refused: None,
            unread: false,
            lengths: Lengths::default(),
            preface: Some(0),
        };
        Arc::new(Self { state: Mutex::new(state) })
    }

    /// A request begins; its end is the drop of the turn.
    pub(super) fn turn(self: &Arc<Self>) -> Turn {
        let mut state = self.state.lock();
        state.phase = Phase::Busy;
        state.responding = true;
        drop(state);
        Turn { pulse: self.clone() }
    }

    /// Everything that was to be written is. A header that has begun behind the response starts its time anew.
    fn written(&self) {
        let mut state = self.state.lock();
        if !state.responding {
            return;
        }
        match state.phase {
            Phase::Idle(_) => state.phase = Phase::Idle(Instant::now()),
            Phase::Header(_) => state.phase = Phase::Header(Instant::now()),
            Phase::Busy => return,
        }
        state.responding = false;
    }

    /// By when something must have happened.
    pub(super) fn due(&self, limits: &Limits) -> Instant {
        let state = self.state.lock();
        let due = match state.phase {
            // A large response may take long, as long as its reader takes some of it now and then.
            _ if state.responding => Instant::now() + FAR,
            Phase::Idle(since) => since + limits.idle,
            Phase::Header(since) => since + limits.header,
            Phase::Busy => Instant::now() + FAR,
        };
        state.stalled.map_or(due, |since| due.min(since + limits.write))
    }

    /// Whether a header is being received and nothing hinders an answer.
    pub(super) fn in_header(&self) -> bool {
        let state = self.state.lock();
        matches!(state.phase, Phase::Header(_)) && !state.responding
    }

    /// Remembers that a body was left unread, so that closing must not reset the connection.
    pub(super) fn leave_unread(&self) {
        self.state.lock().unread = true;
    }

    pub(super) fn is_unread(&self) -> bool {
        self.state.lock().unread
    }

    /// Notes that a request with a length was read.
    pub(super) fn note_length(&self) {
        self.state.lock().lengths.read += 1;
    }

    /// Whether more lengths came in than were read: one may stand beside `Transfer-Encoding`. Never missed; a body that looks
    /// like a header, or a request that is sent ahead, may be taken for one.
    pub(super) fn hides_length(&self) -> bool {
        let lengths = &self.state.lock().lengths;
        lengths.came > lengths.read
    }

    /// Whether the client has begun to speak HTTP/2.
    pub(super) fn is_http2(&self) -> bool {
        self.state.lock().preface == Some(PREFACE.len())
    }

    pub(super) fn refused(&self) -> Option<u16> {
        self.state.lock().refused
    }
}

/// Marks the connection busy while it lives.
pub(super) struct Turn {
    pulse: Arc<Pulse>,
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.pulse.state.lock().phase = Phase::Idle(Instant::now());
    }
}

/// A stream that reports to its [`Pulse`].
pub(super) struct Transport<S> {
    stream: S,
    pulse: Arc<Pulse>,
}

impl<S> Transport<S> {
    pub(super) fn new(stream: S, pulse: Arc<Pulse>) -> Self {
        Self { stream, pulse }
    }

    pub(super) fn into_inner(self) -> S {
        self.stream
    }
}

/// The status, if `bytes` are exactly a refusal as hyper writes it by itself: 4xx, no body.
fn own_refusal(bytes: &[u8]) -> Option<u16> {
    let text = std::str::from_utf8(bytes).ok()?;
    let rest = text.strip_prefix("HTTP/1.1 4").or_else(|| text.strip_prefix("HTTP/1.0 4"))?;
    let status = rest.get(..2)?.parse::<u16>().ok()? + 400;
    let head = text.strip_suffix("\r\n\r\n")?;
    (!head.contains("\r\n\r\n") && head.contains("Content-Length: 0")).then_some(status)
}

impl<S: AsyncRead + Unpin> AsyncRead for Transport<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let result = Pin::new(&mut self.stream).poll_read(context, buffer);
        if buffer.filled().len() > before {
            let mut state = self.pulse.state.lock();
            state.lengths.watch(&buffer.filled()[before..]);
            state.watch_preface(&buffer.filled()[before..]);
            if let Phase::Idle(_) = state.phase {
                state.phase = Phase::Header(Instant::now());
            }
        }
        result
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Transport<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        {
            let mut state = self.pulse.state.lock();
            if !state.responding
                && let Some(status) = own_refusal(bytes)
            {
                state.refused = Some(status);
                return Poll::Ready(Ok(bytes.len()));
            }
        }
        let result = Pin::new(&mut self.stream).poll_write(context, bytes);
        let mut state = self.pulse.state.lock();
        match &result {
            Poll::Pending => state.stalled = state.stalled.or_else(|| Some(Instant::now())),
            Poll::Ready(_) => state.stalled = None,
        }
        drop(state);
        result
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let result = Pin::new(&mut self.stream).poll_flush(context);
        if result.is_ready() {
            // hyper flushes the stream only when it has handed over everything.
            self.pulse.written();
        }
        result
    }

    /// The driver closes: it may still have a refusal to write.
    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_bodiless_refusal_is_taken_for_one() {
        let refusal = b"HTTP/1.1 431 Request Header Fields Too Large\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";
        assert_eq!(own_refusal(refusal), Some(431));
        for other in [
            &b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"[..],
            b"HTTP/1.1 400 Bad Request\r\nContent-Length: 2\r\n\r\n{}",
            b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\nx\r\n\r\n",
            b"HTTP/1.1 4",
        ] {
            assert_eq!(own_refusal(other), None);
        }
    }

    #[test]
    fn lengths_are_counted_in_whatever_pieces_they_come() {
        let text =
            b"GET / HTTP/1.1\r\ncontent-LENGTH: 1\r\nX-Content-Length: 2\n\nContent-Length : 3\r\n\r\nContent-Lengt";
        for piece in 1..text.len() {
            let mut lengths = Lengths::default();
            text.chunks(piece).for_each(|bytes| lengths.watch(bytes));
            assert_eq!(lengths.came, 2, "{piece}");
        }
    }

    #[test]
    fn waiting_and_receiving_have_their_own_deadlines() {
        let limits = Limits::default();
        let pulse = Pulse::new();
        assert!(pulse.in_header() && pulse.due(&limits) <= Instant::now() + limits.header);
        let turn = pulse.turn();
        assert!(pulse.due(&limits) > Instant::now() + limits.idle);
        drop(turn);
        assert!(pulse.due(&limits) > Instant::now() + limits.idle, "its response is not yet written");
        pulse.written();
        let due = pulse.due(&limits);
        assert!(due <= Instant::now() + limits.idle && due > Instant::now() + limits.header);
    }
}
