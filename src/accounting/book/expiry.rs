//! The book and time: what runs out, and how a session ends. Leases run on a clock of the book's own: the machine's tick clock less
//! the time that the process stood still.

use super::{Book, Change, ConnectionId, Due, EndCause, Moment, SessionId, SessionState, Tick};

/// How many ended sessions are remembered, so that their holders learn why.
const REMEMBERED_ENDS: usize = 4096;
/// Difference between two readings of the clocks that means nothing, in milliseconds.
const JITTER: i128 = 5;

impl Book {
    /// The book's own clock at `now`.
    pub(super) fn at(&mut self, now: Moment) -> Tick {
        let seen = self.seen.unwrap_or(now.tick);
        let stood_still = now.tick.since(seen);
        if self.leases.gap.is_some_and(|gap| stood_still > gap) {
            self.skipped = self.skipped.saturating_add(u64::try_from(stood_still.as_millis()).unwrap_or(u64::MAX));
        }
        self.seen = Some(seen.max(now.tick));
        self.ahead = self.ahead(now);
        Tick(now.tick.0.saturating_sub(self.skipped))
    }

    /// How far the wall clock is ahead of the machine's ticks, in milliseconds. The two are read one after the other and rounded,
    /// so what differs by less than [`JITTER`] is the same: a moment that lies ahead is shown the same at every look.
    pub(super) fn ahead(&self, now: Moment) -> i128 {
        let ahead = i128::from(now.wall.0) - i128::from(now.tick.0);
        if (ahead - self.ahead).abs() < JITTER { self.ahead } else { ahead }
    }

    /// When [`Book::expire`] should be called next, by the machine's tick clock.
    pub fn next_deadline(&self) -> Option<Tick> {
        self.deadlines.first().map(|(tick, _)| Tick(tick.0.saturating_add(self.skipped)))
    }

    /// Lets everything expire that is due. Every claim does so first.
    pub fn expire(&mut self, now: Moment) {
        self.advance(now);
    }

    pub(super) fn advance(&mut self, now: Moment) -> Tick {
        let t = self.at(now);
        while let Some(&(tick, due)) = self.deadlines.first() {
            if tick > t {
                break;
            }
            self.deadlines.pop_first();
            match due {
                Due::Connection(id) => self.connection_due(id, t),
                Due::Session(id) => self.session_due(id, t),
                Due::Quarantine => self.quarantine_due(t),
            }
        }
        t
    }

    fn connection_due(&mut self, id: ConnectionId, t: Tick) {
        let Some(connection) = self.connections.get(&id) else { return };
        let until = connection.last_used.plus(self.leases.connection);
        if until > t {
            self.deadlines.insert((until, Due::Connection(id)));
            return;
        }
        let end = connection.last_used.plus(self.leases.hold());
        let Some(connection) = self.remove_connection(id) else { return };
        for session in connection.sessions {
            self.unhold(session, SessionState::Orphaned, end, EndCause::Expired, t);
        }
    }

    fn session_due(&mut self, id: SessionId, t: Tick) {
        let Some(session) = self.sessions.get_mut(&id) else { return };
        session.armed = None;
        match session.until {
            Some(until) if until <= t => {
                let cause = session.cause;
                self.end(id, cause, t);
            }
            _ => self.arm(id),
        }
    }

    /// Sees to it that the session is looked at when its lease runs out.
    pub(super) fn arm(&mut self, id: SessionId) {
        let Some(session) = self.sessions.get_mut(&id) else { return };
        let Some(until) = session.until else { return };
        match session.armed {
            Some(armed) if armed <= until => return,
            Some(armed) => self.deadlines.remove(&(armed, Due::Session(id))),
            None => false,
        };
        session.armed = Some(until);
        self.deadlines.insert((until, Due::Session(id)));
    }

    /// Takes a session from its holder (which has forgotten it already): it is nobody's until `until`.
    pub(super) fn unhold(&mut self, id: SessionId, state: SessionState, until: Tick, cause: EndCause, t: Tick) {
        let Some(session) = self.sessions.get_mut(&id) else { return };
        let was_active = session.is_active();
        session.state = state;
        session.until = Some(until);
        session.cause = cause;
        if was_active
            && !session.is_active()
            && let Some(table) = self.tables.get_mut(&session.record.series)
        {
            table.deactivate(&session.record.seat, t.plus(self.leases.detached_kept));
        }
        self.arm(id);
    }

    /// Ends sessions that the store has not accepted, until [`Book::reload`] brings back what it has.
    pub fn forget(&mut self, sessions: Vec<SessionId>, now: Moment) {
        let t = self.at(now);
        for id in sessions {
            self.end(id, EndCause::NotStored, t);
        }
    }

    /// Ends a session: its place on its seat is free, its holder will be told.
    pub(super) fn end(&mut self, id: SessionId, cause: EndCause, t: Tick) {
        let Some(session) = self.sessions.remove(&id) else { return };
        let active = session.is_active();
        let record = session.record;
        let (series, identity) = (record.series, &record.identity);
        if let Some(tally) = self.tallies.get_mut(&series) {
            tally.sessions -= 1;
        }
        if let Some(armed) = session.armed {
            self.deadlines.remove(&(armed, Due::Session(id)));
        }
        let key = (series, identity.key());
        if let Some(ids) = self.identities.get_mut(&key) {
            ids.retain(|other| *other != id);
            if ids.is_empty() {
                self.identities.remove(&key);
            }
        }
        if let Some(table) = self.tables.get_mut(&series) {
            table.leave(&record.seat, id, active, t.plus(self.leases.detached_kept));
        }
        self.note_end(&record, cause);
        let error = cause.error(series.key_id);
        if let SessionState::Attached(holder) = session.state
            && let Some(connection) = self.connections.get_mut(&holder)
        {
            connection.sessions.remove(&id);
            if !matches!(cause, EndCause::Released | EndCause::NotStored) {
                connection.lost.push((id, error.clone()));
            }
        }
        self.changes.push(Change::Delete(id, cause));
        if self.ended.insert(id, error).is_none() {
            self.ended_order.push_back(id);
        }
        if self.ended_order.len() > REMEMBERED_ENDS
            && let Some(oldest) = self.ended_order.pop_front()
        {
            self.ended.remove(&oldest);
        }
    }
}
