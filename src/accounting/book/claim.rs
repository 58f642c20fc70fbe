//! Claims: which session a claim means, and where its seat comes from.

use core::net::IpAddr;

use super::{
    Book, Change, Claim, Due, EndCause, ExternalClaim, Grant, Granted, Session, SessionRecord, SessionState, table,
};
use crate::accounting::control::{Demands, Wants};
use crate::accounting::denial::Applicant;
use crate::accounting::limit::Client;
use crate::accounting::seat::{Asker, ParentSession, Seat, SessionIdentity};
use crate::error::{Code, Error, Result};
use crate::id::{ConnectionId, KeyNo, SeriesId, SessionId};
use crate::time::{Moment, Tick, Time};

/// What proves that a session is the claimant's own.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Own {
    /// The connection over which it claims.
    connection: Option<ConnectionId>,
    /// Hash of the secret that it presents.
    secret: Option<[u8; 32]>,
    /// The session that it has a receipt for, with the secret that belongs to it, and how often that was taken over.
    receipt: Option<(SessionId, u32)>,
}

/// Whether it proves that `record` is the claimant's. A receipt does where the store has gone back behind it.
pub(super) fn is_own(record: &SessionRecord, own: Own) -> bool {
    own.secret == Some(record.secret_hash)
        || own.connection.is_some() && own.connection == record.connection
        || own.receipt.is_some_and(|(id, generation)| id == record.id && generation >= record.generation)
}

impl Book {
    /// Gives the session a seat, or finds the one that it has. Idempotent by the session's identity.
    ///
    /// Errors: [`Code::ConnectionUnknown`], [`Code::NoKey`], [`Code::NoUsableKey`], [`Code::AllTaken`],
    /// [`Code::SessionEnding`] when the session's own seat is ending, [`Code::AddressAtLimit`], [`Code::ComputerAtLimit`],
    /// [`Code::LedgerRolledBack`] as long as nothing new is granted.
    pub fn claim(&mut self, claim: Claim, now: Moment) -> Result<Grant> {
        let t = self.advance(now);
        let info = &self.used(claim.connection, t, now.wall)?.info;
        let (series, peer) = (info.series, info.peer);
        let client = Client { address: peer, computer: claim.asker.computer().or(info.computer) };
        let identity = SessionIdentity::Infobase(claim.identity.clone());
        let shared = claim.asker.shared_seat(&identity);
        let receipt = claim.proved_receipt().map(|receipt| (receipt.session, receipt.generation));
        let own = Own { connection: Some(claim.connection), secret: claim.previous_secret, receipt };
        let known = match self.known(series, &identity, shared.as_ref(), own) {
            Some(id) => Some(Ok(id)),
            None => self.bring_back(&claim, series, (&identity, shared.as_ref(), own), (t, now)),
        };
        if let Some(found) = known {
            let again = found.and_then(|id| self.claim_again(id, &claim, client, t));
            if let Err(error) = &again {
                self.deny(series, Applicant::new(&claim.asker, identity, Some(peer)), error, now.wall);
            }
            return again;
        }
        let demands = claim.demands;
        let wants = Wants { demands: &demands, code: claim.access_code.as_deref() };
        let parent = claim.parent.and_then(|parent| self.parent_seat(series, &identity, parent));
        // A job that may not sit on its parent's key takes a seat of its own.
        let parent = parent.filter(|seat| self.key_allows(series, seat, wants));
        let seat = parent.or(shared).unwrap_or(Seat::Session(claim.new_id));
        if !self.joins_heard(series, &seat)
            && let Some(error) = self.refuse_new(series, now)
        {
            self.deny(series, Applicant::new(&claim.asker, identity, Some(peer)), &error, now.wall);
            return Err(error);
        }
        let record = SessionRecord {
            id: claim.new_id,
            series,
            key_no: 0,
            seat,
            ordinal: 0,
            generation: 1,
            secret_hash: claim.secret_hash,
            granted: now.wall,
            connection: Some(claim.connection),
            access_code: claim.access_code,
            asker: claim.asker,
            identity,
        };
        let state = SessionState::Attached(claim.connection);
        let grant = self.enter(record, demands, (state, None), (Some(peer), Some(client)), t)?;
        if let Some(connection) = self.connections.get_mut(&claim.connection) {
            connection.sessions.insert(grant.session);
        }
        Ok(grant)
    }

