//! What the vendor's people do with codes and keys: find, look, block, allow, change. All of it is in the audit.

use licence::code::ActivationCode;
use licence::error::{Code, Error, Result};
use licence::{KeyNo, SeriesId};
use web::Access;
use zeroize::Zeroizing;

use super::Centre;
use crate::rules;
use crate::service::token_hash;
use crate::store::{Activated, Event, Key, KeyState, Kind, Sold, State, Token, Transfer, Work};
use crate::terms::Terms;

/// A key with all that has become of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyHistory {
    /// The key.
    pub key: Key,
    /// All its codes, in the order in which they were made.
    pub codes: Vec<Sold>,
    /// The exchanges that led to its issues.
    pub activations: Vec<Activated>,
    /// How it was given up.
    pub transfers: Vec<Transfer>,
    /// What has happened to it.
    pub events: Vec<Event>,
}

/// What a search has found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Found {
    /// Codes that nobody has exchanged yet.
    pub codes: Vec<Sold>,
    /// Keys.
    pub keys: Vec<Key>,
}

impl Centre {
    /// Searches by what a person may have at hand: code, ИНН, KeyNo, RegNo, identifier of the computer, part of a customer's name.
    pub fn find(&self, text: &str) -> Result<Found> {
        let text = text.trim();
        if text.is_empty() {
            return Ok(Found::default());
        }
        self.store.work(|work| {
            let Ok(code) = text.parse::<ActivationCode>() else {
                return Ok(Found { codes: work.find_codes(text)?, keys: work.find_keys(text)? });
            };
            let Some(sold) = work.code(code)? else { return Ok(Found::default()) };
            match sold.key_no {
                Some(key_no) => {
                    Ok(Found { codes: Vec::new(), keys: work.key(&sold.series, key_no)?.into_iter().collect() })
                }
                None => Ok(Found { codes: vec![sold], keys: Vec::new() }),
            }
        })
    }

    /// A key with all that has become of it.
    pub fn history(&self, series: &SeriesId, key_no: KeyNo) -> Result<KeyHistory> {
        self.store.work(|work| {
            let key = work.key(series, key_no)?.ok_or_else(|| Error::new(Code::KeyUnknown).with(key_no))?;
            Ok(KeyHistory {
                key,
                codes: work.codes_of_key(series, key_no)?,
                activations: work.activations(series, key_no)?,
                transfers: work.transfers(series, key_no)?,
                events: work.events_of_key(series, key_no)?,
            })
        })
    }

    /// Makes codes for sale.
    pub fn make_codes(&self, actor: &str, sale: (&SeriesId, &Terms), count: u32) -> Result<Vec<ActivationCode>> {
        self.store.work(|work| self.make_codes_in(work, actor, sale, count))
    }

    /// The same, as a part of a transaction.
    pub fn make_codes_in(
        &self,
        work: &mut Work<'_>,
        actor: &str,
        sale: (&SeriesId, &Terms),
        count: u32,
    ) -> Result<Vec<ActivationCode>> {
        let now = self.now();
        let codes = work.add_codes(self.crypto, sale, (count, now))?;
        let event = Event { series: Some(*sale.0), ..Event::new(now, actor, Kind::CodesMade) };
        work.note(&event.with(format_args!("{count}, {}", sale.1.offer.article)))?;
        Ok(codes)
    }

    /// Blocks a code for ever and revokes the key that it has become; gives the state that the code had.
    pub fn block(&self, actor: &str, code: ActivationCode) -> Result<State> {
        self.store.work(|work| self.block_in(work, actor, code))
    }

