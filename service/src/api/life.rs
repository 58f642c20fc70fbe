//! The life of a key in the API: activation, reserve codes, updates, request and response files, parts of the machine. All that
//! asks the centre runs on the threads for calls.

use std::sync::Arc;

use licence::activation::CodeParameters;
use licence::api::{Activate, LicenceInfo};
use licence::error::{Code, Error, Lang, Result};
use licence::fingerprint::PartKind;
use licence::{KeyId, KeyNo};
use serde::{Deserialize, Serialize};

use super::Call;
use super::answer::{Answer, body};
use super::licences::{root_of, series_of};
use crate::Core;
use crate::activation::{self, Done, Order, ReserveInfo, ReserveOrder, UpdateInfo, UpdateOrder};

/// Reads the body and runs `job` with it on the threads for calls.
fn later<B, T>(call: Call, answer: Answer, status: u16, job: fn(&Core, Lang, B) -> Result<T>)
where
    B: serde::de::DeserializeOwned + Send + 'static,
    T: Serialize + 'static,
{
    match body::<B>(&call.request) {
        Ok(order) => run(call, answer, status, move |core, lang| job(core, lang, order)),
        Err(error) => answer.refuse(&error),
    }
}

fn run<T: Serialize + 'static>(
    call: Call,
    answer: Answer,
    status: u16,
    job: impl FnOnce(&Core, Lang) -> Result<T> + Send + 'static,
) {
    let (core, lang) = (Arc::clone(&call.core), call.lang);
    let queued = call.core.activations.run(answer, move |answer| {
        // An administrator who has gone away may come back and ask again: then he gets the same.
        if !answer.is_abandoned() {
            answer.result(status, job(&core, lang));
        }
    });
    if let Err((error, answer)) = queued {
        answer.refuse(&error);
    }
}

/// `POST /api/licences`: exchanges a code for a licence of this server, or asks for a demo licence.
pub fn activate(call: Call, answer: Answer) {
    later(call, answer, 201, |core, lang, order: Activate| activation::activate(core, order, lang));
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Why {
    #[serde(default)]
    reason: String,
    #[serde(default)]
    comment: String,
}

/// `POST /api/licences/{KeyNo}/reserve`: gives a key up for a reserve code.
pub fn reserve(call: Call, answer: Answer) {
    let order = (|| {
        let Why { reason, comment } = body(&call.request)?;
        let text = call.params.get("KeyNo");
        let key_no: KeyNo = text.parse().map_err(|_| Error::new(Code::RecordNotFound).with(text))?;
        let (key_id, root) = (series_of(&call.request)?, root_of(&call.request)?);
        Ok(ReserveOrder { key_no, key_id, root, reason, comment })
    })();
    match order {
        Ok(order) => run(call, answer, 200, move |core, _| activation::reserve(core, order)),
        Err(error) => answer.refuse(&error),
    }
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Updates {
    updates: Vec<UpdateInfo>,
}

/// `POST /api/updates`: asks the centre for news about the keys here.
pub fn update(call: Call, answer: Answer) {
    later(call, answer, 200, |core, _, order: UpdateOrder| {
        activation::update(core, order).map(|updates| Updates { updates })
    });
}

/// `POST /api/requests`: makes a request file. Nobody is asked, but it is written down, so it waits for a disk.
pub fn request(call: Call, answer: Answer) {
    later(call, answer, 201, |core, _, order: Order| activation::request_file(core, &order));
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Response {
    text: String,
}

/// What an installed response has brought: one of the members.
#[derive(Default, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Brought {
    #[serde(skip_serializing_if = "Option::is_none")]
    licence: Option<Box<LicenceInfo>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reserve: Option<ReserveInfo>,
    #[serde(skip_serializing_if = "Option::is_none")]
    update: Option<UpdateInfo>,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<Box<CodeParameters>>,
}

/// `POST /api/responses`: installs the centre's answer to a request file.
pub fn respond(call: Call, answer: Answer) {
    later(call, answer, 200, |core, lang, response: Response| {
        Ok(match activation::respond(core, &response.text)? {
            Done::Activated(series, key_no) => {
                let licence = activation::installed(core, series, key_no, lang)?;
                Brought { licence: Some(Box::new(licence)), ..Brought::default() }
            }
            Done::Reserved(reserve) => Brought { reserve: Some(reserve), ..Brought::default() },
            Done::Updated(update) => Brought { update: Some(update), ..Brought::default() },
            Done::CodeParameters(code) => Brought { code: Some(code), ..Brought::default() },
        })
    });
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct AskedCode {
    activation_code_string: String,
}

/// `POST /api/codes`: what a code would give. The code is in the body, for addresses are written to logs.
pub fn code(call: Call, answer: Answer) {
    later(call, answer, 200, |core, _, asked: AskedCode| {
        activation::parameters(core, asked.activation_code_string.parse()?)
    });
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Fingerprints {
    machine: Vec<MachinePart>,
    keys: Vec<KeyMatch>,
}

/// A kind of part that this machine has.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct MachinePart {
    kind: PartKind,
    weight: u32,
    /// How many values of it there are.
    count: usize,
}

/// What a key knows again.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct KeyMatch {
    #[serde(rename = "KeyID")]
    key_id: KeyId,
    key_no: KeyNo,
    matched: u32,
    total: u32,
    needed: u32,
    holds: bool,
    parts: Vec<KnownPart>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct KnownPart {
    kind: PartKind,
    weight: u32,
    matches: bool,
}

/// `GET /api/fingerprint`: the kinds of parts of this machine, and which of them each key here knows again. Values never leave
/// the machine, and hashes only in requests.
pub fn fingerprint(call: Call, answer: Answer) {
    let machine = call.core.keys.fingerprint().parts.into_iter();
    let machine = machine.map(|part| MachinePart { kind: part.kind, weight: part.weight, count: part.hashes.len() });
    let snapshot = call.core.keys.snapshot();
    let keys = snapshot.views().filter(|view| view.is_current()).filter_map(|view| {
        let (key, fits) = (view.entry.key.as_ref()?, view.entry.fits.as_ref()?);
        let parts = fits.parts.iter().map(|&(kind, weight, matches)| KnownPart { kind, weight, matches });
        Some(KeyMatch {
            key_id: key.licence.key_id,
            key_no: key.licence.key_no,
            matched: fits.matched,
            total: fits.total,
            needed: fits.needed,
            holds: fits.holds(),
            parts: parts.collect(),
        })
    });
    answer.json(200, &Fingerprints { machine: machine.collect(), keys: keys.collect() });
}
