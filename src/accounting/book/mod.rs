//! The book: which connections live, which sessions hold which seats. The only owner of that state; it decides, and never
//! writes: what must survive a restart is taken with [`Book::take_changes`] and made durable before anybody is answered.
//!
//! No operation but [`Book::set_pools`] and [`Book::restore`] scans sessions, connections or keys.
//!
//! Leases run on a clock of the book's own: the machine's tick clock less the time that the process stood still.

mod claim;
mod pools;
mod record;
mod table;
mod view;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};

use self::table::SeatTable;
use super::control::{Demands, Terms, Wants};
use super::denial::{Applicant, Denial, Denials};
use super::history::Sample;
use super::pool::Pools;
use super::seat::SessionIdentity;
use crate::error::{Code, Error, Result};
use crate::id::{ComputerId, ConnectionId, SeriesId, SessionId};
use crate::time::{Moment, Tick, Time};

pub use self::record::*;

/// How many ended sessions are remembered, so that their holders learn why.
const REMEMBERED_ENDS: usize = 4096;

/// Difference between two readings of the clocks that means nothing, in milliseconds.
const JITTER: i128 = 5;

#[derive(Debug)]
struct Connection {
    info: ConnectionInfo,
    created: Time,
    last_used: Tick,
    last_used_wall: Time,
    sessions: HashSet<SessionId>,
    /// Sessions lost since the last heartbeat, and why.
    lost: Vec<(SessionId, Error)>,
    /// Sessions that were marked ending; whether they still are is looked up at the next heartbeat.
    ending: Vec<SessionId>,
}

#[derive(Debug)]
struct Session {
    record: SessionRecord,
    state: SessionState,
    /// When it ends, unless somebody takes it; `None` while a connection holds it.
    until: Option<Tick>,
    /// Why it ends then.
    cause: EndCause,
    /// The entry of this session in the book's deadlines; never later than `until`.
    armed: Option<Tick>,
    /// What its last claim demanded of the key, if anything. Not kept in the store: a client claims anew after a restart.
    demands: Option<Box<Demands>>,
}

impl Session {
    /// Whether the session counts as using its seat.
    fn is_active(&self) -> bool {
        self.state != SessionState::Detached
    }

    /// What it asks of the key that it sits on.
    fn wants(&self) -> Wants<'_> {
        let code = self.record.access_code.as_deref();
        Wants { demands: self.demands.as_deref().unwrap_or(Wants::nothing().demands), code }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Due {
    Connection(ConnectionId),
    Session(SessionId),
}

/// Where one computer identifier was seen.
#[derive(Debug)]
struct Sightings {
    connections: usize,
    first: core::net::IpAddr,
    several: bool,
}

/// Connections, sessions and seats of one server.
#[derive(Debug)]
pub struct Book {
    leases: Leases,
    /// `None` until they are set: what keys there are isn't known yet, so no seat is judged.
    pools: Option<Pools>,
    terms: Terms,
    tables: BTreeMap<SeriesId, SeatTable>,
    connections: HashMap<ConnectionId, Connection>,
    /// Boxed, for the table has up to twice the room that it needs.
    sessions: HashMap<SessionId, Box<Session>>,
    /// Sessions by what their identities have in common; a few at most share one key.
    identities: HashMap<(SeriesId, Box<str>), Vec<SessionId>>,
    /// When something may happen by itself. An entry may come too early, never too late: it is looked at again when due.
    deadlines: BTreeSet<(Tick, Due)>,
    computers: HashMap<ComputerId, Sightings>,
    /// Counted as they come and go, so that asking costs nothing however many there are.
    tallies: BTreeMap<SeriesId, Tally>,
    ended: HashMap<SessionId, Error>,
    ended_order: VecDeque<SessionId>,
    next_ordinal: u64,
    /// The last tick of the machine that the book saw, and how much less the book's own clock shows.
    seen: Option<Tick>,
    skipped: u64,
    /// How far the wall clock is ahead of the machine's ticks, see [`Book::ahead`].
    ahead: i128,
    changes: Vec<Change>,
    denials: Denials,
    /// All that the book has decided.
    denied: u64,
}

impl Book {
    /// An empty book without keys.
    pub fn new(leases: Leases) -> Book {
        Book {
            leases,
            pools: None,
            terms: Terms::default(),
            tables: BTreeMap::new(),
            connections: HashMap::new(),
            sessions: HashMap::new(),
            identities: HashMap::new(),
            deadlines: BTreeSet::new(),
            computers: HashMap::new(),
            tallies: BTreeMap::new(),
            ended: HashMap::new(),
            ended_order: VecDeque::new(),
            next_ordinal: 1,
            seen: None,
            skipped: 0,
            ahead: 0,
            changes: Vec::new(),
            denials: Denials::default(),
            denied: 0,
        }
    }

