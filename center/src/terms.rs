//! What a code is sold for: the entitlements of the licence that it becomes, fixed when the code is made.

use licence::KeyId;
use licence::flags::Flags;
use licence::key::KeyType;
use licence::subkeys::PRODUCT_VERSION_MAX;
use licence::time::Time;
use serde::{Deserialize, Serialize};

/// Terms of one code. Fields are those of the licence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Terms {
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
    /// Name of the product.
    pub product_name: String,
    /// Article.
    #[serde(default)]
    pub article: String,
    /// Name of the article.
    #[serde(default)]
    pub article_name: String,
    /// ИНН that the buyer must give; `None`: any.
    #[serde(rename = "ITN", default, skip_serializing_if = "Option::is_none")]
    pub itn: Option<String>,
    /// КПП that the buyer must give; `None`: any.
    #[serde(rename = "IEC", default, skip_serializing_if = "Option::is_none")]
    pub iec: Option<String>,
}

/// Longest ИНН and КПП in digits.
const ITN_DIGITS: usize = 12;
const IEC_DIGITS: usize = 9;

/// Whether a text can be an ИНН.
pub fn is_itn(text: &str) -> bool {
    is_digits(text, ITN_DIGITS)
}

/// Whether a text can be a КПП.
pub fn is_iec(text: &str) -> bool {
    is_digits(text, IEC_DIGITS)
}

fn is_digits(text: &str, most: usize) -> bool {
    (1..=most).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit())
}

impl Terms {
    /// What is wrong with the terms of a code of `key_id`, if anything: a licence of them could never be used.
    pub fn fault(&self, key_id: KeyId) -> Option<String> {
        if self.licence_count == 0 {
            Some(format!("{key_id}: licences: 1 …"))
        } else if self.product_version > PRODUCT_VERSION_MAX {
            Some(format!("{key_id}: product version: 0–{PRODUCT_VERSION_MAX}"))
        } else if !self.itn.as_deref().is_none_or(is_itn) {
            Some(format!("ITN: 1–{ITN_DIGITS} digits"))
        } else if !self.iec.as_deref().is_none_or(is_iec) {
            Some(format!("IEC: 1–{IEC_DIGITS} digits"))
        } else {
            None
        }
    }
}
