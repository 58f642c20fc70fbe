//! What a server and the centre say to each other: the request that a server signs with its identity, the answer that the
//! centre signs with its issuing key, and the certificate of the server's API key.

use serde::{Deserialize, Serialize};

use crate::code::ActivationCode;
use crate::crypto::{Crypto, Signer};
use crate::document::{self, Kind, base64_bytes};
use crate::error::{Code, Error, Result};
use crate::fingerprint::Fingerprint;
use crate::id::{Bytes32, ComputerId, KeyId, KeyNo};
use crate::identity::{Identity, PublicIdentity};
use crate::key::Key;
use crate::series::Issuer;
use crate::time::Time;

/// A request: `SLK-REQUEST 1`, signed by the server's Ed25519 key.
pub const REQUEST: Kind = Kind { name: "REQUEST", version: 1 };
/// An answer: `SLK-ANSWER 1`, signed by an issuing key.
pub const ANSWER: Kind = Kind { name: "ANSWER", version: 1 };
/// A certificate of a server's API key: `SLK-API-CERTIFICATE 1`, signed by an issuing key, followed by its certificate.
pub const API_CERTIFICATE: Kind = Kind { name: "API-CERTIFICATE", version: 1 };

/// A request to exchange an activation code for a licence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Request {
    /// Random; the answer repeats it.
    pub nonce: Bytes32,
    /// The code.
    pub code: ActivationCode,
    /// ИНН, digits.
    #[serde(rename = "ITN", default, skip_serializing_if = "Option::is_none")]
    pub itn: Option<String>,
    /// КПП, digits.
    #[serde(rename = "IEC", default, skip_serializing_if = "Option::is_none")]
    pub iec: Option<String>,
    /// The carrier to bind the key to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blank_key_no: Option<KeyNo>,
    /// The server that asks.
    pub identity: PublicIdentity,
    /// Its machine.
    pub fingerprint: Fingerprint,
    /// Its hardware identifier, for people.
    #[serde(rename = "ComputerID")]
    pub computer_id: Option<ComputerId>,
    /// Public key (SPKI DER) that the server signs its API answers with.
    #[serde(with = "base64_bytes")]
    pub api_key: Vec<u8>,
    /// Keys that the server holds already, so that the rules of installation are checked before the code is spent.
    #[serde(default)]
    pub installed: Vec<Installed>,
    /// Version of the server.
    pub version: String,
}

/// A key that the asking server holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Installed {
    /// Its series.
    #[serde(flatten)]
    pub series: crate::id::SeriesId,
    /// Its number.
    pub key_no: KeyNo,
    /// Its type.
    pub key_type: crate::key::KeyType,
}

/// The centre's answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Answer {
    /// Nonce of the request.
    pub nonce: Bytes32,
    /// Text of the licence file.
    pub licence: String,
    /// Text of the certificate of the API key.
    pub api_certificate: String,
}

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

impl Request {
    /// Signs the request: the text that goes to the centre or into a request file.
    pub fn sign(&self, crypto: &dyn Crypto, identity: &Identity) -> Result<String> {
        document::sign(REQUEST, self, identity.signer(crypto)?.as_ref())
    }

    /// Reads a request and checks that the identity that it names has signed it.
    pub fn read(crypto: &dyn Crypto, place: &str, text: &str) -> Result<Request> {
        let (unverified, _) = document::read(REQUEST, place, text)?;
        let claimed: Request = unverified.peek()?;
        unverified
            .verify_ed25519(crypto, &claimed.identity.sign.0)
            .map_err(|e| if e.code == Code::SignatureWrong { Error::new(Code::RequestSignature) } else { e })
    }
}

impl Answer {
    /// Signs the answer with an issuing key.
    pub fn sign(&self, signer: &dyn Signer) -> Result<String> {
        document::sign(ANSWER, self, signer)
    }

    /// Reads the answer to `request`: the key, genuine, for this server and this code, and the API certificate's text.
    /// Whether the key is usable here is judged afterwards, as for any key.
    pub fn read(crypto: &dyn Crypto, text: &str, request: &Request) -> Result<(Key, String)> {
        let wrong = |cause: &str| Error::new(Code::CentreAnswerWrong).with(cause);
        let place = "answer";
        let (unverified, _) = document::read(ANSWER, place, text)?;
        let claimed: Answer = unverified.peek()?;
        let key = Key::read(crypto, place, &claimed.licence)?;
        // A licence that is asked for again may be older than the issuing key of today, which signs the answer.
        let (certificate, issuer) = ApiCertificate::read(crypto, place, &claimed.api_certificate)?;
        let answer: Answer = unverified.verify(crypto, &issuer.certificate.key)?;
        if answer.nonce != request.nonce {
            return Err(wrong("nonce"));
        }
        if key.licence.identity != request.identity || key.licence.activation_code != request.code {
            return Err(wrong("licence of another server or code"));
        }
        let certifies = certificate.key == request.api_key && certificate.identity == request.identity;
        if !certifies || issuer.series != key.series {
            return Err(wrong("API certificate"));
        }
        Ok((key, answer.api_certificate))
    }
}

impl ApiCertificate {
    /// Signs the certificate: its text, with the issuing certificate behind it.
    pub fn sign(&self, signer: &dyn Signer, issuer: &Issuer) -> Result<String> {
        Ok(document::sign(API_CERTIFICATE, self, signer)? + &issuer.text)
    }

    /// Reads a certificate of an API key and checks it under the issuing certificate behind it.
    pub fn read(crypto: &dyn Crypto, place: &str, text: &str) -> Result<(ApiCertificate, Issuer)> {
        let (unverified, rest) = document::read(API_CERTIFICATE, place, text)?;
        let issuer = Issuer::read(crypto, place, rest)?;
        let certificate: ApiCertificate = unverified.verify(crypto, &issuer.certificate.key)?;
        if certificate.key_id != issuer.certificate.key_id {
            return Err(Error::new(Code::DocumentDamaged).with(place).with("KeyID"));
        }
        if !issuer.certificate.allows(certificate.issued) {
            return Err(Error::new(Code::DocumentDamaged)
                .with(place)
                .with("signed outside the dates of its certificate"));
        }
        Ok((certificate, issuer))
    }
}
