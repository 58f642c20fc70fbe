//! Seats of one series: which are held, by which keys, and which may be given away. Knows nothing of connections.
//!
//! No operation but [`SeatTable::set_pool`] costs more than the logarithm of the number of seats and keys; a claim that demands
//! something of its key, or presents an access code, looks at each key once.

mod choice;
mod settle;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::record::{KeyUsage, Usage};
use crate::accounting::control::{AccessCodes, Marks, Wants};
use crate::accounting::history::Sample;
use crate::accounting::limit::{Client, Holdings, SeatLimits};
use crate::accounting::seat::Seat;
use crate::error::{Code, Error, Result};
use crate::id::{KeyId, KeyNo, SessionId};
use crate::time::Tick;

use choice::Choice;

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
    /// Whom it counts for; `None` while nobody knows, as after a restart, and for an external session.
    client: Option<Client>,
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
    /// What it says that claims may demand.
    marks: Marks,
    /// Set aside for sessions that present an access code.
    aside: bool,
    /// Gives no new seats.
    kept: bool,
    /// Seats on it that may be given away and aren't ending, as in the table's `idle`.
    idle: BTreeSet<(Tick, u64)>,
}

impl KeyUse {
    fn has_room(&self) -> bool {
        !self.kept && self.used < self.count
    }

    fn allows(&self, codes: &AccessCodes, wants: Wants<'_>) -> bool {
        (!self.aside || codes.opens(wants.code, self.key_no)) && wants.demands.met_by(&self.marks)
    }
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
    /// Those of them that aren't set aside.
    common_room: BTreeSet<usize>,
    /// Whether any key is set aside.
    any_aside: bool,
    codes: AccessCodes,
    /// Seats that the pool has for new claims and those who sit on its keys.
    total: u64,
    /// Seats on keys that give no new ones.
    on_kept: u64,
    seats: HashMap<Seat, Held>,
    /// All seats by the order in which they were granted.
    order: BTreeMap<u64, Seat>,
    /// Seats without active sessions, by the moment from which they may be given away.
    idle: BTreeSet<(Tick, u64)>,
    /// Most seats held since the last sample.
    peak: u64,
    /// How many of them each client holds.
    holdings: Holdings,
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

    /// Seats that count against the pool.
    fn counted(&self) -> u64 {
        self.held().saturating_sub(self.on_kept)
    }

