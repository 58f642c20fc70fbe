//! The accept loop. It must go on whatever happens to single connections, and when descriptors run out.

use super::{Limits, connection};
use crate::limits::Connections;
use crate::{Rejection, Service};
use parking_lot::Mutex;
use std::future::Future;
use std::io::{self, Read, Write};
use std::net::{IpAddr, Shutdown};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// After an error that concerns the process (no descriptors, no memory), not one connection.
const PAUSE: Duration = Duration::from_millis(50);

/// Serves connections of `listener` until `shutdown` is ready, then lets requests in progress end for at most
/// [`Limits::grace`]. Must run inside a tokio runtime with I/O and time; handlers run on its threads.
///
/// # Errors
/// Only when the listener can't be handed to the runtime.
pub async fn serve(
    listener: std::net::TcpListener,
    service: Arc<dyn Service>,
    limits: Limits,
    shutdown: impl Future<Output = ()>,
) -> io::Result<()> {
    listener.set_nonblocking(true)?;
    let listener = TcpListener::from_std(listener)?;
    let counted = Arc::new(Mutex::new(Connections::new(limits.connections, limits.connections_per_address)));
    let (stop, stopped) = watch::channel(false);
    let front = Arc::new(connection::Front { service, limits, stopped });
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
            accepted = listener.accept() => accepted,
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
    drop(listener);
    let _ = stop.send(true);
    let all_ended = async { while tasks.join_next().await.is_some() {} };
    if tokio::time::timeout(front.limits.grace, all_ended).await.is_err() {
        log::warn!("{} connections did not end in time and are cut", tasks.len());
        tasks.shutdown().await;
    }
    Ok(())
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
