//! What a code is sold for: the offer, and to whom.

use licence::KeyId;
use licence::activation::Offer;
use licence::error::{Code, Error, Result};
use licence::subkeys::PRODUCT_VERSION_MAX;
use licence::taxpayer;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

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

/// Whether a text can be an ИНН. Check digits are for [`check_owner`]: what was taken before there was that check stays good.
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

/// Refuses an ИНН and a КПП that are newly given to the centre and can't be anybody's.
pub fn check_owner(itn: Option<&str>, iec: Option<&str>) -> Result<()> {
    if let Some(itn) = itn.filter(|itn| !taxpayer::is_itn(itn)) {
        return Err(Error::new(Code::BadRequest).with_text(
            format_args!("ИНН \"{itn}\": нужны 10 или 12 цифр с верными контрольными"),
            format_args!("ITN \"{itn}\": 10 or 12 digits with right check digits are needed"),
        ));
    }
    if let Some(iec) = iec.filter(|iec| !taxpayer::is_iec(iec)) {
        return Err(Error::new(Code::BadRequest).with_text(
            format_args!("КПП \"{iec}\": нужны 9 цифр"),
            format_args!("IEC \"{iec}\": 9 digits are needed"),
        ));
    }
    Ok(())
}

/// What `new` has that `old` has not: an owner that was there already is not judged again.
fn newly<'a>(new: Option<&'a str>, old: Option<&str>) -> Option<&'a str> {
    new.filter(|_| new != old)
}

/// Lays what is named over a value: `null` takes away, objects are merged (RFC 7396).
fn merge(value: &mut Value, named: &Map<String, Value>) {
    if !value.is_object() {
        *value = Value::Object(Map::new());
    }
    let Value::Object(fields) = value else { return };
    for (name, new) in named {
        match new {
            Value::Null => drop(fields.remove(name)),
            Value::Object(inner) => merge(fields.entry(name).or_insert(Value::Null), inner),
            new => drop(fields.insert(name.clone(), new.clone())),
        }
    }
}

impl Terms {
    /// These terms with what is named changed, and the rest kept. `null` stands for what is said of a thing that isn't named.
    pub fn changed(&self, named: &Map<String, Value>) -> Result<Terms> {
        let mut value = serde_json::to_value(self).map_err(|e| Error::new(Code::Internal).with(e))?;
        merge(&mut value, named);
        let terms: Terms = serde_json::from_value(value).map_err(|e| Error::new(Code::BadRequest).with(e))?;
        terms.check_owner(Some(self))?;
        Ok(terms)
    }

    /// Refuses an owner that can't be anybody's, unless `former` terms have him already.
    pub fn check_owner(&self, former: Option<&Terms>) -> Result<()> {
        let (itn, iec) = former.map_or((None, None), |former| (former.itn.as_deref(), former.iec.as_deref()));
        check_owner(newly(self.itn.as_deref(), itn), newly(self.iec.as_deref(), iec))
    }

    /// What differs in other terms, by name, with the old value and the new one.
    pub fn differences(&self, new: &Terms) -> String {
        let fields = |terms: &Terms| match serde_json::to_value(terms) {
            Ok(Value::Object(fields)) => fields,
            _ => Map::new(),
        };
        let (old, new) = (fields(self), fields(new));
        let mut names: Vec<&String> = old.keys().chain(new.keys().filter(|name| !old.contains_key(*name))).collect();
        names.sort();
        let shown = |value: Option<&Value>| value.map_or_else(|| "–".to_owned(), Value::to_string);
        let differing = names.into_iter().filter(|name| old.get(*name) != new.get(*name));
        differing
            .map(|name| format!("{name}: {} → {}", shown(old.get(name)), shown(new.get(name))))
            .collect::<Vec<_>>()
            .join("; ")
    }

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
