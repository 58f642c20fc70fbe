//! The centre itself: a signed request becomes a signed answer. It holds issuing keys, never roots. What is decided is one
//! transaction of the store; signatures are made outside of it, and whoever asks again gets the same again.

mod activate;
mod copies;
mod issuing;
mod reserve;
mod update;
mod vendor;

pub use issuing::{Issuing, issuer_files};
pub use vendor::{Found, KeyHistory};

use std::collections::HashMap;
use std::sync::Arc;

use licence::activation::{Activate, Answer, CodeParameters, Outcome, Purpose, Request, Want};
use licence::code::ActivationCode;
use licence::crypto::Crypto;
use licence::error::{Code, Error, Result};
use licence::key::{Binding, Licence};
use licence::time::Clock;
use licence::{KeyId, KeyNo, RootHash, SeriesId, Time};
use parking_lot::RwLock;

use crate::rules;
use crate::store::{Key, Store, Unsettled, Work};

/// Who did what servers ask for, in the audit.
const SERVER: &str = "server";

/// The centre.
pub struct Centre {
    crypto: &'static dyn Crypto,
    clock: Box<dyn Clock>,
    store: Store,
    issuing: RwLock<HashMap<SeriesId, Arc<Issuing>>>,
}

/// What a request has led to, for the log.
#[derive(Debug)]
pub struct Done {
    /// Text of the signed answer.
    pub answer: String,
    /// What was done, in a word.
    pub what: &'static str,
    /// The code, if there was one in the request.
    pub code: Option<ActivationCode>,
    /// Series.
    pub series: SeriesId,
    /// Number of the key, if it is about one.
    pub key_no: Option<KeyNo>,
}

/// What is answered, before it is signed.
struct Outcoming {
    outcome: Outcome,
    what: &'static str,
    series: SeriesId,
    key_no: Option<KeyNo>,
}

impl Centre {
    /// A centre over a store; it serves no series yet.
    pub fn new(crypto: &'static dyn Crypto, clock: Box<dyn Clock>, store: Store) -> Centre {
        Centre { crypto, clock, store, issuing: RwLock::default() }
    }

    /// Reads a signed request.
    pub fn read(&self, text: &str) -> Result<Request> {
        let mut request = Request::read(self.crypto, "request", text)?;
        request.fingerprint = rules::weighed(request.fingerprint);
        rules::well_formed(&request)?;
        Ok(request)
    }

    /// Answers a request that was read. Blocks on the store and on RSA. Nobody may be told before it is settled; who has several
    /// to answer settles them together.
    pub fn answer(&self, request: &Request) -> Result<Unsettled<Done>> {
        let now = self.now();
        let decided = self.decide(request, now).inspect_err(|error| self.report_refused(request, error, now));
        decided?.map(|Outcoming { outcome, what, series, key_no }| {
            let issuing = self.issuing(&series, now)?;
            let answer =
                issuing.sign_answer(self.crypto, request, &Answer { nonce: request.nonce, time: now, outcome })?;
            Ok(Done { answer, what, code: request.code(), series, key_no })
        })
    }

    fn decide(&self, request: &Request, now: Time) -> Result<Unsettled<Outcoming>> {
        match &request.purpose {
            Purpose::Activate(asked @ Activate { want, .. }) => {
                let asker = rules::Asker { request, asked, now };
                match *want {
                    Want::Code(code) => self.activate(code, asker),
                    Want::Demo { key_id, root } => self.demo(self.series_of(key_id, root)?, asker),
                }
            }
            Purpose::Reserve(asked) => self.reserve(request, asked, now).map(Unsettled::settled),
            Purpose::Update(asked) => self.update(request, asked.series, now).map(Unsettled::settled),
            Purpose::CodeParameters(code) => self.code_parameters(*code, now).map(Unsettled::settled),
        }
    }

    fn code_parameters(&self, code: ActivationCode, now: Time) -> Result<Outcoming> {
        let (sold, key) = self.store.work(|work| {
            let sold = work.code(code)?.ok_or_else(|| Error::new(Code::CodeUnknown))?;
            let key = sold.key_no.map(|key_no| work.key(&sold.series, key_no)).transpose()?.flatten();
            Ok((sold, key))
        })?;
        self.issuing(&sold.series, now)?;
        let terms = key.as_ref().map_or(&sold.terms, |key| &key.terms);
        let parameters = CodeParameters {
            series: sold.series,
            state: rules::code_that_counts(&sold, key.as_ref()),
            key_no: sold.key_no,
            itn_required: terms.itn.is_some(),
            iec_required: terms.iec.is_some(),
            offer: terms.offer.clone(),
        };
        let outcome = Outcome::CodeParameters(Box::new(parameters));
        Ok(Outcoming { outcome, what: "parameters", series: sold.series, key_no: sold.key_no })
    }

