//! One started series: its servers in order, the connections to them, and the sessions that this process holds. Moves
//! sessions when a server is lost and back when it returns; a claim is sent to one server at a time.
//! Holds no lock across I/O but [`Turn`], which is waited for within the caller's own limit.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, Weak};

use licence::api::LicenceInfo;
use licence::datafile::Datafile;
use licence::error::{Code, Error, Result};
use licence::id::SessionId;
use licence::protocol::message::{Acquire, Call, ObjectKeyQuery, Outcome};
use licence::revocation::RevocationLists;
use licence::settings::Endpoint;
use licence::subkeys::Subkey;
use licence::time::{Deadline, Tick};

use super::connection::{Connection, Wanted};
use super::search::Search;
use super::session::{Held, Identity, Proofs, Session, Terms};
use super::turn::Turn;
use super::{FAREWELL_LIMIT, Net, RESTART_LIMIT, RESTART_PAUSE, SERVER_LIMIT, TOTAL_LIMIT, Trouble, locked};

/// How many sessions without objects are remembered.
const MAX_FORMER: usize = 256;

/// A started series.
pub struct Series {
    /// What was asked for.
    pub wanted: Wanted,
    /// The servers, the preferred one first; never empty.
    pub endpoints: Vec<Endpoint>,
    pub(super) net: Net,
    pub(super) turn: Turn,
    pub(super) state: Mutex<State>,
    pub(super) datafiles: Mutex<Vec<([u8; 32], Weak<Datafile>)>>,
    /// Keys that the vendor has revoked, as datafiles said.
    pub(super) revoked: Mutex<RevocationLists>,
}

#[derive(Default)]
pub(super) struct State {
    pub connections: Vec<Arc<Connection>>,
    /// Servers that were out of reach when last tried.
    pub down: Vec<usize>,
    /// When a server that had been there was found out of reach last.
    pub lost: Option<Tick>,
    pub sessions: Vec<(Arc<Session>, usize)>,
    /// Sessions whose last object has gone and that may go on with the next one, the latest last.
    former: VecDeque<(Identity, Proofs)>,
}

impl Series {
    /// A series that is not connected yet.
    pub fn new(net: Net, wanted: Wanted, endpoints: Vec<Endpoint>) -> Series {
        let (turn, state, datafiles, revoked) = (Turn::default(), Mutex::default(), Mutex::default(), Mutex::default());
        Series { wanted, endpoints, net, turn, state, datafiles, revoked }
    }

    /// Makes sure that a server is connected: the first in the list that can be reached and has the series.
    pub fn connect(&self) -> Result<()> {
        let deadline = self.net.within(TOTAL_LIMIT);
        let _turn = self.turn(&deadline)?;
        if locked(&self.state).connections.iter().any(|connection| !connection.is_gone()) {
            return Ok(());
        }
        let all: Vec<usize> = (0..self.endpoints.len()).collect();
        self.search(&self.net, &all, &deadline, |index| self.connection(&self.net, index, &deadline)).map(drop)
    }

    /// Whether servers may be told a claim: without an anchor [`Code::NoAnchor`] for one with secrets in it. Asks nobody.
    pub fn may_claim(&self, claim: &Acquire) -> Result<()> {
        self.wanted.may_send(claim.carries_secret())
    }

    /// Takes a licence for a session, or finds the one that it has, for one more object of 1C. The claim holds its terms.
    pub fn join(&self, claim: Acquire) -> Result<Arc<Session>> {
        self.may_claim(&claim)?;
        let terms = Terms::of(&claim);
        let session = self.enlist(claim);
        match self.rejoin(&session, terms) {
            Ok(()) => Ok(session),
            Err(error) => {
                self.leave(&session, false);
                Err(error)
            }
        }
    }

    /// Asks once more for the seat of a session that an object has joined. The terms are the session's, whichever object
    /// has set them; after a refusal it goes on with those before.
    pub fn rejoin(&self, session: &Session, terms: Terms) -> Result<()> {
        self.may_claim(&terms.apply(Acquire::default()))?;
        let deadline = self.net.within(TOTAL_LIMIT);
        let _turn = self.turn(&deadline)?;
        let before = session.set_terms(terms);
        let claimed = self.claim_through_restart(session, &deadline);
        if claimed.is_err() {
            session.set_terms(before);
        }
        claimed
    }

