//! Usage over time: how many seats of a series were held and how many there were, as mean and peak of five minutes, an hour,
//! a day. One sample is added to all three at once, so nothing is rolled up later and nothing can be counted twice.
//!
//! Intervals begin at whole multiples of their length since 1970 UTC; a day is a day of UTC.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::id::SeriesId;
use crate::time::{DAY_MS, Time};

/// How often the book is sampled.
pub const SAMPLED_EVERY: Duration = Duration::from_secs(10);
/// What is too old is removed once per this time, by the tick clock.
pub const TRIMMED_EVERY: Duration = Duration::from_secs(3600);
/// How many intervals wait to be written at most; beyond it samples of new intervals are dropped.
const WAITING: usize = 16_384;

/// Length of an interval.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Grain {
    /// Five minutes.
    FiveMinutes,
    /// An hour.
    Hour,
    /// A day of UTC.
    Day,
}

impl Grain {
    /// All of them, the shortest first.
    pub const ALL: [Grain; 3] = [Grain::FiveMinutes, Grain::Hour, Grain::Day];

    /// Its length in milliseconds.
    pub fn span(self) -> i64 {
        match self {
            Grain::FiveMinutes => 300_000,
            Grain::Hour => 3_600_000,
            Grain::Day => DAY_MS,
        }
    }

    /// The grain of that length in milliseconds.
    pub fn of_span(span: i64) -> Option<Grain> {
        Grain::ALL.into_iter().find(|grain| grain.span() == span)
    }

    /// How long its intervals are kept: 7 days, 90 days, 5 years; in milliseconds.
    pub fn kept(self) -> i64 {
        match self {
            Grain::FiveMinutes => 7 * DAY_MS,
            Grain::Hour => 90 * DAY_MS,
            Grain::Day => (5 * 365 + 2) * DAY_MS,
        }
    }

    /// The beginning of the interval that `at` lies in.
    pub fn start(self, at: Time) -> Time {
        Time(at.0.saturating_sub(at.0.rem_euclid(self.span())))
    }
}

/// Seats of a series at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Sample {
    /// Seats held now.
    pub used: u64,
    /// Most seats held at any moment since the sample before.
    pub peak: u64,
    /// Seats of all usable keys now.
    pub total: u64,
}

/// What an interval has seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Seen {
    /// Number of samples.
    pub samples: u64,
    /// Sum of seats held.
    pub used: u64,
    /// Most seats held at any moment.
    pub used_peak: u64,
    /// Sum of seats that there were.
    pub total: u64,
    /// Most seats that there were.
    pub total_peak: u64,
}

impl Seen {
    /// Adds what was seen in another part of the same interval.
    pub fn add(&mut self, other: Seen) {
        self.samples = self.samples.saturating_add(other.samples);
        self.used = self.used.saturating_add(other.used);
        self.used_peak = self.used_peak.max(other.used_peak);
        self.total = self.total.saturating_add(other.total);
        self.total_peak = self.total_peak.max(other.total_peak);
    }

    /// Mean of seats held; 0 without samples.
    pub fn mean_used(&self) -> f64 {
        mean(self.used, self.samples)
    }

    /// Mean of seats that there were; 0 without samples.
    pub fn mean_total(&self) -> f64 {
        mean(self.total, self.samples)
    }
}

fn mean(sum: u64, samples: u64) -> f64 {
    if samples == 0 { 0.0 } else { sum as f64 / samples as f64 }
}

impl From<Sample> for Seen {
    fn from(sample: Sample) -> Seen {
        let Sample { used, peak, total } = sample;
        Seen { samples: 1, used, used_peak: peak.max(used), total, total_peak: total }
    }
}

/// One interval of a series, or the part of it that isn't written down yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Interval {
    /// The series.
    pub series: SeriesId,
    /// Its length.
    pub grain: Grain,
    /// When it begins.
    pub start: Time,
    /// What it has seen.
    pub seen: Seen,
}

/// Samples that aren't written down yet.
#[derive(Debug, Default)]
pub struct History {
    waiting: BTreeMap<(Grain, Time, SeriesId), Seen>,
}

impl History {
    /// Adds a sample to the intervals that it lies in.
    pub fn sample(&mut self, series: SeriesId, sample: Sample, at: Time) {
        for grain in Grain::ALL {
            self.add(Interval { series, grain, start: grain.start(at), seen: sample.into() });
        }
    }

