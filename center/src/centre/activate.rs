//! A code, or the wish for a demo, becomes a licence.

use licence::SeriesId;
use licence::activation::{Activated, Outcome};
use licence::code::ActivationCode;
use licence::error::{Code, Error, Result};

use super::copies::report_copies;
use super::{Centre, Outcoming, SERVER, kept, machine_of};
use crate::rules::{self, Asker, Exchange};
use crate::store::{Decided, Event, Key, KeyState, Kind, Origin, Sold, State, Work};
use crate::terms::Terms;

/// What one transaction has decided.
struct Exchanged {
    key: Key,
    /// In a word.
    what: &'static str,
    /// Policy of the series.
    renew_days: u32,
}

impl Centre {
    /// Exchanges a code: the first time for a new key, later for the same licence, after a transfer for the key's next issue.
    pub(super) fn activate(&self, code: ActivationCode, asker: Asker<'_>) -> Result<Outcoming> {
        let (exchanged, decided) = self.store.decide(|work| {
            let mut sold = work.lock_code(code)?.ok_or_else(|| Error::new(Code::CodeUnknown))?;
            // Refused before anything is written: without its issuing key nothing could be signed.
            self.issuing(&sold.series, asker.now)?;
            let key = sold.key_no.map(|key_no| work.lock_key(&sold.series, key_no)).transpose()?.flatten();
            let (key, what) = match (rules::exchange(&sold, key.as_ref(), asker)?, key) {
                (Exchange::Same, Some(key)) => (key, "repeated"),
                (Exchange::Moved { allowed }, Some(mut key)) => {
                    move_key(&mut key, allowed, asker);
                    work.save_key(&key)?;
                    (key, "moved")
                }
                _ => {
                    let (itn, iec) = (&asker.asked.itn, &asker.asked.iec);
                    let key = new_key(work, (sold.series, code), sold.terms.clone(), asker)?;
                    if let Some(itn) = itn {
                        work.meet_customer(itn, iec.as_deref())?;
                    }
                    (key, "activated")
                }
            };
            if what != "repeated" {
                sold.state = State::Used;
                sold.key_no = Some(key.key_no);
                work.save_code(&sold)?;
                note(work, &key, asker, what)?;
                report_copies(work, asker.request, asker.now)?;
            }
            let policy = work.policy(&sold.series)?;
            Ok(Exchanged { key, what, renew_days: policy.renew_days })
        })?;
        self.activated(exchanged, decided, asker)
    }

    /// A demo licence without a code, once for each computer.
    pub(super) fn demo(&self, series: SeriesId, asker: Asker<'_>) -> Result<Outcoming> {
        self.issuing(&series, asker.now)?;
        let (exchanged, decided) = self.store.decide(|work| {
            let policy = work.lock_series(&series)?.map(|series| series.policy).unwrap_or_default();
            let renew_days = policy.renew_days;
            let offer = policy.demo.ok_or_else(|| {
                let refused = Error::new(Code::DemoRefused).with(series.key_id);
                refused.with_text("поставщик их не выдаёт", "the vendor gives none")
            })?;
            let request = asker.request;
            let former = work.demo_key(&series, (&request.identity, request.computer_id))?;
            match (rules::demo(former.as_ref(), (&series, &offer), asker)?, former) {
                (Exchange::Same, Some(key)) => Ok(Exchanged { key, what: "repeated", renew_days }),
                _ => {
                    let code = work.fresh_code(self.crypto)?;
                    let terms = Terms { offer, itn: None, iec: None };
                    let key = new_key(work, (series, code), terms.clone(), asker)?;
                    let (origin, state) = (Origin::Demo, State::Used);
                    let key_no = Some(key.key_no);
                    work.insert_code(&Sold { code, series, origin, state, terms, created: asker.now, key_no })?;
                    note(work, &key, asker, "demo")?;
                    report_copies(work, request, asker.now)?;
                    Ok(Exchanged { key, what: "demo", renew_days })
                }
            }
        })?;
        self.activated(exchanged, decided, asker)
    }

    /// Signs what was decided. It is on the disk before anything is answered.
    fn activated(&self, exchanged: Exchanged, decided: Decided<'_>, asker: Asker<'_>) -> Result<Outcoming> {
        let Exchanged { key, what, renew_days } = exchanged;
        let issuing = self.issuing(&key.series, asker.now)?;
        let licence = self.signed(&issuing, &key, (renew_days, asker.now))?;
        let api_certificate = issuing.certify(self.crypto, asker.now, asker.request)?;
        let licence = decided.finish(|work| kept(work, &key, &licence, asker.now))?;
        let outcome = Outcome::Activated(Activated { licence, api_certificate, memory: key.memory });
        Ok(Outcoming { outcome, what, series: key.series, key_no: Some(key.key_no) })
    }
}

fn new_key(
    work: &mut Work<'_>,
    (series, code): (SeriesId, ActivationCode),
    terms: Terms,
    asker: Asker<'_>,
) -> Result<Key> {
    let (key_no, reg_no) = work.next_numbers(&series)?;
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
    work.insert_key(&key)?;
    Ok(key)
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
    work.note_activation(key, asker.now)?;
    let event = Event::new(asker.now, SERVER, Kind::Activated).of_key(&key.series, key.key_no).with_code(key.code);
    work.note(&event.with(format_args!("{what}, issue {}, computer {}", key.issue, machine_of(asker.request))))
}
