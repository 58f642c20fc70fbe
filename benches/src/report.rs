//! What was measured: a list of names with values, printed as it grows, and the bounds that it must reach.

use std::time::Duration;

use serde::Serialize;

use crate::Outcome;
use crate::load::Measured;

/// The figures of one run.
#[derive(Default)]
pub struct Report {
    figures: Vec<Figure>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
struct Figure {
    name: String,
    value: f64,
    unit: &'static str,
}

/// keygen-relay, an open licence server over SQLite, on such a machine: claims per second of 64 connections.
const PEER_CLAIMS: f64 = 338.0;

/// What a figure must be.
#[derive(Clone, Copy)]
enum Bound {
    AtLeast(f64),
    Under(f64),
}

/// One bound: its name, its value by the figures, what it must be.
type Target = (&'static str, fn(&Report) -> Option<f64>, Bound);

/// The bounds that the project has set itself, for two processors that client and server share.
const TARGETS: &[Target] = &[
    (
        "durable grants at 64 connections, times bare commits",
        |r| r.ratio("grants.64.rate", "commits.rate"),
        Bound::AtLeast(3.0),
    ),
    (
        "grants at 8 to 256 connections, the slowest, times those at one",
        |r| {
            let slowest = ["grants.8.rate", "grants.64.rate", "grants.256.rate"].map(|name| r.get(name));
            let slowest = slowest.into_iter().collect::<Option<Vec<f64>>>()?.into_iter().fold(f64::MAX, f64::min);
            Some(slowest / r.get("grants.1.rate")?)
        },
        Bound::AtLeast(1.0),
    ),
    ("grants at 64 connections, 99th percentile, ms", |r| r.get("grants.64.p99"), Bound::Under(20.0)),
    (
        "grants at 64 connections, times keygen-relay's",
        |r| Some(r.get("grants.64.rate")? / PEER_CLAIMS),
        Bound::AtLeast(20.0),
    ),
    (
        "heartbeats at 64 connections, times a bare handler's answers",
        |r| r.ratio("heartbeats.64.rate", "bare.64.rate"),
        Bound::AtLeast(0.5),
    ),
    (
        "heartbeats at 64 connections while 256 claim, times a bare handler's answers",
        |r| r.ratio("claiming.heartbeats.rate", "claiming.bare.rate"),
        Bound::AtLeast(0.5),
    ),
    (
        "signed GET /api/licences/{KeyNo} at 64 connections, times signatures alone",
        |r| r.ratio("signed.answers.rate", "signed.plain.rate"),
        Bound::AtLeast(0.8),
    ),
    (
        "activations at the centre at 64 connections, times RSA signatures alone",
        |r| r.ratio("centre.activations.rate", "centre.signatures.rate"),
        Bound::AtLeast(0.6),
    ),
    (
        "instructions of a grant with 100 000 held seats, times those of one with 100",
        |r| r.ratio("cost.100000.instructions", "cost.100.instructions"),
        Bound::Under(1.2),
    ),
    (
        "100 000 sessions, resident MB",
        |r| Some(r.get("sessions.resident")?.max(r.get("sessions.restarted")?)),
        Bound::Under(200.0),
    ),
    ("100 000 sessions, s until a restarted server answers", |r| r.get("sessions.start"), Bound::Under(1.0)),
    (
        "a fresh request among 6 500 slow and idle clients, 99th percentile, ms",
        |r| r.get("siege.fresh.p99"),
        Bound::Under(50.0),
    ),
    ("6 500 slow and idle clients that are still there", |r| r.get("siege.besiegers"), Bound::AtLeast(6500.0)),
    ("6 500 slow and idle clients, resident MB", |r| r.get("siege.resident"), Bound::Under(150.0)),
    (
        "a protected object of 10 MB, times the bare cipher",
        |r| r.ratio("objects.open", "objects.cipher"),
        Bound::Under(2.0),
    ),
    (
        "the same in new memory, times a copy and the bare cipher there",
        |r| r.ratio("objects.open_anew", "objects.cipher_anew"),
        Bound::Under(2.0),
    ),
];

impl Bound {
    fn holds(self, value: f64) -> bool {
        match self {
            Bound::AtLeast(least) => value >= least,
            Bound::Under(most) => value < most,
        }
    }
}

impl Report {
    /// Adds a figure.
    pub fn add(&mut self, name: impl Into<String>, value: f64, unit: &'static str) {
        let name = name.into();
        println!("  {name:<36} {:>12} {unit}", shown(value));
        self.figures.push(Figure { name, value, unit });
    }

    /// Adds rate and latencies.
    pub fn measured(&mut self, name: &str, measured: &Measured) {
        let latency = |share| measured.percentile(share);
        let all = [
            ("rate", measured.rate(), "1/s"),
            ("p50", latency(0.5), "ms"),
            ("p99", latency(0.99), "ms"),
            ("max", latency(1.0), "ms"),
        ];
        println!(
            "  {name:<24} {:>9} 1/s   p50 {:>8} ms   p99 {:>8} ms   max {:>8} ms",
            shown(all[0].1),
            shown(all[1].1),
            shown(all[2].1),
            shown(all[3].1)
        );
        self.figures.extend(all.map(|(part, value, unit)| Figure { name: format!("{name}.{part}"), value, unit }));
    }

    /// Adds the processor time of a server for each of `count` answers, as far as the system tells it.
    pub fn processor(&mut self, name: &str, before: Option<Duration>, after: Option<Duration>, count: usize) {
        if let (Some(before), Some(after)) = (before, after) {
            let each = after.saturating_sub(before).as_secs_f64() * 1e6 / count.max(1) as f64;
            self.add(format!("{name}.processor"), each, "µs");
        }
    }

    /// The figure of this name; the median if it was measured several times.
    fn get(&self, name: &str) -> Option<f64> {
        let found = self.figures.iter().filter(|figure| figure.name == name);
        median(found.map(|figure| figure.value).collect())
    }

    fn ratio(&self, over: &str, under: &str) -> Option<f64> {
        Some(self.get(over)? / self.get(under)?)
    }

    /// Says of each bound whether it was reached, as far as it was measured.
    pub fn print_targets(&self) {
        println!("bounds");
        for (name, value, bound) in TARGETS {
            let Some(value) = value(self) else { continue };
            let verdict = if bound.holds(value) { "pass" } else { "MISS" };
            let (word, limit) = match bound {
                Bound::AtLeast(limit) => ("at least", limit),
                Bound::Under(limit) => ("under", limit),
            };
            println!("  {verdict}  {:>9}  {word} {limit:<5}  {name}", shown(value));
        }
    }

    /// The figures as a JSON list, each name once.
    pub fn json(&self) -> Outcome<String> {
        let mut list: Vec<Figure> = Vec::new();
        for figure in &self.figures {
            if !list.iter().any(|known| known.name == figure.name) {
                list.push(Figure { value: self.get(&figure.name).unwrap_or(figure.value), ..figure.clone() });
            }
        }
        Ok(serde_json::to_string_pretty(&list)?)
    }
}

/// The middle one, or the mean of the two in the middle.
pub fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let upper = *values.get(values.len() / 2)?;
    let lower = *values.get((values.len() - 1) / 2)?;
    Some((lower + upper) / 2.0)
}

fn shown(value: f64) -> String {
    if value >= 1000.0 { format!("{value:.0}") } else { format!("{value:.3}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_measured_several_times_counts_by_its_median() {
        let mut report = Report::default();
        for value in [1.0, 9.0, 2.0] {
            report.add("commits.rate", value, "1/s");
        }
        report.add("grants.64.rate", 8.0, "1/s");
        assert_eq!(report.ratio("grants.64.rate", "commits.rate"), Some(4.0));
        assert_eq!(report.ratio("grants.64.rate", "absent"), None);
        let list: serde_json::Value = serde_json::from_str(&report.json().unwrap()).unwrap();
        assert_eq!(list[0], serde_json::json!({ "name": "commits.rate", "value": 2.0, "unit": "1/s" }));
        assert_eq!(list.as_array().unwrap().len(), 2);
        assert_eq!(median(vec![4.0, 1.0]), Some(2.5));
    }

    #[test]
    fn a_bound_is_reached_or_missed() {
        assert!(Bound::AtLeast(3.0).holds(3.0) && !Bound::AtLeast(3.0).holds(2.9));
        assert!(Bound::Under(1.0).holds(0.9) && !Bound::Under(1.0).holds(1.0));
    }
}
