//! Other keys come under the seats: who stays, who moves, who must end.

use std::collections::BTreeSet;

use super::{KeyUse, SeatTable, Touched, fits};
use crate::accounting::control::{Marks, Terms, Wants};
use crate::accounting::pool::Pool;
use crate::id::{KeyNo, SeriesId, SessionId};
use crate::time::Tick;

impl SeatTable {
    /// Puts other keys under the seats. The earliest seats stay, on their own keys where these have room, else on others that
    /// all who sit there may sit on; seats for which no place is left are ending. A seat keeps its key while it lives,
    /// whatever was set aside meanwhile.
    pub fn set_pool<'a>(
        &mut self,
        series: SeriesId,
        pool: Option<&Pool>,
        terms: &Terms,
        wants_of: impl Fn(SessionId) -> Option<Wants<'a>>,
    ) -> Touched {
        self.unusable = pool.and_then(|pool| pool.unusable.clone());
        self.total = pool.map_or(0, Pool::size);
        self.codes = terms.codes.clone();
        let marks = terms.marks.get(&series);
        let key = |key_no: KeyNo, count: u32, kept: bool| {
            let known = marks.and_then(|marks| marks.get(&key_no)).cloned();
            let marks = known.unwrap_or_else(|| Marks { key_no, ..Marks::default() });
            let aside = terms.codes.is_set_aside(key_no);
            KeyUse { key_no, count, used: 0, ending: 0, marks, aside, kept, idle: BTreeSet::new() }
        };
        let usable = pool.map(|pool| pool.keys.as_slice()).unwrap_or_default();
        self.keys = usable.iter().map(|usable| key(usable.key_no, usable.licence_count, false)).collect();
        let kept = terms.kept.get(&series).into_iter().flatten();
        let kept = kept.filter(|kept| usable.iter().all(|usable| usable.key_no != kept.key_no));
        self.keys.extend(kept.map(|kept| key(kept.key_no, kept.licence_count, true)));
        self.ranks = self.keys.iter().enumerate().map(|(rank, key)| (key.key_no, rank)).collect();
        self.any_aside = self.keys.iter().any(|key| key.aside);

        let touched = self.settle(&wants_of);
        self.on_kept =
            self.keys.iter().filter(|key| key.kept).map(|key| u64::from(key.used) + u64::from(key.ending)).sum();
        let idle: Vec<(Tick, u64)> = self.idle.iter().copied().collect();
        for entry in idle {
            let held = self.order.get(&entry.1).and_then(|seat| self.seats.get(seat)).filter(|held| !held.ending);
            if let Some(key_no) = held.map(|held| held.key_no) {
                self.mark_idle(key_no, entry, true);
            }
        }
        touched
    }

    /// Gives every seat its place on the new keys, or marks it as ending.
    fn settle<'a>(&mut self, wants_of: &impl Fn(SessionId) -> Option<Wants<'a>>) -> Touched {
        let all: u64 = self.keys.iter().map(|key| u64::from(key.count)).sum();
        let all = usize::try_from(all).unwrap_or(usize::MAX);
        let mut touched = Touched::default();
        let (mut homeless, mut beyond) = (Vec::new(), Vec::new());
        for (place, (ordinal, seat)) in self.order.iter().enumerate() {
            let Some(held) = self.seats.get_mut(seat) else { continue };
            match self.ranks.get(&held.key_no).map(|&rank| &mut self.keys[rank]) {
                _ if place >= all => beyond.push(*ordinal),
                Some(key) if key.used < key.count => {
                    key.used += 1;
                    held.ending = false;
                }
                _ => homeless.push(*ordinal),
            }
        }
        self.find_room();
        let mut unplaced = Vec::new();
        for ordinal in homeless {
            if !self.rehouse(ordinal, wants_of, &mut touched) {
                unplaced.push(ordinal);
            }
        }
        // Later seats may have the places that no earlier one may sit on.
        unplaced.append(&mut beyond);
        for ordinal in unplaced {
            let Some(held) = self.order.get(&ordinal).and_then(|seat| self.seats.get_mut(seat)) else { continue };
            let rank = self.ranks.get(&held.key_no).copied();
            if rank.is_some_and(|rank| self.keys[rank].used < self.keys[rank].count) {
                held.ending = false;
                let key_no = held.key_no;
                self.count(key_no, false, 1);
            } else if self.room.is_empty() || !self.rehouse(ordinal, wants_of, &mut touched) {
                let Some(seat) = self.order.get(&ordinal) else { continue };
                let Some(held) = self.seats.get_mut(seat) else { continue };
                if !held.ending {
                    touched.ending.push(seat.clone());
                }
                held.ending = true;
                if let Some(rank) = rank {
                    self.keys[rank].ending += 1;
                }
            }
        }
        touched
    }

    /// Moves a seat without a key to the first one with room that all who sit there may sit on.
    fn rehouse<'a>(
        &mut self,
        ordinal: u64,
        wants_of: &impl Fn(SessionId) -> Option<Wants<'a>>,
        touched: &mut Touched,
    ) -> bool {
        let Some(seat) = self.order.get(&ordinal) else { return false };
        let Some(held) = self.seats.get_mut(seat) else { return false };
        let fitting = self.room.iter().find(|&&rank| fits(held, &self.keys[rank], &self.codes, wants_of));
        let Some(&rank) = fitting else { return false };
        held.ending = false;
        held.key_no = self.keys[rank].key_no;
        let key_no = held.key_no;
        touched.moved.push(seat.clone());
        self.count(key_no, false, 1);
        true
    }
}
