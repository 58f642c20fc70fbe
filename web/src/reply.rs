//! What a service answers: now, later, or as a stream; and the one-shot behind "later".
//! It must never block a front: `call` returns at once, the rest arrives through a [`Completer`].

use crate::status::ErrorBody;
use crate::{Events, Headers, Request, Response};
use parking_lot::{Condvar, Mutex};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

/// An HTTP service without any HTTP library in it.
pub trait Service: Send + Sync + 'static {
    /// Answers one request. It must not block: work that takes long is given to a [`crate::Crew`] and answered by
    /// [`Reply::Later`].
    fn call(&self, request: Request) -> Reply;

    /// The response to something that a front refuses before, or instead of, calling the service: a malformed or
    /// oversized request, a deadline, a limit, a panic. It is also sent when the request could not be read at all.
    fn reject(&self, rejection: Rejection) -> Response {
        rejection.response()
    }
}

/// How long whoever is refused for want of room should wait, in seconds.
const RETRY_AFTER: u64 = 5;

/// Why a front refuses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection {
    /// 400, 408, 411, 413, 414, 431, 500, 501, 503, 505.
    pub status: u16,
    /// What is wrong, in English, for the caller.
    pub reason: String,
    /// Header fields of the request as far as they were read; empty when they were not.
    pub headers: Headers,
}

impl Rejection {
    /// A refusal of a request whose headers are not known.
    pub fn new(status: u16, reason: impl Into<String>) -> Self {
        Self { status, reason: reason.into(), headers: Headers::new() }
    }

    /// The refusal as the error body of the guide.
    pub fn response(&self) -> Response {
        let wait = (self.status == 503).then_some(RETRY_AFTER);
        Response::json(self.status, &ErrorBody::http(self.status, &self.reason)).with_retry_after(wait)
    }
}

/// Answer of a service.
#[derive(Debug)]
pub enum Reply {
    /// The response is ready.
    Now(Response),
    /// The response will be given by a [`Completer`].
    Later(Pending),
    /// Server-sent events until either side ends them.
    Stream(Events),
}

impl Reply {
    /// A reply that is given later, and the other end that gives it.
    pub fn later() -> (Completer, Reply) {
        let (completer, pending) = pending();
        (completer, Reply::Later(pending))
    }
}

impl From<Response> for Reply {
    fn from(response: Response) -> Self {
        Self::Now(response)
    }
}

/// A one-shot for one response.
pub fn pending() -> (Completer, Pending) {
    let shared = Arc::new(Shared { state: Mutex::new(State::Waiting(None)), changed: Condvar::new() });
    (Completer { shared: Some(shared.clone()), otherwise: None }, Pending { shared })
}

struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

enum State {
    Waiting(Option<Waker>),
    Ready(Response),
    /// The response was taken.
    Taken,
    /// The front lost interest: its client went away.
    Abandoned,
}

/// The giving end of a [`Pending`]. Dropped without a response it gives 503, so that no client waits for ever.
pub struct Completer {
    shared: Option<Arc<Shared>>,
    otherwise: Option<Otherwise>,
}

/// Makes what is answered in place of a response.
type Otherwise = Box<dyn FnOnce() -> Response + Send + Sync>;

impl Completer {
    /// The same end, that gives this response when it is dropped.
    pub fn or_else(mut self, otherwise: impl FnOnce() -> Response + Send + Sync + 'static) -> Completer {
        self.otherwise = Some(Box::new(otherwise));
        self
    }

    /// Gives the response. When nobody waits any more it is dropped: what was decided stays decided.
    pub fn complete(mut self, response: Response) {
        if let Some(shared) = self.shared.take() {
            finish(&shared, response);
        }
    }

    /// Whether nobody waits any more, so that work not yet begun can be spared.
    pub fn is_abandoned(&self) -> bool {
        self.shared.as_ref().is_none_or(|shared| matches!(*shared.state.lock(), State::Abandoned))
    }
}

impl Drop for Completer {
    fn drop(&mut self) {
        if let Some(shared) = self.shared.take() {
            let response = match self.otherwise.take() {
                Some(otherwise) => otherwise(),
                None => Rejection::new(503, "The request was dropped before it was answered; repeat it.").response(),
            };
            finish(&shared, response);
        }
    }
}

