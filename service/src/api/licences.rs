//! `/api/licences`: the keys, and the activation of new ones.

use std::sync::Arc;

use licence::api::{Activate, LicenceEntry};
use licence::error::{Code, Error, Result};
use licence::{KeyId, KeyNo, RootHash};
use serde::Serialize;
use web::Request;

use super::Call;
use super::answer::{Answer, body};
use crate::activation::{self, Order};

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

/// `POST /api/licences`: exchanges an activation code for a licence of this server.
pub fn activate(call: Call, answer: Answer) {
    let (core, lang) = (Arc::clone(&call.core), call.lang);
    let order = body::<Activate>(&call.request).and_then(|body| Order::new(&body, &core.settings.get()));
    let order = match order {
        Ok(order) => order,
        Err(error) => return answer.refuse(&error),
    };
    let queued = call.core.activations.run(answer, move |answer| {
        // An administrator who has gone away may come back and ask again: then the code gives its key.
        if !answer.is_abandoned() {
            answer.result(201, activation::activate(&core, order, lang));
        }
    });
    if let Err((error, answer)) = queued {
        answer.refuse(&error);
    }
}
