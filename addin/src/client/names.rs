//! Names of servers. The system's lookup of a name can't be broken off: so a few run at once, each in a thread of its own, nobody
//! waits for one beyond his limit, and the client's end does not wait for what the system does not finish, as long as the library
//! can be kept loaded for it. Answers are used again for a while.

use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};
use std::{io, mem};

use ureq::http;
use ureq::unversioned::resolver::{ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::NextTimeout;

use super::locked;
use super::transport::CONNECT_LIMIT;

/// A lookup that takes longer is overdue: nobody waits for it any more, until it has ended.
const LIMIT: Duration = CONNECT_LIMIT;
/// Lookups that run at once for one transport.
const MOST: usize = 8;
/// The same for all of the process, with those that were left to the system.
const MOST_OF_PROCESS: usize = 64;
/// How long an answer of the system is used again; that there is no such name, for a moment only.
const AGE: Duration = Duration::from_secs(60);
const AGE_OF_NOTHING: Duration = Duration::from_secs(1);
/// What the end waits for lookups that may still end by themselves.
const LAST_WAIT: Duration = Duration::from_millis(100);

/// Lookups of this process that have not ended.
static RUNNING: AtomicUsize = AtomicUsize::new(0);

/// Looks a name up, however long that takes.
pub type LookUp = fn(&str, u16) -> io::Result<Vec<SocketAddr>>;
/// Keeps this library loaded to the end of the process, so that threads may be left in it; whether that worked.
pub type StayLoaded = fn() -> bool;

/// The system's lookup.
pub fn system(host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    (host, port).to_socket_addrs().map(Iterator::collect)
}

/// Names and their lookups.
pub struct Names {
    look_up: LookUp,
    stay_loaded: StayLoaded,
    shared: Arc<Shared>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    names: BTreeMap<Name, Entry>,
    closed: bool,
}

type Name = (String, u16);

enum Entry {
    /// Its lookup runs since then.
    Running(Instant),
    /// What came of it, and when.
    Answered(Instant, Option<Vec<SocketAddr>>),
}

/// A lookup at work: whatever becomes of it, nobody waits for it afterwards.
struct Lookup {
    shared: Arc<Shared>,
    name: Name,
    found: Option<Vec<SocketAddr>>,
}

impl Drop for Lookup {
    fn drop(&mut self) {
        let (name, found) = (mem::take(&mut self.name), self.found.take());
        locked(&self.shared.state).names.insert(name, Entry::Answered(Instant::now(), found));
        RUNNING.fetch_sub(1, Ordering::SeqCst);
        self.shared.changed.notify_all();
    }
}

impl State {
    fn running(&self) -> impl Iterator<Item = Instant> {
        self.names.values().filter_map(|entry| match entry {
            Entry::Running(since) => Some(*since),
            Entry::Answered(..) => None,
        })
    }

    /// What is known of a name that was asked for lately: its addresses, or that it has none.
    fn answer(&self, name: &Name) -> Option<Option<&Vec<SocketAddr>>> {
        match self.names.get(name)? {
            Entry::Answered(when, Some(found)) if when.elapsed() < AGE => Some(Some(found)),
            Entry::Answered(when, None) if when.elapsed() < AGE_OF_NOTHING => Some(None),
            _ => None,
        }
    }
}

impl Names {
    /// Names that `look_up` looks up, in a library that `stay_loaded` keeps loaded if it must.
    pub fn new(look_up: LookUp, stay_loaded: StayLoaded) -> Names {
        Names { look_up, stay_loaded, shared: Arc::default(), threads: Mutex::default() }
    }

    /// The addresses of a host, within `limit`.
    pub fn find(&self, host: &str, port: u16, limit: Duration) -> Result<Vec<SocketAddr>, ureq::Error> {
        let overdue = || ureq::Error::Timeout(ureq::Timeout::Resolve);
        let name = match self.named(host, port) {
            Ok(name) => name,
            Err(address) => return Ok(vec![address]),
        };
        let end = Instant::now() + limit.min(LIMIT);
        let mut state = locked(&self.shared.state);
        loop {
            if let Some(answer) = state.answer(&name) {
                return answer.cloned().ok_or(ureq::Error::HostNotFound);
            }
            let now = Instant::now();
            let running = match state.names.get(&name) {
                Some(Entry::Running(since)) => Some(*since),
                _ => None,
            };
            let until = match running {
                Some(since) => since + LIMIT,
                None if self.start(&mut state, &name)? => continue,
                // Whoever comes later waits for a place, but not behind lookups that don't end.
                None => state.running().max().map_or(now, |latest| latest + LIMIT),
            };
            let left = until.min(end).saturating_duration_since(now);
            if state.closed || left.is_zero() {
                return Err(overdue());
            }
            state = self.shared.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Begins to look names up that will be asked for one after the other, as far as there is room for lookups.
    pub fn expect<'a>(&self, hosts: impl Iterator<Item = (&'a str, u16)>) {
        let mut state = locked(&self.shared.state);
        for (host, port) in hosts {
            let Ok(name) = self.named(host, port) else { continue };
            let is_there = state.answer(&name).is_some() || matches!(state.names.get(&name), Some(Entry::Running(_)));
            // Without a thread whoever asks for the name is told.
            if !is_there && !self.start(&mut state, &name).unwrap_or(false) {
                return;
            }
        }
    }

    /// Nobody waits any more, and nothing is looked up.
    pub fn close(&self) {
        locked(&self.shared.state).closed = true;
        self.shared.changed.notify_all();
    }

    /// The name that a host has to be looked up by, or its address.
    fn named(&self, host: &str, port: u16) -> Result<Name, SocketAddr> {
        let host = host.trim_start_matches('[').trim_end_matches(']').replace("%25", "%");
        host.parse::<IpAddr>().map_or(Ok((host, port)), |address| Err(SocketAddr::new(address, port)))
    }

    /// Starts a lookup; `false` when there is no room for one more.
    fn start(&self, state: &mut State, name: &Name) -> io::Result<bool> {
        if state.closed || state.running().count() >= MOST {
            return Ok(false);
        }
        let one_more = |running| (running < MOST_OF_PROCESS).then_some(running + 1);
        if RUNNING.fetch_update(Ordering::SeqCst, Ordering::SeqCst, one_more).is_err() {
            return Ok(false);
        }
        state.names.insert(name.clone(), Entry::Running(Instant::now()));
        let (shared, own, look_up) = (Arc::clone(&self.shared), name.clone(), self.look_up);
        let thread = thread::Builder::new().name("licence-names".into()).spawn(move || {
            let mut lookup = Lookup { shared, name: own, found: None };
            lookup.found = look_up(&lookup.name.0, lookup.name.1).ok();
        });
        if thread.is_err() {
            state.names.remove(name);
            RUNNING.fetch_sub(1, Ordering::SeqCst);
        }
        let mut threads = locked(&self.threads);
        threads.retain(|thread| !thread.is_finished());
        threads.push(thread?);
        Ok(true)
    }
}

impl Drop for Names {
    fn drop(&mut self) {
        self.close();
        let end = Instant::now() + LAST_WAIT;
        let mut state = locked(&self.shared.state);
        while let Some(latest) = state.running().max() {
            let left = end.min(latest + LIMIT).saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            state = self.shared.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        let all_ended = state.running().next().is_none();
        drop(state);
        // Nothing may run in a library that is unmapped.
        if all_ended || !(self.stay_loaded)() {
            for thread in locked(&self.threads).drain(..) {
                // A lookup that panicked has nothing more to run.
                let _ = thread.join();
            }
        }
    }
}

/// The resolver of an agent over names that others reach too.
#[derive(Debug)]
pub struct Shown(pub Arc<Names>);

impl Resolver for Shown {
    fn resolve(
        &self,
        uri: &http::Uri,
        _config: &ureq::config::Config,
        timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let host = uri.host().ok_or(ureq::Error::HostNotFound)?;
        let port = uri.port_u16().unwrap_or(licence::settings::DEFAULT_PORT);
        let mut addresses = self.empty();
        for address in self.0.find(host, port, *timeout.after)?.into_iter().take(16) {
            addresses.push(address);
        }
        if addresses.is_empty() { Err(ureq::Error::HostNotFound) } else { Ok(addresses) }
    }
}

impl fmt::Debug for Names {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Names")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Tests whose hanging lookups end now.
    static RELEASED: (Mutex<Vec<String>>, Condvar) = (Mutex::new(Vec::new()), Condvar::new());

    /// A system that knows `good…` and not `none…`, and hangs at `hanging….TEST` until that test releases it.
    fn look_up(host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        if let Some((_, test)) = host.split_once('.').filter(|_| host.starts_with("hanging")) {
            let released = locked(&RELEASED.0);
            let ended = RELEASED.1.wait_while(released, |released| !released.iter().any(|known| known == test));
            drop(ended.unwrap());
        }
        if host.starts_with("none") { Err(io::ErrorKind::NotFound.into()) } else { Ok(vec![address(port)]) }
    }

    fn release(test: &str) {
        locked(&RELEASED.0).push(test.to_owned());
        RELEASED.1.notify_all();
    }

    fn address(port: u16) -> SocketAddr {
        ([10, 0, 0, 1], port).into()
    }

    fn is_overdue(found: Result<Vec<SocketAddr>, ureq::Error>) -> bool {
        matches!(found, Err(ureq::Error::Timeout(ureq::Timeout::Resolve)))
    }

    const AT_ONCE: Duration = Duration::from_millis(1);

    #[test]
    fn names_are_found_and_addresses_need_no_lookup() {
        let names = Names::new(look_up, || panic!("nothing is left"));
        assert_eq!(names.find("good", 7, LIMIT).unwrap(), [address(7)]);
        assert!(matches!(names.find("none", 7, LIMIT), Err(ureq::Error::HostNotFound)));
        for literal in ["127.0.0.1", "[::1]"] {
            assert!(names.find(literal, 1, Duration::ZERO).unwrap()[0].ip().is_loopback());
        }
        assert_eq!(names.find("good", 7, Duration::ZERO).unwrap(), [address(7)], "as it was found before");
    }

    #[test]
    fn lookups_are_few_at_once_and_one_that_is_overdue_is_not_waited_for_again() {
        let names = Names::new(look_up, || true);
        let hosts: Vec<String> = (0..200).map(|n| format!("hanging{n}.few")).collect();
        let began = Instant::now();
        names.expect(hosts.iter().map(|host| (host.as_str(), 1)));
        assert_eq!(locked(&names.threads).len(), MOST);
        for host in &hosts {
            assert!(is_overdue(names.find(host, 1, Duration::from_secs(3600))), "{host}");
        }
        assert!(began.elapsed() < LIMIT * 3, "{:?}", began.elapsed());
        assert_eq!(locked(&names.threads).len(), MOST);
        assert!(is_overdue(names.find("good", 1, LIMIT)), "there is no room");
        release("few");
        let found = (0..1000).find_map(|_| {
            names.find("good", 1, LIMIT).ok().or_else(|| {
                thread::yield_now();
                None
            })
        });
        assert_eq!(found, Some(vec![address(1)]));
    }

    #[test]
    fn who_waits_for_a_name_gets_what_another_asked_for() {
        let names = Names::new(look_up, || true);
        thread::scope(|scope| {
            let waiting = [(), ()].map(|()| scope.spawn(|| names.find("hanging.shared", 5, LIMIT)));
            while locked(&names.threads).is_empty() {
                thread::yield_now();
            }
            release("shared");
            for found in waiting {
                assert_eq!(found.join().unwrap().unwrap(), [address(5)]);
            }
        });
        assert_eq!(locked(&names.threads).len(), 1);
    }

    #[test]
    fn closed_names_let_nobody_wait() {
        let names = Names::new(look_up, || true);
        thread::scope(|scope| {
            let waiting = scope.spawn(|| names.find("hanging.closed", 5, LIMIT));
            while locked(&names.threads).is_empty() {
                thread::yield_now();
            }
            names.close();
            assert!(is_overdue(waiting.join().unwrap()));
        });
        assert!(is_overdue(names.find("good", 5, LIMIT)));
        release("closed");
    }

    #[test]
    fn the_end_leaves_a_lookup_to_the_system_only_where_the_library_stays_loaded() {
        let hanging = |host: &str, stay_loaded| {
            let names = Names::new(look_up, stay_loaded);
            assert!(is_overdue(names.find(host, 1, AT_ONCE)));
            names
        };
        let left = hanging("hanging.left", || true);
        let shared = Arc::downgrade(&left.shared);
        drop(left);
        assert_eq!(shared.strong_count(), 1, "its thread has it");
        release("left");

        let joined = hanging("hanging.joined", || false);
        let shared = Arc::downgrade(&joined.shared);
        thread::scope(|scope| {
            let end = scope.spawn(move || drop(joined));
            release("joined");
            end.join().unwrap();
        });
        assert_eq!(shared.strong_count(), 0, "its thread was waited for");
    }
}
