//! What a code gives: the entitlements of the licence that it becomes.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::flags::Flags;
use crate::key::KeyType;
use crate::support::Support;
use crate::time::Time;

/// What a code gives. Fields are those of the licence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub struct Offer {
    /// Main, additional, demo.
    pub key_type: KeyType,
    /// Service type.
    #[serde(default)]
    pub service_type: u8,
    /// Seats, from 1.
    pub licence_count: u32,
    /// Version of the product; 0: none in particular.
    #[serde(default)]
    pub product_version: u16,
    /// Start of the period; `None`: the moment of activation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_date: Option<Time>,
    /// Days; 0: without end.
    #[serde(default)]
    pub period: u32,
    /// Functionality flags.
    #[serde(default)]
    pub flags: Flags,
    /// Parameters of the key: names and values that the vendor's code reads.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub parameters: BTreeMap<String, String>,
    /// Name of the product.
    pub product_name: String,
    /// Article.
    #[serde(default)]
    pub article: String,
    /// Name of the article.
    #[serde(default)]
    pub article_name: String,
    /// Support that is sold with it.
    #[serde(flatten)]
    pub support: Support,
    /// Whether a mounted identity file counts as a part of the machine, so that a container may move to another host. Whoever copies
    /// the file with the data folder has a second container.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub identity_file: bool,
    /// The code must be exchanged before this moment; `None`: whenever.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Time>,
}

impl Offer {
    /// Whether the code can't be exchanged for the first time any more.
    pub fn is_over(&self, now: Time) -> bool {
        self.until.is_some_and(|until| until <= now)
    }
}