    /// The series that is served under that number; with two of them the root tells which.
    fn series_of(&self, key_id: KeyId, root: Option<RootHash>) -> Result<SeriesId> {
        let issuing = self.issuing.read();
        let mut of_number =
            issuing.keys().filter(|series| series.key_id == key_id && root.is_none_or(|root| root == series.root));
        match (of_number.next(), of_number.next()) {
            (Some(series), None) => Ok(*series),
            _ => Err(not_served(key_id, "нет ключа выпуска", "no issuing key")),
        }
    }

    fn issuing(&self, series: &SeriesId, now: Time) -> Result<Arc<Issuing>> {
        let issuing = self.issuing.read().get(series).cloned();
        let issuing = issuing.ok_or_else(|| not_served(series.key_id, "нет ключа выпуска", "no issuing key"))?;
        let certificate = issuing.certificate();
        if certificate.allows(now) {
            return Ok(issuing);
        }
        let (from, to) = (certificate.not_before, certificate.not_after);
        Err(not_served(series.key_id, &format!("сертификат {from} – {to}"), &format!("certificate {from} – {to}")))
    }

    /// The text of a key's licence, kept. See [`Self::signed`].
    fn licence(&self, issuing: &Issuing, key: &Key, (renew_days, now): (u32, Time)) -> Result<String> {
        let text = self.signed(issuing, key, (renew_days, now))?;
        self.store.work(|work| kept(work, key, &text, now))
    }

    /// The text of a key's licence: the one that is kept, or, after a new issue, a fresh one, to be renewed within `renew_days`.
    fn signed(&self, issuing: &Issuing, key: &Key, (renew_days, now): (u32, Time)) -> Result<String> {
        match &key.licence {
            Some((text, _)) => Ok(text.clone()),
            None => self.sign(issuing, key, renew_days, now),
        }
    }

    fn sign(&self, issuing: &Issuing, key: &Key, renew_days: u32, now: Time) -> Result<String> {
        let offer = &key.terms.offer;
        let binding = match key.blank_key_no {
            Some(carrier) => Binding::Blank(carrier),
            None => Binding::Computer(key.fingerprint.clone()),
        };
        let mut licence = Licence {
            key_id: key.series.key_id,
            key_no: key.key_no,
            issue: key.issue,
            reg_no: key.reg_no,
            key_type: offer.key_type,
            service_type: offer.service_type,
            licence_count: offer.licence_count,
            product_version: offer.product_version,
            activation_code: key.code,
            activation_date: key.activated,
            start_date: offer.start_date,
            period: offer.period,
            flags: offer.flags,
            itn: key.itn.clone(),
            iec: key.iec.clone(),
            product_name: offer.product_name.clone(),
            article: offer.article.clone(),
            article_name: offer.article_name.clone(),
            support: offer.support.clone(),
            issued: now,
            parameters: offer.parameters.clone(),
            renew_by: (renew_days > 0).then(|| now.plus_days(renew_days.into())),
            identity: key.identity,
            binding,
            sealed: Vec::new(),
        };
        issuing.sign_licence(self.crypto, &mut licence)
    }

    /// The time by the centre's clock.
    pub fn now(&self) -> Time {
        self.clock.now().wall
    }

    /// Whether the store answers.
    pub fn check(&self) -> Result<()> {
        self.store.check()
    }

    /// Whether it can serve: the store works, and there is a series whose certificate is good.
    pub fn ready(&self) -> Result<()> {
        self.check()?;
        let now = self.now();
        let good = self.issuing.read().values().any(|issuing| issuing.certificate().allows(now));
        let none = || {
            Error::new(Code::SeriesNotServed)
                .with("*")
                .with_text("нет действующего ключа выпуска", "no issuing key that is good")
        };
        good.then_some(()).ok_or_else(none)
    }

    /// The store.
    pub fn store(&self) -> &Store {
        &self.store
    }
}

/// Keeps the text of a licence; which text counts, when two were signed at the same time.
fn kept(work: &mut Work<'_>, key: &Key, text: &str, now: Time) -> Result<String> {
    if key.licence.is_some() {
        return Ok(text.to_owned());
    }
    // Where another request has moved the key on, whoever asks again gets what counts.
    work.keep_licence(key, (text, now))?.ok_or_else(|| Code::Busy.into())
}

fn not_served(key_id: KeyId, russian: &str, english: &str) -> Error {
    Error::new(Code::SeriesNotServed).with(key_id).with_text(russian, english)
}

/// What tells two machines of one identity apart, for a person.
fn machine_of(request: &Request) -> String {
    request.computer_id.map_or_else(|| "-".to_owned(), |id| id.to_string())
}

#[cfg(test)]
mod tests;
