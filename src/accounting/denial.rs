//! Refusals as data: who was refused a seat, why, how often, and how many seats were held then. Equal refusals of one day
//! are one record that is counted, so that a client which asks again every second fills nothing.
//!
//! What a client says of itself is its word: names may be anything, so the number of records that wait to be written is bounded, and
//! each client has a share of a day's records and of those that are kept. Beyond it he is counted, without what he says of himself.

use core::net::{IpAddr, Ipv6Addr};
use std::collections::hash_map::{Entry, RandomState};
use std::collections::{HashMap, HashSet};
use std::fmt;
use std::hash::BuildHasher;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::seat::{Asker, SessionIdentity};
use crate::error::{Code, Error};
use crate::id::{Malformed, SeriesId, text_serde};
use crate::time::{DAY_MS, Time};

/// How many records wait to be written at most. Beyond it refusals are still counted, without telling who asked.
pub const WAITING: usize = 1024;
/// Different records that one client gets in a day: beyond it one of his address counts the others. A 1C server asks for all its
/// users from one address, so it is not small.
pub const DAILY_SHARE: usize = 500;
/// Records of the day that are remembered for that, of all clients; one takes about 10 bytes.
const MOST_MARKS: usize = 200_000;
/// How long a record is kept after its last refusal, in days.
pub const KEPT_DAYS: i64 = 90;
/// How many records are kept; of those who have the most the oldest go first, see [`excess`].
pub const KEPT: usize = 10_000;

/// What kind of seat was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SeatKind {
    /// A session's own, asked for by a process of the 1C server or of a web server.
    Server,
    /// That of a desktop computer's process, its own or its computer's.
    Desktop,
    /// That of a terminal client.
    Terminal,
    /// An external session's.
    External,
    /// Not told: too many different ones were refused at once.
    Several,
}

impl SeatKind {
    const ALL: [(SeatKind, &str); 5] = [
        (SeatKind::Server, "server"),
        (SeatKind::Desktop, "desktop"),
        (SeatKind::Terminal, "terminal"),
        (SeatKind::External, "external"),
        (SeatKind::Several, "several"),
    ];
}

impl From<&Asker> for SeatKind {
    fn from(asker: &Asker) -> SeatKind {
        match asker {
            Asker::Server => SeatKind::Server,
            Asker::Desktop(_) => SeatKind::Desktop,
            Asker::Terminal { .. } => SeatKind::Terminal,
            Asker::External => SeatKind::External,
        }
    }
}

impl fmt::Display for SeatKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(SeatKind::ALL.iter().find(|(kind, _)| kind == self).map_or("", |(_, name)| name))
    }
}

impl FromStr for SeatKind {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<SeatKind, Malformed> {
        let found = SeatKind::ALL.iter().find(|(_, name)| *name == text);
        found.map(|(kind, _)| *kind).ok_or(Malformed("a kind of seat"))
    }
}

text_serde!(SeatKind);

/// Who asked for a seat. Texts are empty when they aren't known.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Applicant {
    /// Kind of seat.
    pub kind: SeatKind,
    /// Address that the request came from.
    pub address: Option<IpAddr>,
    /// Name of the session's computer.
    pub computer: String,
    /// The session's user.
    pub user: String,
    /// The session's application.
    pub application: String,
}

impl Applicant {
    /// The applicant behind a claim.
    pub fn new(asker: &Asker, identity: SessionIdentity, address: Option<IpAddr>) -> Applicant {
        let (computer, user, application) = match identity {
            SessionIdentity::Infobase(session) => (session.computer, session.user, session.application),
            SessionIdentity::External(session) => (session.computer, session.user, session.application),
        };
        let address = address.map(|address| address.to_canonical());
        Applicant { kind: asker.into(), address, computer, user, application }
    }

    /// Stands for everybody, of an address where one is given, who finds no room for a record of his own.
    fn several(address: Option<IpAddr>) -> Applicant {
        let nobody = String::new;
        Applicant { kind: SeatKind::Several, address, computer: nobody(), user: nobody(), application: nobody() }
    }
}

/// What counts as one client: an IPv4 address, or the /64 network that one IPv6 client usually owns.
pub fn client_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) if !v6.is_loopback() => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() >> 64 << 64)),
        other => other,
    }
}

/// How many records each owner gives up so that `kept` are left in all, of owners with their numbers of records. Those who have
/// the most give first: who has no more than an equal share of `kept` gives none, whatever number others have.
pub fn excess<K>(mut owners: Vec<(K, u64)>, kept: u64) -> Vec<(K, u64)> {
    owners.sort_by_key(|(_, count)| *count);
    let (mut room, mut left) = (kept, owners.len() as u64);
    let mut out = Vec::new();
    for (owner, count) in owners {
        let share = count.min(room / left);
        (room, left) = (room - share, left - 1);
        if count > share {
            out.push((owner, count - share));
        }
    }
    out
}

