//! Pairs of name and password that were found wrong, in memory only and never as text. Whoever sends one again, as a monitor with a
//! stale password does for days, has guessed nothing anew: he is refused without a hash, and nobody else at his address has to
//! wait for it. What is new is counted as ever, so guessing costs what it did.

use std::collections::HashMap;
use std::time::Duration;

use licence::time::Tick;

const MAX_PAIRS: usize = 4096;
/// Repetitions that are answered as the first one was; later ones are asked to slow down.
const FREE: u32 = 5;
const LATER: Duration = Duration::from_secs(60);

#[derive(Debug, Clone, Copy)]
struct Pair {
    repeats: u32,
    last: Tick,
}

/// The pairs, by the guard's mark of them: a changed password or another address makes another mark.
#[derive(Debug, Default)]
pub struct Wrong(HashMap<[u8; 32], Pair>);

impl Wrong {
    /// Notes a pair that was found wrong at `now`. The one that was sent longest ago makes room.
    pub fn note(&mut self, mark: [u8; 32], now: Tick) {
        if self.0.len() >= MAX_PAIRS
            && !self.0.contains_key(&mark)
            && let Some(oldest) = self.0.iter().min_by_key(|(_, pair)| pair.last).map(|(mark, _)| *mark)
        {
            self.0.remove(&oldest);
        }
        self.0.entry(mark).or_insert(Pair { repeats: 0, last: now });
    }

    /// Whether the pair is known to be wrong, and if so how long its sender should wait.
    pub fn again(&mut self, mark: &[u8; 32], now: Tick) -> Option<Duration> {
        let pair = self.0.get_mut(mark)?;
        *pair = Pair { repeats: pair.repeats.saturating_add(1), last: now };
        Some(if pair.repeats < FREE { Duration::ZERO } else { LATER })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mark(number: u64) -> [u8; 32] {
        let mut mark = [0; 32];
        mark[..8].copy_from_slice(&number.to_be_bytes());
        mark
    }

    #[test]
    fn what_is_sent_again_and_again_is_kept_in_bounded_memory() {
        let mut wrong = Wrong::default();
        assert_eq!(wrong.again(&mark(0), Tick(1)), None);
        wrong.note(mark(0), Tick(1));
        let waits: Vec<bool> = (0..7).map(|_| wrong.again(&mark(0), Tick(1)).unwrap().is_zero()).collect();
        assert_eq!(waits, [true, true, true, true, false, false, false]);
        for number in 1..3 * MAX_PAIRS as u64 {
            wrong.note(mark(number), Tick(number));
            assert!(wrong.again(&mark(0), Tick(number)).is_some(), "{number}");
        }
        assert!(wrong.0.len() <= MAX_PAIRS && wrong.again(&mark(1), Tick(0)).is_none());
    }
}