    pub fn usage(&self) -> Usage {
        let keys = self.keys.iter().filter(|key| !key.kept).map(|key| KeyUsage {
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

    /// Takes a free seat for `session`; an error when the pool has none.
    pub fn take(
        &mut self,
        series: KeyId,
        seat: Seat,
        ordinal: u64,
        session: SessionId,
        choice: &Choice,
    ) -> Result<KeyNo> {
        let rank = match self.free(choice) {
            Some(rank) if self.counted() < self.total => rank,
            _ => return Err(self.refusal_of(series, choice)),
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

    /// The seat counts for this client from now on.
    pub fn set_client(&mut self, seat: &Seat, client: Client) {
        if let Some(held) = self.seats.get_mut(seat) {
            if let Some(former) = held.client.replace(client) {
                self.holdings.remove(&former);
            }
            self.holdings.add(&client);
        }
    }

    /// Whether the client may take one more seat.
    pub fn check_limits(&self, limits: &SeatLimits, series: KeyId, client: &Client) -> Result<()> {
        self.holdings.check(limits, series, client)
    }

    /// Forgets all seats, keeps the keys. Gives whom the seats counted for.
    pub fn clear(&mut self) -> Vec<(Seat, Client)> {
        self.holdings = Holdings::default();
        let clients = self.seats.drain().filter_map(|(seat, held)| Some((seat, held.client?))).collect();
        self.peak = 0;
        self.order.clear();
        self.idle.clear();
        self.on_kept = 0;
        for key in &mut self.keys {
            (key.used, key.ending) = (0, 0);
            key.idle.clear();
        }
        self.find_room();
        clients
    }

    fn find_room(&mut self) {
        self.room = (0..self.keys.len()).filter(|&rank| self.keys[rank].has_room()).collect();
        self.common_room = self.room.iter().copied().filter(|&rank| !self.keys[rank].aside).collect();
    }

    fn insert(&mut self, seat: Seat, key_no: KeyNo, ordinal: u64, session: SessionId, active: bool) {
        self.order.insert(ordinal, seat.clone());
        let sessions = BTreeSet::from([session]);
        let active = usize::from(active);
        let held = Held { key_no, ordinal, sessions, active, giveable: None, ending: false, client: None };
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
                let (key_no, entry) = (held.key_no, (from, held.ordinal));
                self.idle.remove(&entry);
                self.mark_idle(key_no, entry, false);
            }
        }
    }

    /// Keeps a key's own list of seats that may be given away.
    fn mark_idle(&mut self, key_no: KeyNo, entry: (Tick, u64), idle: bool) {
        let Some(&rank) = self.ranks.get(&key_no) else { return };
        let list = &mut self.keys[rank].idle;
        _ = if idle { list.insert(entry) } else { list.remove(&entry) };
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
            let (key_no, entry, ending) = (held.key_no, (giveable, held.ordinal), held.ending);
            self.idle.insert(entry);
            if !ending {
                self.mark_idle(key_no, entry, true);
            }
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
        let (key_no, ending, ordinal, giveable) = (held.key_no, held.ending, held.ordinal, held.giveable);
        if let Some(client) = &held.client {
            self.holdings.remove(client);
        }
        if let Some(from) = giveable {
            self.idle.remove(&(from, ordinal));
            self.mark_idle(key_no, (from, ordinal), false);
        }
        self.order.remove(&ordinal);
        self.seats.remove(seat);
        self.count(key_no, ending, -1);
    }

    /// Adds to what a key has in use.
    fn count(&mut self, key_no: KeyNo, ending: bool, step: i32) {
        let Some(&rank) = self.ranks.get(&key_no) else { return };
        let key = &mut self.keys[rank];
        if key.kept {
            self.on_kept = self.on_kept.saturating_add_signed(step.into());
        }
        if ending {
            key.ending = key.ending.saturating_add_signed(step);
            return;
        }
        key.used = key.used.saturating_add_signed(step);
        if key.has_room() {
            self.room.insert(rank);
            if !key.aside {
                self.common_room.insert(rank);
            }
        } else {
            self.room.remove(&rank);
            self.common_room.remove(&rank);
        }
    }
}

#[cfg(test)]
impl SeatTable {
    /// Every count and list is what counting anew gives.
    pub fn check(&self) {
        let rank_of = |held: &Held| self.ranks.get(&held.key_no).copied();
        for (rank, key) in self.keys.iter().enumerate() {
            let on = || self.seats.values().filter(|held| rank_of(held) == Some(rank));
            assert_eq!(on().filter(|held| !held.ending).count(), key.used as usize);
            assert_eq!(on().filter(|held| held.ending).count(), key.ending as usize);
            assert!(key.used <= key.count, "key {} is over-issued", key.key_no);
            let idle: BTreeSet<_> =
                on().filter(|held| !held.ending).filter_map(|held| Some((held.giveable?, held.ordinal))).collect();
            assert_eq!(idle, key.idle);
            assert_eq!(self.room.contains(&rank), key.has_room());
            assert_eq!(self.common_room.contains(&rank), key.has_room() && !key.aside);
        }
        let kept = self.seats.values().filter(|held| rank_of(held).is_some_and(|rank| self.keys[rank].kept));
        assert_eq!(kept.count() as u64, self.on_kept);
        let homeless = self.seats.values().filter(|held| !held.ending && rank_of(held).is_none());
        assert_eq!(homeless.count(), 0, "a lasting seat is on a key");
        assert_eq!(self.order.len(), self.seats.len());
        let mut holdings = Holdings::default();
        self.seats.values().filter_map(|held| held.client.as_ref()).for_each(|client| holdings.add(client));
        assert_eq!(holdings, self.holdings);
    }
}

/// Whether all who sit on a seat may sit on a key.
fn fits<'a>(
    held: &Held,
    key: &KeyUse,
    codes: &AccessCodes,
    wants_of: &impl Fn(SessionId) -> Option<Wants<'a>>,
) -> bool {
    held.sessions.iter().all(|id| wants_of(*id).is_none_or(|wants| key.allows(codes, wants)))
}
