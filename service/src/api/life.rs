//! The life of a key in the API: activation, reserve codes, updates, request and response files, parts of the machine. All that
//! asks the centre runs on the threads for calls.

use licence::activation::CodeParameters;
use licence::api::{Activate, LicenceInfo};
use licence::error::{Code, Error, Result};
use licence::fingerprint::PartKind;
use licence::{KeyId, KeyNo};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Call;
use super::licences::{root_of, series_of};
use crate::activation::{self, Done, Order, RequestFile, ReserveInfo, ReserveOrder, UpdateInfo, UpdateOrder};

/// `POST /api/licences`: exchanges a code for a licence of this server, or asks for a demo licence.
pub fn activate(call: &Call, order: Activate) -> Result<LicenceInfo> {
    activation::activate(&call.core, order, call.lang)
}

/// Body of `POST /api/licences/{KeyNo}/reserve`.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub struct Why {
    #[serde(default)]
    reason: String,
    #[serde(default)]
    comment: String,
}

/// `POST /api/licences/{KeyNo}/reserve`: gives a key up for a reserve code.
pub fn reserve(call: &Call, why: Why) -> Result<ReserveInfo> {
    let Why { reason, comment } = why;
    let text = call.params.get("KeyNo");
    let key_no: KeyNo = text.parse().map_err(|_| Error::new(Code::RecordNotFound).with(text))?;
    let (key_id, root) = (series_of(&call.request)?, root_of(&call.request)?);
    activation::reserve(&call.core, ReserveOrder { key_no, key_id, root, reason, comment })
}

/// Answer of `POST /api/updates`.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub struct Updates {
    updates: Vec<UpdateInfo>,
}

/// `POST /api/updates`: asks the centre for news about the keys here.
pub fn update(call: &Call, order: UpdateOrder) -> Result<Updates> {
    activation::update(&call.core, order).map(|updates| Updates { updates })
}

/// `POST /api/requests`: makes a request file. Nobody is asked, but it is written down, so it waits for a disk.
pub fn request(call: &Call, order: Order) -> Result<RequestFile> {
    activation::request_file(&call.core, &order)
}

/// Body of `POST /api/responses`.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub struct Response {
    text: String,
}

/// What an installed response has brought: one of the members.
#[derive(Default, Serialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub struct Brought {
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
pub fn respond(call: &Call, response: Response) -> Result<Brought> {
    Ok(match activation::respond(&call.core, &response.text)? {
        Done::Activated(series, key_no) => {
            let licence = activation::installed(&call.core, series, key_no, call.lang)?;
            Brought { licence: Some(Box::new(licence)), ..Brought::default() }
        }
        Done::Reserved(reserve) => Brought { reserve: Some(reserve), ..Brought::default() },
        Done::Updated(update) => Brought { update: Some(update), ..Brought::default() },
        Done::CodeParameters(code) => Brought { code: Some(code), ..Brought::default() },
    })
}

/// Body of `POST /api/codes`.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub struct AskedCode {
    activation_code_string: String,
}

/// `POST /api/codes`: what a code would give. The code is in the body, for addresses are written to logs.
pub fn code(call: &Call, asked: AskedCode) -> Result<CodeParameters> {
    activation::parameters(&call.core, asked.activation_code_string.parse()?)
}

/// `POST /api/backup`: a copy of the ledger at one moment, an SQLite database. The other files of the data folder can be copied as
/// they are.
pub fn backup(call: &Call, done: impl FnOnce(Result<Vec<u8>>) + Send + 'static) {
    call.core.ledger.copy(done);
}

/// Answer of `GET /api/fingerprint`.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub struct Fingerprints {
    machine: Vec<MachinePart>,
    keys: Vec<KeyMatch>,
}

/// A kind of part that this machine has.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub struct MachinePart {
    kind: PartKind,
    weight: u32,
    /// How many values of it there are.
    count: usize,
}

/// What a key knows again.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub struct KeyMatch {
    #[serde(rename = "KeyID")]
    key_id: KeyId,
    key_no: KeyNo,
    matched: u32,
    total: u32,
    needed: u32,
    holds: bool,
    parts: Vec<KnownPart>,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub struct KnownPart {
    kind: PartKind,
    weight: u32,
    matches: bool,
}

/// `GET /api/fingerprint`: the kinds of parts of this machine, and which of them each key here knows again. Values never leave
/// the machine, and hashes only in requests.
pub fn fingerprint(call: &Call) -> Result<Fingerprints> {
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
    Ok(Fingerprints { machine: machine.collect(), keys: keys.collect() })
}