    /// The book as the store has it: all sessions are held, by nobody yet, with their leases armed in full.
    /// Nothing can be granted until [`Book::set_pools`].
    pub fn restore(leases: Leases, records: Vec<SessionRecord>, now: Moment) -> Book {
        let mut book = Book::new(leases);
        book.reload(records, now);
        book
    }

    /// Takes the sessions from the store again, after it refused a write: what was decided since is undone. Connections
    /// stay, and so do the leases and holders of sessions that the store has in the same generation.
    pub fn reload(&mut self, records: Vec<SessionRecord>, now: Moment) {
        let t = self.at(now);
        let mut before = std::mem::take(&mut self.sessions);
        self.changes.clear();
        self.identities.clear();
        self.tallies.values_mut().for_each(|tally| tally.sessions = 0);
        self.deadlines.retain(|(_, due)| matches!(due, Due::Connection(_)));
        self.tables.values_mut().for_each(SeatTable::clear);
        self.sessions.reserve(records.len());
        self.identities.reserve(records.len());
        for record in records {
            let known = before.remove(&record.id).filter(|known| known.record.generation == record.generation);
            self.put_back(record, known.map(|known| *known), t);
        }
        for (id, session) in before {
            if let SessionState::Attached(holder) = session.state
                && let Some(connection) = self.connections.get_mut(&holder)
                && connection.sessions.remove(&id)
            {
                connection.lost.push((id, EndCause::NotStored.error(session.record.series.key_id)));
            }
        }
        let (sessions, connections) = (&self.sessions, &mut self.connections);
        for (id, connection) in connections {
            connection.sessions.retain(|session| {
                sessions.get(session).is_some_and(|session| session.state == SessionState::Attached(*id))
            });
        }
        if let Some(pools) = self.pools.take() {
            let series: BTreeSet<SeriesId> = self.tables.keys().chain(pools.keys()).copied().collect();
            for series in series {
                self.set_pool(series, pools.get(&series));
            }
            self.pools = Some(pools);
        }
    }

    /// Enters a session under its identity, which rarely has another one.
    fn identify(&mut self, series: SeriesId, identity: &SessionIdentity, id: SessionId) {
        self.identities.entry((series, identity.key())).or_insert_with(|| Vec::with_capacity(1)).push(id);
    }

    fn put_back(&mut self, record: SessionRecord, known: Option<Session>, t: Tick) {
        let (id, series) = (record.id, record.series);
        let external = matches!(record.identity, SessionIdentity::External(_));
        let mut known = known;
        let demands = known.as_mut().and_then(|known| known.demands.take());
        let (state, until, cause) = match known {
            Some(Session { state: SessionState::Attached(_), until: None, cause, .. })
                if record.connection.is_some_and(|holder| self.connections.contains_key(&holder)) =>
            {
                let holder = record.connection.unwrap_or(ConnectionId([0; 16]));
                (SessionState::Attached(holder), None, cause)
            }
            Some(Session { state, until: Some(until), cause, .. }) => (state, Some(until), cause),
            _ if external => (SessionState::External, Some(t.plus(self.leases.session)), EndCause::Expired),
            _ => (SessionState::Orphaned, Some(t.plus(self.leases.hold())), EndCause::Expired),
        };
        self.next_ordinal = self.next_ordinal.max(record.ordinal.saturating_add(1));
        let session = Session { record, state, until, cause, armed: None, demands };
        let record = &session.record;
        self.tables.entry(series).or_default().restore(
            &record.seat,
            record.key_no,
            record.ordinal,
            id,
            session.is_active(),
            t.plus(self.leases.detached_kept),
        );
        self.identify(series, &record.identity, id);
        self.add_session(id, session);
        self.arm(id);
    }

    fn add_session(&mut self, id: SessionId, session: Session) {
        self.tallies.entry(session.record.series).or_default().sessions += 1;
        self.sessions.insert(id, Box::new(session));
    }

    /// What was decided since the last call and must be made durable before any of it is answered.
    #[must_use = "what isn't written down is lost with the process"]
    pub fn take_changes(&mut self) -> Vec<Change> {
        std::mem::take(&mut self.changes)
    }

    /// Refusals since the last call. They are for people: nothing rests on them, so they may be written down later.
    pub fn take_denials(&mut self) -> Vec<Denial> {
        self.denials.take()
    }

    /// Whether [`Book::take_denials`] would give any.
    pub fn has_denials(&self) -> bool {
        !self.denials.is_empty()
    }

    /// Counts a refusal that was decided elsewhere, or that could not be written down.
    pub fn note_denial(&mut self, denial: Denial) {
        self.denials.add(denial);
    }

