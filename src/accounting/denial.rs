//! Refusals as data: who was refused a seat, why, how often, and how many seats were held then. Equal refusals of one day
//! are one record that is counted, so that a client which asks again every second fills nothing.
//!
//! What a client says of itself is its word: names may be anything, so the number of records that wait to be written is bounded.

use core::net::IpAddr;
use std::collections::HashMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::seat::{Asker, SessionIdentity};
use crate::error::{Code, Error};
use crate::id::{Malformed, SeriesId, text_serde};
use crate::time::{DAY_MS, Time};

/// How many records wait to be written at most. Beyond it refusals are still counted, without telling who asked.
pub const WAITING: usize = 1024;
/// How long a record is kept after its last refusal, in days.
pub const KEPT_DAYS: i64 = 90;
/// How many records are kept; the oldest go first.
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

    /// Stands for everybody who finds no room among those that wait to be written.
    fn several() -> Applicant {
        let nobody = String::new;
        Applicant { kind: SeatKind::Several, address: None, computer: nobody(), user: nobody(), application: nobody() }
    }
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
        if self.waiting.len() >= WAITING && !self.waiting.contains_key(&key) {
            key.3 = Applicant::several();
        }
        let news = Counted { error, held, total, first, last, count };
        match self.waiting.entry(key) {
            std::collections::hash_map::Entry::Vacant(place) => drop(place.insert(news)),
            std::collections::hash_map::Entry::Occupied(mut place) => place.get_mut().join(news),
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
        let applicant = Applicant { user: user.into(), kind: SeatKind::Server, ..Applicant::several() };
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

    #[test]
    fn a_kind_of_seat_reads_back_from_its_text() {
        for (kind, name) in SeatKind::ALL {
            assert_eq!((kind.to_string().as_str(), name.parse()), (name, Ok(kind)));
        }
        assert!("".parse::<SeatKind>().is_err());
    }
}
