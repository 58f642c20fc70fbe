//! JSON of the REST API: names, types and `null`s as the administrator's guide shows them in its samples.

use serde::{Deserialize, Serialize};

use crate::accounting::{ClockState, Warning};
use crate::error::{Error, Lang, Result};
use crate::id::{KeyId, KeyNo};
use crate::key::{Binding, Key};
use crate::time::Time;

/// ИНН or КПП: a number as in the guide's samples, text when it begins with 0, which a number would lose.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
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

/// Answer of `GET /api`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ApiInfo {
    /// Version of the server.
    pub version: String,
    /// Addresses.
    pub urns: Vec<String>,
}

/// Answer of `GET /api/serverinfo`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ServerInfo {
    /// Name of the computer.
    pub computer_name: String,
    /// IPv4 addresses, separated by commas.
    #[serde(rename = "LocalIP")]
    pub local_ip: String,
    /// `Linux` or `Windows`.
    #[serde(rename = "OSType")]
    pub os_type: String,
    /// System and its version.
    #[serde(rename = "OSVersion")]
    pub os_version: String,
    /// Executable.
    pub module_name: String,
    /// Process.
    #[serde(rename = "PID")]
    pub pid: u32,
    /// Width of the process.
    #[serde(rename = "CPU")]
    pub cpu: String,
    /// Version of the server.
    pub version: String,
    /// Start of the process.
    pub started: Time,
    /// Hardware identifier, 40 hex digits.
    #[serde(rename = "ComputerID")]
    pub computer_id: Option<crate::id::ComputerId>,
    /// The clock, and the time by which keys are judged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clock: Option<ClockState>,
    /// What should be done about keys that still work.
    #[serde(default)]
    pub warnings: Vec<WarningInfo>,
}

/// A warning about a key, as `/api/serverinfo` gives it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct WarningInfo {
    /// Series.
    #[serde(rename = "KeyID")]
    pub key_id: KeyId,
    /// Serial number.
    pub key_no: KeyNo,
    /// Cause and remedy.
    pub message: String,
    /// Stable number of the cause.
    pub error_code: u16,
}

impl WarningInfo {
    /// The warning in words.
    pub fn of(warning: &Warning, lang: Lang) -> WarningInfo {
        WarningInfo {
            key_id: warning.series.key_id,
            key_no: warning.key_no,
            message: format!("{} {}", warning.notice.cause(lang), warning.notice.remedy(lang)),
            error_code: warning.notice.code.number(),
        }
    }
}

/// A key, as `/api/licences` gives it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct LicenceInfo {
    /// `Virtual` or `USB`.
    #[serde(rename = "Type")]
    pub carrier: String,
    /// File.
    pub file_name: String,
    /// Whether the administrator lets it be used.
    pub enabled: bool,
    /// Whether it is a carrier without a licence.
    pub is_blank: bool,
    /// Whether it can be used: see `open_error` when not.
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
}

impl LicenceInfo {
    /// The fields of a key at `now`, judged as `usable`.
    pub fn of(key: &Key, file_name: String, enabled: bool, usable: &Result<()>, now: Time, lang: Lang) -> LicenceInfo {
        let licence = &key.licence;
        LicenceInfo {
            carrier: "Virtual".into(),
            file_name,
            enabled,
            is_blank: false,
            workable: usable.is_ok(),
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
        }
    }
}

/// A licence file, as `/api/licences` lists it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum LicenceEntry {
    /// A genuine licence, usable or not.
    Readable(Box<LicenceInfo>),
    /// A file that is no genuine licence.
    Unreadable(Box<UnreadableLicence>),
}

/// A licence file that can't be read: what is unknown about it is null, `OpenError` says why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
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
}

impl UnreadableLicence {
    /// The file and why it can't be read.
    pub fn new(file_name: String, open_error: String) -> UnreadableLicence {
        UnreadableLicence {
            carrier: "Virtual".into(),
            file_name,
            enabled: true,
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
        }
    }
}

/// Body of `POST /api/licences`.
#[derive(Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
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
}

