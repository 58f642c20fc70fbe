//! The heartbeat of a series: one thread that keeps its connections alive, moves sessions away from a lost server, and
//! brings them home when it is back. The thread is joined before its series goes.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use licence::error::{Code, Error, Result};
use licence::protocol::message::{Call, Outcome};

use super::connection::Connection;
use super::series::Series;
use super::session::Session;
use super::{FAREWELL_LIMIT, Net, SERVER_LIMIT, TOTAL_LIMIT, Trouble, locked};

/// How often servers are to hear of us when they don't say.
const USUAL: Duration = Duration::from_secs(10);
const SHORTEST: Duration = Duration::from_secs(1);
/// For how long a session that was refused is left alone.
const REST: Duration = Duration::from_secs(60);

/// The running thread.
pub struct Heartbeat {
    thread: Option<JoinHandle<()>>,
    stop: Arc<Stop>,
    net: Net,
}

#[derive(Default)]
struct Stop {
    stopped: Mutex<bool>,
    wake: Condvar,
}

impl Heartbeat {
    /// Starts the thread. `net` has a transport of its own, which is cut when the thread is to end.
    pub fn start(series: Arc<Series>, net: Net) -> Result<Heartbeat> {
        let first = interval(&series);
        Heartbeat::start_at(series, net, first)
    }

    /// Starts the thread with its first beat after `wait`.
    pub(super) fn start_at(series: Arc<Series>, net: Net, mut wait: Duration) -> Result<Heartbeat> {
        let stop = Arc::<Stop>::default();
        let (until, own) = (Arc::clone(&stop), net.clone());
        let thread = thread::Builder::new().name("licence-heartbeat".into());
        let thread = thread.spawn(move || {
            while !until.wait(wait) {
                wait = interval(&series);
                // A broken beat must not be the last: seats depend on the next one.
                if catch_unwind(AssertUnwindSafe(|| beat(&series, &own, &|| until.is_set()))).is_err() {
                    log::error!("{}: a heartbeat broke", series.wanted.key_id);
                }
            }
        });
        let thread = thread.map_err(|e| Error::new(Code::AttachFailed).with(e))?;
        Ok(Heartbeat { thread: Some(thread), stop, net })
    }
}

impl Drop for Heartbeat {
    fn drop(&mut self) {
        *locked(&self.stop.stopped) = true;
        self.stop.wake.notify_all();
        self.net.transport.cut();
        if let Some(thread) = self.thread.take() {
            // Its panics are caught inside.
            let _ = thread.join();
        }
    }
}

impl Stop {
    fn is_set(&self) -> bool {
        *locked(&self.stopped)
    }

    /// Waits for `time` or the stop; true for the stop.
    fn wait(&self, time: Duration) -> bool {
        let stopped = locked(&self.stopped);
        let waited = self.wake.wait_timeout_while(stopped, time, |stopped| !*stopped);
        *waited.unwrap_or_else(PoisonError::into_inner).0
    }
}

/// How long until the next beat: as often as the most impatient server wants.
fn interval(series: &Series) -> Duration {
    let wanted = sessions(series).iter().filter_map(|session| session.held()).map(|held| held.heartbeat).min();
    wanted.unwrap_or(USUAL).clamp(SHORTEST, USUAL)
}

/// One heartbeat over all connections, then what follows from it.
pub fn beat(series: &Series, net: &Net, stopped: &dyn Fn() -> bool) {
    for connection in series.connections() {
        if stopped() {
            return;
        }
        hear(series, net, &connection);
    }
    recover(series, net, stopped);
    come_back(series, net, stopped);
    if !stopped() {
        hang_up(series, net);
    }
}

fn sessions(series: &Series) -> Vec<Arc<Session>> {
    locked(&series.state).sessions.iter().map(|(session, _)| Arc::clone(session)).collect()
}

