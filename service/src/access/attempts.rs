//! Failed sign-ins by address and by account: after a few of them the next one has to wait, longer each time. Pure over
//! injected time; memory is bounded, whatever number of addresses and names comes.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use licence::time::Tick;

/// Who has failed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Subject {
    /// Whoever is behind an address.
    Address(IpAddr),
    /// Whoever guesses at an account, known or not, from however many addresses.
    Account(String),
}

/// How patient the guard is.
struct Patience {
    /// Failures that cost nothing: people mistype.
    free: u32,
    /// From this number on even a remembered password has to wait, for it could be guessed against …
    strict: u32,
    /// … and when so many tries have not waited: whether a pair is remembered is told without a hash, so quickly.
    hurried: u32,
    longest: Duration,
}

const ADDRESS: Patience = Patience { free: 5, strict: 20, hurried: 1000, longest: Duration::from_secs(300) };
/// Milder: strangers must not be able to lock an account out for long, and never who is signed in.
const ACCOUNT: Patience = Patience { free: 30, strict: u32::MAX, hurried: u32::MAX, longest: Duration::from_secs(30) };
/// Who has not failed for this long has no failures.
const FORGOTTEN: Duration = Duration::from_secs(30 * 60);
const MAX_RECORDS: usize = 10_000;

impl Subject {
    /// One client: an IPv4 address, or the /64 network that one IPv6 client usually owns.
    pub fn address(address: IpAddr) -> Subject {
        Subject::Address(match address.to_canonical() {
            IpAddr::V6(v6) if !v6.is_loopback() => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() >> 64 << 64)),
            other => other,
        })
    }

    fn patience(&self) -> &'static Patience {
        match self {
            Subject::Address(_) => &ADDRESS,
            Subject::Account(_) => &ACCOUNT,
        }
    }
}

#[derive(Debug, Clone, Copy)]
struct Record {
    failures: u32,
    /// Tries since the last failure that had to wait and did not.
    hurried: u32,
    last: Tick,
}

/// The failures.
#[derive(Debug, Default)]
pub struct Attempts {
    records: HashMap<Subject, Record>,
}

/// What somebody may try now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Admission {
    /// Anything.
    Free,
    /// A remembered pair only; anything else waits this long.
    Remembered(Duration),
    /// Nothing for this long.
    Closed(Duration),
}

impl Attempts {
    /// What `subject` may try at `now`.
    pub fn admission(&self, subject: &Subject, now: Tick) -> Admission {
        let Some(record) = self.records.get(subject) else { return Admission::Free };
        let patience = subject.patience();
        let wait = patience.delay(record.failures).saturating_sub(now.since(record.last));
        match wait {
            Duration::ZERO => Admission::Free,
            wait if record.failures < patience.strict && record.hurried < patience.hurried => {
                Admission::Remembered(wait)
            }
            wait => Admission::Closed(wait),
        }
    }

    /// Counts a failure.
    pub fn failed(&mut self, subject: Subject, now: Tick) {
        if self.records.len() >= MAX_RECORDS && !self.records.contains_key(&subject) {
            self.forget(now);
        }
        let record = self.records.entry(subject).or_insert(Record { failures: 0, hurried: 0, last: now });
        let known = if now.since(record.last) > FORGOTTEN { 0 } else { record.failures };
        *record = Record { failures: known.saturating_add(1), hurried: 0, last: now };
    }

    /// Counts a try that should have waited.
    pub fn hurried(&mut self, subject: &Subject) {
        if let Some(record) = self.records.get_mut(subject) {
            record.hurried = record.hurried.saturating_add(1);
        }
    }

    /// Forgets the failures of somebody who has signed in.
    pub fn succeeded(&mut self, subject: &Subject) {
        self.records.remove(subject);
    }

    /// Makes room: old records go, then the half that failed least, so that a guesser is not forgotten for newcomers.
    fn forget(&mut self, now: Tick) {
        self.records.retain(|_, record| now.since(record.last) <= FORGOTTEN);
        if self.records.len() >= MAX_RECORDS {
            let mut order: Vec<(u32, Tick, Subject)> =
                self.records.iter().map(|(subject, record)| (record.failures, record.last, subject.clone())).collect();
            order.sort_unstable();
            for (_, _, subject) in order.into_iter().take(MAX_RECORDS / 2) {
                self.records.remove(&subject);
            }
        }
    }
}

