//! Which keys a claim may sit on, and what must make way for it there. Decides nothing about who gets a seat.

use super::{KeyUse, SeatTable, fits};
use crate::accounting::control::{Marks, Wants};
use crate::accounting::seat::Seat;
use crate::error::{Code, Error, Result};
use crate::id::{KeyId, KeyNo, SessionId};
use crate::time::Tick;

/// Which keys a claim may take a seat of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Choice {
    /// Every key: none is set aside, nothing is demanded.
    Any,
    /// Those that aren't set aside.
    Common,
    /// Those at these places, in the order in which they are tried.
    Of(Vec<usize>),
}

impl SeatTable {
    /// Which keys a claim may take a seat of. Errors: [`Code::AccessCodeWrong`], [`Code::AccessCodeNeeded`], and those of
    /// [`crate::accounting::Demands::narrow`].
    pub fn choice(&self, series: KeyId, wants: Wants<'_>) -> Result<Choice> {
        self.codes.check(wants.code)?;
        let alike = wants.demands.is_empty() && (wants.code.is_none() || !self.any_aside);
        if alike && !self.any_aside {
            return Ok(Choice::Any);
        }
        let usable = || self.keys.iter().enumerate().filter(|(_, key)| !key.kept);
        let open = |key: &KeyUse| !key.aside || self.codes.opens(wants.code, key.key_no);
        if usable().next().is_none() {
            return Err(self.refusal(series));
        }
        let mut open: Vec<(usize, &Marks)> =
            usable().filter(|(_, key)| open(key)).map(|(rank, key)| (rank, &key.marks)).collect();
        if open.is_empty() {
            return Err(Error::new(Code::AccessCodeNeeded).with(series));
        }
        if alike {
            return Ok(Choice::Common);
        }
        // Those that the code opens come first, each group in the order in which keys fill.
        open.sort_by_key(|(rank, _)| !self.keys[*rank].aside);
        Ok(Choice::Of(wants.demands.narrow(series, open)?.into_iter().map(|(rank, _)| rank).collect()))
    }

    /// The keys of a choice, in the order in which they are tried.
    fn places<'a>(&'a self, choice: &'a Choice) -> Box<dyn Iterator<Item = usize> + 'a> {
        let usable = self.keys.iter().enumerate().filter(|(_, key)| !key.kept);
        match choice {
            Choice::Any => Box::new(usable.map(|(rank, _)| rank)),
            Choice::Common => Box::new(usable.filter(|(_, key)| !key.aside).map(|(rank, _)| rank)),
            Choice::Of(ranks) => Box::new(ranks.iter().copied()),
        }
    }

    /// The first key of a choice, whether it has room or not.
    pub fn first_of(&self, choice: &Choice) -> Option<KeyNo> {
        self.places(choice).next().map(|rank| self.keys[rank].key_no)
    }

    /// Where a claim finds room.
    pub(super) fn free(&self, choice: &Choice) -> Option<usize> {
        match choice {
            Choice::Any => self.room.first().copied(),
            Choice::Common => self.common_room.first().copied(),
            Choice::Of(ranks) => ranks.iter().copied().find(|rank| self.room.contains(rank)),
        }
    }

    /// Why a claim with this choice is refused.
    pub fn refusal_of(&self, series: KeyId, choice: &Choice) -> Error {
        if *choice == Choice::Any {
            return self.refusal(series);
        }
        let (mut used, mut total) = (0, 0);
        for rank in self.places(choice) {
            let key = &self.keys[rank];
            used += u64::from(key.used) + u64::from(key.ending);
            total += u64::from(key.count);
        }
        Error::new(Code::FittingTaken).with(series).with(used).with(total)
    }

    /// Why nobody joins a seat that is ending: the pool is full, or no key is left that those who sit there may have.
    pub fn refusal_to_join(&self, series: KeyId) -> Error {
        let full = self.room.is_empty() || self.counted() >= self.total;
        if full { self.refusal(series) } else { Error::new(Code::SessionEnding).with(series) }
    }

    /// Why a held seat can't move to a key of this choice: none has room, or those who sit there need the key that they have.
    pub fn refusal_to_move(&self, series: KeyId, seat: &Seat, choice: &Choice) -> Error {
        match self.seats.get(seat).filter(|_| self.free(choice).is_some()) {
            Some(held) => Error::new(Code::SeatShared).with(series).with(held.key_no),
            None => self.refusal_of(series, choice),
        }
    }

