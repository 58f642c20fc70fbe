//! After the store went back: for one lease nothing new is granted, as seats that the store knows nothing of may be in use. Who
//! held one comes back with its receipt; the sessions that the store has are held as after any restart.
//!
//! Where a pool has no room for all of them, restored sessions that were not heard since the start are *displaced*: they lose
//! their seats and keep their claim to one, so that whoever really works gets a seat in whatever order they come.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use super::claim::{Own, boxed, is_own};
use super::{
    Book, Change, Claim, Due, EndCause, Moment, Receipt, Session, SessionId, SessionRecord, SessionState, Tick, Time,
};
use crate::accounting::control::Wants;
use crate::accounting::seat::{Seat, SessionIdentity};
use crate::error::{Code, Error, Result};
use crate::id::{KeyNo, SeriesId};

/// What the book keeps as long as nothing new is granted.
#[derive(Debug)]
pub(super) struct Quarantine {
    /// Number of the last commit that the store had: what was granted up to it is in the store if it still holds.
    base: u64,
    /// When it ends.
    until: Tick,
    /// Seats of which no session was heard since the start, by series and the order of their grants.
    unheard: BTreeMap<(SeriesId, u64), Seat>,
    /// Sessions whose seats were needed by others.
    displaced: Displaced,
    /// Sessions that have ended meanwhile: their receipts are worth nothing more.
    ended: HashSet<SessionId>,
}

/// Sessions without seats, by what their identities have in common; a few at most share one key.
#[derive(Debug, Default)]
struct Displaced(HashMap<(SeriesId, Box<str>), Vec<SessionRecord>>);

impl Displaced {
    fn new(records: Vec<SessionRecord>) -> Displaced {
        let mut displaced = Displaced::default();
        records.into_iter().for_each(|record| displaced.insert(record));
        displaced
    }

    fn of(&self, series: SeriesId, identity: &SessionIdentity) -> &[SessionRecord] {
        self.0.get(&(series, identity.key())).map_or(&[], Vec::as_slice)
    }

    fn insert(&mut self, record: SessionRecord) {
        self.0.entry((record.series, record.identity.key())).or_default().push(record);
    }

    fn remove(&mut self, record: &SessionRecord) {
        let key = (record.series, record.identity.key());
        if let Some(records) = self.0.get_mut(&key) {
            records.retain(|other| other.id != record.id);
            if records.is_empty() {
                self.0.remove(&key);
            }
        }
    }
}

impl Book {
    /// Begins a quarantine of one lease. To be called right after [`Book::restore`], with the number of the last commit that the
    /// store had, and the sessions that were displaced before a restart.
    pub fn quarantine(&mut self, base: u64, displaced: Vec<SessionRecord>, now: Moment) {
        let until = self.at(now).plus(self.leases.hold());
        let unheard = |session: &Session| {
            let record = &session.record;
            ((record.series, record.ordinal), record.seat.clone())
        };
        self.quarantine = Some(Quarantine {
            base,
            until,
            unheard: self.sessions.values().map(|session| unheard(session)).collect(),
            displaced: Displaced::new(displaced),
            ended: HashSet::new(),
        });
        self.deadlines.insert((until, Due::Quarantine));
    }

    /// When the quarantine ends by the wall clock, as long as there is one.
    pub fn quarantined_until(&self, now: Moment) -> Option<Time> {
        self.quarantine.as_ref().map(|quarantine| self.wall_of(quarantine.until, now))
    }

    /// Takes the displaced sessions from the store again, after [`Book::reload`].
    pub fn reload_displaced(&mut self, displaced: Vec<SessionRecord>) {
        let Some(quarantine) = &mut self.quarantine else { return };
        let before = std::mem::replace(&mut quarantine.displaced, Displaced::new(displaced));
        let tables = &self.tables;
        quarantine.unheard.retain(|(series, ordinal), seat| {
            tables.get(series).and_then(|table| table.get(seat)).is_some_and(|held| held.ordinal == *ordinal)
        });
        // Those whose displacement was not written down are what they were.
        for record in before.0.into_values().flatten() {
            let is_back = self.sessions.get(&record.id).is_some_and(|session| session.state == SessionState::Orphaned);
            if is_back && !quarantine.displaced.of(record.series, &record.identity).contains(&record) {
                quarantine.unheard.insert((record.series, record.ordinal), record.seat);
            }
        }
        let sessions = &self.sessions;
        quarantine.ended.retain(|id| !sessions.contains_key(id));
    }

    pub(super) fn quarantine_due(&mut self, t: Tick) {
        if self.quarantine.as_ref().is_some_and(|quarantine| quarantine.until <= t) {
            self.quarantine = None;
            self.was_quarantined = true;
            self.changes.push(Change::QuarantineEnded);
        }
    }

    /// A session was heard, so it is not displaced any more.
    pub(super) fn heard(&mut self, id: SessionId) {
        if let Some(quarantine) = &mut self.quarantine
            && let Some(session) = self.sessions.get(&id)
        {
            quarantine.unheard.remove(&(session.record.series, session.record.ordinal));
        }
    }

    /// A session has ended, and left its seat already.
    pub(super) fn note_end(&mut self, record: &SessionRecord, cause: EndCause) {
        let Some(quarantine) = &mut self.quarantine else { return };
        let held = self.tables.get(&record.series).and_then(|table| table.get(&record.seat));
        if held.is_none() {
            quarantine.unheard.remove(&(record.series, record.ordinal));
        }
        if !matches!(cause, EndCause::NotStored | EndCause::Displaced) {
            quarantine.ended.insert(record.id);
        }
    }

