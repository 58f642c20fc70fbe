//! `/api/licences`: keys, and what changes them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::support::SupportInfo;
use crate::error::{Lang, Result};
use crate::id::{KeyId, KeyNo, RootHash};
use crate::key::{Binding, Key};
use crate::time::Time;

/// ИНН or КПП: a number as in the guide's samples, text when it begins with 0, which a number would lose.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Digits {
    /// Without leading zeros.
    Number(u64),
    /// With a leading zero.
    Text(String),
}

impl Digits {
    /// The digits, as a licence holds them; empty text counts as none. `None` when there is anything but digits.
    pub fn text(&self) -> Option<String> {
        let text = match self {
            Digits::Number(number) => number.to_string(),
            Digits::Text(text) => text.trim().to_owned(),
        };
        text.bytes().all(|b| b.is_ascii_digit()).then_some(text)
    }

    fn of(text: &str) -> Digits {
        match text.parse() {
            Ok(number) if !text.starts_with('0') => Digits::Number(number),
            _ => Digits::Text(text.to_owned()),
        }
    }
}

/// A key, as `/api/licences` gives it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub struct LicenceInfo {
    /// `Virtual` or `USB`.
    #[serde(rename = "Type")]
    pub carrier: String,
    /// File.
    pub file_name: String,
    /// Whether it can be used now: see `open_error` when not.
    pub enabled: bool,
    /// Whether it is a carrier without a licence.
    pub is_blank: bool,
    /// False when its device is faulty or missing, or the computer is another one; whatever else makes it unavailable.
    pub workable: bool,
    /// Why it can't be used.
    pub open_error: Option<String>,
    /// Version of the file's format.
    pub version: String,
    /// Serial number.
    pub key_no: KeyNo,
    /// Series.
    #[serde(rename = "KeyID")]
    pub key_id: KeyId,
    /// Registration number.
    pub reg_no: u32,
    /// 3 main, 4 additional, 5 demo.
    pub key_type: u8,
    /// Service type.
    pub service_type: u8,
    /// Seats.
    pub licence_count: u32,
    /// Product version.
    pub product_version: u16,
    /// Carrier that a software key is bound to.
    pub blank_key_no: Option<KeyNo>,
    /// Activation code.
    pub activation_code: String,
    /// Activation.
    pub activation_date: Time,
    /// Start of the period.
    pub start_date: Option<Time>,
    /// Period in days; 0: without end.
    pub period: u32,
    /// End of the period.
    pub expire_date: Option<Time>,
    /// Days left, a day begun counts.
    pub days_left: Option<u32>,
    /// Whether the period is over.
    pub expired: bool,
    /// 51 characters.
    pub flags: String,
    /// ИНН.
    #[serde(rename = "ITN")]
    pub itn: Option<Digits>,
    /// КПП.
    #[serde(rename = "IEC")]
    pub iec: Option<Digits>,
    /// Product.
    pub product_name: String,
    /// Article.
    pub article: String,
    /// Its name.
    pub article_name: String,
    /// Hash of the vendor's root key: tells two vendors apart who picked the same series.
    #[serde(default)]
    pub series_key: Option<RootHash>,
    /// The administrator's own switch, which is one of many conditions of `enabled`. Older servers don't tell.
    #[serde(default = "switched_on")]
    pub switched_on: bool,
    /// When the licence was issued last: at its activation, or anew by an update.
    #[serde(default)]
    pub update_date: Option<Time>,
    /// Fields of newer servers.
    #[serde(flatten)]
    pub support: SupportInfo,
}

fn switched_on() -> bool {
    true
}

/// What a server has found out about one of its keys.
#[derive(Debug, Clone, Copy)]
pub struct Availability<'a> {
    /// Usable, or why not.
    pub usable: &'a Result<()>,
    /// Whether its device, computer or carrier, is there and in order.
    pub workable: bool,
    /// Whether the administrator lets it be used.
    pub switched_on: bool,
}

