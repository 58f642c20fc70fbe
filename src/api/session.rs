//! `/api/connections` and `/api/sessions`: who is connected and who holds a licence.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::LicenceInfo;
use crate::id::{KeyId, KeyNo, RootHash};
use crate::time::Time;

/// A connection, as `/api/connections` gives it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
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
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
#[allow(missing_docs)] // The fields are the guide's, one by one.
pub struct SessionInfo {
    #[serde(rename = "ID")]
    pub id: String,
    pub session_number: Option<String>,
    pub is_server: bool,
    pub info_base_connection_string: Option<String>,
    /// The same under the name that newer servers give it.
    #[serde(default)]
    pub info_base_connection_str: Option<String>,
    pub app_name: Option<String>,
    pub computer_name: Option<String>,
    pub user_name: Option<String>,
    /// A moment in ISO 8601; of an external session what its application says, where that is no such moment.
    pub session_started: Option<String>,
    pub session_connection: Option<String>,
    pub access_code: Option<String>,
    pub expire_time: Time,
    /// `True` or `False`.
    pub expired: String,
    #[serde(rename = "KeyID")]
    pub key_id: KeyId,
    pub used_licence: Option<KeyNo>,
}

/// Answer of `POST /api/sessions`: the licence that the session uses, and its lease.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub struct TakenLicence {
    /// The licence.
    #[serde(flatten)]
    pub licence: LicenceInfo,
    /// Identifier of the session at this server.
    #[serde(rename = "SessionID")]
    pub session_id: String,
    /// When the lease runs out unless it is renewed.
    pub expire_time: Time,
}

/// `True` or `False`, as connections and sessions write it.
pub fn truth(value: bool) -> String {
    if value { "True" } else { "False" }.to_owned()
}

/// Body of `POST /api/sessions`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
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
    /// Start, any text; in ISO 8601 it is a moment, UTC without an offset.
    #[serde(default)]
    pub session_started: Option<String>,
    /// Access code, for keys that are set aside for one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub access_code: Option<String>,
    /// Hash of the vendor's root key, where two vendors use the series.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub series_key: Option<RootHash>,
}
