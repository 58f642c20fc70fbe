//! Fields of licences that newer servers give: support, names of versions. What licences say in words is given as codes, by which
//! programs compare it, with the words beside.

use schemars::JsonSchema;
use serde::de::{Deserializer, IgnoredAny};
use serde::ser::{Error as _, Serializer};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::LicenceInfo;
use crate::support::Support;
use crate::time::Time;

/// What newer servers tell of support and of recovered keys. No licence says how long the product is supported from its sale on, or
/// whether its key was recovered; the names are there for programs that expect them.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "PascalCase", default)]
pub struct SupportInfo {
    /// Until when the product is supported.
    pub support_date: Option<Time>,
    /// Days for which support was sold; 0: not stated.
    #[serde(deserialize_with = "or_zero")]
    pub support_period: u32,
    /// Kind of that support: 0 when none is stated, the number that the vendor states, 2 when he states words.
    #[schemars(with = "u32")]
    pub support_type: SupportType,
    /// The same in the vendor's words.
    pub support_type_name: Option<String>,
    /// Until when the industry solution is supported.
    pub industry_support_date: Option<Time>,
    /// Days for which its support was sold; 0: not stated.
    #[serde(deserialize_with = "or_zero")]
    pub industry_support_period: u32,
    /// Kind of that support, as `SupportType`.
    #[schemars(with = "u32")]
    pub industry_support_type: SupportType,
    /// The same in the vendor's words.
    pub industry_support_type_name: Option<String>,
    /// Name of the product's version: the vendor's, else the version itself; null when any version is covered.
    pub product_version_name: Option<String>,
    /// Always null.
    pub recovered: Option<bool>,
}

impl SupportInfo {
    pub(super) fn of(support: &Support, product_version: u16) -> SupportInfo {
        let Support {
            support_date,
            support_type,
            industry_support_date,
            industry_support_period,
            industry_support_type,
            product_version_name,
        } = support.clone();
        SupportInfo {
            support_date,
            support_period: 0,
            support_type: SupportType::of(support_type.as_deref()),
            support_type_name: support_type,
            industry_support_date,
            industry_support_period: industry_support_period.unwrap_or(0),
            industry_support_type: SupportType::of(industry_support_type.as_deref()),
            industry_support_type_name: industry_support_type,
            product_version_name: product_version_name
                .or_else(|| (product_version > 0).then(|| product_version.to_string())),
            recovered: None,
        }
    }
}

/// Kind of support as a number: existing 1C code compares it (`IndustrySupportType > 1` means that there is some).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(transparent)]
pub struct SupportType(pub u32);

impl SupportType {
    const NONE: SupportType = SupportType(0);
    const IN_WORDS: SupportType = SupportType(2);

    fn of(stated: Option<&str>) -> SupportType {
        match stated.map(str::trim) {
            None | Some("") => SupportType::NONE,
            Some(text) => text.parse().map_or(SupportType::IN_WORDS, SupportType),
        }
    }
}

/// Servers of before give words.
impl<'de> Deserialize<'de> for SupportType {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<SupportType, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Given {
            Number(u32),
            Words(String),
            Else(IgnoredAny),
        }
        Ok(match Given::deserialize(deserializer)? {
            Given::Number(number) => SupportType(number),
            Given::Words(words) => SupportType::of(Some(&words)),
            Given::Else(_) => SupportType::NONE,
        })
    }
}

fn or_zero<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    Ok(Option::<u32>::deserialize(deserializer)?.unwrap_or(0))
}

/// A licence as components read it: those of before know the kinds of support as words.
fn for_components(licence: &LicenceInfo) -> serde_json::Result<Value> {
    let mut fields = serde_json::to_value(licence)?;
    for (kind, words) in [("SupportType", "SupportTypeName"), ("IndustrySupportType", "IndustrySupportTypeName")] {
        let words = fields.get_mut(words).map(|words| words.clone()).unwrap_or_default();
        if let Some(kind) = fields.get_mut(kind) {
            *kind = words;
        }
    }
    Ok(fields)
}

/// Writes a licence into a message to a component.
pub fn to_component<S: Serializer>(licence: &LicenceInfo, serializer: S) -> Result<S::Ok, S::Error> {
    for_components(licence).map_err(S::Error::custom)?.serialize(serializer)
}

/// Writes licences into a message to a component.
pub fn all_to_component<S: Serializer>(licences: &[LicenceInfo], serializer: S) -> Result<S::Ok, S::Error> {
    let licences: serde_json::Result<Vec<Value>> = licences.iter().map(for_components).collect();
    licences.map_err(S::Error::custom)?.serialize(serializer)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn kinds_of_support_are_numbers_and_periods_are_never_null() {
        let stated = Support {
            support_type: Some("ПРОФ".into()),
            industry_support_type: Some(" 3 ".into()),
            industry_support_period: Some(365),
            ..Support::default()
        };
        let fields = serde_json::to_value(SupportInfo::of(&stated, 7)).unwrap();
        assert_eq!((&fields["SupportType"], &fields["SupportTypeName"]), (&json!(2), &json!("ПРОФ")));
        assert_eq!((&fields["IndustrySupportType"], &fields["IndustrySupportTypeName"]), (&json!(3), &json!(" 3 ")));
        assert_eq!((&fields["SupportPeriod"], &fields["IndustrySupportPeriod"]), (&json!(0), &json!(365)));
        assert_eq!(fields["ProductVersionName"], "7");
        let nothing = serde_json::to_value(SupportInfo::of(&Support::default(), 0)).unwrap();
        assert_eq!((&nothing["SupportType"], &nothing["IndustrySupportPeriod"]), (&json!(0), &json!(0)));
        assert_eq!(nothing["ProductVersionName"], Value::Null);
    }

    #[test]
    fn what_servers_of_before_say_is_understood() {
        let read = |fields: Value| serde_json::from_value::<SupportInfo>(fields).unwrap();
        let before = read(json!({ "SupportType": "ПРОФ", "IndustrySupportType": null, "IndustrySupportPeriod": null }));
        assert_eq!((before.support_type.0, before.industry_support_type.0, before.industry_support_period), (2, 0, 0));
        assert_eq!(read(json!({ "SupportType": 5 })).support_type.0, 5);
    }
}