    /// Gives an external session a seat, or renews its lease. Errors as for [`Book::claim`].
    pub fn claim_external(&mut self, claim: ExternalClaim, now: Moment) -> Result<Grant> {
        self.claim_external_from(claim, None, now)
    }

    /// As [`Book::claim_external`], with the address that the request came from, for the record of refusals.
    pub fn claim_external_from(&mut self, claim: ExternalClaim, peer: Option<IpAddr>, now: Moment) -> Result<Grant> {
        let t = self.advance(now);
        let identity = SessionIdentity::External(claim.identity);
        if let Some(id) = self.known(claim.series, &identity, None, Own::default())
            && let Some(session) = self.sessions.get(&id)
        {
            if self.is_ending(&session.record) {
                let error = self.end_excess(id, claim.series, t);
                self.deny(claim.series, Applicant::new(&Asker::External, identity, peer), &error, now.wall);
                return Err(error);
            }
            if let Err(error) = self.refit(id, &Demands::default(), claim.access_code.as_deref()) {
                self.deny(claim.series, Applicant::new(&Asker::External, identity, peer), &error, now.wall);
                return Err(error);
            }
            return self.renew(id, t);
        }
        if let Some(error) = self.refuse_new(claim.series, now) {
            self.deny(claim.series, Applicant::new(&Asker::External, identity, peer), &error, now.wall);
            return Err(error);
        }
        let record = SessionRecord {
            id: claim.new_id,
            series: claim.series,
            key_no: 0,
            seat: Seat::Session(claim.new_id),
            ordinal: 0,
            generation: 1,
            secret_hash: [0; 32],
            granted: now.wall,
            connection: None,
            access_code: claim.access_code,
            asker: Asker::External,
            identity,
        };
        let until = t.plus(self.leases.session);
        // Whoever takes external sessions has signed in, so no limit of anonymous clients holds for them.
        self.enter(record, Demands::default(), (SessionState::External, Some(until)), (peer, None), t)
    }

    /// Renews the lease of an external session by its identifier. [`Code::RecordNotFound`] when there is none,
    /// [`Code::NotExternal`] when its lease is not a caller's to renew, [`Code::SessionEnding`] when its seat is ending.
    pub fn renew_external(&mut self, id: SessionId, now: Moment) -> Result<Grant> {
        let t = self.advance(now);
        let session = self.sessions.get(&id).ok_or_else(|| Error::new(Code::RecordNotFound).with(id))?;
        if session.state != SessionState::External {
            return Err(Error::new(Code::NotExternal).with(id));
        }
        if self.is_ending(&session.record) {
            return Err(self.end_excess(id, session.record.series, t));
        }
        self.renew(id, t)
    }

    fn renew(&mut self, id: SessionId, t: Tick) -> Result<Grant> {
        self.heard(id);
        let until = t.plus(self.leases.session);
        let session = self.sessions.get_mut(&id).ok_or_else(|| Error::new(Code::SessionUnknown))?;
        session.until = Some(until);
        let grant = granted(&session.record, Granted::Again);
        self.arm(id);
        Ok(grant)
    }

    /// The external session that its application calls so.
    pub fn external(&self, series: SeriesId, client_session_id: &str) -> Option<SessionId> {
        let candidates = self.identities.get(&(series, SessionIdentity::external_key(client_session_id)))?;
        candidates.first().copied()
    }