    /// Adds what an interval has seen.
    pub fn add(&mut self, part: Interval) {
        let key = (part.grain, part.start, part.series);
        if self.waiting.len() < WAITING || self.waiting.contains_key(&key) {
            self.waiting.entry(key).or_default().add(part.seen);
        }
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Whether five minutes are over that are not written down.
    pub fn is_due(&self, now: Time) -> bool {
        let current = Grain::FiveMinutes.start(now);
        // The shortest intervals come first in the map.
        self.waiting
            .keys()
            .take_while(|(grain, ..)| *grain == Grain::FiveMinutes)
            .any(|(_, start, _)| *start != current)
    }

    /// Takes all that waits.
    pub fn take(&mut self) -> Vec<Interval> {
        let waiting = std::mem::take(&mut self.waiting).into_iter();
        waiting.map(|((grain, start, series), seen)| Interval { series, grain, start, seen }).collect()
    }
}

/// The moment by which ages are judged when old records are removed: now, but each time at most twice [`TRIMMED_EVERY`] later
/// than the time before, so that a clock set years ahead does not remove the whole history.
pub fn trimming_moment(before: Option<Time>, now: Time) -> Time {
    before.map_or(now, |before| now.min(before.plus(TRIMMED_EVERY.saturating_mul(2))))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::id::{KeyId, RootHash};

    fn series(number: u16) -> SeriesId {
        SeriesId { key_id: KeyId(number), root: RootHash([1; 32]) }
    }

    #[derive(Debug, Clone, Copy)]
    struct Taken {
        series: u16,
        at: i64,
        sample: Sample,
    }

    fn taken() -> impl Strategy<Value = Taken> {
        let at = -2 * DAY_MS..2 * DAY_MS;
        (0u16..3, at, 0u64..50, 0u64..50, 0u64..50).prop_map(|(series, at, used, more, total)| Taken {
            series,
            at,
            sample: Sample { used, peak: used + more, total },
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn mean_and_peak_are_those_of_a_naive_computation(
            all in prop::collection::vec(taken(), 1..200),
            cuts in prop::collection::vec(1usize..40, 0..10),
        ) {
            // Written in parts, as flushes and restarts cut it: the sum of the parts is what is kept.
            let mut kept: BTreeMap<(Grain, Time, SeriesId), Seen> = BTreeMap::new();
            let mut history = History::default();
            let mut cuts = cuts.into_iter();
            let mut left = cuts.next();
            for one in &all {
                history.sample(series(one.series), one.sample, Time(one.at));
                left = left.map(|left| left - 1);
                if left == Some(0) {
                    for part in history.take() {
                        kept.entry((part.grain, part.start, part.series)).or_default().add(part.seen);
                    }
                    left = cuts.next();
                }
            }
            for part in history.take() {
                kept.entry((part.grain, part.start, part.series)).or_default().add(part.seen);
            }
            let mut intervals = 0;
            for grain in Grain::ALL {
                for number in 0..3 {
                    let starts: std::collections::BTreeSet<i64> = all.iter().filter(|one| one.series == number)
                        .map(|one| one.at.div_euclid(grain.span()) * grain.span()).collect();
                    for start in starts {
                        intervals += 1;
                        let within = || all.iter()
                            .filter(|one| one.series == number && (start..start + grain.span()).contains(&one.at))
                            .map(|one| one.sample);
                        let count = within().count();
                        let mean = |of: fn(Sample) -> u64| within().map(of).sum::<u64>() as f64 / count as f64;
                        let seen = kept[&(grain, Time(start), series(number))];
                        prop_assert_eq!(seen.samples, count as u64);
                        prop_assert_eq!(Some(seen.used_peak), within().map(|sample| sample.peak).max());
                        prop_assert_eq!(Some(seen.total_peak), within().map(|sample| sample.total).max());
                        prop_assert_eq!(seen.mean_used(), mean(|sample| sample.used));
                        prop_assert_eq!(seen.mean_total(), mean(|sample| sample.total));
                    }
                }
            }
            prop_assert_eq!(kept.len(), intervals);
        }
    }

    #[test]
    fn five_minutes_are_due_when_they_are_over_or_the_clock_went_back() {
        let mut history = History::default();
        assert!(!history.is_due(Time(0)));
        history.sample(series(1), Sample::default(), Time(299_999));
        assert!(!history.is_due(Time(0)) && !history.is_due(Time(299_999)));
        assert!(history.is_due(Time(300_000)) && history.is_due(Time(-1)));
    }

    #[test]
    fn a_clock_set_ahead_removes_two_hours_at_a_time() {
        let hour = Grain::Hour.span();
        assert_eq!(trimming_moment(None, Time(5 * hour)), Time(5 * hour));
        assert_eq!(trimming_moment(Some(Time(0)), Time(hour)), Time(hour));
        assert_eq!(trimming_moment(Some(Time(0)), Time(10_000 * hour)), Time(2 * hour));
        assert_eq!(trimming_moment(Some(Time(10 * hour)), Time(hour)), Time(hour));
    }
}