    /// The licence of a usable key that meets a claim with `key_only`. No seat is taken.
    pub fn presence(&self, claim: &Acquire) -> Result<Box<LicenceInfo>> {
        self.may_claim(claim)?;
        let call = Call::Acquire(Box::new(claim.clone()));
        match self.ask_anyone(None, &call, &self.net.within(TOTAL_LIMIT))? {
            Outcome::Present { licence } => self.check_key(licence.key_no).map(|()| licence),
            _ => Err(unexpected()),
        }
    }

    /// Makes a call that needs no session: of the server that holds `session`, else of the first that answers.
    pub fn inquire(&self, session: Option<&Session>, call: &Call) -> Result<Outcome> {
        let first = session.and_then(|session| Some(session.held()?.connection.index));
        self.ask_anyone(first, call, &self.net.within(TOTAL_LIMIT))
    }

    /// Makes a call for a session that holds a seat.
    pub fn command(&self, session: &Session, call: impl Fn(SessionId) -> Call) -> Result<Outcome> {
        self.ask(session, |held| call(held.id), &self.net.within(TOTAL_LIMIT)).map(|(_, outcome)| outcome)
    }

    /// The connection to the server that holds `session`, else the preferred one; opened if there is none.
    pub fn present_connection(&self, session: Option<&Session>) -> Result<Arc<Connection>> {
        let held = session.and_then(|session| session.held()).map(|held| held.connection);
        if let Some(connection) = held.filter(|connection| !connection.is_gone()) {
            return Ok(connection);
        }
        self.connect()?;
        let open = self.connections().into_iter().find(|connection| !connection.is_gone());
        open.ok_or_else(|| Code::ConnectionUnknown.into())
    }

    /// Now, on the clock that fences count by.
    pub fn now(&self) -> Tick {
        self.net.now()
    }

    fn enlist(&self, claim: Acquire) -> Arc<Session> {
        let mut state = locked(&self.state);
        let same = |session: &Session| Session::identity(&session.claim.session) == Session::identity(&claim.session);
        match state.sessions.iter_mut().find(|(session, _)| same(session)) {
            Some((session, objects)) => {
                *objects += 1;
                Arc::clone(session)
            }
            None => {
                let identity = Session::identity(&claim.session);
                let at = state.former.iter().position(|(former, _)| *former == identity);
                let proofs = at.and_then(|at| state.former.remove(at)).map(|(_, proofs)| proofs);
                let session = Arc::new(Session::new(claim, proofs.unwrap_or_default()));
                state.sessions.push((Arc::clone(&session), 1));
                session
            }
        }
    }

    /// An object has gone. With the last one the server is told, at best effort: that the session may go on later, or, if the
    /// object `gives_back`, that its seat is free.
    pub fn leave(&self, session: &Arc<Session>, gives_back: bool) {
        {
            let mut state = locked(&self.state);
            let Some(at) = state.sessions.iter().position(|(known, _)| Arc::ptr_eq(known, session)) else { return };
            state.sessions[at].1 = state.sessions[at].1.saturating_sub(1);
            if state.sessions[at].1 > 0 {
                return;
            }
            state.sessions.swap_remove(at);
            let proofs = session.proofs();
            if !gives_back && !proofs.is_empty() {
                state.former.push_back((Session::identity(&session.claim.session), proofs));
                let excess = state.former.len().saturating_sub(MAX_FORMER);
                state.former.drain(..excess);
            }
        }
        if let Some(held) = session.held() {
            let id = held.id;
            let call = if gives_back { Call::Release { session: id } } else { Call::Detach { session: id } };
            self.farewell(&held.connection, call);
            session.lose(&held, released());
        }
    }

    /// Gives a seat back at once. When its server is out of reach, the seat ends there with its lease.
    pub fn release(&self, session: &Session) -> Result<()> {
        let deadline = self.net.within(TOTAL_LIMIT);
        for _ in 0..2 {
            let Some(held) = session.held() else { break };
            let call = Call::Release { session: held.id };
            match self.call_through_restart(&held.connection, &call, &deadline) {
                Ok(_) => session.lose(&held, released()),
                // The server was started again: it gives the session back to whoever can prove it.
                Err(_) if held.connection.is_gone() => {
                    let _turn = self.turn(&deadline)?;
                    if let Err(trouble) = self.claim_at(&self.net, held.connection.index, session, &deadline) {
                        session.lose(&held, released());
                        return Err(self.told(&held.connection, trouble));
                    }
                }
                Err(Trouble::Refused(error)) if ends_session(error.code) => session.lose(&held, released()),
                Err(trouble) => {
                    session.lose(&held, released());
                    return Err(self.told(&held.connection, trouble));
                }
            }
        }
        Ok(())
    }

