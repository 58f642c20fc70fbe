//! Seats of one series: which are held, by which keys, and which may be given away. Knows nothing of connections.
//!
//! No operation but [`SeatTable::set_pool`] costs more than the logarithm of the number of seats and keys.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::record::{KeyUsage, Usage};
use crate::accounting::history::Sample;
use crate::accounting::pool::Pool;
use crate::accounting::seat::Seat;
use crate::error::{Code, Error, Result};
use crate::id::{KeyId, KeyNo, SessionId};
use crate::time::Tick;

/// A held seat.
#[derive(Debug)]
pub(super) struct Held {
    /// The key that gives it.
    pub key_no: KeyNo,
    /// Order in which seats were granted.
    pub ordinal: u64,
    /// Who sits on it; never empty.
    pub sessions: BTreeSet<SessionId>,
    /// How many of them aren't detached.
    active: usize,
    /// Set while `active` is 0: from when the seat may be given away.
    giveable: Option<Tick>,
    /// The pool is too small for it: it goes away at its sessions' next heartbeats, and nobody joins it.
    pub ending: bool,
}

/// A usable key.
#[derive(Debug)]
struct KeyUse {
    key_no: KeyNo,
    count: u32,
    /// Seats on it that aren't ending; at most `count`.
    used: u32,
    /// Seats on it that are ending.
    ending: u32,
}

/// Seats that a smaller or another pool has touched.
#[derive(Debug, Default)]
pub(super) struct Touched {
    /// Seats that another key gives now.
    pub moved: Vec<Seat>,
    /// Seats that are ending since now.
    pub ending: Vec<Seat>,
}

/// Seats of one series.
#[derive(Debug, Default)]
pub(super) struct SeatTable {
    /// Why no key is usable, if none is though some are there.
    unusable: Option<Error>,
    /// Usable keys in the order in which they fill.
    keys: Vec<KeyUse>,
    /// Where each key stands in `keys`.
    ranks: HashMap<KeyNo, usize>,
    /// Places in `keys` that have room.
    room: BTreeSet<usize>,
    total: u64,
    seats: HashMap<Seat, Held>,
    /// All seats by the order in which they were granted.
    order: BTreeMap<u64, Seat>,
    /// Seats without active sessions, by the moment from which they may be given away.
    idle: BTreeSet<(Tick, u64)>,
    /// Most seats held since the last sample.
    peak: u64,
}

impl SeatTable {
    pub fn is_empty(&self) -> bool {
        self.seats.is_empty() && self.keys.is_empty() && self.unusable.is_none()
    }

    pub fn get(&self, seat: &Seat) -> Option<&Held> {
        self.seats.get(seat)
    }

    pub fn is_ending(&self, seat: &Seat) -> bool {
        self.seats.get(seat).is_some_and(|held| held.ending)
    }

    /// Whether any seat is ending; looks at all of them.
    pub fn any_ending(&self) -> bool {
        self.seats.values().any(|held| held.ending)
    }

    fn held(&self) -> u64 {
        self.seats.len() as u64
    }

    /// Seats held, and seats of all usable keys.
    pub fn seats(&self) -> (u64, u64) {
        (self.held(), self.total)
    }

    /// Seats now and since the last sample.
    pub fn sample(&mut self) -> Sample {
        let used = self.held();
        let peak = std::mem::replace(&mut self.peak, used);
        Sample { used, peak: peak.max(used), total: self.total }
    }

    pub fn usage(&self) -> Usage {
        let keys = self.keys.iter().map(|key| KeyUsage {
            key_no: key.key_no,
            total: key.count,
            used: key.used.saturating_add(key.ending),
        });
        Usage { total: self.total, used: self.held(), keys: keys.collect() }
    }

    /// Why a new seat is refused.
    pub fn refusal(&self, series: KeyId) -> Error {
        use crate::error::Lang;
        match &self.unusable {
            _ if self.total > 0 => Error::new(Code::AllTaken).with(series).with(self.held()).with(self.total),
            Some(reason) => Error::new(Code::NoUsableKey)
                .with(series)
                .with_text(reason.cause(Lang::Russian), reason.cause(Lang::English)),
            None if self.keys.is_empty() => Error::new(Code::NoKey).with(series),
            None => Error::new(Code::AllTaken).with(series).with(self.held()).with(self.total),
        }
    }

    /// Seats that must be given away before one more fits: none when there is room; `None` when it can't be made.
    pub fn victims(&self, now: Tick) -> Option<Vec<Seat>> {
        let excess = (self.held() + 1).saturating_sub(self.total);
        if self.total == 0 || excess > self.idle.len() as u64 {
            return None;
        }
        let ripe = self.idle.iter().take_while(|(from, _)| *from <= now);
        let seats: Vec<Seat> =
            ripe.filter_map(|(_, ordinal)| self.order.get(ordinal)).take(excess as usize).cloned().collect();
        (seats.len() as u64 == excess).then_some(seats)
    }

    /// Takes a free seat for `session`; an error when the pool has none.
    pub fn take(&mut self, series: KeyId, seat: Seat, ordinal: u64, session: SessionId) -> Result<KeyNo> {
        let rank = match self.room.first() {
            Some(rank) if self.held() < self.total => *rank,
            _ => return Err(self.refusal(series)),
        };
        let key_no = self.keys[rank].key_no;
        self.insert(seat, key_no, ordinal, session, true);
        self.count(key_no, false, 1);
        Ok(key_no)
    }

