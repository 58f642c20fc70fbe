//! Reverse proxies: which address a request counts for, and whether that is a proxy's where it should be a client's. Then all
//! clients share one limit against guessing: a guesser locks everybody out, or all together guess no more than one.

use std::net::IpAddr;
use std::time::Duration;

use parking_lot::Mutex;
use web::Request;

/// How often the log tells of the same, and for how long health tells of it after the last request.
const TOLD: Duration = Duration::from_secs(3600);
/// Headers that name the client of a proxy. Others, as `Via`, come from proxies of clients too.
const NAMING: [&str; 3] = ["x-forwarded-for", "forwarded", "x-real-ip"];

/// What is wrong with a proxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Somebody forwards for others whom no `--proxy` names.
    Unnamed(IpAddr),
    /// A named proxy forwards without an address in `X-Forwarded-For`.
    Silent(IpAddr),
}

impl Fault {
    /// For a line of health, which is public: no address.
    pub fn word(self) -> &'static str {
        match self {
            Fault::Unnamed(_) => "requests are forwarded by an address that no --proxy names",
            Fault::Silent(_) => "a proxy names no client in X-Forwarded-For",
        }
    }

    fn warn(self) {
        match self {
            Fault::Unnamed(peer) => log::warn!(
                "{peer} forwards requests for others, and no --proxy names it: all its clients count as one address. \
                 If it is your reverse proxy, start with --proxy {peer}; if there is none, a client writes such headers by itself"
            ),
            Fault::Silent(peer) => log::warn!(
                "{peer} is named by --proxy, but names no client: all its clients count as one address. \
                 Let it send X-Forwarded-For"
            ),
        }
    }
}

/// The proxies that are named, and what was seen of others.
pub struct Proxies {
    named: Vec<IpAddr>,
    seen: Mutex<Seen>,
}

#[derive(Default)]
struct Seen {
    /// The last fault, and when it was seen last.
    last: Option<(Fault, Duration)>,
    warned: Option<Duration>,
}

impl Proxies {
    /// These are believed.
    pub fn new(named: Vec<IpAddr>) -> Proxies {
        Proxies { named: named.iter().map(IpAddr::to_canonical).collect(), seen: Mutex::default() }
    }

    /// Address of the client: that of the connection, or, behind a named proxy, the last one that the proxy has added.
    /// `now` is a time that never goes back.
    pub fn client(&self, request: &Request, now: Duration) -> IpAddr {
        let peer = request.peer.ip().to_canonical();
        let forwarded = request.headers.get_all("x-forwarded-for").last();
        let last = forwarded.and_then(|list| list.rsplit(',').next()).and_then(|text| text.trim().parse().ok());
        match (self.named.contains(&peer), last) {
            (true, Some(client)) => client,
            (true, None) => {
                // A balancer that asks for health asks for itself.
                if request.path != "/healthz" {
                    self.note(Fault::Silent(peer), now);
                }
                peer
            }
            (false, _) => {
                if NAMING.iter().any(|name| request.headers.get(name).is_some()) {
                    self.note(Fault::Unnamed(peer), now);
                }
                peer
            }
        }
    }

    fn note(&self, fault: Fault, now: Duration) {
        let mut seen = self.seen.lock();
        seen.last = Some((fault, now));
        if seen.warned.is_some_and(|warned| now < warned + TOLD) {
            return;
        }
        seen.warned = Some(now);
        drop(seen);
        fault.warn();
    }

    /// What was wrong within the last hour.
    pub fn fault(&self, now: Duration) -> Option<Fault> {
        self.seen.lock().last.filter(|(_, at)| now < *at + TOLD).map(|(fault, _)| fault)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(peer: &str, path: &str, headers: &[(&str, &str)]) -> Request {
        let mut all = web::Headers::new();
        headers.iter().for_each(|(name, value)| all.add(name, value).unwrap());
        Request::build("GET", path, all, format!("{peer}:1").parse().unwrap(), false).unwrap()
    }

    fn proxies() -> Proxies {
        Proxies::new(vec!["192.0.2.9".parse().unwrap()])
    }

    const CLIENT: (&str, &str) = ("X-Forwarded-For", "203.0.113.1, 198.51.100.7");

    #[test]
    fn a_forwarded_address_is_believed_of_a_named_proxy_only() {
        let proxies = proxies();
        let client = |request: &Request| proxies.client(request, Duration::ZERO).to_string();
        assert_eq!(client(&asked("192.0.2.9", "/", &[CLIENT])), "198.51.100.7");
        assert_eq!(proxies.fault(Duration::ZERO), None);
        assert_eq!(client(&asked("192.0.2.8", "/", &[CLIENT])), "192.0.2.8");
    }

    #[test]
    fn who_forwards_without_a_name_is_told_for_an_hour_after_the_last_time() {
        let peer = "192.0.2.8";
        for header in [CLIENT, ("Forwarded", "for=203.0.113.1"), ("X-Real-IP", "203.0.113.1")] {
            let proxies = proxies();
            proxies.client(&asked(peer, "/", &[]), Duration::ZERO);
            proxies.client(&asked(peer, "/", &[("Via", "1.1 proxy")]), Duration::ZERO);
            assert_eq!(proxies.fault(Duration::ZERO), None, "nothing is forwarded");
            proxies.client(&asked(peer, "/healthz", &[header]), Duration::from_secs(10));
            assert_eq!(proxies.fault(TOLD), Some(Fault::Unnamed(peer.parse().unwrap())));
            assert_eq!(proxies.fault(TOLD + Duration::from_secs(10)), None);
        }
    }

    #[test]
    fn a_named_proxy_must_name_its_clients() {
        let (proxies, peer) = (proxies(), "192.0.2.9");
        proxies.client(&asked(peer, "/healthz", &[]), Duration::ZERO);
        assert_eq!(proxies.fault(Duration::ZERO), None, "it asks for itself");
        proxies.client(&asked(peer, "/api/requests", &[("Forwarded", "for=203.0.113.1")]), Duration::ZERO);
        assert_eq!(proxies.fault(Duration::ZERO), Some(Fault::Silent(peer.parse().unwrap())));
    }

    #[test]
    fn the_log_tells_once_an_hour() {
        let proxies = proxies();
        let warned = |at: u64| {
            proxies.client(&asked("192.0.2.8", "/", &[CLIENT]), Duration::from_secs(at));
            proxies.seen.lock().warned.map(|at| at.as_secs())
        };
        assert_eq!([warned(5), warned(6), warned(3604), warned(3605)], [Some(5), Some(5), Some(5), Some(3605)]);
    }
}