    /// Counts the refusal of a seat, with the seats as they are now.
    fn deny(&mut self, series: SeriesId, applicant: Applicant, error: &Error, at: Time) {
        let (held, total) = self.tables.get(&series).map_or((0, 0), SeatTable::seats);
        let error = error.clone();
        self.denied += 1;
        self.denials.add(Denial { series, applicant, error, held, total, first: at, last: at, count: 1 });
    }

    /// Refusals that the book has decided.
    pub fn denied(&self) -> u64 {
        self.denied
    }

    /// Seats of every series now, and the most that were held since the last call.
    pub fn sample(&mut self) -> Vec<(SeriesId, Sample)> {
        self.tables.iter_mut().map(|(series, table)| (*series, table.sample())).collect()
    }

    /// The terms in force.
    pub fn leases(&self) -> &Leases {
        &self.leases
    }

    /// Changes the terms; deadlines already set stay.
    pub fn set_leases(&mut self, leases: Leases) {
        self.leases = leases;
    }

    /// The book's own clock at `now`.
    fn at(&mut self, now: Moment) -> Tick {
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
    fn ahead(&self, now: Moment) -> i128 {
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

    fn advance(&mut self, now: Moment) -> Tick {
        let t = self.at(now);
        while let Some(&(tick, due)) = self.deadlines.first() {
            if tick > t {
                break;
            }
            self.deadlines.pop_first();
            match due {
                Due::Connection(id) => self.connection_due(id, t),
                Due::Session(id) => self.session_due(id, t),
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
    fn arm(&mut self, id: SessionId) {
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
    fn unhold(&mut self, id: SessionId, state: SessionState, until: Tick, cause: EndCause, t: Tick) {
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
    fn end(&mut self, id: SessionId, cause: EndCause, t: Tick) {
        let Some(session) = self.sessions.remove(&id) else { return };
        let active = session.is_active();
        let SessionRecord { series, seat, identity, .. } = session.record;
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
            table.leave(&seat, id, active, t.plus(self.leases.detached_kept));
        }
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

    /// Enters a connection. `id` is random and the caller's to make.
    pub fn connect(&mut self, id: ConnectionId, info: ConnectionInfo, now: Moment) {
        let t = self.advance(now);
        if let Some(computer) = info.computer {
            let address = info.peer.to_canonical();
            let seen =
                self.computers.entry(computer).or_insert(Sightings { connections: 0, first: address, several: false });
            seen.connections += 1;
            // Loopback is the computer itself, whatever its other address is.
            if seen.first.is_loopback() {
                seen.first = address;
            } else if !address.is_loopback() && address != seen.first {
                seen.several = true;
            }
        }
        self.deadlines.insert((t.plus(self.leases.connection), Due::Connection(id)));
        self.tallies.entry(info.series).or_default().connections += 1;
        self.connections.insert(
            id,
            Connection {
                info,
                created: now.wall,
                last_used: t,
                last_used_wall: now.wall,
                sessions: HashSet::new(),
                lost: Vec::new(),
                ending: Vec::new(),
            },
        );
    }

    fn remove_connection(&mut self, id: ConnectionId) -> Option<Connection> {
        let connection = self.connections.remove(&id)?;
        if let Some(tally) = self.tallies.get_mut(&connection.info.series) {
            tally.connections -= 1;
        }
        if let Some(computer) = connection.info.computer
            && let Some(seen) = self.computers.get_mut(&computer)
        {
            seen.connections -= 1;
            if seen.connections == 0 {
                self.computers.remove(&computer);
            }
        }
        Some(connection)
    }

    /// The connection `id` with its lease renewed; [`Code::ConnectionUnknown`] when it has none any more.
    fn used(&mut self, id: ConnectionId, t: Tick, wall: Time) -> Result<&mut Connection> {
        let lease = self.leases.connection;
        match self.connections.get_mut(&id) {
            Some(connection) if connection.last_used.plus(lease) > t => {
                connection.last_used = connection.last_used.max(t);
                connection.last_used_wall = wall;
                Ok(connection)
            }
            _ => Err(Error::new(Code::ConnectionUnknown)),
        }
    }

    /// Renews the lease of a connection and of all the sessions that it holds, and tells which of them it lost. Touches memory
    /// only: sessions that end by this heartbeat are written off by the next [`Book::expire`] or claim.
    pub fn heartbeat(&mut self, id: ConnectionId, now: Moment) -> Result<Beat> {
        let t = self.at(now);
        let connection = self.used(id, t, now.wall)?;
        let key_id = connection.info.series.key_id;
        let mut ended = std::mem::take(&mut connection.lost);
        for session in std::mem::take(&mut connection.ending) {
            if self.holds(id, session).is_ok_and(|held| self.is_ending(&held.record)) {
                if let Some(connection) = self.connections.get_mut(&id) {
                    connection.sessions.remove(&session);
                }
                self.unhold(session, SessionState::Detached, t, EndCause::Ending, t);
                ended.push((session, EndCause::Ending.error(key_id)));
            }
        }
        Ok(Beat { ended })
    }

    fn is_ending(&self, record: &SessionRecord) -> bool {
        self.tables.get(&record.series).is_some_and(|table| table.is_ending(&record.seat))
    }

    /// The session, if `connection` holds it; else why it doesn't.
    fn holds(&self, connection: ConnectionId, id: SessionId) -> Result<&Session> {
        let unknown = || Error::new(Code::SessionUnknown);
        let session = match self.sessions.get(&id) {
            Some(session) => session,
            None => {
                let error = self.ended.get(&id).cloned();
                return Err(error
                    .unwrap_or_else(|| unknown().with_text("серверу он неизвестен", "the server does not know it")));
            }
        };
        match session.state {
            SessionState::Attached(holder) if holder == connection => Ok(session),
            SessionState::Attached(_) => Err(Error::new(Code::SessionTakenOver)),
            _ if session.cause == EndCause::Ending => Err(EndCause::Ending.error(session.record.series.key_id)),
            SessionState::Detached | SessionState::Orphaned | SessionState::External => {
                Err(unknown().with_text("соединение его не удерживает", "this connection does not hold it"))
            }
        }
    }

    /// The session that `connection` uses, with the connection's lease renewed. Errors: [`Code::ConnectionUnknown`],
    /// [`Code::SessionUnknown`], [`Code::SessionTakenOver`], [`Code::SessionDropped`], [`Code::SessionEnding`].
    pub fn use_session(&mut self, connection: ConnectionId, id: SessionId, now: Moment) -> Result<&SessionRecord> {
        let t = self.at(now);
        self.used(connection, t, now.wall)?;
        self.holds(connection, id).map(|session| &session.record)
    }

    /// Ends a session at its holder's wish and frees its place at once. Errors as for [`Book::use_session`].
    pub fn release(&mut self, connection: ConnectionId, id: SessionId, now: Moment) -> Result<()> {
        let t = self.advance(now);
        self.used(connection, t, now.wall)?;
        // A detached session may still be released by the process that had it.
        let detached = self.sessions.get(&id).is_some_and(|session| {
            session.state == SessionState::Detached && session.record.connection == Some(connection)
        });
        if !detached {
            self.holds(connection, id)?;
        }
        self.end(id, EndCause::Released, t);
        Ok(())
    }

    /// The session's last object was destroyed in its process, which is not the end of the session: it is held as detached.
    /// Touches memory only. Errors as for [`Book::use_session`].
    pub fn detach(&mut self, connection: ConnectionId, id: SessionId, now: Moment) -> Result<()> {
        let t = self.at(now);
        self.used(connection, t, now.wall)?;
        self.holds(connection, id)?;
        if let Some(connection) = self.connections.get_mut(&connection) {
            connection.sessions.remove(&id);
        }
        self.unhold(id, SessionState::Detached, t.plus(self.leases.session), EndCause::Expired, t);
        Ok(())
    }

    /// Ends a connection whose process says so; its sessions are detached. Touches memory only. An unknown one is no error.
    pub fn disconnect(&mut self, id: ConnectionId, now: Moment) {
        let t = self.at(now);
        let until = t.plus(self.leases.session);
        for session in self.remove_connection(id).into_iter().flat_map(|connection| connection.sessions) {
            self.unhold(session, SessionState::Detached, until, EndCause::Expired, t);
        }
    }

    /// Ends a session at the administrator's wish; [`Code::RecordNotFound`] when there is none.
    pub fn drop_session(&mut self, id: SessionId, now: Moment) -> Result<()> {
        let t = self.advance(now);
        if !self.sessions.contains_key(&id) {
            return Err(Error::new(Code::RecordNotFound).with(id));
        }
        self.end(id, EndCause::Dropped, t);
        Ok(())
    }
}

#[cfg(test)]
impl Book {
    /// See [`SeatTable::check`]; the tallies are what counting anew gives.
    pub(crate) fn check_tables(&self) {
        self.tables.values().for_each(SeatTable::check);
        for (series, tally) in &self.tallies {
            let connections = self.connections.values().filter(|connection| connection.info.series == *series).count();
            let sessions = self.sessions.values().filter(|session| session.record.series == *series).count();
            assert_eq!(*tally, Tally { connections: connections as u64, sessions: sessions as u64 });
        }
    }
}

#[cfg(test)]
mod tests;
