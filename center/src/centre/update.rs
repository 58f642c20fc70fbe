//! News for the keys that a server holds: changed entitlements, retirements, revocations.

use licence::activation::{Outcome, Request, Updated};
use licence::error::Result;
use licence::{KeyNo, SeriesId, Time};

use super::copies::{note_restored, report_clones};
use super::{Centre, Outcoming, SERVER, machine_of};
use crate::rules::{self, News};
use crate::store::{Event, Key, Kind, Policy, Work};

/// What one key leads to, before anything is signed.
enum Due {
    Licence(Box<Key>),
    Retirement(KeyNo, u32),
}

impl Centre {
    /// News about the keys of a series that the request lists.
    pub(super) fn update(&self, request: &Request, series: SeriesId, now: Time) -> Result<Outcoming> {
        let issuing = self.issuing(&series, now)?;
        let (due, revoked, policy) = self.store.work(|work| {
            let policy = work.policy(&series)?;
            let mut due = Vec::new();
            let mut numbers: Vec<(KeyNo, u32)> = request
                .installed
                .iter()
                .filter(|key| key.series == series)
                .map(|key| (key.key_no, key.issue))
                .collect();
            // Rows are locked in one order, whatever the order of the request, so that two requests never wait for each other.
            numbers.sort_unstable();
            numbers.dedup_by_key(|(key_no, _)| *key_no);
            for (key_no, installed) in numbers {
                due.extend(settle(work, (&series, &policy), (key_no, installed), (request, now))?);
            }
            report_clones(work, request, now)?;
            Ok((due, work.revoked_keys(&series)?, policy))
        })?;
        let (mut licences, mut retirements) = (Vec::new(), Vec::new());
        for due in due {
            match due {
                Due::Licence(key) => licences.push(self.licence(&issuing, &key, (policy.renew_days, now))?),
                Due::Retirement(key_no, issue) => {
                    retirements.push(issuing.retire(self.crypto, now, (key_no, issue))?)
                }
            }
        }
        let revocations = issuing.revoke(self.crypto, now, revoked)?;
        let api_certificate = issuing.certify(self.crypto, now, request)?;
        let outcome = Outcome::Updated(Updated { licences, retirements, revocations, api_certificate });
        Ok(Outcoming { outcome, what: "updated", series, key_no: None })
    }
}

/// Decides about one installed key and writes what follows.
fn settle(
    work: &mut Work<'_>,
    (series, policy): (&SeriesId, &Policy),
    (key_no, installed): (KeyNo, u32),
    (request, now): (&Request, Time),
) -> Result<Option<Due>> {
    // Of keys that it has never had a server learns nothing.
    let known = work.has_had((series, key_no), &request.identity)?;
    let Some(mut key) = work.lock_key(series, key_no)?.filter(|_| known) else { return Ok(None) };
    let news = rules::news(&key, installed, policy, (request, now));
    note_restored(work, (series, key_no, installed), &news, (request, now))?;
    match news {
        News::Current if key.issue > installed => Ok(Some(Due::Licence(Box::new(key)))),
        News::Anew { allowed } => {
            let machine = rules::machine_for(&key.terms.offer, &request.fingerprint);
            let rebaselined = key.fingerprint != machine;
            key.allowance -= u32::from(allowed);
            key.fingerprint = machine;
            key.computer_id = request.computer_id;
            key.reissue();
            work.save_key(&key)?;
            let kind = if rebaselined { Kind::Rebaselined } else { Kind::Updated };
            let event = Event::new(now, SERVER, kind).of_key(series, key_no);
            work.note(&event.with(format_args!("issue {}, computer {}", key.issue, machine_of(request))))?;
            Ok(Some(Due::Licence(Box::new(key))))
        }
        News::Retired(issue) => Ok(Some(Due::Retirement(key_no, issue))),
        News::Current | News::OtherMachine | News::Nothing => Ok(None),
    }
}
