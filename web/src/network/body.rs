//! Bodies of responses: whole, or a stream of events that ends when the front stops.
//! A body holds the turn of its request: when it is dropped, the connection is idle again.

use super::transport::Turn;
use crate::Events;
use crate::events::KEEP_ALIVE;
use hyper::body::{Body, Bytes, Frame, SizeHint};
use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{Interval, MissedTickBehavior, interval};

pub(super) struct Outgoing {
    kind: Kind,
    _turn: Turn,
}

enum Kind {
    Whole(Option<Bytes>),
    Events(Box<Stream>),
}

struct Stream {
    events: Events,
    pulse: Interval,
    stopped: Pin<Box<dyn Future<Output = ()> + Send>>,
}

impl Outgoing {
    pub(super) fn whole(body: Vec<u8>, turn: Turn) -> Self {
        let body = (!body.is_empty()).then(|| Bytes::from(body));
        Self { kind: Kind::Whole(body), _turn: turn }
    }

    pub(super) fn events(events: Events, every: Duration, mut stopped: watch::Receiver<bool>, turn: Turn) -> Self {
        let mut pulse = interval(every);
        pulse.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let stopped = Box::pin(async move {
            let _ = stopped.wait_for(|stopped| *stopped).await;
        });
        Self { kind: Kind::Events(Box::new(Stream { events, pulse, stopped })), _turn: turn }
    }
}

impl Body for Outgoing {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let frame = |bytes: Bytes| Poll::Ready(Some(Ok(Frame::data(bytes))));
        match &mut self.kind {
            Kind::Whole(body) => body.take().map_or(Poll::Ready(None), frame),
            Kind::Events(stream) => {
                if stream.stopped.as_mut().poll(context).is_ready() {
                    return Poll::Ready(None);
                }
                match stream.events.poll_next(context) {
                    Poll::Ready(Some(event)) => frame(Bytes::from(event)),
                    Poll::Ready(None) => Poll::Ready(None),
                    Poll::Pending if stream.pulse.poll_tick(context).is_ready() => {
                        frame(Bytes::from_static(KEEP_ALIVE))
                    }
                    Poll::Pending => Poll::Pending,
                }
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self.kind, Kind::Whole(None))
    }

    fn size_hint(&self) -> SizeHint {
        match &self.kind {
            Kind::Whole(body) => SizeHint::with_exact(body.as_ref().map_or(0, |body| body.len() as u64)),
            Kind::Events(_) => SizeHint::default(),
        }
    }
}
