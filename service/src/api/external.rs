//! Sessions from outside 1C: they take licences, renew their leases and give them back, one by one or many at once.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use licence::accounting::book::{Book, Grant, Granted};
use licence::accounting::{ExternalClaim, ExternalSession};
use licence::api::{
    self, ExternalName, Refusal, ReleaseSessions, SessionInfo, SessionOutcome, SessionOutcomes, TakeSessions,
    TakenLicence,
};
use licence::error::{Code, Error, Result};
use licence::time::Moment;
use licence::{KeyId, RootHash, SeriesId, SessionId, Tick};
use parking_lot::Mutex;

use super::Call;
use super::licences::{root_of, series_key_needed};
use super::operation::Given;
use super::sessions::{Named, session_info};
use crate::access::attempts::{Admission, Attempts, Subject};

/// Most sessions of one request.
const MAX_SESSIONS: usize = 500;
/// Longest access code, in characters: that of the component.
const MAX_CODE: usize = 256;
/// The header that names the session which an answer is about.
const SESSION_ID: &str = "Licence-SessionID";

/// Wrong access codes by address: whoever guesses has to wait, as with passwords.
#[derive(Default)]
pub struct Codes(Mutex<Attempts>);

impl Codes {
    /// Checks a code that came from `address`; a wrong one is counted.
    fn check(&self, address: IpAddr, now: Tick, known: impl FnOnce() -> Result<()>) -> Result<()> {
        let mut attempts = self.0.lock();
        match attempts.admission(&Subject::address(address), now) {
            Admission::Free => known().inspect_err(|_| attempts.failed(Subject::address(address), now)),
            Admission::Remembered(wait) | Admission::Closed(wait) => {
                Err(Error::new(Code::TooManyAttempts).with(wait.as_millis().div_ceil(1000)))
            }
        }
    }
}

/// `POST /api/sessions`: a session takes a licence (201), or renews its lease (200).
pub fn take(call: Call, asked: api::ExternalSession, given: Given<TakenLicence>) {
    let claim = match Claims::of(&call).claim(asked) {
        Ok(claim) => claim,
        Err(error) => return given.refuse(&error),
    };
    let (core, lang, series) = (Arc::clone(&call.core), call.lang, claim.series);
    let peer = Some(call.request.peer.ip());
    call.core.ledger.submit(
        move |book, now| {
            let grant = book.claim_external_from(claim, peer, now)?;
            let lease = book.session(grant.session, now).map(|view| view.expires);
            let missing = || Error::new(Code::RecordNotFound).with(grant.session);
            Ok((lease.ok_or_else(missing)?, grant))
        },
        move |granted| {
            let outcome = granted.and_then(|(expire_time, grant)| {
                let info = core.keys.info_in(&series, grant.key_no, core.timekeeper.now(), lang);
                let licence = info.ok_or_else(|| Error::new(Code::NoKey).with(series.key_id))?;
                Ok((TakenLicence { licence, session_id: grant.session.to_string(), expire_time }, grant.granted))
            });
            match outcome {
                Ok((taken, granted)) => {
                    let status = if granted == Granted::New { 201 } else { 200 };
                    given.give_with(status, &taken, SESSION_ID, &taken.session_id);
                }
                Err(error) => given.refuse(&error),
            }
        },
    );
}

/// `PUT /api/sessions/{ID}`: the session with its new lease.
pub fn renew(call: Call, given: Given<SessionInfo>) {
    let named = match Named::by(&call) {
        Ok(named) => named,
        Err(error) => return given.refuse(&error),
    };
    call.core.ledger.submit(
        move |book, now| {
            let id = named.find(book, now)?;
            book.renew_external(id, now)?;
            book.session(id, now).map(session_info).ok_or_else(|| Error::new(Code::RecordNotFound).with(id))
        },
        move |outcome| given.result(200, outcome),
    );
}

/// `POST /api/bulk/take`: all in one commit, in their order; one that is refused hinders no other.
pub fn take_many(call: Call, asked: TakeSessions, given: Given<SessionOutcomes>) {
    if let Err(error) = bounded(asked.sessions.len()) {
        return given.refuse(&error);
    }
    let mut claims = Claims::of(&call);
    let asked: Vec<(Name, Result<ExternalClaim>)> =
        asked.sessions.into_iter().map(|session| (Name::of(&session), claims.claim(session))).collect();
    let (lang, peer) = (call.lang, Some(call.request.peer.ip()));
    call.core.ledger.submit(
        move |book, now| {
            let outcomes = asked.into_iter().map(|(name, claim)| {
                let outcome = claim.and_then(|claim| book.claim_external_from(claim, peer, now));
                let outcome = outcome.map(|grant| taken(book, now, &grant));
                (name, outcome)
            });
            Ok(outcomes.collect::<Vec<_>>())
        },
        move |outcomes| given.result(200, outcomes.map(|outcomes| told(outcomes, lang))),
    );
}

/// `POST /api/bulk/release`: all in one commit; one that is not there hinders no other.
pub fn release_many(call: Call, asked: ReleaseSessions, given: Given<SessionOutcomes>) {
    if let Err(error) = bounded(asked.sessions.len()) {
        return given.refuse(&error);
    }
    let named = asked.sessions.into_iter().map(|ExternalName { key_id, series_key, client_session_id }| {
        let series = series(&call, key_id, series_key);
        (Name { key_id, client_session_id }, series)
    });
    let named: Vec<(Name, Result<SeriesId>)> = named.collect();
    let lang = call.lang;
    call.core.ledger.submit(
        move |book, now| {
            let outcomes = named.into_iter().map(|(name, series)| {
                let outcome = series.and_then(|series| {
                    let missing = || Error::new(Code::RecordNotFound).with(&name.client_session_id);
                    let id = book.external(series, name.client_session_id.trim()).ok_or_else(missing)?;
                    let key_no = book.session(id, now).map(|view| view.record.key_no);
                    book.drop_session(id, now)?;
                    Ok(Taken { status: 200, id, expire_time: None, key_no })
                });
                (name, outcome)
            });
            Ok(outcomes.collect::<Vec<_>>())
        },
        move |outcomes| given.result(200, outcomes.map(|outcomes| told(outcomes, lang))),
    );
}

