//! A key: one licence document `672B.7121172.licence`, its fields, and what makes it genuine.

use std::collections::{BTreeMap, HashSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::code::ActivationCode;
use crate::crypto::{Crypto, Signer};
use crate::document::{self, Kind, PublicKey, base64_bytes};
use crate::error::{Code, Error, Result};
use crate::fingerprint::Fingerprint;
use crate::flags::Flags;
use crate::id::{KeyId, KeyNo, SeriesId};
use crate::identity::{self, Identity, PublicIdentity};
use crate::series::Issuer;
use crate::subkeys::{Entitlement, Subkeys};
use crate::support::Support;
use crate::time::Time;

/// A licence: `SLK-LICENCE 1`, followed in its file by the issuing certificate.
pub const LICENCE: Kind = Kind { name: "LICENCE", version: 1, digest: false };

/// Type of a key (`KeyType` of the guide).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "u8", into = "u8")]
#[schemars(with = "u8")]
pub enum KeyType {
    /// 3: works by itself.
    Main,
    /// 4: adds licences beside a main key of its series on the same computer.
    Additional,
    /// 5: works only while no other key of its series is there.
    Demo,
}

impl From<KeyType> for u8 {
    fn from(key_type: KeyType) -> u8 {
        match key_type {
            KeyType::Main => 3,
            KeyType::Additional => 4,
            KeyType::Demo => 5,
        }
    }
}

impl TryFrom<u8> for KeyType {
    type Error = crate::id::Malformed;

    fn try_from(number: u8) -> Result<KeyType, crate::id::Malformed> {
        match number {
            3 => Ok(KeyType::Main),
            4 => Ok(KeyType::Additional),
            5 => Ok(KeyType::Demo),
            _ => Err(crate::id::Malformed("a key type: 3, 4 or 5 are expected")),
        }
    }
}

/// What a licence is bound to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Binding {
    /// A computer, by its fingerprint.
    Computer(Fingerprint),
    /// A USB carrier without a licence of its own, by its serial number.
    Blank(KeyNo),
}

/// Payload of a licence document. Names are those of the guide's API where it has them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Licence {
    /// Series.
    #[serde(rename = "KeyID")]
    pub key_id: KeyId,
    /// Serial number, unique within the series.
    pub key_no: KeyNo,
    /// Grows with each re-issue of the same KeyNo; the highest wins.
    pub issue: u32,
    /// Registration number.
    pub reg_no: u32,
    /// Main, additional, demo.
    pub key_type: KeyType,
    /// Service type: 0 ordinary, 1 demonstration server, 2 rent, 3 Fresh …
    #[serde(default)]
    pub service_type: u8,
    /// How many seats it gives.
    pub licence_count: u32,
    /// Version of the product that it covers; 0: none in particular.
    #[serde(default)]
    pub product_version: u16,
    /// The code that it was exchanged for.
    pub activation_code: ActivationCode,
    /// When the code was exchanged for the first time.
    pub activation_date: Time,
    /// Start of the period; `None`: the activation date.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_date: Option<Time>,
    /// Period in days from the start; 0: without end.
    #[serde(default)]
    pub period: u32,
    /// Functionality flags.
    #[serde(default)]
    pub flags: Flags,
    /// ИНН, digits.
    #[serde(rename = "ITN", default, skip_serializing_if = "Option::is_none")]
    pub itn: Option<String>,
    /// КПП, digits.
    #[serde(rename = "IEC", default, skip_serializing_if = "Option::is_none")]
    pub iec: Option<String>,
    /// Name of the product.
    pub product_name: String,
    /// Article.
    #[serde(default)]
    pub article: String,
    /// Name of the article.
    #[serde(default)]
    pub article_name: String,
    /// Support that was sold with it.
    #[serde(flatten)]
    pub support: Support,
    /// When this issue was signed.
    pub issued: Time,
    /// The licence must be updated at the centre before this moment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub renew_by: Option<Time>,
    /// Values by name that the vendor gives to the configuration with this licence. No secrets: whoever can reach the server
    /// can read the licence.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub parameters: BTreeMap<String, String>,
    /// The server that it belongs to.
    pub identity: PublicIdentity,
    /// The computer or carrier that it is bound to.
    pub binding: Binding,
    /// The earned subkeys, sealed to the identity.
    #[serde(with = "base64_bytes")]
    pub sealed: Vec<u8>,
}

/// A licence whose signatures were checked, with the issuer it came from and the text of its file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    /// The payload.
    pub licence: Licence,
    /// KeyID and root.
    pub series: SeriesId,
    /// The issuing certificate.
    pub issuer: Issuer,
    /// The file: licence and certificate.
    pub text: String,
}

impl Licence {
    /// First moment that the key works.
    pub fn starts(&self) -> Time {
        self.start_date.unwrap_or(self.activation_date)
    }

    /// First moment that it works no more; `None` without an end.
    pub fn expires(&self) -> Option<Time> {
        (self.period > 0).then(|| self.starts().plus_days(i64::from(self.period)))
    }

    /// Days left at `now`, as [`Time::days_to`] counts them; `None` without an end. Before its start more than the period may be
    /// left.
    pub fn days_left(&self, now: Time) -> Option<u32> {
        Some(now.days_to(self.expires()?))
    }

    /// What it entitles to, as far as objects go.
    pub fn entitlement(&self) -> Entitlement {
        Entitlement {
            flags: self.flags,
            service_type: self.service_type,
            demo: self.key_type == KeyType::Demo,
            product_version: self.product_version,
        }
    }