impl Patience {
    fn delay(&self, failures: u32) -> Duration {
        match failures.checked_sub(self.free) {
            None => Duration::ZERO,
            Some(over) => Duration::from_secs(1 << over.min(16)).min(self.longest),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: Subject = Subject::Address(IpAddr::V4(std::net::Ipv4Addr::LOCALHOST));

    fn at(address: &str) -> Subject {
        Subject::address(address.parse().unwrap())
    }

    fn seconds(count: u64) -> Tick {
        Tick(count * 1000)
    }

    #[test]
    fn the_delay_grows_with_every_failure_and_ends_with_a_success() {
        let mut attempts = Attempts::default();
        let mut last = Duration::ZERO;
        for failure in 1..=40u32 {
            attempts.failed(HERE, seconds(10));
            let wait = match attempts.admission(&HERE, seconds(10)) {
                Admission::Free => Duration::ZERO,
                Admission::Remembered(wait) if failure < ADDRESS.strict => wait,
                Admission::Closed(wait) if failure >= ADDRESS.strict => wait,
                other => panic!("{failure}: {other:?}"),
            };
            assert_eq!(wait.is_zero(), failure < ADDRESS.free, "{failure}");
            assert!(wait >= last && wait <= ADDRESS.longest);
            last = wait;
        }
        assert_eq!(attempts.admission(&HERE, seconds(10 + 300)), Admission::Free);
        attempts.succeeded(&HERE);
        assert_eq!(attempts.admission(&HERE, seconds(10)), Admission::Free);
    }

    #[test]
    fn who_does_not_wait_can_not_guess_at_what_is_remembered_either() {
        let mut attempts = Attempts::default();
        (0..ADDRESS.free + 4).for_each(|_| attempts.failed(HERE, seconds(1)));
        for _ in 0..ADDRESS.hurried {
            assert!(matches!(attempts.admission(&HERE, seconds(1)), Admission::Remembered(_)));
            attempts.hurried(&HERE);
        }
        assert!(matches!(attempts.admission(&HERE, seconds(1)), Admission::Closed(_)));
        assert_eq!(attempts.admission(&HERE, seconds(60)), Admission::Free, "the wait is no longer than it was");
        attempts.failed(HERE, seconds(60));
        assert!(matches!(attempts.admission(&HERE, seconds(60)), Admission::Remembered(_)), "counted anew");
    }

    #[test]
    fn one_ipv6_network_is_one_client_and_others_are_not_held_up() {
        let mut attempts = Attempts::default();
        for host in 0..10 {
            attempts.failed(at(&format!("2001:db8::{host}")), seconds(1));
        }
        assert_ne!(attempts.admission(&at("2001:db8::ffff"), seconds(1)), Admission::Free);
        assert_eq!(attempts.admission(&at("2001:db8:0:1::1"), seconds(1)), Admission::Free);
    }

    #[test]
    fn an_account_guessed_at_from_many_addresses_waits_but_not_long_and_never_who_is_signed_in() {
        let mut attempts = Attempts::default();
        let account = Subject::Account("admin".into());
        for failure in 1..100_000u32 {
            attempts.failed(account.clone(), seconds(1));
            match attempts.admission(&account, seconds(1)) {
                Admission::Free => assert!(failure < ACCOUNT.free),
                Admission::Remembered(wait) => assert!(failure >= ACCOUNT.free && wait <= ACCOUNT.longest),
                Admission::Closed(_) => panic!("locked out"),
            }
        }
    }

    #[test]
    fn many_addresses_take_bounded_memory_and_a_guesser_is_not_forgotten() {
        let mut attempts = Attempts::default();
        for _ in 0..10 {
            attempts.failed(HERE, seconds(1));
        }
        for number in 0..3 * MAX_RECORDS as u32 {
            attempts.failed(Subject::Address(std::net::Ipv4Addr::from_bits(0x0A00_0000 + number).into()), seconds(1));
            attempts.failed(Subject::Account(number.to_string()), seconds(1));
        }
        assert!(attempts.records.len() <= MAX_RECORDS);
        assert_ne!(attempts.admission(&HERE, seconds(1)), Admission::Free);
    }
}
