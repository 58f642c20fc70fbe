//! Licence control: what a claim demands of the key that gives its seat, and which keys are set aside for sessions that present
//! an access code. Says which keys a claim may sit on, never whether one of them is free.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::pool::PoolKey;
use crate::error::{Code, Error, Result};
use crate::id::{KeyId, KeyNo, SeriesId};

/// What a claim demands of its key; what is absent, empty or 0 is not demanded. Made ready for use by [`Demands::tidied`].
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Demands {
    /// ИНН that the key was issued to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub itn: Option<String>,
    /// КПП that the key was issued to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub iec: Option<String>,
    /// Least version of the product that the key must cover.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub product_version: Option<u16>,
    /// Registration number of the key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reg_no: Option<u32>,
    /// Serial number of the key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key_no: Option<KeyNo>,
}

/// What a key says that a claim may demand.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Marks {
    /// Serial number.
    pub key_no: KeyNo,
    /// Registration number.
    pub reg_no: u32,
    /// ИНН.
    pub itn: Option<String>,
    /// КПП.
    pub iec: Option<String>,
    /// Version of the product; 0: none in particular.
    pub product_version: u16,
}

impl Demands {
    /// Whether any key will do.
    pub fn is_empty(&self) -> bool {
        *self == Demands::default()
    }

    /// The demands without empty texts and zeros, for 1C code passes those where it demands nothing.
    pub fn tidied(self) -> Demands {
        let text = |text: Option<String>| text.map(|text| text.trim().to_owned()).filter(|text| !text.is_empty());
        Demands {
            itn: text(self.itn),
            iec: text(self.iec),
            product_version: self.product_version.filter(|version| *version > 0),
            reg_no: self.reg_no.filter(|number| *number > 0),
            key_no: self.key_no.filter(|number| *number > 0),
        }
    }

    /// Whether a key meets all demands.
    pub fn met_by(&self, marks: &Marks) -> bool {
        self.is_empty() || self.checks().iter().all(|check| check.unmet_of.is_none() || (check.meets)(self, marks))
    }

    /// Which of `keys` meet all demands; when none does, the error of the first demand that leaves none.
    pub fn narrow<'a, K>(&self, series: KeyId, keys: Vec<(K, &'a Marks)>) -> Result<Vec<(K, &'a Marks)>> {
        let mut left = keys;
        for check in self.checks() {
            let Some((code, asked)) = check.unmet_of else { continue };
            let highest = left.iter().map(|(_, marks)| marks.product_version).max().unwrap_or(0);
            left.retain(|(_, marks)| (check.meets)(self, marks));
            if left.is_empty() {
                let error = Error::new(code).with(series).with(asked);
                return Err(if code == Code::VersionTooOld { error.with(highest) } else { error });
            }
        }
        Ok(left)
    }

    /// The demands in the order in which they are checked: what names one key comes first.
    fn checks(&self) -> [Check; 5] {
        let check = |code, asked: Option<String>, meets| Check { unmet_of: asked.map(|asked| (code, asked)), meets };
        [
            check(Code::KeyNoMissing, self.key_no.map(|number| number.to_string()), |demands, marks| {
                demands.key_no == Some(marks.key_no)
            }),
            check(Code::RegNoMissing, self.reg_no.map(|number| number.to_string()), |demands, marks| {
                demands.reg_no == Some(marks.reg_no)
            }),
            check(Code::WrongItn, self.itn.clone(), |demands, marks| demands.itn == marks.itn),
            check(Code::WrongIec, self.iec.clone(), |demands, marks| demands.iec == marks.iec),
            check(Code::VersionTooOld, self.product_version.map(|version| version.to_string()), |demands, marks| {
                demands.product_version <= Some(marks.product_version)
            }),
        ]
    }
}

/// One demand: its error and what was asked, if it was, and whether a key meets it.
struct Check {
    unmet_of: Option<(Code, String)>,
    meets: fn(&Demands, &Marks) -> bool,
}

/// The access codes in force: each opens the keys that are set aside for it. Never shows a code.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct AccessCodes {
    /// `None` while codes are switched off: then no key is set aside and any code is accepted, without effect.
    codes: Option<Arc<BTreeMap<String, BTreeSet<KeyNo>>>>,
}

impl AccessCodes {
    /// Codes with the serial numbers of their keys, in force.
    pub fn new(codes: BTreeMap<String, BTreeSet<KeyNo>>) -> AccessCodes {
        AccessCodes { codes: Some(Arc::new(codes)) }
    }

    /// Whether the key is set aside for sessions that present a code.
    pub fn is_set_aside(&self, key_no: KeyNo) -> bool {
        self.codes.iter().any(|codes| codes.values().any(|keys| keys.contains(&key_no)))
    }

    /// Whether `code` opens the key.
    pub fn opens(&self, code: Option<&str>, key_no: KeyNo) -> bool {
        let keys = self.codes.as_ref().zip(code).and_then(|(codes, code)| codes.get(code));
        keys.is_some_and(|keys| keys.contains(&key_no))
    }

    /// [`Code::AccessCodeWrong`] when codes are in force and this isn't one.
    pub fn check(&self, code: Option<&str>) -> Result<()> {
        match (&self.codes, code) {
            (Some(codes), Some(code)) if !codes.contains_key(code) => Err(Code::AccessCodeWrong.into()),
            _ => Ok(()),
        }
    }
}

impl fmt::Debug for AccessCodes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.codes {
            Some(codes) => write!(f, "AccessCodes({})", codes.len()),
            None => f.write_str("AccessCodes(off)"),
        }
    }
}

