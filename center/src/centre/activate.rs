//! A code, or the wish for a demo, becomes a licence.

use licence::SeriesId;
use licence::activation::{Activated, Outcome};
use licence::code::ActivationCode;
use licence::error::{Code, Error, Result};

use super::copies::report_copies;
use super::{Centre, Outcoming, SERVER, kept, machine_of};
use crate::rules::{self, Asker, Exchange};
use crate::store::{Key, KeyState, Origin, Sold, State, Unsettled, Work};
use crate::terms::Terms;

/// What one transaction has decided.
struct Exchanged {
    key: Key,
    /// In a word.
    what: &'static str,
    /// Policy of the series.
    renew_days: u32,
    /// The code of a new key, which is written with its licence, if the code is then still what it was.
    code: Option<Sold>,
}

/// How often a code is looked at anew because somebody else has changed it meanwhile.
const TRIES: u32 = 5;

impl Centre {
    /// Exchanges a code: the first time for a new key, later for the same licence, after a transfer for the key's next issue.
    pub(super) fn activate(&self, code: ActivationCode, asker: Asker<'_>) -> Result<Unsettled<Outcoming>> {
        for _ in 0..TRIES {
            let exchanged = self.store.decide(|work| self.exchange(work, code, asker))?;
            if let Some(activated) = self.activated(exchanged, asker)? {
                return Ok(activated);
            }
        }
        Err(Code::Busy.into())
    }

    fn exchange(&self, work: &mut Work<'_>, code: ActivationCode, asker: Asker<'_>) -> Result<Exchanged> {
        let sold = work.lock_code(code)?.ok_or_else(|| Error::new(Code::CodeUnknown))?;
        // Refused before anything is written: without its issuing key nothing could be signed.
        self.issuing(&sold.series, asker.now)?;
        let key = sold.key_no.map(|key_no| work.lock_key(&sold.series, key_no)).transpose()?.flatten();
        match (rules::exchange(&sold, key.as_ref(), asker)?, key) {
            (Exchange::Same, Some(key)) => {
                let renew_days = work.policy(&sold.series)?.renew_days;
                Ok(Exchanged { key, what: "repeated", renew_days, code: None })
            }
            (Exchange::Moved { allowed }, Some(mut key)) => {
                let (what, renew_days) = ("moved", work.policy(&sold.series)?.renew_days);
                move_key(&mut key, allowed, asker);
                work.save_key(&key)?;
                work.use_code(&sold, key.key_no)?;
                note(work, &key, asker, what)?;
                report_copies(work, asker.request, asker.now)?;
                Ok(Exchanged { key, what, renew_days, code: None })
            }
            _ => {
                let (key, renew_days) = new_key(work, (sold.series, code), sold.terms.clone(), asker)?;
                Ok(Exchanged { key, what: "activated", renew_days, code: Some(sold) })
            }
        }
    }

    /// A demo licence without a code, once for each computer.
    pub(super) fn demo(&self, series: SeriesId, asker: Asker<'_>) -> Result<Unsettled<Outcoming>> {
        self.issuing(&series, asker.now)?;
        let exchanged = self.store.decide(|work| {
            let policy = work.lock_series(&series)?.map(|series| series.policy).unwrap_or_default();
            let renew_days = policy.renew_days;
            let offer = policy.demo.ok_or_else(|| {
                let refused = Error::new(Code::DemoRefused).with(series.key_id);
                refused.with_text("поставщик их не выдаёт", "the vendor gives none")
            })?;
            let request = asker.request;
            let former = work.demo_key(&series, (&request.identity, request.computer_id))?;
            match (rules::demo(former.as_ref(), (&series, &offer), asker)?, former) {
                (Exchange::Same, Some(key)) => Ok(Exchanged { key, what: "repeated", renew_days, code: None }),
                _ => {
                    let code = work.fresh_code(self.crypto)?;
                    let terms = Terms { offer, itn: None, iec: None };
                    let (key, renew_days) = new_key(work, (series, code), terms.clone(), asker)?;
                    work.insert_key(&key)?;
                    let (origin, state) = (Origin::Demo, State::Used);
                    let key_no = Some(key.key_no);
                    work.insert_code(&Sold {
                        code,
                        series,
                        origin,
                        state,
                        terms,
                        created: asker.now,
                        key_no,
                        version: 0,
                    })?;
                    note(work, &key, asker, "demo")?;
                    report_copies(work, request, asker.now)?;
                    Ok(Exchanged { key, what: "demo", renew_days, code: None })
                }
            }
        })?;
        self.activated(exchanged, asker)?.ok_or_else(|| Code::Busy.into())
    }