/// A connection, as `/api/connections` gives it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
#[allow(missing_docs)] // The fields are the guide's, one by one.
pub struct ConnectionInfo {
    #[serde(rename = "ID")]
    pub id: String,
    #[serde(rename = "PeerIP")]
    pub peer_ip: String,
    pub created: Time,
    pub last_used: Time,
    #[serde(rename = "OSVersion")]
    pub os_version: String,
    pub computer_name: String,
    #[serde(rename = "LocalIP")]
    pub local_ip: String,
    pub process: String,
    #[serde(rename = "CPU")]
    pub cpu: String,
    /// Text, unlike the number in `serverinfo`.
    #[serde(rename = "PID")]
    pub pid: String,
    pub is_server: bool,
    pub platform_version: String,
    pub module_name: String,
    pub version: String,
    #[serde(rename = "KeyID")]
    pub key_id: KeyId,
    pub expire_time: Time,
    /// `True` or `False`: text, unlike the boolean of licences.
    pub expired: String,
}

/// A session, as `/api/sessions` gives it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
#[allow(missing_docs)] // The fields are the guide's, one by one.
pub struct SessionInfo {
    #[serde(rename = "ID")]
    pub id: String,
    pub session_number: Option<String>,
    pub is_server: bool,
    pub info_base_connection_string: Option<String>,
    pub app_name: Option<String>,
    pub computer_name: Option<String>,
    pub user_name: Option<String>,
    pub session_started: Option<Time>,
    pub session_connection: Option<String>,
    pub access_code: Option<String>,
    pub expire_time: Time,
    /// `True` or `False`.
    pub expired: String,
    #[serde(rename = "KeyID")]
    pub key_id: KeyId,
    pub used_licence: Option<KeyNo>,
}

/// `True` or `False`, as connections and sessions write it.
pub fn truth(value: bool) -> String {
    if value { "True" } else { "False" }.to_owned()
}

/// Body of `POST /api/sessions`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ExternalSession {
    /// Series.
    #[serde(rename = "KeyID")]
    pub key_id: KeyId,
    /// The application's own identifier of the session.
    #[serde(rename = "ClientSessionID")]
    pub client_session_id: String,
    /// Application.
    #[serde(default)]
    pub app_name: Option<String>,
    /// User.
    #[serde(default)]
    pub user_name: Option<String>,
    /// Computer or device.
    #[serde(default)]
    pub computer_name: Option<String>,
    /// Start, ISO 8601; UTC without an offset.
    #[serde(default)]
    pub session_started: Option<Time>,
}

/// Body of every refusal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Refusal {
    /// HTTP status.
    pub code: u16,
    /// Its text.
    pub text: String,
    /// Class in brackets, cause, remedy.
    pub message: String,
    /// Class.
    pub exception: String,
    /// Stable number of the cause.
    pub error_code: u16,
    /// The error with its particulars, for programs that show it in another language.
    pub error: Error,
}

impl Refusal {
    /// The body for an error; `text` is what HTTP calls its status (`Not found`), which the service's HTTP side owns.
    pub fn of(error: &Error, lang: Lang, text: &str) -> Refusal {
        Refusal {
            code: error.code.status(),
            text: text.to_owned(),
            message: error.message(lang),
            exception: error.code.class().to_owned(),
            error_code: error.code.number(),
            error: error.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Code;

    #[test]
    fn digits_are_a_number_unless_they_begin_with_zero() {
        assert_eq!(serde_json::to_string(&Digits::of("1234567890")).unwrap(), "1234567890");
        assert_eq!(serde_json::to_string(&Digits::of("0123456789")).unwrap(), "\"0123456789\"");
        let read = |json: &str| serde_json::from_str::<Digits>(json).unwrap().text();
        assert_eq!(read("1234567890").as_deref(), Some("1234567890"));
        assert_eq!(read("\" 0123456789\"").as_deref(), Some("0123456789"));
        assert_eq!(read("\"12x\""), None);
    }

    #[test]
    fn a_refusal_has_the_fields_of_the_guide() {
        let error = Error::new(Code::NotFound).with("/api/someurl");
        let json = serde_json::to_value(Refusal::of(&error, Lang::English, "Not found")).unwrap();
        assert_eq!(json["Code"], 404);
        assert_eq!(json["Text"], "Not found");
        assert_eq!(json["Exception"], "EHTTPNotFound");
        let message = json["Message"].as_str().unwrap();
        assert!(message.starts_with("(EHTTPNotFound) The requested URL \"/api/someurl\" was not found."), "{message}");
    }
}