/// What decides, besides the number of seats, who may sit on which key.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Terms {
    /// What the usable keys say; a key without marks meets no demand but that for its serial number.
    pub marks: HashMap<SeriesId, HashMap<KeyNo, Marks>>,
    /// The access codes.
    pub codes: AccessCodes,
    /// Keys that give no new seats but keep those who sit on them: see [`super::pool::kept`].
    pub kept: HashMap<SeriesId, Vec<PoolKey>>,
}

/// What one session asks for.
#[derive(Debug, Clone, Copy)]
pub struct Wants<'a> {
    /// Of the key.
    pub demands: &'a Demands,
    /// The access code that it presents.
    pub code: Option<&'a str>,
}

impl Wants<'static> {
    /// Asks for nothing in particular.
    pub fn nothing() -> Wants<'static> {
        const NOTHING: &Demands = &Demands { itn: None, iec: None, product_version: None, reg_no: None, key_no: None };
        Wants { demands: NOTHING, code: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SERIES: KeyId = KeyId(0x672B);

    fn marks(key_no: KeyNo, itn: &str, product_version: u16) -> Marks {
        Marks { key_no, reg_no: 200 + key_no, itn: Some(itn.into()), iec: Some("770101001".into()), product_version }
    }

    fn fitting(demands: &Demands) -> Result<Vec<KeyNo>, (Code, Vec<String>)> {
        let keys = [marks(1, "7701000001", 3), marks(2, "7701000002", 5)];
        let keys = keys.iter().map(|marks| (marks.key_no, marks)).collect();
        let left = demands.narrow(SERIES, keys).map_err(|error| (error.code, error.args[1..].to_vec()))?;
        Ok(left.into_iter().map(|(key_no, _)| key_no).collect())
    }

    #[test]
    fn each_demand_leaves_the_keys_that_meet_it() {
        let none = Demands::default();
        assert_eq!(fitting(&none), Ok(vec![1, 2]));
        assert_eq!(fitting(&Demands { itn: Some("7701000002".into()), ..none.clone() }), Ok(vec![2]));
        assert_eq!(fitting(&Demands { iec: Some("770101001".into()), ..none.clone() }), Ok(vec![1, 2]));
        assert_eq!(fitting(&Demands { product_version: Some(3), ..none.clone() }), Ok(vec![1, 2]));
        assert_eq!(fitting(&Demands { product_version: Some(4), ..none.clone() }), Ok(vec![2]));
        assert_eq!(fitting(&Demands { reg_no: Some(201), ..none.clone() }), Ok(vec![1]));
        assert_eq!(fitting(&Demands { key_no: Some(2), ..none }), Ok(vec![2]));
    }

    #[test]
    fn the_first_demand_that_no_key_meets_is_named_with_what_was_asked() {
        let none = Demands::default();
        let refused = |demands: Demands| fitting(&demands).unwrap_err();
        let text = |text: &str| vec![text.to_owned()];
        assert_eq!(refused(Demands { itn: Some("1".into()), ..none.clone() }), (Code::WrongItn, text("1")));
        assert_eq!(refused(Demands { iec: Some("2".into()), ..none.clone() }), (Code::WrongIec, text("2")));
        let old = Demands { product_version: Some(6), ..none.clone() };
        assert_eq!(refused(old), (Code::VersionTooOld, vec!["6".into(), "5".into()]));
        assert_eq!(refused(Demands { reg_no: Some(7), ..none.clone() }), (Code::RegNoMissing, text("7")));
        assert_eq!(refused(Demands { key_no: Some(9), ..none.clone() }), (Code::KeyNoMissing, text("9")));
        let both = Demands { key_no: Some(1), itn: Some("7701000002".into()), ..none };
        assert_eq!(refused(both).0, Code::WrongItn, "each key meets one of the two");
    }

    #[test]
    fn a_key_without_an_owner_meets_no_demand_for_one() {
        let demands = Demands { itn: Some("7701000001".into()), ..Demands::default() };
        assert!(!demands.met_by(&Marks { key_no: 1, ..Marks::default() }));
        assert!(demands.met_by(&marks(1, "7701000001", 0)));
    }

    #[test]
    fn empty_texts_and_zeros_demand_nothing() {
        let demands = Demands {
            itn: Some(" ".into()),
            iec: Some(String::new()),
            product_version: Some(0),
            reg_no: Some(0),
            key_no: Some(0),
        };
        assert!(demands.tidied().is_empty());
        let spaced = Demands { itn: Some(" 7701000001 ".into()), ..Demands::default() };
        assert_eq!(spaced.tidied().itn.as_deref(), Some("7701000001"));
    }

    #[test]
    fn a_code_opens_its_keys_and_a_wrong_one_is_told_so() {
        let codes = AccessCodes::new(BTreeMap::from([("тайна".into(), BTreeSet::from([1, 2]))]));
        assert!(codes.opens(Some("тайна"), 1) && !codes.opens(Some("тайна"), 3) && !codes.opens(None, 1));
        assert!(codes.is_set_aside(2) && !codes.is_set_aside(3));
        assert_eq!(codes.check(Some("Тайна")).unwrap_err().code, Code::AccessCodeWrong);
        assert_eq!((codes.check(Some("тайна")), codes.check(None)), (Ok(()), Ok(())));
        assert!(!format!("{codes:?}").contains("тайна"));
        let off = AccessCodes::default();
        assert!(off.check(Some("x")).is_ok() && !off.is_set_aside(1));
    }
}