    /// Signs what was decided, and keeps the licence. `None` when the code of a new key has become something else meanwhile.
    fn activated(&self, exchanged: Unsettled<Exchanged>, asker: Asker<'_>) -> Result<Option<Unsettled<Outcoming>>> {
        let (Exchanged { mut key, what, renew_days, code }, decided) = exchanged.split();
        let issuing = self.issuing(&key.series, asker.now)?;
        let licence = self.signed(&issuing, &key, (renew_days, asker.now))?;
        let api_certificate = issuing.certify(self.crypto, asker.now, asker.request)?;
        let kept = decided.then(|work| match &code {
            Some(sold) => {
                key.licence = Some((licence.clone(), asker.now));
                let claimed = claim(work, sold, &key, asker)?;
                Ok(claimed.then(|| licence.clone()))
            }
            None => kept(work, &key, &licence, asker.now).map(Some),
        })?;
        let Some(kept) = kept.transpose() else { return Ok(None) };
        let outcoming = kept.map(|licence| {
            let outcome = Outcome::Activated(Activated { licence, api_certificate, memory: key.memory });
            Ok(Outcoming { outcome, what, series: key.series, key_no: Some(key.key_no) })
        });
        outcoming.map(Some)
    }
}

/// Exchanges a new code for a new key with its licence, unless the code is no longer what it was.
fn claim(work: &mut Work<'_>, sold: &Sold, key: &Key, asker: Asker<'_>) -> Result<bool> {
    if !work.use_code(sold, key.key_no)? {
        return Ok(false);
    }
    work.insert_key(key)?;
    if let Some(itn) = &asker.asked.itn {
        work.meet_customer(itn, asker.asked.iec.as_deref())?;
    }
    note(work, key, asker, "activated")?;
    report_copies(work, asker.request, asker.now)?;
    Ok(true)
}

/// A new key, which is not written yet, and within how many days its licence must be renewed.
fn new_key(
    work: &mut Work<'_>,
    (series, code): (SeriesId, ActivationCode),
    terms: Terms,
    asker: Asker<'_>,
) -> Result<(Key, u32)> {
    let (key_no, reg_no, policy) = work.next_numbers(&series)?;
    let Asker { request, asked, now } = asker;
    let fingerprint = rules::machine_for(&terms.offer, &request.fingerprint);
    let key = Key {
        series,
        key_no,
        reg_no,
        itn: terms.itn.clone().or_else(|| asked.itn.clone()),
        iec: terms.iec.clone().or_else(|| asked.iec.clone()),
        terms,
        activated: now,
        state: KeyState::Active,
        revoked: false,
        allowance: 0,
        issue: 1,
        code,
        identity: request.identity,
        fingerprint,
        blank_key_no: asked.blank_key_no,
        computer_id: request.computer_id,
        memory: None,
        licence: None,
    };
    Ok((key, policy.renew_days))
}

/// The key on the server that asks: its next issue.
fn move_key(key: &mut Key, allowed: bool, Asker { request, asked, .. }: Asker<'_>) {
    key.state = KeyState::Active;
    key.allowance -= u32::from(allowed);
    key.identity = request.identity;
    key.fingerprint = rules::machine_for(&key.terms.offer, &request.fingerprint);
    key.blank_key_no = asked.blank_key_no;
    key.computer_id = request.computer_id;
    key.reissue();
}

fn note(work: &mut Work<'_>, key: &Key, asker: Asker<'_>, what: &str) -> Result<()> {
    let details = format!("{what}, issue {}, computer {}", key.issue, machine_of(asker.request));
    work.note_activation((asker.now, SERVER), key, &details)
}
