//! Time as the rules see it: the wall clock judges periods of keys, the tick clock runs leases.
//! Clocks are given from outside; [`crate::host::clock`] has the machine's.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::id::{Malformed, text_serde};

/// A moment of the wall clock: milliseconds since 1970-01-01 UTC.
///
/// Written as the guide does: ISO 8601, UTC, milliseconds (`2018-04-02T20:41:13.272Z`).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Time(pub i64);

/// Milliseconds in a day.
pub const DAY_MS: i64 = 86_400_000;

impl Time {
    /// This moment moved by `days`; stays within the range of `i64`.
    pub fn plus_days(self, days: i64) -> Time {
        Time(self.0.saturating_add(days.saturating_mul(DAY_MS)))
    }

    /// Days from this moment to `end`, counted in 24 hours whatever the time zone: a day begun counts, and there are never
    /// less than none.
    pub fn days_to(self, end: Time) -> u32 {
        let left = u64::try_from(end.0.saturating_sub(self.0)).unwrap_or(0);
        u32::try_from(left.div_ceil(DAY_MS.unsigned_abs())).unwrap_or(u32::MAX)
    }

    /// This moment moved forward by `span`.
    pub fn plus(self, span: Duration) -> Time {
        Time(self.0.saturating_add(i64::try_from(span.as_millis()).unwrap_or(i64::MAX)))
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_millisecond(self.0) {
            Ok(stamp) => write!(f, "{stamp:.3}"),
            Err(_) => write!(f, "{}", jiff::Timestamp::MAX),
        }
    }
}

impl fmt::Debug for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl FromStr for Time {
    type Err = Malformed;

    /// Reads ISO 8601 with an offset; without one the time is taken as UTC, and a bare date as its midnight.
    fn from_str(text: &str) -> Result<Time, Malformed> {
        let text = text.trim();
        let wrong = Malformed("a time: ISO 8601 is expected, as 2018-04-02T20:41:13.272Z");
        if let Ok(stamp) = text.parse::<jiff::Timestamp>() {
            return Ok(Time(stamp.as_millisecond()));
        }
        let civil = text.parse::<jiff::civil::DateTime>().map_err(|_| wrong.clone())?;
        jiff::tz::TimeZone::UTC.to_timestamp(civil).map(|stamp| Time(stamp.as_millisecond())).map_err(|_| wrong)
    }
}

text_serde!(Time, "date-time");

/// A moment of the machine's tick clock in milliseconds: never goes back while the process lives, means nothing outside it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tick(pub u64);

impl Tick {
    /// This tick moved forward by `span`.
    pub fn plus(self, span: Duration) -> Tick {
        Tick(self.0.saturating_add(u64::try_from(span.as_millis()).unwrap_or(u64::MAX)))
    }

    /// Time from `earlier` to this tick; zero when `earlier` is later.
    pub fn since(self, earlier: Tick) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}

/// Both clocks, read together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// The wall clock.
    pub wall: Time,
    /// The tick clock.
    pub tick: Tick,
}

/// Where the two clocks are read: the machine's own, or a test's.
pub trait Clock: Send + Sync {
    /// Both clocks now.
    fn now(&self) -> Moment;

    /// The system's own count of time, where it has one that outlives a process.
    fn uptime(&self) -> Option<Uptime> {
        None
    }
}

/// When something must be over, on a clock that counts time asleep.
#[derive(Clone)]
pub struct Deadline {
    clock: Arc<dyn Clock>,
    end: Tick,
}

impl Deadline {
    /// `limit` from now.
    pub fn within(limit: Duration, clock: &Arc<dyn Clock>) -> Deadline {
        Deadline { clock: Arc::clone(clock), end: clock.now().tick.plus(limit) }
    }

    /// Time left.
    pub fn left(&self) -> Duration {
        self.end.since(self.clock.now().tick)
    }

    /// Whether there is no time left.
    pub fn is_over(&self) -> bool {
        self.left().is_zero()
    }

    /// This deadline or `limit` from now, whichever comes first.
    pub fn at_most(&self, limit: Duration) -> Deadline {
        let end = self.end.min(self.clock.now().tick.plus(limit));
        Deadline { clock: Arc::clone(&self.clock), end }
    }
}

/// How long the system has been up, time asleep included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Uptime {
    /// Tells one start of the system from another.
    pub boot: u64,
    /// Milliseconds since that start.
    pub passed_ms: u64,
}

impl Uptime {
    /// Time since `then`; `None` if the system was started anew, or if its count went back.
    pub fn since(self, then: Uptime) -> Option<Duration> {
        let passed = self.passed_ms.checked_sub(then.passed_ms)?;
        (self.boot == then.boot).then(|| Duration::from_millis(passed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_is_written_as_the_guide_does() {
        assert_eq!(Time(1_522_701_673_272).to_string(), "2018-04-02T20:41:13.272Z");
        assert_eq!(Time(1_522_701_673_000).to_string(), "2018-04-02T20:41:13.000Z");
    }

    #[test]
    fn time_is_read_with_an_offset_or_taken_as_utc() {
        let at: Time = "2020-01-01T12:52:20Z".parse().unwrap();
        assert_eq!("2020-01-01T12:52:20".parse::<Time>().unwrap(), at);
        assert_eq!("2020-01-01T15:52:20+03:00".parse::<Time>().unwrap(), at);
        assert_eq!("2020-01-01".parse::<Time>().unwrap().to_string(), "2020-01-01T00:00:00.000Z");
        for text in ["", "yesterday", "2020-13-01T00:00:00Z", "2020-01-01T25:00"] {
            assert!(text.parse::<Time>().is_err(), "{text}");
        }
    }

    #[test]
    fn extreme_times_neither_panic_nor_wrap() {
        assert!(!Time(i64::MAX).to_string().is_empty());
        assert_eq!(Time(i64::MAX).plus_days(1), Time(i64::MAX));
        assert_eq!(Tick(5).since(Tick(9)), Duration::ZERO);
    }
}
