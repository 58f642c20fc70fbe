//! `/api/denials`, `/api/usage`, `/api/events`: what was written down.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::accounting::denial::{Denial, SeatKind};
use crate::accounting::history::Interval;
use crate::error::Lang;
use crate::id::{KeyId, RootHash};
use crate::time::Time;

/// Equal refusals of one day, as `/api/denials` gives them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub struct DenialInfo {
    /// Series.
    #[serde(rename = "KeyID")]
    pub key_id: KeyId,
    /// Hash of the vendor's root key.
    pub series_key: RootHash,
    /// What asked: `server`, `desktop`, `terminal`, `external`; `several` when it is not told.
    pub kind: SeatKind,
    /// Address that the request came from.
    #[serde(rename = "PeerIP")]
    pub peer_ip: Option<String>,
    /// The session's computer.
    pub computer_name: Option<String>,
    /// The session's user.
    pub user_name: Option<String>,
    /// The session's application.
    pub app_name: Option<String>,
    /// Cause and remedy of the last one.
    pub message: String,
    /// Its class.
    pub exception: String,
    /// Stable number of the cause.
    pub error_code: u16,
    /// Seats held at the last one.
    pub held: u64,
    /// Seats that there were at the last one.
    pub total: u64,
    /// First of that day.
    pub first: Time,
    /// Last of that day.
    pub last: Time,
    /// How often.
    pub count: u64,
}

impl DenialInfo {
    /// A record of the ledger in words.
    pub fn of(denial: Denial, lang: Lang) -> DenialInfo {
        let Denial { series, applicant, error, held, total, first, last, count } = denial;
        DenialInfo {
            key_id: series.key_id,
            series_key: series.root,
            kind: applicant.kind,
            peer_ip: applicant.address.map(|address| address.to_string()),
            computer_name: known(applicant.computer),
            user_name: known(applicant.user),
            app_name: known(applicant.application),
            message: error.message(lang),
            exception: error.code.class().to_owned(),
            error_code: error.code.number(),
            held,
            total,
            first,
            last,
            count,
        }
    }
}

/// An empty text is nothing that is known.
fn known(text: String) -> Option<String> {
    Some(text).filter(|text| !text.is_empty())
}

/// One interval of one series, as `/api/usage` gives it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub struct UsageInfo {
    /// Series.
    #[serde(rename = "KeyID")]
    pub key_id: KeyId,
    /// Hash of the vendor's root key.
    pub series_key: RootHash,
    /// When the interval begins.
    pub start: Time,
    /// Its length in seconds: 300, 3600, 86400.
    pub seconds: i64,
    /// Samples taken in it, one every ten seconds.
    pub samples: u64,
    /// Mean of seats held.
    pub mean_used: f64,
    /// Most seats held at any moment.
    pub peak_used: u64,
    /// Mean of seats that there were.
    pub mean_total: f64,
    /// Most seats that there were.
    pub peak_total: u64,
}

impl From<Interval> for UsageInfo {
    fn from(interval: Interval) -> UsageInfo {
        let Interval { series, grain, start, seen } = interval;
        UsageInfo {
            key_id: series.key_id,
            series_key: series.root,
            start,
            seconds: grain.span() / 1000,
            samples: seen.samples,
            mean_used: seen.mean_used(),
            peak_used: seen.used_peak,
            mean_total: seen.mean_total(),
            peak_total: seen.total_peak,
        }
    }
}

/// An entry of the audit trail, as `/api/events` gives it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub struct EventInfo {
    /// When it was asked for.
    pub time: Time,
    /// The account.
    pub user_name: Option<String>,
    /// Address that it came from; null for a command on the server itself.
    #[serde(rename = "PeerIP")]
    pub peer_ip: Option<String>,
    /// Method and pattern of the address, or the command.
    pub act: String,
    /// To what it was done.
    pub object: String,
    /// HTTP status of its answer; 0 when there was none.
    pub status: u16,
    /// Why it was refused or failed, where that is known.
    pub message: Option<String>,
    /// Stable number of that cause.
    pub error_code: Option<u16>,
}
