//! A series and its trust: the root public key, trust anchors, and the dated issuing certificates that the root signs.

use std::fmt;
use std::str::FromStr;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::crypto::{self, Crypto, Signer};
use crate::document::{self, Kind, PublicKey, Unverified, base64_bytes};
use crate::error::{Code, Error, Result};
use crate::id::{Bytes32, KeyId, RootHash, SeriesId};
use crate::time::Time;

/// An issuing certificate: `SLK-CERTIFICATE 1`.
pub const CERTIFICATE: Kind = Kind { name: "CERTIFICATE", version: 1, digest: false };

/// The root public key of a series: SPKI DER of an RSA key of 2048–4096 bits with e = 65537.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RootKey(#[serde(with = "base64_bytes")] Vec<u8>);

impl RootKey {
    /// A root key, if `spki` is a key that we accept.
    pub fn new(spki: Vec<u8>) -> Result<RootKey> {
        let root = RootKey(spki);
        root.verifier()?;
        Ok(root)
    }

    /// The key to verify with what names it as its own root, if it is one that we accept.
    pub fn verifier(&self) -> Result<PublicKey<'_>> {
        match crypto::accepted_rsa_key(&self.0) {
            Some(_) => Ok(PublicKey::Rsa(&self.0)),
            None => Err(Error::new(Code::CryptoFailed).with("root key: RSA, 2048–4096 bits, e = 65537")),
        }
    }

    /// SPKI DER.
    pub fn spki(&self) -> &[u8] {
        &self.0
    }

    /// Its SHA-256: half of a [`SeriesId`] and the short form of a trust anchor.
    pub fn hash(&self, crypto: &dyn Crypto) -> RootHash {
        RootHash(crypto.sha256(&[&self.0]))
    }
}

impl fmt::Debug for RootKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RootKey({} bytes)", self.0.len())
    }
}

/// What a component trusts for a series: the hash of its root. Comes from the configuration or the library file only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TrustAnchor(pub RootHash);

impl TrustAnchor {
    /// Reads an anchor as a vendor writes it: 64 hex digits, or the root public key in PEM with any text around it,
    /// as in a `672B.anchor` file.
    pub fn parse(crypto: &dyn Crypto, text: &str) -> Result<TrustAnchor> {
        const END: &str = "-----END PUBLIC KEY-----";
        if let Some(begin) = text.find("-----BEGIN") {
            let pem = &text[begin..];
            let pem = pem.find(END).map_or(pem, |end| &pem[..end + END.len()]);
            return Ok(TrustAnchor(RootKey::new(crypto::public_key_from_pem(pem)?)?.hash(crypto)));
        }
        let compact: String = text.chars().filter(|c| !c.is_whitespace() && *c != ':').collect();
        RootHash::from_str(&compact).map(TrustAnchor).map_err(|e| Error::new(Code::CryptoFailed).with(e))
    }
}

/// Payload of an issuing certificate: the root lets `key` sign licences of the series for a while.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct Certificate {
    /// The series.
    #[serde(rename = "KeyID")]
    pub key_id: KeyId,
    /// The root public key, so that a licence can be checked by itself; trust comes from the anchor.
    pub root: RootKey,
    /// The issuing public key, SPKI DER.
    #[serde(with = "base64_bytes")]
    pub key: Vec<u8>,
    /// Licences may be issued from this moment.
    pub not_before: Time,
    /// Licences may be issued until this moment; those issued before stay good.
    pub not_after: Time,
}

/// A deputy: `SLK-DEPUTY 1`, signed by an issuing key, followed by its certificate.
pub const DEPUTY: Kind = Kind { name: "DEPUTY", version: 1, digest: false };

/// Payload of a deputy: the issuing key lets an Ed25519 key sign answers and statements, but no licences, for a few days. An
/// answer of the centre so costs one signature of RSA, that of its licence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct Deputy {
    /// The series.
    #[serde(rename = "KeyID")]
    pub key_id: KeyId,
    /// The Ed25519 public key.
    pub key: Bytes32,
    /// It may sign from this moment.
    pub not_before: Time,
    /// It may sign until this moment; what it signed before stays good.
    pub not_after: Time,
}