    /// The same, as a part of a transaction.
    pub fn block_in(&self, work: &mut Work<'_>, actor: &str, code: ActivationCode) -> Result<State> {
        let now = self.now();
        let mut sold = work.lock_code(code)?.ok_or_else(|| Error::new(Code::CodeUnknown))?;
        let former = std::mem::replace(&mut sold.state, State::Blocked);
        work.save_code(&sold)?;
        let mut event = Event::new(now, actor, Kind::Blocked).with_code(code);
        if let Some(key_no) = sold.key_no
            && let Some(mut key) = work.lock_key(&sold.series, key_no)?
        {
            key.revoked = true;
            work.save_key(&key)?;
            event = event.of_key(&sold.series, key_no);
        }
        work.note(&event)?;
        Ok(former)
    }

    /// Makes a token of 256 random bits. The store gets its hash only; nobody can show it again.
    pub fn add_token(&self, actor: &str, name: &str, role: Access) -> Result<Zeroizing<String>> {
        let token = Zeroizing::new(licence::id::hex(&self.crypto.random_array()?));
        let now = self.now();
        let entry = Token { name: name.to_owned(), role, created: now };
        self.store.work(|work| {
            work.insert_token(&token_hash(&token), &entry)?;
            let details = format!("+{name} {}", entry.role_name());
            work.note(&Event::new(now, actor, Kind::TokenChanged).with(details))
        })?;
        Ok(token)
    }

    /// Withdraws a token.
    pub fn remove_token(&self, actor: &str, name: &str) -> Result<()> {
        let event = Event::new(self.now(), actor, Kind::TokenChanged).with(format_args!("-{name}"));
        self.store.work(|work| {
            work.delete_token(name)?;
            work.note(&event)
        })
    }

    /// Allows one transfer more than the limit: to another server, or of the licence to the machine as it is now.
    pub fn allow(&self, actor: &str, series: &SeriesId, key_no: KeyNo) -> Result<Key> {
        self.store.work(|work| self.allow_in(work, actor, series, key_no))
    }

    /// The same, as a part of a transaction.
    pub fn allow_in(&self, work: &mut Work<'_>, actor: &str, series: &SeriesId, key_no: KeyNo) -> Result<Key> {
        let now = self.now();
        let mut key = work.lock_key(series, key_no)?.ok_or_else(|| Error::new(Code::KeyUnknown).with(key_no))?;
        key.allowance += 1;
        work.save_key(&key)?;
        work.note(&Event::new(now, actor, Kind::Allowed).of_key(series, key_no))?;
        Ok(key)
    }

    /// Changes what a code gives: `change` makes the new terms of those that count, for a code with a key the key's. The key gets
    /// its next issue at the next update. Old and new values are in the audit.
    pub fn change_terms(
        &self,
        actor: &str,
        code: ActivationCode,
        change: impl Fn(&Terms) -> Result<Terms>,
    ) -> Result<()> {
        self.store.work(|work| self.change_terms_in(work, actor, code, &change))
    }

    /// The same, as a part of a transaction.
    pub fn change_terms_in(
        &self,
        work: &mut Work<'_>,
        actor: &str,
        code: ActivationCode,
        change: impl Fn(&Terms) -> Result<Terms>,
    ) -> Result<()> {
        let now = self.now();
        let mut sold = work.lock_code(code)?.ok_or_else(|| Error::new(Code::CodeUnknown))?;
        let key = sold.key_no.map(|key_no| work.lock_key(&sold.series, key_no)).transpose()?.flatten();
        let former = key.as_ref().map_or(&sold.terms, |key| &key.terms).clone();
        let terms = change(&former)?;
        if let Some(fault) = terms.fault(sold.series.key_id) {
            return Err(Error::new(Code::BadRequest).with(fault));
        }
        sold.terms = terms.clone();
        work.save_code(&sold)?;
        let differences = former.differences(&terms);
        let mut event = Event::new(now, actor, Kind::TermsChanged).with_code(code).with(differences);
        if let Some(mut key) = key {
            key.fingerprint = rules::machine_for(&terms.offer, &key.fingerprint);
            key.terms = terms;
            if key.state == KeyState::Active {
                key.reissue();
            }
            work.save_key(&key)?;
            event = event.of_key(&sold.series, key.key_no);
        }
        work.note(&event)
    }
}
