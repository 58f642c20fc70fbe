//! One session as this process holds it: who it is, which server gave it its seat, and whether the seat still counts.
//! Pure state; the calls are made by [`super::series`].

use std::sync::{Arc, Mutex};
use std::time::Duration;

use licence::accounting::InfoBase;
use licence::api::LicenceInfo;
use licence::error::{Code, Error};
use licence::id::{Bytes32, KeyNo, SessionId};
use licence::protocol::message::{Acquire, Control, Granted, Resume, SessionData};
use licence::time::{Tick, Time};

use super::connection::Connection;
use super::locked;

/// What makes two descriptions the same session: infobase, number, start.
pub type Identity = (String, String, Option<Time>);

/// What proves that a session was held, for each server that held it.
pub type Proofs = Vec<(Bytes32, Resume)>;

/// A session of 1C, shared by all objects of this process that speak for it.
pub struct Session {
    /// Who asks, without proof of an earlier hold and without terms.
    pub claim: Acquire,
    state: Mutex<State>,
}

/// What a session asks of its licence: sent with each of its claims, to whatever server.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Terms {
    /// What the licence must be like.
    pub control: Control,
    /// Access code, for keys that are set aside.
    pub access_code: Option<String>,
}

impl Terms {
    /// The terms of a claim.
    pub fn of(claim: &Acquire) -> Terms {
        Terms { control: claim.control.clone(), access_code: claim.access_code.clone() }
    }

    /// A claim on these terms.
    pub fn apply(&self, claim: Acquire) -> Acquire {
        Acquire { control: self.control.clone(), access_code: self.access_code.clone(), ..claim }
    }
}

struct State {
    terms: Terms,
    held: Option<Held>,
    /// Why it is not held, when it was and isn't.
    lost: Option<Error>,
    /// Proofs of having held it, by server.
    proofs: Proofs,
    /// Place of the server that it belongs to: the one that it would be on had none been out of reach.
    home: usize,
    /// No claim by ourselves before this moment: a server that refuses need not be asked at every heartbeat.
    rests_until: Tick,
    /// Its licence, as the server told it last.
    licence: Option<Box<LicenceInfo>>,
}

/// A seat.
#[derive(Clone)]
pub struct Held {
    /// Over which connection.
    pub connection: Arc<Connection>,
    /// The session's identifier at that server.
    pub id: SessionId,
    /// The key that it is on.
    pub key_no: KeyNo,
    /// When the last call that the server answered was sent.
    pub heard: Tick,
    /// How long the server keeps the seat after that.
    pub lease: Duration,
    /// How often the server wants to hear of us.
    pub heartbeat: Duration,
}

impl Held {
    /// A grant that was asked for at `sent`.
    pub fn of(connection: Arc<Connection>, granted: &Granted, sent: Tick) -> Held {
        Held {
            connection,
            id: granted.session,
            key_no: granted.key_no,
            heard: sent,
            lease: Duration::from_millis(granted.lease_ms),
            heartbeat: Duration::from_millis(granted.heartbeat_ms),
        }
    }

    /// Until when this process may rely on the seat without hearing the server: a tenth of the lease before the server
    /// could give it to another.
    pub fn fence(&self) -> Tick {
        self.heard.plus(self.lease - self.lease / 10)
    }

    /// Whether this is the same seat over the same connection.
    pub fn is(&self, other: &Held) -> bool {
        self.id == other.id && Arc::ptr_eq(&self.connection, &other.connection)
    }
}

impl Session {
    /// A session that is not held yet, or not any more: with what proves that it was.
    pub fn new(claim: Acquire, proofs: Proofs) -> Session {
        let rests_until = Tick(0);
        let terms = Terms::of(&claim);
        let claim = Terms::default().apply(claim);
        let state = State { terms, held: None, lost: None, proofs, home: 0, rests_until, licence: None };
        Session { claim, state: Mutex::new(state) }
    }

    /// What proves that it was held.
    pub fn proofs(&self) -> Proofs {
        locked(&self.state).proofs.clone()
    }

    /// The claim on the terms in force.
    pub fn whole_claim(&self) -> Acquire {
        locked(&self.state).terms.apply(self.claim.clone())
    }

    /// The same for the server with this key, with the proof of an earlier hold there.
    pub fn claim_at(&self, server: &Bytes32) -> Acquire {
        let state = locked(&self.state);
        let proof = state.proofs.iter().find(|(key, _)| key == server);
        Acquire { resume: proof.map(|(_, resume)| resume.clone()), ..state.terms.apply(self.claim.clone()) }
    }

    /// Other terms for the next claim; gives those before.
    pub fn set_terms(&self, terms: Terms) -> Terms {
        std::mem::replace(&mut locked(&self.state).terms, terms)
    }