    /// File name of the licence: `672B.7121172.licence`.
    pub fn file_name(&self) -> String {
        format!("{}.{}.licence", self.key_id, self.key_no)
    }

    /// Seals `subkeys` to the licence's identity; the box opens for this series, key and issue only.
    pub fn seal(&mut self, crypto: &dyn Crypto, series: &SeriesId, subkeys: &Subkeys) -> Result<()> {
        let plain =
            zeroize::Zeroizing::new(serde_json::to_vec(subkeys).map_err(|e| Error::new(Code::Internal).with(e))?);
        self.sealed = identity::seal(crypto, &self.identity.noise, &self.seal_context(series), &plain)?;
        Ok(())
    }

    fn seal_context(&self, series: &SeriesId) -> Vec<u8> {
        format!("SLK sealed subkeys 1\n{}\n{}\n{}\n{}", series.key_id, series.root, self.key_no, self.issue)
            .into_bytes()
    }

    /// Signs the licence: the text of its file.
    pub fn sign(&self, signer: &dyn Signer, issuer: &Issuer) -> Result<String> {
        Ok(document::sign(LICENCE, self, signer)? + &issuer.text)
    }
}

impl Key {
    /// Reads a licence file and checks both signatures, series and dates of its issuer. `place` names the file in errors.
    pub fn read(crypto: &dyn Crypto, place: &str, text: &str) -> Result<Key> {
        let damaged = |cause: &str| Error::new(Code::DocumentDamaged).with(place).with(cause);
        let (unverified, rest) = document::read(LICENCE, place, text)?;
        let issuer = Issuer::read(crypto, place, rest)?;
        let licence: Licence = unverified.verify(crypto, PublicKey::Rsa(&issuer.certificate.key))?;
        issuer.vouches(place, licence.key_id, licence.issued)?;
        if licence.key_no == 0 || licence.licence_count == 0 {
            return Err(damaged("KeyNo and LicenceCount begin at 1"));
        }
        if let Binding::Computer(print) = &licence.binding {
            let mut kinds = HashSet::new();
            if print.parts.iter().any(|part| !kinds.insert(part.kind)) {
                return Err(damaged("a part of the fingerprint stands twice"));
            }
        }
        Ok(Key { series: issuer.series, text: text.to_owned(), licence, issuer })
    }

    /// The subkeys, if `identity` is the one that the licence names.
    pub fn subkeys(&self, crypto: &dyn Crypto, identity: &Identity) -> Result<Subkeys> {
        if identity.public() != self.licence.identity {
            return Err(Error::new(Code::OtherServer).with(self.licence.key_no));
        }
        let plain = identity.unseal(crypto, &self.licence.seal_context(&self.series), &self.licence.sealed)?;
        serde_json::from_slice(&plain).map_err(|_| Error::new(Code::CryptoFailed).with("subkeys"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::DAY_MS;

    /// The guide's sample with another period: activated at midnight in Moscow, no start date.
    fn sample(period: u32, start_date: Option<&str>) -> Licence {
        let identity = PublicIdentity { noise: crate::id::Bytes32([1; 32]), sign: crate::id::Bytes32([2; 32]) };
        Licence {
            key_id: KeyId(0x672B),
            key_no: 7_131_766,
            issue: 1,
            reg_no: 202,
            key_type: KeyType::Main,
            service_type: 0,
            licence_count: 5,
            product_version: 0,
            activation_code: ActivationCode::random(&crate::crypto::ring::PROVIDER).unwrap(),
            activation_date: "2018-03-30T21:00:00.414Z".parse().unwrap(),
            start_date: start_date.map(|date| date.parse().unwrap()),
            period,
            flags: Flags::default(),
            itn: None,
            iec: None,
            product_name: String::new(),
            article: String::new(),
            article_name: String::new(),
            support: Support::default(),
            issued: Time(0),
            renew_by: None,
            parameters: BTreeMap::new(),
            identity,
            binding: Binding::Blank(1),
            sealed: Vec::new(),
        }
    }

    #[test]
    fn a_key_without_a_period_has_no_end_and_no_days_left() {
        let sample = sample(0, None);
        assert_eq!((sample.expires(), sample.days_left(Time(0))), (None, None));
    }

    #[test]
    fn a_period_is_so_many_times_24_hours_from_the_activation_or_the_start_date() {
        let end = |licence: Licence| licence.expires().unwrap().to_string();
        assert_eq!(end(sample(365, None)), "2019-03-30T21:00:00.414Z");
        assert_eq!(end(sample(365, Some("2018-06-01"))), "2019-06-01T00:00:00.000Z");
        assert_eq!(end(sample(1, Some("2018-12-31T12:00:00Z"))), "2019-01-01T12:00:00.000Z");
    }

    #[test]
    fn every_day_begun_counts_as_left_and_the_last_moment_is_none() {
        let licence = sample(10, None);
        let start = licence.starts();
        let left = |ms: i64| licence.days_left(Time(start.0 + ms)).unwrap();
        assert_eq!((left(0), left(1), left(DAY_MS - 1), left(DAY_MS)), (10, 10, 10, 9));
        assert_eq!((left(10 * DAY_MS - 1), left(10 * DAY_MS), left(11 * DAY_MS)), (1, 0, 0));
        assert_eq!(left(-DAY_MS), 11, "before its start the time until then is left as well");
    }
}
