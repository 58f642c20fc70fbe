//! The certificate of a server's API key: who checks a signed answer of the REST API finds the server's key here.

use serde::{Deserialize, Serialize};

use crate::crypto::{Crypto, Signer};
use crate::document::{self, Kind, base64_bytes};
use crate::error::Result;
use crate::id::KeyId;
use crate::identity::PublicIdentity;
use crate::series::Issuer;
use crate::time::Time;

/// A certificate of a server's API key: `SLK-API-CERTIFICATE 1`, signed by an issuing key, followed by its certificate.
pub const API_CERTIFICATE: Kind = Kind { name: "API-CERTIFICATE", version: 1, digest: false };

/// Payload of the certificate of an API key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ApiCertificate {
    /// Series under whose root it stands.
    #[serde(rename = "KeyID")]
    pub key_id: KeyId,
    /// The server.
    pub identity: PublicIdentity,
    /// Its API key, SPKI DER.
    #[serde(with = "base64_bytes")]
    pub key: Vec<u8>,
    /// When it was signed.
    pub issued: Time,
}

impl ApiCertificate {
    /// Signs the certificate: its text, with the issuing certificate behind it.
    pub fn sign(&self, signer: &dyn Signer, issuer: &Issuer) -> Result<String> {
        Ok(document::sign(API_CERTIFICATE, self, signer)? + &issuer.text)
    }

    /// Reads a certificate of an API key and checks it under the issuing certificate behind it.
    pub fn read(crypto: &dyn Crypto, place: &str, text: &str) -> Result<(ApiCertificate, Issuer)> {
        let (unverified, rest) = document::read(API_CERTIFICATE, place, text)?;
        let issuer = Issuer::read_any(crypto, place, rest)?;
        let certificate: ApiCertificate = issuer.verify(crypto, &unverified)?;
        issuer.vouches(place, certificate.key_id, certificate.issued)?;
        Ok((certificate, issuer))
    }
}