    /// A usable key that meets the claim's demands and is open to it, for code that needs a licence to be there and takes no seat.
    /// Nothing is granted: what needs a session stays closed. Errors as for [`Book::claim`], but for those of seats.
    pub fn find_key(&mut self, claim: Claim, now: Moment) -> Result<KeyNo> {
        let t = self.advance(now);
        let info = &self.used(claim.connection, t, now.wall)?.info;
        let (series, peer) = (info.series, info.peer);
        let wants = Wants { demands: &claim.demands, code: claim.access_code.as_deref() };
        let none = table::SeatTable::default();
        let table = self.tables.get(&series).unwrap_or(&none);
        let found = table
            .choice(series.key_id, wants)
            .and_then(|choice| table.first_of(&choice).ok_or_else(|| table.refusal(series.key_id)));
        if let Err(error) = &found {
            let identity = SessionIdentity::Infobase(claim.identity);
            self.deny(series, Applicant::new(&claim.asker, identity, Some(peer)), error, now.wall);
        }
        found
    }

    /// Whether a held seat is on a key that `wants` may sit on.
    fn key_allows(&self, series: SeriesId, seat: &Seat, wants: Wants<'_>) -> bool {
        let table = self.tables.get(&series);
        table.is_some_and(|table| table.get(seat).is_some_and(|held| table.allows(held.key_no, wants)))
    }

    /// Moves a seat to a key that `wants` and all who sit there may sit on, and writes the move down. `asker` is one of those
    /// who sit there, and asks anew.
    fn relocate(&mut self, series: SeriesId, seat: &Seat, wants: Wants<'_>, asker: Option<SessionId>) -> Result<()> {
        let Some(table) = self.tables.get_mut(&series) else { return Err(Error::new(Code::NoKey).with(series.key_id)) };
        let choice = table.choice(series.key_id, wants)?;
        let sessions = &self.sessions;
        let others = |id| sessions.get(&id).filter(|_| Some(id) != asker).map(|session| session.wants());
        let moved = table.relocate(seat, &choice, others);
        let Some(key_no) = moved else { return Err(table.refusal_to_move(series.key_id, seat, &choice)) };
        for id in table.get(seat).into_iter().flat_map(|held| &held.sessions) {
            let Some(session) = self.sessions.get_mut(id) else { continue };
            session.record.key_no = key_no;
            self.changes.push(Change::Put(Box::new(session.record.clone())));
        }
        Ok(())
    }

    /// Sees to it that a session which claims again sits on a key that its claim may have. A refusal changes nothing.
    fn refit(&mut self, id: SessionId, demands: &Demands, access_code: Option<&str>) -> Result<()> {
        let Some(session) = self.sessions.get(&id) else { return Ok(()) };
        let (series, seat) = (session.record.series, session.record.seat.clone());
        let before = session.demands.as_deref().unwrap_or(Wants::nothing().demands);
        let same_code = session.record.access_code.as_deref() == access_code;
        if same_code && before == demands {
            return Ok(());
        }
        let wants = Wants { demands, code: access_code };
        // A wrong code is refused even where the key would do without.
        if let Some(table) = self.tables.get(&series).filter(|_| !same_code) {
            table.choice(series.key_id, Wants { demands: Wants::nothing().demands, code: wants.code })?;
        }
        if !self.key_allows(series, &seat, wants) {
            self.relocate(series, &seat, wants, Some(id))?;
        }
        if let Some(session) = self.sessions.get_mut(&id) {
            session.demands = boxed(demands.clone());
            if !same_code {
                session.record.access_code = access_code.map(str::to_owned);
                self.changes.push(Change::Put(Box::new(session.record.clone())));
            }
        }
        Ok(())
    }

    /// Ends a session whose seat is ending when it asks for its seat again.
    fn end_excess(&mut self, id: SessionId, series: SeriesId, t: Tick) -> Error {
        self.end(id, EndCause::Ending, t);
        EndCause::Ending.error(series.key_id)
    }

