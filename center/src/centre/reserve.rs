//! A key is given up for a reserve code.

use licence::Time;
use licence::activation::{Outcome, Request, Reserve, Reserved};
use licence::error::{Code, Error, Result};

use super::{Centre, Outcoming, SERVER};
use crate::rules::{self, GivingUp};
use crate::store::{Event, KeyState, Kind, Origin, Sold, State, Transfer};

impl Centre {
    /// Retires the key that the request names and gives its reserve code; asked again, the same.
    pub(super) fn reserve(&self, request: &Request, asked: &Reserve, now: Time) -> Result<Outcoming> {
        rules::can_be_reserved(asked)?;
        self.issuing(&asked.series, now)?;
        let (series, key_no) = (asked.series, asked.key_no);
        let (transfer, what) = self.store.work(|work| {
            let policy = work.policy(&series)?;
            let mut key = work.lock_key(&series, key_no)?.ok_or_else(|| Error::new(Code::KeyUnknown).with(key_no))?;
            let transfers = work.transfers(&series, key_no)?;
            let allowed = match rules::giving_up((&key, &transfers), &policy, (request, asked), now)? {
                GivingUp::Again(transfer) => return Ok((transfer.clone(), "repeated")),
                GivingUp::Now { allowed } => allowed,
            };
            let code = work.fresh_code(self.crypto)?;
            let (origin, state) = (Origin::Reserve, State::New);
            let (terms, key_no) = (key.terms.clone(), Some(key.key_no));
            work.insert_code(&Sold { code, series, origin, state, terms, created: now, key_no, version: 0 })?;
            let transfer = Transfer {
                retired_issue: key.issue,
                code,
                identity: request.identity,
                at: now,
                reason: asked.reason.clone(),
                comment: asked.comment.clone(),
            };
            work.insert_transfer((&series, key.key_no), &transfer)?;
            key.state = KeyState::Reserved;
            key.allowance -= u32::from(allowed);
            key.code = code;
            key.memory = asked.memory.clone();
            key.licence = None;
            work.save_key(&key)?;
            let event = Event::new(now, SERVER, Kind::Reserved).of_key(&series, key.key_no).with_code(code);
            work.note(&event.with(format_args!("issue {}: {}", key.issue, asked.reason)))?;
            Ok((transfer, "reserved"))
        })?;
        let issuing = self.issuing(&series, now)?;
        let retirement = issuing.retire(self.crypto, now, (key_no, transfer.retired_issue))?;
        let of_key = (&series, key_no, transfer.retired_issue);
        let outcome =
            Outcome::Reserved(Reserved::new(self.crypto, transfer.code, &request.identity, of_key, retirement)?);
        Ok(Outcoming { outcome, what, series, key_no: Some(key_no) })
    }
}