/// A refusal, or several equal ones of the same day (UTC).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Denial {
    /// The series that was asked for.
    pub series: SeriesId,
    /// Who asked.
    pub applicant: Applicant,
    /// Why the last one was refused.
    pub error: Error,
    /// Seats held at the last one.
    pub held: u64,
    /// Seats that the pool had at the last one.
    pub total: u64,
    /// When it happened first on that day.
    pub first: Time,
    /// When it happened last.
    pub last: Time,
    /// How often, from 1.
    pub count: u64,
}

/// Number of the day that a refusal belongs to: days since 1970-01-01 UTC.
pub fn day_of(at: Time) -> i64 {
    at.0.div_euclid(DAY_MS)
}

/// Refusals that aren't written down yet.
#[derive(Debug, Default)]
pub struct Denials {
    waiting: HashMap<(i64, SeriesId, Code, Applicant), Counted>,
    shares: Shares,
}

/// Which records each client has got on the latest day, as hashes: they are taken away to be written, his share goes on.
#[derive(Debug, Default)]
struct Shares {
    day: i64,
    clients: HashMap<IpAddr, HashSet<u64>>,
    marks: usize,
    hasher: RandomState,
}

impl Shares {
    /// Whether a client may have a record of this key.
    fn admits(&mut self, client: IpAddr, key: &(i64, SeriesId, Code, Applicant)) -> bool {
        if key.0 > self.day {
            (self.day, self.marks) = (key.0, 0);
            self.clients.clear();
        }
        let mark = self.hasher.hash_one(key);
        let had = self.clients.get(&client);
        if had.is_some_and(|marks| marks.contains(&mark)) {
            return true;
        }
        let admitted = self.marks < MOST_MARKS && had.is_none_or(|marks| marks.len() < DAILY_SHARE);
        if admitted {
            self.clients.entry(client).or_default().insert(mark);
            self.marks += 1;
        }
        admitted
    }
}

#[derive(Debug)]
struct Counted {
    error: Error,
    held: u64,
    total: u64,
    first: Time,
    last: Time,
    count: u64,
}