fn bounded(count: usize) -> Result<()> {
    match count {
        0..=MAX_SESSIONS => Ok(()),
        _ => Err(Error::new(Code::TooManySessions).with(count).with(MAX_SESSIONS)),
    }
}

/// What a session was called in the request.
struct Name {
    key_id: KeyId,
    client_session_id: String,
}

impl Name {
    fn of(session: &api::ExternalSession) -> Name {
        Name { key_id: session.key_id, client_session_id: session.client_session_id.clone() }
    }
}

/// What became of a session that was not refused.
struct Taken {
    status: u16,
    id: SessionId,
    expire_time: Option<licence::Time>,
    key_no: Option<licence::KeyNo>,
}

fn taken(book: &Book, now: Moment, grant: &Grant) -> Taken {
    Taken {
        status: if grant.granted == Granted::New { 201 } else { 200 },
        id: grant.session,
        expire_time: book.session(grant.session, now).map(|view| view.expires),
        key_no: Some(grant.key_no),
    }
}

fn told(outcomes: Vec<(Name, Result<Taken>)>, lang: licence::Lang) -> SessionOutcomes {
    let line = |(name, outcome): (Name, Result<Taken>)| {
        let Name { key_id, client_session_id } = name;
        match outcome {
            Ok(Taken { status, id, expire_time, key_no }) => SessionOutcome {
                key_id,
                client_session_id,
                status,
                id: Some(id.to_string()),
                expire_time,
                used_licence: key_no,
                error: None,
            },
            Err(error) => {
                let status = error.code.status();
                let refusal = Refusal::of(&error, lang, web::status::text(status));
                let (id, expire_time, used_licence) = (None, None, None);
                SessionOutcome {
                    key_id,
                    client_session_id,
                    status,
                    id,
                    expire_time,
                    used_licence,
                    error: Some(refusal),
                }
            }
        }
    };
    SessionOutcomes { sessions: outcomes.into_iter().map(line).collect() }
}

fn series(call: &Call, key_id: KeyId, root: Option<RootHash>) -> Result<SeriesId> {
    let root = root.or(root_of(&call.request)?);
    call.core.keys.series_of(key_id, root).map_err(|error| match error.code {
        Code::AmbiguousSeries => series_key_needed(key_id, call.core.keys.candidates(key_id, None).into_iter()),
        _ => error,
    })
}

/// Makes claims of what one request asks for.
struct Claims<'a> {
    call: &'a Call,
    /// Access codes of this request that were checked already.
    codes: BTreeMap<String, Result<()>>,
}

impl Claims<'_> {
    fn of(call: &Call) -> Claims<'_> {
        Claims { call, codes: BTreeMap::new() }
    }

    fn claim(&mut self, asked: api::ExternalSession) -> Result<ExternalClaim> {
        let series = series(self.call, asked.key_id, asked.series_key)?;
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        let identity = ExternalSession::new(
            &asked.client_session_id,
            asked.session_started.as_deref(),
            &text(&asked.user_name),
            &text(&asked.app_name),
            &text(&asked.computer_name),
        )?;
        let code = asked.access_code.as_deref().map(str::trim).filter(|code| !code.is_empty());
        if let Some(code) = code {
            self.check(code)?;
        }
        let new_id = SessionId(self.call.core.crypto.random_id()?);
        Ok(ExternalClaim { series, identity, new_id, access_code: code.map(str::to_owned) })
    }

    fn check(&mut self, code: &str) -> Result<()> {
        if code.chars().count() > MAX_CODE {
            return Err(Error::new(Code::BadSession).with("AccessCode"));
        }
        if let Some(known) = self.codes.get(code) {
            return known.clone();
        }
        let core = &self.call.core;
        let address = self.call.request.peer.ip();
        let now = core.ledger.read(|_, now| now.tick);
        let codes = &core.settings.get().access_codes;
        let outcome = self.call.shared.codes.check(address, now, || codes.check(Some(code)));
        self.codes.insert(code.to_owned(), outcome.clone());
        outcome
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_guesses_codes_has_to_wait_and_others_do_not() {
        let codes = Codes::default();
        let (guesser, other): (IpAddr, IpAddr) = ("10.0.0.1".parse().unwrap(), "10.0.0.2".parse().unwrap());
        let wrong = || Err(Code::AccessCodeWrong.into());
        for _ in 0..5 {
            assert_eq!(codes.check(guesser, Tick(0), wrong).unwrap_err().code, Code::AccessCodeWrong);
        }
        let refused = codes.check(guesser, Tick(0), || Ok(())).unwrap_err();
        assert_eq!((refused.code, refused.args), (Code::TooManyAttempts, vec!["1".to_owned()]));
        assert_eq!(codes.check(other, Tick(0), || Ok(())), Ok(()));
        assert_eq!(codes.check(guesser, Tick(1_000), || Ok(())), Ok(()), "a right code counts for nothing");
        assert_eq!(codes.check(guesser, Tick(1_000), || Ok(())), Ok(()));
    }
}
