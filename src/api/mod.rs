//! JSON of the REST API: names, types and `null`s as the administrator's guide shows them in its samples.

//!
//! Each type is declared once: what serves, what reads and the description at `/api/openapi.json` all come from it.

mod bulk;
mod licence;
mod record;
mod server;
mod session;
mod settings;
mod support;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Lang};

pub use bulk::{ExternalName, ReleaseSessions, SessionOutcome, SessionOutcomes, TakeSessions};
pub use licence::{Activate, Availability, Digits, LicenceEntry, LicenceInfo, SwitchKey, UnreadableLicence};
pub use record::{DenialInfo, EventInfo, UsageInfo};
pub use server::{ApiInfo, OperationInfo, SeatsByKey, SeatsByKind, SeriesSummary, ServerInfo, Summary, WarningInfo};
pub use session::{ConnectionInfo, ExternalSession, SessionInfo, TakenLicence, truth};
pub use settings::{ChangeSettings, ChangedSettings, SettingChange, SettingInfo};
pub use support::{SupportInfo, SupportType, all_to_component, to_component};

/// Body of every refusal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
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
