//! The centre's answer, and what a server may believe of it: it must be genuine, for this request and for this server.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{ApiCertificate, Memory, Offer, Purpose, Request, Reserve, Retired, Revoked, Want};
use crate::code::ActivationCode;
use crate::crypto::{Crypto, Signer};
use crate::document::{self, Kind, base64_bytes};
use crate::error::{Code, Error, Result};
use crate::id::{Bytes32, KeyNo, SeriesId};
use crate::identity::{self, Identity, PublicIdentity};
use crate::key::{Key, KeyType};
use crate::series::Issuer;
use crate::time::Time;

/// An answer: `SLK-ANSWER 2`, signed by an issuing key or its deputy, followed by the certificates. A digest stands for its payload.
pub const ANSWER: Kind = Kind { name: "ANSWER", version: 2, digest: true };
/// An answer for servers that read no other: `SLK-ANSWER 1`. The payload itself is signed.
pub const FIRST_ANSWER: Kind = Kind { name: "ANSWER", version: 1, digest: false };

/// The centre's answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Answer {
    /// Nonce of the request.
    pub nonce: Bytes32,
    /// The centre's time.
    pub time: Time,
    /// What was asked for.
    pub outcome: Outcome,
}

/// What an answer brings, as it is written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    /// To [`Purpose::Activate`].
    Activated(Activated),
    /// To [`Purpose::Reserve`].
    Reserved(Reserved),
    /// To [`Purpose::Update`].
    Updated(Updated),
    /// To [`Purpose::CodeParameters`].
    CodeParameters(Box<CodeParameters>),
}

/// A licence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Activated {
    /// Text of the licence file.
    pub licence: String,
    /// Text of the certificate of the API key.
    pub api_certificate: String,
    /// Memory that the key brings along from where it was before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<Memory>,
}

/// A reserve code, and the statement that retires the key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Reserved {
    /// The code, sealed to the server: it is read where the key stops counting, and nowhere else.
    #[serde(with = "base64_bytes")]
    pub sealed_code: Vec<u8>,
    /// Text of the retirement.
    pub retirement: String,
}

/// News about the keys of a series.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Updated {
    /// Texts of licences whose issue is newer than the installed one.
    #[serde(default)]
    pub licences: Vec<String>,
    /// Texts of the retirements of installed keys.
    #[serde(default)]
    pub retirements: Vec<String>,
    /// Text of the revocation list.
    pub revocations: String,
    /// Text of the certificate of the API key.
    pub api_certificate: String,
}

/// What a code would give.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub struct CodeParameters {
    /// Its series.
    #[serde(flatten)]
    pub series: SeriesId,
    /// Whether it can be exchanged.
    pub state: CodeState,
    /// Whether it is a reserve code: which key it brings back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_no: Option<KeyNo>,
    /// Whether the ИНН must be given, and be the one that it was sold to.
    #[serde(rename = "ITNRequired", default)]
    pub itn_required: bool,
    /// Whether the КПП must be given, and be the one that it was sold to.
    #[serde(rename = "IECRequired", default)]
    pub iec_required: bool,
    /// What it gives.
    #[serde(flatten)]
    pub offer: Offer,
}

/// State of a code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum CodeState {
    /// Never exchanged.
    New,
    /// Exchanged for a licence.
    Used,
    /// Refused by the vendor, exchanged or not.
    Blocked,
}

/// An answer whose signatures were checked, before it is known which request it is for: [`Answer::nonce`] tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Received {
    /// The answer.
    pub answer: Answer,
    /// The issuing certificate that it stands under.
    pub issuer: Issuer,
}

/// What a server has been granted: all of it genuine and meant for it. Whether a key is usable here is judged afterwards, as for
/// any key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Granted {
    /// A licence.
    Activated {
        /// The key.
        key: Box<Key>,
        /// Text of the certificate of the API key.
        api_certificate: String,
        /// Memory that the key brings along.
        memory: Option<Memory>,
    },
    /// A reserve code. The retirement is on the disk before the code is shown.
    Reserved {
        /// The code.
        code: ActivationCode,
        /// The retirement.
        retired: Retired,
    },
    /// News about the keys of a series.
    Updated {
        /// Newer licences.
        keys: Vec<Key>,
        /// Keys that count no more.
        retired: Vec<Retired>,
        /// The revocation list.
        revoked: Revoked,
        /// Text of the certificate of the API key.
        api_certificate: String,
    },
    /// What a code would give.
    CodeParameters(Box<CodeParameters>),
}

impl Answer {
    /// Signs the answer with the key of `issuer` or its deputy: its text, with the certificates behind it. Who asks reads no version
    /// newer than `newest`.
    pub fn sign(&self, newest: u32, signer: &dyn Signer, issuer: &Issuer) -> Result<String> {
        let kind = if newest < ANSWER.version { FIRST_ANSWER } else { ANSWER };
        Ok(document::sign(kind, self, signer)? + &issuer.text)
    }

    /// Reads an answer and checks its signatures. `place` names the file in errors.
    pub fn read(crypto: &dyn Crypto, place: &str, text: &str) -> Result<Received> {
        let (unverified, rest) = match document::read(FIRST_ANSWER, place, text) {
            Err(error) if error.code == Code::DocumentVersion => document::read(ANSWER, place, text)?,
            read => read?,
        };
        let issuer = Issuer::read_any(crypto, place, rest)?;
        let answer: Answer = issuer.verify(crypto, &unverified)?;
        issuer.vouches(place, issuer.certificate.key_id, answer.time)?;
        Ok(Received { answer, issuer })
    }
}