    /// Puts back a seat that the store knows, whatever the pool. Keys are counted by the [`SeatTable::set_pool`] that follows.
    pub fn restore(
        &mut self,
        seat: &Seat,
        key_no: KeyNo,
        ordinal: u64,
        session: SessionId,
        active: bool,
        giveable: Tick,
    ) {
        match self.seats.get_mut(seat) {
            Some(held) => {
                held.sessions.insert(session);
                if active {
                    self.activate(seat);
                }
            }
            None => {
                self.insert(seat.clone(), key_no, ordinal, session, active);
                if !active {
                    self.make_idle(seat, giveable);
                }
            }
        }
    }

    /// Forgets all seats, keeps the keys.
    pub fn clear(&mut self) {
        self.seats.clear();
        self.peak = 0;
        self.order.clear();
        self.idle.clear();
        for (rank, key) in self.keys.iter_mut().enumerate() {
            (key.used, key.ending) = (0, 0);
            if key.count > 0 {
                self.room.insert(rank);
            }
        }
    }

    fn insert(&mut self, seat: Seat, key_no: KeyNo, ordinal: u64, session: SessionId, active: bool) {
        self.order.insert(ordinal, seat.clone());
        let sessions = BTreeSet::from([session]);
        let held = Held { key_no, ordinal, sessions, active: usize::from(active), giveable: None, ending: false };
        self.seats.insert(seat, held);
        self.peak = self.peak.max(self.held());
    }

    /// One more session on a held seat.
    pub fn join(&mut self, seat: &Seat, session: SessionId) {
        if let Some(held) = self.seats.get_mut(seat) {
            held.sessions.insert(session);
            self.activate(seat);
        }
    }

    /// A session of the seat became active.
    pub fn activate(&mut self, seat: &Seat) {
        if let Some(held) = self.seats.get_mut(seat) {
            held.active += 1;
            if let Some(from) = held.giveable.take() {
                self.idle.remove(&(from, held.ordinal));
            }
        }
    }

    /// An active session of the seat was detached; with the last one the seat may be given away from `giveable` on.
    pub fn deactivate(&mut self, seat: &Seat, giveable: Tick) {
        if let Some(held) = self.seats.get_mut(seat) {
            held.active = held.active.saturating_sub(1);
            if held.active == 0 {
                self.make_idle(seat, giveable);
            }
        }
    }

    fn make_idle(&mut self, seat: &Seat, giveable: Tick) {
        if let Some(held) = self.seats.get_mut(seat) {
            held.giveable = Some(giveable);
            self.idle.insert((giveable, held.ordinal));
        }
    }

    /// A session left the seat; with the last one the seat is free.
    pub fn leave(&mut self, seat: &Seat, session: SessionId, active: bool, giveable: Tick) {
        if active {
            self.deactivate(seat, giveable);
        }
        let Some(held) = self.seats.get_mut(seat) else { return };
        held.sessions.remove(&session);
        if !held.sessions.is_empty() {
            return;
        }
        let (key_no, ending) = (held.key_no, held.ending);
        if let Some(from) = held.giveable {
            self.idle.remove(&(from, held.ordinal));
        }
        self.order.remove(&held.ordinal);
        self.seats.remove(seat);
        self.count(key_no, ending, -1);
    }

    /// Adds to what a key has in use.
    fn count(&mut self, key_no: KeyNo, ending: bool, step: i32) {
        let Some(&rank) = self.ranks.get(&key_no) else { return };
        let key = &mut self.keys[rank];
        if ending {
            key.ending = key.ending.saturating_add_signed(step);
            return;
        }
        key.used = key.used.saturating_add_signed(step);
        if key.used < key.count {
            self.room.insert(rank);
        } else {
            self.room.remove(&rank);
        }
    }

    /// Puts another pool under the seats. The earliest seats stay, on their own keys where these have room, else on others;
    /// seats beyond the size of the pool are ending.
    pub fn set_pool(&mut self, pool: Option<&Pool>) -> Touched {
        let keys = pool.map(|pool| pool.keys.as_slice()).unwrap_or_default();
        self.unusable = pool.and_then(|pool| pool.unusable.clone());
        self.total = pool.map_or(0, Pool::size);
        self.keys = keys
            .iter()
            .map(|key| KeyUse { key_no: key.key_no, count: key.licence_count, used: 0, ending: 0 })
            .collect();
        self.ranks = self.keys.iter().enumerate().map(|(rank, key)| (key.key_no, rank)).collect();

        let mut touched = Touched::default();
        let mut homeless = Vec::new();
        let kept = usize::try_from(self.total).unwrap_or(usize::MAX);
        for (place, seat) in self.order.values().enumerate() {
            let Some(held) = self.seats.get_mut(seat) else { continue };
            let key = self.ranks.get(&held.key_no).map(|&rank| &mut self.keys[rank]);
            if place >= kept {
                if !held.ending {
                    touched.ending.push(seat.clone());
                }
                held.ending = true;
                if let Some(key) = key {
                    key.ending += 1;
                }
                continue;
            }
            held.ending = false;
            match key {
                Some(key) if key.used < key.count => key.used += 1,
                _ => homeless.push(seat.clone()),
            }
        }
        self.room = (0..self.keys.len()).filter(|&rank| self.keys[rank].used < self.keys[rank].count).collect();
        for seat in homeless {
            // As many seats stay as the pool has, so there is room for each that lost its key.
            let (Some(&rank), Some(held)) = (self.room.first(), self.seats.get_mut(&seat)) else { continue };
            held.key_no = self.keys[rank].key_no;
            let key_no = held.key_no;
            self.count(key_no, false, 1);
            touched.moved.push(seat);
        }
        touched
    }
}