    /// The session that a claim means: of the same identity, and of the same seat or proved to be the claimant's own. The latter
    /// keeps its seat: a terminal client's name may change while its sessions go on.
    fn known(
        &self,
        series: SeriesId,
        identity: &SessionIdentity,
        shared: Option<&Seat>,
        own: Own,
    ) -> Option<SessionId> {
        let candidates = self.identities.get(&(series, identity.key()))?;
        let records = || {
            candidates
                .iter()
                .filter_map(|id| self.sessions.get(id))
                .map(|session| &session.record)
                .filter(|record| record.identity.same_session(identity))
        };
        let same_seat = |record: &&SessionRecord| record.asker.shared_seat(&record.identity).as_ref() == shared;
        records().find(same_seat).or_else(|| records().find(|record| is_own(record, own))).map(|record| record.id)
    }

    fn claim_again(&mut self, id: SessionId, claim: &Claim, client: Client, t: Tick) -> Result<Grant> {
        let unknown = || Error::new(Code::SessionUnknown);
        let session = self.sessions.get(&id).ok_or_else(unknown)?;
        if self.is_ending(&session.record) {
            return Err(self.end_excess(id, session.record.series, t));
        }
        self.refit(id, &claim.demands, claim.access_code.as_deref())?;
        self.heard(id);
        let session = self.sessions.get(&id).ok_or_else(unknown)?;
        let holder = match session.state {
            SessionState::Attached(holder) => Some(holder),
            _ => None,
        };
        if holder == Some(claim.connection) {
            return Ok(granted(&session.record, Granted::Again));
        }
        // Where the store has gone back its generation has too.
        let receipt = claim.proved_receipt().filter(|receipt| receipt.session == id);
        let reached = receipt.map_or(0, |receipt| receipt.generation);
        // A process that destroyed its object and made another is still the same holder.
        let again = holder.is_none() && session.record.connection == Some(claim.connection);
        if let Some(old) = holder.and_then(|holder| self.connections.get_mut(&holder)) {
            old.sessions.remove(&id);
            old.lost.push((id, Error::new(Code::SessionTakenOver)));
        }
        let Some(session) = self.sessions.get_mut(&id) else { return Err(unknown()) };
        if !session.is_active()
            && let Some(table) = self.tables.get_mut(&session.record.series)
        {
            table.activate(&session.record.seat);
        }
        session.state = SessionState::Attached(claim.connection);
        session.until = None;
        session.cause = EndCause::Expired;
        if let Some(armed) = session.armed.take() {
            self.deadlines.remove(&(armed, Due::Session(id)));
        }
        if !again {
            let record = &mut session.record;
            record.generation = record.generation.max(reached).saturating_add(1);
            record.secret_hash = claim.secret_hash;
            record.connection = Some(claim.connection);
            record.access_code.clone_from(&claim.access_code);
            record.asker = claim.asker.clone();
            self.changes.push(Change::Put(Box::new(record.clone())));
        }
        let grant = granted(&session.record, if again { Granted::Again } else { Granted::TakenOver });
        // Nobody is refused a seat that he has: who took it over holds it, whatever the limits say.
        if !again && let Some(table) = self.tables.get_mut(&session.record.series) {
            table.set_client(&grant.seat, client);
        }
        if let Some(connection) = self.connections.get_mut(&claim.connection) {
            connection.sessions.insert(id);
        }
        Ok(grant)
    }

    /// The seat of a background job's parent: a session of the same infobase that is live and older.
    fn parent_seat(&self, series: SeriesId, identity: &SessionIdentity, parent: ParentSession) -> Option<Seat> {
        let SessionIdentity::Infobase(job) = identity else { return None };
        let older = (parent.started, parent.number) != (job.started, job.number) && parent.started <= job.started;
        if !job.is_background_job() || !older {
            return None;
        }
        let candidates = self.identities.get(&(series, identity.parent_key(parent)?))?;
        let live = |session: &&Session| {
            matches!(session.state, SessionState::Attached(_) | SessionState::Detached)
                && !self.is_ending(&session.record)
        };
        candidates
            .iter()
            .filter_map(|id| self.sessions.get(id).map(Box::as_ref))
            .find(live)
            .map(|session| session.record.seat.clone())
    }