    /// Whether the key of a held seat is one that `wants` may sit on.
    pub fn allows(&self, key_no: KeyNo, wants: Wants<'_>) -> bool {
        self.ranks.get(&key_no).is_none_or(|&rank| self.keys[rank].allows(&self.codes, wants))
    }

    /// Moves a held seat to the first key of a choice that has room and that all who sit there may sit on. Gives the key's number;
    /// `None` when there is none.
    pub fn relocate<'a>(
        &mut self,
        seat: &Seat,
        choice: &Choice,
        wants_of: impl Fn(SessionId) -> Option<Wants<'a>>,
    ) -> Option<KeyNo> {
        let held = self.seats.get(seat).filter(|held| !held.ending)?;
        let fits = |rank: &usize| self.room.contains(rank) && fits(held, &self.keys[*rank], &self.codes, &wants_of);
        let rank = self.places(choice).find(fits)?;
        let (from, to, giveable, ordinal) = (held.key_no, self.keys[rank].key_no, held.giveable, held.ordinal);
        if let Some(at) = giveable {
            self.mark_idle(from, (at, ordinal), false);
        }
        self.count(from, false, -1);
        if let Some(held) = self.seats.get_mut(seat) {
            held.key_no = to;
        }
        self.count(to, false, 1);
        if let Some(at) = giveable {
            self.mark_idle(to, (at, ordinal), true);
        }
        Some(to)
    }

    /// This key alone, if it is one of a choice and has room for one more seat.
    pub fn only(&self, key_no: KeyNo, choice: &Choice) -> Option<Choice> {
        let rank = *self.ranks.get(&key_no)?;
        let fits = self.room.contains(&rank) && self.counted() < self.total && self.places(choice).any(|r| r == rank);
        fits.then(|| Choice::Of(vec![rank]))
    }

    /// Which of these seats must go before one more fits, whoever sits there: none when there is room, or when it can't be made.
    pub fn displaceable<'a>(&self, seats: impl Iterator<Item = &'a Seat> + Clone, choice: &Choice) -> Vec<Seat> {
        let key_of = |seat: &Seat| self.seats.get(seat).and_then(|held| self.ranks.get(&held.key_no).copied());
        let excess = usize::try_from((self.counted() + 1).saturating_sub(self.total)).unwrap_or(usize::MAX);
        let mut found = Vec::new();
        if self.total == 0 {
            return found;
        }
        // One of them must make room on a key of the choice.
        if self.free(choice).is_none() {
            let places: Vec<usize> = self.places(choice).collect();
            let makes_room =
                |seat: &&Seat| !self.is_ending(seat) && key_of(seat).is_some_and(|key| places.contains(&key));
            let Some(first) = seats.clone().find(makes_room) else { return found };
            found.push(first.clone());
        }
        let wanted = excess.saturating_sub(found.len());
        let counts = |seat: &&Seat| {
            self.seats.contains_key(*seat)
                && key_of(seat).is_none_or(|key| !self.keys[key].kept)
                && !found.contains(seat)
        };
        let others: Vec<Seat> = seats.filter(counts).take(wanted).cloned().collect();
        if others.len() < wanted {
            return Vec::new();
        }
        found.extend(others);
        found
    }

    /// Seats that must be given away before one more fits: none when there is room; `None` when it can't be made.
    pub fn victims(&self, now: Tick, choice: &Choice) -> Option<Vec<Seat>> {
        let excess = (self.counted() + 1).saturating_sub(self.total);
        if self.total == 0 || excess > self.idle.len() as u64 {
            return None;
        }
        let mut wanted = excess as usize;
        let mut seats = Vec::new();
        // One of them must make room on a key of the choice.
        if *choice != Choice::Any && self.free(choice).is_none() {
            let first = self.places(choice).filter_map(|rank| self.keys[rank].idle.first()).min()?;
            seats.push(self.order.get(&first.1).filter(|_| first.0 <= now)?.clone());
            wanted = wanted.max(1);
        }
        let counts = |seat: &&Seat| {
            let key = self.seats.get(*seat).and_then(|held| self.ranks.get(&held.key_no));
            key.is_none_or(|&rank| !self.keys[rank].kept)
        };
        let ripe = self.idle.iter().take_while(|(from, _)| *from <= now);
        let others = ripe.filter_map(|(_, ordinal)| self.order.get(ordinal)).filter(counts);
        for seat in others {
            if seats.len() >= wanted {
                break;
            }
            if seats.first() != Some(seat) {
                seats.push(seat.clone());
            }
        }
        (seats.len() >= wanted).then_some(seats)
    }
}
