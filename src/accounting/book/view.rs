//! What the API and the console show of the book. Changes nothing.

use super::{Book, Connection, ConnectionView, Session, SessionState, SessionView, Tally, Usage};
use crate::id::{ConnectionId, SeriesId, SessionId};
use crate::time::{Moment, Tick};

impl Book {
    /// All sessions, in no order.
    pub fn sessions(&self, now: Moment) -> impl Iterator<Item = SessionView<'_>> {
        let t = self.shown_at(now);
        self.sessions.values().map(move |session| self.session_view(session, t, now))
    }

    /// One session.
    pub fn session(&self, id: SessionId, now: Moment) -> Option<SessionView<'_>> {
        self.sessions.get(&id).map(|session| self.session_view(session, self.shown_at(now), now))
    }

    /// All connections, in no order.
    pub fn connections(&self, now: Moment) -> impl Iterator<Item = ConnectionView<'_>> {
        let t = self.shown_at(now);
        self.connections.iter().map(move |(id, connection)| self.connection_view(*id, connection, t, now))
    }

    /// One connection.
    pub fn connection(&self, id: ConnectionId, now: Moment) -> Option<ConnectionView<'_>> {
        self.connections.get(&id).map(|connection| self.connection_view(id, connection, self.shown_at(now), now))
    }

    /// Seats of a series; `None` when it has neither keys nor seats.
    pub fn usage(&self, series: SeriesId) -> Option<Usage> {
        self.tables.get(&series).map(|table| table.usage())
    }

    /// How many connections and sessions a series has.
    pub fn tally(&self, series: SeriesId) -> Tally {
        self.tallies.get(&series).copied().unwrap_or_default()
    }

    /// Series that have keys or seats.
    pub fn series(&self) -> impl Iterator<Item = SeriesId> {
        self.tables.keys().copied()
    }

    fn shown_at(&self, now: Moment) -> Tick {
        Tick(now.tick.0.saturating_sub(self.skipped))
    }

    fn session_view<'a>(&'a self, session: &'a Session, t: Tick, now: Moment) -> SessionView<'a> {
        let until = session.until.unwrap_or_else(|| {
            let holder = match session.state {
                SessionState::Attached(holder) => self.connections.get(&holder),
                _ => None,
            };
            holder.map_or(t, |connection| connection.last_used).plus(self.leases.hold())
        });
        SessionView {
            record: &session.record,
            state: session.state,
            ending: self.is_ending(&session.record),
            expires: self.wall_of(until, now),
            expired: until <= t,
        }
    }

    fn connection_view<'a>(
        &'a self,
        id: ConnectionId,
        connection: &'a Connection,
        t: Tick,
        now: Moment,
    ) -> ConnectionView<'a> {
        let until = connection.last_used.plus(self.leases.connection);
        ConnectionView {
            id,
            info: &connection.info,
            created: connection.created,
            last_used: connection.last_used_wall,
            expires: self.wall_of(until, now),
            expired: until <= t,
            sessions: connection.sessions.len(),
            several_addresses: connection
                .info
                .computer
                .and_then(|computer| self.computers.get(&computer))
                .is_some_and(|seen| seen.several),
        }
    }
}
