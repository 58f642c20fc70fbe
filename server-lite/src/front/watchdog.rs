//! The watchdog: asks its own front from time to time, as a client does, and has it opened again when nobody answers. tiny_http's
//! accept thread can end without a word, when the system gives no thread for a connection. Sessions are the service's: nothing here
//! touches them.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;

use super::Site;

/// Any answer will do, a refusal too.
const QUESTION: &[u8] = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
/// One unanswered question may be chance: tiny_http may give a connection to no thread until the next one comes.
const TRIES: usize = 3;

/// Watches until the front stops.
pub(super) fn watch(site: &Arc<Site>, address: SocketAddr) {
    let stopping = || site.stopping.load(Ordering::SeqCst);
    loop {
        thread::park_timeout(site.limits.watch);
        if stopping() {
            return;
        }
        let answered = (0..TRIES).any(|_| stopping() || is_answered(address, site.limits.watch));
        if !answered && !stopping() {
            log::error!("{address}: nobody is answered any more, the front is opened again");
            // The receiver takes this for an error of the socket.
            site.server.lock().unblock();
        }
    }
}

fn is_answered(address: SocketAddr, patience: Duration) -> bool {
    let ask = || {
        let mut stream = TcpStream::connect_timeout(&address, patience)?;
        stream.set_read_timeout(Some(patience))?;
        stream.write_all(QUESTION)?;
        stream.read_exact(&mut [0; 1])
    };
    match ask() {
        Ok(()) => true,
        // Without a descriptor nothing can be asked, and nothing is known.
        Err(cause) => !matches!(
            cause.kind(),
            std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut | std::io::ErrorKind::ConnectionRefused
        ),
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::sync::atomic::AtomicBool;

    use parking_lot::Mutex;
    use web::{Reply, Request, Response, Service};

    use super::super::{Limits, open};
    use super::*;
    use crate::front::lanes::Lanes;

    struct Nobody;

    impl Service for Nobody {
        fn call(&self, _: Request) -> Reply {
            Response::empty(200).into()
        }
    }

    #[test]
    fn a_front_that_answers_nobody_is_opened_again() {
        // Connections wait in the queue of this socket, and nobody accepts them: as when the accept thread has died.
        let silent = TcpListener::bind("127.0.0.1:0").unwrap();
        let server = open(&TcpListener::bind("127.0.0.1:0").unwrap()).unwrap();
        let limits = Limits { watch: Duration::from_millis(20), ..Limits::default() };
        let site = Arc::new(Site {
            service: Arc::new(Nobody),
            limits,
            lanes: Lanes::new(1),
            busy: Mutex::default(),
            stopping: AtomicBool::new(false),
            server: Mutex::new(server.clone()),
        });
        let (watched, address) = (site.clone(), silent.local_addr().unwrap());
        let watchdog = thread::spawn(move || watch(&watched, address));
        assert!(server.recv().is_err(), "the receiver opens the front again after any error");
        site.stopping.store(true, Ordering::SeqCst);
        watchdog.thread().unpark();
        watchdog.join().unwrap();
    }
}
