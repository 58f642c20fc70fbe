//! Closed-loop load: each connection sends its next request when the last one is answered. Requests are made before the clock
//! starts, and answers are looked at after it stops.

use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use crate::Outcome;
use crate::wire::{Answer, Wire};

/// A connection and what it will ask.
pub struct Job {
    /// The connection.
    pub wire: Wire,
    /// Its requests, in order.
    pub requests: Vec<Vec<u8>>,
}

/// A connection and what it was answered.
pub struct Done {
    /// The connection.
    pub wire: Wire,
    /// Answers to the first of its requests: as many as there was time for.
    pub answers: Vec<Answer>,
    times: Vec<Duration>,
}

/// What was measured.
#[derive(Debug, Clone, PartialEq)]
pub struct Measured {
    /// Answers.
    pub count: usize,
    /// From the first request to the last answer.
    pub elapsed: Duration,
    /// Time of each exchange, ascending.
    times: Vec<Duration>,
}

impl Measured {
    /// Of exchanges with these times.
    pub fn new(elapsed: Duration, mut times: Vec<Duration>) -> Measured {
        times.sort_unstable();
        Measured { count: times.len(), elapsed, times }
    }

    /// Answers per second.
    pub fn rate(&self) -> f64 {
        self.count as f64 / self.elapsed.as_secs_f64().max(f64::EPSILON)
    }

    /// Time within which this share of the answers came, 0.0 to 1.0, in milliseconds.
    pub fn percentile(&self, share: f64) -> f64 {
        let rank = (share * self.times.len() as f64).ceil() as usize;
        self.times.get(rank.saturating_sub(1)).map_or(0.0, |time| time.as_secs_f64() * 1000.0)
    }
}

/// Lets all jobs run at once, and starts no request after `limit`.
pub async fn run(jobs: Vec<Job>, limit: Duration) -> Outcome<(Measured, Vec<Done>)> {
    let mut tasks = JoinSet::new();
    // The runtime has one thread: no task starts before this one waits.
    let start = Instant::now();
    for (place, job) in jobs.into_iter().enumerate() {
        tasks.spawn(async move { (place, one(job, start + limit).await) });
    }
    let mut places = Vec::new();
    while let Some(ended) = tasks.join_next().await {
        let (place, done) = ended?;
        places.push((place, done?));
    }
    let elapsed = start.elapsed();
    places.sort_unstable_by_key(|(place, _)| *place);
    let mut times = Vec::new();
    let done = places.into_iter().map(|(_, mut done)| {
        times.append(&mut done.times);
        done
    });
    let done = done.collect();
    Ok((Measured::new(elapsed, times), done))
}

async fn one(job: Job, end: Instant) -> Outcome<Done> {
    let Job { mut wire, requests } = job;
    let mut answers = Vec::with_capacity(requests.len());
    let mut times = Vec::with_capacity(requests.len());
    let mut sent = Instant::now();
    for request in requests {
        if sent >= end {
            break;
        }
        answers.push(wire.exchange(&request).await?);
        let now = Instant::now();
        times.push(now - sent);
        sent = now;
    }
    Ok(Done { wire, answers, times })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_times_of_real_exchanges() {
        let times = (1..=200).rev().map(Duration::from_millis).collect();
        let measured = Measured::new(Duration::from_secs(2), times);
        assert_eq!((measured.count, measured.rate()), (200, 100.0));
        assert_eq!([0.5, 0.99, 1.0].map(|share| measured.percentile(share)), [100.0, 198.0, 200.0]);
        assert_eq!(Measured::new(Duration::ZERO, Vec::new()).percentile(0.99), 0.0);
    }
}
