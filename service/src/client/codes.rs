//! Guesses at access codes, by address: after a few different wrong codes the next claim with a code has to wait, longer each
//! time. What was proven before need not wait, so that a guesser does not hold up sessions that work. Memory is bounded; codes
//! are kept as hashes only.

use std::collections::{HashSet, VecDeque};
use std::net::IpAddr;

use licence::accounting::Claim;
use licence::crypto::Provider;
use licence::time::Tick;
use licence::{Code, Error, Result, SeriesId};

use crate::access::attempts::{Admission, Attempts, Subject};

/// How many marks of a kind are remembered.
const REMEMBERED: usize = 10_000;

/// What was tried.
#[derive(Default)]
pub struct CodeGuard {
    attempts: Attempts,
    /// Sessions with the code that they were let in with.
    proven: Marks,
    /// Addresses with a wrong code: a wrong setting that is tried again and again is no new guess.
    wrong: Marks,
}

/// A claim with a code that may be judged.
#[derive(Debug, Clone, Copy)]
pub struct Attempt {
    address: IpAddr,
    session: [u8; 32],
    guess: [u8; 32],
}

impl CodeGuard {
    /// Lets a claim go on to be judged; `None` for one without a code. [`Code::TooManyAttempts`] while its address has to wait.
    pub fn admit(
        &self,
        crypto: Provider,
        address: IpAddr,
        series: &SeriesId,
        claim: &Claim,
        now: Tick,
    ) -> Result<Option<Attempt>> {
        let Some(code) = claim.access_code.as_deref() else { return Ok(None) };
        let identity = &claim.identity;
        let base = identity.infobase.key();
        let who = format!("{}\n{}\n{}\n{}\n{base}", series.key_id, series.root, identity.number, identity.started.0);
        let guess = crypto.sha256(&[b"guess\n", address.to_string().as_bytes(), b"\n", code.as_bytes()]);
        let session = crypto.sha256(&[b"session\n", who.as_bytes(), b"\n", &guess]);
        match self.attempts.admission(&Subject::address(address), now) {
            Admission::Remembered(wait) | Admission::Closed(wait) if !self.proven.has(&session) => {
                Err(Error::new(Code::TooManyAttempts).with(wait.as_secs().max(1)))
            }
            _ => Ok(Some(Attempt { address, session, guess })),
        }
    }

    /// Learns what came of a claim.
    pub fn judged<T>(&mut self, attempt: Attempt, outcome: &Result<T>, now: Tick) {
        match outcome {
            Err(error) if error.code == Code::AccessCodeWrong => {
                if self.wrong.add(attempt.guess) {
                    self.attempts.failed(Subject::address(attempt.address), now);
                }
            }
            Err(_) => {}
            Ok(_) => drop(self.proven.add(attempt.session)),
        }
    }
}

/// A set that forgets its oldest members.
#[derive(Default)]
struct Marks {
    known: HashSet<[u8; 32]>,
    order: VecDeque<[u8; 32]>,
}

impl Marks {
    fn has(&self, mark: &[u8; 32]) -> bool {
        self.known.contains(mark)
    }

    /// Whether the mark is new.
    fn add(&mut self, mark: [u8; 32]) -> bool {
        if !self.known.insert(mark) {
            return false;
        }
        if self.order.len() >= REMEMBERED
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
        self.order.push_back(mark);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_marks_are_forgotten() {
        let mut marks = Marks::default();
        let mark = |number: usize| {
            let mut mark = [0; 32];
            mark[..8].copy_from_slice(&(number as u64).to_be_bytes());
            mark
        };
        for number in 0..=REMEMBERED {
            assert!(marks.add(mark(number)));
        }
        assert!(!marks.add(mark(REMEMBERED)));
        assert!(!marks.has(&mark(0)) && marks.has(&mark(1)));
        assert_eq!((marks.known.len(), marks.order.len()), (REMEMBERED, REMEMBERED));
    }
}
