//! A request to the centre: who asks, from which machine, with which keys, and for what.

use serde::{Deserialize, Serialize};

use super::{FIRST_ANSWER, Memory};
use crate::code::ActivationCode;
use crate::crypto::Crypto;
use crate::document::{self, Kind, PublicKey, base64_bytes};
use crate::error::{Code, Error, Result};
use crate::fingerprint::Fingerprint;
use crate::id::{Bytes32, ComputerId, KeyId, KeyNo, RootHash, SeriesId};
use crate::identity::{Identity, PublicIdentity};
use crate::key::KeyType;
use crate::time::Time;

/// A request: `SLK-REQUEST 1`, signed by the server's Ed25519 key.
pub const REQUEST: Kind = Kind { name: "REQUEST", version: 1, digest: false };

/// A request of a server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Request {
    /// Random; the answer repeats it.
    pub nonce: Bytes32,
    /// When the server made it, by its own clock: for people who find the file later.
    pub made: Time,
    /// The server that asks.
    pub identity: PublicIdentity,
    /// Its machine.
    pub fingerprint: Fingerprint,
    /// Its hardware identifier, for people.
    #[serde(rename = "ComputerID", default, skip_serializing_if = "Option::is_none")]
    pub computer_id: Option<ComputerId>,
    /// Public key (SPKI DER) that the server signs its API answers with.
    #[serde(with = "base64_bytes")]
    pub api_key: Vec<u8>,
    /// Version of the server.
    pub version: String,
    /// Newest version of answers that the server reads; one that says nothing reads the first.
    #[serde(default = "first_answer")]
    pub answers: u32,
    /// Keys that the server holds: those of all series when a code is exchanged, as nobody knows its series before; else those
    /// of the series that it asks about.
    #[serde(default)]
    pub installed: Vec<Installed>,
    /// What it asks for.
    pub purpose: Purpose,
}

fn first_answer() -> u32 {
    FIRST_ANSWER.version
}

/// What a request asks for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Purpose {
    /// A licence.
    Activate(Activate),
    /// A reserve code for a key that is given up here.
    Reserve(Reserve),
    /// News about the keys of a series.
    Update(Update),
    /// What a code would give, without spending it.
    CodeParameters(ActivationCode),
}

/// Asks for a licence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Activate {
    /// In exchange for what.
    pub want: Want,
    /// ИНН, digits.
    #[serde(rename = "ITN", default, skip_serializing_if = "Option::is_none")]
    pub itn: Option<String>,
    /// КПП, digits.
    #[serde(rename = "IEC", default, skip_serializing_if = "Option::is_none")]
    pub iec: Option<String>,
    /// The carrier to bind the key to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blank_key_no: Option<KeyNo>,
    /// The series that the licence must be of; `None`: any. A code of another one is refused before it is spent.
    #[serde(rename = "KeyID", default, skip_serializing_if = "Option::is_none")]
    pub key_id: Option<KeyId>,
    /// Root of the vendor that the licence must be of, as two vendors may use one number; `None`: any. A code of another one is
    /// refused before it is spent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub root: Option<RootHash>,
}

/// What a licence is asked for with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Want {
    /// An activation code or a reserve code.
    Code(ActivationCode),
    /// Nothing: a demo licence of a series, where the vendor allows it.
    Demo {
        /// The series.
        #[serde(rename = "KeyID")]
        key_id: KeyId,
        /// Its root, if the server knows it.
        #[serde(rename = "Root", default, skip_serializing_if = "Option::is_none")]
        root: Option<RootHash>,
    },
}

/// Asks for a reserve code. The code comes sealed to the server, so it shows itself only where the key has stopped counting.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Reserve {
    /// Series of the key.
    #[serde(flatten)]
    pub series: SeriesId,
    /// The key.
    pub key_no: KeyNo,
    /// Issue that the server holds: asking for it again gives the same code again.
    pub issue: u32,
    /// Why, in a few words.
    #[serde(default)]
    pub reason: String,
    /// More about it.
    #[serde(default)]
    pub comment: String,
    /// The key's memory: the next activation by the reserve code brings it along.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<Memory>,
}

impl Reserve {
    /// Longest reason and comment, in characters.
    pub const TEXT_LIMIT: usize = 1000;
}

/// Asks for news about the keys of one series that the request lists as installed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Update {
    /// The series.
    #[serde(flatten)]
    pub series: SeriesId,
}

/// A key that the asking server holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Installed {
    /// Its series.
    #[serde(flatten)]
    pub series: SeriesId,
    /// Its number.
    pub key_no: KeyNo,
    /// Issue of its licence.
    pub issue: u32,
    /// Its type.
    pub key_type: KeyType,
}

impl Request {
    /// Signs the request: the text that goes to the centre or into a request file.
    pub fn sign(&self, crypto: &dyn Crypto, identity: &Identity) -> Result<String> {
        document::sign(REQUEST, self, identity.signer(crypto)?.as_ref())
    }

    /// Reads a request and checks that the identity that it names has signed it.
    pub fn read(crypto: &dyn Crypto, place: &str, text: &str) -> Result<Request> {
        let (unverified, rest) = document::read(REQUEST, place, text)?;
        document::nothing_behind(place, rest)?;
        unverified
            .verify_by_named_key(crypto, |claimed: &Request| Ok(PublicKey::Ed25519(&claimed.identity.sign.0)))
            .map_err(|e| if e.code == Code::SignatureWrong { Error::new(Code::RequestSignature) } else { e })
    }

    /// The code that it spends or asks about.
    pub fn code(&self) -> Option<ActivationCode> {
        match self.purpose {
            Purpose::Activate(Activate { want: Want::Code(code), .. }) | Purpose::CodeParameters(code) => Some(code),
            _ => None,
        }
    }
}
