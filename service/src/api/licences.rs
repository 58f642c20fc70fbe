//! `/api/licences`: the keys.

use licence::api::LicenceEntry;
use licence::error::{Code, Error, Result};
use licence::{KeyId, KeyNo, RootHash};
use serde::Serialize;
use web::Request;

use super::Call;
use super::answer::Answer;

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Licences {
    licences: Vec<LicenceEntry>,
}

/// `GET /api/licences`: every licence file, those that can't be read too.
pub fn list(call: Call, answer: Answer) {
    let (snapshot, now) = (call.core.keys.snapshot(), call.core.timekeeper.now());
    let licences = snapshot.views().map(|view| view.info(now, call.lang)).collect();
    answer.json(200, &Licences { licences });
}

/// `GET /api/licences/{KeyNo}`.
pub fn one(call: Call, answer: Answer) {
    let found = find(&call);
    answer.result(200, found);
}

fn find(call: &Call) -> Result<LicenceEntry> {
    let text = call.params.get("KeyNo");
    let missing = || Error::new(Code::RecordNotFound).with(text);
    let number: KeyNo = text.parse().map_err(|_| missing())?;
    let (key_id, root) = (series_of(&call.request)?, root_of(&call.request)?);
    let snapshot = call.core.keys.snapshot();
    let now = call.core.timekeeper.now();
    let mut found = snapshot.views().filter(|view| {
        let Some(key) = &view.entry.key else { return false };
        let series = key.series;
        key.licence.key_no == number
            && key_id.is_none_or(|key_id| series.key_id == key_id)
            && root.is_none_or(|root| series.root == root)
            && view.is_current()
    });
    match (found.next(), found.next()) {
        (Some(view), None) => Ok(view.info(now, call.lang)),
        (Some(_), Some(_)) => Err(Error::new(Code::BadRequest).with_text(
            format_args!("номер {number} есть у двух серий; уточните: ?KeyID= или ?SeriesKey="),
            format_args!("two series have number {number}; add ?KeyID= or ?SeriesKey="),
        )),
        (None, _) => Err(missing()),
    }
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