    /// What makes two descriptions the same session.
    pub fn identity(data: &SessionData) -> Identity {
        let base = data.info_base_connection_string.trim();
        // What names no base is refused by the server; until then it is told apart as it is.
        let base = base.parse().map_or_else(|_| base.to_owned(), |base: InfoBase| base.key());
        (base, data.session_number.clone(), data.session_started)
    }

    /// The seat, whether it still counts or not.
    pub fn held(&self) -> Option<Held> {
        locked(&self.state).held.clone()
    }

    /// Why there is no seat.
    pub fn lost(&self) -> Option<Error> {
        locked(&self.state).lost.clone()
    }

    /// Why the seat is not asked for again by ourselves, but only when 1C code asks: another process goes on with the
    /// session, an administrator ended it, 1C code gave it back, or its key is revoked.
    pub fn is_over(&self) -> Option<Error> {
        use Code::{BadSession, KeyRevoked, SessionDropped, SessionTakenOver};
        self.lost().filter(|error| matches!(error.code, SessionTakenOver | SessionDropped | BadSession | KeyRevoked))
    }

    /// Whether we may ask for a seat by ourselves now.
    pub fn may_claim(&self, now: Tick) -> bool {
        locked(&self.state).rests_until <= now
    }

    /// No claim by ourselves before `until`.
    pub fn rest(&self, until: Tick) {
        locked(&self.state).rests_until = until;
    }

    /// Place of the server that the session belongs to.
    pub fn home(&self) -> usize {
        locked(&self.state).home
    }

    /// The session stays where it is.
    pub fn settle(&self, home: usize) {
        locked(&self.state).home = home;
    }

    /// Takes a new seat; gives the former.
    pub fn hold(&self, held: Held, granted: &Granted, home: usize) -> Option<Held> {
        let mut state = locked(&self.state);
        if let Some(secret) = &granted.secret {
            let server = held.connection.server_key;
            state.proofs.retain(|(key, _)| *key != server);
            let (session, secret, receipt) = (granted.session, secret.clone(), granted.receipt.clone());
            state.proofs.push((server, Resume { session, secret, receipt }));
        }
        state.home = home;
        state.lost = None;
        if !state.held.as_ref().is_some_and(|former| former.is(&held)) {
            state.licence = None;
        }
        state.held.replace(held)
    }

    /// The server was heard over `connection` in answer to a call sent at `sent`.
    pub fn hear(&self, connection: &Arc<Connection>, sent: Tick) {
        if let Some(held) = &mut locked(&self.state).held
            && Arc::ptr_eq(&held.connection, connection)
        {
            held.heard = held.heard.max(sent);
        }
    }

    /// The seat `held` is lost, unless another has taken its place already. Its receipt is worth nothing more then: the server or we
    /// ourselves have ended the session.
    pub fn lose(&self, held: &Held, cause: Error) {
        let mut state = locked(&self.state);
        if state.held.as_ref().is_some_and(|now| now.is(held)) {
            state.held = None;
            state.licence = None;
            state.lost = Some(cause);
            let proof = state.proofs.iter_mut().find(|(server, _)| *server == held.connection.server_key);
            if let Some((_, resume)) = proof {
                resume.receipt = None;
            }
        }
    }

    /// The seat `held` must not be used, whether it was taken already or only granted.
    pub fn refuse(&self, held: &Held, cause: Error) {
        let mut state = locked(&self.state);
        if state.held.as_ref().is_none_or(|now| now.is(held)) {
            state.held = None;
            state.licence = None;
            state.lost = Some(cause);
        }
    }

    /// Remembers the licence that the server told.
    pub fn learn(&self, held: &Held, licence: Box<LicenceInfo>) {
        let mut state = locked(&self.state);
        if state.held.as_ref().is_some_and(|now| now.is(held)) {
            state.licence = Some(licence);
        }
    }

    /// Number of the key that the seat is on, by what is known at `now`.
    pub fn key_no(&self, now: Tick) -> Result<KeyNo, Error> {
        let state = locked(&self.state);
        match &state.held {
            Some(held) if now < held.fence() => Ok(held.key_no),
            Some(_) => Err(Error::new(Code::FenceReached)),
            None => Err(state.lost.clone().unwrap_or_else(|| Error::new(Code::FenceReached))),
        }
    }

    /// The licence by what is known at `now` without asking: the seat counts until the fence.
    pub fn known_licence(&self, now: Tick) -> Result<Option<Box<LicenceInfo>>, Error> {
        let state = locked(&self.state);
        match &state.held {
            Some(held) if now < held.fence() => Ok(state.licence.clone()),
            Some(_) => Err(Error::new(Code::FenceReached)),
            None => Err(state.lost.clone().unwrap_or_else(|| Error::new(Code::FenceReached))),
        }
    }
}