/// A certificate whose signature by its root was checked, with its text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issuer {
    /// The payload.
    pub certificate: Certificate,
    /// The deputy that stands before the certificate, if one does.
    pub deputy: Option<Deputy>,
    /// KeyID and root hash.
    pub series: SeriesId,
    /// The documents: certificate, before it the deputy if there is one.
    pub text: String,
}

impl Certificate {
    /// Whether something may be signed with the issuing key at `moment`.
    pub fn allows(&self, moment: Time) -> bool {
        (self.not_before..=self.not_after).contains(&moment)
    }

    /// Signs the certificate with the root's private key.
    pub fn sign(&self, root: &dyn Signer) -> Result<String> {
        document::sign(CERTIFICATE, self, root)
    }
}

impl Issuer {
    /// Reads the certificate that `text` ends with and checks it under the root that it carries.
    pub fn read(crypto: &dyn Crypto, place: &str, text: &str) -> Result<Issuer> {
        let damaged = |cause: &str| Error::new(Code::DocumentDamaged).with(place).with(cause);
        let (unverified, rest) = document::read(CERTIFICATE, place, text)?;
        document::nothing_behind(place, rest)?;
        let certificate = unverified.verify_by_named_key(crypto, |claimed: &Certificate| {
            claimed.root.verifier().map_err(|_| damaged("root key"))
        })?;
        if crypto::accepted_rsa_key(&certificate.key).is_none() {
            return Err(damaged("issuing key"));
        }
        let series = SeriesId { key_id: certificate.key_id, root: certificate.root.hash(crypto) };
        let own = &text[..text.len() - rest.len()];
        Ok(Issuer { certificate, deputy: None, series, text: own.to_owned() })
    }

    /// Reads what stands behind an answer or a statement: a certificate, or a deputy and its certificate.
    pub fn read_any(crypto: &dyn Crypto, place: &str, text: &str) -> Result<Issuer> {
        if !text.starts_with(&format!("SLK-{} ", DEPUTY.name)) {
            return Issuer::read(crypto, place, text);
        }
        let (unverified, rest) = document::read(DEPUTY, place, text)?;
        let issuer = Issuer::read(crypto, place, rest)?;
        let deputy: Deputy = unverified.verify(crypto, PublicKey::Rsa(&issuer.certificate.key))?;
        issuer.vouches(place, deputy.key_id, deputy.not_before)?;
        let own = text.len() - rest.len();
        Ok(Issuer { deputy: Some(deputy), text: text[..own].to_owned() + &issuer.text, ..issuer })
    }

    /// This issuer with a deputy, which `signer`, the issuing key, certifies.
    pub fn with_deputy(&self, deputy: Deputy, signer: &dyn Signer) -> Result<Issuer> {
        let text = document::sign(DEPUTY, &deputy, signer)? + &self.text;
        Ok(Issuer { deputy: Some(deputy), text, ..self.clone() })
    }

    /// The payload of an answer or statement, if the deputy, or without one the issuing key, has signed it.
    pub fn verify<T: DeserializeOwned>(&self, crypto: &dyn Crypto, unverified: &Unverified<'_>) -> Result<T> {
        let key = match &self.deputy {
            Some(deputy) => PublicKey::Ed25519(&deputy.key.0),
            None => PublicKey::Rsa(&self.certificate.key),
        };
        unverified.verify(crypto, key)
    }

    /// Checks that something about series `key_id` could be signed under this certificate at `moment`. `place` names the
    /// document in errors.
    pub fn vouches(&self, place: &str, key_id: KeyId, moment: Time) -> Result<()> {
        let damaged = |cause: &str| Err(Error::new(Code::DocumentDamaged).with(place).with(cause));
        if key_id != self.certificate.key_id {
            return damaged("its certificate names another series");
        }
        let deputy = self.deputy.as_ref();
        if !self.certificate.allows(moment)
            || deputy.is_some_and(|deputy| !(deputy.not_before..=deputy.not_after).contains(&moment))
        {
            return damaged("signed outside the dates of its certificate");
        }
        Ok(())
    }
}
