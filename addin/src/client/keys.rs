//! Calls about the keys of a series: installing, giving up, files, memory. Each reaches one server only, that of the session or the
//! first that can be reached and has the series; where none has it, the first that can be reached at all gets its first key. What a
//! server refuses must not be tried at another, where a code would be spent in the wrong place.
//!
//! A server asks the vendor's centre, which takes its time: the call is repeated under its number until there is an answer.

use std::sync::Arc;
use std::time::Duration;

use licence::error::{Code, Error, Result};
use licence::protocol::keys::{KeyCall, KeyOutcome};
use licence::protocol::message::{Call, Outcome};
use licence::time::Deadline;

use super::connection::{Connection, Purpose};
use super::series::{Series, unexpected};
use super::session::{Held, Session};
use super::{TOTAL_LIMIT, Trouble, locked};

/// Longest that a call takes for which a server asks the vendor's centre. The server goes on beyond it.
pub const CENTRE_LIMIT: Duration = Duration::from_secs(120);

impl Series {
    /// Makes a call about the keys of the series.
    pub fn about_keys(&self, session: Option<&Session>, call: KeyCall) -> Result<KeyOutcome> {
        // Before anybody is looked for: a connection would refuse it as well.
        self.wanted.may_send(call.carries_secret())?;
        let deadline = self.net.within(limit(&call));
        if call.writes_memory() {
            return self.about_memory(session.ok_or(Code::MemoryNeedsSeat)?, &call, &deadline);
        }
        let (mut connection, is_installer) = match self.one_server(session, &deadline) {
            Err(error) if lacks_key(&error) && call.brings_key() => (self.installer(&deadline)?, true),
            found => (found?, false),
        };
        let mut asked = self.ask_patiently(&connection, &call, &deadline);
        if connection.is_gone() && asked.is_err() {
            // The server was started again.
            let again = match is_installer {
                true => self.install_at(connection.index, &deadline),
                false => self.connect_to(connection.index, &deadline),
            };
            connection = again.map_err(|trouble| self.told(&connection, trouble))?;
            asked = self.ask_patiently(&connection, &call, &deadline);
        }
        if is_installer && !matches!(asked, Err(Trouble::Unreachable(_))) {
            self.farewell(&connection, Call::Disconnect);
        }
        self.brought(&connection, asked, &call, &deadline)
    }

    /// Makes a call that needs a seat, over the connection that holds it: there the server looks for it.
    fn about_memory(&self, session: &Session, call: &KeyCall, deadline: &Deadline) -> Result<KeyOutcome> {
        let mut again = true;
        loop {
            let held = self.seat(session, deadline)?;
            let asked = self.ask_patiently(&held.connection, call, deadline);
            if asked.is_err() && held.connection.is_gone() && again {
                // The server was started again: the seat is taken up first.
                again = false;
                continue;
            }
            return self.brought(&held.connection, asked, call, deadline);
        }
    }

    /// The seat of a session over a connection that its server knows.
    fn seat(&self, session: &Session, deadline: &Deadline) -> Result<Held> {
        let held = session.held();
        let is_lost =
            |held: &Held| held.connection.is_gone() || locked(&self.state).down.contains(&held.connection.index);
        match held {
            Some(held) if !is_lost(&held) => Ok(held),
            lost => {
                self.recover(session, lost.as_ref(), deadline)?;
                session.held().ok_or_else(|| Code::SessionUnknown.into())
            }
        }
    }

    fn brought(
        &self,
        by: &Connection,
        asked: Result<Outcome, Trouble>,
        call: &KeyCall,
        deadline: &Deadline,
    ) -> Result<KeyOutcome> {
        match asked {
            Ok(Outcome::Key(outcome)) => Ok(*outcome),
            Ok(_) => Err(unexpected()),
            Err(Trouble::Unreachable(_)) if deadline.is_over() => {
                Err(Error::new(Code::KeyCallSlow).with(&by.endpoint).with(limit(call).as_secs()))
            }
            Err(trouble) => Err(self.told(by, trouble)),
        }
    }

    fn ask_patiently(&self, on: &Connection, call: &KeyCall, deadline: &Deadline) -> Result<Outcome, Trouble> {
        on.call_patiently(&self.net, Call::Key(Box::new(call.clone())), deadline)
    }

    /// A connection to the server that holds `session`, else to the first that can be reached and has the series.
    fn one_server(&self, session: Option<&Session>, deadline: &Deadline) -> Result<Arc<Connection>> {
        let held = session.and_then(|session| session.held()).map(|held| held.connection.index);
        let mut order = self.order();
        if let Some(held) = held.filter(|held| !locked(&self.state).down.contains(held)) {
            order.sort_by_key(|index| *index != held);
        }
        self.search(&self.net, &order, deadline, |index| self.connect_to(index, deadline))
    }

    /// A connection to the first server that can be reached, whether it has the series or not. It is used for one call.
    fn installer(&self, deadline: &Deadline) -> Result<Arc<Connection>> {
        self.search(&self.net, &self.order(), deadline, |index| self.install_at(index, deadline))
    }

    fn install_at(&self, index: usize, deadline: &Deadline) -> Result<Arc<Connection>, Trouble> {
        let endpoint = self.endpoints.get(index).ok_or_else(|| Trouble::Refused(unexpected()))?;
        Connection::open_for(&self.net, index, endpoint, (self.wanted, Purpose::Install), deadline).map(Arc::new)
    }

    fn connect_to(&self, index: usize, deadline: &Deadline) -> Result<Arc<Connection>, Trouble> {
        let _turn = self.turn(deadline).map_err(Trouble::Refused)?;
        self.connection(&self.net, index, deadline)
    }

    /// What 1C code is told of a failed call; a server that is out of reach is noted as such.
    pub(super) fn told(&self, connection: &Connection, trouble: Trouble) -> Error {
        match trouble {
            Trouble::Refused(error) => error,
            Trouble::Unreachable(cause) => {
                self.is_down(connection.index, &cause);
                Error::new(Code::ServerNotFound).with(format_args!("{}: {cause}", connection.endpoint))
            }
        }
    }
}

/// Whether a server can't be connected because it has no key of the series of its own.
pub fn lacks_key(error: &Error) -> bool {
    matches!(error.code, Code::NoKey | Code::ServerNotTrusted)
}

/// The longest that a call may take.
fn limit(call: &KeyCall) -> Duration {
    match call {
        KeyCall::Install(_) | KeyCall::Update | KeyCall::Deactivate(_) | KeyCall::CodeParameters { .. } => CENTRE_LIMIT,
        KeyCall::Request { .. }
        | KeyCall::Respond { .. }
        | KeyCall::ReadMemory { .. }
        | KeyCall::WriteMemory { .. }
        | KeyCall::ClearMemory { .. }
        | KeyCall::SetPasswords { .. } => TOTAL_LIMIT,
    }
}
