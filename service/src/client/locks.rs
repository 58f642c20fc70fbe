//! Named locks that sessions of a series take among themselves. In memory only: a lock ends with its session or its
//! connection, and with the server.

use std::collections::HashMap;

use licence::{Code, ConnectionId, Error, Result, SeriesId, SessionId};

/// How many locks one session holds at most.
const MOST_OF_SESSION: usize = 64;
/// How many there are at most.
const MOST: usize = 10_000;
/// Longest name, in characters.
const MAX_NAME: usize = 64;

/// Who holds a lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Holder {
    /// The session.
    pub session: SessionId,
    /// The connection over which it took the lock.
    pub connection: ConnectionId,
}

/// The locks. Those whose holder has ended are looked through, and removed when the room is needed.
#[derive(Debug, Default)]
pub struct Locks(HashMap<(SeriesId, String), Holder>);

impl Locks {
    /// Takes a lock; taking it twice is no error. `lives` tells whether a holder still holds its session.
    ///
    /// Errors: [`Code::LockHeld`], [`Code::LockRefused`] beyond the bounds.
    pub fn take(
        &mut self,
        series: SeriesId,
        name: &str,
        holder: Holder,
        lives: impl Fn(&Holder) -> bool,
    ) -> Result<()> {
        let error = |code| Error::new(code).with(name).with(series.key_id);
        if name.trim().is_empty() || name.chars().count() > MAX_NAME || name.chars().any(char::is_control) {
            let (russian, english) = ("в имени от 1 до 64 знаков", "a name has 1 to 64 characters");
            return Err(error(Code::LockRefused).with_text(russian, english));
        }
        let key = (series, name.to_owned());
        match self.0.get(&key) {
            Some(known) if *known == holder => return Ok(()),
            Some(known) if known.session != holder.session && lives(known) => return Err(error(Code::LockHeld)),
            Some(_) => {}
            None => {
                let own = self.0.values().filter(|known| known.session == holder.session).count();
                if self.0.len() >= MOST {
                    self.0.retain(|_, known| lives(known));
                }
                if own >= MOST_OF_SESSION || self.0.len() >= MOST {
                    let (russian, english) = ("блокировок слишком много", "there are too many locks");
                    return Err(error(Code::LockRefused).with_text(russian, english));
                }
            }
        }
        self.0.insert(key, holder);
        Ok(())
    }

    /// Gives a lock back; nothing to do when nobody has it. [`Code::LockHeld`] when it is another's.
    pub fn give_back(
        &mut self,
        series: SeriesId,
        name: &str,
        session: SessionId,
        lives: impl Fn(&Holder) -> bool,
    ) -> Result<()> {
        let key = (series, name.to_owned());
        if self.0.get(&key).is_some_and(|known| known.session != session && lives(known)) {
            return Err(Error::new(Code::LockHeld).with(name).with(series.key_id));
        }
        self.0.remove(&key);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use licence::{KeyId, RootHash};

    use super::*;

    const SERIES: SeriesId = SeriesId { key_id: KeyId(0x672B), root: RootHash([1; 32]) };

    fn holder(number: u8) -> Holder {
        Holder { session: SessionId([number; 16]), connection: ConnectionId([number; 16]) }
    }

    fn code(result: Result<()>) -> Code {
        result.unwrap_err().code
    }

    #[test]
    fn a_lock_is_one_sessions_until_it_gives_it_back_or_ends() {
        let mut locks = Locks::default();
        assert_eq!(locks.take(SERIES, "a", holder(1), |_| true), Ok(()));
        assert_eq!(locks.take(SERIES, "a", holder(1), |_| true), Ok(()));
        assert_eq!(code(locks.take(SERIES, "a", holder(2), |_| true)), Code::LockHeld);
        assert_eq!(code(locks.give_back(SERIES, "a", holder(2).session, |_| true)), Code::LockHeld);
        let other = SeriesId { root: RootHash([2; 32]), ..SERIES };
        assert_eq!(locks.take(other, "a", holder(2), |_| true), Ok(()));
        assert_eq!(locks.take(SERIES, "a", holder(2), |_| false), Ok(()), "the first has ended");
        assert_eq!(locks.give_back(SERIES, "a", holder(2).session, |_| true), Ok(()));
        assert_eq!(locks.give_back(SERIES, "a", holder(1).session, |_| true), Ok(()), "nobody has it");
        assert_eq!(locks.take(SERIES, "a", holder(1), |_| true), Ok(()));
    }

    #[test]
    fn locks_are_bounded_for_a_session_and_in_all_and_those_of_the_gone_make_room() {
        let mut locks = Locks::default();
        for number in 0..MOST_OF_SESSION {
            assert_eq!(locks.take(SERIES, &number.to_string(), holder(1), |_| true), Ok(()));
        }
        assert_eq!(code(locks.take(SERIES, "more", holder(1), |_| true)), Code::LockRefused);
        for number in MOST_OF_SESSION..MOST {
            let session = SessionId((number as u128).to_be_bytes());
            let holder = Holder { session, ..holder(2) };
            assert_eq!(locks.take(SERIES, &number.to_string(), holder, |_| true), Ok(()));
        }
        assert_eq!(code(locks.take(SERIES, "more", holder(3), |_| true)), Code::LockRefused);
        assert_eq!(locks.take(SERIES, "more", holder(3), |known| known.session == holder(1).session), Ok(()));
        assert_eq!(locks.0.len(), MOST_OF_SESSION + 1);
        for name in ["", "\t", &"x".repeat(MAX_NAME + 1)] {
            assert_eq!(code(locks.take(SERIES, name, holder(4), |_| true)), Code::LockRefused);
        }
    }
}