    /// Whether a claim takes no seat that nobody is known to use: it joins one that was heard since the start.
    pub(super) fn joins_heard(&self, series: SeriesId, seat: &Seat) -> bool {
        let Some(quarantine) = &self.quarantine else { return true };
        let held = self.tables.get(&series).and_then(|table| table.get(seat));
        held.is_some_and(|held| !quarantine.unheard.contains_key(&(series, held.ordinal)))
    }

    /// Why nothing new is granted now, if it isn't.
    pub(super) fn refuse_new(&self, series: SeriesId, now: Moment) -> Option<Error> {
        let until = self.quarantined_until(now)?;
        Some(Error::new(Code::LedgerRolledBack).with(series.key_id).with(until))
    }

    /// Brings back the session that a claim proves to have had when the store does not know it: one that was displaced, or one with a
    /// receipt that is later than the store. `None` when it proves nothing; an error when there is no seat for it.
    pub(super) fn bring_back(
        &mut self,
        claim: &Claim,
        series: SeriesId,
        (identity, shared, own): (&SessionIdentity, Option<&Seat>, Own),
        (t, now): (Tick, Moment),
    ) -> Option<Result<SessionId>> {
        let quarantine = self.quarantine.as_ref()?;
        let displaced = quarantine.displaced.of(series, identity).iter().find(|record| {
            let same_seat = || record.asker.shared_seat(&record.identity).as_ref() == shared;
            // Its receipt may have brought it back under another identity.
            let is_back = || self.sessions.contains_key(&record.id);
            record.identity.same_session(identity) && (same_seat() || is_own(record, own)) && !is_back()
        });
        let (record, key_no) = match displaced {
            Some(record) => (record.clone(), record.key_no),
            None => {
                let receipt = claim.proved_receipt().filter(|receipt| {
                    let later = receipt.sequence > quarantine.base && receipt.series == series;
                    let over =
                        quarantine.ended.contains(&receipt.session) || self.sessions.contains_key(&receipt.session);
                    later && !over
                })?;
                (record_of(receipt, claim, identity, now.wall), receipt.key_no)
            }
        };
        Some(self.readmit(record, key_no, claim, t))
    }

    fn readmit(&mut self, mut record: SessionRecord, key_no: KeyNo, claim: &Claim, t: Tick) -> Result<SessionId> {
        let (id, series) = (record.id, record.series);
        record.access_code.clone_from(&claim.access_code);
        let wants = Wants { demands: &claim.demands, code: claim.access_code.as_deref() };
        self.make_room(series, &record.seat, wants, t)?;
        (record.key_no, record.ordinal) = self.occupy_on(key_no, series, &record.seat, id, wants, t)?;
        if let Some(quarantine) = &mut self.quarantine {
            quarantine.displaced.remove(&record);
        }
        self.identify(series, &record.identity, id);
        self.changes.push(Change::Put(Box::new(record.clone())));
        let (until, demands) = (Some(t.plus(self.leases.hold())), boxed(claim.demands.clone()));
        let (state, cause) = (SessionState::Orphaned, EndCause::Expired);
        self.add_session(id, Session { record, state, until, cause, armed: None, demands });
        self.arm(id);
        Ok(id)
    }

    /// Displaces unheard seats until a seat that isn't held has room. Does nothing when that can't be reached.
    fn make_room(&mut self, series: SeriesId, seat: &Seat, wants: Wants<'_>, t: Tick) -> Result<()> {
        let (Some(quarantine), Some(table)) = (&self.quarantine, self.tables.get(&series)) else { return Ok(()) };
        if table.get(seat).is_some() {
            return Ok(());
        }
        let choice = table.choice(series.key_id, wants)?;
        let unheard = quarantine.unheard.range((series, 0)..=(series, u64::MAX)).map(|(_, seat)| seat);
        let sessions: BTreeSet<SessionId> = table
            .displaceable(unheard, &choice)
            .iter()
            .filter_map(|seat| table.get(seat))
            .flat_map(|held| held.sessions.iter().copied())
            .collect();
        for id in sessions {
            let record = self.sessions.get(&id).map(|session| session.record.clone());
            self.end(id, EndCause::Displaced, t);
            if let (Some(record), Some(quarantine)) = (record, &mut self.quarantine) {
                quarantine.displaced.insert(record);
            }
        }
        Ok(())
    }

    /// As [`Book::occupy`], on this key if it has room.
    fn occupy_on(
        &mut self,
        key_no: KeyNo,
        series: SeriesId,
        seat: &Seat,
        id: SessionId,
        wants: Wants<'_>,
        t: Tick,
    ) -> Result<(KeyNo, u64)> {
        let same_key = self.tables.get(&series).filter(|table| table.get(seat).is_none()).and_then(|table| {
            let choice = table.choice(series.key_id, wants).ok()?;
            table.only(key_no, &choice)
        });
        let (Some(choice), Some(table)) = (same_key, self.tables.get_mut(&series)) else {
            return self.occupy(series, seat, id, wants, None, t);
        };
        let ordinal = self.next_ordinal;
        let key_no = table.take(series.key_id, seat.clone(), ordinal, id, &choice)?;
        self.next_ordinal = ordinal.saturating_add(1);
        Ok((key_no, ordinal))
    }
}

/// The session of a receipt as the store would have it.
fn record_of(receipt: &Receipt, claim: &Claim, identity: &SessionIdentity, granted: Time) -> SessionRecord {
    SessionRecord {
        id: receipt.session,
        series: receipt.series,
        key_no: receipt.key_no,
        seat: receipt.seat.clone(),
        ordinal: 0,
        generation: receipt.generation,
        secret_hash: receipt.secret_hash,
        granted,
        connection: None,
        access_code: claim.access_code.clone(),
        asker: claim.asker.clone(),
        identity: identity.clone(),
    }
}
