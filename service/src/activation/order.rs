//! What somebody wants of the centre, as the API, the console and the component say it, turned into the purpose of a request. Checked
//! here is what this computer can know, before anybody is asked.

use licence::activation::{Activate, Purpose, Reserve, Update, Want};
use licence::api::{self, Digits};
use licence::error::{Code, Error, Result};
use licence::{KeyId, KeyNo, RootHash, SeriesId};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::Core;

/// A wish.
#[derive(Deserialize, JsonSchema)]
#[serde(tag = "Purpose")]
pub enum Order {
    /// A licence.
    Activate(api::Activate),
    /// A reserve code for a key here.
    Reserve(ReserveOrder),
    /// News about the keys of a series.
    Update(UpdateOrder),
}

/// A wish for a reserve code.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub struct ReserveOrder {
    /// The key.
    #[serde(default)]
    pub key_no: KeyNo,
    /// Its series, where two have the number.
    #[serde(rename = "KeyID", default)]
    pub key_id: Option<KeyId>,
    /// Its vendor, where two have the number.
    #[serde(rename = "SeriesKey", default)]
    pub root: Option<RootHash>,
    /// Why.
    #[serde(default)]
    pub reason: String,
    /// More about it.
    #[serde(default)]
    pub comment: String,
}

/// A wish for news.
#[derive(Debug, Clone, Copy, Default, Deserialize, JsonSchema)]
pub struct UpdateOrder {
    /// The series; may be left out where the keys here are of one.
    #[serde(rename = "KeyID", default)]
    pub key_id: Option<KeyId>,
    /// Its vendor, where two use the number.
    #[serde(rename = "SeriesKey", default)]
    pub root: Option<RootHash>,
}

impl Order {
    /// What the request will ask for.
    pub fn purpose(&self, core: &Core) -> Result<Purpose> {
        match self {
            Order::Activate(order) => activate(core, order).map(Purpose::Activate),
            Order::Reserve(order) => reserve(core, order).map(Purpose::Reserve),
            Order::Update(order) => update(core, order).map(Purpose::Update),
        }
    }
}

fn activate(core: &Core, order: &api::Activate) -> Result<Activate> {
    // Who names a series means that of the vendor whose keys of it are here.
    let here = || order.key_id.and_then(|key_id| core.keys.series_of(key_id, None).ok());
    let root = order.root.or_else(|| here().map(|series| series.root));
    let want = match (order.activation_code_string.trim(), order.key_id) {
        ("", Some(key_id)) => Want::Demo { key_id, root },
        (code, _) => Want::Code(code.parse()?),
    };
    let asked = Activate {
        want,
        itn: digits("ITN", &order.itn)?,
        iec: digits("IEC", &order.iec)?,
        blank_key_no: order.blank_key_no,
        key_id: order.key_id,
        root,
    };
    match asked.blank_key_no {
        Some(carrier) if !core.keys.has_carrier(carrier) => Err(Error::new(Code::CarrierMissing).with(carrier)),
        _ => Ok(asked),
    }
}

fn digits(name: &str, value: &Option<Digits>) -> Result<Option<String>> {
    match value.as_ref().map(Digits::text) {
        None => Ok(None),
        Some(Some(text)) => Ok(Some(text).filter(|text| !text.is_empty())),
        Some(None) => Err(Error::new(Code::BadRequest)
            .with_text(format_args!("{name}: допустимы только цифры"), format_args!("{name}: digits only"))),
    }
}

fn reserve(core: &Core, order: &ReserveOrder) -> Result<Reserve> {
    for (name, text) in [("Reason", &order.reason), ("Comment", &order.comment)] {
        if text.chars().count() > Reserve::TEXT_LIMIT || text.chars().any(|c| c.is_control() && c != '\n' && c != '\r')
        {
            return Err(Error::new(Code::BadRequest).with(name));
        }
    }
    let (series, issue) = core.keys.own_key(order.key_no, order.key_id, order.root)?;
    Ok(Reserve {
        series,
        key_no: order.key_no,
        issue,
        reason: order.reason.trim().to_owned(),
        comment: order.comment.trim().to_owned(),
        memory: core.keys.memory().of(&series, order.key_no)?,
    })
}

fn update(core: &Core, order: &UpdateOrder) -> Result<Update> {
    let mut fitting = core.keys.own_series().into_iter().filter(|series| fits(series, order));
    match (fitting.next(), fitting.next()) {
        (Some(series), None) => Ok(Update { series }),
        (None, _) => Err(Error::new(Code::NoKey).with(order.key_id.map_or("*".into(), |id| id.to_string()))),
        (Some(_), Some(_)) => Err(Error::new(Code::BadRequest)
            .with_text("ключи здесь разных серий; укажите KeyID", "the keys here are of several series; give KeyID")),
    }
}

fn fits(series: &SeriesId, order: &UpdateOrder) -> bool {
    order.key_id.is_none_or(|key_id| series.key_id == key_id) && order.root.is_none_or(|root| series.root == root)
}