    /// Enters a new session and takes or joins its seat. The claim came from `peer`; a new seat counts for
    /// `client`.
    fn enter(
        &mut self,
        mut record: SessionRecord,
        demands: Demands,
        (state, until): (SessionState, Option<Tick>),
        (peer, client): (Option<IpAddr>, Option<Client>),
        t: Tick,
    ) -> Result<Grant> {
        let id = record.id;
        if self.sessions.contains_key(&id) {
            return Err(Error::new(Code::Internal).with("a session identifier came twice"));
        }
        let wants = Wants { demands: &demands, code: record.access_code.as_deref() };
        (record.key_no, record.ordinal) = match self.occupy(record.series, &record.seat, id, wants, client, t) {
            Ok(taken) => taken,
            Err(error) => {
                let applicant = Applicant::new(&record.asker, record.identity, peer);
                self.deny(record.series, applicant, &error, record.granted);
                return Err(error);
            }
        };
        self.identify(record.series, &record.identity, id);
        self.changes.push(Change::Put(Box::new(record.clone())));
        let grant = granted(&record, Granted::New);
        let (cause, demands) = (EndCause::Expired, boxed(demands));
        self.add_session(id, Session { record, state, until, cause, armed: None, demands });
        self.arm(id);
        Ok(grant)
    }

    /// Joins the seat or takes it, giving detached seats away when there is no room. A shared seat whose key the claim may not
    /// have moves to one that all who sit there may have: it is one licence, so it is on one key.
    pub(super) fn occupy(
        &mut self,
        series: SeriesId,
        seat: &Seat,
        id: SessionId,
        wants: Wants<'_>,
        client: Option<Client>,
        t: Tick,
    ) -> Result<(KeyNo, u64)> {
        let no_key = || table::SeatTable::default().refusal(series.key_id);
        let table = self.tables.get(&series).ok_or_else(no_key)?;
        if let Some(held) = table.get(seat) {
            if held.ending {
                return Err(table.refusal_to_join(series.key_id));
            }
            if !table.allows(held.key_no, wants) {
                self.relocate(series, seat, wants, None)?;
            }
            let table = self.tables.get_mut(&series).ok_or_else(no_key)?;
            table.join(seat, id);
            return table.get(seat).map(|held| (held.key_no, held.ordinal)).ok_or_else(no_key);
        }
        let choice = table.choice(series.key_id, wants)?;
        let victims = table.victims(t, &choice).ok_or_else(|| table.refusal_of(series.key_id, &choice))?;
        if let Some(client) = &client {
            table.check_limits(&self.limits, series.key_id, client)?;
        }
        for victim in victims {
            let sessions =
                self.tables.get(&series).and_then(|table| table.get(&victim)).map(|held| held.sessions.clone());
            for session in sessions.into_iter().flatten() {
                self.end(session, EndCause::GivenAway, t);
            }
        }
        let table = self.tables.get_mut(&series).ok_or_else(no_key)?;
        let ordinal = self.next_ordinal;
        let key_no = table.take(series.key_id, seat.clone(), ordinal, id, &choice)?;
        if let Some(client) = client {
            table.set_client(seat, client);
        }
        self.next_ordinal = ordinal.saturating_add(1);
        Ok((key_no, ordinal))
    }

    /// The wall time at which the book's own clock will show `until`.
    pub(super) fn wall_of(&self, until: Tick, now: Moment) -> Time {
        let tick = i128::from(until.0) + i128::from(self.skipped);
        Time(i64::try_from(tick + self.ahead(now)).unwrap_or(i64::MAX))
    }
}

pub(super) fn boxed(demands: Demands) -> Option<Box<Demands>> {
    (!demands.is_empty()).then(|| Box::new(demands))
}

fn granted(record: &SessionRecord, granted: Granted) -> Grant {
    Grant {
        session: record.id,
        generation: record.generation,
        key_no: record.key_no,
        seat: record.seat.clone(),
        granted,
    }
}
