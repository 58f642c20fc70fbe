//! What the server tells of itself: addresses, facts, warnings, the summary.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::accounting::{ClockState, Warning};
use crate::error::Lang;
use crate::id::{ComputerId, KeyId, KeyNo, RootHash};
use crate::time::Time;

/// Answer of `GET /api`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub struct ApiInfo {
    /// Version of the server.
    pub version: String,
    /// Addresses that need no parameter in their path.
    pub urns: Vec<String>,
    /// Everything that can be asked for.
    #[serde(default)]
    pub operations: Vec<OperationInfo>,
}

/// One line of `GET /api`: an address and a method, and who may use it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub struct OperationInfo {
    /// Method.
    pub method: String,
    /// Address; what stands in braces is a parameter.
    pub urn: String,
    /// The least role that may: `Public`, `Viewer`, `Operator`, `Administrator`.
    pub access: String,
    /// What it does.
    pub summary: String,
}

/// Answer of `GET /api/serverinfo`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
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
    pub computer_id: Option<ComputerId>,
    /// The clock, and the time by which keys are judged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clock: Option<ClockState>,
    /// That the record of sessions went back and no new licence is given for that: what was found, and until when.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollback: Option<String>,
    /// What should be done about keys that still work.
    #[serde(default)]
    pub warnings: Vec<WarningInfo>,
}

/// A warning about a key, as `/api/serverinfo` gives it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
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

/// Answer of `GET /api/summary`: everything that monitoring asks for, in one call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub struct Summary {
    /// Version of the server.
    pub version: String,
    /// Start of the process.
    pub started: Time,
    /// Licence files, those that can't be used too.
    pub keys: u32,
    /// Keys that can be used.
    pub usable_keys: u32,
    /// Seats of all usable keys.
    pub total: u64,
    /// Seats held.
    pub used: u64,
    /// Seats that could be given now.
    pub free: u64,
    /// Connections.
    pub connections: u64,
    /// Sessions.
    pub sessions: u64,
    /// Series that have keys or seats here.
    pub series: Vec<SeriesSummary>,
    /// What should be done about keys that still work.
    pub warnings: Vec<WarningInfo>,
    /// Why the store takes no writes, when it does not.
    pub store_failure: Option<String>,
    /// That the record of sessions went back and no new licence is given for that: what was found, and until when.
    #[serde(default)]
    pub rollback: Option<String>,
    /// What of the settings file is not in force as it stands there, when something is not; `/api/settings` tells more.
    pub settings_failure: Option<String>,
    /// Files of the data folder that were spoilt while the server runs, so that what they said before stays in force.
    #[serde(default)]
    pub data_failures: Vec<String>,
}

/// One series of the summary.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub struct SeriesSummary {
    /// Series.
    #[serde(rename = "KeyID")]
    pub key_id: KeyId,
    /// Hash of the vendor's root key.
    pub series_key: RootHash,
    /// Product, by the main key.
    pub product_name: Option<String>,
    /// Keys, those that can't be used too.
    pub keys: u32,
    /// Keys that can be used.
    pub usable_keys: u32,
    /// Seats of the usable keys.
    pub total: u64,
    /// Seats held.
    pub used: u64,
    /// Seats that could be given now.
    pub free: u64,
    /// Most seats held at once in the last 24 hours.
    pub peak: u64,
    /// Connections.
    pub connections: u64,
    /// Sessions.
    pub sessions: u64,
    /// Sessions that end at their next heartbeat, for the pool has become smaller.
    pub ending: u64,
    /// Keys and seats by type of key.
    pub by_key_type: Vec<SeatsByKey>,
    /// Sessions by kind of seat.
    pub by_kind: SeatsByKind,
}

/// Keys of one type.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub struct SeatsByKey {
    /// 3 main, 4 additional, 5 demo.
    pub key_type: u8,
    /// Keys of this type, those that can't be used too.
    pub keys: u32,
    /// Seats of the usable ones.
    pub total: u64,
    /// Seats held on them.
    pub used: u64,
}

/// Numbers of sessions by what asked for them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub struct SeatsByKind {
    /// Processes of the 1C server or of a web server.
    pub server: u64,
    /// Processes on desktop computers.
    pub desktop: u64,
    /// Processes of terminal clients.
    pub terminal: u64,
    /// Sessions through the API.
    pub external: u64,
}
