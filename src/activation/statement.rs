//! Statements of the centre about keys, which a server keeps for ever: a key was retired up to an issue; keys of a series were
//! revoked. Each is signed by an issuing key and followed by its certificate, as a licence is.

use serde::{Deserialize, Serialize};

use crate::crypto::{Crypto, Signer};
use crate::document::{self, Kind};
use crate::error::Result;
use crate::id::{KeyId, KeyNo, SeriesId};
use crate::series::Issuer;
use crate::time::Time;

/// A retirement: `SLK-RETIREMENT 1`.
pub const RETIREMENT: Kind = Kind { name: "RETIREMENT", version: 1, digest: false };
/// A revocation list: `SLK-REVOCATIONS 1`.
pub const REVOCATIONS: Kind = Kind { name: "REVOCATIONS", version: 1, digest: false };

/// Payload of a retirement: no licence of this key up to this issue counts any more, wherever it comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Retirement {
    /// Series.
    #[serde(rename = "KeyID")]
    pub key_id: KeyId,
    /// The key.
    pub key_no: KeyNo,
    /// The last issue that counts no more.
    pub issue: u32,
    /// When it was retired.
    pub retired: Time,
}

/// A retirement whose signatures were checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Retired {
    /// The payload.
    pub retirement: Retirement,
    /// KeyID and root.
    pub series: SeriesId,
    /// The text of its file.
    pub text: String,
}

impl Retirement {
    /// Signs the retirement: the text of its file.
    pub fn sign(&self, signer: &dyn Signer, issuer: &Issuer) -> Result<String> {
        Ok(document::sign(RETIREMENT, self, signer)? + &issuer.text)
    }

    /// File name: `672B.7121172.retirement`.
    pub fn file_name(&self) -> String {
        format!("{}.{}.retirement", self.key_id, self.key_no)
    }
}

impl Retired {
    /// Reads a retirement and checks both signatures.
    pub fn read(crypto: &dyn Crypto, place: &str, text: &str) -> Result<Retired> {
        let (unverified, rest) = document::read(RETIREMENT, place, text)?;
        let issuer = Issuer::read_any(crypto, place, rest)?;
        let retirement: Retirement = issuer.verify(crypto, &unverified)?;
        issuer.vouches(place, retirement.key_id, retirement.retired)?;
        Ok(Retired { retirement, series: issuer.series, text: text.to_owned() })
    }

    /// Whether a licence of that series, key and issue counts no more.
    pub fn covers(&self, series: &SeriesId, key_no: KeyNo, issue: u32) -> bool {
        self.series == *series && self.retirement.key_no == key_no && issue <= self.retirement.issue
    }
}

/// Payload of a revocation list. The one that was issued last counts; it names all revoked keys of the series.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Revocations {
    /// Series.
    #[serde(rename = "KeyID")]
    pub key_id: KeyId,
    /// When it was signed.
    pub issued: Time,
    /// The revoked keys, in order of their numbers.
    pub revoked: Vec<KeyNo>,
}

/// A revocation list whose signatures were checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revoked {
    /// The payload.
    pub list: Revocations,
    /// KeyID and root.
    pub series: SeriesId,
    /// The text of its file.
    pub text: String,
}

impl Revocations {
    /// Signs the list: the text of its file.
    pub fn sign(&self, signer: &dyn Signer, issuer: &Issuer) -> Result<String> {
        Ok(document::sign(REVOCATIONS, self, signer)? + &issuer.text)
    }
}

impl Revoked {
    /// Reads a list and checks both signatures.
    pub fn read(crypto: &dyn Crypto, place: &str, text: &str) -> Result<Revoked> {
        let (unverified, rest) = document::read(REVOCATIONS, place, text)?;
        let issuer = Issuer::read_any(crypto, place, rest)?;
        let list: Revocations = issuer.verify(crypto, &unverified)?;
        issuer.vouches(place, list.key_id, list.issued)?;
        Ok(Revoked { list, series: issuer.series, text: text.to_owned() })
    }

    /// Whether the key is revoked.
    pub fn contains(&self, series: &SeriesId, key_no: KeyNo) -> bool {
        self.series == *series && self.list.revoked.contains(&key_no)
    }
}
