//! The book: which connections live, which sessions hold which seats. The only owner of that state; it decides, and never
//! writes: what must survive a restart is taken with [`Book::take_changes`] and made durable before anybody is answered.
//!
//! No operation but [`Book::set_pools`] and [`Book::restore`] scans sessions, connections or keys.

mod claim;
mod expiry;
mod pools;
mod quarantine;
mod record;
mod table;
mod view;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};

use self::quarantine::Quarantine;
use self::table::SeatTable;
use super::control::{Demands, Terms, Wants};
use super::denial::{Applicant, Denial, Denials};
use super::history::Sample;
use super::limit::SeatLimits;
use super::pool::Pools;
use super::receipt::Receipt;
use super::seat::SessionIdentity;
use crate::error::{Code, Error, Result};
use crate::id::{ComputerId, ConnectionId, SeriesId, SessionId};
use crate::time::{Moment, Tick, Time};

pub use self::record::*;

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
    /// After all else of the same moment: restored sessions end first.
    Quarantine,
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
    limits: SeatLimits,
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
    /// Since the store went back, for one lease.
    quarantine: Option<Quarantine>,
    /// Whether one has ended here.
    was_quarantined: bool,
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
            limits: SeatLimits::default(),
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
            quarantine: None,
            was_quarantined: false,
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
        // Its end may have been what could not be written.
        self.changes.extend(self.was_quarantined.then_some(Change::QuarantineEnded));
        self.identities.clear();
        self.tallies.values_mut().for_each(|tally| tally.sessions = 0);
        self.deadlines.retain(|(_, due)| !matches!(due, Due::Session(_)));
        let clients: Vec<_> = self.tables.iter_mut().map(|(series, table)| (*series, table.clear())).collect();
        self.sessions.reserve(records.len());
        self.identities.reserve(records.len());
        for record in records {
            let known = before.remove(&record.id).filter(|known| known.record.generation == record.generation);
            self.put_back(record, known.map(|known| *known), t);
        }
        for (series, clients) in clients {
            let Some(table) = self.tables.get_mut(&series) else { continue };
            clients.into_iter().for_each(|(seat, client)| table.set_client(&seat, client));
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

    /// Changes how many seats one client may hold; who holds more keeps them.
    pub fn set_limits(&mut self, limits: SeatLimits) {
        self.limits = limits;
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

    /// Whether `connection` holds a seat that stays, with the connection's lease renewed: for what only those may do who have taken
    /// one. [`Code::ConnectionUnknown`] when its lease is over.
    pub fn holds_seat(&mut self, connection: ConnectionId, now: Moment) -> Result<bool> {
        let t = self.at(now);
        self.used(connection, t, now.wall)?;
        let sessions = self.connections.get(&connection).map(|connection| &connection.sessions);
        let stays = |id: &SessionId| self.holds(connection, *id).is_ok_and(|held| !self.is_ending(&held.record));
        Ok(sessions.into_iter().flatten().any(stays))
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