impl Denials {
    /// Counts a refusal.
    pub fn add(&mut self, denial: Denial) {
        let Denial { series, applicant, error, held, total, first, last, count } = denial;
        let mut key = (day_of(last), series, error.code, applicant);
        // What could not be written comes back: such a record of several is none of theirs.
        if let Some(address) = key.3.address.filter(|_| key.3.kind != SeatKind::Several)
            && !self.shares.admits(client_of(address), &key)
        {
            key.3 = Applicant::several(Some(address));
        }
        if self.waiting.len() >= WAITING && !self.waiting.contains_key(&key) {
            key.3 = Applicant::several(None);
        }
        let news = Counted { error, held, total, first, last, count };
        match self.waiting.entry(key) {
            Entry::Vacant(place) => drop(place.insert(news)),
            Entry::Occupied(mut place) => place.get_mut().join(news),
        }
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Takes all that waits, in no order.
    pub fn take(&mut self) -> Vec<Denial> {
        let records = std::mem::take(&mut self.waiting).into_iter();
        let denial = |((_, series, _, applicant), counted): (_, Counted)| {
            let Counted { error, held, total, first, last, count } = counted;
            Denial { series, applicant, error, held, total, first, last, count }
        };
        records.map(denial).collect()
    }
}

impl Counted {
    fn join(&mut self, other: Counted) {
        if other.last >= self.last {
            (self.error, self.held, self.total, self.last) = (other.error, other.held, other.total, other.last);
        }
        self.first = self.first.min(other.first);
        self.count = self.count.saturating_add(other.count);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::{KeyId, RootHash};

    const SERIES: SeriesId = SeriesId { key_id: KeyId(0x672B), root: RootHash([1; 32]) };

    fn denial(code: Code, user: &str, at: i64) -> Denial {
        let applicant = Applicant { user: user.into(), kind: SeatKind::Server, ..Applicant::several(None) };
        let error = Error::new(code).with(at);
        Denial {
            series: SERIES,
            applicant,
            error,
            held: at as u64,
            total: 9,
            first: Time(at),
            last: Time(at),
            count: 1,
        }
    }

    #[test]
    fn equal_refusals_of_a_day_are_one_record_that_is_counted() {
        let mut denials = Denials::default();
        for at in [5, 9, 7] {
            denials.add(denial(Code::AllTaken, "Анна", at));
        }
        let taken = denials.take();
        let [one] = &taken[..] else { panic!("{taken:?}") };
        assert_eq!((one.first, one.last, one.count), (Time(5), Time(9), 3));
        assert_eq!((one.held, one.error.args[0].as_str()), (9, "9"), "what the last one met");
        assert!(denials.is_empty());
    }

    #[test]
    fn another_cause_person_or_day_is_another_record() {
        let mut denials = Denials::default();
        denials.add(denial(Code::AllTaken, "Анна", 0));
        denials.add(denial(Code::NoUsableKey, "Анна", 0));
        denials.add(denial(Code::AllTaken, "Борис", 0));
        denials.add(denial(Code::AllTaken, "Анна", DAY_MS));
        denials.add(denial(Code::AllTaken, "Анна", -1));
        assert_eq!(denials.take().len(), 5);
    }

    #[test]
    fn a_flood_of_names_is_counted_in_bounded_room() {
        let mut denials = Denials::default();
        for number in 0..3 * WAITING {
            denials.add(denial(Code::AllTaken, &number.to_string(), 0));
        }
        let taken = denials.take();
        assert_eq!(taken.len(), WAITING + 1);
        assert_eq!(taken.iter().map(|one| one.count).sum::<u64>(), 3 * WAITING as u64, "none is lost");
        assert_eq!(taken.iter().filter(|one| one.applicant.kind == SeatKind::Several).count(), 1);
    }

    fn of_address(last: u8, user: usize, at: i64) -> Denial {
        let mut denial = denial(Code::AllTaken, &user.to_string(), at);
        denial.applicant.address = Some(IpAddr::from([192, 0, 2, last]));
        denial
    }

    #[test]
    fn a_client_that_goes_on_and_on_is_counted_in_one_record_until_the_next_day() {
        let mut denials = Denials::default();
        let mut written = Vec::new();
        for user in 0..3 * DAILY_SHARE {
            denials.add(of_address(1, user, 0));
            // The share goes on when records are written meanwhile, as they are every few seconds.
            if user % 100 == 0 {
                written.extend(denials.take());
            }
        }
        denials.add(of_address(1, 7, 5));
        denials.add(of_address(2, 1, 0));
        denials.add(of_address(1, 4 * DAILY_SHARE, DAY_MS));
        // A record that could not be written comes back as it was.
        let last = denials.take();
        last.iter().for_each(|one| denials.add(one.clone()));
        assert_eq!(denials.take().len(), last.len());
        written.extend(last);
        let several: Vec<&Denial> = written.iter().filter(|one| one.applicant.kind == SeatKind::Several).collect();
        assert_eq!(several.iter().map(|one| one.count).sum::<u64>(), 2 * DAILY_SHARE as u64);
        assert!(several.iter().all(|one| one.applicant == Applicant::several(Some(IpAddr::from([192, 0, 2, 1])))));
        let named: HashSet<(i64, &Applicant)> =
            written.iter().filter(|one| !several.contains(one)).map(|one| (day_of(one.last), &one.applicant)).collect();
        assert_eq!(named.len(), DAILY_SHARE + 2, "another address, and another day");
        assert_eq!(written.iter().map(|one| one.count).sum::<u64>(), 3 * DAILY_SHARE as u64 + 3, "none is lost");
    }

    proptest::proptest! {
        /// Whatever one owner has, an equal share of what is kept is everybody else's.
        #[test]
        fn nobody_loses_records_to_another_who_has_more(
            counts in proptest::collection::vec(0..500_u64, 0..20), flood in 0..100_000_u64, kept in 0..2_000_u64,
        ) {
            let mut owners: Vec<(usize, u64)> = counts.into_iter().enumerate().collect();
            owners.push((usize::MAX, flood));
            let (all, share) = (owners.iter().map(|(_, count)| count).sum::<u64>(), kept / owners.len() as u64);
            let given: HashMap<usize, u64> = excess(owners.clone(), kept).into_iter().collect();
            let lost = |owner: &usize| given.get(owner).copied().unwrap_or(0);
            assert_eq!(given.values().sum::<u64>(), all.saturating_sub(kept));
            for (owner, count) in &owners {
                assert!(lost(owner) <= count.saturating_sub(share), "{owner} of {count} gives {}", lost(owner));
                for (other, more) in &owners {
                    let (left, others) = (count - lost(owner), more - lost(other));
                    assert!(more <= count || others >= left, "who has more keeps as much at least: {left} {others}");
                }
            }
        }

        /// Whatever claims come from one address, in whatever order with another's, the other's records are all there.
        #[test]
        fn no_flood_of_one_address_hides_a_record_of_another(
            flood in proptest::collection::vec((0..5_000_usize, 0..3_i64), 0..3_000),
            others in proptest::collection::vec(0..300_usize, 1..300),
        ) {
            let mut denials = Denials::default();
            let mut others = others.into_iter();
            let mut expected = HashSet::new();
            for (user, day) in flood {
                denials.add(of_address(1, user, day * DAY_MS));
                if let Some(user) = others.next() {
                    denials.add(of_address(2, user, 5 * DAY_MS));
                    expected.insert(user.to_string());
                }
            }
            let found: HashSet<String> = denials.take().into_iter()
                .filter(|one| one.applicant.address == Some(IpAddr::from([192, 0, 2, 2])))
                .map(|one| one.applicant.user)
                .collect();
            assert_eq!(found, expected);
        }
    }

    #[test]
    fn a_kind_of_seat_reads_back_from_its_text() {
        for (kind, name) in SeatKind::ALL {
            assert_eq!((kind.to_string().as_str(), name.parse()), (name, Ok(kind)));
        }
        assert!("".parse::<SeatKind>().is_err());
    }
}
