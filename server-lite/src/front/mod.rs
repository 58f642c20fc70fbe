//! The accept side: takes requests from tiny_http and hands each to a thread that may serve it. It must never block: one
//! slow client must not keep others from their answers.
//!
//! Requests whose body is already in memory (tiny_http reads up to 1024 bytes by itself) run on a few workers. Whatever may
//! wait for its client (a longer body, an answer larger than socket buffers, a second request on a busy connection) runs
//! on [`Lanes`], so that slow clients hold lanes and the workers stay free.
//!
//! What stays outside our reach in tiny_http 0.12, and why this front is for loopback only: the request line and header
//! fields have no limit and no deadline, and every open connection costs a thread; a connection is closed by its client,
//! who is asked to by `Connection: close`; a body announced longer than [`DRAINED`] is never read, and its connection is
//! given up, because dropping it would make tiny_http allocate that length at once.

mod answer;
mod lanes;
mod watchdog;

use std::collections::HashSet;
use std::io;
use std::mem;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use parking_lot::Mutex;
use tiny_http::Server;
use web::{Crew, Service};

use answer::Answer;
use lanes::Lanes;

/// Longest body that tiny_http has in memory when it hands a request over.
const BUFFERED: usize = 1024;
/// Longest refused body, in bytes, that is read and thrown away.
const DRAINED: usize = 16 * 1024 * 1024;
/// After a failed accept, before the next try.
const PAUSE: Duration = Duration::from_millis(50);

/// Limits of the front.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Body in bytes; answered 413.
    pub body_bytes: usize,
    /// How long the service may take to answer; answered 503.
    pub answer: Duration,
    /// Threads for requests that need not wait for their client.
    pub workers: usize,
    /// Requests that may wait for a worker; beyond them 503.
    pub queue: usize,
    /// Requests that may wait for their clients at once.
    pub lanes: usize,
    /// How often the watchdog asks whether connections are still accepted, and how long it waits for an answer.
    pub watch: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            body_bytes: 1024 * 1024,
            answer: Duration::from_secs(120),
            workers: 8,
            queue: 256,
            lanes: 32,
            watch: Duration::from_secs(5),
        }
    }
}

/// A running front; dropping it stops it.
pub struct Front {
    address: SocketAddr,
    site: Arc<Site>,
    receiver: Option<JoinHandle<()>>,
    watchdog: Option<JoinHandle<()>>,
}

/// What all threads of a front share.
struct Site {
    service: Arc<dyn Service>,
    limits: Limits,
    lanes: Arc<Lanes>,
    /// Connections with a request in work. A second request of such a connection would wait for the first one's answer.
    busy: Mutex<HashSet<SocketAddr>>,
    stopping: AtomicBool,
    server: Mutex<Arc<Server>>,
}

impl Front {
    /// Serves connections of `listener`.
    ///
    /// # Errors
    /// When the listener is not on a loopback address, or the system gives no threads.
    pub fn start(listener: TcpListener, service: Arc<dyn Service>, limits: Limits) -> io::Result<Front> {
        let address = listener.local_addr()?;
        if !address.ip().is_loopback() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "this front serves loopback only"));
        }
        let server = open(&listener)?;
        let crew = Crew::new("http", limits.workers, limits.queue)?;
        let site = Arc::new(Site {
            service,
            limits,
            lanes: Lanes::new(limits.lanes),
            busy: Mutex::default(),
            stopping: AtomicBool::new(false),
            server: Mutex::new(server),
        });
        let shared = site.clone();
        let receiver =
            thread::Builder::new().name("http-accept".into()).spawn(move || receive(&shared, &listener, &crew))?;
        let mut front = Front { address, site, receiver: Some(receiver), watchdog: None };
        let watched = front.site.clone();
        let watchdog = thread::Builder::new().name("http-watch".into());
        front.watchdog = Some(watchdog.spawn(move || watchdog::watch(&watched, address))?);
        Ok(front)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Takes no more requests, lets those on workers end, and returns. Requests that wait for their clients, and threads
    /// of tiny_http itself, may live on: a library with this front in it must not be unloaded.
    pub fn stop(mut self) {
        self.end();
    }

    fn end(&mut self) {
        self.site.stopping.store(true, Ordering::SeqCst);
        self.site.server.lock().unblock();
        if let Some(receiver) = self.receiver.take()
            && receiver.join().is_err()
        {
            log::error!("the front's accept thread panicked");
        }
        if let Some(watchdog) = self.watchdog.take() {
            // It may be waiting for an answer that nobody gives any more, and ends by itself.
            watchdog.thread().unpark();
        }
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        self.end();
    }
}

