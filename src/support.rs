//! Support that is sold with a licence: facts that the vendor states and that servers show. Nothing here decides whether a key
//! works.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::time::Time;

/// What the vendor states of support; what he does not state is absent. Names are those that newer servers give in their API.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "PascalCase", default)]
pub struct Support {
    /// Until when the product is supported.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub support_date: Option<Time>,
    /// Kind of that support, in the vendor's words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub support_type: Option<String>,
    /// Until when the industry solution on top of the product is supported.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub industry_support_date: Option<Time>,
    /// For how many days that support was sold.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub industry_support_period: Option<u32>,
    /// Kind of that support, in the vendor's words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub industry_support_type: Option<String>,
    /// Name of the version of the product that the licence covers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub product_version_name: Option<String>,
}
