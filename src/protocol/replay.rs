//! The replay window: which message numbers were seen. Calls run in parallel, so numbers arrive out of order.

/// How far behind the highest number a message may be.
pub const WIDTH: u64 = 1024;
const WORDS: usize = (WIDTH / 64) as usize;

/// A sliding window over message numbers.
#[derive(Debug)]
pub struct ReplayWindow {
    /// One more than the highest number seen.
    next: u64,
    seen: [u64; WORDS],
}

impl ReplayWindow {
    /// A window that has seen nothing.
    pub fn new() -> ReplayWindow {
        ReplayWindow { next: 0, seen: [0; WORDS] }
    }

    /// Whether `number` was not seen and is not too old to tell.
    pub fn is_fresh(&self, number: u64) -> bool {
        number != u64::MAX && number.saturating_add(WIDTH) >= self.next && (number >= self.next || !self.is_set(number))
    }

    /// Marks `number` as seen; false when it was not fresh.
    pub fn mark(&mut self, number: u64) -> bool {
        if !self.is_fresh(number) {
            return false;
        }
        if number >= self.next {
            let skipped = number - self.next;
            for gone in 0..skipped.min(WIDTH) {
                self.clear(self.next.wrapping_add(gone));
            }
            if skipped >= WIDTH {
                self.seen = [0; WORDS];
            }
            self.next = number + 1;
        }
        self.seen[word(number)] |= bit(number);
        true
    }

    fn is_set(&self, number: u64) -> bool {
        self.seen[word(number)] & bit(number) != 0
    }

    fn clear(&mut self, number: u64) {
        self.seen[word(number)] &= !bit(number);
    }
}

fn word(number: u64) -> usize {
    (number / 64) as usize % WORDS
}

fn bit(number: u64) -> u64 {
    1 << (number % 64)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_number_is_accepted_once_and_never_from_beyond_the_window(
            jumps in prop::collection::vec((-1500i64..1500, prop::bool::ANY), 1..400)
        ) {
            let mut window = ReplayWindow::new();
            let (mut seen, mut highest) = (HashSet::new(), None::<u64>);
            let mut at = 0i64;
            for (jump, repeat) in jumps {
                if !repeat {
                    at = (at + jump).max(0);
                }
                let number = at as u64;
                let too_old = highest.is_some_and(|highest| number + WIDTH <= highest);
                prop_assert_eq!(window.mark(number), !too_old && seen.insert(number));
                highest = highest.max(Some(number));
            }
        }
    }

    #[test]
    fn the_last_number_is_never_used() {
        assert!(!ReplayWindow::new().mark(u64::MAX));
        assert!(ReplayWindow::new().mark(u64::MAX - 1));
    }
}