    /// The licence of a session, from the server; while none can serve it, as it was told last, until the fence.
    pub fn licence(&self, session: &Session) -> Result<Box<LicenceInfo>> {
        let out_of_reach = session.held().is_some_and(|held| locked(&self.state).down.contains(&held.connection.index));
        if out_of_reach && let Ok(Some(licence)) = session.known_licence(self.net.now()) {
            return Ok(licence);
        }
        match self.ask(session, |held| Call::Licence { session: held.id }, &self.net.within(TOTAL_LIMIT)) {
            Ok((held, Outcome::Licence { licence })) => {
                session.learn(&held, licence.clone());
                Ok(licence)
            }
            Ok(_) => Err(unexpected()),
            Err(error) if session.held().is_some() => session.known_licence(self.net.now())?.ok_or(error),
            Err(error) => Err(error),
        }
    }

    /// The key of a protected object. `session` may be absent only for an object that needs no seat.
    pub fn object_key(&self, session: Option<&Session>, query: &ObjectKeyQuery, deadline: &Deadline) -> Result<Subkey> {
        let call = |session| Call::ObjectKey(ObjectKeyQuery { session, ..query.clone() });
        let outcome = match session {
            Some(session) => self.ask(session, |held| call(Some(held.id)), deadline)?.1,
            None => self.ask_anyone(None, &call(None), deadline)?,
        };
        match outcome {
            Outcome::ObjectKey { key, key_no } => key_no.map_or(Ok(()), |key_no| self.check_key(key_no)).map(|()| key),
            _ => Err(unexpected()),
        }
    }

    /// The connections that are open, the preferred server's first.
    pub fn connections(&self) -> Vec<Arc<Connection>> {
        let mut connections = locked(&self.state).connections.clone();
        connections.sort_by_key(|connection| connection.index);
        connections
    }

    /// Says goodbye to all servers; their sessions stay there for whoever comes back for them.
    pub(super) fn close(&self) {
        // Taken out first: in the loop's head the lock would be held to its end.
        let connections = std::mem::take(&mut locked(&self.state).connections);
        for connection in connections {
            self.farewell(&connection, Call::Disconnect);
        }
    }

    pub(super) fn farewell(&self, connection: &Connection, call: Call) {
        let out_of_reach = locked(&self.state).down.contains(&connection.index);
        if !out_of_reach && !connection.is_gone() {
            // The server's leases do the rest when this is lost.
            let _ = connection.call(&self.net, call, &self.net.within(FAREWELL_LIMIT));
        }
    }