impl Reserved {
    /// A reserve code for the server that gives up `key_no` of `series` up to `issue`.
    pub fn new(
        crypto: &dyn Crypto,
        code: ActivationCode,
        to: &PublicIdentity,
        (series, key_no, issue): (&SeriesId, KeyNo, u32),
        retirement: String,
    ) -> Result<Reserved> {
        let context = Reserved::context(series, key_no, issue);
        let sealed_code = identity::seal(crypto, &to.noise, &context, code.digits().as_bytes())?;
        Ok(Reserved { sealed_code, retirement })
    }

    fn context(series: &SeriesId, key_no: KeyNo, issue: u32) -> Vec<u8> {
        format!("SLK reserve code 1\n{}\n{}\n{key_no}\n{issue}", series.key_id, series.root).into_bytes()
    }

    fn open(&self, crypto: &dyn Crypto, identity: &Identity, retired: &Retired) -> Result<ActivationCode> {
        let context = Reserved::context(&retired.series, retired.retirement.key_no, retired.retirement.issue);
        let plain = identity.unseal(crypto, &context, &self.sealed_code)?;
        std::str::from_utf8(&plain).map_err(|_| wrong("reserve code"))?.parse()
    }
}

fn wrong(cause: &str) -> Error {
    Error::new(Code::CentreAnswerWrong).with(cause)
}

impl Received {
    /// What the answer grants to `request`, which `identity` has signed.
    pub fn accept(self, crypto: &dyn Crypto, request: &Request, identity: &Identity) -> Result<Granted> {
        if self.answer.nonce != request.nonce {
            return Err(wrong("nonce"));
        }
        if request.identity != identity.public() {
            return Err(Error::new(Code::RequestSignature));
        }
        let place = "answer";
        match (&request.purpose, self.answer.outcome) {
            (Purpose::Activate(asked), Outcome::Activated(Activated { licence, api_certificate, memory })) => {
                let key = Key::read(crypto, place, &licence)?;
                if key.series != self.issuer.series || key.licence.identity != request.identity {
                    return Err(wrong("licence of another series or server"));
                }
                let fits = match asked.want {
                    Want::Code(code) => key.licence.activation_code == code,
                    Want::Demo { key_id, root } => {
                        key.licence.key_type == KeyType::Demo
                            && key.series.key_id == key_id
                            && root.is_none_or(|root| key.series.root == root)
                    }
                };
                let of_series = asked.key_id.is_none_or(|wanted| wanted == key.series.key_id)
                    && asked.root.is_none_or(|wanted| wanted == key.series.root);
                if !fits || !of_series {
                    return Err(wrong("licence of another code or series"));
                }
                certifies(crypto, place, &api_certificate, request, &key.series)?;
                memory.as_ref().map_or(Ok(()), Memory::check)?;
                Ok(Granted::Activated { key: Box::new(key), api_certificate, memory })
            }
            (Purpose::Reserve(Reserve { series, key_no, issue, .. }), Outcome::Reserved(reserved)) => {
                let retired = Retired::read(crypto, place, &reserved.retirement)?;
                if !retired.covers(series, *key_no, *issue) || self.issuer.series != *series {
                    return Err(wrong("retirement of another key"));
                }
                Ok(Granted::Reserved { code: reserved.open(crypto, identity, &retired)?, retired })
            }
            (Purpose::Update(asked), Outcome::Updated(updated)) => {
                let series = asked.series;
                let keys: Vec<Key> =
                    updated.licences.iter().map(|text| Key::read(crypto, place, text)).collect::<Result<_>>()?;
                if keys.iter().any(|key| key.series != series || key.licence.identity != request.identity) {
                    return Err(wrong("licence of another series or server"));
                }
                let retired: Vec<Retired> =
                    updated.retirements.iter().map(|text| Retired::read(crypto, place, text)).collect::<Result<_>>()?;
                let revoked = Revoked::read(crypto, place, &updated.revocations)?;
                let all = retired.iter().map(|retired| retired.series).chain([revoked.series, self.issuer.series]);
                if all.into_iter().any(|other| other != series) {
                    return Err(wrong("statement of another series"));
                }
                certifies(crypto, place, &updated.api_certificate, request, &series)?;
                Ok(Granted::Updated { keys, retired, revoked, api_certificate: updated.api_certificate })
            }
            (Purpose::CodeParameters(_), Outcome::CodeParameters(parameters)) => {
                if parameters.series != self.issuer.series {
                    return Err(wrong("parameters of another series"));
                }
                Ok(Granted::CodeParameters(parameters))
            }
            _ => Err(wrong("an answer to another question")),
        }
    }
}

/// Checks that the certificate is that of the API key in the request, under the root of `series`.
fn certifies(crypto: &dyn Crypto, place: &str, text: &str, request: &Request, series: &SeriesId) -> Result<()> {
    let (certificate, issuer) = ApiCertificate::read(crypto, place, text)?;
    let fits = certificate.key == request.api_key && certificate.identity == request.identity;
    if fits && issuer.series == *series { Ok(()) } else { Err(wrong("API certificate")) }
}