impl std::fmt::Debug for Completer {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("Completer")
    }
}

fn finish(shared: &Shared, response: Response) {
    let mut state = shared.state.lock();
    if let State::Waiting(waker) = &mut *state {
        let waker = waker.take();
        *state = State::Ready(response);
        drop(state);
        shared.changed.notify_all();
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

/// A response to come: a future for a front that awaits, with blocking calls for one that does not.
pub struct Pending {
    shared: Arc<Shared>,
}

impl Pending {
    /// Waits for the response.
    pub fn wait(self) -> Response {
        let mut state = self.shared.state.lock();
        loop {
            if let Some(response) = take(&mut state) {
                return response;
            }
            self.shared.changed.wait(&mut state);
        }
    }

    /// Waits at most `timeout`; on `Err` the pending is given back and may be waited for again.
    pub fn recv_timeout(self, timeout: Duration) -> Result<Response, Self> {
        let deadline = Instant::now().checked_add(timeout);
        let mut state = self.shared.state.lock();
        loop {
            if let Some(response) = take(&mut state) {
                return Ok(response);
            }
            let Some(deadline) = deadline else {
                self.shared.changed.wait(&mut state);
                continue;
            };
            if self.shared.changed.wait_until(&mut state, deadline).timed_out() {
                let response = take(&mut state);
                drop(state);
                return response.ok_or(self);
            }
        }
    }
}

fn take(state: &mut State) -> Option<Response> {
    match std::mem::replace(state, State::Taken) {
        State::Ready(response) => Some(response),
        other => {
            *state = other;
            None
        }
    }
}

impl Future for Pending {
    type Output = Response;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Response> {
        let mut state = self.shared.state.lock();
        if let Some(response) = take(&mut state) {
            return Poll::Ready(response);
        }
        if let State::Waiting(waker) = &mut *state
            && !waker.as_ref().is_some_and(|known| known.will_wake(context.waker()))
        {
            *waker = Some(context.waker().clone());
        }
        Poll::Pending
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        *self.shared.state.lock() = State::Abandoned;
    }
}

impl std::fmt::Debug for Pending {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("Pending")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread;

    #[test]
    fn a_response_given_by_another_thread_arrives() {
        let (completer, pending) = pending();
        let giver = thread::spawn(move || completer.complete(Response::text(200, "x")));
        assert_eq!(pending.wait().body, b"x");
        giver.join().unwrap();
    }

    #[test]
    fn a_response_given_before_anybody_waits_arrives() {
        let (completer, pending) = pending();
        completer.complete(Response::empty(204));
        assert_eq!(pending.recv_timeout(Duration::ZERO).unwrap().status, 204);
    }

    #[test]
    fn a_dropped_completer_answers_503() {
        let (completer, pending) = pending();
        drop(completer);
        let response = pending.wait();
        assert_eq!((response.status, response.headers.get("retry-after")), (503, Some("5")));
        let (completer, pending) = super::pending();
        drop(completer.or_else(|| Response::empty(429)));
        assert_eq!(pending.wait().status, 429, "its owner has words of his own");
        assert!(String::from_utf8(response.body).unwrap().contains("EHTTPServiceUnavailable"));
    }

    #[test]
    fn after_a_timeout_the_response_can_still_be_received() {
        let (completer, pending) = pending();
        let pending = pending.recv_timeout(Duration::from_millis(1)).unwrap_err();
        assert!(!completer.is_abandoned());
        completer.complete(Response::empty(200));
        assert_eq!(pending.recv_timeout(Duration::MAX).unwrap().status, 200);
    }

    #[test]
    fn a_completer_knows_that_nobody_waits() {
        let (completer, pending) = pending();
        drop(pending);
        assert!(completer.is_abandoned());
        completer.complete(Response::empty(200));
    }

    #[test]
    fn a_future_is_woken() {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
        let (completer, pending) = pending();
        let waiting = runtime.spawn(pending);
        completer.complete(Response::empty(201));
        assert_eq!(runtime.block_on(waiting).unwrap().status, 201);
    }
}
