//! A lock that is waited for until a deadline: whoever has it may do I/O, and nobody waits for him beyond his own limit.

use std::sync::{Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::locked;

/// The lock.
#[derive(Default)]
pub struct Turn {
    taken: Mutex<bool>,
    free: Condvar,
}

/// The held lock.
pub struct Held<'a>(&'a Turn);

impl Turn {
    /// Waits for the turn at most `limit`.
    pub fn take(&self, limit: Duration) -> Option<Held<'_>> {
        let end = Instant::now().checked_add(limit)?;
        let mut taken = locked(&self.taken);
        while *taken {
            let left = end.checked_duration_since(Instant::now())?;
            taken = self.free.wait_timeout(taken, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        *taken = true;
        Some(Held(self))
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        *locked(&self.0.taken) = false;
        self.0.free.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_turn_is_had_by_one_and_waited_for_until_the_limit() {
        let turn = Turn::default();
        let held = turn.take(Duration::ZERO);
        assert!(held.is_some() && turn.take(Duration::from_millis(5)).is_none());
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| turn.take(Duration::from_secs(60)).is_some());
            drop(held);
            assert!(waiting.join().unwrap());
        });
        assert!(turn.take(Duration::ZERO).is_some());
    }
}
