//! What the vendor is told of copies: one server on two machines, a licence that was put back after its retirement. Nothing here
//! grants or refuses anything.

use licence::activation::Request;
use licence::error::{Code, Error, Result};
use licence::{KeyNo, SeriesId, Time};

use super::{Centre, SERVER, machine_of};
use crate::rules::{self, News};
use crate::store::{Event, Kind, Work};

impl Centre {
    /// Reports what a request that was refused has shown; that it was refused stays as it is.
    pub(super) fn report_refused(&self, request: &Request, error: &Error, now: Time) {
        if !matches!(error.code, Code::OtherMachine | Code::DemoRefused) {
            return;
        }
        if let Err(error) = self.store.work(|work| report_clones(work, request, now)) {
            log::error!("report: {error}");
        }
    }
}

/// Reports copies that a request shows, whatever it asks for; what its server may have is left to its next update.
pub(super) fn report_copies(work: &mut Work<'_>, request: &Request, now: Time) -> Result<()> {
    for held in &request.installed {
        let (series, key_no) = (&held.series, held.key_no);
        if work.has_had((series, key_no), &request.identity)?
            && let Some(key) = work.key(series, key_no)?
        {
            let news = rules::news(&key, held.issue, &work.policy(series)?, (request, now));
            note_restored(work, (series, key_no, held.issue), &news, (request, now))?;
        }
    }
    report_clones(work, request, now)
}

/// Reports the keys of a server that it got on another machine than the one that it asks from now, whether or not it lists them: a
/// clone may have none of its licence files.
pub(super) fn report_clones(work: &mut Work<'_>, request: &Request, now: Time) -> Result<()> {
    for (series, key_no, machine) in work.machines_of(&request.identity, &request.fingerprint)? {
        if !machine.compare_with(&request.fingerprint).holds() {
            let event = Event::new(now, SERVER, Kind::Cloned).of_key(&series, key_no);
            work.note(&event.with(machine_of(request)))?;
        }
    }
    Ok(())
}

/// Notes a licence that was put back after its retirement.
pub(super) fn note_restored(
    work: &mut Work<'_>,
    (series, key_no, installed): (&SeriesId, KeyNo, u32),
    news: &News,
    (request, now): (&Request, Time),
) -> Result<()> {
    if !matches!(news, News::Retired(_)) {
        return Ok(());
    }
    let details = format!("issue {installed}, computer {}", machine_of(request));
    work.note(&Event::new(now, SERVER, Kind::Restored).of_key(series, key_no).with(details))
}
