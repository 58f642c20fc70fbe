//! What a code is sold for: the offer, and to whom.

use licence::KeyId;
use licence::activation::Offer;
use licence::subkeys::PRODUCT_VERSION_MAX;
use serde::{Deserialize, Serialize};

/// Terms of one code.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Terms {
    /// What it gives.
    #[serde(flatten)]
    pub offer: Offer,
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
        if self.offer.licence_count == 0 {
            Some(format!("{key_id}: licences: 1 …"))
        } else if self.offer.product_version > PRODUCT_VERSION_MAX {
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
