//! A key: one licence document `672B.7121172.licence`, its fields, and what makes it genuine.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};

use crate::code::ActivationCode;
use crate::crypto::{Crypto, Signer};
use crate::document::{self, Kind, base64_bytes};
use crate::error::{Code, Error, Result};
use crate::fingerprint::Fingerprint;
use crate::flags::Flags;
use crate::id::{KeyId, KeyNo, SeriesId};
use crate::identity::{self, Identity, PublicIdentity};
use crate::series::Issuer;
use crate::subkeys::{Entitlement, Subkeys};
use crate::time::{DAY_MS, Time};

/// A licence: `SLK-LICENCE 1`, followed in its file by the issuing certificate.
pub const LICENCE: Kind = Kind { name: "LICENCE", version: 1 };

/// Type of a key (`KeyType` of the guide).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "u8", into = "u8")]
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
    /// When this issue was signed.
    pub issued: Time,
    /// The licence must be updated at the centre before this moment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub renew_by: Option<Time>,
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

    /// Days left at `now`: every day begun counts, never below 0; `None` without an end.
    pub fn days_left(&self, now: Time) -> Option<u32> {
        let left = self.expires()?.0.saturating_sub(now.0).max(0);
        Some(u32::try_from((left as u64).div_ceil(DAY_MS as u64)).unwrap_or(u32::MAX))
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
    pub fn seal(&mut self, series: &SeriesId, subkeys: &Subkeys) -> Result<()> {
        let plain =
            zeroize::Zeroizing::new(serde_json::to_vec(subkeys).map_err(|e| Error::new(Code::Internal).with(e))?);
        self.sealed = identity::seal(&self.identity.noise, &self.seal_context(series), &plain)?;
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
        let licence: Licence = unverified.verify(crypto, &issuer.certificate.key)?;
        if licence.key_id != issuer.certificate.key_id {
            return Err(damaged("licence and certificate name different series"));
        }
        if !issuer.certificate.allows(licence.issued) {
            return Err(damaged("signed outside the dates of its certificate"));
        }
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
    pub fn subkeys(&self, identity: &Identity) -> Result<Subkeys> {
        if identity.public() != self.licence.identity {
            return Err(Error::new(Code::OtherServer).with(self.licence.key_no));
        }
        let plain = identity.unseal(&self.licence.seal_context(&self.series), &self.licence.sealed)?;
        serde_json::from_slice(&plain).map_err(|_| Error::new(Code::CryptoFailed).with("subkeys"))
    }
}
