//! `/api/bulk/take` and `/api/bulk/release`: many external sessions in one call.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{ExternalSession, Refusal};
use crate::id::{KeyId, KeyNo, RootHash};
use crate::time::Time;

/// Body of `POST /api/bulk/take`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub struct TakeSessions {
    /// The sessions, 500 at most.
    #[schemars(length(max = 500))]
    pub sessions: Vec<ExternalSession>,
}

/// Body of `POST /api/bulk/release`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub struct ReleaseSessions {
    /// The sessions, 500 at most.
    #[schemars(length(max = 500))]
    pub sessions: Vec<ExternalName>,
}

/// An external session by the name that its application gave it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub struct ExternalName {
    /// Series.
    #[serde(rename = "KeyID")]
    pub key_id: KeyId,
    /// Hash of the vendor's root key, where two vendors use the series.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub series_key: Option<RootHash>,
    /// The application's own identifier of the session.
    #[serde(rename = "ClientSessionID")]
    pub client_session_id: String,
}

/// Answer to both: what became of each session, in the order of the request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub struct SessionOutcomes {
    /// One line per session.
    pub sessions: Vec<SessionOutcome>,
}

/// What became of one session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub struct SessionOutcome {
    /// Series.
    #[serde(rename = "KeyID")]
    pub key_id: KeyId,
    /// The application's own identifier of the session.
    #[serde(rename = "ClientSessionID")]
    pub client_session_id: String,
    /// What a request for this session alone would have been answered: 201 created, 200 renewed or released, else the refusal's.
    pub status: u16,
    /// Identifier of the session at this server.
    #[serde(rename = "ID")]
    pub id: Option<String>,
    /// When its lease runs out; null when it was released or refused.
    pub expire_time: Option<Time>,
    /// Serial number of the key that gives the licence.
    pub used_licence: Option<KeyNo>,
    /// Why it was refused.
    pub error: Option<Refusal>,
}
