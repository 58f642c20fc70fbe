//! The accept loop. It must go on whatever happens to single connections, and when descriptors run out.

use super::spelling::Spelling;
use super::{Limits, Tls, connection};
use crate::limits::Connections;
use crate::{Rejection, Service};
use parking_lot::Mutex;
use std::future::{Future, poll_fn};
use std::io::{self, Read, Write};
use std::net::{IpAddr, Shutdown, SocketAddr};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// After an error that concerns the process (no descriptors, no memory), not one connection.
const PAUSE: Duration = Duration::from_millis(50);

/// Serves connections of `listeners` until `shutdown` is ready, then lets requests in progress end for at most
/// [`Limits::grace`]. With `tls` a connection may begin with a TLS handshake; plain ones are served beside. Must run inside
/// a tokio runtime with I/O and time; handlers run on its threads.
///
/// # Errors
/// Only when a listener can't be handed to the runtime, or hyper refuses what it should read.
pub async fn serve(
    listeners: Vec<std::net::TcpListener>,
    tls: Option<Arc<Tls>>,
    service: Arc<dyn Service>,
    limits: Limits,
    shutdown: impl Future<Output = ()>,
) -> io::Result<()> {
    let mut listening = Vec::new();
    for listener in listeners {
        listener.set_nonblocking(true)?;
        listening.push(TcpListener::from_std(listener)?);
    }
    let counted = Arc::new(Mutex::new(Connections::new(limits.connections, limits.connections_per_address)));
    let (stop, stopped) = watch::channel(false);
    let (spelling, bodies) = (Spelling::learn().await?, AtomicUsize::new(0));
    let front = Arc::new(connection::Front { service, limits, tls, spelling, bodies, stopped });
    let mut tasks = JoinSet::new();
    let mut shutdown = pin!(shutdown);
    let mut failing = false;
    loop {
        let accepted = tokio::select! {
            biased;
            () = &mut shutdown => break,
            Some(ended) = tasks.join_next() => {
                if let Err(error) = ended {
                    log::error!("a connection ended by a fault of the program: {error}");
                }
                continue;
            }
            accepted = accept_any(&listening) => accepted,
        };
        match accepted {
            Ok((stream, peer)) => {
                failing = false;
                match Seat::take(&counted, peer.ip()) {
                    Some(seat) => {
                        let front = front.clone();
                        tasks.spawn(async move {
                            connection::drive(&front, stream, peer).await;
                            drop(seat);
                        });
                    }
                    None => refuse(stream, front.service.as_ref()),
                }
            }
            Err(error) if concerns_one_connection(&error) => (),
            Err(error) => {
                if !failing {
                    log::error!("no connection can be accepted, trying on: {error}");
                }
                failing = true;
                // Meanwhile connections that end give their descriptors back.
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
    drop(listening);
    let _ = stop.send(true);
    let all_ended = async { while tasks.join_next().await.is_some() {} };
    if tokio::time::timeout(front.limits.grace, all_ended).await.is_err() {
        log::warn!("{} connections did not end in time and are cut", tasks.len());
        tasks.shutdown().await;
    }
    Ok(())
}

/// The next connection of any listener. Each time another one is asked first, so that a busy one can't starve the others.
async fn accept_any(listeners: &[TcpListener]) -> io::Result<(TcpStream, SocketAddr)> {
    static TURN: AtomicUsize = AtomicUsize::new(0);
    poll_fn(|context| {
        let first = TURN.fetch_add(1, Ordering::Relaxed);
        for number in 0..listeners.len() {
            if let Poll::Ready(accepted) = listeners[(first + number) % listeners.len()].poll_accept(context) {
                return Poll::Ready(accepted);
            }
        }
        Poll::Pending
    })
    .await
}

fn concerns_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted)
}

/// A counted connection; uncounted when dropped.
struct Seat {
    counted: Arc<Mutex<Connections>>,
    address: IpAddr,
}

impl Seat {
    fn take(counted: &Arc<Mutex<Connections>>, address: IpAddr) -> Option<Self> {
        counted.lock().open(address).then(|| Self { counted: counted.clone(), address })
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.counted.lock().close(self.address);
    }
}

/// One attempt to say 503, without waiting: a refused client must cost nothing.
fn refuse(stream: TcpStream, service: &dyn Service) {
    let response = service.reject(Rejection::new(503, "There are too many connections; try again later."));
    let bytes = connection::closing_bytes(&response);
    if let Ok(mut stream) = stream.into_std() {
        let _ = stream.write(&bytes);
        // Unread bytes would turn the close into a reset, and the client would lose the answer.
        let _ = stream.read(&mut [0; 4096]);
        let _ = stream.shutdown(Shutdown::Write);
    }
}