fn hear(series: &Series, net: &Net, connection: &Arc<Connection>) {
    let sent = net.now();
    match connection.call(net, Call::Heartbeat, &net.within(SERVER_LIMIT)) {
        Ok(Outcome::Alive(alive)) => {
            series.is_up(connection.index);
            for session in sessions(series) {
                let Some(held) = session.held().filter(|held| Arc::ptr_eq(&held.connection, connection)) else {
                    continue;
                };
                match alive.lost.iter().find(|lost| lost.session == held.id) {
                    Some(lost) => {
                        log::warn!(
                            "{}: a session ended at {}: {}",
                            series.wanted.key_id,
                            connection.endpoint,
                            lost.cause
                        );
                        session.lose(&held, lost.cause.clone());
                    }
                    None => session.hear(connection, sent),
                }
            }
        }
        Ok(_) => {}
        Err(Trouble::Unreachable(cause)) => series.is_down(connection.index, &cause),
        Err(Trouble::Refused(error)) => log::info!("{}: heartbeat: {error}", connection.endpoint),
    }
}

/// Whether the session had a seat and can't use it any more.
fn needs_seat(series: &Series, session: &Session) -> bool {
    match session.held() {
        Some(held) => held.connection.is_gone() || locked(&series.state).down.contains(&held.connection.index),
        None => session.lost().is_some() && session.is_over().is_none(),
    }
}

/// Finds new seats for sessions whose server is lost.
fn recover(series: &Series, net: &Net, stopped: &dyn Fn() -> bool) {
    for session in sessions(series) {
        if stopped() {
            return;
        }
        if !needs_seat(series, &session) || !session.may_claim(net.now()) {
            continue;
        }
        let Ok(_turn) = series.turn(&net.within(SERVER_LIMIT)) else { return };
        if !needs_seat(series, &session) {
            continue;
        }
        // Whoever waits for the turn meanwhile has some of his own limit left.
        match series.claim(net, &session, &net.within(TOTAL_LIMIT - SERVER_LIMIT)) {
            Ok(()) => {}
            // What is out of reach for one session is so for the others.
            Err(error) if error.code == Code::ServerNotFound => return,
            Err(error) => {
                log::info!("{}: no new seat: {error}", series.wanted.key_id);
                session.rest(net.now().plus(REST));
            }
        }
    }
}

/// Brings sessions back to the server that they belong to: a seat there first, then the other is given back.
fn come_back(series: &Series, net: &Net, stopped: &dyn Fn() -> bool) {
    let mut away = Vec::new();
    for session in sessions(series) {
        if stopped() {
            return;
        }
        let home = session.home();
        let is_home = || session.held().is_none_or(|held| held.connection.index <= home);
        if is_home() || away.contains(&home) {
            continue;
        }
        let Ok(_turn) = series.turn(&net.within(SERVER_LIMIT)) else { return };
        if is_home() {
            continue;
        }
        match series.claim_at(net, home, &session, &net.within(SERVER_LIMIT)) {
            Ok(former) => series.release_former(net, home, former),
            Err(Trouble::Unreachable(_)) => away.push(home),
            Err(Trouble::Refused(error)) => {
                log::info!("{}: stays where it is: {error}", series.wanted.key_id);
                session.settle(session.held().map_or(home, |held| held.connection.index));
            }
        }
    }
}

/// Ends connections that no session needs any more; the preferred one stays.
fn hang_up(series: &Series, net: &Net) {
    let Ok(_turn) = series.turn(&net.within(Duration::ZERO)) else { return };
    let held: Vec<Arc<Connection>> =
        sessions(series).iter().filter_map(|session| session.held()).map(|held| held.connection).collect();
    let idle: Vec<Arc<Connection>> = series
        .connections()
        .into_iter()
        .skip(1)
        .filter(|connection| !held.iter().any(|used| Arc::ptr_eq(used, connection)))
        .collect();
    for connection in idle {
        locked(&series.state).connections.retain(|known| !Arc::ptr_eq(known, &connection));
        if !connection.is_gone() && !locked(&series.state).down.contains(&connection.index) {
            // The server's leases do the rest when this is lost.
            let _ = connection.call(net, Call::Disconnect, &net.within(FAREWELL_LIMIT));
        }
    }
}