impl LicenceInfo {
    /// The fields of a key at `now`, with what was found out about it.
    pub fn of(key: &Key, file_name: String, found: Availability<'_>, now: Time, lang: Lang) -> LicenceInfo {
        let Availability { usable, workable, switched_on } = found;
        let licence = &key.licence;
        LicenceInfo {
            carrier: "Virtual".into(),
            file_name,
            enabled: usable.is_ok(),
            is_blank: false,
            workable,
            open_error: usable.as_ref().err().map(|error| error.message(lang)),
            version: crate::key::LICENCE.version.to_string(),
            key_no: licence.key_no,
            key_id: licence.key_id,
            reg_no: licence.reg_no,
            key_type: licence.key_type.into(),
            service_type: licence.service_type,
            licence_count: licence.licence_count,
            product_version: licence.product_version,
            blank_key_no: match licence.binding {
                Binding::Blank(number) => Some(number),
                Binding::Computer(_) => None,
            },
            activation_code: licence.activation_code.to_string(),
            activation_date: licence.activation_date,
            start_date: licence.start_date,
            period: licence.period,
            expire_date: licence.expires(),
            days_left: licence.days_left(now),
            expired: licence.expires().is_some_and(|end| end <= now),
            flags: licence.flags.to_string(),
            itn: licence.itn.as_deref().map(Digits::of),
            iec: licence.iec.as_deref().map(Digits::of),
            product_name: licence.product_name.clone(),
            article: licence.article.clone(),
            article_name: licence.article_name.clone(),
            series_key: Some(key.series.root),
            switched_on,
            update_date: Some(if licence.issue > 1 { licence.issued } else { licence.activation_date }),
            support: SupportInfo::of(&licence.support, licence.product_version),
        }
    }
}

/// A licence file, as `/api/licences` lists it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum LicenceEntry {
    /// A genuine licence, usable or not.
    Readable(Box<LicenceInfo>),
    /// A file that is no genuine licence.
    Unreadable(Box<UnreadableLicence>),
}

/// A licence file that can't be read: what is unknown about it is null, `OpenError` says why. The file is the device of a software
/// key, so one that is damaged is not workable.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
#[allow(missing_docs)] // The fields are those of `LicenceInfo`, one by one.
pub struct UnreadableLicence {
    #[serde(rename = "Type")]
    pub carrier: String,
    pub file_name: String,
    pub enabled: bool,
    pub is_blank: bool,
    pub workable: bool,
    pub open_error: String,
    version: (),
    key_no: (),
    #[serde(rename = "KeyID")]
    key_id: (),
    reg_no: (),
    key_type: (),
    service_type: (),
    licence_count: (),
    product_version: (),
    blank_key_no: (),
    activation_code: (),
    activation_date: (),
    start_date: (),
    period: (),
    expire_date: (),
    days_left: (),
    expired: (),
    flags: (),
    #[serde(rename = "ITN")]
    itn: (),
    #[serde(rename = "IEC")]
    iec: (),
    product_name: (),
    article: (),
    article_name: (),
    series_key: (),
    switched_on: (),
    update_date: (),
    #[serde(flatten)]
    support: SupportInfo,
}

impl UnreadableLicence {
    /// The file and why it can't be read.
    pub fn new(file_name: String, open_error: String) -> UnreadableLicence {
        UnreadableLicence {
            carrier: "Virtual".into(),
            file_name,
            enabled: false,
            is_blank: false,
            workable: false,
            open_error,
            version: (),
            key_no: (),
            key_id: (),
            reg_no: (),
            key_type: (),
            service_type: (),
            licence_count: (),
            product_version: (),
            blank_key_no: (),
            activation_code: (),
            activation_date: (),
            start_date: (),
            period: (),
            expire_date: (),
            days_left: (),
            expired: (),
            flags: (),
            itn: (),
            iec: (),
            product_name: (),
            article: (),
            article_name: (),
            series_key: (),
            switched_on: (),
            update_date: (),
            support: SupportInfo::default(),
        }
    }
}

/// Body of `POST /api/licences`.
#[derive(Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub struct Activate {
    /// The code, as typed; empty: a demo licence of the series is asked for.
    #[serde(default)]
    pub activation_code_string: String,
    /// ИНН.
    #[serde(rename = "ITN", default)]
    pub itn: Option<Digits>,
    /// КПП.
    #[serde(rename = "IEC", default)]
    pub iec: Option<Digits>,
    /// Carrier to install the key on.
    #[serde(default)]
    pub blank_key_no: Option<KeyNo>,
    /// Series that the licence must be of; a code of another one is not spent.
    #[serde(rename = "KeyID", default)]
    pub key_id: Option<KeyId>,
    /// Vendor that the licence must be of, where two use the number of the series; a code of another one is not spent. Left out, it
    /// is the one whose keys of that series are here.
    #[serde(rename = "SeriesKey", default)]
    pub root: Option<RootHash>,
}

/// Body of `PUT /api/licences/{KeyNo}`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub struct SwitchKey {
    /// Whether the key may be used.
    pub enabled: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_a_number_unless_they_begin_with_zero() {
        assert_eq!(serde_json::to_string(&Digits::of("1234567890")).unwrap(), "1234567890");
        assert_eq!(serde_json::to_string(&Digits::of("0123456789")).unwrap(), "\"0123456789\"");
        let read = |json: &str| serde_json::from_str::<Digits>(json).unwrap().text();
        assert_eq!(read("1234567890").as_deref(), Some("1234567890"));
        assert_eq!(read("\" 0123456789\"").as_deref(), Some("0123456789"));
        assert_eq!(read("\"12x\""), None);
    }
}
