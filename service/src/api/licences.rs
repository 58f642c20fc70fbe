//! `/api/licences`: the keys, what lets them be used or not, and the activation of new ones.

use licence::api::{LicenceEntry, LicenceInfo, SwitchKey};
use licence::error::{Code, Error, Result};
use licence::{KeyId, KeyNo, RootHash, SeriesId};
use web::Request;

use super::Call;
use crate::Core;

/// `GET /api/licences`: every licence file, those that can't be read too.
pub fn list(call: &Call) -> Result<Vec<LicenceEntry>> {
    let (snapshot, now) = (call.core.keys.snapshot(), call.core.timekeeper.now());
    Ok(snapshot.views().map(|view| view.info(now, call.lang)).collect())
}

/// `GET /api/licences/{KeyNo}`.
pub fn one(call: &Call) -> Result<LicenceInfo> {
    let (series, number) = find(call)?;
    shown(call, &series, number)
}

fn shown(call: &Call, series: &SeriesId, number: KeyNo) -> Result<LicenceInfo> {
    let found = call.core.keys.info_in(series, number, call.core.timekeeper.now(), call.lang);
    found.ok_or_else(|| Error::new(Code::RecordNotFound).with(number))
}

/// The key that the address means.
fn find(call: &Call) -> Result<(SeriesId, KeyNo)> {
    named_key(&call.core, &call.request, call.params.get("KeyNo"))
}

/// The key of that number; where several series have it, the one that `?KeyID=` and `?SeriesKey=` of `request` name.
pub fn named_key(core: &Core, request: &Request, number: &str) -> Result<(SeriesId, KeyNo)> {
    let missing = || Error::new(Code::RecordNotFound).with(number);
    let number: KeyNo = number.parse().map_err(|_| missing())?;
    let (key_id, root) = (series_of(request)?, root_of(request)?);
    let snapshot = core.keys.snapshot();
    let found = snapshot.views().filter(|view| view.is_current()).filter_map(|view| {
        let key = view.entry.key.as_ref()?;
        let fits = key.licence.key_no == number
            && key_id.is_none_or(|key_id| key.series.key_id == key_id)
            && root.is_none_or(|root| key.series.root == root);
        fits.then_some(key.series)
    });
    let found: Vec<SeriesId> = found.collect();
    match found.as_slice() {
        [] => Err(missing()),
        [series] => Ok((*series, number)),
        several => Err(series_key_needed(number, several.iter().copied())),
    }
}

/// Asks which vendor is meant, and names those that there are: `672B: <hash>`.
pub fn series_key_needed(what: impl std::fmt::Display, candidates: impl Iterator<Item = SeriesId>) -> Error {
    let named: Vec<String> = candidates.map(|series| format!("{} (KeyID={})", series.root, series.key_id)).collect();
    Error::new(Code::SeriesKeyNeeded).with(what).with(named.join(", "))
}

/// The series that a request names: `?KeyID=672B`.
pub fn series_of(request: &Request) -> Result<Option<KeyId>> {
    let wrong = |e| Error::new(Code::BadRequest).with(format_args!("KeyID: {e}"));
    request.query("KeyID").map(|text| text.parse().map_err(wrong)).transpose()
}

/// The vendor that a request names: `?SeriesKey=`, the SHA-256 of his root key, for numbers that two vendors use.
pub fn root_of(request: &Request) -> Result<Option<RootHash>> {
    let wrong = |e| Error::new(Code::BadRequest).with(format_args!("SeriesKey: {e}"));
    request.query("SeriesKey").map(|text| text.parse().map_err(wrong)).transpose()
}

/// `PUT /api/licences/{KeyNo}`: lets a key be used or not.
pub fn switch(call: &Call, wanted: SwitchKey) -> Result<LicenceInfo> {
    let (series, number) = find(call)?;
    let now = call.core.timekeeper.now();
    call.core.change_keys(|keys| keys.set_enabled(series, number, wanted.enabled, now))?;
    shown(call, &series, number)
}

/// `DELETE /api/licences/{KeyNo}`: the key as it was; its file is kept in the folder `old`.
pub fn remove(call: &Call) -> Result<LicenceInfo> {
    let (series, number) = find(call)?;
    let last = shown(call, &series, number)?;
    let now = call.core.timekeeper.now();
    call.core.change_keys(|keys| keys.remove(series, number, now))?;
    Ok(last)
}