fn open(listener: &TcpListener) -> io::Result<Arc<Server>> {
    Server::from_listener(listener.try_clone()?, None).map(Arc::new).map_err(io::Error::other)
}

/// Runs until the front stops. tiny_http gives up accepting after any error, so it is opened again on the same socket.
fn receive(site: &Arc<Site>, listener: &TcpListener, crew: &Crew) {
    let mut server = site.server.lock().clone();
    loop {
        match server.recv() {
            _ if site.stopping.load(Ordering::SeqCst) => break,
            Ok(request) => dispatch(site, crew, request),
            Err(error) => {
                log::error!("no connection can be accepted, trying on: {error}");
                thread::sleep(PAUSE);
                match open(listener) {
                    Ok(again) => {
                        *site.server.lock() = again.clone();
                        server = again;
                    }
                    Err(error) => log::error!("the listener can't be opened again: {error}"),
                }
            }
        }
    }
}

fn dispatch(site: &Arc<Site>, crew: &Crew, request: tiny_http::Request) {
    let Some(peer) = request.remote_addr().copied() else { return mem::forget(request) };
    let in_memory = request.body_length().unwrap_or(0) <= BUFFERED && !answer::expects_continue(&request);
    let first = site.busy.lock().insert(peer);
    let job = Job { site: site.clone(), request: Some(request), peer, owns_peer: first };
    if in_memory && first {
        // The crew drops what it has no room for, and a dropped job says so to its client.
        let _ = crew.try_run(move || job.run(true));
    } else if let Err(job) = site.lanes.run(job, |job| job.run(false)) {
        log::warn!("a request of {} is given up: {} clients are slow already", job.peer, site.limits.lanes);
        job.give_up();
    }
}

/// One request on its way to an answer.
struct Job {
    site: Arc<Site>,
    request: Option<tiny_http::Request>,
    peer: SocketAddr,
    /// Whether this job marked its connection busy.
    owns_peer: bool,
}

impl Job {
    /// Answers. `hurried` is for a worker: an answer that would wait for its client is moved to a lane.
    fn run(mut self, hurried: bool) {
        let Some(request) = self.request.take() else { return };
        let Some(answer) = Answer::to(self.site.service.as_ref(), &self.site.limits, request) else { return };
        if !hurried || answer.fits_socket() {
            answer.send();
            return;
        }
        let (peer, site) = (self.peer, self.site.clone());
        if let Err((answer, _)) = site.lanes.run((answer, self), |(answer, job)| {
            answer.send();
            drop(job);
        }) {
            log::warn!("an answer to {peer} is not sent: too many clients read slowly");
            answer.give_up(site.service.as_ref());
        }
    }

    /// Leaves the connection alone: answering, and even dropping the request, could block for ever.
    fn give_up(mut self) {
        mem::forget(self.request.take());
    }
}

impl Drop for Job {
    fn drop(&mut self) {
        if let Some(request) = self.request.take() {
            // Its body is in memory and no answer is pending before it, so this does not wait.
            answer::refuse(self.site.service.as_ref(), request, 503, "The server is overloaded; try again later.");
        }
        if self.owns_peer {
            self.site.busy.lock().remove(&self.peer);
        }
    }
}
