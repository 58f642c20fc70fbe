//! Server-sent events (WHATWG HTML, 9.2): a bounded channel from a service to one reader.
//! A sender must never wait for a reader: one that is too slow is dropped, and its browser connects again.

use parking_lot::{Condvar, Mutex};
use std::collections::VecDeque;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

/// One event.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Event {
    /// Its number, which a browser repeats in `Last-Event-ID` when it connects again.
    pub id: Option<u64>,
    /// Its type; empty for `message`. Line breaks are removed.
    pub name: String,
    /// Its text, of one or several lines.
    pub data: String,
}

impl Event {
    /// The event as sent.
    pub fn frame(&self) -> Vec<u8> {
        let mut out = String::with_capacity(self.data.len() + 32);
        if let Some(id) = self.id {
            out.push_str(&format!("id: {id}\n"));
        }
        let name = self.name.replace(['\r', '\n'], "");
        if !name.is_empty() {
            out.push_str(&format!("event: {name}\n"));
        }
        // A reader takes CR for a line break too.
        for line in self.data.replace("\r\n", "\n").split(['\n', '\r']) {
            out.push_str(&format!("data: {line}\n"));
        }
        out.push('\n');
        out.into_bytes()
    }
}

/// A line that readers ignore; fronts send it when nothing happens, so that a dead connection is noticed.
pub const KEEP_ALIVE: &[u8] = b":\n\n";

/// Opens a stream that holds at most `capacity` events (at least 1) that its reader has not taken yet.
pub fn events(capacity: usize) -> (Feed, Events) {
    let state = State { queue: VecDeque::new(), capacity: capacity.max(1), waker: None, ended: false };
    let shared = Arc::new(Shared { state: Mutex::new(state), changed: Condvar::new() });
    (Feed { shared: shared.clone() }, Events { shared })
}

struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    queue: VecDeque<Vec<u8>>,
    capacity: usize,
    waker: Option<Waker>,
    /// Set by either side, or when the reader was too slow.
    ended: bool,
}

impl Shared {
    fn update(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.state.lock();
        change(&mut state);
        let waker = state.waker.take();
        drop(state);
        self.changed.notify_all();
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

/// The sending end. Dropping it ends the stream after what is queued.
pub struct Feed {
    shared: Arc<Shared>,
}

impl Feed {
    /// Queues an event and returns whether the reader is still there. A reader whose queue is full is dropped, with
    /// what it has not taken.
    pub fn send(&self, event: &Event) -> bool {
        let frame = event.frame();
        let mut alive = false;
        self.shared.update(|state| {
            if state.queue.len() >= state.capacity {
                state.ended = true;
                state.queue.clear();
            }
            alive = !state.ended;
            if alive {
                state.queue.push_back(frame);
            }
        });
        alive
    }

    /// Whether the reader is gone.
    pub fn is_ended(&self) -> bool {
        self.shared.state.lock().ended
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        self.shared.update(|state| state.ended = true);
    }
}

impl std::fmt::Debug for Feed {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("Feed")
    }
}

/// What a blocking reader got.
#[derive(Debug, PartialEq, Eq)]
pub enum Next {
    /// Bytes to send.
    Frame(Vec<u8>),
    /// Nothing happened in that time.
    Quiet,
    /// The stream is over.
    End,
}

/// The reading end, for a front. Dropping it tells the sender that the reader is gone.
pub struct Events {
    shared: Arc<Shared>,
}

impl Events {
    /// The next bytes to send, or `None` at the end, for a front that awaits.
    pub fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<Vec<u8>>> {
        let mut state = self.shared.state.lock();
        if let Some(frame) = state.queue.pop_front() {
            return Poll::Ready(Some(frame));
        }
        if state.ended {
            return Poll::Ready(None);
        }
        state.waker = Some(context.waker().clone());
        Poll::Pending
    }

    /// Waits at most `timeout` for the next bytes, for a front that blocks.
    pub fn next_timeout(&mut self, timeout: Duration) -> Next {
        let deadline = Instant::now() + timeout;
        let mut state = self.shared.state.lock();
        loop {
            if let Some(frame) = state.queue.pop_front() {
                return Next::Frame(frame);
            }
            if state.ended {
                return Next::End;
            }
            if self.shared.changed.wait_until(&mut state, deadline).timed_out()
                && state.queue.is_empty()
                && !state.ended
            {
                return Next::Quiet;
            }
        }
    }
}

impl Drop for Events {
    fn drop(&mut self) {
        self.shared.update(|state| {
            state.ended = true;
            state.queue.clear();
        });
    }
}

impl std::fmt::Debug for Events {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("Events")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(data: &str) -> Event {
        Event { id: None, name: String::new(), data: data.into() }
    }

    #[test]
    fn text_can_not_forge_fields_of_an_event() {
        let hostile = Event { id: Some(7), name: "a\nid: 9".into(), data: "x\r\ny\rid: 8\nz".into() };
        assert_eq!(
            String::from_utf8(hostile.frame()).unwrap(),
            "id: 7\nevent: aid: 9\ndata: x\ndata: y\ndata: id: 8\ndata: z\n\n"
        );
    }

    #[test]
    fn events_arrive_in_order_and_the_stream_ends_with_its_feed() {
        let (feed, mut events) = events(4);
        assert!(feed.send(&event("1")));
        assert!(feed.send(&event("2")));
        assert_eq!(events.next_timeout(Duration::ZERO), Next::Frame(b"data: 1\n\n".to_vec()));
        drop(feed);
        assert_eq!(events.next_timeout(Duration::ZERO), Next::Frame(b"data: 2\n\n".to_vec()));
        assert_eq!(events.next_timeout(Duration::ZERO), Next::End);
    }

    #[test]
    fn a_slow_reader_is_dropped() {
        let (feed, mut events) = events(2);
        assert!(feed.send(&event("1")));
        assert!(feed.send(&event("2")));
        assert!(!feed.send(&event("3")));
        assert!(feed.is_ended());
        assert_eq!(events.next_timeout(Duration::ZERO), Next::End);
    }

    #[test]
    fn a_feed_knows_that_its_reader_is_gone() {
        let (feed, events) = events(2);
        assert_eq!({ events }.next_timeout(Duration::ZERO), Next::Quiet);
        assert!(!feed.send(&event("1")));
    }
}
