//! The last answers of a connection: a call whose number was answered is not carried out again, its answer is repeated; one that
//! is still being worked on gets its answer together with the first.

use std::collections::VecDeque;

use zeroize::Zeroizing;

/// How many answers a connection keeps. A client repeats a call soon after its answer was lost.
const KEPT: usize = 32;

/// An answer before it is sealed. It may hold a secret, so it is wiped.
pub type Answer = Zeroizing<Vec<u8>>;

/// Calls of one connection by number; `W` is somebody who waits for an answer.
pub struct Answers<W> {
    calls: VecDeque<(u64, State<W>)>,
}

enum State<W> {
    Waiting(Vec<W>),
    Answered(Answer),
}

/// What is to be done with a call.
pub enum Admission<W> {
    /// It is new: carry it out; the waiter is kept.
    New,
    /// It was answered: repeat this answer.
    Answered(W, Answer),
    /// It is being worked on; the waiter is kept.
    Joined,
    /// Too many calls are being worked on.
    Refused(W),
}

impl<W> Answers<W> {
    /// No calls yet.
    pub fn new() -> Answers<W> {
        Answers { calls: VecDeque::new() }
    }

    /// Admits call `id` of `waiter`.
    pub fn admit(&mut self, id: u64, waiter: W) -> Admission<W> {
        match self.calls.iter_mut().find(|(known, _)| *known == id) {
            Some((_, State::Answered(answer))) => return Admission::Answered(waiter, answer.clone()),
            Some((_, State::Waiting(waiters))) if waiters.len() < KEPT => {
                waiters.push(waiter);
                return Admission::Joined;
            }
            Some(_) => return Admission::Refused(waiter),
            None => {}
        }
        if self.calls.len() >= KEPT {
            let Some(oldest) = self.calls.iter().position(|(_, state)| matches!(state, State::Answered(_))) else {
                return Admission::Refused(waiter);
            };
            self.calls.remove(oldest);
        }
        self.calls.push_back((id, State::Waiting(vec![waiter])));
        Admission::New
    }

    /// Keeps nothing of call `id`, and gives everybody who waits for its answer.
    pub fn forget(&mut self, id: u64) -> Vec<W> {
        let place = self.calls.iter().position(|(known, _)| *known == id);
        match place.and_then(|place| self.calls.remove(place)) {
            Some((_, State::Waiting(waiters))) => waiters,
            _ => Vec::new(),
        }
    }

    /// Stores the answer of call `id` and gives everybody who waits for it.
    pub fn answered(&mut self, id: u64, answer: &Answer) -> Vec<W> {
        let Some((_, state)) = self.calls.iter_mut().find(|(known, _)| *known == id) else { return Vec::new() };
        match std::mem::replace(state, State::Answered(answer.clone())) {
            State::Waiting(waiters) => waiters,
            State::Answered(_) => Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(text: &str) -> Answer {
        Zeroizing::new(text.as_bytes().to_vec())
    }

    #[test]
    fn a_repeated_call_gets_the_stored_answer() {
        let mut answers = Answers::new();
        assert!(matches!(answers.admit(1, 'a'), Admission::New));
        assert!(matches!(answers.admit(1, 'b'), Admission::Joined));
        assert_eq!(answers.answered(1, &answer("x")), ['a', 'b']);
        assert!(matches!(answers.admit(1, 'c'), Admission::Answered('c', stored) if *stored == b"x"));
    }

    #[test]
    fn a_call_that_is_forgotten_is_carried_out_again() {
        let mut answers = Answers::new();
        assert!(matches!(answers.admit(1, 'a'), Admission::New));
        assert_eq!(answers.forget(1), ['a']);
        assert!(matches!(answers.admit(1, 'b'), Admission::New));
    }

    #[test]
    fn old_answers_go_first_and_calls_at_work_never_do() {
        let mut answers = Answers::new();
        assert!(matches!(answers.admit(0, 0), Admission::New));
        for id in 1..KEPT as u64 {
            answers.admit(id, 0);
            answers.answered(id, &answer("x"));
        }
        assert!(matches!(answers.admit(99, 0), Admission::New));
        assert!(matches!(answers.admit(0, 7), Admission::Joined));
        assert!(matches!(answers.admit(1, 0), Admission::New), "the oldest answer is forgotten");
    }

    #[test]
    fn too_many_calls_at_work_are_refused() {
        let mut answers = Answers::new();
        for id in 0..KEPT as u64 {
            assert!(matches!(answers.admit(id, 0), Admission::New));
        }
        assert!(matches!(answers.admit(1000, 5), Admission::Refused(5)));
    }
}