    pub(super) fn turn(&self, deadline: &Deadline) -> Result<super::turn::Held<'_>> {
        self.turn.take(deadline.left()).ok_or_else(|| Search::untried(&self.endpoints).error())
    }

    /// Makes a call for a session, on whatever server can hold it: when its server is lost, the session moves first.
    fn ask(&self, session: &Session, call: impl Fn(&Held) -> Call, deadline: &Deadline) -> Result<(Held, Outcome)> {
        let mut last = None;
        for _ in 0..self.endpoints.len() + 2 {
            let held = match session.held() {
                Some(held) => held,
                None => {
                    self.recover(session, None, deadline)?;
                    continue;
                }
            };
            let sent = self.net.now();
            let trouble = match held.connection.call(&self.net, call(&held), &deadline.at_most(SERVER_LIMIT)) {
                Ok(outcome) => {
                    session.hear(&held.connection, sent);
                    self.is_up(held.connection.index);
                    return Ok((held, outcome));
                }
                Err(trouble) => trouble,
            };
            let error = match trouble {
                Trouble::Unreachable(cause) => {
                    self.is_down(held.connection.index, &cause);
                    Error::new(Code::ServerNotFound).with(format!("{}: {cause}", held.connection.endpoint))
                }
                Trouble::Refused(error) if held.connection.is_gone() => error,
                Trouble::Refused(error) if ends_session(error.code) => {
                    session.lose(&held, error.clone());
                    error
                }
                Trouble::Refused(error) => return Err(error),
            };
            last = Some(error);
            self.recover(session, Some(&held), deadline)?;
        }
        Err(last.unwrap_or_else(unexpected))
    }

    /// Makes a call that needs no session: of the server at `first`, if it is not out of reach, else of the others in order.
    pub(super) fn ask_anyone(&self, first: Option<usize>, call: &Call, deadline: &Deadline) -> Result<Outcome> {
        loop {
            match self.ask_each(first, call, deadline) {
                Err(error) if error.code == Code::ServerNotFound && self.may_come_back(deadline) => {}
                asked => return asked,
            }
        }
    }

    fn ask_each(&self, first: Option<usize>, call: &Call, deadline: &Deadline) -> Result<Outcome> {
        let mut order = self.order();
        if let Some(first) = first.filter(|first| !locked(&self.state).down.contains(first)) {
            order.sort_by_key(|index| *index != first);
        }
        self.search(&self.net, &order, deadline, |index| {
            let asked = self.ask_at(index, call, deadline);
            if let Err(Trouble::Unreachable(cause)) = &asked {
                self.is_down(index, cause);
            }
            asked
        })
    }

    /// Makes a call of one server; over a new connection when the server does not know the one that there was.
    fn ask_at(&self, index: usize, call: &Call, deadline: &Deadline) -> std::result::Result<Outcome, Trouble> {
        let mut again = true;
        loop {
            let connection = {
                let _turn = self.turn(deadline).map_err(Trouble::Refused)?;
                self.connection(&self.net, index, deadline)?
            };
            match connection.call(&self.net, call.clone(), &deadline.at_most(SERVER_LIMIT)) {
                Err(_) if connection.is_gone() && again => again = false,
                asked => return asked,
            }
        }
    }

    /// Finds a seat for a session whose seat `failed`, unless somebody else has done so meanwhile.
    pub(super) fn recover(&self, session: &Session, failed: Option<&Held>, deadline: &Deadline) -> Result<()> {
        let _turn = self.turn(deadline)?;
        let now = session.held();
        if now.as_ref().is_some_and(|held| failed.is_none_or(|failed| !held.is(failed))) {
            return Ok(());
        }
        match session.is_over() {
            Some(error) => Err(error),
            None => self.claim_through_restart(session, deadline),
        }
    }

    /// A claim that bridges a restart: while nobody can be reached, and a server was lost only now. The caller has the turn.
    fn claim_through_restart(&self, session: &Session, deadline: &Deadline) -> Result<()> {
        loop {
            match self.claim(&self.net, session, deadline) {
                Err(error) if error.code == Code::ServerNotFound && self.may_come_back(deadline) => {}
                claimed => return claimed,
            }
        }
    }

    /// A call over one connection that bridges a restart.
    fn call_through_restart(
        &self,
        connection: &Connection,
        call: &Call,
        deadline: &Deadline,
    ) -> std::result::Result<Outcome, Trouble> {
        loop {
            match connection.call(&self.net, call.clone(), &deadline.at_most(SERVER_LIMIT)) {
                Err(Trouble::Unreachable(cause)) => {
                    self.is_down(connection.index, &cause);
                    if !self.may_come_back(deadline) {
                        return Err(Trouble::Unreachable(cause));
                    }
                }
                called => return called,
            }
        }
    }

    /// Waits a little when a server was lost so lately that it may be starting again; `false` when a call should give up.
    fn may_come_back(&self, deadline: &Deadline) -> bool {
        let lost = locked(&self.state).lost;
        lost.is_some_and(|lost| self.net.now().since(lost) < RESTART_LIMIT)
            && deadline.left() > RESTART_PAUSE
            && self.net.transport.pause(RESTART_PAUSE)
    }

    /// Asks the servers for a seat, one after the other. The caller has the turn.
    ///
    /// A refusal for lack of licences is no reason to stop: the administrator's list goes on. If all refuse, the first
    /// refusal is told.
    pub(super) fn claim(&self, net: &Net, session: &Session, deadline: &Deadline) -> Result<()> {
        let mut order = self.order();
        if let Some(held) = session.held()
            && !locked(&self.state).down.contains(&held.connection.index)
        {
            // Who holds a seat asks its server first: it may be still there.
            order.sort_by_key(|index| *index != held.connection.index);
        }
        let claimed = self.search(net, &order, deadline, |index| match self.claim_at(net, index, session, deadline) {
            Ok(former) => Ok(Ok((index, former))),
            // No other server would say otherwise.
            Err(Trouble::Refused(error)) if matches!(error.code, Code::BadSession | Code::BadRequest) => Ok(Err(error)),
            Err(trouble) => Err(trouble),
        });
        let (index, former) = claimed??;
        self.release_former(net, index, former);
        Ok(())
    }

    /// Gives back the seat that a session had at another server before it got one at `index`.
    pub(super) fn release_former(&self, net: &Net, index: usize, former: Option<Held>) {
        let Some(former) = former.filter(|former| former.connection.index != index) else { return };
        let out_of_reach = locked(&self.state).down.contains(&former.connection.index);
        if !out_of_reach && !former.connection.is_gone() {
            // The server's leases do the rest when this is lost.
            let call = Call::Release { session: former.id };
            let _ = former.connection.call(net, call, &net.within(FAREWELL_LIMIT));
        }
    }

    /// Asks one server for a seat; gives the seat that the session had before. The caller has the turn.
    pub(super) fn claim_at(
        &self,
        net: &Net,
        index: usize,
        session: &Session,
        deadline: &Deadline,
    ) -> std::result::Result<Option<Held>, Trouble> {
        let deadline = deadline.at_most(SERVER_LIMIT);
        let mut again = true;
        loop {
            let connection = self.connection(net, index, &deadline)?;
            let sent = net.now();
            let call = Call::Acquire(Box::new(session.claim_at(&connection.server_key)));
            match connection.call(net, call, &deadline) {
                Ok(Outcome::Granted(granted)) => {
                    self.is_up(index);
                    let held = Held::of(connection, &granted, sent);
                    if let Err(error) = self.check_key(granted.key_no) {
                        self.give_up(net, session, &held, error.clone());
                        return Err(Trouble::Refused(error));
                    }
                    let home = self.home_of(index);
                    log::info!(
                        "{}: licence of key {} at {}",
                        self.wanted.key_id,
                        granted.key_no,
                        held.connection.endpoint
                    );
                    return Ok(session.hold(held, &granted, home));
                }
                Ok(_) => return Err(Trouble::Refused(unexpected())),
                Err(_) if connection.is_gone() && again => again = false,
                Err(Trouble::Unreachable(cause)) => {
                    self.is_down(index, &cause);
                    return Err(Trouble::Unreachable(cause));
                }
                Err(refused) => return Err(refused),
            }
        }
    }

    /// The connection to a server, opened if there is none. The caller has the turn.
    pub(super) fn connection(
        &self,
        net: &Net,
        index: usize,
        deadline: &Deadline,
    ) -> std::result::Result<Arc<Connection>, Trouble> {
        {
            let mut state = locked(&self.state);
            state.connections.retain(|connection| !connection.is_gone());
            if let Some(connection) = state.connections.iter().find(|connection| connection.index == index) {
                return Ok(Arc::clone(connection));
            }
        }
        let opened = Connection::open(net, index, &self.endpoints[index], self.wanted, deadline);
        match &opened {
            Err(Trouble::Unreachable(cause)) => self.is_down(index, cause),
            _ => self.is_up(index),
        }
        let connection = Arc::new(opened?);
        locked(&self.state).connections.push(Arc::clone(&connection));
        Ok(connection)
    }

    /// The servers to ask: those out of reach last, else as listed.
    pub(super) fn order(&self) -> Vec<usize> {
        let state = locked(&self.state);
        let mut order: Vec<usize> = (0..self.endpoints.len()).collect();
        order.sort_by_key(|index| state.down.contains(index));
        order
    }

    /// The server that a session granted at `index` belongs to: the first that was passed over as out of reach.
    fn home_of(&self, index: usize) -> usize {
        let state = locked(&self.state);
        (0..index).find(|preferred| state.down.contains(preferred)).unwrap_or(index)
    }

    pub(super) fn is_down(&self, index: usize, cause: &str) {
        let mut state = locked(&self.state);
        if !state.down.contains(&index) {
            state.down.push(index);
            if state.connections.iter().any(|connection| connection.index == index) {
                state.lost = Some(self.net.now());
            }
            drop(state);
            log::warn!("{}: {} is out of reach: {cause}", self.wanted.key_id, self.endpoints[index]);
        }
    }

    pub(super) fn is_up(&self, index: usize) {
        locked(&self.state).down.retain(|down| *down != index);
    }
}

/// Errors after which the server has no seat for the session any more.
pub(super) fn ends_session(code: Code) -> bool {
    matches!(code, Code::SessionUnknown | Code::SessionTakenOver | Code::SessionDropped | Code::SessionEnding)
}

/// Why a session that 1C code gave back is not held.
fn released() -> Error {
    Error::new(Code::BadSession).with_text("лицензия освобождена", "the licence was released")
}

/// The server answered another call.
pub fn unexpected() -> Error {
    Error::new(Code::FrameRefused).with("an answer to another call")
}
